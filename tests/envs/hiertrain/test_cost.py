"""HierTrain's cost of an iteration: by hand, against loops over Eq. 5-12, against an event queue."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.envs.hiertrain.cost import event_s, hand_out_s, iteration_s, layers_s, paper_s, terms
from splitgym.envs.hiertrain.scenarios import get_scenario
from splitgym.envs.hiertrain.schedule import alone
from splitgym.envs.hiertrain.system import System

from ... import slow
from .reference import (
    CLOUD,
    DEVICE,
    EDGE,
    Plain,
    Plan,
    cases,
    event_loop_s,
    hand_out_loop_s,
    layers_loop_s,
    paper_loop_s,
    plain_of,
    random_plain,
    random_plan,
    random_rates,
    scored,
    to_plan,
    to_schedules,
    toy_system,
    zeros,
)

RATES = (10.0, 5.0)  # bit/s between device and edge, edge and cloud
REAL = ("lenet5-1.5", "alexnet-3.5-c4", "resnet34-3.5")


def seconds(plain: Plain, plan: Plan, cost: str = "paper", rates: tuple[float, float] = RATES) -> float:
    return float(iteration_s(toy_system(plain), to_schedules([plan]), *rates, cost)[0])


# By hand. All in 3 layers and 10 samples, at 10 and 5 bit/s.

ALONE_ON_EDGE = Plan((EDGE, DEVICE, CLOUD), 0, 0, (10, 0, 0))
ALONE_ON_CLOUD = Plan((CLOUD, DEVICE, EDGE), 0, 0, (10, 0, 0))
ALONE_ON_DEVICE = Plan((DEVICE, EDGE, CLOUD), 0, 0, (10, 0, 0))
ALL_THREE = Plan((EDGE, DEVICE, CLOUD), 1, 2, (4, 3, 3))
INTO_CLOUD = Plan((CLOUD, EDGE, DEVICE), 1, 2, (2, 4, 4))
OUT_OF_DEVICE = Plan((EDGE, CLOUD, DEVICE), 0, 1, (6, 0, 4))

INPUT = zeros(sample=20.0)  # 2 s a sample to the edge; to the cloud 4 s as a stream, 6 s if stored
OUTPUT = zeros(outputs=[40.0, 10.0, 0.0])
WEIGHTS = zeros(weights=[100.0, 50.0, 0.0])
UPDATE = zeros(update=[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
FORWARD = zeros(forward=[[8.0, 4.0, 2.0], [2.0, 1.0, 0.5], [1.0, 0.5, 0.25]])
BACKWARD = zeros(backward=FORWARD.forward)

HAND: dict[str, tuple[Plain, dict[str, Any], Plan, float, float]] = {
    # setting, changes of it, schedule, Eq. 12, without barriers
    "input: the device has its samples": (INPUT, {}, ALONE_ON_DEVICE, 0.0, 0.0),
    "input: all to the edge": (INPUT, {}, ALONE_ON_EDGE, 20.0, 20.0),
    "input: all to the cloud": (INPUT, {}, ALONE_ON_CLOUD, 40.0, 40.0),
    "input: all to the cloud, stored": (INPUT, {"relay": "store"}, ALONE_ON_CLOUD, 60.0, 60.0),
    "input: edge 4 x 2, cloud 3 x 4": (INPUT, {}, ALL_THREE, 12.0, 12.0),
    "input: edge 4 x 2, cloud 3 x 6": (INPUT, {"relay": "store"}, ALL_THREE, 18.0, 18.0),
    "input: edge 4 x 4, cloud 3 x max(4, 4)": (INPUT, {"share": True}, ALL_THREE, 16.0, 16.0),
    "input: edge 4 x 4, cloud 3 x (4 + 4)": (INPUT, {"share": True, "relay": "store"}, ALL_THREE, 24.0, 24.0),
    "input: one flow has the link": (
        INPUT, {"share": True}, Plan((CLOUD, EDGE, DEVICE), 2, 3, (5, 0, 5)), 20.0, 20.0
    ),
    "output: 4 x 40 / 10 there and back": (OUTPUT, {}, OUT_OF_DEVICE, 32.0, 32.0),
    "output: none behind the last layer here": (OUTPUT, {}, replace(OUT_OF_DEVICE, m_l=3), 0.0, 0.0),
    "output: s 4 x 40 / 5, l 4 x 10 / 5, a barrier between": (OUTPUT, {}, INTO_CLOUD, 2 * (32 + 8), 2 * 32),
    "output: l 4 x 10 (1/10 + 1/5)": (OUTPUT, {"relay": "store"}, INTO_CLOUD, 2 * (32 + 12), 2 * 32),
    "output: two flows on edge-cloud": (OUTPUT, {"share": True}, INTO_CLOUD, 2 * (64 + 16), 2 * 64),
    "weights: 150 / 10 there and back": (WEIGHTS, {}, replace(OUT_OF_DEVICE, m_l=2), 30.0, 30.0),
    "weights: one holder of each layer": (WEIGHTS, {}, replace(OUT_OF_DEVICE, m_l=2, b=(0, 0, 10)), 0.0, 0.0),
    "weights: always": (WEIGHTS, {"exchange": "always"}, replace(OUT_OF_DEVICE, m_l=2, b=(0, 0, 10)), 30.0, 30.0),
    "weights: always, of those at work": (WEIGHTS, {"exchange": "always"}, ALONE_ON_CLOUD, 0.0, 0.0),
    "weights: s 100 / 5, l 150 / 5": (WEIGHTS, {}, INTO_CLOUD, 60.0, 60.0),
    "weights: between s and l through o": (WEIGHTS, {}, replace(INTO_CLOUD, b=(0, 5, 5)), 60.0, 60.0),
    "weights: l 150 (1/10 + 1/5)": (WEIGHTS, {"relay": "store"}, INTO_CLOUD, 90.0, 90.0),
    "weights: two flows on edge-cloud": (WEIGHTS, {"share": True}, INTO_CLOUD, 120.0, 120.0),
    "update: all layers of the cloud": (UPDATE, {}, ALONE_ON_CLOUD, 24.0, 24.0),
    "update: the cloud's first two": (UPDATE, {}, Plan((DEVICE, EDGE, CLOUD), 0, 2, (5, 0, 5)), 15.0, 15.0),
    "update: o's three, of 15, 1 and 24": (UPDATE, {}, Plan((CLOUD, DEVICE, EDGE), 1, 3, (4, 3, 3)), 24.0, 24.0),
    "forward: max(2 x 8, 3 x 2, 5 x 1) + max(5 x 4, 5 x 0.5) + 10 x 2": (
        FORWARD, {}, Plan((DEVICE, EDGE, CLOUD), 1, 2, (2, 3, 5)), 56.0, 56.0
    ),
    "forward: max(1 x 2, 6 x 8, 3 x 1) + max(7 x 1, 3 x 0.5) + 10 x 0.5": (
        FORWARD, {}, Plan((EDGE, DEVICE, CLOUD), 1, 2, (1, 6, 3)), 60.0, 60.0
    ),
    "forward: max(1 x 1, 8 x 2, 1 x 8) + max(9 x 0.5, 1 x 4) + 10 x 0.25": (
        FORWARD, {}, Plan((CLOUD, EDGE, DEVICE), 1, 2, (1, 8, 1)), 23.0, 23.0
    ),
    "backward: max(2 x 8, 3 x 2, 5 x 1) + max(5 x 4, 5 x 0.5) + 10 x 2": (
        BACKWARD, {}, Plan((DEVICE, EDGE, CLOUD), 1, 2, (2, 3, 5)), 56.0, 56.0
    ),
    "a worker without samples has no part, whatever its layers": (
        zeros(weights=[9.0] * 3, update=[[7.0] * 3, [1.0] * 3, [7.0] * 3]), {"exchange": "always"},
        Plan((EDGE, DEVICE, CLOUD), 2, 3, (10, 0, 0)), 3.0, 3.0,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("plain", "changes", "plan", "paper", "event"), HAND.values(), ids=HAND)
def test_each_term_by_hand(plain: Plain, changes: dict[str, Any], plan: Plan, paper: float, event: float) -> None:
    plain = replace(plain, **changes)
    assert seconds(plain, plan) == pytest.approx(paper, rel=1e-12, abs=0)
    assert seconds(plain, plan, "event") == pytest.approx(event, rel=1e-12, abs=0)


def test_an_iteration_by_hand() -> None:
    """o on the edge, s on the cloud, l on the device: every term at once.

    Input: 4 samples take 2 s each to the edge, 2 take 4 s each to the cloud; the device's 4 stay. To m_s = 1: o 8 + 4,
    s 8 + 1 + 2 x 40 / 5, l 8; to m_l = 2: o 6 x 0.5, l 4 x 1 + 4 x 10 / 10; behind: 10 x 0.25.
    """
    plain = Plain(
        forward=[[2.0, 1.0, 1.0], [1.0, 0.5, 0.25], [0.5, 0.5, 0.5]],
        backward=[[4.0, 2.0, 2.0], [2.0, 1.0, 0.5], [1.0, 1.0, 1.0]],
        update=[[1.0, 1.0, 1.0], [2.0, 3.0, 4.0], [0.5, 0.5, 0.5]],
        weights=[100.0, 50.0, 1000.0],
        outputs=[40.0, 10.0, 99.0],
        sample=20.0,
        batch=10,
    )
    plan = Plan((EDGE, CLOUD, DEVICE), 1, 2, (4, 2, 4))
    forward = max(8 + 4, 8 + 1 + 16, 8) + max(3, 4 + 4) + 2.5
    backward = max(8, 2 + 16, 16) + max(6, 8 + 4) + 5
    assert seconds(plain, plan) == pytest.approx(forward + backward + 9 + 2 * max(100 / 5, 150 / 10), rel=1e-12)
    at = max(25 + 3, 8 + 4 + 4) + 2.5 + 5  # o is back at m_l
    s_done, l_done, o_done = at + 6 + 16 + 2, at + 4 + 8 + 16, at + 6 + 8
    averaged = max(o_done, s_done + 20, l_done + 15)
    event = max(averaged + 9, averaged + 20 + 0.5, averaged + 15 + 2)
    assert seconds(plain, plan, "event") == pytest.approx(event, rel=1e-12)


def test_slowing_a_term_down_is_noticed() -> None:
    """Every number of a setting counts for some schedule."""
    plain = random_plain(np.random.default_rng(3), 3, 9, variants=False)
    rng = np.random.default_rng(0)
    plans = to_schedules([random_plan(rng, 3, 9) for _ in range(300)])
    before = iteration_s(toy_system(plain), plans, *RATES)
    cells = [(name, w, i) for name in ("forward", "backward") for w in range(3) for i in range(3)]
    for name, w, i in cells:
        rows = [list(row) for row in getattr(plain, name)]
        rows[w][i] += 1.0
        after = iteration_s(toy_system(replace(plain, **{name: rows})), plans, *RATES)
        assert (after >= before * (1 - 1e-12)).all()
        assert (after > before + 0.1).any()


# Against loops.


@given(case=cases())
@settings(max_examples=300)
def test_the_papers_cost_is_that_of_its_equations(case: Any) -> None:
    plain, plan, rates = case
    assert seconds(plain, plan, rates=rates) == pytest.approx(paper_loop_s(plain, plan, rates), rel=1e-9)


@given(case=cases())
@settings(max_examples=300)
def test_the_makespan_is_that_of_an_event_queue(case: Any) -> None:
    plain, plan, rates = case
    assert seconds(plain, plan, "event", rates) == pytest.approx(event_loop_s(plain, plan, rates), rel=1e-9)


@pytest.mark.parametrize("changes", [{}, {"relay": "store", "share_links": True, "exchange": "always"}], ids=str)
@pytest.mark.parametrize("name", REAL)
def test_both_costs_of_real_networks(name: str, changes: dict[str, Any]) -> None:
    system, rng = System(get_scenario(name, batch=32, **changes)), np.random.default_rng(0)
    plain, plans = plain_of(system), [random_plan(rng, system.n_layers, 32) for _ in range(40)]
    device_edge, edge_cloud = 1e6 * rng.uniform(0.5, 50.0, (2, 40))
    for cost, loop in (("paper", paper_loop_s), ("event", event_loop_s)):
        found = iteration_s(system, to_schedules(plans), device_edge, edge_cloud, cost)
        expected = [loop(plain, *case) for case in zip(plans, zip(device_edge, edge_cloud, strict=True), strict=True)]
        assert found == pytest.approx(expected, rel=1e-9)


@given(case=cases(), other=st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_schedules_do_not_mix_in_a_batch(case: Any, other: int) -> None:
    plain, plan, rates = case
    rng, system = np.random.default_rng(other), toy_system(plain)
    plans = [random_plan(rng, plain.n_layers, plain.batch) for _ in range(6)] + [plan]
    all_rates = [random_rates(rng) for _ in range(6)] + [rates]
    for cost in ("paper", "event"):
        together = iteration_s(system, to_schedules(plans), *np.array(all_rates).T, cost=cost)
        pairs = zip(plans, all_rates, strict=True)
        assert together.tolist() == [iteration_s(system, to_schedules([p]), *r, cost=cost)[0] for p, r in pairs]


# The canonical form.


@given(case=cases())
@settings(max_examples=200)
def test_the_scored_form_is_canonical(case: Any) -> None:
    plain, plan, rates = case
    given_plan = to_schedules([plan])
    found = given_plan.canonical()
    assert to_plan(found) == scored(plan)
    assert to_plan(found.canonical()) == to_plan(found)
    assert to_plan(given_plan) == plan  # what was given is left as it is
    assert sum(to_plan(found).b) == plain.batch
    for cost in ("paper", "event"):
        assert seconds(plain, plan, cost, rates) == seconds(plain, to_plan(found), cost, rates)


@given(case=cases())
def test_a_single_helper_costs_the_same_as_s_and_as_l(case: Any) -> None:
    plain, plan, rates = case
    (o, s, l), b_o = plan.roles, int(plan.b[0])  # noqa: E741
    m = max(plan.m_l, 1)
    as_s = Plan((o, s, l), m, plain.n_layers, (b_o, plain.batch - b_o, 0))
    as_l = Plan((o, l, s), 0, m, (b_o, 0, plain.batch - b_o))
    for cost in ("paper", "event"):
        assert seconds(plain, as_s, cost, rates) == seconds(plain, as_l, cost, rates)


# Barriers.


@pytest.mark.parametrize("seed", [0, *slow(1, 2, 3, 4)])
def test_without_barriers_no_schedule_takes_longer(seed: int) -> None:
    """10 000 random schedules over links that flows do not divide, on toy and on real settings."""
    rng = np.random.default_rng(seed)
    name = str(rng.choice(REAL))
    systems = [(System(get_scenario(name)), 1e6)]
    systems += [(toy_system(random_plain(rng, 5, 30, share=False)), 1.0) for _ in range(3)]
    faster = 0
    for system, unit in systems:
        plans = to_schedules([random_plan(rng, system.n_layers, system.batch) for _ in range(500)])
        rates = unit * np.array([random_rates(rng) for _ in range(500)]).T
        t = terms(system, plans, *rates)
        paper, event = paper_s(t), event_s(t)
        assert (event <= paper * (1 + 1e-12)).all()
        faster += int((event < paper * (1 - 1e-6)).sum())
    assert faster > 500


@given(case=cases(share=False))
@settings(max_examples=150)
def test_one_worker_meets_no_barrier(case: Any) -> None:
    plain, plan, rates = case
    plan = Plan(plan.roles, plan.m_s, plan.m_l, (plain.batch, 0, 0))
    assert seconds(plain, plan, "event", rates) == pytest.approx(seconds(plain, plan, rates=rates), rel=1e-12)


@given(case=cases())
@settings(max_examples=150)
def test_one_worker_behind_another_meets_no_barrier(case: Any) -> None:
    """All samples run through l's layers, then through o's: nothing happens at the same time but the updates."""
    plain, plan, rates = case
    plan = Plan(plan.roles, 0, max(plan.m_l, 1), (0, 0, plain.batch))
    plain = replace(plain, exchange="holders")
    assert seconds(plain, plan, "event", rates) == pytest.approx(seconds(plain, plan, rates=rates), rel=1e-12)


@given(case=cases(share=False))
@settings(max_examples=200)
def test_two_workers_meet_no_barrier_where_l_is_always_last(case: Any) -> None:
    """Eq. 5 waits for both inputs, Eq. 11 for both updates: no difference if l's are the longer ones."""
    plain, plan, rates = case
    l = plan.roles[2]  # noqa: E741
    slow = [[1000.0 * x + 100.0 if w == l else x / 1000.0 for x in row] for w, row in enumerate(plain.backward)]
    slow_update = [[1e6 if w == l else x for x in row] for w, row in enumerate(plain.update)]
    plain = replace(plain, backward=slow, update=slow_update, forward=slow, sample=0.0)
    plan = Plan(plan.roles, 0, plain.n_layers, (plain.batch // 2, 0, plain.batch - plain.batch // 2))
    assert seconds(plain, plan, "event", rates) == pytest.approx(seconds(plain, plan, rates=rates), rel=1e-12)


@pytest.mark.parametrize("relay", ["stream", "store"])
def test_three_workers_meet_no_barrier_where_the_last_is_the_same_on_both_sides(relay: str) -> None:
    """s is last up to m_s, o behind it; s has the longer way of the weights and the longer update."""
    plain = Plain(
        forward=[[9.0, 0.1, 0.1], [1.0, 5.0, 2.0], [0.1, 0.1, 0.1]],
        backward=[[9.0, 0.1, 0.1], [1.0, 5.0, 2.0], [0.1, 0.1, 0.1]],
        update=[[99.0] * 3, [1.0] * 3, [1.0] * 3],
        weights=[100.0, 0.0, 0.0], outputs=[50.0, 1.0, 1.0], sample=1.0, batch=10, relay=relay,
    )  # fmt: skip
    plan = Plan((EDGE, DEVICE, CLOUD), 1, 2, (3, 4, 3))
    rates = (1.0, 1000.0)
    assert seconds(plain, plan, "event", rates) == pytest.approx(seconds(plain, plan, rates=rates), rel=1e-12)
    l_last = replace(plain, forward=[*plain.forward[:2], [0.1, 99.0, 0.1]])  # now l is the last to reach m_l
    assert seconds(l_last, plan, "event", rates) < seconds(l_last, plan, rates=rates) - 1.0


# Plain model parallelism.


@given(case=cases(share=False), owners=st.lists(st.integers(0, 2), min_size=8, max_size=8))
@settings(max_examples=200)
def test_layers_one_by_one(case: Any, owners: list[int]) -> None:
    plain, _, rates = case
    owner = owners[: plain.n_layers]
    for bits in (32, 16, 8, 4):
        found = layers_s(toy_system(plain), np.array(owner)[:, None], *rates, activation_bits=bits)
        assert found == pytest.approx([sum(layers_loop_s(plain, owner, rates, bits))], rel=1e-9)


@pytest.mark.parametrize("order", ["C", "F"])
def test_assignments_of_many_layers_do_not_mix_in_a_batch(order: Any) -> None:
    rng, system = np.random.default_rng(0), System(get_scenario("alexnet-3.5"))
    owner = np.array(rng.integers(0, 3, (system.n_layers, 50)), order=order)
    rates = rng.uniform(1e6, 1e8, (2, 50))
    together = layers_s(system, owner, *rates)
    assert system.n_layers >= 8  # fewer numbers are summed in one order anyway
    assert together.tolist() == [layers_s(system, owner[:, [i]], *rates[:, i])[0] for i in range(50)]


def test_layers_by_hand() -> None:
    """Device, cloud, edge: 2 x 4 x 40 / 5, 2 x 4 x 10 / 5; compute 4 x (3 + 7 + 5); updates side by side."""
    plain = zeros(
        batch=4, outputs=[40.0, 10.0, 77.0], sample=1e9, forward=[[1.0] * 3, [3.0] * 3, [2.0] * 3],
        backward=[[2.0] * 3, [4.0] * 3, [3.0] * 3], update=[[2.0] * 3, [3.0] * 3, [4.0] * 3], weights=[1e9] * 3,
    )  # fmt: skip
    owner = np.array([[DEVICE, CLOUD, EDGE], [EDGE, EDGE, EDGE]]).T
    found = layers_s(toy_system(plain), owner, *RATES)
    assert found == pytest.approx([64 + 16 + 60 + 4, 4e8 + 4 * 3 * 7 + 9])
    assert layers_s(toy_system(plain), owner, *RATES, 8)[0] == pytest.approx(16 + 4 + 60 + 4)
    assert layers_s(toy_system(replace(plain, relay="store")), owner, *RATES)[0] == pytest.approx(96 + 16 + 60 + 4)


@pytest.mark.parametrize("worker", [DEVICE, EDGE, CLOUD])
@pytest.mark.parametrize("name", REAL)
def test_all_layers_on_one_worker_is_all_samples_on_it(name: str, worker: int) -> None:
    system = System(get_scenario(name))
    owner = np.full((system.n_layers, 1), worker)
    expected = iteration_s(system, alone(worker, system.batch), *system.nominal)
    assert layers_s(system, owner, *system.nominal) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", REAL)
def test_one_cut_is_a_schedule_but_for_os_update(name: str) -> None:
    """The device up to k, the cloud behind it: as a schedule, o updates all layers (Eq. 3), not only its own."""
    system = System(get_scenario(name))
    n, rates = system.n_layers, system.nominal
    for k in range(1, n):
        plan = Plan((CLOUD, EDGE, DEVICE), 0, k, (0, 0, system.batch))
        owner = np.array([DEVICE] * k + [CLOUD] * (n - k))[:, None]
        front, update = system.update_s[DEVICE, k], system.update_s[CLOUD]
        more = max(update[n], front) - max(update[n] - update[k], front)
        found = iteration_s(system, to_schedules([plan]), *rates) - layers_s(system, owner, *rates)
        assert found == pytest.approx([more], rel=1e-6, abs=1e-9)


# Handing weights out.


@given(case=cases(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=300)
def test_everyone_gets_the_weights_that_it_lacks(case: Any, seed: int) -> None:
    plain, old, rates = case
    new = random_plan(np.random.default_rng(seed), plain.n_layers, plain.batch)
    before, after = (to_schedules([plan]).canonical() for plan in (old, new))
    found = hand_out_s(toy_system(plain), before, after, *rates)
    assert found == pytest.approx([hand_out_loop_s(plain, old, new, rates)], rel=1e-9)
    assert hand_out_s(toy_system(plain), before, before, *rates).tolist() == [0.0]


def test_handing_out_by_hand() -> None:
    """Layers of 100, 50 and 30 bits; l on the device holds the first two, o on the edge all; the cloud none."""
    plain = zeros(weights=[100.0, 50.0, 30.0])
    old = Plan((EDGE, CLOUD, DEVICE), 0, 2, (5, 0, 5))
    expected = {
        Plan((EDGE, CLOUD, DEVICE), 0, 1, (5, 0, 5)): 0.0,  # fewer than it had
        Plan((EDGE, CLOUD, DEVICE), 0, 3, (5, 0, 5)): 30 / 10,
        Plan((EDGE, CLOUD, DEVICE), 1, 3, (3, 4, 3)): 100 / 5,  # and 30 / 10 to the device meanwhile
        Plan((DEVICE, EDGE, CLOUD), 0, 0, (10, 0, 0)): 30 / 10,
        Plan((CLOUD, EDGE, DEVICE), 0, 3, (0, 0, 10)): 30 / 10,  # the cloud trains nothing
        Plan((CLOUD, EDGE, DEVICE), 0, 2, (0, 0, 10)): 30 / 5,
        Plan((CLOUD, EDGE, DEVICE), 1, 2, (10, 0, 0)): 180 / 5,
    }
    for new, lasts in expected.items():
        before, after = (to_schedules([plan]).canonical() for plan in (old, new))
        assert hand_out_s(toy_system(plain), before, after, *RATES) == pytest.approx([lasts])
    lone = Plan((EDGE, CLOUD, DEVICE), 0, 2, (0, 0, 10))  # the edge has the last layer only
    taken = {
        Plan((EDGE, CLOUD, DEVICE), 0, 0, (10, 0, 0)): 150 / 10,
        Plan((CLOUD, EDGE, DEVICE), 0, 0, (10, 0, 0)): 150 / 5 + 30 / 5,
        Plan((CLOUD, EDGE, DEVICE), 0, 2, (0, 0, 10)): 30 / 5,
    }
    for new, lasts in taken.items():
        before, after = (to_schedules([plan]).canonical() for plan in (lone, new))
        assert hand_out_s(toy_system(plain), before, after, *RATES) == pytest.approx([lasts])
    via_edge = Plan((CLOUD, EDGE, DEVICE), 0, 0, (10, 0, 0)), Plan((DEVICE, EDGE, CLOUD), 0, 0, (10, 0, 0))
    before, after = (to_schedules([plan]) for plan in via_edge)
    assert hand_out_s(toy_system(plain), before, after, *RATES) == pytest.approx([180 / 5])
    stored = toy_system(replace(plain, relay="store"))
    assert hand_out_s(stored, before, after, *RATES) == pytest.approx([180 / 5 + 180 / 10])
