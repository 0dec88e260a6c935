"""Envs keep their state through refused actions and copies, and end episodes at a limit of steps."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode

from splitgym.envs import FAMILIES
from splitgym.ui.errors import InputError

QUICK: dict[str, dict[str, Any]] = {
    "distredge": {},
    "l2s": {"rounds": 4},
    "edgemove": {"on_device_s": 300.0},
    "hiertrain": {"blocks": 4},
    "deprune": {"epochs": 4},
}
FAMILY_NAMES = list(FAMILIES)


def actions_of(env: Any, rng: np.random.Generator) -> np.ndarray:
    env.action_space.seed(int(rng.integers(2**31)))
    return env.action_space.sample()


def wrong(actions: np.ndarray) -> np.ndarray:
    """Actions that no env admits."""
    return np.full_like(actions, np.nan) if actions.dtype.kind == "f" else np.full_like(actions, -1)


@pytest.mark.parametrize("mode", ["NextStep", "Disabled"])
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_a_refused_action_changes_nothing(family: str, mode: str) -> None:
    rng = np.random.default_rng(0)
    env, twin = (
        gym.make_vec(FAMILIES[family].env_id, num_envs=2, autoreset_mode=mode, **QUICK[family]) for _ in range(2)
    )
    first = actions_of(env, rng)
    for each in (env, twin):  # then out of step, so that they end one after another
        each.reset(seed=3)
        each.step(first)
        each.reset(options={"reset_mask": np.array([True, False])})
    ignored = False  # where all lanes are reset, NextStep ignores the action
    for _ in range(2 * env.unwrapped.dynamics.episode_steps + 3):  # type: ignore[attr-defined]
        actions = actions_of(env, rng)
        if not ignored:
            with pytest.raises(ValueError, match="action"):
                env.step(wrong(actions))
        observation, reward, terminated, _, _ = env.step(actions)
        expected = twin.step(actions)
        assert np.array_equal(reward, expected[1])
        assert np.array_equal(terminated, expected[2])
        assert str(observation) == str(expected[0])
        ignored = mode == "NextStep" and bool(terminated.all())
        if mode == "Disabled" and terminated.any():
            for each in (env, twin):
                each.reset(options={"reset_mask": terminated})


@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
@pytest.mark.parametrize("vector", [False, True], ids=["scalar", "vector"])
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_a_copys_observations_are_the_users_alone(family: str, vector: bool, how: str) -> None:
    made: Any = (
        gym.make_vec(FAMILIES[family].env_id, num_envs=2, **QUICK[family])
        if vector
        else gym.make(FAMILIES[family].env_id, disable_env_checker=True, **QUICK[family]).unwrapped
    )
    made.reset(seed=0)
    env = copy.deepcopy(made) if how == "deepcopy" else pickle.loads(pickle.dumps(made))
    first, _ = env.reset(seed=1)
    values = copy.deepcopy(first)
    for array in first.values() if isinstance(first, dict) else [first]:
        try:
            array *= 0.5
        except ValueError:
            assert vector  # what never changes may be read-only there
    again, _ = env.reset(seed=1)
    assert str(again) == str(values)


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
@pytest.mark.parametrize("limit", [1, 2, "the episode's"])
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_a_limit_of_steps_truncates_as_gymnasiums_wrapper_does(family: str, limit: int | str, mode: str) -> None:
    env_id, rng = FAMILIES[family].env_id, np.random.default_rng(0)
    most = limit if isinstance(limit, int) else length_of(family)
    options = {"num_envs": 3, "max_episode_steps": most, **QUICK[family]}
    lanes = gym.make_vec(env_id, autoreset_mode=mode, **options)
    envs = gym.make_vec(
        env_id, vectorization_mode="sync", vector_kwargs={"autoreset_mode": AutoresetMode(mode)}, **options
    )
    assert data_equivalence(lanes.reset(seed=0)[0], envs.reset(seed=0)[0])
    cuts = 0
    for _ in range(3 * (most + 1)):
        actions = actions_of(lanes, rng)
        found, expected = lanes.step(actions)[:4], envs.step(actions)[:4]
        assert data_equivalence(found, expected, exact=True)
        cuts += int(found[3].sum())
    assert cuts >= 3


def length_of(family: str) -> int:
    """Steps of an episode at random."""
    env = gym.make_vec(FAMILIES[family].env_id, num_envs=1, **QUICK[family])
    env.reset(seed=0)
    return next(i for i in range(1, 10_000) if env.step(actions_of(env, np.random.default_rng(i)))[2][0])


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(InputError, match="max_episode_steps is 0, allowed: 1 or more"):
        gym.make_vec("splitgym/L2S-v0", num_envs=2, max_episode_steps=0)
