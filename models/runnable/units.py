"""The units of a model as torch modules, built from the same data as the row arithmetic; a stage is a slice.

Two ways to run the same weights: ``forward`` on whole maps, and ``run_part`` on some rows of a layer-volume. Their
agreement (:func:`run_split`) is the ground truth of the row algebra in :mod:`..layers` and :mod:`..model`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..blocks import Combine
from ..chain import MAIN, head_name
from ..layers import Layer, Shape
from ..model import Model
from .blocks import ChainModule, aligned_rows, layer_module
from .layers import KernelModule, Plan, RowSlice
from .maps import MergeModule
from .merging import put_together

__all__ = [
    "PartOutput",
    "RowSlice",
    "Stage",
    "TorchModel",
    "UnitModule",
    "build",
    "gather",
    "kernel_modules",
    "layer_module",
    "run_split",
]


class UnitModule(nn.Module):
    """One unit: its input put together, layers, side head."""

    def __init__(self, model: Model, index: int) -> None:
        super().__init__()
        unit, sources = model.units[index], model.sources(index)
        self.sources = tuple(join.source for join in sources)
        self.joins = nn.ModuleList(
            ChainModule(join.layers, model.tensor_shape(join.source, index)) for join in unit.joins
        )
        self.combine: Combine = unit.combine or "concat"
        joined, merge = model.joined_shapes[index], model.merge(index)
        self.repeated = [shape.height < joined.height for shape in model.source_shapes(index)]
        self.merging = None if merge is None else MergeModule(merge, joined)
        self.layers = ChainModule(unit.layers, joined)
        self.head = ChainModule(unit.head, model.out_shape(index)) if unit.head else None
        self.save = unit.save

    def forward(self, carried: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """Main output and head output of whole maps, by name."""
        inputs = [
            self.joins[j](carried[name]) if j < len(self.joins) else carried[name]
            for j, name in enumerate(self.sources)
        ]
        y = self.layers(put_together(self.combine, inputs) if len(inputs) > 1 else inputs[0])
        return y, self.head(y) if self.head is not None else None

    def rows(self, carried: Mapping[str, RowSlice], plan: Plan) -> tuple[RowSlice, RowSlice | None]:
        """The same for the rows that ``plan`` says."""
        inputs = [
            self.joins[j].rows(carried[name], plan) if j < len(self.joins) else carried[name]  # pyright: ignore
            for j, name in enumerate(self.sources)
        ]
        x = inputs[0]
        if len(inputs) > 1:
            wanted = next(plan) if self.merging is not None else None
            inputs, lo = aligned_rows(inputs, self.repeated, wanted)
            x = RowSlice(put_together(self.combine, [s.tensor for s in inputs]), lo)
        y = self.layers.rows(x, plan)
        return y, self.head.rows(y, plan) if self.head is not None else None


class TailModule(nn.Module):
    """One layer of the tail; the first reads the side heads too, behind the last map, as one vector.

    Args:
        shape: of what the layer reads.
        heads: units whose heads it reads.
    """

    def __init__(self, layer: Layer, shape: Shape, heads: Sequence[int]) -> None:
        super().__init__()
        self.layers, self.heads, self.save = ChainModule((layer,), shape), tuple(heads), None

    def forward(self, carried: Mapping[str, Tensor]) -> tuple[Tensor, None]:
        """The layer's output; nothing leaves sideways."""
        x = carried[MAIN]
        if self.heads:
            x = torch.cat([x.flatten(1), *(carried[head_name(unit)].flatten(1) for unit in self.heads)], 1)
            x = x[:, :, None, None]
        return self.layers(x), None


class PartOutput(NamedTuple):
    """What a part of a layer-volume leaves on its device: rows of the crossing tensors and of side heads by unit."""

    tensors: dict[str, RowSlice]
    heads: dict[int, RowSlice]


