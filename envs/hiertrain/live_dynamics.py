"""HierTrain's schedules on real workers: the same MDP, an iteration of every block measured while a network learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...ui.errors import InputError
from ..live_training import Costs, Learning
from ..training_cluster import LiveOptions, bench_of, live_data, live_options
from .dynamics import HierTrainDynamics, Rates
from .scenarios import WORKERS
from .schedule import Schedules, alone
from .system import CLOUD

if TYPE_CHECKING:
    from ...runtime.training.live import Training
    from ...runtime.training.steps import Step
    from ...runtime.wire_training import Share

EVERY = 20  # entries between two checkpoints


class LiveDynamics(HierTrainDynamics):
    """One lane whose blocks are an iteration each, trained by workers.

    An iteration takes from the controller's word to begin until all workers have updated their weights. Where rates
    drift the links of workers change with them.
    """

    slow_steps = True
    exclusive = True

    def __init__(self, num_lanes: int, live: LiveOptions, **options: Any) -> None:
        if num_lanes != 1:
            raise InputError("HierTrain: backend=live plays one training at a time; num_envs must be 1")
        super().__init__(num_lanes, **options)
        if self.by_layer:
            raise InputError("HierTrain: plans='layers', allowed for backend=live: hybrid")
        from .live import make_system

        make_system(self.system.scenario)
        self.is_random, self.plan_decides, self.eval_episodes = True, False, 1
        self._learning = Learning(live_data("HierTrain", live, self.system.model), live.learning_rate, every=EVERY)
        self._bench = bench_of("HierTrain", WORKERS)
        self.scale = live.time_scale or self._bench.fit_scale([self._task()])
        self._rng = np.random.default_rng(0)
        self._training: Training | None = None
        self._present = (0.0, 0.0)  # rates that workers keep to
        self._share: Share | None = None  # of the last block
        self.step: Step | None = None
        self.learnt: dict[str, list[float]] = {}

    def _task(self) -> Any:
        """All on the cloud, whose time is the shortest."""
        from .live import task

        return task(self.system, self.system.plan_of(alone(CLOUD, self.system.batch)), self._learning)

    def seed_lanes(self, lanes: np.ndarray, rngs: Sequence[np.random.Generator]) -> None:
        super().seed_lanes(lanes, rngs)
        self._rng = rngs[0]

    def reset_lanes(self, lanes: np.ndarray) -> None:
        from .live import job

        super().reset_lanes(lanes)
        learning = replace(self._learning, seed=int(self._rng.integers(2**31)))
        device_edge, edge_cloud = self.rates.now()
        self._present = float(device_edge[0]), float(edge_cloud[0])
        self._training = self._bench.begin(self, job(self.system, learning), self._costs(), self.scale)
        self._share, self.step, self.learnt = None, None, {"loss": [], "accuracy": []}

    def _costs(self) -> Costs:
        from .live import costs

        return costs(self.system, *self._present)

    def _times(self, old: Schedules, plans: Schedules, rates: Rates, blocks: np.ndarray) -> tuple[Any, Any]:
        from ...runtime.training.hybrid import rearrangement
        from .live import share

        self._bench.check(self)
        assert self._training is not None
        present = float(rates[0][0]), float(rates[1][0])
        if present != self._present:
            self._present = present
            self._training.repace(self._costs().paces(self.scale))
        wanted, handed_s = share(self.system.plan_of(plans), int(blocks[0]), self._learning.rate), 0.0
        moved = None if self._share is None else rearrangement(self._share, wanted, len(self.system.model.steps))
        if moved is not None:
            handed_s = self._took_s(self._training.do(moved))
        step = self.step = self._training.do(wanted)
        self._share = wanted
        samples = max(step.measures["samples"], 1.0)
        self.learnt["loss"].append(step.measures["loss"] / samples)
        self.learnt["accuracy"].append(step.measures["right"] / samples)
        return np.array([self._took_s(step)]), np.array([handed_s])

    def _took_s(self, step: Step) -> float:
        return (step.ended_s - step.begun_s) / self.scale

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
        return (f"iterations: {how}", *(f"beside it: {line}" for line in super().provenance))


def dynamics_of(backend: str, num_lanes: int, options: Mapping[str, Any], live: Mapping[str, Any]) -> HierTrainDynamics:
    """The dynamics of a backend.

    Args:
        live: options of playing live (:class:`..training_cluster.LiveOptions`), None where they are not given.

    Raises:
        InputError: there is no such backend, or an option is not for it.
    """
    found = live_options("HierTrain", backend, live)
    return HierTrainDynamics(num_lanes, **options) if backend == "tables" else LiveDynamics(num_lanes, found, **options)
