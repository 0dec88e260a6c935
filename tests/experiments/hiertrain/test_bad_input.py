"""One clear line for bad input on HierTrain: options, profiles, scenarios, plans, agents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from splitgym.models.cuts import cut_points
from splitgym.models.lookup import get_model
from splitgym.profiling.training import modelled_profile

from ..brief import BRIEF
from .test_commands import LENET, SMALL, write_plan

pytestmark = pytest.mark.usefixtures("scratch")

train, evaluate = BRIEF["hiertrain"].train, BRIEF["hiertrain"].evaluate


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that are wrong, each in its way."""
    folder = tmp_path_factory.mktemp("wrong")
    for name in ("alexnet", "lenet5"):
        modelled_profile(get_model(name), "pi3", (16,), "sgd", True).save(folder / f"{name}.csv")
    whole = (folder / "lenet5.csv").read_text().splitlines()
    (folder / "short.csv").write_text("\n".join(whole[:-1]) + "\n")
    for name, text in {
        "norate.yaml": "model: vgg16\nedge_cloud_mbps: 0\n",
        "nomodel.yaml": "edge_cloud_mbps: 3\n",
        "nothing.yaml": "model: vgg16\n",
        "broken.yaml": "model: [",
    }.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.usefixtures("among_wrong_files")
@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("edge_cloud_mbps=-3", "edge_cloud_mbps is -3, allowed: 0.001..1e6 Mbit/s"),
        ("edge_cloud_mbps=0", "edge_cloud_mbps is 0, allowed: 0.001..1e6 Mbit/s"),
        ("device_edge_mbps=0", "device_edge_mbps is 0, allowed: 0.001..1e6 Mbit/s"),
        ("edge_cloud_mbps=.inf", "the value of edge_cloud_mbps, '.inf', is neither a finite number"),
        ("batch=0", "batch is 0, allowed: 1.."),
        ("batch=12.5", "batch is 12.5, allowed: a whole number, 1..2000"),
        ("blocks=0", "blocks is 0, allowed: 1.."),
        ("iterations=0", "iterations is 0, allowed: 1.."),
        ("edge_cores=5", "edge_cores is 5, allowed: 1..4"),
        ("edge_cores=0", "edge_cores is 0, allowed: 1..4"),
        ("sample_bytes=-1", "sample_bytes is -1"),
        ("thread_gain=nan", "thread_gain is 'nan', allowed: a finite number, 0..1e9"),
        ("relay=pigeon", "relay is 'pigeon', allowed: stream, store"),
        ("exchange=never", "exchange is 'never', allowed: holders, always"),
        ("optimizer=lion", "optimizer is 'lion', allowed: sgd, "),
        ("cost=fun", "cost='fun' is not one of paper, event"),
        ("optimum=maybe", "optimum='maybe' is not one of True, False"),
        ("share_links=maybe", "share_links is 'maybe', allowed: true or false"),
        ("device=nowhere", "unknown device 'nowhere'; known: "),
        ("edge=nowhere", "unknown edge 'nowhere'; known: "),
        ("colour=red", "unknown option 'colour'; known: plans, activation_bits, cost, optimum, model"),
        ("profiles={device: alexnet.csv}", "alexnet.csv: model is 'alexnet', expected 'lenet5'"),
        ("profiles={edge: short.csv}", "short.csv: profile has "),
        ("profiles={device: lenet5.csv}", "batch is 128, but the training profile"),
        ("profiles={device: nowhere.csv}", "nowhere.csv: cannot be read"),
        ("profiles={phone: lenet5.csv}", "profiles names 'phone', allowed: device, edge, cloud"),
    ],
)
def test_bad_options_are_one_line(option: str, named: str) -> None:
    train.refuses([*LENET, option, "--out", "run"], named)
    agents = ["--scenarios", "lenet5-2", "--agents", "exact,all-edge"]
    evaluate.refuses([*agents, "--env-kwargs", option, "--out", "out"], named)


