"""HierTrain's scenarios by name and from files: the paper's settings, and one clear line for every mistake."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splitgym.envs import FAMILIES
from splitgym.envs.hiertrain.planning import ExactPlanner
from splitgym.envs.hiertrain.scenarios import GROUPS, SCENARIOS, SWEEP_MBPS, WORKERS, Scenario, get_scenario
from splitgym.envs.hiertrain.system import System
from splitgym.models.lookup import get_model
from splitgym.profiling.training import modelled_profile

from ... import refused
from ..scenario_files import write
from .episodes import make

GOOD: dict[str, Any] = {"model": "lenet5", "edge_cloud_mbps": 2}


# The paper's settings.


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_builds_with_the_papers_settings(name: str) -> None:
    scenario = SCENARIOS[name]
    assert (scenario.name, scenario.batch, scenario.device_edge_mbps) == (name, 128, 5.0)
    assert (scenario.device, scenario.edge, scenario.cloud) == ("pi3", "i3-7100u", "gtx1080ti")
    assert (scenario.relay, scenario.share_links, scenario.exchange) == ("stream", False, "holders")
    system = System(scenario)
    assert system.nominal == (5e6, 1e6 * scenario.edge_cloud_mbps)
    assert system.n_layers == len(system.names) == len(system.points) - 1
    for sums in (system.forward_s, system.backward_s, system.update_s):
        assert sums.shape == (3, system.n_layers + 1)
        assert (sums[:, 0] == 0).all()
        assert (np.diff(sums, axis=1) >= 0).all()
    assert make(name, optimum=False).dynamics.scenario_name == name
    assert json.loads(json.dumps(make(name, optimum=False).dynamics.settings))["name"] == name


def test_the_sweeps_are_those_of_the_figures() -> None:
    rates = [1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0]
    for model, network in (("alexnet", "alexnet_64"), ("lenet5", "lenet5")):
        group = [SCENARIOS[name] for name in GROUPS[model]]
        assert [s.edge_cloud_mbps for s in group] == rates
        assert {s.model for s in group} == {network}
        assert {s.edge_cores for s in group} == {1}
    assert {(s.edge_cloud_mbps, s.edge_cores) for s in map(get_scenario, GROUPS["cores"])} == {
        (mbps, cores) for mbps in (1.5, 3.0, 5.0) for cores in (1, 2, 3, 4)
    }
    assert [get_scenario(name).model for name in GROUPS["scaling"]] == [
        "lenet5", "alexnet_64", "vgg16", "vgg19", "googlenet", "resnet34"
    ]  # fmt: skip
    assert all(get_scenario(name).drift for name in GROUPS["drifting"])
    assert {name for members in GROUPS.values() for name in members} == set(SCENARIOS)
    assert tuple(FAMILIES["hiertrain"].scenarios) == tuple(SCENARIOS)
    assert FAMILIES["hiertrain"].default_scenario in SCENARIOS


def test_the_paper_trains_in_a_slower_framework_and_devices_do_not() -> None:
    """Chainer's arrays are float32; arithmetic takes longer on both CPUs, operators take time of their own a sample."""
    for name in ("alexnet-2", "lenet5-drift"):
        paper, devices = get_scenario(name), get_scenario(name, inputs="devices")
        given = {"sample_type": "uint8", "slowdown": (1.0, 1.0, 1.0), "overhead_s": (0.0, 0.0, 0.0)}
        assert devices == replace(paper, inputs="devices", **given)
        assert any("inferred from the paper" in line for line in make(name, optimum=False).dynamics.provenance)
        slow, fast = System(paper), System(devices)
        assert slow.sample_bits == 4 * fast.sample_bits
        for worker, (factor, operator_s) in enumerate(zip(paper.slowdown, paper.overhead_s, strict=True)):
            overhead_s = operator_s * np.arange(slow.n_layers + 1)  # one operator a layer
            assert slow.forward_s[worker] == pytest.approx(factor * fast.forward_s[worker] + overhead_s)
            assert slow.backward_s[worker] == pytest.approx(factor * fast.backward_s[worker] + overhead_s)
            assert slow.update_s[worker] == pytest.approx(factor * fast.update_s[worker])


