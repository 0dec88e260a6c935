"""How a user's own network is named: an ONNX file or ``module:factory``, with the size of its input behind it."""

from __future__ import annotations

import re
from pathlib import Path

from ...ui.errors import InputError
from ..layers import Shape

LARGEST = 65536  # channels, rows or columns of an input; more is a slip
_SIZE = re.compile(r"(?P<channels>\d+)x(?P<height>\d+)x(?P<width>\d+)")


def is_own(name: str) -> bool:
    """Whether a network is a user's own, named by an ONNX file or a factory."""
    return without_size(name).endswith(".onnx") or ":" in name


def model_title(name: str) -> str:
    """A network's name for people: of a user's own file only the last part of its path."""
    return name.replace("\\", "/").rpartition("/")[2]


def without_size(name: str) -> str:
    """The name without the size of its input."""
    return re.sub(r"@\d+x\d+x\d+$", "", name)


def with_input(name: str, size: str | None) -> str:
    """The name of a network together with the size of its input.

    Args:
        name: of a network.
        size: channels, height and width such as ``3x224x224``; None leaves the name as it is.

    Raises:
        InputError: no such size, a size given twice, or a zoo model, which has its own.
    """
    if size is None:
        return name
    shape_of(size, "input size")
    if not is_own(name):
        raise InputError(f"model {name} has an input of its own; a size is for ONNX files and module:factory")
    if without_size(name) != name:
        raise InputError(f"model {name} names a size already, {size} is another")
    return f"{name}@{size}"


def from_folder(name: str, folder: Path) -> str:
    """The name of an ONNX file with its path taken from a folder; other names as they are."""
    return str(folder / name) if without_size(name).endswith(".onnx") else name


def shape_of(text: str, where: str) -> Shape:
    """The input size that a text says.

    Raises:
        InputError: it says none, beginning with ``where``.
    """
    match = _SIZE.fullmatch(text)
    if match is None or not all(0 < int(size) <= LARGEST for size in match.groups()):
        raise InputError(
            f"{where}: {text!r} is no size, allowed: channels, height and width such as 3x224x224, each up to {LARGEST}"
        )
    return Shape(*map(int, match.groups()))
