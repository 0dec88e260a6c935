"""A model to be cut: a chain of units that can be split by height, then an unsplit tail.

The boundary in front of a unit is where a model may be cut. What crosses it is the previous unit's output
(the *main* tensor) and every tensor that an earlier unit saved and a later one joins (a passthrough,
OpenPose's features). Rows of a saved tensor follow the split: whoever owns main rows ``[a, b)`` of ``H`` owns
its rows ``[a*h//H, b*h//H)``. A side head's output leaves the model; it stays with the device that made it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Literal, NamedTuple

import numpy as np

from ..ui.numerals import prefixed
from .layers import Block, GlobalPool, Layer, Linear, Rows, Shape, chain_out, leaves, trace_rows

MAIN = ""
IMAGE_VALUE_BYTES = 1  # a camera image is uint8
ValueType = Literal["uint8", "float16", "float32"]
VALUE_BYTES: Mapping[ValueType, int] = {"uint8": 1, "float16": 2, "float32": 4}


class ValueBytes(NamedTuple):
    """Bytes of a value on the wire: of an activation, and of the image."""

    activation: int
    image: int = IMAGE_VALUE_BYTES


@dataclass(frozen=True)
class Join:
    """A saved tensor, sent through ``layers``, whose channels are put in front of the unit's input."""

    source: str
    layers: tuple[Layer, ...] = ()


@dataclass(frozen=True)
class Unit:
    """The smallest piece between two possible cuts.

    ``layers`` run on the input (with the joins concatenated). ``save`` keeps the output under a name for
    later joins. ``head`` runs on the output and yields one more output of the model.
    """

    name: str
    layers: tuple[Layer, ...]
    joins: tuple[Join, ...] = ()
    save: str | None = None
    head: tuple[Layer, ...] = ()


@dataclass(frozen=True, slots=True)
class Kernel:
    """One fused kernel of a model: a latency table has one row of entries for each."""

    name: str
    unit: int  # index of the unit, len(units) for the tail
    layer: Layer
    in_shape: Shape
    out_shape: Shape


@dataclass(frozen=True, slots=True)
class Step:
    """A unit, or a layer of the tail: what lies between two neighbouring points of the whole network.

    Attributes:
        name: the unit's; the tail's layers are called fc1, fc2, ... and pool, or tail.<number>.
        kernels: indices into ``Model.kernels``.
    """

    name: str
    kernels: tuple[int, ...]


