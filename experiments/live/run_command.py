"""``splitgym-run``: a plan on real workers; what was measured beside what was predicted."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...agents.registry import AgentSpec, get_spec
from ...envs import get_family
from ...envs.distredge.scenarios import get_scenario
from ...envs.distredge.system import System
from ...models.own.option import add_model_options, model_of
from ...models.plans import SpatialPlan
from ...ui.claims import held
from ...ui.console import (
    INTERRUPTED,
    MOST_SEED,
    Parser,
    add_list,
    entry,
    listed,
    note,
    positive_number,
    seed_number,
    stderr,
    whole,
    wrapped,
)
from ...ui.errors import InputError
from ...ui.progress import planning
from ..options import live_listings, parse_pairs
from ..out_folders import claimed_out, claimed_run, run_name
from ..play import assess
from ..tracking import MODES
from .continuing import JOURNAL, PROG, check_folder, check_same, continued, delivery, go_on
from .results import PICTURE, RATES, RESULT, TRACE, Run, results
from .training_families import family_of, read_cluster

if TYPE_CHECKING:
    from ...envs.distredge.live import Cluster, Emulation
    from ...runtime.journal import Journal
    from ...runtime.requester import Item
    from .stream import Streamed

REPLANS = "joint"
LEASE_S = 0.6  # of the stream, which survives a loss
IMAGES, OFFLOAD_IMAGES = 20, 3
TRAINING_ONLY = ("steps", "data", "learning_rate", "checkpoint_every", "track")
TRIED_IMAGES = 2  # at full speed, to see which scale this machine can keep to


def main(argv: Sequence[str] | None = None) -> int:
    """Run as the command line says; returns the exit code."""
    return entry(PROG, _main, argv)


def _main(argv: Sequence[str] | None) -> int:
    args = _parser().parse_args(argv)
    args.words = sys.argv[1:] if argv is None else argv
    if (args.cluster is None) == (args.testbed is None):
        raise InputError("name the workers: either --cluster FILE or --testbed SCENARIO")
    if args.cluster is not None and (args.time_scale or args.emulate or args.namespaces):
        raise InputError("--time-scale, --emulate and --namespaces are for --testbed; a cluster's file says its own")
    if args.resume is not None and args.out is not None:
        raise InputError(f"--out is for a new run, --resume {args.resume} goes on in its own folder")
    options = _options(args)
    cluster = read_cluster(args.cluster) if args.cluster is not None else None
    named = str(args.testbed or (args.cluster if cluster is None else cluster.scenario))
    family = family_of(args.plan, named, options)
    if family.live:
        from .training_run import run

        if args.cluster is not None and cluster is None:
            raise InputError(f"--cluster {args.cluster}: scenario is missing; a file for plans that train names theirs")
        return run(args, family, cluster, options)
    return _spatial(args, options)


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """Fields of the scenario."""
    options = parse_pairs("--env-kwargs", args.env_kwargs)
    if args.model is not None and "model" in options:
        raise InputError("--env-kwargs: model has its own option, --model; name it once")
    model = model_of(args)
    return options if model is None else {**options, "model": model}


def _spatial(args: argparse.Namespace, options: dict[str, Any]) -> int:
    """Carry a spatial plan out."""
    for name in TRAINING_ONLY:
        if getattr(args, name) is not None:
            raise InputError(f"--{name.replace('_', '-')} is for plans that train, this one is spatial")
    args.images, args.in_flight = args.images or IMAGES, args.in_flight or 1
    name = args.cluster or args.testbed
    scenario = get_scenario(name, **options)
    if args.cluster is not None and not scenario.addresses:
        raise InputError(f"--cluster {name}: addresses is missing; give HOST:PORT of every device's splitgym-worker")
    if args.kill is not None and (args.testbed is None or args.kill not in scenario.device_names):
        raise InputError(f"--kill is {args.kill!r}, allowed: a device of a testbed: {', '.join(scenario.device_names)}")
    asked = _emulation(args)  # what it needs is told to be missing before anything is planned
    check_folder(args.resume)
    system = System(scenario)
    plan, replans = _plan(args, name, options, system)
    job = _Job(args, name, options, system, plan, replans)
    if args.resume is not None:
        with held(args.resume, f"--resume {args.resume}"):
            return _in_folder(job, asked, args.resume)
    if args.out is not None:
        with claimed_out(args.out, RESULT):
            return _in_folder(job, asked, args.out)
    with claimed_run(f"{run_name(scenario.name, options)}-live") as out:
        return _in_folder(job, asked, out)


@dataclass(frozen=True)
class _Job:
    """What is to be carried out, and who plans where workers are lost."""

    args: argparse.Namespace
    scenario: str
    options: Mapping[str, Any]
    system: System
    plan: SpatialPlan
    replans: AgentSpec

    @property
    def session(self) -> dict[str, Any]:
        """Options of the session; a run that goes on takes whoever is there."""
        return {"returns": True, "needs_all": self.args.resume is None}

    @property
    def same(self) -> dict[str, Any]:
        """What a run that goes on has in common with the one that was begun."""
        keys = ("seed", "in_flight", "images")
        return {
            "scenario": self.system.scenario.name,
            "plan": self.plan.to_json(),
            **{key: getattr(self.args, key) for key in keys},
        }


def _emulation(args: argparse.Namespace) -> Emulation:
    from ...envs.distredge.live import Emulation

    if args.namespaces and args.time_scale is None:
        raise InputError("--namespaces needs --time-scale: the kernel's links are made before any is found")
    return Emulation(args.emulate or "table", args.time_scale or 1.0, not args.namespaces)


def _in_folder(job: _Job, asked: Emulation, out: Path) -> int:
    if job.args.resume is not None:
        check_same(out, job.same, job.args.images)
    return _on_testbed(job, asked, out) if job.args.testbed is not None else _on_machines(job, out)


def _parser() -> Parser:
    parser = Parser(
        PROG,
        "Carry out a plan on workers: images through a spatial plan, or training steps of any other, and hold what is\n"
        "measured against what was predicted, term by term.",
        _help,
    )
    add_list(parser, live_listings())
    parser.add_argument("plan", metavar="PLAN", help="a plan.json, or a planner's name (joint, neurosurgeon, ...)")
    group = parser.add_argument_group("workers")
    group.add_argument(
        "--cluster", metavar="FILE", help="workers' addresses, and a scenario: machines where splitgym-worker runs"
    )
    group.add_argument("--testbed", metavar="SCENARIO", help="processes of this machine that stand for its devices")
    group.add_argument("--emulate", choices=("table", "dilate", "none"), help="the devices' time on a testbed (table)")
    group.add_argument("--time-scale", metavar="T", type=positive_number, help="a testbed is slower by T (as it needs)")
    group.add_argument("--namespaces", action="store_true", help="a testbed's links by the kernel (root; cross-check)")
    group.add_argument("--env-kwargs", metavar="K=V", nargs="+", action="extend", help="fields of the scenario")
    add_model_options(group)
    group.add_argument("--insecure", action="store_true", help="no encryption; on this machine only")
    group = parser.add_argument_group("training")
    group.add_argument("--steps", metavar="N", type=whole, help="how many (100)")
    group.add_argument("--data", metavar="DIR", help="folder with train/<class>/ and test/<class>/, or digits (digits)")
    group.add_argument("--learning-rate", metavar="R", type=positive_number, help="where the scenario has none (0.01)")
    group.add_argument(
        "--checkpoint-every", metavar="N", type=seed_number, help="steps between two checkpoints, 0 for none (20)"
    )
    group.add_argument("--track", choices=MODES, help="Weights & Biases (off); WANDB_MODE wins")
    group = parser.add_argument_group("images")
    group.add_argument("--images", metavar="N", type=whole, help=f"how many ({IMAGES})")
    group.add_argument("--in-flight", metavar="K", type=whole, help="under way at once; 1 as in the paper (1)")
    group.add_argument("--check", action="store_true", help="compare every output with the unsplit network's")
    group.add_argument(
        "--no-offload", action="store_true", help="leave out the offloaded images that are compared with"
    )
    group.add_argument(
        "--seed", metavar="N", type=seed_number, default=0, help=f"of images and planners, 0 to {MOST_SEED} (0)"
    )
    group = parser.add_argument_group("when workers are lost")
    group.add_argument(
        "--replan", metavar="PLANNER", help=f"who plans for the rest (PLAN itself if it is a planner, else {REPLANS})"
    )
    group.add_argument("--kill", metavar="DEVICE", help="end this device's (role's) worker of a testbed half way")
    group.add_argument("--resume", metavar="DIR", type=Path, help="go on with a run that was stopped, in its folder")
    parser.add_argument("--out", metavar="DIR", type=Path, help="new folder (runs/<scenario>[-<model>]-live-<n>)")
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
                    RATES: "images a second over time, where workers were lost or came back",
                    JOURNAL: "a line for every image that went through, as it does",
                    "curve.csv": "of a training: loss, accuracy and time of every step",
                    "training.jsonl, checkpoint.safetensors": "of a training: its log, and the last checkpoint",
                }
            ),
            *wrapped("  ", "Weights stay below ~/.cache/splitgym/weights for the next run, at most 20 GiB in all."),
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
            "what becomes of workers that are lost:",
            *wrapped(
                "  ",
                "Whoever is killed, hangs or cannot be reached is left out: at once everything goes to the best "
                "worker that is left, then the planner's plan for all who are left is carried out. Every image has one "
                "result, in order. A worker that answers again is used again after a second, twice as long with "
                "every loss.",
            ),
            "",
            "examples:",
            f"  {PROG} joint --testbed NA-nano --images 3",
            f"  {PROG} runs/mine/plan.json --testbed DA-50 --time-scale 40 --check",
            f"  {PROG} joint --testbed NA-nano --images 12 --kill nano-3",
            f"  {PROG} runs/mine/plan.json --testbed DB-50 --model net.onnx",
            f"  {PROG} plan.json --cluster cluster.yaml --images 200 --in-flight 4",
            f"  {PROG} neurosurgeon --testbed resnet34-gpu-60 --model lenet5 --steps 200",
        ]
    )


def _plan(
    args: argparse.Namespace, name: str, options: dict[str, Any], system: System
) -> tuple[SpatialPlan, AgentSpec]:
    """The plan of a file, or a planner's, and who plans for whoever is left."""
    family = get_family("distredge")
    spec = get_spec(family.name, args.plan, "PLAN")
    if spec.learns:
        raise InputError(f"PLAN: {spec.name} is trained; train it, and name the plan.json of its run folder")
    replans = get_spec(family.name, args.replan or (REPLANS if spec.from_file else args.plan), "--replan")
    if replans.learns or replans.from_file:
        raise InputError(f"--replan is {args.replan!r}, allowed: a planner that is not trained, such as {REPLANS}")
    with planning(f"{spec.name}: planning"):
        result = assess(family, spec, name, options, args.seed)
    assert result.plan is not None
    return SpatialPlan.from_json(result.plan, args.plan).validate(system.model, args.plan), replans


