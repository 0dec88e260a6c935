"""splitgym-eval: what is compared, where trained agents come from, results.csv, and one clear line for bad input."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from splitgym.agents.registry import AgentSpec
from splitgym.envs import Family
from splitgym.experiments import workers
from splitgym.ui.console import called
from splitgym.ui.errors import InputError

from ..command_line import by_agent, files, metrics, names, read, rows, values
from ..envs.toy_family import Climber, ToyDynamics, registered
from .brief import EVALUATE, TRAIN, interrupt_at, undraw

pytestmark = pytest.mark.usefixtures("scratch", "toy", "undrawn")

train, evaluate = TRAIN.of("--env", "toy"), EVALUATE.of("--env", "toy")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs of two episodes, near and far."""
    folder = tmp_path_factory.mktemp("trained")
    with registered(), pytest.MonkeyPatch.context() as patch:
        undraw(patch)
        for scenario in ("near", "far"):
            train("--episodes", "2", "--scenario", scenario, "--out", str(folder / scenario))
    return folder


@pytest.fixture
def run(trained: Path, scratch: Path) -> Path:
    """A copy of the run on near in the working directory."""
    return Path(shutil.copytree(trained / "near", "run"))


# Results.


def test_results_are_tidy_and_complete() -> None:
    called = evaluate("--scenarios", "near,far", "--agents", "exact,middle", "--out", "out")
    assert files("out") == {"results.csv", "eval.json", "scenarios.png"}
    assert Path("out/results.csv").read_text().splitlines()[0] == "family,scenario,agent,seed,metric,value"
    assert {row["family"] for row in rows("out/results.csv")} == {"toy"}
    assert {row["metric"] for row in rows("out/results.csv")} == {"cost_s", "regret_s", "moves", "first_action"}
    assert values("out", "cost_s") == {
        ("near", "exact", 0): pytest.approx(1.0),
        ("near", "middle", 0): pytest.approx(1.03),
        ("far", "exact", 0): pytest.approx(1.0),
        ("far", "middle", 0): pytest.approx(2.92),
    }
    about = read("out/eval.json")
    assert about["provenance"] == ["targets: modelled (made up)"]
    assert set(about["regret_against_best_of_results"]) == {"near", "far"}
    assert values("out", "regret_s")["far", "middle", 0] == pytest.approx(1.92)
    assert re.search(r"near +1000\.0 +1030\.0\n", called.out)
    assert "no best-known plan fits these scenarios" in called.out
    assert "numbers: targets: modelled (made up)" in called.out


def test_a_known_best_plan_stays_the_measure() -> None:
    called = evaluate("--agents", "middle,edge", "--env-kwargs", "known=true", "--out", "out")
    assert values("out", "regret_s")["near", "middle", 0] == pytest.approx(0.03)
    assert "no best-known plan" not in called.out


def test_only_what_a_seed_can_change_is_repeated() -> None:
    words = ["--scenarios", "near,noisy", "--agents", "climber,middle", "--train-episodes", "5", "--seeds", "3"]
    evaluate(*words, "--out", "out")
    found = values("out", "cost_s")
    seeds: dict[tuple[str, str], list[int]] = {}
    for scenario, agent, seed in found:
        seeds.setdefault((scenario, agent), []).append(seed)
    assert seeds == {
        ("near", "climber"): [0, 1, 2],
        ("near", "middle"): [0],
        ("noisy", "climber"): [0, 1, 2],
        ("noisy", "middle"): [0, 1, 2],
    }
    assert len({found["noisy", "middle", seed] for seed in range(3)}) == 3


def test_groups_give_a_chart_each_and_all_is_everything() -> None:
    evaluate("--scenarios", "all", "--agents", "middle,exact", "--out", "out")
    assert files("out") == {"results.csv", "eval.json", "all-fixed.png", "scenarios.png"}
    found = values("out", "cost_s")
    assert [scenario for scenario, agent, _ in found if agent == "middle"] == ["near", "far", "noisy"]
    evaluate("--scenarios", "all-fixed", "--agents", "middle", "--out", "group")
    assert files("group") == {"results.csv", "eval.json", "all-fixed.png"}


