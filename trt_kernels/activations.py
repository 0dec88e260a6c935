"""The activations of :mod:`..models.layers` as TensorRT layers."""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt
from typing import Any

import numpy as np

from ..models.activations import Activation, activation_parts
from .graph import CHANNELS, WIDTH, Graph


def activate(graph: Graph, x: Any, kind: Activation) -> Any:
    """A map behind an activation."""
    name, values = activation_parts(kind)
    if name in _UNARY:
        return graph.function(x, _UNARY[name](graph.trt), name)
    if name in _OWN:
        return graph.unary(x, _OWN[name](graph.trt), *values)
    return _ACTIVATIONS[name](graph, x, *values)


def _hardsigmoid(graph: Graph, x: Any) -> Any:
    return graph.unary(x, graph.trt.ActivationType.HARD_SIGMOID, 1 / 6, 0.5)


def _sigmoid(graph: Graph, x: Any) -> Any:
    return graph.unary(x, graph.trt.ActivationType.SIGMOID)


def _times(graph: Graph, x: Any, y: Any) -> Any:
    return graph.binary(x, y, graph.trt.ElementWiseOperation.PROD, "product")


def _number(graph: Graph, value: float) -> Any:
    return graph.constant(np.full((1, 1, 1, 1), value))


def _gelu(graph: Graph, x: Any) -> Any:
    trt = graph.trt
    if hasattr(trt.ActivationType, "GELU_ERF"):
        return graph.unary(x, trt.ActivationType.GELU_ERF)
    share = graph.function(_times(graph, x, _number(graph, 1 / sqrt(2))), trt.UnaryOperation.ERF, "erf")
    share = graph.binary(share, _number(graph, 1.0), trt.ElementWiseOperation.SUM, "sum")
    return _times(graph, _times(graph, x, _number(graph, 0.5)), share)


def _gelu_tanh(graph: Graph, x: Any) -> Any:
    trt = graph.trt
    cube = _times(graph, _times(graph, _times(graph, x, x), x), _number(graph, 0.044715))
    inner = graph.binary(x, cube, trt.ElementWiseOperation.SUM, "sum")
    share = graph.unary(_times(graph, inner, _number(graph, sqrt(2 / pi))), trt.ActivationType.TANH)
    share = graph.binary(share, _number(graph, 1.0), trt.ElementWiseOperation.SUM, "sum")
    return _times(graph, _times(graph, x, _number(graph, 0.5)), share)


def _softplus(graph: Graph, x: Any) -> Any:
    return graph.unary(x, graph.trt.ActivationType.SOFTPLUS, 1.0, 1.0)


def _clip(graph: Graph, x: Any, low: float, high: float) -> Any:
    operations = graph.trt.ElementWiseOperation
    if low > float("-inf"):
        x = graph.binary(x, _number(graph, low), operations.MAX, "max")
    return x if high == float("inf") else graph.binary(x, _number(graph, high), operations.MIN, "min")


def _softmax(graph: Graph, x: Any, axis: int = CHANNELS) -> Any:
    layer = graph.added(graph.network.add_softmax(input=x), "softmax")
    layer.axes = 1 << axis
    return layer.get_output(0)


def _log_softmax(graph: Graph, x: Any) -> Any:
    """From the largest value down, since a small probability would be 0 in half precision."""
    trt = graph.trt
    operations, reductions = trt.ElementWiseOperation, trt.ReduceOperation
    below = graph.binary(x, graph.reduced(x, reductions.MAX, (CHANNELS,)), operations.SUB, "difference")
    layer = graph.added(graph.network.add_unary(input=below, op=trt.UnaryOperation.EXP), "exp")
    total = graph.reduced(layer.get_output(0), reductions.SUM, (CHANNELS,))
    layer = graph.added(graph.network.add_unary(input=total, op=trt.UnaryOperation.LOG), "log")
    return graph.binary(below, layer.get_output(0), operations.SUB, "difference")


# Activations that are one operation: a function, or one of TensorRT's own with the same parameters.
_UNARY: dict[str, Callable[[Any], Any]] = {
    "exp": lambda trt: trt.UnaryOperation.EXP,
    "log": lambda trt: trt.UnaryOperation.LOG,
    "sqrt": lambda trt: trt.UnaryOperation.SQRT,
    "reciprocal": lambda trt: trt.UnaryOperation.RECIP,
    "abs": lambda trt: trt.UnaryOperation.ABS,
    "erf": lambda trt: trt.UnaryOperation.ERF,
    "sin": lambda trt: trt.UnaryOperation.SIN,
    "cos": lambda trt: trt.UnaryOperation.COS,
    "floor": lambda trt: trt.UnaryOperation.FLOOR,
    "ceil": lambda trt: trt.UnaryOperation.CEIL,
    "round": lambda trt: trt.UnaryOperation.ROUND,
}
_OWN: dict[str, Callable[[Any], Any]] = {
    "relu": lambda trt: trt.ActivationType.RELU,
    "leaky": lambda trt: trt.ActivationType.LEAKY_RELU,
    "sigmoid": lambda trt: trt.ActivationType.SIGMOID,
    "tanh": lambda trt: trt.ActivationType.TANH,
    "hardsigmoid": lambda trt: trt.ActivationType.HARD_SIGMOID,
    "elu": lambda trt: trt.ActivationType.ELU,
    "selu": lambda trt: trt.ActivationType.SELU,
    "softsign": lambda trt: trt.ActivationType.SOFTSIGN,
}
_ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "none": lambda graph, x: x,
    "relu6": lambda graph, x: graph.unary(x, graph.trt.ActivationType.CLIP, 0.0, 6.0),
    "clip": _clip,
    "silu": lambda graph, x: _times(graph, x, _sigmoid(graph, x)),
    "swish": lambda graph, x, beta: _times(graph, x, _sigmoid(graph, _times(graph, x, _number(graph, beta)))),
    "mish": lambda graph, x: _times(graph, x, graph.unary(_softplus(graph, x), graph.trt.ActivationType.TANH)),
    "softplus": _softplus,
    "hardswish": lambda graph, x: _times(graph, x, _hardsigmoid(graph, x)),
    "pow": lambda graph, x, power: graph.binary(x, _number(graph, power), graph.trt.ElementWiseOperation.POW, "pow"),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "softmax": _softmax,
    "softmax_columns": lambda graph, x: _softmax(graph, x, WIDTH),
    "log_softmax": _log_softmax,
}
