"""One evaluation loop for every agent: heuristics, planners, bandits and networks alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from ..agents.protocol import Agent
from ..agents.registry import AgentSpec, make_agent
from ..envs import Family
from ..ui.errors import InputError
from .results import Result


@dataclass(frozen=True)
class Played:
    """Episodes that an agent played.

    Attributes:
        metrics: every metric of the family, summarised over the episodes.
        episodes: how many.
        plan: the plan of the last episode as JSON data, None where the env reports none (a vector env never does).
        trace: the last episode step by step, what the agent explains included: name -> (steps,); None likewise.
        series: the episodes one after another, name -> (episodes, ...): their metrics, what the env tells of each as
            ``info["series"]``, and what the agent explains at its end; None where the env tells nothing.
    """

    metrics: dict[str, float]
    episodes: int
    plan: Mapping[str, Any] | None
    trace: Mapping[str, np.ndarray] | None = None
    series: Mapping[str, np.ndarray] | None = None


def make_env(family: Family, scenario: str, options: Mapping[str, Any]) -> Any:
    """The scalar env of a scenario.

    Raises:
        InputError: unknown scenario or option, or a value that is not allowed.
    """
    return gym.make(family.env_id, scenario=scenario, disable_env_checker=True, **options)


def options_for(spec: AgentSpec, options: Mapping[str, Any]) -> dict[str, Any]:
    """Env options for an agent: a learner trains on what the user asks for, a planner needs the env that it was
    written for."""
    if spec.learns:
        return {**spec.env_kwargs, **options}
    return {**options, **spec.env_kwargs}


def build_agent(family: Family, name: str, env: Any, seed: int, hyperparams: Mapping[str, Any]) -> Agent:
    """An agent for an env, with one line for what goes wrong.

    Args:
        hyperparams: on top of those of the YAML file.

    Raises:
        InputError: a hyperparameter that the agent cannot be made with, or a package is missing.
    """
    try:
        return make_agent(family.name, name, env, seed, **hyperparams)
    except InputError:
        raise
    except (ValueError, TypeError, AssertionError) as error:
        if not hyperparams:  # then it is no matter of input
            raise
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"agent {name}: {reason}") from error


def evaluate(agent: Agent, env: Any, episodes: int | None = None, seed: int = 0) -> dict[str, float]:
    """Play episodes without exploration and summarise ``info["metrics"]`` as the family declares it.

    Args:
        agent: what decides.
        env: a scalar env, or a vector env with same-step reset (its lanes share the episodes evenly).
        episodes: how many; the family's own number when None.
        seed: of the env's first reset.

    Returns:
        Metric name -> mean, sum or last value over the episodes.
    """
    return play(agent, env, episodes, seed).metrics


def play(
    agent: Agent,
    env: Any,
    episodes: int | None = None,
    seed: int = 0,
    on_share: Callable[[float], None] | None = None,
    stopping: Callable[[], bool] | None = None,
) -> Played:
    """:func:`evaluate` with the last episode's plan and trace.

    Args:
        on_share: is told how much is done, 0..1.
        stopping: asked at every end of an episode whether it was the last.
    """
    dynamics = env.unwrapped.dynamics
    count = int(dynamics.eval_episodes if episodes is None else episodes)
    lanes = _VectorLanes(env) if isinstance(env.unwrapped, VectorEnv) else _ScalarLane(env)
    quota = np.full(lanes.count, count // lanes.count)
    quota[: count % lanes.count] += 1
    found: list[Mapping[str, float]] = []
    series: list[Mapping[str, Any]] = []
    plan = trace = None
    explained = Explanations(agent)
    observation, state, starts = lanes.reset(seed), None, np.ones(lanes.count, dtype=bool)
    steps, all_steps = 0, count * dynamics.episode_steps
    while quota.any():
        actions, state = agent.predict(observation, state, starts, deterministic=True)
        explained.add(state, starts)
        observation, starts, ended = lanes.step(actions)
        steps += lanes.count
        if on_share is not None:
            on_share(min(1.0, steps / all_steps))
        for lane, info in ended:
            if quota[lane]:
                quota[lane] -= 1
                found.append(info["metrics"])
                plan = info.get("plan")
                trace = {**info["trace"], **explained.of(lane)} if info.get("trace") else None
                if info.get("series"):
                    series.append({**info["metrics"], **info["series"], **explained.last(lane)})
        if ended and stopping is not None and stopping():
            break
        if starts.any() and quota.any():
            observation = lanes.reset_ended(observation)
    columns = {name: np.array([row[name] for row in series]) for name in series[0]} if series else None
    return Played(_summary(found, dynamics.metric_kinds), len(found), plan, trace, columns)


class Explanations:
    """What stands behind an agent's decisions, for agents that have ``explain(state) -> name -> (lanes,)``."""

    def __init__(self, agent: Agent) -> None:
        self._explain = getattr(agent, "explain", None)
        self._rows: list[Mapping[str, np.ndarray]] = []
        self._begun: dict[int, int] = {}  # lane -> row in which its episode began

    def add(self, state: Any, starts: np.ndarray) -> None:
        """Keep those of a step; ``starts`` (lanes,) are the lanes whose episode began with it."""
        if self._explain is not None:
            self._begun |= dict.fromkeys(np.flatnonzero(starts).tolist(), len(self._rows))
            self._rows.append(self._explain(state))

    def of(self, lane: int) -> dict[str, np.ndarray]:
        """Those of a lane's episode so far: name -> (steps,)."""
        rows = self._rows[self._begun.get(lane, 0) :]
        return {name: np.array([row[name][lane] for row in rows]) for name in (rows[0] if rows else ())}

    def last(self, lane: int) -> dict[str, Any]:
        """Those of a lane's newest step."""
        return {name: values[lane] for name, values in self._rows[-1].items()} if self._rows else {}


