"""The activations of :mod:`..models.layers` as TensorRT layers."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np

from ..models.layers import Activation, leaky_slope
from .graph import CHANNELS, Graph


def activate(graph: Graph, x: Any, kind: Activation) -> Any:
    """A map behind an activation."""
    slope = leaky_slope(kind)
    if slope is not None:
        return graph.unary(x, graph.trt.ActivationType.LEAKY_RELU, slope)
    return _ACTIVATIONS[kind](graph, x)


def _hardsigmoid(graph: Graph, x: Any) -> Any:
    return graph.unary(x, graph.trt.ActivationType.HARD_SIGMOID, 1 / 6, 0.5)


def _sigmoid(graph: Graph, x: Any) -> Any:
    return graph.unary(x, graph.trt.ActivationType.SIGMOID)


def _times(graph: Graph, x: Any, y: Any) -> Any:
    return graph.binary(x, y, graph.trt.ElementWiseOperation.PROD, "product")


def _gelu(graph: Graph, x: Any) -> Any:
    trt = graph.trt
    if hasattr(trt.ActivationType, "GELU_ERF"):
        return graph.unary(x, trt.ActivationType.GELU_ERF)
    one, half, root = (graph.constant(np.full((1, 1, 1, 1), value)) for value in (1.0, 0.5, 1 / sqrt(2)))
    layer = graph.added(graph.network.add_unary(input=_times(graph, x, root), op=trt.UnaryOperation.ERF), "erf")
    share = graph.binary(layer.get_output(0), one, trt.ElementWiseOperation.SUM, "sum")
    return _times(graph, _times(graph, x, half), share)


def _softmax(graph: Graph, x: Any) -> Any:
    layer = graph.added(graph.network.add_softmax(input=x), "softmax")
    layer.axes = 1 << CHANNELS
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


_ACTIVATIONS: dict[Activation, Callable[[Graph, Any], Any]] = {
    "none": lambda graph, x: x,
    "relu": lambda graph, x: graph.unary(x, graph.trt.ActivationType.RELU),
    "relu6": lambda graph, x: graph.unary(x, graph.trt.ActivationType.CLIP, 0.0, 6.0),
    "sigmoid": _sigmoid,
    "tanh": lambda graph, x: graph.unary(x, graph.trt.ActivationType.TANH),
    "silu": lambda graph, x: _times(graph, x, _sigmoid(graph, x)),
    "hardsigmoid": _hardsigmoid,
    "hardswish": lambda graph, x: _times(graph, x, _hardsigmoid(graph, x)),
    "gelu": _gelu,
    "elu": lambda graph, x: graph.unary(x, graph.trt.ActivationType.ELU, 1.0),
    "softmax": _softmax,
    "log_softmax": _log_softmax,
}
