"""Loads an ONNX file into plain nodes with the size of every tensor; what does not depend on the image is computed.

Only ``onnx`` itself is used: its inference of one node's sizes, and its reference evaluator for constants, node after
node. That is all that folding needs once the input's size is known, and it keeps the names that files, messages and
profiles have. (onnxsim refuses graphs whose outputs state no size and leaves a batch that the input frees in place;
onnxslim folds as much, but renames and rewrites nodes besides.)
"""

from __future__ import annotations

import os
from ast import literal_eval
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...ui.errors import InputError
from ...ui.programs import install
from ..layers import Shape
from .functions import NotWritten, body
from .inference import corrected_sizes
from .onnx_input import fixed_input
from .onnx_nodes import OnnxNet, OnnxNode, Sizes
from .refusals import BROKEN, NodeRefused, advice

LEAST_OPSET = 7  # before it additions did not broadcast as they do now
SMALL = 4096  # bytes: constants up to this size may be sizes, which inference needs to see
MOST_FOLDED = 2**31  # bytes that a computed constant may have

_SIZE_OF_INPUT = ("GroupNormalization", "Mish", "Swish")  # functions of ONNX, for which it infers nothing


def load_file(path: str | os.PathLike[str]) -> Any:
    """The protobuf of a file.

    Raises:
        InputError: no such file, not ONNX, or the package is missing.
    """
    try:
        import onnx
    except ImportError:
        raise InputError(f"{path}: reading ONNX files needs the package onnx ({install('onnx')})") from None
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    try:
        proto = onnx.load(path)
    except Exception as error:  # protobuf, onnx and the system each have their own
        cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: is not a whole ONNX file ({cause})") from None
    if not proto.graph.node or not proto.graph.input or not proto.graph.output:
        raise InputError(f"{path}: is not a whole ONNX file (its graph has no nodes, inputs or outputs)")
    return proto


def read_net(proto: Any, source: str, shape: Shape | None = None) -> OnnxNet:
    """Nodes, constants and sizes of a model for one image.

    Args:
        proto: ONNX's ModelProto.
        source: for messages.
        shape: of the input, where the file leaves sizes open.

    Raises:
        InputError: several inputs, open sizes without ``shape``, sizes that do not fit; one line.
    """
    if proto.functions:
        from onnx import inliner

        proto = inliner.inline_local_functions(proto)
    return _Loading(proto, source, shape).net()


