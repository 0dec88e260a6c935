"""An iteration by the paper's model and as it was measured, as Fig. 6 shows both.

``python -m splitgym.experiments.hiertrain.measured`` trains under the exact planner's schedule at every rate between
edge and cloud, on processes of this machine that take the times of device, edge, cloud and links.
"""

from __future__ import annotations

import csv
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

from ...envs.hiertrain import live
from ...envs.hiertrain.planning import ExactPlanner
from ...envs.hiertrain.scenarios import SWEEP_MBPS, get_scenario
from ...envs.live_training import Learning
from ...ui.canvas import COLORS, clean, new_figure, save_figure, top_legend
from ...ui.console import MOST_SEED, Parser, entry, listed, positive_number, print_table, seed_number, stdout, whole
from ...ui.files import writing
from ...ui.progress import Bar
from ..live.tables import columns, milliseconds
from ..live.training_report import Steps, make_report
from ..options import parse_pairs
from ..out_folders import claimed_out, claimed_run

PROG = "python -m splitgym.experiments.hiertrain.measured"
TABLE, PICTURE = "measured.csv", "measured.png"
STEPS = 4  # under every schedule; the first fills caches


@dataclass(frozen=True)
class Row:
    """A schedule: seconds of an iteration.

    Attributes:
        mbps: between edge and cloud.
        model_s: T_total of Eq. 12.
        timeline_s: as the runtime's protocol goes, without barriers, one message after another.
        measured_s: the median; NaN where none counts.
        steps, invalid: that ran, and those of them that do not count.
    """

    mbps: float
    model_s: float
    timeline_s: float
    measured_s: float
    steps: int
    invalid: int


def main(argv: Sequence[str] | None = None) -> int:
    """Train, measure and draw as the command line says; returns the exit code."""
    return entry(PROG, _main, argv)


def _main(argv: Sequence[str] | None) -> int:
    args = _parser().parse_args(argv)
    options = parse_pairs("--env-kwargs", args.env_kwargs)
    names = [f"{args.model}-{mbps:g}" for mbps in args.mbps or SWEEP_MBPS]
    for name in names:
        live.make_system(get_scenario(name, **options))
    if args.out is not None:
        with claimed_out(args.out, TABLE):
            return _in_folder(args, names, options, args.out)
    with claimed_run(f"{args.model}-measured") as out:
        return _in_folder(args, names, options, out)


def _parser() -> Parser:
    parser = Parser(PROG, "Measure iterations beside the paper's model of them (Fig. 6).", _help)
    parser.add_argument("--model", metavar="NAME", default="lenet5", help="lenet5, alexnet, or another (lenet5)")
    parser.add_argument("--mbps", metavar="R", nargs="+", type=positive_number, help="edge to cloud (1.5 to 5)")
    parser.add_argument("--env-kwargs", metavar="K=V", nargs="+", action="extend", help="fields of the scenarios")
    parser.add_argument("--steps", metavar="N", type=whole, default=STEPS, help=f"under every schedule ({STEPS})")
    parser.add_argument("--time-scale", metavar="T", type=positive_number, help="all is slower by T (as it needs)")
    parser.add_argument(
        "--seed", metavar="N", type=seed_number, default=0, help=f"of weights and images, 0 to {MOST_SEED} (0)"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, help="new folder (runs/<model>-measured-<n>)")
    return parser


def _help() -> str:
    return "\n".join(["what it writes:", *listed({TABLE: "seconds of every schedule", PICTURE: "the same drawn"})])


