"""Prune-Deprune as an MDP over n lanes: the budget of every epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import log
from types import MappingProxyType
from typing import Any

import numpy as np
from gymnasium import spaces

from ...models.plans import CompressedPlan
from ...ui.errors import InputError
from ..core import check_options
from ..scenarios import ScenarioDynamics
from .learners import CurveLearner, Learner, TrainLearner, training_data
from .planning import best_schedule, costs, score
from .scenarios import get_scenario
from .system import System

OPTIONS = {"backend": ("curves", "train")}
LIMIT = 100.0
TRACE = ("budget", "accuracy", "loss", "sent_bytes", "map_bytes", "epoch_s", "mbps")


class DepruneDynamics(ScenarioDynamics):
    """One episode is one training, one step an epoch.

    Takes the arguments of :class:`splitgym.envs.deprune.env.DepruneEnv` after the number of lanes.
    """

    system: System
    metric_kinds = {
        "score": "mean",
        "accuracy": "mean",
        "bytes_share": "mean",
        "sent_bytes": "mean",
        "elapsed_s": "mean",
        "regret": "mean",
    }
    plan_decides = False
    eval_episodes = 10

    def __init__(
        self,
        num_lanes: int,
        scenario: str,
        backend: str = "curves",
        checkpoints: str | None = None,
        fields: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        check_options("Deprune", {"backend": backend}, OPTIONS)
        self.num_lanes, self.backend = num_lanes, backend
        self.system = System(get_scenario(scenario, **fields))
        setting = self.system.scenario
        self.scenario_name, self.episode_steps = setting.name, setting.epochs
        self.learner = self._learner(checkpoints)
        self.is_random = setting.dynamic or setting.noise or backend == "train"
        if backend == "train" or not self.is_random:
            self.eval_episodes = 1
        self.slow_steps = backend == "train"
        self.optimum = self._optimum()
        kinds = len(self.system.budgets)
        self._everyone = np.arange(num_lanes)
        self._full = np.array([kinds - 1])
        self.action_space = spaces.Discrete(kinds)
        self.observation_space = spaces.Box(0.0, LIMIT, (5 + 2 * kinds,), np.float32)
        self._allocate(kinds)

    def _learner(self, checkpoints: str | None) -> Learner:
        if self.backend == "train":
            if not isinstance(checkpoints, str | None):
                raise InputError(f"checkpoints is {checkpoints!r}, allowed: the path of a folder")
            data = training_data(self.system)
            self.system = System(self.system.scenario, available=len(data.train_labels))
            return TrainLearner(self.system, data, self.num_lanes, checkpoints)
        if checkpoints is not None:
            raise InputError('checkpoints: only backend "train" has any')
        if self.system.curves is None:
            raise InputError(
                f"{self.scenario_name}: no training of {self.system.model.name} was recorded; train it for real, with "
                '--env-kwargs backend=train, or backend="train" in gym.make'
            )
        return CurveLearner(self.system, self.system.curves, self.num_lanes)

    def _optimum(self) -> float:
        """The best schedule's score, with the module; NaN where it is not known."""
        setting = self.system.scenario
        if self.backend == "train" or self.system.curves is None or (setting.dynamic and setting.time_weight > 0):
            return float("nan")
        system = self.system if setting.module else System(replace(setting, module=True))
        try:
            return best_schedule(system, self.system.curves.model)[1]
        except ValueError:
            return float("nan")

    def _allocate(self, kinds: int) -> None:
        n, epochs = self.num_lanes, self.episode_steps
        self._step = np.zeros(n, dtype=np.intp)
        self._counts = np.zeros((kinds, n))
        self._last = np.full(n, -1)
        self._accuracy, self._expected, self._loss = np.zeros(n), np.zeros(n), np.zeros(n)
        self._spent, self._share = np.zeros(n), np.zeros(n)
        self._sent, self._elapsed = np.zeros(n), np.zeros(n)
        self._mbps = np.full((epochs + 1, n), self.system.scenario.mbps)
        self._rngs: list[np.random.Generator] = [np.random.default_rng(0)] * n
        self.trace = {name: np.zeros((epochs, n), np.float64) for name in TRACE}
        self._rewards: dict[str, np.ndarray] = {}

    def seed_lanes(self, lanes: np.ndarray, rngs: Sequence[np.random.Generator]) -> None:
        self.learner.seed(lanes, rngs)
        for lane, rng in zip(lanes, rngs, strict=True):
            self._rngs[lane] = rng

    def reset_lanes(self, lanes: np.ndarray) -> None:
        setting = self.system.scenario
        self.learner.reset(lanes)
        if setting.dynamic:
            for lane in lanes:
                walk = self._rngs[lane].standard_normal(len(self._mbps))
                self._mbps[:, lane] = setting.mbps * np.exp(setting.sigma * walk - setting.sigma**2 / 2)
        self._step[lanes] = 0
        self._counts[:, lanes] = 0.0
        self._last[lanes] = -1
        self._accuracy[lanes] = self._expected[lanes] = self.learner.chance
        self._loss[lanes] = -log(self.learner.chance)
        for values in (self._spent, self._share, self._sent, self._elapsed):
            values[lanes] = 0.0

    def advance(self, action: np.ndarray, lanes: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        lane = self._everyone if lanes is None else lanes
        budget = self._checked(action)[lane]
        step, system, setting = self._step[lane], self.system, self.system.scenario
        mbps = self._mbps[step, lane]
        accuracy, expected, loss = self.learner.epoch(lane, budget)
        bytes_cost, time_cost = costs(system, budget, mbps)
        gained = setting.accuracy_weight * (accuracy - self._accuracy[lane])
        self._rewards = {"accuracy": gained, "bytes": -bytes_cost, "time": -time_cost}
        epoch_s = system.compute_s[budget] + system.transfer_s(budget, mbps)
        self._counts[budget, lane] += 1.0
        self._last[lane], self._step[lane] = budget, step + 1
        self._accuracy[lane], self._expected[lane], self._loss[lane] = accuracy, expected, loss
        self._spent[lane] += bytes_cost + time_cost
        self._share[lane] += system.map_bytes[budget] / (system.full_bytes * setting.epochs)
        self._sent[lane] += system.sent_bytes[budget]
        self._elapsed[lane] += epoch_s
        row = (np.array(system.budgets)[budget], accuracy, loss, system.sent_bytes[budget])
        row = (*row, system.map_bytes[budget], epoch_s, mbps)
        for kept, values in zip(self.trace.values(), row, strict=True):
            kept[step, lane] = values
        reward, terminated = np.zeros(self.num_lanes), np.zeros(self.num_lanes, dtype=bool)
        reward[lane] = gained - bytes_cost - time_cost
        terminated[lane] = step == self.episode_steps - 1
        return reward, terminated

    def _checked(self, action: np.ndarray) -> np.ndarray:
        action = np.asarray(action)
        if action.shape != (self.num_lanes,):
            raise ValueError(f"action has shape {action.shape[1:]}, it must be one whole number for each lane")
        if action.dtype.kind not in "iu":
            raise ValueError(f"action is of type {action.dtype}, it must be a whole number (NaN is none)")
        if action.min() < 0 or action.max() >= len(self._counts):
            raise ValueError(f"action lies outside 0..{len(self._counts) - 1}")
        return action.astype(np.intp, copy=False)

    def observe(self) -> np.ndarray:
        kinds, n = self._counts.shape
        observation = np.zeros((5 + 2 * kinds, n), dtype=np.float32)
        observation[0] = self._step / self.episode_steps
        observation[1] = self._accuracy
        observation[2] = np.fmin(self._loss / -log(self.learner.chance), LIMIT)  # a training may diverge to NaN
        observation[3] = self._share
        observation[4] = np.minimum(self._mbps[self._step, self._everyone] / self.system.scenario.mbps, LIMIT)
        observation[5 : 5 + kinds] = self._counts / self.episode_steps
        observation[5 + kinds :] = self._last == np.arange(kinds)[:, None]
        return np.ascontiguousarray(observation.T)

    def step_info(self, lane: int) -> dict[str, Any]:
        if not self._rewards:
            return {}
        names = ("accuracy", "loss", "sent_bytes", "epoch_s")
        step = int(self._step[lane]) - 1
        rewards = {name: float(value[0]) for name, value in self._rewards.items()}
        told = {name: float(self.trace[name][step, lane]) for name in names}
        return {"rewards": rewards, "budget": self.system.budgets[self._last[lane]], "epoch": told}

    def metrics(self, lanes: np.ndarray) -> dict[str, np.ndarray]:
        accuracy = self._accuracy[lanes]
        return {
            "score": score(self.system, accuracy, self._spent[lanes]),
            "accuracy": accuracy,
            "bytes_share": self._share[lanes],
            "sent_bytes": self._sent[lanes],
            "elapsed_s": self._elapsed[lanes],
            "regret": self.optimum - score(self.system, self._expected[lanes], self._spent[lanes]),
        }

    def details(self, lane: int) -> dict[str, Any]:
        return {
            "trace": {name: rows[:, lane].copy() for name, rows in self.trace.items()},
            "plan": self.plan(lane).to_json(),
        }

    def plan(self, lane: int) -> CompressedPlan:
        """The budgets of the last ended episode."""
        setting = self.system.scenario
        budgets = tuple(int(b) for b in self.trace["budget"][:, lane])
        types = self.system.device_types
        return CompressedPlan(self.system.model.name, setting.layer, setting.resolution, budgets, types=types)

    def plan_actions(self, plan: CompressedPlan) -> np.ndarray:
        """(epochs,) indices of a plan's budgets.

        Raises:
            InputError: it has another cut, number of epochs or a budget that is not on the list.
        """
        return self.system.plan_budgets(plan)

    @property
    def provenance(self) -> tuple[str, ...]:
        system = self.system
        if self.backend == "train":
            learnt = f"accuracy: measured, trained here on {system.scenario.data or 'scikit-learn digits'}"
        else:
            assert system.curves is not None
            learnt = system.curves.label()
        return (*system.provenance, learnt)

    def render_lane(self, lane: int) -> np.ndarray:
        from ..figures import frame
        from .viewer import training_figure

        steps = int(self._step[lane])
        trace = {name: rows[:steps, lane] for name, rows in self.trace.items()}
        return frame(training_figure(self.system, trace))
