"""Dense arrays of layer-volumes: everything a step gathers, computed once per (model, tables, partition)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ...models.model import Model, ValueBytes
from ...models.rows import BackwardWalk
from ...profiling.tables import LatencyTable
from ...ui.errors import InputError

Range = tuple[int, int]
Ends = tuple[np.ndarray, np.ndarray]  # where rows begin and end
MOST_BYTES = 2 * 2**30  # of seconds by part
ROWS = ("need_lo", "need_hi", "hold")  # by fence post, in this order in VolumeTables.rows


class VolumeTables:
    """Dense arrays of a set of layer-volumes: row needs and compute seconds for every possible part.

    Args:
        model: the model.
        tables: one latency table per distinct device type.
        ranges: the volumes ``(start, stop)``.
        value_bytes: of one value on the wire.

    Attributes:
        index: (units, units + 1) volume number of (start, stop), -1 when absent.
        start, stop, height, post_at, cell_at: (V,) per volume; offsets into the flat arrays below.
        rows: (3, T, posts) crossing tensors' rows per fence post: needed from, needed up to, held up to (see
            ``models.model.Volume``).
        head_bytes: (posts,) bytes of side-head output up to a fence post.
        compute_s: (types, cells) seconds of the part [a, b), at ``cell_at + a * (height + 1) + b``.
        row_bytes: (V, T) bytes per row at the front boundary; ``out_bytes``: (V,) of the main output.
        tail_s: (types,) seconds of the unsplit tail.
    """

    def __init__(self, model: Model, tables: Sequence[LatencyTable], ranges: Sequence[Range], value_bytes: ValueBytes):
        self._check_size(model, tables, ranges)
        self.start, self.stop = np.array(ranges).T
        self.index = np.full((len(model.units), len(model.units) + 1), -1)
        self.index[self.start, self.stop] = np.arange(len(ranges))
        heights = np.array([model.out_shape(unit).height for unit in range(len(model.units))])
        self.height = heights[self.stop - 1]
        self.post_at = np.concatenate([[0], np.cumsum(self.height + 1)[:-1]])
        self.cell_at = np.concatenate([[0], np.cumsum((self.height + 1) ** 2)[:-1]])
        ends = np.unique([self.start, self.stop]).tolist()
        self.n_tensors = max(len(model.crossing(end)) for end in ends)
        front_bytes = np.zeros((len(model.units) + 1, self.n_tensors))
        for end in ends:
            own = [model.row_bytes(name, end, *value_bytes) for name in model.crossing(end)]
            front_bytes[end, : len(own)] = own
        self.row_bytes = front_bytes[self.start]
        row_values = np.array([model.out_shape(unit).row_elements for unit in range(len(model.units))], dtype=float)
        self.out_bytes = (row_values * value_bytes.activation)[self.stop - 1]
        posts = int(np.sum(self.height + 1))
        self.rows = np.zeros((len(ROWS), self.n_tensors, posts))
        self.head_bytes = np.zeros(posts)
        self.compute_s = np.zeros((len(tables), int(np.sum((self.height + 1) ** 2))))
        self._fill(model, tables, value_bytes)
        tails = [sum(_whole_s(t, model, k) for k in model.unit_kernels[-1]) for t in tables]
        self.tail_s = np.array(tails, dtype=float)

    @staticmethod
    def _check_size(model: Model, tables: Sequence[LatencyTable], ranges: Sequence[Range]) -> None:
        volumes = Counter(stop for _, stop in ranges)
        cells = sum(count * (model.out_shape(stop - 1).height + 1) ** 2 for stop, count in volumes.items())
        size = 8 * cells * len(tables)
        if size > MOST_BYTES:
            raise InputError(
                f"{model.name}: tables of {len(ranges)} layer-volumes would take {size / 2**30:.1f} GiB, allowed: "
                f"{MOST_BYTES / 2**30:g}; partition=lc-pss (agents osds, coedge, offload, ...) needs far less"
            )

    def _fill(self, model: Model, tables: Sequence[LatencyTable], value_bytes: ValueBytes) -> None:
        """Rows, head bytes and seconds of all volumes, in one walk from the last unit to the first."""
        starts = dict(sorted(zip(self.stop.tolist(), self.start.tolist(), strict=True), reverse=True))  # the least
        walk, sums = BackwardWalk(model, starts), dict[int, _Sums]()
        while walk.goes_on:
            rows = walk.unit()
            start, heads, needs = walk.at, _head_bytes(model, walk, value_bytes), walk.needs()
            by_kernel = [[table.seconds[k] for table in tables] for k in model.unit_kernels[start]]
            for stop, part in walk.parts.items():
                if stop not in sums:
                    shares = (walk.share(model.tensor_shape(name, stop).height) for name in model.crossing(stop))
                    sums[stop] = _Sums(len(tables), np.array([share[part] for share in shares]))
                sums[stop].add([(lo[part], hi[part]) for lo, hi in rows], by_kernel, heads[part])
                if (volume := self.index[start, stop]) >= 0:
                    self._put(volume, sums[stop], [(lo[part], hi[part]) for lo, hi in needs])
            for stop in sums.keys() - walk.parts.keys():
                del sums[stop]

    def _put(self, volume: int, sums: _Sums, needs: Sequence[Ends]) -> None:
        size = int(self.height[volume]) + 1
        posts, cells = int(self.post_at[volume]), int(self.cell_at[volume])
        need_lo, need_hi, hold = self.rows[:, :, posts : posts + size]
        for t, (lo, hi) in enumerate(needs):
            need_lo[t], need_hi[t] = lo, hi
        hold[: len(sums.hold)] = sums.hold
        self.head_bytes[posts : posts + size] = sums.head_bytes
        sums.write(self.compute_s[:, cells : cells + size**2])


def _whole_s(table: LatencyTable, model: Model, kernel: int) -> float:
    return float(table.seconds[kernel, model.kernels[kernel].out_shape.height])


class _Sums:
    """What grows with every unit that a walk passes, of the volumes that stop at a unit.

    Attributes:
        hold: (tensors, posts) what each part owns of what crosses the stop.
        head_bytes: (posts,) of side heads.
    """

    def __init__(self, types: int, hold: np.ndarray) -> None:
        posts = hold.shape[1]
        self.hold, self.head_bytes = hold, np.zeros(posts)
        self._seconds = np.zeros((types, posts, posts))
        self._filled = ~np.tri(posts, dtype=bool)  # b > a

    def add(self, rows: Sequence[Ends], by_kernel: Sequence[Sequence[np.ndarray]], head_bytes: np.ndarray) -> None:
        """One more unit: rows of its kernels by post, their seconds by device type and rows, its side head's bytes."""
        for (lo, hi), by_type in zip(rows, by_kernel, strict=True):
            computed = np.maximum(hi[None, :] - lo[:, None], 0)
            for total, seconds in zip(self._seconds, by_type, strict=True):
                total += seconds.take(computed)
        self.head_bytes = self.head_bytes + head_bytes

    def write(self, cells: np.ndarray) -> None:
        """Set the seconds of parts that are not empty, (types, cells)."""
        np.copyto(cells.reshape(self._seconds.shape), self._seconds, where=self._filled)


def _head_bytes(model: Model, walk: BackwardWalk, value_bytes: ValueBytes) -> np.ndarray:
    """Bytes of the side head of the unit that was passed last, up to every post."""
    if not model.units[walk.at].head:
        return np.zeros_like(walk.share(1), dtype=float)
    shape = model.head_shape(walk.at)
    return walk.share(shape.height) * float(shape.row_elements * value_bytes.activation)