class Stage(nn.Module):
    """Steps ``[start, stop)`` of a model, a step being a unit or a layer of the tail.

    ``forward`` takes the tensors that cross its front boundary by name (the main one is ``MAIN``) and returns those
    that cross its back boundary, among them the side heads that the tail reads, and the outputs of its own side heads
    where there is no tail. Stages of one model share its parameters.
    """

    def __init__(self, model: Model, start: int, stop: int, steps: Sequence[nn.Module]) -> None:
        super().__init__()
        self.model, self.start, self.stop = model, start, stop
        self.steps = nn.ModuleList(steps)

    def forward(self, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[Tensor]]:
        carried = _carried(self.model, self.start, tensors)
        heads: list[Tensor] = []
        for i, step in enumerate(self.steps, start=self.start):
            x, head = step(carried)
            carried[MAIN] = x
            if step.save is not None:
                carried[step.save] = x  # pyright: ignore[reportArgumentType]
            if head is not None and self.model.tail:
                carried[head_name(i)] = head
            elif head is not None:
                heads.append(head)
        return {name: carried[name] for name in self.model.carried(self.stop)}, heads


def _carried(model: Model, start: int, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors at a boundary under every name that units behind it may use."""
    carried = dict(tensors)
    if 0 < start <= len(model.units) and (saved := model.units[start - 1].save) is not None:
        carried[saved] = carried[MAIN]
    return carried


class TorchModel(nn.Module):
    """A model as torch modules: ``steps`` are its units, then the layers of its tail.

    ``torch_model[i:j]`` is the :class:`Stage` of those steps.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        steps: list[nn.Module] = [UnitModule(model, i) for i in range(len(model.units))]
        shape = model.tail_shape
        for i, layer in enumerate(model.tail):
            steps.append(TailModule(layer, shape, model.heads if i == 0 else ()))
            shape = layer.out_shape(shape)
        self.steps = nn.ModuleList(steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, steps: slice) -> Stage:
        start, stop, _ = steps.indices(len(self))
        return Stage(self.model, start, stop, list(self.steps[start:stop]))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Main output and side heads, in the order of their units; ``x`` is (batch, channels * depth, rows, width)."""
        tensors, heads = self[:]({MAIN: x})
        return tensors[MAIN], heads

    def run_part(self, start: int, stop: int, inputs: Mapping[str, RowSlice], a: int, b: int) -> PartOutput:
        """Run units ``[start, stop)`` for the output rows ``[a, b)`` of the last one.

        Every kernel computes exactly the rows that ``Model.volume(start, stop)`` gives it.

        Args:
            inputs: the crossing tensors at the front by name; rows beyond those needed are not looked at.

        Raises:
            ValueError: no rows are asked for, or rows are missing.
        """
        volume = self.model.volume(start, stop)
        if not 0 <= a < b <= volume.height:
            raise ValueError(f"a part needs output rows within [0, {volume.height}), not [{a}, {b})")
        needed = {
            name: inputs[name].crop(int(lo[a]), int(hi[b]))
            for name, lo, hi in zip(volume.needs, volume.need_lo, volume.need_hi, strict=True)
        }
        carried: dict[str, RowSlice] = _carried(self.model, start, needed)
        plan = iter(zip(volume.kernel_lo[:, a].tolist(), volume.kernel_hi[:, b].tolist(), strict=True))
        heads: dict[int, RowSlice] = {}
        for i in range(start, stop):
            x, head = self.steps[i].rows(carried, plan)  # pyright: ignore[reportCallIssue]
            carried[MAIN] = x
            if (saved := self.model.units[i].save) is not None:
                carried[saved] = x
            if head is not None:
                heads[i] = head
        return PartOutput(
            {n: carried[n].crop(int(p[a]), int(p[b])) for n, p in zip(volume.holds, volume.hold_post, strict=True)},
            {u: heads[u].crop(int(p[a]), int(p[b])) for u, p in zip(volume.heads, volume.head_post, strict=True)},
        )


def build(model: Model, seed: int = 0, device: str = "cpu") -> TorchModel:
    """A model with random weights and random but fixed batch-norm statistics, in eval mode, float32.

    Weights keep the scale of activations (He initialisation), so that a deep network's output still depends on its
    input. On the ``meta`` device nothing is allocated: shapes and hooks work, values do not exist.
    """
    with torch.device("meta"):
        torch_model = TorchModel(model)
    if device != "meta":
        torch_model.to_empty(device="cpu")
        generator = torch.Generator().manual_seed(seed)
        for module in torch_model.modules():
            _initialise(module, generator)
    return torch_model.to(device).eval()


def kernel_modules(torch_model: TorchModel) -> tuple[KernelModule, ...]:
    """The modules of all kernels, in the order of ``Model.kernels``."""
    return tuple(module for module in torch_model.modules() if isinstance(module, KernelModule))


def _initialise(module: nn.Module, generator: torch.Generator) -> None:
    if isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
        if module.bias is not None:
            nn.init.uniform_(module.bias, -0.1, 0.1, generator=generator)
    elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
        module.reset_parameters()
        assert module.running_mean is not None
        assert module.running_var is not None
        nn.init.normal_(module.running_mean, 0.0, 0.1, generator=generator)
        nn.init.uniform_(module.running_var, 0.5, 1.5, generator=generator)
    elif isinstance(module, nn.LayerNorm | nn.GroupNorm | nn.PReLU):
        module.reset_parameters()
    else:  # constants of a kernel
        for value in (*module.parameters(False), *module.buffers(False)):
            value.data.normal_(0.0, 0.1, generator=generator) if value.is_floating_point() else value.data.zero_()


def gather(pieces: Sequence[RowSlice], lo: int, hi: int) -> RowSlice:
    """Rows ``[lo, hi)`` of a map that lies in pieces, in order, on several devices.

    Raises:
        ValueError: some of the rows are nowhere.
    """
    overlaps = [p.crop(max(lo, p.lo), min(hi, p.hi)).tensor for p in pieces]
    rows = RowSlice(torch.cat(overlaps, 2), lo)
    return rows.crop(lo, max(lo, hi))


def run_split(
    torch_model: TorchModel, x: Tensor, cuts: Sequence[int], splits: Sequence[Sequence[int]]
) -> tuple[Tensor, list[Tensor]]:
    """Run a whole plan part by part and put the outputs together; equals ``torch_model(x)``.

    Between two volumes every part gets the rows it needs from the parts that hold them, nothing else.

    Args:
        x: (batch, channels * depth, height, width).
        cuts: where each volume stops (units), increasing, the last one being the number of units.
        splits: for each volume the fence posts of its parts, 0 ... height of its last output; equal posts are an
            empty part.

    Raises:
        ValueError: the cuts or the posts do not cover the model.
    """
    model = torch_model.model
    held: dict[str, list[RowSlice]] = {MAIN: [RowSlice(x, 0)]}
    heads: dict[int, list[RowSlice]] = {}
    start = 0
    for stop, posts in zip(cuts, splits, strict=True):
        volume = model.volume(start, stop)
        if posts[0] != 0 or posts[-1] != volume.height or list(posts) != sorted(posts):
            raise ValueError(f"the posts of units [{start}, {stop}) must rise from 0 to {volume.height}, not {posts}")
        parts: list[PartOutput] = []
        for a, b in pairwise(posts):
            if a < b:
                inputs = {
                    name: gather(held[name], int(lo[a]), int(hi[b]))
                    for name, lo, hi in zip(volume.needs, volume.need_lo, volume.need_hi, strict=True)
                }
                parts.append(torch_model.run_part(start, stop, inputs, a, b))
        held = {name: [part.tensors[name] for part in parts] for name in volume.holds}
        heads |= {u: [part.heads[u] for part in parts] for u in volume.heads}
        start = stop
    if start != len(model.units):
        raise ValueError(f"the last volume stops at unit {start}, the model has {len(model.units)}")
    main = gather(held[MAIN], 0, model.in_shapes[-1].height).tensor
    whole = {u: torch.cat([piece.tensor for piece in pieces], 2) for u, pieces in sorted(heads.items())}
    beside = {head_name(u): head for u, head in whole.items()} if model.tail else {}
    tensors, _ = torch_model[start:]({MAIN: main, **beside})
    return tensors[MAIN], [] if model.tail else list(whole.values())
