"""splitgym-train and splitgym-eval on Deprune: its schedules of budgets, plan files and bad input."""

from __future__ import annotations

from pathlib import Path

import pytest

from splitgym.experiments.deprune import episode_figures
from splitgym.ui.canvas import new_figure

from ...command_line import PNG, by_agent, files, metrics, read, rows
from ..brief import BRIEF

pytestmark = pytest.mark.usefixtures("scratch")

train, evaluate = BRIEF["deprune"].train, BRIEF["deprune"].evaluate
SHORT = ("--env-kwargs", "epochs=4")


def test_the_papers_schedule_leaves_everything_in_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episode_figures, "recordings_figure", lambda _: new_figure(1.0, 1.0))  # is a test of its own
    called = train("--seed", "3", "--out", "run")
    pictures = {"training.png", "rewards.png", "recordings.png"}
    assert files("run") == {"config.json", "plan.json", "result.json", "curve.csv", *pictures}
    assert all(Path(f"run/{name}").read_bytes().startswith(PNG) for name in pictures)
    settings, plan, curve = read("run/config.json")["settings"], read("run/plan.json"), rows("run/curve.csv")
    assert (settings["epochs"], settings["layer"]) == (18, 5)
    assert (plan["kind"], plan["cut"], plan["budgets"]) == ("compressed", 5, [2] * 15 + [64] * 3)
    assert plan["notes"]["seed"] == 3
    assert metrics("run", "deprune")["bytes_share"] == pytest.approx(0.1927, abs=5e-5)
    assert [int(row["round"]) for row in curve] == list(range(1, 19))
    assert [float(row["budget"]) for row in curve] == plan["budgets"]
    assert "both without noise" in called.out
    assert "held-out error" in called.out


@pytest.mark.usefixtures("undrawn")
def test_every_schedule_has_a_budget_for_every_epoch_and_none_is_better_than_the_best() -> None:
    evaluate("--agents", "all", *SHORT, "--out", "out")
    assert all(len(row["plan"]["budgets"]) == 4 for row in read("out/eval.json")["results"])
    regrets = {agent: found["regret"] for agent, found in by_agent("out").items()}
    assert regrets["best-schedule"] == pytest.approx(0.0, abs=1e-9)
    assert all(regret >= -1e-9 for agent, regret in regrets.items() if agent != "without-module")


@pytest.mark.usefixtures("undrawn")
def test_a_short_training_is_pruned_in_budgets_that_there_are() -> None:
    train("--agent", "prune", "--env-kwargs", "epochs=3", "--out", "run")
    assert set(read("run/plan.json")["budgets"]) <= {64, 16, 2}


@pytest.mark.slow
def test_groups_are_drawn_like_the_papers_figures() -> None:
    called = evaluate("--scenarios", "cuts,links", "--agents", "deprune,no-compression", *SHORT, "--out", "out")
    charts = {"cuts.png", "cuts_traffic.png", "cuts_progress.png", "cuts_bytes.png", "links.png", "links_progress.png"}
    assert charts | {"results.csv", "eval.json"} <= files("out")
    assert called.written == files("out")
    assert all(path.read_bytes().startswith(PNG) for path in Path("out").glob("*.png"))


@pytest.mark.slow
@pytest.mark.usefixtures("alone")
def test_a_run_is_tracked_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    train("--track", "offline", *SHORT, "--out", "run")
    assert any("offline-run" in name for name in files("run"))
