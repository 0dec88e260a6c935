"""From branches to blocks: what is nested becomes nested blocks and units, what is not is refused by node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from torch import Tensor, nn

from splitgym.models.blocks import Block
from splitgym.models.layers import Conv, GlobalPool, Linear, Pool, Shape
from splitgym.models.own.read import import_module, import_onnx

from .nets import (
    Net,
    assert_equal_outputs,
    exported,
    image,
    onnx_file,
    run_reference,
    scrambled,
)


class Drawn:
    """A network drawn as ONNX nodes; every map has the size of the input."""

    def __init__(self, draw: Callable[..., Any]) -> None:
        self.draw, self.nodes, self.weights = draw, list[Any](), dict[str, np.ndarray]()
        self.rng = np.random.default_rng(draw(st.integers(0, 9)))

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        out = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [out], name=f"{op}{len(self.nodes)}", **attributes))
        return out

    def weight(self, *size: int) -> str:
        name = f"w{len(self.weights)}"
        self.weights[name] = (self.rng.standard_normal(size) / np.sqrt(np.prod(size[1:]))).astype(np.float32)
        return name

    def conv(self, x: str, channels: int, out: int) -> str:
        kernel = self.draw(st.sampled_from([1, 3]))
        return self.node("Conv", x, self.weight(out, channels, kernel, kernel), pads=[kernel // 2] * 4)

    def leaky(self, x: str) -> str:
        return self.node("LeakyRelu", x, alpha=0.3)  # leaves no output dead

    def norm(self, x: str, channels: int) -> str:
        ones = self.weight(channels)
        self.weights[ones] = np.abs(self.weights[ones]) + 0.5
        return self.node("BatchNormalization", x, ones, self.weight(channels), self.weight(channels), ones)

    def chain(self, x: str, channels: int, depth: int) -> tuple[str, int]:
        """Steps one after another: (tensor, channels)."""
        steps = ["conv", "conv and leaky", "conv, norm and leaky", "pool", "norm", "leaky"]
        steps += ["residual", "concat", "fork"] if depth else []
        for _ in range(self.draw(st.integers(1, 3))):
            step = self.draw(st.sampled_from(steps))
            if step.startswith("conv"):
                out = self.draw(st.integers(1, 3))
                x, channels = self.conv(x, channels, out), out
                x = self.norm(x, channels) if "norm" in step else x
                x = self.leaky(x) if "leaky" in step else x
            elif step == "pool":
                x = self.node("MaxPool", x, kernel_shape=[3, 3], pads=[1] * 4)
            elif step == "norm":
                x = self.norm(x, channels)
            elif step == "leaky":
                x = self.leaky(x)
            elif step == "residual":
                x = self.residual(x, channels, depth)
            else:
                x, channels = self.concat(x, channels, depth, shared=step == "fork")
        return x, channels

    def residual(self, x: str, channels: int, depth: int) -> str:
        y, inner = self.chain(x, channels, depth - 1)
        y = self.conv(y, inner, channels) if inner != channels else y
        shortcut = self.conv(x, channels, channels) if self.draw(st.booleans()) else x
        return self.node("Add", *self.draw(st.permutations([y, shortcut])))

    def concat(self, x: str, channels: int, depth: int, shared: bool) -> tuple[str, int]:
        """Branches put together; with ``shared`` two of them fork behind a layer of their own."""
        parts = [self.chain(x, channels, depth - 1) for _ in range(self.draw(st.integers(1, 2)))]
        if shared:
            stem = self.conv(x, channels, 2)
            parts += [self.chain(stem, 2, depth - 1), (self.conv(stem, 2, 1), 1)]
        if self.draw(st.booleans()) or len(parts) == 1:
            parts.insert(self.draw(st.integers(0, 1)), (x, channels))
        return self.node("Concat", *(name for name, _ in parts), axis=1), sum(count for _, count in parts)


def cut_points(nodes: list[Any]) -> int:
    """How many tensors leave no way from input to output when they are gone, by trying each.

    What a norm or an activation alone reads is none where the layer in front takes it in.
    """
    output = nodes[-1].output[0]
    makers = {node.output[0]: node.op_type for node in nodes}

    def reached(without: str) -> bool:
        live = {"x"} - {without}
        for node in nodes:
            if any(name in live for name in node.input) and node.output[0] != without:
                live.add(node.output[0])
        return output in live

    def taken_in(tensor: str) -> bool:
        readers = [node.op_type for node in nodes for name in node.input if name == tensor]
        fused = {
            "BatchNormalization": ("Conv", "BatchNormalization"),
            "LeakyRelu": ("Conv", "BatchNormalization", "Add", "Concat", "Sum"),
        }
        return len(readers) == 1 and makers[tensor] in fused.get(readers[0], ())

    return sum(not reached(tensor) and not taken_in(tensor) for tensor in makers)


@settings(max_examples=60)
@given(data=st.data())
def test_nested_branches_become_nested_blocks(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    net = Drawn(data.draw)
    x, channels = net.chain("x", 2, data.draw(st.integers(0, 2)))
    nodes, with_tail = list(net.nodes), data.draw(st.booleans())
    if with_tail:
        flat = net.node("Flatten", net.node("GlobalAveragePool", x))
        net.node("Gemm", flat, net.weight(channels, 3))
    path = onnx_file(tmp_path_factory.getbasetemp() / "nested.onnx", net.nodes, (1, 2, 6, 5), net.weights)
    imported, x = import_onnx(path), image(Shape(2, 6, 5))
    assert_equal_outputs(imported, x, run_reference(path, x))
    assert len(imported.model.units) == cut_points(nodes)
    assert len(imported.model.tail) == 2 * with_tail


def is_nested(nodes: list[Any]) -> bool:
    """Whether branches lie side by side or within each other: a two-terminal series-parallel graph, by reductions."""
    output = nodes[-1].output[0]
    needed, edges = {output}, set[tuple[str, str]]()
    for node in reversed(nodes):
        if node.output[0] in needed:
            inputs = [name for name in node.input if not name.startswith("w")]
            needed.update(inputs)
            edges.update((name, node.output[0]) for name in inputs)  # equal ones are parallel: one is enough
    while True:
        for middle in needed - {"x", output}:
            into, out = [e for e in edges if e[1] == middle], [e for e in edges if e[0] == middle]
            if len(into) == len(out) == 1:
                edges = (edges - {into[0], out[0]}) | {(into[0][0], out[0][1])}
                break
        else:
            return edges == {("x", output)}


@settings(max_examples=120)
@given(data=st.data())
def test_branches_are_read_however_they_cross(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    net, tensors = Drawn(data.draw), ["x"]
    for _ in range(data.draw(st.integers(2, 8))):
        back = [tensors[-i] for i in data.draw(st.lists(st.integers(1, min(4, len(tensors))), min_size=1, max_size=3))]
        if len(back) == 1:
            tensors.append(net.conv(back[0], 1, 1) if data.draw(st.booleans()) else net.node("Tanh", back[0]))
        else:
            tensors.append(net.node("Sum", *back))
    path = onnx_file(tmp_path_factory.getbasetemp() / "any.onnx", net.nodes, (1, 1, 4, 3), net.weights)
    imported, x = import_onnx(path), image(Shape(1, 4, 3))
    assert_equal_outputs(imported, x, run_reference(path, x), plans=4)
    if is_nested(net.nodes):
        assert not any(unit.joins for unit in imported.model.units), "blocks alone"


def with_convolutions(function: Callable[[Any, Tensor], Tensor], **parts: nn.Module) -> Net:
    """A function of an image, with convolutions a to d of its own, 4 x 4 channels."""
    return Net(function, 4, 3, **{name: nn.Conv2d(4, 4, 3, padding=1) for name in "abcd"}, **parts)


def crossing(net: Any, x: Tensor) -> Tensor:
    a = net.a(x)
    b = net.b(a) + x  # a skip from x ...
    return net.c(b) + a  # ... that another one from within it leaves


def between(net: Any, x: Tensor) -> Tensor:
    a = net.a(x)
    return torch.cat([net.b(a), net.c(x), net.d(a)], 1)


@pytest.mark.parametrize("function", [crossing, between])
def test_what_cannot_be_nested_is_saved_and_joined(function: Callable[..., Tensor]) -> None:
    net, shape = scrambled(with_convolutions(function)), Shape(3, 8, 8)
    imported, x = import_module(net, shape), image(shape)
    with torch.inference_mode():
        assert_equal_outputs(imported, x, net(x), plans=6)
    assert any(unit.joins for unit in imported.model.units)


def in_place(net: Any, x: Tensor) -> Tensor:
    y = net.a(x)
    z = torch.relu_(y)
    return net.b(z) + y  # torch adds the rectified y


def test_what_works_in_place_changes_every_reader(tmp_path: Path) -> None:
    net, shape = scrambled(with_convolutions(in_place)), Shape(3, 8, 8)
    x = image(shape)
    with torch.inference_mode():
        expected, a = net(x), net.a(net.stem(x))  # pyright: ignore[reportCallIssue]
        assert not torch.allclose(expected, net.b(a.relu()) + a, atol=1e-3), "as if it did not work in place"  # pyright: ignore[reportCallIssue]
    assert_equal_outputs(import_module(net, shape), x, expected)
    assert_equal_outputs(import_onnx(exported(net, tmp_path / "net.onnx", shape, dynamo=False)), x, expected)


def test_a_unit_names_the_nodes_that_it_was_made_of() -> None:
    layers = [nn.ZeroPad2d(1), nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.ReLU6()]
    net = nn.Sequential(*layers, nn.Conv2d(4, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3), nn.Tanh())
    imported = import_module(scrambled(net), Shape(3, 16, 16), "named")
    assert imported.nodes == {
        "conv1": ("0", "1", "2", "3"),
        "pool1": ("4",),
        "map1": ("5",),
        "conv2": ("6",),
        "tail.0": ("7",),
        "tail.1": ("9", "10"),
    }
    model = imported.model
    assert model.name == "named"
    assert model.units[0].layers == (Conv(3, 2, 1, out_channels=4, norm=True),)
    assert model.units[1].layers == (Pool(2, 2),)
    assert imported.notes[0] == "4 units that can be split by height"
    assert "a tail of 2 layers" in imported.notes[1]
    assert "from node 7, which reads every row" in imported.notes[1]


def test_an_uneven_border_belongs_to_the_unit_that_reads_it() -> None:
    net = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 4, 3, 2), nn.ZeroPad2d((1, 0, 2, 0)), nn.MaxPool2d(2))
    net, shape = scrambled(net), Shape(3, 9, 12)
    imported, x = import_module(net, shape), image(shape)
    with torch.inference_mode():
        assert_equal_outputs(imported, x, net(x), plans=8)
    assert [(unit.name, len(unit.layers)) for unit in imported.model.units] == [("conv1", 2), ("pool1", 2)]


def test_a_block_that_reads_every_row_belongs_to_the_tail() -> None:
    def heads(net: Any, x: Tensor) -> Tensor:
        x = net.a(x)
        return torch.cat([nn.functional.adaptive_avg_pool2d(x, 1), nn.functional.max_pool2d(x, 8)], 1)

    net, shape = scrambled(with_convolutions(heads)), Shape(3, 8, 8)
    imported, x = import_module(net, shape), image(shape)
    with torch.inference_mode():
        assert_equal_outputs(imported, x, net(x))
    assert [unit.name for unit in imported.model.units] == ["conv1", "conv2"]
    assert [type(layer) for layer in imported.model.tail] == [Block]


@pytest.mark.parametrize("whole", [True, False])
def test_an_average_of_the_whole_map_begins_the_tail(whole: bool) -> None:
    """One that keeps columns apart is a pool like any other."""
    pool, features = (nn.AvgPool2d((6, 9)), 4) if whole else (nn.AdaptiveAvgPool2d((1, None)), 36)
    net, shape = (
        scrambled(nn.Sequential(nn.Conv2d(3, 4, 1), pool, nn.Flatten(), nn.Linear(features, 2))),
        Shape(3, 6, 9),
    )
    imported, x = import_module(net, shape), image(shape)
    with torch.inference_mode():
        assert_equal_outputs(imported, x, net(x))
    assert [unit.name for unit in imported.model.units] == (["conv1"] if whole else ["conv1", "pool1"])
    assert [type(layer) for layer in imported.model.tail] == ([GlobalPool, Linear] if whole else [Linear])


def skipping_features(net: Any, x: Tensor) -> Tensor:
    x = net.a(x).mean((2, 3))
    return net.last(x + net.inner(x))


def test_a_skip_around_a_fully_connected_layer_behind_a_global_pool() -> None:
    net = with_convolutions(skipping_features, inner=nn.Linear(4, 4), last=nn.Linear(4, 2))
    net, shape = scrambled(net), Shape(3, 8, 8)
    with torch.inference_mode():
        assert_equal_outputs(import_module(net, shape), image(shape), net(image(shape)))


def test_a_block_in_the_tail_is_one_step() -> None:
    def heads(net: Any, x: Tensor) -> Tensor:
        return torch.cat([nn.functional.adaptive_avg_pool2d(x, 1), nn.functional.max_pool2d(x, 8)], 1)

    imported = import_module(scrambled(with_convolutions(heads)), Shape(3, 8, 8))
    assert len(imported.model.steps) == len(imported.build())
