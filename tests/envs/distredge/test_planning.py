"""LC-PSS: the score of a partition, the greedy search over it, the choice of alpha."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from types import SimpleNamespace
from typing import cast

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from splitgym.envs.distredge.planning import (
    ALPHA_GRID,
    PartitionScores,
    lc_pss,
    partition_of,
    partition_scores,
    proportional_splits,
)
from splitgym.envs.distredge.scenarios import Scenario, get_scenario
from splitgym.envs.distredge.system import System
from splitgym.models.chain import Unit
from splitgym.models.layers import Conv, Shape
from splitgym.models.lookup import get_model
from splitgym.models.model import Model, ValueBytes

from ... import slow
from ...models.strategies import models
from .event_reference import rows_of_part

VALUE_BYTES = ValueBytes(2, 4)


@cache
def vgg_scores(seed: int) -> PartitionScores:
    return partition_scores(get_model("vgg16"), 4, seed=seed)


@pytest.mark.parametrize("seed", range(5))
def test_vgg16_over_four_devices_as_in_the_paper(seed: int) -> None:
    """Paper, Sec. V-C: 16 volumes at alpha 0 and two at alpha 1; the smaller alpha, the more volumes."""
    model = get_model("vgg16")
    volumes = [len(lc_pss(model, vgg_scores(seed), alpha)) for alpha in ALPHA_GRID]
    assert volumes[-1] == 2
    assert 13 <= volumes[0] <= len(model.units)
    assert 4 <= volumes[ALPHA_GRID.index(0.75)] <= 6
    assert volumes == sorted(volumes, reverse=True)


def direct_score(
    model: Model, stops: list[int], cuts: np.ndarray, value_bytes: ValueBytes = VALUE_BYTES
) -> tuple[float, float]:
    """(MACs, bytes) of one whole scheme under one set of split decisions, part by part (Eq. 3's O and T)."""
    system = cast(System, SimpleNamespace(model=model, scenario=get_scenario("DB-50")))
    macs = sent = 0.0
    owners: list[dict[str, tuple[int, int]]] = []
    start = 0
    for stop in stops:
        height = model.out_shape(stop - 1).height
        posts = [0, *(round(float(c) * height) for c in cuts[stop - 1]), height]
        made: list[dict[str, tuple[int, int]]] = []
        for device, (a, b) in enumerate(pairwise(posts)):
            made.append({})
            if a == b:
                continue
            reads, computed, made[device], _ = rows_of_part(system, start, stop, a, b)
            for kernel, rows in computed:
                k = model.kernels[kernel]
                macs += k.layer.macs(k.in_shape) * rows / k.out_shape.height
            for name, (lo, hi) in reads.items():
                own_lo, own_hi = owners[device].get(name, (0, 0)) if start else (0, 0)
                missing = (hi - lo) - max(0, min(hi, own_hi) - max(lo, own_lo))
                sent += missing * model.row_bytes(name, start, *value_bytes)
        owners, start = made, stop
    return macs, sent


def decisions(model: Model, devices: int, count: int, seed: int) -> np.ndarray:
    """(units, count, devices - 1) sorted uniform cuts."""
    return np.sort(np.random.default_rng(seed).random((len(model.units), count, devices - 1)), axis=2)


def check_additive(model: Model, stops: list[int], devices: int, count: int, seed: int) -> None:
    scores = partition_scores(model, devices, count, seed, VALUE_BYTES)
    cuts = decisions(model, devices, count, seed)
    layered = list(range(1, len(model.units) + 1))
    found = np.array([direct_score(model, stops, cuts[:, i]) for i in range(count)]).mean(axis=0)
    all_layers = np.mean([direct_score(model, layered, cuts[:, i])[1] for i in range(count)])
    unsplit = sum(k.layer.macs(k.in_shape) for k in model.kernels if k.unit < len(model.units))
    for alpha in (0.0, 0.3, 1.0):
        expected = alpha * found[1] / all_layers + (1 - alpha) * found[0] / unsplit
        added = sum(scores.score(alpha)[a, b] for a, b in pairwise([0, *stops]))
        assert added == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "stops"),
    [
        ("vgg16", [10, 14, 15, 17, 18]),
        ("vgg16", [18]),
        ("yolov2", [3, 9, 20, 27]),
        ("resnet50", [1, 2, 5, 18]),
    ],
)
def test_sum_over_volumes_is_the_score_of_the_whole_scheme(name: str, stops: list[int]) -> None:
    check_additive(get_model(name), stops, devices=4, count=3, seed=7)


