"""ONNX nodes that no layer is for, as the operations of a program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from math import prod
from typing import Any

import numpy as np

from ..layers import Shape
from ..programs import Constant, Elementwise, Operation, Program, Split
from .graph import Weights
from .onnx_nodes import OnnxNet, OnnxNode, known_sizes
from .quantised import upper_bound
from .ranges import border, slices
from .refusals import NodeRefused, advice

# Operators that are a reshape once all sizes are known, and those that change nothing here.
_RESHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
_SEVERAL = ("Split", "TopK", "LSTM")  # of others only the first output is made
_SAME = ("Identity", "DequantizeLinear")


class NoProgram(Exception):
    """A node cannot be an operation: which, and why."""

    def __init__(self, node: OnnxNode, why: str) -> None:
        super().__init__(why)
        self.node = node


@dataclass(frozen=True)
class Entry:
    """A tensor that a program reads: its name, sizes, and how its axes lie in a map (b, c, h, w), if otherwise."""

    tensor: str
    sizes: tuple[int, ...]
    axes: str


def program_of(
    net: OnnxNet, nodes: Sequence[OnnxNode], entries: Sequence[Entry], outputs: Sequence[str], out: Shape, split: Split
) -> tuple[Program, Weights]:
    """Nodes as a program, and its constants.

    Args:
        net: the file.
        nodes: in order.
        entries: what it reads.
        outputs: tensors that it gives.
        out: as a map.
        split: how several entries are told apart.

    Raises:
        NoProgram: a node that no operation is for, or sizes that depend on the image.
    """
    writer = _Writer(net, entries)
    lowered = [(node, *writer.lowered(node)) for node in nodes]
    for tensor in dict.fromkeys(tensor for _, _, inputs, _ in lowered for tensor in inputs if tensor in net.constants):
        writer.constant(tensor)
    for entry in entries:
        writer.entry(entry)
    for node, operator, inputs, attributes in lowered:
        writer.node(node, operator, inputs, attributes)
    for tensor in outputs:
        if tensor not in writer.values:
            raise NoProgram(nodes[-1], f"output {tensor} does not depend on the image")
    program = Program(
        tuple(writer.map_sizes(entry) for entry in entries), split, tuple(writer.constants),
        tuple(writer.operations), tuple(writer.values[tensor] for tensor in outputs), out,
    )  # fmt: skip
    _check(program, writer, nodes)
    return program, writer.weights


def is_elementwise(node: OnnxNode) -> bool:
    """Whether a node's operator works value by value."""
    from ..runnable.elementwise import ELEMENTWISE

    return node.operator in ELEMENTWISE


def elementwise_of(
    net: OnnxNet, nodes: Sequence[OnnxNode], entries: Sequence[Entry], output: str
) -> tuple[Elementwise, Weights]:
    """Nodes that all work value by value (:func:`is_elementwise`) as operators of which any rows can be made alone.

    Raises:
        NoProgram: as :func:`program_of`; or a constant, or one of several maps, has other rows than the output.
    """
    sizes = known_sizes(net, output)
    maps = {(entry.axes, *entry.sizes[2:]) for entry in entries}
    if sizes is None or len(sizes) != 4 or maps != {("bchw", *sizes[2:])}:
        raise NoProgram(nodes[-1], "what it is made of is no map of the same rows and columns")
    program, weights = program_of(net, nodes, entries, [output], Shape(*sizes[1:]), "channels")
    if any(len(constant.sizes) > 1 and constant.sizes[-2] != 1 for constant in program.constants):
        raise NoProgram(nodes[-1], "a constant has a value of its own for every row")
    return Elementwise(**{f.name: getattr(program, f.name) for f in fields(program)}), weights


def _in_order(axes: str) -> str:
    """Axes as a map has them; a vector of it has that order anyway."""
    return "".join(sorted(axes, key="bchw".find)) if set(axes) <= set("bchw") else axes


