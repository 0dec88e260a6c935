"""Operators without a layer are refused by the name of their node, in ONNX files and in torch modules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper
from torch import Tensor, nn

from splitgym.models.layers import Shape
from splitgym.models.own.read import import_module, import_onnx

from ... import slow
from .nets import Net
from .refusals import CONV, POOLED, by_hand, changed, node, the_error

ONES = np.ones((12, 1, 1), np.float32)
TWO_MAPS = [CONV, node("Conv", "x", "w", out="d", pads=[1, 1, 1, 1])]
REFUSED: dict[str, tuple[list[Any], dict[str, Any], int, str]] = {  # nodes, weights, opset, words
    "operator": ([CONV, node("PRelu", "c", "k")], {"k": ONES}, 18, "has the unsupported operator PRelu; supported: "),
    "domain": (
        [CONV, node("Relu", "c", domain="ai.onnx.ml")], {}, 18, "has the unsupported operator ai.onnx.ml.Relu"
    ),
    "branches": (
        [CONV, node("If", "yes", then_branch=helper.make_graph([node("Relu", "c", out="a")], "a", [], [
            helper.make_tensor_value_info("a", 1, None)]), else_branch=helper.make_graph(
            [node("Tanh", "c", out="a")], "a", [], [helper.make_tensor_value_info("a", 1, None)]))],
        {"yes": True}, 18, "has the unsupported operator If",
    ),
    "Conv over one axis": ([node("Conv", "x", "k")], {"k": np.ones((3, 2, 3), "f")}, 18, "a window over 1 axes"),
    "Conv weights": ([CONV, node("Conv", "c", "w")], {}, 18, "its weights do not fit an input of 12 x 6 x 5"),
    "Conv kernel": ([CONV, node("Conv", "c", "k")], {"k": np.ones((3, 12, 9, 1), "f")}, 18, "a window of 9"),
    "Conv computed weights": ([CONV, node("Conv", "x", "c")], {}, 18, "input c is no constant"),
    "ConvTranspose pads": (
        [CONV, node("ConvTranspose", "c", "k", pads=[0, 1, 1, 0])], {"k": np.ones((12, 3, 3, 3), "f")}, 18,
        "without groups, dilation and output padding only",
    ),
    "ConvTranspose output": (
        [CONV, node("ConvTranspose", "c", "k", output_padding=[1, 0], strides=[2, 2])],
        {"k": np.ones((12, 3, 3, 3), "f")}, 18, "without groups, dilation and output padding only",
    ),
    "norm in training": (
        [CONV, node("BatchNormalization", "c", "b", "b", "b", "b", training_mode=1)], {}, 18, "a norm in training mode"
    ),
    "norm of a flattened map": (
        [CONV, node("Flatten", "c", out="f"), node("BatchNormalization", "f", "k", "k", "k", "k")],
        {"k": np.ones(360, "f")}, 18, "its input is a flattened map",
    ),
    "MaxPool ceil_mode": (
        [CONV, node("MaxPool", "c", kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 1, 0], ceil_mode=1)], {}, 18,
        "ceil_mode with an uneven padding has no layer",
    ),
    "MaxPool pads as wide as the window": (
        [CONV, node("MaxPool", "c", kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 3, 3])], {}, 18, "as wide as the"
    ),
    "MaxPool wide pads": (
        [CONV, node("MaxPool", "c", kernel_shape=[3, 3], pads=[2, 2, 2, 2])], {}, 18, "wider than half the window"
    ),
    "AveragePool uneven": (
        [CONV, node("AveragePool", "c", kernel_shape=[2, 2], pads=[0, 0, 1, 1])], {}, 18, "leaves out an uneven padding"
    ),
    "AveragePool dilated": (
        [CONV, node("AveragePool", "c", kernel_shape=[2, 2], dilations=[2, 2])], {}, 19, "with dilation, has no layer"
    ),
    "mean over channels": (
        [CONV, node("ReduceMean", "c", "a")], {"a": np.array([1])}, 18, "only a mean over height and width has a layer"
    ),
    "mean over all": ([CONV, node("ReduceMean", "c")], {}, 18, "only a mean over height and width has a layer"),
    "reshape to another map": (
        [CONV, node("Reshape", "c", "s")], {"s": np.array([1, 6, 12, 5])}, 18,
        "1 x 12 x 6 x 5 becomes 1 x 6 x 12 x 5, allowed: one vector behind the batch",
    ),
    "squeeze of the batch": (
        [CONV, POOLED[0], node("Squeeze", "g")], {}, 18, "1 x 12 x 1 x 1 becomes 12, allowed: one vector behind"
    ),
    "features to a map": (
        [CONV, *POOLED, node("Gemm", "f", "wf", out="d", transB=1), node("Reshape", "d", "s")],
        {"s": np.array([1, 3, 1, 1])}, 18, "features cannot become a map again",
    ),
    "convolution of a flattened map": (
        [CONV, node("Flatten", "c", out="f"), node("Conv", "f", "w")], {}, 18, "its input was flattened"
    ),
    "Gemm of a map": ([CONV, node("Gemm", "c", "wf")], {}, 18, "its input is a map that was not flattened"),
    "Gemm transA": ([CONV, *POOLED, node("Gemm", "f", "wf", transA=1)], {}, 18, "transA is 1, allowed: 0"),
    "Gemm weights": ([CONV, *POOLED, node("Gemm", "f", "wf")], {}, 18, "its weights do not fit an input of 12 x 1 x 1"),
    "MatMul of three axes": (
        [CONV, *POOLED, node("MatMul", "f", "k")], {"k": np.ones((1, 12, 3), "f")}, 18, "a product of features with a"
    ),
    "Sub of two maps": ([*TWO_MAPS, node("Sub", "c", "d")], {}, 18, "only two maps that are added have a layer"),
    "Mul of two maps": ([*TWO_MAPS, node("Mul", "c", "d")], {}, 18, "a product of two maps (a gate"),
    "gate over channels": (
        [CONV, POOLED[0], node("Sigmoid", "g", out="s"), node("Mul", "c", "s")], {}, 18, "a product of two maps"
    ),
    "gate by another map": (
        [*TWO_MAPS, node("Sigmoid", "d", out="s"), node("Mul", "c", "s")], {}, 18, "a product of two maps"
    ),
    "Add of two sizes": (
        [CONV, POOLED[0], node("Add", "c", "g")], {}, 18, "its inputs have the sizes 12 x 6 x 5, 12 x 1 x 1"
    ),
    "Add of other channels": (
        [CONV, node("Add", "c", "x")], {}, 18, "its inputs have the sizes 12 x 6 x 5, 2 x 6 x 5, allowed: the same"
    ),
    "Concat of two sizes": ([CONV, POOLED[0], node("Concat", "c", "g", axis=1)], {}, 18, "12 x 1 x 1, allowed: one"),
    "Concat by rows": ([*TWO_MAPS, node("Concat", "c", "d", axis=2)], {}, 18, "only maps put together by channels"),
    "Concat with a weight": (
        [CONV, node("Concat", "c", "k", axis=1)], {"k": np.ones((1, 2, 6, 5), "f")}, 18, "only maps put together"
    ),
    "Concat of map and vector": ([CONV, *POOLED, node("Concat", "g", "f", axis=1)], {}, 18, "its inputs were"),
    "Sum with a weight": ([CONV, node("Sum", "c", "k")], {"k": ONES}, 18, "k does not come from the network's input"),
    "factor by pixel": ([CONV, node("Mul", "c", "k")], {"k": np.ones((6, 5), "f")}, 18, "a constant of the sizes"),
    "factor by image": (
        [CONV, node("Mul", "c", "k")], {"k": np.ones((2, 12, 1, 1), "f")}, 18, "a constant of the sizes (2, 12, 1, 1)"
    ),
    "factor of features": ([CONV, *POOLED, node("Mul", "f", "k")], {"k": ONES}, 18, "a constant of the sizes"),
    "constant over map": ([CONV, node("Div", "k", "c")], {"k": ONES}, 18, "a constant divided by a map has no layer"),
    "Clip": ([CONV, node("Clip", "c", "low")], {"low": np.float32(-1)}, 18, "clipping to -1.0..None has no layer"),
    "Clip above": ([CONV, node("Clip", "c", "", "low")], {"low": np.float32(6)}, 18, "clipping to None..6.0 has no"),
    "HardSigmoid": ([CONV, node("HardSigmoid", "c")], {}, 18, "a hard sigmoid with alpha 0.2 and beta 0.5 has no"),
    "Elu": ([CONV, node("Elu", "c", alpha=0.5)], {}, 18, "only an ELU with alpha 1 has a layer"),
    "Gelu": ([CONV, node("Gelu", "c", approximate="tanh")], {}, 20, "only the exact GELU has a layer"),
    "Softmax over columns": ([CONV, node("Softmax", "c")], {}, 18, "only a softmax over channels has a layer"),
    "Softmax of old": ([CONV, node("Softmax", "c", axis=1)], {}, 12, "a softmax of opset 12 runs over all that"),
    "Softmax of a flattened map": (
        [CONV, node("Flatten", "c", out="f"), node("Softmax", "f")], {}, 18, "its input is a flattened map"
    ),
    "Pad by reflection": (
        [CONV, node("Pad", "c", "p", mode="reflect")], {"p": np.array([0, 0, 1, 1] * 2)}, 18, "only a border of one"
    ),
    "Pad of channels": ([CONV, node("Pad", "c", "p")], {"p": np.array([0, 1, 0, 0] * 2)}, 18, "only a border of one"),
    "Pad that crops": ([CONV, node("Pad", "c", "p")], {"p": np.array([0, 0, -1, 0] * 2)}, 18, "a border is negative"),
    "Cast to integers": (
        [CONV, node("Cast", "c", to=TensorProto.INT32)], {}, 18, "only casts to floating-point numbers can be left out"
    ),
    "dropout in training": (
        [CONV, node("Dropout", "c", "r", "t")], {"r": np.float32(0.5), "t": True}, 18, "dropout in training mode"
    ),
    "attribute": ([CONV, node("MaxPool", "c")], {}, 18, "its inputs or attributes are not the operator's (KeyError"),
    "strides": ([CONV, node("MaxPool", "c", kernel_shape=[2, 2], strides=[0, 1])], {}, 18, "strides [0, 1]"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_an_onnx_operator_without_a_layer_is_refused_by_node(name: str, tmp_path: Path) -> None:
    nodes, weights, opset, words = REFUSED[name]
    path = by_hand(tmp_path / "net.onnx", *nodes, opset=opset, **weights)
    if name == "domain":
        changed(path, lambda proto: proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3)))
    message = the_error(import_onnx, path)
    assert message.startswith(f"{path}: node {nodes[-1].name} ")
    assert words in message


def wide(function: Callable[[Any, Tensor], Any], **parts: nn.Module) -> Net:
    return Net(function, 12, **parts)


def ends_with(module: nn.Module) -> Net:
    return wide(lambda net, x: net.last(x), last=module)


TORCH_REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {  # a net, the words after "node "
    "operator": (
        lambda: wide(lambda net, x: net.head(x), head=nn.Sequential(nn.ReLU(), nn.Upsample(scale_factor=2))),
        "head.1 has the unsupported operator upsample_nearest2d; supported: ",
    ),
    "constant": (
        lambda: wide(lambda net, x: x + torch.arange(8.0)), "arange has the unsupported operator arange; supported: "
    ),
    "weight": (lambda: wide(lambda net, x: F.conv2d(x, x)), "conv2d_1 (conv2d) cannot be imported: weight is no"),
    "same": (
        lambda: ends_with(nn.Conv2d(12, 1, 2, padding="same")),
        "last (conv2d) cannot be imported: 'same' padding of an even kernel",
    ),
    "transposed": (
        lambda: ends_with(nn.ConvTranspose2d(12, 12, 3, 2, output_padding=1)),
        "last (conv_transpose2d) cannot be imported: a transposed convolution has a layer without groups",
    ),
    "divisor": (
        lambda: ends_with(nn.AvgPool2d(2, divisor_override=3)),
        "last (avg_pool2d) cannot be imported: divisor_override has no layer",
    ),
    "adaptive": (
        lambda: ends_with(nn.AdaptiveAvgPool2d((4, 3))),
        "last (adaptive_avg_pool2d) cannot be imported: 4 x 3 does not divide the map of 12 x 8 x 8",
    ),
    "mean": (lambda: wide(lambda net, x: x.mean()), "mean (mean) cannot be imported: only a mean over height and"),
    "alpha": (lambda: wide(lambda net, x: torch.add(x, x, alpha=2)), "add (add) cannot be imported: alpha is not 1"),
    "rows": (lambda: wide(lambda net, x: torch.cat([x, x], 2)), "cat (cat) cannot be imported: only maps put"),
    "clamp": (lambda: ends_with(nn.Hardtanh()), "last (hardtanh) cannot be imported: clamping to -1.0..1.0 has"),
    "elu": (lambda: ends_with(nn.ELU(2.0)), "last (elu) cannot be imported: only an ELU with alpha 1 has a"),
    "gelu": (lambda: ends_with(nn.GELU("tanh")), "last (gelu) cannot be imported: only the exact GELU has a"),
    "softmax": (lambda: ends_with(nn.Softmax(2)), "last (softmax) cannot be imported: only a softmax over"),
    "flattened": (
        lambda: wide(lambda net, x: x.flatten(1).softmax(1)), "softmax (softmax) cannot be imported: its input is a"
    ),
    "border": (
        lambda: ends_with(nn.Conv2d(12, 1, 3, padding=1, padding_mode="reflect")),
        "last (pad) cannot be imported: only a border of one value around height and width has a layer",
    ),
    "batch": (
        lambda: wide(lambda net, x: F.max_pool2d(x, 8).squeeze()),
        "squeeze (squeeze) cannot be imported: 1 x 12 x 1 x 1 becomes 12, allowed: one vector behind the batch",
    ),
}  # fmt: skip


LIKELY = ("operator", "constant", "weight", "adaptive", "mean", "batch")  # torch takes a while to trace each


@pytest.mark.parametrize("name", [*LIKELY, *slow(*(name for name in TORCH_REFUSED if name not in LIKELY))])
def test_a_torch_operator_without_a_layer_is_refused_by_node(name: str) -> None:
    net, words = TORCH_REFUSED[name]
    assert the_error(import_module, net().eval(), Shape(2, 8, 8), source="nets:net").startswith(
        f"nets:net: node {words}"
    )


def failing(net: Any, x: Tensor) -> Tensor:
    raise ZeroDivisionError("first line\nsecond line")


def branching(net: Any, x: Tensor) -> Tensor:
    return x if x.sum() > 0 else -x


UNTRACEABLE: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "fails": (lambda: wide(failing), "torch.export fails (ZeroDivisionError: first line)"),
    "depends on values": (lambda: wide(branching), "torch.export fails (GuardOnDataDependentSymNode: "),
    "other channels": (lambda: nn.Conv2d(3, 4, 1), "torch.export fails (RuntimeError: Given groups=1, weight of size "),
    "two outputs": (
        lambda: wide(lambda net, x: (x, x)),
        "the module has 1 inputs and 2 outputs, allowed: one of each",
    ),
    "no output": (lambda: wide(lambda net, x: None), "output None does not depend on the input"),
}


@pytest.mark.parametrize("name", UNTRACEABLE)
def test_what_torch_cannot_trace_is_refused_quietly(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    net, words = UNTRACEABLE[name]
    assert the_error(import_module, net(), Shape(2, 8, 8), source="nets:net").startswith(f"nets:net: {words}")
    assert capfd.readouterr() == ("", "")
