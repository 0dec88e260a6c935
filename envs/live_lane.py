"""What playing live has in common where a family trains: one lane, whose network really learns on workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from ..ui.errors import InputError
from .live_training import Costs, Learning, Task
from .scenarios import ScenarioDynamics
from .training_cluster import Bench, LiveOptions, bench_of, live_data, live_options

if TYPE_CHECKING:
    from ..runtime.training.job import TrainingJob
    from ..runtime.training.live import Training
    from ..runtime.training.steps import Step

D = TypeVar("D")
EVERY = 20  # entries between two checkpoints


class LiveLane(ScenarioDynamics):
    """Stands in front of a family's dynamics, whose times it has workers take.

    Attributes:
        family: its name in messages.
        measures: what of it is measured.
        scale: by which real time is longer than that of the devices.
        step: the last one; None before.
        learnt: loss and accuracy of all steps, by name.
    """

    slow_steps = True
    exclusive = True
    family: ClassVar[str]
    measures: ClassVar[str]
    _learning: Learning
    _bench: Bench

    def _open(
        self, live: LiveOptions, roles: Sequence[str], tasks: Callable[[], Iterable[Task]], spare: Sequence[str] = ()
    ) -> None:
        """Have workers for a network.

        Args:
            tasks: those whose times are the shortest; a time scale is found by them, where none is given.
            spare: names of further workers.
        """
        self._learning = Learning(live_data(self.family, live, self.system.model), live.learning_rate, every=EVERY)
        self._bench = bench_of(self.family, roles, spare)
        self.scale = live.time_scale or self._bench.fit_scale(tasks())
        self._rng = np.random.default_rng(0)
        self._training: Training | None = None
        self._forget()

    def _forget(self) -> None:
        self.step: Step | None = None
        self.learnt: dict[str, list[float]] = {"loss": [], "accuracy": []}

    def seed_lanes(self, lanes: np.ndarray, rngs: Sequence[np.random.Generator]) -> None:
        super().seed_lanes(lanes, rngs)
        self._rng = rngs[0]

    def _begin(self, job: Callable[[Learning], TrainingJob], costs: Costs) -> None:
        """A new training, from a seed of this lane's."""
        learning = replace(self._learning, seed=int(self._rng.integers(2**31)))
        self._training = self._bench.begin(self, job(learning), costs, self.scale)
        self._forget()

    def _playing(self) -> Training:
        """The training, if the workers are this lane's still.

        Raises:
            InputError: another env trains on them now.
        """
        self._bench.check(self)
        assert self._training is not None
        return self._training

    def _keep_to(self, costs: Costs) -> Training:
        """Have workers take other times from now on."""
        training = self._playing()
        training.repace(costs.paces(self.scale))
        return training

    def _took_s(self, step: Step) -> float:
        """From the controller's word to begin until all have updated their weights."""
        return (step.ended_s - step.begun_s) / self.scale

    def _note_learnt(self, steps: Sequence[Step]) -> None:
        samples = max(sum(step.measures["samples"] for step in steps), 1.0)
        self.learnt["loss"].append(sum(step.measures["loss"] for step in steps) / samples)
        self.learnt["accuracy"].append(sum(step.measures["right"] for step in steps) / samples)
        self.step = steps[-1]

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
        return (f"{self.measures}: {how}", *(f"beside it: {line}" for line in super().provenance))


def dynamics_of(
    family: str,
    tables: Callable[..., D],
    live: Callable[..., D],
    backend: str,
    num_lanes: int,
    options: Mapping[str, Any],
    given: Mapping[str, Any],
) -> D:
    """The dynamics of a backend.

    Args:
        family: its name in messages.
        tables, live: make them, of the number of lanes; the latter of :class:`.training_cluster.LiveOptions`, too.
        options: of both.
        given: options of playing live, None where they are not given.

    Raises:
        InputError: there is no such backend, an option is not for it, or more than one lane would be live.
    """
    found = live_options(family, backend, given)
    if backend == "tables":
        return tables(num_lanes, **options)
    if num_lanes != 1:
        raise InputError(f"{family}: backend=live plays one training at a time; num_envs must be 1")
    return live(num_lanes, found, **options)
