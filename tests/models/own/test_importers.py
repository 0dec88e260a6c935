"""A user's own network gives the same outputs as chained units, whole and split by rows; and every system takes it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from splitgym.envs import FAMILIES
from splitgym.models.layers import Block, Conv, GlobalPool, Linear, Pool, Shape
from splitgym.models.lookup import get_model, runnable
from splitgym.models.own.read import ImportedModel, import_model, import_module, import_onnx
from splitgym.ui.errors import InputError

from ... import slow
from .nets import (
    DenseBlock,
    MobileNetV2,
    ResNet50,
    assert_equal_outputs,
    exported,
    googlenet_like,
    image,
    onnx_file,
    run_reference,
    scrambled,
    vgg16,
)

# Whole networks.

DENSE = [nn.Conv2d(3, 8, 3, 2, 1), DenseBlock(8, 4, 3), nn.BatchNorm2d(20), nn.SiLU(), nn.AvgPool2d(2)]
MOBILE = ((1, 16, 1, 1), (3, 24, 2, 2), (3, 32, 1, 2))
NETS: dict[str, tuple[Callable[[], nn.Module], int]] = {  # small or narrow ones, and their image size
    "vgg16": (lambda: vgg16(32, 2, 10), 32),
    "resnet50": (lambda: ResNet50(4, 10, (2, 1, 1)), 48),
    "googlenet_like": (lambda: googlenet_like(10), 48),
    "mobilenet_v2": (lambda: MobileNetV2(10, MOBILE, 40), 48),
    "densenet_like": (lambda: nn.Sequential(*DENSE, *pooled(), nn.Linear(20, 5), nn.BatchNorm1d(5), nn.Softmax(1)), 32),
}
FULL: dict[str, Callable[[], nn.Module]] = {
    "vgg16": vgg16,
    "resnet50": ResNet50,
    "googlenet_like": googlenet_like,
    "mobilenet_v2": MobileNetV2,
}
UNITS = {"vgg16": 18, "resnet50": 6, "googlenet_like": 9, "mobilenet_v2": 11, "densenet_like": 6}


def pooled() -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten()]


@cache
def net_and_output(name: str) -> tuple[nn.Module, Tensor, Tensor]:
    make, size = NETS[name]
    return _with_output(make(), size)


def _with_output(made: nn.Module, size: int) -> tuple[nn.Module, Tensor, Tensor]:
    net, x = scrambled(made), image(Shape(3, size, size))
    with torch.inference_mode():
        return net, x, net(x)


def counted_macs(net: nn.Module, x: Tensor) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(x)
    return counter.get_total_flops() / 2


def file_params(path: Path) -> int:
    """Numbers in a file that are trained: all weights but the statistics of norms and the bounds of activations."""
    graph = onnx.load(path).graph
    statistics = {name for node in graph.node if node.op_type == "BatchNormalization" for name in node.input[3:]}
    kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    return sum(
        int(np.prod(tensor.dims)) for tensor in graph.initializer
        if tensor.dims and tensor.data_type in kinds and tensor.name not in statistics
    )  # fmt: skip


def assert_same_network(imported: ImportedModel, net: nn.Module, x: Tensor, expected: Tensor, params: int) -> None:
    built = assert_equal_outputs(imported, x, expected)
    assert imported.model.macs == pytest.approx(counted_macs(net, x), rel=0.01)
    assert imported.model.params == sum(p.numel() for p in built.parameters()) == params


def trained(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("name", ["vgg16", *slow("resnet50", "mobilenet_v2", "densenet_like")])
def test_a_module_gives_the_same_network(name: str) -> None:
    net, x, expected = net_and_output(name)
    imported = import_module(net, Shape(*x.shape[1:]))
    assert_same_network(imported, net, x, expected, trained(net))
    assert len(imported.model.units) == UNITS[name]
    assert isinstance(imported.model.tail[-1], Linear) or name == "densenet_like"


@pytest.mark.parametrize("name", NETS)
def test_an_onnx_file_gives_the_same_network(name: str, tmp_path: Path) -> None:
    net, x, expected = net_and_output(name)
    path = exported(net, tmp_path / "net.onnx", Shape(*x.shape[1:]), dynamo=False)
    imported = import_onnx(path)
    assert_same_network(imported, net, x, expected, file_params(path))
    assert len(imported.model.units) == UNITS[name]


@pytest.mark.parametrize("name", ["densenet_like", *slow("googlenet_like")])
def test_a_file_of_the_newer_exporter_gives_the_same_network(name: str, tmp_path: Path) -> None:
    net, x, expected = net_and_output(name)
    path = exported(net, tmp_path / "net.onnx", Shape(*x.shape[1:]), dynamo=True)
    assert (tmp_path / "net.onnx.data").is_file(), "its weights lie beside it"
    imported = import_onnx(path)
    assert_same_network(imported, net, x, expected, file_params(path))
    assert len(imported.model.units) == UNITS[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL)
def test_full_size_networks(name: str, tmp_path: Path) -> None:
    net, x, expected = _with_output(FULL[name](), 224)
    shape = Shape(3, 224, 224)
    by_torch = import_module(net, shape)
    assert_same_network(by_torch, net, x, expected, trained(net))
    for dynamo in (True, False):
        path = exported(net, tmp_path / "net.onnx", shape, dynamo)
        imported = import_onnx(path)
        assert_same_network(imported, net, x, expected, file_params(path))
        assert [u.name for u in imported.model.units] == [u.name for u in by_torch.model.units]
        assert imported.model.unit_macs == by_torch.model.unit_macs


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"external_data": False}, {"opset_version": 22}])
def test_options_of_the_newer_exporter(options: dict[str, Any], tmp_path: Path) -> None:
    for name in ("resnet50", "mobilenet_v2", "densenet_like"):
        net, x, expected = net_and_output(name)
        imported = import_onnx(exported(net, tmp_path / "net.onnx", Shape(*x.shape[1:]), True, **options))
        assert_equal_outputs(imported, x, expected)


@pytest.mark.parametrize("options", [{"do_constant_folding": False}, {"opset_version": 11}, {"training": "keep norms"}])
def test_options_of_the_older_exporter(options: dict[str, Any], tmp_path: Path) -> None:
    if "training" in options:
        options = {"training": torch.onnx.TrainingMode.PRESERVE}
    net, x, expected = net_and_output("resnet50")
    path = exported(net, tmp_path / "net.onnx", Shape(*x.shape[1:]), False, **options)
    assert_equal_outputs(import_onnx(path), x, expected)


def test_free_sizes_are_given_with_the_name(tmp_path: Path) -> None:
    net, _, _ = net_and_output("mobilenet_v2")
    free = {"x": {0: "batch", 2: "height", 3: "width"}}
    path = exported(net, tmp_path / "net.onnx", Shape(3, 48, 48), False, input_names=["x"], dynamic_axes=free)
    x = image(Shape(3, 64, 40))
    with torch.inference_mode():
        assert_equal_outputs(import_model(f"{path}@3x64x40"), x, net(x))


# From branches to blocks.


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
        fused = {"BatchNormalization": ("Conv",), "LeakyRelu": ("Conv", "BatchNormalization", "Add", "Concat", "Sum")}
        return len(readers) == 1 and makers[tensor] in fused.get(readers[0], ())

    return sum(not reached(tensor) and not taken_in(tensor) for tensor in makers)


@settings(max_examples=30)
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


@settings(max_examples=60)
@given(data=st.data())
def test_exactly_what_is_nested_is_accepted(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    net, tensors = Drawn(data.draw), ["x"]
    for _ in range(data.draw(st.integers(2, 8))):
        back = [tensors[-i] for i in data.draw(st.lists(st.integers(1, min(4, len(tensors))), min_size=1, max_size=3))]
        if len(back) == 1:
            tensors.append(net.conv(back[0], 1, 1) if data.draw(st.booleans()) else net.node("Tanh", back[0]))
        else:
            tensors.append(net.node("Sum", *back))
    path = onnx_file(tmp_path_factory.getbasetemp() / "any.onnx", net.nodes, (1, 1, 4, 3), net.weights)
    if is_nested(net.nodes):
        x = image(Shape(1, 4, 3))
        assert_equal_outputs(import_onnx(path), x, run_reference(path, x))
    else:
        with pytest.raises(InputError, match=r"node Sum\d+ share layers in a way that no nesting of blocks has"):
            import_onnx(path)


class Function(nn.Module):
    """A function of an image, with convolutions a to d of its own, 4 x 4 channels."""

    def __init__(self, function: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.function, self.stem = function, nn.Conv2d(3, 4, 1)
        self.a, self.b, self.c, self.d = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, self.stem(x))


def crossing(net: Any, x: Tensor) -> Tensor:
    a = net.a(x)
    b = net.b(a) + x  # a skip from x ...
    return net.c(b) + a  # ... that another one from within it leaves


def between(net: Any, x: Tensor) -> Tensor:
    a = net.a(x)
    return torch.cat([net.b(a), net.c(x), net.d(a)], 1)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (crossing, "the branches that meet at node add_1 share layers in a way that no nesting of blocks has"),
        (between, "node cat puts channels of branches that share layers between others"),
    ],
)
def test_what_cannot_be_nested_is_refused_by_node(function: Callable[..., Tensor], words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        import_module(Function(function), Shape(3, 8, 8), source="nets:net")
    assert str(error.value).startswith("nets:net: ")


def in_place(net: Any, x: Tensor) -> Tensor:
    y = net.a(x)
    z = torch.relu_(y)
    return net.b(z) + y  # torch adds the rectified y


def test_what_works_in_place_changes_every_reader(tmp_path: Path) -> None:
    net, shape = scrambled(Function(in_place)), Shape(3, 8, 8)
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
    assert "from node 7 on, which reads every row" in imported.notes[1]


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

    net, shape = scrambled(Function(heads)), Shape(3, 8, 8)
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
    net = Function(skipping_features)
    net.inner, net.last = nn.Linear(4, 4), nn.Linear(4, 2)
    net, shape = scrambled(net), Shape(3, 8, 8)
    with torch.inference_mode():
        assert_equal_outputs(import_module(net, shape), image(shape), net(image(shape)))


def test_a_block_in_the_tail_is_one_step() -> None:
    def heads(net: Any, x: Tensor) -> Tensor:
        return torch.cat([nn.functional.adaptive_avg_pool2d(x, 1), nn.functional.max_pool2d(x, 8)], 1)

    imported = import_module(scrambled(Function(heads)), Shape(3, 8, 8))
    assert len(imported.model.steps) == len(imported.build())


# A network's name, wherever a zoo model's may stand.

FACTORY = """
from torch import nn

