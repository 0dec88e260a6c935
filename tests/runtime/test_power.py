"""What machines tell of their energy; this one may tell nothing."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from splitgym.runtime import power
from splitgym.runtime.power import power_meter


@pytest.fixture(autouse=True)
def nothing_tells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("jtop", "pynvml"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(power, "RAPL_FOLDER", tmp_path)


def counter(folder: Path, name: str, energy_uj: int, most_uj: int = 10**9) -> Path:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "energy_uj").write_text(f"{energy_uj}\n")
    (folder / name / "max_energy_range_uj").write_text(f"{most_uj}\n")
    return folder / name


def test_without_any_source_it_is_not_a_number() -> None:
    meter = power_meter()
    assert meter.name == ""
    assert math.isnan(meter.joules())


def test_counters_of_all_packages_add_up_and_begin_anew(tmp_path: Path) -> None:
    first = counter(tmp_path, "intel-rapl:0", 5_000_000)
    counter(tmp_path, "intel-rapl:1", 999_000_000)
    counter(tmp_path, "intel-rapl:0:0", 1)  # part of the first
    meter = power_meter()
    assert meter.name == "RAPL"
    (first / "energy_uj").write_text("7000000")
    (tmp_path / "intel-rapl:1" / "energy_uj").write_text("999999")
    assert meter.joules() == pytest.approx(2.0 + 2.0, abs=1e-5)
    assert meter.joules() == pytest.approx(4.0, abs=1e-5)


def test_counters_that_this_user_may_not_read_are_none(tmp_path: Path) -> None:
    (tmp_path / "intel-rapl:0").mkdir()
    assert power_meter().name == ""


def test_nvml_tells_all_boards_together(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {0: 1000, 1: 5000}  # mJ
    nvml = SimpleNamespace(
        nvmlInit=lambda: None, nvmlDeviceGetCount=lambda: 2, nvmlDeviceGetHandleByIndex=lambda i: i,
        nvmlDeviceGetTotalEnergyConsumption=told.__getitem__,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    meter = power_meter()
    before = meter.joules()
    told[1] = 7500
    assert (meter.name, meter.joules() - before) == ("NVML", 2.5)


def test_a_jetsons_watts_are_summed_over_time(monkeypatch: pytest.MonkeyPatch) -> None:
    board = SimpleNamespace(start=lambda: None, power={"tot": {"power": 4000}})
    monkeypatch.setitem(sys.modules, "jtop", SimpleNamespace(jtop=lambda: board))
    now = [100.0]
    monkeypatch.setattr(power.time, "monotonic", lambda: now[0])
    meter = power_meter()
    now[0], board.power["tot"]["power"] = 102.0, 6000
    assert (meter.name, meter.joules()) == ("jtop", 10.0)
