"""The chain of units that a model is: shapes, what crosses between units, kernels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from .blocks import Block, Combine, Merge, chain_out, leaves, merge_kernel, merged_shape
from .layers import LATER, Layer, Shape

MAIN = ""  # the tensor that the unit just in front of a boundary made
HEAD = "head:"  # before the number of a unit: its side head's output among tensors


def head_name(unit: int) -> str:
    """How a unit's side head is called among tensors."""
    return f"{HEAD}{unit}"


@dataclass(frozen=True)
class Join:
    """A tensor, sent through ``layers``, that goes into a unit's input: a saved one, or MAIN where units combine."""

    source: str
    layers: tuple[Layer, ...] = ()


@dataclass(frozen=True)
class Unit:
    """The smallest piece between two possible cuts.

    ``layers`` run on the input. It is the main tensor, with the channels of the joins in front; where the unit says
    how to ``combine``, it is the joins alone, in their order, the main tensor only if it is among them. ``save`` keeps
    the output under a name for later joins. ``head`` runs on the output and yields one more output of the model.
    """

    name: str
    layers: tuple[Layer, ...]
    joins: tuple[Join, ...] = ()
    save: str | None = None
    head: tuple[Layer, ...] = ()
    combine: Combine | None = field(default=None, metadata=LATER)


@dataclass(frozen=True, slots=True)
class Kernel:
    """One fused kernel of a model: a latency table has one row of entries for each."""

    name: str
    unit: int  # index of the unit, len(units) for the tail
    layer: Layer
    in_shape: Shape
    out_shape: Shape


