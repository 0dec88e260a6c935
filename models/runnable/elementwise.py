"""ONNX's operators that work value by value, in torch; sizes of 1 are repeated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Given = Sequence[Any]  # tensors, None where one is left out
Attributes = dict[str, Any]
Sizes = tuple[tuple[int, ...], ...]  # of every output
Operator = Callable[[Given, Attributes, Sizes], Any]


def _unary(function: Callable[[Tensor], Tensor]) -> Operator:
    return lambda given, attributes, sizes: function(given[0])


def _folded(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    def run(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
        total = given[0]
        for other in given[1:]:
            total = function(total, other)
        return total

    return run


def _div(x: Tensor, y: Tensor) -> Tensor:
    return torch.div(x, y) if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc")


def _mod(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
    return (torch.fmod if attributes.get("fmod", 0) else torch.remainder)(given[0], given[1])


def _clip(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
    low, high = attributes.get("min"), attributes.get("max")
    return given[0] if low is None and high is None else given[0].clamp(low, high)


def _gelu(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
    return F.gelu(given[0], approximate=attributes.get("approximate", "none"))


def _hard_sigmoid(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
    return (attributes.get("alpha", 0.2) * given[0] + attributes.get("beta", 0.5)).clamp(0, 1)


def _selu(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
    alpha, gamma = attributes.get("alpha", 1.67326319217681), attributes.get("gamma", 1.05070102214813)
    return gamma * F.elu(given[0], alpha)


def _prelu(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
    return torch.where(given[0] < 0, given[0] * given[1], given[0])


def _is_inf(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
    x, infinite = given[0], torch.isinf(given[0])
    negative, positive = attributes.get("detect_negative", 1), attributes.get("detect_positive", 1)
    return infinite & (((x < 0) & bool(negative)) | ((x > 0) & bool(positive)))


def _cast(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
    return given[0].to({"float32": torch.float32, "int64": torch.int64, "bool": torch.bool}[attributes["to"]])


_TORCH = (
    "sigmoid", "exp", "log", "sqrt", "reciprocal", "abs", "neg", "floor", "ceil", "round", "erf", "sign", "relu", "sin",
    "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh",
)  # fmt: skip
ELEMENTWISE: dict[str, Operator] = {
    **{name.capitalize(): _unary(getattr(torch, name)) for name in _TORCH},
    "Identity": _unary(lambda x: x),
    "Not": _unary(torch.logical_not),
    "IsNaN": _unary(torch.isnan),
    "IsInf": _is_inf,
    "Softplus": _unary(F.softplus),
    "Softsign": _unary(F.softsign),
    "HardSwish": _unary(F.hardswish),
    "Mish": _unary(F.mish),
    "Gelu": _gelu,
    "Elu": lambda given, a, sizes: F.elu(given[0], a.get("alpha", 1.0)),
    "LeakyRelu": lambda given, a, sizes: F.leaky_relu(given[0], a.get("alpha", 0.01)),
    "Selu": _selu,
    "Swish": lambda given, a, sizes: given[0] * torch.sigmoid(a.get("alpha", 1.0) * given[0]),
    "HardSigmoid": _hard_sigmoid,
    "Clip": _clip,
    "PRelu": _prelu,
    **{name: _folded(torch.add) for name in ("Add", "Sum")},
    "Sub": _folded(torch.sub),
    "Mul": _folded(torch.mul),
    "Div": _folded(_div),
    "Pow": _folded(torch.pow),
    "Max": _folded(torch.maximum),
    "Min": _folded(torch.minimum),
    "Mod": _mod,
    "And": _folded(torch.logical_and),
    "Or": _folded(torch.logical_or),
    "Xor": _folded(torch.logical_xor),
    "Equal": _folded(torch.eq),
    "Greater": _folded(torch.gt),
    "Less": _folded(torch.lt),
    "GreaterOrEqual": _folded(torch.ge),
    "LessOrEqual": _folded(torch.le),
    "Where": lambda given, a, sizes: torch.where(*given),
    "Cast": _cast,
}