class _Writer:
    def __init__(self, net: OnnxNet, entries: Sequence[Entry]) -> None:
        self.net = net
        self.values: dict[str, int] = {}
        self.constants: list[Constant] = []
        self.weights: dict[str, np.ndarray] = {}
        self.operations: list[Operation] = []
        self._entries = len(entries)
        self._made = 0

    def constant(self, tensor: str) -> None:
        value = self.net.constants[tensor]
        kind = "float32" if value.dtype.kind == "f" else "bool" if value.dtype.kind == "b" else "int64"
        if value.dtype.kind not in "fbiu":
            return
        constant = Constant(tuple(value.shape), kind)
        name = f"values.{'weight' if constant.is_weight else 'constant'}{len(self.constants)}"
        self.values[tensor] = self._entries + len(self.constants)
        self.weights[name] = np.ascontiguousarray(value.astype(kind))
        self.constants.append(constant)

    @staticmethod
    def map_sizes(entry: Entry) -> tuple[int, ...]:
        """Sizes of an entry with its axes in a map's order."""
        return tuple(entry.sizes[entry.axes.index(letter)] for letter in _in_order(entry.axes))

    def entry(self, entry: Entry) -> None:
        place = sum(tensor not in self.net.constants for tensor in self.values)
        order = _in_order(entry.axes)
        if order != entry.axes:
            perm = tuple(order.index(letter) for letter in entry.axes)
            place = self._operation("Transpose", (place,), {"perm": perm}, (entry.sizes,))
        self.values[entry.tensor] = place

    def _operation(
        self, operator: str, inputs: tuple[int, ...], attributes: Mapping[str, Any], sizes: tuple[tuple[int, ...], ...],
        macs: int = 0,
    ) -> int:  # fmt: skip
        kept = tuple(sorted((name, _plain(value)) for name, value in attributes.items() if value is not None))
        self.operations.append(Operation(operator, inputs, kept, sizes, macs))
        first = self._entries + len(self.constants) + self._made
        self._made += len(sizes)
        return first

    def node(self, node: OnnxNode, operator: str, inputs: Sequence[str], attributes: Mapping[str, Any]) -> None:
        outputs = list(filter(None, node.outputs[: None if operator in _SEVERAL else 1]))
        sizes = [known_sizes(self.net, tensor) for tensor in outputs]
        if any(size is None for size in sizes):
            raise NoProgram(node, "its output has no size that can be told beforehand")
        made = tuple(size for size in sizes if size is not None)
        if 0 in map(prod, made):
            raise NoProgram(node, f"its output has the sizes {made[0]}, allowed: 1 or more of each")
        missing = [tensor for tensor in inputs if tensor and tensor not in self.values]
        if missing:
            raise NoProgram(node, f"{missing[0]} depends on nothing that is known")
        from ..runnable.operators import OPERATORS

        if operator not in OPERATORS:
            raise NoProgram(node, f"the operator {operator} has no layer and none that programs have")
        places = tuple(self.values[tensor] if tensor else -1 for tensor in inputs)
        first = self._operation(operator, places, attributes, made, self._macs(node, made))
        for i, tensor in enumerate(outputs):
            self.values[tensor] = first + i

    def _macs(self, node: OnnxNode, made: Sequence[tuple[int, ...]]) -> int:
        first, second = (known_sizes(self.net, tensor) or () for tensor in (*node.inputs, "", "")[:2])
        if node.operator in ("MatMul", "Gemm") and first:
            return prod(made[0]) * first[-2 if node.attributes.get("transA", 0) else -1]
        if node.operator == "Conv":
            return prod(made[0]) * prod(second[1:])
        if node.operator == "ConvTranspose":
            return prod(first) * prod(second[1:])
        if node.operator == "LSTM":
            recurrent = known_sizes(self.net, node.inputs[2]) or ()
            return prod(first[:2]) * (prod(second) + prod(recurrent))
        return 0

    def lowered(self, node: OnnxNode) -> tuple[str, list[str], dict[str, Any]]:
        """(operator, tensors, attributes) with whatever is no tensor among the attributes."""
        a = {name: value for name, value in node.attributes.items() if isinstance(value, int | float | str | list)}
        if node.operator in _RESHAPES:
            return "Reshape", node.inputs[:1], {}
        if node.operator in _SAME:
            return "Identity", node.inputs[:1], {}
        rule = _RULES.get(node.operator)
        try:
            return rule(self, node, a) if rule else (node.operator, list(node.inputs), a)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise NoProgram(node, f"its inputs are not constant, or not the operator's ({error})") from None

    def numbers(self, node: OnnxNode, index: int) -> list[Any] | None:
        """A constant input as a list, None where it is left out."""
        if index >= len(node.inputs) or not node.inputs[index]:
            return None
        return self.net.constants[node.inputs[index]].ravel().tolist()

    def sizes(self, tensor: str) -> tuple[int, ...]:
        found = known_sizes(self.net, tensor)
        if found is None:
            raise ValueError(f"{tensor} has no size that can be told beforehand")
        return found


Lowered = tuple[str, list[str], dict[str, Any]]
Rule = Callable[[_Writer, OnnxNode, dict[str, Any]], Lowered]


def _axes_rule(writer: _Writer, node: OnnxNode, a: dict[str, Any]) -> Lowered:
    axes = a.get("axes", writer.numbers(node, 1))
    keep = {"keepdims": a.get("keepdims", 1), "axes": axes or None}
    return node.operator, node.inputs[:1], keep


