"""A planner as an agent: it plans for the rates that it observes, once for each."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ...envs.hiertrain.actions import encode
from ...envs.hiertrain.cost import hand_out_s, iteration_s
from ...envs.hiertrain.dynamics import HierTrainDynamics
from ...envs.hiertrain.schedule import Schedules
from .layerwise import Assign
from .planners import Plan


class _Planned:
    """Rates from observations, answers kept.

    Args:
        env: a HierTrain env.

    Attributes:
        planning_s: wall-clock time that planning took.
    """

    def __init__(self, env: Any) -> None:
        self.dynamics: HierTrainDynamics = env.unwrapped.dynamics
        self._known: dict[tuple[float, float], Any] = {}
        self.planning_s = 0.0

    def _rates(self, observation: np.ndarray) -> list[tuple[float, float]]:
        """Rates in bit/s of every lane, freed of what float32 has rounded."""
        grid = self.dynamics.rates.grid
        factors = zip(observation[:, :2].T, grid, self.dynamics.system.nominal, strict=True)
        near = [rates[np.abs(seen[:, None] * nominal - rates).argmin(axis=1)] for seen, rates, nominal in factors]
        return list(zip(near[0].tolist(), near[1].tolist(), strict=True))

    def _answer(self, rates: tuple[float, float], ask: Callable[[float, float], Any]) -> Any:
        if rates not in self._known:
            begun = time.perf_counter()
            self._known[rates] = ask(*rates)
            self.planning_s += time.perf_counter() - begun
        return self._known[rates]


class PlanAgent(_Planned):
    """Schedules from a planner.

    Args:
        env: a HierTrain env with hybrid plans.
        plan: the planner.
        hold: keep the last schedule while handing out weights for a new one costs more than it saves in a block.
    """

    def __init__(self, env: Any, plan: Plan, hold: bool = False) -> None:
        super().__init__(env)
        self.plan, self.hold = plan, hold

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        rates = self._rates(observation)
        new = [self._answer(r, self.plan) for r in rates]
        if self.hold and state is not None:
            starts = np.zeros(len(new), dtype=bool) if episode_start is None else np.asarray(episode_start)
            cases = zip(starts, state, new, rates, strict=True)
            new = [old if not start and self._keeps(old, plan, r) else plan for start, old, plan, r in cases]
        system = self.dynamics.system
        return np.concatenate([encode(plan, system.n_layers) for plan in new]), new

    def _keeps(self, old: Schedules, new: Schedules, rates: tuple[float, float]) -> bool:
        system = self.dynamics.system
        saved = [float(iteration_s(system, plan, *rates, self.dynamics.cost)[0]) for plan in (old, new)]
        costs = float(hand_out_s(system, old.canonical(), new.canonical(), *rates)[0])
        return costs >= (saved[0] - saved[1]) * system.scenario.iterations


class LayerAgent(_Planned):
    """Layer assignments from a planner.

    Args:
        env: a HierTrain env with ``plans="layers"``.
        assign: the planner.
    """

    def __init__(self, env: Any, assign: Assign) -> None:
        super().__init__(env)
        self.assign = assign

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        return np.stack([self._answer(r, self.assign) for r in self._rates(observation)]), state
