"""Branches of a graph as blocks: the smallest pieces that leave one tensor between them.

A tensor is a cut point between an entry and an exit if every path between them leads through it. Between two
neighbouring cut points there is either one layer, or branches that a merge brings together; the same rule applies to
every branch. Branches that share nodes form a merge of their own; what cannot be nested like that is no block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ..blocks import Block, merge_kernel
from ..layers import Conv, Conv3d, ConvTranspose, Layer, Linear, Pointwise
from ..remaps import Pad
from .graph import Graph, Kernel, Node, Weights, norm_weights


class NotNested(Exception):
    """Branches share layers in a way that no nesting of blocks has."""


@dataclass(frozen=True)
class Link:
    """One layer of a chain, a block perhaps, with its kernels in the order of :func:`..blocks.leaves`."""

    layer: Layer
    kernels: tuple[Kernel, ...]


class Folding:
    """Folds parts of a graph.

    Args:
        graph: its nodes are folded as they are; nodes that are blocks already stay so.
    """

    def __init__(self, graph: Graph) -> None:
        self.shapes = dict(graph.shapes)
        self.nodes = list(graph.nodes)
        self.maker = {node.output: node for node in self.nodes}

    def chain(self, entry: str, exit: str) -> tuple[Link, ...]:
        """The layers between two tensors.

        Raises:
            NotNested: they are no chain of blocks.
        """
        points = self._cut_points(entry, exit)
        return tuple(fused([self._link(first, second) for first, second in pairwise(points)]))

    def between(self, entry: str, exit: str) -> list[Node]:
        """The nodes on paths from entry to exit, in order."""
        wanted, found = {exit}, list[Node]()
        for node in reversed(self.nodes):
            if node.output in wanted and node.output != entry:
                found.append(node)
                wanted.update(node.inputs)
        return found[::-1]

    def _cut_points(self, entry: str, exit: str) -> list[str]:
        """Entry, every tensor that all paths lead through, exit."""
        nodes = self.between(entry, exit)
        readers: dict[str, int] = {}
        for node in nodes:
            for tensor in node.inputs:
                readers[tensor] = readers.get(tensor, 0) + 1
        points, live = [entry], {entry}
        for node in nodes:
            for tensor in node.inputs:
                readers[tensor] -= 1
                if not readers[tensor]:
                    live.discard(tensor)
            live.add(node.output)
            if live == {node.output}:
                points.append(node.output)
        return points

    def _link(self, entry: str, exit: str) -> Link:
        """What lies between two neighbouring cut points."""
        node = self.maker[exit]
        if node.layer is not None:
            if node.inputs != (entry,):
                raise NotNested
            return Link(node.layer, node.kernels)
        groups = self._groups(entry, node)
        if len(groups) == 1 and len(groups[0]) > 1:
            raise NotNested
        branches = [self._branch(entry, node, group) for group in groups]
        layer = Block(tuple(tuple(link.layer for link in branch) for branch in branches), node.combine)
        kernels = [kernel for branch in branches for link in branch for kernel in link.kernels]
        outs = [self.shapes[self._joined(node, group)] for group in groups]
        if merge_kernel(node.combine, outs) is not None:
            kernels.append(Kernel({}, (node.name,)))
        return Link(layer, tuple(kernels))

    @staticmethod
    def _joined(node: Node, group: Sequence[int]) -> str:
        return node.inputs[group[0]] if len(group) == 1 else f"{node.output}:{group[0]}"

    def _branch(self, entry: str, node: Node, group: Sequence[int]) -> tuple[Link, ...]:
        """The layers in front of some inputs of a merge; several that share layers are merged first."""
        inputs = tuple(node.inputs[i] for i in group)
        if len(inputs) == 1:
            return self.chain(entry, inputs[0])
        if node.combine not in ("add", "concat"):
            raise NotNested
        inner = replace(node, inputs=inputs, output=self._joined(node, group))
        shape = self.shapes[inputs[0]]
        channels = sum(self.shapes[t].folded_channels for t in inputs) if node.combine == "concat" else shape.channels
        self.shapes[inner.output] = replace(shape, channels=channels)
        self.nodes.insert(self.nodes.index(node), inner)
        self.maker[inner.output] = inner
        return self.chain(entry, inner.output)

    def _groups(self, entry: str, merge: Node) -> list[list[int]]:
        """The inputs of a merge, those that share nodes together."""
        before = [{node.output for node in self.between(entry, tensor)} for tensor in merge.inputs]
        groups: list[list[int]] = []
        for i, made in enumerate(before):
            sharing = [group for group in groups if any(before[j] & made for j in group)]
            groups = [group for group in groups if group not in sharing]
            groups.append(sorted([i, *(j for group in sharing for j in group)]))
        groups.sort()
        if merge.combine != "add" and [i for group in groups for i in group] != list(range(len(before))):
            raise NotNested
        return groups


def nested_concats(nodes: Sequence[Node]) -> Iterator[Node]:
    """A concatenation that begins like an earlier one takes up that one (DenseNet's growing maps)."""
    seen: list[Node] = []
    for node in nodes:
        if node.layer is None and node.combine == "concat":
            begun = [c for c in seen if len(c.inputs) < len(node.inputs) and node.inputs[: len(c.inputs)] == c.inputs]
            seen.append(node)
            if begun:
                longest = max(begun, key=lambda c: len(c.inputs))
                node = replace(node, inputs=(longest.output, *node.inputs[len(longest.inputs) :]))
        yield node


def fused(links: Sequence[Link]) -> Iterator[Link]:
    """A chain with norms, activations and borders drawn into the layers that they follow or precede."""
    done: list[Link] = []
    for link in links:
        if done and (both := together(done[-1], link)) is not None:
            done[-1] = both
        else:
            done.append(link)
    yield from done


def together(first: Link, second: Link) -> Link | None:
    """Both as one layer, None where they stay apart."""
    layer = _as_one(first.layer, second.layer)
    if layer is None:
        return None
    if isinstance(layer, Block):  # an activation behind a merge is no kernel
        return Link(layer, first.kernels)
    (a,), (b,) = first.kernels, second.kernels
    weights = {**a.weights, **b.weights}
    if "norm.weight" in a.weights and "norm.weight" in b.weights:
        (scale, shift), (more, then) = _scale_and_shift(a.weights), _scale_and_shift(b.weights)
        zeros, ones = np.zeros_like(scale), np.ones_like(scale)
        weights |= norm_weights(scale * more, shift * more + then, zeros, ones, 0.0)
    return Link(layer, (Kernel(weights, (*a.nodes, *b.nodes)),))


def _scale_and_shift(weights: Weights) -> tuple[np.ndarray, np.ndarray]:
    """A norm as a factor and a sum."""
    scale = weights["norm.weight"] / np.sqrt(weights["norm.running_var"].astype(np.float64) + weights["norm.eps"])
    return scale, weights["norm.bias"] - weights["norm.running_mean"] * scale


def _as_one(first: Layer, second: Layer) -> Layer | None:
    if isinstance(second, Pointwise):
        if isinstance(first, Conv | Conv3d | ConvTranspose | Pointwise):
            if first.activation != "none":
                return None
            return replace(first, norm=first.norm or second.norm, activation=second.activation)
        if isinstance(first, Linear | Block) and first.activation == "none" and not second.norm:
            return replace(first, activation=second.activation)
    if isinstance(first, Pad) and isinstance(second, Conv) and _is_padding(first) and second.padding == (0, 0):
        return replace(second, padding=(first.top, first.left))
    return None


def _is_padding(pad: Pad) -> bool:
    """Whether a convolution can bring this border itself."""
    return pad.value == 0.0 and (pad.top, pad.left) == (pad.bottom, pad.right)
