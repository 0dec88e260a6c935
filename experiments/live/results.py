"""What a live run leaves behind: its figures as data, pictures, and what is printed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...models.plans import SpatialPlan
from ...ui.canvas import save_figure
from ...ui.console import print_table, stdout
from ...ui.errors import InputError
from ...ui.files import write_text
from ..out_folders import versions

if TYPE_CHECKING:
    from ...envs.distredge.live import Cluster
    from ...runtime.journal import Journal
    from .report import Report
    from .stream import Streamed

RESULT, PICTURE, TRACE, RATES = "run.json", "timeline.png", "trace.json", "rate.png"


@dataclass(frozen=True)
class Run:
    """A run that has ended, or was stopped.

    Attributes:
        who: planned, or the plan's file.
        found: the images that went through, ``offload`` those of the comparison, None for none.
        journal: of all its images, earlier parts included.
    """

    cluster: Cluster
    plan: SpatialPlan
    who: str
    in_flight: int
    found: Streamed
    offload: Streamed | None
    journal: Journal
    stopped: bool


def results(run: Run, out: Path) -> Report:
    """Write and print everything about a run.

    Raises:
        InputError: the folder cannot be written.
    """
    from . import outage
    from .report import make_report, to_json

    cluster, plan, found = run.cluster, run.plan, run.found
    report = make_report(cluster, plan, found, run.offload, run.in_flight == 1)
    data = {
        **to_json(report, cluster, plan, found, run.in_flight),
        "images": run.journal.entries,
        "outages": outage.to_json(found, cluster.scale),
        "versions": versions(),
        "interrupted": run.stopped,
    }
    rates = None
    if outage.happened(found):
        title = f"{Path(run.who).stem} on {cluster.system.scenario.name}"
        rates = outage.rate_figure(found, title, cluster.scale)
    _write(out, data, report, cluster, plan, run.who, rates)
    _print(report, run, out, rates is not None)
    return report


def _write(
    out: Path, data: dict[str, Any], report: Report, cluster: Cluster, plan: SpatialPlan, who: str, rates: Any
) -> None:
    from .chrome_trace import chrome_trace
    from .pictures import timeline

    try:
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / RESULT, json.dumps(data, indent=1, allow_nan=False) + "\n")
        if report.typical is not None:
            traces = {"predicted": report.predicted, "measured": report.typical}
            write_text(out / TRACE, json.dumps(chrome_trace(traces, cluster.system.names)) + "\n")
            figure = timeline(cluster.system, plan, report.predicted, report.typical, Path(who).stem)
            save_figure(figure, out / PICTURE)
        if rates is not None:
            save_figure(rates, out / RATES)
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written ({error.strerror})") from None


def _print(report: Report, run: Run, out: Path, has_rates: bool) -> None:
    from . import outage
    from .tables import summary_table, term_table

    cluster, found = run.cluster, run.found
    console, scenario = stdout(), cluster.system.scenario
    console.print(f"\n{scenario.name} ({scenario.summary})", style="bold", soft_wrap=True)
    print_table(console, summary_table(report))
    if run.in_flight == 1 and report.typical is not None:
        console.print(
            "\nwhere the latency goes (the chain of parts and messages that the result waits for)", style="bold"
        )
        print_table(console, term_table(report))
    for line in _lines(report, cluster, found):
        console.print(line, style="dim", soft_wrap=True)
    for line in outage.lines(found, cluster.scale):
        console.print(line, soft_wrap=True)
    written = [RESULT, *([TRACE, PICTURE] if report.typical is not None else []), *([RATES] if has_rates else [])]
    console.print(f"written to {out}: {', '.join(written)}", soft_wrap=True)


def _lines(report: Report, cluster: Cluster, found: Streamed) -> Iterator[str]:
    emulation = cluster.emulation
    if emulation.kind != "none":
        yield f"emulated ({emulation.kind}), time scale {emulation.scale:g}: times are those of the devices"
        if cluster.system.scenario.varies:
            yield "emulated links keep one rate each, and so does the prediction: the scenario's, or its trace's mean"
    if report.invalid:
        yield (
            f"{report.invalid} of {len(found.items)} images do not count: real work took longer than what it stands "
            f"for; a larger --time-scale mends that"
        )
    if report.worst_error is not None:
        yield (
            f"{len(found.errors)} outputs checked: at most {report.worst_error:.1e} of the largest value from the "
            f"unsplit network's (allowed: {report.tolerance:g})"
        )
    if math.isfinite(report.runtime_s):
        yield f"the runtime's own time is {report.runtime_s * 1e3:.2f} ms an image in real time, which no scale hides"
    if report.joules is None:
        yield "no worker tells its power"
    else:
        yield f"{report.joules:.3g} J an image, by the workers that tell"