def _slice_rule(writer: _Writer, node: OnnxNode, a: dict[str, Any]) -> Lowered:
    numbers = (a.get(name, writer.numbers(node, i)) for i, name in enumerate(("starts", "ends", "axes", "steps"), 1))
    found = slices(writer.sizes(node.inputs[0]), *numbers)
    taken = tuple((axis, places.start, len(places), places.step) for axis, places in found.items())
    return "Slice", node.inputs[:1], {"slices": taken}


def _split_rule(writer: _Writer, node: OnnxNode, a: dict[str, Any]) -> Lowered:
    return "Split", node.inputs[:1], {"axis": a.get("axis", 0) % len(writer.sizes(node.inputs[0]))}


def _softmax_rule(writer: _Writer, node: OnnxNode, a: dict[str, Any]) -> Lowered:
    old = node.opset < 13
    return node.operator, node.inputs[:1], {"axis": a.get("axis", 1 if old else -1), "flattens": int(old)}


def _pad_rule(writer: _Writer, node: OnnxNode, a: dict[str, Any]) -> Lowered:
    pads = border(len(writer.sizes(node.inputs[0])), a.get("pads", writer.numbers(node, 1)), writer.numbers(node, 3))
    value = writer.numbers(node, 2)
    more = {"value": float(value[0])} if value else {"value": float(a.get("value", 0.0))}
    return "Pad", node.inputs[:1], {"pads": pads, "mode": a.get("mode", "constant"), **more}


def _quantise_rule(writer: _Writer, node: OnnxNode, a: dict[str, Any]) -> Lowered:
    largest = upper_bound(writer.net, node)
    if largest is None:
        return "Identity", node.inputs[:1], {}
    return "Clip", node.inputs[:1], {"min": 0.0, "max": largest}


def _clip_rule(writer: _Writer, node: OnnxNode, a: dict[str, Any]) -> Lowered:
    limits = {}
    for name, index in (("min", 1), ("max", 2)):
        found = writer.numbers(node, index)
        limits[name] = a.get(name) if found is None else float(found[0])
    return "Clip", node.inputs[:1], limits


def _window_rule(writer: _Writer, node: OnnxNode, a: dict[str, Any]) -> Lowered:
    axes = len(writer.sizes(node.inputs[0])) - 2
    auto, ceil = a.get("auto_pad", "NOTSET"), a.get("ceil_mode", 0)
    if auto not in ("NOTSET", "VALID") or ceil:
        raise ValueError("auto_pad and ceil_mode are not supported here: state its pads")
    kernel = a.get("kernel_shape") or (writer.sizes(node.inputs[1])[2:] if node.operator == "Conv" else None)
    found = {"kernel_shape": kernel, "strides": a.get("strides") or [1] * axes, "pads": a.get("pads") or [0] * 2 * axes}
    found["dilations"] = a.get("dilations") or [1] * axes
    if auto == "VALID":
        found["pads"] = [0] * 2 * axes
    bias = node.inputs[2] if node.operator == "Conv" and len(node.inputs) > 2 else ""
    if bias and writer.sizes(bias) != writer.sizes(node.inputs[1])[:1]:
        raise ValueError("a bias of other sizes than one number a channel")
    more = {name: a[name] for name in ("group", "count_include_pad") if name in a}
    return node.operator, list(node.inputs), found | more


def _transposed_rule(writer: _Writer, node: OnnxNode, a: dict[str, Any]) -> Lowered:
    axes = len(writer.sizes(node.inputs[0])) - 2
    if a.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or a.get("output_shape"):
        raise ValueError("auto_pad and output_shape are not supported here")
    found = {"strides": a.get("strides") or [1] * axes, "pads": a.get("pads") or [0] * 2 * axes}
    found |= {"dilations": a.get("dilations") or [1] * axes, "group": a.get("group", 1)}
    return "ConvTranspose", list(node.inputs), found | {"output_padding": a.get("output_padding") or [0] * axes}


def _cast_rule(writer: _Writer, node: OnnxNode, a: dict[str, Any]) -> Lowered:
    from onnx import TensorProto

    whole = (TensorProto.INT64, TensorProto.INT32, TensorProto.UINT8, TensorProto.INT8)
    kinds = dict.fromkeys(whole, "int64") | {TensorProto.BOOL: "bool"}
    floats = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
    kinds |= dict.fromkeys(floats, "float32")
    return "Cast", node.inputs[:1], {"to": kinds[a["to"]]}


