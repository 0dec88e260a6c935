"""How a user's own network is named: an ONNX file or ``module:factory``, its input's size and outputs behind it.

``net.onnx@3x224x224#scores,boxes`` is the file, the size of its image where the file leaves it open, and those of its
outputs that are wanted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
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
    """The name without the size of its input and without outputs."""
    return re.sub(r"(@\d+x\d+x\d+)?(#[^#]+)?$", "", name, count=1)


def parts_of(name: str) -> tuple[str, Shape | None, tuple[str, ...]]:
    """(file or factory, size of the input, outputs) that a name says; None and none where it says nothing.

    Raises:
        InputError: a size that is none.
    """
    place = without_size(name)
    size, _, outputs = name[len(place) :].removeprefix("@").partition("#")
    return place, shape_of(size, name) if size else None, tuple(filter(None, outputs.split(",")))


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
    place, given, _ = parts_of(name)
    if given is not None:
        raise InputError(f"model {name} names a size already, {size} is another")
    return f"{place}@{size}{name[len(place) :]}"


def with_outputs(name: str, outputs: Sequence[str]) -> str:
    """The name of a network together with its outputs that are wanted.

    Raises:
        InputError: outputs of a zoo model, outputs given twice, or a name that cannot stand in a network's.
    """
    if not outputs:
        return name
    if not is_own(name):
        raise InputError(f"model {name} has outputs of its own; --output is for ONNX files and module:factory")
    if "#" in name:
        raise InputError(f"model {name} names outputs already, {', '.join(outputs)} are others")
    for output in outputs:
        if not output or set(output) & set(",#"):
            raise InputError(f"output {output!r}: allowed are names without comma and #")
    return f"{name}#{','.join(outputs)}"


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
