"""Agents that are made in less time than by default, and batches of environments for them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from splitgym.agents.protocol import Agent
from splitgym.agents.registry import make_agent
from splitgym.envs import FAMILIES

# Less work than the hyperparameter files ask for, where making an agent already is work.
QUICK: dict[tuple[str, str], dict[str, Any]] = {
    ("distredge", "joint"): {"population": 64, "parents": 16, "patience": 1, "rounds": 1},
    ("distredge", "risk-seeking"): {"lanes": 8},
    ("distredge", "online"): {"actor_net": [8], "critic_net": [8], "batch_size": 8, "episodes": 3},
}


def make_batch(family: str, lanes: int, **kwargs: Any) -> Any:
    return gym.make_vec(FAMILIES[family].env_id, num_envs=lanes, autoreset_mode="SameStep", **kwargs)


def quick_agent(family: str, name: str, env: Any, seed: int = 0) -> Agent:
    return make_agent(family, name, env, seed, **QUICK.get((family, name), {}))
