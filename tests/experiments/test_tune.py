"""splitgym-train --tune: trials of declared hyperparameters, pruned, resumed, and the file that others read."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml

from splitgym.agents.hyperparam_types import Hyperparams, Search, search_space
from splitgym.agents.registry import agents_of, hyperparams_of
from splitgym.envs import FAMILIES
from splitgym.experiments import tune_command, tune_trial
from splitgym.experiments.tune_trial import storage_of
from splitgym.ui.validation import Count, Positive

from ..command_line import by_agent, metrics, names, read, values
from ..envs import toy_family
from ..envs.toy_family import Climber
from .brief import EVALUATE, TRAIN, interrupt_at

optuna = pytest.importorskip("optuna")
pytestmark = pytest.mark.usefixtures("scratch", "toy", "undrawn")

TOY = TRAIN.of("--env", "toy", "--track", "off")
train, evaluate = TOY.of("--scenario", "far"), EVALUATE.of("--env", "toy")
tune = train.of("--workers", "1", "--episodes", "10")


class Climbing(Hyperparams):
    """Of the toy family's learner."""

    spread: Annotated[Positive, Search(0.01, 2.0, log=True)] = 0.3
    episodes: Count = 60


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = toy_family.AGENTS
    monkeypatch.setattr(toy_family, "AGENTS", (replace(first, hyperparams=Climbing), *others))


def trials(out: str) -> list[Any]:
    with storage_of(Path(out)) as storage:
        return optuna.load_study(study_name="splitgym", storage=storage).trials


def test_the_best_trial_is_written_as_a_file_that_both_commands_read() -> None:
    called = tune("--tune", "6", "--out", "out")
    found = trials("out")
    assert {trial.state.name for trial in found} <= {"COMPLETE", "PRUNED"}
    assert len(found) == 6
    best = min((t for t in found if t.state.name == "COMPLETE"), key=lambda t: t.value)
    assert yaml.safe_load(Path("out/best.yaml").read_text()) == {"climber": {"default": best.params}}
    assert "--hyperparams-file out/best.yaml" in called.out
    train("--hyperparams-file", "out/best.yaml", "--episodes", "10", "--out", "run")
    assert read("run/config.json")["hyperparams"] == best.params
    assert metrics("run", "climber")["cost_s"] == pytest.approx(best.value)
    words = ("--scenarios", "far", "--agents", "climber", "--train-episodes", "10")
    evaluate(*words, "--hyperparams-file", "out/best.yaml", "--out", "eval")
    assert by_agent("eval")["climber"]["cost_s"] == pytest.approx(best.value)


def test_a_study_is_the_same_again_and_goes_on() -> None:
    tune("--tune", "5", "--out", "whole")
    tune("--tune", "2", "--out", "out")
    TRAIN("--resume", "out", "--tune", "5", "--workers", "1")
    assert [t.params for t in trials("out")] == [t.params for t in trials("whole")]
    assert Path("out/best.yaml").read_text() == Path("whole/best.yaml").read_text()


def test_the_first_trial_is_what_the_agent_has_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune_command, "hyperparams_of", lambda *_: {"spread": 0.25, "lanes": 3})
    tune("--tune", "3", "--out", "out")
    first, *others = trials("out")
    assert first.params["spread"] == 0.25
    assert all(trial.params["spread"] != 0.25 for trial in others)


def test_trials_are_numbered_by_what_they_try_whoever_asks_first() -> None:
    tune("--tune", "1", "--seed", "4294967295", "--out", "out")
    search = tune_trial.Search(**{k: v for k, v in read("out/tune.json").items() if k != "schema"})
    for number in (2, 1):
        tune_trial.run_trial(search, "out", number, lambda share: None)
    called = TRAIN("--resume", "out", "--tune", "3", "--workers", "1")
    told = sorted(trials("out"), key=lambda trial: trial.value if trial.value is not None else 9.0)
    best = next(trial.user_attrs[tune_trial.PIECE] for trial in told if trial.state.name == "COMPLETE")
    assert f"# trial {best} of 3 on far" in Path("out/best.yaml").read_text()
    assert "3 trials to their end" in called.out