@pytest.mark.parametrize(("model", "least_mbps"), [("alexnet", 1.5), ("lenet5", 2.5)])
def test_the_papers_inputs_share_samples_from_a_rate_on_and_those_of_devices_nowhere(
    model: str, least_mbps: float
) -> None:
    """The paper shares at all rates; LeNet-5 does not at its two lowest."""
    for mbps in SWEEP_MBPS:
        for inputs, least in (("paper", least_mbps), ("devices", np.inf)):
            system = System(get_scenario(f"{model}-{mbps:g}", inputs=inputs))
            plan = ExactPlanner(system).best(*system.nominal).plan
            assert ((plan.b > 0).sum() > 1) == (mbps >= least)


def test_samples_and_layers_of_the_papers_networks() -> None:
    """CIFAR-10's 32 x 32 and tiny ImageNet's 64 x 64 in colour; LeNet-5's parameters by hand."""
    lenet, alexnet = System(get_scenario("lenet5-2")), System(get_scenario("alexnet-2"))
    assert lenet.sample_bits == 32 * 32 * 32 * 3
    assert alexnet.sample_bits == 32 * 64 * 64 * 3
    for kind, bits in (("uint8", 8), ("float16", 16)):
        assert System(get_scenario("lenet5-2", sample_type=kind)).sample_bits == bits * 32 * 32 * 3
    assert System(get_scenario("lenet5-2", sample_bytes=100)).sample_bits == 800.0
    assert lenet.names == ("conv1", "pool1", "conv2", "pool2", "fc1", "fc2", "fc3")
    params = [6 * (75 + 1), 0, 16 * (150 + 1), 0, 120 * 401, 84 * 121, 10 * 85]
    assert np.diff(lenet.weight_bits).tolist() == [32.0 * p for p in params]
    values = [6 * 28 * 28, 6 * 14 * 14, 16 * 10 * 10, 16 * 5 * 5, 120, 84, 10]
    assert lenet.output_bits.tolist() == [0.0, *(32.0 * v for v in values)]
    assert alexnet.n_layers == 11
    assert System(get_scenario("resnet34-3.5")).names[0] == "pool1"  # the stem is a layer of its own


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_seconds_are_those_of_the_profiles(optimizer: str) -> None:
    scenario = get_scenario("alexnet-2-c2", inputs="devices", batch=20, optimizer=optimizer)
    system, model = System(scenario), get_model("alexnet_64")
    for worker, device in enumerate(("pi3", "i3-7100u", "gtx1080ti")):
        profile = modelled_profile(model, device, (20,), optimizer, True)
        forward_s, backward_s = profile.at(20)
        assert 20 * system.forward_s[worker] == pytest.approx([0.0, *np.cumsum(forward_s)], rel=1e-9)
        assert 20 * system.backward_s[worker] == pytest.approx([0.0, *np.cumsum(backward_s)], rel=1e-9)
        assert system.update_s[worker] == pytest.approx([0.0, *np.cumsum(profile.update_s)], rel=1e-9)


def test_cores_speed_the_edge_up_and_nothing_else() -> None:
    systems = [System(get_scenario(f"alexnet-3-c{cores}", inputs="devices")) for cores in (1, 2, 3, 4)]
    total = np.array([(s.forward_s + s.backward_s)[:, -1] for s in systems])
    assert (np.diff(total[:, 1]) < 0).all()
    assert (total[:, [0, 2]] == total[0, [0, 2]]).all()
    assert get_scenario("alexnet-3-c1").edge_profile == "i3-7100u-1core"
    assert get_scenario("alexnet-3-c3").edge_profile == "i3-7100u"
    assert total[1, 1] / total[2:, 1] == pytest.approx([1.125, 1.25])
    assert [get_scenario("alexnet-3", edge_cores=c, thread_gain=0.5).edge_speedup for c in (1, 2, 3, 4)] == [
        1.0, 1.0, 1.25, 1.5
    ]  # fmt: skip


def test_summaries_say_the_model_the_machines_and_the_links() -> None:
    expected = {
        "alexnet-3.5": "alexnet_64 on pi3, i3-7100u (1 core) and gtx1080ti, 5 and 3.5 Mbps, batch 128",
        "alexnet-3-c4": "alexnet_64 on pi3, i3-7100u (4 cores) and gtx1080ti, 5 and 3 Mbps, batch 128",
        "lenet5-drift": "lenet5 on pi3, i3-7100u (1 core) and gtx1080ti, 5 and 3 Mbps, drifting, batch 128",
    }
    assert {name: FAMILIES["hiertrain"].summaries[name] for name in expected} == expected
    assert make("lenet5-2", batch=8).dynamics.summary.endswith("batch 8")


