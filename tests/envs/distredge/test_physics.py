"""DistrEdge's batched physics against the plain event-by-event reference, and by hand."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.envs.distredge.physics import Links
from splitgym.envs.distredge.scenarios import SCENARIOS, get_scenario
from splitgym.envs.distredge.system import PlanBatch, System
from splitgym.models.blocks import Block
from splitgym.models.chain import MAIN, Join, Unit
from splitgym.models.layers import Conv, ConvTranspose, GlobalPool, Linear, Shape
from splitgym.models.model import Model
from splitgym.models.plans import SpatialPlan

from ... import slow
from .event_reference import latency_s, played
from .stream_reference import finished_s

MODELS = ("vgg16", "resnet50", "yolov2", "ssd_vgg16", *slow("inception_v3", "openpose", "voxelnet"))


def random_plan(system: System, rng: np.random.Generator, most_volumes: int = 6) -> SpatialPlan:
    """Random cuts and splits, many of them with empty parts."""
    units = system.n_units
    inside = rng.choice(np.arange(1, units), size=min(units - 1, rng.integers(0, most_volumes)), replace=False)
    cuts = (*sorted(int(c) for c in inside), units)
    splits = []
    for cut in cuts:
        splits.append(np.sort(rng.integers(0, system.heights[cut - 1] + 1, system.n_devices - 1)))
    return system.plan(cuts, splits)


NETWORKS: tuple[dict[str, Any], ...] = (
    {},
    {"inputs": "devices"},
    {"requester_mbps": "same", "image_type": "float16"},
    {"requester_mbps": 40.0, "activation_type": "float32"},
    {"medium": "shared"},
    {"medium": "shared", "requester_mbps": "same", "message_factor": 3.0, "copy_factor": 2.0},
)  # fmt: skip


@pytest.mark.parametrize("fields", NETWORKS, ids=str)
@pytest.mark.parametrize("model", MODELS)
def test_physics_equals_event_reference(model: str, fields: dict[str, Any]) -> None:
    system = System(get_scenario("ND-xavier", model=model, devices=("xavier", "tx2", "nano", "pi3"), **fields))
    rng = np.random.default_rng(len(model))
    for _ in range(25):
        plan = random_plan(system, rng)
        expected = latency_s(system, plan, system.mbps.tolist())
        assert system.evaluate([plan])[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "scenario", ["DB-50", "DC-300", "NA-nano", "LB", "DC-50-shared", "LB-shared", "NA-nano-reqsame"]
)
def test_batch_of_plans_equals_reference_under_other_rates(scenario: str) -> None:
    system = System(get_scenario(scenario))
    rng = np.random.default_rng(5)
    plans = [random_plan(system, rng) for _ in range(40)]
    mbps = rng.uniform(5, 400, (system.n_devices, len(plans)))
    together = system.evaluate(PlanBatch.of(plans, system.n_units), system.every_volume, mbps)
    for i, plan in enumerate(plans):
        assert together[i] == pytest.approx(latency_s(system, plan, mbps[:, i].tolist()), rel=1e-12)


@pytest.mark.parametrize("medium", ["switched", "shared"])
def test_heads_that_a_tail_reads_go_to_its_host(medium: str) -> None:
    """A network with a gate, saved maps put together, side heads and a tail behind all."""
    gate = Block(((), (GlobalPool(), Conv(1, out_channels=6, activation="sigmoid"))), "mul")
    units = (
        Unit("conv1", (Conv(3, 2, 1, out_channels=6),), save="conv1"),
        Unit("gate", (gate,), head=(Conv(3, 1, 1, out_channels=40),)),
        Unit("conv2", (Conv(3, 2, 1, out_channels=6),), head=(Conv(1, out_channels=9),)),
        Unit("join", (Conv(1, out_channels=7),), (Join("conv1"), Join(MAIN, (ConvTranspose(2, 2, out_channels=6),))),
             combine="add"),
    )  # fmt: skip
    model = Model("headed", Shape(3, 96, 64), units, (Linear(10),))
    scenario = get_scenario("DC-50", medium=medium)
    system, rng = System(scenario, model), np.random.default_rng(1)
    plans = [random_plan(system, rng) for _ in range(60)]
    mbps = rng.uniform(5, 400, (system.n_devices, len(plans)))
    together = system.evaluate(PlanBatch.of(plans, system.n_units), system.every_volume, mbps)
    for i, plan in enumerate(plans):
        assert together[i] == pytest.approx(latency_s(system, plan, mbps[:, i].tolist()), rel=1e-12)


@given(name=st.sampled_from(["LB", "LB-shared", "DC-50-yolov2-reqsame"]), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_one_plan_and_many_agree_to_the_bit(name: str, seed: int) -> None:
    system = _system(name)
    rng = np.random.default_rng(seed)
    plans = [random_plan(system, rng) for _ in range(9)]
    together = system.evaluate(PlanBatch.of(plans, system.n_units), system.every_volume)
    for plan, latency in zip(plans, together, strict=True):
        assert system.evaluate(PlanBatch.of([plan], system.n_units), system.every_volume)[0] == latency


@cache
def _system(name: str) -> System:
    return System(get_scenario(name))


@pytest.mark.parametrize(
    ("fields", "value_bytes", "wire_s"),
    [
        ({}, 4, 8 / 50e6),
        ({"inputs": "devices"}, 1, 8 / 50e6),
        ({"image_type": "float16", "requester_mbps": 20.0}, 2, 8 / 20e6),
        ({"medium": "shared", "requester_mbps": 300.0}, 4, 8 / 50e6 + 8 / 300e6),
        ({"medium": "shared", "requester_mbps": "same"}, 4, 2 * 8 / 50e6),
    ],
)
def test_offload_by_hand(fields: dict[str, Any], value_bytes: int, wire_s: float) -> None:
    """Image over the slower of two links, or both ways over the air; the whole model; the result back (DA-50, TX2)."""
    system = System(get_scenario("DA-50", **fields))
    byte_s = wire_s / 0.94 + 1 / 0.8e9 + 1 / 1.5e9
    expected = 1.5e-3 + 224 * 224 * 3 * value_bytes * byte_s + system.model_s[0] + 1.5e-3 + 2000 * byte_s
    assert system.reference_s == pytest.approx(expected, rel=1e-12)


def test_only_missing_rows_cross_a_cut() -> None:
    """Device 0 owns 7 of 14 rows and needs 8 for its half of pool5: one row moves, nothing else."""
    system = System(get_scenario("DB-300", devices=("nano", "nano"), mbps=(300.0, 300.0)))
    plan = system.plan((17, 18), ((7,), (4,)))
    _, _, events = system.replay(plan)
    moved = [e for e in events.rows if e[0] == "send" and e[4] in "01"]
    assert len(moved) == 1
    _, _, start_s, end_s, _ = moved[0]
    row_bytes = 14 * 512 * 2
    assert end_s - start_s == pytest.approx(1.5e-3 + row_bytes * (8 / (0.94 * 300e6) + 2 / 0.6e9))


def bare_system(mbps: tuple[float, ...], width: int, requester_mbps: float | str, medium: str = "switched") -> System:
    """Three 1 x 1 convolutions over 8 rows, 1 byte a value in and 2 out; computing and messages cost nothing."""
    convs = [Unit(f"conv{i}", (Conv(1, out_channels=1),)) for i in range(3)]
    scenario = get_scenario(
        "H-200", devices=("nano",) * len(mbps), mbps=mbps, requester_mbps=requester_mbps, medium=medium, eta=1.0,
        inputs="devices",
    )  # fmt: skip
    system = System(scenario, Model("bare", Shape(1, 8, width), tuple(convs)))
    system.tables = [replace(table, seconds=np.zeros_like(table.seconds)) for table in system.tables]
    none = np.zeros(len(mbps))
    system.links = Links(none, none, 0.0, 0.0, 1.0)
    system.nominal = system.rates(system.mbps[:, None])
    return system


def test_two_exchanges_share_their_receivers_link_by_hand() -> None:
    """The middle device, at 1 us a byte, gets 4 rows of 2 kB for its second volume and 4 more for its third.

    The image's halves reach the outer devices at 0.4 and 0.8 ms, and both send at once. The second 8 kB wait until
    the link is through with the first at 8.4 ms and take until 16.4 ms; returning all 8 rows takes 16 ms.
    """
    system = bare_system((80.0, 8.0, 80.0), width=1000, requester_mbps=80.0)
    plan = system.plan((1, 2, 3), ((4, 4), (0, 4), (0, 8)))
    assert system.evaluate([plan])[0] == pytest.approx(32.4e-3, rel=1e-12)
    assert played(system, plan, system.mbps.tolist(), fresh_links=True)[0] == pytest.approx(24.8e-3, rel=1e-12)


def test_all_take_turns_on_one_air_by_hand() -> None:
    """A byte of airtime is 0.1 us at the requester and the outer devices, 1 us at the middle one.

    The image's halves cross until 0.8 and 1.6 ms; the first outer device asks at 0.8 ms and waits for the second half.
    Its 8 kB for the middle device cross until 10.4 ms, the other's until 19.2 ms; returning 16 kB takes 17.6 ms.
    """
    system = bare_system((80.0, 8.0, 80.0), width=1000, requester_mbps=80.0, medium="shared")
    plan = system.plan((1, 2, 3), ((4, 4), (0, 4), (0, 8)))
    assert system.evaluate([plan])[0] == pytest.approx(36.8e-3, rel=1e-12)
    assert system.throughput([plan]).limits == ("the air is in use",)
    assert system.throughput([plan]).ips == pytest.approx(1 / 36.8e-3)


@given(name=st.sampled_from(["DC-50", "LB", "NA-nano-yolov2"]), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_the_air_is_never_faster_than_links_of_ones_own(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    switched, shared = _system(f"{name}-reqsame"), _on_one_air(name)
    plan, mbps = random_plan(switched, rng), rng.uniform(5, 400, (switched.n_devices, 1))
    apart_s, together_s = (s.evaluate([plan], s.every_volume, mbps)[0] for s in (switched, shared))
    assert together_s >= apart_s * (1 - 1e-12)


@cache
def _on_one_air(name: str) -> System:
    return System(get_scenario(f"{name}-shared", requester_mbps="same"))


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_a_shared_link_never_saves_time_and_costs_none_where_nothing_waits(seed: int) -> None:
    system = _mixed()
    rng = np.random.default_rng(seed)
    plan, mbps = random_plan(system, rng), rng.uniform(5, 400, (system.n_devices, 1))
    latency = system.evaluate([plan], system.every_volume, mbps)[0]
    fresh, waited = played(system, plan, mbps[:, 0].tolist(), fresh_links=True)
    assert latency >= fresh * (1 - 1e-12)
    if not waited:
        assert latency == pytest.approx(fresh, rel=1e-12)


@cache
def _mixed() -> System:
    return System(get_scenario("DC-50"))


@pytest.mark.parametrize("name", ["DC-50-shared", "NA-nano-shared", *slow("LB-shared", "DB-50-ssd_vgg16-shared")])
def test_an_air_that_knows_no_exchanges_changes_little(name: str) -> None:
    off = np.abs(_off_by_the_event(name))
    assert np.mean(off) < 0.03
    assert max(off) < 0.2


def _off_by_the_event(name: str) -> np.ndarray:
    """Of random plans, how far the physics is off a simulation that serves every message as it comes."""
    system, rng = System(get_scenario(name)), np.random.default_rng(2)
    off = []
    for _ in range(60):
        plan, mbps = random_plan(system, rng), rng.uniform(5, 400, system.n_devices)
        latency = system.evaluate([plan], system.every_volume, mbps[:, None])[0]
        off.append(latency / finished_s(system, plan, mbps.tolist(), images=1, in_flight=1)[0] - 1)
    return np.array(off)


@pytest.mark.parametrize("name", ["DC-50", "NA-nano-resnet50", *slow("LB", "DB-50-ssd_vgg16")])
def test_a_link_that_serves_every_message_as_it_comes_changes_little(name: str) -> None:
    """An exchange's bytes stay together in the physics; the event-driven stream knows no exchanges."""
    off = np.abs(_off_by_the_event(name))
    assert np.mean(off < 1e-9) > 0.75
    assert np.mean(off) < 0.01
    assert max(off) < 0.2


