"""Tracking: off without wandb, offline runs that its own tools read back, and who decides the mode."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from splitgym.experiments import eval_command, train_session
from splitgym.experiments.tracking import Tracker, tracking_mode
from splitgym.ui.canvas import new_figure, save_figure
from splitgym.ui.errors import InputError
from splitgym.ui.programs import needs

from ..command_line import rows, tracked, values
from .brief import BRIEF, EVALUATE, TRAIN


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
    with pytest.raises(InputError, match=re.escape(f"--track online {needs('wandb')}")):
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


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard's own reader finds below a folder: name -> (step, value)."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return {name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_tensorboard_reads_back_what_it_was_told(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    picture = tmp_path / "timeline.png"
    save_figure(new_figure(2, 1), picture)
    tracker = Tracker("tensorboard", tmp_path, "a run", "0badcafe", {"agent": "climber"})
    for episodes in (10, 20):
        tracker.log({"episodes": episodes, "best_cost_s": 1.0 / episodes})
    tracker.finish(["agent", "cost_s"], [["climber", 1.5]], {"timeline": picture}, {"cost_s": 1.5})
    tracker.finish()
    found = scalars(tmp_path)
    assert found["best_cost_s"] == [(10, pytest.approx(0.1)), (20, pytest.approx(0.05))]
    assert found["final/cost_s"] == [(0, 1.5)]


@pytest.mark.parametrize("mode", ["disabled", "online"])
def test_what_wandb_is_told_says_nothing_of_tensorboard(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    pytest.importorskip("tensorboard")
    monkeypatch.setenv("WANDB_MODE", mode)
    assert tracking_mode("tensorboard") == ("tensorboard", "")


def test_tensorboard_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=re.escape(f"--track tensorboard {needs('tensorboard')}")):
        tracking_mode("tensorboard")


@pytest.mark.usefixtures("scratch", "toy", "undrawn")
def test_trainings_and_evaluations_tell_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    monkeypatch.setattr(train_session, "save_figure", lambda _, path: save_figure(new_figure(1, 1), path))
    monkeypatch.setattr(eval_command, "save_figure", lambda _, path: save_figure(new_figure(1, 1), path))
    TRAIN("--env", "toy", "--track", "tensorboard", "--episodes", "10", "--out", "run")
    assert [step for step, _ in scalars(Path("run"))["best_cost_s"]] == list(range(1, 11))
    words = ("--agents", "middle,edge", "--track", "tensorboard", "--out", "out")
    EVALUATE("--env", "toy", *words)
    found = scalars(Path("out"))
    for (scenario, agent, _), cost in values("out", "cost_s").items():
        assert found[f"final/{scenario}/{agent}/cost_s"] == [(0, pytest.approx(cost))]


@pytest.mark.usefixtures("scratch", "undrawn", "alone")
def test_networks_tell_their_losses() -> None:
    TRAIN(*BRIEF["deprune"].learn("ppo").words, "--steps", "64", "--track", "off", "--out", "run")
    last = rows("run/curve.csv")[-1]
    assert {"train/loss", "train/entropy_loss", "train/value_loss"} <= set(last)
    assert "train/learning_rate" not in last