def test_what_changes_a_result_changes_the_fingerprint() -> None:
    prints = {
        System(get_scenario("lenet5-2", **changes)).fingerprint
        for changes in ({}, {"batch": 64}, {"edge_cores": 2}, {"relay": "store"}, {"optimizer": "adam"})
    }
    assert len(prints) == 5
    assert System(get_scenario("lenet5-2")).fingerprint == System(get_scenario("lenet5-2")).fingerprint


# Names by form.


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vgg16-2.25", Scenario("vgg16-2.25", "vgg16", 2.25)),
        ("alexnet-.5", Scenario("alexnet-.5", "alexnet_64", 0.5)),
        ("resnet34-100-c4", Scenario("resnet34-100-c4", "resnet34", 100.0, edge_cores=4)),
        ("googlenet-drift", Scenario("googlenet-drift", "googlenet", 3.0, drift=True)),
        ("vgg16-drift-c2", Scenario("vgg16-drift-c2", "vgg16", 3.0, drift=True, edge_cores=2)),
        ("resnet34_32-3", Scenario("resnet34_32-3", "resnet34_32", 3.0)),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_any_model_and_rate_by_name(name: str, expected: Scenario) -> None:
    assert get_scenario(name, inputs="devices") == expected


@pytest.mark.parametrize(
    "name",
    ["alexnet", "alexnet-", "alexnet-fast", "alexnet-nan", "alexnet-inf", "alexnet-1.2.3",
     "alexnet-2-c", "alexnet-2-cx", "alexnet-2-4", "alexnet-drifting", "alexnet-2 ", "alexnet-1e3"],
)  # fmt: skip
def test_unknown_name_is_answered_with_the_nearest(name: str) -> None:
    with refused("did you mean alexnet-", "? All of them: --list", start=f"unknown scenario {name!r}; ") as caught:
        make(name)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", ["nowhere", "", "-2"])
def test_a_name_like_none_is_told_how_names_are_formed(name: str) -> None:
    with refused(repr(name), "known: those of --list", "<model>-<Mbps>[-c<cores>]", "<model>-drift", ".yaml"):
        make(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("vgg17-2", ["scenario vgg17-2", "unknown model 'vgg17'", "did you mean vgg19, vgg16, vgg11?"]),
        ("alexnet-0", ["scenario alexnet-0", "edge_cloud_mbps is 0", "0.001..1e6"]),
        ("alexnet-2-c5", ["scenario alexnet-2-c5", "edge_cores is 5", "1..4"]),
        ("alexnet-2-c0", ["edge_cores is 0", "1..4"]),
    ],
)
def test_a_bad_part_of_a_name_is_one_line(name: str, words: list[str]) -> None:
    with refused(*words):
        make(name)


@pytest.mark.parametrize("name", [3, None, ["alexnet-3.5"]], ids=str)
def test_a_name_that_is_none(name: Any) -> None:
    with refused(f"scenario is {name!r}, it must be a name or a path; known: those of --list"):
        make(name)


# Fields.

