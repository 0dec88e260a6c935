"""The rows that parts of a layer-volume read and compute, carried back through its units one after another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .blocks import rows_of_part, trace_rows
from .chain import MAIN, Chain, Unit
from .layers import Rows


@dataclass(frozen=True)
class Volume:
    """The row algebra of units ``[start, stop)`` run as one layer-volume.

    Every array is indexed by a fence post ``0..height`` of the volume's last output: the part that makes output
    rows ``[a, b)`` (a < b) reads rows ``[need_lo[t][a], need_hi[t][b])`` of crossing tensor ``t`` and computes rows
    ``[kernel_lo[k][a], kernel_hi[k][b])`` of kernel ``k``; its share of a side head is
    ``[head_post[h][a], head_post[h][b])``.

    Attributes:
        height: output rows of the last unit.
        needs: tensors it reads at its front boundary (main first).
        need_lo, need_hi: (len(needs), height + 1).
        kernels: indices into ``Model.kernels``.
        kernel_lo, kernel_hi: (len(kernels), height + 1).
        holds: tensors that cross the back boundary (main first).
        hold_post: (len(holds), height + 1), fence posts of what each part owns of them.
        heads: units whose side heads lie inside.
        head_post: (len(heads), height + 1).
    """

    start: int
    stop: int
    height: int
    needs: tuple[str, ...]
    need_lo: np.ndarray
    need_hi: np.ndarray
    kernels: tuple[int, ...]
    kernel_lo: np.ndarray
    kernel_hi: np.ndarray
    holds: tuple[str, ...]
    hold_post: np.ndarray
    heads: tuple[int, ...]
    head_post: np.ndarray


class BackwardWalk:
    """Carries rows of a volume's last output back through its units, one after another.

    Args:
        model: the network.
        stop: the volume is made of units in front of this one.
        lo, hi: rows ``[lo, hi)`` of its last output; arrays of any shape, each mapped on its own.

    Attributes:
        at: the unit that was passed last, ``stop`` at first.
    """

    def __init__(self, model: Chain, stop: int, lo: np.ndarray, hi: np.ndarray) -> None:
        self.model, self.at = model, stop
        self._posts, self._height = (lo, hi), model.out_shape(stop - 1).height
        # Rows that are wanted of the main tensor and of each saved one: by what crosses the back boundary, then by
        # units inside.
        self._wanted: dict[str, tuple[Rows, Rows]] = {
            name: self.share(model.tensor_shape(name, stop).height) for name in model.crossing(stop)[1:]
        }
        self._wanted[MAIN] = lo, hi

    def share(self, rows: int) -> tuple[Rows, Rows]:
        """The rows of a map of ``rows`` that go with the rows of the last output."""
        lo, hi = self._posts
        return lo * rows // self._height, hi * rows // self._height

    def unit(self) -> list[tuple[Rows, Rows]]:
        """Pass one more unit; the rows that its kernels compute, in the order of ``Model.unit_kernels``."""
        self.at -= 1
        model, unit = self.model, self.model.units[self.at]
        rows = self._taken(MAIN)
        if unit.save in self._wanted:
            rows = _hull(rows, self._taken(unit.save))
        head_rows: list[tuple[Rows, Rows]] = []
        if unit.head:
            head_lo, head_hi, head_rows = trace_rows(
                unit.head, model.out_shape(self.at), *self.share(model.head_shape(self.at).height)
            )
            rows = _hull(rows, (head_lo, head_hi))
        assert rows is not None, "whatever a unit makes is wanted: a model is checked for it"
        lo, hi, own_rows = trace_rows(unit.layers, model.joined_shapes[self.at], *rows)
        join_rows = self._joins(unit, lo, hi)
        merge_rows = [(lo, hi)] if model.merge(self.at) is not None else []
        return [*join_rows, *merge_rows, *own_rows, *head_rows]

    def _joins(self, unit: Unit, lo: Rows, hi: Rows) -> list[tuple[Rows, Rows]]:
        """Want what goes into rows ``[lo, hi)`` of a unit's input; the rows that its joins' kernels compute."""
        model, whole, found = self.model, self.model.joined_shapes[self.at], list[tuple[Rows, Rows]]()
        for join, shape in zip(model.sources(self.at), model.source_shapes(self.at), strict=True):
            before = model.tensor_shape(join.source, self.at)
            join_lo, join_hi, traced = trace_rows(join.layers, before, *rows_of_part(shape, whole, lo, hi))
            found += traced
            need = _hull(self._wanted.get(join.source), (join_lo, join_hi))
            assert need is not None
            self._wanted[join.source] = need
        return found

    def _taken(self, name: str) -> tuple[Rows, Rows] | None:
        return self._wanted.pop(name, None)

    def needs(self) -> list[tuple[Rows, Rows]]:
        """Rows of every tensor that crosses the boundary in front of the unit that was passed last."""
        main = self._wanted.get(MAIN)
        if self.at and (saved := self.model.units[self.at - 1].save) in self._wanted:
            main = _hull(main, self._wanted[saved])  # it is the main tensor here
        if main is None:  # a side head alone reads it
            none = 0 * self._posts[0]
            main = none, none
        return [main, *(self._wanted[name] for name in self.model.crossing(self.at)[1:])]


def trace_volume(model: Chain, start: int, stop: int) -> Volume:
    if not 0 <= start < stop <= len(model.units):
        raise ValueError(f"model {model.name} has units 0..{len(model.units)}, not a volume [{start}, {stop})")
    height = model.out_shape(stop - 1).height
    posts, size = np.arange(height + 1), height + 1
    walk = BackwardWalk(model, stop, posts, posts)
    kernel_rows: list[tuple[Rows, Rows]] = []
    while walk.at > start:
        kernel_rows[:0] = walk.unit()
    needs, heads = walk.needs(), [u for u in range(start, stop) if model.units[u].head]
    holds = model.crossing(stop)
    hold_posts = [posts] + [walk.share(model.tensor_shape(name, stop).height)[0] for name in holds[1:]]
    return Volume(
        start, stop, height, model.crossing(start), _stack([n[0] for n in needs], size),
        _stack([n[1] for n in needs], size), tuple(k for u in range(start, stop) for k in model.unit_kernels[u]),
        _stack([r[0] for r in kernel_rows], size), _stack([r[1] for r in kernel_rows], size),
        holds, _stack(hold_posts, size), tuple(heads),
        _stack([walk.share(model.head_shape(u).height)[0] for u in heads], size),
    )  # fmt: skip


def _hull(first: tuple[Rows, Rows] | None, second: tuple[Rows, Rows] | None) -> tuple[Rows, Rows] | None:
    if first is None or second is None:
        return second if first is None else first
    return np.minimum(first[0], second[0]), np.maximum(first[1], second[1])


def _stack(rows: list[Rows], size: int) -> np.ndarray:
    return np.array(rows, dtype=np.int32).reshape(len(rows), size)
