"""One clear line of splitgym-train for bad input: words, folders, and runs that are not what they were."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from splitgym.ui.programs import needs

from ..command_line import edit, names
from ..envs.toy_family import registered
from .brief import TRAIN, undraw

pytestmark = pytest.mark.usefixtures("scratch", "toy", "undrawn")

train = TRAIN.of("--env", "toy")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three episodes."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    with registered(), pytest.MonkeyPatch.context() as patch:
        undraw(patch)
        train("--episodes", "3", "--out", str(folder))
    return folder


@pytest.fixture
def run(trained: Path, scratch: Path) -> Path:
    """A copy of it in the working directory."""
    return Path(shutil.copytree(trained, "run"))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--env nowhere", "unknown environment 'nowhere'; known: distredge, "),
        ("--scenario nowhere", "unknown scenario 'nowhere'; known: near, far, noisy"),
        ("--agent nobody", "unknown agent 'nobody' for toy; known: climber"),
        ("--colour red", "unrecognized arguments: --colour red"),
        ("--epis 3", "unrecognized arguments: --epis 3"),
        ("--sceanrio near", "--sceanrio near (did you mean --scenario? see splitgym-train --help)"),
        ("--episodes -3", "--episodes: is '-3', allowed: a whole number of at least 1"),
        ("--episodes many", "--episodes: is 'many'"),
        ("--steps 0", "--steps: is '0'"),
        ("--episodes 3 --steps 9", "--episodes and --steps"),
        ("--seed -1", "--seed: is '-1', allowed: a whole number from 0 to 4294967295"),
        (
            "--seed 4294967295 --seeds 2",
            "--seed 4294967295 --seeds 2: the last seed is 4294967296, allowed: 0 to 42949",
        ),
        ("--track sometimes", "invalid choice: 'sometimes'"),
        ("--env-kwargs scale", "'scale' is not of the form name=value"),
        ("--env-kwargs scale=[1,", "the value of scale, '[1,', is neither"),
        ("--env-kwargs scale=.nan", "the value of scale, '.nan', is neither a finite number"),
        ("--env-kwargs scale=1 scale=2", "scale is given twice"),
        ("--env-kwargs scale=wide", "scale is 'wide', allowed: a number"),
        ("--env-kwargs colour=red", "unknown option 'colour'; known: scale, known"),
        ("--env-kwargs scenario=far", "scenario has its own option, --scenario"),
        ("--env-kwargs render_mode=human", "render_mode is not an option"),
        ("--agent refuser --env-kwargs known=true", "agent refuser needs known=False, not True"),
        ("--hyperparams speed=3", "agent climber: unknown hyperparameter 'speed'"),
        ("--hyperparams seed=3", "seed is not a hyperparameter"),
        ("--hyperparams spread=-1", "spread is -1, it must be positive"),
        ("--hyperparams spread=13", "agent climber: thirteen will not do"),
        ("--agent middle --episodes 5", "--episodes: agent middle is not trained beforehand"),
        ("--agent refuser", "this scenario is not for me"),
        ("--env distredge --trace-factor 2", "--trace-factor scales the rates of --trace, which is missing"),
        (
            "--env distredge --trace a.txt --trace-factor 0",
            "--trace-factor: is '0', allowed: a finite number above 0",
        ),
        ("--resume nowhere", "nowhere: is not a folder"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(words: str, named: str) -> None:
    train.refuses(words, named)


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.startswith(("splitgym.agents.sb3", "splitgym.agents.distredge.osds"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    called = TRAIN("--agent", "ppo", "--out", "run", code=2)
    expected = f"splitgym-train: agent ppo {needs('stable_baselines3')}\n"
    assert called.err.endswith(expected)
    assert names() == []


# Runs.


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--scenario far", "--resume run: is a run with scenario near, not far"),
        ("--env distredge", "--resume run: is a run with env toy, not distredge"),
        ("--agent middle", "--resume run: is a run with agent climber, not middle"),
        ("--seed 9", "--resume run: is a run with seed 0, not 9"),
        ("--out other", "leave out --out"),
        ("--env-kwargs scale=2", "leave out --env-kwargs"),
        ("--trace a.txt", "leave out --trace"),
        ("--hyperparams spread=2", "leave out --hyperparams"),
    ],
)
@pytest.mark.usefixtures("run")
def test_a_run_is_resumed_as_what_it_is(words: str, named: str) -> None:
    TRAIN.refuses(f"--resume run --episodes 9 {words}", named)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"env": "nowhere"}, "unknown environment 'nowhere'"),
        ({"agent": "nobody"}, "unknown agent 'nobody'"),
        ({"hyperparams": {"spread": -1}}, "spread is -1, it must be positive"),
        ({"env_kwargs": {"colour": "red"}}, "unknown option 'colour'"),
    ],
)
def test_a_broken_config_is_named(change: dict[str, Any], named: str, run: Path) -> None:
    edit(run / "config.json", **change)
    called = TRAIN("--resume", "run", "--episodes", "9", code=2)
    (line,) = called.told
    assert line.startswith("splitgym-train: run/config.json: ")
    assert named in line


def test_a_changed_table_is_noticed(monkeypatch: pytest.MonkeyPatch, run: Path) -> None:
    monkeypatch.setattr("tests.envs.toy_family.FINGERPRINT", "other")
    TRAIN.refuses("--resume run --episodes 9", "run: a table, trace or model file of near has changed since the run")


def test_a_run_whose_scenario_has_changed_is_refused(run: Path) -> None:
    edit(run / "config.json", settings={"name": "near", "scale": 3.0}, env_kwargs={"scale": 2})
    TRAIN.refuses("--resume run --episodes 9", "scale is 3.0 there, 2 is asked for")


def test_folders_that_are_taken_are_refused() -> None:
    train("--agent", "middle", "--out", "run")
    Path("notes").mkdir()
    Path("notes/mine.txt").write_text("mine")
    for out, named in (("run", "already holds a run"), ("notes", "is not empty"), ("notes/mine.txt", "is a file")):
        train.refuses(f"--agent middle --out {out}", f"--out {out}: {named}")
    TRAIN.refuses("--resume run", "agent middle is not trained beforehand")
    TRAIN.refuses("--resume notes", "notes: is not a run folder, config.json is missing")