def _dropout_rule(writer: _Writer, node: OnnxNode, a: dict[str, Any]) -> Lowered:
    if any(writer.numbers(node, 2) or ()):
        raise ValueError("dropout in training mode")
    return "Identity", node.inputs[:1], {}


def _top_k_rule(writer: _Writer, node: OnnxNode, a: dict[str, Any]) -> Lowered:
    count = a.get("k") or (writer.numbers(node, 1) or [0])[0]
    return "TopK", node.inputs[:1], {"k": int(count), "axis": a.get("axis", -1), "largest": a.get("largest", 1)}


def _constant_rule(
    name: str, index: int = 1, first: bool = False
) -> Callable[[_Writer, OnnxNode, dict[str, Any]], Lowered]:
    """The second input becomes an attribute."""

    def rule(writer: _Writer, node: OnnxNode, a: dict[str, Any]) -> Lowered:
        values = writer.numbers(node, index)
        if values is None:
            raise ValueError(f"input {index} is missing")
        return node.operator, node.inputs[:1], {**a, name: int(values[0]) if first else values}

    return rule


def _lstm_rule(writer: _Writer, node: OnnxNode, a: dict[str, Any]) -> Lowered:
    extra = [tensor for tensor in node.inputs[4:] if tensor]
    zeros = all(tensor in writer.net.constants and not writer.net.constants[tensor].any() for tensor in extra[:2])
    if (extra and not zeros) or a.get("layout", 0) or a.get("activations") or a.get("clip"):
        raise ValueError("an LSTM that begins elsewhere, or with other activations")
    kept = {"hidden_size": a["hidden_size"], "direction": a.get("direction", "forward")}
    return "LSTM", [*node.inputs[:3], *(node.inputs[3:4] if len(node.inputs) > 3 and node.inputs[3] else [])], kept


_RULES: dict[str, Rule] = {
    **dict.fromkeys(
        ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare",
         "ReduceLogSumExp"), _axes_rule
    ),
    **dict.fromkeys(("Softmax", "LogSoftmax"), _softmax_rule),
    **dict.fromkeys(("Conv", "MaxPool", "AveragePool"), _window_rule),
    "Slice": _slice_rule,
    "Split": _split_rule,
    "Pad": _pad_rule,
    "Clip": _clip_rule,
    "QuantizeLinear": _quantise_rule,
    "Cast": _cast_rule,
    "TopK": _top_k_rule,
    "Dropout": _dropout_rule,
    "ConvTranspose": _transposed_rule,
    "Expand": lambda writer, node, a: ("Expand", node.inputs[:1], {}),
    "Transpose": lambda writer, node, a: (
        "Transpose", node.inputs[:1], {"perm": a.get("perm") or list(range(len(writer.sizes(node.inputs[0]))))[::-1]}
    ),
    "Tile": _constant_rule("repeats"),
    "CumSum": _constant_rule("axis", first=True),
    "LSTM": _lstm_rule,
}  # fmt: skip


def _plain(value: Any) -> Any:
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


def _check(program: Program, writer: _Writer, nodes: Sequence[OnnxNode]) -> None:
    """Run the program on tensors without values: every size must be the one that ONNX inferred.

    Raises:
        NoProgram: it is not, or an operation fails.
    """
    import torch

    from ..runnable.operators import OPERATORS

    kinds = {"float32": torch.float32, "int64": torch.int64, "bool": torch.bool}
    values: list[torch.Tensor] = [torch.empty(sizes, device="meta") for sizes in program.inputs]
    values += [torch.empty(c.sizes, dtype=kinds[c.dtype], device="meta") for c in program.constants]
    turned = len(program.operations) - len(nodes)
    for i, operation in enumerate(program.operations):
        node = nodes[max(0, i - turned)]
        given = [None if k < 0 else values[k] for k in operation.inputs]
        try:
            made = OPERATORS[operation.operator](given, dict(operation.attributes), operation.sizes)
        except Exception as error:  # torch has several kinds
            why = " ".join((str(error).splitlines() or [""])[0].split())
            raise NoProgram(node, f"it cannot run ({type(error).__name__}: {why})") from None
        made = list(made) if isinstance(made, tuple | list) else [made]
        if [tuple(value.shape) for value in made] != list(operation.sizes):
            raise NoProgram(node, "its output has another size than ONNX infers")
        values += made


def refusal(net: OnnxNet, error: NoProgram, why: str) -> NodeRefused:
    """The error of a node that neither a layer nor a program is for."""
    node = error.node
    detail = f"{why}; as part of a program: {error}" if why and why not in str(error) else f"{error}"
    return NodeRefused(net.source, node.name, node.operator, detail, advice(node.operator, node.inputs, net.constants))
