"""splitgym-train and splitgym-eval on L2S: bandits that learn while they are judged, its scenarios, its bad input."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from splitgym.agents.registry import agents_of
from splitgym.models.cuts import cut_points
from splitgym.models.lookup import get_model
from splitgym.profiling.training import modelled_profile

from ...command_line import PNG, Called, by_agent, files, metrics, read, rows, tracked, values
from ..brief import BRIEF, EVALUATE, TRAIN

pytestmark = pytest.mark.usefixtures("scratch")

L2S = BRIEF["l2s"]
PLAYERS = [name for name, spec in agents_of("l2s").items() if not spec.learns]
ROUNDS = ("--env-kwargs", "rounds=40")
train, evaluate = TRAIN.of("--env", "l2s"), EVALUATE.of("--env", "l2s")


# The paper's agent, drawn and tracked.


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Called]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        patch.chdir(tmp_path_factory.mktemp("played"))
        return Path.cwd() / "run", train(*ROUNDS, "--seed", "3", "--track", "off", "--out", "run")


@pytest.fixture
def run(played: tuple[Path, Called]) -> Path:
    return played[0]


def test_the_papers_agent_says_what_it_did(run: Path, played: tuple[Path, Called]) -> None:
    config, plan = read(run / "config.json"), read(run / "plan.json")
    assert (config["settings"]["rounds"], config["settings"]["privacy_point"]) == (40, 4)
    assert config["env_kwargs"] == {"rounds": 40, "sync": "ask"}
    assert config["hyperparams"]["adapt_rounds"] == 100
    assert plan["kind"] == "cut"
    assert "delay_s" not in plan["notes"]  # it is no property of one partition point
    assert read(run / "result.json")["regret_against"] == "optimum"
    told = "regret is the expected delay beyond that of the best point in every round (exact)"
    assert told in played[1].out


def check_episode(run: Path, agent: str, pictures: set[str]) -> None:
    written = {path for path in files(run) if not path.startswith("wandb")}
    assert written == {"config.json", "plan.json", "result.json", "curve.csv", *pictures}
    assert all((run / path).read_bytes().startswith(PNG) for path in pictures)
    curve = rows(run / "curve.csv")
    assert [int(row["round"]) for row in curve] == list(range(1, 41))
    regret_s = [float(row["regret_s"]) for row in curve]
    assert regret_s == sorted(regret_s)
    found = metrics(run, agent)
    assert regret_s[-1] == pytest.approx(found["regret_s"], rel=1e-3, abs=1e-3)  # the trace is in float32
    assert float(curve[-1]["sync_s"]) == pytest.approx(found["sync_s"], rel=1e-3, abs=1e-3)
    assert all(4 <= int(row["point"]) <= 17 for row in curve)
    assert all(math.isfinite(float(value)) for row in curve for value in row.values() if value)


def test_an_episode_is_the_learning_curve(run: Path) -> None:
    check_episode(run, "l2s", {"rounds.png", "points.png"})


@pytest.mark.usefixtures("undrawn", "alone")
def test_an_episode_of_a_baseline_is_a_curve_too() -> None:
    train("--agent", "pdt", *ROUNDS, "--out", "run")
    check_episode(Path("run"), "pdt", {"episode.png"})


def test_an_offline_run_has_the_rounds_as_axis(run: Path, played: tuple[Path, Called]) -> None:
    called = played[1]
    assert called.told == ["tracking is offline: WANDB_MODE=offline wins over --track off"]
    assert "wandb leet run/wandb" in called.out
    records = tracked(run)
    assert [r["metric"]["step_metric"] for r in records if r["type"] == "metric"] == ["round"]
    history = [r["history"]["item"] for r in records if r["type"] == "history"]
    for row, point in zip(rows(run / "curve.csv"), history[:-1], strict=True):
        told = {name: float(value) for name, value in row.items() if value}
        assert {name: point[name] for name in told} == pytest.approx(told)
    final = history[-1]
    assert final["rounds._type"] == final["points._type"] == "image-file"
    assert (final["results._type"], final["results.nrows"]) == ("table-file", len(read(run / "result.json")["results"]))
    config = next(r["run"]["config"]["update"] for r in records if r["type"] == "run")
    assert (config["agent"], config["hyperparams"]) == ("l2s", read(run / "config.json")["hyperparams"])
    assert records[-1]["exit"]["exit_code"] == 0


# Other runs.


@pytest.mark.usefixtures("undrawn", "alone")
def test_a_curve_stays_short_however_many_rounds_there_are() -> None:
    train("--agent", "linucb-e", "--env-kwargs", "rounds=1200", "--out", "run")
    rounds = [int(row["round"]) for row in rows("run/curve.csv")]
    assert len(rounds) <= 1000
    assert rounds[-1] == 1200


@pytest.mark.usefixtures("undrawn")
def test_the_agents_own_env_is_that_of_its_definition() -> None:
    """PPT cuts behind the first layer whatever P^c the others are given; L2S-FWS synchronises at every change."""
    train("--agent", "linucb", *ROUNDS, "--env-kwargs", "privacy_point=8", "--out", "run")
    plans = {row["agent"]: row["plan"]["cut"] for row in read("run/result.json")["results"]}
    points = cut_points(get_model("resnet34"))
    assert (plans["ppt"], plans["fpt"], plans["pdt"]) == (points[1], points[8], points[-1])
    assert metrics("run", "l2s-fws")["sync_s"] > metrics("run", "linucb")["sync_s"]
    assert metrics("run", "pdt")["edge_delay_s"] == metrics("run", "pdt")["sync_s"] == 0.0


def test_without_a_record_there_is_nothing_to_draw() -> None:
    train("--agent", "l2s", *ROUNDS, "--env-kwargs", "record=false", "--out", "run")
    assert files("run") == {"config.json", "result.json"}


@pytest.mark.usefixtures("undrawn", "alone")
def test_links_follow_a_measured_trace() -> None:
    Path("link.txt").write_text("0 2.0\n10 4.0\n20 3.0\n")
    for factor in ("20", "2"):
        words = ["--trace", "link.txt", "--trace-factor", factor]
        assert "link: imported (trace file)" in train("--agent", "fpt", *ROUNDS, *words, "--out", factor).out
    assert metrics("2", "fpt")["delay_s"] > 2 * metrics("20", "fpt")["delay_s"]
    assert read("2/config.json")["settings"]["traces"] == [str(Path("link.txt").resolve())]


@pytest.mark.usefixtures("undrawn", "alone")
def test_a_profile_from_a_file_counts() -> None:
    modelled_profile(get_model("resnet34"), "h100", (16,), "sgd", True).save("fast.csv")
    train("--agent", "pdt", *ROUNDS, "profiles={device: fast.csv}", "--out", "fast")
    train("--agent", "pdt", *ROUNDS, "--out", "slow")
    assert metrics("fast", "pdt")["delay_s"] < 0.2 * metrics("slow", "pdt")["delay_s"]


@pytest.mark.slow
@pytest.mark.parametrize("agent", L2S.learners)
def test_a_learner_finds_a_good_point(agent: str) -> None:
    """With its own hyperparameters; the first point costs 60 % more than the optimum here."""
    train("--agent", agent, "--env-kwargs", "rounds=100", "inputs=devices", "--episodes", "80", "--out", "run")
    found = metrics("run", agent)
    assert found["delay_s"] < 1.1 * found["oracle_delay_s"]
    assert found["delay_s"] < 0.75 * metrics("run", "fpt")["delay_s"]


# Evaluation.


@pytest.mark.usefixtures("undrawn")
def test_every_agent_has_its_own_noise_with_every_seed() -> None:
    words = ["--scenarios", "resnet34-gpu-60,alexnet-gpu-100", "--agents", "l2s,lints,oracle", "--seeds", "2"]
    evaluate(*words, *ROUNDS, "--out", "out")
    found = values("out", "delay_s")
    assert len(found) == 2 * 3 * 2
    assert len(set(found.values())) == len(found)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("agents", ["all", "l2s,ppt,pdt"])
def test_agents_are_compared_each_in_its_own_env(agents: str) -> None:
    called = evaluate("--agents", agents, *ROUNDS, "--env-kwargs", "privacy_point=2", "--out", "out")
    assert called.told[0] == "ppt has its own privacy_point=1"
    assert set(by_agent("out")) == set(PLAYERS if agents == "all" else agents.split(","))
    cuts = {row["agent"]: row["plan"]["cut"] for row in read("out/eval.json")["results"]}
    points = cut_points(get_model("resnet34"))
    assert cuts["ppt"] == points[1]
    assert set(cuts.values()) <= set(points)


def test_charts_come_with_an_evaluation() -> None:
    words = ["--scenarios", "privacy,alexnet-gpu-60", "--agents", "linucb-e,pdt", *ROUNDS]
    called = evaluate(*words, "--out", "out")
    assert called.written == files("out")
    charts = {path for path in files("out") if path.endswith(".png")}
    assert {"privacy.png", "scenarios.png", "prediction_error.png"} <= charts
    assert all(Path("out", chart).read_bytes().startswith(PNG) for chart in charts)
