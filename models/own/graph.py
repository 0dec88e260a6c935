"""A network as a graph of layers: what importers read a file or a module into, before it becomes a chain of units.

Every node makes one tensor. It either runs a layer on one tensor, or adds or concatenates several. Flattening, dropout
and the like make no node: they only give a tensor another name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from ...ui.errors import InputError
from ..activations import Activation
from ..layers import GlobalPool, Layer, Linear, Pointwise, Pool, Shape
from ..remaps import Pad

Weights = Mapping[str, np.ndarray]  # by the names that the layer's torch module gives them, and "norm.eps"


@dataclass(frozen=True, eq=False)
class Node:
    """What makes one tensor.

    Attributes:
        name: the node's name where it comes from.
        inputs: tensors that it reads; several for a merge alone.
        output: the tensor that it makes.
        layer: None for a merge.
        combine: how a merge puts its inputs together.
        weights: of the layer.
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    layer: Layer | None = None
    combine: Literal["add", "concat"] = "add"
    weights: Weights = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """A network with one input and one output; nodes are in an order in which they can run."""

    name: str
    source: str
    input: str
    shape: Shape
    output: str
    nodes: tuple[Node, ...]


class GraphBuilder:
    """Collects nodes in the order in which they run.

    Args:
        name: of the model.
        source: file or factory, for messages.
        input: name of the input tensor.
        shape: of the input.
    """

    def __init__(self, name: str, source: str, input: str, shape: Shape) -> None:
        self.name, self.source, self.input = name, source, input
        self._shapes = {input: shape}
        self._same: dict[str, str] = {}  # other names of tensors
        self._flat: set[str] = set()
        self._made: dict[str, Node] = {}

    def known(self, tensor: str) -> bool:
        """Whether the tensor comes from the network's input."""
        return self._name(tensor) in self._shapes

    def shape(self, tensor: str) -> Shape:
        """Shape of a tensor."""
        return self._shapes[self._name(tensor)]

    def refuse(self, node: str, operator: str, why: str) -> InputError:
        """The error of a node that cannot be imported."""
        return InputError(f"{self.source}: node {node} ({operator}) cannot be imported: {why}")

    def alias(self, tensor: str, other: str) -> None:
        """``other`` is the same tensor."""
        self._same[other] = self._name(tensor)
        if tensor in self._flat:
            self._flat.add(other)

    def flatten(self, tensor: str, other: str) -> None:
        """``other`` is the tensor as one vector of features."""
        self.alias(tensor, other)
        self._flat.add(other)

    def is_flat(self, tensor: str) -> bool:
        """Whether the tensor is one vector of features."""
        return tensor in self._flat

    def reshape(self, node: str, operator: str, tensor: str, output: str, sizes: Sequence[int]) -> None:
        """A change of sizes (the batch first) that keeps the values in order.

        Raises:
            InputError: neither the same map nor one vector.
        """
        shape = self.shape(tensor)
        if list(sizes[1:]) == [shape.elements]:
            self.flatten(tensor, output)
        elif list(sizes[1:]) == [shape.channels, shape.height, shape.width]:
            if self._name(tensor) in self._flat:
                raise self.refuse(node, operator, "features cannot become a map again")
            self.alias(tensor, output)
            self._flat.discard(output)
        else:
            sizes_now, to = f"1 x {_sizes([shape])}", " x ".join(map(str, sizes))
            raise self.refuse(node, operator, f"{sizes_now} becomes {to}, allowed: one vector behind the batch")

    def layer(
        self, node: str, operator: str, tensor: str, output: str, layer: Layer, weights: Weights | None = None
    ) -> None:
        """A layer on one tensor.

        Raises:
            InputError: the layer or its weights do not fit the tensor, or the tensor was flattened.
        """
        if tensor in self._flat:
            if not isinstance(layer, Linear | Pointwise):
                raise self.refuse(node, operator, "its input was flattened")
            if isinstance(layer, Pointwise) and _tells_channels_apart(layer) and not self._is_vector(tensor):
                raise self.refuse(node, operator, "its input is a flattened map, allowed: a map or features")
            self._flat.add(output)
        elif isinstance(layer, Linear):
            raise self.refuse(node, operator, "its input is a map that was not flattened")
        self._add(node, operator, Node(node, (self._name(tensor),), output, layer, weights=weights or {}))

    def merge(
        self, node: str, operator: str, tensors: Sequence[str], output: str, combine: Literal["add", "concat"]
    ) -> None:
        """Tensors added, or put together by channels.

        Raises:
            InputError: they do not fit together.
        """
        for tensor in tensors:
            if not self.known(tensor):
                raise self.refuse(node, operator, f"{tensor} does not come from the network's input")
        shapes = [self.shape(tensor) for tensor in tensors]
        first = shapes[0]
        flat = [tensor in self._flat for tensor in tensors]
        if any(flat) and not (all(flat) and all(map(self._is_vector, tensors))):
            raise self.refuse(node, operator, "its inputs were flattened")
        if combine == "add" and any(shape != first for shape in shapes):
            raise self.refuse(node, operator, f"its inputs have the sizes {_sizes(shapes)}, allowed: the same for all")
        if any((shape.height, shape.width) != (first.height, first.width) for shape in shapes):
            raise self.refuse(node, operator, f"its inputs have the sizes {_sizes(shapes)}, allowed: one map size")
        if any(flat):
            self._flat.add(output)
        self._add(node, operator, Node(node, tuple(map(self._name, tensors)), output, None, combine))

    def _add(self, name: str, operator: str, node: Node) -> None:
        shapes = [self._shapes[tensor] for tensor in node.inputs]
        try:
            if node.layer is not None:
                shape = node.layer.out_shape(shapes[0])
            else:
                channels = sum(s.channels for s in shapes) if node.combine == "concat" else shapes[0].channels
                shape = Shape(channels, shapes[0].height, shapes[0].width)
        except ValueError as error:
            raise self.refuse(name, operator, str(error)) from None
        if node.layer is not None and not _fits(node.layer, shapes[0], node.weights):
            raise self.refuse(name, operator, f"its weights do not fit an input of {_sizes(shapes)}")
        self._shapes[node.output], self._made[node.output] = shape, node

    # What several importers say in the same words.

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

    def adaptive(self, node: str, operator: str, tensor: str, output: str, height: int, width: int) -> None:
        """An average to a map of some size.

        Raises:
            InputError: the input's size is no multiple of it.
        """
        shape = self.shape(tensor)
        if (height, width) == (shape.height, shape.width):
            self.alias(tensor, output)
        elif (height, width) == (1, 1):
            self.layer(node, operator, tensor, output, GlobalPool())
        elif shape.height % height or shape.width % width:
            raise self.refuse(node, operator, f"{height} x {width} does not divide the map of {_sizes([shape])}")
        else:
            size = (shape.height // height, shape.width // width)
            self.layer(node, operator, tensor, output, Pool(size, size, kind="avg"))

    def gate(self, node: str, operator: str, first: str, second: str, output: str) -> None:
        """A product of two tensors; x * sigmoid(x) and x * hardsigmoid(x) are activations.

        Raises:
            InputError: another product.
        """
        gates = {"sigmoid": "silu", "hardsigmoid": "hardswish"}
        for value, gate in ((first, second), (second, first)):
            made = self._made.get(self._name(gate))
            if made is None or made.inputs != (self._name(value),) or not isinstance(made.layer, Pointwise):
                continue
            if made.layer.activation in gates and not made.layer.norm:
                self.activation(node, operator, value, output, gates[made.layer.activation])
                return
        raise self.refuse(node, operator, "a product of two maps (a gate over channels, say) has no layer")

    def affine(
        self, node: str, operator: str, tensor: str, output: str, kind: str, value: np.ndarray, first: bool = False
    ) -> None:
        """A constant, one number or one a channel, added to a tensor, taken off it, or as its factor.

        Args:
            kind: add, sub, mul or div.
            first: whether the constant comes before the operator.

        Raises:
            InputError: another constant, or one that is divided.
        """
        channels, flat = self.shape(tensor).channels, self.is_flat(tensor)
        by_channel, expected = (value.shape[-1:], (channels,)) if flat else (value.shape[-3:], (channels, 1, 1))
        if value.size != 1 and (by_channel != expected or value.size != channels):
            why = f"a constant of the sizes {value.shape} has no layer, only one number a channel has"
            raise self.refuse(node, operator, why)
        values = np.broadcast_to(value.ravel(), (channels,)).astype(np.float32)
        if kind == "add" and self.biased(node, operator, tensor, output, values):
            return
        if kind == "div" and first:
            raise self.refuse(node, operator, "a constant divided by a map has no layer")
        ones, zeros = np.ones_like(values), np.zeros_like(values)
        scale, shift = {
            "add": (ones, values),
            "sub": (-ones, values) if first else (ones, -values),
            "mul": (values, zeros),
            "div": (1.0 / values if kind == "div" else ones, zeros),
        }[kind]
        weights = norm_weights(scale, shift, zeros, ones, 0.0)
        self.layer(node, operator, tensor, output, Pointwise(norm=True, activation="none"), weights)

    def biased(self, node: str, operator: str, tensor: str, output: str, bias: np.ndarray) -> bool:
        """Add a bias to a fully connected layer that has none; whether the tensor comes from one."""
        made = self._made.get(self._name(tensor))
        if made is None or not isinstance(made.layer, Linear) or made.layer.bias or made.layer.activation != "none":
            return False
        layer, weights = replace(made.layer, bias=True), {**made.weights, "linear.bias": bias}
        self._flat.add(output)
        self._add(node, operator, Node(f"{made.name} + {node}", made.inputs, output, layer, weights=weights))
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

    def finish(self, output: str) -> Graph:
        """The graph of what the output needs.

        Raises:
            InputError: the output does not come from the network's input.
        """
        if not self.known(output):
            raise InputError(f"{self.source}: output {output} does not depend on the input")
        needed, nodes = {self._name(output)}, list[Node]()
        for node in reversed(list(self._made.values())):
            if node.output in needed:
                nodes.append(node)
                needed.update(node.inputs)
        return Graph(
            self.name, self.source, self.input, self._shapes[self.input], self._name(output), tuple(reversed(nodes))
        )

    def _name(self, tensor: str) -> str:
        return self._same.get(tensor, tensor)

    def _is_vector(self, tensor: str) -> bool:
        """Whether every value of a tensor is a channel of its own."""
        shape = self.shape(tensor)
        return shape.elements == shape.channels


def norm_weights(
    scale: np.ndarray | None, shift: np.ndarray | None, mean: np.ndarray, variance: np.ndarray, eps: float
) -> Weights:
    """The weights of a batch norm; without scale or shift it has ones and zeros."""
    return {
        "norm.weight": np.ones_like(mean) if scale is None else scale,
        "norm.bias": np.zeros_like(mean) if shift is None else shift,
        "norm.running_mean": mean,
        "norm.running_var": variance,
        "norm.eps": np.array(eps),
    }


def _tells_channels_apart(layer: Pointwise) -> bool:
    return layer.norm or layer.activation in ("softmax", "log_softmax")


def _fits(layer: Layer, shape: Shape, weights: Weights) -> bool:
    """Whether there are as many weights as the layer has; a norm has its statistics besides."""
    expected = layer.params(shape) * (2 if isinstance(layer, Pointwise) else 1)
    return not weights or sum(value.size for name, value in weights.items() if name != "norm.eps") == expected


def _sizes(shapes: Sequence[Shape]) -> str:
    return ", ".join(f"{s.channels} x {s.height} x {s.width}" for s in shapes)
