"""Blocks of branches, chains of layers, and the rows that every kernel of them computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from .activations import Activation
from .layers import Layer, Rows, Shape

Combine = Literal["add", "concat", "sub", "mul", "div", "max", "min", "pow"]


@dataclass(frozen=True)
class Merge(Layer):
    """The kernel that puts maps together value by value; a sum has none, it is drawn into the last convolution.

    Attributes:
        combine: how.
        inputs: maps of the full size that it reads; what is repeated over rows or columns costs nothing to read.
    """

    combine: Combine = "mul"
    inputs: int = 2


def merged_shape(combine: Combine, shapes: Sequence[Shape]) -> Shape:
    """Shape of maps put together; value by value, sizes of 1 are repeated.

    Raises:
        ValueError: they do not fit together, or there is no such way.
    """
    if combine not in get_args(Combine):
        raise ValueError(f"maps are put together by {combine!r}, allowed: {', '.join(get_args(Combine))}")
    height, width = max(s.height for s in shapes), max(s.width for s in shapes)
    channels = max(s.folded_channels for s in shapes)
    if combine == "concat":
        fit = all((s.height, s.width) == (height, width) for s in shapes)
        channels = sum(s.folded_channels for s in shapes)
    else:
        fit = all(s.height in (1, height) and s.width in (1, width) for s in shapes)
        fit = fit and all(s.folded_channels in (1, channels) for s in shapes)
    if not fit:
        raise ValueError(f"maps do not fit together: {', '.join(map(str, shapes))}")
    return Shape(channels, height, width)


def merge_kernel(combine: Combine, shapes: Sequence[Shape]) -> Merge | None:
    """The kernel of putting maps together, None where it has none of its own."""
    if combine in ("add", "concat") or len(shapes) < 2:
        return None
    whole = merged_shape(combine, shapes)
    return Merge(combine, sum(2 * s.height * s.width > whole.height * whole.width for s in shapes))


def rows_of_part(shape: Shape, whole: Shape, lo: Rows, hi: Rows) -> tuple[Rows, Rows]:
    """Rows of a map that go into rows ``[lo, hi)`` of what it is put together to: its only one where it is repeated."""
    return (lo * 0, hi * 0 + 1) if shape.height < whole.height else (lo, hi)


@dataclass(frozen=True)
class Block(Layer):
    """Parallel branches over one input, put together, then an optional activation.

    An empty branch is the identity. Value by value, sizes of 1 are repeated: a gate over channels is the product of
    the identity and a branch that begins with a global pool. With ``split_channels`` each branch reads its own slice
    of the input's channels instead of all of them (OpenPose's two branches side by side).
    """

    branches: tuple[tuple[Layer, ...], ...] = ()
    combine: Combine = "concat"
    activation: Activation = "none"
    split_channels: tuple[int, ...] | None = None

    def branch_shape(self, shape: Shape, index: int) -> Shape:
        """Input shape that branch ``index`` sees."""
        if self.split_channels is None:
            return shape
        return replace(shape, channels=self.split_channels[index], depth=1)

    def out_shape(self, shape: Shape) -> Shape:
        sizes = self.split_channels
        if sizes is not None and (len(sizes) != len(self.branches) or sum(sizes) != shape.folded_channels):
            raise ValueError(f"split_channels {sizes} does not divide {shape} among {len(self.branches)} branches")
        try:
            return merged_shape(self.combine, self.branch_outs(shape))
        except ValueError as error:
            raise ValueError(f"the branches of a block do not fit together: {error}") from None

    def branch_outs(self, shape: Shape) -> list[Shape]:
        """Output shape of every branch."""
        return [chain_out(b, self.branch_shape(shape, i)) for i, b in enumerate(self.branches)]

    def merge(self, shape: Shape) -> Merge | None:
        """The kernel that puts the branches together, None where it has none of its own."""
        return merge_kernel(self.combine, self.branch_outs(shape))

    def macs(self, shape: Shape) -> int:
        return sum(leaf.layer.macs(leaf.in_shape) for leaf in leaves((self,), shape))

    def params(self, shape: Shape) -> int:
        return sum(leaf.layer.params(leaf.in_shape) for leaf in leaves((self,), shape))


@dataclass(frozen=True, slots=True)
class Leaf:
    """One kernel inside a chain: a layer that is not a block, with its shapes and place."""

    path: str
    layer: Layer
    in_shape: Shape
    out_shape: Shape


def chain_out(layers: tuple[Layer, ...], shape: Shape) -> Shape:
    """Output shape of layers applied one after another."""
    for layer in layers:
        shape = layer.out_shape(shape)
    return shape


def leaves(layers: tuple[Layer, ...], shape: Shape, prefix: str = "") -> Iterator[Leaf]:
    """The kernels of a chain in execution order, blocks opened; ``path`` is like ``0.b1.2``."""
    for i, layer in enumerate(layers):
        path = f"{prefix}{i}"
        out = layer.out_shape(shape)
        if isinstance(layer, Block):
            for j, branch in enumerate(layer.branches):
                yield from leaves(branch, layer.branch_shape(shape, j), f"{path}.b{j}.")
            if (merge := layer.merge(shape)) is not None:
                yield Leaf(f"{path}.{merge.combine}", merge, out, out)
        else:
            yield Leaf(path, layer, shape, out)
        shape = out


def trace_rows(
    layers: tuple[Layer, ...], shape: Shape, lo: Rows, hi: Rows
) -> tuple[Rows, Rows, list[tuple[Rows, Rows]]]:
    """Carry output rows ``[lo, hi)`` of a chain back to its input.

    ``lo`` and ``hi`` are integers or arrays (each mapped on its own). Returns the input rows that are read
    and, for every kernel in the order of :func:`leaves`, the output rows that it computes.
    """
    shapes = [shape]
    for layer in layers:
        shapes.append(layer.out_shape(shapes[-1]))
    computed: list[tuple[Rows, Rows]] = []
    for layer, in_shape in zip(reversed(layers), reversed(shapes[:-1]), strict=True):
        if isinstance(layer, Block):
            out, outs = layer.out_shape(in_shape), layer.branch_outs(in_shape)
            traces = [
                trace_rows(branch, layer.branch_shape(in_shape, j), *rows_of_part(outs[j], out, lo, hi))
                for j, branch in enumerate(layer.branches)
            ]
            if layer.merge(in_shape) is not None:
                computed.insert(0, (lo, hi))
            computed[:0] = [rows for trace in traces for rows in trace[2]]
            lo = np.minimum.reduce([t[0] for t in traces])
            hi = np.maximum.reduce([t[1] for t in traces])
        else:
            computed.insert(0, (lo, hi))
            lo, hi = layer.input_lo(lo, in_shape.height), layer.input_hi(hi, in_shape.height)
    return lo, hi, computed


def reads_all_rows(layer: Layer) -> bool:
    """Whether any layer is global, of a block also one of its branches."""
    if isinstance(layer, Block):
        return any(map(reads_all_rows, (inner for branch in layer.branches for inner in branch)))
    return layer.kind_of_rows == "global"
