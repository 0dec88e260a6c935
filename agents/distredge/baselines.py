"""The seven methods that DistrEdge is compared against (paper, Sec. V-B), each a planner that returns a plan.

They decide by their own (linear, equal or hardware-only) models; every plan is then scored by the same physics.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...envs.distredge.system import System
from ...models.plans import SpatialPlan, volume_ranges
from .linear import LinearModel, fence_posts

LEAST_S = 1e-12  # of a row; a table may say 0 for a kernel that is fused into its neighbour


def rows_of(system: System, stops: Sequence[int], shares: Sequence[np.ndarray]) -> SpatialPlan:
    """A plan from shares (D,) of every volume, rounded at the fence posts."""
    posts = [fence_posts(share, system.heights[stop - 1]) for stop, share in zip(stops, shares, strict=True)]
    return system.plan(stops, [p[1:-1] for p in posts])


def offload(system: System, mbps: np.ndarray | None = None) -> SpatialPlan:
    """Everything on the provider with the best hardware."""
    return system.everything_on(system.best_provider)


def modnn(system: System, mbps: np.ndarray | None = None) -> SpatialPlan:
    """MoDNN: layer by layer, shares by the devices' capability."""
    stops = range(1, system.n_units + 1)
    return rows_of(system, stops, [system.capability] * system.n_units)


def mednn(system: System, mbps: np.ndarray | None = None) -> SpatialPlan:
    """MeDNN: layer by layer, shares by the capability on that very layer, rows rounded greedily."""
    splits = []
    for unit in range(system.n_units):
        kernels, height = system.model.unit_kernels[unit], int(system.heights[unit])
        tables = [system.tables[t] for t in system.types]
        row_s = np.array([sum(t.seconds[k, t.heights[k]] for k in kernels) / height for t in tables])
        rows = _greedy_rows(height, np.maximum(row_s, LEAST_S))
        splits.append(np.cumsum(rows)[:-1])
    return system.plan(range(1, system.n_units + 1), splits)


def _greedy_rows(height: int, row_s: np.ndarray) -> np.ndarray:
    """Rows in proportion to speed: whole parts first, then each row left to whoever finishes it first."""
    rows = np.floor(height * (1 / row_s) / np.sum(1 / row_s)).astype(int)
    while rows.sum() < height:
        rows[np.argmin((rows + 1) * row_s)] += 1
    return rows


def deepthings(system: System, mbps: np.ndarray | None = None) -> SpatialPlan:
    """DeepThings: the first k units fused and split equally, the rest on the best provider."""
    linear, units = LinearModel(system, mbps), system.n_units
    equal = np.full(system.n_devices, 1.0 / system.n_devices)
    alone = np.eye(system.n_devices)[system.best_provider]

    def cost_s(k: int) -> float:
        return linear.cost_s(0, k, equal) + (linear.cost_s(k, units, alone) if k < units else 0.0)

    k = min(range(1, units + 1), key=cost_s)
    return rows_of(system, (k, units) if k < units else (k,), [equal, alone][: 1 + (k < units)])


def deeperthings(system: System, mbps: np.ndarray | None = None) -> SpatialPlan:
    """DeeperThings: several fused volumes, all split equally."""
    equal = np.full(system.n_devices, 1.0 / system.n_devices)
    stops, _ = LinearModel(system, mbps).best_cuts(lambda start, stop: equal)
    return rows_of(system, stops, [equal] * len(stops))


def aofl(system: System, mbps: np.ndarray | None = None) -> SpatialPlan:
    """AOFL: the best of all partitions under linear device and network models, splits by the linear ratio."""
    linear = LinearModel(system, mbps)
    stops, _ = linear.best_cuts(linear.ratio)
    return _linear_splits(linear, stops)


def aofl_resplit(system: System, plan: SpatialPlan, mbps: np.ndarray) -> SpatialPlan:
    """AOFL's splits of a plan's volumes at other rates (D,), which take no search."""
    return _linear_splits(LinearModel(system, mbps), plan.cuts)


