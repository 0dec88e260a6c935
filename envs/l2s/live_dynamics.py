"""L2S's rounds on real workers: the same MDP, its delays measured, while a network really learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...models.plans import CutPlan
from ..live_lane import LiveLane
from ..live_lane import dynamics_of as made
from ..live_training import Costs
from ..training_cluster import LiveOptions
from .dynamics import L2SDynamics

if TYPE_CHECKING:
    from ...runtime.training.cut import Ledger
    from ...runtime.wire_training import Sync

ROLES = ("device", "edge")


class LiveDynamics(LiveLane, L2SDynamics):
    """One lane whose rounds are trained by workers.

    A round's delay is that from the controller's word to begin until both sides have updated their weights, so that
    the time in which the agent thinks lies outside. The workers take the times of the scenario's device, edge server
    and link, whose rate and load may be others in every round; synchronisation really exchanges layers.
    """

    family = "L2S"
    measures = "delay"

    def __init__(self, num_lanes: int, live: LiveOptions, **options: Any) -> None:
        super().__init__(num_lanes, **options)
        self.is_random = True
        self._open(live, ROLES, lambda: map(self._task, {self.system.first, self.system.last}))
        self._ledger: Ledger | None = None
        self._present = (0.0, 0.0)  # rate and load that workers keep to
        self._synced_s = 0.0

    def _task(self, point: int) -> Any:
        from .live import task

        plan = CutPlan(self.system.model.name, self.system.points[point], types=self.system.device_types)
        return task(self.system, plan, self._learning)

    def reset_lanes(self, lanes: np.ndarray) -> None:
        from ...runtime.training.cut import Ledger
        from .live import job

        super().reset_lanes(lanes)
        self._present = self._conditions_now(0)
        self._begin(partial(job, self.system), self._costs())
        steps, period = len(self.system.model.steps), self.system.scenario.sync_period
        self._ledger = Ledger(steps, period, self.ledger.every_change)

    def _costs(self) -> Costs:
        from .live import costs

        return costs(self.system, *self._present)

    def _conditions_now(self, at: int) -> tuple[float, float]:
        """(Mbit/s, load) of a round."""
        mbps = self.links.at(self._clock)[0][0] if self.links.varies else self._mbps_of[at]
        return float(mbps), float(self._load_of[at])

    def _delay_s(self, lanes: np.ndarray, rounds: np.ndarray, choice: np.ndarray, expected_s: np.ndarray) -> np.ndarray:
        from ...runtime.wire_training import Round

        training, ledger = self._playing(), self._booking()
        number, cut = int(rounds[0]), self.system.points[int(choice[0]) + self.system.first]
        present = self._conditions_now(number)
        if present != self._present:
            self._present = present
            self._keep_to(self._costs())
        self._synced_s = self._exchange(ledger.due_before(cut))
        wanted = Round(number, cut, self._learning.rate)
        step = training.do(wanted)
        ledger.book(wanted)
        self._note_learnt([step])
        return np.array([self._took_s(step)])

    def _weights_s(
        self, lanes: np.ndarray, rounds: np.ndarray, past_s: Sequence[Any], low: np.ndarray, high: np.ndarray
    ) -> np.ndarray:
        if self.ledger.every_change:  # that was in front of the round, so that nothing was trained on old copies
            return np.array([self._synced_s])
        return np.array([self._exchange(self._booking().asked())])

    def _exchange(self, sync: Sync | None) -> float:
        """Make copies alike; returns seconds."""
        if sync is None:
            return 0.0
        done = self._playing().do(sync)
        self._booking().book(sync)
        return self._took_s(done)

    def _booking(self) -> Ledger:
        assert self._ledger is not None
        return self._ledger


def dynamics_of(backend: str, num_lanes: int, options: Mapping[str, Any], live: Mapping[str, Any]) -> L2SDynamics:
    """The dynamics of a backend; see :func:`..live_lane.dynamics_of`."""
    return made("L2S", L2SDynamics, LiveDynamics, backend, num_lanes, options, live)
