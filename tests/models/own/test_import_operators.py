"""Every operator that the importers read: against ONNX's reference evaluator, and against the torch module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper
from torch import Tensor, nn

from splitgym.models.layers import Shape
from splitgym.models.own import torch_module as torch_import
from splitgym.models.own.onnx_operators import HANDLERS
from splitgym.models.own.read import import_module, import_onnx

from .nets import assert_equal_outputs, image, onnx_file, run_reference, scrambled

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
    expected = run_reference(written(tmp_path / "reference.onnx", case, case.same_as or case.nodes), x)
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


class Net(nn.Module):
    """A function of a 4 x 8 x 8 map, with modules of its own."""

    def __init__(self, function: Callable[[Any, Tensor], Tensor], **parts: nn.Module) -> None:
        super().__init__()
        self.function, self.stem = function, nn.Conv2d(2, 4, 1)
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, self.stem(x))


def activations(net: Any, x: Tensor) -> Tensor:
    kinds = [
        x, F.relu(x), F.relu6(x), x.sigmoid(), x.tanh(), F.silu(x), F.hardsigmoid(x), F.hardswish(x), F.leaky_relu(x),
        F.leaky_relu(x, 0.3), F.elu(x), F.gelu(x), F.hardtanh(x, 0, 6), x.clamp(0, 6), torch.clamp_min(x, 0),
        x.clamp(min=0), x.softmax(1), F.log_softmax(x, -3),
    ]  # fmt: skip
    return torch.cat(kinds, 1)


def convolutions(net: Any, x: Tensor) -> Tensor:
    ones = [1, 1]
    x = net.grouped(net.plain(x))
    x = torch.convolution(x, net.high.weight, None, ones, [0, 1], ones, False, [0, 0], 1)
    x = torch.convolution(x, net.up.weight, net.up.bias, [2, 1], [1, 0], ones, True, [0, 0], 1)
    return net.transposed(net.valid(net.same(x)))


def pools(net: Any, x: Tensor) -> Tensor:
    halves = [
        F.max_pool2d(x, 3, 2, 1), F.max_pool2d(x, 2), F.max_pool2d(x, 3, 2, ceil_mode=True),
        F.max_pool2d(x, 2, 2, dilation=(1, 2), ceil_mode=True), F.adaptive_avg_pool2d(x, (4, 4)),
        F.avg_pool2d(x, 3, 2, 1), F.avg_pool2d(x, 2), F.avg_pool2d(x, 3, 2, ceil_mode=True),
        F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    ]  # fmt: skip
    x = F.avg_pool2d(F.adaptive_avg_pool2d(torch.cat(halves, 1), (4, None)), 1)  # both change nothing
    return F.adaptive_avg_pool2d(x, (2, 4))


def vectors(net: Any, x: Tensor) -> Tensor:
    aten = torch.ops.aten
    pooled = [
        F.adaptive_avg_pool2d(x, 1).squeeze((2, 3)), x.relu().mean((-1, -2)), F.max_pool2d(x, 8).flatten(1),
        F.avg_pool2d(x.tanh(), 8).view(1, -1), x.sigmoid().mean((2, 3), keepdim=True).reshape(1, 4),
        aten._unsafe_view(F.adaptive_avg_pool2d(F.silu(x), 1), [1, 4]),
    ]  # fmt: skip
    x = aten.alias(torch.cat(pooled, 1).clone().detach().contiguous())
    return F.dropout(net.last(net.norm(net.first(x)).relu()), training=False).softmax(-1)


def merges(net: Any, x: Tensor) -> Tensor:
    y = net.first(x)
    y += x
    y = torch.cat([y * y.sigmoid(), F.hardsigmoid(y) * y, torch.add(y, y.relu())], 1)
    return torch.cat([net.second(y).relu_().clone() + y], 1)


def borders(net: Any, x: Tensor) -> Tensor:
    x = F.pad(net.conv(F.pad(x, (1, 1, 2, 2))), (1, 0, 0, 2), value=-1.5)
    return net.zeros(torch.ops.aten.constant_pad_nd(x.relu(), [0, 3]))


def norms(net: Any, x: Tensor) -> Tensor:
    return F.pixel_unshuffle(net.drop(net.plain(net.conv(net.affine(x).relu()))), 2)


def vector_net() -> Net:
    return Net(vectors, first=nn.Linear(24, 6), norm=nn.BatchNorm1d(6), last=nn.Linear(6, 5, bias=False))


def constants(net: Any, x: Tensor) -> Tensor:
    x = (x - net.mean) / net.deviation
    y = 1 - net.conv(x) * 0.17
    return y + (x * 2 + net.mean) / 3


class Scaled(Net):
    """A net with constants by channel."""

    def __init__(self, function: Callable[[Any, Tensor], Tensor], **parts: nn.Module) -> None:
        super().__init__(function, **parts)
        self.register_buffer("mean", torch.tensor([0.1, -0.2, 0.3, 0.4]).view(4, 1, 1))
        self.register_buffer("deviation", torch.tensor([0.5, 2.0, 1.5, 1.0]).view(1, 4, 1, 1))


TORCH_CASES: dict[str, tuple[Callable[[], nn.Module], str]] = {  # a net, the operators that torch.export makes of it
    "arithmetic": (lambda: Scaled(constants, conv=nn.Conv2d(4, 4, 3, padding=1)), "add sub mul div rsub"),
    "activations": (
        lambda: Net(activations),
        "relu relu6 sigmoid tanh silu hardsigmoid hardswish leaky_relu elu gelu hardtanh clamp clamp_min softmax "
        "log_softmax cat",
    ),
    "convolutions": (
        lambda: Net(
            convolutions,
            plain=nn.Conv2d(4, 6, (3, 5), (1, 2), (2, 1), (2, 1)),
            grouped=nn.Conv2d(6, 9, 3, padding=1, groups=3, bias=False),
            high=nn.Conv2d(9, 5, (2, 3), bias=False),
            up=nn.ConvTranspose2d(5, 4, (3, 2)),
            same=nn.Conv2d(4, 5, (3, 5), padding="same", dilation=(3, 1)),
            valid=nn.Conv2d(5, 4, 2, padding="valid"),
            transposed=nn.ConvTranspose2d(4, 3, (2, 3), 2, (0, 1), bias=False),
        ),
        "conv2d convolution conv_transpose2d",
    ),
    "pools": (lambda: Net(pools), "max_pool2d avg_pool2d adaptive_avg_pool2d cat"),
    "vectors": (vector_net, "squeeze view mean _unsafe_view alias clone detach linear relu softmax"),
    "merges": (lambda: Net(merges, first=nn.Conv2d(4, 4, 1), second=nn.Conv2d(12, 12, 1)), "add mul cat"),
    "borders": (
        lambda: Net(borders, conv=nn.Conv2d(4, 4, 3, 2), zeros=nn.ZeroPad2d((0, 1, 2, 0))), "pad constant_pad_nd"
    ),
    "norms": (
        lambda: Net(
            norms,
            affine=nn.BatchNorm2d(4),
            conv=nn.Conv2d(4, 6, 3, padding=1, bias=False),
            plain=nn.BatchNorm2d(6, eps=0.3, affine=False),
            drop=nn.Dropout2d(),
        ),
        "_native_batch_norm_legit_no_training relu pixel_unshuffle",
    ),
}  # fmt: skip
# What decompositions turn into other operators; a version of torch may leave it.
UNDECOMPOSED = "flatten reshape contiguous dropout feature_dropout"


@pytest.fixture
def met(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The operators that torch's reader hands to its handlers."""
    found: set[str] = set()

    class Recorded(dict):
        def get(self, key: str, default: Any = None) -> Any:
            found.add(key)
            return super().get(key, default)

    monkeypatch.setattr(torch_import, "_HANDLERS", Recorded(torch_import._HANDLERS))
    return found


