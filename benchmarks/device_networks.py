"""Networks that the device catalogue is fitted to or judged by, beside those of the zoo; no weights, only shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from splitgym.models.blocks import Block
from splitgym.models.chain import Kernel, Unit
from splitgym.models.layers import Conv, GlobalPool, Layer, Pool, Shape
from splitgym.models.lookup import get_model
from splitgym.models.model import Model
from splitgym.models.zoo.classifiers import basic_block, bottleneck, classifier, conv, conv_bn, vgg_units

IMAGE = Shape(3, 224, 224)


def chain(name: str, layers: Sequence[Layer], tail: Sequence[Layer], shape: Shape = IMAGE) -> Model:
    return Model(name, shape, tuple(Unit(str(i), (layer,)) for i, layer in enumerate(layers)), tuple(tail))


def resnet(name: str, blocks: Sequence[int], block: Callable[[int, int, bool], Block], size: int = 224) -> Model:
    """A ResNet of any depth and image size."""
    layers: list[Layer] = [conv_bn(64, 7, 2), Pool(3, 2, 1)]
    for stage, count in enumerate(blocks):
        layers += [block(64 << stage, 2 if stage and not i else 1, i == 0) for i in range(count)]
    return chain(name, layers, (GlobalPool(), *classifier(1000)), Shape(3, size, size))


def vgg13() -> Model:
    return Model("vgg13", IMAGE, tuple(vgg_units((2, 2, 2, 2, 2))), classifier(4096, 4096, 1000))


def squeezenet(version: str) -> Model:
    """SqueezeNet 1.0 or 1.1 as torchvision has it."""

    def fire(squeeze: int, expand: int) -> list[Layer]:
        return [conv(squeeze, 1), Block(((conv(expand, 1),), (conv(expand, 3),)), "concat")]

    pool = Pool(3, 2, 0, ceil_mode=True)
    widths = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
    stem, pools = (conv(96, 7, 2, 0), (3, 7)) if version == "1.0" else (conv(64, 3, 2, 0), (2, 4))
    layers: list[Layer] = [stem, pool]
    for i, (squeeze, expand) in enumerate(widths, start=1):
        layers += fire(squeeze, expand)
        if i in pools:
            layers.append(pool)
    return chain(f"squeezenet{version}", [*layers, conv(1000, 1)], (GlobalPool(),))


def depthwise(channels: int, stride: int) -> Conv:
    return Conv(3, stride, 1, out_channels=channels, groups=channels, bias=False, norm=True)


def mobilenet_v2() -> Model:
    layers: list[Layer] = [conv_bn(32, 3, 2)]
    channels = 32
    for expand, out, count, first in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                                      (6, 160, 3, 2), (6, 320, 1, 1)):  # fmt: skip
        for i in range(count):
            wide, stride = expand * channels, first if i == 0 else 1
            layers += [conv_bn(wide, 1)] if expand > 1 else []
            layers += [depthwise(wide, stride), conv_bn(out, 1, activation="none")]
            channels = out
    return chain("mobilenet_v2", [*layers, conv_bn(1280, 1)], (GlobalPool(), *classifier(1000)))


def tiny_yolo() -> Model:
    """Tiny YOLOv2 for VOC (darknet's tiny-yolo-voc.cfg)."""
    dark = partial(conv_bn, activation="leaky")
    layers: list[Layer] = []
    for channels in (16, 32, 64, 128, 256):
        layers += [dark(channels, 3), Pool(2, 2, 0)]
    layers += [dark(512, 3), Pool(2, 1, 0), dark(1024, 3), dark(1024, 3), conv(125, 1, activation="none")]
    return chain("tiny_yolo", layers, (), Shape(3, 416, 416))


def yolov4_kernels(size: int = 608) -> tuple[Kernel, ...]:
    """The convolutions and pools of YOLOv4 (darknet's yolov4.cfg); its joins only place values."""
    found: list[Kernel] = []

    def add(channels_in: int, layer: Layer, at: int) -> None:
        found.extend(chain("part", [layer], (), Shape(channels_in, at, at)).kernels)

    mish, leaky = partial(conv_bn, activation="relu"), partial(conv_bn, activation="leaky")
    add(3, mish(32), size)
    width, at = 32, size
    for stage, count in enumerate((1, 2, 8, 8, 4)):
        wide = 64 << stage
        half = wide if stage == 0 else wide // 2
        add(width, mish(wide, 3, 2), at)
        width, at = wide, at // 2
        add(wide, mish(half, 1), at)
        add(wide, mish(half, 1), at)
        for _ in range(count):
            add(half, mish(wide // 2, 1), at)
            add(wide // 2, mish(half), at)
        add(half, mish(half, 1), at)
        add(2 * half, mish(wide, 1), at)
    narrow, middle, broad = size // 32, size // 16, size // 8
    for channels_in, channels, kernel in ((1024, 512, 1), (512, 1024, 3), (1024, 512, 1)):
        add(channels_in, leaky(channels, kernel), narrow)
    for kernel in (5, 9, 13):
        add(512, Pool(kernel, 1, kernel // 2), narrow)
    for channels_in, channels, kernel in ((2048, 512, 1), (512, 1024, 3), (1024, 512, 1), (512, 256, 1)):
        add(channels_in, leaky(channels, kernel), narrow)

    def five(channels_in: int, channels: int, at: int) -> None:
        for i in range(5):
            source = channels_in if i == 0 else channels if i % 2 else 2 * channels
            add(source, leaky(2 * channels if i % 2 else channels, 3 if i % 2 else 1), at)

    def head(channels: int, at: int) -> None:
        add(channels, leaky(2 * channels), at)
        add(2 * channels, conv(255, 1, activation="none"), at)

    add(512, leaky(256, 1), middle)
    five(512, 256, middle)
    add(256, leaky(128, 1), middle)
    add(256, leaky(128, 1), broad)
    five(256, 128, broad)
    head(128, broad)
    add(128, leaky(256, 3, 2), broad)
    five(512, 256, middle)
    head(256, middle)
    add(256, leaky(512, 3, 2), middle)
    five(1024, 512, narrow)
    head(512, narrow)
    return tuple(found)


NETWORKS: Mapping[str, Callable[[], tuple[Kernel, ...]]] = {
    "resnet18": lambda: resnet("resnet18", (2, 2, 2, 2), basic_block).kernels,
    "resnet101": lambda: resnet("resnet101", (3, 4, 23, 3), bottleneck).kernels,
    "resnet152": lambda: resnet("resnet152", (3, 8, 36, 3), bottleneck).kernels,
    "resnet50 at 800": lambda: resnet("resnet50", (3, 4, 6, 3), bottleneck, 800).kernels,
    "vgg13": lambda: vgg13().kernels,
    "squeezenet1.0": lambda: squeezenet("1.0").kernels,
    "squeezenet1.1": lambda: squeezenet("1.1").kernels,
    "mobilenet_v2": lambda: mobilenet_v2().kernels,
    "yolov4 at 608": yolov4_kernels,
}


def kernels_of(name: str) -> tuple[Kernel, ...]:
    """The kernels of a network by name, from here or from the zoo."""
    return NETWORKS[name]() if name in NETWORKS else get_model(name).kernels
