"""Dense arrays of layer-volumes: everything a step gathers, computed once per (model, tables, partition)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...models.model import Model, ValueBytes
from ...models.rows import BackwardWalk
from ...profiling.tables import LatencyTable
from ...ui.errors import InputError

Range = tuple[int, int]
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
        parts: dict[Range, _Parts] = {}
        for stop in sorted({stop for _, stop in ranges}):
            parts |= _parts(model, tables, stop, {start for start, end in ranges if end == stop}, value_bytes)
        volumes = [parts[r] for r in ranges]
        self.n_tensors = max(len(rows) for v in volumes for rows in (v.need_lo, v.hold))
        self.index = np.full((len(model.units), len(model.units) + 1), -1)
        for i, r in enumerate(ranges):
            self.index[r] = i
        self.start = np.array([r[0] for r in ranges])
        self.stop = np.array([r[1] for r in ranges])
        self.height = np.array([model.out_shape(stop - 1).height for _, stop in ranges])
        self.post_at = np.concatenate([[0], np.cumsum(self.height + 1)[:-1]])
        self.cell_at = np.concatenate([[0], np.cumsum((self.height + 1) ** 2)[:-1]])
        self.rows = np.stack([self._flat([getattr(v, rows) for v in volumes]) for rows in ROWS])
        self.head_bytes = np.concatenate([v.head_bytes for v in volumes])
        self.row_bytes = np.zeros((len(ranges), self.n_tensors))
        for i, (start, _) in enumerate(ranges):
            for t, name in enumerate(model.crossing(start)):
                self.row_bytes[i, t] = model.row_bytes(name, start, *value_bytes)
        self.out_bytes = np.array(
            [float(model.out_shape(stop - 1).row_elements * value_bytes.activation) for _, stop in ranges]
        )
        self.compute_s = np.concatenate([v.seconds for v in volumes], axis=1)
        self.tail_s = np.array(
            [sum(_whole_s(t, model, k) for k in model.unit_kernels[-1]) for t in tables], dtype=float
        )

    @staticmethod
    def _check_size(model: Model, tables: Sequence[LatencyTable], ranges: Sequence[Range]) -> None:
        cells = sum((model.out_shape(stop - 1).height + 1) ** 2 for _, stop in ranges)
        size = 8 * cells * len(tables)
        if size > MOST_BYTES:
            raise InputError(
                f"{model.name}: tables of {len(ranges)} layer-volumes would take {size / 2**30:.1f} GiB, allowed: "
                f"{MOST_BYTES / 2**30:g}; partition=lc-pss (agents osds, coedge, offload, ...) needs far less"
            )

    def _flat(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        flat = np.zeros((self.n_tensors, int(np.sum(self.height + 1))))
        for some, at in zip(rows, self.post_at, strict=True):
            flat[: len(some), at : at + some.shape[1]] = some
        return flat


def _whole_s(table: LatencyTable, model: Model, kernel: int) -> float:
    return float(table.seconds[kernel, model.kernels[kernel].out_shape.height])


@dataclass(frozen=True)
class _Parts:
    """A layer-volume by fence post: rows needed and held (tensors, posts), head bytes (posts,), (types, cells)."""

    need_lo: np.ndarray
    need_hi: np.ndarray
    hold: np.ndarray
    head_bytes: np.ndarray
    seconds: np.ndarray


def _parts(
    model: Model, tables: Sequence[LatencyTable], stop: int, starts: set[int], value_bytes: ValueBytes
) -> dict[Range, _Parts]:
    """The volumes that stop at a unit. What a unit computes depends on those behind it only: one walk serves all."""
    height = model.out_shape(stop - 1).height
    posts = np.arange(height + 1)
    walk = BackwardWalk(model, stop, posts, posts)
    shapes = [model.tensor_shape(name, stop) for name in model.crossing(stop)]
    hold = np.array([posts, *(walk.share(shape.height)[0] for shape in shapes[1:])])
    empty = np.tri(height + 1, dtype=bool)  # b <= a: nothing to compute
    seconds = np.zeros((len(tables), height + 1, height + 1))
    head_bytes = np.zeros(height + 1)
    found: dict[Range, _Parts] = {}
    for start in range(stop - 1, min(starts) - 1, -1):
        for k, (lo, hi) in zip(model.unit_kernels[start], walk.unit(), strict=True):
            rows = np.maximum(hi[None, :] - lo[:, None], 0)
            for total, table in zip(seconds, tables, strict=True):
                total += table.seconds[k].take(rows)
        if model.units[start].head:
            shape = model.head_shape(start)
            head_bytes = head_bytes + walk.share(shape.height)[0] * float(shape.row_elements * value_bytes.activation)
        if start in starts:
            lo, hi = (np.array([need[end] for need in walk.needs()]) for end in (0, 1))
            flat = np.where(empty, 0.0, seconds).reshape(len(tables), -1)
            found[start, stop] = _Parts(lo, hi, hold, head_bytes, flat)
    return found
