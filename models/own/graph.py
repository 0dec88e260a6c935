"""A network as a graph of layers: what importers read a file or a module into, before it becomes a chain of units.

Every node makes one tensor. It runs a layer on one tensor, or puts several together. Transposing, flattening, dropout
and the like make no node: they only give a tensor another name, and its axes another order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..activations import ACROSS_CHANNELS, Activation
from ..blocks import Combine, merged_shape
from ..layers import GlobalPool, Layer, Linear, Pointwise, Pool, Shape
from ..remaps import Pad
from .refusals import NodeRefused

Weights = Mapping[str, np.ndarray]  # by the names that the layer's torch module gives them, and "norm.eps"


@dataclass(frozen=True)
class Kernel:
    """One kernel to be: its weights and the nodes that were fused into it."""

    weights: Weights
    nodes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Node:
    """What makes one tensor.

    Attributes:
        name: the node's name where it comes from.
        inputs: tensors that it reads; several for a merge alone.
        output: the tensor that it makes.
        layer: None for a merge.
        combine: how a merge puts its inputs together.
        kernels: of the layer, in the order of :func:`..blocks.leaves`.
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    layer: Layer | None = None
    combine: Combine = "add"
    kernels: tuple[Kernel, ...] = ()

    @property
    def weights(self) -> Weights:
        """Of a layer that is one kernel."""
        return self.kernels[0].weights


@dataclass(frozen=True)
class Graph:
    """A network with one input; nodes are in an order in which they can run.

    Attributes:
        outputs: tensors that are wanted, in the order in which they are made.
        shapes: of every tensor.
    """

    name: str
    source: str
    input: str
    shape: Shape
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    shapes: Mapping[str, Shape] = field(repr=False)


