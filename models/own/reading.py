"""From the nodes of an ONNX file to a graph of layers and what is left of it for the tail.

A node becomes a layer where one is for it. The others stay *loose*; where a map comes out of loose nodes again, they
are one layer together: a shuffle, or a program, which reads every row (attention). What is loose at the end, and
whatever has no rows left to split, is the tail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...ui.errors import InputError
from ..blocks import reads_all_rows
from ..layers import Shape
from .call import Call
from .folding import Folding, Link, NotNested
from .graph import Graph, GraphBuilder, Kernel, Node
from .movement import PLACES, placed
from .onnx_nodes import OnnxNet, OnnxNode, known_sizes
from .onnx_operators import HANDLERS, MAP_OPERATORS
from .patterns import recognised
from .program_nodes import Entry, NoProgram, elementwise_of, is_elementwise, program_of, refusal
from .refusals import NodeRefused
from .values import COMBINES

# Operators whose output has as many values as what they look for is found.
_BY_VALUES = ("NonZero", "NonMaxSuppression", "Unique", "Compress", "If", "Loop", "Scan")


@dataclass(frozen=True)
class Result:
    """An output of the network.

    Attributes:
        name: the file's.
        sizes: the file's.
        axes: how they lie in a map; f, or no letters, where the values are in order anyway.
        tensor: the map's in the graph; empty where the tail gives it.
    """

    name: str
    sizes: tuple[int, ...]
    axes: str
    tensor: str


@dataclass(frozen=True)
class Reading:
    """A network as it was read.

    Attributes:
        front: layers that can be split by height; its outputs go to the tail, or leave the network.
        tail: layers behind the front's only output, or a program behind all of them.
        read: the front's outputs in the order in which a program reads them.
        results: outputs, in the file's order.
        why: what node the tail begins at, and why.
        notes: what a user should know.
    """

    front: Graph
    tail: tuple[Link, ...]
    read: tuple[str, ...]
    results: tuple[Result, ...]
    why: str
    notes: tuple[str, ...]


def read_graph(net: OnnxNet, name: str, outputs: Sequence[str] = ()) -> Reading:
    """The graph of a network.

    Args:
        net: the file's nodes.
        name: of the model.
        outputs: names of those that are wanted, by default all.

    Raises:
        InputError: an unknown output, or a node that neither a layer nor a program is for.
    """
    reader = _Reader(net, name)
    return reader.read(reader.wanted(outputs))


class _Reader:
    def __init__(self, net: OnnxNet, name: str) -> None:
        self.net = net
        self.out = GraphBuilder(name, net.source, net.input, net.shape, net.axes)
        self.maker = {tensor: node for node in net.nodes for tensor in node.outputs if tensor}
        self.order = {id(node): i for i, node in enumerate(net.nodes)}
        self.reasons: dict[str, str] = {}  # of loose nodes, by their first output
        self.notes = net.notes

    def wanted(self, names: Sequence[str]) -> list[str]:
        """Outputs by name; any tensor of the file may be one."""
        for name in names:
            if name not in self.maker:
                known = ", ".join(self.net.outputs)
                raise InputError(f"{self.net.source}: no output {name!r}, allowed: {known}, or another tensor's name")
        return list(dict.fromkeys(names or self.net.outputs))

    def read(self, outputs: list[str]) -> Reading:
        outputs = self._of_known_size(outputs)
        for node in self._needed(outputs):
            self._take(node)
        for tensor in outputs:
            if tensor in self.maker and not self.out.known(tensor):
                self._as_map(tensor, places_alone=True)
        for tensor in outputs:
            if not self.out.known(tensor) and tensor not in self.maker:
                raise InputError(f"{self.net.source}: output {tensor} does not depend on the input")
        return _Parting(self, outputs).reading()

    def _needed(self, outputs: Sequence[str]) -> list[OnnxNode]:
        """The nodes that outputs depend on: a head that was cut off may have left its nodes."""
        needed, found = set(outputs), list[OnnxNode]()
        for node in reversed(self.net.nodes):
            if needed.intersection(node.outputs):
                found.append(node)
                needed.update(node.inputs)
        return found[::-1]

    def _of_known_size(self, outputs: list[str]) -> list[str]:
        """Outputs whose size does not depend on the image; others are followed back to where it begins to."""
        open_nodes = dict[int, OnnxNode]()
        nodes = self._needed(outputs)
        read = {tensor for node in nodes for tensor in node.inputs} | set(outputs)
        for node in nodes:
            inherits = any(id(self.maker[t]) in open_nodes for t in node.inputs if t in self.maker)
            if inherits or any(known_sizes(self.net, tensor) is None for tensor in node.outputs if tensor in read):
                open_nodes[id(node)] = node
        kept = [t for t in outputs if t not in self.maker or id(self.maker[t]) not in open_nodes]
        if len(kept) == len(outputs):
            return outputs
        first = next(iter(open_nodes.values()))
        if "." in first.operator or not _is_onnx(first.operator):
            why = f"{first.operator} is no operator of ONNX"
            raise refusal(self.net, NoProgram(first, why), "")
        edge = [
            tensor
            for node in open_nodes.values()
            for tensor in node.inputs
            if tensor in self.maker and id(self.maker[tensor]) not in open_nodes
        ]
        lost = ", ".join(tensor for tensor in outputs if tensor not in kept)
        if not self._by_values(first):
            raise refusal(self.net, NoProgram(first, "its output has no size that can be told beforehand"), "")
        self.notes.append(
            f"output {lost} has a size that depends on the image from node {first.name} ({first.operator}) on: "
            f"read up to {', '.join(dict.fromkeys(edge)) or 'there'}"
        )
        return list(dict.fromkeys([*kept, *edge]))

    def _by_values(self, node: OnnxNode) -> bool:
        """Whether the size of a node's output depends on values: by its nature, or by another input than the first."""
        others = (t for t in node.inputs[1:] if t and t not in self.net.constants)
        return node.operator in _BY_VALUES or any(True for _ in others)

    def _take(self, node: OnnxNode) -> None:
        dynamic = [tensor for tensor in node.inputs if tensor and tensor not in self.net.constants]
        self._close(node, dynamic)
        first = next(filter(None, node.outputs), "")
        handler = HANDLERS.get(node.operator)
        if handler is None:
            self.reasons[first] = f"the operator {node.operator} has no layer"
        elif not dynamic:
            self.reasons[first] = "it computes a constant that cannot be computed here"
        elif all(map(self.out.known, dynamic)):
            self._handle(node, first)
        else:
            self.reasons[first] = next((self.reasons[t] for t in dynamic if t in self.reasons), "")

    def _handle(self, node: OnnxNode, first: str) -> None:
        try:
            HANDLERS[node.operator](Call(self.out, self.net, node))
            for tensor in filter(None, node.outputs[: 1 if node.operator != "Split" else None]):
                self._check(node, tensor)
            return
        except NodeRefused as error:
            self.reasons[first] = error.why
        except (LookupError, TypeError, ValueError) as error:  # onnx does not check attributes when it loads
            cause = " ".join(f"{type(error).__name__}: {error}".split())
            self.reasons[first] = f"its inputs or attributes are not the operator's ({cause})"
        for tensor in node.outputs:
            self.out.forget(tensor)

    def _check(self, node: OnnxNode, tensor: str) -> None:
        """The size that the layer gives must be the one that ONNX infers."""
        found = known_sizes(self.net, tensor)
        own = tuple(self.out.size(tensor, letter) for letter in self.out.axes(tensor))
        if found is not None and 0 not in own and own != found:
            sizes = " x ".join(map(str, found))
            raise self.out.refuse(node.name, node.operator, f"its output is {sizes} by ONNX, {own} as a layer")

    def _close(self, node: OnnxNode, dynamic: Sequence[str]) -> None:
        """Make maps of loose tensors that a node reads as maps, and of those that are made value by value."""
        loose = [tensor for tensor in dynamic if not self.out.known(tensor) and tensor in self.maker]
        if not loose or any(t not in self.maker and not self.out.known(t) for t in dynamic):
            return
        if not is_elementwise(node):
            loose = [tensor for tensor in loose if not self._by_value(tensor)]
        meets_map = any(self.out.known(t) and self.out.shape(t).height > 1 for t in dynamic)
        together = node.operator in COMBINES or node.operator == "Concat"
        if node.operator in MAP_OPERATORS or (together and meets_map):
            for tensor in loose:
                self._as_map(tensor)

    def _as_map(self, tensor: str, places_alone: bool = False) -> None:
        """A loose tensor as the output of one layer, if that is possible."""
        sizes = known_sizes(self.net, tensor)
        if sizes is None or len(sizes) != 4 or sizes[0] != 1 or self._by_value(tensor):
            return
        nodes, entries = self.region([tensor], lambda t: self.out.known(t) and "g" not in self.out.axes(t))
        shapes = [self.out.shape(entry) for entry in entries]
        axes = [self.out.axes(entry) for entry in entries]
        if not entries or len({(s.height, s.width) for s in shapes}) > 1:
            return
        if len(entries) > 1 and any("f" in own or len(own) < 4 for own in axes):
            return
        only_places = len(entries) == 1 and all(node.operator in PLACES for node in nodes)
        if places_alone and not only_places:
            return
        out = Shape(*sizes[1:])
        try:
            program, weights = program_of(self.net, nodes, self.entries(entries), [tensor], out, "channels")
        except NoProgram as error:
            self.reasons.setdefault(tensor, str(error))
            return
        name = nodes[-1].name
        layer = placed(program, shapes[0], dict(weights)) if only_places else None
        if layer is not None:
            self.out.program(name, entries, tensor, layer, {})
        elif not places_alone:
            self.out.program(name, entries, tensor, program, weights)

    def _by_value(self, tensor: str) -> bool:
        """Make a map of a loose tensor whose values are each made of those at the same place; whether it is one."""
        nodes, entries = self.region([tensor], self.out.known)
        if len(entries) > 1:  # what lies further in front may be one map (x - 1 and x + 1)
            further = self.region([tensor], lambda t: self.out.known(t) and not self._made_by_value(t))
            nodes, entries = further if len(further[1]) < len(entries) else (nodes, entries)
        if not nodes or not all(map(is_elementwise, nodes)):
            return False
        try:
            layer, weights = elementwise_of(self.net, nodes, self.entries(entries), tensor)
        except NoProgram as error:
            self.reasons.setdefault(tensor, str(error))
            return False
        self.out.program(nodes[-1].name, entries, tensor, layer, weights)
        return True

    def _made_by_value(self, tensor: str) -> bool:
        return tensor in self.maker and is_elementwise(self.maker[tensor])

    def region(self, tensors: Sequence[str], is_entry: Callable[[str], bool]) -> tuple[list[OnnxNode], list[str]]:
        """The nodes that lead to tensors from entries, in order, and the entries."""
        nodes, entries, todo = dict[int, OnnxNode](), dict[str, None](), list(tensors)
        while todo:
            tensor = todo.pop()
            if is_entry(tensor):
                entries[tensor] = None
            elif tensor in self.maker and id(self.maker[tensor]) not in nodes:
                node = self.maker[tensor]
                nodes[id(node)] = node
                todo += [t for t in node.inputs if t and t not in self.net.constants]
        return [nodes[i] for i in sorted(nodes, key=self.order.__getitem__)], sorted(entries, key=self._made_at)

    def _made_at(self, tensor: str) -> int:
        return self.order[id(self.maker[tensor])] if tensor in self.maker else -1

    def entries(self, tensors: Sequence[str]) -> list[Entry]:
        """Tensors as a program reads them."""
        found = []
        for tensor in tensors:
            axes = self.out.axes(tensor)
            sizes = known_sizes(self.net, tensor) or tuple(self.out.size(tensor, letter) for letter in axes)
            found.append(Entry(tensor, sizes, axes))
        return found


