"""A user's own network: an ONNX file or a torch module becomes a :class:`..model.Model` with runnable units.

Such a network is named by where it comes from: ``path/to/net.onnx``, or ``module:factory`` for a Python function (or
class) that returns a torch module. Where its input size is not known from there, ``@3x224x224`` behind it says
channels, height and width. The name works wherever a zoo model's does.

The layers up to the first one that reads every row (global pool, fully connected) become units, the rest the tail.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ...ui.errors import InputError
from ..blocks import Block
from ..chain import Unit
from ..layers import Conv, Conv3d, ConvTranspose, GlobalPool, Layer, Linear, Pool, Shape
from ..model import Model
from ..remaps import Pad, Reorg
from .factory import made_by
from .folding import Kernel, Link, fold
from .graph import Graph, Weights
from .names import is_own, model_title, shape_of, without_size

if TYPE_CHECKING:
    from torch import nn

    from ..runnable.units import TorchModel


@dataclass(frozen=True, eq=False)
class ImportedModel:
    """A network that was read in.

    Attributes:
        model: as plain data.
        weights: of every kernel, in the order of ``Model.kernels``, by the names of its torch module; none in an
            outline.
        nodes: names of the nodes that every kernel was made of, by kernel name.
        notes: what a user should know about how it was cut up, one line each.
    """

    model: Model
    weights: tuple[Weights, ...]
    nodes: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]

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
    place = without_size(name)
    shape = None if place == name else shape_of(name.rpartition("@")[2], name)
    if place.endswith(".onnx"):
        return import_onnx(place, shape)
    module, size = made_by(place)
    if shape is None and size is None:
        raise InputError(
            f"{place}: the size of its input is not known; give it with --input 3x224x224 or as {place}@3x224x224"
        )
    if shape is None:
        shape = shape_of("x".join(map(str, size)) if isinstance(size, (tuple, list)) else str(size), place)
    return import_module(module, shape, _tidy(place.rpartition(":")[2]), place)


def outline(name: str) -> ImportedModel:
    """The network of that name, as it is now, without its weights.

    A file whose content has not changed gives the same object; a factory is called every time.

    Raises:
        InputError: as :func:`import_model`.
    """
    path = Path(without_size(name))
    if path.suffix == ".onnx" and path.is_file():
        try:
            return _outline(name, hashlib.sha256(path.read_bytes()).digest())
        except OSError:
            pass  # whoever reads it says why
    return replace(import_model(name), weights=())


@lru_cache(maxsize=32)
def _outline(name: str, content: bytes) -> ImportedModel:
    return replace(import_model(name), weights=())


def import_onnx(path: str | os.PathLike[str], shape: Shape | None = None) -> ImportedModel:
    """Read an ONNX file.

    Args:
        path: the file.
        shape: of the input, where the file leaves it open.

    Raises:
        InputError: no such file, not ONNX, open sizes, an operator without a layer (named, with the node).
    """
    from .onnx_file import read_onnx

    return assembled(read_onnx(path, _tidy(Path(path).stem), shape))


def import_module(module: nn.Module, shape: Shape, name: str = "", source: str = "") -> ImportedModel:
    """Read a torch module.

    Args:
        module: takes (1, channels, height, width), returns one tensor; a copy of it is read in eval mode.
        shape: of the input.
        name: of the model, by default the class's.
        source: where the module comes from, for messages.

    Raises:
        InputError: it cannot be traced, or has an operator without a layer (named, with the module's path).
    """
    from .torch_module import read_module

    name = name or _tidy(type(module).__name__)
    return assembled(read_module(module, name, source or name, shape))


def assembled(graph: Graph) -> ImportedModel:
    """A graph as units, a tail and their weights.

    Raises:
        InputError: branches that cannot be nested, or nothing that can be split by height.
    """
    chain = fold(graph)
    first = next((i for i, link in enumerate(chain) if _reads_all(link.layer)), len(chain))
    groups = _with_borders(chain[:first])
    if not groups:
        why = "its first layer reads every row" if chain else "it has no layers"
        raise InputError(f"{graph.source}: {why}, so nothing of it can be split by height")
    names = _names([group[-1].layer for group in groups])
    units = tuple(Unit(name, tuple(link.layer for link in group)) for name, group in zip(names, groups, strict=True))
    model = Model(graph.name, graph.shape, units, tuple(link.layer for link in chain[first:]))
    made = [kernel for link in chain for kernel in link.kernels]
    nodes = {
        k.name: tuple(name for node in kernel.nodes for name in node.split(" + "))
        for k, kernel in zip(model.kernels, made, strict=True)
    }
    return ImportedModel(model, tuple(k.weights for k in made), nodes, tuple(_notes(chain, first, model, made)))


def _reads_all(layer: Layer) -> bool:
    inner = [layer, *(found for branch in layer.branches for found in branch)] if isinstance(layer, Block) else [layer]
    return any(isinstance(found, GlobalPool | Linear) or (found is not layer and _reads_all(found)) for found in inner)


def _with_borders(chain: Sequence[Link]) -> list[list[Link]]:
    """The links of every unit: a border belongs to what reads it."""
    groups: list[list[Link]] = []
    for link in chain:
        if groups and isinstance(groups[-1][-1].layer, Pad):
            groups[-1].append(link)
        else:
            groups.append([link])
    return groups


def _names(layers: Sequence[Layer]) -> list[str]:
    """conv1, conv2, pool1, block1, ...: every kind counted by itself."""
    kinds = {Conv: "conv", Conv3d: "conv", ConvTranspose: "up", Pool: "pool", Block: "block", Reorg: "reorg"}
    counts: dict[str, int] = {}
    names: list[str] = []
    for layer in layers:
        kind = kinds.get(type(layer), "map")
        counts[kind] = counts.get(kind, 0) + 1
        names.append(f"{kind}{counts[kind]}")
    return names


def _notes(chain: Sequence[Link], first: int, model: Model, made: Sequence[Kernel]) -> list[str]:
    blocks = sum(isinstance(unit.layers[-1], Block) for unit in model.units)
    folded = f", {blocks} of them blocks of branches" if blocks else ""
    notes = [f"{len(model.units)} units that can be split by height{folded}"]
    if first < len(chain):
        node = chain[first].kernels[0].nodes[0]
        behind = sum(len(link.kernels) for link in chain[first:])
        share = model.unit_macs[-1] / max(model.macs, 1)
        layers = f"{behind} layer{'s' * (behind != 1)}"
        notes.append(f"a tail of {layers} ({share:.1%} of the MACs) from node {node} on, which reads every row")
    return notes


def _tidy(name: str) -> str:
    """A model's name: what files, tables and tables' headers can hold."""
    return re.sub(r"[^\w.-]+", "_", name).strip("_") or "network"
