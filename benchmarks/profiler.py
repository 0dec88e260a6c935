"""The figures of the profiler: kernels against the whole model, and one run against another.

    python benchmarks/profiler.py

VGG-16 is measured twice, each time in a process of its own (splitgym-profile --model vgg16 --every 8).
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from measure import Figure

from splitgym.models.lookup import get_model
from splitgym.profiling.measure.journal import Journal
from splitgym.profiling.measure.measuring import COLUMNS, Effort, journal_header, measure_table
from splitgym.profiling.measure.torch_profiler import TorchBackend

MODEL, EVERY = "vgg16", 8


class Run(NamedTuple):
    """One measurement: seconds of every cell, of every kernel at its full height, and of the whole model."""

    cells_s: np.ndarray
    full_s: np.ndarray
    whole_s: float
    took_s: float


def measured(model_name: str) -> Run:
    """Measure a model with the command's own settings."""
    begin = time.perf_counter()
    backend = TorchBackend(get_model(model_name))
    effort = Effort(passes=backend.passes)
    header = journal_header(backend.model, backend, effort)
    with (
        tempfile.TemporaryDirectory() as folder,
        Journal(Path(folder) / "table.partial.csv", header, COLUMNS) as journal,
    ):
        found = measure_table(
            backend.model, backend, effort, journal, lambda *_: None, EVERY, backend.extras, backend.prepare_whole
        )
    assert found.whole_s is not None
    cells_s = np.concatenate([times.seconds[1] for times in found.times])
    full_s = np.array([times.seconds[1, -1] for times in found.times])
    return Run(cells_s, full_s, found.whole_s, time.perf_counter() - begin)


def profiler_figures() -> Iterator[Figure]:
    """VGG-16 measured twice: kernels against the whole model, and one run against another."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        runs = pool.map(measured, [MODEL, MODEL], chunksize=1)
    for number, run in enumerate(runs, start=1):
        sum_s = float(run.full_s.sum())
        yield Figure(f"profiler {MODEL} run {number}, sum", sum_s * 1e3, "ms", sum_s / run.whole_s, "whole model")
        yield Figure(f"profiler {MODEL} run {number}, time, every {EVERY} rows", run.took_s, "s")
    first, second = runs
    for name, a, b in (
        ("median kernel, all rows", first.full_s, second.full_s),
        ("median of all cells", first.cells_s, second.cells_s),
    ):
        yield Figure(f"profiler runs differ, {name}", 100 * float(np.median(np.abs(b / a - 1))), "%")


GROUPS: dict[str, Callable[[], Iterator[Figure]]] = {"profiler": profiler_figures}

if __name__ == "__main__":
    for figure in profiler_figures():
        ratio = "" if figure.ratio is None else f"{figure.ratio:8.3f} x {figure.reference}"
        print(f"{figure.name:52s} {figure.value:14,.4g} {figure.unit:9s} {ratio}", flush=True)
