"""The device catalogue: what it holds, and its agreement with published and earlier modelled latencies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import yaml

from splitgym.models.blocks import Block
from splitgym.models.chain import Unit
from splitgym.models.layers import Conv, GlobalPool, Layer, Linear, Pool, Shape
from splitgym.models.lookup import get_model
from splitgym.models.model import Model
from splitgym.profiling.devices import calibration_date, device_names, get_device
from splitgym.profiling.latency import kernel_seconds

from .. import ROOT, refused

PUBLISHED: dict[str, Any] = yaml.safe_load((ROOT / "benchmarks" / "published_ms.yaml").read_text(encoding="utf-8"))
PUBLISHED_MS: dict[str, dict[str, float]] = {name: entry["published_ms"] for name, entry in PUBLISHED.items()}

# What the calibration's own implementation of the model gave, milliseconds at batch 1.
CALIBRATION_MS = {
    "pi3": {"vgg16": 1828.084, "vgg19": 2219.206, "resnet50": 761.743, "alexnet": 285.561, "inception_v3": 1029.721},
    "nano": {"vgg16": 83.146, "vgg19": 99.587, "resnet50": 27.749, "alexnet": 14.652, "inception_v3": 40.923},
    "tx2": {"vgg16": 37.560, "vgg19": 44.892, "resnet50": 16.281, "alexnet": 7.098, "yolov2": 34.442},
    "xavier": {
        "vgg16": 7.160,
        "vgg19": 8.350,
        "resnet50": 3.180,
        "alexnet": 1.725,
        "ssd_vgg16": 9.843,
        "openpose": 39.608,
    },
    "xavier-nx": {"vgg16": 13.091, "resnet50": 4.592},
    "xavier-pytorch": {"vgg16": 16.552, "resnet50": 18.752, "inception_v3": 30.726},
    "tx2-tensorflow": {"vgg16": 176.180, "resnet50": 60.236},
    "v100": {"vgg16": 1.721, "resnet50": 2.165},
    "gtx1080ti": {"vgg16": 4.284, "resnet50": 3.332},
    "i7-8700k": {"vgg16": 53.869, "resnet50": 18.867},
    "pixel6a": {"vgg16": 102.128, "resnet50": 44.435},
    "h200": {"vgg16": 0.376, "resnet50": 0.523},
}


def _conv(channels: int, kernel: int, stride: int = 1, groups: int = 1) -> Conv:
    return Conv(kernel, stride, kernel // 2, out_channels=channels, groups=groups, bias=False, norm=True)


def _model(name: str, layers: list[Layer], tail: tuple[Layer, ...]) -> Model:
    return Model(name, Shape(3, 224, 224), tuple(Unit(str(i), (layer,)) for i, layer in enumerate(layers)), tail)


def _resnet(name: str, blocks: tuple[int, ...], bottleneck: bool) -> Model:
    layers: list[Layer] = [_conv(64, 7, 2), Pool(3, 2, 1)]
    for stage, count in enumerate(blocks):
        width = 64 << stage
        out = 4 * width if bottleneck else width
        for i in range(count):
            stride = 2 if stage and not i else 1
            if bottleneck:
                branch = (_conv(width, 1), _conv(width, 3, stride), _conv(out, 1))
            else:
                branch = (_conv(width, 3, stride), _conv(width, 3))
            project = i == 0 and (bottleneck or stage > 0)
            layers.append(Block((branch, (_conv(out, 1, stride),) if project else ()), "add", "relu"))
    return _model(name, layers, (GlobalPool(), Linear(1000)))


def _vgg13() -> Model:
    layers: list[Layer] = []
    for channels in (64, 128, 256, 512, 512):
        layers += [Conv(3, 1, 1, out_channels=channels), Conv(3, 1, 1, out_channels=channels), Pool(2, 2)]
    return _model("vgg13", layers, (Linear(4096), Linear(4096), Linear(1000)))


def _mobilenet() -> Model:
    layers: list[Layer] = [_conv(32, 3, 2)]
    channels = 32
    widths = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for out, stride in widths:
        layers += [_conv(channels, 3, stride, groups=channels), _conv(out, 1)]
        channels = out
    return _model("mobilenet", layers, (GlobalPool(), Linear(1000)))


def _network(name: str) -> Model:
    own = {
        "resnet18": lambda: _resnet("resnet18", (2, 2, 2, 2), False),
        "resnet101": lambda: _resnet("resnet101", (3, 4, 23, 3), True),
        "resnet152": lambda: _resnet("resnet152", (3, 8, 36, 3), True),
        "vgg13": _vgg13,
        "mobilenet": _mobilenet,
    }
    return own[name]() if name in own else get_model(name)


def _total_ms(device: str, network: str, tiles: bool = True) -> float:
    d = get_device(device)
    kernels = _network(network).kernels
    return 1e3 * sum(float(kernel_seconds(d, k, k.out_shape.height, tiles=tiles)) for k in kernels)


def _errors_pct(device: str, tiles: bool) -> dict[str, float]:
    return {n: 100 * abs(_total_ms(device, n, tiles) / ms - 1) for n, ms in PUBLISHED_MS[device].items()}


def test_no_more_figures_are_listed_than_a_fit_had() -> None:
    for name, figures in PUBLISHED_MS.items():
        fit = get_device(name).fit
        assert fit is not None
        assert 0 < len(figures) <= fit.anchors


@pytest.mark.parametrize("device", PUBLISHED_MS)
def test_modelled_totals_agree_with_published_ones_within_the_stated_maximum(device: str) -> None:
    fit = get_device(device).fit
    assert fit is not None
    errors = _errors_pct(device, tiles=True)
    assert {"vgg16", "vgg19", "resnet50"} <= set(errors)
    assert max(errors.values()) < fit.max_error_pct + 0.05  # stated to one decimal


@pytest.mark.parametrize("device", ["pi3", "xavier"])
def test_the_stated_errors_are_the_ones_all_anchors_give(device: str) -> None:
    fit = get_device(device).fit
    assert fit is not None
    errors = list(_errors_pct(device, tiles=True).values())
    assert len(errors) == fit.anchors
    assert np.mean(errors) == pytest.approx(fit.mean_error_pct, abs=0.06)
    assert np.max(errors) == pytest.approx(fit.max_error_pct, abs=0.06)


@pytest.mark.parametrize("device", ["nano", "tx2", "xavier"])
def test_totals_without_tiles_agree_as_well(device: str) -> None:
    fit = get_device(device).smooth_fit
    assert fit is not None
    assert max(_errors_pct(device, tiles=False).values()) < fit.max_error_pct + 0.05


@pytest.mark.parametrize("device", CALIBRATION_MS)
def test_totals_are_those_of_the_calibration(device: str) -> None:
    """Within what rounding the parameters (four decimals) and the references (three) explains."""
    for network, ms in CALIBRATION_MS[device].items():
        assert _total_ms(device, network) == pytest.approx(ms, rel=1e-3, abs=5e-4), network


def test_every_entry_of_the_catalogue_is_sound() -> None:
    assert len(device_names()) == 35
    for name in device_names():
        d = get_device(name)
        assert d.name == name
        assert d.title
        assert d.value_bytes == {"FP16": 2, "FP32": 4}[d.precision]
        assert min(d.peak_flops, d.memory_bytes_per_s, d.t_msg_s, d.copy_bytes_per_s) > 0
        assert d.message_origin.startswith("assumed")
        for c in (d.tiled, d.smooth):
            assert c.t0_s > 0
            assert 0 < c.e_c <= 1
            assert 0 < c.e_m <= 0.95
            assert c.winograd_gain >= 1
        assert d.smooth.tile_menu == ((1, 1),)
        assert d.smooth.tile_c == 0
        assert d.smooth.split_k == (1,)


def test_a_device_is_fitted_or_derived_and_says_so() -> None:
    for name in device_names():
        d = get_device(name)
        if d.derived_from is None:
            assert d.fit is not None
            assert "fitted to" in d.quality()
        else:
            assert d.fit is None
            assert get_device(d.derived_from).fit is not None
            assert "no published figure" in d.quality()
        assert ("not refitted" in d.quality(tiles=False)) == (name not in ("nano", "tx2", "xavier"))


def test_message_costs_are_the_assumed_ones() -> None:
    costs = {n: (get_device(n).t_msg_s, get_device(n).copy_bytes_per_s) for n in ("pi3", "nano", "tx2", "xavier")}
    assert costs == {"pi3": (3e-3, 0.25e9), "nano": (1.5e-3, 0.6e9), "tx2": (1.5e-3, 0.8e9), "xavier": (1.5e-3, 1.5e9)}


def test_an_unknown_device_is_one_line_that_names_the_nearest() -> None:
    with refused("'xaveir'; did you mean xavier", "splitgym-train --list devices"):
        get_device("xaveir")


def test_the_calibration_has_a_date() -> None:
    assert np.datetime64(calibration_date()) > np.datetime64("2020-01-01")


def test_the_tx2_under_pytorch_is_as_slow_as_measured() -> None:
    """VGG-16 from pool1 to fc3 as L2S's first author published it: 150.0 to 486.9 ms, what crosses copied at both."""
    device = get_device("tx2-pytorch-measured")
    kernels = get_model("vgg16").kernels
    names = [kernel.name for kernel in kernels]
    crossed_bytes = 4 * (kernels[-1].out_shape.elements - kernels[names.index("pool1")].out_shape.elements)
    copied_s = crossed_bytes / device.copy_bytes_per_s
    behind = kernels[names.index("pool1") + 1 :]
    took_s = sum(float(kernel_seconds(device, k, k.out_shape.height)) for k in behind) + copied_s
    assert 1e3 * took_s == pytest.approx(486.9 - 150.0, rel=0.05)