def tuple_size():
    return net(), (3, 16, 12)

def text_size():
    return net(), "3x16x12"

def net():
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)]
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), *head)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, as a user has it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


@pytest.mark.parametrize("name", ["own_nets:tuple_size", "own_nets:text_size", "own_nets:net@3x16x12"])
def test_a_factory_names_a_network(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "own_nets", raising=False)
    (folder / "own_nets.py").write_text(FACTORY)
    model = get_model(name)
    assert model is get_model(name)
    assert (model.input, len(model.units), len(model.tail)) == (Shape(3, 16, 12), 1, 2)
    assert model.name == name.partition(":")[2].partition("@")[0]


def test_a_factorys_network_runs_with_its_own_weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "own_nets", raising=False)
    (folder / "own_nets.py").write_text(FACTORY)
    torch.manual_seed(0)
    built = runnable("own_nets:tuple_size")
    torch.manual_seed(0)
    net, x = sys.modules["own_nets"].net().eval(), image(Shape(3, 16, 12))
    with torch.inference_mode():
        torch.testing.assert_close(built(x)[0], net(x))


def test_a_zoo_model_is_runnable_as_it_is() -> None:
    assert runnable("lenet5").model is get_model("lenet5")


def test_a_model_takes_a_tidy_name_from_its_file(folder: Path) -> None:
    net, x, _ = net_and_output("vgg16")
    path = exported(net, folder / "my net (1).onnx", Shape(*x.shape[1:]), dynamo=False)
    assert get_model(str(path)).name == "my_net_1"


