"""Energy that a machine says it has used: a Jetson's sensors, NVIDIA's library, Intel's and AMD's counters, or none."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

RAPL_FOLDER = Path("/sys/class/powercap")


@dataclass(frozen=True)
class PowerMeter:
    """What a machine tells of its energy.

    Attributes:
        name: of what tells it, empty for nothing.
        joules: used since some moment, NaN where nothing tells.
    """

    name: str
    joules: Callable[[], float]


NO_METER = PowerMeter("", lambda: float("nan"))


def power_meter() -> PowerMeter:
    """The best there is on this machine."""
    for find in (_jetson, _nvml, lambda: _rapl(RAPL_FOLDER)):
        with suppress(Exception):  # a library that is not there, or a sensor that this user may not read
            return find()
    return NO_METER


class _Counters:
    """Counters of microjoules in files, which begin anew when they are full."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._files = [folder / "energy_uj" for folder in folders]
        self._full = [int((folder / "max_energy_range_uj").read_text()) for folder in folders]
        self._last = self._read()
        self._total = 0

    def _read(self) -> list[int]:
        return [int(file.read_text()) for file in self._files]

    def joules(self) -> float:
        now = self._read()
        self._total += sum((n - last) % (full + 1) for n, last, full in zip(now, self._last, self._full, strict=True))
        self._last = now
        return self._total * 1e-6


def _rapl(folder: Path) -> PowerMeter:
    packages = sorted(p for p in folder.glob("*-rapl:*") if p.name.count(":") == 1)
    if not packages:
        raise FileNotFoundError(folder)
    return PowerMeter("RAPL", _Counters(packages).joules)


def _nvml() -> PowerMeter:
    nvml: Any = import_module("pynvml")
    nvml.nvmlInit()
    boards = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]

    def total() -> float:
        return sum(nvml.nvmlDeviceGetTotalEnergyConsumption(board) for board in boards) * 1e-3

    total()  # not every board tells
    if not boards:
        raise LookupError
    return PowerMeter("NVML", total)


class _Sampled:
    """Watts that are read now and then, summed up over the time between."""

    def __init__(self, watts: Callable[[], float]) -> None:
        self._watts, self._total = watts, 0.0
        self._last = time.monotonic(), watts()

    def joules(self) -> float:
        (then_s, before), now_s, now = self._last, time.monotonic(), self._watts()
        self._total += 0.5 * (before + now) * (now_s - then_s)
        self._last = now_s, now
        return self._total


def _jetson() -> PowerMeter:
    board: Any = import_module("jtop").jtop()
    board.start()
    return PowerMeter("jtop", _Sampled(lambda: board.power["tot"]["power"] * 1e-3).joules)
