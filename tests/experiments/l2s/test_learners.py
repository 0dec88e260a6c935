"""Learners on L2S decide in every round, and do the same after they are loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from splitgym.agents.registry import make_agent
from splitgym.envs import get_family
from splitgym.models.cuts import cut_points
from splitgym.models.lookup import get_model
from splitgym.models.plans import CutPlan

from ..brief import BRIEF

LEARNERS = BRIEF["l2s"].learners


def learner_of(agent: str, seed: int, env: Any) -> Any:
    pairs = (pair.split("=") for pair in LEARNERS[agent])
    return make_agent("l2s", agent, env, seed, **{name: int(value) for name, value in pairs})


@pytest.fixture
def env() -> Any:
    family = get_family("l2s")
    return gym.make(family.env_id, scenario="resnet34-gpu-60", disable_env_checker=True, rounds=20)


@pytest.mark.parametrize("agent", LEARNERS)
def test_a_learner_answers_dict_observations_the_same_after_loading(agent: str, env: Any, tmp_path: Path) -> None:
    learner = learner_of(agent, 0, env)
    learner.learn(6, None, lambda report: None)
    learner.save(tmp_path / "model")
    other = learner_of(agent, 1, env)
    other.load(tmp_path / "model")
    seen = [env.observation_space.sample() for _ in range(32)]
    observations = {name: np.stack([row[name] for row in seen]) for name in seen[0]}
    actions, _ = learner.predict(observations, None, np.ones(32, dtype=bool), deterministic=True)
    assert actions.shape == (32,)
    assert all(env.action_space.contains(action) for action in actions)
    assert np.array_equal(other.predict(observations, None, None, deterministic=True)[0], actions)
    assert (other.vec.episodes, other.vec.least) == (learner.vec.episodes, learner.vec.least)


@pytest.mark.parametrize("agent", LEARNERS)
def test_a_learner_decides_in_every_round_and_replays_no_plan(
    agent: str, env: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = learner_of(agent, 0, env)
    learner.learn(4, None, lambda report: None)
    assert not env.unwrapped.dynamics.plan_decides
    assert learner.best_plan is None
    learner.vec.best_plan = CutPlan("resnet34", cut_points(get_model("resnet34"))[4], types={})
    monkeypatch.setattr(learner.model, "predict", lambda observation, deterministic: (np.array([7, 9]), None))
    observation = {name: np.stack([value, value]) for name, value in env.reset(seed=0)[0].items()}
    assert learner.predict(observation)[0].tolist() == [7, 9]