def test_one_trial_comes_to_its_end() -> None:
    assert "climber, 1 trial to its end, 0 pruned" in tune("--tune", "1", "--out", "out").out


def test_an_interrupted_study_keeps_its_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_at(15, monkeypatch)  # in the second trial
    assert "--resume out" in tune("--tune", "3", "--out", "out", code=130).err
    assert [trial.state.name for trial in trials("out")] == ["COMPLETE", "FAIL"]
    monkeypatch.setattr(Climber, "on_episode", None)
    TRAIN("--resume", "out", "--workers", "1")
    assert sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in trials("out")) == 3
    assert names("out/trials") == ["0", "1", "2"]
    assert re.match(r"# trial [012] of 3 on far", Path("out/best.yaml").read_text())


def test_trials_that_fall_behind_are_pruned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune_trial, "STARTUP_TRIALS", 1)
    monkeypatch.setattr(tune_trial, "FIRST_RUNG", 0)
    tune("--tune", "10", "--out", "out")
    pruned = [trial for trial in trials("out") if trial.state.name == "PRUNED"]
    assert 0 < len(pruned) < 10
    assert all(len(trial.intermediate_values) < 10 for trial in pruned)


def test_what_is_given_is_not_searched() -> None:
    tune.refuses("--tune 2 --hyperparams spread=0.1", "--tune: agent climber declares no hyperparameter to search")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--tune 2 --agent middle", "--tune: agent middle is not trained beforehand"),
        ("--tune 0", "--tune: is '0', allowed: a whole number of at least 1"),
        ("--tune 2 --seeds 2", "--seeds and --tune are two things"),
        ("--tune 2 --ray local", "--tune: its trials share a file of this machine"),
        ("--tune 2 --hyperparams episodes=0", "episodes is 0, allowed: 1 or more"),
        ("--hyperparams-file nowhere.yaml", "nowhere.yaml: cannot be read"),
    ],
)
def test_bad_input_is_one_line(words: str, named: str) -> None:
    train.refuses(words, named)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "file.yaml: is not YAML"),
        ("[1]", "file.yaml: is [1], allowed: agent: {default: {name: value}"),
        ("nobody: {default: {spread: 1}}", "file.yaml: unknown agent 'nobody' for toy; known: climber"),
        ("climber: {spread: 1}", "file.yaml: climber: spread: is 1, allowed: agent:"),
        ("climber: {default: {spread: -1}}", "agent climber: spread is -1, allowed: "),
        ("climber: {default: {sprad: 1}}", "agent climber: unknown hyperparameter 'sprad'"),
    ],
)
def test_a_damaged_file_is_one_line(text: str, named: str) -> None:
    Path("file.yaml").write_text(text)
    train.refuses("--hyperparams-file file.yaml", named)
    evaluate.refuses("--agents climber --hyperparams-file file.yaml", named)


def test_a_file_has_values_by_scenario_and_the_command_line_is_on_top() -> None:
    Path("file.yaml").write_text("climber: {default: {spread: 0.5, episodes: 3}, far: {spread: 0.25}}")
    words = ("--scenarios", "near,far", "--agents", "climber", "--hyperparams-file", "file.yaml")
    evaluate(*words, "--hyperparams", "episodes=4", "--out", "out")
    found = {name: read(f"out/runs/toy-{name}-climber-s0/config.json")["hyperparams"] for name in ("near", "far")}
    assert found == {"near": {"spread": 0.5, "episodes": 4}, "far": {"spread": 0.25, "episodes": 4}}
    assert len(values("out", "cost_s")) == 2


@pytest.mark.parametrize("family", FAMILIES)
def test_what_learners_have_by_themselves_lies_where_it_is_searched(family: str) -> None:
    for name, spec in agents_of(family).items():
        space = search_space(spec.hyperparams) if spec.learns and spec.hyperparams else {}
        own = {key: value for key, value in hyperparams_of(family, name, "").items() if key in space}
        assert all(space[key][0].low <= value <= space[key][0].high for key, value in own.items()), name
        assert space or not spec.learns, name