@dataclass(frozen=True)
class Chain:
    """A network as plain data, without what is derived from its rows and bytes (see :class:`.model.Model`).

    Args:
        name: the name used in plans, tables and scenarios.
        input: shape of the input.
        units: the chain that may be split by height.
        tail: layers that run unsplit after the last unit (global pool, fully connected). Beside side heads it begins
            with a program that reads the last map and all heads, one behind another, as a vector.
        input_row_bytes: bytes of one input row as the requester sends it, whatever the image's type; by default the
            image's values.

    Raises:
        ValueError: layers or joins do not fit together, a join's source is not saved before, nothing reads what a
            unit makes.
    """

    name: str
    input: Shape
    units: tuple[Unit, ...]
    tail: tuple[Layer, ...] = ()
    input_row_bytes: int | None = None

    def __post_init__(self) -> None:
        _ = self.kernels  # shapes and joins that do not fit are errors of whoever builds the model: raise them here

    @cached_property
    def _flow(self) -> tuple[tuple[Shape, ...], tuple[Shape, ...], dict[str, Shape]]:
        """(main input of every unit and of the tail, the same with joins, saved tensors by name)."""
        mains, joined, saved = [self.input], [], dict[str, Shape]()
        for i, unit in enumerate(self.units):
            known = {**saved, MAIN: mains[-1]}
            shapes = list[Shape]()
            for join in self.sources(i):
                if join.source not in known:
                    raise ValueError(
                        f"model {self.name}: unit {unit.name} joins {join.source!r}, saved by no earlier unit"
                    )
                shapes.append(chain_out(join.layers, known[join.source]))
            try:
                whole = shapes[0] if len(shapes) == 1 else merged_shape(unit.combine or "concat", shapes)
            except ValueError as error:
                raise ValueError(f"model {self.name}: unit {unit.name} joins what does not fit: {error}") from None
            joined.append(whole)
            mains.append(chain_out(unit.layers, whole))
            if unit.save:
                if unit.save in saved:
                    raise ValueError(
                        f"model {self.name}: unit {unit.name} saves {unit.save!r}, an earlier one already did"
                    )
                saved[unit.save] = mains[-1]
        self._check_read()
        return tuple(mains), tuple(joined), saved

    def _check_read(self) -> None:
        """Whatever a unit makes must be read: as the main tensor, by a later join, or by a head."""
        for i, unit in enumerate(self.units[:-1]):
            if not self.main_is_read(i + 1) and not unit.head:
                raise ValueError(f"model {self.name}: nothing reads what unit {unit.name} makes")

    def main_is_read(self, boundary: int) -> bool:
        """Whether anything behind a boundary reads the main tensor there; a side head in front of it may alone."""
        if boundary in (0, len(self.units)) or any(join.source == MAIN for join in self.sources(boundary)):
            return True
        saved = self.units[boundary - 1].save
        return any(join.source == saved for unit in self.units[boundary:] for join in unit.joins)

    def sources(self, index: int) -> tuple[Join, ...]:
        """What goes into unit ``index``'s input, in order."""
        unit = self.units[index]
        return unit.joins if unit.combine is not None else (*unit.joins, Join(MAIN))

    def source_shapes(self, index: int) -> list[Shape]:
        """Shapes of :meth:`sources` behind their layers."""
        return [chain_out(join.layers, self.tensor_shape(join.source, index)) for join in self.sources(index)]

    def merge(self, index: int) -> Merge | None:
        """The kernel that puts unit ``index``'s input together, None where it has none of its own."""
        combine = self.units[index].combine
        return None if combine is None else merge_kernel(combine, self.source_shapes(index))

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
        last = {join.source: i for i, unit in enumerate(self.units) for join in unit.joins if join.source != MAIN}
        return {name: (made[name], last[name]) for name in last}

    def out_shape(self, index: int) -> Shape:
        """Output shape of unit ``index``."""
        return self.in_shapes[index + 1]

    def head_shape(self, index: int) -> Shape:
        """Output shape of unit ``index``'s side head."""
        return chain_out(self.units[index].head, self.out_shape(index))

    @cached_property
    def heads(self) -> tuple[int, ...]:
        """Units with a side head."""
        return tuple(i for i, unit in enumerate(self.units) if unit.head)

    @cached_property
    def tail_shape(self) -> Shape:
        """What the tail reads: the last map, with side heads a vector of it and them."""
        if not (self.tail and self.heads):
            return self.in_shapes[-1]
        return Shape(self.in_shapes[-1].elements + sum(self.head_shape(unit).elements for unit in self.heads), 1, 1)

    def tensor_shape(self, name: str, boundary: int) -> Shape:
        """Shape of a tensor that crosses the boundary in front of unit ``boundary``."""
        return self.in_shapes[boundary] if name == MAIN else self.saved_shape(name)

    def crossing(self, boundary: int) -> tuple[str, ...]:
        """Tensors that cross the boundary in front of unit ``boundary``, the main one first.

        A tensor saved by the unit just before is the main one and is not named twice.
        """
        return (MAIN, *(n for n, (made, last) in self.saved.items() if made < boundary - 1 and last >= boundary))

    def carried(self, boundary: int) -> tuple[str, ...]:
        """What whoever runs a stage behind a boundary reads: what crosses it, and the side heads for the tail."""
        heads = [head_name(unit) for unit in self.heads if unit < boundary <= len(self.units) and self.tail]
        return (*self.crossing(boundary), *heads)

    @cached_property
    def kernels(self) -> tuple[Kernel, ...]:
        """Every kernel in execution order: joins, layers and head of each unit, then the tail."""
        return tuple(self._kernels())

    def _kernels(self) -> Iterator[Kernel]:
        for i, unit in enumerate(self.units):
            parts = [
                (f"{unit.name}.join{j}.", join.layers, self.tensor_shape(join.source, i))
                for j, join in enumerate(unit.joins)
            ]
            if (merge := self.merge(i)) is not None:
                parts.append((f"{unit.name}.{merge.combine}.", (merge,), self.joined_shapes[i]))
            parts.append((f"{unit.name}.", unit.layers, self.joined_shapes[i]))
            parts.append((f"{unit.name}.head.", unit.head, self.out_shape(i)))
            for prefix, layers, shape in parts:
                for leaf in leaves(layers, shape, prefix):
                    alone = len(layers) == 1 and not isinstance(layers[0], Block)
                    name = prefix[:-1] if alone else leaf.path
                    yield Kernel(name, i, leaf.layer, leaf.in_shape, leaf.out_shape)
        for leaf in leaves(self.tail, self.tail_shape, "tail."):
            yield Kernel(leaf.path, len(self.units), leaf.layer, leaf.in_shape, leaf.out_shape)

    @cached_property
    def unit_kernels(self) -> tuple[tuple[int, ...], ...]:
        """Indices into :attr:`kernels` of each unit; the last entry is the tail's."""
        groups: list[list[int]] = [[] for _ in range(len(self.units) + 1)]
        for k, kernel in enumerate(self.kernels):
            groups[kernel.unit].append(k)
        return tuple(tuple(g) for g in groups)