def _in_folder(args: Namespace, names: Sequence[str], options: dict[str, Any], out: Path) -> int:
    with Bar("schedules") as bar:
        rows = measure(names, options, args.steps, args.time_scale, args.seed, bar.show)
    with writing(out), (out / TABLE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(Row)])
        writer.writerows(astuple(row) for row in rows)
    save_figure(figure(rows, args.model), out / PICTURE)
    table = columns("Mbps", "model (ms)", "timeline (ms)", "measured (ms)", "model is off by", "timeline", "")
    for row in rows:
        errors = [f"{s / row.measured_s - 1:+.1%}" for s in (row.model_s, row.timeline_s)]
        times = [milliseconds(s) for s in (row.model_s, row.timeline_s, row.measured_s)]
        told = f"{row.invalid} of {row.steps} do not count" if row.invalid else ""
        table.add_row(f"{row.mbps:g}", *times, *errors, told)
    print_table(stdout(), table)
    stdout().print(f"written to {out}: {TABLE}, {PICTURE}", soft_wrap=True)
    return 0


def measure(
    names: Sequence[str],
    options: dict[str, Any],
    steps: int,
    scale: float | None = None,
    seed: int = 0,
    on_share: Callable[[float, str], None] = lambda share, name: None,
) -> list[Row]:
    """Train under the exact planner's schedule of some scenarios.

    Args:
        options: fields of all of them.
        steps: under each.
        scale: by which all is slower; None: as this machine needs.
        on_share: called with the share that is done, and the scenario.
    """
    from ...envs.training_cluster import on_testbed
    from ...runtime.blobs import BlobStore, default_folder
    from ...runtime.training.data import load_images

    rows: list[Row] = []
    with on_testbed(live.WORKERS, BlobStore(default_folder())) as workers:
        for number, name in enumerate(names):
            system = live.make_system(get_scenario(name, **options))
            plan = system.plan_of(ExactPlanner(system).best(*system.nominal).plan)
            task = live.task(system, plan, Learning(load_images(None, system.model.input), seed=seed))
            workers.scale = scale or workers.fit_scale(task)
            costs = task.costs(next(iter(task.entries([]))))
            found = Steps(costs)
            with workers.training(task.job, costs) as training:
                for step in training.run(islice(task.entries([]), steps)):
                    found.add(step, 1, workers.counts(step, task.step_s), system.batch)
            report = make_report(task, workers, found)
            mbps = system.scenario.edge_cloud_mbps
            rows.append(Row(mbps, task.step_s, report.predicted_s, report.measured_s, report.count, report.invalid))
            on_share((number + 1) / len(names), name)
    return rows


def iterations(model: str, mbps: Sequence[float], steps: int, seed: int) -> dict[str, Any]:
    """Iterations as they are carried out, as plain data; a first one at every rate fills caches."""
    names = [f"{model}-{rate:g}" for rate in mbps]
    rows = measure(names, {}, steps + 1, seed=seed)
    system = live.make_system(get_scenario(names[0]))
    told = "executed: processes of this machine that take the modelled times of workers and links"
    return {
        "mbps": list(mbps), "model_s": [row.model_s for row in rows], "timeline_s": [row.timeline_s for row in rows],
        "measured_s": [row.measured_s for row in rows], "invalid": [row.invalid for row in rows],
        "provenance": [*system.provenance, told],
    }  # fmt: skip


def figure(rows: Sequence[Row], model: str) -> Any:
    """The paper's Fig. 6: theoretical and real latency; returns a matplotlib Figure (Agg canvas)."""
    drawn = new_figure(7.0, 3.8)
    axes, handles = drawn.subplots(), dict[str, Any]()
    clean(axes)
    width, mbps = 0.27, range(len(rows))
    for place, (label, values) in enumerate(
        {
            "model (Eq. 12)": [row.model_s for row in rows],
            "timeline of the runtime's protocol": [row.timeline_s for row in rows],
            "measured": [row.measured_s for row in rows],
        }.items()
    ):
        at = [x + (place - 1) * width for x in mbps]
        handles[label] = axes.bar(at, values, width, color=COLORS[place])
    axes.set_xticks(list(mbps), [f"{row.mbps:g}" for row in rows])
    axes.set_xlabel("Mbps between edge and cloud")
    axes.set_ylabel(f"s an iteration of {model}")
    top_legend(drawn, handles)
    return drawn


if __name__ == "__main__":
    sys.exit(main())