def test_a_floor_by_kind_of_kernel_helps_networks_that_no_fit_saw() -> None:
    """SqueezeNet and GoogLeNet are many small kernels, which take less than the floor that big ones set."""
    one, two = get_device("xavier"), get_device("xavier-light")
    assert one.tiled.light_t0_s == one.tiled.t0_s
    assert two.tiled.light_t0_s < two.tiled.t0_s
    before, after = dict(one.checks), dict(two.checks)
    assert all(abs(after[network]) < abs(before[network]) for network in after)
    assert "not fitted: GoogLeNet +42 %" in two.quality()
    assert 100 * (_total_ms("xavier-light", "googlenet") / 1.80 - 1) == pytest.approx(after["GoogLeNet"], abs=0.5)


# Milliseconds at batch 8 of PyTorch on a Raspberry Pi; the set is fitted to the first three.
PI_PYTORCH_MS = {"vgg16": 13170.0, "resnet18": 1669.0, "alexnet": 849.0, "resnet50": 5417.0, "inception_v3": 5577.0}


def test_the_stated_errors_of_a_pi_under_pytorch_are_those_at_batch_8() -> None:
    device, errors = get_device("pi3-pytorch"), {}
    for network, ms in PI_PYTORCH_MS.items():
        kernels = _network(network).kernels
        errors[network] = 100 * (
            1e3 * sum(float(kernel_seconds(device, k, k.out_shape.height, 8)) for k in kernels) / ms - 1
        )
    fitted = [abs(errors[network]) for network in ("vgg16", "resnet18", "alexnet")]
    assert device.fit is not None
    assert (np.mean(fitted), np.max(fitted)) == pytest.approx(
        (device.fit.mean_error_pct, device.fit.max_error_pct), abs=0.1
    )
    checks = dict(device.checks)
    assert errors["resnet50"] == pytest.approx(checks["ResNet-50"], abs=0.6)
    assert errors["inception_v3"] == pytest.approx(checks["Inception-v3"], abs=0.6)
