"""Detectors with several heads, written in torch as their users write them; ``width`` scales channels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .families import conv


class FaceDetector(nn.Module):
    """RetinaFace-like: a pyramid of features, context modules, and three heads at every level, flattened."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(
                conv(i, o, 3, 2, act=nn.LeakyReLU), conv(o, o, 3, 1, o, nn.LeakyReLU), conv(o, o, 1, act=nn.LeakyReLU)
            )
            for i, o in ((3, width), (width, width), (width, 2 * width), (2 * width, 4 * width))
        )
        self.lateral = nn.ModuleList(conv(c, width, 1) for c in (width, 2 * width, 4 * width))
        self.merge = nn.ModuleList(conv(width, width, 3) for _ in range(2))
        self.context = nn.ModuleList(
            nn.ModuleList([conv(width, width // 2, 3, act=nn.Identity), conv(width, width // 2, 5)]) for _ in range(3)
        )
        self.heads = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(width, 2 * count, 1) for count in (2, 4, 10)) for _ in range(3)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        maps = [lateral(f) for lateral, f in zip(self.lateral, features[1:], strict=True)]
        maps[1] = self.merge[1](maps[1] + F.interpolate(maps[2], size=maps[1].shape[-2:]))
        maps[0] = self.merge[0](maps[0] + F.interpolate(maps[1], size=maps[0].shape[-2:]))
        found: list[list[Tensor]] = [[], [], []]
        for level in range(3):
            first, second = self.context[level].children()
            y = F.relu(torch.cat([first(maps[level]), second(maps[level])], 1))
            for kind, (head, count) in enumerate(zip(self.heads[level].children(), (2, 4, 10), strict=True)):
                found[kind].append(head(y).permute(0, 2, 3, 1).reshape(1, -1, count))
        scores, boxes, marks = (torch.cat(kind, 1) for kind in found)
        return boxes, scores.softmax(-1), marks


class Csp(nn.Module):
    """A cross-stage partial block."""

    def __init__(self, inputs: int, outputs: int, depth: int, residual: bool = True) -> None:
        super().__init__()
        half = outputs // 2
        self.first, self.second, self.last = (
            conv(inputs, half, 1, act=nn.SiLU),
            conv(inputs, half, 1, act=nn.SiLU),
            conv(2 * half, outputs, 1, act=nn.SiLU),
        )
        self.inner = nn.ModuleList(
            nn.Sequential(conv(half, half, 1, act=nn.SiLU), conv(half, half, 3, act=nn.SiLU)) for _ in range(depth)
        )
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        for inner in self.inner:
            y = y + inner(y) if self.residual else inner(y)
        return self.last(torch.cat([y, self.second(x)], 1))


class Yolox(nn.Module):
    """YOLOX-like: focus, CSP backbone with spatial pyramid pooling, path aggregation, three decoupled heads."""

    def __init__(self, width: int = 32, depth: int = 1, classes: int = 80, decode: bool = True) -> None:
        super().__init__()
        w, self.decode, self.classes = width, decode, classes
        self.focus = conv(12, w, 3, act=nn.SiLU)
        self.dark = nn.ModuleList(
            nn.Sequential(conv(w << i, w << i + 1, 3, 2, act=nn.SiLU), Csp(w << i + 1, w << i + 1, depth))
            for i in range(3)
        )
        self.down5, self.spp, self.dark5 = (
            conv(8 * w, 16 * w, 3, 2, act=nn.SiLU),
            conv(16 * w, 8 * w, 1, act=nn.SiLU),
            Csp(32 * w, 16 * w, depth, False),
        )
        self.lateral, self.reduce = conv(16 * w, 8 * w, 1, act=nn.SiLU), conv(8 * w, 4 * w, 1, act=nn.SiLU)
        self.p4, self.p3 = Csp(16 * w, 8 * w, depth, False), Csp(8 * w, 4 * w, depth, False)
        self.down1, self.n3 = conv(4 * w, 4 * w, 3, 2, act=nn.SiLU), Csp(8 * w, 8 * w, depth, False)
        self.down2, self.n4 = conv(8 * w, 8 * w, 3, 2, act=nn.SiLU), Csp(16 * w, 16 * w, depth, False)
        self.stems = nn.ModuleList(conv(c * w, 4 * w, 1, act=nn.SiLU) for c in (4, 8, 16))
        self.towers = nn.ModuleList(
            nn.ModuleList(
                nn.Sequential(conv(4 * w, 4 * w, 3, act=nn.SiLU), conv(4 * w, 4 * w, 3, act=nn.SiLU)) for _ in range(2)
            )
            for _ in range(3)
        )
        self.outs = nn.ModuleList(nn.ModuleList(nn.Conv2d(4 * w, c, 1) for c in (4, 1, classes)) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        x = torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], 1)
        x = self.focus(x)
        c2 = self.dark[0](x)
        c3 = self.dark[1](c2)
        c4 = self.dark[2](c3)
        x = self.spp(self.down5(c4))
        c5 = self.dark5(torch.cat([x, *(F.max_pool2d(x, k, 1, k // 2) for k in (5, 9, 13))], 1))
        top = self.lateral(c5)
        middle = self.reduce(self.p4(torch.cat([F.interpolate(top, scale_factor=2.0), c4], 1)))
        low = self.p3(torch.cat([F.interpolate(middle, scale_factor=2.0), c3], 1))
        second = self.n3(torch.cat([self.down1(low), middle], 1))
        third = self.n4(torch.cat([self.down2(second), top], 1))
        maps = []
        for feature, stem, towers, outs in zip((low, second, third), self.stems, self.towers, self.outs, strict=True):
            feature = stem(feature)
            score, box = (tower(feature) for tower in towers)  # pyright: ignore[reportGeneralTypeIssues]
            maps.append(torch.cat([outs[0](box), outs[1](box).sigmoid(), outs[2](score).sigmoid()], 1))  # pyright: ignore[reportIndexIssue]
        return self._decoded(maps) if self.decode else tuple(maps)

    def _decoded(self, maps: list[Tensor]) -> Tensor:
        grids, strides = [], []
        for i, found in enumerate(maps):
            height, width = found.shape[-2:]
            y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            grids.append(torch.stack([x, y], 2).reshape(1, -1, 2))
            strides.append(torch.full((1, height * width, 1), 8 << i))
        grid, stride = torch.cat(grids, 1).float(), torch.cat(strides, 1).float()
        boxes = torch.cat([found.flatten(2) for found in maps], 2).permute(0, 2, 1)
        return torch.cat([(boxes[..., :2] + grid) * stride, boxes[..., 2:4].exp() * stride, boxes[..., 4:]], -1)
