"""Networks that do an edge's work are read from files of both exporters, run exactly, and are split."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from splitgym.models.layers import Shape
from splitgym.models.own.read import import_module, import_onnx

from ... import slow
from . import detectors, families
from .nets import assert_all_outputs, exported, image, run_onnxruntime, scrambled

Make = Callable[[], nn.Module]
SMALL: dict[str, tuple[Make, int]] = {  # narrow ones and their image size
    "mobilenet_v3": (lambda: families.mobilenet_v3(2, 10), 64),
    "efficientnet_b0": (lambda: families.efficientnet_b0(2, 10), 64),
    "shufflenet_v2": (lambda: families.shufflenet_v2(8, 10, (2, 3)), 64),
    "regnet_y": (lambda: families.regnet_y((8, 16), (1, 2), 4, 10), 48),
    "convnext": (lambda: families.convnext(8, (1, 2), 10), 48),
    "unet": (lambda: families.UNet(4, 3), 48),
    "unet_smooth": (lambda: families.UNet(4, 2, smooth=True), 40),
    "deeplab": (lambda: families.DeepLab(8, 5), 64),
    "face_detector": (lambda: detectors.FaceDetector(8), 64),
    "yolox": (lambda: detectors.Yolox(4, 1, 3), 64),
    "yolox_maps": (lambda: detectors.Yolox(4, 1, 3, decode=False), 64),
    "super_resolution": (lambda: families.SuperResolution(8, 9), 20),
    "alexnet": (lambda: families.alexnet(12, 95, 10), 95),
    "mtcnn": (lambda: families.Mtcnn(4), 48),
}
FULL: dict[str, tuple[Make, int]] = {
    "mobilenet_v3": (families.mobilenet_v3, 224),
    "efficientnet_b0": (families.efficientnet_b0, 224),
    "shufflenet_v2": (families.shufflenet_v2, 224),
    "regnet_y": (families.regnet_y, 224),
    "convnext": (families.convnext, 224),
    "unet": (lambda: families.UNet(32), 256),
    "deeplab": (families.DeepLab, 257),
    "face_detector": (detectors.FaceDetector, 320),
    "yolox": (detectors.Yolox, 320),
    "super_resolution": (families.SuperResolution, 64),
    "alexnet": (families.alexnet, 227),
    "mtcnn": (families.Mtcnn, 48),
}
# The newer exporter writes opset 18 and converts it down: it fails for what older opsets have no operator for.
EXPORTS = [(False, 17), (False, 11), (True, 17), (True, 11)]


@cache
def _small(name: str) -> tuple[nn.Module, Tensor, list[Tensor]]:
    make, size = SMALL[name]
    return _with_outputs(make(), size)


def _with_outputs(made: nn.Module, size: int) -> tuple[nn.Module, Tensor, list[Tensor]]:
    net, x = scrambled(made), image(Shape(3, size, size)) / 3
    with torch.inference_mode():
        outputs = net(x)
    return net, x, [outputs] if isinstance(outputs, Tensor) else list(outputs)


def counted_macs(net: nn.Module, x: Tensor) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(x)
    return counter.get_total_flops() / 2


def check(net: nn.Module, x: Tensor, expected: list[Tensor], path: Path, tolerance: float = 1e-5) -> None:
    imported = import_onnx(path)
    for found, wanted in zip(run_onnxruntime(path, x), expected, strict=True):
        assert found.shape == wanted.shape, "the file is what was written"
    assert_all_outputs(imported, x, run_onnxruntime(path, x), tolerance, plans=3)
    assert imported.model.macs == pytest.approx(counted_macs(net, x), rel=1e-6)


CHEAP = [(name, False, 17) for name in SMALL]
OTHERS = [(name, dynamo, opset) for name in SMALL for dynamo, opset in EXPORTS if (dynamo, opset) != (False, 17)]


@pytest.mark.parametrize(("name", "dynamo", "opset"), [*CHEAP, *slow(*OTHERS)])
def test_a_family_is_read_and_runs_exactly(name: str, dynamo: bool, opset: int, tmp_path: Path) -> None:
    net, x, expected = _small(name)
    path = exported(net, tmp_path / "net.onnx", Shape(*x.shape[1:]), dynamo, opset_version=opset)
    check(net, x, expected, path)


@pytest.mark.parametrize("name", ["yolox", *slow(*(name for name in SMALL if name != "yolox"))])
def test_a_family_is_read_as_a_module(name: str) -> None:
    net, x, expected = _small(name)
    imported = import_module(net, Shape(*x.shape[1:]))
    assert_all_outputs(imported, x, expected)
    assert imported.model.macs == pytest.approx(counted_macs(net, x), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL)
def test_a_family_at_its_full_size(name: str, tmp_path: Path) -> None:
    make, size = FULL[name]
    net, x, expected = _with_outputs(make(), size)
    path = exported(net, tmp_path / "net.onnx", Shape(*x.shape[1:]), dynamo=False, opset_version=17)
    check(net, x, expected, path, tolerance=3e-5)
