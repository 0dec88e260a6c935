"""What a training on workers leaves behind: its figures as data, pictures, and what is printed."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from ...ui.canvas import save_figure
from ...ui.console import print_table, stdout
from ...ui.files import write_text, writing
from ..out_folders import versions
from .results import PICTURE, RESULT, TRACE
from .tables import columns, milliseconds
from .trained import CURVE
from .training_terms import MEANINGS

if TYPE_CHECKING:
    from ...envs.training_cluster import Workers
    from .trained import Asked, Trained
    from .training_report import TrainingReport


@dataclass(frozen=True)
class TrainedRun:
    """A training that has ended, or was stopped."""

    asked: Asked
    workers: Workers
    trained: Trained
    stopped: bool


def results(run: TrainedRun, out: Path) -> tuple[dict[str, Path], dict[str, float]]:
    """Write and print everything about a training; returns pictures by name, and figures that sum it up.

    Raises:
        InputError: the folder cannot be written.
    """
    from .chrome_trace import training_trace
    from .training_pictures import timeline
    from .training_report import longest, make_report

    report = make_report(run.asked.task, run.workers, longest(run.trained.steps))
    data = _to_json(run, report)
    written, pictures = [RESULT, CURVE], dict[str, Path]()
    with writing(out):
        write_text(out / RESULT, json.dumps(data, indent=1, allow_nan=False) + "\n")
        if report.typical is not None:
            traces, roles = {"predicted": report.predicted, "measured": report.typical}, run.asked.task.job.roles
            write_text(out / TRACE, json.dumps(training_trace(traces, roles)) + "\n")
            save_figure(timeline(report, roles, _title(run)), out / PICTURE)
            pictures = {"timeline": out / PICTURE}
            written += [TRACE, PICTURE]
    _print(run, report)
    stdout().print(f"written to {out}: {', '.join(written)}", soft_wrap=True)
    figures = {
        "step_s": report.measured_s, "predicted_step_s": report.predicted_s, "loss": run.trained.loss,
        "accuracy": run.trained.accuracy,
    }  # fmt: skip
    return pictures, {name: value for name, value in figures.items() if math.isfinite(value)}


def _title(run: TrainedRun) -> str:
    return f"{Path(run.asked.args.plan).stem} on {run.asked.name}"


def _to_json(run: TrainedRun, report: TrainingReport) -> dict[str, Any]:
    asked, workers, trained = run.asked, run.workers, run.trained
    return {
        "schema": 1,
        "scenario": asked.name,
        "plan": asked.plan.to_json(),
        "emulation": {"kind": "table" if workers.emulates else "none", "time_scale": workers.scale},
        "workers": {name: w.machine for name, w in workers.controller.welcomes.items()},
        "load_average": list(os.getloadavg()),
        **report.to_json(),
        "steps": trained.done,
        "steps_here": trained.count,
        "steps_per_s": _rate(run),
        "loss": trained.loss if math.isfinite(trained.loss) else None,
        "accuracy": trained.accuracy,
        "events": [{"what": e.kind, "text": e.text, "epoch": e.epoch} for e in trained.events],
        "versions": versions(),
        "interrupted": run.stopped,
    }


def _rate(run: TrainedRun) -> float:
    """Steps a second, in the devices' time."""
    trained = run.trained
    return trained.count / max(trained.ended_s - trained.begun_s, 1e-9) * run.workers.scale


def _print(run: TrainedRun, report: TrainingReport) -> None:
    console, trained = stdout(), run.trained
    console.print(f"\n{_title(run)}, {trained.done} steps", style="bold", soft_wrap=True)
    print_table(console, _summary(run, report))
    console.print("\nwhere a step's time goes (the chain of work and messages that it waits for)", style="bold")
    print_table(console, term_table(report.terms))
    for line in _lines(run, report):
        console.print(line, style="dim", soft_wrap=True)
    lost = next((i for i, event in enumerate(trained.events) if event.kind == "lost"), len(trained.events))
    for event in trained.events[lost:]:
        console.print(f"{event.kind}: {event.text}", soft_wrap=True)


def _summary(run: TrainedRun, report: TrainingReport) -> Table:
    found = columns("", "predicted", "measured", "")
    spread = "no step counts"
    if math.isfinite(report.measured_s):
        ends = f"{report.spread_s[0] * 1e3:.1f} to {report.spread_s[1] * 1e3:.1f}"
        spread = f"median of {report.count - report.invalid}, {ends}; prediction {report.error:+.1%}"
    found.add_row("step (ms)", milliseconds(report.predicted_s), milliseconds(report.measured_s), spread)
    rates = f"{1.0 / report.predicted_s:.3g}", f"{_rate(run):.3g}"
    found.add_row("steps/s", *rates, "from the first step on, with all that was waited for")
    found.add_row("loss", "", f"{run.trained.loss:.4f}", "of the last steps")
    found.add_row("accuracy", "", f"{run.trained.accuracy:.1%}", "of the last steps, on what they trained on")
    return found


def term_table(terms: Mapping[str, tuple[float, float]]) -> Table:
    """Seconds by term, predicted and measured."""
    found = columns("term (ms)", "predicted", "measured", "difference", "")
    for name, (expected, real) in terms.items():
        kind, _, where = name.partition(" ")
        told = MEANINGS[kind]
        found.add_row(f"{kind} {where}", milliseconds(expected), milliseconds(real), _difference(expected, real), told)
    sums = [sum(pair[i] for pair in terms.values()) for i in (0, 1)]
    found.add_row("sum", milliseconds(sums[0]), milliseconds(sums[1]), _difference(*sums), "the mean of steps in a row")
    return found


def _difference(expected: float, real: float) -> str:
    return f"{(real - expected) * 1e3:+.2f}" if math.isfinite(real) else "–"


def _lines(run: TrainedRun, report: TrainingReport) -> Iterator[str]:
    workers = run.workers
    yield f"the environment prices a step at {report.environment_s * 1e3:.2f} ms; here {report.differs}"
    if workers.emulates:
        yield f"emulated (table), time scale {workers.scale:g}: times are those of the devices"
    if report.invalid:
        yield (
            f"{report.invalid} of {report.count} steps do not count: real work took longer than what it stands for; "
            f"a larger --time-scale mends that"
        )
    if math.isfinite(report.runtime_s):
        yield f"the runtime's own time is {report.runtime_s * 1e3:.2f} ms a step in real time, which no scale hides"
