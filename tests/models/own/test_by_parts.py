"""What files write in many ways is read as the one thing that it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import helper
from torch import Tensor, nn

from splitgym.models.blocks import Block
from splitgym.models.channels import ChannelNorm, Shuffle
from splitgym.models.layers import Conv, Shape
from splitgym.models.own.quantised import QUANTISED
from splitgym.models.own.read import import_model, import_onnx
from splitgym.models.programs import Program
from splitgym.models.remaps import DepthToSpace, Slice

from .nets import (
    Net,
    assert_all_outputs,
    assert_equal_outputs,
    exported,
    file_macs,
    image,
    onnx_file,
    run_onnxruntime,
    scrambled,
)
from .refusals import CONV, WEIGHTS, by_hand, node, the_error

SIDE = Shape(2, 6, 5)


def number(value: float) -> np.ndarray:
    return np.array(value, np.float32)


def by_parts(*steps: tuple[str, str, str, str]) -> list[Any]:
    """Nodes behind ``c``: (operator, first input, second input or nothing, output)."""
    return [helper.make_node(op, [a, b] if b else [a], [out], name=f"{op} to {out}") for op, a, b, out in steps]


THREE = dict(three=number(3), zero=number(0), six=number(6))
CLIPPED = helper.make_node("Clip", ["a", "zero", "six"], ["t"])
ACTIVATIONS: dict[str, tuple[str, list[Any], dict[str, Any]]] = {  # the activation, nodes, constants
    "hard-swish": (
        "hardswish",
        [*by_parts(("Add", "c", "three", "a")), CLIPPED, *by_parts(("Mul", "c", "t", "m"), ("Div", "m", "six", "y"))],
        THREE,
    ),
    "hard-swish the other way": (
        "hardswish",
        [*by_parts(("Add", "three", "c", "a")), CLIPPED, *by_parts(("Div", "t", "six", "d"), ("Mul", "d", "c", "y"))],
        THREE,
    ),
    "hard sigmoid": (
        "hardsigmoid", [*by_parts(("Add", "c", "three", "a")), CLIPPED, *by_parts(("Div", "t", "six", "y"))], THREE
    ),
    "swish by a factor of 1": (
        "silu",
        by_parts(("Mul", "c", "one", "a"), ("Sigmoid", "a", "", "s"), ("Mul", "c", "s", "y")), {"one": number(1)},
    ),
    "swish by a factor": (
        "swish=1.702",
        by_parts(("Mul", "c", "k", "a"), ("Sigmoid", "a", "", "s"), ("Mul", "c", "s", "y")), {"k": number(1.702)},
    ),
    "GELU by Erf": (
        "gelu",
        by_parts(("Div", "c", "root", "d"), ("Erf", "d", "", "e"), ("Add", "e", "one", "p"), ("Mul", "c", "p", "m"),
                 ("Mul", "m", "half", "y")),
        {"root": number(2**0.5), "one": number(1), "half": number(0.5)},
    ),
    "GELU by Tanh": (
        "gelu_tanh",
        by_parts(("Pow", "c", "cube", "p"), ("Mul", "p", "k", "q"), ("Add", "c", "q", "r"), ("Mul", "r", "s", "t"),
                 ("Tanh", "t", "", "u"), ("Add", "u", "one", "v"), ("Mul", "c", "half", "h"), ("Mul", "h", "v", "y")),
        {"cube": number(3), "k": number(0.044715), "s": number((2 / np.pi) ** 0.5), "one": number(1),
         "half": number(0.5)},
    ),
    "mish": ("mish", by_parts(("Softplus", "c", "", "s"), ("Tanh", "s", "", "t"), ("Mul", "c", "t", "y")), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_by_parts_is_drawn_into_its_convolution(name: str, tmp_path: Path) -> None:
    kind, nodes, constants = ACTIVATIONS[name]
    path, x = by_hand(tmp_path / "net.onnx", CONV, *nodes, **constants), 3 * image(SIDE)
    imported = import_onnx(path)
    assert_all_outputs(imported, x, run_onnxruntime(path, x))
    (unit,) = imported.model.units
    (layer,) = unit.layers
    assert isinstance(layer, Conv)
    assert layer.activation.partition(".")[0] == kind.partition(".")[0]


def test_what_is_no_activation_stays_as_it_is(tmp_path: Path) -> None:
    nodes = by_parts(("Sigmoid", "c", "", "s"), ("Add", "s", "half", "h"), ("Mul", "c", "h", "y"))
    path, x = by_hand(tmp_path / "net.onnx", CONV, *nodes, half=number(0.5)), image(SIDE)
    imported = import_onnx(path)
    assert_all_outputs(imported, x, run_onnxruntime(path, x))
    assert isinstance(imported.model.units[-1].layers[-1], Block)


@pytest.mark.parametrize("largest", [31, 40, 255, 65504])
def test_a_limit_far_out_stays(largest: float, tmp_path: Path) -> None:
    """A Relu that is limited is no Relu, nor is a swish a swish."""
    for first in (by_parts(("Relu", "c", "", "a")), by_parts(("Sigmoid", "c", "", "s"), ("Mul", "c", "s", "a"))):
        nodes = [*first, helper.make_node("Clip", ["a", "", "top"], ["y"])]
        path, x = by_hand(tmp_path / "net.onnx", CONV, *nodes, top=number(largest)), 3 * largest * image(SIDE)
        expected = run_onnxruntime(path, x)
        assert float(expected[0].max()) == largest
        assert_all_outputs(import_onnx(path), x, expected)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("opset", [9, 10, 11, 18])
def test_a_resize_gives_the_rows_that_runtimes_give(opset: int, mode: str, tmp_path: Path) -> None:
    """6 by 5 / 3 is 10 in float32, and no less; 5 by 0.7 is 3, each from where onnxruntime takes it."""
    for factors in [(5 / 3, 1.4), (1.5, 1.25), *([(0.7, 0.6)] if opset > 9 else [])]:
        scales: dict[str, Any] = {"s": np.array([1, 1, *factors], np.float32), "roi": np.zeros(0, np.float32)}
        inputs = ["c", "s"] if opset < 11 else ["c", "roi", "s"]
        rule: dict[str, Any] = {} if opset < 11 else {"coordinate_transformation_mode": "asymmetric"}
        resize = helper.make_node("Upsample" if opset < 10 else "Resize", inputs, ["y"], mode=mode, **rule)
        path, x = by_hand(tmp_path / "net.onnx", CONV, resize, opset=opset, **scales), image(SIDE)
        assert_all_outputs(import_onnx(path), x, run_onnxruntime(path, x))


@pytest.mark.parametrize("opset", [10, 12, 18])
def test_a_pool_rounded_up_joins_a_gate(opset: int, tmp_path: Path) -> None:
    """No window begins behind the map, whatever ONNX's inference of that opset counts."""
    pool = helper.make_node("AveragePool", ["c"], ["p"], kernel_shape=[1, 1], strides=[4, 3], ceil_mode=1)
    parts = by_parts(("GlobalAveragePool", "p", "", "g"), ("Sigmoid", "g", "", "s"), ("Mul", "p", "s", "y"))
    path, x = by_hand(tmp_path / "net.onnx", CONV, pool, *parts, opset=opset), image(SIDE)
    assert_all_outputs(import_onnx(path), x, run_onnxruntime(path, x))


