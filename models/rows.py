"""The rows that parts of a layer-volume read and compute, carried back through its units one after another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .blocks import rows_of_part, trace_rows
from .chain import MAIN, Chain, Unit
from .layers import Rows

_BEYOND = 2**62  # behind the rows of any map


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
    """Carries the fence posts of volumes' last outputs back through the units, those of many stops side by side.

    What a part reads and computes in a unit depends on the units behind it only, so one walk serves all volumes that
    stop at a unit, and one pass over the units all stops. Rows are arrays over posts, one stop's behind another's.

    Args:
        model: the network.
        starts: by stop, where the longest volume that stops there starts. There the walk lets go of it.

    Attributes:
        at: the unit that was passed last.
        parts: where the posts of every stop under way lie, the last stop first.
    """

    def __init__(self, model: Chain, starts: Mapping[int, int]) -> None:
        self.model, self.at, self.parts = model, max(starts), dict[int, slice]()
        self._starts, self._to_come = starts, sorted(starts)
        self._posts = self._heights = np.zeros(0, dtype=np.intp)
        self._wanted = dict[str, tuple[Rows, Rows]]()  # of the main tensor and of each saved one

    @property
    def goes_on(self) -> bool:
        """Whether there are units to pass."""
        return bool(self._to_come) or any(self._starts[stop] < self.at for stop in self.parts)

    def share(self, rows: int) -> np.ndarray:
        """The posts of a map of ``rows`` that go with those of the last output."""
        return self._posts * rows // self._heights

    def unit(self) -> list[tuple[Rows, Rows]]:
        """Pass one more unit; the rows that its kernels compute, in the order of ``Model.unit_kernels``."""
        self._let_go()
        if not self.parts:
            self.at = self._to_come[-1]
        if self._to_come and self._to_come[-1] == self.at:
            self._take_up(self._to_come.pop())
        self.at -= 1
        model, unit = self.model, self.model.units[self.at]
        rows = self._taken(MAIN)
        if unit.save in self._wanted:
            rows = _hull(rows, self._taken(unit.save))
        head_rows: list[tuple[Rows, Rows]] = []
        if unit.head:
            posts = self.share(model.head_shape(self.at).height)
            head_lo, head_hi, head_rows = trace_rows(unit.head, model.out_shape(self.at), posts, posts)
            rows = _hull(rows, (head_lo, head_hi))
        assert rows is not None, "whatever a unit makes is wanted: a model is checked for it"
        lo, hi, own_rows = trace_rows(unit.layers, model.joined_shapes[self.at], *rows)
        join_rows = self._joins(unit, lo, hi)
        merge_rows = [(lo, hi)] if model.merge(self.at) is not None else []
        return [*join_rows, *merge_rows, *own_rows, *head_rows]

    def _let_go(self) -> None:
        """Forget the stops whose longest volume is passed."""
        over = [stop for stop in self.parts if self._starts[stop] == self.at]
        if not over:
            return
        keep = np.ones(len(self._posts), dtype=bool)
        for stop in over:
            keep[self.parts.pop(stop)] = False
        self._posts, self._heights = self._posts[keep], self._heights[keep]
        self._wanted = {name: (lo[keep], hi[keep]) for name, (lo, hi) in self._wanted.items()} if self.parts else {}
        self._place()

    def _take_up(self, stop: int) -> None:
        """Begin at a stop: wanted are the rows of the last output, and of what else crosses the boundary there."""
        model, before = self.model, len(self._posts)
        height = model.out_shape(stop - 1).height
        posts = np.arange(height + 1)
        shares = {name: posts * model.tensor_shape(name, stop).height // height for name in model.crossing(stop)[1:]}
        new = {name: (share, share) for name, share in {**shares, MAIN: posts}.items()}
        self._posts = np.concatenate([self._posts, posts])
        self._heights = np.concatenate([self._heights, np.full(height + 1, height)])
        self.parts[stop] = slice(0, 0)
        self._place()
        for name in {**self._wanted, **new}:
            old_rows = self._wanted.get(name) or _nothing(before)
            ends = zip(old_rows, new.get(name) or _nothing(height + 1), strict=True)
            lo, hi = (np.concatenate(pair) for pair in ends)
            self._wanted[name] = lo, hi

    def _place(self) -> None:
        begin = 0
        for stop in self.parts:
            end = begin + self.model.out_shape(stop - 1).height + 1
            self.parts[stop], begin = slice(begin, end), end

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
        lo, hi = _nothing(len(self._posts)) if main is None else main
        main = np.where(hi < 0, 0, lo), np.maximum(hi, 0)  # a side head alone reads it
        return [main, *(self._wanted[name] for name in self.model.crossing(self.at)[1:])]


def trace_volume(model: Chain, start: int, stop: int) -> Volume:
    if not 0 <= start < stop <= len(model.units):
        raise ValueError(f"model {model.name} has units 0..{len(model.units)}, not a volume [{start}, {stop})")
    height = model.out_shape(stop - 1).height
    size = height + 1
    walk = BackwardWalk(model, {stop: start})
    kernel_rows: list[tuple[Rows, Rows]] = []
    while walk.goes_on:
        kernel_rows[:0] = walk.unit()
    needs, heads = walk.needs(), [u for u in range(start, stop) if model.units[u].head]
    holds = model.crossing(stop)
    hold_posts = [walk.share(model.tensor_shape(name, stop).height) for name in holds]
    return Volume(
        start, stop, height, model.crossing(start), _stack([n[0] for n in needs], size),
        _stack([n[1] for n in needs], size), tuple(k for u in range(start, stop) for k in model.unit_kernels[u]),
        _stack([r[0] for r in kernel_rows], size), _stack([r[1] for r in kernel_rows], size),
        holds, _stack(hold_posts, size), tuple(heads),
        _stack([walk.share(model.head_shape(u).height) for u in heads], size),
    )  # fmt: skip


def _hull(first: tuple[Rows, Rows] | None, second: tuple[Rows, Rows] | None) -> tuple[Rows, Rows] | None:
    if first is None or second is None:
        return second if first is None else first
    return np.minimum(first[0], second[0]), np.maximum(first[1], second[1])


def _nothing(count: int) -> tuple[Rows, Rows]:
    """No rows of a tensor, which change nothing in a hull."""
    return np.full(count, _BEYOND), np.full(count, -1)


def _stack(rows: list[Rows], size: int) -> np.ndarray:
    return np.array(rows, dtype=np.int32).reshape(len(rows), size)
