"""Graphs that PipeDream's profiler writes (``graph.txt``), as seconds of a model's training steps.

A line for every torch module or operation, in no order, then one for every edge:

    node2 -- Conv2d(3, 64, kernel_size=(11, 11)) -- forward_compute_time=2.3, backward_compute_time=6.4,
        activation_size=198246400.0, parameter_size=93184.000            (on one line; " -- stage_id=0" may follow)
    <tab>node2 -- node3

Times are milliseconds of a whole batch, sizes are bytes in float32; an activation size may be a list, ``[4.0; 8.0]``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush

from ...models.chain import Kernel
from ...models.layers import Conv, Conv3d, ConvTranspose, GlobalPool, Linear, Pointwise, Pool
from ...models.model import Model
from ...ui.errors import InputError
from ...ui.faults import Faults
from .common import Batches, File, number, read_text

VALUE_BYTES = 4  # PipeDream's profiler counts float32 whatever ran

FIELDS = ("forward_compute_time", "backward_compute_time", "activation_size", "parameter_size")
NODE = re.compile(
    rf"^(\S+) -- (.*) -- {FIELDS[0]}=([^,]*), {FIELDS[1]}=([^,]*), {FIELDS[2]}=([^,]*), {FIELDS[3]}=(\S*)"
)
_EDGE = re.compile(r"^(\S+) -- (\S+)$")
_MOST = 100_000  # nodes


@dataclass(frozen=True)
class Node:
    """A module or operation of the profiled network."""

    name: str
    what: str  # Conv2d, ReLU, Add, ...
    where: str  # file and line
    forward_s: float
    backward_s: float
    activation_bytes: float
    parameter_bytes: float

    @property
    def kind(self) -> str | None:
        """conv, linear, pool or norm; None for what runs between them."""
        kinds = ("conv", "linear", "pool", *(("norm",) if self.parameter_bytes else ()))
        return next((kind for kind in kinds if kind in self.what.lower()), None)


Signature = tuple[str, int, int]  # kind, output values of a sample, weights and biases


def read_batches(path: File, model: Model, batch: int | None = None) -> Batches:
    """Forward and backward seconds of every step.

    Convolutions, linear layers, pools and norms are matched to the kernels of one step after the other by kind, output
    size and parameters; within a step (a residual or inception block) their order is free. What runs between them
    belongs to the latest step it depends on. The input's time, which is loading data, and branches that do not lead
    to the output (auxiliary classifiers) are left out.

    Args:
        path: the text file.
        model: the network, a chain of steps.
        batch: batch size of the profile; by default it follows from the first activation.

    Raises:
        InputError: one line that names the file, the line, the node and what is expected there.
    """
    nodes, before = read_graph(path)
    order = _topological(path, nodes, before)
    used = order if any(unit.head for unit in model.units) else _ancestors(order[-1], order, before)
    body = [name for name in used if not nodes[name].what.startswith("Input")]
    size = batch if batch is not None else _batch_size(path, [nodes[name] for name in body], model)
    step_of = _align(path, nodes, body, before, model, size)
    timed = [0.0] * len(model.steps), [0.0] * len(model.steps)
    for name, step in step_of.items():
        timed[0][step] += nodes[name].forward_s
        timed[1][step] += nodes[name].backward_s
    note = f"PipeDream profile at batch {size}, without the time to load data"
    if len(order) > len(used):
        note += f", {len(order) - len(used)} nodes beside the way to the output left out"
    return Batches({size: timed}, None, note, {"software": "PyTorch (PipeDream's profiler)", "precision": "FP32"})


def read_graph(path: File) -> tuple[dict[str, Node], dict[str, list[str]]]:
    """The nodes of a graph by name, and the names of those in front of each.

    Raises:
        InputError: a line that is neither a node nor an edge, a number that is none, a name that is unknown or
            given twice; one line with the file's line.
    """
    nodes: dict[str, Node] = {}
    edges = list[tuple[str, str, str]]()
    for i, line in enumerate(read_text(path).splitlines(), start=1):
        where = f"{path}: line {i}"
        if not line.strip():
            continue
        if match := NODE.match(line.strip()):
            node = _node(where, match)
            if node.name in nodes:
                raise InputError(f"{where}: a second {node.name}; every node has one line")
            nodes[node.name] = node
        elif match := _EDGE.match(line.strip()):
            edges.append((where, match[1], match[2]))
        else:
            raise InputError(
                f"{where}: is neither a node ('node1 -- Conv2d(...) -- {FIELDS[0]}=1.2, {FIELDS[1]}=2.3, "
                f"{FIELDS[2]}=4.0, {FIELDS[3]}=8.0') nor an edge ('node1 -- node2')"
            )
    if not 0 < len(nodes) <= _MOST:
        raise InputError(f"{path}: has {len(nodes)} nodes, allowed: 1..{_MOST}")
    before: dict[str, list[str]] = {name: [] for name in nodes}
    for where, start, end in edges:
        for name in (start, end):
            if name not in nodes:
                raise InputError(f"{where}: an edge of {name}, which has no line of its own; is the file whole?")
        before[end].append(start)
    return nodes, before


def _node(where: str, match: re.Match[str]) -> Node:
    name, description, *values = match.groups()
    numbers = [number(where, field, text) for field, text in zip(FIELDS, values[:2], strict=False)]
    activations = values[2].removeprefix("[").removesuffix("]").split(";")
    activation_bytes = sum(number(where, FIELDS[2], text.strip()) for text in activations)
    what = re.match(r"\w*", description)
    return Node(
        name, what[0] if what else "", where, numbers[0] / 1000, numbers[1] / 1000, activation_bytes,
        number(where, FIELDS[3], values[3]),
    )  # fmt: skip


def _topological(path: File, nodes: Mapping[str, Node], before: Mapping[str, Sequence[str]]) -> list[str]:
    """Names so that none comes in front of what it depends on, by their number where that leaves a choice."""
    after: dict[str, list[str]] = {name: [] for name in nodes}
    for name, sources in before.items():
        for source in sources:
            after[source].append(name)
    waiting = {name: len(sources) for name, sources in before.items()}
    ready = [(_counted(name), name) for name, count in waiting.items() if not count]
    heapify(ready)
    order = list[str]()
    while ready:
        order.append(heappop(ready)[1])
        for name in after[order[-1]]:
            waiting[name] -= 1
            if not waiting[name]:
                heappush(ready, (_counted(name), name))
    if len(order) < len(nodes):
        stuck, seen = next(name for name in nodes if waiting[name]), set[str]()
        while stuck not in seen:  # backwards from anywhere behind the circle into it
            seen.add(stuck)
            stuck = next(name for name in before[stuck] if waiting[name])
        raise InputError(f"{nodes[stuck].where}: {stuck} depends on itself; allowed: edges without a circle")
    return order


def _counted(name: str) -> int:
    digits = re.search(r"\d{1,9}$", name)
    return int(digits[0]) if digits else 0


def _ancestors(last: str, order: Sequence[str], before: Mapping[str, Sequence[str]]) -> list[str]:
    """The nodes that lead to the last one, itself included, in order."""
    wanted = {last}
    for name in reversed(order):
        if name in wanted:
            wanted.update(before[name])
    return [name for name in order if name in wanted]


def _signatures(kernel: Kernel) -> list[Signature]:
    """How the modules of a kernel look in a profile: its norm is one of its own, its activation has no parameters."""
    layer, values = kernel.layer, kernel.out_shape.elements
    params = layer.params(kernel.in_shape)
    if isinstance(layer, Conv | Conv3d | ConvTranspose):
        alone = replace(layer, norm=False).params(kernel.in_shape)
        return [("conv", values, alone), *([("norm", values, params - alone)] if layer.norm else [])]
    if isinstance(layer, Linear):
        return [("linear", values, params)]
    if isinstance(layer, Pointwise):
        return [("norm", values, params)] if layer.norm else []
    return [("pool", values, 0)] if isinstance(layer, Pool | GlobalPool) else []


def _batch_size(path: File, body: Sequence[Node], model: Model) -> int:
    first = next((node for node in body if node.kind), None)
    if first is None:
        raise InputError(f"{path}: has no convolution, linear layer or pool; expected those of {model.name}")
    kernel = next((kernel for kernel in model.kernels if _signatures(kernel)), model.kernels[0])
    sample = kernel.out_shape.elements * VALUE_BYTES
    if first.activation_bytes < sample or first.activation_bytes % sample:
        raise InputError(
            f"{first.where}: {first.name} ({first.what}) has activation_size={first.activation_bytes:.0f}, which is "
            f"no multiple of the {sample} bytes that {kernel.name} of {model.name} gives for a sample"
        )
    return int(first.activation_bytes // sample)


def _align(
    path: File,
    nodes: Mapping[str, Node],
    body: Sequence[str],
    before: Mapping[str, Sequence[str]],
    model: Model,
    batch: int,
) -> dict[str, int]:
    """Index of the step that each node belongs to."""
    expected = [Counter(s for k in step.kernels for s in _signatures(model.kernels[k])) for step in model.steps]
    step_of: dict[str, int] = {}
    current = 0
    for name in body:
        node = nodes[name]
        latest = max((step_of[source] for source in before[name] if source in step_of), default=0)
        if node.kind:
            while current < len(expected) - 1 and not expected[current].total():
                current += 1
            seen = node.kind, node.activation_bytes / VALUE_BYTES / batch, node.parameter_bytes / VALUE_BYTES
            if match := next((s for s, left in expected[current].items() if left and s == seen), None):
                expected[current][match] -= 1
                latest = current
            elif not _changes_nothing(node, [nodes[source] for source in before[name]]):
                raise InputError(_mismatch(node, model, model.steps[current].name, +expected[current], batch))
        elif node.parameter_bytes:
            raise InputError(
                f"{node.where}: {node.name} ({node.what}) has parameters; allowed in a profile of {model.name}: "
                "convolutions, linear layers and norms"
            )
        step_of[name] = latest
    faults = Faults(path)
    for step, left in zip(model.steps, expected, strict=True):
        if +left:
            faults.add(f"step {step.name} of {model.name} is not whole: needs {_words(next(iter(+left)))}")
    faults.check()
    return step_of


def _changes_nothing(node: Node, sources: Sequence[Node]) -> bool:
    """An adaptive pool to the size the map already has (torchvision's VGG and AlexNet) is no kernel of the model."""
    return node.kind == "pool" and [s.activation_bytes for s in sources] == [node.activation_bytes]


def _mismatch(node: Node, model: Model, step: str, left: Counter[Signature], batch: int) -> str:
    values = node.activation_bytes / VALUE_BYTES / batch
    seen = f"{values:g} values a sample at batch {batch}, {node.parameter_bytes / VALUE_BYTES:.0f} parameters"
    wanted = " or ".join(_words(signature) for signature in left) or "no further layer"
    return f"{node.where}: {node.name} ({node.what}: {seen}), expected in step {step} of {model.name}: {wanted}"


def _words(signature: Signature) -> str:
    kind, values, params = signature
    return f"a {kind} with {values} values a sample" + (f" and {params} parameters" if params else "")
