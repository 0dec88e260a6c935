"""LC-PSS, DistrEdge's search for a partition scheme (paper, Sec. IV-B, Algorithm 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ...models.layers import Rows
from ...models.model import Model, ValueBytes
from ...models.plans import volume_ranges
from ...models.rows import BackwardWalk
from .system import PlanBatch, System

ALPHA_GRID = (0.0, 0.25, 0.5, 0.75, 1.0)
HALVES = ValueBytes(2)  # float16 activations behind an image of bytes


@dataclass(frozen=True)
class PartitionScores:
    """Expected operations and transmission of every layer-volume over random split decisions.

    Given the decisions, the bytes that enter a volume depend on it and on the unit before it only, so the score of a
    scheme (Eq. 3-4) is a sum over its volumes.

    Attributes:
        operations: (units + 1, units + 1) mean MACs of volume (start, stop) over the unsplit model's.
        transmission: mean bytes that enter volume (start, stop), over the layer-by-layer scheme's.
    """

    operations: np.ndarray
    transmission: np.ndarray

    def score(self, alpha: float) -> np.ndarray:
        """(units + 1, units + 1) alpha T + (1 - alpha) O of every volume (Eq. 3, both terms normalised)."""
        return alpha * self.transmission + (1 - alpha) * self.operations


def partition_scores(
    model: Model, n_devices: int, n_decisions: int = 100, seed: int = 0, value_bytes: ValueBytes = HALVES
) -> PartitionScores:
    """Score every layer-volume under ``n_decisions`` random split decisions (sorted uniform cuts at every unit)."""
    rng = np.random.default_rng(seed)
    units = len(model.units)
    cuts = np.sort(rng.random((units, n_decisions, n_devices - 1)), axis=2)
    posts = []
    for u in range(units):
        height = model.out_shape(u).height
        inner = np.rint(cuts[u] * height).astype(int)
        ends = np.zeros((n_decisions, 1), dtype=int)
        posts.append(np.concatenate([ends, inner, ends + height], axis=1))
    operations = np.zeros((units + 1, units + 1))
    transmission = np.zeros((units + 1, units + 1))
    for stop in range(1, units + 1):
        a, b = posts[stop - 1][:, :-1], posts[stop - 1][:, 1:]
        some = b > a
        walk = BackwardWalk(model, stop, a, b)
        total = 0.0
        for start in range(stop - 1, -1, -1):
            total += _operations(model, start, walk.unit(), some)
            operations[start, stop] = total / n_decisions
            owner = posts[start - 1] if start else None
            moved = _moved_bytes(model, start, walk.needs(), owner, some, value_bytes)
            transmission[start, stop] = moved / n_decisions
    whole = sum(model.unit_macs[:-1])
    layered = sum(transmission[u, u + 1] for u in range(units))
    return PartitionScores(operations / whole, transmission / layered)


def system_scores(system: System) -> PartitionScores:
    """:func:`partition_scores` with a scenario's own random decisions."""
    s = system.scenario
    return partition_scores(system.model, system.n_devices, s.n_decisions, s.decisions_seed, s.value_bytes)


def _operations(model: Model, unit: int, rows: list[tuple[Rows, Rows]], some: np.ndarray) -> float:
    """MACs of a unit's rows in all decisions together; ``some`` marks the parts that are not empty."""
    total = 0.0
    for k, (lo, hi) in zip(model.unit_kernels[unit], rows, strict=True):
        kernel = model.kernels[k]
        macs = kernel.layer.macs(kernel.in_shape)
        if macs:
            total += macs / kernel.out_shape.height * float(np.sum((hi - lo) * some))
    return total


def _moved_bytes(
    model: Model,
    boundary: int,
    needs: list[tuple[Rows, Rows]],
    owner: np.ndarray | None,
    some: np.ndarray,
    value_bytes: ValueBytes,
) -> float:
    """Bytes that the parts fetch in all decisions together: from the requester (no owner) or from each other."""
    total = 0.0
    for name, (lo, hi) in zip(model.crossing(boundary), needs, strict=True):
        last = np.where(some, hi, lo)
        fetched = last - lo
        if owner is not None:
            posts = owner
            if name:
                rows, height = model.saved_shape(name).height, model.in_shapes[boundary].height
                posts = owner * rows // height
            fetched = fetched - np.maximum(np.minimum(last, posts[:, 1:]) - np.maximum(lo, posts[:, :-1]), 0)
        total += float(np.sum(fetched)) * model.row_bytes(name, boundary, *value_bytes)
    return total


def lc_pss(model: Model, scores: PartitionScores, alpha: float) -> tuple[int, ...]:
    """Greedy partition (Algorithm 1): stops of the layer-volumes.

    R_p starts as {1, |M|} as printed, so the last unit begins apart; every loop cuts each volume at its best place if
    that strictly lowers the score, until nothing changes.

    Raises:
        ValueError: alpha outside 0..1.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}, allowed: 0..1")
    units = len(model.units)
    score = scores.score(alpha)
    bounds = sorted({0, units - 1, units})
    while True:
        found = list(bounds)
        for start, stop in pairwise(bounds):
            inside = range(start + 1, stop)
            if not inside:
                continue
            best = min(inside, key=lambda j: score[start, j] + score[j, stop])
            if score[start, best] + score[best, stop] < score[start, stop]:
                found.append(best)
        if len(found) == len(bounds):
            return tuple(bounds[1:])
        bounds = sorted(found)


def proportional_splits(system: System, stops: Sequence[int], shares: np.ndarray) -> tuple[tuple[int, ...], ...]:
    """Rows where each device's part begins, for shares (D,) of every volume's last output."""
    inner = np.cumsum(shares / shares.sum())[:-1]
    return tuple(tuple(int(x) for x in np.rint(inner * system.heights[stop - 1])) for stop in stops)


def partition_of(system: System, alpha: float | str, mbps: np.ndarray | None = None) -> tuple[int, ...]:
    """The partition of a scenario: LC-PSS at a fixed alpha, or the best of a grid for ``"auto"``.

    ``"auto"`` scores LC-PSS at every alpha of a grid, and no cut at all, by the physics at rates (D,), nominal when
    None, under splits proportional to capability, then keeps the fastest.
    """
    scores = system_scores(system)
    if alpha != "auto":
        return lc_pss(system.model, scores, float(alpha))
    candidates = list(
        dict.fromkeys(
            [(system.n_units,), *(lc_pss(system.model, scores, a) for a in (*ALPHA_GRID, system.scenario.alpha))]
        )
    )
    latency = [_proportional_s(system, stops, mbps) for stops in candidates]
    return candidates[int(np.argmin(latency))]


def _proportional_s(system: System, stops: tuple[int, ...], mbps: np.ndarray | None) -> float:
    splits = np.array(proportional_splits(system, stops, system.capability))[:, :, None]
    batch = PlanBatch(np.array(stops)[:, None], np.array([len(stops)]), splits)
    rates = None if mbps is None else mbps[:, None]
    return float(system.evaluate(batch, system.physics(volume_ranges(stops)), rates)[0])
