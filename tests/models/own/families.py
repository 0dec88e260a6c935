"""Kinds of networks that do an edge's work, written in torch as their users write them; ``width`` scales channels."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .nets import Bottleneck


def conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, act: type[nn.Module] = nn.ReLU
) -> nn.Sequential:
    """Convolution, batch norm, activation."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), act())


class Gate(nn.Module):
    """Squeeze and excitation by 1 x 1 convolutions."""

    def __init__(self, channels: int, hidden: int, act: type[nn.Module], gate: type[nn.Module]) -> None:
        super().__init__()
        self.pool, self.down, self.up = (
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, hidden, 1),
            nn.Conv2d(hidden, channels, 1),
        )
        self.act, self.gate = act(), gate()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.up(self.act(self.down(self.pool(x)))))


class Inverted(nn.Module):
    """An inverted residual with a gate behind its depthwise convolution."""

    def __init__(
        self, inputs: int, hidden: int, outputs: int, kernel: int, stride: int, act: type[nn.Module], gate: nn.Module
    ) -> None:
        super().__init__()
        self.residual = stride == 1 and inputs == outputs
        self.layers = nn.Sequential(
            conv(inputs, hidden, 1, act=act), conv(hidden, hidden, kernel, stride, hidden, act), gate,
            conv(hidden, outputs, 1, act=nn.Identity),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


MOBILE = (  # kernel, hidden, outputs, gate, hard-swish, stride
    (3, 16, 16, False, False, 1), (3, 64, 24, False, False, 2), (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2), (5, 120, 40, True, False, 1), (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2), (3, 200, 80, False, True, 1), (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1), (3, 480, 112, True, True, 1), (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2), (5, 960, 160, True, True, 1), (5, 960, 160, True, True, 1),
)  # fmt: skip


def mobilenet_v3(width: int = 16, classes: int = 1000) -> nn.Module:
    """MobileNetV3-Large; ``width`` 16 is full."""

    def wide(channels: int) -> int:
        return max(2, channels * width // 16)

    layers: list[nn.Module] = [conv(3, wide(16), 3, 2, act=nn.Hardswish)]
    channels = wide(16)
    for kernel, hidden, outputs, gated, swish, stride in MOBILE:
        gate = Gate(wide(hidden), wide(hidden // 4), nn.ReLU, nn.Hardsigmoid) if gated else nn.Identity()
        act = nn.Hardswish if swish else nn.ReLU
        layers.append(Inverted(channels, wide(hidden), wide(outputs), kernel, stride, act, gate))
        channels = wide(outputs)
    head = [
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(wide(960), wide(1280)),
        nn.Hardswish(),
        nn.Linear(wide(1280), classes),
    ]
    return nn.Sequential(*layers, conv(channels, wide(960), 1, act=nn.Hardswish), *head)


EFFICIENT = (
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)


def efficientnet_b0(width: int = 16, classes: int = 1000) -> nn.Module:
    """EfficientNet-B0; ``width`` 16 is full."""

    def wide(channels: int) -> int:
        return max(2, channels * width // 16)

    layers: list[nn.Module] = [conv(3, wide(32), 3, 2, act=nn.SiLU)]
    channels = wide(32)
    for expand, kernel, outputs, count, stride in EFFICIENT:
        for i in range(count):
            hidden = channels * expand
            gate = Gate(hidden, max(1, channels // 4), nn.SiLU, nn.Sigmoid)
            layers.append(Inverted(channels, hidden, wide(outputs), kernel, stride if i == 0 else 1, nn.SiLU, gate))
            channels = wide(outputs)
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(wide(1280), classes)]
    return nn.Sequential(*layers, conv(channels, wide(1280), 1, act=nn.SiLU), *head)


class Shuffled(nn.Module):
    """ShuffleNetV2's unit: half the channels pass, then all are shuffled."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        half, self.stride = outputs // 2, stride
        first = inputs if stride > 1 else half
        self.right = nn.Sequential(
            conv(first, half, 1), conv(half, half, 3, stride, half, nn.Identity), conv(half, half, 1)
        )
        self.left = nn.Sequential(conv(inputs, inputs, 3, stride, inputs, nn.Identity), conv(inputs, half, 1))

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = torch.cat([self.left(x), self.right(x)], 1)
        else:
            left, right = x.chunk(2, dim=1)
            x = torch.cat([left, self.right(right)], 1)
        batch, channels, height, width = x.shape
        return (
            x.view(batch, 2, channels // 2, height, width).transpose(1, 2).contiguous().view(batch, -1, height, width)
        )


def shufflenet_v2(width: int = 116, classes: int = 1000, repeats: tuple[int, ...] = (4, 8, 4)) -> nn.Module:
    """ShuffleNetV2 1.0x at a width of 116."""
    layers: list[nn.Module] = [conv(3, 24, 3, 2), nn.MaxPool2d(3, 2, 1)]
    channels = 24
    for stage, count in enumerate(repeats):
        outputs = width << stage
        layers += [Shuffled(channels if i == 0 else outputs, outputs, 2 if i == 0 else 1) for i in range(count)]
        channels = outputs
    return nn.Sequential(
        *layers, conv(channels, 8 * width, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8 * width, classes)
    )


class RegBlock(nn.Module):
    """RegNetY's block: grouped convolution and a gate within a bottleneck."""

    def __init__(self, inputs: int, outputs: int, stride: int, group: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            conv(inputs, outputs, 1), conv(outputs, outputs, 3, stride, outputs // group),
            Gate(outputs, max(1, inputs // 4), nn.ReLU, nn.Sigmoid), conv(outputs, outputs, 1, act=nn.Identity),
        )  # fmt: skip
        self.skip = (
            conv(inputs, outputs, 1, stride, act=nn.Identity) if stride > 1 or inputs != outputs else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.skip(x) + self.layers(x))


def regnet_y(
    widths: tuple[int, ...] = (48, 104, 208, 440),
    depths: tuple[int, ...] = (1, 3, 6, 6),
    group: int = 8,
    classes: int = 1000,
) -> nn.Module:
    """RegNetY-400MF."""
    layers, channels = [conv(3, 32, 3, 2)], 32
    for outputs, depth in zip(widths, depths, strict=True):
        for i in range(depth):
            layers.append(RegBlock(channels, outputs, 2 if i == 0 else 1, group))  # pyright: ignore[reportArgumentType]
            channels = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


class NextBlock(nn.Module):
    """ConvNeXt's block: depthwise convolution, then a norm and two linear layers over the channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise, self.norm = nn.Conv2d(width, width, 7, padding=3, groups=width), nn.LayerNorm(width, 1e-6)
        self.first, self.second = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.scale = nn.Parameter(torch.linspace(0.5, 1.0, width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.scale * self.second(F.gelu(self.first(y)))
        return x + y.permute(0, 3, 1, 2)


class ChannelsFirstNorm(nn.LayerNorm):
    """A layer norm over the channels of a map."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def convnext(width: int = 96, depths: tuple[int, ...] = (3, 3, 9, 3), classes: int = 1000) -> nn.Module:
    """ConvNeXt-T."""
    layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 4), ChannelsFirstNorm(width, 1e-6)]
    for stage, depth in enumerate(depths):
        if stage:
            layers += [ChannelsFirstNorm(width, 1e-6), nn.Conv2d(width, 2 * width, 2, 2)]
            width *= 2
        layers += [NextBlock(width) for _ in range(depth)]
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(width, 1e-6), nn.Linear(width, classes)
    )


class UNet(nn.Module):
    """U-Net with padded convolutions: skips over the whole chain."""

    def __init__(self, width: int = 64, depth: int = 4, classes: int = 2, smooth: bool = False) -> None:
        super().__init__()
        widths = [width << i for i in range(depth + 1)]
        self.down = nn.ModuleList(self._double(i, o) for i, o in zip([3, *widths], widths, strict=False))
        self.up = nn.ModuleList()
        self.join = nn.ModuleList()
        for small, large in reversed(list(pairwise(widths))):
            up = nn.Sequential(
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), nn.Conv2d(large, small, 1)
            )
            self.up.append(up if smooth else nn.ConvTranspose2d(large, small, 2, 2))
            self.join.append(self._double(2 * small, small))
        self.last = nn.Conv2d(width, classes, 1)

    @staticmethod
    def _double(inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(conv(inputs, outputs, 3), conv(outputs, outputs, 3))

    def forward(self, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for i, stage in enumerate(self.down):
            x = stage(x if i == 0 else F.max_pool2d(x, 2))
            skips.append(x)
        skips.pop()
        for up, join in zip(self.up, self.join, strict=True):
            x = join(torch.cat([skips.pop(), up(x)], 1))
        return self.last(x)


class DeepLab(nn.Module):
    """DeepLab-like: dilated residual backbone, atrous pyramid with a pool over the image, resize to the image."""

    def __init__(self, width: int = 32, classes: int = 21) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, width, 3, 2), nn.MaxPool2d(3, 2, 1), Bottleneck(width, width, 2))
        inputs, out = 4 * width, 2 * width
        self.branches = nn.ModuleList([conv(inputs, out, 1), *(self._atrous(inputs, out, rate) for rate in (2, 4, 6))])
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(inputs, out, 1), nn.ReLU())
        self.project, self.last = conv(5 * out, out, 1), nn.Conv2d(out, classes, 1)

    @staticmethod
    def _atrous(inputs: int, outputs: int, rate: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=rate, dilation=rate), nn.BatchNorm2d(outputs), nn.ReLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        x = self.stem(x)
        pooled = F.interpolate(self.pooled(x), size=x.shape[-2:], mode="bilinear", align_corners=False)
        x = self.project(torch.cat([*(branch(x) for branch in self.branches), pooled], 1))
        return F.interpolate(self.last(x), size=size, mode="bilinear", align_corners=False)


class SuperResolution(nn.Module):
    """SRResNet-like: residual blocks under a skip over all of them, pixel shuffle, and the image added at the end."""

    def __init__(self, width: int = 64, depth: int = 16) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, width, 9, padding=4), nn.PReLU())
        self.blocks = nn.ModuleList(
            nn.Sequential(conv(width, width, 3, act=nn.PReLU), conv(width, width, 3, act=nn.Identity))
            for _ in range(depth)
        )
        self.middle = conv(width, width, 3, act=nn.Identity)
        self.up = nn.Sequential(nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2), nn.PReLU())
        self.last = nn.Conv2d(width, 12, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = first = self.first(x)
        for block in self.blocks:
            y = y + block(y)
        y = self.up(self.middle(y) + first)
        return F.pixel_shuffle(self.last(y), 2) + F.interpolate(
            x, scale_factor=4.0, mode="bicubic", align_corners=False
        )


def alexnet(width: int = 96, size: int = 227, classes: int = 1000) -> nn.Module:
    """AlexNet as Caffe has it: local response norms, grouped convolutions."""
    w = width
    side = ((((size - 11) // 4 + 1 - 3) // 2 + 1 - 3) // 2 + 1 - 3) // 2 + 1
    return nn.Sequential(
        nn.Conv2d(3, w, 11, 4), nn.ReLU(), nn.LocalResponseNorm(5, 1e-4, 0.75, 2.0), nn.MaxPool2d(3, 2),
        nn.Conv2d(w, 8 * w // 3, 5, padding=2, groups=2), nn.ReLU(), nn.LocalResponseNorm(5, 1e-4), nn.MaxPool2d(3, 2),
        nn.Conv2d(8 * w // 3, 4 * w, 3, padding=1), nn.ReLU(), nn.Conv2d(4 * w, 4 * w, 3, padding=1, groups=2),
        nn.ReLU(), nn.Conv2d(4 * w, 8 * w // 3, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten(),
        nn.Linear(8 * w // 3 * side * side, 10 * w), nn.ReLU(), nn.Dropout(), nn.Linear(10 * w, classes),
    )  # fmt: skip


class Mtcnn(nn.Module):
    """MTCNN's last network: PReLU, then scores, boxes and landmarks from one vector."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        w = width
        self.features = nn.Sequential(
            nn.Conv2d(3, w, 3), nn.PReLU(w), nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.Conv2d(w, 2 * w, 3), nn.PReLU(2 * w), nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.Conv2d(2 * w, 2 * w, 3), nn.PReLU(2 * w), nn.MaxPool2d(2, 2, ceil_mode=True),
            nn.Conv2d(2 * w, 4 * w, 2), nn.PReLU(4 * w), nn.Flatten(), nn.Linear(36 * w, 8 * w), nn.PReLU(8 * w),
        )  # fmt: skip
        self.score, self.box, self.marks = nn.Linear(8 * w, 2), nn.Linear(8 * w, 4), nn.Linear(8 * w, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.features(x)
        return self.box(x), self.marks(x), self.score(x).softmax(1)
