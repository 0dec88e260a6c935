"""Agents from run folders, those that the suite ships among them, ready to predict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym

from ..envs import get_family
from ..ui.errors import InputError
from .protocol import Agent, Learner
from .registry import check_family, make_agent
from .run_folder import CONFIG, RunFolder

PRETRAINED = Path(__file__).parent / "pretrained"  # a run folder a family
_PREFIX = "pretrained:"


def pretrained(family: str) -> Path:
    """The run folder of the trained agent that the suite ships for a family.

    Raises:
        InputError: there is none.
    """
    found = sorted(path.parent.name for path in PRETRAINED.glob(f"*/{CONFIG}"))
    if family not in found:
        raise InputError(f"no agent of {family} comes with the suite; there are those of {', '.join(found)}")
    return PRETRAINED / family


def _folder(run: str | Path) -> RunFolder:
    text = str(run)
    return RunFolder.open(pretrained(text.removeprefix(_PREFIX)) if text.startswith(_PREFIX) else Path(run))


def load(run: str | Path, env: Any = None) -> Agent:
    """The agent of a run that ``splitgym-train`` has left, trained as far as the run has come.

    Args:
        run: the folder, or ``pretrained:`` and a family for the agent that the suite ships.
        env: a scalar env that it is to decide in, such as one with other links; by default :func:`env_of` the run.

    Returns:
        What answers ``predict(observation, state, episode_start, deterministic) -> (actions, state)`` on batched
        observations, as Stable-Baselines3's algorithms do.

    Raises:
        InputError: the folder is no run, holds no trained model, the env is of another family, or an input of the
            run's scenario is gone.
    """
    folder = _folder(run)
    config = folder.read_config()
    env = env_of(run) if env is None else env
    check_family(f"run {run}", config.env, env)
    agent = make_agent(config.env, config.agent, env, config.seed, **config.hyperparams)
    if isinstance(agent, Learner):
        folder.load_model(agent)
    return agent


def env_of(run: str | Path, **options: Any) -> Any:
    """The scalar env that a run was trained in.

    Args:
        run: as of :func:`load`.
        options: on top of the run's own, ``render_mode`` included.

    Raises:
        InputError: the folder is no run, or its scenario can no longer be made.
    """
    folder = _folder(run)
    config = folder.read_config()
    try:
        return gym.make(get_family(config.env).env_id, scenario=config.scenario, **{**config.env_kwargs, **options})
    except InputError as error:
        raise InputError(f"{folder.path / CONFIG}: {error}") from None
