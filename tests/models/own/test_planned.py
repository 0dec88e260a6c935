"""Networks that are read are planned: by the joint search of DistrEdge, and step by step in L2S."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn

from splitgym.agents.distredge.joint import JointSearch
from splitgym.envs.distredge.scenarios import get_scenario
from splitgym.envs.distredge.system import System
from splitgym.models.layers import Shape
from splitgym.models.own.read import import_onnx

from ... import refused, slow
from . import detectors, families, mixed
from .nets import assert_all_outputs, exported, image, run_onnxruntime, scrambled

PLANNED: dict[str, tuple[Callable[[], nn.Module], Shape]] = {
    "mobilenet_v3": (lambda: families.mobilenet_v3(2, 10), Shape(3, 64, 64)),
    "unet": (lambda: families.UNet(4, 3), Shape(3, 48, 48)),
    "yolox": (lambda: detectors.Yolox(4, 1, 3), Shape(3, 64, 64)),
    "mtcnn": (lambda: families.Mtcnn(4), Shape(3, 48, 48)),
    "two tasks": (mixed.TwoTasks, Shape(3, 24, 32)),
    "weight norm": (mixed.weight_normed, Shape(3, 24, 24)),
    "recurrent": (mixed.Crnn, Shape(3, 32, 48)),
    "transformer": (mixed.VisionTransformer, Shape(3, 32, 32)),
    "deeplab": (lambda: families.DeepLab(8, 5), Shape(3, 64, 64)),
    "face_detector": (lambda: detectors.FaceDetector(8), Shape(3, 64, 64)),
    "convnext": (lambda: families.convnext(8, (1, 2), 10), Shape(3, 48, 48)),
}
CHEAP = ["unet", "two tasks", "weight norm", "recurrent", "transformer"]


def written(name: str, folder: Path) -> Path:
    make, shape = PLANNED[name]
    return exported(scrambled(make()), folder / "net.onnx", shape, dynamo=False, opset_version=17)


@pytest.mark.parametrize("name", [*CHEAP, *slow(*(name for name in PLANNED if name not in CHEAP))])
def test_a_network_is_planned(name: str, tmp_path: Path) -> None:
    path = str(written(name, tmp_path))
    system = System(get_scenario("DB-50", model=path))
    plan, latency_s = JointSearch(system, population=32, parents=8, patience=2, rounds=1).search()
    assert 0 < latency_s <= system.reference_s
    assert system.replay(plan)[0] == pytest.approx(latency_s)
    env: Any = gym.make("splitgym/L2S-v0", scenario="resnet34-gpu-60", model=path)
    env.reset(seed=0)
    _, reward, *_ = env.step(env.action_space.n // 2)
    assert np.isfinite(reward)


@pytest.mark.parametrize("name", ["two tasks", "weight norm", "recurrent", "transformer"])
def test_what_is_planned_runs_as_the_file_does(name: str, tmp_path: Path) -> None:
    path, x = written(name, tmp_path), image(PLANNED[name][1]) / 3
    imported = import_onnx(path)
    assert_all_outputs(imported, x, run_onnxruntime(path, x), tolerance=3e-5)
    batch = torch.cat([x, -x])
    net = imported.build()
    with torch.inference_mode():
        torch.testing.assert_close(net(batch)[0][:1], net(x)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "gives"), [("unet", "2x48x48 values"), ("two tasks", "values beside side outputs")])
def test_what_is_no_classifier_is_not_trained_as_one(name: str, gives: str, tmp_path: Path) -> None:
    with refused(gives, "allowed: a classifier, one vector with a value for every class"):
        gym.make("splitgym/Deprune-v0", model=str(written(name, tmp_path)), backend="train", disable_env_checker=True)
