"""What a machine says of itself when it joins."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

MODEL_FILE = Path("/proc/device-tree/model")  # a board's name, where it has one
BOOT_FILE = Path("/proc/sys/kernel/random/boot_id")


def software_version() -> str:
    """Of this package."""
    try:
        return version("splitgym")
    except PackageNotFoundError:
        return "unknown"


def machine_words() -> str:
    """The board or processor that this is, in a few words."""
    try:
        board = MODEL_FILE.read_text(encoding="utf-8", errors="replace").strip("\0 \n")
    except OSError:
        board = ""
    return ", ".join(
        filter(None, (board, platform.machine(), platform.system(), f"Python {platform.python_version()}"))
    )


def boot_id() -> str:
    """The same for everything that runs on this machine until it starts anew, empty where it cannot be told."""
    try:
        return BOOT_FILE.read_text(encoding="ascii").strip()[:64]
    except (OSError, UnicodeDecodeError):
        return ""
