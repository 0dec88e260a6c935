"""Image classifiers: AlexNet, VGG, ResNet, GoogLeNet, Inception-v3 and LeNet-5 as chains of units.

One unit per convolution, pool, residual block or inception block; global pooling and fully connected layers are
the tail. Local response norm, dropout and auxiliary classifiers are not modelled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ..activations import Activation
from ..blocks import Block
from ..chain import Unit
from ..layers import Conv, GlobalPool, Layer, Linear, Pair, Pool, Shape
from ..model import Model

Chain = tuple[Layer, ...]

VGG_CONVS = {11: (1, 1, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
VGG_CHANNELS = (64, 128, 256, 512, 512)
RESNET_BLOCKS = (3, 4, 6, 3)  # ResNet-34 and ResNet-50


def conv(
    channels: int,
    kernel: int | Pair = 3,
    stride: int = 1,
    padding: int | Pair | None = None,
    *,
    norm: bool = False,
    activation: Activation = "relu",
) -> Conv:
    """A convolution that keeps the size at stride 1 unless ``padding`` is given; no bias under a batch norm."""
    if padding is None:
        padding = kernel // 2 if isinstance(kernel, int) else (kernel[0] // 2, kernel[1] // 2)
    return Conv(kernel, stride, padding, out_channels=channels, bias=not norm, norm=norm, activation=activation)


conv_bn = partial(conv, norm=True)


def classifier(*widths: int) -> Chain:
    """Fully connected layers; the last one gives the logits."""
    return (*(Linear(w) for w in widths[:-1]), Linear(widths[-1], activation="none"))


def max_pool(name: str, kernel: int = 2, stride: int = 2, padding: int = 0, *, ceil_mode: bool = False) -> Unit:
    """A max-pooling unit."""
    return Unit(name, (Pool(kernel, stride, padding, ceil_mode=ceil_mode),))


def lenet5() -> Model:
    """LeNet-5 for CIFAR-10 images."""
    units = (
        Unit("conv1", (conv(6, 5, padding=0),)),
        max_pool("pool1"),
        Unit("conv2", (conv(16, 5, padding=0),)),
        max_pool("pool2"),
    )
    return Model("lenet5", Shape(3, 32, 32), units, classifier(120, 84, 10))


def alexnet(name: str, size: int = 224, classes: int = 1000) -> Model:
    """AlexNet, the one-tower version of torchvision, without its adaptive pool; 63 pixels are the least it takes."""
    units = (
        Unit("conv1", (conv(64, 11, 4, 2),)),
        max_pool("pool1", 3),
        Unit("conv2", (conv(192, 5),)),
        max_pool("pool2", 3),
        Unit("conv3", (conv(384),)),
        Unit("conv4", (conv(256),)),
        Unit("conv5", (conv(256),)),
        max_pool("pool5", 3),
    )
    return Model(name, Shape(3, size, size), units, classifier(4096, 4096, classes))


def alexnet_2012() -> Model:
    """AlexNet as first published (Krizhevsky et al. 2012): two towers as groups of channels, without its norms."""

    def grouped(channels: int, kernel: int) -> Conv:
        return Conv(kernel, 1, kernel // 2, out_channels=channels, groups=2)

    units = (
        Unit("conv1", (conv(96, 11, 4, 2),)),
        max_pool("pool1", 3),
        Unit("conv2", (grouped(256, 5),)),
        max_pool("pool2", 3),
        Unit("conv3", (conv(384),)),
        Unit("conv4", (grouped(384, 3),)),
        Unit("conv5", (grouped(256, 3),)),
        max_pool("pool5", 3),
    )
    return Model("alexnet_2012", Shape(3, 224, 224), units, classifier(4096, 4096, 1000))


def vgg_units(convs: Sequence[int], channels: Sequence[int] = VGG_CHANNELS) -> list[Unit]:
    """The convolutional part of a VGG: in stage ``i`` ``convs[i]`` 3x3 convolutions of ``channels[i]``, then a pool."""
    units: list[Unit] = []
    for stage, (count, maps) in enumerate(zip(convs, channels, strict=True), start=1):
        units += [Unit(f"conv{stage}_{i}", (conv(maps),)) for i in range(1, count + 1)]
        units.append(max_pool(f"pool{stage}"))
    return units


def vgg(
    name: str,
    depth: int,
    size: int = 224,
    widths: Sequence[int] = (4096, 4096, 1000),
    channels: Sequence[int] = VGG_CHANNELS,
    in_channels: int = 3,
) -> Model:
    """VGG without batch norm (Simonyan and Zisserman, configurations A, D and E)."""
    shape = Shape(in_channels, size, size)
    return Model(name, shape, tuple(vgg_units(VGG_CONVS[depth], channels)), classifier(*widths))


def residual(branch: Chain, channels: int, stride: int, project: bool) -> Block:
    """A branch added to its input, which a strided 1x1 convolution reshapes where it has to."""
    shortcut = (conv_bn(channels, 1, stride, activation="none"),) if project else ()
    return Block((branch, shortcut), "add", "relu")


def basic_block(width: int, stride: int, first: bool) -> Block:
    """Two 3x3 convolutions (ResNet-34); its first stage keeps width and size, so only a stride needs a projection."""
    branch = (conv_bn(width, 3, stride), conv_bn(width, activation="none"))
    return residual(branch, width, stride, project=stride > 1)


def bottleneck(width: int, stride: int, first: bool) -> Block:
    """1x1, 3x3, 1x1 (ResNet-50); the stride sits in the 3x3 (v1.5)."""
    branch = (conv_bn(width, 1), conv_bn(width, 3, stride), conv_bn(4 * width, 1, activation="none"))
    return residual(branch, 4 * width, stride, project=first)


def resnet_units(
    block: Callable[[int, int, bool], Block],
    strides: Sequence[int] = (1, 2, 2, 2),
) -> list[Unit]:
    """The residual blocks, one stage for each entry of ``strides``, named conv2_1, conv2_2, ..."""
    units: list[Unit] = []
    for stage, (count, stride) in enumerate(zip(RESNET_BLOCKS, strides, strict=False)):
        for i in range(count):
            layer = block(64 << stage, stride if i == 0 else 1, i == 0)
            units.append(Unit(f"conv{stage + 2}_{i + 1}", (layer,)))
    return units


def resnet_stem() -> list[Unit]:
    """The strided 7x7 convolution and pool in front of the blocks."""
    return [Unit("conv1", (conv_bn(64, 7, 2),)), max_pool("pool1", 3, 2, 1)]


def resnet(name: str, block: Callable[[int, int, bool], Block]) -> Model:
    """ResNet-34 (basic blocks) or ResNet-50 (bottlenecks) for 224x224 images."""
    units = (*resnet_stem(), *resnet_units(block))
    return Model(name, Shape(3, 224, 224), units, (GlobalPool(), *classifier(1000)))


def small_resnet(
    name: str, block: Callable[[int, int, bool], Block], channels: int = 3, classes: int = 10, *, pool: bool = False
) -> Model:
    """ResNet-34 or ResNet-50 for 32x32 maps: the stem is a 3x3 convolution with stride 1, without or with a pool."""
    pools = [max_pool("pool1", 3, 2, 1)] if pool else []
    units = (Unit("conv1", (conv_bn(64),)), *pools, *resnet_units(block))
    return Model(name, Shape(channels, 32, 32), units, (GlobalPool(), *classifier(classes)))


def googlenet() -> Model:
    """GoogLeNet as published (Szegedy et al. 2014): 5x5 branches, no batch norm."""

    def inception(name: str, c1: int, r3: int, c3: int, r5: int, c5: int, pooled: int) -> Unit:
        pool = (Pool(3, 1, 1), conv(pooled, 1))
        return Unit(name, (Block(((conv(c1, 1),), (conv(r3, 1), conv(c3)), (conv(r5, 1), conv(c5, 5)), pool)),))

    def pool(name: str) -> Unit:
        return max_pool(name, 3, ceil_mode=True)

    units = (
        Unit("conv1", (conv(64, 7, 2),)),
        pool("pool1"),
        Unit("conv2_reduce", (conv(64, 1),)),
        Unit("conv2", (conv(192),)),
        pool("pool2"),
        inception("inception3a", 64, 96, 128, 16, 32, 32),
        inception("inception3b", 128, 128, 192, 32, 96, 64),
        pool("pool3"),
        inception("inception4a", 192, 96, 208, 16, 48, 64),
        inception("inception4b", 160, 112, 224, 24, 64, 64),
        inception("inception4c", 128, 128, 256, 24, 64, 64),
        inception("inception4d", 112, 144, 288, 32, 64, 64),
        inception("inception4e", 256, 160, 320, 32, 128, 128),
        pool("pool4"),
        inception("inception5a", 256, 160, 320, 32, 128, 128),
        inception("inception5b", 384, 192, 384, 48, 128, 128),
    )
    return Model("googlenet", Shape(3, 224, 224), units, (GlobalPool(), *classifier(1000)))


def inception_v3() -> Model:
    """Inception-v3 (Szegedy et al. 2015, the torchvision version) for 299x299 images."""
    units = (
        Unit("conv1a", (conv_bn(32, 3, 2, 0),)),
        Unit("conv2a", (conv_bn(32, 3, 1, 0),)),
        Unit("conv2b", (conv_bn(64),)),
        max_pool("pool1", 3),
        Unit("conv3b", (conv_bn(80, 1),)),
        Unit("conv4a", (conv_bn(192, 3, 1, 0),)),
        max_pool("pool2", 3),
        *(Unit(f"mixed5{x}", (_inception_a(c),)) for x, c in zip("bcd", (32, 64, 64), strict=True)),
        Unit("mixed6a", (_reduction_a(),)),
        *(Unit(f"mixed6{x}", (_inception_b(c),)) for x, c in zip("bcde", (128, 160, 160, 192), strict=True)),
        Unit("mixed7a", (_reduction_b(),)),
        *(Unit(f"mixed7{x}", (_inception_c(),)) for x in "bc"),
    )
    return Model("inception_v3", Shape(3, 299, 299), units, (GlobalPool(), *classifier(1000)))


def _pooled(channels: int) -> Chain:
    return Pool(3, 1, 1, kind="avg"), conv_bn(channels, 1)


def _inception_a(pooled: int) -> Block:
    double = (conv_bn(64, 1), conv_bn(96), conv_bn(96))
    return Block(((conv_bn(64, 1),), (conv_bn(48, 1), conv_bn(64, 5)), double, _pooled(pooled)))


def _reduction_a() -> Block:
    double = (conv_bn(64, 1), conv_bn(96), conv_bn(96, 3, 2, 0))
    return Block(((conv_bn(384, 3, 2, 0),), double, (Pool(3, 2),)))


def _inception_b(width: int) -> Block:
    wide, tall = partial(conv_bn, kernel=(1, 7)), partial(conv_bn, kernel=(7, 1))
    single = (conv_bn(width, 1), wide(width), tall(192))
    double = (conv_bn(width, 1), tall(width), wide(width), tall(width), wide(192))
    return Block(((conv_bn(192, 1),), single, double, _pooled(192)))


def _reduction_b() -> Block:
    factored = (conv_bn(192, 1), conv_bn(192, (1, 7)), conv_bn(192, (7, 1)), conv_bn(192, 3, 2, 0))
    return Block(((conv_bn(192, 1), conv_bn(320, 3, 2, 0)), factored, (Pool(3, 2),)))


def _inception_c() -> Block:
    fork = Block(((conv_bn(384, (1, 3)),), (conv_bn(384, (3, 1)),)))
    return Block(
        ((conv_bn(320, 1),), (conv_bn(384, 1), fork), (conv_bn(448, 1), conv_bn(384), fork), _pooled(192)),
    )
