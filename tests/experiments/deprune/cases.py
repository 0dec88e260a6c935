"""Deprune as data: what it can do, and what it cannot, with the one line that says so."""

from __future__ import annotations

FILE = "model: vgg11_32_half\nlayer: 5\ncurves: vgg11-cifar10\nepochs: 3\nmbps: 5\n"
EDGES = [
    (agent, options)
    for agent in ("deprune", "prune", "best-schedule")
    for options in (
        "epochs=1",
        "shares=[0.5]",
        "shares=[0.1,1] noise=false",
        "clients=100 time_weight=1",
        "dynamic=true sigma=0",
        "dynamic=true time_weight=0.2",
        "bytes_weight=0 accuracy_weight=0",
        "batch=4000",
        "images=2",
        "mbps=0.001 rtt_s=10",
    )
]
RUN, EVALUATION = "", "--agents deprune"

OPTIONS = [
    ("--env-kwargs epochs=0", "scenario vgg11-cifar10: epochs is 0, allowed: 1..10000"),
    ("--env-kwargs epochs=1.5", "epochs is 1.5, allowed: a whole number, 1..10000"),
    ("--env-kwargs batch=1", "batch is 1, allowed: 2..65536"),
    ("--env-kwargs images=1", "images is 1, allowed: 0 or 2..1e9"),
    ("--env-kwargs clients=0", "clients is 0, allowed: 1..10000"),
    ("--env-kwargs mbps=0", "mbps is 0, allowed: 0.001..1e6"),
    ("--env-kwargs mbps=.inf", "the value of mbps, '.inf', is neither a finite number"),
    ("--env-kwargs rtt_s=-1", "rtt_s is -1, allowed: 0..1e6"),
    ("--env-kwargs bytes_weight=-1", "bytes_weight is -1, allowed: 0..1e6"),
    ("--env-kwargs shares=[]", "shares is [], allowed: rising numbers above 0, up to 1"),
    ("--env-kwargs shares=[1,0.5]", "shares is [1.0, 0.5], allowed: rising numbers above 0, up to 1"),
    ("--env-kwargs shares=[0.5,2]", "shares[1] is 2, allowed: a finite number above 0, at most 1"),
    ("--env-kwargs shares=[0.001,0.002]", "shares [0.001, 0.002] of 64 maps name a budget twice"),
    ("--env-kwargs layer=99", "layer is 99, allowed for vgg11_32_half: 0 to 21"),
    ("--env-kwargs layer=-1", "layer is -1, allowed for vgg11_32_half: 0 to 21"),
    ("--env-kwargs layer=3", "layer is 3, but the curves vgg11-cifar10 were recorded with 5"),
    ("--env-kwargs resolution=40", "r is 40, allowed for maps of 16x16: 1 to 16"),
    ("--env-kwargs resolution=2", "resolution is 2, but the curves vgg11-cifar10 were recorded with 1"),
    ("--env-kwargs curves=nowhere", "unknown curves 'nowhere'; known: vgg11-cifar10"),
    (
        "--env-kwargs \"curves=''\"",
        "no training of vgg11_32_half was recorded; train it for real, with --env-kwargs backend=train",
    ),
    ("--env-kwargs client=nowhere", "unknown device 'nowhere'; known: those of splitgym-train --list devices"),
    ("--env-kwargs backend=fun", "backend='fun' is not one of curves, train"),
    ("--env-kwargs checkpoints=kept", 'checkpoints: only backend "train" has any'),
    ("--env-kwargs module=maybe", "module is 'maybe', allowed: true or false"),
    ("--env-kwargs colour=red", "unknown option 'colour'; known: "),
]
SCENARIOS = [("nowhere", "unknown scenario 'nowhere'; known: vgg11-cifar10, ")]
RUNS = [
    ("--hyperparams share=0", "agent deprune: share is 0, allowed: a finite number above 0, at most 1"),
    ("--hyperparams share=1.5", "agent deprune: share is 1.5, allowed: a finite number above 0, at most 1"),
    ("--hyperparams full=-1", "agent deprune: full is -1, allowed: 0..1"),
    ("--hyperparams first=0.5", "agent deprune: unknown hyperparameter 'first'"),
    ("--agent prune --hyperparams shares=[0.5,0]", "agent prune: shares[1] is 0, allowed: a finite number above 0"),
    ("--agent prune --hyperparams shares=[]", "agent prune: shares is [], allowed: a list of finite numbers"),
    ("--agent best-schedule --env-kwargs epochs=90", "are too many; take fewer epochs or shares"),
]
EVALUATIONS = [("--agents prune --hyperparams share=1", "none of prune has a hyperparameter 'share'")]
PLAN = {"schema": 2, "kind": "compressed", "model": "vgg11_32_half",
        "types": {"client": "rtx3080ti", "server": "rtx3080ti"}, "cut": 5, "r": 1, "budgets": [2, 2, 16, 64],
        "notes": {}}  # fmt: skip
PLAYED = {"bytes_share": (2 + 2 + 16 + 64) / 256}  # by the plan
PLANS = [
    ({"cut": 2, "budgets": [2, 2, 2, 2]}, "plan.json: cut is 2, allowed: 5, that of the scenario"),
    ({"r": 2}, "plan.json: r is 2, allowed: 1, that of the scenario"),
    ({"budgets": [2, 64]}, "plan.json: budgets has 2 epochs, allowed: 4"),
    ({"budgets": [2, 3, 64, 64]}, "plan.json: budgets[1] is 3, allowed: 2, 4, 8, 16, 32, 64"),
    ({"budgets": [2, 2, 2, 65]}, "plan.json: budgets[3]: budget is 65, allowed: 1 to 64"),
    ({"budgets": [2, 2, 0, 64]}, "plan.json: budgets"),
    ({"budgets": []}, "plan.json: budgets"),
    ({"budgets": [2.5, 2, 2, 2]}, "plan.json: budgets"),
    ({"model": "vgg16"}, "plan.json: model is 'vgg16', expected 'vgg11_32_half'"),
]
