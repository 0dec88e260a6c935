"""Reads an ONNX file into a :class:`.graph.Graph`. Needs ``onnx``; the network itself is not run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ...ui.errors import InputError
from ..layers import Shape
from .graph import Graph, GraphBuilder
from .onnx_operators import HANDLERS, Call

LEAST_OPSET = 7  # before it additions did not broadcast as they do now
SMALL = 1024  # bytes: constants up to this size may be sizes, which shape inference needs to see


def read_onnx(path: str | os.PathLike[str], name: str, shape: Shape | None = None) -> Graph:
    """The graph of an ONNX file for one image.

    Args:
        path: the file.
        name: of the model.
        shape: of the input, where the file leaves sizes open.

    Raises:
        InputError: no such file, not ONNX, open sizes without ``shape``, an operator without a layer; one line that
            names the node.
    """
    proto = _load(path)
    return _Reader(proto, str(path), name, shape).graph()


def _load(path: str | os.PathLike[str]) -> Any:
    try:
        import onnx
    except ImportError:
        raise InputError(f"{path}: reading ONNX files needs the package onnx (pip install onnx)") from None
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


class _Reader:
    def __init__(self, proto: Any, source: str, name: str, shape: Shape | None) -> None:
        self.source, self.graph_proto = source, proto.graph
        self.constants = self._constants()
        given = [value for value in self.graph_proto.input if value.name not in self.constants]
        if len(given) != 1 or len(self.graph_proto.output) != 1:
            counts = f"{len(given)} inputs and {len(self.graph_proto.output)} outputs"
            raise InputError(f"{source}: the network has {counts}, allowed: one of each")
        shape = self._fixed_input(given[0], shape)
        self.opset = max((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), default=1)
        if self.opset < LEAST_OPSET:
            raise InputError(f"{source}: is of opset {self.opset}, allowed: {LEAST_OPSET} or later")
        self.sizes = self._inferred_sizes(proto)
        self.out = GraphBuilder(name, source, given[0].name, shape)

    def _constants(self) -> dict[str, np.ndarray]:
        from onnx import numpy_helper

        found: dict[str, np.ndarray] = {}
        for tensor in self.graph_proto.initializer:
            try:
                found[tensor.name] = numpy_helper.to_array(tensor)
            except Exception as error:
                raise InputError(
                    f"{self.source}: is not a whole ONNX file (weight {tensor.name}: {' '.join(str(error).split())})"
                ) from None
            if found[tensor.name].nbytes > SMALL:
                tensor.ClearField("raw_data")  # shape inference would copy it
        return found

    def _fixed_input(self, value: Any, shape: Shape | None) -> Shape:
        """The size of the input, written into the file's own description."""
        dims = value.type.tensor_type.shape.dim
        sizes = list(map(_size, dims))
        free = [dim.dim_param or "?" for dim in dims]
        if len(sizes) != 4:
            raise InputError(
                f"{self.source}: input {value.name} has {len(sizes)} axes, allowed: 4 (batch, channels, height, width)"
            )
        if sizes[0] not in (None, 0, 1):
            raise InputError(f"{self.source}: input {value.name} has a batch of {sizes[0]}, allowed: 1 or a free size")
        wanted = (1, shape.channels, shape.height, shape.width) if shape is not None else (1, None, None, None)
        if shape is None and not all(sizes[1:]):
            names = ", ".join(name for name, size in zip(free[1:], sizes[1:], strict=True) if not size)
            raise InputError(
                f"{self.source}: input {value.name} leaves sizes open ({names}); give them with --input 3x224x224 "
                f"(channels, height, width) or as {self.source}@3x224x224"
            )
        for axis, (size, given) in enumerate(zip(sizes, wanted, strict=True)):
            if axis and size and given and size != given:
                has = "x".join(str(s or "?") for s in sizes[1:])
                raise InputError(f"{self.source}: input {value.name} is {has}, not {'x'.join(map(str, wanted[1:]))}")
            dims[axis].dim_value = given or size
        return Shape(*(dim.dim_value for dim in dims[1:]))

    def _inferred_sizes(self, proto: Any) -> dict[str, tuple[int | None, ...]]:
        """Sizes of the tensors as ONNX infers them; what it cannot tell is missing or None."""
        from onnx import shape_inference

        del proto.graph.value_info[:]
        for value in proto.graph.output:
            value.type.tensor_type.ClearField("shape")
        try:
            inferred = shape_inference.infer_shapes(proto, data_prop=True).graph
        except Exception as error:
            raise InputError(f"{self.source}: shapes do not fit ({' '.join(str(error).split())})") from None
        return {
            value.name: tuple(
                d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim
            )
            for value in (*inferred.value_info, *inferred.output)
            if value.type.tensor_type.HasField("shape")
        }

    def graph(self) -> Graph:
        needed = self._needed()
        for number, node in enumerate(self.graph_proto.node):
            if needed.intersection(node.output):
                self._read(node, str(node.name or f"{node.op_type}_{number}"))  # bytes where it is not UTF-8
        return self.out.finish(self.graph_proto.output[0].name)

    def _needed(self) -> set[str]:
        """The tensors that the output depends on: a head that was cut off may have left its nodes."""
        needed = {self.graph_proto.output[0].name}
        for node in reversed(self.graph_proto.node):
            if needed.intersection(node.output):
                needed.update(node.input)
        return needed

    def _read(self, node: Any, name: str) -> None:
        try:
            self._take(node, name)
        except InputError:
            raise
        except (LookupError, TypeError, ValueError) as error:  # onnx does not check attributes when it loads
            cause = " ".join(f"{type(error).__name__}: {error}".split())
            why = f"its inputs or attributes are not the operator's ({cause})"
            raise self.out.refuse(name, node.op_type, why) from None

    def _take(self, node: Any, name: str) -> None:
        if node.op_type == "Constant":
            self.constants[node.output[0]] = _constant(node)
            return
        has_graph = any(attribute.HasField("g") for attribute in node.attribute)
        if node.input and not has_graph and all(tensor in self.constants for tensor in node.input if tensor):
            self._compute(node)
            return
        if not has_graph and (node.op_type == "Shape" or not any(map(self.out.known, node.input))):
            return  # computes sizes, which shape inference has followed
        handler = HANDLERS.get(node.op_type)
        if handler is None or node.domain not in ("", "ai.onnx"):
            operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            known = ", ".join(sorted(HANDLERS))
            raise InputError(f"{self.source}: node {name} has the unsupported operator {operator}; supported: {known}")
        handler(Call(self.out, self.constants, self.sizes, node, name, self.opset))

    def _compute(self, node: Any) -> None:
        """A constant that is computed from constants (a transposed weight, say)."""
        from onnx import helper
        from onnx.reference import ReferenceEvaluator

        given, made = (list(map(helper.make_empty_tensor_value_info, names)) for names in (node.input, node.output))
        try:
            evaluator = ReferenceEvaluator(helper.make_graph([node], "constant", given, made), {"": self.opset})
            values = evaluator.run(None, {name: self.constants[name] for name in node.input if name})
        except Exception:  # the evaluator lacks some operators; whoever reads the output says that it is no constant
            return
        self.constants.update(zip(node.output, map(np.asarray, values), strict=True))


def _size(dim: Any) -> int | None:
    return dim.dim_value if dim.HasField("dim_value") else None


def _constant(node: Any) -> np.ndarray:
    from onnx import helper, numpy_helper

    attribute = node.attribute[0]
    if attribute.name == "value":
        return numpy_helper.to_array(attribute.t)
    return np.array(helper.get_attribute_value(attribute))
