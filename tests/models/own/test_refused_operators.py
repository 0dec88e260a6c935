"""Operators that cannot be read are refused by the name of their node; what no layer is for runs as a program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from splitgym.models.layers import Shape
from splitgym.models.own.read import import_module, import_onnx
from splitgym.models.programs import Program

from .nets import Net, assert_all_outputs, image, run_onnxruntime
from .refusals import CONV, POOLED, by_hand, changed, node, the_error

ONES = np.ones((12, 1, 1), np.float32)
TWO_MAPS = [CONV, helper.make_node("Conv", ["x", "w"], ["d"], name="another", pads=[1, 1, 1, 1])]
REFUSED: dict[str, tuple[list[Any], dict[str, Any], int, str]] = {  # nodes, weights, opset, words
    "operator": (
        [CONV, node("Hardmax", "c", axis=1)], {}, 18, "the operator Hardmax has no layer and none that programs have"
    ),
    "domain": ([CONV, node("Relu", "c", domain="ai.onnx.ml")], {}, 18, "ai.onnx.ml.Relu is no operator of ONNX"),
    "Conv over one axis": ([CONV, node("Conv", "x", "k")], {"k": np.ones((3, 2, 3), "f")}, 18, "sizes do not fit"),
    "Conv weights": ([CONV, node("Conv", "c", "w")], {}, 18, "its weights do not fit an input of 12 x 6 x 5"),
    "Conv computed weights": ([CONV, node("Conv", "x", "c")], {}, 18, "input c is no constant"),
    "ConvTranspose without rows": (
        [CONV, node("ConvTranspose", "c", "k", pads=[4, 0, 4, 0])], {"k": np.ones((12, 3, 1, 1), "f")}, 18,
        "its output has a size of -2, allowed: 1 or more",
    ),
    "ConvTranspose of no channels": (
        [CONV, node("ConvTranspose", "c", "k")], {"k": np.ones((12, 0, 1, 1), "f")}, 18, "makes 0 x 6 x 5 of 12 x 6 x 5"
    ),
    "Conv of a stride far above its kernel": (
        [CONV, node("Conv", "c", "k", auto_pad="SAME_UPPER", strides=[6, 1])], {"k": np.ones((3, 12, 1, 1), "f")}, 18,
        "SAME_UPPER of a stride of 6 and a kernel of 1: runtimes differ; state its pads",
    ),
    "Conv of no channels": (
        [CONV, node("Conv", "c", "k")], {"k": np.ones((0, 12, 1, 1), "f")}, 18, "weights of 0 x 12 x 1 x 1"
    ),
    "MaxPool dilated and padded to the same size": (
        [CONV, node("MaxPool", "c", kernel_shape=[3, 1], dilations=[2, 1], auto_pad="SAME_LOWER")], {}, 18,
        "state its pads",
    ),
    "Resize to nothing": (
        [CONV, POOLED[0], node("Resize", "g", "", "s")], {"s": np.array([1, 1, 0.5, 2], "f")}, 18, "its output is 0 x 2"
    ),
    "Resize that grows and shrinks": (
        [CONV, node("Resize", "c", "s", mode="nearest")], {"s": np.array([1, 1, 1.5, 0.6], "f")}, 10,
        "one axis grows and the other shrinks",
    ),
    "norm in training": (
        [CONV, node("BatchNormalization", "c", "b", "b", "b", "b", training_mode=1)], {}, 18, "sizes do not fit"
    ),
    "LpPool ceil_mode": (
        [CONV, node("LpPool", "c", kernel_shape=[2, 2], ceil_mode=1)], {}, 18,
        "ceil_mode of a pool by powers is not read; --output c reads the network up to there",
    ),
    "MaxPool ceil_mode": (
        [CONV, node("MaxPool", "c", kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 1, 0], ceil_mode=1)], {}, 18,
        "ceil_mode with an uneven padding has no layer",
    ),
    "AveragePool dilated": (
        [CONV, node("AveragePool", "c", kernel_shape=[2, 2], dilations=[2, 2])], {}, 19, "with dilation, has no layer"
    ),
    "convolution of a flattened map": (
        [CONV, node("Flatten", "c", out="f"), node("Conv", "f", "w")], {}, 18, "sizes do not fit"
    ),
    "Gemm of a map": ([CONV, node("Gemm", "c", "wf")], {}, 18, "sizes do not fit"),
    "Gemm weights": ([CONV, *POOLED, node("Gemm", "f", "wf")], {}, 18, "sizes do not fit"),
    "Add of other channels": ([CONV, node("Add", "c", "x")], {}, 18, "sizes do not fit"),
    "Concat of two sizes": ([CONV, POOLED[0], node("Concat", "c", "g", axis=1)], {}, 18, "sizes do not fit"),
    "Concat of map and vector": ([CONV, *POOLED, node("Concat", "g", "f", axis=1)], {}, 18, "sizes do not fit"),
    "dropout in training": (
        [CONV, node("Dropout", "c", "r", "t")], {"r": np.float32(0.5), "t": True}, 18, "dropout in training mode"
    ),
    "attribute": ([CONV, node("MaxPool", "c")], {}, 18, "Required attribute 'kernel_shape' is missing"),
    "strides": ([CONV, node("MaxPool", "c", kernel_shape=[2, 2], strides=[0, 1])], {}, 18, "only contain positive"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_an_onnx_operator_that_cannot_be_read_is_refused_by_node(name: str, tmp_path: Path) -> None:
    nodes, weights, opset, words = REFUSED[name]
    path = by_hand(tmp_path / "net.onnx", *nodes, opset=opset, **weights)
    if name == "domain":
        changed(path, lambda proto: proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3)))
    message = the_error(import_onnx, path)
    assert message.startswith(f"{path}: node {nodes[-1].name} ")
    assert words in message


def test_an_unknown_operator_is_refused_before_what_reads_it(tmp_path: Path) -> None:
    unknown = node("QLinearMul", "c", domain="com.microsoft", out="q")
    path = by_hand(tmp_path / "net.onnx", CONV, unknown, node("MaxPool", "q", kernel_shape=[2, 2]))
    changed(path, lambda proto: proto.opset_import.append(helper.make_opsetid("com.microsoft", 1)))
    assert "com.microsoft.QLinearMul is no operator of ONNX" in the_error(import_onnx, path)


@pytest.mark.parametrize("operator", ["ConvInteger", "MatMulInteger", "DynamicQuantizeLinear", "QLinearConv"])
def test_what_computes_with_whole_numbers_is_refused_with_a_way_out(operator: str, tmp_path: Path) -> None:
    """They are no function to be read, though ONNX defines the third as one."""
    inputs = {"ConvInteger": "xk", "MatMulInteger": "xm", "DynamicQuantizeLinear": "x", "QLinearConv": "xsoksoso"}
    weights = {"k": np.ones((3, 2, 3, 3), np.uint8), "m": np.ones((5, 3), np.uint8), "s": np.array(0.1, "f"),
               "o": np.array(0, np.uint8)}  # fmt: skip
    whole = node("Cast", "x", out="n", to=TensorProto.UINT8)
    given = ["n" if name == "x" and operator != "DynamicQuantizeLinear" else name for name in inputs[operator]]
    outputs = ["q", "scale", "zero"] if operator == "DynamicQuantizeLinear" else ["q"]
    made = helper.make_node(operator, given, outputs, name="whole")
    path = by_hand(tmp_path / "net.onnx", whole, made, node("Cast", "q", to=TensorProto.FLOAT), **weights)
    message = the_error(import_onnx, path)
    assert f"node whole ({operator}) cannot be imported: the operator {operator} has no layer" in message
    assert "export the network in float, or quantise it with QuantizeLinear and DequantizeLinear (QDQ)" in message


def test_a_refusal_says_what_can_be_done(tmp_path: Path) -> None:
    path = by_hand(tmp_path / "net.onnx", CONV, node("Hardmax", "c", axis=1))
    assert the_error(import_onnx, path).endswith("; --output c reads the network up to there")
    assert [unit.name for unit in import_onnx(path, outputs=["c"]).model.units] == ["conv1"]


# What has no layer at the end of a network is its tail, operator by operator; nodes, weights, opset.
TAILS: dict[str, tuple[list[Any], dict[str, Any], int]] = {
    "a map of other sizes": ([CONV, node("Reshape", "c", "s")], {"s": np.array([1, 6, 12, 5])}, 18),
    "no batch": ([CONV, POOLED[0], node("Squeeze", "g")], {}, 18),
    "product of three axes": ([CONV, *POOLED, node("MatMul", "f", "k")], {"k": np.ones((1, 12, 3), "f")}, 18),
    "rows put together": ([*TWO_MAPS, node("Concat", "c", "d", axis=2)], {}, 18),
    "a constant map": ([CONV, node("Concat", "c", "k", axis=1)], {"k": np.ones((1, 2, 6, 5), "f")}, 18),
    "several images": ([CONV, node("Mul", "c", "k")], {"k": np.ones((2, 12, 1, 1), "f")}, 18),
    "softmax over rows": ([CONV, node("Softmax", "c", axis=2)], {}, 18),
    "softmax of old": ([CONV, node("Softmax", "c", axis=1)], {}, 12),
    "softmax of all": ([CONV, node("Flatten", "c", out="f"), node("Softmax", "f")], {}, 18),
    "mean of all": ([CONV, node("ReduceMean", "c")], {}, 18),
    "more channels": ([CONV, node("Pad", "c", "p")], {"p": np.array([0, 1, 0, 0] * 2)}, 18),
    "fewer rows": ([CONV, node("Pad", "c", "p")], {"p": np.array([0, 0, -1, 0] * 2)}, 18),
    "a border of the other end": ([CONV, node("Pad", "c", "p", mode="wrap")], {"p": np.array([0, 0, 2, 0] * 2)}, 19),
    "uneven windows": (
        [CONV, node("Transpose", "c", out="t", perm=[2, 3, 0, 1]), node("GatherND", "t", "k")],
        {"k": np.array([[[0, 0], [1, 2]], [[3, -1], [5, 4]]])}, 18,
    ),
    "wide padding": ([CONV, node("MaxPool", "c", kernel_shape=[3, 3], pads=[2, 2, 2, 2])], {}, 18),
    "uneven average": (
        [CONV, node("AveragePool", "c", kernel_shape=[2, 2], pads=[0, 0, 1, 1])], {}, 18
    ),
    "norm of a flattened map": (
        [CONV, node("Flatten", "c", out="f"), node("BatchNormalization", "f", "k", "k", "k", "k")],
        {"k": np.ones(360, "f")}, 18,
    ),
    "places": (
        [CONV, node("ArgMax", "c", out="m", axis=1, keepdims=0), node("Cast", "m", to=TensorProto.FLOAT)], {}, 18
    ),
    "the best": (
        [CONV, node("Reshape", "c", "s", out="f"), helper.make_node("TopK", ["f", "n"], ["y", "i"], axis=1)],
        {"s": np.array([1, -1]), "n": np.array([5])}, 18,
    ),
    "boxes": (
        [CONV, node("Reshape", "c", "s", out="f"), node("Transpose", "f", out="t", perm=[0, 2, 1]),
         helper.make_node("Split", ["t", "n"], ["p", "q"], axis=2), node("Exp", "p", out="e"),
         node("Sub", "e", "q", out="z"),
         node("Gather", "z", "k", axis=1)],
        {"s": np.array([1, 12, 30]), "n": np.array([6, 6]), "k": np.array([3, 0, 3])}, 18,
    ),
    "a recurrent layer": (
        [CONV, node("ReduceMean", "c", axes=[2], out="m", keepdims=0), node("Transpose", "m", out="t", perm=[2, 0, 1]),
         node("LSTM", "t", "k", "r", "v", hidden_size=4, direction="bidirectional")],
        {"k": np.linspace(-1, 1, 384, dtype="f").reshape(2, 16, 12),
         "r": np.linspace(-1, 1, 128, dtype="f").reshape(2, 16, 4),
         "v": np.linspace(0, 1, 64, dtype="f").reshape(2, 32)}, 14,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TAILS)
def test_what_has_no_layer_at_the_end_is_a_program(name: str, tmp_path: Path) -> None:
    nodes, weights, opset = TAILS[name]
    path, x = by_hand(tmp_path / "net.onnx", *nodes, opset=opset, **weights), image(Shape(2, 6, 5))
    imported = import_onnx(path)
    assert_all_outputs(imported, x, run_onnxruntime(path, x))
    assert [type(layer) for layer in imported.model.tail] == [Program]


def test_an_output_whose_size_depends_on_the_image_is_read_up_to_there(tmp_path: Path) -> None:
    nodes = [CONV, node("Relu", "c", out="r"), node("NonZero", "r")]
    imported = import_onnx(by_hand(tmp_path / "net.onnx", *nodes))
    assert [output.name for output in imported.outputs] == ["r"]
    assert "output y has a size that depends on the image from node the NonZero (NonZero) on" in imported.notes[-1]


def test_a_pool_of_uneven_windows_reads_every_row() -> None:
    """Torch's newer exporter writes it by places of values, for which no window stands."""
    net = Net(lambda net, x: net.last(net.pool(x)), 3, pool=nn.AdaptiveAvgPool2d((4, 3)), last=nn.Conv2d(3, 2, 1))
    imported, x = import_module(net, Shape(2, 8, 8)), image(Shape(2, 8, 8))
    with torch.inference_mode():
        expected = net.eval()(x)
    assert_all_outputs(imported, x, [expected])
    assert [unit.name for unit in imported.model.units] == ["conv1", "program1", "conv2"]


def wide(function: Callable[[Any, Tensor], Any], **parts: nn.Module) -> Net:
    return Net(function, 12, **parts)


def failing(net: Any, x: Tensor) -> Tensor:
    raise ZeroDivisionError("first line\nsecond line")


def branching(net: Any, x: Tensor) -> Tensor:
    return x if x.sum() > 0 else -x


UNTRACEABLE: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "fails": (lambda: wide(failing), "torch.onnx.export fails (ZeroDivisionError: first line)"),
    "depends on values": (lambda: wide(branching), "torch.onnx.export fails (GuardOnDataDependentSymNode: "),
    "other channels": (
        lambda: nn.Conv2d(3, 4, 1), "torch.onnx.export fails (RuntimeError: Given groups=1, weight of size "
    ),
    "no output": (lambda: wide(lambda net, x: None), "it has no layers, so nothing of it can be split by height"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNTRACEABLE)
def test_what_torch_cannot_trace_is_refused_quietly(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    net, words = UNTRACEABLE[name]
    assert the_error(import_module, net(), Shape(2, 8, 8), source="nets:net").startswith(f"nets:net: {words}")
    assert capfd.readouterr() == ("", "")
