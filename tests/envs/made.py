"""Envs of any family as tests make them, actions at random, and what a picture shows."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from splitgym.envs import FAMILIES, BatchEnv


def make(family: str, **kwargs: Any) -> Any:
    return gym.make(FAMILIES[family].env_id, disable_env_checker=True, **kwargs).unwrapped


def make_batch(family: str, n: int, **kwargs: Any) -> BatchEnv:
    env = gym.make_vec(FAMILIES[family].env_id, num_envs=n, **kwargs)
    assert isinstance(env, BatchEnv)
    return env


def random_action(env: gym.Env, rng: np.random.Generator) -> Any:
    space = env.action_space
    if isinstance(space, gym.spaces.Discrete):
        return rng.integers(space.n)
    if isinstance(space, gym.spaces.MultiDiscrete):
        return rng.integers(space.nvec)
    assert isinstance(space, gym.spaces.Box)
    return rng.uniform(-1, 1, space.shape).astype(np.float32)


def colours(frame: np.ndarray) -> int:
    """How many colours a picture has."""
    return len(np.unique(frame @ np.array([1 << 16, 1 << 8, 1])))
