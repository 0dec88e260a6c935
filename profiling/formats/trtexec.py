"""Layer profiles that ``trtexec --exportProfile=FILE`` writes, as seconds of a model's kernels.

The file is a JSON list: ``{"count": N}``, then ``{"name", "timeMs", "averageMs", "medianMs", "percentage"}`` for
every layer of the engine in the order they ran; older releases write no ``medianMs``. TensorRT fuses layers and
says so in their names: ``A + B`` one after another, ``A || B`` side by side, ``PWN(A)`` pointwise, ``{A,B}`` what runs
on a DLA at once. It adds layers of its own that only move data, such as ``Reformatting CopyNode for Input Tensor 0 to
A``, ``data to nvm`` and ``finish`` beside a DLA, or a ``QuantizeLinear``. A quantised weight comes first in its layer's
name: ``A.weight + QuantizeLinear_7 + Conv_9``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...models.model import Model
from ...ui.errors import InputError
from ...ui.faults import Faults, few
from .common import KNOWN, File, Heights, kernel_indices, number, read_text
from .sheet import read_sheet

LEFT_OUT = "-"  # in a map of layers: this layer belongs to no kernel

Layer = tuple[str, float]  # name, seconds
Owners = Mapping[str, tuple[int, ...]]  # kernels by the name of a layer

_FUSED = re.compile(r" \+ | \|\| |, ?")
_AROUND = r"^(?:copied_)?(?:un)?(?:squeeze|reshape|shuffle)(?:_node)?_(?:before|after|between)_"
_DLA = r" (?:to|from) nvm$|(?:^| )finish$"
_COPY = re.compile(rf"^Reformatting CopyNode for |^\[HostToDeviceCopy| reformatter \d+$| copy$|{_DLA}|{_AROUND}")
_LAYOUT = re.compile(
    r"\[Shuffle\]$|(?:^|/)(?:Flatten|Reshape|Squeeze|Unsqueeze|Transpose|Identity|QuantizeLinear|DequantizeLinear)"
    r"(?:_\d+)*(?:_clone_\d+)?$"
)
_TARGETS = (
    re.compile(r"^Reformatting CopyNode for (?:Input|Output) Tensor \d+ to (.+)$", re.DOTALL),
    re.compile(r"^(.+) (?:(?:input|output) reformatter \d+|copy)$", re.DOTALL),
    re.compile(rf"{_AROUND}(.+)$", re.DOTALL),
    re.compile(r"^(.+?)(?: (?:to|from) nvm| copy finish| finish)$", re.DOTALL),
)


def read_heights(
    path: File,
    model: Model,
    rows: Sequence[int],
    sources: Mapping[str, Sequence[str]] | None = None,
    layers: Mapping[str, str] | None = None,
) -> Heights:
    """Seconds of every kernel at the height that one profile ran at.

    Args:
        path: the JSON file.
        model: the network that ran, with one image.
        rows: output rows of every kernel in that run.
        sources: original node names (those of an ONNX file) by kernel name.
        layers: kernel by layer name, where names alone do not tell; several kernels joined by " + ", or "-" for a
            layer that is none of the model's.

    Raises:
        InputError: one line that names the file and what is wrong: no such profile, a layer that belongs to no
            kernel, a kernel without a layer.
    """
    found, what = read_layers(path)
    seconds, note = kernel_seconds(path, found, model, layer_owners(model, sources, layers))
    points = [{height: time} for height, time in zip(rows, seconds, strict=True)]
    return Heights(points, f"{what}{note}", {"software": "TensorRT (trtexec)"})


def read_layers(path: File) -> tuple[list[Layer], str]:
    """The layers of a profile in the order they ran, and what their times are, in words.

    Raises:
        InputError: the file is no such profile; one line with the line or the entry and what is allowed.
    """
    data = _read_json(path)
    if not isinstance(data, list) or not data or not isinstance(data[0], dict) or "count" not in data[0]:
        raise InputError(
            f'{path}: must begin with [ {{ "count" : N }}, as trtexec --exportProfile writes it; {_seems(data)}'
            f"known are {KNOWN}"
        )
    count = data[0]["count"]
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise InputError(f"{path}: count is {count!r}, allowed: a whole number of runs, 1 or more")
    if len(data) == 1:
        raise InputError(f"{path}: has no layers after count")
    for i, entry in enumerate(data[1:], start=1):
        if isinstance(entry, dict) and "name" not in entry and "layer_name" in entry:
            entry["name"] = entry["layer_name"]
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or "averageMs" not in entry:
            raise InputError(f'{path}: entry {i}: must be an object with "name" (or "layer_name") and "averageMs"')
    kind = "medianMs" if all("medianMs" in entry for entry in data[1:]) else "averageMs"
    layers = [
        (entry["name"].strip(), number(f"{path}: entry {i} ({entry['name']!r})", kind, entry[kind]) / 1000)
        for i, entry in enumerate(data[1:], start=1)
    ]
    return layers, f"{kind.removesuffix('Ms')} of {count} runs"


def _seems(data: Any) -> str:
    """What else a JSON file is, as far as that shows."""
    first = data[0] if isinstance(data, list) and data else data
    if isinstance(first, dict) and ("traceEvents" in first or "ph" in first):
        return "it is a trace of events; "
    if isinstance(first, dict) and ("nodes" in first or "layers" in first or "Layers" in first):
        return "it is a graph or a list of layers without times; "
    return ""


def _read_json(path: File) -> Any:
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: line {error.lineno}: is not JSON ({error.msg}); is the file whole?") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path}: is not JSON that can be read (a number too long, or nested too deep)") from None


def layer_owners(
    model: Model,
    sources: Mapping[str, Sequence[str]] | None = None,
    layers: Mapping[str, str] | None = None,
) -> Owners:
    """Kernels by every name that a layer may have; arguments as for :func:`read_heights`.

    Raises:
        InputError: an unknown kernel.
    """
    kernels = kernel_indices(model)
    owners = {name: (k,) for name, k in kernels.items()}
    by_node: dict[str, list[int]] = {}
    for name, nodes in (sources or {}).items():
        for node in nodes:
            by_node.setdefault(node, []).append(_kernel(kernels, name, f"source {node!r}"))
    owners |= {node: tuple(own) for node, own in by_node.items()}
    for layer, names in (layers or {}).items():
        kept = [] if names.strip() == LEFT_OUT else names.split(" + ")
        owners[layer.strip()] = tuple(_kernel(kernels, name.strip(), f"layer {layer!r}") for name in kept)
    return owners


def _kernel(kernels: Mapping[str, int], name: str, where: str) -> int:
    if name not in kernels:
        raise InputError(f"{where}: unknown kernel {name!r}; the model has {few(list(kernels))}")
    return kernels[name]


def read_layer_map(path: File, model: Model) -> dict[str, str]:
    """Kernel by layer name from a CSV file with the columns layer and kernel, as :func:`read_heights` takes it.

    Raises:
        InputError: one line that names the file, the line and what is allowed.
    """
    sheet = read_sheet(path)
    layer_at, kernel_at = sheet.column(("layer", "layer_name")), sheet.column(("kernel", "kernel_name"))
    if layer_at is None or kernel_at is None:
        raise InputError(f"{path}: needs the columns layer and kernel; has {few(list(sheet.columns), 12)}")
    kernels, faults = kernel_indices(model), sheet.faults
    known = f"; the model has {few([kernel.name for kernel in model.kernels])}, or - to leave a layer out"
    found: dict[str, str] = {}
    for line, cells in sheet.entries:
        layer, whose = cells[layer_at], cells[kernel_at]
        if layer in found:
            faults.add(f"line {line}: a second kernel for layer {layer!r}", "; join several with ' + '")
        for name in () if whose == LEFT_OUT else whose.split(" + "):
            if name.strip() not in kernels:
                faults.add(f"line {line}: unknown kernel {name!r}", known)
        found[layer] = whose
    faults.check()
    return found


def find_owners(name: str, owners: Owners) -> tuple[int, ...] | None:
    """Kernels that a layer computes, None where no part of its name is known."""
    if name in owners:
        return owners[name]
    for pattern in _TARGETS:
        if match := pattern.match(name):
            return find_owners(match[1], owners)
    inner = name
    if inner.startswith("{ForeignNode[") and inner.endswith("]}"):
        inner = inner.removeprefix("{ForeignNode[").removesuffix("]}")
        if "..." in inner:  # from one layer to another: says nothing of those between
            return None
    elif inner.startswith("{") and inner.endswith("}"):
        inner = inner[1:-1]
    known = [owners[part] for part in map(_bare, _FUSED.split(inner)) if part in owners]
    return tuple(dict.fromkeys(k for found in known for k in found)) if known else None


def _bare(part: str) -> str:
    """A part of a fused name without the marks of a pointwise group or of the code generator."""
    part = re.sub(r"_myl\d+_\d+$", "", part.strip())
    part = part.replace("PWN(", "")
    part = part.removesuffix(".weight")  # a quantised layer begins with its weight's name
    while part.endswith(")") and part.count(")") > part.count("("):
        part = part[:-1]
    return part


def kernel_seconds(path: File, layers: Sequence[Layer], model: Model, owners: Owners) -> tuple[list[float], str]:
    """Seconds of every kernel, and a note on what could not be told from the names.

    A layer of several kernels is shared by their multiply-accumulates. One that only moves data and names no kernel
    is charged to the next that does, which it feeds, or to the last.

    Raises:
        InputError: a layer that belongs to no kernel, or a kernel without a layer.
    """
    found = [find_owners(name, owners) for name, _ in layers]
    moves = [name not in owners and _moves_data(name, own) for (name, _), own in zip(layers, found, strict=True)]
    faults = Faults(path)
    lost = [name for (name, _), own, move in zip(layers, found, moves, strict=True) if own is None and not move]
    if lost:
        faults.add(
            f"{len(lost)} of {len(layers)} layers belong to no kernel of {model.name} by name: "
            f"{few([repr(name) for name in lost], 3)}; give a map of layers (CSV with layer,kernel; '-' leaves one out)"
        )
    seconds, covered = [0.0] * len(model.kernels), set[int]()
    shared, left_out = 0, list[str]()
    for i, (name, time) in enumerate(layers):
        own = found[i]
        if own is None:
            own = next(filter(None, [*found[i + 1 :], *reversed(found[:i])]), ())
        if not own:
            left_out.append(name)
            continue
        shared += len(own) > 1
        for k, share in zip(own, _shares(model, own), strict=True):
            seconds[k] += share * time
        covered.update(() if moves[i] else own)
    if missing := [kernel.name for k, kernel in enumerate(model.kernels) if k not in covered]:
        faults.add(
            f"{len(missing)} of {len(model.kernels)} kernels of {model.name} have no layer: {few(missing)}; "
            "where TensorRT fused one into another's layer, say so in a map of layers (CSV with layer,kernel)"
        )
    faults.check()
    notes = [f"{sum(moves)} data movements charged to the layers they feed"] if any(moves) else []
    notes += [f"{shared} layers of several kernels shared by MACs"] if shared else []
    notes += [f"left out: {few([' '.join(name.split()) for name in left_out], 3)}"] if left_out else []
    return seconds, "".join(f", {note}" for note in notes)


def _moves_data(name: str, own: tuple[int, ...] | None) -> bool:
    """Whether a layer only copies or reshapes; a reshape that a kernel is known by is that kernel."""
    return _COPY.search(name) is not None or (own is None and _LAYOUT.search(name) is not None)


def _shares(model: Model, kernels: Sequence[int]) -> list[float]:
    macs = [model.kernels[k].layer.macs(model.kernels[k].in_shape) for k in kernels]
    return [m / sum(macs) for m in macs] if sum(macs) else [1 / len(macs)] * len(macs)
