"""DistrEdge's scenarios by name and from files: the paper's settings, and one clear line for every mistake."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import yaml
from gymnasium.envs.registration import EnvSpec

from splitgym.envs import FAMILIES
from splitgym.envs import links as links_module
from splitgym.envs.distredge.scenarios import (
    GROUPS,
    OTHER_MODELS,
    SCENARIOS,
    SWEEPS,
    SWEPT,
    VARIANTS,
    Scenario,
    get_scenario,
)
from splitgym.envs.distredge.system import System
from splitgym.envs.links import LinkRates, load_traces
from splitgym.models.lookup import get_model
from splitgym.profiling.network import load_trace
from splitgym.profiling.tables import modelled_table

from ... import refused
from ..scenario_files import write

ENV_ID = FAMILIES["distredge"].env_id
GOOD: dict[str, Any] = {"model": "vgg16", "devices": ["nano", "tx2"], "mbps": [50, 100.5]}


def test_names_and_groups_are_the_papers() -> None:
    table_1 = [f"{group}-{rate}" for group in ("DA", "DB", "DC") for rate in (50, 300)]
    table_2 = [f"{group}-{kind}" for group in ("NA", "NB", "NC", "ND") for kind in ("nano", "xavier")]
    table_3 = ["LA", "LB", "LC", "LD"]
    others = ["resnet50", "inception_v3", "yolov2", "ssd_resnet50", "ssd_vgg16", "openpose", "voxelnet"]
    models = [f"{base}-{model}" for base in ("DB-50", "NA-nano") for model in others]
    papers = {"H-200", "dynamic-nano", *table_1, *table_2, *table_3, *models}
    swept = {group: members for group, members in GROUPS.items() if group.startswith("sweep-")}
    assert set(SCENARIOS) == papers | {name for members in swept.values() for name in members}
    assert {name: set(members) for name, members in GROUPS.items() if name not in swept} == {
        "table1": set(table_1),
        "table2": set(table_2),
        "table3": set(table_3),
        "models": set(models),
        "dynamic": {"dynamic-nano"},
        "homogeneous": {"H-200"},
    }
    assert tuple(FAMILIES["distredge"].scenarios) == tuple(SCENARIOS)


@pytest.mark.parametrize(
    ("name", "devices", "mbps"),
    [
        ("H-200", ["nano"] * 4, [200] * 4),
        ("DA-50", ["tx2", "tx2", "nano", "nano"], [50] * 4),
        ("DB-300", ["xavier", "xavier", "nano", "nano"], [300] * 4),
        ("DC-50", ["xavier", "tx2", "nano", "pi3"], [50] * 4),
        ("NA-nano", ["nano"] * 4, [50, 50, 200, 200]),
        ("NB-xavier", ["xavier"] * 4, [100, 100, 200, 200]),
        ("NC-nano", ["nano"] * 4, [200, 200, 300, 300]),
        ("ND-xavier", ["xavier"] * 4, [50, 100, 200, 300]),
        ("LA", ["nano"] * 16, [300, 200, 100, 50] * 4),
        ("LB", ["pi3", "nano", "tx2", "xavier"] * 4, [300, 200, 100, 50] * 4),
        ("LC", ["pi3", "nano", "tx2", "xavier"] * 4, [200] * 16),
        ("LD", ["pi3", "nano", "tx2", "xavier"] * 4, [50, 100, 200, 300] * 4),
    ],
)
def test_devices_and_rates_of_tables_1_to_3(name: str, devices: list[str], mbps: list[float]) -> None:
    scenario = get_scenario(name)
    assert (scenario.name, scenario.model, scenario.varies) == (name, "vgg16", False)
    assert list(scenario.devices) == devices
    assert list(scenario.mbps) == mbps
    assert (scenario.alpha, scenario.n_decisions, scenario.activation_type) == (0.75, 100, "float16")
    assert (scenario.eta, scenario.requester_message_s, scenario.medium) == (0.94, 1.5e-3, "switched")
    other = get_scenario(name, inputs="devices")
    assert (other.requester_mbps, other.image_type) == (300.0, "uint8")


def test_device_names_are_distinct() -> None:
    assert get_scenario("DB-50").device_names == ("xavier-1", "xavier-2", "nano-1", "nano-2")
    assert get_scenario("DB-50", names=["a", "b", "c", "d"]).device_names == ("a", "b", "c", "d")


@pytest.mark.parametrize("group", SWEEPS)
def test_a_sweep_has_every_variant_of_its_settings_once(group: str) -> None:
    assert len(set(GROUPS[group])) == len(GROUPS[group]) == len(SWEPT) * len(SWEEPS[group])
    for name in GROUPS[group]:
        base = next(base for base in SWEPT if name.startswith(base))
        variant = name.removeprefix(base).removeprefix("-")
        assert SCENARIOS[name] == replace(SCENARIOS[base], name=name, **VARIANTS.get(variant, {}))
        assert name == base or SCENARIOS[name] != replace(SCENARIOS[base], name=name)


def test_a_variant_goes_behind_a_model() -> None:
    found = get_scenario("LB-resnet50-shared")
    assert found == replace(get_scenario("LB"), name="LB-resnet50-shared", model="resnet50", medium="shared")
    assert get_scenario("DB-50-float32", inputs="devices").image_type == "float32"


@pytest.mark.parametrize(
    ("name", "base"), [("DA-50-yolov2", "DA-50"), ("LB-resnet50", "LB"), ("dynamic-nano-vgg19", "dynamic-nano")]
)
def test_any_scenario_takes_another_model_as_suffix(name: str, base: str) -> None:
    model = name.removeprefix(f"{base}-")
    assert get_scenario(name) == replace(get_scenario(base), name=name, model=model)
    assert System(get_scenario(name)).model == get_model(model)


@pytest.mark.parametrize("base", ["DB-50", "NA-nano"])
def test_the_papers_other_models(base: str) -> None:
    for model in OTHER_MODELS:
        assert get_scenario(f"{base}-{model}") == replace(get_scenario(base), name=f"{base}-{model}", model=model)


@pytest.mark.parametrize("name", ["DB50", "DB-51", "DB-50-vgg17", "DB-50-", "db-50"])
def test_unknown_name_is_answered_with_the_nearest(name: str) -> None:
    with refused("did you mean ", "DB-50", "? All of them: --list", start=f"unknown scenario {name!r}; ") as caught:
        get_scenario(name)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", ["nowhere", ""])
def test_a_name_like_none_is_told_where_all_are_listed(name: str) -> None:
    with refused(repr(name), "known: those of --list", "-<model>", "-<variant>", ".yaml"):
        get_scenario(name)


@pytest.mark.parametrize("field", ["colour", "name", "Alpha"])
def test_unknown_option_lists_the_known(field: str) -> None:
    with refused(repr(field), "devices", "mbps", "alpha", "traces"):
        get_scenario("DB-50", **{field: "x"})


def test_options_change_fields_and_are_checked() -> None:
    changed = get_scenario("DB-50", eta=0.8, mbps=[10, 20, 30, 40], tiles=False)
    assert changed == replace(get_scenario("DB-50"), eta=0.8, mbps=(10.0, 20.0, 30.0, 40.0), tiles=False)
    assert get_scenario("DB-50") == SCENARIOS["DB-50"]
    with refused("scenario DB-50", "mbps has 2 rates for 4 devices"):
        get_scenario("DB-50", mbps=[10, 20])


def test_scenario_from_a_file(tmp_path: Path) -> None:
    path = write(tmp_path, {**GOOD, "eta": 0.9, "names": ["kitchen", "hall"], "gap_s": 1})
    scenario = get_scenario(path)
    expected = Scenario("mine", "vgg16", ("nano", "tx2"), (50.0, 100.5), names=("kitchen", "hall"), eta=0.9, gap_s=1.0)
    assert scenario == expected
    assert type(scenario.devices) is tuple
    assert get_scenario(path, eta=0.7) == replace(expected, eta=0.7)
    env = gym.make(ENV_ID, scenario=path)
    env.reset(seed=0)
    plan = None
    while plan is None:
        *_, info = env.step(env.action_space.sample())
        plan = info.get("plan")
    assert plan["devices"] == ["kitchen", "hall"]


def test_name_may_be_given_and_yml_is_fine(tmp_path: Path) -> None:
    file = tmp_path / "x.yml"
    file.write_text(yaml.safe_dump({**GOOD, "name": "home"}))
    assert get_scenario(str(file)).name == "home"


BAD: dict[str, tuple[Any, list[str]]] = {
    "unknown field": ({**GOOD, "colour": "red"}, ["unknown field 'colour'", "devices", "trace_factor"]),
    "unknown field, a number": ({**GOOD, 1: 2}, ["unknown field 1", "devices"]),
    "no model": ({k: v for k, v in GOOD.items() if k != "model"}, ["field model is missing"]),
    "no devices": ({k: v for k, v in GOOD.items() if k != "devices"}, ["field devices is missing"]),
    "no mbps": ({k: v for k, v in GOOD.items() if k != "mbps"}, ["field mbps is missing"]),
    "device named twice": ({**GOOD, "names": ["a", "a"]}, ["device 'a' is named twice"]),
    "device without a name": ({**GOOD, "names": ["", "a"]}, ["names[0] is ''", "letters, digits"]),
    "name with blanks": ({**GOOD, "names": ["a", "a b/c"]}, ["names[1] is 'a b/c'", "letters, digits"]),
    "unknown device": ({**GOOD, "devices": ["pie3", "nano"]}, ["unknown device 'pie3'", "did you mean pi3"]),
    "names for other devices": ({**GOOD, "names": ["a"]}, ["names has 1 of 2 devices"]),
    "empty devices": ({**GOOD, "devices": [], "mbps": []}, ["devices is empty"]),
    "rates for other devices": ({**GOOD, "mbps": [50]}, ["mbps has 1 rate for 2 devices"]),
    "negative rate": ({**GOOD, "mbps": [50, -1]}, ["mbps[1] is -1", "0.001..1e6"]),
    "zero rate": ({**GOOD, "mbps": [0, 50]}, ["mbps[0] is 0", "0.001..1e6"]),
    "NaN rate": ({**GOOD, "mbps": [50, float("nan")]}, ["mbps[1] is nan", "0.001..1e6"]),
    "infinite rate": ({**GOOD, "mbps": [50, float("inf")]}, ["mbps[1] is inf", "finite"]),
    "rate in words": ({**GOOD, "mbps": [50, "fast"]}, ["mbps[1]", "number", "'fast'"]),
    "rates not a list": ({**GOOD, "mbps": 50}, ["mbps", "50"]),
    "devices not a list": ({**GOOD, "devices": "nano"}, ["devices", "'nano'"]),
    "model not a name": ({**GOOD, "model": 16}, ["model is 16", "text"]),
    "alpha out of range": ({**GOOD, "alpha": 1.5}, ["alpha is 1.5", "0..1"]),
    "alpha in words": ({**GOOD, "alpha": "auto"}, ["alpha", "number", "'auto'"]),
    "eta above 1": ({**GOOD, "eta": 1.1}, ["eta is 1.1", "0.01..1"]),
    "eta 0": ({**GOOD, "eta": 0}, ["eta is 0", "0.01..1"]),
    "negative gap": ({**GOOD, "gap_s": -1}, ["gap_s is -1", "0..1e6"]),
    "negative seed": ({**GOOD, "decisions_seed": -1}, ["decisions_seed is -1", "0 or more"]),
    "no decisions": ({**GOOD, "n_decisions": 0}, ["n_decisions is 0", "1..100000"]),
    "a part of a decision": ({**GOOD, "n_decisions": 1.5}, ["n_decisions is 1.5", "whole number"]),
    "requester without a link": ({**GOOD, "requester_mbps": 0}, ["requester_mbps is 0", "0.001..1e6"]),
    "tiles in between": ({**GOOD, "tiles": 0.5}, ["tiles", "0.5"]),
    "traces for other devices": ({**GOOD, "traces": ["a", "b", "c"]}, ["traces has 3 files for 2 devices"]),
    "traces not a list": ({**GOOD, "traces": "a.csv"}, ["traces", "'a.csv'"]),
    "trace factor 0": ({**GOOD, "trace_factor": 0}, ["trace_factor is 0", "1e-6..1e6"]),
    "trace factor without a trace": (
        {**GOOD, "dynamic": True, "trace_factor": 1e6}, ["trace_factor is 1e+06", "traces, which names no file"]
    ),
    "tables not by device": ({**GOOD, "tables": ["a.csv"]}, ["tables is ['a.csv']", "mapping"]),
    "a list": ([1, 2], ["must hold fields such as model, devices, mbps"]),
    "empty": ("", ["must hold fields such as model, devices, mbps"]),
    "not YAML": ("model: [vgg16", ["is not YAML"]),
    "not text": (b"\xff\xfe\x00", ["UTF-8"]),
}  # fmt: skip


@pytest.mark.parametrize(("data", "words"), BAD.values(), ids=BAD)
def test_each_mistake_names_file_and_field(tmp_path: Path, data: Any, words: list[str]) -> None:
    path = write(tmp_path, data)
    with refused(*words, start=f"{path}: "):
        gym.make(ENV_ID, scenario=path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"devices": ["nano", "toaster"]}, ["unknown device 'toaster'", "--list devices"]),
        ({"model": "vgg17"}, ["unknown model 'vgg17'", "vgg16", "--list models"]),
        ({"tables": {"pi3": "x.csv"}}, ["tables names 'pi3'", "nano, tx2"]),
        ({"tables": {"nano": "missing.csv"}}, ["missing.csv", "cannot be read"]),
        ({"traces": ["missing.csv"]}, ["missing.csv", "cannot be read"]),
        ({"devices": ["nano"], "mbps": [50]}, ["two"]),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_only_shows_with_the_env_is_one_line_too(tmp_path: Path, change: dict[str, Any], words: list[str]) -> None:
    with refused(*words):
        gym.make(ENV_ID, scenario=write(tmp_path, {**GOOD, **change}))


def write_trace(file: Path, lines: list[str]) -> str:
    file.write_text("\n".join(["seconds mbps", *lines]))
    return str(file)


def test_traces_from_files_with_a_factor(tmp_path: Path) -> None:
    first = write_trace(tmp_path / "a.csv", ["0 10", "5 20", "10 40"])
    second = write_trace(tmp_path / "b.csv", ["100 7", "103 9"])
    scenario = Scenario("x", "vgg16", ("nano", "tx2"), (50.0, 50.0), traces=(first, second), trace_factor=10.0)
    assert scenario.varies
    links = LinkRates(scenario.mbps, 3, load_traces(scenario.traces, scenario.trace_factor, 2))
    assert not links.is_random
    assert links.at(np.array([0.0, 5.0, 12.0])).tolist() == [[100.0, 200.0, 400.0], [70.0, 90.0, 70.0]]
    one_for_all = LinkRates(scenario.mbps, 2, load_traces((first,), 10.0, 2))
    assert one_for_all.at(np.array([4.9, 14.9])).tolist() == [[100.0, 400.0]] * 2


def test_a_file_for_all_links_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(links_module, "load_trace", lambda path, factor: read.append(path) or load_trace(path, factor))
    file = write_trace(tmp_path / "a.csv", ["0 10", "5 20"])
    assert [trace.mbps.tolist() for trace in load_traces((file,), 2.0, 3)] == [[20, 40]] * 3
    assert read == [file]


def test_env_follows_the_trace(tmp_path: Path) -> None:
    trace = write_trace(tmp_path / "a.csv", ["0 100", "30 10", "60 50"])
    options = {"traces": [trace], "trace_factor": 2.0, "gap_s": 31.0, "partition": [9]}
    env = gym.make(ENV_ID, scenario="H-200", **options)
    dynamics: Any = env.unwrapped.dynamics  # type: ignore[attr-defined]
    assert any("imported" in line for line in dynamics.provenance)
    env.reset(seed=0)
    seen, latencies = [], []
    for _ in range(3):
        seen.append(dynamics.mbps[:, 0].tolist())
        done, info = False, {}
        while not done:
            _, _, done, _, info = env.step(np.array([-0.5, 0.0, 0.5], dtype=np.float32))
        latencies.append(info["latency_s"])
        expected = dynamics.system.evaluate([dynamics.plan(0)], mbps=dynamics.mbps)
        assert info["latency_s"] == expected[0]
        env.reset()
    assert seen == [[200.0] * 4, [20.0] * 4, [100.0] * 4]
    assert latencies[1] > latencies[2] > latencies[0]


def test_rates_of_the_dynamic_scenario_shift_every_twenty_minutes() -> None:
    """Four traces of an hour, their means drawn anew at 20 and 40 minutes, fluctuating highly (Fig. 11)."""
    links = LinkRates(get_scenario("dynamic-nano").mbps, 1, dynamic=True)
    assert links.is_random
    links.seed(np.arange(1), [np.random.default_rng(5)])
    rates = np.array([links.at(np.array([t]))[:, 0] for t in np.arange(0.0, links.period_s, 2.0)])
    assert rates.shape == (1800, 4)
    thirds = rates.reshape(3, 600, 4)
    assert np.ptp(thirds.mean(axis=1), axis=0).min() > 5.0
    assert (thirds.std(axis=1) / thirds.mean(axis=1)).min() > 0.3
    assert links.at(np.array([links.period_s + 10.0])).tolist() == links.at(np.array([10.0])).tolist()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["5 10", "4 20"], ["line 3", "times must increase"]),
        (["0 10", "1 -3"], ["line 3", "rate"]),
        (["0 10", "1"], ["line 3"]),
        (["0 0"], ["every rate is 0"]),
    ],
    ids=["unsorted", "negative", "one number", "dead link"],
)
def test_bad_traces(tmp_path: Path, lines: list[str], words: list[str]) -> None:
    trace = write_trace(tmp_path / "a.csv", lines)
    with refused(trace, *words):
        gym.make(ENV_ID, scenario="DB-50", traces=(trace,))


def test_tables_from_files(tmp_path: Path) -> None:
    """A table of another device stands in for the modelled one, says so, and is used for that type only."""
    model = get_model("vgg16")
    file = tmp_path / "nano.csv"
    table = modelled_table(model, "pi3")
    replace(table, provenance=replace(table.provenance, source="measured", device="nano")).save(file)
    env = gym.make(ENV_ID, scenario="DB-50", tables={"nano": str(file)})
    system: System = env.unwrapped.dynamics.system  # type: ignore[attr-defined]
    ordinary = System(get_scenario("DB-50"))
    assert np.array_equal(system.tables[1].seconds, table.seconds, equal_nan=True)
    assert np.array_equal(system.tables[0].seconds, ordinary.tables[0].seconds, equal_nan=True)
    assert system.model_s[2:] == pytest.approx(table.total_s())
    assert system.fingerprint != ordinary.fingerprint
    lines = env.unwrapped.dynamics.provenance  # type: ignore[attr-defined]
    assert any("nano" in line and "measured" in line for line in lines)
    assert any("xavier" in line and "modelled" in line for line in lines)


def test_table_of_another_model(tmp_path: Path) -> None:
    file = tmp_path / "nano.csv"
    modelled_table(get_model("resnet50"), "nano").save(file)
    with refused(str(file), "model is 'resnet50'", "'vgg16'"):
        gym.make(ENV_ID, scenario="DB-50", tables={"nano": str(file)})


@pytest.mark.parametrize(
    ("seconds", "words"), [("-1.0", ["seconds is -1.0"]), ("nan", ["seconds is nan"]), (None, ["rows = 2"])]
)
def test_bad_tables(tmp_path: Path, seconds: str | None, words: list[str]) -> None:
    file = tmp_path / "nano.csv"
    modelled_table(get_model("vgg16"), "nano").save(file)
    lines = file.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("conv1_1,2,"))
    lines[at : at + 1] = [] if seconds is None else [f"conv1_1,2,{seconds}"]
    file.write_text("\n".join(lines))
    with refused(str(file), *words):
        gym.make(ENV_ID, scenario="DB-50", tables={"nano": str(file)})


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"scenario": "LB", "observation": "full", "partition": "learned"},
        {"scenario": "DA-50", "partition": [4, 9], "names": ["a", "b", "c", "d"], "mbps": [10, 20, 30, 40]},
        {"scenario": "dynamic-nano", "gap_s": 3.5, "optimum": False, "reward": "paper"},
    ],
    ids=["default", "learned", "lists", "dynamic"],
)
def test_specs_are_json_able(kwargs: dict[str, Any]) -> None:
    json.loads(gym.spec(ENV_ID).to_json())
    env = gym.make(ENV_ID, **kwargs)
    assert env.spec is not None
    text = env.spec.to_json()
    again = gym.make(EnvSpec.from_json(text))
    assert again.unwrapped.dynamics.system.scenario == env.unwrapped.dynamics.system.scenario  # type: ignore[attr-defined]
    assert again.observation_space == env.observation_space
    assert again.action_space == env.action_space


@pytest.mark.parametrize("name", ["DB-50", "LD", "dynamic-nano"])
def test_resolved_settings_make_the_same_scenario_again(name: str) -> None:
    settings = json.loads(json.dumps(asdict(get_scenario(name))))
    settings.pop("name")
    assert replace(get_scenario("H-200", **settings), name=name) == get_scenario(name)


def test_summary_is_one_line_about_model_devices_and_rates() -> None:
    assert get_scenario("DB-50").summary == "vgg16 on 2 xavier at 50, 2 nano at 50 Mbps"
    assert "fluctuating" in get_scenario("dynamic-nano").summary