def assess(
    family: Family,
    spec: AgentSpec,
    scenario: str,
    options: Mapping[str, Any],
    seed: int = 0,
    episodes: int | None = None,
    hyperparams: Mapping[str, Any] | None = None,
) -> Result:
    """Make an agent that needs no training and judge it.

    Raises:
        InputError: as :func:`make_env` and the agent's own.
    """
    env = make_env(family, scenario, options_for(spec, options))
    start = time.perf_counter()
    agent = build_agent(family, spec.name, env, seed, hyperparams or {})
    played = play(agent, env, episodes, seed)
    name = env.unwrapped.dynamics.scenario_name
    kind = "baseline" if spec.baseline else "reference" if spec.reference else "agent"
    seconds = getattr(agent, "planning_s", time.perf_counter() - start)
    return Result(name, spec.name, seed, played.metrics, kind, played.plan, seconds, played.trace, played.series)


_SUMMARIES = {
    "mean": np.mean,
    "sum": np.sum,
    "last": lambda v: v[-1],
    "harmonic": lambda v: 1.0 / np.mean(1.0 / np.asarray(v)),
}


def _summary(found: list[Mapping[str, float]], kinds: Mapping[str, str]) -> dict[str, float]:
    summary = {}
    for name, kind in kinds.items():
        values = [float(metrics[name]) for metrics in found]
        summary[name] = _SUMMARIES[kind](values)
    return {name: float(value) for name, value in summary.items()}


class _ScalarLane:
    """A scalar env as a batch of one."""

    count = 1

    def __init__(self, env: Any) -> None:
        self.env = env

    def reset(self, seed: int | None = None) -> Any:
        return batched(self.env.reset(seed=seed)[0])

    def step(self, actions: np.ndarray) -> tuple[Any, np.ndarray, list[tuple[int, Mapping[str, Any]]]]:
        observation, _, terminated, truncated, info = self.env.step(actions[0])
        done = terminated or truncated
        return batched(observation), np.array([done]), [(0, info)] if done else []

    def reset_ended(self, observation: Any) -> Any:
        return self.reset()


class _VectorLanes:
    """A vector env that resets in the step that ends."""

    def __init__(self, env: Any) -> None:
        if env.metadata["autoreset_mode"] is not AutoresetMode.SAME_STEP:
            raise ValueError("evaluation needs a vector env made with autoreset_mode='SameStep'")
        self.env = env
        self.count = env.num_envs

    def reset(self, seed: int | None = None) -> Any:
        return self.env.reset(seed=seed)[0]

    def step(self, actions: np.ndarray) -> tuple[Any, np.ndarray, list[tuple[int, Mapping[str, Any]]]]:
        observation, _, terminated, truncated, info = self.env.step(actions)
        done = terminated | truncated
        ended = []
        for lane in np.flatnonzero(done):
            nested = info["final_info"]["metrics"]
            metrics = {name: values[lane] for name, values in nested.items() if not name.startswith("_")}
            ended.append((int(lane), {"metrics": metrics}))
        return observation, done, ended

    def reset_ended(self, observation: Any) -> Any:
        return observation


def batched(observation: Any) -> Any:
    """A scalar env's observation, an array or a dict of them, as the batch of one that agents predict for."""
    if isinstance(observation, dict):
        return {name: value[None] for name, value in observation.items()}
    return np.asarray(observation)[None]