def test_all_agents_are_those_that_the_family_names() -> None:
    evaluate("--train-episodes", "3", "--out", "out")
    assert list(values("out", "cost_s")) == [("near", name, 0) for name in ("climber", "exact", "middle", "edge")]


def test_hyperparameters_go_to_those_that_have_them() -> None:
    evaluate("--agents", "middle,exact", "--hyperparams", "action=0.1", "--out", "out")
    assert values("out", "cost_s")["near", "middle", 0] == pytest.approx(1.0)


def test_results_are_not_overwritten() -> None:
    evaluate("--agents", "middle", "--out", "out")
    evaluate.refuses("--agents middle --out out", "--out out: already holds results")
    evaluate("--agents", "middle")
    evaluate("--agents", "middle")
    assert names("runs") == ["toy-eval-1", "toy-eval-2"]


# Agents that learn.


def test_absent_agents_are_trained_kept_and_used_again() -> None:
    words = ["--scenarios", "near,far", "--agents", "climber"]
    called = evaluate(*words, "--train-episodes", "20", "--seeds", "2", "--out", "out")
    assert "no run is given for climber: 4 trainings first" in called.err
    assert names("out/runs") == [f"toy-{s}-climber-s{n}" for s in ("far", "near") for n in (0, 1)]
    called = evaluate(*words, "--runs", "out/runs", "--out", "again")
    assert "trainings" not in called.err
    assert values("again", "cost_s") == values("out", "cost_s")
    assert not Path("again/runs").exists()


def test_runs_of_training_and_evaluation_agree() -> None:
    train("--episodes", "20", "--seed", "1", "--out", "run")
    evaluate("--agents", "climber", "--runs", "run", "--out", "out")
    evaluate("--agents", "climber", "--train-episodes", "20", "--seeds", "2", "--out", "other")
    found = values("out", "cost_s")
    assert found == {("near", "climber", 1): metrics("run", "climber")["cost_s"]}
    assert found["near", "climber", 1] == values("other", "cost_s")["near", "climber", 1]


def test_an_unfinished_run_takes_part_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Climber, "on_episode", staticmethod(lambda n: n == 7 and signal.raise_signal(signal.SIGINT)))
    train("--episodes", "20", "--out", "run", code=130)
    called = evaluate("--agents", "climber", "--runs", "run", "--out", "out")
    assert "run was interrupted after 8 episodes, 40% of its budget" in called.err
    shutil.rmtree("run/model")
    assert "run: holds no trained model" in evaluate("--agents", "climber", "--runs", "run", "--out", "o", code=2).err


def test_seeds_without_a_run_are_trained() -> None:
    train("--episodes", "5", "--seed", "1", "--out", "run")
    words = ["--agents", "climber", "--runs", "run", "--seeds", "3", "--train-episodes", "5", "--out", "out"]
    assert "2 trainings first" in evaluate(*words).err
    assert list(values("out", "cost_s")) == [("near", "climber", seed) for seed in range(3)]


def test_a_scenario_with_a_path_for_a_name_stays_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    init = ToyDynamics.__init__

    def named(self: ToyDynamics, *rest: Any, **options: Any) -> None:
        init(self, *rest, **options)
        self.scenario_name = "../../evil"

    monkeypatch.setattr(ToyDynamics, "__init__", named)
    evaluate("--agents", "climber", "--train-episodes", "3", "--out", "out")
    assert names("out/runs") == ["toy-.._.._evil-climber-s0"]


def test_a_training_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def on_episode(episodes: int) -> None:
        if episodes == 3:
            raise RuntimeError("a bug")

    monkeypatch.setattr(Climber, "on_episode", staticmethod(on_episode))
    with pytest.raises(RuntimeError, match="a bug"):
        evaluate("--agents", "climber,middle", "--out", "out")
    assert names() == []


