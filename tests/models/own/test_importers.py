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
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from splitgym.envs import FAMILIES
from splitgym.models.layers import Linear, Shape
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
    assert model == get_model(name)
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
    with pytest.raises(
        InputError, match="no training of own was recorded; train it for real, with --env-kwargs backend=train"
    ):
        gym.make(FAMILIES["deprune"].env_id, scenario=str(path))
