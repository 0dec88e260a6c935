"""HierTrain's envs, made and played through."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from splitgym.envs.core import BatchEnv
from splitgym.envs.hiertrain.env import HierTrainEnv


def make(scenario: str = "alexnet-3.5", **kwargs: Any) -> HierTrainEnv:
    env = gym.make("splitgym/HierTrain-v0", disable_env_checker=True, scenario=scenario, **kwargs).unwrapped
    assert isinstance(env, HierTrainEnv)
    return env


def make_batch(n: int, scenario: str = "alexnet-3.5", **kwargs: Any) -> BatchEnv:
    env = gym.make_vec("splitgym/HierTrain-v0", num_envs=n, scenario=scenario, **kwargs)
    assert isinstance(env, BatchEnv)
    return env


def play(env: HierTrainEnv, agent: Any, seed: int | None = None) -> tuple[list[dict[str, Any]], list[float], dict]:
    """What every block of an episode tells, its rewards, and the info at the end.

    ``agent`` is one of the family's, or anything that holds an action for every block.
    """
    observation, _ = env.reset(seed=seed)
    blocks, rewards, info, state, done, start = [], [], {}, None, False, True
    while not done:
        if hasattr(agent, "predict"):
            actions, state = agent.predict(observation[None], state, np.array([start]))
            action = actions[0]
        else:
            action = agent[len(blocks)]
        observation, reward, done, _, info = env.step(action)
        blocks.append(info["block"])
        rewards.append(reward)
        start = False
    return blocks, rewards, info


def random_actions(env: HierTrainEnv, seed: int = 0) -> np.ndarray:
    rng, blocks = np.random.default_rng(seed), env.dynamics.episode_steps
    return rng.uniform(-1.0, 1.0, (blocks, 8)).astype(np.float32)


def rates_of(trace: dict[str, np.ndarray]) -> np.ndarray:
    return np.array([trace["device_edge_mbps"], trace["edge_cloud_mbps"]])
