"""What files write by parts, as the layer that it is: activations by their values, a layer norm by its nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from ..activations import with_parameters
from ..channels import ChannelNorm, ChannelReduce
from ..layers import Pointwise
from .graph import Graph, Kernel, Node

Function = Callable[[np.ndarray], np.ndarray]

# Dense where activations bend; far out because a limit of 100 or 255 is no part of any of them.
_FAR = np.geomspace(30, 1e9, 151)
_AT = np.concatenate([np.linspace(-9, 9, 1801), np.linspace(-30, 30, 61), _FAR, -_FAR])
_TOLERANCE = 2e-6
_LONGEST = 12  # nodes of an activation by parts


def recognised(graph: Graph) -> Graph:
    """The graph with fewer nodes that give the same."""
    graph = _with_norms(graph)
    functions = _Functions(graph)
    nodes = [functions.simplified(node) for node in graph.nodes]
    needed, kept = set(graph.outputs), list[Node]()
    for node in reversed(nodes):
        if node.output in needed:
            kept.append(node)
            needed.update(node.inputs)
    return replace(graph, nodes=tuple(reversed(kept)))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _erf(x: np.ndarray) -> np.ndarray:
    from scipy.special import erf

    return erf(x)


# By name; those with parameters of an activation come with them.
_VALUES: dict[str, Callable[..., np.ndarray]] = {
    "none": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "silu": lambda x: x * _sigmoid(x),
    "hardsigmoid": lambda x, alpha=1 / 6, beta=0.5: np.clip(alpha * x + beta, 0, 1),
    "hardswish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "gelu": lambda x: 0.5 * x * (1 + _erf(x / np.sqrt(2))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "softplus": lambda x: np.logaddexp(0, x),
    "clip": np.clip,
    "leaky": lambda x, slope=0.1: np.where(x < 0, slope * x, x),
    "elu": lambda x, alpha=1.0: np.where(x < 0, alpha * (np.exp(x) - 1), x),
    "pow": lambda x, power: x**power,
    "exp": np.exp,
    "erf": _erf,
    "abs": np.abs,
    "reciprocal": lambda x: 1 / x,
    "sqrt": np.sqrt,
    "log": np.log,
}
_CANDIDATES = ("silu", "hardswish", "gelu", "gelu_tanh", "mish", "hardsigmoid", "softplus", "relu6", "relu", "sigmoid")
_MERGES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "max": np.maximum, "min": np.minimum,
}  # fmt: skip


class _Functions:
    """Tensors as functions of tensors in front of them, value by value."""

    def __init__(self, graph: Graph) -> None:
        self.shapes = graph.shapes
        self.of: dict[str, dict[str, Function]] = {}  # tensor -> tensor in front of it -> what it is of that

    def simplified(self, node: Node) -> Node:
        """The node, or an activation of a tensor further in front that has the same values."""
        functions = self._functions(node)
        self.of[node.output] = functions
        if node.layer is not None and not isinstance(node.layer, Pointwise):
            return node
        for tensor in reversed(functions):  # the furthest in front first
            if tensor in (node.output, *(node.inputs if node.layer is not None else ())):
                continue
            if (kind := _named(functions[tensor])) is not None:
                return Node(node.name, (tensor,), node.output, Pointwise(activation=kind), kernels=(_kernel(node),))
        return node

    def _functions(self, node: Node) -> dict[str, Function]:
        own: dict[str, Function] = {node.output: lambda x: x}
        if node.layer is None:
            combine = _MERGES.get(node.combine)
            if combine is None or len(node.inputs) != 2 or len({self.shapes[t] for t in node.inputs}) > 1:
                return own
            first, second = (self._reached(tensor) for tensor in node.inputs)
            for tensor in first:
                if tensor in second:
                    own[tensor] = _both(combine, first[tensor], second[tensor])
        elif (function := _function(node)) is not None:
            for tensor, before in self._reached(node.inputs[0]).items():
                own[tensor] = _after(function, before)
        return dict(list(own.items())[:_LONGEST])

    def _reached(self, tensor: str) -> Mapping[str, Function]:
        return self.of.get(tensor) or {tensor: lambda x: x}


def _both(combine: Callable[..., np.ndarray], first: Function, second: Function) -> Function:
    return lambda x: combine(first(x), second(x))


def _after(function: Function, before: Function) -> Function:
    return lambda x: function(before(x))


def _kernel(node: Node) -> Kernel:
    return Kernel({}, (node.name,))


def _function(node: Node) -> Function | None:
    """What an activation, or one scale and shift for all channels, does; None for anything else."""
    layer = node.layer
    if not isinstance(layer, Pointwise):
        return None
    name, equals, given = layer.activation.partition("=")
    if name not in _VALUES:
        return None
    parameters = tuple(map(float, given.split(","))) if equals else ()
    scale, shift = 1.0, 0.0
    if layer.norm:
        weights = node.weights
        factors = weights["norm.weight"] / np.sqrt(weights["norm.running_var"] + weights["norm.eps"])
        shifts = weights["norm.bias"] - weights["norm.running_mean"] * factors
        if np.ptp(factors) or np.ptp(shifts):
            return None
        scale, shift = float(factors[0]), float(shifts[0])
    return lambda x: _VALUES[name](scale * x + shift, *parameters)


def _named(function: Function) -> str | None:
    """The activation that has a function's values."""
    with np.errstate(all="ignore"):
        values = function(_AT)
        if not np.isfinite(values).all():
            return None
        for name in _CANDIDATES:
            wanted = _VALUES[name](_AT)
            if (np.abs(values - wanted) <= _TOLERANCE * np.maximum(1, np.abs(wanted))).all():
                return name
        return _swish(values)


