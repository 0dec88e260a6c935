"""Layers that work on every row by itself: over channels, with constants; and norms over a whole map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from .blocks import Combine, merged_shape
from .layers import GlobalLayer, Layer, RowKind, Shape


@dataclass(frozen=True)
class PRelu(Layer):
    """A leaky rectifier with a learnt slope, one for every channel or one for all."""

    shared: bool = False

    def params(self, shape: Shape) -> int:
        return 1 if self.shared else shape.folded_channels


@dataclass(frozen=True)
class LocalNorm(Layer):
    """Local response norm: x / (bias + alpha / size * sum of squares of ``size`` neighbouring channels) ** beta."""

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    bias: float = 1.0
    kind_of_rows: ClassVar[RowKind] = "channels"


@dataclass(frozen=True)
class ChannelNorm(Layer):
    """A layer norm over the channels of every position, with scale and shift (ConvNeXt's)."""

    eps: float = 1e-5
    kind_of_rows: ClassVar[RowKind] = "channels"

    def params(self, shape: Shape) -> int:
        return 2 * shape.folded_channels


@dataclass(frozen=True)
class ChannelReduce(Layer):
    """One value of all channels of every position."""

    kind: Literal["mean", "sum", "max", "min", "l2"] = "mean"
    kind_of_rows: ClassVar[RowKind] = "channels"

    def out_shape(self, shape: Shape) -> Shape:
        return Shape(1, shape.height, shape.width)


@dataclass(frozen=True)
class Shuffle(Layer):
    """Channels in ``groups`` groups, reordered to the first of every group, the second of every group, ..."""

    groups: int = 2
    kind_of_rows: ClassVar[RowKind] = "channels"

    def out_shape(self, shape: Shape) -> Shape:
        if shape.folded_channels % self.groups:
            raise ValueError(f"{shape.folded_channels} channels do not make {self.groups} groups")
        return Shape(shape.folded_channels, shape.height, shape.width)


@dataclass(frozen=True)
class WithConstant(Layer):
    """A constant map put together with the input value by value; sizes of 1 are repeated.

    Attributes:
        combine: how.
        channels, height, width: of the constant.
        first: whether it comes before the operator.
    """

    combine: Combine = "add"
    channels: int = 1
    height: int = 1
    width: int = 1
    first: bool = False

    def out_shape(self, shape: Shape) -> Shape:
        if self.height not in (1, shape.height) or self.combine == "concat":
            raise ValueError(f"a constant of {self.height} rows does not fit {shape.height}")
        return merged_shape(self.combine, (shape, Shape(self.channels, self.height, self.width)))

    def params(self, shape: Shape) -> int:
        return self.channels * self.height * self.width


@dataclass(frozen=True)
class MapNorm(GlobalLayer):
    """A norm over the whole map, by groups of channels, with scale and shift: instance norm, group norm."""

    groups: int = 1
    eps: float = 1e-5

    def out_shape(self, shape: Shape) -> Shape:
        if shape.folded_channels % self.groups:
            raise ValueError(f"{shape.folded_channels} channels do not make {self.groups} groups")
        return Shape(shape.folded_channels, shape.height, shape.width)

    def params(self, shape: Shape) -> int:
        return 2 * shape.folded_channels
