"""Learners of schedules: what they carry out is the best that they met."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from splitgym.agents.registry import make_agent
from splitgym.envs import FAMILIES
from splitgym.envs.hiertrain.cost import iteration_s
from splitgym.experiments.play import play

SMALL = {"lanes": 8, "n_steps": 8, "batch_size": 32, "n_epochs": 1}


def env_of(scenario: str, **fields: Any) -> Any:
    return gym.make(FAMILIES["hiertrain"].env_id, scenario=scenario, **fields)


def test_the_best_plan_is_that_of_the_best_block() -> None:
    env = env_of("lenet5-3.5")
    learner: Any = make_agent("hiertrain", "ppo", env, 0, **SMALL)
    learner.learn(640, None, lambda report: None)
    system = env.unwrapped.dynamics.system
    seconds = iteration_s(system, system.schedule_of(learner.best_plan), *system.nominal)
    assert seconds == pytest.approx(learner.vec.best)
    assert learner.vec.best < np.mean(learner.vec.recent["iteration_s"])
    assert play(learner, env, 1).metrics["iteration_s"] == pytest.approx(learner.vec.best)


@pytest.mark.parametrize(
    ("scenario", "fields", "blocks", "steps"),
    [("lenet5-3.5", {}, 1, 400), ("lenet5-3.5", {"blocks": 7}, 7, 28), ("alexnet-drift", {}, 100, 400)],
)
def test_a_default_budget_is_of_as_many_blocks_either_way(
    scenario: str, fields: dict[str, Any], blocks: int, steps: int
) -> None:
    """Four episodes of the env, which are one block each in training where links are constant."""
    learner: Any = make_agent("hiertrain", "ppo", env_of(scenario, **fields), 0, **SMALL, episodes=4)
    assert learner.vec.env.dynamics.episode_steps == blocks
    assert learner.episodes * blocks == steps
