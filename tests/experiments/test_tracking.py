"""Tracking: off without wandb, offline runs that its own tools read back, and who decides the mode."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from splitgym.experiments.tracking import Tracker, tracking_mode
from splitgym.ui.canvas import new_figure, save_figure
from splitgym.ui.errors import InputError

from ..command_line import tracked


@pytest.mark.parametrize(
    ("environment", "asked", "mode"),
    [
        ("", None, "offline"),
        ("", "off", "off"),
        ("", "online", "online"),
        ("disabled", "offline", "off"),
        ("offline", "off", "offline"),
        ("dryrun", None, "offline"),
        ("online", "off", "online"),
    ],
)
def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch, environment: str, asked: str | None, mode: str) -> None:
    monkeypatch.setenv("WANDB_MODE", environment)
    found, told = tracking_mode(asked)
    assert found == mode
    assert bool(told) == (asked is not None and asked != mode)
    assert "\n" not in told


def test_an_unknown_mode_names_the_allowed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    with pytest.raises(InputError, match=r"WANDB_MODE is 'sometimes', allowed: .*offline"):
        tracking_mode(None)


def test_without_wandb_tracking_is_off_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "wandb" else find(name))
    assert tracking_mode(None) == ("off", "tracking is off: wandb is not installed")
    with pytest.raises(InputError, match="pip install wandb"):
        tracking_mode("online")


def test_off_imports_nothing(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from splitgym.experiments.tracking import Tracker
tracker = Tracker("off", Path("."), "name", "id", {})
tracker.log({"episodes": 1})
tracker.finish(["a"], [[1]], {}, {})
print("wandb" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_offline_run_is_read_back_by_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    picture = tmp_path / "timeline.png"
    save_figure(new_figure(2, 1), picture)
    tracker = Tracker("offline", tmp_path, "a run", "0badcafe", {"agent": "climber", "hyperparams": {"spread": 0.3}})
    for episodes in (10, 20, 30):
        tracker.log({"episodes": episodes, "best_cost_s": 1.0 / episodes})
    tracker.finish(["agent", "cost_s"], [["climber", 1.5], ["exact", None]], {"timeline": picture}, {"cost_s": 1.5})
    tracker.finish()
    records = tracked(tmp_path)
    points = [r["history"]["item"] for r in records if r["type"] == "history" and "best_cost_s" in r["history"]["item"]]
    assert [(p["episodes"], p["best_cost_s"]) for p in points] == [(10, 0.1), (20, 0.05), (30, pytest.approx(1 / 30))]
    config = next(r["run"]["config"]["update"] for r in records if r["type"] == "run")
    assert config["agent"] == "climber"
    assert config["hyperparams"] == {"spread": 0.3}
    final = [r["history"]["item"] for r in records if r["type"] == "history"][-1]
    assert final["timeline._type"] == "image-file"
    assert (final["results._type"], final["results.nrows"]) == ("table-file", 2)
    assert records[-1]["exit"]["exit_code"] == 0
