"""Networks as their users write them in torch: nothing of them comes from the suite."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def vgg16(size: int = 224, width: int = 64, classes: int = 1000) -> nn.Module:
    """VGG-16 as torchvision has it."""
    channels, layers = 3, list[nn.Module]()
    for multiple, depth in ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3)):
        for _ in range(depth):
            layers += [nn.Conv2d(channels, width * multiple, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width * multiple
        layers.append(nn.MaxPool2d(2, 2))
    side = min(7, size // 32)
    hidden = 64 * width
    head = [nn.Linear(channels * side * side, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU()]
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(side), nn.Flatten(), *head, nn.Dropout(), nn.Linear(hidden, classes)
    )


class Bottleneck(nn.Module):
    """ResNet's."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            if stride > 1 or inputs != outputs
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(y)))))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


class ResNet50(nn.Module):
    """ResNet-50 (v1.5)."""

    def __init__(self, width: int = 64, classes: int = 1000) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        blocks, channels = list[nn.Module](), width
        for stage, depth in enumerate((3, 4, 6, 3)):
            for block in range(depth):
                blocks.append(Bottleneck(channels, width << stage, 2 if stage and not block else 1))
                channels = 4 * (width << stage)
        self.blocks = nn.Sequential(*blocks)
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.blocks(x)), 1))


def conv_norm(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, act: Any = nn.ReLU
) -> nn.Module:
    """Convolution, batch norm, activation."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs, eps=1e-3), act())


class Inception(nn.Module):
    """GoogLeNet's module, its pool with ceil_mode."""

    def __init__(self, inputs: int, a: int, b: tuple[int, int], c: tuple[int, int], d: int) -> None:
        super().__init__()
        self.one = conv_norm(inputs, a, 1)
        self.three = nn.Sequential(conv_norm(inputs, b[0], 1), conv_norm(b[0], b[1], 3))
        self.five = nn.Sequential(conv_norm(inputs, c[0], 1), conv_norm(c[0], c[1], 5))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), conv_norm(inputs, d, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], 1)


class Fork(nn.Module):
    """Inception-v3's last kind of branch: one convolution, then two beside each other."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.stem = conv_norm(inputs, width, 1)
        self.wide = nn.Conv2d(width, width, (1, 3), padding=(0, 1))
        self.high = nn.Conv2d(width, width, (3, 1), padding=(1, 0))
        self.other = nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.Conv2d(inputs, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        return torch.cat([self.wide(y), self.high(y), self.other(x)], 1)


def googlenet_like(classes: int = 1000) -> nn.Module:
    """A stem with ceil_mode pools, inception modules, a nested fork, dilated convolutions, a global pool."""
    return nn.Sequential(
        conv_norm(3, 32, 7, 2),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        conv_norm(32, 48, 3),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Inception(48, 16, (24, 32), (4, 8), 8),
        Inception(64, 32, (32, 48), (8, 24), 16),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fork(120, 24),
        nn.Conv2d(72, 64, 3, padding=2, dilation=2),
        nn.LeakyReLU(0.2),
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(64, classes),
    )


class Inverted(nn.Module):
    """MobileNet-v2's block."""

    def __init__(self, inputs: int, outputs: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = inputs * expand
        self.residual = stride == 1 and inputs == outputs
        self.layers = nn.Sequential(
            *([conv_norm(inputs, hidden, 1, act=nn.ReLU6)] if expand > 1 else []),
            conv_norm(hidden, hidden, 3, stride, hidden, nn.ReLU6),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


class MobileNetV2(nn.Module):
    """MobileNet-v2; its head takes the mean by itself."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        layers, channels = [conv_norm(3, 32, 3, 2, act=nn.ReLU6)], 32
        plan = (
            (1, 16, 1, 1),
            (6, 24, 2, 2),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        )
        for expand, outputs, count, stride in plan:
            for i in range(count):
                layers.append(Inverted(channels, outputs, stride if i == 0 else 1, expand))
                channels = outputs
        self.features = nn.Sequential(*layers, conv_norm(channels, 1280, 1, act=nn.ReLU6))
        self.classifier = nn.Linear(1280, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean([2, 3]))


class DenseBlock(nn.Module):
    """DenseNet's growing maps, norms in front of convolutions."""

    def __init__(self, inputs: int, growth: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(inputs + i * growth), nn.ReLU(), nn.Conv2d(inputs + i * growth, growth, 3, padding=1)
            )
            for i in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.layers:
            features.append(layer(torch.cat(features, 1)))
        return torch.cat(features, 1)


def scrambled(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in eval mode with weights and batch-norm statistics that keep the scale of activations."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu", generator=generator)
            if part.bias is not None:
                nn.init.uniform_(part.bias, -0.1, 0.1, generator=generator)
        elif isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
            assert part.running_mean is not None
            assert part.running_var is not None
            nn.init.normal_(part.running_mean, 0.0, 0.1, generator=generator)
            nn.init.uniform_(part.running_var, 0.5, 1.5, generator=generator)
            nn.init.uniform_(part.weight, 0.5, 1.2, generator=generator)
            nn.init.normal_(part.bias, 0.0, 0.1, generator=generator)
    return module.eval()
