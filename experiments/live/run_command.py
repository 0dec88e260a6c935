"""``splitgym-run``: a plan on real workers; what was measured beside what was predicted."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...agents.registry import get_spec
from ...envs import get_family
from ...envs.distredge.scenarios import get_scenario
from ...envs.distredge.system import System
from ...models.plans import SpatialPlan
from ...ui.canvas import save_figure
from ...ui.console import (
    INTERRUPTED,
    Parser,
    entry,
    listed,
    note,
    positive_number,
    print_table,
    seed_number,
    stderr,
    stdout,
    whole,
    wrapped,
)
from ...ui.errors import InputError
from ...ui.files import write_text
from ..options import parse_pairs
from ..play import assess
from ..run_folder import claimed_out, claimed_run, versions

if TYPE_CHECKING:
    from ...envs.distredge.live import Cluster, Emulation
    from .report import Report
    from .stream import Streamed

PROG = "splitgym-run"
RESULT, PICTURE, TRACE = "run.json", "timeline.png", "trace.json"
IMAGES, OFFLOAD_IMAGES = 20, 3
TRIED_IMAGES = 2  # at full speed, to see which scale this machine can keep to


def main(argv: Sequence[str] | None = None) -> int:
    """Run as the command line says; returns the exit code."""
    return entry(PROG, _main, argv)


def _main(argv: Sequence[str] | None) -> int:
    args = _parser().parse_args(argv)
    if (args.cluster is None) == (args.testbed is None):
        raise InputError("name the workers: either --cluster FILE or --testbed SCENARIO")
    if args.cluster is not None and (args.time_scale or args.emulate or args.namespaces):
        raise InputError("--time-scale, --emulate and --namespaces are for --testbed; a cluster's file says its own")
    options = parse_pairs("--env-kwargs", args.env_kwargs)
    name = args.cluster or args.testbed
    scenario = get_scenario(name, **options)
    if args.cluster is not None and not scenario.addresses:
        raise InputError(f"--cluster {name}: addresses is missing; give HOST:PORT of every device's splitgym-worker")
    asked = _emulation(args)  # what it needs is told to be missing before anything is planned
    system = System(scenario)
    plan = _plan(args, name, options, system)
    if args.out is not None:
        with claimed_out(args.out, RESULT):
            return _in_folder(args, system, plan, asked, args.out)
    with claimed_run(f"{scenario.name}-live") as out:
        return _in_folder(args, system, plan, asked, out)


def _emulation(args: argparse.Namespace) -> Emulation:
    from ...envs.distredge.live import Emulation

    if args.namespaces and args.time_scale is None:
        raise InputError("--namespaces needs --time-scale: the kernel's links are made before any is found")
    return Emulation(args.emulate or "table", args.time_scale or 1.0, not args.namespaces)


def _in_folder(args: argparse.Namespace, system: System, plan: SpatialPlan, asked: Emulation, out: Path) -> int:
    if args.testbed is not None:
        return _on_testbed(args, system, plan, asked, out)
    return _on_machines(args, system, plan, out)


def _parser() -> Parser:
    parser = Parser(
        PROG,
        "Carry out a spatial plan on workers: deploy it, stream images through, and hold what is measured against\n"
        "what was predicted, term by term.",
        _help,
    )
    parser.add_argument("plan", metavar="PLAN", help="a plan.json, or a planner's name (offload, coedge, joint, ...)")
    group = parser.add_argument_group("workers")
    group.add_argument(
        "--cluster", metavar="FILE", help="a scenario with addresses: machines where splitgym-worker runs"
    )
    group.add_argument("--testbed", metavar="SCENARIO", help="processes of this machine that stand for its devices")
    group.add_argument("--emulate", choices=("table", "dilate", "none"), help="the devices' time on a testbed (table)")
    group.add_argument("--time-scale", metavar="T", type=positive_number, help="a testbed is slower by T (as it needs)")
    group.add_argument("--namespaces", action="store_true", help="a testbed's links by the kernel (root; cross-check)")
    group.add_argument("--env-kwargs", metavar="K=V", nargs="+", action="extend", help="fields of the scenario")
    group.add_argument("--insecure", action="store_true", help="no encryption; on this machine only")
    group = parser.add_argument_group("images")
    group.add_argument("--images", metavar="N", type=whole, default=IMAGES, help=f"how many ({IMAGES})")
    group.add_argument(
        "--in-flight", metavar="K", type=whole, default=1, help="under way at once; 1 as in the paper (1)"
    )
    group.add_argument("--check", action="store_true", help="compare every output with the unsplit network's")
    group.add_argument(
        "--no-offload", action="store_true", help="leave out the offloaded images that are compared with"
    )
    group.add_argument("--seed", metavar="N", type=seed_number, default=0, help="of images and planners (0)")
    parser.add_argument("--out", metavar="DIR", type=Path, help="new folder (runs/<scenario>-live-<n>)")
    return parser


def _help() -> str:
    return "\n".join(
        [
            "what it writes:",
            *listed(
                {
                    RESULT: "everything measured and predicted",
                    PICTURE: "an image's timeline, predicted above measured",
                    TRACE: "the same for ui.perfetto.dev and chrome://tracing",
                }
            ),
            "",
            "emulation on a testbed (--emulate):",
            *listed(
                {
                    "table": "parts really run, then wait until the scenario's tables say they end; links are paced",
                    "dilate": "parts take the time of their own work, times how much slower the device is",
                    "none": "this machine as it is",
                }
            ),
            *wrapped(
                "  ",
                "Devices faster than this machine need a time scale above 1, which applies to devices and links alike; "
                "by default the least that this machine keeps to is found by trying.",
            ),
            "",
            "examples:",
            f"  {PROG} offload --testbed DB-50 --images 3",
            f"  {PROG} runs/mine/plan.json --testbed DA-50 --time-scale 40 --check",
            f"  {PROG} plan.json --cluster cluster.yaml --images 200 --in-flight 4",
        ]
    )


def _plan(args: argparse.Namespace, name: str, options: dict[str, Any], system: System) -> SpatialPlan:
    """The plan of a file, or a planner's."""
    family = get_family("distredge")
    spec = get_spec(family.name, args.plan, "PLAN")
    if spec.learns:
        raise InputError(f"PLAN: {spec.name} is trained; train it, and name the plan.json of its run folder")
    with stderr().status(f"{spec.name}: planning …"):
        result = assess(family, spec, name, options, args.seed)
    assert result.plan is not None
    return SpatialPlan.from_json(result.plan, args.plan).validate(system.model, args.plan)