def test_an_axis_from_behind_is_known_below_opset_11(tmp_path: Path) -> None:
    """Torch writes them so; ONNX infers no size then."""
    shape: dict[str, Any] = {"sizes": np.array([1, 3, 4, 6, 5])}
    nodes = by_parts(("Reshape", "c", "sizes", "r"), ("Sigmoid", "r", "", "s"))
    concat = helper.make_node("Concat", ["r", "s"], ["y"], axis=-1)
    path, x = by_hand(tmp_path / "net.onnx", CONV, *nodes, concat, opset=9, **shape), image(SIDE)
    assert_all_outputs(import_onnx(path), x, run_onnxruntime(path, x))


def test_a_layer_norm_by_parts_is_one(tmp_path: Path) -> None:
    """As exports below opset 17 have it."""
    mean: dict[str, Any] = dict(axes=[1], keepdims=1)
    nodes = [
        helper.make_node("ReduceMean", ["c"], ["m"], **mean),
        *by_parts(("Sub", "c", "m", "d"), ("Pow", "d", "two", "p")),
        helper.make_node("ReduceMean", ["p"], ["v"], **mean),
        *by_parts(("Add", "v", "eps", "e"), ("Sqrt", "e", "", "r"), ("Div", "d", "r", "n"), ("Mul", "n", "s", "a"),
                  ("Add", "a", "t", "y")),
    ]  # fmt: skip
    rng = np.random.default_rng(0)
    constants: dict[str, Any] = {name: rng.standard_normal((12, 1, 1)).astype(np.float32) for name in ("s", "t")}
    constants |= {"two": number(2), "eps": number(1e-5)}
    path, x = by_hand(tmp_path / "net.onnx", CONV, *nodes, opset=13, **constants), image(SIDE)
    imported = import_onnx(path)
    assert_all_outputs(imported, x, run_onnxruntime(path, x))
    assert isinstance(imported.model.units[1].layers[0], ChannelNorm)


