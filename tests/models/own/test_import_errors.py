"""Bad input to the importers: one line that names the file or factory and the node, and never another exception."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from torch import Tensor, nn

from splitgym.models.layers import Shape
from splitgym.models.lookup import get_model
from splitgym.models.own.names import LARGEST, from_folder, is_own, with_input, without_size
from splitgym.models.own.read import import_model, import_module, import_onnx
from splitgym.models.zoo.catalogue import MODELS
from splitgym.ui.errors import InputError

from ... import slow
from .nets import image, onnx_file


def node(op: str, *inputs: str, out: str = "y", **attributes: Any) -> Any:
    return helper.make_node(op, inputs, [out], name=f"the {op}", **attributes)


CONV = node("Conv", "x", "w", "b", out="c", pads=[1, 1, 1, 1])
WEIGHTS = {
    "w": np.linspace(-1, 1, 216, dtype=np.float32).reshape(12, 2, 3, 3),
    "b": np.linspace(-1, 1, 12, dtype=np.float32),
    "wf": np.linspace(-1, 1, 36, dtype=np.float32).reshape(3, 12),
}
POOLED = [node("GlobalAveragePool", "c", out="g"), node("Flatten", "g", out="f")]


def small_net(path: Path, sizes: Any = (1, 2, 6, 5), **options: Any) -> Path:
    """Convolution, activation, global pool, fully connected."""
    nodes = [CONV, node("Relu", "c", out="c2"), node("MaxPool", "c2", out="p", kernel_shape=[2, 2], strides=[2, 2])]
    nodes += [node("GlobalAveragePool", "p", out="g"), node("Flatten", "g", out="f"), node("Gemm", "f", "wf", transB=1)]
    return onnx_file(path, nodes, sizes, WEIGHTS, **options)


def changed(path: Path, change: Callable[[Any], None]) -> Path:
    proto = onnx.load(path)
    change(proto)
    path.write_bytes(proto.SerializeToString())
    return path


def the_error(call: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """The message of the InputError that a call raises: one line."""
    with pytest.raises(InputError) as error:
        call(*arguments, **options)
    message = str(error.value)
    assert message == message.strip()
    assert "\n" not in message
    return message


# Files.


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    whole = small_net(tmp_path / "whole.onnx").read_bytes()
    import_onnx(tmp_path / "whole.onnx")
    path = tmp_path / "cut.onnx"
    ends = {*range(48), *range(48, len(whole), 13), *range(len(whole) - 48, len(whole))}
    assert len(whole) > 1000, "some ends lie inside a weight"
    for end in sorted(ends):
        path.write_bytes(whole[:end])
        assert the_error(import_onnx, path).startswith(f"{path}: "), end


def test_a_weight_that_ends_too_early_is_named(tmp_path: Path) -> None:
    def shorten(proto: Any) -> None:
        proto.graph.initializer[0].raw_data = proto.graph.initializer[0].raw_data[:-3]

    path = changed(small_net(tmp_path / "net.onnx"), shorten)
    assert the_error(import_onnx, path).startswith(f"{path}: is not a whole ONNX file (weight w: ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not a whole ONNX file (its graph has no nodes, inputs or outputs)"),
        (b"model: resnet50\nmbps: [1, 2]\n" * 20, "is not a whole ONNX file ("),
        (bytes(range(256)) * 4, "is not a whole ONNX file ("),
    ],
    ids=["empty", "text", "bytes"],
)
def test_what_is_no_onnx_file_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    assert the_error(import_model, str(path)).startswith(f"{path}: {words}")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.onnx").mkdir()
    for name in ("missing.onnx", "folder.onnx", "a/b.onnx", "a\0b.onnx"):
        assert the_error(get_model, f"{tmp_path}/{name}") == f"{tmp_path}/{name}: no such file"


@pytest.mark.parametrize("left", [None, 0, 100])
def test_weights_beside_the_file_that_are_not_all_there(left: int | None, tmp_path: Path) -> None:
    path = small_net(tmp_path / "net.onnx")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    import_onnx(path)
    data = tmp_path / "weights.bin"
    data.unlink() if left is None else data.write_bytes(data.read_bytes()[:left])
    message = the_error(import_onnx, path)
    assert message.startswith(f"{path}: is not a whole ONNX file (")
    assert ("weights.bin" if left is None else "'w'") in message


def test_without_the_package_the_message_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = small_net(tmp_path / "net.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert the_error(import_onnx, path) == f"{path}: reading ONNX files needs the package onnx (pip install onnx)"


def mutants(proto: Any) -> Iterator[Any]:
    """The file with one thing changed each: attributes, inputs and outputs of nodes, sizes of weights."""

    def copied() -> Any:
        return copy.deepcopy(proto)

    for i, made in enumerate(proto.graph.node):
        for j, attribute in enumerate(made.attribute):
            for value in (None, "text", 3, [1], [1, 2, 3], [0, 0], -1, [-1, 0, 0, 0]):
                other = copied()
                if value is None:
                    del other.graph.node[i].attribute[j]
                else:
                    other.graph.node[i].attribute[j].CopyFrom(helper.make_attribute(attribute.name, value))
                yield other
        for j in range(len(made.input)):
            for name in ("nowhere", "", "x", "c", "w", "b"):
                other = copied()
                other.graph.node[i].input[j] = name
                yield other
            other = copied()
            del other.graph.node[i].input[j]
            yield other
        for part in ("input", "output"):
            other = copied()
            del getattr(other.graph.node[i], part)[:]
            yield other
        other = copied()
        del other.graph.node[i]
        yield other
    for i, tensor in enumerate(proto.graph.initializer):
        for size in ([], [1], [2, 2], list(tensor.dims)[::-1], [*tensor.dims, 1]):
            other = copied()
            zeros = onnx.numpy_helper.from_array(np.zeros(size, np.float32), tensor.name)
            other.graph.initializer[i].CopyFrom(zeros)
            yield other


def test_a_file_that_breaks_onnx_rules_is_refused_or_runs(tmp_path: Path) -> None:
    """Nothing checks a file against ONNX's rules when it is loaded: here is every kind of breach."""
    path, outcomes = tmp_path / "mutant.onnx", {"refused": 0, "runs": 0}
    for mutant in mutants(onnx.load(small_net(tmp_path / "net.onnx"))):
        path.write_bytes(mutant.SerializeToString())
        try:
            imported = import_onnx(path)
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017
            assert str(error).startswith(f"{path}: ")  # noqa: PT017
            outcomes["refused"] += 1
        else:
            with torch.inference_mode():
                imported.build()(image(imported.model.input))
            outcomes["runs"] += 1
    assert outcomes["refused"] > 100
    assert outcomes["runs"] > 5


