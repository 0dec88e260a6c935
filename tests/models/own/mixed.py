"""Networks that end in several outputs, sequences or tokens, and one whose weights are computed."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from .families import conv


class TwoTasks(nn.Module):
    """One trunk; a mask of the image's size and a score for every class."""

    def __init__(self, width: int = 8, classes: int = 5) -> None:
        super().__init__()
        self.trunk = nn.Sequential(conv(3, width, 3), conv(width, width, 3, 2))
        self.mask = nn.Sequential(conv(width, width, 3), nn.Upsample(scale_factor=2), nn.Conv2d(width, 1, 3, padding=1))
        self.scores = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.trunk(x)
        return self.mask(y).sigmoid(), self.scores(y)


def weight_normed(width: int = 8, classes: int = 5) -> nn.Module:
    """Convolutions whose kernels are a direction times a length."""
    layers = [weight_norm(nn.Conv2d(3 if i == 0 else width, width, 3, padding=1)) for i in range(3)]
    body = [part for layer in layers for part in (layer, nn.ReLU())]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


class Crnn(nn.Module):
    """A line of text: convolutions until one row is left, a recurrent layer along it, a letter for every step."""

    def __init__(self, width: int = 8, letters: int = 11) -> None:
        super().__init__()
        pools = [nn.MaxPool2d(2), nn.MaxPool2d((2, 1)), nn.MaxPool2d((2, 1)), nn.MaxPool2d((4, 1))]
        self.body = nn.Sequential(
            *(nn.Sequential(conv(3 if i == 0 else width, width, 3), p) for i, p in enumerate(pools))
        )
        self.sequence = nn.LSTM(width, 6, bidirectional=True)
        self.letters = nn.Linear(12, letters)

    def forward(self, x: Tensor) -> Tensor:
        steps, _ = self.sequence(self.body(x).squeeze(2).permute(2, 0, 1))
        return self.letters(steps).log_softmax(2)


class Tokens(nn.Module):
    """One layer of attention and a layer of its own for every token."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.behind = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.own = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(self.before(x)).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * (c // self.heads) ** -0.5).softmax(-1)
        x = x + self.out((weights @ v).transpose(1, 2).reshape(b, n, c))
        return x + self.own(self.behind(x))


class VisionTransformer(nn.Module):
    """Convolutions that make patches, then tokens."""

    def __init__(self, width: int = 12, depth: int = 2, classes: int = 5, size: int = 32) -> None:
        super().__init__()
        self.patches = nn.Sequential(conv(3, width, 3, 2), nn.Conv2d(width, width, 4, 4))
        self.places = nn.Parameter(torch.linspace(-1, 1, (size // 8) ** 2 * width).reshape(1, -1, width))
        self.tokens = nn.Sequential(*(Tokens(width, 3) for _ in range(depth)))
        self.last = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.places
        return self.last(self.tokens(x).mean(1))
