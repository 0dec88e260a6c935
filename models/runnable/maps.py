"""Layers of :mod:`..remaps` and :mod:`..channels` as torch modules."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..blocks import Merge
from ..channels import ChannelNorm, ChannelReduce, LocalNorm, MapNorm, PRelu, Shuffle, WithConstant
from ..layers import Layer, Shape
from ..remaps import DepthToSpace, Mirror, Pad, Reorg, Resize, Slice, Tapped
from .layers import KernelModule
from .merging import put_together


class ReorgModule(KernelModule):
    """:class:`Reorg`."""

    def __init__(self, layer: Reorg, in_shape: Shape) -> None:
        super().__init__(layer, in_shape)
        self.stride, self.order = layer.stride, layer.order

    def forward(self, x: Tensor) -> Tensor:
        y = F.pixel_unshuffle(x, self.stride)
        if self.order == "patch":
            y = y.unflatten(1, (x.shape[1], self.stride**2)).transpose(1, 2).flatten(1, 2)
        return y


class PadModule(KernelModule):
    """:class:`Pad`."""

    def __init__(self, layer: Pad, in_shape: Shape) -> None:
        super().__init__(layer, in_shape)
        self.border = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.part(x, 0, self.out_shape.height)

    def part(self, x: Tensor, a: int, b: int) -> Tensor:
        pad, height = self.border, self.in_shape.height
        above = max(0, min(b, pad.top) - a)
        below = max(0, b - max(a, pad.top + height))
        return F.pad(x, (pad.left, pad.right, above, below), value=pad.value)


class DepthToSpaceModule(KernelModule):
    """:class:`DepthToSpace`."""

    def __init__(self, layer: DepthToSpace, in_shape: Shape) -> None:
        super().__init__(layer, in_shape)
        self.stride, self.order = layer.stride, layer.order

    def forward(self, x: Tensor) -> Tensor:
        if self.order == "patch":
            x = x.unflatten(1, (self.stride**2, -1)).transpose(1, 2).flatten(1, 2)
        return F.pixel_shuffle(x, self.stride)

    def part(self, x: Tensor, a: int, b: int) -> Tensor:
        above = a - a // self.stride * self.stride
        return self(x)[:, :, above : above + b - a]


class SliceModule(KernelModule):
    """:class:`Slice`."""

    def __init__(self, layer: Slice, in_shape: Shape) -> None:
        super().__init__(layer, in_shape)
        self.slice = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.part(x, 0, self.out_shape.height, whole=True)

    def part(self, x: Tensor, a: int, b: int, whole: bool = False) -> Tensor:
        rows = self.slice.rows
        if rows is not None:
            first = rows[0] if whole else 0
            x = x[:, :, first : first + (b - a - 1) * rows[2] + 1 : rows[2]]
        for axis, steps in ((1, self.slice.channels), (3, self.slice.columns)):
            if steps is not None:
                first, count, apart = steps
                if apart > 0:
                    x = x.narrow(axis, first, (count - 1) * apart + 1)
                    x = x[:, ::apart] if axis == 1 else x[:, :, :, ::apart]
                else:
                    x = x.index_select(axis, torch.arange(first, first + count * apart, apart, device=x.device))
        return x


class TappedModule(KernelModule):
    """:class:`Tapped`: along rows, then along columns."""

    def __init__(self, layer: Tapped, in_shape: Shape) -> None:
        super().__init__(layer, in_shape)
        self.tapped = layer

    def forward(self, x: Tensor) -> Tensor:
        return self._tapped(x, 0, self.out_shape.height, 0)

    def part(self, x: Tensor, a: int, b: int) -> Tensor:
        return self._tapped(x, a, b, int(self.tapped.input_lo(a, self.in_shape.height)))

    def _tapped(self, x: Tensor, a: int, b: int, lo: int) -> Tensor:
        """Output rows ``[a, b)`` from input rows from ``lo`` on."""
        index, weights = self.tapped.taps(0, self.in_shape.height)
        if not _is_whole(index[a:b] - lo, x.shape[2]):
            x = _tapped(x, 2, torch.from_numpy(index[a:b] - lo), torch.from_numpy(weights[a:b]))
        index, weights = self.tapped.taps(1, self.in_shape.width)
        if not _is_whole(index, x.shape[3]):
            x = _tapped(x, 3, torch.from_numpy(index), torch.from_numpy(weights))
        return x


def _is_whole(index: object, size: int) -> bool:
    """Whether taps give every value once, in order."""
    taps = torch.as_tensor(index)
    return taps.shape == (size, 1) and bool((taps[:, 0] == torch.arange(size)).all())


def _tapped(x: Tensor, axis: int, index: Tensor, weights: Tensor) -> Tensor:
    """Sums of values of one axis; index and weights are (out, taps)."""
    index, sizes = index.to(x.device), [1] * x.ndim
    sizes[axis] = -1
    if weights.shape[1] == 1:
        return x.index_select(axis, index[:, 0])
    shares = weights.to(x)
    parts = [x.index_select(axis, index[:, k]) * shares[:, k].reshape(sizes) for k in range(index.shape[1])]
    return torch.stack(parts).sum(0)


class MergeModule(KernelModule):
    """:class:`Merge`: of several maps of the same rows, those of one row repeated."""

    def forward(self, *maps: Tensor) -> Tensor:
        return put_together(self.layer.combine, maps)  # pyright: ignore[reportAttributeAccessIssue]


class PReluModule(KernelModule):
    """:class:`PRelu`."""

    def __init__(self, layer: PRelu, in_shape: Shape) -> None:
        super().__init__(layer, in_shape)
        self.prelu = nn.PReLU(layer.params(in_shape))

    def forward(self, x: Tensor) -> Tensor:
        return self.prelu(x)


class LocalNormModule(KernelModule):
    """:class:`LocalNorm`; ONNX's window begins (size - 1) // 2 channels below."""

    def __init__(self, layer: LocalNorm, in_shape: Shape) -> None:
        super().__init__(layer, in_shape)
        self.norm_of = layer

    def forward(self, x: Tensor) -> Tensor:
        n = self.norm_of
        below = (n.size - 1) // 2
        squares = F.pad(x.square()[:, None], (0, 0, 0, 0, below, n.size - 1 - below))
        sums = F.avg_pool3d(squares, (n.size, 1, 1), stride=1)[:, 0] * n.alpha
        return x / (sums + n.bias) ** n.beta


