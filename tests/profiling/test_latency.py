"""The latency model: against a plain scalar implementation, its shape over rows, and every kind of layer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.models.blocks import Block
from splitgym.models.chain import Kernel
from splitgym.models.layers import Conv, Conv3d, ConvTranspose, GlobalPool, Layer, Linear, Pool, Shape
from splitgym.models.lookup import get_model
from splitgym.models.remaps import Reorg
from splitgym.models.zoo.catalogue import MODELS
from splitgym.profiling.devices import Device, device_names, get_device
from splitgym.profiling.latency import kernel_seconds


def kernel_of(layer: Layer, shape: Shape) -> Kernel:
    return Kernel("k", 0, layer, shape, layer.out_shape(shape))


def plain_seconds(device: Device, kernel: Kernel, rows: int, batch: int, tiles: bool) -> float:
    """The formulas written for one row count, loop by loop."""
    c = device.tiled if tiles else device.smooth
    layer, inp, out = kernel.layer, kernel.in_shape, kernel.out_shape
    if rows == 0:
        return 0.0

    def memory(values: float) -> float:
        return values * device.value_bytes / (c.e_m * device.memory_bytes_per_s)

    if isinstance(layer, Linear):
        weights = inp.elements * out.channels
        product = 2 * batch * weights / (device.peak_flops * c.e_c)
        return c.t0_s + max(product, memory(batch * (inp.elements + out.channels) + weights))
    assert isinstance(layer, Conv | Pool)
    (kh, kw), (stride, _), _, (dilation, _) = layer.window
    in_rows = min(inp.height, (rows - 1) * stride + dilation * (kh - 1) + 1)
    moved = batch * (in_rows * inp.width * inp.channels + rows * out.width * out.channels)
    if isinstance(layer, Pool):
        return c.light_t0_s + memory(moved)
    cin = inp.channels // layer.groups
    weights = out.channels * cin * kh * kw
    padded = math.ceil(math.ceil(cin / device.channel_pad) * device.channel_pad * kh * kw / device.k_pad) * device.k_pad

    def compute(m: int) -> float:
        best = math.inf
        for tm, tn in c.tile_menu:
            for k in c.split_k:
                if k > 1 and padded / k < 64:
                    continue
                a = tm * tn / (tm + tn)
                g = a / (a + c.tile_c)
                n_tiles = math.ceil(m / tm) * math.ceil(out.channels / tn)
                work = 2 * tm * tn * (padded / k) * (1 + 0.15 * math.log2(k))
                best = min(
                    best, math.ceil(n_tiles * k / device.slots) * work / (device.peak_flops / device.slots * c.e_c * g)
                )
        return best

    if layer.groups > 1:
        flops = 2 * batch * rows * out.width * out.channels * kh * kw
        t = max(flops / (device.peak_flops * c.e_c * device.depthwise_rate), memory(moved + weights))
    else:
        t = max(compute(batch * rows * out.width), memory(moved + weights))
        if c.winograd_gain > 1 and kh == kw == 3 and stride == 1 and dilation == 1 and cin >= 16:
            q = device.winograd_tile
            m = batch * math.ceil(rows / q) * q * math.ceil(out.width / q) * q
            t = min(t, max(compute(m) / c.winograd_gain, memory(moved + weights * (q + 2) ** 2 / 9)))
    if device.unfused:
        t += (2 if layer.norm else 1) * (c.light_t0_s + memory(2 * batch * rows * out.width * out.channels))
    return (c.light_t0_s if layer.groups > 1 or kh * kw == 1 else c.t0_s) + t


@st.composite
def kernels(draw: st.DrawFn) -> Kernel:
    channels = draw(st.sampled_from([1, 3, 8, 15, 16, 37, 64, 200, 512]))
    shape = Shape(channels, draw(st.integers(13, 60)), draw(st.integers(13, 60)))
    kind = draw(st.sampled_from(["conv", "conv", "depthwise", "pool", "linear"]))
    if kind == "linear":
        return kernel_of(Linear(draw(st.integers(1, 2000))), shape)
    size, stride = draw(st.sampled_from([1, 2, 3, 3, 5])), draw(st.integers(1, 3))
    if kind == "pool":
        return kernel_of(Pool(size, stride, size // 2), shape)
    groups = channels if kind == "depthwise" else 1
    out = channels if kind == "depthwise" else draw(st.sampled_from([1, 19, 64, 130, 512]))
    dilation = draw(st.sampled_from([1, 1, 2]))
    norm = draw(st.booleans())
    return kernel_of(Conv(size, stride, size // 2, dilation, out_channels=out, groups=groups, norm=norm), shape)


@settings(max_examples=300, deadline=None)
@given(kernels(), st.sampled_from(device_names()), st.sampled_from([1, 2, 16]), st.booleans())
def test_the_model_equals_a_plain_scalar_implementation(kernel: Kernel, name: str, batch: int, tiles: bool) -> None:
    device = get_device(name)
    rows = np.arange(kernel.out_shape.height + 1)
    expected = [plain_seconds(device, kernel, int(r), batch, tiles) for r in rows]
    np.testing.assert_allclose(kernel_seconds(device, kernel, rows, batch, tiles), expected, rtol=1e-12)


@pytest.mark.parametrize("tiles", [True, False])
@pytest.mark.parametrize("name", device_names())
def test_no_rows_cost_nothing_and_more_rows_never_less(name: str, tiles: bool) -> None:
    device = get_device(name)
    for kernel in get_model("inception_v3").kernels[::7]:
        seconds = kernel_seconds(device, kernel, np.arange(kernel.out_shape.height + 1), tiles=tiles)
        assert seconds[0] == 0
        assert seconds[1] >= device.coefficients(tiles).light_t0_s
        assert (np.diff(seconds) >= 0).all()


def test_rows_keep_their_shape() -> None:
    device, kernel = get_device("nano"), get_model("vgg16").kernels[3]
    rows = np.array([[1, 5, 0], [7, 112, 2]])
    seconds = kernel_seconds(device, kernel, rows)
    assert seconds.shape == rows.shape
    assert seconds.dtype == np.float64
    assert seconds[1, 0] == kernel_seconds(device, kernel, 7)


@pytest.mark.parametrize("model", MODELS)
def test_every_kernel_of_the_zoo_has_a_latency(model: str) -> None:
    for kernel in get_model(model).kernels:
        seconds = float(kernel_seconds(get_device("xavier"), kernel, kernel.out_shape.height))
        assert math.isfinite(seconds)
        assert seconds > 0 or isinstance(kernel.layer, Reorg)


# --- the shape over rows that the calibration states for VGG-16's convolutions ---


def _row_shape(name: str, tiles: bool) -> tuple[float, float, float]:
    """Means of t(1)/t(H) and t(H/4)/t(H); the biggest step of any layer in units of its average row."""
    first, quarter, step = [], [], []
    for kernel in get_model("vgg16").kernels:
        if isinstance(kernel.layer, Conv):
            height = kernel.out_shape.height
            s = kernel_seconds(get_device(name), kernel, np.arange(height + 1), tiles=tiles)
            first.append(s[1] / s[-1])
            quarter.append(s[height // 4] / s[-1])
            step.append(np.diff(s[1:]).max() / (s[-1] / height))
    return float(np.mean(first)), float(np.mean(quarter)), float(np.max(step))


@pytest.mark.parametrize(
    ("name", "first", "quarter", "step"),
    [
        ("pi3", 0.0702, 0.3097, 3.997),
        ("nano", 0.0972, 0.3038, 3.479),
        ("tx2", 0.1319, 0.3092, 3.552),
        ("xavier", 0.2173, 0.3809, 8.356),
        ("xavier-nx", 0.1958, 0.3687, 6.503),
        ("orin-agx", 0.3223, 0.4547, 15.129),
    ],
)
def test_nonlinearity_in_rows(name: str, first: float, quarter: float, step: float) -> None:
    assert _row_shape(name, tiles=True) == pytest.approx((first, quarter, step), rel=2e-3)


def test_staircase_of_a_xavier_convolution() -> None:
    kernel = kernel_of(Conv(3, 1, 1, out_channels=512), Shape(512, 28, 28))
    us = 1e6 * kernel_seconds(get_device("xavier"), kernel, np.arange(1, 29))
    expected = [
        78, 79, 97, 103, 140, 146, *[164] * 3, 223, 223, 246, 246, *[297] * 5, 377, 377, 389, 389, *[429] * 5, 531,
    ]  # fmt: skip
    assert np.round(us).astype(int).tolist() == expected


@pytest.mark.parametrize("name", ["xavier", "xavier-nx", "orin-agx", "v100", "xavier-pytorch"])
def test_without_tiles_a_tensor_core_has_no_steps(name: str) -> None:
    assert _row_shape(name, tiles=True)[2] > 4
    assert _row_shape(name, tiles=False)[2] < 1.01


@pytest.mark.parametrize("name", ["nano", "tx2"])
def test_without_tiles_only_winograds_pairs_of_rows_remain(name: str) -> None:
    assert _row_shape(name, tiles=True)[2] > 3
    assert 1.5 < _row_shape(name, tiles=False)[2] < 2.0


# --- layers ---


def test_dilation_excludes_winograd() -> None:
    shape = Shape(256, 56, 56)
    plain = kernel_seconds(get_device("nano"), kernel_of(Conv(3, 1, 1, out_channels=256), shape), 56)
    dilated = kernel_seconds(get_device("nano"), kernel_of(Conv(3, 1, 2, 2, out_channels=256), shape), 56)
    assert dilated > 1.2 * plain


def test_a_flat_3d_convolution_costs_what_a_2d_one_does() -> None:
    shape, rows = Shape(24, 30, 30), np.arange(31)
    flat = kernel_of(Conv3d(5, 1, 2, out_channels=40, kernel_depth=1), shape)
    plain = kernel_of(Conv(5, 1, 2, out_channels=40), shape)
    for name in ("nano", "xavier", "pi3"):
        device = get_device(name)
        np.testing.assert_array_equal(kernel_seconds(device, flat, rows), kernel_seconds(device, plain, rows))


def test_a_3d_convolution_computes_every_depth() -> None:
    device = get_device("tx2")
    layer = Conv3d(3, 1, 1, out_channels=64, kernel_depth=3, padding_depth=1)
    one, eight = (kernel_of(layer, Shape(64, 100, 100, depth)) for depth in (1, 8))
    ratio = kernel_seconds(device, eight, 100) / kernel_seconds(device, one, 100)
    assert 7 < ratio < 8.5


def test_a_pointwise_transposed_convolution_costs_what_a_plain_one_does() -> None:
    shape, rows = Shape(64, 20, 20), np.arange(21)
    up = kernel_of(ConvTranspose(1, out_channels=48), shape)
    plain = kernel_of(Conv(1, out_channels=48), shape)
    np.testing.assert_array_equal(
        kernel_seconds(get_device("nano"), up, rows), kernel_seconds(get_device("nano"), plain, rows)
    )


def test_a_transposed_convolution_computes_its_macs() -> None:
    device = get_device("i7-7700k-1t")  # one slot and small tiles: compute time is operations over rate
    kernel = kernel_of(ConvTranspose(4, 4, out_channels=256), Shape(256, 50, 44))
    operations = 2 * kernel.layer.macs(kernel.in_shape)
    seconds = float(kernel_seconds(device, kernel, 200, tiles=False)) - device.smooth.t0_s
    assert seconds == pytest.approx(operations / (device.peak_flops * device.smooth.e_c))


def test_space_to_depth_is_free_and_a_global_pool_is_not() -> None:
    device = get_device("xavier")
    assert kernel_seconds(device, kernel_of(Reorg(2), Shape(64, 26, 26)), 13) == 0
    assert kernel_seconds(device, kernel_of(GlobalPool(), Shape(2048, 7, 7)), 1) > device.tiled.t0_s


def test_a_batch_shares_the_floor() -> None:
    device, kernel = get_device("v100"), get_model("resnet50").kernels[30]
    one, many = (float(kernel_seconds(device, kernel, 14, batch=b)) for b in (1, 64))
    assert one < many < 32 * one


def test_an_unknown_layer_is_an_error() -> None:
    with pytest.raises(TypeError, match="Block"):
        kernel_seconds(get_device("nano"), kernel_of(Block(((),)), Shape(3, 8, 8)), 8)
