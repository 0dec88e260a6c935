"""The linear models that DistrEdge's baselines plan with, instead of the physics.

Compute time is MACs over a device's capability (model operations over model time); transfer time is bytes over
throughput (that of a transfer alone, which on one access point crosses the air twice), without a cost per message. A
fused block's input is gathered and scattered again, as these methods do it: a part's transfer is all its input rows
(halo included) over its link. A plan costs the sum over its volumes of the slowest transfer and the slowest compute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from ...envs.distredge.system import System
from ...models.model import Model, ValueBytes
from ...models.rows import BackwardWalk

BISECTIONS = 26  # of a compute time, to a relative 3e-8
ROUNDING = 1.0 + 1e-12  # of sums taken in another order
Shares = Callable[[int, int], np.ndarray]  # (start, stop) -> (D,) shares of the last output's rows


def fence_posts(shares: np.ndarray, height: int) -> np.ndarray:
    """(D + 1,) rows 0..height where the parts of a volume begin and end, for shares (D,) of its last output."""
    inner = np.cumsum(shares)[:-1] / np.sum(shares)
    return np.rint(np.concatenate([[0.0], inner, [1.0]]) * height).astype(int)


@dataclass(frozen=True)
class _Work:
    """What parts [a, b) of a volume with so many rows read and compute: by fence post (posts,), ``hi[b] - lo[a]``."""

    height: int
    bytes_lo: np.ndarray
    bytes_hi: np.ndarray
    macs_lo: np.ndarray
    macs_hi: np.ndarray

    def of(self, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bytes that parts read and MACs that they compute; 0 for empty ones."""
        some = b > a
        return some * (self.bytes_hi[b] - self.bytes_lo[a]), some * (self.macs_hi[b] - self.macs_lo[a])


class _Works:
    """The work of all layer-volumes of a network, of one walk.

    Attributes:
        whole: (2, units, units + 1) bytes read and MACs computed by volume (start, stop) as one part.
        halo: what each further part adds to that at least, below 0 where parts leave out rows between them; infinite
            where the output has one row.
    """

    def __init__(self, model: Model, value_bytes: ValueBytes) -> None:
        units = len(model.units)
        self.whole, self.halo = (np.zeros((2, units, units + 1)) for _ in range(2))
        self._of: list[tuple[dict[int, slice], np.ndarray]] = [({}, np.zeros(0))] * units
        row_macs = [k.layer.macs(k.in_shape) / k.out_shape.height for k in model.kernels]
        walk, macs = BackwardWalk(model, dict.fromkeys(range(1, units + 1), 0)), np.zeros((2, 0))
        while walk.goes_on:
            rows = walk.unit()
            needs, names = np.array(walk.needs()), model.crossing(walk.at)
            macs = np.pad(macs, ((0, 0), (0, needs.shape[2] - macs.shape[1])))
            for k, ends in zip(model.unit_kernels[walk.at], rows, strict=True):
                macs = macs + row_macs[k] * np.array(ends)
            row_bytes = [float(model.row_bytes(name, walk.at, *value_bytes)) for name in names]
            self._put(walk.at, dict(walk.parts), np.stack([np.tensordot(row_bytes, needs, 1), macs]))

    def _put(self, start: int, parts: dict[int, slice], work: np.ndarray) -> None:
        """Keep (bytes or MACs, lo or hi, posts) of the volumes of a start."""
        self._of[start] = parts, work
        stops, first, last = list(parts), [p.start for p in parts.values()], [p.stop - 1 for p in parts.values()]
        self.whole[:, start, stops] = work[:, 1, last] - work[:, 0, first]
        overlap = work[:, 1] - work[:, 0]
        overlap[:, first + last] = np.inf  # parts meet in between
        self.halo[:, start, stops] = np.minimum.reduceat(overlap, first, axis=1)

    def of(self, start: int, stop: int) -> _Work:
        """What parts of volume (start, stop) read and compute."""
        parts, work = self._of[start]
        (bytes_lo, bytes_hi), (macs_lo, macs_hi) = work[:, :, parts[stop]]
        return _Work(len(bytes_lo) - 1, bytes_lo, bytes_hi, macs_lo, macs_hi)


@lru_cache(maxsize=8)
def _works(model: Model, value_bytes: ValueBytes) -> _Works:
    return _Works(model, value_bytes)


def _least_rows(work: _Work, byte_s: np.ndarray, mac_s: np.ndarray) -> np.ndarray:
    """(D + 1,) fence posts with the least slowest transfer plus slowest compute.

    The slowest transfer is that of some part, so all of them are tried as limits, at once. Under two limits parts that
    each take all rows they may get furthest; the least compute limit is found by bisection, and transfer limits that
    cannot be the best any more are left out.
    """
    whole_s = (work.bytes_hi[-1] - work.bytes_lo[0]) * byte_s + (work.macs_hi[-1] - work.macs_lo[0]) * mac_s
    alone = int(np.argmin(whole_s))
    a, b = np.triu_indices(work.height + 1, 1)
    sizes = np.unique(work.bytes_hi[b] - work.bytes_lo[a])
    limits = np.unique(np.outer(sizes, np.unique(byte_s)))
    limits = limits[limits < whole_s[alone]]
    low, high, left = np.zeros(len(limits)), whole_s[alone] - limits, np.ones(len(limits), dtype=bool)
    for step in range(BISECTIONS):
        middle = 0.5 * (low + high) if step else high
        enough = _furthest(work, limits / byte_s[:, None], middle / mac_s[:, None])[-1] == work.height
        if step:
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
            left = limits + low <= np.min(limits + high)
        else:
            left = enough  # others are no better than one device alone
        limits, low, high = limits[left], low[left], high[left]
        if not limits.size:
            return np.where(np.arange(len(byte_s) + 1) > alone, work.height, 0)
    best = int(np.argmin(limits + high))
    return _furthest(work, limits[best : best + 1] / byte_s[:, None], high[best] / mac_s[:, None])[:, 0]