# What a network's description may be.


@pytest.mark.parametrize("sizes", [(1, 2, None, None), ("N", 2, "h", "w"), ("N", None, "h", "w"), (0, 2, 0, 0)])
def test_open_sizes_are_given_with_the_name(sizes: tuple[Any, ...], tmp_path: Path) -> None:
    path = small_net(tmp_path / "net.onnx", sizes)
    message = the_error(import_model, str(path))
    assert message.startswith(f"{path}: input x leaves sizes open (")
    assert message.endswith(f"give them with --input 3x224x224 (channels, height, width) or as {path}@3x224x224")
    assert ("(h, w)" in message) == (sizes == ("N", 2, "h", "w"))
    assert import_model(f"{path}@2x9x7").model.input == Shape(2, 9, 7)


def test_a_size_may_be_repeated_but_not_contradicted(tmp_path: Path) -> None:
    path = small_net(tmp_path / "net.onnx", (1, 2, 6, "w"))
    assert import_model(f"{path}@2x6x7").model.input == Shape(2, 6, 7)
    for wrong in ("3x6x7", "2x7x7"):
        assert the_error(import_model, f"{path}@{wrong}") == f"{path}: input x is 2x6x?, not {wrong}"


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((8, 2, 6, 5), "input x has a batch of 8, allowed: 1 or a free size"),
        ((1, 2, 6), "input x has 3 axes, allowed: 4 (batch, channels, height, width)"),
        ((1, 2, 3, 6, 5), "input x has 5 axes, allowed: 4 (batch, channels, height, width)"),
    ],
)
def test_the_input_is_one_image(sizes: tuple[int, ...], words: str, tmp_path: Path) -> None:
    path = small_net(tmp_path / "net.onnx", sizes)
    assert the_error(import_onnx, path) == f"{path}: {words}"


def test_a_file_has_one_input_and_one_output(tmp_path: Path) -> None:
    def second(kind: str) -> Callable[[Any], None]:
        value = helper.make_tensor_value_info("c", TensorProto.FLOAT, [1, 12, 6, 5])
        return lambda proto: getattr(proto.graph, kind).append(value)

    for kind, words in (("input", "2 inputs and 1 outputs"), ("output", "1 inputs and 2 outputs")):
        path = changed(small_net(tmp_path / f"{kind}.onnx"), second(kind))
        assert the_error(import_onnx, path) == f"{path}: the network has {words}, allowed: one of each"


