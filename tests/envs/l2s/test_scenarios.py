"""L2S's scenarios by name and from files: the paper's settings, and one clear line for every mistake."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from splitgym.envs import FAMILIES
from splitgym.envs.l2s.paper import PAPER as PAPER_FIELDS
from splitgym.envs.l2s.scenarios import EDGES, GROUPS, SCENARIOS, Scenario, get_scenario
from splitgym.envs.l2s.system import System
from splitgym.models.lookup import get_model

from ... import refused
from ..scenario_files import write
from .reference import make, modelled

GOOD: dict[str, Any] = {"model": "alexnet", "edge": "gpu", "mbps": 60}
PAPER = ("alexnet", "vgg16", "resnet34")
NETWORKS = {"alexnet": "alexnet_2012", "vgg16": "vgg16", "resnet34": "resnet34"}  # with the paper's inputs


def test_the_sweeps_are_three_networks_two_edges_and_a_range_of_rates() -> None:
    for model in PAPER:
        for edge in ("gpu", "cpu"):
            for mbps in (5, 20, 60, 100, 200):
                scenario = get_scenario(f"{model}-{edge}-{mbps}")
                assert (scenario.model, scenario.edge, scenario.mbps) == (NETWORKS[model], edge, float(mbps))
                assert scenario.name in GROUPS[f"sweep-{edge}"]
    assert EDGES == {"gpu": "gtx1080ti", "cpu": "i7-8700k"}


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_builds_with_the_papers_settings(name: str) -> None:
    scenario = SCENARIOS[name]
    system = System(scenario)
    assert (scenario.name, scenario.batch, scenario.sync_period) == (name, 16, 100)
    assert (scenario.inputs, scenario.device, scenario.image_bytes) == ("paper", "tx2-pytorch-measured", 4)
    assert system.first == 4 or f"-p{system.first}" in name
    assert system.n_points == system.last + 1 - system.first >= 2
    env = make(name)
    assert env.action_space == gym.spaces.Discrete(system.n_points)
    assert json.loads(json.dumps(env.dynamics.settings))["name"] == name


def test_groups_name_known_scenarios_once() -> None:
    assert {name for members in GROUPS.values() for name in members} == set(SCENARIOS)
    assert all(len(set(members)) == len(members) > 0 for members in GROUPS.values())
    assert tuple(FAMILIES["l2s"].scenarios) == tuple(SCENARIOS)
    assert FAMILIES["l2s"].groups == GROUPS
    assert FAMILIES["l2s"].default_scenario in SCENARIOS


def test_the_switching_scenario_is_that_of_fig_17() -> None:
    scenario = get_scenario("resnet34-switch")
    assert (scenario.rounds, scenario.mbps) == (6000, 100.0)
    assert scenario.mbps_changes == ((2000, 60.0), (4000, 100.0))
    assert "resnet34-switch" in GROUPS["changing"]


def test_summaries_say_the_model_the_machines_and_the_link(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("0 10\n")
    expected = {
        "resnet34-gpu-60": "resnet34 on tx2-pytorch-measured with gtx1080ti, 60 Mbps, 500 rounds",
        "alexnet-cpu-100": "alexnet_2012 on tx2-pytorch-measured with i7-8700k, 100 Mbps, 500 rounds",
        "resnet34-switch": (
            "resnet34 on tx2-pytorch-measured with gtx1080ti, 100 Mbps, 60 from round 2000, 100 from round 4000, "
            "6000 rounds"
        ),
        "resnet34-dynamic": "resnet34 on tx2-pytorch-measured with gtx1080ti, a fluctuating link, 2000 rounds",
    }
    assert {name: FAMILIES["l2s"].summaries[name] for name in expected} == expected
    assert set(FAMILIES["l2s"].summaries) == set(SCENARIOS)
    env = make("alexnet-gpu-37.5", load_changes=[[5, 2.5]], rounds=9, inputs="devices")
    assert env.dynamics.summary == ("alexnet on tx2-pytorch with gtx1080ti, 37.5 Mbps, load 2.5 from round 5, 9 rounds")
    assert "a measured link" in make("alexnet-gpu-60", traces=[str(tmp_path / "a.csv")]).dynamics.summary


# Names by form.


@pytest.mark.parametrize(
    ("name", "model", "edge", "mbps", "edge_device", "point"),
    [
        ("vgg16-cpu-37.5", "vgg16", "cpu", 37.5, "i7-8700k", None),
        ("googlenet-rtx2080ti-60", "googlenet", "rtx2080ti", 60.0, "rtx2080ti", None),
        ("inception_v3-gpu-1000", "inception_v3", "gpu", 1000.0, "gtx1080ti", None),
        ("alexnet-i7-8700k-20", "alexnet", "i7-8700k", 20.0, "i7-8700k", None),
        ("alexnet-gpu-0.5-p11", "alexnet", "gpu", 0.5, "gtx1080ti", 11),
        ("vgg16-gpu-60-p0", "vgg16", "gpu", 60.0, "gtx1080ti", 0),
    ],
)
def test_any_model_edge_and_rate_by_name(
    name: str, model: str, edge: str, mbps: float, edge_device: str, point: int
) -> None:
    devices, paper = get_scenario(name, inputs="devices"), get_scenario(name)
    assert devices == Scenario(name, model, edge, mbps, privacy_point=point)
    assert devices.edge_device == edge_device
    assert paper == replace(devices, model=NETWORKS.get(model, model), inputs="paper", **PAPER_FIELDS)
    system = make(name).dynamics.system
    assert system.model == get_model(paper.model)
    assert system.edge.device == edge_device


@pytest.mark.parametrize(
    "name", ["alexnet", "alexnet-gpu", "alexnet-gpu-", "alexnet-gpu-fast", "alexnet-gpu-nan",
             "alexnet-gpu-inf", "alexnet-gpu-1.2.3", "alexnet-gpu-.", "alexnet-gpu--", "-gpu-60", "alexnet--60",
             "alexnet-gpu-60-p", "alexnet-gpu-60-px"],
)  # fmt: skip
def test_unknown_name_is_answered_with_the_nearest(name: str) -> None:
    with refused(
        "did you mean ", "alexnet-gpu-", "? All of them: --list", start=f"unknown scenario {name!r}; "
    ) as caught:
        get_scenario(name)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", ["nowhere", ""])
def test_a_name_like_none_is_told_how_names_are_formed(name: str) -> None:
    with refused(repr(name), "known: those of --list", "<model>-<edge>-<Mbps>", "resnet34-gpu-60", ".yaml"):
        get_scenario(name)


@pytest.mark.parametrize(("name", "family"), [("DB-50", "distredge"), ("lenet5-2", "hiertrain")])
def test_a_scenario_of_another_family_is_told_so(name: str, family: str) -> None:
    with refused(start=f"unknown scenario {name!r}; {name} is one of {family}: --env {family}"):
        get_scenario(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("vgg17-gpu-60", ["scenario vgg17-gpu-60", "unknown model 'vgg17'", "did you mean vgg19, vgg16, vgg11?"]),
        ("vgg16-tpu-60", ["unknown edge 'tpu'", "gpu, cpu", "--list devices"]),
        ("vgg16-gpu-0", ["mbps is 0", "0.001..1e6"]),
        ("vgg16-gpu--5", ["mbps is -5", "0.001..1e6"]),
        ("vgg16-gpu-60-p22", ["privacy_point is 22", "0..21"]),
    ],
)
def test_a_bad_part_of_a_name_is_one_line(name: str, words: list[str]) -> None:
    with refused(*words):
        make(name)


# Fields.

BAD_FIELD: dict[str, tuple[dict[str, Any], list[str]]] = {
    "P^c negative": ({"privacy_point": -1}, ["privacy_point is -1", "0 or more"]),
    "P^c beyond P": ({"privacy_point": 12}, ["privacy_point is 12", "0..11", "alexnet"]),
    "P^c in words": ({"privacy_point": "first"}, ["privacy_point is 'first'", "whole number"]),
    "no rate": ({"mbps": 0}, ["mbps is 0", "0.001..1e6"]),
    "negative rate": ({"mbps": -60.0}, ["mbps is -60", "0.001..1e6"]),
    "NaN rate": ({"mbps": float("nan")}, ["mbps is nan", "0.001..1e6"]),
    "infinite rate": ({"mbps": float("inf")}, ["mbps is inf", "0.001..1e6"]),
    "rate in words": ({"mbps": "fast"}, ["mbps", "number", "'fast'"]),
    "rates in a list": ({"mbps": [60.0]}, ["mbps", "number"]),
    "unknown model": ({"model": "vgg17"}, ["unknown model 'vgg17'", "did you mean vgg19, vgg16, vgg11?"]),
    "unknown edge": ({"edge": "tpu"}, ["unknown edge 'tpu'", "gpu, cpu", "--list devices"]),
    "unknown device": ({"device": "toaster"}, ["unknown device 'toaster'", "--list devices"]),
    "edge's short name for the device": ({"device": "gpu"}, ["unknown device 'gpu'", "--list devices"]),
    "unknown optimizer": ({"optimizer": "lion"}, ["optimizer is 'lion'", "sgd, momentum, adam"]),
    "rates go back": ({"mbps_changes": [[5, 10.0], [3, 20.0]]}, ["mbps_changes", "[5, 3]", "increase strictly from 1"]),
    "a round twice": ({"mbps_changes": [[5, 10.0], [5, 20.0]]}, ["mbps_changes", "[5, 5]", "increase strictly"]),
    "changes at the start": ({"mbps_changes": [[0, 10.0]]}, ["mbps_changes", "[0]", "from 1 on"]),
    "changes at the end": (
        {"mbps_changes": [[9, 10.0]], "rounds": 9},
        ["mbps_changes has round 9", "below rounds, which"],
    ),
    "loads change behind the end": (
        {"load_changes": [[3, 2.0], [12, 3.0]], "rounds": 9},
        ["load_changes has round 12"],
    ),
    "changes to no rate": ({"mbps_changes": [[5, 0.0]]}, ["mbps_changes[0][1] is 0", "1e-6..1e6"]),
    "changes to a negative rate": ({"mbps_changes": [[5, -3.0]]}, ["mbps_changes[0][1] is -3", "1e-6..1e6"]),
    "changes to NaN": ({"mbps_changes": [[5, float("nan")]]}, ["mbps_changes[0][1] is nan", "1e-6..1e6"]),
    "changes not in pairs": ({"mbps_changes": [[5, 10.0, 1]]}, ["mbps_changes"]),
    "changes flat": ({"mbps_changes": [5, 10.0]}, ["mbps_changes"]),
    "changes at half a round": ({"mbps_changes": [[5.5, 10.0]]}, ["mbps_changes", "5.5"]),
    "loads go back": ({"load_changes": [[5, 2.0], [4, 1.0]]}, ["load_changes", "[5, 4]", "increase strictly"]),
    "no load": ({"load_changes": [[5, 0]]}, ["load_changes[0][1] is 0", "1e-6..1e6"]),
    "no edge load": ({"edge_load": 0}, ["edge_load is 0", "1e-6..1e6"]),
    "trace and changes": ({"traces": ["a.csv"], "mbps_changes": [[5, 1.0]]}, ["mbps_changes", "trace", "give one"]),
    "seeded trace and changes": ({"dynamic": True, "mbps_changes": [[5, 1.0]]}, ["mbps_changes", "trace", "give one"]),
    "two traces": ({"traces": ["a.csv", "b.csv"]}, ["traces has 2 files", "name one"]),
    "traces a name": ({"traces": "a.csv"}, ["traces", "'a.csv'"]),
    "a missing trace": ({"traces": ["missing.csv"]}, ["missing.csv", "cannot be read"]),
    "trace factor 0": ({"trace_factor": 0}, ["trace_factor is 0", "1e-6..1e6"]),
    "trace factor without a trace": ({"trace_factor": 2.0}, ["trace_factor is 2", "traces, which names no file"]),
    "much noise": ({"noise": 0.51}, ["noise is 0.51", "0..0."]),
    "negative noise": ({"noise": -0.01}, ["noise is -0.01", "0..0."]),
    "NaN noise": ({"noise": float("nan")}, ["noise is nan", "0..0."]),
    "no rounds": ({"rounds": 0}, ["rounds is 0", "1..1000000"]),
    "half a round": ({"rounds": 1.5}, ["rounds is 1.5", "whole number"]),
    "no samples": ({"batch": 0}, ["batch is 0", "1..65536"]),
    "no period": ({"sync_period": 0}, ["sync_period is 0", "1..1000000000"]),
    "images without bytes": ({"image_bytes": 0}, ["image_bytes is 0", "1..8"]),
    "no backward pass": ({"backward": 0}, ["backward is 0", "1e-6..1e6"]),
    "negative update": ({"update_bytes": -1}, ["update_bytes is -1", "0..1000"]),
    "more accuracy than all": ({"stale_cost": 1.1}, ["stale_cost is 1.1", "0..1"]),
    "no such recordings": ({"stale_curve": "imagenet"}, ["unknown stale_curve 'imagenet'", "cifar10"]),
    "two costs": ({"stale_curve": "cifar10", "stale_cost": 0.1}, ["stale_cost is 0.1", "'cifar10'", "give one"]),
    "accuracy worth less than nothing": ({"accuracy_worth": -1}, ["accuracy_worth is -1", "0 or more"]),
    "other inputs": ({"inputs": "ours"}, ["inputs is 'ours'", "paper, devices"]),
    "negative labels": ({"label_bytes": -1}, ["label_bytes is -1", "0..1000000"]),
    "eta 0": ({"eta": 0}, ["eta is 0", "0.01..1", "0.01..1"]),
    "eta above 1": ({"eta": 1.01}, ["eta is 1.01", "0.01..1"]),
    "tiles in between": ({"tiles": 0.5}, ["tiles", "0.5"]),
    "a third side": ({"profiles": {"cloud": "a.csv"}}, ["profiles names 'cloud'", "device, edge"]),
    "a missing profile": ({"profiles": {"edge": "missing.csv"}}, ["missing.csv", "cannot be read"]),
    "profiles not by side": ({"profiles": ["a.csv"]}, ["profiles"]),
    "unknown option": ({"colour": "red"}, ["unknown option 'colour'", "reward, sync, record", "mbps", "privacy_point"]),
    "another name": ({"name": "mine"}, ["unknown option 'name'", "reward"]),
    "unknown reward": ({"reward": "ips"}, ["reward='ips'", "delay, total"]),
    "unknown sync": ({"sync": "never"}, ["sync='never'", "period, change, ask"]),
    "unknown record": ({"record": "all"}, ["record='all'", "True, False"]),
}


@pytest.mark.parametrize(("change", "words"), BAD_FIELD.values(), ids=BAD_FIELD)
def test_each_bad_field_is_one_line_that_names_it(change: dict[str, Any], words: list[str]) -> None:
    with refused(*words):
        make("alexnet-gpu-60", **change)


@pytest.mark.parametrize("privacy_point", [0, 1, 11])
def test_every_point_may_be_the_first(privacy_point: int) -> None:
    env = make("alexnet-gpu-60", privacy_point=privacy_point)
    assert env.action_space == gym.spaces.Discrete(12 - privacy_point)
    env.reset(seed=0)
    assert env.step(0)[-1]["round"]["point"] == privacy_point


def test_fields_change_and_the_rest_stays() -> None:
    changed = get_scenario("vgg16-gpu-60", mbps_changes=[[5, 10], [9, 20]], noise=0, traces=[], rounds=10)
    expected = replace(SCENARIOS["vgg16-gpu-60"], mbps_changes=((5, 10.0), (9, 20.0)), noise=0.0, rounds=10)
    assert changed == expected
    assert get_scenario("vgg16-gpu-60") is SCENARIOS["vgg16-gpu-60"]


# Files.


def test_scenario_from_a_file(tmp_path: Path) -> None:
    path = write(tmp_path, {**GOOD, "load_changes": [[5, 2]], "privacy_point": 6})
    expected = Scenario("mine", "alexnet", "gpu", 60.0, load_changes=((5, 2.0),), privacy_point=6)
    assert get_scenario(path) == expected
    assert get_scenario(path, inputs="paper") == replace(expected, inputs="paper", **PAPER_FIELDS)
    assert get_scenario(path, eta=0.9) == replace(expected, eta=0.9)
    assert make(path).dynamics.scenario_name == "mine"
    assert get_scenario(write(tmp_path, {**GOOD, "name": "home"})).name == "home"


def test_files_of_a_scenario_are_found_from_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "wifi.txt").write_text("0 50\n1 150\n")
    same = get_scenario("alexnet-cpu-60", inputs="devices")
    modelled(same)[1].save(tmp_path / "data" / "edge.csv")
    path = write(tmp_path, {**GOOD, "traces": ["data/wifi.txt"], "profiles": {"edge": "data/edge.csv"}})
    monkeypatch.chdir("/")
    system = make(path).dynamics.system
    assert system.mbps == pytest.approx(100.0)
    assert system.edge.device == "i7-8700k"
    assert (system.edge_s == System(same).edge_s).all()


BAD_FILE: dict[str, tuple[Any, list[str]]] = {
    "unknown field": ({**GOOD, "colour": "red"}, ["unknown field 'colour'", "mbps", "privacy_point", "profiles"]),
    "unknown field, a number": ({**GOOD, 1: 2}, ["unknown field 1", "mbps"]),
    "an option of the env": ({**GOOD, "reward": "total"}, ["unknown field 'reward'", "mbps"]),
    "no model": ({k: v for k, v in GOOD.items() if k != "model"}, ["field model is missing"]),
    "no edge": ({k: v for k, v in GOOD.items() if k != "edge"}, ["field edge is missing"]),
    "no mbps": ({k: v for k, v in GOOD.items() if k != "mbps"}, ["field mbps is missing"]),
    "unknown model": ({**GOOD, "model": "vgg17"}, ["unknown model 'vgg17'", "did you mean vgg19, vgg16, vgg11?"]),
    "unknown edge": ({**GOOD, "edge": "tpu"}, ["unknown edge 'tpu'", "gpu, cpu"]),
    "unknown device": ({**GOOD, "device": "toaster"}, ["unknown device 'toaster'", "--list devices"]),
    "NaN rate": ({**GOOD, "mbps": float("nan")}, ["mbps is nan", "0.001..1e6"]),
    "rate in words": ({**GOOD, "mbps": "fast"}, ["mbps", "number", "'fast'"]),
    "rounds go back": ({**GOOD, "mbps_changes": [[5, 1], [4, 1]]}, ["mbps_changes", "increase strictly"]),
    "two traces": ({**GOOD, "traces": ["a", "b"]}, ["traces has 2 files"]),
    "a third side": ({**GOOD, "profiles": {"cloud": "a.csv"}}, ["profiles names 'cloud'", "device, edge"]),
    "much noise": ({**GOOD, "noise": 2}, ["noise is 2", "0..0."]),
    "a list": ([1, 2], ["must hold fields such as model, edge, mbps"]),
    "empty": ("", ["must hold fields such as model, edge, mbps"]),
    "not YAML": ("model: [vgg16", ["is not YAML"]),
    "not text": (b"\xff\xfe\x00", ["UTF-8"]),
}


@pytest.mark.parametrize(("data", "words"), BAD_FILE.values(), ids=BAD_FILE)
def test_each_mistake_names_file_and_field(tmp_path: Path, data: Any, words: list[str]) -> None:
    path = write(tmp_path, data)
    with refused(*words, start=f"{path}: "):
        make(path)


@pytest.mark.parametrize("change", [{"traces": ["missing.csv"]}, {"profiles": {"device": "missing.csv"}}], ids=str)
def test_a_file_that_a_scenario_lacks_is_named_where_it_should_lie(tmp_path: Path, change: dict[str, Any]) -> None:
    with refused(str(tmp_path / "missing.csv"), "cannot be read"):
        make(write(tmp_path, {**GOOD, **change}))


@pytest.mark.parametrize("name", [3, None, ["alexnet-gpu-60"]], ids=str)
def test_a_name_that_is_none(name: Any) -> None:
    with refused(f"scenario is {name!r}, it must be a name or a path; known: those of --list"):
        make(name)
