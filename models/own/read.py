"""A user's own network: an ONNX file or a torch module becomes a :class:`..model.Model` with runnable units.

Such a network is named by where it comes from: ``path/to/net.onnx``, or ``module:factory`` for a Python function (or
class) that returns a torch module. Where its input size is not known from there, ``@3x224x224`` behind it says
channels, height and width. The name works wherever a zoo model's does.

The layers become units as long as anything behind them has rows to split; the rest is the tail. A layer in the middle
that reads every row (a gate over channels, attention) is a unit like the others: whoever has a part gets all rows.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from ...ui.errors import InputError
from ...ui.faults import few
from ..blocks import Block, reads_all_rows
from ..layers import Layer, Shape
from ..model import Model
from ..programs import Program
from .factory import made_by
from .graph import Weights
from .lining import Lined, lined
from .names import is_own, model_title, parts_of, shape_of
from .onnx_net import load_file, read_net
from .reading import Reading, read_graph

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..runnable.units import TorchModel


@dataclass(frozen=True)
class Output:
    """An output of an imported network, and where it is.

    Attributes:
        name, sizes: as the file has them.
        axes: how its axes lie in a map; none where its values are in order anyway.
        head: the unit whose side head has it; None for the network's main output.
        first, count: its channels there, or its values where it comes from a tail.
    """

    name: str
    sizes: tuple[int, ...]
    axes: str
    head: int | None
    first: int
    count: int

    def of(self, main: Tensor, heads: Mapping[int, Tensor]) -> Tensor:
        """The output as the file has it, from what the units and tail gave."""
        whole = main if self.head is None else heads[self.head]
        if self.axes and whole.ndim == 4:
            part = whole[:, self.first : self.first + self.count]
            if set(self.axes) <= set("bchw"):
                dropped = "".join(axis for axis in "bchw" if axis not in self.axes)
                part = part.permute(["bchw".index(axis) for axis in dropped + self.axes])
            return part.reshape(self.sizes)
        return whole.flatten(1)[:, self.first : self.first + self.count].reshape(self.sizes)


@dataclass(frozen=True, eq=False)
class ImportedModel:
    """A network that was read in.

    Attributes:
        model: as plain data.
        weights: of every kernel, in the order of ``Model.kernels``, by the names of its torch module; none in an
            outline.
        nodes: names of the nodes that every kernel was made of, by kernel name.
        notes: what a user should know about how it was cut up, one line each.
        outputs: in the file's order.
    """

    model: Model
    weights: tuple[Weights, ...]
    nodes: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]
    outputs: tuple[Output, ...]

    def build(self) -> TorchModel:
        """The network's units and tail as torch modules with its own weights, in eval mode, float32."""
        import torch

        from ..runnable.units import build, kernel_modules

        torch_model = build(self.model)
        for module, weights in zip(kernel_modules(torch_model), self.weights, strict=True):
            state = {name: torch.tensor(value) for name, value in weights.items() if name != "norm.eps"}
            if "norm.eps" in weights:
                module.norm.eps = float(weights["norm.eps"])  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
                state["norm.num_batches_tracked"] = torch.tensor(0)
            module.load_state_dict(state)
        return torch_model

    def named(self, main: Tensor, heads: Sequence[Tensor]) -> dict[str, Tensor]:
        """The file's outputs by name, from what a :class:`..runnable.units.TorchModel` gives for one image."""
        by_unit = dict(zip(self.model.heads, heads, strict=False))
        return {output.name: output.of(main, by_unit) for output in self.outputs}


def notes_on(name: str) -> tuple[str, ...]:
    """How a user's own network was cut up, one line each; nothing about a zoo model.

    Raises:
        InputError: it cannot be read in.
    """
    return tuple(f"{model_title(name)}: {note}" for note in outline(name).notes) if is_own(name) else ()


def import_model(name: str) -> ImportedModel:
    """Read in the network of that name.

    Raises:
        InputError: one line that names the file or factory, the node, and what is allowed.
    """
    place, shape, outputs = parts_of(name)
    if place.endswith(".onnx"):
        return import_onnx(place, shape, outputs)
    module, size = made_by(place)
    if shape is None and size is None:
        raise InputError(
            f"{place}: the size of its input is not known; give it with --input 3x224x224 or as {place}@3x224x224"
        )
    if shape is None:
        shape = shape_of("x".join(map(str, size)) if isinstance(size, (tuple, list)) else str(size), place)
    return import_module(module, shape, _tidy(place.rpartition(":")[2]), place, outputs)


def outline(name: str) -> ImportedModel:
    """The network of that name, as it is now, without its weights.

    A file whose content has not changed gives the same object; a factory is called every time.

    Raises:
        InputError: as :func:`import_model`.
    """
    path = Path(parts_of(name)[0])
    if path.suffix == ".onnx" and path.is_file():
        try:
            return _outline(name, hashlib.sha256(path.read_bytes()).digest())
        except OSError:
            pass  # whoever reads it says why
    return replace(import_model(name), weights=())


