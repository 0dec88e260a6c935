"""A network's name stands for what its file or factory holds now, within one process."""

import os
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch
from torch import nn

import splitgym.envs  # noqa: F401
from splitgym.models.lookup import get_model
from splitgym.models.own.read import outline

FACTORY = """
from torch import nn
{more}
def build():
    return nn.Sequential(*[nn.Conv2d(3, 3, 3, padding=1) for _ in range({units})]), (3, 8, 8)
"""


def write_onnx(path: Path, units: int) -> None:
    net = nn.Sequential(*[nn.Conv2d(3, 3, 3, padding=1) for _ in range(units)]).eval()
    torch.onnx.export(net, (torch.zeros(1, 3, 8, 8),), str(path), dynamo=False)


def units_of(name: str) -> int:
    env: Any = gym.make("splitgym/DistrEdge-v0", model=name, disable_env_checker=True)
    return len(env.unwrapped.dynamics.system.model.units)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_file_that_is_overwritten_is_read_again() -> None:
    write_onnx(Path("net.onnx"), 2)
    assert units_of("net.onnx") == 2
    assert outline("net.onnx") is outline("net.onnx")
    write_onnx(Path("net.onnx"), 3)
    assert units_of("net.onnx") == 3
    write_onnx(Path("other/net.onnx"), 1)
    os.chdir("other")
    assert units_of("net.onnx") == 1


def test_a_factory_that_is_edited_is_called_as_it_is_now() -> None:
    Path("made_here.py").write_text(FACTORY.format(units=2, more=""))
    assert units_of("made_here:build") == 2
    Path("made_here.py").write_text(FACTORY.format(units=3, more=""))  # of the same size, within the same second
    assert units_of("made_here:build") == 3
    Path("other/made_here.py").write_text(FACTORY.format(units=4, more=""))
    os.chdir("other")
    assert units_of("made_here:build") == 4
    os.chdir("..")
    assert units_of("made_here:build") == 3


def test_what_a_factory_imports_is_read_again_too() -> None:
    Path("sizes_here.py").write_text("UNITS = 2\n")
    Path("uses_sizes.py").write_text(FACTORY.format(units="UNITS", more="from sizes_here import UNITS\n"))
    assert len(get_model("uses_sizes:build").units) == 2
    Path("sizes_here.py").write_text("UNITS = 3\n")
    assert len(get_model("uses_sizes:build").units) == 3
