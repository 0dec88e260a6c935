"""The joint search: valid, deterministic, never worse than a baseline, and exact where all plans can be tried."""

from __future__ import annotations

from functools import cache
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.agents.distredge.baselines import PLANNERS
from splitgym.agents.distredge.joint import JointSearch, Population, encode
from splitgym.envs.distredge.scenarios import SCENARIOS, get_scenario
from splitgym.envs.distredge.system import PlanBatch, System
from splitgym.models.chain import Unit
from splitgym.models.layers import Conv, Pool, Shape
from splitgym.models.model import Model
from splitgym.models.plans import SpatialPlan

from ... import slow

QUICK: dict[str, Any] = {"population": 256, "patience": 5, "rounds": 1}
FEW = ("DA-50", "LD", *slow("DB-300", "DC-50", "NA-nano", "NA-nano-resnet50", "DB-50-yolov2"))
FOUR_DEVICES = [n for n, s in SCENARIOS.items() if s.model == "vgg16" and len(s.devices) == 4 and not s.varies]


@cache
def system_of(scenario: str) -> System:
    return System(get_scenario(scenario))


def best_baseline_s(system: System, mbps: np.ndarray | None = None) -> float:
    plans = [planner(system, mbps) for planner in PLANNERS.values()]
    return float(system.evaluate(plans, mbps=None if mbps is None else mbps[:, None]).min())


@pytest.mark.parametrize("scenario", FEW)
def test_never_worse_than_any_baseline(scenario: str) -> None:
    system = system_of(scenario)
    plan, latency = JointSearch(system, 0, **QUICK).search()
    plan.validate(system.model)
    assert plan.devices == system.names
    assert system.evaluate([plan])[0] == latency
    assert latency <= best_baseline_s(system) + 1e-9


@pytest.mark.parametrize("seed", [0, *slow(1, 2)])
def test_never_worse_even_without_any_search(seed: int) -> None:
    """By construction: the baselines' plans are where it starts."""
    system = system_of("NA-nano")
    _, latency = JointSearch(system, seed, population=8, parents=1, patience=0, rounds=1).search()
    assert latency <= best_baseline_s(system) + 1e-9


def test_deterministic_for_a_seed() -> None:
    system = system_of("DA-50")
    seen: list[list[tuple[int, float]]] = [[], []]
    runs = []
    for some in seen:
        search = JointSearch(system, 4, **QUICK)
        runs.append((search.search(lambda g, best, some=some: some.append((g, best))), search.evaluated))
    assert runs[0] == runs[1]
    assert seen[0] == seen[1]
    (other, _) = JointSearch(system, 5, **QUICK).search()
    assert other != runs[0][0][0]


def test_reports_every_generation_and_never_gets_worse() -> None:
    seen: list[tuple[int, float]] = []
    shares: list[float] = []
    search = JointSearch(system_of("NA-nano"), 0, **QUICK)

    def told(generation: int, best: float) -> None:
        seen.append((generation, best))
        shares.append(search.share)

    _, latency = search.search(told)
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] <= 1
    assert [g for g, _ in seen] == list(range(1, search.generation + 1))
    assert latency <= min(best for _, best in seen)


def test_plans_for_the_rates_it_is_given() -> None:
    system = system_of("NA-nano")
    mbps = np.array([300.0, 20.0, 20.0, 20.0])
    plan, latency = JointSearch(system, 0, **QUICK, mbps=mbps).search()
    assert system.evaluate([plan], mbps=mbps[:, None])[0] == latency
    assert latency <= best_baseline_s(system, mbps) + 1e-9
    nominal, _ = JointSearch(system, 0, **QUICK).search()
    assert latency < system.evaluate([nominal], mbps=mbps[:, None])[0]


@st.composite
def plans_of(draw: st.DrawFn, scenario: str) -> SpatialPlan:
    system = system_of(scenario)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    cuts = [
        *np.flatnonzero(rng.random(system.n_units - 1) < draw(st.sampled_from([0.0, 0.2, 1.0]))) + 1,
        system.n_units,
    ]
    heights = system.heights[np.array(cuts) - 1]
    return system.plan(cuts, [np.sort(rng.integers(0, h + 1, system.n_devices - 1)) for h in heights])


@given(plans=st.lists(plans_of("DC-50"), min_size=1, max_size=8))
@settings(max_examples=50)
def test_genes_give_the_plan_back(plans: list[SpatialPlan]) -> None:
    system = system_of("DC-50")
    people = encode(system, plans)
    assert len(people) == len(plans)
    assert [people.plan(system, i) for i in range(len(plans))] == plans
    batch, expected = people.batch(system.heights), PlanBatch.of(plans, system.n_units)
    assert np.array_equal(batch.count, expected.count)
    for i, count in enumerate(batch.count):
        assert np.array_equal(batch.stops[:count, i], expected.stops[:count, i])
        assert np.array_equal(batch.splits[:count, :, i], expected.splits[:count, :, i])


def check_valid(system: System, people: Population) -> None:
    """Every individual is a valid plan, and the batch that is scored is that plan."""
    batch = people.batch(system.heights)
    for i in range(len(people)):
        plan = people.plan(system, i).validate(system.model)
        assert batch.count[i] == len(plan.cuts)
        assert tuple(batch.stops[: batch.count[i], i]) == plan.cuts
        assert np.array_equal(batch.splits[: batch.count[i], :, i], np.array(plan.splits))


