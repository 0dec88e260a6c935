"""Quantised activations: read as float, but for the bounds of their whole numbers that stand for an activation.

Quantisers leave out a Relu, or a Clip from 0 on, where the whole numbers behind it begin at 0 as well.
"""

from __future__ import annotations

import numpy as np

from ..activations import with_parameters
from ..channels import Shuffle
from ..layers import GlobalPool, Pointwise, Pool
from ..remaps import DepthToSpace, Mirror, Reorg, Resize, Slice
from .call import Call
from .graph import GraphBuilder
from .onnx_nodes import OnnxNet, OnnxNode

QUANTISED = "quantised activations are read as float: what lies between Quantize and Dequantize is left out"
_NOT_NEGATIVE = ("relu", "relu6", "sigmoid", "hardsigmoid", "softmax", "exp", "abs", "sqrt")
_PLACES = (Pool, GlobalPool, Shuffle, DepthToSpace, Reorg, Slice, Mirror)  # of values that are there, or averages
_KEEPS = ("add", "mul", "max", "min", "concat")


def upper_bound(net: OnnxNet, node: OnnxNode) -> float | None:
    """The largest value that a QuantizeLinear keeps, where the smallest is 0; None where negative values are kept."""
    scale = net.constants.get(node.inputs[1])
    zero = net.constants.get(node.inputs[2]) if len(node.inputs) > 2 else np.zeros(1, np.uint8)
    if scale is None or zero is None or scale.size != 1 or zero.dtype.kind not in "iu":
        return None
    numbers = np.iinfo(zero.dtype)
    return float(scale.ravel()[0]) * (numbers.max - numbers.min) if (zero == numbers.min).all() else None


def quantise(call: Call) -> None:
    """A map's values as whole numbers: read as they are, which is said; limited where that is their activation."""
    if QUANTISED not in call.net.notes:
        call.net.notes.append(QUANTISED)
    largest = upper_bound(call.net, call.node) if call.operator == "QuantizeLinear" else None
    if largest is None or _never_negative(call.out, call.x):
        call.out.alias(call.x, call.output)
    else:
        call.activation(with_parameters("clip", 0.0, largest))


def _never_negative(out: GraphBuilder, tensor: str) -> bool:
    """Whether a tensor is the image, or has been through an activation that leaves nothing below 0."""
    node = out.maker(tensor)
    if node is None:
        return True
    if node.layer is None:
        return node.combine in _KEEPS and all(_never_negative(out, each) for each in node.inputs)
    if isinstance(node.layer, Pointwise):
        kind = node.layer.activation
        return kind.partition("=")[0] in _NOT_NEGATIVE or kind.startswith("clip=0")
    keeps = isinstance(node.layer, _PLACES) or (isinstance(node.layer, Resize) and node.layer.mode != "cubic")
    return keeps and _never_negative(out, node.inputs[0])
