"""What the importers of foreign profiles share: bounded reading, checked numbers, names of kernels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

from ...models.model import Model
from ...ui.errors import InputError

# The kinds of file that are known, for whoever brings another one.
KNOWN = (
    "JSON of trtexec --exportProfile, a graph of PipeDream's profiler, or CSV whose first line names the columns "
    "(kernel,rows,ms, step,batch,forward_ms,backward_ms,update_ms, or layer,cumulative_ms)"
)
MOST_BYTES = 64 * 2**20  # far above any profile, and small enough to parse

File = str | os.PathLike[str]


@dataclass(frozen=True)
class Heights:
    """Seconds of kernels at some numbers of output rows, as one file gives them.

    Attributes:
        points: for every kernel of ``Model.kernels``, rows -> seconds; rows are at least 1.
        facts: what the file says about itself (device, precision, software, date), where it does.
        note: one line about how the numbers were read.
    """

    points: Sequence[dict[int, float]]
    note: str
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Batches:
    """Seconds of the steps of a model at some batch sizes, as one file gives them.

    Attributes:
        timed: batch size -> (forward, backward), each with the seconds of every step of ``Model.steps``.
        update_s: seconds of every step's weight update, None where the file does not say.
        facts: what the file says about itself (device, precision, software, date), where it does.
        note: one line about how the numbers were read.
    """

    timed: dict[int, tuple[list[float], list[float]]]
    update_s: list[float] | None
    note: str
    facts: dict[str, str] = field(default_factory=dict)


def read_text(path: File) -> str:
    """The whole of a text file, line ends as they are.

    Raises:
        InputError: the file cannot be read, is empty, is not UTF-8 or holds more than ``MOST_BYTES``.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if len(data) > MOST_BYTES:
        raise InputError(f"{path}: has more than {MOST_BYTES // 2**20} MB, the most that is allowed for a profile")
    try:
        text = data.decode("utf-8-sig")  # spreadsheets write a byte order mark
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not a text file in UTF-8") from None
    if not text.strip():
        raise InputError(f"{path}: is empty; allowed: a profile of trtexec or PipeDream, or CSV")
    return text


def number(where: str, name: str, value: object) -> float:
    """A finite number, 0 or more, from text or JSON.

    Raises:
        InputError: it is none; one line with ``where`` and ``name``.
    """
    try:
        found = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else -1.0
    except (ValueError, OverflowError):
        found = -1.0
    if not (isfinite(found) and found >= 0):
        shown = repr(value) if len(repr(value)) <= 40 else f"{repr(value)[:40]}..."
        raise InputError(f"{where}: {name} is {shown}, allowed: a finite number, 0 or more")
    return found


def kernel_indices(model: Model) -> dict[str, int]:
    """Index into ``Model.kernels`` by kernel name, and by the name of a step that is a single kernel (fc1)."""
    found = {kernel.name: k for k, kernel in enumerate(model.kernels)}
    for step in model.steps:
        if len(step.kernels) == 1:
            found.setdefault(step.name, step.kernels[0])
    return found
