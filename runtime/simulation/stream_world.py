"""One seed of a stream of items through spatial plans."""

from __future__ import annotations

import io
from hashlib import sha256

from .checks import STREAM
from .disk import Disk
from .rows import MODELS
from .rows_worker import RowsWorker
from .stream_controller import StreamController
from .world import Outcome, World, outcome_of


class StreamWorld(World):
    """Everything of one seed.

    Args:
        seed: all that happens follows from it.
        keeps_log: whether what happens is written down.
    """

    def __init__(self, seed: int, keeps_log: bool = False) -> None:
        self._journal = io.BytesIO()
        super().__init__(seed, keeps_log, STREAM)

    def _begin(self) -> tuple[str, ...]:
        workers = tuple(f"w{i}" for i in range(self.rng.randint(2, 4)))
        self.model = self.rng.randrange(len(MODELS))
        self.in_flight = self.rng.randint(1, 3)
        self.digests = tuple(sha256(f"{i}".encode()).hexdigest() for i in range(len(MODELS[self.model].steps)))
        return workers

    def _new_worker(self, name: str, number: int, disk: Disk) -> RowsWorker:
        return RowsWorker(self, name, number, disk)

    def _new_controller(self, number: int) -> StreamController:
        return StreamController(self, number, self._journal)

    def _is_spare(self, lame: set[str]) -> bool:
        return len(lame) < len(self.workers)


def simulate(seed: int, keeps_log: bool = False) -> Outcome:
    """All that happens under a seed."""
    return outcome_of(seed, StreamWorld(seed, keeps_log))
