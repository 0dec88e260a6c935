"""The image that an ONNX file reads: its size, and the order of its axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...ui.errors import InputError
from ..layers import Shape
from .refusals import OpenSizes, OtherSizes

# What may stand between the image and the Transpose that brings its channels in front.
_BETWEEN = ("Cast", "Identity", "Add", "Sub", "Mul", "Div", "QuantizeLinear", "DequantizeLinear")


def fixed_input(source: str, value: Any, shape: Shape | None, nodes: Sequence[Any]) -> tuple[Shape, str]:
    """The image's shape and axes (bchw, or bhwc as Keras has them); sizes are written into the file's description.

    Args:
        source: for messages.
        value: the input's ValueInfoProto.
        shape: where the file leaves sizes open.
        nodes: of the graph, to see what reads the image.

    Raises:
        InputError: not four axes, several images, sizes that are open or contradict ``shape``.
    """
    dims = value.type.tensor_type.shape.dim
    axes = "bhwc" if _is_turned(value.name, nodes) else "bchw"
    sizes = [dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in dims]
    if len(sizes) != 4:
        raise InputError(
            f"{source}: input {value.name} has {len(sizes)} axes, allowed: 4 (batch, channels, height, width)"
        )
    if sizes[0] not in (None, 1):
        raise InputError(f"{source}: input {value.name} has a batch of {sizes[0]}, allowed: 1 or a free size")
    found = dict(zip(axes, sizes, strict=True))
    names = {axis: dim.dim_param or "?" for axis, dim in zip(axes, dims, strict=True)}
    wanted = None if shape is None else {"c": shape.channels, "h": shape.height, "w": shape.width}
    free = [axis for axis in "chw" if not found[axis]]
    if wanted is None and free:
        raise OpenSizes(
            f"{source}: input {value.name} leaves sizes open ({', '.join(names[axis] for axis in free)}); give them "
            f"with --input 3x224x224 (channels, height, width) or as {source}@3x224x224"
        )
    for axis, size in (wanted or {}).items():
        if found[axis] not in (None, size):
            has, given = ("x".join(str(s.get(a) or "?") for a in "chw") for s in (found, wanted or {}))
            raise OtherSizes(f"{source}: input {value.name} is {has}, not {given}")
        found[axis] = size
    found["b"] = 1
    for axis, dim in zip(axes, dims, strict=True):
        dim.dim_value = found[axis]
    return Shape(*(found[axis] or 0 for axis in "chw")), axes


def _is_turned(tensor: str, nodes: Sequence[Any]) -> bool:
    """Whether a Transpose brings the channels in front of an image's rows before anything looks at neighbours."""
    seen = {tensor}
    for node in nodes:
        if not seen.intersection(node.input):
            continue
        if node.op_type == "Transpose":
            return any(list(a.ints) == [0, 3, 1, 2] for a in node.attribute)
        if node.op_type not in _BETWEEN:
            return False
        seen.update(node.output)
    return False
