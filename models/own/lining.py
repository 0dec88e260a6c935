"""A graph of layers as a chain of units: branches that stay close together are blocks, what skips far is saved.

Branches become a block if they nest, are short, do not leave the height of both their ends, and no layer in their
middle reads every row: everything else is laid out one unit behind another, so that it can be cut there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..blocks import Block, Combine, merge_kernel, reads_all_rows
from ..chain import MAIN, Join, Unit
from ..layers import Conv, Conv3d, ConvTranspose, Layer, Linear, Pointwise, Pool, Shape
from ..programs import Program
from ..remaps import DepthToSpace, Pad, Reorg, Resize, Slice
from .folding import Folding, Link, NotNested, nested_concats, together
from .graph import Graph, Kernel, Node

LONGEST = 16  # kernels one behind another in a block
NOTHING = Slice()  # takes a tensor as it is; costs nothing


@dataclass
class Draft:
    """A unit to be.

    Attributes:
        output: its tensor.
        sources: tensors that go into it, each with its layers.
        combine: how; None for a single one.
        links: behind that.
        head: on its output.
    """

    output: str
    sources: list[tuple[str, list[Link]]]
    combine: Combine | None = None
    merge: Kernel | None = None
    links: list[Link] = field(default_factory=list)
    head: list[Link] = field(default_factory=list)


@dataclass(frozen=True)
class Lined:
    """A chain of units, the weights of its kernels, and where the graph's outputs are.

    Attributes:
        kernels: in the order of ``Model.kernels``.
        main: outputs that are the last map, by channels one behind another.
        heads: the same of every unit's head.
    """

    units: tuple[Unit, ...]
    kernels: tuple[Kernel, ...]
    main: tuple[str, ...]
    heads: Mapping[int, tuple[str, ...]]


def lined(graph: Graph) -> Lined:
    """A graph as a chain of units."""
    return _Lining(graph).result()


class _Lining:
    def __init__(self, graph: Graph) -> None:
        self.input, self.shapes = graph.input, dict(graph.shapes)
        self.nodes = [_unflattened(node, self.shapes) for node in nested_concats(graph.nodes)]
        self.outputs = list(graph.outputs)
        self.groups = self._grouped()
        self._fuse()
        self._contract()
        self._fuse()

    # Outputs.

    def _grouped(self) -> dict[str, tuple[str, ...]]:
        """Outputs by the tensor that stands for them: those of one size, from one map, are one by channels."""
        by_size: dict[tuple[int, int], list[str]] = {}
        for tensor in self.outputs:
            by_size.setdefault((self.shapes[tensor].height, self.shapes[tensor].width), []).append(tensor)
        found: dict[str, tuple[str, ...]] = {}
        for tensors in by_size.values():
            if len(tensors) > 1 and self._from_one(tensors):
                shape = self.shapes[tensors[0]]
                output = f"{tensors[-1]}:all"
                channels = sum(self.shapes[t].folded_channels for t in tensors)
                self.shapes[output] = Shape(channels, shape.height, shape.width)
                self.nodes.append(Node(self._name_of(tensors[-1]), tuple(tensors), output, None, "concat"))
                found[output] = tuple(tensors)
            else:
                found |= {tensor: (tensor,) for tensor in tensors}
        place = {node.output: i for i, node in enumerate(self.nodes)}
        last_made = {o: max(place.get(t, -1) for t in tensors) for o, tensors in found.items()}
        return dict(sorted(found.items(), key=lambda item: last_made[item[0]]))

    def _name_of(self, tensor: str) -> str:
        return next((node.name for node in self.nodes if node.output == tensor), tensor)

    def _from_one(self, tensors: Sequence[str]) -> bool:
        """Whether these outputs begin at one tensor, and nothing else reads what lies between."""
        entry = self._entry(tensors)
        if entry is None or entry in tensors:
            return False
        graph = Graph("", "", self.input, self.shapes[self.input], (), tuple(self.nodes), self.shapes)
        folding = Folding(graph)
        inside = {node.output for tensor in tensors for node in folding.between(entry, tensor)}
        readers, others = self._readers(), set(self.outputs) - set(tensors)
        outside = any(reader.output not in inside for tensor in inside for reader in readers.get(tensor, ()))
        return not outside and not inside & others

    # Nodes that become one.

    def _readers(self) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for tensor in node.inputs:
                found.setdefault(tensor, []).append(node)
        return found

    def _fuse(self) -> None:
        """Draw norms, activations and borders into the layer that nothing else reads."""
        readers, wanted = self._readers(), set(self.groups)
        makers: dict[str, Node] = {}
        for node in self.nodes:
            before = makers.get(node.inputs[0])
            if node.layer is not None and before is not None and before.layer is not None:
                alone = len(readers[before.output]) == 1 and before.output not in wanted
                both = together(Link(before.layer, before.kernels), Link(node.layer, node.kernels)) if alone else None
                if both is not None:
                    del makers[before.output]
                    node = replace(node, inputs=before.inputs, layer=both.layer, kernels=both.kernels)
            makers[node.output] = node
        self.nodes = list(makers.values())

    def _contract(self) -> None:
        """Make blocks of branches that stay close together, the innermost first."""
        for merge in [node for node in self.nodes if node.layer is None]:
            self._contract_one(merge.output)

    def _contract_one(self, output: str) -> None:
        graph = Graph("", "", self.input, self.shapes[self.input], (), tuple(self.nodes), self.shapes)
        folding = Folding(graph)
        merge = folding.maker[output]
        entry = self._entry(merge.inputs)
        if entry is None:
            return
        region = folding.between(entry, output)
        inside = {node.output for node in region}
        if not self._stays_close(entry, region, inside):
            return
        try:
            links = folding.chain(entry, output)
        except NotNested:
            return
        if len(links) != 1 or _longest((links[0].layer,)) > LONGEST:
            return
        block = replace(merge, inputs=(entry,), layer=links[0].layer, kernels=links[0].kernels)
        self.nodes = [block if node.output == output else node for node in self.nodes
                      if node.output == output or node.output not in inside]  # fmt: skip

    def _entry(self, tensors: Sequence[str]) -> str | None:
        """The nearest tensor that every path to these leads through."""
        makers = {node.output: node for node in self.nodes}
        frontier = set(tensors)
        place = {tensor: i for i, tensor in enumerate([self.input, *makers])}
        while len(frontier) > 1:
            last = max(frontier, key=place.__getitem__)
            if last == self.input:
                return None
            frontier.remove(last)
            frontier.update(makers[last].inputs)
        (entry,) = frontier
        return entry

    def _stays_close(self, entry: str, region: Sequence[Node], inside: set[str]) -> bool:
        """Whether nothing outside reads what lies inside, heights do not go down and up, and none but the first layer
        of a branch reads every row."""
        output = region[-1].output
        readers, wanted = self._readers(), set(self.groups)
        for node in region[:-1]:
            if node.output in wanted or any(reader.output not in inside for reader in readers[node.output]):
                return False
        ends = min(self.shapes[entry].height, self.shapes[output].height)
        for node in region:
            height = self.shapes[node.output].height
            if 1 < height < ends and not isinstance(node.layer, Block):
                return False
            if node.layer is not None and reads_all_rows(node.layer) and node.inputs != (entry,):
                return False
        return True

    # Units.

    def result(self) -> Lined:
        heads = self._heads()
        drafts = self._drafts(set(heads))
        by_output = {draft.output: draft for draft in drafts}
        for entry, links in heads.values():
            by_output[entry].head = list(links)
        for output in list(self.groups)[:-1]:
            if output not in heads and by_output[output] is not drafts[-1]:
                by_output[output].head = [Link(NOTHING, (Kernel({}, (self._name_of(output),)),))]
        return self._as_units(drafts, {output: entry for output, (entry, _) in heads.items()})

    def _heads(self) -> dict[str, tuple[str, tuple[Link, ...]]]:
        """Outputs that a chain of layers leads to from a tensor of the trunk, at most one from each, and the chains."""
        graph = Graph("", "", self.input, self.shapes[self.input], (), tuple(self.nodes), self.shapes)
        makers = {node.output: node for node in self.nodes}
        found: dict[str, tuple[str, tuple[Link, ...]]] = {}
        taken: set[str] = set()
        trunk = set(self.groups)
        for output in list(self.groups)[:-1]:
            alone = self._only_for(output, trunk)
            entries = {t for tensor in alone for t in makers[tensor].inputs if t not in alone}
            if len(entries) != 1:
                continue
            (entry,) = entries
            if entry in taken or entry == self.input or entry in self.groups:
                continue
            try:
                links = Folding(graph).chain(entry, output)
            except NotNested:
                continue
            taken.add(entry)
            found[output] = entry, links
            self.nodes = [node for node in self.nodes if node.output not in alone]
        return found

    def _only_for(self, output: str, outputs: set[str]) -> set[str]:
        """Outputs of nodes that lead to one output alone."""
        others: set[str] = outputs - {output}
        found: set[str] = set()
        reached = {output}
        for node in reversed(self.nodes):
            if node.output in others:
                others.update(node.inputs)
            if node.output in reached:
                found.add(node.output)
                reached.update(node.inputs)
        return found - others

    def _drafts(self, apart: set[str]) -> list[Draft]:
        readers = self._readers()
        wanted = set(self.groups) - apart
        drafts: list[Draft] = []
        for node in self._ordered():
            draft = self._draft(node)
            last = drafts[-1] if drafts else None
            if last is not None and self._continues(last, draft, readers, wanted):
                drafts[-1] = replace(draft, sources=last.sources, combine=last.combine, merge=last.merge,
                                     links=[*last.links, *draft.links])  # fmt: skip
            elif last is not None and self._leads_into(last, draft, readers, wanted):
                drafts[-1] = replace(draft, sources=[
                    (last.sources[0][0], last.links) if tensor == last.output else (tensor, links)
                    for tensor, links in draft.sources
                ])  # fmt: skip
            else:
                drafts.append(draft)
        return drafts if drafts else []

    def _draft(self, node: Node) -> Draft:
        if node.layer is not None:
            return Draft(node.output, [(node.inputs[0], [])], links=[Link(node.layer, node.kernels)])
        kernel = merge_kernel(node.combine, [self.shapes[t] for t in node.inputs])
        merge = None if kernel is None else Kernel({}, (node.name,))
        return Draft(node.output, [(tensor, []) for tensor in node.inputs], node.combine, merge)

    def _continues(self, last: Draft, draft: Draft, readers: Mapping[str, Sequence[Node]], wanted: set[str]) -> bool:
        """Whether a layer belongs to the unit in front of it: behind a bare merge, a border, or as its activation."""
        if draft.combine is not None or draft.sources[0][0] != last.output or last.output in wanted:
            return False
        if len(readers.get(last.output, ())) > 1:
            return False
        bare = last.combine is not None and not last.links
        border = bool(last.links) and isinstance(last.links[-1].layer, Pad)
        layer = draft.links[0].layer
        glued = isinstance(layer, Pointwise) and not layer.norm and last.combine is not None
        return bare or border or glued

    def _leads_into(self, last: Draft, draft: Draft, readers: Mapping[str, Sequence[Node]], wanted: set[str]) -> bool:
        """Whether the layer in front of a sum that several read belongs to the sum's unit."""
        if draft.combine is None or last.combine is not None or last.output in wanted:
            return False
        if sum(tensor == last.output for tensor, _ in draft.sources) != 1:
            return False
        several = len(readers.get(draft.output, ())) > 1 or draft.output in wanted
        return several and len(readers.get(last.output, ())) == 1 and not reads_all_rows(last.links[-1].layer)

    def _ordered(self) -> list[Node]:
        """The nodes so that each follows what it reads as closely as possible; those for the last output alone come
        last."""
        waiting = {node.output: {t for t in node.inputs if t != self.input} for node in self.nodes}
        nodes = {node.output: node for node in self.nodes}
        last = self._only_for(list(self.groups)[-1], set(self.groups))
        readers, order = self._readers(), list[Node]()
        ready = [output for output, before in waiting.items() if not before]
        while ready:
            first = [output for output in ready if output not in last] or ready
            behind = [output for output in first if order and order[-1].output in nodes[output].inputs]
            output = (behind[-1:] or first)[0]
            ready.remove(output)
            order.append(nodes[output])
            for reader in readers.get(output, ()):
                before = waiting[reader.output]
                if output in before:
                    before.discard(output)
                    ready += [reader.output] if not before else []
        return order

    def _as_units(self, drafts: list[Draft], heads: Mapping[str, str]) -> Lined:
        names = unit_names([_naming_layer(draft) for draft in drafts])
        place = {draft.output: i for i, draft in enumerate(drafts)}
        place[self.input] = -1
        saved = self._saved(drafts, place)
        if -1 in saved:  # the image is read further behind: a unit that hands it on
            image = Draft(self.input, [(self.input, [])], links=[Link(NOTHING, (Kernel({}, ("input",)),))])
            return self._as_units_of([image, *drafts], heads)
        units, kernels = list[Unit](), list[Kernel]()
        for i, (draft, name) in enumerate(zip(drafts, names, strict=True)):
            unit, own = self._unit(draft, name, i, place, names, saved)
            units.append(unit)
            kernels += own
        by_unit: dict[int, tuple[str, ...]] = {}
        outputs = list(self.groups)
        for output in outputs[:-1]:
            by_unit[place[heads.get(output, output)]] = self.groups[output]
        return Lined(tuple(units), tuple(kernels), self.groups[outputs[-1]], by_unit)

    def _as_units_of(self, drafts: list[Draft], heads: Mapping[str, str]) -> Lined:
        before, self.input = self.input, ":image"
        drafts[0].sources = [(":image", [])]
        self.shapes[":image"] = self.shapes[before]
        return self._as_units(drafts, heads)

    def _saved(self, drafts: Sequence[Draft], place: Mapping[str, int]) -> set[int]:
        """Units whose output a unit reads that does not follow it."""
        return {
            place[tensor] for i, draft in enumerate(drafts) for tensor, _ in draft.sources if place[tensor] != i - 1
        }

    def _unit(
        self, draft: Draft, name: str, index: int, place: Mapping[str, int], names: Sequence[str], saved: set[int]
    ) -> tuple[Unit, list[Kernel]]:
        """A unit and its kernels, in the order of ``Model.kernels``."""
        joins = tuple(
            Join(MAIN if place[tensor] == index - 1 else names[place[tensor]], tuple(link.layer for link in links))
            for tensor, links in draft.sources
        )
        plain = draft.combine is None and joins == (Join(MAIN),)
        kernels = [kernel for _, links in draft.sources for link in links for kernel in link.kernels]
        kernels += [draft.merge] if draft.merge is not None else []
        kernels += [kernel for link in (*draft.links, *draft.head) for kernel in link.kernels]
        unit = Unit(
            name, tuple(link.layer for link in draft.links), () if plain else joins,
            name if index in saved else None, tuple(link.layer for link in draft.head),
            None if plain else draft.combine or "concat",
        )  # fmt: skip
        return unit, kernels


