"""Every operator of ONNX that is read gives what ONNX's reference evaluator gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from splitgym.models.layers import Shape
from splitgym.models.own.onnx_operators import HANDLERS
from splitgym.models.own.read import import_onnx

from .nets import assert_equal_outputs, image, onnx_file, run_onnxruntime, run_reference

NEWEST = onnx.defs.onnx_opset_version()
Values = np.ndarray | tuple[int, ...]  # weights, or the sizes of random ones


@dataclass(frozen=True)
class Case:
    """Nodes behind a convolution that makes ``c``, 4 x 7 x 8: one side is odd, one even.

    Attributes:
        same_as: nodes that mean the same, for the evaluator, where it is known to err.
    """

    nodes: Sequence[Any]
    weights: dict[str, Values] = field(default_factory=dict)
    opset: int = 18
    same_as: Sequence[Any] | None = None
    tolerance: float = 1e-5


def node(op: str, *inputs: str, out: str = "y", **attributes: Any) -> Any:
    return helper.make_node(op, inputs, [out], name=f"{op} to {out}", **attributes)


def one(op: str, opset: int = 18, **attributes: Any) -> Case:
    """A single node with one input."""
    return Case([node(op, "c", **attributes)], opset=opset)


def sizes(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def number(value: float) -> np.ndarray:
    return np.array(value, dtype=np.float32)


def pool(kind: str, pads: Sequence[int] = (0, 0, 0, 0), kernel: int = 3, stride: int = 2, **attributes: Any) -> Case:
    return one(f"{kind}Pool", kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=list(pads), **attributes)


def auto_padded(op: str, auto_pad: str, pads: Sequence[int], **attributes: Any) -> Case:
    """The evaluator gets SAME_LOWER wrong for pools, so it is shown the paddings worked out by hand."""
    weights: dict[str, Values] = {"w": (3, 4, *attributes["kernel_shape"])} if op == "Conv" else {}
    inputs = ("c", *weights)
    nodes = [node(op, *inputs, auto_pad=auto_pad, **attributes)]
    return Case(nodes, weights, same_as=[node(op, *inputs, pads=list(pads), **attributes)])


def dense(*nodes: Any, features: int = 224, **weights: Values) -> Case:
    """Nodes that make the vector ``f``, and a matrix behind it."""
    return Case([*nodes, node("Gemm", "f", "w")], {"w": (features, 3), **weights})


def arithmetic(op: str, *inputs: str, k: Values) -> Case:
    return Case([node(op, *inputs)], {"k": k}, tolerance=1e-6)


CHANNELS = (4, 1, 1)
TWO_BY_TWO = dict(kernel_shape=[2, 2], strides=[2, 2])
THREE = dict(kernel_shape=[3, 3])
POOLED = node("GlobalAveragePool", "c", out="g")
FLAT = node("Flatten", "g", out="f")

ONNX_CASES: dict[str, Case] = {
    "Conv": Case([node("Conv", "c", "w", "b", strides=[2, 1], pads=[1, 2, 1, 2])], {"w": (3, 4, 3, 5), "b": (3,)}),
    "Conv grouped and dilated": Case([node("Conv", "c", "w", group=2, dilations=[2, 1])], {"w": (6, 2, 3, 3)}),
    "Conv with uneven pads": Case([node("Conv", "c", "w", pads=[0, 1, 2, 0])], {"w": (3, 4, 3, 3)}),
    "Conv SAME_UPPER": auto_padded("Conv", "SAME_UPPER", [1, 0, 1, 1], strides=[2, 2], **THREE),
    "Conv SAME_LOWER": auto_padded("Conv", "SAME_LOWER", [1, 1, 1, 0], strides=[2, 2], **THREE),
    "Conv SAME_UPPER of an even kernel": auto_padded("Conv", "SAME_UPPER", [1, 1, 2, 1], kernel_shape=[4, 3]),
    "Conv SAME_UPPER of a kernel below its stride": auto_padded(
        "Conv", "SAME_UPPER", [0, 0, 0, 0], kernel_shape=[1, 1], strides=[2, 2]
    ),
    "Conv SAME_LOWER dilated": auto_padded(
        "Conv", "SAME_LOWER", [2, 2, 1, 2], kernel_shape=[2, 3], dilations=[3, 2]
    ),
    "Conv VALID": auto_padded("Conv", "VALID", [0, 0, 0, 0], strides=[2, 2], **THREE),
    "ConvTranspose": Case(
        [node("ConvTranspose", "c", "w", "b", strides=[2, 3], pads=[1, 0, 1, 0])], {"w": (4, 3, 3, 2), "b": (3,)}
    ),
    "BatchNormalization": Case(
        [node("BatchNormalization", "c", "s", "b", "m", "v", epsilon=0.1)],
        {"s": (4,), "b": (4,), "m": (4,), "v": np.array([0.5, 1.0, 2.0, 0.1], np.float32)},
    ),
    "BatchNormalization of features": Case(
        [POOLED, FLAT, node("BatchNormalization", "f", "s", "b", "m", "v")],
        {"s": (4,), "b": (4,), "m": (4,), "v": np.array([0.5, 1.0, 2.0, 0.1], np.float32)},
    ),
    "MaxPool": pool("Max", (1, 1, 1, 1)),
    "MaxPool dilated": pool("Max", kernel=2, dilations=[2, 3]),
    "MaxPool ceil_mode": pool("Max", ceil_mode=1),
    "MaxPool ceil_mode leaves out windows in the padding": pool("Max", (1, 1, 1, 1), kernel=2, stride=3, ceil_mode=1),
    "MaxPool with uneven pads": pool("Max", (0, 1, 1, 0)),
    "MaxPool with uneven pads that ceil_mode does not change": pool("Max", (0, 0, 1, 0), kernel=2, ceil_mode=1),
    "MaxPool SAME_UPPER": auto_padded("MaxPool", "SAME_UPPER", [0, 0, 1, 0], **TWO_BY_TWO),
    "MaxPool SAME_LOWER": auto_padded("MaxPool", "SAME_LOWER", [1, 0, 0, 0], **TWO_BY_TWO),
    "MaxPool VALID": auto_padded("MaxPool", "VALID", [0, 0, 0, 0], **TWO_BY_TWO),
    "AveragePool": pool("Average"),
    "AveragePool of valid values": pool("Average", (1, 1, 1, 1), count_include_pad=0),
    "AveragePool of the padding too": pool("Average", (1, 1, 1, 1), count_include_pad=1),
    "AveragePool ceil_mode": pool("Average", ceil_mode=1),
    "AveragePool ceil_mode of valid values": pool("Average", (1, 1, 1, 1), ceil_mode=1),
    "AveragePool ceil_mode of the padding too": pool("Average", (1, 1, 1, 1), ceil_mode=1, count_include_pad=1),
    "AveragePool with uneven pads": pool("Average", (0, 1, 1, 0), count_include_pad=1),
    "AveragePool SAME_UPPER": auto_padded("AveragePool", "SAME_UPPER", [1, 1, 1, 1], **THREE),
    "AveragePool of everything": Case(
        [node("AveragePool", "c", out="g", kernel_shape=[7, 8]), FLAT, node("Gemm", "f", "w")], {"w": (4, 3)}
    ),
    "AveragePool of single values": one("AveragePool", kernel_shape=[1, 1]),
    "GlobalAveragePool": one("GlobalAveragePool"),
    "ReduceMean by attribute": Case([node("ReduceMean", "c", axes=[2, 3])], opset=13),
    "ReduceMean by input": Case([node("ReduceMean", "c", "a")], {"a": sizes(-1, -2)}),
    "ReduceMean without keepdims": dense(
        node("ReduceMean", "c", "a", out="f", keepdims=0), features=4, a=sizes(2, 3)
    ),
    "Flatten": dense(node("Flatten", "c", out="f")),
    "Flatten from the batch on": dense(node("Flatten", "c", out="f", axis=0)),
    "Reshape": dense(node("Reshape", "c", "s", out="f"), s=sizes(1, 224)),
    "Reshape with 0 and -1": dense(node("Reshape", "c", "s", out="f"), s=sizes(0, -1)),
    "Reshape by Constant": dense(
        node("Constant", out="s", value_ints=[-1, 224]), node("Reshape", "c", "s", out="f")
    ),
    "Reshape by the batch it finds": dense(
        node("Shape", "c", out="all"),
        node("Gather", "all", "zero", out="batch", axis=0),
        node("Unsqueeze", "batch", "axis", out="batches"),
        node("Concat", "batches", "rest", out="s", axis=0),
        node("Reshape", "c", "s", out="f"),
        zero=np.array(0), axis=sizes(0), rest=sizes(-1),
    ),
    "Reshape there and back": Case(
        [node("Reshape", "c", "s", out="f"), node("Reshape", "f", "t", out="m"), node("Conv", "m", "w")],
        {"s": sizes(1, -1), "t": sizes(1, 4, 7, 8), "w": (2, 4, 1, 1)},
    ),
    "Squeeze": dense(POOLED, node("Squeeze", "g", "a", out="f"), features=4, a=sizes(2, 3)),
    "Squeeze by attribute": Case([POOLED, node("Squeeze", "g", axes=[2, 3])], opset=11),
    "Unsqueeze": Case(
        [node("ReduceMean", "c", "a", out="f", keepdims=0), node("Unsqueeze", "f", "a", out="u"),
         node("Conv", "u", "w")],
        {"a": sizes(2, 3), "w": (3, 4, 1, 1)},
    ),
    "Gemm": Case(
        [node("Flatten", "c", out="f"), node("Gemm", "f", "w", "b", alpha=0.5, beta=2.0, transB=1)],
        {"w": (3, 224), "b": (3,)},
    ),
    "Gemm with one bias for all": Case(
        [node("Flatten", "c", out="f"), node("Gemm", "f", "w", "b")], {"w": (224, 3), "b": (1,)}
    ),
    "MatMul": Case([node("Flatten", "c", out="f"), node("MatMul", "f", "w")], {"w": (224, 3)}),
    "MatMul and Add": Case(
        [node("Flatten", "c", out="f"), node("MatMul", "f", "w", out="m"), node("Add", "b", "m", out="a"),
         node("Relu", "a")],
        {"w": (224, 5), "b": (5,)},
    ),
    "MatMul and Add, the product read twice": Case(
        [node("Flatten", "c", out="f"), node("MatMul", "f", "w", out="m"), node("Add", "m", "b", out="a"),
         node("Relu", "a", out="r"), node("Add", "r", "m")],
        {"w": (224, 5), "b": (5,)},
    ),
    "Gemm and Add": Case(
        [node("Flatten", "c", out="f"), node("Gemm", "f", "w", "b", out="g"), node("Add", "g", "k")],
        {"w": (224, 5), "b": (5,), "k": (5,)},
    ),
    "MatMul by a transposed weight": Case(
        [node("Flatten", "c", out="f"), node("Transpose", "w", out="t", perm=[1, 0]), node("MatMul", "f", "t")],
        {"w": (3, 224)},
    ),
    "Add": Case([node("Relu", "c", out="r"), node("Add", "c", "r")]),
    "Add to itself": Case([node("Add", "c", "c")]),
    "Add by channel": arithmetic("Add", "c", "k", k=(1, *CHANNELS)),
    "Add to one number": arithmetic("Add", "k", "c", k=number(0.7)),
    "Sub by channel": arithmetic("Sub", "c", "k", k=CHANNELS),
    "Sub from channels": arithmetic("Sub", "k", "c", k=CHANNELS),
    "Mul by channel": arithmetic("Mul", "k", "c", k=CHANNELS),
    "Mul by one number": arithmetic("Mul", "c", "k", k=np.array([0.3], np.float32)),
    "Mul by a product": Case([node("Mul", "k", "k", out="kk"), node("Mul", "c", "kk")], {"k": CHANNELS}),
    "Div by channel": arithmetic("Div", "c", "k", k=np.array([2, 3, 0.4, -5], np.float32).reshape(CHANNELS)),
    "Mul of features": Case([POOLED, FLAT, node("Mul", "f", "k")], {"k": (1, 4)}),
    "Mul by its Sigmoid": Case([node("Sigmoid", "c", out="s"), node("Mul", "c", "s")]),
    "Mul by its HardSigmoid": Case([node("HardSigmoid", "c", out="s", alpha=1 / 6), node("Mul", "s", "c")]),
    "Sum": Case([node("Relu", "c", out="r"), node("Tanh", "c", out="t"), node("Sum", "r", "c", "t")]),
    "Sum of one": one("Sum"),
    "Concat": Case([node("Relu", "c", out="r"), node("Tanh", "c", out="t"), node("Concat", "t", "c", "r", axis=1)]),
    "Concat of one": one("Concat", axis=-3),
    "Concat of features": dense(
        node("MaxPool", "c", out="m", kernel_shape=[7, 8]), node("Flatten", "m", out="a"), POOLED,
        node("Flatten", "g", out="b"), node("Concat", "a", "b", out="f", axis=1), features=8,
    ),
    "Pad by attribute": Case([node("Pad", "c", pads=[0, 0, 1, 2, 0, 0, 3, 0], value=1.5)], opset=7),
    "Pad by input": Case([node("Pad", "c", "p", "v")], {"p": sizes(0, 0, 0, 2, 0, 0, 3, 1), "v": number(-2)}),
    "Pad without a value": Case([node("Pad", "c", "p")], {"p": sizes(0, 0, 2, 1, 0, 0, 1, 1)}, opset=11),
    "Pad of some axes": Case([node("Pad", "c", "p", "", "a")], {"p": sizes(1, 2, 3, 4), "a": sizes(-1, 2)}),
    "Pad by reflection": Case(
        [node("Pad", "c", "p", out="b", mode="reflect"), node("Conv", "b", "w")],
        {"p": sizes(0, 0, 2, 1, 0, 0, 3, 2), "w": (3, 4, 3, 3)},
    ),
    "Pad by copies": Case([node("Pad", "c", "p", mode="edge")], {"p": sizes(0, 0, 0, 3, 0, 0, 4, 0)}),
    "Pad in front of Conv": Case(
        [node("Pad", "c", "p", out="b"), node("Conv", "b", "w", strides=[2, 2])],
        {"p": sizes(0, 0, 2, 1, 0, 0, 2, 1), "w": (3, 4, 3, 3)},
    ),
    "Pad with a value in front of Conv": Case(
        [node("Pad", "c", "p", "v", out="b"), node("Conv", "b", "w", strides=[2, 2])],
        {"p": sizes(0, 0, 2, 1, 0, 0, 2, 1), "v": number(3), "w": (3, 4, 3, 3)},
    ),
    "Pad in front of a padded Conv": Case(
        [node("Pad", "c", "p", out="b"), node("Conv", "b", "w", pads=[1, 1, 1, 1])],
        {"p": sizes(0, 0, 1, 1, 0, 0, 1, 1), "w": (3, 4, 3, 3)},
    ),
    "Dropout": one("Dropout"),
    "Dropout by inputs": Case([node("Dropout", "c", "r", "t")], {"r": number(0.5), "t": np.array(False)}),
    "Identity": one("Identity"),
    "Identity of a weight": Case([node("Identity", "w", out="i"), node("Conv", "c", "i")], {"w": (3, 4, 1, 1)}),
    "Constant weight": Case(
        [node("Constant", out="w", value=onnx.numpy_helper.from_array(np.full((2, 4, 1, 1), 0.3, np.float32))),
         node("Conv", "c", "w")]
    ),
    "Constant factor": Case([node("Constant", out="k", value_float=0.3), node("Mul", "c", "k")]),
    "Cast": Case(
        [node("Cast", "c", out="h", to=TensorProto.FLOAT16), node("Cast", "h", to=TensorProto.FLOAT)], tolerance=1e-3
    ),
    "Cast weight": Case(
        [node("Cast", "w", out="u", to=TensorProto.FLOAT), node("Conv", "c", "u")],
        {"w": (np.arange(-6, 6).reshape(3, 4, 1, 1) / 8).astype(np.float16)},
    ),
    **{op: one(op) for op in ("Relu", "Sigmoid", "Tanh", "HardSwish", "Elu")},
    "Clip by attribute": one("Clip", opset=7, min=0.0, max=6.0),
    "Clip to the largest number": one("Clip", opset=7, min=0.0, max=3.4028234663852886e38),
    "Clip by input": Case([node("Clip", "c", "low", "high")], {"low": number(0), "high": number(6)}),
    "Clip below": Case([node("Clip", "c", "low")], {"low": number(0)}),
    "Clip by arrays": Case([node("Clip", "c", "low", "high")], {"low": np.zeros(1, np.float32), "high": number(6)}),
    "LeakyRelu": one("LeakyRelu", alpha=0.3),
    "LeakyRelu by default": one("LeakyRelu"),
    "HardSigmoid": one("HardSigmoid", alpha=1 / 6),
    "Gelu": one("Gelu", opset=20),
    "Softmax": one("Softmax", axis=1),
    "Softmax from behind": one("Softmax", axis=-3),
    "Softmax of features": Case([POOLED, FLAT, node("Softmax", "f")]),
    "Softmax of old, of features": Case([POOLED, FLAT, node("Softmax", "f")], opset=11),
    "LogSoftmax": one("LogSoftmax", axis=1),
    # Value by value.
    **{op: one(op) for op in ("Exp", "Erf", "Abs", "Sin", "Cos", "Floor", "Ceil", "Round", "Softplus", "Softsign")},
    "Neg": one("Neg"),
    "Log": Case([node("Exp", "c", out="e"), node("Log", "e")]),
    "Sqrt": Case([node("Abs", "c", out="e"), node("Sqrt", "e")]),
    "Reciprocal": Case([node("Exp", "c", out="e"), node("Reciprocal", "e")]),
    "Mish": one("Mish"),
    "Selu": one("Selu"),
    "Swish": one("Swish", opset=24, alpha=0.7),
    "Elu with an alpha": one("Elu", alpha=0.4),
    "Gelu by tanh": one("Gelu", opset=20, approximate="tanh"),
    "HardSigmoid by default": one("HardSigmoid"),
    "Clip to other limits": Case([node("Clip", "c", "low", "high")], {"low": number(-1), "high": number(1)}),
    "PRelu": Case([node("PRelu", "c", "k")], {"k": CHANNELS}),
    "PRelu of one slope": Case([node("PRelu", "c", "k")], {"k": number(0.3)}),
    "Sub of two maps": Case([node("Tanh", "c", out="t"), node("Sub", "c", "t")]),
    "Div of two maps": Case([node("Exp", "c", out="t"), node("Div", "c", "t")]),
    "Max of maps": Case([node("Tanh", "c", out="t"), node("Neg", "t", out="n"), node("Max", "c", "t", "n")]),
    "Min with a number": Case([node("Min", "c", "k")], {"k": number(0.5)}),
    "Max with a number": Case([node("Max", "k", "c")], {"k": number(0.5)}),
    "Pow": Case([node("Pow", "c", "k")], {"k": number(2)}),
    "Div of one": Case([node("Exp", "c", out="t"), node("Div", "k", "t")], {"k": number(1)}),
    "Div by channel under": Case([node("Exp", "c", out="t"), node("Div", "k", "t")], {"k": CHANNELS}),
    "Mul by position": arithmetic("Mul", "c", "k", k=(7, 8)),
    "Add by row": arithmetic("Add", "k", "c", k=(4, 7, 1)),
    "Sub by column": arithmetic("Sub", "k", "c", k=(8,)),
    "QuantizeLinear and DequantizeLinear": Case(
        [node("QuantizeLinear", "c", "s", "z", out="q"), node("DequantizeLinear", "q", "s", "z")],
        {"s": number(0.01), "z": np.array(0, np.int16)}, opset=21, tolerance=2e-3,
    ),
    "DequantizeLinear of a weight": Case(
        [node("DequantizeLinear", "q", "s", "z", out="w", axis=0), node("Conv", "c", "w")],
        {"q": np.arange(-6, 6, dtype=np.int8).reshape(3, 4, 1, 1), "s": np.array([0.1, 0.2, 0.3], np.float32),
         "z": np.array([0, 1, -1], np.int8)}, opset=13,
    ),
    "CastLike": Case([node("CastLike", "k", "c", out="t"), node("Add", "c", "t")], {"k": np.array(3, np.int64)}),
    # Gates, and what they are written with.
    "Mul by a gate over channels": Case(
        [POOLED, node("Conv", "g", "w", out="s"), node("Sigmoid", "s", out="t"), node("Mul", "c", "t", out="m"),
         node("Conv", "m", "v")], {"w": (4, 4, 1, 1), "v": (3, 4, 3, 3)},
    ),
    "Mul by a gate over positions": Case(
        [node("ReduceMean", "c", "a", out="m"), node("ReduceMax", "c", "a", out="n"),
         node("Concat", "m", "n", out="k", axis=1),
         node("Conv", "k", "w", out="s", pads=[1, 1, 1, 1]), node("Sigmoid", "s", out="t"), node("Mul", "t", "c")],
        {"a": sizes(1), "w": (1, 2, 3, 3)},
    ),
    "GlobalMaxPool": one("GlobalMaxPool"),
    "ReduceSum": Case([node("ReduceSum", "c", "a", out="m"), node("Mul", "c", "m")], {"a": sizes(2, 3)}),
    "ReduceMin over channels": Case([node("ReduceMin", "c", "a")], {"a": sizes(1)}),
    "ReduceL2 over channels": Case([node("ReduceL2", "c", "a", out="m"), node("Div", "c", "m")], {"a": sizes(1)}),
    "ReduceMean over columns": Case([node("ReduceMean", "c", "a")], {"a": sizes(3)}),
    "Expand": Case([node("ReduceMean", "c", "a", out="m"), node("Expand", "m", "s", out="e"), node("Conv", "e", "w")],
                   {"a": sizes(1), "s": sizes(1, 1, 7, 8), "w": (3, 1, 1, 1)}),
    # Norms.
    "LRN": one("LRN", size=3, alpha=0.5, beta=0.6, bias=1.5),
    "InstanceNormalization": Case(
        [node("InstanceNormalization", "c", "s", "b", out="i"), node("Conv", "i", "w")],
        {"s": (4,), "b": (4,), "w": (3, 4, 3, 3)},
    ),
    "GroupNormalization": Case(
        [node("GroupNormalization", "c", "s", "b", num_groups=2)], {"s": (4,), "b": (4,)}, opset=21
    ),
    "LayerNormalization behind a Transpose": Case(
        [node("Transpose", "c", out="t", perm=[0, 2, 3, 1]), node("LayerNormalization", "t", "s", "b", out="n"),
         node("MatMul", "n", "w", out="m"), node("Add", "m", "k", out="a"), node("Transpose", "a", perm=[0, 3, 1, 2])],
        {"s": (4,), "b": (4,), "w": (4, 5), "k": (5,)},
    ),
    # Rows that are others'.
    "Resize to the nearest": Case([node("Resize", "c", "", "f")], {"f": np.array([1, 1, 2, 2], np.float32)}),
    "Resize by sizes": Case(
        [node("Resize", "c", "", "", "s", mode="linear", coordinate_transformation_mode="align_corners")],
        {"s": sizes(1, 4, 12, 5)},
    ),
    "Resize cubic": Case([node("Resize", "c", "", "f", mode="cubic")], {"f": np.array([1, 1, 2, 1.5], np.float32)}),
    "Upsample": Case([node("Upsample", "c", "f", mode="nearest")], {"f": np.array([1, 1, 2, 3], np.float32)}, opset=9),
    "DepthToSpace": one("DepthToSpace", blocksize=2),
    "DepthToSpace by columns and rows": one("DepthToSpace", blocksize=2, mode="CRD"),
    "SpaceToDepth": Case([node("Slice", "c", "o", "e", "a", out="s"), node("SpaceToDepth", "s", blocksize=2)],
                         {"o": sizes(0), "e": sizes(6), "a": sizes(2)}),
    "Slice": Case([node("Slice", "c", "o", "e", "a", "t")],
                  {"o": sizes(1, 6, 0), "e": sizes(9, -99, 3), "a": sizes(2, 3, 1), "t": sizes(2, -2, 1)}),
    "Slice by attribute": Case([node("Slice", "c", axes=[1, 2], starts=[1, -4], ends=[3, 9])], opset=9),
    "Split": Case(
        [helper.make_node("Split", ["c", "n"], ["p", "q"], axis=1), node("Sub", "p", "q")], {"n": sizes(2, 2)}
    ),
    "Split evenly": Case([helper.make_node("Split", ["c"], ["p", "q"], axis=1, num_outputs=2), node("Mul", "p", "q")]),
    "Gather of channels": Case([node("Gather", "c", "i", axis=1)], {"i": sizes(3, 1)}),
    "Gather of one channel": Case(
        [node("Gather", "c", "i", out="k", axis=1), node("Unsqueeze", "k", "a")], {"i": np.array(2), "a": sizes(1)}
    ),
    "Shuffle by Reshape and Transpose": Case(
        [node("Reshape", "c", "s", out="g"), node("Transpose", "g", out="t", perm=[0, 2, 1, 3, 4]),
         node("Reshape", "t", "r", out="m"), node("Conv", "m", "w")],
        {"s": sizes(1, 2, 2, 7, 8), "r": sizes(1, 4, 7, 8), "w": (3, 4, 1, 1)},
    ),
    "Transpose in front of a tail": Case(
        [node("Transpose", "c", out="t", perm=[0, 2, 3, 1]), node("Flatten", "t", out="f"), node("Gemm", "f", "w")],
        {"w": (224, 3)},
    ),
}  # fmt: skip


def written(path: Path, case: Case, nodes: Sequence[Any]) -> Path:
    """The nodes as an ONNX file; weights that are only sizes become random."""
    rng = np.random.default_rng(0)
    weights = {
        name: rng.standard_normal(value).astype(np.float32) if isinstance(value, tuple) else value
        for name, value in {"w0": (4, 2, 1, 1), **case.weights}.items()
    }
    used = {name for made in nodes for name in made.input}
    first = node("Conv", "x", "w0", out="c")
    kept = {name: value for name, value in weights.items() if name == "w0" or name in used}
    return onnx_file(path, [first, *nodes], (1, 2, 7, 8), kept, case.opset)


@pytest.mark.parametrize("name", ONNX_CASES)
def test_an_onnx_operator_gives_what_the_reference_evaluator_gives(name: str, tmp_path: Path) -> None:
    case = ONNX_CASES[name]
    x = 3 * image(Shape(2, 7, 8))  # beyond the 6 of ReLU6
    (expected,) = run_onnxruntime(written(tmp_path / "reference.onnx", case, case.same_as or case.nodes), x)
    imported = import_onnx(written(tmp_path / "net.onnx", case, case.nodes))
    assert_equal_outputs(imported, x, expected, case.tolerance)


def test_every_onnx_handler_has_a_case() -> None:
    assert set(HANDLERS) - {made.op_type for case in ONNX_CASES.values() for made in case.nodes} == set()


def whole_net(opset: int, kind: type = np.float32) -> tuple[list[Any], dict[str, np.ndarray]]:
    """A residual net as files of that opset have it."""
    rng = np.random.default_rng(1)
    weights = {
        name: (rng.standard_normal(size) / 3).astype(kind)
        for name, size in {
            "w1": (4, 2, 3, 3), "b1": (4,), "w2": (4, 4, 3, 3), "wf": (3, 4), "bf": (3,),
            "s": (4,), "b": (4,), "m": (4,),
        }.items()
    }  # fmt: skip
    weights["v"] = np.array([0.5, 1, 2, 0.25], kind)
    weights |= {"low": np.array(0, kind), "high": np.array(6, kind)}
    if opset >= 13:
        weights["axes"] = sizes(2, 3)
    squeeze = node("Squeeze", "g", "axes", out="f") if opset >= 13 else node("Squeeze", "g", axes=[2, 3], out="f")
    nodes = [
        node("Conv", "x", "w1", "b1", out="c1", pads=[1, 1, 1, 1]),
        node("Clip", "c1", "low", "high", out="r1"),
        node("Conv", "r1", "w2", out="c2", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c2", "s", "b", "m", "v", out="n2"),
        node("Add", "n2", "r1", out="a"),
        node("MaxPool", "a", out="p", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        node("GlobalAveragePool", "p", out="g"),
        squeeze,
        node("Gemm", "f", "wf", "bf", out="d", transB=1),
        node("Softmax", "d", axis=1),
    ]
    return nodes, weights


@pytest.mark.parametrize("opset", range(11, NEWEST + 1))
def test_every_opset_is_read(opset: int, tmp_path: Path) -> None:
    nodes, weights = whole_net(opset)
    path = onnx_file(tmp_path / "net.onnx", nodes, (1, 2, 7, 8), weights, opset)
    x = 3 * image(Shape(2, 7, 8))
    nodes, weights = whole_net(NEWEST)  # the evaluator takes old norms to be in training
    same = onnx_file(tmp_path / "same.onnx", nodes, (1, 2, 7, 8), weights, NEWEST)
    imported = import_onnx(path)
    assert_equal_outputs(imported, x, run_reference(same, x))
    assert [unit.name for unit in imported.model.units] == ["conv1", "block1", "pool1"]


@pytest.mark.parametrize("cast", [True, False], ids=["float32 outside", "float16 throughout"])
def test_a_file_of_half_precision_gives_the_same_network_in_float32(cast: bool, tmp_path: Path) -> None:
    nodes, weights = whole_net(18)
    half = {
        name: np.asarray(value, np.float16) if value.dtype == np.float32 else value for name, value in weights.items()
    }
    exact = {
        name: np.asarray(value, np.float32) if value.dtype == np.float16 else value for name, value in half.items()
    }
    x = 3 * image(Shape(2, 7, 8))
    expected = run_reference(onnx_file(tmp_path / "exact.onnx", nodes, (1, 2, 7, 8), exact), x)
    path = tmp_path / "half.onnx"
    if cast:
        nodes[0].input[0], nodes[-1].output[0] = "h", "yh"
        nodes = [node("Cast", "x", out="h", to=TensorProto.FLOAT16), *nodes, node("Cast", "yh", to=TensorProto.FLOAT)]
        onnx_file(path, nodes, (1, 2, 7, 8), half)
    else:
        onnx_file(path, nodes, (1, 2, 7, 8), half, types=(np.float16, np.float16))
    assert_equal_outputs(import_onnx(path), x, expected)
