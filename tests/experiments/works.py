"""Pieces of work for tests of executors; module-level, so that other processes find them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from splitgym.ui.errors import InputError


def square(number: int, folder: str, on_share: Any) -> int:
    """Writes down every time it begins."""
    _begun(folder, f"square {number}")
    on_share(0.5)
    return number**2


def waits(folder: str, other: str, on_share: Any) -> str:
    """Ends once another piece has begun twice."""
    _begun(folder, "waits")
    while _count(folder, other) < 2:
        time.sleep(0.01)
    return "waited"


def dies(times: int, folder: str, on_share: Any) -> str:
    """Is killed in its middle, so many times."""
    _begun(folder, "dies")
    on_share(0.5)
    if _count(folder, "dies") <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return "lived"


def refuses(folder: str, on_share: Any) -> None:
    _begun(folder, "refuses")
    raise InputError("field is 3, allowed: 1, 2")


def begun(folder: str | Path) -> list[str]:
    """What has begun, in order."""
    file = Path(folder) / "begun"
    return file.read_text().splitlines() if file.is_file() else []


def _count(folder: str, name: str) -> int:
    return begun(folder).count(name)


def _begun(folder: str, name: str) -> None:
    with (Path(folder) / "begun").open("a") as file:
        file.write(f"{name}\n")


def sums(settings: Mapping[str, Any], data: Any, on_share: Any) -> dict[str, Any]:
    """A training of a toy study: what follows from settings and images alone."""
    on_share(0.5)
    return {"sum": int(data.train_labels[: settings["seed"] + 1].sum()), "seed": settings["seed"]}


def where(folder: str, on_share: Any) -> int:
    """The network namespace that it is done in."""
    return _space()


def stays(folder: str, on_share: Any) -> int:
    """Ends at its second try only, with the namespace that it is done in; tells that of every try."""
    _begun(folder, f"{_space()}")
    while len(begun(folder)) == 1:
        time.sleep(0.01)
    return _space()


def _space() -> int:
    return Path("/proc/self/ns/net").stat().st_ino