# Processes and interrupts.


def test_an_interrupt_keeps_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    carry_out = workers.carry_out

    def interrupted(task: Any, *rest: Any) -> Any:
        if task.agent == "edge":
            signal.raise_signal(signal.SIGTERM)
        return carry_out(task, *rest)

    monkeypatch.setattr(workers, "carry_out", interrupted)
    called = evaluate("--agents", "exact,middle,edge", "--out", "out", code=130)
    assert list(values("out", "cost_s")) == [("near", "exact", 0), ("near", "middle", 0)]
    assert "interrupted: 2 of 3 evaluations" in called.err
    assert "nothing was written" in evaluate("--agents", "edge", "--out", "other", code=130).err
    assert not Path("other").exists()


@pytest.mark.parametrize("out", [(), ("--out", "out"), ("--out=out",)])
def test_trainings_that_have_ended_are_used_again_after_an_interrupt(
    out: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--agents", "climber", "--seeds", "3", "--train-episodes", "5", *out)
    evaluate(*words[:6], "--out", "whole")
    played = interrupt_at(13, monkeypatch)  # in the third training
    told = evaluate(*words, code=130).told
    first = "out" if out else "runs/toy-eval-1"
    assert any(f"3 trainings first, kept in {first}/runs once done" in line for line in told)
    kept, command = told[-1].split("; what is trained is in ")
    assert kept == "splitgym-eval: interrupted: 2 of 3 evaluations are in the results"
    assert names(f"{first}/runs") == ["toy-near-climber-s0", "toy-near-climber-s1"]
    again = shlex.split(command.removeprefix(f"{first}/runs, go on with: {called('splitgym-eval')} "))
    EVALUATE(*again[2:])  # without --workers 1, which it begins with
    assert played == [*range(5), *range(5), *range(3), *range(5)]
    second = "out-2" if out else "runs/toy-eval-2"
    assert Path(second, "results.csv").read_bytes() == Path("whole/results.csv").read_bytes()


def test_results_do_not_depend_on_the_number_of_workers() -> None:
    words = ["--scenarios", "near,noisy", "--agents", "climber,middle", "--train-episodes", "8", "--seeds", "2"]
    for number in ("1", "2"):
        evaluate(*words, "--workers", number, "--out", number)
    assert Path("1/results.csv").read_bytes() == Path("2/results.csv").read_bytes()
    assert names("1/runs") == names("2/runs")


@pytest.mark.parametrize("processes", ["1", "2"])
def test_an_agent_that_refuses_ends_it_with_one_line(processes: str) -> None:
    words = ["--agents", "refuser", "--scenarios", "near,far", "--workers", processes, "--out", "out"]
    evaluate.refuses(words, "splitgym-eval: refuser: this scenario is not for me", progress="evaluating ")


@pytest.mark.parametrize("error", [InputError("not for me"), RuntimeError("a bug")])
def test_what_is_done_before_something_fails_is_kept(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    assessed = workers.assess

    def failing(family: Family, spec: AgentSpec, *setting: Any) -> Any:
        if spec.name == "edge":
            raise error
        return assessed(family, spec, *setting)

    monkeypatch.setattr(workers, "assess", failing)
    words = ("--agents", "middle,exact,edge", "--out", "out")
    if isinstance(error, InputError):
        called = evaluate(*words, code=2)
        assert called.told[-1] == "splitgym-eval: not for me; 2 of 3 evaluations are in the results"
        assert "middle" in called.out
    else:
        with pytest.raises(RuntimeError, match="a bug"):
            evaluate(*words)
    assert set(by_agent("out")) == {"middle", "exact"}


# Bad input.


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--env nowhere", "unknown environment 'nowhere'"),
        ("--scenarios near,nowhere", "unknown scenario 'nowhere'; known: near, far, noisy; groups: all-fixed"),
        ("--scenarios ,", "--scenarios: names nothing"),
        ("--agents exact,nobody", "--agents: unknown agent 'nobody' for toy; known: climber"),
        ("--agents ,", "--agents: names nobody"),
        ("--seeds 0", "--seeds: is '0', allowed: a whole number of at least 1"),
        ("--episodes -1", "--episodes: is '-1'"),
        ("--workers none", "--workers: is 'none'"),
        ("--resume run", "unrecognized arguments: --resume run"),
        ("--env-kwargs colour=red", "unknown option 'colour'"),
        ("--agents refuser --env-kwargs known=true", "agent refuser needs known=False, not True"),
        ("--agents middle --hyperparams spread=1", "none of middle has a hyperparameter 'spread'"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(words: str, named: str) -> None:
    evaluate.refuses(f"{words} --out out", named)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--scenarios far", "--runs run: is a run of climber on near (toy); asked for is climber on far (toy)"),
        ("--agents middle", "--runs run: is a run of climber on near (toy); asked for is no agent that learns"),
        ("--env-kwargs scale=2", "run: is a run of another scenario, near: scale is 1.0 there, 2 is asked for"),
        ("--env distredge --scenarios DB-50 --agents osds", "is a run of climber on near (toy)"),
        ("--hyperparams spread=0.5", "--runs run: was trained with spread="),
        ("--runs copy", "--runs copy: scenario, agent and seed are those of run too"),
    ],
)
def test_a_run_that_does_not_fit_is_named(words: str, named: str, run: Path) -> None:
    shutil.copytree(run, "copy")
    evaluate.refuses(f"--agents climber --runs run {words} --out out", named)


@pytest.mark.parametrize(
    ("runs", "named"),
    [
        ("holder", "--runs holder: holds no run of what is asked for"),
        ("nowhere", "--runs nowhere: is not a folder"),
        ("empty", "--runs empty: neither is a run folder"),
    ],
)
def test_folders_without_a_run_that_fits_are_named(runs: str, named: str, trained: Path) -> None:
    shutil.copytree(trained / "far", "holder/far")
    Path("empty").mkdir()
    evaluate.refuses(f"--agents climber --runs {runs} --out out", named)


@pytest.mark.usefixtures("run")
def test_a_run_with_another_table_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.envs.toy_family.FINGERPRINT", "other")
    named = "run: a table, trace or model file of near has changed"
    evaluate.refuses("--agents climber --runs run --out out", named)


def test_help_teaches() -> None:
    text = evaluate("--help").out
    for words in ("all-fixed", "always the middle", "--runs", "examples:"):
        assert words in text


# DistrEdge, the family that is taken without --env.


def test_distredge_agents_are_compared() -> None:
    called = EVALUATE("--scenarios", "DB-50,H-200", "--agents", "aofl,offload", "--out", "out")
    latency, speedup = values("out", "latency_s"), values("out", "speedup")
    assert set(latency) == {(s, a, 0) for s in ("DB-50", "H-200") for a in ("aofl", "offload")}
    for scenario in ("DB-50", "H-200"):
        ratio = latency[scenario, "offload", 0] / latency[scenario, "aofl", 0]
        assert speedup[scenario, "aofl", 0] == pytest.approx(ratio)
    assert "modelled (FP16, TensorRT" in called.out


def test_distredge_follows_measured_traces() -> None:
    Path("link.txt").write_text("0 2.0\n10 4.0\n20 3.0\n")
    words = ["--scenarios", "NA-nano", "--agents", "offload", "--episodes", "3", "--trace", "link.txt"]
    for factor in ("50", "5"):
        assert "imported" in EVALUATE(*words, "--trace-factor", factor, "--out", factor).out
    key = ("NA-nano", "offload", 0)
    assert values("5", "latency_s")[key] > 2 * values("50", "latency_s")[key]
