"""The layers of a deep network as plain data, with exact row arithmetic.

A layer knows its output shape, multiply-accumulates (MACs), parameters and, for a range of output
rows, which input rows it reads. Rows are half-open intervals ``[lo, hi)`` on the height axis and the
interval of a layer is *clipped* to the rows that exist, so padding rows are never counted
(DistrEdge Eq. 1-2 count them). ``input_lo`` needs only the first output row and ``input_hi`` only the
last, and both accept integers or NumPy arrays: the row algebra of a whole network is therefore two
independent monotone maps.

What kind of layer it is follows from how its rows depend on those of its input (``RowKind``); how many of them there
are is ``input_lo`` and ``input_hi`` alone. Nothing else in the suite knows what rows a layer needs.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields, is_dataclass
from typing import Any, ClassVar, Literal, cast

import numpy as np

from .activations import Activation

Rows = Any  # int or integer ndarray
Pair = tuple[int, int]

# pointwise: a row of the same row; windowed: of its neighbours; remapped: of others by a rule (resizing, depth to
# space); channels: of the same row, channels mixed; global: of every row
RowKind = Literal["pointwise", "windowed", "remapped", "channels", "global"]


@dataclass(frozen=True, slots=True)
class Shape:
    """A feature map: channels x height x width, with a depth axis for 3-D convolutions."""

    channels: int
    height: int
    width: int
    depth: int = 1

    @property
    def elements(self) -> int:
        """Number of values in the map."""
        return self.row_elements * self.height

    @property
    def row_elements(self) -> int:
        """Number of values in one row."""
        return self.channels * self.width * self.depth

    @property
    def folded_channels(self) -> int:
        """Channels once the depth axis is folded into them (what a 2-D layer sees)."""
        return self.channels * self.depth


# Of fields that came after fingerprints were first recorded: they enter those where they have another value.
LATER = {"later": True}


def stated_fields(value: Any) -> list[Field[Any]]:
    """Fields of plain data, without ``LATER`` ones at their default."""
    return [f for f in fields(value) if not (f.metadata.get("later") and getattr(value, f.name) == f.default)]


def described(value: Any) -> str:
    """Plain data as text, as ``repr`` has it but for ``LATER`` fields at their default."""
    if isinstance(value, tuple):
        return f"({', '.join(map(described, value))}{',' * (len(value) == 1)})"
    if not is_dataclass(value):
        return repr(value)
    stated = (f"{f.name}={described(getattr(value, f.name))}" for f in stated_fields(value))
    return f"{type(value).__qualname__}({', '.join(stated)})"


def _pair(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def _window_out(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool = False) -> int:
    """Output size of a sliding window, torch's rule (the last window starts inside input or left padding)."""
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    out = (-(-span // stride) if ceil_mode else span // stride) + 1
    if ceil_mode and (out - 1) * stride >= size + padding:
        out -= 1
    if out < 1:
        raise ValueError(f"a window of {kernel} (dilation {dilation}) does not fit {size} rows with padding {padding}")
    return out


class Layer:
    """What every layer answers. Subclasses are frozen dataclasses.

    ``input_lo(a, height)`` and ``input_hi(b, height)`` give the clipped input rows ``[lo, hi)`` that output
    rows ``[a, b)`` (a < b) read from an input of ``height`` rows.
    """

    kind_of_rows: ClassVar[RowKind] = "pointwise"

    def out_shape(self, shape: Shape) -> Shape:
        """Shape of the output for an input of ``shape``."""
        return shape

    def macs(self, shape: Shape) -> int:
        """Multiply-accumulates of the whole layer."""
        return 0

    def params(self, shape: Shape) -> int:
        """Weights and biases; batch norm counts its scale and shift."""
        return 0

    def input_lo(self, a: Rows, height: int) -> Rows:
        return a

    def input_hi(self, b: Rows, height: int) -> Rows:
        return b

    def most_rows(self, rows: Rows, height: int) -> Rows:
        """Most input rows that any ``rows`` consecutive output rows read, away from the edges of the map."""
        return rows


class GlobalLayer(Layer):
    """A layer of which any output row reads every row of the input."""

    kind_of_rows: ClassVar[RowKind] = "global"

    def input_lo(self, a: Rows, height: int) -> Rows:
        return a * 0

    def input_hi(self, b: Rows, height: int) -> Rows:
        return b * 0 + height

    def most_rows(self, rows: Rows, height: int) -> Rows:
        return rows * 0 + height


@dataclass(frozen=True)
class _Window(Layer):
    """A kernel sliding over height and width."""

    kernel: int | Pair = 3
    stride: int | Pair = 1
    padding: int | Pair = 0
    dilation: int | Pair = 1
    kind_of_rows: ClassVar[RowKind] = "windowed"

    def __post_init__(self) -> None:
        for name in ("kernel", "stride", "padding", "dilation"):
            object.__setattr__(self, name, _pair(getattr(self, name)))

    @property
    def window(self) -> tuple[Pair, Pair, Pair, Pair]:
        """(kernel, stride, padding, dilation), each (height, width)."""
        return cast("tuple[Pair, Pair, Pair, Pair]", (self.kernel, self.stride, self.padding, self.dilation))

    def _out_hw(self, shape: Shape, ceil_mode: bool = False) -> Pair:
        (kh, kw), (sh, sw), (ph, pw), (dh, dw) = self.window
        return (
            _window_out(shape.height, kh, sh, ph, dh, ceil_mode),
            _window_out(shape.width, kw, sw, pw, dw, ceil_mode),
        )

    def input_lo(self, a: Rows, height: int) -> Rows:
        (_, _), (sh, _), (ph, _), _ = self.window
        return np.clip(a * sh - ph, 0, height)

    def input_hi(self, b: Rows, height: int) -> Rows:
        (kh, _), (sh, _), (ph, _), (dh, _) = self.window
        return np.clip((b - 1) * sh - ph + dh * (kh - 1) + 1, 0, height)

    def most_rows(self, rows: Rows, height: int) -> Rows:
        (kh, _), (sh, _), _, (dh, _) = self.window
        return np.minimum(height, (rows - 1) * sh + dh * (kh - 1) + 1)


@dataclass(frozen=True)
class Conv(_Window):
    """A 2-D convolution fused with its optional batch norm and activation."""

    out_channels: int = 1
    groups: int = 1
    bias: bool = True
    norm: bool = False
    activation: Activation = "relu"

    def out_shape(self, shape: Shape) -> Shape:
        return Shape(self.out_channels, *self._out_hw(shape))

    def macs(self, shape: Shape) -> int:
        out = self.out_shape(shape)
        kh, kw = self.window[0]
        return out.elements * (shape.folded_channels // self.groups) * kh * kw

    def params(self, shape: Shape) -> int:
        kh, kw = self.window[0]
        weights = self.out_channels * (shape.folded_channels // self.groups) * kh * kw
        return weights + (self.out_channels if self.bias else 0) + (2 * self.out_channels if self.norm else 0)


@dataclass(frozen=True)
class Conv3d(_Window):
    """A 3-D convolution; rows run along height, the depth window comes beside the (height, width) one."""

    out_channels: int = 1
    kernel_depth: int = 3
    stride_depth: int = 1
    padding_depth: int = 0
    bias: bool = True
    norm: bool = False
    activation: Activation = "relu"

    def out_shape(self, shape: Shape) -> Shape:
        depth = _window_out(shape.depth, self.kernel_depth, self.stride_depth, self.padding_depth, 1)
        return Shape(self.out_channels, *self._out_hw(shape), depth)

    def macs(self, shape: Shape) -> int:
        kh, kw = self.window[0]
        return self.out_shape(shape).elements * shape.channels * self.kernel_depth * kh * kw

    def params(self, shape: Shape) -> int:
        kh, kw = self.window[0]
        weights = self.out_channels * shape.channels * self.kernel_depth * kh * kw
        return weights + (self.out_channels if self.bias else 0) + (2 * self.out_channels if self.norm else 0)


@dataclass(frozen=True)
class ConvTranspose(_Window):
    """A transposed 2-D convolution (dilation 1); ``extra`` rows and columns come behind (torch's output padding)."""

    out_channels: int = 1
    bias: bool = True
    norm: bool = False
    activation: Activation = "relu"
    groups: int = field(default=1, metadata=LATER)
    extra: Pair = field(default=(0, 0), metadata=LATER)

    def out_shape(self, shape: Shape) -> Shape:
        (kh, kw), (sh, sw), (ph, pw), _ = self.window
        height, width = ((shape.height - 1) * sh - 2 * ph + kh, (shape.width - 1) * sw - 2 * pw + kw)
        height, width = height + self.extra[0], width + self.extra[1]
        if min(height, width, self.out_channels) < 1 or self.out_channels % self.groups:
            raise ValueError(
                f"a transposed window of {kh} x {kw} with padding {ph} x {pw} makes {self.out_channels} x {height} x "
                f"{width} of {shape.folded_channels} x {shape.height} x {shape.width}, allowed: 1 or more of each"
            )
        return Shape(self.out_channels, height, width)

    def macs(self, shape: Shape) -> int:
        kh, kw = self.window[0]
        return shape.height * shape.width * shape.folded_channels * self.out_channels // self.groups * kh * kw

    def params(self, shape: Shape) -> int:
        kh, kw = self.window[0]
        weights = self.out_channels // self.groups * shape.folded_channels * kh * kw
        return weights + (self.out_channels if self.bias else 0) + (2 * self.out_channels if self.norm else 0)

    def input_lo(self, a: Rows, height: int) -> Rows:
        (kh, _), (sh, _), (ph, _), _ = self.window
        return np.clip(-((kh - 1 - ph - a) // sh), 0, height)

    def input_hi(self, b: Rows, height: int) -> Rows:
        _, (sh, _), (ph, _), _ = self.window
        return np.clip((b - 1 + ph) // sh + 1, 0, height)

    def most_rows(self, rows: Rows, height: int) -> Rows:
        (kh, _), (sh, _), _, _ = self.window
        return np.minimum(height, -(-(rows + kh - 1) // sh))


@dataclass(frozen=True)
class Pool(_Window):
    """Max pooling (pads with -inf) or average pooling; ``ceil_mode`` as in torch.

    An average counts the padding, but for ``avg_valid`` (torch's ``count_include_pad=False``).
    """

    kind: Literal["max", "avg", "avg_valid"] = "max"
    ceil_mode: bool = False

    def out_shape(self, shape: Shape) -> Shape:
        return Shape(shape.folded_channels, *self._out_hw(shape, self.ceil_mode))


@dataclass(frozen=True)
class GlobalPool(GlobalLayer):
    """One value for every channel of the whole map: the average, the largest, the sum, or the Euclidean norm."""

    kind: Literal["avg", "max", "sum", "l2"] = field(default="avg", metadata=LATER)

    def out_shape(self, shape: Shape) -> Shape:
        return Shape(shape.folded_channels, 1, 1)


@dataclass(frozen=True)
class Linear(GlobalLayer):
    """A fully connected layer over the flattened input."""

    out_features: int = 1
    bias: bool = True
    activation: Activation = "relu"

    def out_shape(self, shape: Shape) -> Shape:
        return Shape(self.out_features, 1, 1)

    def macs(self, shape: Shape) -> int:
        return shape.elements * self.out_features

    def params(self, shape: Shape) -> int:
        return shape.elements * self.out_features + (self.out_features if self.bias else 0)


@dataclass(frozen=True)
class Pointwise(Layer):
    """A norm (or any scale and shift by channel) and an activation that follow no convolution."""

    norm: bool = False
    activation: Activation = "relu"

    def params(self, shape: Shape) -> int:
        return 2 * shape.folded_channels if self.norm else 0
