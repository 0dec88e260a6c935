"""The layers of a deep network as plain data, with exact row arithmetic.

A layer knows its output shape, multiply-accumulates (MACs), parameters and, for a range of output
rows, which input rows it reads. Rows are half-open intervals ``[lo, hi)`` on the height axis and the
interval of a layer is *clipped* to the rows that exist, so padding rows are never counted
(DistrEdge Eq. 1-2 count them). ``input_lo`` needs only the first output row and ``input_hi`` only the
last, and both accept integers or NumPy arrays: the row algebra of a whole network is therefore two
independent monotone maps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np

Rows = Any  # int or integer ndarray
Pair = tuple[int, int]


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


@dataclass(frozen=True)
class _Window(Layer):
    """A kernel sliding over height and width."""

    kernel: int | Pair = 3
    stride: int | Pair = 1
    padding: int | Pair = 0
    dilation: int | Pair = 1

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


# Names of torch's activations; "leaky" has darknet's slope of 0.1, "leaky=0.01" any other. Softmax runs over channels.
Activation = str
ACTIVATIONS = (
    "none", "relu", "leaky", "relu6", "sigmoid", "tanh", "silu", "hardsigmoid", "hardswish", "gelu", "elu", "softmax",
    "log_softmax",
)  # fmt: skip
LEAKY_SLOPE = 0.1


def leaky_slope(activation: Activation) -> float | None:
    """The slope of a leaky ReLU, None for another activation.

    Raises:
        ValueError: no such activation.
    """
    name, equals, slope = activation.partition("=")
    if name == "leaky":
        return float(slope) if equals else LEAKY_SLOPE
    if activation not in ACTIVATIONS:
        raise ValueError(f"unknown activation {activation!r}, known: {', '.join(ACTIVATIONS)}, leaky=<slope>")
    return None


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
    """A transposed 2-D convolution (dilation 1, no output padding)."""

    out_channels: int = 1
    bias: bool = True
    norm: bool = False
    activation: Activation = "relu"

    def out_shape(self, shape: Shape) -> Shape:
        (kh, kw), (sh, sw), (ph, pw), _ = self.window
        return Shape(self.out_channels, (shape.height - 1) * sh - 2 * ph + kh, (shape.width - 1) * sw - 2 * pw + kw)

    def macs(self, shape: Shape) -> int:
        kh, kw = self.window[0]
        return shape.height * shape.width * shape.folded_channels * self.out_channels * kh * kw

    def params(self, shape: Shape) -> int:
        kh, kw = self.window[0]
        weights = self.out_channels * shape.folded_channels * kh * kw
        return weights + (self.out_channels if self.bias else 0) + (2 * self.out_channels if self.norm else 0)

    def input_lo(self, a: Rows, height: int) -> Rows:
        (kh, _), (sh, _), (ph, _), _ = self.window
        return np.clip(-((kh - 1 - ph - a) // sh), 0, height)

    def input_hi(self, b: Rows, height: int) -> Rows:
        _, (sh, _), (ph, _), _ = self.window
        return np.clip((b - 1 + ph) // sh + 1, 0, height)


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
class GlobalPool(Layer):
    """Average over the whole map: reads every row, so it belongs to the tail."""

    def out_shape(self, shape: Shape) -> Shape:
        return Shape(shape.folded_channels, 1, 1)

    def input_lo(self, a: Rows, height: int) -> Rows:
        return a * 0

    def input_hi(self, b: Rows, height: int) -> Rows:
        return b * 0 + height


@dataclass(frozen=True)
class Linear(Layer):
    """A fully connected layer over the flattened input: reads every row, so it belongs to the tail."""

    out_features: int = 1
    bias: bool = True
    activation: Activation = "relu"

    def out_shape(self, shape: Shape) -> Shape:
        return Shape(self.out_features, 1, 1)

    def macs(self, shape: Shape) -> int:
        return shape.elements * self.out_features

    def params(self, shape: Shape) -> int:
        return shape.elements * self.out_features + (self.out_features if self.bias else 0)

    def input_lo(self, a: Rows, height: int) -> Rows:
        return a * 0

    def input_hi(self, b: Rows, height: int) -> Rows:
        return b * 0 + height


@dataclass(frozen=True)
class Reorg(Layer):
    """Space to depth: each ``stride`` x ``stride`` patch becomes channels (YOLOv2's passthrough)."""

    stride: int = 2

    def out_shape(self, shape: Shape) -> Shape:
        s = self.stride
        if shape.height % s or shape.width % s:
            raise ValueError(f"reorg with stride {s} needs height and width divisible by it, got {shape}")
        return Shape(shape.folded_channels * s * s, shape.height // s, shape.width // s)

    def input_lo(self, a: Rows, height: int) -> Rows:
        return np.clip(a * self.stride, 0, height)

    def input_hi(self, b: Rows, height: int) -> Rows:
        return np.clip(b * self.stride, 0, height)


@dataclass(frozen=True)
class Pointwise(Layer):
    """A norm (or any scale and shift by channel) and an activation that follow no convolution."""

    norm: bool = False
    activation: Activation = "relu"

    def params(self, shape: Shape) -> int:
        return 2 * shape.folded_channels if self.norm else 0


@dataclass(frozen=True)
class Pad(Layer):
    """A border of one value around a map, where a window's own padding is not the same on both sides."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0
    value: float = 0.0

    def out_shape(self, shape: Shape) -> Shape:
        return Shape(shape.folded_channels, shape.height + self.top + self.bottom, shape.width + self.left + self.right)

    def input_lo(self, a: Rows, height: int) -> Rows:
        return np.clip(a - self.top, 0, height)

    def input_hi(self, b: Rows, height: int) -> Rows:
        return np.clip(b - self.top, 0, height)


@dataclass(frozen=True)
class Block(Layer):
    """Parallel branches over one input, added or concatenated, then an optional activation.

    An empty branch is the identity. With ``split_channels`` each branch reads its own slice of the
    input's channels instead of all of them (OpenPose's two branches side by side).
    """

    branches: tuple[tuple[Layer, ...], ...] = ()
    combine: Literal["add", "concat"] = "concat"
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
        outs = [chain_out(b, self.branch_shape(shape, i)) for i, b in enumerate(self.branches)]
        first = outs[0]
        same_map = all((o.height, o.width) == (first.height, first.width) for o in outs)
        same_channels = all(o.folded_channels == first.folded_channels for o in outs)
        if not same_map or (self.combine == "add" and not same_channels):
            raise ValueError(f"the branches of a block do not fit together: {outs}")
        channels = first.folded_channels if self.combine == "add" else sum(o.folded_channels for o in outs)
        return Shape(channels, first.height, first.width)

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
            traces = [
                trace_rows(branch, layer.branch_shape(in_shape, j), lo, hi) for j, branch in enumerate(layer.branches)
            ]
            computed[:0] = [rows for trace in traces for rows in trace[2]]
            lo = np.minimum.reduce([t[0] for t in traces])
            hi = np.maximum.reduce([t[1] for t in traces])
        else:
            computed.insert(0, (lo, hi))
            lo, hi = layer.input_lo(lo, in_shape.height), layer.input_hi(hi, in_shape.height)
    return lo, hi, computed
