"""What a network is to whoever cuts it: its units and tail, what every cut sends, which cuts are worth looking at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from .blocks import Block, reads_all_rows
from .chain import MAIN
from .layers import Layer, RowKind
from .model import VALUE_BYTES, Model

FLOAT_BYTES = VALUE_BYTES["float32"]
_ORDER: Sequence[RowKind] = ("global", "windowed", "remapped", "channels", "pointwise")  # what says most comes first


@dataclass(frozen=True)
class Row:
    """A step of a network (a unit, or a layer of its tail) and the cut behind it.

    Attributes:
        name: the step's.
        rows: how its rows depend on those in front of it; tail where nothing can be split.
        shape: (channels, height, width) of its output.
        macs, params: of the step.
        done: share of all MACs up to here.
        cut_bytes: of one image that a cut behind it sends, float32.
        crossing: tensors that such a cut sends beside the main one.
        nodes: of the file that it was made of.
    """

    name: str
    rows: str
    shape: tuple[int, int, int]
    macs: int
    params: int
    done: float
    cut_bytes: int
    crossing: tuple[str, ...]
    nodes: tuple[str, ...]


def rows_of(model: Model, nodes: Mapping[str, tuple[str, ...]] | None = None) -> list[Row]:
    """Every step of a network; ``nodes`` are the file's by kernel name."""
    macs = [sum(model.kernels[k].layer.macs(model.kernels[k].in_shape) for k in step.kernels) for step in model.steps]
    done = [total / max(model.macs, 1) for total in accumulate(macs)]
    found = []
    for i, step in enumerate(model.steps):
        kernels = [model.kernels[k] for k in step.kernels]
        units = len(model.units)
        shape = model.out_shape(i) if i < units else kernels[-1].out_shape
        made = dict.fromkeys(node for kernel in kernels for node in (nodes or {}).get(kernel.name, ()))
        found.append(
            Row(
                step.name, _kind(model, i), (shape.folded_channels, shape.height, shape.width), macs[i],
                sum(kernel.layer.params(kernel.in_shape) for kernel in kernels), done[i],
                model.cut_bytes(i + 1, FLOAT_BYTES),
                tuple(name for name in model.carried(i + 1) if name != MAIN) if i < units else (), tuple(made),
            )
        )  # fmt: skip
    return found


def _kind(model: Model, step: int) -> str:
    if step >= len(model.units):
        return "tail"
    unit = model.units[step]
    layers = [*unit.layers, *(layer for join in unit.joins for layer in join.layers), *unit.head]
    if any(map(reads_all_rows, layers)):
        return "global"
    kinds = set(_kinds(layers))
    return next((kind for kind in _ORDER if kind in kinds), "pointwise")


def _kinds(layers: Iterable[Layer]) -> Iterable[RowKind]:
    for layer in layers:
        if isinstance(layer, Block):
            for branch in layer.branches:
                yield from _kinds(branch)
        else:
            yield layer.kind_of_rows


def image_bytes(model: Model) -> int:
    """Bytes of the image itself, float32 like everything here."""
    return model.boundary_bytes(0, FLOAT_BYTES, FLOAT_BYTES)


def cuts_worth_a_look(model: Model, rows: Sequence[Row]) -> list[int]:
    """Steps behind which a cut sends less than any cut in front of it, and less than the image itself."""
    least, found = image_bytes(model), []
    for i, row in enumerate(rows[:-1]):
        if row.cut_bytes < least:
            least = row.cut_bytes
            found.append(i)
    return found


def as_data(model: Model, rows: Sequence[Row], outputs: Sequence[Any], notes: Sequence[str]) -> dict[str, Any]:
    """The same as JSON-able data; bytes are those of float32."""
    shape = model.input
    steps = [
        {
            "name": row.name, "rows": row.rows, "shape": list(row.shape), "macs": row.macs, "params": row.params,
            "macs_done": round(row.done, 6), "cut_bytes": row.cut_bytes, "crossing": list(row.crossing),
            "nodes": list(row.nodes),
        }
        for row in rows
    ]  # fmt: skip
    return {
        "model": model.name, "fingerprint": model.fingerprint, "input": [shape.channels, shape.height, shape.width],
        "macs": model.macs, "params": model.params, "units": len(model.units), "steps": steps,
        "outputs": [{"name": output.name, "sizes": list(output.sizes)} for output in outputs],
        "cuts_worth_a_look": [rows[i].name for i in cuts_worth_a_look(model, rows)], "notes": list(notes),
    }  # fmt: skip