@given(data=st.data(), model=models(), devices=st.integers(2, 5), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_sum_over_volumes_is_the_score_of_any_scheme(
    data: st.DataObject, model: Model, devices: int, seed: int
) -> None:
    assume(any(k.layer.macs(k.in_shape) for k in model.kernels if k.unit < len(model.units)))
    units = len(model.units)
    stops = [*(u for u in range(1, units) if data.draw(st.booleans())), units]
    check_additive(model, stops, devices, 2, seed)


def test_operations_of_a_volume() -> None:
    """A layer alone is split without overlap; every unit in front adds at least its own share."""
    model, scores = get_model("vgg16"), vgg_scores(0)
    units = len(model.units)
    share = np.array(
        [sum(model.kernels[k].layer.macs(model.kernels[k].in_shape) for k in g) for g in model.unit_kernels]
    )
    share = share[:-1] / share[:-1].sum()
    for stop in range(1, units + 1):
        assert scores.operations[stop - 1, stop] == pytest.approx(share[stop - 1])
        for start in range(1, stop):
            assert scores.operations[start - 1, stop] >= scores.operations[start, stop] + share[start - 1] * (1 - 1e-9)
    layered = sum(scores.operations[u, u + 1] for u in range(units))
    assert layered == pytest.approx(1.0)
    assert scores.operations[0, units] > 1.5  # fused from end to end, the halo is computed again and again


def test_transmission_is_normalised_by_the_layer_by_layer_scheme() -> None:
    scores = vgg_scores(0)
    units = len(get_model("vgg16").units)
    assert sum(scores.transmission[u, u + 1] for u in range(units)) == pytest.approx(1.0)
    assert 0 < scores.transmission[0, units] < 0.2


def test_one_row_parts_of_a_chain_by_hand() -> None:
    """Two convolutions of 3 rows over 8; one cut at row 4 of 8, always: only halo rows count."""
    model = Model("two", Shape(1, 8, 8), tuple(Unit(f"c{i}", (Conv(3, 1, 1, out_channels=1),)) for i in range(2)))
    count = 4000
    scores = partition_scores(model, 2, count, 0, ValueBytes(2, 1))
    cut = np.rint(decisions(model, 2, count, 0)[:, :, 0] * 8)
    inside = (cut > 0) & (cut < 8)
    # Fused, a part also computes the one row of c0 beyond its cut; both parts do.
    assert scores.operations[0, 2] == pytest.approx((16 + 2 * inside[1].mean()) / 16)
    # An image row has 8 bytes, one of c0's output 16. A part reads one row beyond its cut (two when fused).
    image = 8 * (8 + 2 * inside[0].mean())
    moved = np.mean([_moved(int(a), int(b)) for a, b in cut.T])
    assert scores.transmission[0, 1] == pytest.approx(image / (image + 16 * moved))
    assert scores.transmission[1, 2] == pytest.approx(16 * moved / (image + 16 * moved))


def _moved(before: int, after: int) -> int:
    """Rows of 8 that two devices lack when their cut goes from ``before`` to ``after``, one row of halo."""
    low = max(0, min(8, after + 1) - before) if after > 0 else 0
    high = max(0, before - max(0, after - 1)) if after < 8 else 0
    return low + high


def test_nothing_is_computed_or_sent_outside_volumes() -> None:
    scores = vgg_scores(0)
    lower = np.tril_indices(scores.operations.shape[0])
    assert not scores.operations[lower].any()
    assert not scores.transmission[lower].any()


@st.composite
def random_scores(draw: st.DrawFn) -> PartitionScores:
    """Any numbers at all, with ties."""
    size = draw(st.integers(2, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    digits = draw(st.integers(0, 3))
    return PartitionScores(*(np.round(rng.random((size, size)), digits) for _ in range(2)))


def chain(units: int) -> Model:
    return Model("chain", Shape(1, 4, 4), tuple(Unit(f"u{i}", (Conv(1, out_channels=1),)) for i in range(units)))


def total(score: np.ndarray, stops: tuple[int, ...]) -> float:
    return float(sum(score[a, b] for a, b in pairwise((0, *stops))))


@given(scores=random_scores(), alpha=st.sampled_from([*ALPHA_GRID, 0.1, 1 / 3]))
@settings(max_examples=200)
def test_greedy_stops_where_no_single_cut_helps(scores: PartitionScores, alpha: float) -> None:
    model = chain(scores.operations.shape[0] - 1)
    units = len(model.units)
    score = scores.score(alpha)
    stops = lc_pss(model, scores, alpha)
    assert stops[-1] == units
    assert list(stops) == sorted(set(stops))
    assert units == 1 or stops[-2] == units - 1  # R_p starts as {1, |M|}: the last unit is apart
    for cut in set(range(1, units)) - set(stops):
        more = tuple(sorted((*stops, cut)))
        assert total(score, more) >= total(score, stops) - 1e-12
    start = (units - 1, units) if units > 1 else (units,)
    assert total(score, stops) <= total(score, start) + 1e-12


def test_equal_scores_are_no_reason_to_cut() -> None:
    """Strict improvement only: where cutting changes nothing, nothing is cut beyond the last unit."""
    units = 7
    length = np.maximum(np.subtract.outer(-np.arange(units + 1), -np.arange(units + 1)), 0.0)
    assert lc_pss(chain(units), PartitionScores(length, length), 0.5) == (units - 1, units)


def test_each_loop_takes_the_best_cut_of_every_volume() -> None:
    """By hand: volume (0, 4) is best cut at 2, then (2, 4) at 3; cutting (0, 2) would not pay."""
    score = np.full((6, 6), 10.0)
    score[0, 4], score[4, 5] = 9.0, 1.0
    score[0, 2], score[2, 4] = 3.0, 4.0
    score[0, 1], score[1, 4] = 1.0, 7.0  # 8: better than 9, not the best
    score[2, 3], score[3, 4] = 1.0, 2.0
    score[1, 2] = 2.0  # with (0, 1): 3, no strict improvement
    assert lc_pss(chain(5), PartitionScores(score, np.zeros_like(score)), 0.0) == (2, 3, 4, 5)


@pytest.mark.parametrize("alpha", [-0.01, 1.01, float("nan")])
def test_alpha_out_of_range(alpha: float) -> None:
    with pytest.raises(ValueError, match=r"0\.\.1"):
        lc_pss(get_model("vgg16"), vgg_scores(0), alpha)


def test_decisions_have_their_own_seed() -> None:
    model = get_model("vgg16")
    again = partition_scores(model, 4, seed=1)
    assert np.array_equal(again.operations, vgg_scores(1).operations)
    assert np.array_equal(again.transmission, vgg_scores(1).transmission)
    assert not np.array_equal(vgg_scores(0).operations, vgg_scores(1).operations)


def test_env_seed_never_changes_the_number_of_steps() -> None:
    few = 1  # a single decision: the partition differs from one decision seed to the next
    stops = set()
    for seed in range(4):
        env = gym.make("splitgym/DistrEdge-v0", scenario="DB-50", decisions_seed=seed, n_decisions=few)
        before = env.unwrapped.dynamics.stops  # type: ignore[attr-defined]
        for env_seed in range(3):
            env.reset(seed=env_seed)
            assert env.unwrapped.dynamics.stops == before  # type: ignore[attr-defined]
        stops.add(before)
    assert len(stops) > 1


def test_a_hundred_decisions_are_stable() -> None:
    """Paper, Fig. 5: from 100 decisions on the partition hardly depends on which they are."""
    spread = {}
    for count in (3, 100):
        scores = [partition_scores(get_model("vgg16"), 4, count, seed).score(0.75) for seed in range(8)]
        totals = [[score[a, b] for a, b in pairwise((0, 10, 14, 15, 17, 18))] for score in scores]
        spread[count] = float(np.std(np.sum(totals, axis=1)))
    assert spread[100] < spread[3] / 2


def proportional_latency_s(system: System, stops: tuple[int, ...], mbps: np.ndarray | None) -> float:
    splits = proportional_splits(system, stops, system.capability)
    rates = None if mbps is None else mbps[:, None]
    return float(system.evaluate([system.plan(stops, splits)], mbps=rates)[0])


@pytest.mark.parametrize("scenario", ["DA-50", "LB", *slow("DB-300", "NA-nano", "DC-50", "DB-50-yolov2")])
@pytest.mark.parametrize("share", [None, 0.1, 10.0])
def test_auto_is_never_slower_than_a_fixed_alpha(scenario: str, share: float | None) -> None:
    """At nominal rates, and at others that it is told."""
    system = System(get_scenario(scenario))
    mbps = None if share is None else system.mbps * share
    auto = partition_of(system, "auto", mbps)
    fixed = [partition_of(system, alpha) for alpha in ALPHA_GRID]
    best = min(proportional_latency_s(system, stops, mbps) for stops in [*fixed, (system.n_units,)])
    assert proportional_latency_s(system, auto, mbps) == best
    assert partition_of(system, "auto", mbps) == auto


def test_partition_follows_the_scenario() -> None:
    """Decision seed, number of decisions and value size are the scenario's."""
    scenario: Scenario = get_scenario(
        "NA-nano", decisions_seed=3, n_decisions=7, activation_type="float32", image_type="float16"
    )
    system = System(scenario)
    scores = partition_scores(system.model, 4, 7, 3, ValueBytes(4, 2))
    assert partition_of(system, 0.75) == lc_pss(system.model, scores, 0.75)


@given(weights=st.lists(st.floats(0.01, 100.0), min_size=2, max_size=6))
@settings(max_examples=50)
def test_proportional_splits_are_the_nearest_rows(weights: list[float]) -> None:
    devices = len(weights)
    system = System(get_scenario("H-200", devices=("nano",) * devices, mbps=(100.0,) * devices))
    shares = np.array(weights)
    stops = (4, 9, 18)
    splits = proportional_splits(system, stops, shares)
    system.plan(stops, splits).validate(system.model)
    for stop, split in zip(stops, splits, strict=True):
        exact = np.cumsum(shares)[:-1] / shares.sum() * system.heights[stop - 1]
        assert np.all(np.abs(np.array(split) - exact) <= 0.5 + 1e-9)
