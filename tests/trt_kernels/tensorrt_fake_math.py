"""Layers of the stand-in for TensorRT that work value by value, reduce, or multiply matrices."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING

import torch

from .tensorrt_fake_layers import (
    ElementWiseOperation,
    ILayer,
    ITensor,
    MatrixOperation,
    ReduceOperation,
    UnaryOperation,
)

if TYPE_CHECKING:
    from .tensorrt_fake import INetworkDefinition


class IActivationLayer(ILayer):
    __slots__ = ("_type", "alpha", "beta")

    def __init__(self, network: INetworkDefinition, tensor: ITensor, kind: IntEnum) -> None:
        super().__init__(network, tensor)
        self._type, self.alpha, self.beta = kind.name, 0.0, 0.0

    def _evaluate(self, *inputs: torch.Tensor) -> torch.Tensor:
        x, a, b = inputs[0], self.alpha, self.beta
        return {
            "RELU": lambda: x.clamp(min=0),
            "SIGMOID": lambda: 1 / (1 + torch.exp(-x)),
            "TANH": lambda: torch.tanh(x),
            "LEAKY_RELU": lambda: torch.where(x >= 0, x, a * x),
            "ELU": lambda: torch.where(x >= 0, x, a * (torch.exp(x) - 1)),
            "SELU": lambda: b * torch.where(x >= 0, x, a * (torch.exp(x) - 1)),
            "SOFTSIGN": lambda: x / (1 + x.abs()),
            "SOFTPLUS": lambda: a * torch.log1p(torch.exp(b * x)),
            "CLIP": lambda: x.clamp(a, b),
            "HARD_SIGMOID": lambda: (a * x + b).clamp(0, 1),
            "GELU_ERF": lambda: 0.5 * x * (1 + torch.erf(x / 2**0.5)),
        }[self._type]()


class IElementWiseLayer(ILayer):
    __slots__ = ("_operation",)

    def __init__(self, network: INetworkDefinition, first: ITensor, second: ITensor, op: ElementWiseOperation) -> None:
        super().__init__(network, first, second)
        assert len(first.shape) == len(second.shape), "inputs of different ranks"
        self._operation = op

    def _evaluate(self, *inputs: torch.Tensor) -> torch.Tensor:
        operations: dict[str, Callable[..., torch.Tensor]] = {
            "SUM": torch.add, "PROD": torch.mul, "MAX": torch.maximum, "SUB": torch.sub,
            "MIN": torch.minimum, "DIV": torch.div, "POW": torch.pow,
        }  # fmt: skip
        return operations[self._operation.name](*inputs)


class IUnaryLayer(ILayer):
    __slots__ = ("_operation",)

    def __init__(self, network: INetworkDefinition, tensor: ITensor, op: UnaryOperation) -> None:
        super().__init__(network, tensor)
        self._operation = op

    def _evaluate(self, *inputs: torch.Tensor) -> torch.Tensor:
        name = {"RECIP": "reciprocal"}.get(self._operation.name, self._operation.name.lower())
        return getattr(torch, name)(inputs[0])


class IReduceLayer(ILayer):
    __slots__ = ("_axes", "_keep", "_operation")

    def __init__(
        self, network: INetworkDefinition, tensor: ITensor, op: ReduceOperation, axes: int, keep: bool
    ) -> None:
        super().__init__(network, tensor)
        self._operation, self._keep = op, keep
        self._axes = [axis for axis in range(len(tensor.shape)) if axes >> axis & 1]

    def _evaluate(self, *inputs: torch.Tensor) -> torch.Tensor:
        operation = {"SUM": torch.sum, "MAX": torch.amax, "MIN": torch.amin, "AVG": torch.mean}[self._operation.name]
        return operation(inputs[0], self._axes, self._keep)


class IMatrixMultiplyLayer(ILayer):
    __slots__ = ()

    def __init__(
        self, network: INetworkDefinition, first: ITensor, op0: MatrixOperation, second: ITensor, op1: MatrixOperation
    ) -> None:
        super().__init__(network, first, second)
        assert op0 == op1 == MatrixOperation.NONE
        assert len(first.shape) == len(second.shape), "inputs of different ranks"

    def _evaluate(self, *inputs: torch.Tensor) -> torch.Tensor:
        return inputs[0] @ inputs[1]