class ChannelNormModule(KernelModule):
    """:class:`ChannelNorm`."""

    def __init__(self, layer: ChannelNorm, in_shape: Shape) -> None:
        super().__init__(layer, in_shape)
        self.affine = nn.LayerNorm(in_shape.folded_channels, layer.eps)

    def forward(self, x: Tensor) -> Tensor:
        return self.affine(x.movedim(1, -1)).movedim(-1, 1).contiguous()


class MapNormModule(KernelModule):
    """:class:`MapNorm`: of the whole map, then the rows that are wanted."""

    def __init__(self, layer: MapNorm, in_shape: Shape) -> None:
        super().__init__(layer, in_shape)
        self.affine = nn.GroupNorm(layer.groups, in_shape.folded_channels, layer.eps)

    def forward(self, x: Tensor) -> Tensor:
        return self.affine(x)

    def part(self, x: Tensor, a: int, b: int) -> Tensor:
        return self(x)[:, :, a:b]


class ChannelReduceModule(KernelModule):
    """:class:`ChannelReduce`."""

    def __init__(self, layer: ChannelReduce, in_shape: Shape) -> None:
        super().__init__(layer, in_shape)
        self.kind = layer.kind

    def forward(self, x: Tensor) -> Tensor:
        if self.kind in ("max", "min"):
            return x.amax(1, keepdim=True) if self.kind == "max" else x.amin(1, keepdim=True)
        if self.kind == "l2":
            return x.square().sum(1, keepdim=True).sqrt()
        return x.sum(1, keepdim=True) if self.kind == "sum" else x.mean(1, keepdim=True)


class ShuffleModule(KernelModule):
    """:class:`Shuffle`."""

    def __init__(self, layer: Shuffle, in_shape: Shape) -> None:
        super().__init__(layer, in_shape)
        self.groups = layer.groups

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (self.groups, -1)).transpose(1, 2).flatten(1, 2)


class WithConstantModule(KernelModule):
    """:class:`WithConstant`."""

    def __init__(self, layer: WithConstant, in_shape: Shape) -> None:
        super().__init__(layer, in_shape)
        self.combine, self.first = layer.combine, layer.first
        self.constant = nn.Module()
        self.constant.weight = nn.Parameter(torch.empty(1, layer.channels, layer.height, layer.width))

    def forward(self, x: Tensor) -> Tensor:
        return self.part(x, 0, self.out_shape.height)

    def part(self, x: Tensor, a: int, b: int) -> Tensor:
        value = self.constant.weight
        value = value[:, :, a:b] if value.shape[2] > 1 else value  # pyright: ignore[reportIndexIssue, reportOptionalSubscript]
        return put_together(self.combine, (value, x) if self.first else (x, value))  # pyright: ignore[reportArgumentType]


MAP_MODULES: dict[type[Layer], type[KernelModule]] = {
    ChannelNorm: ChannelNormModule,
    ChannelReduce: ChannelReduceModule,
    DepthToSpace: DepthToSpaceModule,
    LocalNorm: LocalNormModule,
    MapNorm: MapNormModule,
    Merge: MergeModule,
    PRelu: PReluModule,
    Pad: PadModule,
    Reorg: ReorgModule,
    Resize: TappedModule,
    Mirror: TappedModule,
    Shuffle: ShuffleModule,
    Slice: SliceModule,
    WithConstant: WithConstantModule,
}
