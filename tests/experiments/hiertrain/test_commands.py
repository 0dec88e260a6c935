"""splitgym-train and splitgym-eval on HierTrain: planners over links that drift, plan files, bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from splitgym.agents.registry import agents_of
from splitgym.models.lookup import get_model
from splitgym.profiling.training import modelled_profile

from ...command_line import PNG, by_agent, files, metrics, read, rows, values
from ..brief import BRIEF, ON_POLICY
from .cases import PLAN

pytestmark = pytest.mark.usefixtures("scratch")

train, evaluate = BRIEF["hiertrain"].train, BRIEF["hiertrain"].evaluate
PLANNERS = [name for name, spec in agents_of("hiertrain").items() if not spec.learns]
LAYERS = ("jointdnn", "jointdnn+", "jalad")
LENET = ("--scenario", "lenet5-2", "--env-kwargs")
SMALL = (*LENET, "blocks=3")
DRIFT = ("--scenario", "alexnet-drift", "--env-kwargs", "blocks=5")


# What a run leaves behind.


def test_the_papers_planner_leaves_everything_in_its_folder() -> None:
    called = train(*SMALL, "--seed", "3", "--out", "run")
    assert files("run") == {"config.json", "plan.json", "result.json", "curve.csv", "timeline.png"}
    assert Path("run/timeline.png").read_bytes().startswith(PNG)
    config, plan = read("run/config.json"), read("run/plan.json")
    assert (config["settings"]["edge_cloud_mbps"], config["settings"]["blocks"]) == (2.0, 3)
    assert config["hyperparams"] == {"hold": False}
    assert (plan["kind"], plan["notes"]["seed"]) == ("hybrid", 3)
    assert plan["notes"]["iteration_s"] == metrics("run", "hiertrain")["iteration_s"]
    kinds = {row["agent"]: row["kind"] for row in read("run/result.json")["results"]}
    assert kinds["hiertrain"] == "planned"
    assert "hiertrain against the baselines" in called.out


@pytest.mark.usefixtures("alone")
def test_an_episode_on_drifting_links_is_drawn_and_is_the_curve() -> None:
    train("--agent", "all-cloud", *DRIFT, "--out", "run")
    assert {"blocks.png", "timeline.png", "curve.csv", "plan.json"} <= files("run")
    assert all(path.read_bytes().startswith(PNG) for path in Path("run").glob("*.png"))
    curve = rows("run/curve.csv")
    assert [int(row["round"]) for row in curve] == [1, 2, 3, 4, 5]
    assert all(float(row["gap"]) >= -1e-6 for row in curve)
    assert "iteration_s" not in read("run/plan.json")["notes"]  # every rate has its own


@pytest.mark.usefixtures("alone")
def test_layer_assignments_on_drifting_links_are_drawn_too() -> None:
    train("--agent", "jalad", *DRIFT, "--out", "run")
    assert files("run") == {"config.json", "result.json", "curve.csv", "blocks.png"}


@pytest.mark.usefixtures("undrawn")
def test_layer_assignments_have_no_plan_and_only_jalad_beats_the_optimum() -> None:
    agents = ",".join(PLANNERS)
    evaluate("--scenarios", "lenet5-2", "--env-kwargs", "blocks=3", "--agents", agents, "--out", "out")
    found = by_agent("out")
    best = found["exact"]
    assert best["gap"] == pytest.approx(0.0, abs=1e-9)
    assert best["iteration_s"] == pytest.approx(best["optimal_s"], rel=1e-9)
    assert all(found[agent]["regret_s"] >= -1e-9 for agent in PLANNERS if agent != "jalad")  # it sends less
    plans = {row["agent"]: row["plan"] for row in read("out/eval.json")["results"]}
    assert {agent for agent, plan in plans.items() if plan is None} == set(LAYERS)
    assert all(sum(plan["b"]) == 128 for plan in plans.values() if plan is not None)


@pytest.mark.usefixtures("undrawn")
def test_holding_on_to_a_plan_saves_replanning() -> None:
    words = ["--agents", "exact", "--scenarios", "alexnet-drift", "--episodes", "1"]
    for hold in ("false", "true"):
        options = ["--env-kwargs", "blocks=30", "iterations=1", "--hyperparams", f"hold={hold}"]
        evaluate(*words, *options, "--out", hold)
    restless, calm = by_agent("false")["exact"], by_agent("true")["exact"]
    assert calm["replan_s"] < restless["replan_s"]
    assert calm["gap"] >= restless["gap"] == pytest.approx(0.0, abs=1e-9)
    assert calm["iteration_s"] < restless["iteration_s"]


@pytest.mark.usefixtures("undrawn", "alone")
def test_a_plan_shares_out_the_batch() -> None:
    train("--agent", "exact", *SMALL, "batch=32", "--out", "run")
    assert sum(read("run/plan.json")["b"]) == 32


@pytest.mark.usefixtures("undrawn")
def test_a_profile_from_a_file_counts() -> None:
    modelled_profile(get_model("lenet5"), "v100", (128,), "sgd", True).save("fast.csv")
    train("--agent", "all-device", *SMALL, "profiles={device: fast.csv}", "--out", "fast")
    train("--agent", "all-device", *SMALL, "--out", "slow")
    assert metrics("fast", "all-device")["iteration_s"] < 0.2 * metrics("slow", "all-device")["iteration_s"]
    edge, optimal_s = metrics("slow", "all-edge"), metrics("fast", "exact")["optimal_s"]
    edge_s = edge["iteration_s"]  # all that a faster device changes about All-Edge is the optimum beside it
    beside = {"optimal_s": optimal_s, "gap": edge_s / optimal_s - 1.0, "regret_s": edge_s - optimal_s}
    assert metrics("fast", "all-edge") == pytest.approx(edge | beside)


@pytest.mark.usefixtures("undrawn", "alone")
def test_sharing_links_takes_longer() -> None:
    plan = {**PLAN, "b": [88, 2, 38]}  # samples go to edge and cloud at the same time
    Path("plan.json").write_text(json.dumps(plan))
    for name in ("true", "false"):
        words = [*SMALL, "edge_cloud_mbps=20", f"share_links={name}"]
        train("--agent", "plan.json", *words, "--out", name)
    assert metrics("true", "plan.json")["iteration_s"] > metrics("false", "plan.json")["iteration_s"]


@pytest.mark.usefixtures("undrawn")
def test_a_learner_can_assign_layers() -> None:
    words = ["--hyperparams", *ON_POLICY, "--episodes", "4", "--out", "run"]
    train("--agent", "ppo", *SMALL, "plans=layers", *words)
    assert read("run/config.json")["env_kwargs"]["plans"] == "layers"
    assert "plan.json" not in files("run")
    assert metrics("run", "ppo")["regret_s"] >= metrics("run", "jointdnn+")["regret_s"] - 1e-9


# Evaluation.


@pytest.mark.usefixtures("undrawn")
def test_only_what_a_seed_can_change_is_repeated() -> None:
    words = ["--scenarios", "lenet5-drift,alexnet-3", "--agents", "all-cloud", "--seeds", "2"]
    evaluate(*words, "--env-kwargs", "blocks=3", "--episodes", "1", "--out", "out")
    assert list(values("out", "iteration_s")) == [
        ("lenet5-drift", "all-cloud", 0),
        ("lenet5-drift", "all-cloud", 1),
        ("alexnet-3", "all-cloud", 0),
    ]


def test_a_group_is_drawn_like_the_papers_figures() -> None:
    words = ["--scenarios", "lenet5", "--agents", "exact,all-edge,all-cloud", "--env-kwargs", "blocks=2"]
    called = evaluate(*words, "--out", "out")
    assert files("out") == {"results.csv", "eval.json", "lenet5.png", "lenet5_ratio.png"}
    assert called.written == files("out")
    times: dict[str, list[float]] = {}
    for (_, agent, _), iteration_s in values("out", "iteration_s").items():
        times.setdefault(agent, []).append(iteration_s)
    assert times["all-cloud"] == sorted(times["all-cloud"], reverse=True)  # the faster the link, the faster
    assert len(set(times["all-edge"])) == 1  # it does not use that link
    assert all(np.array(times["exact"]) <= np.minimum(times["all-edge"], times["all-cloud"]) * (1 + 1e-9))


@pytest.mark.slow
def test_every_agent_is_evaluated_on_every_scenario() -> None:
    words = ["--scenarios", "all", "--agents", "all", "--env-kwargs", "blocks=5", "--episodes", "1"]
    evaluate(*words, "--workers", "2", "--out", "out")
    charts = {"alexnet", "lenet5", "cores", "drifting", "scaling"}
    assert {f"{name}.png" for name in charts} <= files("out")
    assert {row["agent"] for row in rows("out/results.csv")} == set(PLANNERS)
