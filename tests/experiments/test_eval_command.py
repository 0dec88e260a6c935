"""splitgym-eval: what is compared, where trained agents come from, results.csv, and one clear line for bad input."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splitgym.envs import Family
from splitgym.experiments import workers
from splitgym.experiments.eval_command import main
from splitgym.experiments.figures import grouped_bars
from splitgym.experiments.results import Result
from splitgym.experiments.tables import comparison
from splitgym.experiments.train_command import main as train

from .. import ROOT
from ..envs.toy_family import Climber, ToyDynamics, registered

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Family]:
    monkeypatch.chdir(tmp_path)
    with registered() as family:
        yield family


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs, near and far."""
    folder = tmp_path_factory.mktemp("trained")
    with registered():
        for scenario in ("near", "far"):
            out = str(folder / scenario)
            assert train(["--env", "toy", "--episodes", "2", "--scenario", scenario, "--out", out]) == 0
    return folder


def evaluate(*words: str, workers: int = 1) -> int:
    return main(["--env", "toy", "--workers", str(workers), *words])


def rows(folder: str = "out") -> list[dict[str, str]]:
    with Path(folder, "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def values(folder: str = "out", metric: str = "cost_s") -> dict[tuple[str, str, int], float]:
    found = [row for row in rows(folder) if row["metric"] == metric]
    return {(row["scenario"], row["agent"], int(row["seed"])): float(row["value"]) for row in found}


def names(folder: str = ".") -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def files(folder: str = ".") -> set[str]:
    return {str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file()}


def test_results_are_tidy_and_complete(capsys: Capture) -> None:
    assert evaluate("--scenarios", "near,far", "--agents", "exact,middle", "--out", "out") == 0
    assert files("out") == {"results.csv", "eval.json", "scenarios.png"}
    assert Path("out/results.csv").read_text().splitlines()[0] == "family,scenario,agent,seed,metric,value"
    assert {row["family"] for row in rows()} == {"toy"}
    assert {row["metric"] for row in rows()} == {"cost_s", "regret_s", "moves", "first_action"}
    assert values() == {
        ("near", "exact", 0): pytest.approx(1.0),
        ("near", "middle", 0): pytest.approx(1.03),
        ("far", "exact", 0): pytest.approx(1.0),
        ("far", "middle", 0): pytest.approx(2.92),
    }
    about = json.loads(Path("out/eval.json").read_text())
    assert about["provenance"] == ["targets: modelled (made up)"]
    assert set(about["regret_against_best_of_results"]) == {"near", "far"}
    assert values(metric="regret_s")["far", "middle", 0] == pytest.approx(1.92)
    out = capsys.readouterr().out
    assert re.search(r"near +1000\.0 +1030\.0\n", out)
    assert "no best-known plan fits these scenarios" in out
    assert "numbers: targets: modelled (made up)" in out


def test_a_known_best_plan_stays_the_measure(capsys: Capture) -> None:
    assert evaluate("--agents", "middle,edge", "--env-kwargs", "known=true", "--out", "out") == 0
    assert values(metric="regret_s")["near", "middle", 0] == pytest.approx(0.03)
    assert "no best-known plan" not in capsys.readouterr().out


def test_only_what_a_seed_can_change_is_repeated() -> None:
    words = ["--scenarios", "near,noisy", "--agents", "climber,middle", "--train-episodes", "5", "--seeds", "3"]
    assert evaluate(*words, "--out", "out") == 0
    seeds: dict[tuple[str, str], list[int]] = {}
    for scenario, agent, seed in values():
        seeds.setdefault((scenario, agent), []).append(seed)
    assert seeds == {
        ("near", "climber"): [0, 1, 2],
        ("near", "middle"): [0],
        ("noisy", "climber"): [0, 1, 2],
        ("noisy", "middle"): [0, 1, 2],
    }
    found = values()
    assert len({found["noisy", "middle", seed] for seed in range(3)}) == 3


def test_groups_give_a_chart_each_and_all_is_everything(capsys: Capture) -> None:
    assert evaluate("--scenarios", "all", "--agents", "middle,exact", "--out", "out") == 0
    assert files("out") == {"results.csv", "eval.json", "all-fixed.png", "scenarios.png"}
    assert [scenario for scenario, agent, _ in values() if agent == "middle"] == ["near", "far", "noisy"]
    assert evaluate("--scenarios", "all-fixed", "--agents", "middle", "--out", "group") == 0
    assert files("group") == {"results.csv", "eval.json", "all-fixed.png"}


def test_all_agents_are_those_that_the_family_names() -> None:
    assert evaluate("--train-episodes", "3", "--out", "out") == 0
    assert list(values()) == [("near", name, 0) for name in ("climber", "exact", "middle", "edge")]


def test_absent_agents_are_trained_kept_and_used_again(capsys: Capture) -> None:
    words = ["--scenarios", "near,far", "--agents", "climber"]
    assert evaluate(*words, "--train-episodes", "20", "--seeds", "2", "--out", "out") == 0
    printed = capsys.readouterr()
    assert "no run is given for climber: 4 trainings first" in printed.err
    assert names("out/runs") == [f"toy-{s}-climber-s{n}" for s in ("far", "near") for n in (0, 1)]
    assert evaluate(*words, "--runs", "out/runs", "--out", "again") == 0
    assert "trainings" not in capsys.readouterr().err
    assert values("again") == values("out")
    assert not Path("again/runs").exists()


def test_runs_of_training_and_evaluation_agree() -> None:
    assert train(["--env", "toy", "--episodes", "20", "--seed", "1", "--out", "run"]) == 0
    assert evaluate("--agents", "climber", "--runs", "run", "--out", "out") == 0
    assert evaluate("--agents", "climber", "--train-episodes", "20", "--seeds", "2", "--out", "other") == 0
    assert list(values("out")) == [("near", "climber", 1)]
    assert values("out")["near", "climber", 1] == values("other")["near", "climber", 1]
    result = json.loads(Path("run/result.json").read_text())["results"][0]
    assert values("out")["near", "climber", 1] == result["metrics"]["cost_s"]


def test_an_unfinished_run_takes_part_and_says_so(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(Climber, "on_episode", staticmethod(lambda n: n == 7 and signal.raise_signal(signal.SIGINT)))
    assert train(["--env", "toy", "--episodes", "20", "--out", "run"]) == 130
    capsys.readouterr()
    assert evaluate("--agents", "climber", "--runs", "run", "--out", "out") == 0
    assert "run was interrupted after 8 episodes, 40% of its budget" in capsys.readouterr().err
    shutil.rmtree("run/model")
    assert evaluate("--agents", "climber", "--runs", "run", "--out", "other") == 2
    assert "run: holds no trained model" in capsys.readouterr().err


def test_seeds_without_a_run_are_trained(capsys: Capture) -> None:
    assert train(["--env", "toy", "--episodes", "5", "--seed", "1", "--out", "run"]) == 0
    words = ["--agents", "climber", "--runs", "run", "--seeds", "3", "--train-episodes", "5", "--out", "out"]
    assert evaluate(*words) == 0
    assert "2 trainings first" in capsys.readouterr().err
    assert list(values()) == [("near", "climber", seed) for seed in range(3)]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--scenarios", "far"], "--runs run: is a run of climber on near (toy); asked for is climber on far (toy)"),
        (["--agents", "middle"], "--runs run: is a run of climber on near (toy); asked for is no agent that learns"),
        (["--env-kwargs", "scale=2"], "run: is a run of another scenario, near: scale is 1.0 there, 2 is asked for"),
        (["--env", "distredge", "--scenarios", "DB-50", "--agents", "osds"], "is a run of climber on near (toy)"),
        (["--runs", "run", "copy"], "--runs copy: scenario, agent and seed are those of run too"),
        (["--runs", "holder"], "--runs holder: holds no run of what is asked for"),
        (["--runs", "nowhere"], "--runs nowhere: is not a folder"),
        (["--runs", "empty"], "--runs empty: neither is a run folder"),
    ],
)
def test_runs_that_do_not_fit_are_named(words: list[str], named: str, trained: Path, capsys: Capture) -> None:
    for name, source in (("run", "near"), ("copy", "near"), ("holder/far", "far")):
        shutil.copytree(trained / source, name)
    Path("empty").mkdir()
    before = files()
    capsys.readouterr()
    runs = [] if "--runs" in words else ["--runs", "run"]
    assert evaluate("--agents", "climber", *runs, *words, "--out", "out") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert named in printed.err
    assert files() == before


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--env", "nowhere"], "unknown environment 'nowhere'"),
        (["--scenarios", "near,nowhere"], "unknown scenario 'nowhere'; known: near, far, noisy; groups: all-fixed"),
        (["--scenarios", ","], "--scenarios: names nothing"),
        (["--agents", "exact,nobody"], "--agents: unknown agent 'nobody' for toy; known: climber"),
        (["--agents", ","], "--agents: names nobody"),
        (["--seeds", "0"], "--seeds: is '0', allowed: a whole number of at least 1"),
        (["--episodes", "-1"], "--episodes: is '-1'"),
        (["--workers", "none"], "--workers: is 'none'"),
        (["--resume", "run"], "unrecognized arguments: --resume run"),
        (["--env-kwargs", "colour=red"], "unknown option 'colour'"),
        (["--agents", "refuser", "--env-kwargs", "known=true"], "agent refuser needs known=False, not True"),
        (["--agents", "middle", "--hyperparams", "spread=1"], "none of middle has a hyperparameter 'spread'"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(words: list[str], named: str, capsys: Capture) -> None:
    assert evaluate(*words, "--out", "out") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("splitgym-eval: ")
    assert named in printed.err
    assert names() == []


def test_hyperparameters_go_to_those_that_have_them(capsys: Capture) -> None:
    assert evaluate("--agents", "middle,exact", "--hyperparams", "action=0.1", "--out", "out") == 0
    assert values()["near", "middle", 0] == pytest.approx(1.0)
    assert train(["--env", "toy", "--episodes", "3", "--out", "run"]) == 0
    capsys.readouterr()
    words = ["--agents", "climber", "--runs", "run", "--out", "other"]
    assert evaluate(*words, "--hyperparams", "spread=0.5") == 2
    assert "--runs run: was trained with spread=" in capsys.readouterr().err


def test_a_run_with_another_table_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert train(["--env", "toy", "--episodes", "3", "--out", "run"]) == 0
    monkeypatch.setattr("tests.envs.toy_family.FINGERPRINT", "other")
    assert evaluate("--agents", "climber", "--runs", "run", "--out", "out") == 2
    assert "run: a table, trace or model file of near has changed" in capsys.readouterr().err


def test_a_scenario_with_a_path_for_a_name_stays_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    init = ToyDynamics.__init__

    def named(self: ToyDynamics, *rest: Any, **options: Any) -> None:
        init(self, *rest, **options)
        self.scenario_name = "../../evil"

    monkeypatch.setattr(ToyDynamics, "__init__", named)
    assert evaluate("--agents", "climber", "--train-episodes", "3", "--out", "out") == 0
    assert names("out/runs") == ["toy-.._.._evil-climber-s0"]


def test_results_are_not_overwritten(capsys: Capture) -> None:
    assert evaluate("--agents", "middle", "--out", "out") == 0
    assert evaluate("--agents", "middle", "--out", "out") == 2
    assert "--out out: already holds results" in capsys.readouterr().err
    assert evaluate("--agents", "middle") == 0
    assert evaluate("--agents", "middle") == 0
    assert names("runs") == ["toy-eval-1", "toy-eval-2"]


def test_a_training_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def on_episode(episodes: int) -> None:
        if episodes == 3:
            raise RuntimeError("a bug")

    monkeypatch.setattr(Climber, "on_episode", staticmethod(on_episode))
    with pytest.raises(RuntimeError, match="a bug"):
        evaluate("--agents", "climber,middle", "--out", "out")
    assert names() == []


def test_an_interrupt_keeps_what_is_done(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    carry_out = workers.carry_out

    def interrupted(task: Any, *rest: Any) -> Any:
        if task.agent == "edge":
            signal.raise_signal(signal.SIGTERM)
        return carry_out(task, *rest)

    monkeypatch.setattr(workers, "carry_out", interrupted)
    assert evaluate("--agents", "exact,middle,edge", "--out", "out") == 130
    assert list(values()) == [("near", "exact", 0), ("near", "middle", 0)]
    assert "interrupted: 2 of 3 evaluations" in capsys.readouterr().err
    assert evaluate("--agents", "edge", "--out", "other") == 130
    assert "nothing was written" in capsys.readouterr().err
    assert not Path("other").exists()


def test_results_do_not_depend_on_the_number_of_workers() -> None:
    words = ["--scenarios", "near,noisy", "--agents", "climber,middle", "--train-episodes", "8", "--seeds", "2"]
    assert evaluate(*words, "--out", "one", workers=1) == 0
    assert evaluate(*words, "--out", "two", workers=2) == 0
    assert Path("one/results.csv").read_bytes() == Path("two/results.csv").read_bytes()
    assert names("one/runs") == names("two/runs")


@pytest.mark.parametrize("processes", [1, 2])
def test_an_agent_that_refuses_ends_it_with_one_line(processes: int, capsys: Capture) -> None:
    assert evaluate("--agents", "middle,refuser", "--out", "out", workers=processes) == 2
    *progress, last = capsys.readouterr().err.splitlines()
    assert last == "splitgym-eval: refuser: this scenario is not for me"
    assert all(line.startswith("evaluating ") for line in progress)
    assert names() == []


def test_help_teaches(capsys: Capture) -> None:
    assert evaluate("--help") == 0
    text = capsys.readouterr().out
    for words in ("all-fixed", "always the middle", "--runs", "examples:"):
        assert words in text


def results(scenarios: int, agents: int, seeds: int = 1) -> list[Result]:
    rng = np.random.default_rng(0)
    return [
        Result(f"scenario-{s}", f"agent-{a}", seed, {"cost_s": 0.1 * (a + 1) + 0.001 * rng.random()})
        for s in range(scenarios)
        for a in range(agents)
        for seed in range(seeds)
    ]


def test_the_best_is_bold_and_wide_tables_are_dealt_out(toy: Family) -> None:
    _, (table,) = comparison(results(2, 3), toy, 200)
    best, second = table.columns[1], table.columns[2]
    assert all("[bold" in str(cell) for cell in best.cells)
    assert not any("[bold" in str(cell) for cell in second.cells)
    title, parts = comparison(results(2, 12, seeds=2), toy, 60)
    assert len(parts) > 1
    names = [str(column.header) for part in parts for column in part.columns if column.header != "scenario"]
    assert names == [f"agent-{a}" for a in range(12)]
    assert "standard deviation" in title
    for part in parts:
        assert sum(max(map(len, [str(c.header)])) + 2 for c in part.columns) <= 60


def test_bars_show_means_and_spread_over_seeds() -> None:
    figure = grouped_bars({"near": {"a": [1.0, 3.0], "b": [4.0]}, "far": {"b": [5.0]}}, "cost (s)")
    (axes,) = figure.axes
    heights = sorted(patch.get_height() for patch in axes.patches)
    assert heights == [2.0, 4.0, 5.0]
    segments = [s for c in axes.collections for s in c.get_segments()]
    assert [sorted(point[1] for point in s) for s in segments if len(s)] == [[1.0, 3.0]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["near", "far"]


def test_many_bars_are_dealt_out_over_rows_without_overlap() -> None:
    figure = grouped_bars({f"scenario-{s}": {f"agent-{a}": [1.0] for a in range(10)} for s in range(14)}, "images/s")
    assert len(figure.axes) > 1
    figure.canvas.draw()
    for axes in figure.axes:
        boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
        assert all(a.x1 <= b.x0 for a, b in pairwise(boxes))
    assert sum(len(axes.patches) for axes in figure.axes) == 140


def test_distredge_agents_are_compared(capsys: Capture, tmp_path: Path) -> None:
    words = ["--scenarios", "DB-50,H-200", "--agents", "aofl,offload", "--workers", "1", "--out", "out"]
    assert main(words) == 0
    found = values(metric="latency_s")
    speedup = values(metric="speedup")
    assert set(found) == {(s, a, 0) for s in ("DB-50", "H-200") for a in ("aofl", "offload")}
    for scenario in ("DB-50", "H-200"):
        ratio = found[scenario, "offload", 0] / found[scenario, "aofl", 0]
        assert speedup[scenario, "aofl", 0] == pytest.approx(ratio)
    assert "modelled (FP16, TensorRT" in capsys.readouterr().out


def test_distredge_follows_measured_traces(capsys: Capture) -> None:
    Path("link.txt").write_text("0 2.0\n10 4.0\n20 3.0\n")
    words = ["--scenarios", "NA-nano", "--agents", "offload", "--workers", "1", "--episodes", "3"]
    assert main([*words, "--trace", "link.txt", "--trace-factor", "50", "--out", "fast"]) == 0
    assert main([*words, "--trace", "link.txt", "--trace-factor", "5", "--out", "slow"]) == 0
    key = ("NA-nano", "offload", 0)
    assert values("slow", "latency_s")[key] > 2 * values("fast", "latency_s")[key]
    assert "imported" in capsys.readouterr().out


def test_the_script_ends_with_one_line_and_code_2(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "eval.py"), "--agents", "aofl,best"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"splitgym-eval: --agents: unknown agent 'best' for distredge; known: .*aofl.*\n", done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_a_plan_file_is_an_agent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan from a run folder can be scored beside the baselines; its latency is what the run said."""
    assert train(["--agent", "aofl", "--out", str(tmp_path / "run"), "--track", "off"]) == 0
    plan = tmp_path / "run" / "plan.json"
    assert main(["--agents", f"aofl,{plan}", "--out", str(tmp_path / "eval"), "--workers", "1"]) == 0
    with (tmp_path / "eval" / "results.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["metric"] == "latency_s"]
    assert {r["agent"] for r in rows} == {"aofl", str(plan)}
    assert len({r["value"] for r in rows}) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cuts": [5, 3, 18]}, "cuts must increase"),
        ({"splits": [[1, 2, 300]]}, "within 0.."),
        ({"devices": ["a", "a", "b", "c"]}, "named twice"),
        ({"devices": ["a", "b"], "cuts": [18], "splits": [[3]]}, "has 4"),
    ],
    ids=["cuts", "shares", "twice", "too few"],
)
def test_bad_plan_files_are_one_line(
    change: dict, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = {
        "schema": 1,
        "kind": "spatial",
        "model": "vgg16",
        "devices": list("abcd"),
        "cuts": [18],
        "splits": [[1, 2, 3]],
    }
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({**good, **change}))
    assert main(["--agents", str(plan), "--out", str(tmp_path / "eval"), "--workers", "1"]) == 2
    error = capsys.readouterr().err.strip()
    assert str(plan) in error.splitlines()[-1]
    assert words in error.splitlines()[-1]
    assert "Traceback" not in error
    assert not (tmp_path / "eval").exists()
