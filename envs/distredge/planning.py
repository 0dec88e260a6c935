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
BLOCK = 16384  # parts worked on at once, so that they stay in cache
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
    units = len(model.units)
    decided = _Decided(_random_posts(model, n_devices, n_decisions, seed))
    operations = np.zeros((units + 1, units + 1))
    transmission = np.zeros((units + 1, units + 1))
    walk = BackwardWalk(model, dict.fromkeys(range(1, units + 1), 0))
    computed = np.zeros(0)
    while walk.goes_on:
        computed = np.append(computed, 0.0)  # of the stop that the walk takes up
        computed += _operations(model, walk.unit(), walk.at, decided)
        moved = _moved_bytes(model, walk.needs(), walk.at, decided, value_bytes)
        operations[walk.at, list(walk.parts)] = computed / n_decisions
        transmission[walk.at, list(walk.parts)] = moved / n_decisions
    whole = sum(model.unit_macs[:-1])
    layered = sum(transmission[u, u + 1] for u in range(units))
    return PartitionScores(operations / whole, transmission / layered)


def system_scores(system: System) -> PartitionScores:
    """:func:`partition_scores` with a scenario's own random decisions."""
    s = system.scenario
    return partition_scores(system.model, system.n_devices, s.n_decisions, s.decisions_seed, s.value_bytes)


def _random_posts(model: Model, n_devices: int, n_decisions: int, seed: int) -> np.ndarray:
    """(units, decisions, devices + 1) fence posts of every unit's output."""
    cuts = np.sort(np.random.default_rng(seed).random((len(model.units), n_decisions, n_devices - 1)), axis=2)
    posts = np.zeros((len(model.units), n_decisions, n_devices + 1), dtype=np.intp)
    for unit, own in enumerate(cuts):
        height = model.out_shape(unit).height
        posts[unit, :, 1:-1], posts[unit, :, -1] = np.rint(own * height), height
    return posts


class _Decided:
    """Sums over the parts of all decisions, for every stop that a walk over all units has under way, the last first.

    A part has rows ``hi[end] - lo[begin]``, so how often parts that are not empty begin and end at a post is all that
    the sum of their rows takes. What of it a device owns is another matter in every decision.

    Args:
        posts: (units, decisions, devices + 1) fence posts of every unit's output.
    """

    def __init__(self, posts: np.ndarray) -> None:
        self.posts = posts
        outputs = posts[::-1]
        self._at = np.concatenate([[0], np.cumsum(outputs[:, 0, -1] + 1)])  # posts of stops in a walk's arrays
        walked = outputs + self._at[:-1, None, None]
        self._begin, self._end = walked[:, :, :-1], walked[:, :, 1:]
        self._some = self._end > self._begin
        self._begins, self._ends = (
            np.bincount(ends[self._some], minlength=self._at[-1]) for ends in (self._begin, self._end)
        )

    def rows(self, lo: Rows, hi: Rows) -> np.ndarray:
        """(stops,) rows of all parts in all decisions, for those of every post."""
        posts = len(lo)
        stops = np.searchsorted(self._at, posts)
        return np.add.reduceat(self._ends[:posts] * hi - self._begins[:posts] * lo, self._at[:stops])

    def held(self, lo: Rows, hi: Rows, owner: np.ndarray) -> np.ndarray:
        """(stops,) those of them that their device owns, of fence posts (decisions, devices + 1)."""
        stops = np.searchsorted(self._at, len(lo))
        found = np.zeros(stops, dtype=np.int64)
        step = max(1, BLOCK // owner.size)
        for some in (slice(first, first + step) for first in range(0, stops, step)):
            both = np.minimum(hi.take(self._end[:stops][some]), owner[:, 1:])
            both -= np.maximum(lo.take(self._begin[:stops][some]), owner[:, :-1])
            both *= self._some[:stops][some]
            found[some] = np.maximum(both, 0, out=both).sum(axis=(1, 2))
        return found


def _operations(model: Model, rows: list[tuple[Rows, Rows]], unit: int, decided: _Decided) -> np.ndarray | float:
    """(stops,) MACs of a unit in all decisions together."""
    total = 0.0
    for k, (lo, hi) in zip(model.unit_kernels[unit], rows, strict=True):
        kernel = model.kernels[k]
        macs = kernel.layer.macs(kernel.in_shape)
        if macs:
            total += macs / kernel.out_shape.height * decided.rows(lo, hi)
    return total


def _moved_bytes(
    model: Model, needs: list[tuple[Rows, Rows]], boundary: int, decided: _Decided, value_bytes: ValueBytes
) -> np.ndarray | float:
    """(stops,) bytes that the parts fetch in all decisions together: from the requester, or from each other."""
    total = 0.0
    for name, (lo, hi) in zip(model.crossing(boundary), needs, strict=True):
        fetched = decided.rows(lo, hi)
        if boundary:
            rows, height = model.tensor_shape(name, boundary).height, model.in_shapes[boundary].height
            fetched -= decided.held(lo, hi, decided.posts[boundary - 1] * rows // height)
        total += fetched * float(model.row_bytes(name, boundary, *value_bytes))
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
