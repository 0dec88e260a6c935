"""One clear line for bad input on Deprune: options, plans, agents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ..brief import BRIEF
from .test_commands import PLAN, SHORT

pytestmark = pytest.mark.usefixtures("scratch")

train, evaluate = BRIEF["deprune"].train, BRIEF["deprune"].evaluate


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("epochs=0", "scenario vgg11-cifar10: epochs is 0, allowed: 1..10000"),
        ("epochs=1.5", "epochs is 1.5, allowed: a whole number, 1..10000"),
        ("batch=1", "batch is 1, allowed: 2..65536"),
        ("images=1", "images is 1, allowed: 0 or 2..1e9"),
        ("clients=0", "clients is 0, allowed: 1..10000"),
        ("mbps=0", "mbps is 0, allowed: 0.001..1e6"),
        ("mbps=.inf", "the value of mbps, '.inf', is neither a finite number"),
        ("rtt_s=-1", "rtt_s is -1, allowed: 0..1e6"),
        ("bytes_weight=-1", "bytes_weight is -1, allowed: 0..1e6"),
        ("shares=[]", "shares is [], allowed: rising numbers above 0, up to 1"),
        ("shares=[1,0.5]", "shares is [1.0, 0.5], allowed: rising numbers above 0, up to 1"),
        ("shares=[0.5,2]", "shares[1] is 2, allowed: a finite number above 0, at most 1"),
        ("shares=[0.001,0.002]", "shares [0.001, 0.002] of 64 maps name a budget twice"),
        ("layer=99", "layer is 99, allowed for vgg11_32_half: 0 to 21"),
        ("layer=-1", "layer is -1, allowed for vgg11_32_half: 0 to 21"),
        ("layer=3", "layer is 3, but the curves vgg11-cifar10 were recorded with 5"),
        ("resolution=40", "r is 40, allowed for maps of 16x16: 1 to 16"),
        ("resolution=2", "resolution is 2, but the curves vgg11-cifar10 were recorded with 1"),
        ("curves=nowhere", "unknown curves 'nowhere'; known: vgg11-cifar10"),
        (
            "curves=''",
            "no training of vgg11_32_half was recorded; train it for real, with --env-kwargs backend=train",
        ),
        ("client=nowhere", "unknown device 'nowhere'; known: "),
        ("backend=fun", "backend='fun' is not one of curves, train"),
        ("checkpoints=kept", 'checkpoints: only backend "train" has any'),
        ("module=maybe", "module is 'maybe', allowed: true or false"),
        ("colour=red", "unknown option 'colour'; known: "),
    ],
)
def test_bad_options_are_one_line(option: str, named: str) -> None:
    train.refuses(["--env-kwargs", option, "--out", "run"], named)
    evaluate.refuses(["--agents", "deprune", "--env-kwargs", option, "--out", "out"], named)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"cut": 2, "budgets": [2, 2, 2, 2]}, "plan.json: cut is 2, allowed: 5, that of the scenario"),
        ({"r": 2}, "plan.json: r is 2, allowed: 1, that of the scenario"),
        ({"budgets": [2, 64]}, "plan.json: budgets has 2 epochs, allowed: 4"),
        ({"budgets": [2, 3, 64, 64]}, "plan.json: budgets[1] is 3, allowed: 2, 4, 8, 16, 32, 64"),
        ({"budgets": [2, 2, 2, 65]}, "plan.json: budgets[3]: budget is 65, allowed: 1 to 64"),
        ({"budgets": [2, 2, 0, 64]}, "plan.json: budgets"),
        ({"budgets": []}, "plan.json: budgets"),
        ({"budgets": [2.5, 2, 2, 2]}, "plan.json: budgets"),
        ({"model": "vgg16"}, "plan.json: model is 'vgg16', expected 'vgg11_32_half'"),
    ],
)
def test_a_plan_that_does_not_fit_is_one_line(changes: dict[str, Any], named: str) -> None:
    Path("plan.json").write_text(json.dumps({**PLAN, **changes}))
    train.refuses(["--agent", "plan.json", *SHORT, "--out", "run"], named)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--scenario nowhere", "unknown scenario 'nowhere'; known: vgg11-cifar10, "),
        ("--hyperparams share=0", "agent deprune: share is 0, allowed: a finite number above 0, at most 1"),
        ("--hyperparams share=1.5", "agent deprune: share is 1.5, allowed: a finite number above 0, at most 1"),
        ("--hyperparams full=-1", "agent deprune: full is -1, allowed: 0..1"),
        ("--hyperparams first=0.5", "agent deprune: unknown hyperparameter 'first'"),
        (
            "--agent prune --hyperparams shares=[0.5,0]",
            "agent prune: shares[1] is 0, allowed: a finite number above 0",
        ),
        (
            "--agent prune --hyperparams shares=[]",
            "agent prune: shares is [], allowed: a list of finite numbers",
        ),
        ("--agent best-schedule --env-kwargs epochs=90", "are too many; take fewer epochs or shares"),
    ],
)
def test_bad_input_for_a_run_is_one_line(words: str, named: str) -> None:
    train.refuses(f"{words} --out run", named)


def test_hyperparameters_that_nobody_has_are_one_line() -> None:
    evaluate.refuses("--agents prune --hyperparams share=1 --out out", "none of prune has a hyperparameter 'share'")
