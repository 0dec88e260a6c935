"""Programs: what is no layer of its own (attention, the decoding of boxes, a threshold), operator by operator.

A program's operators are those of ONNX with all sizes known. It reads one map whole, or, at the end of a network, its
last map and its side heads as one vector, and gives one map, or a vector of all that it makes. One whose operators all
work value by value reads only the rows that it makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Literal

from .layers import GlobalLayer, Layer, Shape

Sizes = tuple[int, ...]
Split = Literal["channels", "vector"]
ONE = Shape(1, 1, 1)


@dataclass(frozen=True)
class Operation:
    """One operator. Values are numbered: inputs, constants, then what operations make.

    Attributes:
        operator: ONNX's name.
        inputs: values that it reads; -1 for one that is left out.
        attributes: (name, value), sorted; sizes, axes and the like that ONNX passes as tensors are among them.
        sizes: of every output.
        macs: multiply-accumulates.
    """

    operator: str
    inputs: tuple[int, ...]
    attributes: tuple[tuple[str, Any], ...]
    sizes: tuple[Sizes, ...]
    macs: int = 0


@dataclass(frozen=True)
class Constant:
    """A constant of a program, kept with its weights."""

    sizes: Sizes
    dtype: Literal["float32", "int64", "bool"] = "float32"

    @property
    def is_weight(self) -> bool:
        """Whether it counts as a parameter: a matrix or more."""
        return self.dtype == "float32" and len(self.sizes) > 1 and prod(self.sizes) > 1


@dataclass(frozen=True)
class _Operators(Layer):
    """Operators over maps.

    Attributes:
        inputs: sizes of what is read, the batch first. Several lie behind one another: by channels, or in a vector.
        split: what it is: a map of maps put together by channels, or a vector of all values one behind another.
        constants: numbered behind the inputs.
        operations: in the order in which they run.
        outputs: the values that are given; several as one vector, one behind another.
        out: the map that it gives.
    """

    inputs: tuple[Sizes, ...] = ()
    split: Split = "channels"
    constants: tuple[Constant, ...] = ()
    operations: tuple[Operation, ...] = ()
    outputs: tuple[int, ...] = ()
    out: Shape = ONE

    def out_shape(self, shape: Shape) -> Shape:
        if shape.elements != sum(map(prod, self.inputs)):
            raise ValueError(f"a program of inputs {self.inputs} does not fit {shape}")
        return self.out

    def macs(self, shape: Shape) -> int:
        return sum(operation.macs for operation in self.operations)

    def params(self, shape: Shape) -> int:
        return sum(prod(constant.sizes) for constant in self.constants if constant.is_weight)

    def moved(self, shape: Shape) -> int:
        """Values read and written by all operators, what lies between them included."""
        made = sum(prod(sizes) for operation in self.operations for sizes in operation.sizes)
        return shape.elements + self.out.elements + 2 * made


@dataclass(frozen=True)
class Program(_Operators, GlobalLayer):
    """Operators of which any may read every row."""


@dataclass(frozen=True)
class Elementwise(_Operators):
    """Operators that work value by value: a row is made of the same row of its inputs, put together by channels."""
