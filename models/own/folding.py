"""From a graph of layers to a chain: branches fold into the smallest blocks that leave one tensor between units.

A tensor is a cut point between an entry and an exit if every path between them leads through it. Between two
neighbouring cut points there is either one layer, or branches that a merge brings together; the same rule applies to
every branch. Branches that share nodes form a merge of their own, and what cannot be nested like that is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ...ui.errors import InputError
from ..blocks import Block
from ..layers import Conv, Conv3d, ConvTranspose, Layer, Linear, Pointwise
from ..remaps import Pad
from .graph import Graph, Node, Weights


@dataclass(frozen=True)
class Kernel:
    """One kernel to be: its weights and the nodes that were fused into it."""

    weights: Weights
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Link:
    """One layer of a chain, a block perhaps, with its kernels in the order of :func:`..layers.leaves`."""

    layer: Layer
    kernels: tuple[Kernel, ...]


def fold(graph: Graph) -> tuple[Link, ...]:
    """The graph as a chain.

    Raises:
        InputError: branches that cannot be nested.
    """
    return _Folding(graph).chain(graph.input, graph.output)


class _Folding:
    def __init__(self, graph: Graph) -> None:
        self.source = graph.source
        self.nodes = list(_nested_concats(graph.nodes))
        self.maker = {node.output: node for node in self.nodes}

    def chain(self, entry: str, exit: str) -> tuple[Link, ...]:
        """The layers between two tensors."""
        points = self._cut_points(entry, exit)
        return tuple(_fused([self._link(first, second) for first, second in pairwise(points)]))

    def _between(self, entry: str, exit: str) -> list[Node]:
        """The nodes on paths from entry to exit, in order."""
        wanted, found = {exit}, list[Node]()
        for node in reversed(self.nodes):
            if node.output in wanted and node.output != entry:
                found.append(node)
                wanted.update(node.inputs)
        return found[::-1]

    def _cut_points(self, entry: str, exit: str) -> list[str]:
        """Entry, every tensor that all paths lead through, exit."""
        nodes = self._between(entry, exit)
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
            return Link(node.layer, (Kernel(node.weights, (node.name,)),))
        groups = self._groups(entry, node)
        if len(groups) == 1 and len(groups[0]) > 1:
            raise InputError(
                f"{self.source}: the branches that meet at node {node.name} share layers in a way that no nesting of "
                "blocks has; only branches side by side and within each other can be imported"
            )
        branches = [self._branch(entry, node, group) for group in groups]
        layer = Block(tuple(tuple(link.layer for link in branch) for branch in branches), node.combine)
        return Link(layer, tuple(kernel for branch in branches for link in branch for kernel in link.kernels))

    def _branch(self, entry: str, node: Node, group: Sequence[int]) -> tuple[Link, ...]:
        """The layers in front of some inputs of a merge; several that share layers are merged first."""
        inputs = tuple(node.inputs[i] for i in group)
        if len(inputs) == 1:
            return self.chain(entry, inputs[0])
        inner = replace(node, inputs=inputs, output=f"{node.output}:{group[0]}")
        self.nodes.insert(self.nodes.index(node), inner)
        self.maker[inner.output] = inner
        return self.chain(entry, inner.output)

    def _groups(self, entry: str, merge: Node) -> list[list[int]]:
        """The inputs of a merge, those that share nodes together."""
        before = [{node.output for node in self._between(entry, tensor)} for tensor in merge.inputs]
        groups: list[list[int]] = []
        for i, made in enumerate(before):
            sharing = [group for group in groups if any(before[j] & made for j in group)]
            groups = [group for group in groups if group not in sharing]
            groups.append(sorted([i, *(j for group in sharing for j in group)]))
        groups.sort()
        if merge.combine == "concat" and [i for group in groups for i in group] != list(range(len(before))):
            raise InputError(
                f"{self.source}: node {merge.name} puts channels of branches that share layers between others; "
                "only neighbours may share layers"
            )
        return groups


def _nested_concats(nodes: Sequence[Node]) -> Iterator[Node]:
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


def _fused(links: Sequence[Link]) -> Iterator[Link]:
    """A chain with norms, activations and borders drawn into the layers that they follow or precede."""
    done: list[Link] = []
    for link in links:
        if done and (layer := _together(done[-1].layer, link.layer)) is not None:
            done[-1] = _merged(layer, done[-1], link)
        else:
            done.append(link)
    yield from done


def _together(first: Layer, second: Layer) -> Layer | None:
    """Both as one layer, None where they stay apart."""
    if isinstance(second, Pointwise):
        if isinstance(first, Conv | Conv3d | ConvTranspose | Pointwise):
            if first.activation != "none" or (first.norm and second.norm):
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


def _merged(layer: Layer, first: Link, second: Link) -> Link:
    if isinstance(layer, Block):  # an activation behind a merge is no kernel
        return Link(layer, first.kernels)
    (a,), (b,) = first.kernels, second.kernels
    return Link(layer, (Kernel({**a.weights, **b.weights}, (*a.nodes, *b.nodes)),))