def assert_module_is_read(net: nn.Module) -> None:
    shape = Shape(2, 8, 8)
    net, x = scrambled(net), 3 * image(shape)  # beyond the 6 of ReLU6
    with torch.inference_mode():
        expected = net(x)
    assert_equal_outputs(import_module(net, shape), x, expected)


@pytest.mark.parametrize("name", TORCH_CASES)
def test_a_torch_operator_gives_what_the_module_gives(name: str, met: set[str]) -> None:
    net, operators = TORCH_CASES[name]
    assert_module_is_read(net())
    assert set(operators.split()) <= met


def test_what_is_left_undecomposed_is_read_too(met: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.export.ExportedProgram, "run_decompositions", lambda program, table: program)

    def shapes(net: Any, x: Tensor) -> Tensor:
        x = torch.ops.aten.contiguous(net.drop(net.drop_maps(x))).reshape(1, 4, 8, 8)
        return net.last(x.flatten(1))

    assert_module_is_read(Net(shapes, drop=nn.Dropout(), drop_maps=nn.Dropout2d(), last=nn.Linear(256, 3)))
    assert set(UNDECOMPOSED.split()) <= met


def test_every_torch_handler_has_a_case() -> None:
    covered = {operator for _, operators in TORCH_CASES.values() for operator in operators.split()}
    assert set(torch_import._HANDLERS) - covered - set(UNDECOMPOSED.split()) == set()
