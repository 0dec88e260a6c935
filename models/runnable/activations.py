"""Activations as torch modules."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..activations import Activation, activation_parts

_MODULES: dict[str, Callable[..., nn.Module]] = {
    "none": nn.Identity,
    "relu": nn.ReLU,
    "leaky": nn.LeakyReLU,
    "relu6": nn.ReLU6,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "hardswish": nn.Hardswish,
    "gelu": nn.GELU,
    "gelu_tanh": lambda: nn.GELU("tanh"),
    "elu": nn.ELU,
    "mish": nn.Mish,
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    "softmax": lambda: nn.Softmax(1),
    "softmax_columns": lambda: nn.Softmax(3),
    "log_softmax": lambda: nn.LogSoftmax(1),
}
_FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "hardsigmoid": lambda x, alpha, beta: (alpha * x + beta).clamp(0.0, 1.0),
    "selu": lambda x, alpha, gamma: gamma * F.elu(x, alpha),
    "swish": lambda x, beta: x * torch.sigmoid(beta * x),
    "clip": lambda x, low, high: x.clamp(low, high),
    "pow": lambda x, power: x**power,
    **{name: getattr(torch, name) for name in ("exp", "log", "sqrt", "reciprocal", "abs", "erf", "sin", "cos")},
    **{name: getattr(torch, name) for name in ("floor", "ceil", "round")},
}


class FunctionModule(nn.Module):
    """A function of a map with its parameters."""

    def __init__(self, name: str, values: tuple[float, ...]) -> None:
        super().__init__()
        self.name, self.values = name, values

    def forward(self, x: Tensor) -> Tensor:
        return _FUNCTIONS[self.name](x, *self.values)


def activation_module(kind: Activation) -> nn.Module:
    """An activation as a module.

    Raises:
        ValueError: no such activation.
    """
    name, values = activation_parts(kind)
    return _MODULES[name](*values) if name in _MODULES else FunctionModule(name, values)