@pytest.mark.usefixtures("among_wrong_files")
@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("nowhere", "unknown scenario 'nowhere'; known: alexnet-1.5, "),
        ("nowhere", "<model>-<Mbps>[-c<cores>] or <model>-drift"),
        ("nonet-3", "unknown model 'nonet'; known models: "),
        ("alexnet-0", "edge_cloud_mbps is 0.0, allowed: 0.001..1e6 Mbit/s"),
        ("alexnet--5", "edge_cloud_mbps is -5.0"),
        ("alexnet-3-c9", "edge_cores is 9, allowed: 1..4"),
        ("norate.yaml", "norate.yaml: edge_cloud_mbps is 0, allowed: 0.001..1e6 Mbit/s"),
        ("nomodel.yaml", "nomodel.yaml: field model is missing"),
        ("nothing.yaml", "nothing.yaml: field edge_cloud_mbps is missing"),
        ("broken.yaml", "broken.yaml: is not YAML"),
    ],
)
def test_bad_scenarios_are_one_line(name: str, named: str) -> None:
    train.refuses(f"--scenario {name} --out run", named)
    evaluate.refuses(f"--scenarios lenet5-2,{name} --agents exact,all-edge --out out", named)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"b": [60, 30, 37]}, "plan.json: b sums to 127, the batch of lenet5-2 is 128"),
        ({"b": [60, 30]}, "plan.json: b is [60, 30], allowed: 3 numbers of samples"),
        ({"b": [160, -2, -30]}, "plan.json: b is [160, -2, -30], allowed: 3 numbers of samples"),
        ({"b": [60, 30, 38.0]}, "plan.json: b[2] is 38.0, allowed: a whole number"),
        ({"m_s": 3}, "plan.json: m_s is 3, m_l 2, allowed: 0 <= m_s <= m_l <= 7"),
        ({"m_l": 99}, "plan.json: m_s is 1, m_l 99, allowed: 0 <= m_s <= m_l <= 7"),
        ({"m_s": 0}, "plan.json: b gives worker s 30 samples, but m_s is 0; allowed: 0"),
        ({"roles": ["edge", "device"]}, "plan.json: roles has 2 names, allowed: 3"),
        (
            {"roles": ["edge", "phone", "cloud"]},
            "roles is ['edge', 'phone', 'cloud'], allowed: device, edge",
        ),
        ({"roles": ["edge", "edge", "cloud"]}, "plan.json: "),
        ({"model": "vgg16"}, "plan.json: model is 'vgg16', expected 'lenet5'"),
    ],
)
def test_a_plan_that_does_not_fit_is_one_line(changes: dict[str, Any], named: str) -> None:
    write_plan(**changes)
    train.refuses(["--agent", "plan.json", *SMALL, "--out", "run"], named)


def test_a_cut_inside_a_residual_block_is_one_line() -> None:
    model = get_model("resnet34_32")
    inside = next(m for m in range(1, len(model.steps)) if m not in cut_points(model, stem=True))
    write_plan(model="resnet34_32", m_s=inside, m_l=len(model.steps))
    named = f"plan.json: m_s is {inside}, resnet34_32 can be cut behind"
    train.refuses("--scenario resnet34_32-2 --agent plan.json --env-kwargs blocks=3 --out run", named)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--env-kwargs plans=layers", "agent hiertrain needs plans=hybrid, not layers"),
        ("--agent jalad --env-kwargs activation_bits=16", "agent jalad needs activation_bits=8, not 16"),
        ("--agent ppo --env-kwargs activation_bits=7", "activation_bits=7 is not one of 32, 16, 8, 4"),
        ("--agent nobody", "unknown agent 'nobody' for hiertrain; known: hiertrain, exact, all-device"),
        ("--hyperparams hold=maybe", "hold of hiertrain is 'maybe', allowed: true or false"),
        ("--agent all-edge --hyperparams hold=true", "agent all-edge: unknown hyperparameter 'hold'"),
        ("--agent sac --hyperparams gamma=2", "agent sac: gamma is 2, allowed: 0..1"),
        ("--episodes 5", "--episodes: agent hiertrain is not trained beforehand"),
    ],
)
def test_bad_input_for_a_run_is_one_line(words: str, named: str) -> None:
    train.refuses(f"{words} --out run", named)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--scenarios lenet", "groups: alexnet, lenet5, cores, drifting, scaling"),
        ("--agents jalad --env-kwargs activation_bits=4", "jalad needs activation_bits=8, not 4"),
        ("--agents all-edge --hyperparams hold=true", "none of all-edge has a hyperparameter 'hold'"),
    ],
)
def test_bad_input_for_an_evaluation_is_one_line(words: str, named: str) -> None:
    evaluate.refuses(f"{words} --out out", named)