def test_a_weight_that_is_listed_as_an_input_too_is_none(tmp_path: Path) -> None:
    """As files had it up to version 3 of the format."""

    def list_weights(proto: Any) -> None:
        for tensor in proto.graph.initializer:
            proto.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))

    import_onnx(changed(small_net(tmp_path / "net.onnx"), list_weights))


def by_hand(path: Path, *nodes: Any, opset: int = 18, **weights: Any) -> Path:
    given = {name: np.asarray(value) for name, value in {**WEIGHTS, **weights}.items()}
    return onnx_file(path, nodes, (1, 2, 6, 5), given, opset)


def test_what_lies_behind_the_output_is_not_read(tmp_path: Path) -> None:
    nodes = [CONV, node("Relu", "c", out="y"), node("ArgMax", "y", out="unused")]
    path = onnx_file(tmp_path / "net.onnx", nodes, (1, 2, 6, 5), WEIGHTS, 18)
    changed(path, lambda proto: setattr(proto.graph.output[0], "name", "y"))
    assert [unit.name for unit in import_onnx(path).model.units] == ["conv1"]


def test_an_opset_that_means_something_else_is_refused(tmp_path: Path) -> None:
    path = by_hand(tmp_path / "old.onnx", CONV, node("Relu", "c"), opset=6)
    assert the_error(import_onnx, path) == f"{path}: is of opset 6, allowed: 7 or later"


def test_a_network_that_depends_on_every_row_from_the_start_is_refused(tmp_path: Path) -> None:
    path = by_hand(
        tmp_path / "mlp.onnx", node("Flatten", "x", out="f"), node("Gemm", "f", "m"), m=np.ones((60, 3), "f")
    )
    words = "its first layer reads every row, so nothing of it can be split by height"
    assert the_error(import_onnx, path) == f"{path}: {words}"
    mlp = nn.Sequential(nn.Flatten(), nn.Linear(60, 3))
    assert the_error(import_module, mlp, Shape(2, 6, 5), source="nets:mlp") == f"nets:mlp: {words}"


def test_a_network_without_layers_is_refused(tmp_path: Path) -> None:
    path = by_hand(tmp_path / "net.onnx", node("Identity", "x"))
    assert the_error(import_onnx, path) == f"{path}: it has no layers, so nothing of it can be split by height"
    path = by_hand(tmp_path / "net.onnx", CONV, node("Relu", "b"))
    assert the_error(import_onnx, path) == f"{path}: output y does not depend on the input"


# Operators.

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


class Net(nn.Module):
    """A function of a 12 x 8 x 8 map, with modules of its own."""

    def __init__(self, function: Callable[[Any, Tensor], Any], **parts: nn.Module) -> None:
        super().__init__()
        self.function, self.stem, self.parts = function, nn.Conv2d(2, 12, 1), nn.ModuleDict(parts)

    def forward(self, x: Tensor) -> Any:
        return self.function(self.parts, self.stem(x))


def ends_with(module: nn.Module) -> Net:
    return Net(lambda parts, x: parts["last"](x), last=module)


TORCH_REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {  # a net, the words after "node "
    "operator": (
        lambda: Net(lambda parts, x: parts["head"](x), head=nn.Sequential(nn.ReLU(), nn.Upsample(scale_factor=2))),
        "parts.head.1 has the unsupported operator upsample_nearest2d; supported: ",
    ),
    "constant": (
        lambda: Net(lambda parts, x: x + torch.arange(8.0)), "arange has the unsupported operator arange; supported: "
    ),
    "weight": (lambda: Net(lambda parts, x: F.conv2d(x, x)), "conv2d_1 (conv2d) cannot be imported: weight is no"),
    "same": (
        lambda: ends_with(nn.Conv2d(12, 1, 2, padding="same")),
        "parts.last (conv2d) cannot be imported: 'same' padding of an even kernel",
    ),
    "transposed": (
        lambda: ends_with(nn.ConvTranspose2d(12, 12, 3, 2, output_padding=1)),
        "parts.last (conv_transpose2d) cannot be imported: a transposed convolution has a layer without groups",
    ),
    "divisor": (
        lambda: ends_with(nn.AvgPool2d(2, divisor_override=3)),
        "parts.last (avg_pool2d) cannot be imported: divisor_override has no layer",
    ),
    "adaptive": (
        lambda: ends_with(nn.AdaptiveAvgPool2d((4, 3))),
        "parts.last (adaptive_avg_pool2d) cannot be imported: 4 x 3 does not divide the map of 12 x 8 x 8",
    ),
    "mean": (lambda: Net(lambda parts, x: x.mean()), "mean (mean) cannot be imported: only a mean over height and"),
    "alpha": (lambda: Net(lambda parts, x: torch.add(x, x, alpha=2)), "add (add) cannot be imported: alpha is not 1"),
    "rows": (lambda: Net(lambda parts, x: torch.cat([x, x], 2)), "cat (cat) cannot be imported: only maps put"),
    "clamp": (lambda: ends_with(nn.Hardtanh()), "parts.last (hardtanh) cannot be imported: clamping to -1.0..1.0 has"),
    "elu": (lambda: ends_with(nn.ELU(2.0)), "parts.last (elu) cannot be imported: only an ELU with alpha 1 has a"),
    "gelu": (lambda: ends_with(nn.GELU("tanh")), "parts.last (gelu) cannot be imported: only the exact GELU has a"),
    "softmax": (lambda: ends_with(nn.Softmax(2)), "parts.last (softmax) cannot be imported: only a softmax over"),
    "flattened": (
        lambda: Net(lambda parts, x: x.flatten(1).softmax(1)), "softmax (softmax) cannot be imported: its input is a"
    ),
    "border": (
        lambda: ends_with(nn.Conv2d(12, 1, 3, padding=1, padding_mode="reflect")),
        "parts.last (pad) cannot be imported: only a border of one value around height and width has a layer",
    ),
    "batch": (
        lambda: Net(lambda parts, x: F.max_pool2d(x, 8).squeeze()),
        "squeeze (squeeze) cannot be imported: 1 x 12 x 1 x 1 becomes 12, allowed: one vector behind the batch",
    ),
}  # fmt: skip


