"""A disk that is full: one line that names the file, nothing half-written, and what was there stays."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from shutil import rmtree

import pytest

from splitgym.agents.registry import get_spec, make_agent
from splitgym.envs import get_family
from splitgym.experiments.play import make_env, options_for
from splitgym.ui.errors import InputError
from splitgym.ui.files import writing

from ..command_line import contents, names, read
from ..disk import REFUSAL, no_room
from .brief import BRIEF, Brief

pytestmark = pytest.mark.usefixtures("scratch", "undrawn", "hurried", "alone")

ENOUGH = 12_000  # bytes: for the config of a run, not for a network


@pytest.fixture(params=BRIEF)
def brief(request: pytest.FixtureRequest) -> Brief:
    compile_kernels(request.param)
    return BRIEF[request.param]


@cache
def compile_kernels(name: str) -> None:
    """They are kept as files, which may need room."""
    BRIEF[name].play(BRIEF[name].planner)("--out", "compiled")
    rmtree("compiled")


def test_a_run_that_cannot_be_written_leaves_nothing(brief: Brief) -> None:
    with no_room():
        called = brief.play(brief.planner)("--out", "new/run", code=2)
    assert called.told[-1] == f"splitgym-train: new/run/config.json: {REFUSAL}"
    assert names() == []


def test_an_evaluation_that_cannot_be_written_still_shows_its_table(brief: Brief) -> None:
    words = ("--scenarios", brief.scenario, "--agents", brief.planner, *brief.kwargs)
    with no_room():
        called = brief.evaluate(*words, "--out", "new/out", code=2)
    assert called.told[-1] == f"splitgym-eval: new/out/results.csv: {REFUSAL}"
    assert brief.planner in called.out
    assert names() == []


def test_a_model_that_cannot_be_written_is_the_one_before(brief: Brief) -> None:
    with no_room(ENOUGH):
        called = brief.learn("ppo")("--episodes", "2", "--out", "run", code=2)
    assert called.told[-1] == f"splitgym-train: run/model: {REFUSAL}"
    assert names() == []
    brief.learn("ppo")("--episodes", "2", "--out", "run")
    before = contents()
    with no_room(ENOUGH):
        called = brief.train("--resume", "run", "--episodes", "4", code=2)
    assert called.told[-1].startswith(f"splitgym-train: run/model: {REFUSAL}; the last checkpoint goes on with: ")
    assert called.told[-1].endswith(" --resume run")
    assert {**contents(), "run/config.json": None} == {**before, "run/config.json": None}
    brief.train("--resume", "run", "--episodes", "4")
    assert read("run/result.json")["episodes"] >= 4


@pytest.mark.parametrize("name", ["osds", "risk-seeking"])
def test_networks_that_cannot_be_written_are_one_line(name: str) -> None:
    family, spec = get_family("distredge"), get_spec("distredge", name)
    env = make_env(family, "DB-50", options_for(spec, {"model": "lenet5"}))
    agent = make_agent("distredge", name, env)
    with pytest.raises(InputError, match=r"^there: cannot be written \(File too large\)$"), no_room(), writing("there"):
        agent.save(Path("model"))  # type: ignore[attr-defined]
