"""Layers as torch modules, on whole maps and on rows of them.

Feature maps are 4-D, (batch, channels * depth, height, width): the depth axis of 3-D layers stays folded into the
channels. Fully connected layers give (batch, features). ``forward`` runs a whole map through torch's own padding;
``rows`` runs some output rows from a slice of the input and pads only at the edges of the map.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import Conv, Conv3d, ConvTranspose, GlobalPool, Layer, Linear, Pair, Pointwise, Pool, Shape
from .activations import activation_module


class RowSlice(NamedTuple):
    """Rows ``[lo, hi)`` of a map; ``tensor`` is (batch, channels, hi - lo, width)."""

    tensor: Tensor
    lo: int

    @property
    def hi(self) -> int:
        """One past the last row."""
        return self.lo + self.tensor.shape[2]

    def crop(self, lo: int, hi: int) -> RowSlice:
        """Rows ``[lo, hi)`` of this slice, none if ``hi <= lo``.

        Raises:
            ValueError: rows are wanted that the slice does not have.
        """
        if hi <= lo:
            return RowSlice(self.tensor[:, :, :0], lo)
        if lo < self.lo or hi > self.hi:
            raise ValueError(f"rows [{lo}, {hi}) are wanted, only [{self.lo}, {self.hi}) are there")
        return RowSlice(self.tensor[:, :, lo - self.lo : hi - self.lo], lo)


Plan = Iterator[Pair]  # output rows of one kernel after another, in the order of Model.kernels


def _padding_rows(window: tuple[Pair, Pair, Pair, Pair], height: int, a: int, b: int) -> Pair:
    """Rows that the windows of output rows ``[a, b)`` reach above and below a map of ``height`` rows."""
    (kernel, _), (stride, _), (padding, _), (dilation, _) = window
    above = padding - a * stride
    below = (b - 1) * stride - padding + dilation * (kernel - 1) + 1 - height
    return max(0, above), max(0, below)


def _bordered(x: Tensor, above: int, below: int, value: float = 0.0) -> Tensor:
    """The map with rows of one value above and below; torch would copy it even for none."""
    return F.pad(x, (0, 0, above, below), value=value) if above or below else x


class KernelModule(nn.Module):
    """One kernel. ``forward`` takes a whole map, ``part`` exactly the rows that output rows ``[a, b)`` read."""

    def __init__(self, layer: Layer, in_shape: Shape) -> None:
        super().__init__()
        self.layer = layer
        self.in_shape = in_shape
        self.out_shape = layer.out_shape(in_shape)

    def part(self, x: Tensor, a: int, b: int) -> Tensor:
        """Output rows ``[a, b)`` from exactly the clipped input rows they read; here for kernels without padding."""
        return self(x)

    def rows(self, x: RowSlice, plan: Plan) -> RowSlice:
        """The output rows that ``plan`` gives next."""
        a, b = next(plan)
        if b <= a:
            out = self.out_shape
            return RowSlice(x.tensor.new_zeros(len(x.tensor), out.folded_channels, 0, out.width), a)
        height = self.in_shape.height
        needed = x.crop(int(self.layer.input_lo(a, height)), int(self.layer.input_hi(b, height)))
        return RowSlice(self.part(needed.tensor, a, b), a)


class ConvModule(KernelModule):
    """:class:`Conv`: convolution, optional batch norm, activation."""

    def __init__(self, layer: Conv, in_shape: Shape) -> None:
        super().__init__(layer, in_shape)
        self.window = layer.window
        channels = in_shape.folded_channels
        self.conv = nn.Conv2d(channels, layer.out_channels, *self.window, layer.groups, layer.bias)
        self.norm = nn.BatchNorm2d(layer.out_channels) if layer.norm else nn.Identity()
        self.act = activation_module(layer.activation)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))

    def part(self, x: Tensor, a: int, b: int) -> Tensor:
        _, stride, (_, side), dilation = self.window
        x = _bordered(x, *_padding_rows(self.window, self.in_shape.height, a, b))
        y = F.conv2d(x, self.conv.weight, self.conv.bias, stride, (0, side), dilation, self.conv.groups)
        return self.act(self.norm(y))


class Conv3dModule(KernelModule):
    """:class:`Conv3d`; the depth axis is unfolded from the channels and folded back."""

    def __init__(self, layer: Conv3d, in_shape: Shape) -> None:
        super().__init__(layer, in_shape)
        self.window = layer.window
        kernel, stride, padding, dilation = self.window
        self.conv = nn.Conv3d(
            in_shape.channels,
            layer.out_channels,
            (layer.kernel_depth, *kernel),
            (layer.stride_depth, *stride),
            (layer.padding_depth, *padding),
            (1, *dilation),
            bias=layer.bias,
        )
        self.padding_depth = layer.padding_depth
        self.norm = nn.BatchNorm3d(layer.out_channels) if layer.norm else nn.Identity()
        self.act = activation_module(layer.activation)

    def _unfold(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (self.in_shape.channels, self.in_shape.depth))

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(self._unfold(x)))).flatten(1, 2)

    def part(self, x: Tensor, a: int, b: int) -> Tensor:
        x = _bordered(self._unfold(x), *_padding_rows(self.window, self.in_shape.height, a, b))
        padding = (self.padding_depth, 0, self.window[2][1])
        y = F.conv3d(x, self.conv.weight, self.conv.bias, self.conv.stride, padding, self.conv.dilation)  # pyright: ignore[reportArgumentType]
        return self.act(self.norm(y)).flatten(1, 2)


class ConvTransposeModule(KernelModule):
    """:class:`ConvTranspose`."""

    def __init__(self, layer: ConvTranspose, in_shape: Shape) -> None:
        super().__init__(layer, in_shape)
        self.window = layer.window
        kernel, stride, padding, _ = self.window
        channels = in_shape.folded_channels
        self.extra, self.groups = layer.extra, layer.groups
        self.conv = nn.ConvTranspose2d(
            channels, layer.out_channels, kernel, stride, padding, bias=layer.bias, groups=layer.groups
        )
        self.norm = nn.BatchNorm2d(layer.out_channels) if layer.norm else nn.Identity()
        self.act = activation_module(layer.activation)

    def forward(self, x: Tensor) -> Tensor:
        if any(self.extra):
            out, height = self.out_shape.height, self.in_shape.height
            read = slice(int(self.layer.input_lo(0, height)), int(self.layer.input_hi(out, height)))
            return self.part(x[:, :, read], 0, out)
        return self.act(self.norm(self.conv(x)))

    def part(self, x: Tensor, a: int, b: int) -> Tensor:
        (kernel, _), (stride, _), (padding, side), _ = self.window
        if x.shape[2]:
            first = int(self.layer.input_lo(a, self.in_shape.height)) * stride - padding  # first output row x reaches
            end = first + (x.shape[2] - 1) * stride + kernel
            y = F.conv_transpose2d(x, self.conv.weight, None, self.window[1], (0, 0), groups=self.groups)
            y = F.pad(
                y, (-side, self.extra[1] - side, first - a, b - end)
            )  # crops to [a, b); a row between two windows is zero
        else:  # every row lies between two windows
            y = x.new_zeros(len(x), self.out_shape.channels, b - a, self.out_shape.width)
        if self.conv.bias is not None:
            y = y + self.conv.bias[:, None, None]
        return self.act(self.norm(y))


class PoolModule(KernelModule):
    """:class:`Pool`."""

    def __init__(self, layer: Pool, in_shape: Shape) -> None:
        super().__init__(layer, in_shape)
        if layer.kind != "max" and layer.dilation != (1, 1):
            raise ValueError(f"average pooling has no dilation, got {layer.dilation}")
        self.kind = layer.kind
        self.window = layer.window
        self.ceil_mode = layer.ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        return self._pool(x, self.window[2])

    def _pool(self, x: Tensor, padding: Pair) -> Tensor:
        kernel, stride, _, dilation = self.window
        if self.kind == "max":
            return F.max_pool2d(x, kernel, stride, padding, dilation, self.ceil_mode)
        return F.avg_pool2d(x, kernel, stride, padding, self.ceil_mode, self.kind == "avg")

    def part(self, x: Tensor, a: int, b: int) -> Tensor:
        padding, side = self.window[2]
        above, below = _padding_rows(self.window, self.in_shape.height, a, b)
        if self.kind == "avg_valid":
            return self._mean_of_valid(x, above, below)
        # What a window of ceil_mode reaches beyond the padding is no row at all: an average does not count it.
        x = _bordered(x, above, min(below, padding), float("-inf") if self.kind == "max" else 0.0)
        return self._pool(x, (0, side))

    def _mean_of_valid(self, x: Tensor, above: int, below: int) -> Tensor:
        """Sums of what the windows cover, over how many values of the map that is."""
        kernel, stride, (_, side), _ = self.window
        rows = (0, 0, above, below)

        def sums(values: Tensor) -> Tensor:
            return F.avg_pool2d(F.pad(values, rows), kernel, stride, (0, side), self.ceil_mode, divisor_override=1)

        return sums(x) / sums(torch.ones_like(x[:1, :1]))


class GlobalPoolModule(KernelModule):
    """:class:`GlobalPool`."""

    def __init__(self, layer: GlobalPool, in_shape: Shape) -> None:
        super().__init__(layer, in_shape)
        self.kind = layer.kind

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "max":
            return x.amax((2, 3), keepdim=True)
        if self.kind == "l2":
            return x.square().sum((2, 3), keepdim=True).sqrt()
        return x.sum((2, 3), keepdim=True) if self.kind == "sum" else x.mean((2, 3), keepdim=True)


class LinearModule(KernelModule):
    """:class:`Linear`."""

    def __init__(self, layer: Linear, in_shape: Shape) -> None:
        super().__init__(layer, in_shape)
        self.linear = nn.Linear(in_shape.elements, layer.out_features, layer.bias)
        self.act = activation_module(layer.activation)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.linear(x.flatten(1)))


class PointwiseModule(KernelModule):
    """:class:`Pointwise`, on maps and on features."""

    def __init__(self, layer: Pointwise, in_shape: Shape) -> None:
        super().__init__(layer, in_shape)
        self.norm = nn.BatchNorm2d(in_shape.folded_channels) if layer.norm else nn.Identity()
        self.act = activation_module(layer.activation)

    def forward(self, x: Tensor) -> Tensor:
        maps = x[..., None, None] if x.ndim == 2 else x
        return self.act(self.norm(maps)).reshape(x.shape)
