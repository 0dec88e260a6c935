"""Agents of the environment in fading.py: one that learns, and those that it is held against."""

from functools import partial

import numpy as np

from splitgym.agents.registry import AgentSpec, sb3_agent


class Always:
    """The same cut for every image, counted from an end as in a list."""

    def __init__(self, env, seed=0, cut=0):
        self.cut = range(env.action_space.n)[cut]

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.full(len(observation), self.cut), state


class Greedy:
    """The best cut at the rate that is seen: the optimum, as no choice changes what comes."""

    def __init__(self, env, seed=0):
        self.cut_s = env.unwrapped.dynamics.cut_s

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return self.cut_s(observation[:, 0].astype(float)).argmin(axis=1), state


PPO = partial(sb3_agent, "ppo", lanes=16, episodes=1600, n_steps=50, batch_size=200, gamma=0.0, learning_rate=3e-3)
AGENTS = (
    AgentSpec("ppo", "Stable-Baselines3's PPO", PPO, learns=True, seeded=True),
    AgentSpec("greedy", "the best cut at the rate that is seen", Greedy, reference=True),
    AgentSpec("device", "everything on the device", partial(Always, cut=-1), baseline=True, whole=True),
    AgentSpec("server", "everything on the server", Always, baseline=True, whole=True),
)
DEFAULT_AGENT, EVAL_AGENTS = "ppo", ("greedy", "device", "server")
