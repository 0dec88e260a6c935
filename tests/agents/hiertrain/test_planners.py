"""HierTrain's planners: the exact one against brute force, the paper's, all on one worker, layer by layer."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.agents.hiertrain.layerwise import ASSIGNMENTS, shortest_path
from splitgym.agents.hiertrain.planners import PLANNERS, _relaxed, rounded
from splitgym.envs.hiertrain.cost import iteration_s, layers_s
from splitgym.envs.hiertrain.lines import lines_of
from splitgym.envs.hiertrain.planning import ExactPlanner
from splitgym.envs.hiertrain.scenarios import GROUPS, SCENARIOS, get_scenario
from splitgym.envs.hiertrain.schedule import ROLES, alone
from splitgym.envs.hiertrain.system import System

from ... import slow
from ...envs.hiertrain.episodes import make
from ...envs.hiertrain.reference import (
    CLOUD,
    DEVICE,
    EDGE,
    Plan,
    all_plans,
    cases,
    every_schedule,
    layers_loop_s,
    paper_loop_s,
    random_plain,
    random_rates,
    to_plan,
    to_schedules,
    toy_system,
    zeros,
)

VARIANTS = [
    {"relay": relay, "share": share, "exchange": exchange}
    for relay, share, exchange in product(("stream", "store"), (False, True), ("holders", "always"))
]
SOME = [*GROUPS["lenet5"], "alexnet-1.5", "alexnet-3", "alexnet-5", "alexnet-3-c4", "vgg16-3.5"]
ALONE = {"all-device": DEVICE, "all-edge": EDGE, "all-cloud": CLOUD}


def seconds(system: System, plan: Plan, rates: tuple[float, float]) -> float:
    return float(iteration_s(system, to_schedules([plan]), *rates)[0])


# The exact planner.


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: "-".join(map(str, v.values())))
def test_exact_is_brute_force(variant: dict[str, Any]) -> None:
    """30 settings of every variant, 240 in all: each mapping, both cuts, every number of samples of each."""
    rng, three = np.random.default_rng(VARIANTS.index(variant)), 0
    for i in range(30):
        n_layers, batch = (6, 12) if i == 0 else (int(rng.integers(1, 7)), int(rng.integers(1, 13)))
        system, rates = toy_system(random_plain(rng, n_layers, batch, variants=False, **variant)), random_rates(rng)
        plans, everything = every_schedule(n_layers, batch)
        least = float(iteration_s(system, everything, *rates).min())
        best = ExactPlanner(system).best(*rates)
        plan = to_plan(best.plan)
        assert best.seconds == pytest.approx(least, rel=1e-12)
        assert seconds(system, plan, rates) == best.seconds
        assert sum(plan.b) == batch
        assert plan in plans
        three += min(plan.b) > 0
    assert three >= 2  # the search over three workers decides


def test_exact_is_brute_force_over_the_equations_themselves() -> None:
    rng = np.random.default_rng(5)
    for _ in range(12):
        plain, rates = random_plain(rng, int(rng.integers(1, 4)), int(rng.integers(1, 7))), random_rates(rng)
        least = min(paper_loop_s(plain, plan, rates) for plan in all_plans(plain.n_layers, plain.batch))
        assert ExactPlanner(toy_system(plain)).best(*rates).seconds == pytest.approx(least, rel=1e-9)


@pytest.mark.parametrize("batch", [1, 2, 3, 16, 17, 18, 33])
@pytest.mark.parametrize("share", [False, True])
def test_exact_at_the_borders_of_its_cells(batch: int, share: bool) -> None:
    """b_l is bounded in cells of 16; few samples leave fewer cases."""
    rng = np.random.default_rng(batch)
    for n_layers in (1, 2):
        _, everything = every_schedule(n_layers, batch)
        for _ in range(10):
            system, rates = toy_system(random_plain(rng, n_layers, batch, share=share)), random_rates(rng)
            least = float(iteration_s(system, everything, *rates).min())
            assert ExactPlanner(system).best(*rates).seconds == pytest.approx(least, rel=1e-12)


def test_exact_where_nothing_takes_time() -> None:
    """Lines of slope 0 have no kinks."""
    assert ExactPlanner(toy_system(zeros())).best(10.0, 5.0).seconds == 0.0
    only_cloud = zeros(forward=[[1.0] * 3, [1.0] * 3, [0.0] * 3])
    assert ExactPlanner(toy_system(only_cloud)).best(10.0, 5.0).seconds == 0.0


def test_exact_deals_samples_out_where_that_is_best() -> None:
    """Free links, equal workers, a layer without a tail: each takes a third."""
    equal = zeros(1, 12, forward=[[1.0]] * 3, backward=[[2.0]] * 3)
    best = ExactPlanner(toy_system(equal)).best(10.0, 5.0)
    assert sorted(to_plan(best.plan).b) == [4, 4, 4]
    assert best.seconds == pytest.approx(12.0)
    unequal = zeros(1, 12, forward=[[6.0], [3.0], [2.0]])
    best = ExactPlanner(toy_system(unequal)).best(10.0, 5.0)
    plan = to_plan(best.plan)
    assert dict(zip(plan.roles, plan.b, strict=True)) == {DEVICE: 2, EDGE: 4, CLOUD: 6}
    assert best.seconds == pytest.approx(12.0)


@given(case=cases(most_layers=6, most_samples=60))
@settings(max_examples=60)
def test_no_schedule_beats_exact(case: Any) -> None:
    plain, plan, rates = case
    assert ExactPlanner(toy_system(plain)).best(*rates).seconds <= seconds(toy_system(plain), plan, rates) * (1 + 1e-12)


@given(case=cases(most_layers=5, most_samples=30), factor=st.floats(1.0, 10.0))
@settings(max_examples=40)
def test_faster_links_and_workers_never_cost(case: Any, factor: float) -> None:
    plain, _, (device_edge, edge_cloud) = case
    system = toy_system(plain)
    before = ExactPlanner(system).best(device_edge, edge_cloud).seconds
    for rates in ((factor * device_edge, edge_cloud), (device_edge, factor * edge_cloud)):
        assert ExactPlanner(system).best(*rates).seconds <= before * (1 + 1e-12)
    faster = [row if w != EDGE else [x / factor for x in row] for w, row in enumerate(plain.forward)]
    assert ExactPlanner(toy_system(replace(plain, forward=faster))).best(device_edge, edge_cloud).seconds <= before * (
        1 + 1e-12
    )


@given(case=cases(most_layers=4, most_samples=20, share=False), factor=st.sampled_from([0.25, 4.0, 1024.0]))
@settings(max_examples=30)
def test_units_do_not_matter(case: Any, factor: float) -> None:
    """Bits and bit/s scaled together change nothing; all seconds scaled scale the optimum."""
    plain, _, rates = case
    before = ExactPlanner(toy_system(plain)).best(*rates)
    bits = replace(
        plain, weights=[factor * x for x in plain.weights], outputs=[factor * x for x in plain.outputs],
        sample=factor * plain.sample,
    )  # fmt: skip
    assert ExactPlanner(toy_system(bits)).best(factor * rates[0], factor * rates[1]).seconds == before.seconds


# The paper's planner.


def integer_shares(batch: int, m_s: int, m_l: int) -> list[tuple[int, int, int]]:
    return [
        (batch - b_s - b_l, b_s, b_l)
        for b_s in range(batch + 1 if m_s else 1)
        for b_l in range(batch - b_s + 1 if m_l else 1)
    ]


@pytest.mark.parametrize("seed", [0, 1, *slow(2, 3, 4, 5)])
def test_the_relaxed_program_bounds_every_whole_number_of_samples(seed: int) -> None:
    """The bound holds updates and weights of three workers at work, whatever the solution gives them."""
    rng, batch, n_layers = np.random.default_rng(seed), 9, 3
    plain, rates = random_plain(rng, n_layers, batch), random_rates(rng)
    system = toy_system(plain)
    m_s, m_l = (a.tolist() for a in np.triu_indices(n_layers))
    for mapping in range(6):
        roles = tuple(ROLES[:, mapping].tolist())
        columns = np.full(len(m_s), mapping), np.array(m_s) + 1, np.array(m_l) + 1
        lines = lines_of(system, *columns, *rates)
        for case in range(len(m_s)):
            cuts = m_s[case] + 1, m_l[case] + 1
            b = _relaxed(lines, case, *cuts, batch)
            assert b.sum() == pytest.approx(batch)
            assert b.min() >= -1e-9
            least = paper_loop_s(plain, Plan(roles, *cuts, tuple(b.tolist())), rates, working=(0, 1, 2))
            shares = [*integer_shares(batch, *cuts), *(batch * rng.dirichlet(np.ones(3), 20)).tolist()]
            others = [paper_loop_s(plain, Plan(roles, *cuts, tuple(b)), rates, working=(0, 1, 2)) for b in shares]
            assert least <= min(others) * (1 + 1e-7)
            at_work = [Plan(roles, *cuts, b) for b in integer_shares(batch, *cuts) if min(b) > 0]
            assert least <= min(seconds(system, plan, rates) for plan in at_work) * (1 + 1e-7)


@pytest.mark.parametrize(
    ("solution", "expected"),
    [
        ([4.0, 3.0, 5.0], [4, 3, 5]),  # integral: it stays
        ([12.0, 0.0, 0.0], [12, 0, 0]),
        ([0.0, 0.0, 12.0], [0, 0, 12]),
        ([3.9999999999, 3.0000000001, 5.0], [4, 3, 5]),  # integral but for the solver's precision
        ([12.0000000001, -1e-12, 0.0], [12, 0, 0]),
        ([4.2, 3.7, 4.1], [4, 4, 4]),  # one up: the largest fraction
        ([4.5, 3.5, 4.0], [5, 3, 4]),  # of equals the first
        ([4.7, 3.6, 3.7], [5, 3, 4]),  # two up
        ([4.1, 3.95, 3.95], [4, 4, 4]),
        ([0.4, 0.3, 11.3], [1, 0, 11]),
        ([11.5, 0.0, 0.5], [12, 0, 0]),
        ([11.4, 0.0, 0.6], [11, 0, 1]),
    ],
    ids=str,
)
def test_the_papers_rounding(solution: list[float], expected: list[int]) -> None:
    found = rounded(np.array(solution), 12)
    assert found.tolist() == expected
    assert found.dtype.kind == "i"


@given(st.integers(0, 2**32 - 1), st.integers(1, 500))
@settings(max_examples=200)
def test_rounding_keeps_the_sum_and_moves_none_by_more_than_one(seed: int, batch: int) -> None:
    share = np.random.default_rng(seed).dirichlet([0.5, 0.5, 0.5])
    found = rounded(batch * share, batch)
    assert found.sum() == batch
    assert found.min() >= 0
    assert np.abs(found - batch * share).max() < 1 + 1e-6


def test_hiertrain_is_never_better_than_exact_and_seldom_worse() -> None:
    rng, gaps = np.random.default_rng(2), []
    for i in range(24):
        plain = random_plain(rng, int(rng.integers(1, 4)), int(rng.integers(1, 40)), variants=False, **VARIANTS[i % 8])
        system, rates = toy_system(plain), random_rates(rng)
        plan = to_plan(PLANNERS["hiertrain"](system)(*rates))
        assert sum(plan.b) == plain.batch
        gap = seconds(system, plan, rates) / ExactPlanner(system).best(*rates).seconds - 1.0
        assert gap >= -1e-12
        if not plain.share and plain.batch > 5:
            gaps.append(gap)
    assert np.mean(gaps) < 0.02
    assert np.mean(np.array(gaps) < 1e-9) > 0.3


def test_hiertrain_finds_whole_optima() -> None:
    unequal = zeros(1, 12, forward=[[6.0], [3.0], [2.0]])
    plan = to_plan(PLANNERS["hiertrain"](toy_system(unequal))(10.0, 5.0))
    assert dict(zip(plan.roles, plan.b, strict=True)) == {DEVICE: 2, EDGE: 4, CLOUD: 6}


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"share_links": True, "relay": "store"}, {"exchange": "always"}], ids=str)
@pytest.mark.parametrize("name", SOME)
def test_hiertrain_is_never_better_than_exact_in_scenarios(name: str, changes: dict[str, Any]) -> None:
    for batch in (7, 128):
        system = System(get_scenario(name, batch=batch, **changes))
        found = PLANNERS["hiertrain"](system)(*system.nominal)
        gap = iteration_s(system, found, *system.nominal)[0] / ExactPlanner(system).best(*system.nominal).seconds - 1
        assert -1e-12 <= gap < 0.5


def test_hiertrain_is_never_better_than_exact_in_a_scenario() -> None:
    system = System(get_scenario("lenet5-2", device="nano", cloud="i3-7100u"))
    found = PLANNERS["hiertrain"](system)(5e7, 2e7)
    gap = iteration_s(system, found, 5e7, 2e7)[0] / ExactPlanner(system).best(5e7, 2e7).seconds - 1.0
    assert -1e-12 <= gap < 0.05


# Baselines inside the schedule space.


@pytest.mark.parametrize(
    "changes", [{}, {"share_links": True}, *slow({"relay": "store"}, {"exchange": "always"})], ids=str
)
@pytest.mark.parametrize("name", SCENARIOS)
def test_no_baseline_beats_exact(name: str, changes: dict[str, Any]) -> None:
    """All-*, and the device up to any layer with the cloud behind it (JointDNN's cuts), or with the edge behind it."""
    system = System(get_scenario(name, **changes))
    n, batch, rates = system.n_layers, system.batch, system.nominal
    best = ExactPlanner(system).best(*rates).seconds
    for planner, worker in ALONE.items():
        plan = PLANNERS[planner](system)(*rates)
        assert to_plan(plan) == to_plan(alone(worker, batch))
        assert iteration_s(system, plan, *rates)[0] >= best * (1 - 1e-12)
    cuts = [Plan((o, 3 - o, DEVICE), 0, k, (0, 0, batch)) for o in (EDGE, CLOUD) for k in range(1, n + 1)]
    assert iteration_s(system, to_schedules(cuts), *rates).min() >= best * (1 - 1e-12)


@pytest.mark.parametrize("name", [name for group in ("lenet5", "alexnet", "scaling") for name in GROUPS[group]])
def test_jointdnns_own_cut_does_not_beat_exact(name: str) -> None:
    system = System(get_scenario(name))
    owner = ASSIGNMENTS["jointdnn"](system)(*system.nominal)
    found = layers_s(system, owner[:, None], *system.nominal)[0]
    assert found >= ExactPlanner(system).best(*system.nominal).seconds * (1 - 1e-12)


# Layer by layer.


def every_assignment(n_layers: int, workers: tuple[int, ...]) -> list[tuple[int, ...]]:
    return list(product(workers, repeat=n_layers))


@pytest.mark.parametrize("bits", [32, 8])
@pytest.mark.parametrize("workers", [(DEVICE, CLOUD), (DEVICE, EDGE, CLOUD), (EDGE, CLOUD)], ids=str)
def test_shortest_path_is_brute_force(workers: tuple[int, ...], bits: int) -> None:
    rng, mixed = np.random.default_rng(bits), 0
    for _ in range(12):
        n_layers = int(rng.integers(1, 7 if len(workers) < 3 else 6))
        plain, rates = random_plain(rng, n_layers, int(rng.integers(1, 13))), random_rates(rng)
        found = shortest_path(toy_system(plain), workers, bits)(*rates)
        everything = every_assignment(n_layers, workers)
        least = min(layers_loop_s(plain, owner, rates, bits)[0] for owner in everything)
        assert tuple(found.tolist()) in everything
        assert layers_loop_s(plain, found.tolist(), rates, bits)[0] == pytest.approx(least, rel=1e-9)
        mixed += len(set(found.tolist())) > 1
    assert mixed > 0


def test_shortest_path_over_all_of_3_to_the_6() -> None:
    rng = np.random.default_rng(7)
    plain, rates = random_plain(rng, 6, 10), random_rates(rng)
    owners = np.array(every_assignment(6, (DEVICE, EDGE, CLOUD))).T
    free = replace(plain, update=[[0.0] * 6] * 3)
    found = shortest_path(toy_system(plain), (DEVICE, EDGE, CLOUD))(*rates)
    least = layers_s(toy_system(free), owners, *rates).min()
    assert layers_s(toy_system(free), found[:, None], *rates)[0] == pytest.approx(least, rel=1e-12)


def test_the_baselines_workers_and_bits() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        plain, rates = random_plain(rng, 5, 8), random_rates(rng)
        system = toy_system(plain)
        for name, workers, bits in (
            ("jointdnn", (DEVICE, CLOUD), 32), ("jointdnn+", (DEVICE, EDGE, CLOUD), 32), ("jalad", (EDGE, CLOUD), 8)
        ):  # fmt: skip
            found = ASSIGNMENTS[name](system)(*rates)
            least = min(layers_loop_s(plain, o, rates, bits)[0] for o in every_assignment(5, workers))
            assert set(found.tolist()) <= set(workers)
            assert layers_loop_s(plain, found.tolist(), rates, bits)[0] == pytest.approx(least, rel=1e-9)


def test_eight_bits_move_a_quarter() -> None:
    """A cut that costs 32 bits more than it saves is worth it at 8."""
    plain = zeros(2, 10, outputs=[8.0, 0.0], forward=[[0.0, 0.0], [1.0, 4.0], [4.0, 1.0]])
    system, rates = toy_system(plain), (10.0, 16.0)
    edge_cloud = (EDGE, CLOUD)
    assert shortest_path(system, edge_cloud, 32)(*rates).tolist() == [EDGE, CLOUD]  # 10 + 10 + 2 x 5 = 30 < 50
    slow = (10.0, 4.0)
    assert shortest_path(system, edge_cloud, 32)(*slow).tolist() == [EDGE, EDGE]  # 20 + 2 x 20 > 50
    assert shortest_path(system, edge_cloud, 8)(*slow).tolist() == [EDGE, CLOUD]  # 20 + 2 x 5 < 50
    assert layers_s(system, np.array([[EDGE], [CLOUD]]), *slow, 8)[0] == pytest.approx(30.0)


@given(case=cases(most_layers=5, most_samples=20))
@settings(max_examples=60)
def test_more_workers_fewer_bits_and_faster_links_never_cost(case: Any) -> None:
    plain, _, rates = case
    system = toy_system(plain)

    def least(workers: tuple[int, ...], bits: int, rates: tuple[float, float]) -> float:
        return layers_loop_s(plain, shortest_path(system, workers, bits)(*rates).tolist(), rates, bits)[0]

    everyone = (DEVICE, EDGE, CLOUD)
    slack = 1 + 1e-12
    assert least(everyone, 32, rates) <= least((DEVICE, CLOUD), 32, rates) * slack
    assert least((EDGE, CLOUD), 8, rates) <= least((EDGE, CLOUD), 32, rates) * slack
    assert least(everyone, 8, rates) <= least((EDGE, CLOUD), 8, rates) * slack
    assert least(everyone, 32, (2 * rates[0], 3 * rates[1])) <= least(everyone, 32, rates) * slack


@pytest.mark.parametrize("name", ["alexnet", "lenet5"])
def test_the_edge_alone_does_not_see_the_cloud_and_the_cloud_gains_by_its_rate(name: str) -> None:
    edge, cloud = [], []
    for scenario in GROUPS[name]:
        system = System(get_scenario(scenario))
        edge.append(iteration_s(system, alone(EDGE, system.batch), *system.nominal)[0])
        cloud.append(iteration_s(system, alone(CLOUD, system.batch), *system.nominal)[0])
    assert len(set(edge)) == 1
    assert (np.diff(cloud) < 0).all()


def test_planner_agents_and_baselines_know_their_plans() -> None:
    system = make("lenet5-2", blocks=2).dynamics.system
    for name, worker in ALONE.items():
        for rates in ((1.0, 1.0), system.nominal):
            assert to_plan(PLANNERS[name](system)(*rates)) == to_plan(alone(worker, system.batch))
