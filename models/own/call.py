"""One node as its handler sees it: attributes, constants, and the builder that takes the layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..layers import Layer, Shape
from .graph import GraphBuilder, Weights
from .onnx_nodes import OnnxNet, OnnxNode, known_sizes
from .refusals import NodeRefused


class Call:
    """One node with its attributes.

    Args:
        out: takes the layer.
        net: the file, for constants and sizes.
        node: the node.
    """

    def __init__(self, out: GraphBuilder, net: OnnxNet, node: OnnxNode) -> None:
        self.out, self.net, self.node = out, net, node
        self.operator, self.name, self.opset = node.operator, node.name, node.opset
        self.inputs, self.output = node.inputs, node.outputs[0]

    @property
    def attributes(self) -> dict[str, Any]:
        return self.node.attributes

    @property
    def x(self) -> str:
        """The tensor that the operator works on."""
        if not self.out.known(self.inputs[0]):
            raise self.refuse(f"{self.inputs[0]} does not come from the network's input")
        return self.inputs[0]

    @property
    def map(self) -> str:
        """The same, where the operator needs channels, rows and columns in this order."""
        if self.axes != "bchw":
            flat = "was flattened" if "f" in self.axes else f"has its axes in another order ({self.axes})"
            raise self.refuse(f"its input {flat}")
        return self.x

    @property
    def axes(self) -> str:
        """Axes of the input."""
        return self.out.axes(self.x)

    @property
    def shape(self) -> Shape:
        """Shape of the input."""
        return self.out.shape(self.x)

    def letter(self, axis: int) -> str:
        """What an axis of the input is."""
        if not -len(self.axes) <= axis < len(self.axes):
            raise self.refuse(f"axis {axis} of an input of {len(self.axes)} axes")
        return self.axes[axis]

    def constant(self, index: int) -> np.ndarray | None:
        """An input that is a constant, None where it is left out.

        Raises:
            InputError: it is not constant.
        """
        if index >= len(self.inputs) or not self.inputs[index]:
            return None
        if self.inputs[index] not in self.net.constants:
            raise self.refuse(f"input {self.inputs[index]} is no constant")
        return self.net.constants[self.inputs[index]]

    def weight(self, index: int) -> np.ndarray:
        value = self.constant(index)
        if value is None:
            raise self.refuse(f"input {index} is missing")
        return np.asarray(value, dtype=np.float32)

    def optional(self, index: int) -> np.ndarray | None:
        value = self.constant(index)
        return None if value is None else np.asarray(value, dtype=np.float32)

    def by_channel(self, index: int) -> np.ndarray | None:
        """One number a channel, None where it is left out."""
        value = self.optional(index)
        if value is not None and value.ndim != 1:
            raise self.refuse(f"input {self.inputs[index]} has the sizes {value.shape}, allowed: one axis")
        return value

    def is_constant(self, index: int) -> bool:
        return self.inputs[index] in self.net.constants

    def numbers(self, attribute: str, index: int) -> list[int] | None:
        """An attribute that newer versions take as an input."""
        if attribute in self.attributes:
            return list(self.attributes[attribute])
        value = self.constant(index)
        return None if value is None else [int(v) for v in value.ravel()]

    def number(self, attribute: str, index: int) -> float | None:
        """A single number that older versions have as an attribute, newer ones as an input."""
        value = self.attributes.get(attribute)
        value = self.constant(index) if value is None else value
        return None if value is None else float(np.ravel(value)[0])

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of the output.

        Raises:
            InputError: they are not known.
        """
        found = known_sizes(self.net, self.output)
        if found is None:
            raise self.refuse("its output has no size that can be told beforehand")
        return found

    def refuse(self, why: str) -> NodeRefused:
        return self.out.refuse(self.name, self.operator, why)

    def layer(
        self, layer: Layer, weights: Weights | None = None, tensor: str | None = None, output: str | None = None,
        axes: str | None = None,
    ) -> None:  # fmt: skip
        made = self.output if output is None else output
        self.out.layer(self.name, self.operator, tensor or self.x, made, layer, weights, axes)

    def activation(self, kind: str) -> None:
        self.out.activation(self.name, self.operator, self.x, self.output, kind)

    def sides(self, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> list[int]:
        """Padding of a window: rows above, rows below, columns left, columns right."""
        auto = self.attributes.get("auto_pad", "NOTSET")
        if auto == "NOTSET":
            top, left, bottom, right = self.attributes.get("pads", [0, 0, 0, 0])
            return [top, bottom, left, right]
        if auto == "VALID":
            return [0, 0, 0, 0]
        shape, found = self.shape, list[int]()
        for size, k, s, d in zip((shape.height, shape.width), kernel, stride, dilation, strict=True):
            total = (-(-size // s) - 1) * s + d * (k - 1) + 1 - size
            if total < (-2 if auto == "SAME_UPPER" else -3):  # onnxruntime leaves out rows in front too
                raise self.refuse(f"{auto} of a stride of {s} and a kernel of {k}: runtimes differ; state its pads")
            total = max(0, total)
            small, large = total // 2, total - total // 2
            found += [small, large] if auto == "SAME_UPPER" else [large, small]
        return found