@dataclass(frozen=True)
class Model:
    """A network as plain data.

    Args:
        name: the name used in plans, tables and scenarios.
        input: shape of the input.
        units: the chain that may be split by height.
        tail: layers that run unsplit after the last unit (global pool, fully connected). Empty for detectors.
        input_row_bytes: bytes of one input row as the requester sends it, whatever the image's type; by default the
            image's values.

    Raises:
        ValueError: layers or joins do not fit together, a join's source is not saved before, heads beside a tail.
    """

    name: str
    input: Shape
    units: tuple[Unit, ...]
    tail: tuple[Layer, ...] = ()
    input_row_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.tail and any(unit.head for unit in self.units):
            raise ValueError(
                f"model {self.name}: side heads leave the model beside its output, so its tail must be empty"
            )
        _ = self.kernels  # shapes and joins that do not fit are errors of whoever builds the model: raise them here

    @cached_property
    def _flow(self) -> tuple[tuple[Shape, ...], tuple[Shape, ...], dict[str, Shape]]:
        """(main input of every unit and of the tail, the same with joins, saved tensors by name)."""
        mains, joined, saved = [self.input], [], dict[str, Shape]()
        for unit in self.units:
            main, extra = mains[-1], 0
            for join in unit.joins:
                if join.source not in saved:
                    raise ValueError(
                        f"model {self.name}: unit {unit.name} joins {join.source!r}, saved by no earlier unit"
                    )
                out = chain_out(join.layers, saved[join.source])
                if (out.height, out.width) != (main.height, main.width):
                    raise ValueError(f"model {self.name}: unit {unit.name} joins {out} to {main}")
                extra += out.folded_channels
            joined.append(Shape(main.folded_channels + extra, main.height, main.width) if unit.joins else main)
            mains.append(chain_out(unit.layers, joined[-1]))
            if unit.save:
                if unit.save in saved:
                    raise ValueError(
                        f"model {self.name}: unit {unit.name} saves {unit.save!r}, an earlier one already did"
                    )
                saved[unit.save] = mains[-1]
        return tuple(mains), tuple(joined), saved

    @property
    def in_shapes(self) -> tuple[Shape, ...]:
        """Main input of every unit, before joins; one more entry for the tail's input."""
        return self._flow[0]

    @property
    def joined_shapes(self) -> tuple[Shape, ...]:
        """What each unit's layers see: the main input with its joins."""
        return self._flow[1]

    def saved_shape(self, name: str) -> Shape:
        """Shape of a saved tensor."""
        return self._flow[2][name]

    @cached_property
    def saved(self) -> dict[str, tuple[int, int]]:
        """Saved tensors that are joined: name -> (unit that saves it, last unit that joins it)."""
        made = {u.save: i for i, u in enumerate(self.units) if u.save}
        last = {join.source: i for i, unit in enumerate(self.units) for join in unit.joins}
        return {name: (made[name], last[name]) for name in last}

    def out_shape(self, index: int) -> Shape:
        """Output shape of unit ``index``."""
        return self.in_shapes[index + 1]

    def head_shape(self, index: int) -> Shape:
        """Output shape of unit ``index``'s side head."""
        return chain_out(self.units[index].head, self.out_shape(index))

    def tensor_shape(self, name: str, boundary: int) -> Shape:
        """Shape of a tensor that crosses the boundary in front of unit ``boundary``."""
        return self.in_shapes[boundary] if name == MAIN else self.saved_shape(name)

    def crossing(self, boundary: int) -> tuple[str, ...]:
        """Tensors that cross the boundary in front of unit ``boundary``, the main one first.

        A tensor saved by the unit just before is the main one and is not named twice.
        """
        return (MAIN, *(n for n, (made, last) in self.saved.items() if made < boundary - 1 and last >= boundary))

    def row_bytes(self, name: str, boundary: int, value_bytes: int, image_value_bytes: int = IMAGE_VALUE_BYTES) -> int:
        """Bytes of one row of a crossing tensor; the image has a type of its own."""
        if boundary == 0:
            image = self.input.row_elements * image_value_bytes
            return self.input_row_bytes if self.input_row_bytes is not None else image
        return self.tensor_shape(name, boundary).row_elements * value_bytes

    @cached_property
    def kernels(self) -> tuple[Kernel, ...]:
        """Every kernel in execution order: joins, layers and head of each unit, then the tail."""
        return tuple(self._kernels())

    def _kernels(self) -> Iterator[Kernel]:
        for i, unit in enumerate(self.units):
            parts = [(f"{unit.name}.join{j}.", n.layers, self.saved_shape(n.source)) for j, n in enumerate(unit.joins)]
            parts.append((f"{unit.name}.", unit.layers, self.joined_shapes[i]))
            parts.append((f"{unit.name}.head.", unit.head, self.out_shape(i)))
            for prefix, layers, shape in parts:
                for leaf in leaves(layers, shape, prefix):
                    alone = len(layers) == 1 and not isinstance(layers[0], Block)
                    name = prefix[:-1] if alone else leaf.path
                    yield Kernel(name, i, leaf.layer, leaf.in_shape, leaf.out_shape)
        for leaf in leaves(self.tail, self.in_shapes[-1], "tail."):
            yield Kernel(leaf.path, len(self.units), leaf.layer, leaf.in_shape, leaf.out_shape)

    @cached_property
    def unit_kernels(self) -> tuple[tuple[int, ...], ...]:
        """Indices into :attr:`kernels` of each unit; the last entry is the tail's."""
        groups: list[list[int]] = [[] for _ in range(len(self.units) + 1)]
        for k, kernel in enumerate(self.kernels):
            groups[kernel.unit].append(k)
        return tuple(tuple(g) for g in groups)

    @cached_property
    def unit_macs(self) -> tuple[int, ...]:
        """Multiply-accumulates of each unit, then of the tail."""
        return tuple(
            sum(self.kernels[k].layer.macs(self.kernels[k].in_shape) for k in group) for group in self.unit_kernels
        )

    def boundary_bytes(self, boundary: int, value_bytes: int, image_value_bytes: int = IMAGE_VALUE_BYTES) -> int:
        """Bytes of everything that crosses the boundary in front of unit ``boundary``."""
        return sum(
            self.row_bytes(name, boundary, value_bytes, image_value_bytes) * self.tensor_shape(name, boundary).height
            for name in self.crossing(boundary)
        )

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The units, then the layers of the tail one by one; training may be cut after any of them."""
        found = [Step(u.name, k) for u, k in zip(self.units, self.unit_kernels, strict=False)]
        units, linear = {u.name for u in self.units}, 0
        shape, kernels = self.in_shapes[-1], iter(self.unit_kernels[-1])
        for i, layer in enumerate(self.tail):
            inside = tuple(islice(kernels, sum(1 for _ in leaves((layer,), shape))))
            shape, name = layer.out_shape(shape), f"tail.{i}"
            if isinstance(layer, Linear):
                linear += 1
                name = f"fc{linear}"
            elif isinstance(layer, GlobalPool):
                name = "pool"
            found.append(Step(f"tail.{i}" if name in units else name, inside))
        return tuple(found)

    def cut_bytes(self, steps: int, value_bytes: int) -> int:
        """Bytes of one image that cross a cut after the first ``steps`` steps; 0 of them send the image itself."""
        if steps <= len(self.units):
            return self.boundary_bytes(steps, value_bytes)
        return chain_out(self.tail[: steps - len(self.units)], self.in_shapes[-1]).elements * value_bytes

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        return sum(self.unit_macs)

    @cached_property
    def params(self) -> int:
        """Parameters."""
        return sum(k.layer.params(k.in_shape) for k in self.kernels)

    @property
    def summary(self) -> str:
        """One line: what goes in, how long a chain it is, and how much it computes and holds."""
        depth = f"x{self.input.depth}" * (self.input.depth > 1)
        size = f"{self.input.channels}x{self.input.height}x{self.input.width}{depth}"
        work = f"{prefixed(self.macs)}MACs, {prefixed(self.params).strip()} parameters"
        return f"{size}, {len(self.steps)} layers or blocks, {work}"

    def volume(self, start: int, stop: int) -> Volume:
        """Row algebra of units ``[start, stop)``, computed once (see :class:`Volume`).

        Raises:
            ValueError: the range is empty or outside the model.
        """
        if (start, stop) not in self._volumes:
            self._volumes[start, stop] = _trace_volume(self, start, stop)
        return self._volumes[start, stop]

    @cached_property
    def _volumes(self) -> dict[tuple[int, int], Volume]:
        return {}

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the structure; equal models have equal fingerprints on every machine."""
        text = repr((self.name, self.input, self.units, self.tail, self.input_row_bytes))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


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

    def __init__(self, model: Model, stop: int, lo: np.ndarray, hi: np.ndarray) -> None:
        self.model, self.at = model, stop
        self._posts, self._height = (lo, hi), model.out_shape(stop - 1).height
        self._rows: tuple[Rows, Rows] = (lo, hi)
        # Rows of each saved tensor that are wanted: by what crosses the back boundary, then by joins inside.
        self._wanted = {name: self.share(model.tensor_shape(name, stop).height) for name in model.crossing(stop)[1:]}

    def share(self, rows: int) -> tuple[Rows, Rows]:
        """The rows of a map of ``rows`` that go with the rows of the last output."""
        lo, hi = self._posts
        return lo * rows // self._height, hi * rows // self._height

    def unit(self) -> list[tuple[Rows, Rows]]:
        """Pass one more unit; the rows that its kernels compute, in the order of ``Model.unit_kernels``."""
        self.at -= 1
        model, unit = self.model, self.model.units[self.at]
        rows = self._rows
        if unit.save in self._wanted:
            rows = _hull(rows, self._wanted.pop(unit.save))
        head_rows: list[tuple[Rows, Rows]] = []
        if unit.head:
            head_lo, head_hi, head_rows = trace_rows(
                unit.head, model.out_shape(self.at), *self.share(model.head_shape(self.at).height)
            )
            rows = _hull(rows, (head_lo, head_hi))
        lo, hi, own_rows = trace_rows(unit.layers, model.joined_shapes[self.at], *rows)
        join_rows: list[tuple[Rows, Rows]] = []
        for join in unit.joins:
            join_lo, join_hi, traced = trace_rows(join.layers, model.saved_shape(join.source), lo, hi)
            join_rows += traced
            need = (join_lo, join_hi)
            wanted = self._wanted
            wanted[join.source] = _hull(wanted[join.source], need) if join.source in wanted else need
        self._rows = lo, hi
        return [*join_rows, *own_rows, *head_rows]

    def needs(self) -> list[tuple[Rows, Rows]]:
        """Rows of every tensor that crosses the boundary in front of the unit that was passed last."""
        main = self._rows
        if self.at and (saved := self.model.units[self.at - 1].save) in self._wanted:
            main = _hull(main, self._wanted[saved])  # it is the main tensor here
        return [main, *(self._wanted[name] for name in self.model.crossing(self.at)[1:])]


def _trace_volume(model: Model, start: int, stop: int) -> Volume:
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


def _hull(first: tuple[Rows, Rows], second: tuple[Rows, Rows]) -> tuple[Rows, Rows]:
    return np.minimum(first[0], second[0]), np.maximum(first[1], second[1])


def _stack(rows: list[Rows], size: int) -> np.ndarray:
    return np.array(rows, dtype=np.int32).reshape(len(rows), size)
