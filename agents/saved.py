"""Agents from run folders, ready to predict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym

from ..envs import get_family
from ..ui.errors import InputError
from .protocol import Agent, Learner
from .registry import make_agent
from .run_folder import CONFIG, RunFolder


def load(run: str | Path, env: Any = None) -> Agent:
    """The agent of a run that ``splitgym-train`` has left, trained as far as the run has come.

    Args:
        run: the folder.
        env: a scalar env that it is to decide in, such as one with other links; by default :func:`env_of` the run.

    Returns:
        What answers ``predict(observation, state, episode_start, deterministic) -> (actions, state)`` on batched
        observations, as Stable-Baselines3's algorithms do.

    Raises:
        InputError: the folder is no run, holds no trained model, or an input of its scenario is gone.
    """
    folder = RunFolder.open(Path(run))
    config = folder.read_config()
    agent = make_agent(config.env, config.agent, env_of(run) if env is None else env, config.seed, **config.hyperparams)
    if isinstance(agent, Learner):
        folder.load_model(agent)
    return agent


def env_of(run: str | Path, **options: Any) -> Any:
    """The scalar env that a run was trained in.

    Args:
        options: on top of the run's own, ``render_mode`` included.

    Raises:
        InputError: the folder is no run, or its scenario can no longer be made.
    """
    folder = RunFolder.open(Path(run))
    config = folder.read_config()
    try:
        return gym.make(get_family(config.env).env_id, scenario=config.scenario, **{**config.env_kwargs, **options})
    except InputError as error:
        raise InputError(f"{folder.path / CONFIG}: {error}") from None
