"""Measuring: cells visited in passes, and the latency table that their medians make.

A cell is one thing to be timed, such as a kernel at some number of output rows. Every pass visits all cells, in an
order of its own: a machine whose speed drifts slows every cell a little instead of a few cells much. A visit runs the
cell some times to warm up, then takes its samples; a cell's time is the median over all passes.

Where a kernel is not measured at every number of rows, its times between are linear.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ...models.model import Model
from ...ui.errors import InputError
from ..tables import LatencyTable, Provenance, table_of
from .journal import Journal, Samples
from .machine import clock_note

COLUMNS = ("kernel", "rows", "pass", "seconds")
WHOLE = "whole model"

Run = Callable[[], float]  # runs once, returns seconds
Progress = Callable[[float, str], None]  # share of the work, what was just done
Visit = Callable[["Cell", int, int], Samples]  # runs a cell some times to warm up, then takes samples

_Floats = npt.NDArray[np.float64]


class OutOfMemory(Exception):
    """The device has not enough memory for what it was asked to run."""


class DeviceFailure(Exception):
    """The device could not run what it was asked to; the text says why."""


class Device(Protocol):
    """What runs something somewhere.

    Attributes:
        name: of the software that runs it, as the command line has it.
        precision, software, device: for the provenance.
        note: how it is run; the same text for the same settings, since a measurement that goes on compares it.
        passes: over all cells; 1 where preparing takes longer than running.
    """

    name: str
    precision: str
    software: str
    note: str
    device: str
    passes: int


class Backend(Device, Protocol):
    """Runs kernels of a model."""

    def prepare(self, kernel: int, rows: int) -> Run:
        """What runs ``rows`` output rows of ``Model.kernels[kernel]``; all rows run as the whole kernel.

        Raises:
            OutOfMemory: there is not enough of it; the run may raise it, too.
        """
        ...


@dataclass(frozen=True)
class Extra:
    """Time of an operation that is no kernel of the model, but runs with one: it is added to that kernel's time.

    Attributes:
        name: of its own.
        kernel: index of the kernel that it is charged to.
        prepare: as :meth:`Backend.prepare`, for output rows of that kernel.
    """

    name: str
    kernel: int
    prepare: Callable[[int], Run]


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        repeats: samples of every cell, over all passes.
        warmup: runs before the samples of every visit.
        passes: over all cells.
    """

    repeats: int = 20
    warmup: int = 3
    passes: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "passes", min(self.passes, self.repeats))

    def samples(self, number: int) -> int:
        """Samples of every cell in a pass."""
        return self.repeats // self.passes + (number < self.repeats % self.passes)

    def note(self) -> str:
        """What a table says about it."""
        passes = f" in {self.passes} passes" if self.passes > 1 else ""
        return f"median of {self.repeats} runs{passes}, {self.warmup} to warm up"


@dataclass(frozen=True)
class Cell:
    """Something to be timed.

    Attributes:
        name, size: identify it, a kernel and its rows, say.
        text: both in words.
        prepare: gives what runs it once and returns the seconds of its parts.
    """

    name: str
    size: int
    text: str
    prepare: Callable[[], Callable[[], tuple[float, ...]]] = field(compare=False)


def visit_here(cell: Cell, warmup: int, samples: int) -> Samples:
    """Run a cell by what it prepares: samples by their parts."""
    run = cell.prepare()
    for _ in range(warmup):
        run()
    return np.array([run() for _ in range(samples)])


def measure(
    cells: Sequence[Cell], effort: Effort, journal: Journal, progress: Progress, visit: Visit = visit_here
) -> dict[tuple[str, int], Samples]:
    """Visit every cell in every pass, but for what the journal has.

    A cell for which the device has not enough memory is left out, and the others are measured all the same.

    Args:
        cells: in any order.
        effort: how much is measured.
        journal: keeps what was measured.
        progress: is told after every visit.
        visit: how a cell is run.

    Returns:
        Samples by cell name and size, (repeats, parts).

    Raises:
        InputError: the device ran out of memory, once everything else is measured, or could not run a cell; the
            journal keeps what was measured.
        KeyboardInterrupt: with a text that says what the journal keeps.
    """
    visits = effort.passes * len(cells)
    done = sum((c.name, c.size, number) in journal.entries for c in cells for number in range(effort.passes))
    failed: dict[tuple[str, int], str] = {}
    try:
        for number in range(effort.passes):
            for i in np.random.default_rng(number).permutation(len(cells)):
                cell = cells[i]
                key = cell.name, cell.size, number
                if key in journal.entries or key[:2] in failed:
                    continue
                try:
                    samples = visit(cell, effort.warmup, effort.samples(number))
                except OutOfMemory as error:
                    failed[key[:2]] = f"{cell.text}: out of memory ({error})"
                    continue
                except (DeviceFailure, InputError) as error:
                    raise InputError(f"{cell.text}: {error}; {journal.kept(done, visits)}") from None
                journal.append(key, samples)
                done += 1
                progress(done / visits, cell.text)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; {journal.kept(done, visits)}") from None
    if failed:
        first, more = next(iter(failed.values())), len(failed) - 1
        others = f", and so are {more} others" if more else ""
        raise InputError(f"{first}{others}; {journal.kept(done, visits)}")
    return {
        (cell.name, cell.size): np.concatenate([journal.entries[cell.name, cell.size, n] for n in range(effort.passes)])
        for cell in cells
    }


