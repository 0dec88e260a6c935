"""EdgeMove's scenarios by name and from files, cities and walks from files, and one clear line for every mistake."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splitgym.envs import FAMILIES
from splitgym.envs.edgemove.city import rate_table
from splitgym.envs.edgemove.geography import CENTRE_DEG, load_places, to_metres
from splitgym.envs.edgemove.scenarios import (
    GROUPS,
    MOST_SITES,
    PUBLISHED_SPEEDUPS,
    SCENARIOS,
    TASKS,
    Scenario,
    get_scenario,
)
from splitgym.envs.edgemove.system import System
from splitgym.models.blocks import Block
from splitgym.models.lookup import get_model
from splitgym.profiling.training import modelled_profile
from splitgym.ui.errors import InputError

from ... import refused
from ..scenario_files import write
from .episodes import make, write_places

GOOD: dict[str, Any] = {"model": "vgg16_32", "cycle": 100, "on_device_s": 300.0}
PLACES = [(-37.81, 144.96), (-37.815, 144.965), (-37.82, 144.955)]
EUA_SITES = "SPLITGYM_EUA_SITES"


# The paper's settings.


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_builds(name: str) -> None:
    """What the paper prints is the same with either inputs."""
    scenario = get_scenario(name)
    assert scenario is SCENARIOS[name]
    assert scenario.name == name
    for found in (scenario, get_scenario(name, inputs="devices")):
        assert (found.batch, found.in_flight, found.n_sites, found.coverage_m) == (32, 2, 125, (300.0, 500.0))
        assert (found.client, found.cloud) == ("pixel6a", "v100-pytorch")
        assert set(found.gpus) == {"rtx2080ti", "rtx3080ti"}
        assert (found.edge_rtt_s, found.cloud_rtt_s) == ((0.005, 0.040), (0.100, 0.170))
    env = make(name, optimum=False)
    assert env.dynamics.scenario_name == name
    assert json.loads(json.dumps(env.dynamics.settings))["name"] == name
    assert "\n" not in env.dynamics.summary


def test_tasks_and_groups_are_those_of_the_evaluation() -> None:
    """Table 2's models and cycles, Table 1's times on the client alone."""
    assert {t.name: (t.model, t.cycle, t.on_device_s) for t in TASKS.values()} == {
        "vgg16-cifar10": ("vgg16_32", 500, 3053.0),
        "resnet50-cinic10": ("resnet50_32", 500, 6188.0),
        "vgg16-agnews": ("vgg16_text", 1000, 4645.0),
        "resnet50-speech": ("resnet50_speech", 200, 9331.0),
    }
    assert set(PUBLISHED_SPEEDUPS) == set(GROUPS["table1"]) == set(TASKS)
    assert [get_scenario(name).speed_mps for name in GROUPS["double-speed"]] == [2.8] * 4
    assert [get_scenario(name).near_mbps for name in GROUPS["rates"]] == [50, 100, 200, 400, 600, 900]
    assert [get_scenario(name).cloud_mbps for name in GROUPS["cloud-rates"]] == [50, 100, 150, 300] * 2
    assert {name for members in GROUPS.values() for name in members} == set(SCENARIOS)
    assert tuple(FAMILIES["edgemove"].scenarios) == tuple(SCENARIOS)
    assert FAMILIES["edgemove"].default_scenario in SCENARIOS


def test_speeds_and_rates_are_read_from_the_name() -> None:
    scenario = get_scenario("resnet50-speech-x1.5-75mbps")
    assert (scenario.speed_mps, scenario.near_mbps) == (pytest.approx(2.1), 75.0)
    expected = get_scenario("resnet50-speech")
    assert replace(scenario, name="resnet50-speech", speed_mps=1.4, near_mbps=600.0) == expected
    assert get_scenario("resnet50-speech-city-x2-75mbps").speed_mps == 2.8
    assert get_scenario("vgg16-agnews-.5mbps").near_mbps == 0.5
    scenario = get_scenario("vgg16-agnews-x2-50mbps-cloud75")
    assert (scenario.speed_mps, scenario.near_mbps, scenario.cloud_mbps) == (2.8, 50.0, 75.0)
    assert get_scenario("vgg16-agnews-city-cloud75").cloud_mbps == 75.0


def test_in_the_papers_setting_nothing_hangs_on_place_or_load() -> None:
    """Links are as fast anywhere, servers unloaded; the city has both, with the inputs of devices."""
    for task in TASKS:
        paper, devices, city = get_scenario(task), get_scenario(task, inputs="devices"), get_scenario(f"{task}-city")
        rates = rate_table(paper)
        assert rates[0] == rates[-1] == 600e6
        assert (paper.load_drift, paper.burst_factor) == (0.0, 1.0)
        assert devices == TASKS[task] == replace(city, name=task)
        assert rate_table(city)[-1] < 0.3 * 600e6
        assert city.load_drift > 0
        flat = get_scenario(f"{task}-city", inputs="paper")
        assert flat == replace(paper, name=f"{task}-city", edge_snr_db=5.0, load_drift=1.0, burst_factor=3.0)
        assert any("inferred from the paper" in line for line in make(task, optimum=False).dynamics.provenance)
        assert not any("inferred" in line for line in make(city.name, optimum=False).dynamics.provenance)


def test_networks_are_cut_behind_every_layer_or_block() -> None:
    vgg = System(get_scenario("vgg16-cifar10"))
    assert vgg.n_layers == len(get_model("vgg16_32").steps) == 20
    for inputs, stem in (("devices", 1), ("paper", 2)):
        resnet = System(get_scenario("resnet50-cinic10", inputs=inputs))
        blocks = [u for u in resnet.model.units if isinstance(u.layers[0], Block)]
        assert resnet.n_layers == 1 + len(blocks) + 1 == 18  # the stem, the blocks, what is behind them
        assert resnet.points[1] == stem
    assert get_model("vgg16_text").input.channels == get_model("resnet50_speech").input.channels == 1
    classes = [get_model(task.model).tail[-1] for task in TASKS.values()]
    assert [layer.out_features for layer in classes] == [10, 10, 4, 12]  # type: ignore[union-attr]


@pytest.mark.parametrize("task", TASKS)
def test_a_systems_arrays_are_sums_of_its_profiles(task: str) -> None:
    system = System(get_scenario(task))
    model, batch = system.model, 32
    client = modelled_profile(model, "pixel6a", (batch,), "sgd", True)
    step_s = client.at(batch)[0] + client.at(batch)[1] + client.update_s
    for cut in range(system.n_layers + 1):
        steps = system.points[cut]
        assert system.client_s[cut] == pytest.approx(step_s[:steps].sum())
        assert system.weight_bits[cut] == 32 * client.params[:steps].sum()
        if 0 < cut < system.n_layers:
            assert system.link_bits[cut] == 8 * batch * client.activation_bytes[steps - 1]
    assert system.link_bits[-1] == 0.0
    for kind, device in enumerate(("rtx2080ti", "rtx3080ti", "v100-pytorch")):
        profile = modelled_profile(model, device, (batch,), "sgd", True)
        per_step = profile.at(batch)[0] + profile.at(batch)[1] + profile.update_s
        for cut in range(system.n_layers):
            floor = system.scenario.host_floor_s
            assert system.server_s[kind, cut] == pytest.approx(floor + per_step[system.points[cut] :].sum())
        assert system.server_s[kind, -1] == 0.0
    assert system.iterations == round(TASKS[task].on_device_s / system.on_device_iteration_s)


def test_inputs_change_the_fingerprint() -> None:
    base = System(get_scenario("vgg16-cifar10")).fingerprint
    assert base == System(get_scenario("vgg16-cifar10")).fingerprint
    for change in ({"city_seed": 1}, {"noise": 0.0}, {"near_mbps": 500.0}, {"batch": 16}, {"n_sites": 124}):
        assert System(get_scenario("vgg16-cifar10", **change)).fingerprint != base


def test_fields_change_and_the_rest_stays() -> None:
    changed = get_scenario("vgg16-agnews", near_mbps=200.0, in_flight=3, gpus=["rtx3080ti"], coverage_m=[100, 200])
    before = get_scenario("vgg16-agnews")
    assert changed == replace(before, near_mbps=200.0, in_flight=3, gpus=("rtx3080ti",), coverage_m=(100.0, 200.0))
    settings = json.loads(json.dumps(asdict(changed)))
    settings.pop("name")
    assert get_scenario("vgg16-agnews", **settings) == changed


# Bad fields.

NUMBER, MBPS = "1e-9..1e12", "0.001..1e6"
BAD_FIELD: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a client that stands": ({"speed_mps": 0}, ["speed_mps is 0", NUMBER]),
    "a client that walks backwards": ({"speed_mps": -1.4}, ["speed_mps is -1.4", NUMBER]),
    "a speed that is none": ({"speed_mps": float("nan")}, ["speed_mps is nan", NUMBER]),
    "an infinite speed": ({"speed_mps": float("inf")}, ["speed_mps is inf", NUMBER]),
    "a speed in words": ({"speed_mps": "fast"}, ["speed_mps", "number", "'fast'"]),
    "no iterations in a cycle": ({"cycle": 0}, ["cycle is 0", "1.."]),
    "a negative cycle": ({"cycle": -500}, ["cycle is -500", "1.."]),
    "half an iteration": ({"cycle": 2.5}, ["cycle is 2.5", "whole number"]),
    "no training": ({"on_device_s": 0.0}, ["on_device_s is 0", NUMBER]),
    "no rate": ({"near_mbps": 0}, ["near_mbps is 0", MBPS]),
    "no rate to the cloud": ({"cloud_mbps": -3}, ["cloud_mbps is -3", MBPS]),
    "no backhaul": ({"backhaul_mbps": 0}, ["backhaul_mbps is 0", MBPS]),
    "no path loss": ({"path_loss": 0}, ["path_loss is 0", NUMBER]),
    "no signal": ({"edge_snr_db": -1000.0}, ["edge_snr_db is -1000", "-40..100"]),
    "a signal that is none": ({"edge_snr_db": float("nan")}, ["edge_snr_db is nan", "-40..100"]),
    "no sites": ({"n_sites": 0}, ["n_sites is 0", f"1..{MOST_SITES}"]),
    "too many sites": ({"n_sites": 10**6}, ["n_sites is 1000000", f"1..{MOST_SITES}"]),
    "no samples": ({"batch": 0}, ["batch is 0", "1.."]),
    "nothing in flight": ({"in_flight": 0}, ["in_flight is 0", "1.."]),
    "no iterations of a probe": ({"probe_iterations": 0}, ["probe_iterations is 0", "1.."]),
    "coverage the wrong way round": ({"coverage_m": [500, 300]}, ["coverage_m is 500.0, 300.0", "the lower first"]),
    "coverage of nothing": ({"coverage_m": [0, 300]}, ["coverage_m[0] is 0", "above 0"]),
    "one end of coverage": ({"coverage_m": [300]}, ["coverage_m"]),
    "negative latency": ({"edge_rtt_s": [-0.1, 0.2]}, ["edge_rtt_s[0] is -0.1", "above 0"]),
    "endless latency": ({"cloud_rtt_s": [0.1, float("inf")]}, ["cloud_rtt_s[1] is inf", "finite"]),
    "bursts that help": ({"burst_factor": 0.5}, ["burst_factor is 0.5", "1 or more"]),
    "bursts that stop all": ({"burst_factor": float("inf")}, ["burst_factor is inf", "finite"]),
    "bursts of no length": ({"burst_s": 0}, ["burst_s is 0", NUMBER]),
    "a load that helps": ({"load_drift": -0.5}, ["load_drift is -0.5", "0..100"]),
    "much noise": ({"noise": 0.5}, ["noise is 0.5", "0..0.2"]),
    "negative noise of probes": ({"probe_noise": -0.1}, ["probe_noise is -0.1", "0..0.2"]),
    "a negative floor": ({"host_floor_s": -1}, ["host_floor_s is -1", "0..10"]),
    "a negative seed": ({"city_seed": -1}, ["city_seed is -1", "0.."]),
    "unknown model": ({"model": "vgg17"}, ["unknown model 'vgg17'", "did you mean vgg19, vgg16, vgg11?"]),
    "unknown client": ({"client": "toaster"}, ["unknown device 'toaster'", "--list devices"]),
    "unknown GPU": ({"gpus": ["rtx2080ti", "gtx1"]}, ["unknown device 'gtx1'", "did you mean gtx1080ti?"]),
    "no GPU": ({"gpus": []}, ["gpus is empty", "rtx2080ti"]),
    "unknown optimizer": ({"optimizer": "lion"}, ["optimizer is 'lion'", "sgd, momentum, adam"]),
    "unknown walks": ({"walks": "both"}, ["walks is 'both'", "test, train"]),
    "links in between": ({"half_duplex": 0.5}, ["half_duplex", "0.5"]),
    "a profile of a stranger": ({"profiles": {"nano": "a.csv"}}, ["profiles names 'nano'", "pixel6a, rtx2080ti"]),
    "a missing profile": ({"profiles": {"pixel6a": "missing.csv"}}, ["missing.csv", "cannot be read"]),
    "missing sites": ({"sites": "missing.csv"}, ["missing.csv", "cannot be read"]),
    "a missing trajectory": ({"trajectory": "missing.csv"}, ["missing.csv", "cannot be read"]),
    "unknown option": ({"colour": "red"}, ["unknown option 'colour'", "action, probe, optimum", "speed_mps"]),
    "another name": ({"name": "mine"}, ["unknown option 'name'", "action"]),
}


@pytest.mark.parametrize(("change", "words"), BAD_FIELD.values(), ids=BAD_FIELD)
def test_each_bad_field_is_one_line_that_names_it(change: dict[str, Any], words: list[str]) -> None:
    with refused(*words):
        make("vgg16-cifar10", **change)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "mnist",
            [
                "unknown scenario 'mnist'",
                "known: those of --list",
                "vgg16-cifar10",
                "<task>[-city][-x<speed factor>][-<Mbps>mbps]",
            ],
        ),
        ("vgg16-cifar10-x", ["unknown scenario 'vgg16-cifar10-x'", "did you mean vgg16-cifar10-x2, vgg16-cifar10"]),
        ("vgg16-cifar10-100mbps-x2", ["unknown scenario"]),
        ("vgg16-cifar10-x0", ["vgg16-cifar10-x0", "speed_mps is 0", NUMBER]),
        ("vgg16-cifar10-0mbps", ["vgg16-cifar10-0mbps", "near_mbps is 0", MBPS]),
        (3, ["scenario is 3", "a name or a path"]),
    ],
)
def test_unknown_names_are_one_line(name: Any, words: list[str]) -> None:
    with refused(*words):
        get_scenario(name)


# Scenario files.


def test_scenario_from_a_file(tmp_path: Path) -> None:
    path = write(tmp_path, {**GOOD, "half_duplex": True, "coverage_m": [50, 60]})
    expected = Scenario("mine", "vgg16_32", 100, 300.0, half_duplex=True, coverage_m=(50.0, 60.0))
    assert get_scenario(path) == expected
    assert get_scenario(path, batch=9) == replace(expected, batch=9)
    paper = get_scenario(path, inputs="paper")
    assert (paper.inputs, paper.cloud_mbps, paper.load_drift, paper.half_duplex) == ("paper", 150.0, 0.0, True)
    assert make(path, optimum=False).dynamics.scenario_name == "mine"


def test_files_of_a_scenario_are_found_from_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    write_places(tmp_path / "data" / "sites.csv", PLACES)
    write_places(tmp_path / "data" / "walk.csv", PLACES[:2])
    modelled_profile(get_model("vgg16_32"), "nano", (32,), "sgd", True).save(tmp_path / "data" / "phone.csv")
    files = {"sites": "data/sites.csv", "trajectory": "data/walk.csv", "profiles": {"pixel6a": "data/phone.csv"}}
    path = write(tmp_path, {**GOOD, **files})
    monkeypatch.chdir("/")
    system = make(path, optimum=False).dynamics.system
    assert system.n_sites == 3
    assert len(system.walks.points_m) == 1
    assert system.client_s == pytest.approx(System(get_scenario(write(tmp_path, {**GOOD, "client": "nano"}))).client_s)
    assert "nano" in " ".join(make(write(tmp_path, {**GOOD, **files}), optimum=False).dynamics.provenance)


BAD_FILE: dict[str, tuple[Any, list[str]]] = {
    "unknown field": ({**GOOD, "colour": "red"}, ["unknown field 'colour'", "speed_mps", "trajectory"]),
    "an option of the env": ({**GOOD, "action": "flat"}, ["unknown field 'action'"]),
    "no model": ({"cycle": 3, "on_device_s": 5}, ["field model is missing"]),
    "no cycle": ({"model": "vgg16_32", "on_device_s": 5}, ["field cycle is missing"]),
    "no time": ({"model": "vgg16_32", "cycle": 3}, ["field on_device_s is missing"]),
    "cycle 0": ({**GOOD, "cycle": 0}, ["cycle is 0", "1.."]),
    "speed 0": ({**GOOD, "speed_mps": 0}, ["speed_mps is 0", NUMBER]),
    "unknown model": ({**GOOD, "model": "vgg17"}, ["unknown model 'vgg17'", "did you mean vgg19, vgg16, vgg11?"]),
    "sites as a list": ({**GOOD, "sites": ["a.csv"]}, ["sites is ['a.csv']", "text"]),
    "one bound": ({**GOOD, "edge_rtt_s": 0.01}, ["edge_rtt_s"]),
    "a list": ([1, 2], ["must hold fields such as model, cycle, on_device_s"]),
    "empty": ("", ["must hold fields such as model, cycle, on_device_s"]),
    "not YAML": ("model: [vgg16", ["is not YAML"]),
    "not text": (b"\xff\xfe\x00", ["UTF-8"]),
}


@pytest.mark.parametrize(("data", "words"), BAD_FILE.values(), ids=BAD_FILE)
def test_each_mistake_names_file_and_field(tmp_path: Path, data: Any, words: list[str]) -> None:
    path = write(tmp_path, data)
    with refused(*words, start=f"{path}: "):
        make(path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    for name in ("sites", "trajectory"):
        with refused(str(tmp_path / "missing.csv"), "cannot be read"):
            make(write(tmp_path, {**GOOD, name: "missing.csv"}))


# Places from files.


def test_sites_from_a_file(tmp_path: Path) -> None:
    """Columns in any order and case, quoted text with commas, blank lines, a byte order mark."""
    lines = [
        'Site,"Longitude",NAME, latitude ',
        '1,144.9631,"Bourke, corner Swanston",-37.8136',
        "",
        "2,144.9731,plain,-37.8136",
        "3,144.9631,,-37.8036",
    ]
    file = tmp_path / "sites.csv"
    file.write_text("\ufeff" + "\r\n".join(lines) + "\r\n", encoding="utf-8", newline="")
    city = System(get_scenario("vgg16-cifar10", sites=str(file))).city
    assert city.n_sites == 3
    assert city.centre_deg == pytest.approx((-37.8136 + 0.01 / 3, 144.9631 + 0.01 / 3))
    hops = np.hypot(*(city.position_m[1:] - city.position_m[0]).T)
    assert hops == pytest.approx([111_195 * np.cos(np.radians(37.81)) * 0.01, 1111.95], rel=1e-3)
    assert city.position_m[1, 0] > city.position_m[0, 0]  # east
    assert city.position_m[2, 1] > city.position_m[0, 1]  # north
    assert city.position_m.mean(axis=0) == pytest.approx([0.0, 0.0], abs=1e-6)
    assert (city.radius_m >= 300).all()
    first = tmp_path / "first.csv"
    first.write_text("\ufeffLATITUDE,LONGITUDE\n-37.8,144.9\n", encoding="utf-8")
    assert System(get_scenario("vgg16-cifar10", sites=str(first))).city.n_sites == 1


def test_metres_of_degrees() -> None:
    """A degree of latitude is 111.2 km, one of longitude that times the cosine of the latitude."""
    centre = CENTRE_DEG
    places = np.array([centre, (centre[0] + 1e-3, centre[1]), (centre[0], centre[1] - 1e-3)])
    metres = to_metres(places, centre)
    assert metres[0].tolist() == [0.0, 0.0]
    assert metres[1] == pytest.approx([0.0, 111.195], rel=1e-4, abs=1e-6)
    assert metres[2] == pytest.approx([-111.195 * np.cos(np.radians(centre[0])), 0.0], rel=1e-4, abs=1e-6)


def test_a_trajectory_from_a_file_is_the_only_walk(tmp_path: Path) -> None:
    file = write_places(tmp_path / "walk.csv", PLACES)
    for walks in ("test", "train"):
        env = make(trajectory=file, walks=walks, optimum=False)
        system = env.dynamics.system
        assert system.city.n_sites == 125
        assert system.walks.points_m[0] == pytest.approx(to_metres(np.array(PLACES), CENTRE_DEG))
        for seed in (0, 7, None):
            env.reset(seed=seed)
            assert env.dynamics.world.walk[0] == 0
    assert any("synthetic" in line for line in env.dynamics.provenance)
    sites = make(sites=file, optimum=False)
    assert any(file in line for line in sites.dynamics.provenance)
    assert len(sites.dynamics.system.walks.points_m) > 10  # drawn where the sites are


HEADER = "LATITUDE,LONGITUDE\n"
BAD_PLACES: dict[str, tuple[str, list[str]]] = {
    "no latitude": ("LONGITUDE,NAME\n144.9,a\n", ["no column LATITUDE", "LATITUDE and LONGITUDE"]),
    "no longitude": ("LATITUDE,LON\n-37.8,144.9\n", ["no column LONGITUDE", "LATITUDE and LONGITUDE"]),
    "no header": ("-37.8,144.9\n-37.9,144.8\n", ["no column LATITUDE"]),
    "empty": ("", ["no column LATITUDE"]),
    "nothing known": ("a,b\n1,2\n", ["no column LATITUDE and no column LONGITUDE"]),
    "several lines": (
        HEADER + "91,144.9\n-37.8,x\n-92,200\n",
        ["line 2: LATITUDE is '91', line 4: LATITUDE is '-92', allowed", "line 3: LONGITUDE is 'x', line 4: LONGITUDE"],
    ),
    "points and commas": ("LATITUDE;LONGITUDE\n-37.8;144,9\n", ["writes '-37.8' and '144,9'"]),
    "latitude beyond the pole": (HEADER + "-37.8,144.9\n-90.5,144.9\n", ["line 3", "LATITUDE is '-90.5'", "-90 to 90"]),
    "longitude too far": (HEADER + "-37.8,180.1\n", ["line 2", "LONGITUDE is '180.1'", "-180 to 180"]),
    "columns swapped": (HEADER + "144.9,-37.8\n", ["line 2", "LATITUDE is '144.9'", "-90 to 90"]),
    "not a number": (HEADER + "south,144.9\n", ["line 2", "LATITUDE is 'south'", "degrees"]),
    "NaN": (HEADER + "-37.8,nan\n", ["line 2", "LONGITUDE is 'nan'", "degrees"]),
    "infinite": (HEADER + "inf,144.9\n", ["line 2", "LATITUDE is 'inf'"]),
    "an empty cell": (HEADER + "-37.8,\n", ["line 2", "LONGITUDE is ''"]),
    "a short line": (HEADER + "\n-37.8\n", ["line 3", "LONGITUDE is ''"]),
}


@pytest.mark.parametrize("delimiter", [";", "\t"])
@pytest.mark.parametrize("digits", [2, 3])
def test_places_with_decimal_commas(tmp_path: Path, delimiter: str, digits: int) -> None:
    places = [(-37.8136, 144.9631), (-37.8116, 144.9651), (-37.8126, 144.9611)]
    lines = [delimiter.join(f"{value:.{digits}f}" for value in place) for place in places]
    file = tmp_path / "sites.csv"
    file.write_text(f"LATITUDE{delimiter}LONGITUDE\n" + "\n".join(lines).replace(".", ","))
    np.testing.assert_array_equal(load_places(str(file), 1, "sites"), np.round(places, digits))


@pytest.mark.parametrize("what", ["sites", "trajectory"])
@pytest.mark.parametrize(("text", "words"), BAD_PLACES.values(), ids=BAD_PLACES)
def test_each_mistake_in_a_file_of_places_is_one_line(tmp_path: Path, what: str, text: str, words: list[str]) -> None:
    file = tmp_path / "places.csv"
    file.write_text(text)
    with refused(*words, start=f"{file}: "):
        make(**{what: str(file)})


@pytest.mark.parametrize(
    ("what", "places", "words"),
    [
        ("sites", [], ["holds 0 sites", "1 or more"]),
        ("sites", [PLACES[0]] * (MOST_SITES + 1), [f"holds {MOST_SITES + 1} sites", f"1..{MOST_SITES}"]),
        ("trajectory", [], ["holds 0 points of a trajectory", "2 or more"]),
        ("trajectory", PLACES[:1], ["holds 1 points of a trajectory", "2 or more"]),
    ],
    ids=["no sites", "too many sites", "no points", "one point"],
)
def test_too_few_or_too_many_places(tmp_path: Path, what: str, places: list, words: list[str]) -> None:
    file = write_places(tmp_path / "places.csv", places)
    with refused(*words, start=f"{file}: "):
        make(**{what: file})


def test_binary_files_of_places_are_refused(tmp_path: Path) -> None:
    (tmp_path / "places.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        make(sites=str(tmp_path / "places.csv"))


def test_the_public_sites_of_melbournes_centre() -> None:
    """125 sites within the city's blocks; an episode among them; at least one in reach nearly everywhere."""
    file = os.environ.get(EUA_SITES)
    if not file:
        pytest.skip(f"{EUA_SITES} does not name the EUA data set's file of sites in Melbourne's centre")
    env = make(sites=file, on_device_s=1000.0)
    system = env.dynamics.system
    assert system.n_sites == 125
    assert system.city.centre_deg == pytest.approx(CENTRE_DEG, abs=0.01)
    low, high = system.city.box_m
    assert (high - low < 4000).all()
    env.reset(seed=0)
    done, info = False, {}
    while not done:
        _, _, done, _, info = env.step(np.array([11, 1, 1]))
    assert info["speedup"] > 1


# Profiles.


def test_a_profile_of_another_model_or_batch_is_one_line(tmp_path: Path) -> None:
    other, small = tmp_path / "other.csv", tmp_path / "small.csv"
    modelled_profile(get_model("vgg16"), "nano", (32,), "sgd", True).save(other)
    modelled_profile(get_model("vgg16_32"), "nano", (8, 16), "sgd", True).save(small)
    with refused(str(other), "vgg16"):
        make(profiles={"rtx2080ti": str(other)})
    with refused("32", "8 to 16"):
        make(profiles={"rtx2080ti": str(small)})
