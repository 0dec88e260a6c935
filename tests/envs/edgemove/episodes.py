"""EdgeMove envs, episodes of random actions in them, observations in SI units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from splitgym.envs import FAMILIES
from splitgym.envs.edgemove.observation import View, view

ENV_ID = FAMILIES["edgemove"].env_id
SHORT: dict[str, Any] = {"on_device_s": 1000.0}


def make(scenario: str = "vgg16-cifar10-city", **kwargs: Any) -> Any:
    return gym.make(ENV_ID, scenario=scenario, disable_env_checker=True, **kwargs).unwrapped


def play(env: Any, rng: np.random.Generator, seed: int | None = 0) -> tuple[list[float], dict[str, Any]]:
    """(rewards, the last info) of an episode of random actions."""
    env.reset(seed=seed)
    rewards, done, info = [], False, {}
    space = env.action_space
    while not done:
        action = rng.integers(space.nvec) if hasattr(space, "nvec") else rng.integers(space.n)
        _, reward, done, _, info = env.step(action)
        rewards.append(reward)
    return rewards, info


def seen(env: Any, observation: dict[str, np.ndarray]) -> View:
    """A scalar env's observation in SI units."""
    return view({name: values[None] for name, values in observation.items()}, env.dynamics.system)


def write_places(file: Path, places: list[tuple[float, float]]) -> str:
    file.write_text("LATITUDE,LONGITUDE\n" + "".join(f"{a},{b}\n" for a, b in places))
    return str(file)
