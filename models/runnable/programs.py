"""Programs in torch: a value after another, as :mod:`.operators` computes them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from ..layers import Shape
from ..programs import Elementwise, Program
from .layers import KernelModule
from .operators import OPERATORS

_TYPES = {"float32": torch.float32, "int64": torch.int64, "bool": torch.bool}


def constant_name(index: int, is_weight: bool) -> str:
    """Name of a program's constant among the weights of its module."""
    return f"values.{'weight' if is_weight else 'constant'}{index}"


class ProgramModule(KernelModule):
    """:class:`Program`: on the whole map, then the rows that are wanted."""

    def __init__(self, layer: Program | Elementwise, in_shape: Shape) -> None:
        super().__init__(layer, in_shape)
        self.program = layer
        self.values = nn.Module()
        for i, constant in enumerate(layer.constants):
            name = constant_name(i, constant.is_weight).partition(".")[2]
            value = torch.empty(constant.sizes, dtype=_TYPES[constant.dtype])
            if constant.is_weight:
                self.values.register_parameter(name, nn.Parameter(value))
            else:
                self.values.register_buffer(name, value)

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 1:  # sizes are those of one image
            return torch.cat([self._run(image) for image in x.split(1)])
        return self._run(x)

    def _run(self, x: Tensor) -> Tensor:
        values: list[Tensor] = [*self._inputs(x), *self._constants()]
        for operation in self.program.operations:
            given = [None if i < 0 else values[i] for i in operation.inputs]
            made = OPERATORS[operation.operator](given, dict(operation.attributes), operation.sizes)
            values += made if isinstance(made, tuple | list) else [made]
        return self._output([values[i] for i in self.program.outputs], len(x))

    def part(self, x: Tensor, a: int, b: int) -> Tensor:
        return self(x)[:, :, a:b]

    def _constants(self) -> list[Tensor]:
        names = (constant_name(i, c.is_weight).partition(".")[2] for i, c in enumerate(self.program.constants))
        return [getattr(self.values, name) for name in names]

    def _inputs(self, x: Tensor) -> Sequence[Tensor]:
        sizes = self.program.inputs
        if len(sizes) == 1:
            return [x.reshape(sizes[0])]
        if self.program.split == "channels":
            parts = x.split([s[1] for s in sizes], 1)
        else:
            parts = x.flatten().split(list(map(prod, sizes)))
        return [part.reshape(s) for part, s in zip(parts, sizes, strict=True)]

    def _output(self, outputs: Sequence[Tensor], batch: int) -> Tensor:
        out = self.out_shape
        outputs = [value.float() for value in outputs]
        if self.program.split == "channels" or (out.height, out.width) != (1, 1):
            return outputs[0].reshape(batch, out.folded_channels, out.height, out.width)
        return torch.cat([value.reshape(batch, -1) for value in outputs], 1)


class ElementwiseModule(ProgramModule):
    """:class:`Elementwise`: any rows of a map by themselves."""

    def forward(self, x: Tensor) -> Tensor:
        return self._run(x)

    def part(self, x: Tensor, a: int, b: int) -> Tensor:
        return self(x)

    def _inputs(self, x: Tensor) -> Sequence[Tensor]:
        return x.split([sizes[1] for sizes in self.program.inputs], 1)

    def _output(self, outputs: Sequence[Tensor], batch: int) -> Tensor:
        return outputs[0].float()