# Torch takes a while to trace each.
LESS_LIKELY = (
    "divisor",
    "alpha",
    "rows",
    "clamp",
    "elu",
    "gelu",
    "border",
    "same",
    "transposed",
    "flattened",
    "softmax",
)


@pytest.mark.parametrize("name", [*(name for name in TORCH_REFUSED if name not in LESS_LIKELY), *slow(*LESS_LIKELY)])
def test_a_torch_operator_without_a_layer_is_refused_by_node(name: str) -> None:
    net, words = TORCH_REFUSED[name]
    assert the_error(import_module, net().eval(), Shape(2, 8, 8), source="nets:net").startswith(
        f"nets:net: node {words}"
    )


def failing(parts: Any, x: Tensor) -> Tensor:
    raise ZeroDivisionError("first line\nsecond line")


def branching(parts: Any, x: Tensor) -> Tensor:
    return x if x.sum() > 0 else -x


UNTRACEABLE: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "fails": (lambda: Net(failing), "torch.export fails (ZeroDivisionError: first line)"),
    "depends on values": (lambda: Net(branching), "torch.export fails (GuardOnDataDependentSymNode: "),
    "other channels": (lambda: nn.Conv2d(3, 4, 1), "torch.export fails (RuntimeError: Given groups=1, weight of size "),
    "two outputs": (
        lambda: Net(lambda parts, x: (x, x)),
        "the module has 1 inputs and 2 outputs, allowed: one of each",
    ),
    "no output": (lambda: Net(lambda parts, x: None), "output None does not depend on the input"),
}