def rows_grid(height: int, every: int) -> list[int]:
    """The numbers of rows that are measured: 1, 1 + every, ..., and always all of them."""
    return sorted({*range(1, height + 1, every), height})


@dataclass(frozen=True, eq=False)
class KernelTimes:
    """What was measured of a kernel, extras included.

    Attributes:
        rows: increasing, the last being all of them.
        seconds: (3, len(rows)), lower quartile, median and upper quartile.
    """

    rows: npt.NDArray[np.int64]
    seconds: _Floats

    def spread(self) -> _Floats:
        """Interquartile range over median, by row count."""
        return spread_of(self.seconds)


@dataclass(frozen=True, eq=False)
class Measured:
    """A measured table and what else is known.

    Attributes:
        table: the latency table.
        times: of every kernel, at the rows that were measured.
        whole_s: seconds of the whole model run in one go, None where that was not measured.
    """

    table: LatencyTable
    times: tuple[KernelTimes, ...]
    whole_s: float | None


def journal_header(model: Model, backend: Device, effort: Effort, **more: object) -> dict[str, str]:
    """What a journal of measurements says about them; ``more`` come last.

    Which cells there are is not in it: a measurement goes on with other rows or batch sizes, too.
    """
    about = {name: getattr(backend, name) for name in ("device", "precision", "software", "note")}
    facts = {"repeats": effort.repeats, "warm-up": effort.warmup, "passes": effort.passes, **more}
    return {
        "model": model.name, "fingerprint": model.fingerprint, "backend": backend.name, **about,
        **{name: str(value) for name, value in facts.items()},
    }  # fmt: skip


def measure_table(
    model: Model,
    backend: Backend,
    effort: Effort,
    journal: Journal,
    progress: Progress,
    every: int = 1,
    extras: Sequence[Extra] = (),
    whole: Callable[[], Run] | None = None,
    visit: Visit = visit_here,
) -> Measured:
    """Measure a latency table.

    Args:
        model: the network.
        backend: runs its kernels.
        effort: how much is measured.
        journal: keeps what was measured, with the columns ``COLUMNS``.
        progress: is told what share the journal had, then after every visit.
        every: measure every so many rows.
        extras: what is added to kernels.
        whole: prepares the whole model, to be measured beside its kernels.
        visit: as for :func:`measure`.

    Raises:
        InputError, KeyboardInterrupt: as :func:`measure`.
    """
    grids = [rows_grid(kernel.out_shape.height, every) for kernel in model.kernels]
    cells = [
        _cell(kernel.name, rows, lambda k=k, r=rows: backend.prepare(k, r))
        for k, kernel in enumerate(model.kernels)
        for rows in grids[k]
    ]
    cells += [_cell(e.name, rows, lambda e=e, r=rows: e.prepare(r)) for e in extras for rows in grids[e.kernel]]
    if whole is not None:
        cells.append(Cell(WHOLE, 1, WHOLE, lambda: _as_tuple(whole())))
    quartiles = {
        key: np.percentile(samples[:, 0], (25, 50, 75))
        for key, samples in measure(cells, effort, journal, progress, visit).items()
    }
    added = {k: [e.name for e in extras if e.kernel == k] for k in range(len(grids))}
    times = tuple(
        KernelTimes(
            np.array(grid),
            np.stack([sum(quartiles[name, rows] for name in (kernel.name, *added[k])) for rows in grid], axis=1),
        )
        for k, (kernel, grid) in enumerate(zip(model.kernels, grids, strict=True))
    )
    entries = [np.interp(np.arange(1, t.rows[-1] + 1), t.rows, t.seconds[1]) for t in times]
    between = f"every {every} rows, linear between" if every > 1 else ""
    spread = np.concatenate([t.spread() for t in times])
    whole_s = float(quartiles[WHOLE, 1][1]) if whole is not None else None
    return Measured(table_of(model, entries, provenance_of(backend, effort, between, spread)), times, whole_s)


def provenance_of(backend: Device, effort: Effort, how: str, spread: _Floats) -> Provenance:
    """Where measured numbers come from; ``how`` is one more remark, ``spread`` that of all cells."""
    scatter = f"interquartile range {np.median(spread):.1%} of the median (median over all)"
    note = "; ".join(filter(None, (backend.note, effort.note(), how, scatter, clock_note())))
    today = date.today().isoformat()
    return Provenance("measured", backend.device, backend.precision, backend.software, today, note)


def spread_of(quartiles: _Floats) -> _Floats:
    """Interquartile range over median, (3, ...) -> (...); 0 where nothing takes time."""
    low, median, high = quartiles
    return np.divide(high - low, median, out=np.zeros_like(median), where=median > 0)


def _cell(name: str, rows: int, prepare: Callable[[], Run]) -> Cell:
    text = f"{name}, {rows} row{'s' * (rows != 1)}"
    return Cell(name, rows, text, lambda: _as_tuple(prepare()))


def _as_tuple(run: Run) -> Callable[[], tuple[float, ...]]:
    return lambda: (run(),)