class GraphBuilder:
    """Collects nodes in the order in which they run.

    A tensor's axes are letters, b, c, h and w in some order; one that is left out has the size 1, f is a map flattened
    to a vector, and g and m are groups of channels and what is left of them.

    Args:
        name: of the model.
        source: file or factory, for messages.
        input: name of the input tensor.
        shape: of the input.
        axes: of the input.
    """

    def __init__(self, name: str, source: str, input: str, shape: Shape, axes: str = "bchw") -> None:
        self.name, self.source, self.input = name, source, input
        self._shapes = {input: shape}
        self._axes = {input: axes}
        self._same: dict[str, str] = {}  # other names of tensors
        self._made: dict[str, Node] = {}

    def known(self, tensor: str) -> bool:
        """Whether the tensor comes from the network's input, as a map or vector."""
        return tensor in self._axes

    def base(self, tensor: str) -> str:
        """The first name of a tensor."""
        return self._same.get(tensor, tensor)

    def shape(self, tensor: str) -> Shape:
        """Shape of a tensor."""
        return self._shapes[self.base(tensor)]

    def axes(self, tensor: str) -> str:
        """Axes of a tensor."""
        return self._axes[tensor]

    def size(self, tensor: str, letter: str) -> int:
        """Size of an axis."""
        shape = self.shape(tensor)
        sizes = {"b": 1, "c": shape.folded_channels, "h": shape.height, "w": shape.width, "f": shape.elements}
        return sizes.get(letter, 0)

    def maker(self, tensor: str) -> Node | None:
        """The node that makes a tensor, None for the input."""
        return self._made.get(self.base(tensor))

    def refuse(self, node: str, operator: str, why: str) -> NodeRefused:
        """The error of a node that no layer is for."""
        return NodeRefused(self.source, node, operator, why, "choose other outputs with --output")

    def alias(self, tensor: str, other: str, axes: str | None = None) -> None:
        """``other`` is the same tensor, perhaps with its axes in another order."""
        self._same[other] = self.base(tensor)
        self._axes[other] = self._axes[tensor] if axes is None else axes

    def forget(self, tensor: str) -> None:
        """A tensor turned out to be read wrongly."""
        for names in (self._axes, self._same, self._made, self._shapes):
            names.pop(tensor, None)

    def is_vector(self, tensor: str) -> bool:
        """Whether the tensor is features behind the batch, with no rows or columns among its axes."""
        return self._axes[tensor] in ("bf", "bc")

    def layer(
        self, node: str, operator: str, tensor: str, output: str, layer: Layer, weights: Weights | None = None,
        axes: str | None = None,
    ) -> None:  # fmt: skip
        """A layer on one tensor; its output has the same axes unless others are given.

        Raises:
            InputError: the layer or its weights do not fit the tensor, or the tensor was flattened.
        """
        own = self._axes[tensor]
        if isinstance(layer, Linear):
            if not self.is_vector(tensor):
                raise self.refuse(node, operator, "its input is a map that was not flattened")
            own = "bc"
        elif "f" in own:
            if not isinstance(layer, Pointwise):
                raise self.refuse(node, operator, "its input was flattened")
            tells_apart = layer.norm or layer.activation in ACROSS_CHANNELS
            if tells_apart and self.shape(tensor).elements != self.shape(tensor).folded_channels:
                raise self.refuse(node, operator, "its input is a flattened map, allowed: a map or features")
        made = Node(node, (self.base(tensor),), output, layer, kernels=(Kernel(weights or {}, (node,)),))
        self._add(node, operator, made, own if axes is None else axes)

    def merge(self, node: str, operator: str, tensors: Sequence[str], output: str, combine: Combine) -> None:
        """Tensors put together.

        Raises:
            InputError: they do not fit together.
        """
        for tensor in tensors:
            if not self.known(tensor):
                raise self.refuse(node, operator, f"{tensor} does not come from the network's input")
        axes = self._common_axes(tensors)
        shapes = [self.shape(tensor) for tensor in tensors]
        sizes = _sizes(shapes)
        if axes is None:
            raise self.refuse(node, operator, f"its inputs have the sizes {sizes} and axes in several orders")
        if "f" in axes and (combine == "concat" and any(s.elements != s.folded_channels for s in shapes)):
            raise self.refuse(node, operator, "its inputs were flattened")
        try:
            merged_shape(combine, shapes)
        except ValueError:
            what = "one map size" if combine == "concat" else "the same for all, or 1"
            raise self.refuse(node, operator, f"its inputs have the sizes {sizes}, allowed: {what}") from None
        self._add(node, operator, Node(node, tuple(map(self.base, tensors)), output, None, combine), axes)

    def _common_axes(self, tensors: Sequence[str]) -> str | None:
        """The axes of tensors put together value by value, None where they do not lie over each other."""
        longest = max((self._axes[tensor] for tensor in tensors), key=len)
        for tensor in tensors:
            axes = self._axes[tensor]
            for own, other in zip(reversed(axes), reversed(longest), strict=False):
                flat = {own, other} <= {"c", "f"} and self.shape(tensor).elements == self.size(tensor, "c")
                if own != other and self.size(tensor, own) != 1 and not flat:
                    return None
        return longest

    def _add(self, name: str, operator: str, node: Node, axes: str) -> None:
        shapes = [self._shapes[tensor] for tensor in node.inputs]
        try:
            shape = node.layer.out_shape(shapes[0]) if node.layer else merged_shape(node.combine, shapes)
        except ValueError as error:
            raise self.refuse(name, operator, str(error)) from None
        if node.layer is not None and not _fits(node.layer, shapes[0], node.weights):
            raise self.refuse(name, operator, f"its weights do not fit an input of {_sizes(shapes)}")
        self._shapes[node.output], self._made[node.output], self._axes[node.output] = shape, node, axes

    # What several operators say in the same words.

    def activation(self, node: str, operator: str, tensor: str, output: str, kind: Activation) -> None:
        """An activation."""
        self.layer(node, operator, tensor, output, Pointwise(activation=kind))

    def average(self, node: str, operator: str, tensor: str, output: str, pool: Pool) -> None:
        """An average; one over the whole map becomes a global pool, one over single values nothing."""
        shape = self.shape(tensor)
        if pool.window == ((1, 1), (1, 1), (0, 0), (1, 1)):
            self.alias(tensor, output)
            return
        whole = pool.kernel == (shape.height, shape.width) and pool.padding == (0, 0)
        self.layer(node, operator, tensor, output, GlobalPool() if whole else pool)

    def scaled(self, node: str, operator: str, tensor: str, output: str, scale: np.ndarray, shift: np.ndarray) -> None:
        """A factor and a sum, one number a channel each, or one for all."""
        if self.is_vector(tensor) and not np.any(scale != 1) and self.biased(node, operator, tensor, output, shift):
            return
        channels = self.shape(tensor).folded_channels
        values = [np.broadcast_to(v.ravel(), (channels,)).astype(np.float32) for v in (scale, shift)]
        zeros, ones = np.zeros(channels, np.float32), np.ones(channels, np.float32)
        weights = norm_weights(values[0], values[1], zeros, ones, 0.0)
        self.layer(node, operator, tensor, output, Pointwise(norm=True, activation="none"), weights)

    def biased(self, node: str, operator: str, tensor: str, output: str, bias: np.ndarray) -> bool:
        """Add a bias to a fully connected layer that has none; whether the tensor comes from one."""
        made = self.maker(tensor)
        if made is None or not isinstance(made.layer, Linear) or made.layer.bias or made.layer.activation != "none":
            return False
        values = np.broadcast_to(bias.ravel(), (made.layer.out_features,)).astype(np.float32)
        kernel = Kernel({**made.weights, "linear.bias": values}, (*made.kernels[0].nodes, node))
        layer = replace(made.layer, bias=True)
        self._add(node, operator, Node(node, made.inputs, output, layer, kernels=(kernel,)), "bc")
        return True

    def padded(self, tensor: str, sides: Sequence[int], value: float, node: str, operator: str) -> tuple[str, int, int]:
        """The tensor to slide a window over, and the padding that the window may bring itself.

        Args:
            sides: rows above, rows below, columns left, columns right.
            value: of the border.
        """
        top, bottom, left, right = sides
        if top == bottom and left == right:
            return tensor, top, left
        border = f"{tensor}:padded for {node}"
        self.layer(node, operator, tensor, border, Pad(top, bottom, left, right, value))
        return border, 0, 0

    def program(self, node: str, tensors: Sequence[str], output: str, layer: Layer, weights: Weights) -> None:
        """Operators over one map, or over several of the same rows and columns put together by channels.

        Raises:
            InputError: the maps do not fit together.
        """
        tensor = tensors[0]
        if len(tensors) > 1:
            tensor = f"{output}:inputs"
            self._add(node, "Concat", Node(node, tuple(map(self.base, tensors)), tensor, None, "concat"), "bchw")
        self.layer(node, "program", self._as_map(tensor), output, layer, weights, "bchw")

    def _as_map(self, tensor: str) -> str:
        other = f"{tensor}:map"
        self.alias(tensor, other, "bchw")
        return other

    def finish(self, outputs: Sequence[str]) -> Graph:
        """The graph of what the outputs need."""
        wanted = dict.fromkeys(map(self.base, outputs))
        needed, nodes = set(wanted), list[Node]()
        for node in reversed(list(self._made.values())):
            if node.output in needed:
                nodes.append(node)
                needed.update(node.inputs)
        order = [self.input, *(node.output for node in reversed(nodes))]
        return Graph(
            self.name, self.source, self.input, self._shapes[self.input], tuple(sorted(wanted, key=order.index)),
            tuple(reversed(nodes)), self._shapes,
        )  # fmt: skip


def norm_weights(
    scale: np.ndarray | None, shift: np.ndarray | None, mean: np.ndarray, variance: np.ndarray, eps: float
) -> Weights:
    """The weights of a batch norm; without scale or shift it has ones and zeros."""
    arrays = {
        "norm.weight": np.ones_like(mean) if scale is None else scale,
        "norm.bias": np.zeros_like(mean) if shift is None else shift,
        "norm.running_mean": mean,
        "norm.running_var": variance,
    }
    return {
        **{name: array.astype(np.float32) for name, array in arrays.items()},
        "norm.eps": np.array(eps),
    }


def _fits(layer: Layer, shape: Shape, weights: Weights) -> bool:
    """Whether there are as many weights as the layer has; a norm has its statistics besides."""
    expected = layer.params(shape) * (2 if isinstance(layer, Pointwise) else 1)
    counted = (value.size for name, value in weights.items() if name != "norm.eps" and ".constant" not in name)
    return not weights or sum(counted) == expected


def _sizes(shapes: Sequence[Shape]) -> str:
    return ", ".join(f"{s.channels} x {s.height} x {s.width}" for s in shapes)
