"""splitgym-train and splitgym-eval on EdgeMove: walks through cities, towns of one's own, plan files, bad input."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from splitgym.agents.registry import agents_of
from splitgym.envs.edgemove.dynamics import EdgeMoveDynamics
from splitgym.envs.edgemove.scenarios import TASKS
from splitgym.experiments import eval_command
from splitgym.experiments.edgemove import episode_figures
from splitgym.models.lookup import get_model
from splitgym.profiling.training import modelled_profile
from splitgym.ui.canvas import new_figure

from ...command_line import PNG, by_agent, files, metrics, read, rows, sketch, values
from ..brief import BRIEF
from .cases import FIELDS

pytestmark = pytest.mark.usefixtures("scratch", "hurried")

train, evaluate, learn = BRIEF["edgemove"].train, BRIEF["edgemove"].evaluate, BRIEF["edgemove"].learn
FIXED = [name for name, spec in agents_of("edgemove").items() if not spec.learns]
SHORT = ("--env-kwargs", "on_device_s=300", "cycle=200")
SITES = "SITE_ID,LATITUDE,LONGITUDE,NAME\n1,-37.8136,144.9631,a\n2,-37.8150,144.9650,b\n3,-37.8120,144.9620,c\n"
WALK = "latitude,longitude\n-37.8136,144.9631\n-37.8150,144.9650\n-37.8160,144.9640\n"


# What a run leaves behind.


def test_the_papers_agent_leaves_everything_in_its_folder() -> None:
    called = train(*SHORT, "--seed", "3", "--out", "run")
    assert files("run") == {"config.json", "plan.json", "result.json", "curve.csv", "walk.png", "cuts.png"}
    assert all(Path(f"run/{name}.png").read_bytes().startswith(PNG) for name in ("walk", "cuts"))
    config, plan, curve = read("run/config.json"), read("run/plan.json"), rows("run/curve.csv")
    assert (config["settings"]["cycle"], config["settings"]["speed_mps"]) == (200, 1.4)
    assert (plan["kind"], plan["notes"]["seed"]) == ("pipeline", 3)
    assert "elapsed_s" not in plan["notes"]  # the last cycle's plan alone does not take that long
    assert [int(row["round"]) for row in curve] == list(range(1, len(curve) + 1))
    assert len(curve) == math.ceil(_iterations() / 200)
    assert "regret is against the fastest server and cut of every cycle" in called.out


def _iterations() -> int:
    forward, backward = (profile := modelled_profile(get_model("vgg16_32"), "pixel6a", (32,), "sgd", True)).at(32)
    return round(300 / float((forward + backward + profile.update_s).sum()))


@pytest.mark.usefixtures("undrawn")
def test_times_of_all_agents_hang_together() -> None:
    evaluate("--agents", "all", *SHORT, "--out", "out")
    found = by_agent("out")
    assert set(found) == set(FIXED)
    for times in found.values():
        assert times["regret_s"] >= -1e-6
        assert times["elapsed_s"] == pytest.approx(times["training_s"] + times["adaptation_s"])
        assert times["speedup"] == pytest.approx(300 / times["elapsed_s"], rel=0.1)
    assert found["oracle"]["regret_s"] == pytest.approx(0.0, abs=1e-6)
    assert found["on-device"]["speedup"] == pytest.approx(1.0, abs=0.05)


@pytest.fixture
def town(scratch: Path) -> None:
    """Sites and a walk of one's own."""
    Path("town").mkdir()
    Path("town/sites.csv").write_text(SITES)
    Path("town/walk.csv").write_text(WALK)
    Path("town/town.yaml").write_text(f"{FIELDS}sites: sites.csv\ntrajectory: walk.csv\n")


@pytest.mark.usefixtures("town", "undrawn", "alone")
def test_a_town_of_ones_own() -> None:
    train("--scenario", "town/town.yaml", "--agent", "edgemove", "--out", "run")
    config = read("run/config.json")
    assert config["scenario_name"] == "town"
    assert Path(config["scenario"]).is_absolute()  # so that the run can be read from anywhere
    assert Path(config["settings"]["sites"]) == Path("town/sites.csv").resolve()
    assert any("sites: from " in line for line in read("run/result.json")["provenance"])
    workers = {int(float(row["worker"])) for row in rows("run/curve.csv")}
    assert workers <= {-1, 0, 1, 2, 3}
    assert workers & {0, 1, 2}
    words = [*SHORT, "inputs=devices", "sites=town/sites.csv", "trajectory=town/walk.csv"]
    train("--agent", "edgemove", *words, "--out", "same")
    assert metrics("same", "edgemove") == metrics("run", "edgemove")


