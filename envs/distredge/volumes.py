"""Dense arrays of layer-volumes: everything a step gathers, computed once per (model, tables, partition)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...models.model import Model, Volume
from ...profiling.tables import LatencyTable

Range = tuple[int, int]


class VolumeTables:
    """Dense arrays of a set of layer-volumes: row needs and compute seconds for every possible part.

    Args:
        model: the model.
        tables: one latency table per distinct device type.
        ranges: the volumes ``(start, stop)``.
        activation_bytes: bytes of one activation value on the wire.

    Attributes:
        index: (units, units + 1) volume number of (start, stop), -1 when absent.
        start, stop, height, post_at, cell_at: (V,) per volume; offsets into the flat arrays below.
        need_lo, need_hi, hold: (T, posts) crossing tensors' rows per fence post (see ``models.model.Volume``).
        head_bytes: (posts,) bytes of side-head output up to a fence post; ``heads`` says whether there are any.
        compute_s: (types, cells) seconds of the part [a, b), at ``cell_at + a * (height + 1) + b``.
        row_bytes: (V, T) bytes per row at the front boundary; ``out_bytes``: (V,) of the main output.
        tail_s: (types,) seconds of the unsplit tail.
    """

    def __init__(self, model: Model, tables: Sequence[LatencyTable], ranges: Sequence[Range], activation_bytes: int):
        volumes = [model.volume(*r) for r in ranges]
        self.n_tensors = max(len(v.needs) for v in volumes)
        heights = np.array([v.height for v in volumes])
        self.index = np.full((len(model.units), len(model.units) + 1), -1)
        for i, r in enumerate(ranges):
            self.index[r] = i
        self.start = np.array([r[0] for r in ranges])
        self.stop = np.array([r[1] for r in ranges])
        self.height = heights
        self.post_at = np.concatenate([[0], np.cumsum(heights + 1)[:-1]])
        self.cell_at = np.concatenate([[0], np.cumsum((heights + 1) ** 2)[:-1]])
        self.need_lo = self._flat(volumes, "need_lo")
        self.need_hi = self._flat(volumes, "need_hi")
        self.hold = self._flat(volumes, "hold_post")
        self.head_bytes = np.concatenate([_head_bytes(model, v, activation_bytes) for v in volumes])
        self.heads = any(v.heads for v in volumes)
        self.row_bytes = np.zeros((len(volumes), self.n_tensors))
        for i, volume in enumerate(volumes):
            for t, name in enumerate(volume.needs):
                self.row_bytes[i, t] = model.row_bytes(name, volume.start, activation_bytes)
        self.out_bytes = np.array([float(model.out_shape(v.stop - 1).row_elements * activation_bytes) for v in volumes])
        self.compute_s = _compute_s(model, tables, ranges)
        self.tail_s = np.array([sum(_whole_s(t, model, k) for k in model.unit_kernels[-1]) for t in tables])
        self.cells = self.compute_s.shape[1]
        self._facts: dict[int, tuple[bool, int, int, int, np.ndarray]] = {}
        self._flat_compute = np.ascontiguousarray(self.compute_s).reshape(-1)

    def facts(self, v: int | np.ndarray) -> tuple[bool, Any, Any, Any, np.ndarray]:
        """(reads the image, post_at, cell_at, height + 1, row bytes (T,) or (T, n)) of one volume or one per lane."""
        if not isinstance(v, int):
            return (
                bool(self.start[v].min() == 0),
                self.post_at[v],
                self.cell_at[v],
                self.height[v] + 1,
                self.row_bytes[v].T,
            )
        if v not in self._facts:
            first, posts, cells = self.start[v] == 0, int(self.post_at[v]), int(self.cell_at[v])
            self._facts[v] = (bool(first), posts, cells, int(self.height[v]) + 1, self.row_bytes[v])
        return self._facts[v]

    def _flat(self, volumes: Sequence[Volume], name: str) -> np.ndarray:
        total = int(np.sum(self.height + 1))
        flat = np.zeros((self.n_tensors, total))
        for volume, at in zip(volumes, self.post_at, strict=True):
            rows = getattr(volume, name)
            flat[: len(rows), at : at + rows.shape[1]] = rows
        return flat

    def part_s(self, type_at: np.ndarray, cell: np.ndarray) -> np.ndarray:
        """Compute seconds of parts; ``type_at`` is (D, 1), the devices' offsets into the flat array."""
        return self._flat_compute.take(cell + type_at)


def _head_bytes(model: Model, volume: Volume, activation_bytes: int) -> np.ndarray:
    total = np.zeros(volume.height + 1)
    for unit, posts in zip(volume.heads, volume.head_post, strict=True):
        total += posts * float(model.head_shape(unit).row_elements * activation_bytes)
    return total


def _whole_s(table: LatencyTable, model: Model, kernel: int) -> float:
    return float(table.seconds[kernel, model.kernels[kernel].out_shape.height])


def _compute_s(model: Model, tables: Sequence[LatencyTable], ranges: Sequence[Range]) -> np.ndarray:
    """(types, cells): for every volume the seconds of part [a, b), 0 where a >= b.

    The rows that a unit computes depend on the units behind it, not on where the volume starts, so all volumes
    with one end are sums over a common walk backwards.
    """
    cells: dict[Range, np.ndarray] = {}
    for stop in sorted({stop for _, stop in ranges}):
        starts = {start for start, end in ranges if end == stop}
        volume = model.volume(min(starts), stop)
        size = volume.height + 1
        rows_of = dict(zip(volume.kernels, zip(volume.kernel_lo, volume.kernel_hi, strict=True), strict=True))
        empty = np.tri(size, dtype=bool)  # b <= a
        seconds = np.zeros((len(tables), size, size))
        for start in range(stop - 1, min(starts) - 1, -1):
            for k in model.unit_kernels[start]:
                lo, hi = rows_of[k]
                rows = np.maximum(hi[None, :] - lo[:, None], 0)
                for total, table in zip(seconds, tables, strict=True):
                    total += table.seconds[k].take(rows)
            if start in starts:
                cells[start, stop] = np.where(empty, 0.0, seconds).reshape(len(tables), -1)
    return np.concatenate([cells[r] for r in ranges], axis=1)