@lru_cache(maxsize=32)
def _outline(name: str, content: bytes) -> ImportedModel:
    return replace(import_model(name), weights=())


def import_onnx(path: str | os.PathLike[str], shape: Shape | None = None, outputs: Sequence[str] = ()) -> ImportedModel:
    """Read an ONNX file.

    Args:
        path: the file.
        shape: of the input, where the file leaves it open.
        outputs: names of those that are wanted, by default all.

    Raises:
        InputError: no such file, not ONNX, open sizes, an operator that cannot be read (named, with the node).
    """
    net = read_net(load_file(path), str(path), shape)
    return assembled(read_graph(net, _tidy(Path(path).stem), outputs))


def import_module(
    module: nn.Module, shape: Shape, name: str = "", source: str = "", outputs: Sequence[str] = ()
) -> ImportedModel:
    """Read a torch module, by way of its ONNX export.

    Args:
        module: takes (1, channels, height, width), returns tensors; a copy of it is read in eval mode.
        shape: of the input.
        name: of the model, by default the class's.
        source: where the module comes from, for messages.
        outputs: names of those that are wanted (output_0, ...), by default all.

    Raises:
        InputError: it cannot be exported, or has an operator that cannot be read (named, with the module's path).
    """
    from .torch_module import exported

    name = name or _tidy(type(module).__name__)
    net = read_net(exported(module, source or name, shape), source or name, shape)
    return assembled(read_graph(net, name, outputs))


def assembled(reading: Reading) -> ImportedModel:
    """What was read as units, a tail and their weights.

    Raises:
        InputError: nothing of it can be split by height.
    """
    graph = reading.front
    if not graph.nodes:
        why = "its first layer reads every row" if reading.tail else "it has no layers"
        raise InputError(f"{graph.source}: {why}, so nothing of it can be split by height")
    line = lined(graph)
    order = [tensor for tensors in (line.main, *(line.heads[u] for u in sorted(line.heads))) for tensor in tensors]
    tail = tuple(_read_in(link.layer, reading.read, order) for link in reading.tail)
    model = Model(graph.name, graph.shape, line.units, tail)
    made = [*line.kernels, *(kernel for link in reading.tail for kernel in link.kernels)]
    nodes = {k.name: kernel.nodes for k, kernel in zip(model.kernels, made, strict=True)}
    notes = (*_notes(reading, model), *reading.notes)
    return ImportedModel(model, tuple(k.weights for k in made), nodes, notes, _outputs(reading, line))


def _read_in(layer: Layer, read: Sequence[str], order: Sequence[str]) -> Layer:
    """A program with its inputs in the order in which units and heads give them."""
    if not isinstance(layer, Program) or list(read) == list(order):
        return layer
    place = {list(read).index(tensor): i for i, tensor in enumerate(order)}
    operations = tuple(
        replace(operation, inputs=tuple(place.get(i, i) for i in operation.inputs)) for operation in layer.operations
    )
    inputs = tuple(layer.inputs[list(read).index(tensor)] for tensor in order)
    outputs = tuple(place.get(i, i) for i in layer.outputs)
    return replace(layer, inputs=inputs, operations=operations, outputs=outputs)


def _outputs(reading: Reading, line: Lined) -> tuple[Output, ...]:
    """Where the outputs are: behind one another in the tail's vector, or by channels in maps."""
    found, first = list[Output](), 0
    places: dict[str, tuple[int | None, int, int]] = {}
    for head, tensors in ((None, line.main), *line.heads.items()):
        channel = 0
        for tensor in tensors:
            count = reading.front.shapes[tensor].folded_channels
            places[tensor] = (head, channel, count)
            channel += count
    for result in reading.results:
        count = prod(result.sizes)
        if result.tensor:
            found.append(Output(result.name, result.sizes, result.axes, *places[result.tensor]))
        else:
            found.append(Output(result.name, result.sizes, "", None, first, count))
            first += count
    return tuple(found)


def _notes(reading: Reading, model: Model) -> list[str]:
    blocks = sum(any(isinstance(layer, Block) for layer in unit.layers) for unit in model.units)
    folded = f", {blocks} of them blocks of branches" if blocks else ""
    notes = [f"{len(model.units)} unit{'s' * (len(model.units) != 1)} that can be split by height{folded}"]
    every = [u.name for u in model.units if any(map(reads_all_rows, u.layers))]
    if every:
        notes.append(
            f"every row is read by {len(every)} of them ({few(every, 4)}): whoever has a part of one gets all rows"
        )
    if model.tail:
        behind = len(model.unit_kernels[-1])
        share = model.unit_macs[-1] / max(model.macs, 1)
        layers = f"{behind} layer{'s' * (behind != 1)}"
        notes.append(f"a tail of {layers} ({share:.1%} of the MACs) from {reading.why}")
    return notes


def _tidy(name: str) -> str:
    """A model's name: what files, tables and tables' headers can hold."""
    return re.sub(r"[^\w.-]+", "_", name).strip("_") or "network"