class _Parting:
    """Parts a network into what can be split by height and its tail."""

    def __init__(self, reader: _Reader, outputs: Sequence[str]) -> None:
        self.reader, self.out, self.outputs = reader, reader.out, list(outputs)
        known = [tensor for tensor in outputs if self.out.known(tensor)]
        loose_nodes, entries = reader.region([t for t in outputs if t not in known], self.out.known)
        self.graph = recognised(self.out.finish([*known, *entries]))
        self.loose = loose_nodes
        self.behind = _tail_nodes(self.graph, set(map(self.out.base, entries)))

    def reading(self) -> Reading:
        if not self.loose and (reading := self._layers_alone()) is not None:
            return reading
        return self._with_program()

    def _layers_alone(self) -> Reading | None:
        """Where all is layers: no tail, or one behind a single map for a single output."""
        graph, results = self.graph, [self._result(tensor) for tensor in self.outputs]
        tail = [node for node in graph.nodes if node.output in self.behind]
        if not tail:
            return Reading(graph, (), (), tuple(results), "", tuple(self.reader.notes))
        made = {node.output for node in tail}
        entries = dict.fromkeys(t for node in tail for t in node.inputs if t not in made)
        if len(entries) != 1 or len(graph.outputs) != 1 or graph.outputs[0] not in made:
            return None
        (entry,) = entries
        front = Graph(
            graph.name, graph.source, graph.input, graph.shape, (entry,),
            tuple(node for node in graph.nodes if node not in tail), graph.shapes,
        )  # fmt: skip
        try:
            behind = Folding(graph).chain(entry, graph.outputs[0])
        except NotNested:
            return None
        result = Result(results[0].name, results[0].sizes, "", "")
        why = f"node {tail[0].name}, which reads every row"
        return Reading(front, behind, (entry,), (result,), why, tuple(self.reader.notes))

    def _result(self, tensor: str) -> Result:
        axes = self.out.axes(tensor)
        return Result(tensor, tuple(self.out.size(tensor, letter) for letter in axes), axes, self.out.base(tensor))

    def _with_program(self) -> Reading:
        front = [node for node in self.graph.nodes if node.output not in self.behind]
        made = {self.graph.input, *(node.output for node in front)}

        def in_front(tensor: str) -> bool:
            return self.out.known(tensor) and self.out.base(tensor) == tensor and tensor in made

        nodes, entries = self.reader.region(self.outputs, in_front)
        net = self.reader.net
        results = [(tensor, known_sizes(net, tensor)) for tensor in self.outputs]
        size = sum(_elements(sizes) for _, sizes in results)
        try:
            program, weights = program_of(
                net, nodes, self.reader.entries(entries), self.outputs, Shape(size, 1, 1), "vector"
            )
        except NoProgram as error:
            reason = self.reader.reasons.get(next(filter(None, error.node.outputs), ""), "")
            raise refusal(net, error, reason) from None
        graph = recognised(self.out.finish(entries))
        first = next((node for node in nodes if not self._renames(node, entries)), nodes[0])
        link = Link(program, (Kernel(weights, tuple(dict.fromkeys(node.name for node in nodes))),))
        why = self.reader.reasons.get(next(filter(None, first.outputs), ""), "") or "which reads every row"
        found = tuple(Result(tensor, sizes or (), "", "") for tensor, sizes in results)
        about = f"node {first.name} ({first.operator}), {why}"
        return Reading(graph, (link,), tuple(entries), found, about, tuple(self.reader.notes))

    def _renames(self, node: OnnxNode, entries: Sequence[str]) -> bool:
        """Whether a node only gives one of the tensors another name, as one that is left out does."""
        made = next(filter(None, node.outputs), "")
        return self.out.known(made) and self.out.base(made) in entries


