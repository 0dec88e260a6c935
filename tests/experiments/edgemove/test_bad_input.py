"""One clear line for bad input on EdgeMove: options, scenarios, files of places, plans, agents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from splitgym.models.lookup import get_model
from splitgym.profiling.training import modelled_profile

from ..brief import BRIEF
from .test_commands import FIELDS, PLAN, SHORT

pytestmark = pytest.mark.usefixtures("scratch")

train, evaluate = BRIEF["edgemove"].train, BRIEF["edgemove"].evaluate


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that are wrong, each in its way."""
    folder = tmp_path_factory.mktemp("wrong")
    for name, text in {
        "nocolumn.csv": "LAT,LON\n-37.8,144.9\n",
        "range.csv": "LATITUDE,LONGITUDE\n-37.8,144.9\n-97.8,144.9\n",
        "west.csv": "LATITUDE,LONGITUDE\n-37.8,244.9\n",
        "words.csv": "LATITUDE,LONGITUDE\nhere,144.9\n",
        "short.csv": "LATITUDE,LONGITUDE\n-37.8\n",
        "nothing.csv": "",
        "header.csv": "LATITUDE,LONGITUDE\n",
        "point.csv": "LATITUDE,LONGITUDE\n-37.8,144.9\n",
        "noiterations.yaml": "model: vgg16_32\non_device_s: 300\n",
        "zero.yaml": "model: vgg16_32\non_device_s: 300\ncycle: 0\n",
        "field.yaml": f"{FIELDS}colour: red\n",
        "nosites.yaml": f"{FIELDS}sites: nowhere.csv\n",
        "point.yaml": f"{FIELDS}trajectory: point.csv\n",
        "list.yaml": "- 1\n",
        "broken.yaml": "model: [",
    }.items():
        (folder / name).write_text(text)
    (folder / "binary.csv").write_bytes(b"\xff\xfe\x00\x01")
    modelled_profile(get_model("vgg16"), "pixel6a", (32,), "sgd", True).save(folder / "other.csv")
    return folder


@pytest.mark.usefixtures("among_wrong_files")
@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("speed_mps=0", "scenario vgg16-cifar10: speed_mps is 0, allowed: 1e-9..1e12"),
        ("speed_mps=-1.4", "speed_mps is -1.4, allowed: 1e-9..1e12"),
        ("speed_mps=.inf", "the value of speed_mps, '.inf', is neither a finite number"),
        ("cycle=0", "scenario vgg16-cifar10: cycle is 0, allowed: 1..1000000"),
        ("cycle=-5", "cycle is -5, allowed: 1..1000000"),
        ("cycle=1.5", "cycle is 1.5, allowed: a whole number, 1..1000000"),
        ("on_device_s=0", "on_device_s is 0, allowed: 1e-9..1e12"),
        ("batch=0", "batch is 0, allowed: 1.."),
        ("near_mbps=0", "near_mbps is 0, allowed: 0.001..1e6"),
        ("cloud_mbps=-3", "cloud_mbps is -3, allowed: 0.001..1e6"),
        ("edge_rtt_s=[0.04,0.005]", "edge_rtt_s is 0.04, 0.005, allowed: two numbers above 0, the lower first"),
        ("edge_rtt_s=5", "edge_rtt_s is 5, allowed: a list of (finite number, finite number)"),
        ("coverage_m=[0,300]", "coverage_m[0] is 0, allowed: a finite number above 0"),
        ("n_sites=0", "n_sites is 0, allowed: 1..2000"),
        ("n_sites=3000", "n_sites is 3000, allowed: 1..2000"),
        ("in_flight=0", "in_flight is 0, allowed: 1..64"),
        ("noise=0.5", "noise is 0.5, allowed: 0..0.2"),
        ("burst_factor=0.5", "burst_factor is 0.5, allowed: "),
        ("city_seed=-1", "city_seed is -1, allowed: 0..4294967296"),
        ("walks=never", "walks is 'never', allowed: test, train"),
        ("optimizer=lion", "optimizer is 'lion', allowed: sgd, "),
        ("gpus=[]", "gpus is empty, allowed: one or more of "),
        ("gpus=[nowhere]", "unknown device 'nowhere'; known: "),
        ("client=nowhere", "unknown device 'nowhere'; known: "),
        ("probe=never", "probe='never' is not one of background, blocking"),
        ("optimum=maybe", "optimum='maybe' is not one of True, False"),
        ("half_duplex=maybe", "half_duplex is 'maybe', allowed: true or false"),
        ("colour=red", "unknown option 'colour'; known: action, probe, optimum, model"),
        ("sites=nowhere.csv", "nowhere.csv: cannot be read"),
        ("sites=nocolumn.csv", "nocolumn.csv: has no column LATITUDE and no column LONGITUDE; sites have"),
        ("sites=range.csv", "range.csv: line 3: LATITUDE is '-97.8', allowed: degrees from -90 to 90"),
        ("sites=west.csv", "west.csv: line 2: LONGITUDE is '244.9', allowed: degrees from -180 to 180"),
        ("sites=words.csv", "words.csv: line 2: LATITUDE is 'here', allowed: degrees"),
        ("sites=short.csv", "short.csv: line 2: LONGITUDE is '', allowed: degrees"),
        ("sites=nothing.csv", "nothing.csv: has no column LATITUDE"),
        ("sites=header.csv", "header.csv: holds 0 sites, allowed: 1 or more"),
        ("sites=binary.csv", "binary.csv: is not a text file in UTF-8"),
        ("trajectory=point.csv", "point.csv: holds 1 points of a trajectory, allowed: 2 or more"),
        ("trajectory=nocolumn.csv", "has no column LATITUDE and no column LONGITUDE; points of a trajectory have"),
        ("profiles={pixel6a: other.csv}", "other.csv: model is 'vgg16', expected 'vgg16_32'"),
        ("profiles={phone: other.csv}", "profiles names 'phone', allowed: pixel6a, rtx2080ti, rtx3080ti, v100-pytorch"),
    ],
)
def test_bad_options_are_one_line(option: str, named: str) -> None:
    train.refuses(["--env-kwargs", option, "--out", "run"], named)
    evaluate.refuses(["--agents", "edgemove", "--env-kwargs", option, "--out", "out"], named)


