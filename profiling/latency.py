"""Seconds that one kernel takes on a device: the calibrated latency model.

    t(kernel, rows) = t0 + max(t_comp, t_mem)
    t_mem  = (batch*(values read + values written) + weights) * value_bytes / (e_m * bandwidth)
    t_comp = min over tiles (Tm, Tn) of the menu and k of split-K of
             ceil(tiles*k/slots) * 2*Tm*Tn * (K/k) * (1 + 0.15*log2 k) / (peak/slots * e_c * g)
             tiles = ceil(M/Tm) * ceil(N/Tn),  M = batch*rows*width,  N = output channels,
             K = padded input channels * taps,  g = a/(a+c),  a = Tm*Tn/(Tm+Tn)

t0 is another one for light kernels (1x1 and depthwise convolutions, pools, norms and activations alone) where a
device's figures tell the two apart. The shape over rows comes from a floor (launch and weight traffic), whole
waves of tiles, and the autotuner's minimum. A 3x3 stride-1 convolution without dilation may also run by
Winograd's algorithm: rows and columns are rounded up to its tile q, t_comp is divided by the gain, weights are
(q+2)^2/9 as many bytes. Depthwise convolutions and fully connected layers have no tiles, pools no t_comp.

A kernel is a convolution with its norm, activation and residual add (kernels of their own in eager frameworks,
but for the add), a pool, a norm or activation that follows no convolution, or a fully connected layer. Concatenation
is free, and so are space-to-depth and back, slices, shuffles and a border: they only place values. What works value by
value or over channels, resizes, or norms a whole map moves its values through memory, as a pool does; a program moves
what each of its operators reads and writes, or computes its products if that takes longer. A transposed convolution
computes each output position from the taps that meet it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2, prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ..models.blocks import Merge
from ..models.chain import Kernel
from ..models.channels import ChannelNorm, ChannelReduce, LocalNorm, MapNorm, PRelu, Shuffle, WithConstant
from ..models.layers import Conv, Conv3d, ConvTranspose, GlobalPool, Linear, Pointwise, Pool
from ..models.programs import Elementwise, Program
from ..models.remaps import DepthToSpace, Mirror, Pad, Reorg, Resize, Slice
from .devices import Coefficients, Device

SPLIT_K_COST = 0.15  # extra work of every doubling of split-K
MIN_SPLIT_K_LENGTH = 64  # a piece of the reduction axis is never shorter
WINOGRAD_MIN_CHANNELS = 16

# Kernels that only place values, and those that move theirs through memory once.
_PLACES = (Reorg, Pad, Slice, Shuffle, DepthToSpace)
_MOVES = (
    Pool, GlobalPool, Pointwise, PRelu, LocalNorm, ChannelNorm, ChannelReduce, MapNorm, WithConstant, Resize, Mirror
)  # fmt: skip

_IntArray = npt.NDArray[np.int64]
_FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Gemm:
    """A convolution as a matrix product; ``positions`` are output values per row and channel."""

    positions: int
    channels_in: int  # per group
    channels_out: int  # per group
    taps: int
    groups: int
    weights: int
    norm: bool
    winograd: bool  # the algorithm applies (3x3, stride 1)

    @property
    def depthwise(self) -> bool:
        return self.groups > 1 and self.channels_in == 1


def kernel_seconds(
    device: Device, kernel: Kernel, rows: npt.ArrayLike, batch: int = 1, tiles: bool = True
) -> _FloatArray:
    """Seconds that a device takes for some rows of a kernel's output.

    Args:
        device: where it runs.
        kernel: what runs.
        rows: numbers of output rows, 0..kernel.out_shape.height, any shape; 0 rows cost nothing.
        batch: images at once.
        tiles: whether latency steps with whole tiles (``Device.tiled``) or not (``Device.smooth``).

    Returns:
        Seconds, float64, the shape of ``rows``.

    Raises:
        TypeError: the kernel's layer is of a kind the model does not know.
    """
    r = np.asarray(rows, dtype=np.int64)
    layer, c = kernel.layer, device.coefficients(tiles)
    if isinstance(layer, _PLACES):
        return np.zeros(r.shape)
    moved = batch * (
        layer.most_rows(r, kernel.in_shape.height) * kernel.in_shape.row_elements + r * kernel.out_shape.row_elements
    )
    if isinstance(layer, Conv | Conv3d | ConvTranspose):
        seconds = _conv_seconds(device, c, kernel, r, moved, batch)
    elif isinstance(layer, Linear):
        macs = layer.macs(kernel.in_shape)
        compute = batch * r * (2 * macs / (device.peak_flops * c.e_c))
        seconds = c.t0_s + np.maximum(compute, _memory_s(device, c, moved + macs))
    elif isinstance(layer, Program):
        compute = batch * (r > 0) * (2 * layer.macs(kernel.in_shape) / (device.peak_flops * c.e_c))
        moved = batch * (r > 0) * layer.moved(kernel.in_shape)
        seconds = len(layer.operations) * c.light_t0_s + np.maximum(compute, _memory_s(device, c, moved))
    elif isinstance(layer, Elementwise):
        moved = batch * r * (layer.moved(kernel.in_shape) / kernel.out_shape.height)
        seconds = len(layer.operations) * c.light_t0_s + _memory_s(device, c, moved)
    elif isinstance(layer, Merge):
        moved = batch * (layer.inputs + 1) * r * kernel.out_shape.row_elements
        seconds = c.light_t0_s + _memory_s(device, c, moved)
    elif isinstance(layer, _MOVES):
        seconds = c.light_t0_s + _memory_s(device, c, moved)
    else:
        raise TypeError(f"kernel {kernel.name}: no latency model for a layer of type {type(layer).__name__}")
    return np.where(r > 0, seconds, 0.0)


def _gemm(kernel: Kernel) -> _Gemm:
    layer, shape, out = kernel.layer, kernel.in_shape, kernel.out_shape
    assert isinstance(layer, Conv | Conv3d | ConvTranspose)
    size, stride, _, dilation = layer.window
    taps, channels_in, groups, winograd = prod(size), shape.folded_channels, 1, False
    if isinstance(layer, Conv | ConvTranspose):
        groups = layer.groups
        channels_in //= groups
    if isinstance(layer, Conv):
        winograd = (size, stride, dilation, groups) == ((3, 3), (1, 1), (1, 1), 1)
    elif isinstance(layer, Conv3d):
        taps, channels_in = layer.kernel_depth * taps, shape.channels
    weights = taps * channels_in * out.channels
    if isinstance(layer, ConvTranspose):  # only some taps meet any one output position
        taps = prod(ceil(n / s) for n, s in zip(size, stride, strict=True))
    channels_out = out.channels // groups
    return _Gemm(out.width * out.depth, channels_in, channels_out, taps, groups, weights, layer.norm, winograd)


def _conv_seconds(
    device: Device, c: Coefficients, kernel: Kernel, rows: _IntArray, moved: _IntArray, batch: int
) -> _FloatArray:
    g = _gemm(kernel)
    if g.depthwise:
        operations = 2 * batch * rows * kernel.out_shape.row_elements * g.taps
        compute = operations / (device.peak_flops * c.e_c * device.depthwise_rate)
    else:
        compute = _tiled_s(device, c, g, batch * rows * g.positions)
    busy = np.maximum(compute, _memory_s(device, c, moved + g.weights))
    if g.winograd and c.winograd_gain > 1 and g.channels_in >= WINOGRAD_MIN_CHANNELS:
        q = device.winograd_tile
        rounded = -(-rows // q) * q * (-(-g.positions // q) * q)
        compute = _tiled_s(device, c, g, batch * rounded) / c.winograd_gain
        busy = np.minimum(busy, np.maximum(compute, _memory_s(device, c, moved + g.weights * (q + 2) ** 2 / 9)))
    light = g.depthwise or (g.taps == 1 and g.groups == 1)
    seconds = (c.light_t0_s if light else c.t0_s) + busy
    if device.unfused:  # activation, and norm where there is one, read and write the output again
        written = batch * rows * kernel.out_shape.row_elements
        seconds += (2 if g.norm else 1) * (c.light_t0_s + _memory_s(device, c, 2 * written))
    return seconds


def _memory_s(device: Device, c: Coefficients, values: npt.NDArray[Any]) -> _FloatArray:
    return values * (device.value_bytes / (c.e_m * device.memory_bytes_per_s))


def _tiled_s(device: Device, c: Coefficients, g: _Gemm, m: _IntArray) -> _FloatArray:
    """Compute seconds of a matrix product of ``m`` rows: the fastest tile and split-K."""
    channels = -(-g.channels_in // device.channel_pad) * device.channel_pad
    length = -(-channels * g.taps // device.k_pad) * device.k_pad
    slot_flops = device.peak_flops / device.slots * c.e_c
    best = np.full(m.shape, np.inf)
    for tm, tn in c.tile_menu:
        harmonic = tm * tn / (tm + tn)
        efficiency = harmonic / (harmonic + c.tile_c)
        tiles = g.groups * -(-m // tm) * -(-g.channels_out // tn)
        for k in c.split_k:
            if k > 1 and length / k < MIN_SPLIT_K_LENGTH:
                continue
            waves = -(-tiles * k // device.slots)
            tile_flops = 2 * tm * tn * (length / k) * (1 + SPLIT_K_COST * log2(k))
            np.minimum(best, waves * (tile_flops / (slot_flops * efficiency)), out=best)
    return best
