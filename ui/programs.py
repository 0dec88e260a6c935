"""What can be copied into a shell: programs of this Python environment, and how a package comes into it."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

_EXTRAS = {
    "train": ("torch", "stable_baselines3", "sklearn", "wandb", "onnx"),
    "live": ("zmq", "msgspec", "safetensors"),
    "tensorrt": ("tensorrt", "pycuda"),
    "tune": ("optuna",),
    "ray": ("ray",),
    "tensorboard": ("tensorboard",),
    "dashboard": ("wandb_workspaces",),
}


def program(name: str) -> str:
    """A program of this Python environment as a shell finds it here: by its name, or by its path."""
    beside = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    if not beside.exists() or (found is not None and Path(found).parent.resolve() == beside.parent.resolve()):
        return name
    return shlex.quote(str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside))


def install(*packages: str) -> str:
    """The command that installs packages, extras such as ``splitgym[tune]`` among them."""
    return " ".join((program("pip"), "install", *(f'"{name}"' if "[" in name else name for name in packages)))


def needs(missing: ModuleNotFoundError | str) -> str:
    """What to install, for a package that lacks or could not be imported."""
    package = str(missing if isinstance(missing, str) else missing.name).partition(".")[0]
    for extra, packages in _EXTRAS.items():
        if package in packages:
            return f"needs {package}: {install(f'splitgym[{extra}]')}"
    return f"needs the package {package}, which is not installed"
