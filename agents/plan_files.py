"""A plan file as an agent: the same for every family but for the kind of plan and for who carries it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from ..models.plans import Plan, load_plan
from ..ui.errors import InputError
from .hyperparam_types import Hyperparams
from .protocol import Agent
from .registry import AgentSpec

Follow = Callable[[Any, Any], Agent]  # env, plan


def plan_spec(
    kind: type[Plan],
    follow: Follow,
    path: str,
    env_kwargs: Mapping[str, Any] = MappingProxyType({}),
    needs: Sequence[str] | None = None,
) -> AgentSpec:
    """The agent that follows a plan file.

    Args:
        kind: of the plans that the family has.
        follow: makes the agent from an env and a plan; refuses what does not fit the env with an ``InputError``.
        path: of the file.
        env_kwargs, needs: how the agent wants its env made, and what of it must be; see :class:`AgentSpec`.
    """
    make = partial(_from_file, kind, follow, path)
    return AgentSpec(path, f"follows {path}", make, env_kwargs, from_file=True, hyperparams=Hyperparams, needs=needs)


def _from_file(kind: type[Plan], follow: Follow, path: str, env: Any, seed: int = 0) -> Agent:
    system = env.unwrapped.dynamics.system
    plan = load_plan(path, system.model, kind)
    try:
        plan.check_types(system.device_types, system.scenario.name)
        return follow(env, plan)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
