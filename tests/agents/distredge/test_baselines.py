"""The seven baselines: their plans are valid and are the optima of the models they plan with."""

from __future__ import annotations

from functools import cache
from itertools import combinations, combinations_with_replacement, pairwise, product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from splitgym.agents.distredge.baselines import (
    PLANNERS,
    _fence_post_lp,
    _greedy_rows,
    aofl,
    coedge,
    deeperthings,
    deepthings,
    mednn,
    modnn,
    offload,
)
from splitgym.agents.distredge.linear import LinearModel
from splitgym.agents.registry import agents_of
from splitgym.envs.distredge.scenarios import get_scenario
from splitgym.envs.distredge.system import System
from splitgym.models.blocks import chain_out
from splitgym.models.chain import MAIN, Unit
from splitgym.models.layers import Conv, Layer, Pool, Shape
from splitgym.models.lookup import get_model
from splitgym.models.model import Model
from splitgym.models.plans import SpatialPlan

from ... import slow
from ...envs.distredge.event_reference import rows_of_part

SCENARIOS = ("DA-50", "LB", "DB-50-ssd_vgg16", *slow("DC-300", "NA-nano", "H-200", "DB-50-resnet50", "NA-nano-yolov2"))
DEVICES = ("pi3", "nano", "tx2", "xavier")


@cache
def system_of(scenario: str) -> System:
    return System(get_scenario(scenario))


