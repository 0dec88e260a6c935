"""A schedule of budgets as an agent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...envs.deprune.dynamics import DepruneDynamics
from ...envs.deprune.learners import learning_model
from ...envs.deprune.planning import best_schedule
from ...ui.errors import InputError
from ..protocol import follow


class ScheduleAgent:
    """Carries out a schedule.

    Args:
        env: a Deprune env.
        budgets: (epochs,) indices of budgets.
    """

    def __init__(self, env: Any, budgets: Sequence[int] | np.ndarray) -> None:
        self.budgets = np.asarray(budgets, dtype=np.intp)

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        return follow(self.budgets, len(observation), state, episode_start)


def _dynamics(env: Any) -> DepruneDynamics:
    return env.unwrapped.dynamics


def share_index(env: Any, share: float) -> int:
    """The budget of an env that is nearest to a share of all maps, counted in doublings."""
    shares = np.array(_dynamics(env).system.shares)
    return int(np.abs(np.log2(shares) - np.log2(share)).argmin())


def constant(env: Any, seed: int = 0, *, share: float = 1.0) -> ScheduleAgent:
    """One budget for ever: no compression, high compression, from scratch.

    Args:
        env: a Deprune env.
        seed: unused, nothing is drawn.
        share: of all maps.
    """
    return ScheduleAgent(env, np.full(_dynamics(env).episode_steps, share_index(env, share)))


def deprune(env: Any, seed: int = 0, *, share: float = 1 / 32, full: float = 1 / 6) -> ScheduleAgent:
    """The paper's schedule (Alg. 1-2, Fig. 8): few maps first, all of them at the end; 15 + 3 of 18 epochs.

    Args:
        env: a Deprune env.
        seed: unused, nothing is drawn.
        share: of all maps, at first.
        full: share of the epochs that has all maps, one epoch at least.
    """
    epochs = _dynamics(env).episode_steps
    last = min(max(1, round(full * epochs)), epochs)
    low, high = share_index(env, share), share_index(env, 1.0)
    return ScheduleAgent(env, [low] * (epochs - last) + [high] * last)


def prune(env: Any, seed: int = 0, *, shares: Sequence[float] = (1 / 4, 1 / 32), first: float = 0.6) -> ScheduleAgent:
    """Alg. 3 (Fig. 12): all maps first, then fewer and fewer; 30, 10 and 10 of 50 epochs.

    Args:
        env: a Deprune env.
        seed: unused, nothing is drawn.
        shares: of all maps, one after another; they divide the rest of the epochs.
        first: share of the epochs with all maps.
    """
    epochs = _dynamics(env).episode_steps
    ends = np.rint(epochs * np.linspace(first, 1.0, len(shares) + 1)).astype(int)
    parts = [(share_index(env, 1.0), int(ends[0]))]
    parts += [(share_index(env, s), int(n)) for s, n in zip(shares, np.diff(ends), strict=True)]
    return ScheduleAgent(env, [index for index, count in parts for _ in range(count)])


def best(env: Any, seed: int = 0) -> ScheduleAgent:
    """The schedule with the highest score under the fitted curves, looked for exhaustively.

    Raises:
        InputError: nothing was recorded for the scenario, or there are too many schedules.
    """
    system = _dynamics(env).system
    if system.curves is None:
        raise InputError("best-schedule needs recorded curves; this scenario has none")
    model = learning_model(system, system.curves)
    try:
        return ScheduleAgent(env, best_schedule(system, model)[0])
    except ValueError as error:
        raise InputError(f"best-schedule: {error}; take fewer epochs or shares") from None