def _on_testbed(args: argparse.Namespace, system: System, plan: SpatialPlan, asked: Emulation, out: Path) -> int:
    from ...envs.distredge.live import on_testbed
    from .stream import random_images

    with _opened(f"{system.n_devices} workers start", on_testbed(system, _store(), asked, args.insecure)) as cluster:
        if asked.kind == "table" and args.time_scale is None:
            with stderr().status("trying how fast this machine is …"):
                images = random_images(cluster, TRIED_IMAGES, args.seed)
                scale = max(cluster.fit_scale(p, images) for p in _plans(args, cluster, plan))
            cluster.emulation = replace(asked, scale=scale)
            if scale > 1:
                note(f"this machine stands for devices that are faster: time scale {scale:g}")
        return _run(args, cluster, plan, out)


def _on_machines(args: argparse.Namespace, system: System, plan: SpatialPlan, out: Path) -> int:
    from ...envs.distredge.live import on_machines

    with _opened("joining the workers", on_machines(system, _store(), args.insecure)) as cluster:
        return _run(args, cluster, plan, out)


def _store() -> Any:
    from ...runtime.blobs import BlobStore, default_folder

    return BlobStore(default_folder())


@contextmanager
def _opened(what: str, cluster: Any) -> Iterator[Cluster]:
    """A cluster's context with a word while it opens."""
    with stderr().status(f"{what} …"):
        opened = cluster.__enter__()
    try:
        yield opened
    except BaseException:
        if not cluster.__exit__(*sys.exc_info()):
            raise
    else:
        cluster.__exit__(None, None, None)


def _plans(args: argparse.Namespace, cluster: Cluster, plan: SpatialPlan) -> list[SpatialPlan]:
    offload = cluster.system.everything_on(cluster.system.best_provider)
    return [plan] if args.no_offload else [offload, plan]


def _run(args: argparse.Namespace, cluster: Cluster, plan: SpatialPlan, out: Path) -> int:
    from .report import make_report, to_json
    from .stream import Streamed, random_images, stream

    network = None
    if args.check:
        from ...runtime.weights import load_whole

        network = load_whole(cluster.store, cluster.system.scenario.model, cluster.digests)
    images = random_images(cluster, args.images, args.seed)
    found, offload, stopped = Streamed(), None if args.no_offload else Streamed(), False
    try:
        if offload is not None:
            best = cluster.system.everything_on(cluster.system.best_provider)
            stream(cluster, best, images[:OFFLOAD_IMAGES], offload, "offload")
        stream(cluster, plan, images, found, "images", args.in_flight, network)
    except KeyboardInterrupt:
        stopped = True
        if not found.items:
            raise
    report = make_report(cluster, plan, found, offload, args.in_flight == 1)
    data = {**to_json(report, cluster, plan, found, args.in_flight), "versions": versions(), "interrupted": stopped}
    _write(out, data, report, cluster, plan, args.plan)
    _print(report, cluster, args, found, out)
    if stopped:
        note(f"interrupted: {len(found.items)} of {args.images} images are in the results")
        return INTERRUPTED
    if report.worst_error is not None and not report.worst_error <= report.tolerance:
        raise InputError(
            f"outputs differ from the unsplit network's by {report.worst_error:.1e} of the largest, "
            f"allowed: {report.tolerance:g}; the results are in {out}"
        )
    return 0


def _write(out: Path, data: dict[str, Any], report: Report, cluster: Cluster, plan: SpatialPlan, who: str) -> None:
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
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written ({error.strerror})") from None


def _print(report: Report, cluster: Cluster, args: argparse.Namespace, found: Streamed, out: Path) -> None:
    from .tables import summary_table, term_table

    console, scenario = stdout(), cluster.system.scenario
    console.print(f"\n{scenario.name} ({scenario.summary})", style="bold", soft_wrap=True)
    print_table(console, summary_table(report))
    if args.in_flight == 1 and report.typical is not None:
        console.print(
            "\nwhere the latency goes (the chain of parts and messages that the result waits for)", style="bold"
        )
        print_table(console, term_table(report))
    for line in _lines(report, cluster, found):
        console.print(line, style="dim", soft_wrap=True)
    written = [RESULT, *([TRACE, PICTURE] if report.typical is not None else [])]
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