def _swish(values: np.ndarray) -> str | None:
    """x sigmoid(beta x), by its value at 1."""
    (at_one,) = values[np.isclose(_AT, 1.0)][:1]
    if not 0.5 < at_one < 1:
        return None
    beta = float(np.log(at_one / (1 - at_one)))
    wanted = _AT * _sigmoid(beta * _AT)
    fits = (np.abs(values - wanted) <= 10 * _TOLERANCE * np.maximum(1, np.abs(wanted))).all()
    return with_parameters("swish", beta) if fits else None


def _with_norms(graph: Graph) -> Graph:
    """Layer norms over channels by parts: (x - mean) / sqrt(mean((x - mean) ** 2) + eps)."""
    makers = {node.output: node for node in graph.nodes}
    nodes = []
    for node in graph.nodes:
        found = _norm_by_parts(node, makers) if node.layer is None and node.combine == "div" else None
        if found is not None:
            tensor, eps = found
            channels = graph.shapes[tensor].folded_channels
            weights = {"affine.weight": np.ones(channels, np.float32), "affine.bias": np.zeros(channels, np.float32)}
            kernels = (Kernel(weights, (node.name,)),)
            node = Node(node.name, (tensor,), node.output, ChannelNorm(eps), kernels=kernels)
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes))


def _norm_by_parts(node: Node, makers: Mapping[str, Node]) -> tuple[str, float] | None:
    apart, root = (makers.get(tensor) for tensor in node.inputs)
    if apart is None or root is None or apart.combine != "sub" or apart.layer is not None:
        return None
    x, mean = apart.inputs[0], makers.get(apart.inputs[1])
    if mean is None or mean.layer != ChannelReduce("mean") or mean.inputs != (x,):
        return None
    if not isinstance(root.layer, Pointwise) or root.layer.activation != "sqrt":
        return None
    shifted: Node | None = root if root.layer.norm else makers.get(root.inputs[0])
    if shifted is None or not isinstance(shifted.layer, Pointwise) or not shifted.layer.norm:
        return None
    eps = float(np.ravel(shifted.weights["norm.bias"])[0])
    variance = makers.get(shifted.inputs[0])
    if variance is None or variance.layer != ChannelReduce("mean"):
        return None
    squares = makers.get(variance.inputs[0])
    if squares is None:
        return None
    by_power = isinstance(squares.layer, Pointwise) and squares.layer.activation in ("pow=2", "pow")
    by_product = squares.layer is None and squares.combine == "mul" and set(squares.inputs) == {apart.output}
    if not (by_product or (by_power and squares.inputs == (apart.output,))) or not 0 < eps < 1:
        return None
    return x, eps