class Viewed(nn.Module):
    """The commonest way to flatten in torch: the batch is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(2, 4, 3, padding=1), nn.Linear(120, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).relu()
        return self.last(x.view(x.size(0), -1))


@pytest.mark.parametrize("opset", [9, 11, 13, 14, 17])
def test_a_view_by_the_batch_is_a_flatten(opset: int, tmp_path: Path) -> None:
    net, x = scrambled(Viewed()), image(SIDE)
    options: dict[str, Any] = {"opset_version": opset, "input_names": ["x"], "dynamic_axes": {"x": {0: "batch"}}}
    path = exported(net, tmp_path / "net.onnx", SIDE, dynamo=False, **options)
    imported = import_onnx(path)
    with torch.inference_mode():
        assert_equal_outputs(imported, x, net(x))
    assert [unit.name for unit in imported.model.units] == ["conv1"]


@pytest.mark.parametrize("batch", [-1, 0, None, "N", 1])
def test_a_batch_may_be_written_in_any_way(batch: Any, tmp_path: Path) -> None:
    nodes = [CONV, node("Relu", "c")]
    path = onnx_file(tmp_path / "net.onnx", nodes, (1, 2, 6, 5), WEIGHTS)
    x = image(SIDE)
    expected = run_onnxruntime(path, x)
    path = onnx_file(tmp_path / "net.onnx", nodes, (batch, 2, 6, 5), WEIGHTS)
    assert_all_outputs(import_onnx(path), x, expected)


@pytest.mark.parametrize("scaled", [False, True])
def test_an_image_with_its_channels_last_is_turned(scaled: bool, tmp_path: Path) -> None:
    """As Keras has it; a scale may come before the Transpose."""
    before = by_parts(("Mul", "x", "k", "z")) if scaled else []
    turn = helper.make_node("Transpose", ["z" if scaled else "x"], ["t"], perm=[0, 3, 1, 2])
    nodes = [*before, turn, helper.make_node("Conv", ["t", "w"], ["y"])]
    weights: dict[str, Any] = {"w": WEIGHTS["w"], **({"k": number(0.5)} if scaled else {})}
    path = onnx_file(tmp_path / "net.onnx", nodes, ("N", 6, 5, 2), weights)
    imported, x = import_onnx(path), image(SIDE)
    assert imported.model.input == SIDE
    assert_all_outputs(imported, x, run_onnxruntime(path, x.permute(0, 2, 3, 1)))
    free = onnx_file(tmp_path / "free.onnx", nodes, ("N", "h", "w", 2), weights)
    assert import_model(f"{free}@2x9x7").model.input == Shape(2, 9, 7)


def two_outputs(path: Path) -> Path:
    nodes = [CONV, node("Relu", "c", out="r"), helper.make_node("Conv", ["r", "p"], ["scores"], name="to scores"),
             helper.make_node("Conv", ["r", "q"], ["boxes"], name="to boxes")]  # fmt: skip
    rng = np.random.default_rng(0)
    weights = {name: rng.standard_normal((n, 12, 1, 1)).astype(np.float32) for name, n in (("p", 4), ("q", 2))}
    path = onnx_file(path, nodes, (1, 2, 6, 5), {**WEIGHTS, **weights})
    import onnx

    proto = onnx.load(path)
    del proto.graph.output[:]
    proto.graph.output.extend(helper.make_tensor_value_info(name, 1, None) for name in ("scores", "boxes"))
    onnx.save(proto, path)
    return path


def test_every_output_is_kept_and_some_can_be_chosen(tmp_path: Path) -> None:
    path, x = two_outputs(tmp_path / "net.onnx"), image(SIDE)
    expected = run_onnxruntime(path, x)
    imported = import_onnx(path)
    assert_all_outputs(imported, x, expected)
    assert [output.name for output in imported.outputs] == ["scores", "boxes"]
    chosen = import_model(f"{path}#boxes")
    assert_all_outputs(chosen, x, expected[1:])
    assert [output.name for output in import_onnx(path, outputs=["r"]).outputs] == ["r"]
    message = the_error(import_model, f"{path}#landmarks")
    assert message == f"{path}: no output 'landmarks', allowed: scores, boxes, or another tensor's name"


def test_a_shuffle_and_a_pixel_shuffle_by_parts_are_layers(tmp_path: Path) -> None:
    sizes = {"s": [1, 3, 2, 2, 6, 5], "r": [1, 3, 12, 10], "g": [1, 4, 3, 6, 5], "h": [1, 12, 6, 5]}
    arrays: dict[str, Any] = {name: np.array(value) for name, value in sizes.items()}
    nodes = [
        CONV, helper.make_node("Reshape", ["c", "g"], ["a"]),
        helper.make_node("Transpose", ["a"], ["z"], perm=[0, 2, 1, 3, 4]),
        helper.make_node("Reshape", ["z", "h"], ["d"]),
        helper.make_node("Conv", ["d", "v"], ["e"]), helper.make_node("Reshape", ["e", "s"], ["f"]),
        helper.make_node("Transpose", ["f"], ["t"], perm=[0, 1, 4, 2, 5, 3]),
        helper.make_node("Reshape", ["t", "r"], ["y"]),
    ]  # fmt: skip
    weight = np.random.default_rng(0).standard_normal((12, 12, 1, 1)).astype(np.float32)
    path, x = by_hand(tmp_path / "net.onnx", *nodes, v=weight, **arrays), image(SIDE)
    imported = import_onnx(path)
    assert_all_outputs(imported, x, run_onnxruntime(path, x), plans=5)
    layers = [layer for unit in imported.model.units for layer in unit.layers]
    assert Shuffle(4) in layers
    assert layers[-1] == DepthToSpace(2, "channel")
    assert imported.model.tail == ()


def focus(net: Any, x: Tensor) -> Tensor:
    return net.conv(torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], 1))


class Focus(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return focus(self, x)


def test_focus_slices_are_one_unit(tmp_path: Path) -> None:
    net, shape = scrambled(Focus()), Shape(2, 8, 6)
    x = image(shape)
    imported = import_onnx(exported(net, tmp_path / "net.onnx", shape, dynamo=False))
    with torch.inference_mode():
        assert_equal_outputs(imported, x, net(x), plans=5)
    (block,) = imported.model.units[0].layers
    assert isinstance(block, Block)
    assert all(isinstance(branch[0], Slice) for branch in block.branches)


def test_quantised_activations_are_read_as_float_and_said_so(tmp_path: Path) -> None:
    nodes = by_parts(("QuantizeLinear", "c", "s", "q"), ("DequantizeLinear", "q", "s", "y"))
    imported = import_onnx(by_hand(tmp_path / "net.onnx", CONV, *nodes, s=number(0.01)))
    assert QUANTISED in imported.notes


@pytest.mark.parametrize("in_tail", [False, True])
def test_bounds_of_whole_numbers_stand_for_an_activation(in_tail: bool, tmp_path: Path) -> None:
    """A quantiser leaves a Relu out where whole numbers begin at 0; a Relu that is there is enough."""
    constants: dict[str, Any] = dict(s=number(0.02), z=np.array(0, np.uint8), sizes=np.array([1, 3, 4, 6, 5]))
    reshaped = by_parts(("Reshape", "c", "sizes", "r")) if in_tail else []
    quantised = [
        helper.make_node("QuantizeLinear", ["r" if in_tail else "c", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    path, x = by_hand(tmp_path / "net.onnx", CONV, *reshaped, *quantised, **constants), 3 * image(SIDE)
    (expected,) = run_onnxruntime(path, x)
    assert_all_outputs(import_onnx(path), x, [expected], tolerance=0.01 / float(expected.abs().max()) + 1e-5)
    if not in_tail:
        relu = helper.make_node("Relu", ["c"], ["r"])
        quantised[0].input[0] = "r"
        found = import_onnx(by_hand(tmp_path / "relu.onnx", CONV, relu, *quantised, **constants)).model.units
        assert [unit.layers for unit in found] == [(Conv(3, 1, 1, out_channels=12, activation="relu"),)]


def test_a_condition_that_is_known_chooses_its_branch(tmp_path: Path) -> None:
    def branch(kind: str) -> Any:
        made = helper.make_tensor_value_info("a", 1, None)
        return helper.make_graph([helper.make_node(kind, ["c"], ["a"], name=kind)], kind, [], [made])

    condition = helper.make_node("If", ["yes"], ["y"], then_branch=branch("Relu"), else_branch=branch("Tanh"))
    for yes, kind in ((True, "relu"), (False, "tanh")):
        imported = import_onnx(by_hand(tmp_path / "net.onnx", CONV, condition, yes=np.array(yes)))
        assert imported.model.units[0].layers[0] == Conv(3, 1, 1, out_channels=12, activation=kind)


@pytest.mark.parametrize("over", [(2, 3), (1, 2, 3)])
@pytest.mark.parametrize("flat", [False, True])
def test_a_gate_by_a_program_has_one_row(over: tuple[int, ...], flat: bool, tmp_path: Path) -> None:
    """What no layer is for gives a map still, though it be of one row and column."""

    def gated(net: Any, x: Tensor) -> Tensor:
        gate = (x.amax(over, keepdim=True) > 0.5).float() + 0.5 * x.amax(over, keepdim=True)
        return net.last((gate if flat else net.conv(x * gate)).flatten(1))

    features = len(over) == 2 and flat
    last = nn.Linear(4 if features else 1 if flat else 4 * SIDE.height * SIDE.width, 3)
    net = scrambled(Net(gated, 4, 2, conv=nn.Conv2d(4, 4, 3, padding=1), last=last))
    path, x = exported(net, tmp_path / "net.onnx", SIDE, dynamo=False), image(SIDE)
    assert_all_outputs(import_onnx(path), x, run_onnxruntime(path, x))


def test_attention_in_the_middle_is_one_unit_that_reads_every_row(tmp_path: Path) -> None:
    flat, back = np.array([1, 12, 30]), np.array([1, 12, 6, 5])
    nodes = [
        CONV, helper.make_node("Reshape", ["c", "flat"], ["q"]),
        helper.make_node("Transpose", ["q"], ["k"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["k", "q"], ["s"]), helper.make_node("Softmax", ["s"], ["p"], axis=-1),
        helper.make_node("MatMul", ["q", "p"], ["o"]), helper.make_node("Reshape", ["o", "back"], ["m"]),
        helper.make_node("Add", ["m", "c"], ["a"], name="add"),
        helper.make_node("Conv", ["a", "v"], ["y"], pads=[1] * 4),
    ]  # fmt: skip
    weight = np.random.default_rng(0).standard_normal((3, 12, 3, 3)).astype(np.float32)
    path, x = by_hand(tmp_path / "net.onnx", *nodes, flat=flat, back=back, v=weight), image(SIDE) / 4
    imported = import_onnx(path)
    assert_all_outputs(imported, x, run_onnxruntime(path, x), plans=6)
    model = imported.model
    program = next(kernel.layer for kernel in model.kernels if isinstance(kernel.layer, Program))
    assert program.macs(SIDE) == 2 * 30 * 30 * 12
    assert model.tail == ()
    index = next(kernel.unit for kernel in model.kernels if isinstance(kernel.layer, Program))
    volume = model.volume(index, index + 1)
    assert (volume.need_lo[0][:-1].max(), volume.need_hi[0][1:].min()) == (0, 6), "any of its rows needs all"


@pytest.mark.skipif(
    "ONNX_CASES" not in os.environ, reason="the folder ONNX_CASES names, of files to read, is not there"
)
def test_files_from_elsewhere() -> None:
    for path in sorted(Path(os.environ["ONNX_CASES"]).glob("*.onnx")):
        imported = import_onnx(path)
        x = image(imported.model.input)
        session_x = x.permute(0, 2, 3, 1) if "nhwc" in path.name else x
        assert_all_outputs(imported, x, run_onnxruntime(path, session_x), plans=3)
        assert imported.model.macs == file_macs(path, session_x)
