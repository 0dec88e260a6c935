"""L2S's rounds on real workers: the same MDP, its delays measured, while a network really learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...models.plans import CutPlan
from ...ui.errors import InputError
from ..live_training import Costs, Learning
from ..training_cluster import Bench, LiveOptions, bench_of, live_data, live_options
from .dynamics import L2SDynamics, Lanes

if TYPE_CHECKING:
    from ...runtime.training.cut import Ledger
    from ...runtime.training.live import Training
    from ...runtime.training.steps import Step
    from ...runtime.wire_training import Sync

ROLES = ("device", "edge")
EVERY = 20  # entries between two checkpoints


class LiveDynamics(L2SDynamics):
    """One lane whose rounds are trained by workers.

    A round's delay is that from the controller's word to begin until both sides have updated their weights, so that
    the time in which the agent thinks lies outside. The workers take the times of the scenario's device, edge server
    and link, whose rate and load may be others in every round; synchronisation really exchanges layers.
    """

    slow_steps = True
    exclusive = True
    is_random = True

    def __init__(self, num_lanes: int, live: LiveOptions, **options: Any) -> None:
        if num_lanes != 1:
            raise InputError("L2S: backend=live plays one training at a time; num_envs must be 1")
        super().__init__(num_lanes, **options)
        self.is_random = True
        self._learning = Learning(live_data("L2S", live, self.system.model), live.learning_rate, every=EVERY)
        self._bench: Bench = bench_of("L2S", ROLES)
        self.scale = live.time_scale or self._bench.fit_scale(map(self._task, {self.system.first, self.system.last}))
        self._rng = np.random.default_rng(0)
        self._training: Training | None = None
        self._ledger: Ledger | None = None
        self._present = (0.0, 0.0)  # rate and load that workers keep to
        self._asked = False
        self._synced_s = 0.0
        self.step: Step | None = None  # the last round
        self.learnt: dict[str, list[float]] = {}

    def _task(self, point: int) -> Any:
        from .live import task

        plan = CutPlan(self.system.model.name, self.system.points[point], types=self.system.device_types)
        return task(self.system, plan, self._learning)

    def seed_lanes(self, lanes: np.ndarray, rngs: Sequence[np.random.Generator]) -> None:
        super().seed_lanes(lanes, rngs)
        self._rng = rngs[0]

    def reset_lanes(self, lanes: np.ndarray) -> None:
        from ...runtime.training.cut import Ledger
        from .live import job

        super().reset_lanes(lanes)
        learning = replace(self._learning, seed=int(self._rng.integers(2**31)))
        self._present = self._conditions_now(0)
        self._training = self._bench.begin(self, job(self.system, learning), self._costs(), self.scale)
        steps, period = len(self.system.model.steps), self.system.scenario.sync_period
        self._ledger = Ledger(steps, period, self.ledger.every_change)
        self.step, self.learnt = None, {"loss": [], "accuracy": []}

    def _costs(self) -> Costs:
        from .live import costs

        return costs(self.system, *self._present)

    def _conditions_now(self, at: int) -> tuple[float, float]:
        """(Mbit/s, load) of a round."""
        mbps = self.links.at(self._clock)[0][0] if self.links.varies else self._mbps_of[at]
        return float(mbps), float(self._load_of[at])

    def _delay_s(self, where: Lanes, rounds: np.ndarray, choice: np.ndarray, expected_s: Any) -> Any:
        from ...runtime.wire_training import Round

        training, ledger = self._playing()
        number, cut = int(rounds[0]), self.system.points[int(choice[0]) + self.system.first]
        present = self._conditions_now(number)
        if present != self._present:
            self._present = present
            training.repace(self._costs().paces(self.scale))
        self._synced_s = self._exchange(ledger.due_before(cut))
        step = self.step = training.do(Round(number, cut, self._learning.rate))
        ledger.book(step.entry)  # type: ignore[arg-type]
        samples = max(step.measures["samples"], 1.0)
        self.learnt["loss"].append(step.measures["loss"] / samples)
        self.learnt["accuracy"].append(step.measures["right"] / samples)
        return np.array([self._took_s(step)])

    def _weights_s(self, where: Lanes, at: Any, past_s: Sequence[Any], low: np.ndarray, high: np.ndarray) -> np.ndarray:
        if self.ledger.every_change:  # that was in front of the round, so that nothing was trained on old copies
            return np.array([self._synced_s])
        _, ledger = self._playing()
        return np.array([self._exchange(ledger.asked())])

    def _exchange(self, sync: Sync | None) -> float:
        """Make copies alike; returns seconds."""
        if sync is None:
            return 0.0
        training, ledger = self._playing()
        done = training.do(sync)
        ledger.book(sync)
        return self._took_s(done)

    def _took_s(self, step: Step) -> float:
        return (step.ended_s - step.begun_s) / self.scale

    def _playing(self) -> tuple[Training, Ledger]:
        self._bench.check(self)
        assert self._training is not None
        assert self._ledger is not None
        return self._training, self._ledger

    def step_info(self, lane: int) -> dict[str, Any]:
        found = super().step_info(lane)
        if self.step is not None:
            found["learnt"] = {name: values[-1] for name, values in self.learnt.items()}
            found["overrun_s"] = self.step.overrun_s / self.scale
        return found

    def details(self, lane: int) -> dict[str, Any]:
        found = super().details(lane)
        return {**found, "trace": {**found["trace"], **{k: np.array(v) for k, v in self.learnt.items()}}}

    @property
    def provenance(self) -> tuple[str, ...]:
        how = f"measured (live workers that emulate (table), time scale {self.scale:g})"
        return (f"delay: {how}", *(f"beside it: {line}" for line in super().provenance))


def dynamics_of(backend: str, num_lanes: int, options: Mapping[str, Any], live: Mapping[str, Any]) -> L2SDynamics:
    """The dynamics of a backend.

    Args:
        live: options of playing live (:class:`..training_cluster.LiveOptions`), None where they are not given.

    Raises:
        InputError: there is no such backend, or an option is not for it.
    """
    found = live_options("L2S", backend, live)
    return L2SDynamics(num_lanes, **options) if backend == "tables" else LiveDynamics(num_lanes, found, **options)