@pytest.mark.parametrize("name", UNTRACEABLE)
def test_what_torch_cannot_trace_is_refused_quietly(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    net, words = UNTRACEABLE[name]
    assert the_error(import_module, net(), Shape(2, 8, 8), source="nets:net").startswith(f"nets:net: {words}")
    assert capfd.readouterr() == ("", "")


# Names and factories.


@pytest.mark.parametrize(
    "name", ["resnet51", "net", "net.ONNX", "net.onnx@3x224", "net.onnx@", "net.onnx@3x2x2x2", "net.onnx@-3x2x2", ""]
)
def test_what_names_no_network_is_refused(name: str) -> None:
    assert the_error(get_model, name).startswith(f"unknown model {name!r}; known models: alexnet, ")


@pytest.mark.parametrize("size", ["0x6x5", "2x0x5", "2x6x0", f"2x6x{LARGEST + 1}", "2x6x99999999999999999999999"])
def test_sizes_are_positive_and_sane(size: str, tmp_path: Path) -> None:
    path = small_net(tmp_path / "net.onnx", (1, None, None, None))
    words = f"{size!r} is no size, allowed: channels, height and width such as 3x224x224, each up to {LARGEST}"
    assert the_error(get_model, f"{path}@{size}") == f"{path}@{size}: {words}"
    assert the_error(with_input, str(path), size) == f"input size: {words}"


@pytest.mark.parametrize(
    "size", ["", "3", "3x4", "3x4x5x6", "x4x5", "3,4,5", "3x4x5 ", "3 x 4 x 5", "axbxc", "3X4X5", "3x4x5.0"]
)
def test_what_is_no_size_is_refused(size: str) -> None:
    assert the_error(with_input, "net.onnx", size).startswith(f"input size: {size!r} is no size, allowed: ")


sides = st.integers(1, LARGEST)
own_names = st.sampled_from(
    ["net.onnx", "a b/c@d.onnx", "module:factory", "pkg.mod:Net", "/abs/net.onnx", "..\\net.onnx"]
)


@given(own_names, st.tuples(sides, sides, sides))
def test_a_size_is_taken_up_by_a_name_once(name: str, size: tuple[int, int, int]) -> None:
    text = "x".join(map(str, size))
    named = with_input(name, text)
    assert with_input(name, None) == name
    assert with_input(named, None) == named
    assert without_size(named) == name
    assert is_own(named)
    assert is_own(name)
    assert the_error(with_input, named, text) == f"model {named} names a size already, {text} is another"
    folder = Path("folder")
    expected = str(folder / named) if name.endswith(".onnx") else named
    assert from_folder(named, folder) == expected


@pytest.mark.parametrize("name", MODELS)
def test_a_zoo_model_keeps_its_own_input(name: str) -> None:
    assert with_input(name, None) == name
    words = "has an input of its own; a size is for ONNX files and module:factory"
    assert the_error(with_input, name, "3x8x8") == f"model {name} {words}"
    assert from_folder(name, Path("folder")) == name


FACTORIES = """
import torch
from torch import nn

NUMBER = 3
net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())

def fails():
    raise RuntimeError("first line\\n  second line")

def leaves():
    raise SystemExit(3)

def number():
    return 3

def no_size():
    return net

def one_number():
    return net, 32

def four_numbers():
    return net, (1, 3, 32, 32)

def three():
    return net, (3, 32, 32), "more"

def wants(argument):
    return net
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory with modules in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "bad_nets.py").write_text(FACTORIES)
    (tmp_path / "syntax_nets.py").write_text("def net(:\n")
    (tmp_path / "raising_nets.py").write_text("raise AttributeError('two\\nlines')\n")
    (tmp_path / "exiting_nets.py").write_text("raise SystemExit(0)\n")
    (tmp_path / "needy_nets.py").write_text("import surely_not_installed\n")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bad_nets:fails", "the factory fails (RuntimeError: first line second line)"),
        ("bad_nets:leaves", "the factory fails (SystemExit: 3)"),
        ("bad_nets:wants", "the factory fails (TypeError: wants() missing 1 required positional argument: 'argument')"),
        ("bad_nets:NUMBER", "the factory fails (TypeError: 'int' object is not callable)"),
        ("bad_nets:net", "the factory fails (TypeError: "),
        ("bad_nets:number", "returns int, allowed: a torch module, or one and its input size"),
        ("bad_nets:three", "returns tuple, allowed: a torch module, or one and its input size"),
        (
            "bad_nets:no_size",
            "the size of its input is not known; give it with --input 3x224x224 or as bad_nets:no_size@3x224x224",
        ),
        ("bad_nets:one_number", "'32' is no size, allowed: channels, height and width such as 3x224x224"),
        ("bad_nets:four_numbers", "'1x3x32x32' is no size, allowed: channels, height and width such as 3x224x224"),
        ("bad_nets:missing", "module bad_nets has no missing"),
        ("no_such_nets:net", "no module 'no_such_nets' from {folder} or among installed packages"),
        ("bad_nets.deeper:net", "no module 'bad_nets.deeper' from {folder} or among installed packages"),
        ("needy_nets:net", "no module 'surely_not_installed' from {folder} or among installed packages"),
        ("syntax_nets:net", "module syntax_nets cannot be imported (SyntaxError: "),
        ("raising_nets:net", "module raising_nets cannot be imported (AttributeError: two lines)"),
        ("exiting_nets:net", "module exiting_nets cannot be imported (SystemExit: 0)"),
        (".bad_nets:net", "module .bad_nets cannot be imported (TypeError: "),
    ],
)
def test_a_factory_that_does_not_work_is_named(name: str, words: str, folder: Path) -> None:
    assert the_error(get_model, name).startswith(f"{name}: {words.format(folder=folder)}")


@pytest.mark.parametrize("name", [":net", "bad_nets:", "bad_nets:a-b", "bad_nets:1", "bad_nets:net@3x8", ":"])
def test_what_is_neither_file_nor_factory_is_refused(name: str, folder: Path) -> None:
    words = "allowed are a zoo model, a file that ends in .onnx, or module:factory"
    assert the_error(get_model, name) == f"model {name!r}: {words}"