def _on_testbed(job: _Job, asked: Emulation, out: Path) -> int:
    from ...envs.distredge.live import on_testbed
    from .stream import random_images

    args, system, plan = job.args, job.system, job.plan
    opening = on_testbed(system, _store(), asked, args.insecure, **job.session)
    with _opened(f"{system.n_devices} workers start", opening) as cluster:
        if asked.kind == "table" and args.time_scale is None:
            plans = [p for p in (_compared_with(args, cluster, plan), plan) if p is not None]
            with stderr().status("trying how fast this machine is …"):
                images = random_images(cluster, TRIED_IMAGES, args.seed)
                scale = max(cluster.fit_scale(p, images) for p in plans)
            cluster.emulation = replace(asked, scale=scale)
            if scale > 1:
                note(f"this machine stands for devices that are faster: time scale {scale:g}")
        return _run(job, cluster, out)


def _on_machines(job: _Job, out: Path) -> int:
    from ...envs.distredge.live import on_machines

    with _opened("joining the workers", on_machines(job.system, _store(), job.args.insecure, **job.session)) as cluster:
        return _run(job, cluster, out)


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


def _compared_with(args: argparse.Namespace, cluster: Cluster, plan: SpatialPlan) -> SpatialPlan | None:
    """Everything on the best device; None where nobody asks, or the plan is that."""
    offload = cluster.system.everything_on(cluster.system.best_provider)
    return None if args.no_offload or offload == plan else offload


