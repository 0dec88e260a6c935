"""splitgym-train and splitgym-eval on Deprune: its schedules of budgets, plan files and bad input."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from splitgym.experiments.deprune import episode_figures
from splitgym.ui.canvas import new_figure

from ...command_line import PNG, by_agent, files, metrics, read, rows
from ..brief import BRIEF

pytestmark = pytest.mark.usefixtures("scratch")

train, evaluate = BRIEF["deprune"].train, BRIEF["deprune"].evaluate
SHORT = ("--env-kwargs", "epochs=4")
PLAN = {"schema": 1, "kind": "compressed", "model": "vgg11_32_half", "cut": 5, "r": 1, "budgets": [2, 2, 16, 64],
        "notes": {}}  # fmt: skip


def test_the_papers_schedule_leaves_everything_in_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episode_figures, "recordings_figure", lambda _: new_figure(1.0, 1.0))  # is a test of its own
    called = train("--seed", "3", "--out", "run")
    pictures = {"training.png", "rewards.png", "recordings.png"}
    assert files("run") == {"config.json", "plan.json", "result.json", "curve.csv", *pictures}
    assert all(Path(f"run/{name}").read_bytes().startswith(PNG) for name in pictures)
    config, plan, result = read("run/config.json"), read("run/plan.json"), read("run/result.json")
    assert (config["agent"], config["seed"], config["scenario"]) == ("deprune", 3, "vgg11-cifar10")
    assert (config["settings"]["epochs"], config["settings"]["layer"]) == (18, 5)
    assert (plan["kind"], plan["cut"], plan["budgets"]) == ("compressed", 5, [2] * 15 + [64] * 3)
    assert (plan["notes"]["agent"], plan["notes"]["seed"]) == ("deprune", 3)
    assert result["finished"]
    kinds = {row["agent"]: row["kind"] for row in result["results"]}
    assert (kinds["deprune"], kinds["best-schedule"]) == ("online", "reference")
    assert metrics("run", "deprune")["bytes_share"] == pytest.approx(0.1927, abs=5e-5)
    curve = rows("run/curve.csv")
    assert [int(row["round"]) for row in curve] == list(range(1, 19))
    assert [float(row["budget"]) for row in curve] == plan["budgets"]
    for words in ("deprune against the baselines", "both without noise", "held-out error", "written to run"):
        assert words in called.out
    assert called.err == ""
    assert "…" not in called.out  # no heading is cut off


@pytest.mark.usefixtures("undrawn")
def test_every_schedule_has_a_budget_for_every_epoch_and_none_is_better_than_the_best() -> None:
    evaluate("--agents", "all", *SHORT, "--out", "out")
    assert all(len(row["plan"]["budgets"]) == 4 for row in read("out/eval.json")["results"])
    regrets = {agent: found["regret"] for agent, found in by_agent("out").items()}
    assert regrets["best-schedule"] == pytest.approx(0.0, abs=1e-9)
    assert all(regret >= -1e-9 for agent, regret in regrets.items() if agent != "without-module")


@pytest.mark.usefixtures("undrawn")
def test_a_scenario_of_ones_own() -> None:
    Path("mine.yaml").write_text("model: vgg11_32_half\nlayer: 5\ncurves: vgg11-cifar10\nepochs: 3\nmbps: 5\n")
    train("--scenario", "mine.yaml", "--agent", "prune", "--out", "run")
    config = read("run/config.json")
    assert (config["scenario_name"], config["settings"]["mbps"]) == ("mine", 5.0)
    assert Path(config["scenario"]).is_absolute()  # so that the run can be read from anywhere
    assert set(read("run/plan.json")["budgets"]) <= {64, 16, 2}


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "options",
    [
        ["epochs=1"],
        ["epochs=4", "shares=[0.5]"],
        ["epochs=4", "shares=[0.1,1]", "noise=false"],
        ["epochs=4", "clients=100", "time_weight=1"],
        ["epochs=4", "dynamic=true", "sigma=0"],
        ["epochs=4", "dynamic=true", "time_weight=0.2"],
        ["epochs=4", "bytes_weight=0", "accuracy_weight=0"],
        ["epochs=4", "batch=4000"],
        ["epochs=4", "images=2"],
        ["epochs=4", "mbps=0.001", "rtt_s=10"],
    ],
    ids=str,
)
def test_the_edges_of_what_is_allowed(options: list[str]) -> None:
    evaluate("--agents", "deprune,prune,best-schedule", "--env-kwargs", *options, "--episodes", "2", "--out", "out")
    for found in by_agent("out").values():
        assert all(map(math.isfinite, found.values()))
        assert found.get("regret", 0.0) >= -1e-9


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


# Plan files.


@pytest.mark.usefixtures("undrawn")
def test_a_plan_file_is_an_agent() -> None:
    Path("plan.json").write_text(json.dumps(PLAN))
    train("--agent", "plan.json", *SHORT, "--out", "run")
    assert read("run/plan.json")["budgets"] == PLAN["budgets"]
    assert metrics("run", "plan.json")["bytes_share"] == pytest.approx((2 + 2 + 16 + 64) / 256)