def test_faster_links_never_hurt() -> None:
    system = System(get_scenario("DA-50"))
    rng = np.random.default_rng(3)
    plans = [random_plan(system, rng) for _ in range(50)]
    slow = system.evaluate(plans, mbps=np.full((4, 1), 50.0))
    fast = system.evaluate(plans, mbps=np.full((4, 1), 100.0))
    assert np.all(fast < slow)


def test_replay_tells_the_same_latency_and_totals() -> None:
    system = System(get_scenario("DC-50"))
    plan = random_plan(system, np.random.default_rng(0))
    latency, progress, events = system.replay(plan)
    assert latency == system.evaluate([plan])[0]
    assert max(end for *_, end, _ in events.rows) == pytest.approx(latency)
    for d in range(system.n_devices):
        busy = sum(end - start for kind, who, start, end, _ in events.rows if kind == "compute" and who == d)
        assert busy == pytest.approx(progress.compute_s[d, 0])


def test_every_scenario_has_a_reference_and_a_fingerprint_of_its_own() -> None:
    systems = [System(s) for s in SCENARIOS.values()]
    assert all(0 < s.reference_s < 10 for s in systems)
    assert len({s.fingerprint for s in systems}) == len(systems)
    changed = System(get_scenario("DB-50", eta=0.9))
    assert changed.fingerprint != System(get_scenario("DB-50")).fingerprint
