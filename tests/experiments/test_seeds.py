"""splitgym-train --seeds: a run folder a seed, what they show together, and going on after an interruption."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from splitgym.agents import load
from splitgym.envs import get_family
from splitgym.experiments import seeds_command
from splitgym.experiments.executors.processes import carry_out
from splitgym.experiments.executors.work import Executor, Work
from splitgym.experiments.seed_figures import seed_curves
from splitgym.experiments.seed_training import train_seed

from ..command_line import interrupted, names, read, rows, sketch, values
from ..envs.toy_family import Climber
from .brief import EVALUATE, TRAIN, interrupt_at

pytestmark = pytest.mark.usefixtures("scratch", "toy", "hurried")

train = TRAIN.of("--env", "toy", "--track", "off")
several = train.of("--seeds", "3", "--seed", "1", "--episodes", "20", "--workers", "1")


@pytest.fixture(autouse=True)
def unsaved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeds_command, "save_figure", sketch)


def test_every_seed_is_a_run_and_the_folder_says_what_they_show() -> None:
    called = several("--out", "out")
    assert names("out") == ["learning_curves.png", "results.csv", "s1", "s2", "s3", "seeds.json", "summary.json"]
    costs = values("out", "cost_s")
    assert list(costs) == [("near", "climber", seed) for seed in (1, 2, 3)]
    for seed in (1, 2, 3):
        train("--seed", str(seed), "--episodes", "20", "--out", f"alone{seed}")
        assert read(f"out/s{seed}/model/climber.json") == read(f"alone{seed}/model/climber.json")
        assert load(f"out/s{seed}").predict([[0.0]])[0] == load(f"alone{seed}").predict([[0.0]])[0]
    found = read("out/summary.json")["metrics"]["cost_s"]
    assert found["mean"] == pytest.approx(sum(costs.values()) / 3)
    assert found["lower"] < found["mean"] < found["upper"]
    for words in ("climber with 3 seeds", "95 % from", "3 seeds say little", "written to out"):
        assert words in called.out


def test_an_evaluation_takes_all_seeds_from_their_folder() -> None:
    several("--out", "out")
    EVALUATE.of("--env", "toy")("--agents", "climber", "--runs", "out", "--out", "eval")
    assert values("eval", "cost_s") == values("out", "cost_s")


def test_processes_change_nothing() -> None:
    several("--out", "one")
    several("--workers", "2", "--out", "two")
    assert Path("one/results.csv").read_bytes() == Path("two/results.csv").read_bytes()


def test_an_interrupted_training_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    several("--out", "whole")
    played = interrupt_at(30, monkeypatch)  # in the second seed
    called = several("--out", "cut", code=130)
    assert "interrupted; what was learned of seeds 1, 2 is kept, go on with:" in called.err
    assert called.err.rstrip().endswith("--resume cut")
    assert [read(f"cut/{run}/model/progress.json")["episodes"] for run in ("s1", "s2")] == [20, 10]
    played.clear()
    monkeypatch.setattr(Climber, "on_episode", staticmethod(lambda number: played.append(number)))
    TRAIN("--resume", "cut", "--workers", "1")
    assert played == [*range(10, 20), *range(20)]
    assert Path("cut/results.csv").read_bytes() == Path("whole/results.csv").read_bytes()
    assert [row["episodes"] for row in rows("cut/s2/curve.csv")] == [
        row["episodes"] for row in rows("whole/s2/curve.csv")
    ]


def test_seeds_without_a_checkpoint_are_not_said_to_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeds_command, "_carry_out", interrupted)
    called = several("--out", "out", code=130)
    assert "interrupted; no seed had come to its first checkpoint, go on with: " in called.err


def test_a_larger_budget_is_for_all_seeds() -> None:
    several("--out", "out")
    TRAIN("--resume", "out", "--episodes", "30", "--workers", "1")
    assert [read(f"out/s{seed}/model/progress.json")["episodes"] for seed in (1, 2, 3)] == [30] * 3
    TRAIN.refuses("--resume out --episodes 30", "--episodes 30: the run in out/s1 has done 30; name more, in all")


def test_a_process_that_is_stopped_keeps_what_it_has_learned() -> None:
    several("--out", "out")
    works = []
    for seed in (1, 2):
        run = Path(f"out/s{seed}")
        config = read(run / "config.json")
        (run / "config.json").write_text(json.dumps({**config, "episodes": 10**6}))
        works.append(Work(str(seed), train_seed, (str(run), "off", "out", True)))
    further: set[str] = set()

    def stop(work: Work[Any], share: float) -> None:
        further.update([work.name] if share > 0 else [])
        if len(further) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(carry_out(works, Executor(2), stop))
    assert all(read(f"out/s{seed}/model/progress.json")["episodes"] > 20 for seed in (1, 2))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--agent middle --seeds 2", "--seeds: agent middle is not trained beforehand"),
        ("--seeds 0", "--seeds: is '0', allowed: a whole number of at least 1"),
        ("--workers 2", "--workers: one training is one process; it is for --seeds"),
        ("--seeds 2 --scenario nowhere", "unknown scenario 'nowhere'"),
        ("--seeds 2 --hyperparams spread=-1", "climber: spread is -1"),
    ],
)
def test_bad_input_is_one_line(words: str, named: str) -> None:
    train.refuses(words, named)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--seeds 4", "leave out --seeds"),
        ("--agent climber", "leave out --agent"),
        ("--hyperparams spread=1", "leave out --hyperparams"),
    ],
)
def test_what_goes_on_is_as_it_was(words: str, named: str) -> None:
    several("--out", "out")
    TRAIN.refuses(f"--resume out {words}", named)


def test_the_picture_has_a_line_a_seed_and_their_mean() -> None:
    curves = {seed: [{"steps": 10 * i, "recent_cost_s": 1.0 + seed / (1 + i)} for i in range(5)] for seed in (0, 1)}
    figure = seed_curves(curves, get_family("toy"), True, "a title")
    (axes,) = figure.axes
    assert [list(line.get_ydata())[-1] for line in axes.lines] == pytest.approx([1000.0, 1200.0, 1100.0])
    assert axes.get_xlabel() == "steps of training"
    assert "cost (ms)" in axes.get_ylabel()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["seed 0", "seed 1", "mean over seeds"]