def _is_onnx(operator: str) -> bool:
    from onnx import defs

    return defs.has(operator)


def _elements(sizes: tuple[int, ...] | None) -> int:
    total = 1
    for size in sizes or ():
        total *= size
    return total


def _tail_nodes(graph: Graph, loose: set[str]) -> set[str]:
    """Outputs of the nodes from which on nothing has rows to be split, beginning with one that reads all of them."""
    has_rows: set[str] = set()
    for node in reversed(graph.nodes):
        if node.output in has_rows or graph.shapes[node.output].height > 1:
            has_rows.add(node.output)
            has_rows.update(node.inputs)
    behind: set[str] = set()
    for node in graph.nodes:
        if node.output in has_rows:
            continue
        if (node.layer is not None and reads_all_rows(node.layer)) or behind.intersection(node.inputs):
            behind.add(node.output)
    readers: dict[str, list[Node]] = {}
    for node in reversed(graph.nodes):  # a branch without rows that only merges behind read belongs to them
        own = readers.get(node.output, ())
        merged = own and all(reader.layer is None and reader.output in behind for reader in own)
        if merged and node.output not in has_rows and node.output not in graph.outputs:
            behind.add(node.output)
        for tensor in node.inputs:
            readers.setdefault(tensor, []).append(node)
    return behind