BAD_FIELD: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no edge-cloud rate": ({"edge_cloud_mbps": 0}, ["edge_cloud_mbps is 0", "0.001..1e6"]),
    "negative edge-cloud rate": ({"edge_cloud_mbps": -3.5}, ["edge_cloud_mbps is -3.5", "0.001..1e6"]),
    "NaN edge-cloud rate": ({"edge_cloud_mbps": float("nan")}, ["edge_cloud_mbps is nan", "0.001..1e6"]),
    "infinite edge-cloud rate": ({"edge_cloud_mbps": float("inf")}, ["edge_cloud_mbps is inf", "finite"]),
    "rate in words": ({"edge_cloud_mbps": "fast"}, ["edge_cloud_mbps", "number", "'fast'"]),
    "no device-edge rate": ({"device_edge_mbps": 0.0}, ["device_edge_mbps is 0", "0.001..1e6"]),
    "negative device-edge rate": ({"device_edge_mbps": -1}, ["device_edge_mbps is -1", "0.001..1e6"]),
    "NaN device-edge rate": ({"device_edge_mbps": float("nan")}, ["device_edge_mbps is nan", "0.001..1e6"]),
    "no samples": ({"batch": 0}, ["batch is 0", "1.."]),
    "negative batch": ({"batch": -128}, ["batch is -128", "1.."]),
    "half a sample": ({"batch": 12.5}, ["batch is 12.5", "whole number"]),
    "no blocks": ({"blocks": 0}, ["blocks is 0", "1.."]),
    "no iterations": ({"iterations": 0}, ["iterations is 0", "1.."]),
    "five cores": ({"edge_cores": 5}, ["edge_cores is 5", "1..4"]),
    "no core": ({"edge_cores": 0}, ["edge_cores is 0", "1..4"]),
    "half a core": ({"edge_cores": 1.5}, ["edge_cores is 1.5", "whole number"]),
    "threads that slow down": ({"thread_gain": -0.1}, ["thread_gain is -0.1", "0..1e9"]),
    "NaN thread gain": ({"thread_gain": float("nan")}, ["thread_gain is nan"]),
    "negative samples": ({"sample_bytes": -1}, ["sample_bytes is -1", "0..1000000000"]),
    "unknown model": ({"model": "vgg17"}, ["unknown model 'vgg17'", "did you mean vgg19, vgg16, vgg11?"]),
    "unknown device": ({"device": "toaster"}, ["unknown device 'toaster'", "--list devices"]),
    "unknown edge": ({"edge": "nuc"}, ["unknown edge 'nuc'", "--list devices"]),
    "unknown cloud": ({"cloud": "tpu"}, ["unknown cloud 'tpu'", "--list devices"]),
    "unknown optimizer": ({"optimizer": "lion"}, ["optimizer is 'lion'", "sgd, momentum, adam"]),
    "unknown type of samples": ({"sample_type": "int4"}, ["sample_type is 'int4'", "uint8, float16, float32"]),
    "a framework for two": ({"slowdown": [1.5, 2.0]}, ["slowdown"]),
    "no speed": ({"slowdown": [0, 1, 1]}, ["slowdown[0] is 0", "1e-6..1e6"]),
    "overhead that saves time": ({"overhead_s": [0, -1e-3, 0]}, ["overhead_s[1] is -0.001", "0..1e6"]),
    "unknown inputs": ({"inputs": "mine"}, ["inputs is 'mine'", "paper, devices"]),
    "unknown relay": ({"relay": "forward"}, ["relay is 'forward'", "stream, store"]),
    "unknown exchange": ({"exchange": "never"}, ["exchange is 'never'", "holders, always"]),
    "links in between": ({"share_links": 0.5}, ["share_links", "0.5"]),
    "a fourth worker": ({"profiles": {"fog": "a.csv"}}, ["profiles names 'fog'", "device, edge, cloud"]),
    "a missing profile": ({"profiles": {"edge": "missing.csv"}}, ["missing.csv", "cannot be read"]),
    "profiles not by worker": ({"profiles": ["a.csv"]}, ["profiles"]),
    "unknown option": ({"colour": "red"}, ["unknown option 'colour'", "plans, activation_bits, cost", "edge_cores"]),
    "another name": ({"name": "mine"}, ["unknown option 'name'", "plans"]),
    "unknown plans": ({"plans": "spatial"}, ["plans='spatial'", "hybrid, layers"]),
    "unknown bits": ({"activation_bits": 7}, ["activation_bits=7", "32, 16, 8, 4"]),
    "unknown cost": ({"cost": "measured"}, ["cost='measured'", "paper, event"]),
    "unknown optimum": ({"optimum": "maybe"}, ["optimum='maybe'", "True, False"]),
}


@pytest.mark.parametrize(("change", "words"), BAD_FIELD.values(), ids=BAD_FIELD)
def test_each_bad_field_is_one_line_that_names_it(change: dict[str, Any], words: list[str]) -> None:
    with refused(*words):
        make("alexnet-3.5", **change)


def test_fields_change_and_the_rest_stays() -> None:
    changed = get_scenario("vgg16-3.5", edge_cores=2, batch=64, share_links=True)
    assert changed == replace(SCENARIOS["vgg16-3.5"], edge_cores=2, batch=64, share_links=True)
    assert get_scenario("vgg16-3.5") is SCENARIOS["vgg16-3.5"]


# Profiles.


