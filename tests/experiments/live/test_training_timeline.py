"""What a step should take: the protocol's timeline against closed forms, and its terms."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.envs.edgemove import live as edgemove
from splitgym.envs.edgemove.pipeline import path_s, period_s
from splitgym.envs.hiertrain import live as hiertrain
from splitgym.envs.l2s import live as l2s
from splitgym.envs.live_training import Costs, Learning, Link, Task
from splitgym.experiments.live.training_terms import shared, terms
from splitgym.experiments.live.training_timeline import predicted
from splitgym.experiments.live.training_trace import Trace
from splitgym.models.plans import CutPlan, HybridPlan
from splitgym.runtime.training.data import load_images
from splitgym.runtime.wire_training import Minibatch

from .trainers import SCENARIOS

STEPS = 7  # of LeNet-5


@cache
def system_of(kind: str) -> Any:
    live, name = {
        "cut": (l2s, "lenet5-pi3-50-p0"),
        "hybrid": (hiertrain, "lenet5-3"),
        "pipeline": (edgemove, "vgg16-cifar10"),
    }[kind]
    return live.make_system(live.get_scenario(name, inputs="devices", **SCENARIOS[kind]))


@cache
def learning() -> Learning:
    return Learning(load_images(None, system_of("cut").model.input))


def period(task: Task, entry: Any = None, first: int = 4, last: int = 44) -> tuple[float, dict[str, float]]:
    """Seconds of a step in steady state, and its terms."""
    entry = entry or next(iter(task.entries([])))
    trace = predicted(task.job, task.costs(entry), entry, last + 1)
    found = shared(terms(trace, first, last), last - first)
    return (trace.logged_s[last] - trace.logged_s[first]) / (last - first), found


@pytest.mark.parametrize("cut", range(STEPS + 1))
def test_a_round_takes_what_the_environment_says_but_for_the_edges_update(cut: int) -> None:
    system = system_of("cut")
    plan = CutPlan("lenet5", cut, types=system.device_types)
    step_s, found = period(l2s.task(system, plan, learning()))
    point = system.choice_of(cut)
    whole_s = float(system.front_s[point] + system.edge_delay_s(system.mbps, 1.0, np.array(point)))
    assert step_s == pytest.approx(whole_s - float(system.edge.update_s[cut:].sum()), rel=1e-6)
    assert sum(found.values()) == pytest.approx(step_s)
    assert found.get("runtime", 0.0) == pytest.approx(0.0, abs=1e-9)


@given(
    cut=st.integers(1, STEPS - 1), in_flight=st.integers(1, 4), mbps=st.floats(1.0, 1000.0), slower=st.floats(0.1, 10)
)
def test_a_pipelines_period_is_the_closed_form(cut: int, in_flight: int, mbps: float, slower: float) -> None:
    system = system_of("pipeline")
    base = edgemove.costs(edgemove.World(system, 1), system.cloud, 0, 0.0)
    link = Link(0.0, 8e-6 / mbps)
    parties = {"client": base.parties["client"], "server": base.parties["server"].slower(slower)}
    costs = Costs(parties, {("client", "server"): link, ("server", "client"): link}, base.batch)
    job = edgemove.job(system, cut, learning())
    job = replace(job, in_flight=in_flight)
    trace = predicted(job, costs, Minibatch(0, cut, 0.1), 24 * in_flight + 1)
    measured_s = (trace.logged_s[24 * in_flight] - trace.logged_s[4 * in_flight]) / (20 * in_flight)

    def whole(role: str, steps: slice) -> float:
        party = costs.parties[role]
        return float(sum(v[steps].sum() for v in (party.forward_s, party.backward_s, party.update_s)))

    samples = base.batch
    up_s = link.byte_s * samples * (system.model.cut_bytes(cut, 4) + 8)
    down_s = link.byte_s * samples * system.model.cut_bytes(cut, 4)
    client_s, server_s = whole("client", slice(0, cut)), whole("server", slice(cut, None))
    update_s = float(costs.parties["server"].update_s[cut:].sum())  # is done behind the answer
    busiest_s = max(client_s, server_s, up_s, down_s)
    expected_s = max(busiest_s, path_s(client_s, server_s - update_s, up_s, down_s, 0.0) / in_flight)
    assert measured_s == pytest.approx(expected_s, rel=1e-6)
    assert expected_s <= period_s(client_s, server_s, up_s, down_s, 0.0, in_flight)
    found = terms(trace, 4 * in_flight, 24 * in_flight)
    assert sum(found.values()) == pytest.approx(20 * in_flight * measured_s)


@given(
    roles=st.permutations(hiertrain.WORKERS), cuts=st.lists(st.integers(1, STEPS), min_size=2, max_size=2),
    shares=st.lists(st.integers(0, 16), min_size=2, max_size=2),
)  # fmt: skip
def test_a_hybrid_iteration_takes_as_long_as_its_busiest_worker_and_no_longer_than_all_one_after_another(
    roles: list[str], cuts: list[int], shares: list[int]
) -> None:
    system = system_of("hybrid")
    m_s, m_l = sorted(cuts)
    b_s, b_l = shares[0], min(shares[1], 16 - shares[0])
    plan = HybridPlan("lenet5", tuple(roles), m_s, m_l, (16 - b_s - b_l, b_s, b_l), types=system.device_types)
    task = hiertrain.task(system, plan, learning())
    step_s, found = period(task, last=12)
    assert sum(found.values()) == pytest.approx(step_s)
    assert found.get("runtime", 0.0) == pytest.approx(0.0, abs=1e-9)
    entry = next(iter(task.entries([])))
    trace = predicted(task.job, task.costs(entry), entry, 2)
    busy_s = {role: sum(w.end_s - w.start_s for w in trace.works if (w.role, w.number) == (role, 1)) for role in roles}
    on_link_s = sum(m.there_s - m.start_s for m in trace.messages if m.number == 1)
    assert max(busy_s.values()) <= step_s * (1 + 1e-9)
    assert step_s <= (sum(busy_s.values()) + on_link_s) * (1 + 1e-9)


def test_workers_that_train_nothing_cost_nothing() -> None:
    system = system_of("hybrid")
    plan = HybridPlan("lenet5", ("device", "edge", "cloud"), 0, 0, (16, 0, 0), types=system.device_types)
    task = hiertrain.task(system, plan, learning())
    assert period(task, last=12)[0] == pytest.approx(task.step_s)


@given(kind=st.sampled_from(["cut", "pipeline"]), untold=st.sets(st.integers(0, 6)), data=st.data())
def test_terms_add_up_whatever_workers_did_not_tell_in_time(kind: str, untold: set[int], data: st.DataObject) -> None:
    trace = traced(kind)
    role = data.draw(st.sampled_from([None, *sorted({work.role for work in trace.works})]))
    works = [w for w in trace.works if w.number not in untold or role not in (None, w.role)]
    messages = [m for m in trace.messages if m.number not in untold or role not in (None, m.sender)]
    found = terms(replace(trace, works=works, messages=messages), 1, 6)
    assert sum(found.values()) == pytest.approx(trace.logged_s[6] - trace.logged_s[1])
    assert min(found.values()) >= 0.0


@cache
def traced(kind: str) -> Trace:
    """Seven entries as they are predicted."""
    live, system = {"cut": l2s, "pipeline": edgemove}[kind], system_of(kind)
    plan = CutPlan("lenet5", 3, types=system.device_types) if kind == "cut" else system.plan(3, system.cloud)
    task = live.task(system, plan, learning())
    entry = next(iter(task.entries([])))
    return predicted(task.job, task.costs(entry), entry, 7)
