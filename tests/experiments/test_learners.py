"""Agents that learn, of every family: trained, evaluated, interrupted and gone on with from the command line."""

from __future__ import annotations

import re
import signal
from typing import Any

import pytest

from splitgym.agents.sb3 import Sb3Learner

from ..command_line import by_agent, files, metrics, read, rows
from .brief import BRIEF, TRAIN, Brief

pytestmark = pytest.mark.usefixtures("scratch", "undrawn", "hurried", "alone")

STEPS = {"distredge": 3, "l2s": 20, "hiertrain": 2, "deprune": 4}  # of an episode; EdgeMove's walks differ


def learners(*fast: tuple[str, str]) -> list[Any]:
    """(family, agent): all that learn, the others marked slow."""
    every = [(brief.name, agent) for brief in BRIEF.values() for agent in brief.learners]
    return [pytest.param(*pair, marks=[] if pair in fast else pytest.mark.slow) for pair in every]


def check_result(brief: Brief, episodes: int) -> None:
    result = read("run/result.json")
    assert (result["episodes"], result["finished"], result["interrupted"]) == (episodes, True, False)
    if brief.name in STEPS:
        assert result["steps"] == episodes * STEPS[brief.name]
    assert result["results"][0]["kind"] == "trained"


def reported() -> list[int]:
    """Episodes of the points of the curve behind its beginning."""
    return [episodes for row in rows("run/curve.csv") if (episodes := int(row["episodes"]))]


@pytest.mark.parametrize(("name", "agent"), learners(*((name, "ppo") for name in BRIEF), ("l2s", "dqn")))
def test_a_learner_is_trained_and_gone_on_with(name: str, agent: str) -> None:
    brief = BRIEF[name]
    brief.learn(agent)("--episodes", "6", "--out", "run")
    written = {"config.json", "plan.json", "result.json", "curve.csv", "learning_curve.png"}
    assert {*written, "model/model.zip", "model/learner.json", "model/progress.json"} <= files("run")
    check_result(brief, 6)
    assert reported() == [2, 4, 6]  # a point for what ends
    assert ("episode.png" in files("run")) == (name != "distredge")  # it has no traces
    assert (read("run/model/learner.json")["best_plan"] is None) == (name == "l2s")  # a plan is one round's choice
    brief.evaluate("--scenarios", brief.random, "--agents", agent, *brief.kwargs, "--runs", "run", "--out", "out")
    assert by_agent("out")[agent] == metrics("run", agent)
    TRAIN.refuses(["--resume", "run"], "has spent its budget (6 episodes)")
    TRAIN("--resume", "run", "--episodes", "10")
    check_result(brief, 10)
    assert reported() == [2, 4, 6, 8, 10]


@pytest.mark.parametrize(("name", "agent"), learners(("l2s", "ppo"), ("l2s", "dqn")))
def test_an_interrupted_training_goes_on(name: str, agent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    report = Sb3Learner.report

    def interrupted(self: Sb3Learner, *rest: Any) -> Any:
        if self.vec.episodes >= 4:
            monkeypatch.setattr(Sb3Learner, "report", report)
            signal.raise_signal(signal.SIGINT)
        return report(self, *rest)

    monkeypatch.setattr(Sb3Learner, "report", interrupted)
    brief = BRIEF[name]
    called = brief.learn(agent)("--episodes", "10", "--out", "run", code=130)
    assert re.search(r"interrupted after 4 episodes; go on with: .* --resume run", called.err)
    result = read("run/result.json")
    assert (result["interrupted"], result["finished"]) == (True, False)
    TRAIN("--resume", "run")
    check_result(brief, 10)