@pytest.mark.usefixtures("town", "alone")
def test_a_town_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episode_figures, "landscape_figure", lambda *_: new_figure(1.0, 1.0))  # has nothing of the town
    train("--scenario", "town/town.yaml", "--agent", "lookahead", "--out", "run")
    assert {"walk.png", "cuts.png"} <= files("run")
    evaluate("--scenarios", "town/town.yaml", "--agents", "edgemove,on-device", "--out", "out")
    charts = {"scenarios.png", "scenarios_adaptation.png", "scenarios_progress.png"}
    assert files("out") == {"results.csv", "eval.json", *charts}
    assert all(path.read_bytes().startswith(PNG) for path in Path("out").glob("*.png"))


@pytest.mark.usefixtures("undrawn")
def test_far_from_all_sites_the_client_trains_alone() -> None:
    Path("far.csv").write_text("LATITUDE,LONGITUDE\n48.1,11.5\n48.11,11.5\n")
    train("--agent", "edgemove", *SHORT, "trajectory=far.csv", "--out", "run")
    assert metrics("run", "edgemove") == metrics("run", "on-device")
    assert read("run/plan.json")["worker"] == "none"
    assert {row["worker"] for row in rows("run/curve.csv")} == {"-1.0"}


@pytest.mark.usefixtures("undrawn", "alone")
def test_the_shortest_training_is_one_cycle() -> None:
    train("--env-kwargs", "on_device_s=1e-9", "--agent", "edgemove", "--out", "run")
    assert len(rows("run/curve.csv")) == 1


@pytest.mark.usefixtures("undrawn")
def test_without_the_optimum_regret_is_against_the_table() -> None:
    called = train("--agent", "edgemove", *SHORT, "optimum=false", "--out", "run")
    assert metrics("run", "edgemove")["oracle_s"] is None
    assert "oracle_iteration_s" not in rows("run/curve.csv")[0]
    assert "regret is against the best of this table" in called.out
    assert min(row["metrics"]["regret_s"] for row in read("run/result.json")["results"]) == 0.0


@pytest.mark.usefixtures("undrawn", "alone")
def test_a_learner_can_move_the_cut_as_the_paper_does() -> None:
    learn("ppo")("--env-kwargs", "action=paper", "--episodes", "4", "--out", "run")
    config = read("run/config.json")
    assert config["env_kwargs"]["action"] == "paper"
    assert config["settings"]["walks"] == "test"  # it is judged there, and learns elsewhere
    assert math.isfinite(metrics("run", "ppo")["regret_s"])


@pytest.mark.usefixtures("undrawn", "alone")
def test_the_plan_of_a_client_alone_names_no_worker() -> None:
    train("--agent", "on-device", *SHORT, "--out", "alone")
    assert read("alone/plan.json")["worker"] == "none"


# Evaluation.


def test_groups_are_drawn_like_the_papers_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eval_command, "save_figure", sketch)
    words = ["--scenarios", "table1,double-speed", "--agents", "edgemove", *SHORT, "--episodes", "1"]
    called = evaluate(*words, "--out", "out")
    charts = {f"{group}{kind}.png" for group in ("table1", "double-speed") for kind in ("", "_adaptation", "_progress")}
    assert files("out") == {"results.csv", "eval.json", "speed.png", *charts}
    assert called.written == files("out")


def test_the_rates_are_a_sweep() -> None:
    words = ["--scenarios", "rates", "--agents", "oracle,on-device", *SHORT, "--episodes", "1", "--out", "out"]
    evaluate(*words)
    assert files("out") == {"results.csv", "eval.json", "rates.png"}
    speedups: dict[str, list[float]] = {}
    for (_, agent, _), speedup in values("out", "speedup").items():
        speedups.setdefault(agent, []).append(speedup)
    assert speedups["oracle"] == sorted(speedups["oracle"])  # the faster the link, the faster
    assert len(set(speedups["on-device"])) == 1  # it does not use it


@pytest.mark.slow
def test_a_whole_table_is_played_and_the_oracle_bounds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """All ten walks of the four tasks by every agent, as it is asked for without further words."""
    monkeypatch.setattr(EdgeMoveDynamics, "eval_episodes", 10)
    evaluate("--scenarios", "table1", "--workers", "2", "--out", "out")
    found = values("out", "elapsed_s")
    assert set(found) == {(task, agent, 0) for task in TASKS for agent in FIXED}
    for task, scenario in TASKS.items():
        assert found[task, "oracle", 0] == min(found[task, agent, 0] for agent in FIXED)
        assert found[task, "on-device", 0] == pytest.approx(scenario.on_device_s, rel=0.02)
