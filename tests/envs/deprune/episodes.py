"""Deprune envs, episodes in them, the weights of trainings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from splitgym.envs import FAMILIES
from splitgym.runtime.training.trainer import Training

ENV_ID = FAMILIES["deprune"].env_id


def make(**kwargs: Any) -> Any:
    return gym.make(ENV_ID, disable_env_checker=True, **kwargs).unwrapped


def make_batch(n: int, **kwargs: Any) -> Any:
    return gym.make_vec(ENV_ID, num_envs=n, **kwargs)


def play(
    env: Any, actions: Sequence[int] | np.ndarray, seed: int | None = 0
) -> tuple[list[float], list[dict[str, Any]]]:
    """(rewards, infos) of an episode, the last info with its metrics."""
    env.reset(seed=seed)
    rewards, infos = [], []
    for i, action in enumerate(actions):
        _, reward, done, _, info = env.step(int(action))
        rewards.append(reward)
        infos.append(info)
        assert done == (i == len(actions) - 1)
    return rewards, infos


def weights(training: Training) -> dict[str, torch.Tensor]:
    return {
        f"{i}.{n}": value.clone() for i, half in enumerate(training.halves) for n, value in half.state_dict().items()
    }


def same_weights(one: Training, other: Training) -> bool:
    mine, theirs = weights(one), weights(other)
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)
