"""HierTrain's schedules on real workers: the same MDP, an iteration of every block measured while a network learns."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...ui.errors import InputError
from ..live_lane import LiveLane
from ..live_lane import dynamics_of as made
from ..live_training import Costs
from ..training_cluster import LiveOptions
from .dynamics import HierTrainDynamics
from .scenarios import WORKERS
from .schedule import Schedules, alone
from .system import CLOUD

if TYPE_CHECKING:
    from ...runtime.wire_training import Share


class LiveDynamics(LiveLane, HierTrainDynamics):
    """One lane whose blocks are an iteration each, trained by workers.

    An iteration takes from the controller's word to begin until all workers have updated their weights. Where rates
    drift the links of workers change with them.
    """

    family = "HierTrain"
    measures = "iterations"

    def __init__(self, num_lanes: int, live: LiveOptions, **options: Any) -> None:
        super().__init__(num_lanes, **options)
        if self.by_layer:
            raise InputError("HierTrain: plans='layers', allowed for backend=live: hybrid")
        from .live import make_system

        make_system(self.system.scenario)
        self.is_random, self.plan_decides, self.eval_episodes = True, False, 1
        self._open(live, WORKERS, lambda: [self._task()])
        self._present = (0.0, 0.0)  # rates that workers keep to
        self._share: Share | None = None  # of the last block

    def _task(self) -> Any:
        """All on the cloud, whose time is the shortest."""
        from .live import task

        return task(self.system, self.system.plan_of(alone(CLOUD, self.system.batch)), self._learning)

    def reset_lanes(self, lanes: np.ndarray) -> None:
        from .live import job

        super().reset_lanes(lanes)
        device_edge, edge_cloud = self.rates.now()
        self._present = float(device_edge[0]), float(edge_cloud[0])
        self._begin(partial(job, self.system), self._costs())
        self._share = None

    def _costs(self) -> Costs:
        from .live import costs

        return costs(self.system, *self._present)

    def _times(
        self, old: Schedules, plans: Schedules, rates: np.ndarray, blocks: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        from ...runtime.training.hybrid import rearrangement
        from .live import share

        training = self._playing()
        present = float(rates[0][0]), float(rates[1][0])
        if present != self._present:
            self._present = present
            self._keep_to(self._costs())
        wanted, handed_s = share(self.system.plan_of(plans), int(blocks[0]), self._learning.rate), 0.0
        moved = None if self._share is None else rearrangement(self._share, wanted, len(self.system.model.steps))
        if moved is not None:
            handed_s = self._took_s(training.do(moved))
        step = training.do(wanted)
        self._share = wanted
        self._note_learnt([step])
        return np.array([self._took_s(step)]), np.array([handed_s])


def dynamics_of(backend: str, num_lanes: int, options: Mapping[str, Any], live: Mapping[str, Any]) -> HierTrainDynamics:
    """The dynamics of a backend; see :func:`..live_lane.dynamics_of`."""
    return made("HierTrain", HierTrainDynamics, LiveDynamics, backend, num_lanes, options, live)
