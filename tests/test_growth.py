"""The benchmark of growth: exponents of known laws, and where a series ends."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from . import ROOT, script


@pytest.fixture
def growth(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The benchmark; benchmarks import each other by their names alone."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return script("benchmarks/growth.py")


def answers(monkeypatch: pytest.MonkeyPatch, growth: Any, seconds: Callable[[int], float]) -> None:
    """Points as if their processes had measured so many seconds, and were killed where that is too much."""

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        took_s = seconds(int(command[-1]))
        killed = -9 if took_s > growth.KILLED_S else 0
        return subprocess.CompletedProcess(command, killed, json.dumps({"plan": took_s, "memory": 60.0}), "")

    monkeypatch.setattr(growth.subprocess, "run", run)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.5])
def test_the_exponent_is_that_of_the_large_end(monkeypatch: pytest.MonkeyPatch, growth: Any, power: float) -> None:
    answers(monkeypatch, growth, lambda steps: 1e-6 * max(steps, 50) ** power)
    plan, memory = growth.measured("steps", "exact")
    assert plan.sizes == list(growth.SIZES["steps"])
    assert plan.exponent == pytest.approx(power)
    assert memory.exponent == pytest.approx(0.0)


@pytest.mark.parametrize(("second_s", "sizes"), [(0.5, [10, 20, 50]), (5.0, [10])])
def test_a_series_ends_behind_a_point_that_takes_too_long(
    monkeypatch: pytest.MonkeyPatch, growth: Any, second_s: float, sizes: list[int]
) -> None:
    """Behind 25 s at 50 steps, and in front of 100 s at 20, which are never told."""
    answers(monkeypatch, growth, lambda steps: second_s * steps if steps > 10 else 1.0)
    plan, memory = growth.measured("steps", "exact")
    assert plan.sizes == memory.sizes == sizes
    assert any(plan.ends in figure.name for figure in plan.figures() if plan.ends)


def test_what_was_recorded_is_drawn(growth: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = [growth.Series("units", "aofl", quantity, [10, 20], [1.0, 3.0]) for quantity in ("plan", "memory")]
    kept, record = tmp_path / "benchmarks.json", script("benchmarks/record.py").record
    record(kept, "growth-units", "of units", [figure for series in found for figure in series.figures()])
    assert growth.recorded("units", kept) == found
    assert growth.recorded("devices", kept) == []
    monkeypatch.setattr(growth, "recorded", lambda axis: found if axis == "units" else [])
    monkeypatch.setattr(growth.sys, "argv", ["growth.py", "--recorded", "--pictures", str(tmp_path / "drawn")])
    growth.main()
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == ["growth-units.png"]
    assert (tmp_path / "drawn/growth-units.png").read_bytes().startswith(b"\x89PNG")