@pytest.mark.usefixtures("among_wrong_files")
@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("nowhere", "unknown scenario 'nowhere'; known: vgg16-cifar10, "),
        ("nowhere", "any <task>[-x<speed factor>][-<Mbps>mbps]"),
        ("vgg16-cifar10-x0", "scenario vgg16-cifar10-x0: speed_mps is 0.0, allowed: 1e-9..1e12"),
        ("vgg16-cifar10-x-2", "unknown scenario 'vgg16-cifar10-x-2'"),
        ("vgg16-cifar10-0mbps", "near_mbps is 0.0, allowed: 0.001..1e6"),
        ("vgg16-cifar10-300mbps-x2", "unknown scenario 'vgg16-cifar10-300mbps-x2'"),
        ("noiterations.yaml", "noiterations.yaml: field cycle is missing"),
        ("zero.yaml", "zero.yaml: cycle is 0, allowed: 1..1000000"),
        ("field.yaml", "field.yaml: unknown field 'colour'"),
        ("nosites.yaml", "nowhere.csv: cannot be read"),
        ("point.yaml", "point.csv: holds 1 points of a trajectory, allowed: 2 or more"),
        ("list.yaml", "list.yaml: must hold fields such as model, cycle, on_device_s"),
        ("broken.yaml", "broken.yaml: is not YAML"),
    ],
)
def test_bad_scenarios_are_one_line(name: str, named: str) -> None:
    train.refuses(f"--scenario {name} --out run", named)
    evaluate.refuses(f"--scenarios vgg16-cifar10,{name} --agents edgemove --out out", named)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"worker": "site-125"}, "plan.json: worker is 'site-125', allowed: none, cloud, site-0 to site-124"),
        ({"worker": "moon"}, "plan.json: worker is 'moon', allowed: none, cloud, site-0 to site-124"),
        ({"worker": "none"}, "plan.json: worker is 'none' with cut 6, allowed: none behind all layers only"),
        ({"worker": 3}, "plan.json: worker"),
        ({"cut": 0}, "plan.json: cut is 0, "),
        ({"cut": 99}, "plan.json: cut is 99, "),
        ({"cut": 1.5}, "plan.json: cut "),
        ({"in_flight": 3}, "plan.json: in_flight is 3, that of vgg16-cifar10 is 2"),
        ({"in_flight": 0}, "plan.json: in_flight is 0"),
        ({"model": "vgg16"}, "plan.json: model is 'vgg16', expected 'vgg16_32'"),
    ],
)
def test_a_plan_that_does_not_fit_is_one_line(changes: dict[str, Any], named: str) -> None:
    Path("plan.json").write_text(json.dumps({**PLAN, **changes}))
    train.refuses(["--agent", "plan.json", *SHORT, "--out", "run"], named)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--env-kwargs action=paper", "agent edgemove needs action=absolute, not paper"),
        ("--agent oracle --env-kwargs action=flat", "agent oracle needs action=oracle, not flat"),
        ("--agent ppo --env-kwargs action=fun", "action='fun' is not one of absolute, flat, paper, oracle"),
        ("--hyperparams tie=-1", "agent edgemove: tie is -1, allowed: 0 or more"),
        ("--hyperparams literal=maybe", "literal of edgemove is 'maybe', allowed: true or false"),
        ("--agent lookahead --hyperparams cycles=0", "agent lookahead: cycles is 0, allowed: a finite number above 0"),
        ("--agent on-device --hyperparams tie=0", "agent on-device: unknown hyperparameter 'tie'"),
        ("--trace point.csv", "unrecognized arguments: --trace point.csv"),
    ],
)
def test_bad_input_for_a_run_is_one_line(words: str, named: str) -> None:
    train.refuses(f"{words} --out run", named)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--scenarios table2", "groups: table1, double-speed, rates"),
        ("--agents oracle --env-kwargs action=absolute", "oracle needs action=oracle, not absolute"),
        ("--agents on-device --hyperparams tie=0", "none of on-device has a hyperparameter 'tie'"),
    ],
)
def test_bad_input_for_an_evaluation_is_one_line(words: str, named: str) -> None:
    evaluate.refuses(f"{words} --out out", named)
