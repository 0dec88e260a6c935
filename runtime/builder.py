"""Builds what a plan of any kind needs on this worker; what the next plan may use too is kept. By one thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import wire
from .blobs import BlobStore
from .drops import Drops
from .epoch import Epoch
from .spatial_epoch import SpatialBuilder
from .wire_training_plan import TrainingPlan

if TYPE_CHECKING:
    from .training.epoch import TrainingBuilder


class Builder:
    """What a worker builds plans with.

    Args:
        store: weights and data sets.
        backend: what runs parts of spatial plans, torch or tensorrt.
        name: of the worker.
        drops: where messages are counted that are dropped.
    """

    def __init__(self, store: BlobStore, backend: str, name: str, drops: Drops) -> None:
        self._spatial = SpatialBuilder(store, backend)
        self._training: TrainingBuilder | None = None
        self._about = store, name, drops

    def build(self, plan: wire.AnyPlan, incarnation: int, controller: str, results: str) -> Epoch:
        """Everything of a plan.

        Args:
            incarnation: of this start of the worker.
            controller, results: its name, and where it takes data.

        Raises:
            InputError: the plan makes no sense, or what it needs does not fit.
        """
        if isinstance(plan, TrainingPlan):
            from .training.epoch import TrainingBuilder  # torch, only where something is trained

            if self._training is None:
                self._training = TrainingBuilder(*self._about)
            return self._training.build(plan, incarnation, controller, results)
        return self._spatial.build(plan, incarnation, controller, results)

    def forget(self) -> None:
        """The session is over: what was trained in it is not gone on with."""
        if self._training is not None:
            self._training.forget()
