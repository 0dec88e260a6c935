"""Operators written by others: what ONNX defines as a function of simpler operators, and what is one here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from math import prod
from typing import Any

import numpy as np

from .onnx_operators import HANDLERS
from .refusals import WHOLE_NUMBERS

Protos = list[Any]  # ONNX's NodeProto


class NotWritten(Exception):
    """An operator that is a function here has an attribute that is not read."""


def body(node: Any, types: Mapping[str, Any], opset: int) -> tuple[Protos, int] | None:
    """The nodes that a node stands for, and the opset that they are written in; None where it stands for itself.

    Operators that are read as they are stay, also within a function. Tensors in between are named after the output.

    Args:
        node: a NodeProto of ONNX's own domain.
        types: of its inputs.
        opset: of the file.

    Raises:
        NotWritten: it has an attribute that is not read.
    """
    if node.op_type in HANDLERS or node.op_type in _read():  # the latter needs torch
        return None
    if node.op_type in _OWN:
        return _OWN[node.op_type](node, types), opset
    written_in = _function_opset(node.op_type, opset)
    if written_in is None:
        return None
    return _renamed(node, _inlined(node, types, written_in)), written_in


@cache
def _read() -> frozenset[str]:
    """Operators that a layer or a program is for, and those that are folded away."""
    from ..runnable.operators import OPERATORS

    return frozenset({*HANDLERS, *OPERATORS, *WHOLE_NUMBERS})


def _function_opset(operator: str, opset: int) -> int | None:
    """The first opset from the file's on in which ONNX defines the operator as a function."""
    from onnx import defs

    try:
        schema: Any = defs.get_schema(operator, opset)
    except defs.SchemaError:
        return None
    known = [*schema.function_opset_versions, *schema.context_dependent_function_opset_versions]
    return max(opset, min(known)) if known else None


def _inlined(node: Any, types: Mapping[str, Any], opset: int) -> Protos:
    from onnx import AttributeProto, defs, helper, inliner

    complete = type(node)()
    complete.CopyFrom(node)
    stated = {attribute.name for attribute in node.attribute}
    for name, attribute in defs.get_schema(node.op_type, opset).attributes.items():
        if name not in stated and attribute.default_value.type != AttributeProto.UNDEFINED:
            complete.attribute.append(attribute.default_value)  # the inliner leaves out what is not stated

    inputs = [helper.make_value_info(name, types[name]) for name in dict.fromkeys(filter(None, node.input))]
    outputs = [helper.make_empty_tensor_value_info(name) for name in filter(None, node.output)]
    graph = helper.make_graph([complete], "function", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    kept = [("", operator) for operator in sorted(_read())]
    return list(inliner.inline_selected_functions(model, kept, True, True).graph.node)


def _renamed(node: Any, protos: Protos) -> Protos:
    """The same nodes under the caller's name, with tensors of their own."""
    outside = {*node.input, *node.output, ""}

    def renamed(tensors: Sequence[str]) -> list[str]:
        return [tensor if tensor in outside else f"{node.output[0]}/{tensor}" for tensor in tensors]

    for proto in protos:
        inputs, outputs = renamed(proto.input), renamed(proto.output)
        del proto.input[:], proto.output[:], proto.metadata_props[:]
        proto.input.extend(inputs)
        proto.output.extend(outputs)
        proto.metadata_props.extend(node.metadata_props)
        proto.name = node.name
    return protos


def _mean(node: Any, types: Mapping[str, Any]) -> Protos:
    """The mean of several maps."""
    return _chain(node, list(node.input), [("Sum", None, {}), ("Mul", 1 / len(node.input), {})])


def _power_pool(node: Any, types: Mapping[str, Any]) -> Protos:
    """The p-norm of every window (LpPool), or of the whole map (GlobalLpPool), from the mean of powers."""
    from onnx import helper

    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    power = float(attributes.pop("p", 2))
    if node.op_type == "GlobalLpPool":
        pool, window, more = "GlobalAveragePool", _sizes(types[node.input[0]])[2:], {}
    else:
        pool, window, more = "AveragePool", attributes["kernel_shape"], {**attributes, "count_include_pad": 1}
        if attributes.get("ceil_mode", 0):
            raise NotWritten("ceil_mode of a pool by powers is not read")
    steps: list[tuple[str, float | None, dict[str, Any]]] = [
        ("Abs", None, {}), ("Pow", power, {}), (pool, None, more), ("Mul", float(prod(window)), {}),
        ("Pow", 1 / power, {}),
    ]  # fmt: skip
    return _chain(node, [node.input[0]], steps)


def _sizes(kind: Any) -> list[int]:
    return [dim.dim_value for dim in kind.tensor_type.shape.dim]


def _chain(node: Any, inputs: list[str], steps: Sequence[tuple[str, float | None, dict[str, Any]]]) -> Protos:
    """Operators behind one another, some with a number as their second input."""
    from onnx import helper, numpy_helper

    protos: Protos = []
    for i, (operator, number, attributes) in enumerate(steps):
        if number is not None:
            value = numpy_helper.from_array(np.array(number, np.float32))
            protos.append(helper.make_node("Constant", [], [f"number{i}"], value=value))
            inputs = [*inputs, f"number{i}"]
        output = node.output[0] if i == len(steps) - 1 else f"step{i}"
        protos.append(helper.make_node(operator, inputs, [output], **attributes))
        inputs = [output]
    return _renamed(node, protos)


_OWN: dict[str, Callable[[Any, Mapping[str, Any]], Protos]] = {
    "Mean": _mean, "LpPool": _power_pool, "GlobalLpPool": _power_pool,
}  # fmt: skip
