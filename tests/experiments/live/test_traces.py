"""Predicted traces and their terms; a picture and a viewer's file of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.envs.distredge.scenarios import get_scenario
from splitgym.envs.distredge.system import System
from splitgym.experiments.live.chrome_trace import chrome_trace
from splitgym.experiments.live.pictures import timeline
from splitgym.experiments.live.terms import TERMS, terms
from splitgym.experiments.live.traces import Compute, Link, Message, Trace, measured, predicted
from splitgym.models.plans import SpatialPlan
from splitgym.runtime.geometry import REQUESTER, Geometry
from splitgym.runtime.requester import Item
from splitgym.runtime.session_core import Clock
from splitgym.runtime.wire import Span

SCENARIOS = ("DB-50", "LB-lenet5", "DA-300-yolov2", "NA-nano-resnet50", "DC-50-shared", "NA-nano-yolov2-reqsame")
SYSTEMS = {name: System(get_scenario(name)) for name in SCENARIOS[:1]}


def system_of(name: str) -> System:
    if name not in SYSTEMS:
        SYSTEMS[name] = System(get_scenario(name))
    return SYSTEMS[name]


def plan_of(system: System, seed: int) -> SpatialPlan:
    from tests.runtime.plans import random_plan

    plan = random_plan(system.model, system.n_devices, np.random.default_rng(seed))
    return system.plan(plan.cuts, plan.splits)


def terms_of(system: System, plan: SpatialPlan, trace: Trace, is_measured: bool = False) -> dict[str, float]:
    return terms(trace, [start for start, _ in plan.ranges], system.n_units, is_measured)


@settings(max_examples=40)
@given(st.sampled_from(SCENARIOS), st.integers(0, 10**6))
def test_terms_add_up_to_the_latency_and_none_is_negative(name: str, seed: int) -> None:
    system = system_of(name)
    plan = plan_of(system, seed)
    trace = predicted(system, plan)
    found = terms_of(system, plan, trace)
    assert set(found) == set(TERMS)
    assert sum(found.values()) == pytest.approx(trace.latency_s, rel=1e-9)
    assert min(found.values()) >= -1e-9 * trace.latency_s
    assert found["runtime"] == pytest.approx(0.0, abs=1e-9)


@settings(max_examples=20)
@given(st.sampled_from(SCENARIOS), st.integers(0, 10**6))
def test_messages_are_those_of_the_geometry(name: str, seed: int) -> None:
    system = system_of(name)
    plan = plan_of(system, seed)
    geometry = Geometry(system.model, plan, system.scenario.value_bytes)
    due: dict[tuple[int, int, int], int] = {}
    boundaries = (*geometry.boundaries, geometry.last)
    for receiver in (REQUESTER, *range(system.n_devices)):
        for boundary in boundaries:
            for piece in geometry.inbox(receiver, boundary):
                key = piece.sender, receiver, boundary
                due[key] = due.get(key, 0) + geometry.piece_bytes(piece)
    found = {(m.sender, m.receiver, m.boundary): m.size_bytes for m in predicted(system, plan).messages}
    assert found == {key: size for key, size in due.items() if size}


def test_a_message_costs_what_the_scenario_says() -> None:
    system = system_of("DB-50")
    link, seconds = Link(system, scale=2.0), system.byte_s()
    for sender, receiver, byte_s in ((0, 1, seconds.pair_s[0, 1]), (REQUESTER, 2, seconds.requester_s[2])):
        costs = link.costs(sender, receiver)
        assert costs.copy_s_per_byte + costs.rate_s_per_byte == pytest.approx(2.0 * float(byte_s))
        assert costs.fixed_s > 0


def live_item(system: System, plan: SpatialPlan, scale: float, late_s: float, ahead_s: float) -> Item:
    """An image as workers would tell it who do exactly what is predicted, each ``late_s`` late with every part."""
    begun_s, spans = 1000.0, {name: [] for name in ("", *system.names)}
    trace = predicted(system, plan)
    for c in trace.computes:
        zero_s = begun_s + ahead_s
        spans[system.names[c.device]].append(
            Span("compute", zero_s + c.start_s * scale + late_s, zero_s + c.end_s * scale, c.label)
        )
    for m in trace.messages:
        if m.sender == REQUESTER:
            spans[""].append(
                Span("scatter", begun_s + m.start_s * scale, begun_s + m.left_s * scale, f"{m.receiver}", m.size_bytes)
            )
        else:
            zero_s, to = begun_s + ahead_s, "R" if m.receiver == REQUESTER else f"{m.receiver}"
            spans[system.names[m.sender]].append(
                Span("send", zero_s + m.start_s * scale, zero_s + m.left_s * scale, to, m.size_bytes, m.boundary)
            )
        if m.receiver == REQUESTER:
            came_s = begun_s + m.there_s * scale
            spans[""].append(Span("receive", came_s, came_s, f"{m.sender}", m.size_bytes, m.boundary))
        else:
            zero_s, of = begun_s + ahead_s, "R" if m.sender == REQUESTER else f"{m.sender}"
            spans[system.names[m.receiver]].append(
                Span("receive", zero_s + m.start_s * scale, zero_s + m.there_s * scale, of, m.size_bytes, m.boundary)
            )
    own = {name: tuple(found) for name, found in spans.items()}
    return Item(0, (), begun_s, trace.latency_s * scale, own, 0.0, {})


@settings(max_examples=20)
@given(st.sampled_from(SCENARIOS), st.integers(0, 10**6), st.sampled_from([1.0, 40.0]), st.sampled_from([0.0, 55.5]))
def test_workers_who_do_what_is_predicted_have_its_terms(name: str, seed: int, scale: float, ahead_s: float) -> None:
    system = system_of(name)
    plan = plan_of(system, seed)
    clocks = {worker: Clock(ahead_s, 0.0) for worker in system.names}
    item = live_item(system, plan, scale, 0.0, ahead_s)
    trace = measured(item, system.names, clocks, Link(system, scale), system.n_units)
    found, due = terms_of(system, plan, trace, True), terms_of(system, plan, predicted(system, plan))
    assert sum(found.values()) == pytest.approx(item.latency_s)
    for term in ("compute", "tail", "t_msg", "rate", "copies", "waiting"):
        assert found[term] == pytest.approx(due[term] * scale, abs=1e-6 * item.latency_s)


def test_what_nothing_accounts_for_is_the_runtimes_own() -> None:
    system = system_of("DB-50")
    plan = system.everything_on(0)
    trace = measured(live_item(system, plan, 1.0, 1e-3, 0.0), system.names, {}, Link(system), system.n_units)
    found = terms_of(system, plan, trace, True)
    assert found["runtime"] == pytest.approx(2e-3, abs=1e-6)  # before the volume and before the tail


def test_a_viewers_file_has_all_parts_and_messages_once() -> None:
    system = system_of("DB-50")
    plan = plan_of(system, 3)
    trace = predicted(system, plan)
    data = json.loads(json.dumps(chrome_trace({"predicted": trace, "measured": trace}, system.names)))
    slices = [e for e in data["traceEvents"] if e["ph"] == "X"]
    assert len(slices) == 2 * (len(trace.computes) + 2 * len(trace.messages))
    assert all(e["dur"] >= 0 and e["ts"] >= 0 for e in slices)
    names = {e["args"]["name"] for e in data["traceEvents"] if e["ph"] == "M" and e["name"] == "thread_name"}
    assert {f"{name} {thread}" for name in system.names for thread in ("receive", "compute", "send")} <= names
    assert {e["args"]["name"] for e in data["traceEvents"] if e["name"] == "process_name"} == {"predicted", "measured"}
    _check_tracks(slices)


def _check_tracks(slices: list[Mapping[str, Any]]) -> None:
    """Slices of one track lie in each other or beside each other, as the viewers want it."""
    tracks: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for e in slices:
        tracks.setdefault((e["pid"], e["tid"]), []).append((e["ts"], e["ts"] + e["dur"]))
    for found in tracks.values():
        for (_, end), (begin, later) in zip(sorted(found), sorted(found)[1:], strict=False):
            assert begin >= end - 1e-3 or later <= end + 1e-3


def test_the_picture_shows_both_timelines() -> None:
    system = system_of("DB-50")
    plan = plan_of(system, 3)
    trace = predicted(system, plan)
    figure = timeline(system, plan, trace, Trace(trace.computes, trace.messages, 2 * trace.latency_s), "mine")
    above, below = figure.axes
    assert "mine on DB-50, predicted" in above.get_title(loc="left") + above.get_title()
    assert "measured" in below.get_title(loc="left") + below.get_title()
    assert above.get_xlim() == below.get_xlim()
    assert len(above.patches) == len(below.patches) == len(trace.computes) + len(trace.messages)


def test_the_latest_of_several_messages_is_what_a_part_waited_for() -> None:
    messages = [
        Message(REQUESTER, 0, 0, 0.0, 1.0, 1.0, 8, 1.0, 0.0, 0.0),
        Message(REQUESTER, 1, 0, 1.0, 3.0, 3.0, 8, 0.5, 0.5, 1.0),
        Message(1, REQUESTER, 1, 5.0, 6.0, 6.0, 8, 1.0, 0.0, 0.0),
        Message(0, REQUESTER, 1, 2.0, 2.5, 2.5, 8, 0.5, 0.0, 0.0),
    ]
    trace = Trace([Compute(0, "0", 1.0, 2.0), Compute(1, "0", 3.0, 5.0)], messages, 6.0)
    found = terms(trace, [0], 1, False)
    assert found == {
        "compute": 2.0, "tail": 0.0, "t_msg": 1.5, "rate": 1.0, "copies": 0.5, "shared link": 0.0, "waiting": 1.0,
        "runtime": 0.0,
    }  # fmt: skip
