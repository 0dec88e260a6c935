"""A backend that takes no time and knows what it costs, and a measurement with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from splitgym.models.lookup import get_model
from splitgym.models.model import Model
from splitgym.profiling.measure.journal import Journal
from splitgym.profiling.measure.measuring import (
    COLUMNS,
    Effort,
    Measured,
    Run,
    journal_header,
    measure_table,
)

LENET = get_model("lenet5")


class Fake:
    """A backend with a known cost: seconds of a kernel at some rows; ``slow`` says what a visit's runs are times."""

    name, precision, software, note, device, passes = "fake", "FP8", "Fake 1", "in its head", "toy", 4

    def __init__(self, cost: Callable[[int, int], float], slow: Callable[[int], float] = lambda visit: 1.0) -> None:
        self.cost, self.slow = cost, slow
        self.visits: list[tuple[int, int]] = []
        self.runs = 0

    def prepare(self, kernel: int, rows: int) -> Run:
        self.visits.append((kernel, rows))
        factor = self.slow(len(self.visits))

        def run() -> float:
            self.runs += 1
            return factor * self.cost(kernel, rows)

        return run


def affine(kernel: int, rows: int) -> float:
    return 0.5 + kernel + 0.25 * (kernel + 1) * rows


def take(
    path: Path, backend: Any, model: Model = LENET, every: int = 1, effort: Effort | None = None, **options: Any
) -> Measured:
    effort = effort or Effort(repeats=8, warmup=1, passes=backend.passes)
    with Journal(path, journal_header(model, backend, effort), COLUMNS) as journal:
        return measure_table(model, backend, effort, journal, lambda *_: None, every, **options)