class _Loading:
    def __init__(self, proto: Any, source: str, shape: Shape | None) -> None:
        self.source, self.graph = source, proto.graph
        self.opset = max((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), default=1)
        if self.opset < LEAST_OPSET:
            raise InputError(f"{source}: is of opset {self.opset}, allowed: {LEAST_OPSET} or later")
        self.ir_version = proto.ir_version
        self.constants = self._initialisers()
        given = [value for value in self.graph.input if value.name not in self.constants]
        if len(given) != 1:
            names = ", ".join(value.name for value in given) or "none"
            raise InputError(f"{source}: the network has {len(given)} inputs ({names}), allowed: one, the image")
        self.input = given[0].name
        self.shape, self.axes = fixed_input(source, given[0], shape, self.graph.node)
        self.types: dict[str, Any] = {self.input: given[0].type}
        self.sizes: dict[str, Sizes] = {self.input: _sizes_of(given[0].type)}
        self.nodes: list[OnnxNode] = []
        self.notes: list[str] = []
        self.computed: set[str] = set()
        self.same: dict[str, str] = {}  # outputs of a branch that was chosen
        self.sequences: dict[str, list[str]] = {}  # parts of a split by the name of all

    def net(self) -> OnnxNet:
        self._take_all(self.graph.node)
        outputs = [str(self.same.get(value.name, value.name)) for value in self.graph.output]
        return OnnxNet(
            self.source, self.nodes, self.constants, self.sizes, self.input, self.shape, self.axes, outputs,
            self.notes, self.computed,
        )  # fmt: skip

    def _initialisers(self) -> dict[str, np.ndarray]:
        from onnx import numpy_helper

        found: dict[str, np.ndarray] = {}
        for tensor in self.graph.initializer:
            try:
                found[tensor.name] = numpy_helper.to_array(tensor)
            except Exception as error:
                raise InputError(
                    f"{self.source}: is not a whole ONNX file (weight {tensor.name}: {' '.join(str(error).split())})"
                ) from None
        return found

    def _take_all(self, protos: Iterable[Any]) -> None:
        for proto in protos:
            node = self._node(proto)
            try:
                self._take(node)
            except InputError:
                raise
            except Exception as error:  # onnx checks neither attributes nor inputs when it loads
                cause = " ".join(f"{type(error).__name__}: {error}".split())
                raise self._refuse(node, f"its inputs or attributes are not the operator's ({cause})") from None

    def _node(self, proto: Any) -> OnnxNode:
        operator = f"{proto.domain}.{proto.op_type}" if proto.domain not in ("", "ai.onnx") else proto.op_type
        scopes = next((p.value for p in proto.metadata_props if p.key == "pkg.torch.onnx.name_scopes"), "")
        path = ["", "", *(literal_eval(scopes) if scopes else ())][-2]  # of the torch module
        name = path or proto.name or f"{proto.op_type}_{len(self.nodes)}"
        inputs = [str(self.same.get(tensor, tensor)) for tensor in proto.input]
        return OnnxNode(str(name), operator, inputs, list(proto.output), proto, self.opset)

    def _refuse(self, node: OnnxNode, why: str) -> NodeRefused:
        return NodeRefused(self.source, node.name, node.operator, why, BROKEN)

    def _take(self, node: OnnxNode) -> None:
        if node.operator == "Constant":
            self.constants[node.outputs[0]] = _constant(node)
            return
        if not node.outputs:
            raise ValueError("it has no output")
        if node.operator == "If" and node.inputs and node.inputs[0] in self.constants:
            self._choose(node)
            return
        has_graph = any(attribute.HasField("g") for attribute in node.proto.attribute)
        fixed = all(tensor in self.constants for tensor in node.inputs if tensor)
        if fixed and not has_graph and self._compute(node):
            return
        if node.operator in ("Shape", "Size") and self._size(node):
            return
        if node.operator == "CastLike" and self._cast_like(node):
            return
        if node.operator == "SplitToSequence":
            node = self._as_split(node)
        elif node.operator == "SequenceAt" and node.inputs[0] in self.sequences:
            parts, place = self.sequences[node.inputs[0]], int(np.ravel(self.constants[node.inputs[1]])[0])
            self.same[node.outputs[0]] = parts[place]
            return
        if not has_graph and "." not in node.operator:
            if self._call(node):
                return
            self._infer(node)
        self.nodes.append(node)

    def _call(self, node: OnnxNode) -> bool:
        """The nodes of a function that ONNX defines, or that is one here, in the place of its call; whether it is."""
        types = self._types_read(node)
        try:
            found = None if types is None else body(_renamed(node), types, node.opset)
        except NotWritten as error:
            advised = advice(node.operator, node.inputs, self.constants)
            raise NodeRefused(self.source, node.name, node.operator, str(error), advised) from None
        if found is None:
            return False
        before = self.opset
        protos, self.opset = found
        self._take_all(protos)
        self.opset = before
        return True

    def _types_read(self, node: OnnxNode) -> dict[str, Any] | None:
        """Types of a node's inputs; None where one comes from an operator that nothing is known of."""
        from onnx import helper

        types = {tensor: self.types[tensor] for tensor in node.inputs if tensor in self.types}
        for tensor in node.inputs:
            if tensor in self.constants:
                value = self.constants[tensor]
                types[tensor] = helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        return types if set(filter(None, node.inputs)) <= set(types) else None

    def _choose(self, node: OnnxNode) -> None:
        """The branch of a condition that is known."""
        name = "then_branch" if bool(np.ravel(self.constants[node.inputs[0]])[0]) else "else_branch"
        branch = node.attributes[name]
        from onnx import numpy_helper

        self.constants.update({t.name: numpy_helper.to_array(t) for t in branch.initializer})
        self._take_all(branch.node)
        for value, output in zip(branch.output, node.outputs, strict=True):
            self.same[output] = str(self.same.get(value.name, value.name))

    def _compute(self, node: OnnxNode) -> bool:
        """A constant that is computed from constants (a transposed weight, say); whether it could be."""
        from onnx import helper
        from onnx.reference import ReferenceEvaluator

        given, made = (list(map(helper.make_empty_tensor_value_info, names)) for names in (node.inputs, node.outputs))
        feeds = {name: self.constants[name] for name in node.inputs if name}
        proto = _renamed(node)
        try:
            graph = helper.make_graph([proto], "constant", [v for v in given if v.name], [v for v in made if v.name])
            with np.errstate(all="ignore"):
                values = ReferenceEvaluator(graph, {"": node.opset}).run(None, feeds)
        except Exception:  # the evaluator lacks some operators; whoever reads the output says that it is no constant
            if node.operator != "DequantizeLinear":
                return False
            values = [self._dequantised(node)]
        arrays = list(map(np.asarray, values))
        if sum(array.nbytes for array in arrays) > MOST_FOLDED:
            return False
        made = dict(zip((name for name in node.outputs if name), arrays, strict=True))
        self.constants.update(made)
        self.computed.update(made)
        return True

    def _dequantised(self, node: OnnxNode) -> np.ndarray:
        """(x - zero point) * scale, along an axis where there are several; the evaluator has it from opset 19 on."""
        given = [self.constants[name] for name in node.inputs if name]
        x, scale, axis = given[0], given[1], node.attributes.get("axis", 1)
        zero = given[2] if len(given) > 2 else np.zeros_like(scale)
        along = [1] * x.ndim
        if scale.ndim == 1 and scale.size > 1:
            along[axis] = scale.size
        else:
            scale, zero = scale.reshape(()), zero.reshape(())
        return (x.astype(np.float32) - zero.astype(np.float32).reshape(along)) * scale.reshape(along)

    def _size(self, node: OnnxNode) -> bool:
        sizes = self.sizes.get(node.inputs[0])
        if sizes is None or None in sizes:
            return False
        start, end = node.attributes.get("start", 0), node.attributes.get("end", len(sizes))
        values = np.array(sizes[start:end], dtype=np.int64)
        self.constants[node.outputs[0]] = values if node.operator == "Shape" else np.array(values.prod())
        return True

    def _as_split(self, node: OnnxNode) -> OnnxNode:
        """A split whose parts are asked for by number later (torch's chunk), as one with an output for each."""
        from onnx import helper

        sizes, axis = self.sizes.get(node.inputs[0]), node.attributes.get("axis", 0)
        each = self.constants.get(node.inputs[1]) if len(node.inputs) > 1 else None
        if sizes is None or (size := sizes[axis]) is None or each is None:
            raise ValueError("the sizes of its parts are not known")
        step = int(each.ravel()[0])
        counts = [min(step, size - at) for at in range(0, size, step)] if each.ndim == 0 else each.tolist()
        sequence = node.outputs[0]
        self.sequences[sequence] = [f"{sequence}:{i}" for i in range(len(counts))]
        self.constants[f"{sequence}:sizes"] = np.array(counts, dtype=np.int64)
        inputs = [node.inputs[0], f"{sequence}:sizes"]
        proto = helper.make_node("Split", inputs, self.sequences[sequence], name=node.name, axis=axis)
        if node.opset < 13:
            del proto.input[1:]
            proto.attribute.append(helper.make_attribute("split", counts))
        return OnnxNode(node.name, "Split", list(proto.input), list(proto.output), proto, node.opset)

    def _cast_like(self, node: OnnxNode) -> bool:
        """A constant in the type of another tensor."""
        from onnx import helper

        value, like = node.inputs
        if value not in self.constants or like not in self.types:
            return False
        kind = helper.tensor_dtype_to_np_dtype(self.types[like].tensor_type.elem_type)
        self.constants[node.outputs[0]] = self.constants[value].astype(kind)
        return True

    def _infer(self, node: OnnxNode) -> None:
        """Types and sizes of a node's outputs; what ONNX cannot tell stays unknown.

        Raises:
            InputError: they do not fit the operator.
        """
        from onnx import defs, helper, numpy_helper, shape_inference

        try:
            schema = defs.get_schema(node.operator, node.opset)
        except defs.SchemaError:
            return
        types = self._types_read(node)
        if types is None:  # whoever reads an operator that nothing is known of refuses it
            return
        small = (t for t in node.inputs if t in self.constants and self.constants[t].nbytes <= SMALL)
        data: dict[str, Any] = {tensor: numpy_helper.from_array(self.constants[tensor], tensor) for tensor in small}
        try:
            made = shape_inference.infer_node_outputs(
                schema,
                self._forward(node),
                types,
                data,
                opset_imports=[helper.make_opsetid("", node.opset)],
                ir_version=self.ir_version,
            )
        except Exception as error:
            raise self._refuse(node, f"sizes do not fit ({' '.join(str(error).split())})") from None
        if node.operator in _SIZE_OF_INPUT and node.inputs[0] in self.types:
            made = {node.outputs[0]: self.types[node.inputs[0]]}
        corrections = self._corrections(node)
        for tensor, kind in made.items():
            below = [dim.dim_value for dim in kind.tensor_type.shape.dim if dim.dim_value < 0]
            if below:
                raise self._refuse(node, f"its output has a size of {below[0]}, allowed: 1 or more")
            self.types[tensor] = kind
            if kind.tensor_type.HasField("shape"):
                for axis, size in corrections.items():
                    kind.tensor_type.shape.dim[axis].dim_value = size
                self.sizes[tensor] = _sizes_of(kind)

    def _forward(self, node: OnnxNode) -> Any:
        """The node's protobuf with its axis counted from the front: inference below opset 11 knows no other."""
        proto, axis = _renamed(node), node.attributes.get("axis")
        sizes = self.sizes.get(node.inputs[0]) if node.inputs else None
        if node.opset >= 11 or not isinstance(axis, int) or axis >= 0 or sizes is None:
            return proto
        copy = type(proto)()
        copy.CopyFrom(proto)
        next(a for a in copy.attribute if a.name == "axis").i = axis + len(sizes)
        return copy

    def _corrections(self, node: OnnxNode) -> Mapping[int, int]:
        """Sizes of the outputs that are other ones than ONNX infers."""
        given = self.sizes.get(node.inputs[0]) if node.inputs else None
        if given is None:
            return {}
        place = 1 if node.operator == "Upsample" or node.opset < 11 else 2
        scales = self.constants.get(node.inputs[place]) if len(node.inputs) > place else None
        if scales is None and "scales" in node.attributes:  # Upsample up to opset 8
            scales = np.array(node.attributes["scales"])
        return corrected_sizes(node.operator, node.attributes, given, scales)


def _renamed(node: OnnxNode) -> Any:
    """The node's protobuf with the inputs that it reads now."""
    if list(node.proto.input) == node.inputs:
        return node.proto
    from onnx import NodeProto

    proto = NodeProto()
    proto.CopyFrom(node.proto)
    del proto.input[:]
    proto.input.extend(node.inputs)
    return proto


def _sizes_of(kind: Any) -> Sizes:
    dims = kind.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else None for dim in dims)


def _constant(node: OnnxNode) -> np.ndarray:
    from onnx import numpy_helper

    (name, value), *_ = node.attributes.items()
    if name == "value":
        return numpy_helper.to_array(value)
    kinds = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    return np.array(value, dtype=kinds.get(name))