def _furthest(work: _Work, most_bytes: np.ndarray, most_macs: np.ndarray) -> np.ndarray:
    """(D + 1, n) fence posts where each device takes all rows that limits (D, n) or (D, 1) let it have."""
    found = [np.zeros(most_bytes.shape[1], dtype=np.intp)]
    for sent, macs in zip(most_bytes, most_macs, strict=True):
        a = found[-1]
        by_bytes = np.searchsorted(work.bytes_hi, (work.bytes_lo[a] + sent) * ROUNDING, "right") - 1
        by_macs = np.searchsorted(work.macs_hi, (work.macs_lo[a] + macs) * ROUNDING, "right") - 1
        found.append(np.maximum(a, np.minimum(by_bytes, by_macs)))
    return np.stack(found)


class LinearModel:
    """Linear costs of layer-volumes.

    Args:
        system: the scenario.
        mbps: (D,) monitored rates, nominal when None.
    """

    def __init__(self, system: System, mbps: np.ndarray | None = None) -> None:
        self.system = system
        self._works = _works(system.model, system.scenario.value_bytes)
        rates = system.mbps if mbps is None else np.asarray(mbps, dtype=float)
        scenario = system.scenario
        requester = system.requester_mbps(rates)
        if scenario.medium == "shared":
            self._byte_s = 8e-6 / scenario.eta * (2.0 / rates)
            self._image_byte_s = 8e-6 / scenario.eta * (1.0 / rates + 1.0 / requester)
        else:
            self._byte_s = 8e-6 / (scenario.eta * rates)
            self._image_byte_s = 8e-6 / (scenario.eta * np.minimum(rates, requester))

    def byte_s(self, start: int) -> np.ndarray:
        """(D,) seconds per byte of the tensors in front of unit ``start``."""
        return self._byte_s if start else self._image_byte_s

    @cached_property
    def macs_before(self) -> np.ndarray:
        """(units + 1,) MACs in front of every boundary."""
        return np.concatenate([[0], np.cumsum(self.system.model.unit_macs[:-1])]).astype(float)

    def input_bytes(self, start: int) -> float:
        """Bytes of everything that crosses the boundary in front of unit ``start``."""
        return float(self.system.model.boundary_bytes(start, *self.system.scenario.value_bytes))

    def ratio(self, start: int, stop: int) -> np.ndarray:
        """(D,) AOFL's linear ratio: shares of a volume's rows with the least slowest transfer plus slowest compute.

        A device may get nothing: with the halo that a part of any size needs, the best share of a slow device or link
        is often none. The paper's reference does not tell how it solves its model; the exact optimum over whole rows
        is ours.
        """
        work = self._works.of(start, stop)
        return np.diff(_least_rows(work, self.byte_s(start), 1.0 / self.system.capability)) / work.height

    def cost_s(self, start: int, stop: int, shares: np.ndarray) -> float:
        """Slowest transfer plus slowest compute of volume (start, stop) split by shares."""
        work = self._works.of(start, stop)
        posts = fence_posts(shares, work.height)
        sent, macs = work.of(posts[:-1], posts[1:])
        return float(np.max(sent * self.byte_s(start)) + np.max(macs / self.system.capability))

    @cached_property
    def _least_s(self) -> np.ndarray:
        """(units, units + 1) what every volume (start, stop) costs at least, in as many parts as are best for it: what
        they read and compute, shared as the fastest links and devices would like it."""
        works, starts = self._works, range(self.system.n_units)
        rates = -np.sort(-1.0 / np.array([self.byte_s(start) for start in starts]))  # (units, D), fastest first
        speeds = -np.sort(-self.system.capability)
        least = np.full(works.whole.shape[1:], np.inf)
        for parts in range(1, len(speeds) + 1):
            read, computed = works.whole + (parts - 1) * works.halo if parts > 1 else works.whole
            cost_s = read / rates[:, :parts].sum(axis=1, keepdims=True) + computed / speeds[:parts].sum()
            np.minimum(least, cost_s, out=least)
        return least / ROUNDING

    def best_cuts(self, shares: Shares) -> tuple[tuple[int, ...], float]:
        """Cuts with the least total cost, by dynamic programming over all partitions: (stops, seconds)."""
        units = self.system.n_units
        best = np.full(units + 1, np.inf)
        best[0] = 0.0
        came = np.zeros(units + 1, dtype=int)
        for stop in range(1, units + 1):
            least = best[:stop] + self._least_s[:stop, stop]
            for start in np.argsort(least, kind="stable").tolist():
                if least[start] >= best[stop]:
                    break
                total = best[start] + self.cost_s(start, stop, shares(start, stop))
                if total < best[stop]:
                    best[stop], came[stop] = total, start
        stops = [units]
        while came[stops[0]]:
            stops.insert(0, int(came[stops[0]]))
        return tuple(stops), float(best[units])