@pytest.mark.parametrize("planner", PLANNERS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_plan_is_valid(scenario: str, planner: str) -> None:
    system = system_of(scenario)
    plan = PLANNERS[planner](system, None)
    plan.validate(system.model)
    assert plan.devices == system.names
    assert 0 < system.evaluate([plan])[0] < 10
    assert PLANNERS[planner](system, None) == plan
    choked = PLANNERS[planner](system, system.mbps / 10).validate(system.model)
    assert choked == plan or planner in ("coedge", "aofl", "deepthings", "deeperthings")


@pytest.mark.parametrize("planner", sorted(set(PLANNERS) - {"deeperthings"}))
def test_openpose_with_its_passthrough_is_planned_too(planner: str) -> None:
    system = system_of("DB-50-openpose")
    PLANNERS[planner](system, None).validate(system.model)


def test_the_papers_seven_baselines_are_registered() -> None:
    names = {name for name, spec in agents_of("distredge").items() if spec.baseline}
    assert names == set(PLANNERS)
    assert len(names) == 7


CONVS = ((3, 1, 16), (3, 1, 64), (5, 1, 32), (1, 1, 64), (3, 2, 64))  # kernel, stride, channels


@st.composite
def chains(draw: st.DrawFn, most: int) -> Model:
    """Convolutions and pools, as VGG has them, on small maps."""
    shape = Shape(draw(st.sampled_from([1, 3])), draw(st.integers(6, 24)), draw(st.integers(4, 32)))
    layers: list[Layer] = []
    for i in range(draw(st.integers(1, most))):
        out = chain_out(tuple(layers), shape)
        if i and min(out.height, out.width) >= 4 and draw(st.booleans()):
            layers.append(Pool(2, 2))
        else:
            size, stride, channels = draw(st.sampled_from(CONVS))
            layers.append(Conv(size, stride, size // 2, out_channels=channels))
    return Model("chain", shape, tuple(Unit(f"u{i}", (layer,)) for i, layer in enumerate(layers)))


@st.composite
def small_systems(draw: st.DrawFn, most_units: int) -> System:
    count = draw(st.integers(2, 4))
    devices = tuple(draw(st.sampled_from(DEVICES)) for _ in range(count))
    mbps = tuple(draw(st.sampled_from([5.0, 20.0, 50.0, 200.0, 1000.0])) for _ in range(count))
    requester_mbps = draw(st.sampled_from([30.0, 300.0, "same"]))
    scenario = get_scenario("DB-50", devices=devices, mbps=mbps, requester_mbps=requester_mbps)
    return System(scenario, draw(chains(most_units)))


def rates_of_images(system: System) -> np.ndarray:
    """(D,) Mbit/s from the requester."""
    rate = system.scenario.requester_mbps
    return system.mbps if isinstance(rate, str) else np.minimum(system.mbps, rate)


class Direct:
    """The linear models' cost of a volume, part by part from the rows that each part reads and computes."""

    def __init__(self, system: System) -> None:
        self.system, self.known = system, {}
        self.capability = system.model.macs / np.array([system.tables[t].total_s() for t in system.types])

    def posts(self, start: int, stop: int, shares: np.ndarray) -> list[int]:
        height = self.system.model.out_shape(stop - 1).height
        return [0, *(round(float(x) * height) for x in np.cumsum(shares)[:-1] / np.sum(shares)), height]

    def volume_s(self, start: int, stop: int, posts: list[int]) -> float:
        """Slowest transfer of a part's whole input plus slowest compute."""
        system, scenario = self.system, self.system.scenario
        transfer, compute = [0.0], [0.0]
        for d, (a, b) in enumerate(pairwise(posts)):
            if a == b:
                continue
            reads, computed, *_ = rows_of_part(system, start, stop, a, b)
            size = sum(
                (hi - lo) * system.model.row_bytes(n, start, *scenario.value_bytes) for n, (lo, hi) in reads.items()
            )
            rate = float(scenario.mbps[d] if start else rates_of_images(system)[d])
            macs = 0.0
            for kernel, rows in computed:
                k = system.model.kernels[kernel]
                macs += k.layer.macs(k.in_shape) * rows / k.out_shape.height
            transfer.append(8 * size / (scenario.eta * rate * 1e6))
            compute.append(macs / self.capability[d])
        return max(transfer) + max(compute)

    def plan_s(self, plan: SpatialPlan) -> float:
        total, start = 0.0, 0
        for stop, split in zip(plan.cuts, plan.splits, strict=True):
            total += self.volume_s(start, stop, [0, *split, self.system.model.out_shape(stop - 1).height])
            start = stop
        return total

    def least_s(self, start: int, stop: int) -> float:
        """The least cost of a volume over all ways to give its rows to the devices, in order."""
        height = self.system.model.out_shape(stop - 1).height
        splits = combinations_with_replacement(range(height + 1), self.system.n_devices - 1)
        return min(self.volume_s(start, stop, [0, *split, height]) for split in splits)

    def best_s(self, shares) -> float:
        """The least cost over all 2^(units - 1) partitions, tried one by one."""
        units = self.system.n_units
        cost = {
            (a, b): self.volume_s(a, b, self.posts(a, b, shares(a, b))) for b in range(1, units + 1) for a in range(b)
        }
        best = np.inf
        for count in range(units):
            for inside in combinations(range(1, units), count):
                best = min(best, sum(cost[r] for r in pairwise((0, *inside, units))))
        return best


@given(system=small_systems(10))
@settings(max_examples=30)
def test_aofl_equals_brute_force(system: System) -> None:
    direct, plan, ratio = Direct(system), aofl(system), LinearModel(system).ratio
    assert direct.plan_s(plan) == pytest.approx(direct.best_s(ratio), rel=1e-7)
    for (start, stop), split in zip(pairwise((0, *plan.cuts)), plan.splits, strict=True):
        assert [0, *split, system.heights[stop - 1]] == direct.posts(start, stop, ratio(start, stop))


@given(system=small_systems(6), data=st.data())
@settings(max_examples=40)
def test_no_split_of_a_volume_costs_less_than_aofls(system: System, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, system.n_units - 1))
    stop = data.draw(st.integers(start + 1, system.n_units))
    assume(system.n_devices < 4 or system.heights[stop - 1] <= 12)
    model, direct = LinearModel(system), Direct(system)
    shares = model.ratio(start, stop)
    assert shares.sum() == pytest.approx(1.0)
    assert model.cost_s(start, stop, shares) == pytest.approx(direct.least_s(start, stop), rel=1e-7)


@pytest.mark.parametrize("inputs", ["paper", "devices"])
def test_a_slow_device_or_link_may_get_nothing(inputs: str) -> None:
    """The Pi of DC in all of AOFL's volumes, as in the paper's Sec. VI (2); a link at a kilobit."""
    system = System(get_scenario("DC-50", inputs=inputs))
    for plan in (aofl(system), aofl(system, np.array([50.0, 50.0, 50.0, 1e-3]))):
        assert all(split[-1] == system.heights[stop - 1] for stop, split in zip(plan.cuts, plan.splits, strict=True))


@given(system=small_systems(10))
@settings(max_examples=60)
def test_deeperthings_equals_brute_force(system: System) -> None:
    equal = np.full(system.n_devices, 1 / system.n_devices)
    direct, plan = Direct(system), deeperthings(system)
    assert direct.plan_s(plan) == pytest.approx(direct.best_s(lambda start, stop: equal), rel=1e-9)
    _check_equal_parts(system, plan)


@pytest.mark.parametrize("scenario", ["DA-50", "LB", *slow("NA-nano", "DB-50-resnet50", "DB-50-yolov2")])
def test_brute_force_on_truncated_zoo_models(scenario: str) -> None:
    whole = get_model(get_scenario(scenario).model)
    system = System(get_scenario(scenario), Model(whole.name, whole.input, whole.units[:10]))
    direct = Direct(system)
    equal = np.full(system.n_devices, 1 / system.n_devices)
    assert direct.plan_s(aofl(system)) == pytest.approx(direct.best_s(LinearModel(system).ratio), rel=1e-7)
    assert direct.plan_s(deeperthings(system)) == pytest.approx(direct.best_s(lambda a, b: equal), rel=1e-9)


@given(system=small_systems(10), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_linear_cost_of_a_volume_is_that_of_its_parts(system: System, seed: int) -> None:
    rng = np.random.default_rng(seed)
    start, stop = sorted(rng.choice(system.n_units + 1, 2, replace=False))
    shares = rng.dirichlet(np.full(system.n_devices, 0.5))
    direct = Direct(system)
    assert LinearModel(system).cost_s(int(start), int(stop), shares) == pytest.approx(
        direct.volume_s(int(start), int(stop), direct.posts(int(start), int(stop), shares)), rel=1e-9
    )


def _check_equal_parts(system: System, plan: SpatialPlan) -> None:
    for stop, split in zip(plan.cuts, plan.splits, strict=True):
        rows = np.diff([0, *split, system.heights[stop - 1]])
        assert rows.max() - rows.min() <= 1


@given(system=small_systems(8))
@settings(max_examples=30)
def test_deepthings_takes_the_best_fused_depth(system: System) -> None:
    direct, plan, units = Direct(system), deepthings(system), system.n_units
    equal, alone = np.full(system.n_devices, 1 / system.n_devices), np.eye(system.n_devices)[system.best_provider]
    cost = []
    for k in range(1, units + 1):
        rest = direct.volume_s(k, units, direct.posts(k, units, alone)) if k < units else 0.0
        cost.append(direct.volume_s(0, k, direct.posts(0, k, equal)) + rest)
    assert direct.plan_s(plan) == pytest.approx(min(cost), rel=1e-9)
    assert cost[plan.cuts[0] - 1] == pytest.approx(min(cost), rel=1e-9)
    assert len(plan.cuts) == 1 + (plan.cuts[0] < units)
    _check_equal_parts(system, system.plan(plan.cuts[:1], plan.splits[:1]))
    if len(plan.cuts) == 2:
        rows = np.diff([0, *plan.splits[1], system.heights[-1]])
        assert rows[system.best_provider] == system.heights[-1]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_modnn_shares_by_capability(scenario: str) -> None:
    system = system_of(scenario)
    capability = system.model.macs / np.array([system.tables[t].total_s() for t in system.types])
    exact = np.cumsum(capability)[:-1] / capability.sum()
    plan = modnn(system)
    assert plan.cuts == tuple(range(1, system.n_units + 1))
    for height, split in zip(system.heights, plan.splits, strict=True):
        assert np.all(np.abs(np.array(split) - exact * height) <= 0.5 + 1e-9)


@given(height=st.integers(1, 300), row_s=st.lists(st.floats(1e-6, 1e-2), min_size=2, max_size=8))
@settings(max_examples=200)
def test_mednn_gives_out_all_rows_and_ends_as_early_as_possible(height: int, row_s: list[float]) -> None:
    seconds = np.array(row_s)
    rows = _greedy_rows(height, seconds)
    assert rows.sum() == height
    assert rows.min() >= 0
    exact = height * (1 / seconds) / (1 / seconds).sum()
    assert np.all(rows >= np.floor(exact - 1e-9))
    # Parts end at whole rows of some device; by the last such time before ours not all rows can be done.
    slowest = (rows * seconds).max()
    ends = np.outer(seconds, np.arange(height + 1)).ravel()
    earlier = ends[ends < slowest * (1 - 1e-9)].max()
    assert np.floor(earlier / seconds * (1 + 1e-12)).sum() < height


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_mednn_shares_by_each_layers_own_speed(scenario: str) -> None:
    system = system_of(scenario)
    plan = mednn(system)
    assert plan.cuts == tuple(range(1, system.n_units + 1))
    for unit, (height, split) in enumerate(zip(system.heights, plan.splits, strict=True)):
        rows = np.diff([0, *split, height])
        kernels = [i for i, k in enumerate(system.model.kernels) if k.unit == unit]
        speed = np.array(
            [
                1 / sum(system.tables[t].kernel_s(k, system.model.kernels[k].out_shape.height) for k in kernels)
                for t in system.types
            ]
        )
        assert np.all(np.abs(rows - height * speed / speed.sum()) <= system.n_devices)
        assert np.all(rows >= np.floor(height * speed / speed.sum() - 1e-9))


def layer_s(posts: np.ndarray, compute_s: np.ndarray, transfer_s: np.ndarray, held: np.ndarray | None) -> np.ndarray:
    """(...,) CoEdge's cost of a layer: slowest linear compute plus linear transfer, for posts (..., D + 1)."""
    lo, hi = posts[..., :-1], posts[..., 1:]
    fetched = hi - lo if held is None else np.maximum(held[:-1] - lo, 0) + np.maximum(hi - held[1:], 0)
    return np.max(compute_s * (hi - lo) + transfer_s * fetched, axis=-1)


@st.composite
def layers_to_split(draw: st.DrawFn, devices: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    compute, transfer = 10 ** rng.uniform(-4, -1, (2, devices))
    if draw(st.booleans()):
        return compute, transfer, None
    held = np.concatenate([[0.0], np.cumsum(rng.dirichlet(np.full(devices, draw(st.sampled_from([0.3, 1.0, 5.0])))))])
    held[-1] = 1.0
    return compute, transfer, held


@given(layer=layers_to_split(2))
def test_coedge_with_two_devices_equals_a_grid_and_equalises(layer) -> None:
    compute, transfer, held = layer
    shares = _fence_post_lp(compute, transfer, held)
    posts = np.array([0.0, shares[0], 1.0])
    grid = np.linspace(0, 1, 20001)
    tried = layer_s(np.stack([0 * grid, grid, 0 * grid + 1], axis=-1), compute, transfer, held)
    found = layer_s(posts, compute, transfer, held)
    assert found <= tried.min() * (1 + 1e-6)
    steepest = 2 * (compute + transfer).max()
    assert found >= tried.min() - steepest * (grid[1] - grid[0])
    each = [layer_s(posts, compute * (np.arange(2) == d), transfer * (np.arange(2) == d), held) for d in range(2)]
    if 1e-6 < shares[0] < 1 - 1e-6:
        assert each[0] == pytest.approx(each[1], rel=1e-4)


@given(layer=layers_to_split(3))
@settings(max_examples=60)
def test_coedge_with_three_devices_equals_a_grid(layer) -> None:
    compute, transfer, held = layer
    shares = _fence_post_lp(compute, transfer, held)
    assert shares.min() >= -1e-12
    assert shares.sum() == pytest.approx(1.0)
    found = layer_s(np.array([0.0, *np.cumsum(shares)[:-1], 1.0]), compute, transfer, held)
    step = 1 / 300
    low, high = np.meshgrid(np.arange(0, 1 + step / 2, step), np.arange(0, 1 + step / 2, step), indexing="ij")
    low, high = low[low <= high], high[low <= high]
    tried = layer_s(np.stack([0 * low, low, high, 0 * low + 1], axis=-1), compute, transfer, held)
    assert found <= tried.min() * (1 + 1e-6)
    assert found >= tried.min() - 4 * (compute + transfer).max() * step


def test_coedge_first_layer_equalises_exactly() -> None:
    """All comes from the requester, so every device ends its transfer and its compute at the same time."""
    compute, transfer = np.array([0.02, 0.01, 0.04, 0.3]), np.array([0.01, 0.05, 0.002, 0.1])
    each = _fence_post_lp(compute, transfer, None) * (compute + transfer)
    assert each == pytest.approx(np.full(4, each[0]))


def test_coedge_stays_where_rows_are_when_links_are_slow() -> None:
    held = np.array([0.0, 0.5, 0.75, 1.0])
    compute = np.array([0.01, 0.02, 0.02])
    assert _fence_post_lp(compute, np.full(3, 1e3), held) == pytest.approx([0.5, 0.25, 0.25], abs=1e-4)
    balanced = _fence_post_lp(np.array([0.01, 0.01, 0.01]), np.full(3, 1e-9), held)
    assert balanced == pytest.approx([1 / 3] * 3, abs=1e-4)


@pytest.mark.parametrize("scenario", ["DA-50", "ND-nano"])
def test_coedge_splits_every_layer_by_its_program(scenario: str) -> None:
    """Layer by layer: each layer's rows are the optimum for the rows held from the layer before."""
    system = system_of(scenario)
    plan, model = coedge(system), system.model
    assert plan.cuts == tuple(range(1, system.n_units + 1))
    held = None
    capability = model.macs / system.model_s
    for unit, split in enumerate(plan.splits):
        macs = sum(model.kernels[k].layer.macs(model.kernels[k].in_shape) for k in model.unit_kernels[unit])
        rate = system.mbps if unit else rates_of_images(system)
        size = model.row_bytes(MAIN, unit, *system.scenario.value_bytes) * model.in_shapes[unit].height
        compute, transfer = macs / capability, 8e-6 * size / (system.scenario.eta * rate)
        shares = _fence_post_lp(compute, transfer, held)
        exact = np.cumsum(shares)[:-1] * system.heights[unit]
        assert np.all(np.abs(np.array(split) - exact) <= 0.5 + 1e-6)
        held = np.concatenate([[0.0], np.cumsum(shares)])


@pytest.mark.parametrize(
    ("devices", "mbps", "expected"),
    [
        (("nano", "xavier", "tx2"), (300.0, 50.0, 300.0), 1),  # hardware first, whatever the link
        (("nano", "xavier", "xavier"), (300.0, 50.0, 60.0), 2),  # among equals the faster link
        (("tx2", "tx2", "nano"), (50.0, 50.0, 300.0), 0),  # then the first
        (("pi3", "pi3"), (50.0, 100.0), 1),
    ],
)
def test_offload_takes_the_best_provider(devices: tuple[str, ...], mbps: tuple[float, ...], expected: int) -> None:
    system = System(get_scenario("DB-50", devices=devices, mbps=mbps))
    plan = offload(system)
    assert plan.cuts == (system.n_units,)
    rows = np.diff([0, *plan.splits[0], system.heights[-1]])
    assert rows.tolist() == [system.heights[-1] * (d == expected) for d in range(len(devices))]
    assert system.evaluate([plan])[0] == system.reference_s


@pytest.mark.parametrize("planner", ["aofl", "coedge"])
def test_monitored_rates_change_the_plan(planner: str) -> None:
    system = system_of("NA-nano")
    nominal = PLANNERS[planner](system, None)
    assert PLANNERS[planner](system, system.mbps) == nominal
    one_slow = system.mbps.copy()
    one_slow[3] = 1.0
    other = PLANNERS[planner](system, one_slow)
    rows = [np.diff([0, *p.splits[0], system.heights[p.cuts[0] - 1]])[3] for p in (nominal, other)]
    assert rows[1] < rows[0]


def test_greedy_rows_by_hand() -> None:
    """10 rows, speeds 3:2:1: 5, 3.3, 1.7 rows; of the two rows left each goes to whoever is done first."""
    rows = _greedy_rows(10, np.array([1 / 3, 1 / 2, 1.0]))
    assert rows.tolist() in ([6, 3, 1], [5, 4, 1], [5, 3, 2])
    best = min(max(a / 3, b / 2, c) for a, b, c in product(range(11), repeat=3) if a + b + c == 10)
    assert (rows * [1 / 3, 1 / 2, 1.0]).max() == pytest.approx(best)