def test_two_processes_read_equal_models_without_torch(folder: Path) -> None:
    net, x, _ = net_and_output("resnet50")
    exported(net, folder / "shared.onnx", Shape(*x.shape[1:]), dynamo=False)
    model = get_model("shared.onnx")
    assert model is get_model("shared.onnx")
    code = (
        "import sys; from splitgym.models.lookup import get_model; print(get_model('shared.onnx').fingerprint);"
        "assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == model.fingerprint


# The systems.

SETTINGS: Mapping[str, str] = {  # what a scenario of each must say besides its model
    "distredge": "devices: [nano, tx2]\nmbps: [50, 50]",
    "l2s": "edge: tx2\nmbps: 60\nrounds: 20",
    "edgemove": "cycle: 100\non_device_s: 5",
    "hiertrain": "edge_cloud_mbps: 3.5",
    "deprune": "layer: 1\nshares: [0.5, 1.0]\nepochs: 1\nimages: 32\nbatch: 16",
}


def scenario_file(folder: Path, family: str) -> Path:
    """A scenario beside the ONNX file that it names."""
    layers = [nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 1)]
    net = nn.Sequential(*layers, nn.ReLU(), *pooled(), nn.Linear(16, 10))
    (folder / "nets").mkdir(parents=True)
    exported(scrambled(net), folder / "nets" / "own.onnx", Shape(3, 16, 16), dynamo=False)
    path = folder / f"{family}.yaml"
    path.write_text(f"model: nets/own.onnx\n{SETTINGS[family]}\n")
    return path


@pytest.mark.parametrize("family", FAMILIES)
def test_every_system_takes_a_users_own_model(family: str, folder: Path) -> None:
    path = scenario_file(folder / "elsewhere", family)
    options: dict[str, Any] = {"backend": "train"} if family == "deprune" else {}
    env = gym.make(FAMILIES[family].env_id, scenario=str(path), **options).unwrapped
    env.action_space.seed(0)
    observation, info = env.reset(seed=0)
    ended = False
    while not ended:
        assert env.observation_space.contains(observation)
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert np.isfinite(float(reward))
        ended = terminated or truncated
    known = {name: value for name, value in info["metrics"].items() if not name.startswith("regret")}
    assert FAMILIES[family].headline in info["metrics"]
    assert all(map(np.isfinite, known.values())), known
    env.close()


def test_nothing_was_recorded_for_a_users_own_model(folder: Path) -> None:
    path = scenario_file(folder, "deprune")
    with pytest.raises(InputError, match='nothing was recorded for it; use backend="train"'):
        gym.make(FAMILIES["deprune"].env_id, scenario=str(path))