def test_a_profile_from_a_file_takes_the_models_place(tmp_path: Path) -> None:
    profile = modelled_profile(get_model("lenet5"), "nano", (128,), "sgd", True)
    profile.save(tmp_path / "edge.csv")
    file, framework = str(tmp_path / "edge.csv"), {"slowdown": (2.0, 1.0, 1.0), "overhead_s": (1e-3, 0.0, 0.0)}
    system = System(
        get_scenario("lenet5-2", profiles={"edge": file}, slowdown=(2.0, 3.0, 1.0), overhead_s=[1e-3, 2, 0])
    )
    other = System(get_scenario("lenet5-2", edge="nano", edge_cores=2, **framework))
    assert system.forward_s == pytest.approx(other.forward_s, rel=1e-6)  # the framework is in what was measured
    assert system.fingerprint != System(get_scenario("lenet5-2")).fingerprint
    assert "nano" in " ".join(make("lenet5-2", profiles={"edge": str(tmp_path / "edge.csv")}).dynamics.provenance)


@pytest.mark.parametrize("worker", WORKERS)
def test_a_profile_of_another_model_is_one_line(tmp_path: Path, worker: str) -> None:
    file = tmp_path / "vgg.csv"
    modelled_profile(get_model("vgg16"), "nano", (128,), "sgd", True).save(file)
    with refused(str(file), "vgg16", "lenet5"):
        make("lenet5-2", profiles={worker: str(file)})


def test_a_profile_of_another_batch_is_one_line_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "small.csv"
    modelled_profile(get_model("lenet5"), "nano", (16, 32), "sgd", True).save(file)
    with refused("128", "16"):
        make("lenet5-2", profiles={"cloud": str(file)})


# Files.


def test_scenario_from_a_file(tmp_path: Path) -> None:
    path = write(tmp_path, {**GOOD, "drift": True, "edge_cores": 3})
    expected = Scenario("mine", "lenet5", 2.0, drift=True, edge_cores=3)
    assert get_scenario(path, inputs="paper").sample_type == "float32"
    assert get_scenario(path) == expected
    assert get_scenario(path, batch=9) == replace(expected, batch=9)
    assert make(path).dynamics.scenario_name == "mine"


def test_profiles_of_a_scenario_are_found_from_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    modelled_profile(get_model("lenet5"), "nano", (128,), "sgd", True).save(tmp_path / "data" / "device.csv")
    path = write(tmp_path, {**GOOD, "profiles": {"device": "data/device.csv"}})
    monkeypatch.chdir("/")
    system = make(path).dynamics.system
    assert system.forward_s == pytest.approx(
        System(get_scenario("lenet5-2", inputs="devices", device="nano")).forward_s, rel=1e-6
    )


BAD_FILE: dict[str, tuple[Any, list[str]]] = {
    "unknown field": ({**GOOD, "colour": "red"}, ["unknown field 'colour'", "edge_cloud_mbps", "profiles"]),
    "an option of the env": ({**GOOD, "plans": "layers"}, ["unknown field 'plans'"]),
    "no model": ({"edge_cloud_mbps": 2}, ["field model is missing"]),
    "no rate": ({"model": "lenet5"}, ["field edge_cloud_mbps is missing"]),
    "unknown model": ({**GOOD, "model": "vgg17"}, ["unknown model 'vgg17'", "did you mean vgg19, vgg16, vgg11?"]),
    "negative rate": ({**GOOD, "edge_cloud_mbps": -2}, ["edge_cloud_mbps is -2", "0.001..1e6"]),
    "NaN rate": ({**GOOD, "device_edge_mbps": float("nan")}, ["device_edge_mbps is nan", "0.001..1e6"]),
    "batch 0": ({**GOOD, "batch": 0}, ["batch is 0", "1.."]),
    "five cores": ({**GOOD, "edge_cores": 5}, ["edge_cores is 5", "1..4"]),
    "a fourth worker": ({**GOOD, "profiles": {"fog": "a.csv"}}, ["profiles names 'fog'", "device, edge, cloud"]),
    "a list": ([1, 2], ["must hold fields such as model, edge_cloud_mbps"]),
    "empty": ("", ["must hold fields such as model, edge_cloud_mbps"]),
    "not YAML": ("model: [vgg16", ["is not YAML"]),
    "not text": (b"\xff\xfe\x00", ["UTF-8"]),
}


@pytest.mark.parametrize(("data", "words"), BAD_FILE.values(), ids=BAD_FILE)
def test_each_mistake_names_file_and_field(tmp_path: Path, data: Any, words: list[str]) -> None:
    path = write(tmp_path, data)
    with refused(*words, start=f"{path}: "):
        make(path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with refused(str(tmp_path / "missing.csv"), "cannot be read"):
        make(write(tmp_path, {**GOOD, "profiles": {"device": "missing.csv"}}))
