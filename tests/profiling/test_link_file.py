"""Link files: exact round trips, one clear line for every mistake, and what a scenario makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import yaml

from splitgym.envs import FAMILIES
from splitgym.envs.distredge.scenarios import get_scenario
from splitgym.envs.distredge.system import System
from splitgym.profiling.devices import get_device
from splitgym.profiling.link_file import LinkMeasurement, load_link

from .. import ROOT, refused

ENV_ID = FAMILIES["distredge"].env_id
LINK = LinkMeasurement(
    device="kitchen",
    peer="laptop",
    date="2026-01-31",
    software="splitgym 1",
    peer_software="splitgym 2",
    t_msg_s=0.9e-3,
    goodput_up_mbps=80.0,
    goodput_down_mbps=120.0,
    copy_out_bytes_per_s=1e9,
    copy_in_bytes_per_s=0.5e9,
    peer_copy_out_bytes_per_s=3e9,
    peer_copy_in_bytes_per_s=4e9,
    residual=0.03,
    samples_up=((1, 0.001), (1024, 0.0011000000000000003)),
    samples_down=((1, 0.001),),
)
NO_REQUESTER: dict[str, Any] = {  # one that adds nothing to a message
    "requester_mbps": 1e300,
    "requester_message_s": 0.0,
    "requester_copy_bytes_per_s": 1e300,
}


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "link.json"
    LINK.save(path)
    return str(path)


def test_a_file_gives_the_very_same_numbers_back(file: str) -> None:
    assert load_link(file) == LINK
    assert json.loads(Path(file).read_text())["schema"] == 1
    assert [p.name for p in Path(file).parent.iterdir()] == ["link.json"]


def test_a_byte_each_way_takes_as_long_as_measured() -> None:
    assert 2 * 8 / LINK.goodput_mbps == pytest.approx(8 / 80 + 8 / 120, rel=1e-12)
    assert 2 * LINK.copy_s_per_byte == pytest.approx(1 / 1e9 + 1 / 0.5e9, rel=1e-12)
    assert replace(LINK, goodput_down_mbps=80.0).goodput_mbps == pytest.approx(80.0, rel=1e-12)
    assert LINK.message_s(0) == 0.9e-3
    assert LINK.message_s(96e6 / 8) == pytest.approx(0.9e-3 + 1.0, rel=1e-12)


def test_the_label_says_measured_by_what_and_when() -> None:
    assert LINK.label() == "kitchen to laptop: measured (splitgym 1, 2026-01-31)"


def put(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: data.update({name: value})


BAD: dict[str, tuple[Callable[[dict[str, Any]], Any], list[str]]] = {
    "schema 2": (put("schema", 2), ["schema is 2", "allowed: 1"]),
    "schema true": (put("schema", True), ["schema is True", "allowed: 1"]),
    "no schema": (lambda data: data.pop("schema"), ["schema is None", "allowed: 1"]),
    "another kind": (put("kind", "plan"), ["kind is 'plan'", "allowed: link"]),
    "unknown field": (put("speed", 3), ["unknown field 'speed'", "t_msg_s", "samples_down"]),
    "missing field": (lambda data: data.pop("t_msg_s"), ["field t_msg_s is missing"]),
    "negative overhead": (put("t_msg_s", -1e-3), ["t_msg_s is -0.001", "0..60"]),
    "infinite overhead": (put("t_msg_s", float("inf")), ["t_msg_s is inf", "0..60"]),
    "rate nan": (put("goodput_up_mbps", float("nan")), ["goodput_up_mbps is nan", "allowed: a finite number"]),
    "rate zero": (put("goodput_down_mbps", 0), ["goodput_down_mbps is 0", "0.001..1e6"]),
    "rate text": (put("goodput_up_mbps", "80"), ["goodput_up_mbps is '80'"]),
    "rate true": (put("goodput_up_mbps", True), ["goodput_up_mbps is True"]),
    "rate null": (put("goodput_up_mbps", None), ["goodput_up_mbps is None"]),
    "copy negative": (put("copy_out_bytes_per_s", -5.0), ["copy_out_bytes_per_s is -5.0"]),
    "copy huge": (put("peer_copy_in_bytes_per_s", 10**400), ["peer_copy_in_bytes_per_s is 1000", "..."]),
    "residual negative": (put("residual", -0.1), ["residual is -0.1"]),
    "no samples": (put("samples_up", []), ["samples_up is []", "at least 1"]),
    "samples text": (put("samples_up", "1,2"), ["samples_up is '1,2'", "(whole number, finite number)"]),
    "sample of three": (put("samples_down", [[1, 2, 3]]), ["samples_down[0] is [1, 2, 3]"]),
    "sample bytes": (put("samples_down", [[1, 0.1], [1.5, 0.1]]), ["samples_down[1][0] is 1.5", "1 or more"]),
    "sample seconds": (put("samples_down", [[1, 0]]), ["samples_down[0][1] is 0"]),
    "empty name": (put("device", ""), ["device is ''", "printable"]),
    "escape in a name": (put("peer", "\x1b[2J"), ["peer is '\\x1b[2J'", "printable"]),
    "two lines": (put("software", "a\nb"), ["software is 'a\\nb'"]),
    "blanks": (put("software", " a"), ["software is ' a'"]),
    "long name": (put("device", "x" * 201), ["device is 'xxx", "1 to 200"]),
    "name a number": (put("device", 7), ["device is 7"]),
    "no date": (put("date", "yesterday"), ["date is 'yesterday'", "2026-01-31"]),
    "date a number": (put("date", 20260131), ["date is 20260131"]),
    "date in another form": (put("date", "20260131"), ["date is '20260131'"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_get_one_line(file: str, case: str) -> None:
    edit, words = BAD[case]
    data = json.loads(Path(file).read_text())
    edit(data)
    Path(file).write_text(json.dumps(data))
    with refused(file, *words) as caught:
        load_link(file)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["is not JSON"]),
        (b"{", ["is not JSON"]),
        (b"\xff\xfe{}", ["is not JSON"]),
        (b"[1]", ["must hold a JSON object"]),
        (b"[" * 100_000, ["is not JSON"]),
        (b'{"schema": 1, "schema": 1}', ["'schema' is given twice"]),
        (b" " * (2**20 + 1), ["more than 1 MB"]),
    ],
)
def test_what_is_no_link_file_gets_one_line(tmp_path: Path, content: bytes, words: list[str]) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with refused(str(path), *words):
        load_link(path)


def test_files_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.json", tmp_path):
        with refused(str(path), "cannot be read"):
            load_link(path)
    with refused("x.json", "cannot be written"):
        LINK.save(tmp_path / "nowhere" / "x.json")


def message_s(system: System, kind: str, device: int) -> float:
    """Seconds of the first message of a kind in the events of offloading to a device."""
    _, _, events = system.replay(system.everything_on(device))
    return next(end - start for k, _, start, end, label in events.rows if k == kind and label in ("", "R"))


@pytest.mark.parametrize("eta", [0.94, 0.5, 1.0])
def test_a_message_to_a_requester_without_cost_takes_the_measured_time(file: str, eta: float) -> None:
    system = System(replace(get_scenario("DA-50", eta=eta, links={"tx2-2": file}), **NO_REQUESTER))
    image, result = 4 * 3 * 224 * 224, system.result_bytes
    assert result == 2000
    for kind, n_bytes in (("scatter", image), ("send", result)):
        copies_s = n_bytes * (1 / 1e9 + 1 / 0.5e9) / 2  # once, and not in the goodput
        assert message_s(system, kind, 1) == pytest.approx(LINK.message_s(n_bytes) + copies_s, rel=1e-12)
    ordinary = System(replace(get_scenario("DA-50", eta=eta), **NO_REQUESTER))
    for device in (0, 2, 3):
        assert message_s(system, "scatter", device) == message_s(ordinary, "scatter", device)


def test_without_copies_it_is_the_measured_line_itself(tmp_path: Path) -> None:
    fast = replace(LINK, copy_out_bytes_per_s=1e14, copy_in_bytes_per_s=1e14)
    fast.save(tmp_path / "fast.json")
    system = System(replace(get_scenario("H-200", links={"nano": str(tmp_path / "fast.json")}), **NO_REQUESTER))
    for device in range(4):
        assert message_s(system, "scatter", device) == pytest.approx(LINK.message_s(4 * 150_528), rel=1e-6)


def test_two_measured_devices_meet_at_the_slower_rate_and_the_larger_overhead(tmp_path: Path, file: str) -> None:
    other = replace(LINK, t_msg_s=2e-3, goodput_up_mbps=300.0, goodput_down_mbps=300.0, copy_in_bytes_per_s=1e9)
    other.save(tmp_path / "other.json")
    scenario = get_scenario("DB-50", links={"xavier": file, "nano-1": str(tmp_path / "other.json")})
    system = System(scenario)
    copies = LINK.copy_s_per_byte + 1e-9
    assert system.byte_s().pair_s[0, 2] == pytest.approx(8e-6 / LINK.goodput_mbps + copies, rel=1e-12)
    assert system.links.message_s.tolist() == [0.9e-3, 0.9e-3, 2e-3, get_device("nano").t_msg_s]
    assert system.mbps.tolist() == pytest.approx([96 / 0.94, 96 / 0.94, 300 / 0.94, 50.0], rel=1e-12)


def test_a_name_goes_before_its_type(tmp_path: Path, file: str) -> None:
    replace(LINK, t_msg_s=5e-3).save(tmp_path / "one.json")
    system = System(get_scenario("H-200", links={"nano": file, "nano-3": str(tmp_path / "one.json")}))
    assert system.links.message_s.tolist() == [0.9e-3, 0.9e-3, 5e-3, 0.9e-3]
    assert [link is not None and link.t_msg_s for link in system.measured] == [0.9e-3, 0.9e-3, 5e-3, 0.9e-3]


def test_fingerprints_follow_the_numbers_and_nothing_else(tmp_path: Path, file: str) -> None:
    def fingerprint(link: LinkMeasurement, name: str = "x.json") -> str:
        link.save(tmp_path / name)
        return System(get_scenario("DB-50", links={"nano-1": str(tmp_path / name)})).fingerprint

    base = fingerprint(LINK)
    assert base == fingerprint(replace(LINK, date="2026-02-01", peer="desktop"), "y.json")
    for change in ({"t_msg_s": 0.8e-3}, {"goodput_up_mbps": 81.0}, {"goodput_down_mbps": 1.0},
                   {"copy_out_bytes_per_s": 2e9}, {"copy_in_bytes_per_s": 2e9}):  # fmt: skip
        assert fingerprint(replace(LINK, **change)) != base
    without = System(get_scenario("DB-50"))
    assert base != without.fingerprint == System(get_scenario("DB-50", links={})).fingerprint
    known = ROOT / "envs" / "distredge" / "best_known.json"
    assert without.fingerprint in known.read_text()


def test_a_scenario_file_names_link_files_from_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    LINK.save(folder / "kitchen.json")
    data = {"model": "vgg16", "devices": ["nano", "tx2"], "mbps": [50, 100], "names": ["kitchen", "hall"]}
    (folder / "home.yaml").write_text(yaml.safe_dump({**data, "links": {"kitchen": "kitchen.json"}}))
    monkeypatch.chdir(tmp_path)
    env: Any = gym.make(ENV_ID, scenario="home/home.yaml")
    dynamics = env.unwrapped.dynamics
    assert dynamics.system.links.message_s[0] == 0.9e-3
    assert dynamics.mbps[:, 0].tolist() == pytest.approx([96 / 0.94, 100.0])
    assert dynamics.provenance[-2:] == (
        "link of kitchen: kitchen to laptop: measured (splitgym 1, 2026-01-31)",
        "links otherwise: modelled (the scenario's constants)",
    )
    assert dynamics.summary == "vgg16 on 1 nano on a measured link, 1 tx2 at 100 Mbps"
    assert np.isfinite(env.reset(seed=0)[0]).all()
    env.step(env.action_space.sample())
    assert gym.make(ENV_ID, scenario="DB-50").unwrapped.dynamics.provenance[-1] == (  # type: ignore[attr-defined]
        "links: modelled (the scenario's constants)"
    )


def test_traces_keep_the_rate_and_files_give_the_message_costs(tmp_path: Path, file: str) -> None:
    (tmp_path / "trace.txt").write_text("0 30\n1 30\n")
    env: Any = gym.make(ENV_ID, scenario="H-200", traces=[str(tmp_path / "trace.txt")], links={"nano": file})
    dynamics = env.unwrapped.dynamics
    assert dynamics.system.mbps.tolist() == [30.0] * 4
    assert dynamics.system.links.message_s.tolist() == [0.9e-3] * 4
    assert dynamics.provenance[-2].startswith("message costs of nano-1, nano-2, nano-3, nano-4: kitchen to laptop:")
    assert dynamics.provenance[-1] == "links otherwise: imported (trace files)"


def test_links_of_devices_that_are_not_there(file: str) -> None:
    with refused("scenario DB-50", "links names 'pi3'", "xavier-1", "nano-2", "nano"):
        gym.make(ENV_ID, scenario="DB-50", links={"pi3": file})
    with refused("links is [", "mapping"):
        gym.make(ENV_ID, scenario="DB-50", links=[file])


def test_a_file_of_another_type_is_a_mix_up(tmp_path: Path) -> None:
    path = str(tmp_path / "pi.json")
    replace(LINK, device="pi3").save(path)
    with refused(path, "device is 'pi3'", "'nano'"):
        gym.make(ENV_ID, scenario="DB-50", links={"nano-1": path})
    replace(LINK, device="nano").save(path)
    gym.make(ENV_ID, scenario="DB-50", links={"nano-1": path})


def test_a_bad_file_stops_the_scenario(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("{}")
    for name, words in ((str(path), ["schema is None"]), ("missing.json", ["cannot be read"])):
        with refused(name, *words):
            gym.make(ENV_ID, scenario="DB-50", links={"nano": name})