def _linear_splits(linear: LinearModel, stops: Sequence[int]) -> SpatialPlan:
    return rows_of(linear.system, stops, [linear.ratio(a, b) for a, b in volume_ranges(stops)])


def coedge(system: System, mbps: np.ndarray | None = None) -> SpatialPlan:
    """CoEdge: layer by layer; every layer's shares minimise the slowest linear compute plus linear transfer.

    What a device must fetch depends on the rows it holds from the layer before, so each layer is a small linear
    program over its fence posts.
    """
    linear, units = LinearModel(system, mbps), system.n_units
    shares: list[np.ndarray] = []
    for unit in range(units):
        held = None if unit == 0 else np.concatenate([[0.0], np.cumsum(shares[-1])])
        macs_s = (linear.macs_before[unit + 1] - linear.macs_before[unit]) / system.capability
        shares.append(_fence_post_lp(macs_s, linear.input_bytes(unit) * linear.byte_s(unit), held))
    return rows_of(system, range(1, units + 1), shares)


def _fence_post_lp(compute_s: np.ndarray, transfer_s: np.ndarray, held: np.ndarray | None) -> np.ndarray:
    """Shares (D,) that minimise max_d(compute_s[d] share_d + transfer_s[d] fetched_d).

    Args:
        compute_s, transfer_s: (D,) seconds of the whole layer on, and of its whole input to, each device.
        held: (D + 1,) fence posts of what each device holds as shares; None when all comes from the requester.
    """
    from scipy.optimize import linprog

    n = len(compute_s)
    if held is None:
        speed = 1.0 / (compute_s + transfer_s)
        return speed / speed.sum()
    # variables: inner posts q_1..q_{n-1}, rows fetched above u_d and below v_d, the time T
    posts, above, below, time = np.arange(n - 1), n - 1 + np.arange(n), 2 * n - 1 + np.arange(n), 3 * n - 1
    rows, limits = [], []

    def at_most(terms: dict[int, float], limit: float) -> None:
        row = np.zeros(3 * n)
        for index, value in terms.items():
            row[index] += value
        rows.append(row)
        limits.append(limit)

    def post(d: int) -> tuple[dict[int, float], float]:
        return ({int(posts[d - 1]): 1.0}, 0.0) if 0 < d < n else ({}, float(d == n))

    for d in range(n):
        (lo, lo_at), (hi, hi_at) = post(d), post(d + 1)
        share = {**{k: -v for k, v in lo.items()}, **hi}
        at_most({k: -v for k, v in share.items()}, hi_at - lo_at)  # share >= 0
        costs = {k: compute_s[d] * v for k, v in share.items()}
        fetched = {int(above[d]): transfer_s[d], int(below[d]): transfer_s[d], time: -1.0}
        at_most({**costs, **fetched}, -compute_s[d] * (hi_at - lo_at))
        at_most({**{k: -v for k, v in lo.items()}, int(above[d]): -1.0}, lo_at - held[d])  # u >= held_lo - lo
        at_most({**hi, int(below[d]): -1.0}, held[d + 1] - hi_at)  # v >= hi - held_hi
    objective = np.zeros(3 * n)
    objective[time] = 1.0
    solved = linprog(objective, np.array(rows), np.array(limits), bounds=[(0, 1)] * (n - 1) + [(0, None)] * (2 * n + 1))
    inner = np.maximum.accumulate(np.clip(solved.x[: n - 1], 0.0, 1.0))
    return np.diff(np.concatenate([[0.0], inner, [1.0]]))


PLANNERS = {
    "coedge": coedge,
    "modnn": modnn,
    "mednn": mednn,
    "deepthings": deepthings,
    "deeperthings": deeperthings,
    "aofl": aofl,
    "offload": offload,
}