def _run(job: _Job, cluster: Cluster, out: Path) -> int:
    from .stream import Streamed, random_images, stream

    args, network = job.args, None
    if args.check:
        from ...runtime.weights import load_whole

        network = load_whole(cluster.store, cluster.system.scenario.model, cluster.digests)
    images = random_images(cluster, args.images, args.seed)
    best = _compared_with(args, cluster, job.plan) if args.resume is None else None
    offload = None if best is None else Streamed()
    if best is not None and offload is not None:
        stream(cluster, best, images[:OFFLOAD_IMAGES], offload, "offload")
    with continued(out, job.same) as journal:
        found, stopped = Streamed(), False
        try:
            _stream(job, cluster, images, found, journal, network)
        except KeyboardInterrupt:
            stopped = True
            if not found.all:
                raise
        report = results(Run(cluster, job.plan, args.plan, args.in_flight, found, offload, journal, stopped), out)
    if stopped:
        done = f"{journal.next} of {args.images} images are in the results"
        note(f"interrupted: {done}; go on with: {go_on(args.words, out)}")
        return INTERRUPTED
    if report.worst_error is not None and not report.worst_error <= report.tolerance:
        raise InputError(
            f"outputs differ from the unsplit network's by {report.worst_error:.1e} of the largest, "
            f"allowed: {report.tolerance:g}; the results are in {out}"
        )
    return 0


def _stream(
    job: _Job, cluster: Cluster, images: Sequence[Any], found: Streamed, journal: Journal, network: Any
) -> None:
    """All images that are left, each into the journal as it is done."""
    from .replanning import Replanner
    from .stream import survive

    args = job.args
    replanner = Replanner(cluster, job.plan, job.replans, job.scenario, job.options, args.seed, args.in_flight)

    def on_item(item: Item) -> None:
        journal.append(delivery(item, cluster.scale))
        if item.index == args.images // 2 and args.kill is not None and cluster.testbed is not None:
            cluster.testbed.signal(args.kill)

    with closing(replanner):
        survive(cluster, job.plan, replanner, images, found, on_item, network, journal.next, LEASE_S)
