"""What is not a bug: bad input from users, and packages that are not installed."""

from __future__ import annotations

_EXTRAS = {
    "train": ("torch", "stable_baselines3", "sklearn", "wandb", "onnx"),
    "live": ("zmq", "msgspec", "safetensors"),
    "tensorrt": ("tensorrt", "pycuda"),
}


class InputError(ValueError):
    """Bad input: the message is one line that names the file, the field and what is allowed.

    The command-line scripts print it and exit with code 2.
    """


def needs(missing: ModuleNotFoundError) -> str:
    """What to install, for a package that could not be imported."""
    package = str(missing.name).partition(".")[0]
    for extra, packages in _EXTRAS.items():
        if package in packages:
            return f'needs {package}: pip install "splitgym[{extra}]"'
    return f"needs the package {package}, which is not installed"
