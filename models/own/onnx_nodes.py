"""An ONNX file as plain nodes, with the size of every tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..layers import Shape

Sizes = tuple[int | None, ...]


@dataclass
class OnnxNode:
    """A node of a file.

    Attributes:
        name: the file's, or a made one.
        operator: ONNX's, with its domain where that is another.
        inputs, outputs: tensors; an empty name is one that is left out.
        opset: that it is written in.
    """

    name: str
    operator: str
    inputs: list[str]
    outputs: list[str]
    proto: Any = field(repr=False)
    opset: int

    @cached_property
    def attributes(self) -> dict[str, Any]:
        from onnx import helper

        found = {a.name: helper.get_attribute_value(a) for a in self.proto.attribute}
        return {name: value.decode() if isinstance(value, bytes) else value for name, value in found.items()}


@dataclass
class OnnxNet:
    """A file as it is read.

    Attributes:
        nodes: in order, without those that make constants.
        constants: arrays by tensor.
        sizes: of every other tensor; one that depends on the image has None for it, or is missing.
        input: the image's tensor.
        shape, axes: of the image, and the order of its axes, bchw or bhwc.
        outputs: in the file's order.
        notes: what a user should know.
        computed: constants that no one wrote: exporters give convolutions a bias of zeros.
    """

    source: str
    nodes: list[OnnxNode]
    constants: dict[str, np.ndarray]
    sizes: dict[str, Sizes]
    input: str
    shape: Shape
    axes: str
    outputs: list[str]
    notes: list[str]
    computed: set[str]


def known_sizes(net: OnnxNet, tensor: str) -> tuple[int, ...] | None:
    """Sizes of a tensor where all are known."""
    if tensor in net.constants:
        return net.constants[tensor].shape
    sizes: Sequence[int | None] | None = net.sizes.get(tensor)
    return None if sizes is None or None in sizes else tuple(int(size or 0) for size in sizes)
