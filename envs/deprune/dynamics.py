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
from ..core import check_options, whole_numbers
from ..scenarios import ScenarioDynamics
from .kernels import booked, observed
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
        self.action_space = spaces.Discrete(kinds)
        self.observation_space = spaces.Box(0.0, LIMIT, (5 + 2 * kinds,), np.float32)
        self._worth, self._nominal_mbps = float(setting.accuracy_weight), float(setting.mbps)
        self._guessing = -log(self.learner.chance)
        chance = self.learner.chance
        self._begin = np.array([chance, chance, self._guessing, 0.0, 0.0, 0.0, 0.0])[:, None]
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
        n, epochs, setting = self.num_lanes, self.episode_steps, self.system.scenario
        self._step = np.zeros(n, dtype=np.intp)
        self._counts = np.zeros((kinds, n))
        self._last = np.full(n, -1)
        self._state = np.zeros((7, n))
        self._accuracy, self._expected, self._loss, self._spent, self._share, self._sent, self._elapsed = self._state
        self._mbps = np.full((epochs + 1, n) if setting.dynamic else (1, 1), self._nominal_mbps)
        self._seconds = np.zeros((2, kinds, *self._mbps.shape))
        self._price(np.arange(self._mbps.shape[1]))
        self._costs = self._costs_of(np.arange(kinds))
        self._rngs: list[np.random.Generator] = [np.random.default_rng(0)] * n
        self._trace = np.zeros((len(TRACE), epochs, n))
        self.trace = dict(zip(TRACE, self._trace, strict=True))
        self._rewards = np.zeros((3, n))

    def _price(self, lanes: np.ndarray) -> None:
        """The reward's time and the seconds of every budget in all epochs of some lanes, at their rates."""
        system, mbps = self.system, self._mbps[:, lanes]
        every = np.arange(len(system.budgets))[:, None, None]
        self._seconds[0][..., lanes] = costs(system, every, mbps)[1]
        self._seconds[1][..., lanes] = system.compute_s[every] + system.transfer_s(every, mbps)

    def _costs_of(self, budget: np.ndarray) -> np.ndarray:
        """(5, K) of budgets: the reward's bytes, share of all bytes, bytes sent, bytes of maps, maps."""
        system, setting = self.system, self.system.scenario
        bytes_cost, _ = costs(system, budget, setting.mbps)
        share = system.map_bytes / (system.full_bytes * setting.epochs)
        return np.stack([bytes_cost, share, system.sent_bytes, system.map_bytes, system.budgets])

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
            self._price(lanes)
        self._step[lanes] = 0
        self._counts[:, lanes] = 0.0
        self._last[lanes] = -1
        self._state[:, lanes] = self._begin

    def advance(self, action: np.ndarray, lanes: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        budget = whole_numbers(action, self.num_lanes, len(self._counts))
        if lanes is None:
            lanes = self._everyone
        else:
            budget = budget[lanes]
        return booked(
            lanes, budget, self.learner.epoch(lanes, budget), self._worth, self._costs, self._mbps, self._seconds,
            self._step, self._last, self._counts, self._state, self._trace, self._rewards,
        )  # fmt: skip

    def observe(self) -> np.ndarray:
        return observed(
            self.episode_steps, self._step, self._last, self._counts, self._state, self._mbps,
            self._nominal_mbps, self._guessing, LIMIT,
        )  # fmt: skip

    def step_info(self, lane: int) -> dict[str, Any]:
        step = int(self._step[lane]) - 1
        if step < 0:
            return {}
        told = dict(zip(TRACE, self._trace[:, step, lane].tolist(), strict=True))
        return {
            "rewards": dict(zip(("accuracy", "bytes", "time"), self._rewards[:, lane].tolist(), strict=True)),
            "budget": self.system.budgets[self._last[lane]],
            "epoch": {name: told[name] for name in ("accuracy", "loss", "sent_bytes", "epoch_s")},
        }

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
        setting, model = self.system.scenario, self.system.model
        budgets = tuple(int(b) for b in self.trace["budget"][:, lane])
        return CompressedPlan(
            model.name, setting.layer, setting.resolution, budgets,
            types=self.system.device_types, fingerprint=model.fingerprint,
        )  # fmt: skip

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
