"""What L2S is compared against (paper, Sec. V-A): fixed partition points and the oracle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...envs.l2s.dynamics import L2SDynamics


class Fixed:
    """One partition point in every round.

    Args:
        env: an L2S env.
        pick: the feasible point (0 is P^c), from the dynamics.
    """

    def __init__(self, env: Any, pick: Callable[[L2SDynamics], int]) -> None:
        self.choice = pick(env.unwrapped.dynamics)

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        return np.full(len(observation["round"]), self.choice), state


class Oracle:
    """The point with the least expected delay in every round, from the rate and the load that agents cannot see."""

    def __init__(self, env: Any, seed: int = 0) -> None:
        self.dynamics: L2SDynamics = env.unwrapped.dynamics

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        rounds = np.rint(observation["round"][:, 0] * self.dynamics.episode_steps).astype(np.intp)
        return self.dynamics.best_choice(rounds), state


def first_point(dynamics: L2SDynamics) -> int:
    """FPT's point P^c; with P^c = 1 PPT's, behind the first layer or residual block."""
    return 0


def last_point(dynamics: L2SDynamics) -> int:
    """PDT's point P."""
    return dynamics.system.n_points - 1


def offline_point(dynamics: L2SDynamics) -> int:
    """Neurosurgeon's point: the best by profiles of both machines and the nominal rate, decided once."""
    system = dynamics.system
    return int(system.delay_s(np.array([system.mbps]), np.array([1.0]))[:, 0].argmin())


PICKS: dict[str, Callable[[L2SDynamics], int]] = {
    "fpt": first_point,
    "pdt": last_point,
    "ppt": first_point,
    "neurosurgeon": offline_point,
}