def _unflattened(node: Node, shapes: dict[str, Shape]) -> Node:
    """A fully connected layer in the middle is a 1 x 1 convolution of a map of one position."""
    if not isinstance(node.layer, Linear) or shapes[node.inputs[0]].height * shapes[node.inputs[0]].width > 1:
        return node
    weights = dict(node.weights)
    kernel = {"conv.weight": weights["linear.weight"][:, :, None, None]}
    if "linear.bias" in weights:
        kernel["conv.bias"] = weights["linear.bias"]
    layer = Conv(1, out_channels=node.layer.out_features, bias=node.layer.bias, activation=node.layer.activation)
    return replace(node, layer=layer, kernels=(Kernel(kernel, node.kernels[0].nodes),))


def _longest(layers: Sequence[Layer]) -> int:
    """Kernels one behind another in a chain."""
    total = 0
    for layer in layers:
        total += max(map(_longest, layer.branches)) if isinstance(layer, Block) else 1
    return total


def _naming_layer(draft: Draft) -> Layer | None:
    inside = [link.layer for link in draft.links] or [link.layer for _, links in draft.sources for link in links]
    return inside[-1] if inside else None


def unit_names(layers: Sequence[Layer | None]) -> list[str]:
    """conv1, conv2, pool1, block1, ...: every kind counted by itself."""
    kinds: dict[type, str] = {
        Conv: "conv", Conv3d: "conv", ConvTranspose: "up", Pool: "pool", Block: "block", Reorg: "reorg",
        Resize: "resize", DepthToSpace: "shuffle", Program: "program",
    }  # fmt: skip
    counts: dict[str, int] = {}
    names: list[str] = []
    for layer in layers:
        kind = "join" if layer is None else kinds.get(type(layer), "map")
        if isinstance(layer, Block) and layer.combine == "mul":
            kind = "gate"
        counts[kind] = counts.get(kind, 0) + 1
        names.append(f"{kind}{counts[kind]}")
    return names
