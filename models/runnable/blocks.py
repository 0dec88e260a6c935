"""Chains and blocks of layers as torch modules, on whole maps and on rows of them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ..blocks import Block
from ..layers import Conv, Conv3d, ConvTranspose, GlobalPool, Layer, Linear, Pointwise, Pool, Shape
from ..programs import Elementwise, Program
from .activations import activation_module
from .layers import (
    Conv3dModule,
    ConvModule,
    ConvTransposeModule,
    GlobalPoolModule,
    KernelModule,
    LinearModule,
    Plan,
    PointwiseModule,
    PoolModule,
    RowSlice,
)
from .maps import MAP_MODULES, MergeModule
from .merging import put_together
from .programs import ElementwiseModule, ProgramModule


def aligned_rows(
    slices: Sequence[RowSlice], repeated: Sequence[bool], wanted: tuple[int, int] | None = None
) -> tuple[list[RowSlice], int]:
    """The rows that all slices have, or of them those that are wanted, and the first of them.

    Args:
        slices: of maps that are put together; an identity hands on every row that it has.
        repeated: which maps have one row, repeated over the others'.
        wanted: rows.
    """
    whole = [s for s, once in zip(slices, repeated, strict=True) if not once]
    lo, hi = wanted if wanted is not None else (max(s.lo for s in whole), min(s.hi for s in whole))
    return [s if once else s.crop(lo, hi) for s, once in zip(slices, repeated, strict=True)], lo


class ChainModule(nn.Sequential):
    """Layers one after another."""

    def __init__(self, layers: tuple[Layer, ...], shape: Shape) -> None:
        modules: list[nn.Module] = []
        for layer in layers:
            modules.append(layer_module(layer, shape))
            shape = layer.out_shape(shape)
        super().__init__(*modules)

    def rows(self, x: RowSlice, plan: Plan) -> RowSlice:
        """The output rows that ``plan`` says, kernel by kernel."""
        for module in self:
            x = module.rows(x, plan)  # pyright: ignore[reportCallIssue]
        return x


class BlockModule(nn.Module):
    """:class:`Block`: parallel branches."""

    def __init__(self, layer: Block, in_shape: Shape) -> None:
        super().__init__()
        layer.out_shape(in_shape)  # the branches must fit together
        self.layer = layer
        self.branches = nn.ModuleList(
            ChainModule(branch, layer.branch_shape(in_shape, i)) for i, branch in enumerate(layer.branches)
        )
        merge = layer.merge(in_shape)
        self.merging = None if merge is None else MergeModule(merge, layer.out_shape(in_shape))
        self.repeated = [out.height < layer.out_shape(in_shape).height for out in layer.branch_outs(in_shape)]
        self.act = activation_module(layer.activation)

    def _inputs(self, x: Tensor) -> Sequence[Tensor]:
        sizes = self.layer.split_channels
        return [x] * len(self.branches) if sizes is None else x.split(list(sizes), 1)

    def merge(self, outs: list[Tensor]) -> Tensor:
        """The branches' outputs put together; features and maps of one value a channel give features."""
        if len({out.ndim for out in outs}) > 1:
            outs = [out.flatten(1) for out in outs]
        return self.act(put_together(self.layer.combine, outs))

    def forward(self, x: Tensor) -> Tensor:
        return self.merge([branch(part) for branch, part in zip(self.branches, self._inputs(x), strict=True)])

    def rows(self, x: RowSlice, plan: Plan) -> RowSlice:
        """The output rows that ``plan`` says, branch by branch."""
        parts = [RowSlice(part, x.lo) for part in self._inputs(x.tensor)]
        outs = [branch.rows(part, plan) for branch, part in zip(self.branches, parts, strict=True)]  # pyright: ignore
        wanted = next(plan) if self.merging is not None else None
        outs, lo = aligned_rows(outs, self.repeated, wanted)
        return RowSlice(self.merge([out.tensor for out in outs]), lo)


_MODULES: dict[type[Layer], type[KernelModule]] = {
    **MAP_MODULES,
    Conv: ConvModule,
    Conv3d: Conv3dModule,
    ConvTranspose: ConvTransposeModule,
    GlobalPool: GlobalPoolModule,
    Linear: LinearModule,
    Pointwise: PointwiseModule,
    Pool: PoolModule,
    Program: ProgramModule,
    Elementwise: ElementwiseModule,
}


def layer_module(layer: Layer, in_shape: Shape) -> KernelModule | BlockModule:
    """A layer as a torch module.

    Raises:
        ValueError: the layer does not fit its input, or torch has no such layer.
    """
    if isinstance(layer, Block):
        return BlockModule(layer, in_shape)
    return _MODULES[type(layer)](layer, in_shape)  # pyright: ignore[reportArgumentType]