@given(
    scenario=st.sampled_from(["DC-50", "LB", "DB-50-yolov2"]),
    seed=st.integers(0, 2**32 - 1),
    parents=st.integers(1, 12),
    generations=st.integers(1, 6),
)
@settings(max_examples=25)
def test_children_of_every_generation_are_valid_plans(scenario: str, seed: int, parents: int, generations: int) -> None:
    system = system_of(scenario)
    search = JointSearch(system, seed, population=24)
    people = search._random(parents)
    check_valid(system, people)
    for _ in range(generations):
        before, family = people.take(np.arange(len(people))), search._mutate(people)
        kept, children = family.take(slice(len(people))), family.take(slice(len(people), None))
        assert len(children) == 24
        for parents_now in (people, kept):  # they are copied, not changed
            assert np.array_equal(parents_now.posts, before.posts)
            assert np.array_equal(parents_now.ends, before.ends)
        check_valid(system, children)
        assert children.posts.min() >= 0
        assert children.posts.max() <= 1
        assert np.all(np.diff(children.posts, axis=2) >= 0)
        people = children.take(search.rng.permutation(24)[:parents])


@pytest.mark.parametrize("scenario", ["DC-50", "LB"])
def test_neighbours_are_valid_plans(scenario: str) -> None:
    system = system_of(scenario)
    search = JointSearch(system, 0)
    for plan in (system.everything_on(0), PLANNERS["aofl"](system, None), PLANNERS["modnn"](system, None)):
        check_valid(system, search._neighbours(encode(system, [plan])))


def test_polish_ends_where_no_small_change_helps() -> None:
    system = system_of("NA-nano")
    search = JointSearch(system, 0)
    start = encode(system, [PLANNERS["aofl"](system, None)])
    polished = search._polish(start)
    scores = search._score(search._neighbours(polished))
    assert search._score(polished)[0] <= scores.min()
    assert search._score(polished)[0] < search._score(start)[0]


def every_plan(system: System) -> PlanBatch:
    """All partitions with all splits over two devices."""
    units, stops, splits, counts = system.n_units, [], [], []
    for count in range(units):
        for inside in combinations(range(1, units), count):
            cuts, unused = (*inside, units), units - 1 - count
            for rows in product(*(range(system.heights[c - 1] + 1) for c in cuts)):
                stops.append((*cuts, *[units] * unused))
                splits.append((*rows, *[0] * unused))
                counts.append(len(cuts))
    return PlanBatch(np.array(stops).T, np.array(counts), np.array(splits).T[:, None])


def tiny_model(pooled: bool, width: int = 100) -> Model:
    """Three or four units, heavy enough for slow devices that one of them alone is not the answer."""
    convs = [Unit(f"conv{i}", (Conv(3, 1, 1, out_channels=96),)) for i in range(3)]
    units = (*convs[:2], Unit("pool", (Pool(2, 2),)), convs[2]) if pooled else tuple(convs)
    return Model("tiny", Shape(3, 12, width), units)


@pytest.mark.parametrize(
    ("width", "mbps", "pooled", "volumes"),
    [
        (100, (1000.0, 1000.0), True, 3),
        (400, (1000.0, 200.0), False, 2),
        *slow((400, (300.0, 60.0), True, 1), (400, (500.0, 100.0), True, 2), (200, (1000.0, 200.0), False, 2)),
    ],
)
def test_finds_the_optimum_where_all_plans_can_be_tried(
    width: int, mbps: tuple[float, ...], pooled: bool, volumes: int
) -> None:
    scenario = get_scenario("DB-50", devices=("pi3", "pi3"), mbps=mbps, requester_mbps=1000.0)
    system = System(scenario, tiny_model(pooled, width))
    plans = every_plan(system)
    latencies = system.evaluate(plans, system.every_volume)
    best, where = latencies.min(), int(latencies.argmin())
    for seed in range(3):
        plan, latency = JointSearch(system, seed, population=256, patience=10, rounds=1).search()
        plan.validate(system.model)
        assert latency == pytest.approx(best, rel=1e-12)
    # No baseline is that good, and the optimum has so many volumes, with both devices at work in each.
    assert best < best_baseline_s(system) * (1 - 1e-6)
    assert plans.count[where] == volumes
    rows, ends = plans.splits[:volumes, 0, where], system.heights[plans.stops[:volumes, where] - 1]
    assert np.all((rows > 0) & (rows < ends))


def test_every_plan_is_tried() -> None:
    """The count behind the exact check: every partition times every row of every volume."""
    system = System(get_scenario("DB-50", devices=("nano", "nano"), mbps=(50.0, 50.0)), tiny_model(True))
    assert system.heights.tolist() == [12, 12, 6, 6]
    assert len(every_plan(system).count) == (1 + 13) * (1 + 13) * (1 + 7) * 7


@pytest.mark.slow
@pytest.mark.parametrize("scenario", FOUR_DEVICES)
def test_two_seeds_agree(scenario: str) -> None:
    system = system_of(scenario)
    found = [JointSearch(system, seed).search()[1] for seed in (0, 1)]
    assert max(found) <= 1.02 * min(found)
    assert max(found) <= best_baseline_s(system) + 1e-9
