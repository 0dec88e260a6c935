"""The machine that measures: its name in tables, the CPUs it may use, its clock, and how it keeps freed memory."""

from __future__ import annotations

import ctypes
import os
import platform
import re
from pathlib import Path

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_CPU = Path("/sys/devices/system/cpu/cpu0/cpufreq")


def board_name() -> str:
    """What the machine is: the board where the firmware names it, else the CPU's model. Never the host's name."""
    board = _first_line(Path("/proc/device-tree/model")).strip("\0 ")
    return board or _cpu_field("model name") or platform.machine() or "cpu"


def slug(name: str) -> str:
    """A device's name as tables and files have it: lower case, digits and hyphens, no trademarks or clock rates."""
    plain = re.sub(r"\((r|tm|c)\)|@.*|\bcpu\b|\bprocessor\b|\b\d+-core\b", " ", name.lower())
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "device"


def usable_cpus() -> int:
    """CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def clock_note() -> str:
    """Clock and frequency governor of the first CPU, as far as they can be read; empty where they cannot."""
    khz = _first_line(_CPU / "scaling_cur_freq")
    mhz = float(khz) / 1e3 if khz.isdigit() else _number(_cpu_field("cpu MHz"))
    governor = _first_line(_CPU / "scaling_governor")
    parts = [f"clock {mhz:.0f} MHz" if mhz else "", f"governor {governor}" if governor else ""]
    return ", ".join(part for part in parts if part)


def keep_freed_memory() -> str:
    """Make glibc's malloc keep what is freed, for the rest of this process; returns how malloc is set, in words.

    By default it hands large blocks back to the system, and every large feature map is paged in anew: that may take
    longer than computing it.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        if libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30) and libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1):
            return "malloc keeps freed memory"
    return "malloc as it is"


def _cpu_field(name: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name), "")


def _first_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return lines[0].strip() if lines else ""


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
