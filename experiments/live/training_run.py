"""``splitgym-run`` for plans that train: on workers, step by step, measured beside what was predicted."""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from ...agents.registry import get_spec
from ...agents.run_folder import RunFolder
from ...envs import Family
from ...envs.live_training import Learning, Task
from ...ui.claims import held
from ...ui.console import INTERRUPTED, note, stderr
from ...ui.errors import InputError
from ...ui.files import write_text, writing
from ...ui.progress import planning
from ...ui.validation import validated
from ..out_folders import claimed_out, claimed_run, run_name
from ..play import assess
from ..tracking import Tracker, new_track_id, tracking_mode
from .continuing import check_folder, go_on, refuse_another
from .trained import CURVE, RATE, Asked, Trained
from .training_families import TrainingCluster, live_module

if TYPE_CHECKING:
    from ...envs.training_cluster import Workers
    from ...models.plans import Plan
    from ...runtime.training.log import TrainingLog
    from ...runtime.training.steps import Step

JOB = "job.json"
COLUMNS = ("step", "loss", "accuracy", "step_s", "counts")
EVERY = 20
SPARE = "spare"  # the worker that plays for one that is ended on purpose
SPATIAL_ONLY = ("images", "in_flight", "check", "no_offload", "replan", "namespaces")


def check(args: argparse.Namespace) -> None:
    """Refuse options of other plans.

    Raises:
        InputError: names the option.
    """
    from ...envs.training_cluster import LiveOptions

    for name in SPATIAL_ONLY:
        if getattr(args, name):
            raise InputError(f"--{name.replace('_', '-')} is for spatial plans, this one trains")
    if args.emulate == "dilate":
        raise InputError("--emulate is 'dilate', allowed for plans that train: table, none")
    if args.learning_rate is not None:
        validated(LiveOptions, {"learning_rate": args.learning_rate}, "--learning-rate")
    if args.kill is not None and args.checkpoint_every == 0:
        raise InputError("--kill needs checkpoints, --checkpoint-every is 0")


def run(args: argparse.Namespace, family: Family, cluster: TrainingCluster | None, options: Mapping[str, Any]) -> int:
    """Carry a plan out, in a scenario with these options; returns the exit code."""
    from ...runtime.training.data import load_images

    check(args)
    check_folder(args.resume)
    mode, told = tracking_mode(args.track or "off")
    live = live_module(family)
    scenario = args.testbed if cluster is None else cluster.scenario
    try:
        setting = live.get_scenario(scenario, **options)
    except InputError as error:
        of = f"{args.plan} is a plan for {family.name}: " if args.plan.endswith(".json") else ""
        raise InputError(f"{of}{error}") from None
    system = live.make_system(setting)
    plan = _plan(args, family, system, scenario, options)
    data = load_images(None if args.data in (None, "digits") else args.data, system.model.input)
    every = EVERY if args.checkpoint_every is None else args.checkpoint_every
    task = live.task(system, plan, Learning(data, args.learning_rate or RATE, args.seed, every or None))
    _check_roles(args, task, cluster)
    if told:
        note(told)
    asked = Asked(args, family, scenario, cluster, setting.name, plan, task)
    if args.resume is not None:
        with held(args.resume, f"--resume {args.resume}"):
            _check_same(args.resume, asked.same)
            return _in_folder(asked, args.resume, mode)
    if args.out is not None:
        with claimed_out(args.out, JOB):
            return _in_folder(asked, args.out, mode)
    with claimed_run(f"{run_name(setting.name, options)}-live") as out:
        return _in_folder(asked, out, mode)


def _plan(args: argparse.Namespace, family: Family, system: Any, scenario: str, options: Mapping[str, Any]) -> Plan:
    """The plan of a file, or a planner's."""
    live, spec = live_module(family), get_spec(family.name, args.plan, "PLAN")
    if spec.learns:
        raise InputError(f"PLAN: {spec.name} is trained; train it, and name the plan.json of its run folder")
    if spec.from_file:
        from ...models.plans import load_plan

        plan = load_plan(args.plan, system.model, live.PLAN)
        try:
            plan.check_types(system.device_types, system.scenario.name)
        except InputError as error:
            raise InputError(f"{args.plan}: {error}") from None
        return plan
    with planning(f"{spec.name}: planning"):
        found = assess(family, spec, scenario, options, args.seed).plan
    if found is None:
        raise InputError(f"PLAN: {spec.name} leaves no plan on {scenario}; name another planner, or a plan.json")
    return live.PLAN.from_json(found, args.plan).validate(system.model, args.plan)


def _check_roles(args: argparse.Namespace, task: Task, cluster: TrainingCluster | None) -> None:
    roles = ", ".join(task.job.roles)
    if args.kill is not None and (cluster is not None or args.kill not in task.job.roles):
        raise InputError(f"--kill is {args.kill!r}, allowed: a role of a testbed: {roles}")
    if cluster is not None and set(cluster.addresses) != set(task.job.roles):
        raise InputError(f"--cluster {args.cluster}: addresses are of {', '.join(cluster.addresses)}, needed: {roles}")


def _check_same(folder: Path, same: Mapping[str, Any]) -> None:
    try:
        known = json.loads((folder / JOB).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(f"--resume {folder}: holds no training that was begun ({JOB} is missing)") from None
    if not isinstance(known, dict):
        raise InputError(f"{folder / JOB}: is not the record of a training")
    refuse_another(folder, known, json.loads(json.dumps(same)))


def _in_folder(asked: Asked, out: Path, mode: str) -> int:
    from ...runtime.training.log import open_log

    if not (out / JOB).exists():
        with writing(out):
            write_text(out / JOB, json.dumps({**asked.same, "track_id": new_track_id()}, indent=1) + "\n")
    about = {"job": hashlib.sha256(json.dumps(asked.same, sort_keys=True).encode()).hexdigest()}
    with open_log(out, about) as log:
        done = _count(asked.task, log)
        if done >= asked.steps:
            raise InputError(f"--resume {out}: all {done} steps are done; --steps may ask for more")
        try:
            with _workers(asked) as workers:
                return _on_workers(asked, out, mode, log, workers, done)
        finally:
            if not log.entries:  # nothing that could go on
                RunFolder(out).clear()


def _count(task: Task, log: TrainingLog) -> int:
    """Steps that are logged."""
    kind = type(next(iter(task.entries([]))))
    return sum(isinstance(entry, kind) for entry in log.entries)


@contextmanager
def _workers(asked: Asked) -> Iterator[Workers]:
    """Whoever trains, with a word while they start."""
    from ...envs.training_cluster import on_testbed
    from ...runtime.blobs import BlobStore, default_folder

    args, roles, store = asked.args, asked.task.job.roles, BlobStore(default_folder())
    if asked.cluster is None:
        opening = on_testbed(roles, store, (SPARE,) if args.kill else (), args.insecure)
    else:
        opening = _on_machines(asked.cluster, roles, store, args.insecure)
    with stderr().status(f"{len(roles)} workers …"):
        workers: Workers = opening.__enter__()
    try:
        if asked.cluster is None:
            workers.emulates, workers.scale = args.emulate != "none", args.time_scale or 1.0
            if workers.emulates and args.time_scale is None:
                with stderr().status("trying how fast this machine is …"):
                    workers.scale = workers.fit_scale(asked.task)
                if workers.scale > 1:
                    note(f"this machine stands for devices that are faster: time scale {workers.scale:g}")
        yield workers
    finally:
        opening.__exit__(None, None, None)


@contextmanager
def _on_machines(cluster: TrainingCluster, roles: tuple[str, ...], store: Any, insecure: bool) -> Iterator[Workers]:
    from ...envs.distredge.live import access_to
    from ...envs.training_cluster import JOIN_S, Workers
    from ...runtime.keys import sole_use
    from ...runtime.session import open_session

    access = access_to(cast(Any, cluster))
    members = [access.member(role) for role in roles]
    with (
        sole_use(access.key_file),
        open_session(
            members, access.identity, access.roster, store, insecure, join_s=JOIN_S, returns=True
        ) as controller,
    ):
        emulates = cluster.emulate != "none"
        yield Workers(controller, {r: r for r in roles}, None, emulates, cluster.time_scale if emulates else 1.0)


def _on_workers(asked: Asked, out: Path, mode: str, log: TrainingLog, workers: Workers, done: int) -> int:
    from .training_results import TrainedRun, results

    track_id = json.loads((out / JOB).read_text(encoding="utf-8"))["track_id"]
    tracker = Tracker(mode, out, out.name, track_id, asked.same, axis="step")
    trained, stopped = Trained(done), False
    try:
        with _curve(out, done) as curve:
            try:
                _train(asked, workers, log, trained, curve, tracker)
            except KeyboardInterrupt:
                stopped = True
                if not trained.count:
                    raise
        found = TrainedRun(asked, workers, trained, stopped)
        pictures, summary = results(found, out)
    except BaseException:
        tracker.finish(exit_code=1)
        raise
    tracker.finish(images=pictures, summary=summary, exit_code=INTERRUPTED if stopped else 0)
    if stopped:
        what = f"{trained.done} of {asked.steps} steps are done"
        note(f"interrupted: {what}; go on with: {go_on(asked.args.words, out)}")
        return INTERRUPTED
    return 0


def _train(asked: Asked, workers: Workers, log: TrainingLog, trained: Trained, curve: TextIO, tracker: Tracker) -> None:
    """All steps that are left."""
    from ...envs.training_cluster import by_costs
    from ...ui.progress import Bar
    from .training_report import Steps

    task, wanted = asked.task, asked.steps
    kind, batch = type(next(iter(task.entries([])))), task.job.setup.batch
    depth = task.job.in_flight if task.job.kind == "pipeline" else 1
    share = trained.done / wanted
    training = workers.training(task.job, task.costs(next(iter(task.entries(log.entries)))), log)
    trained.events = training.events

    def keep(step: Step) -> bool:
        if not isinstance(step.entry, kind):
            return False
        counts = workers.counts(step, task.step_s)
        trained.steps[-1].add(step, depth, counts, batch)
        row = _noted(trained, step, workers.scale, counts)
        curve.write(",".join(str(row[name]) for name in COLUMNS) + "\n")
        curve.flush()
        tracker.log({name: float(row[name]) for name in COLUMNS})
        return True

    def show(step: Step, bar: Bar) -> None:
        if not keep(step):
            return
        rate = trained.count / max(trained.ended_s - trained.begun_s, 1e-9)
        told = f"loss {trained.loss:.3f}  accuracy {trained.accuracy:.0%}  {rate:.3g}/s"
        bar.show(trained.done / wanted, f"{trained.done} of {wanted} steps  {told}")
        if asked.args.kill is not None and trained.done == wanted // 2 and workers.testbed is not None:
            workers.testbed.signal(workers.roles[asked.args.kill])

    left = _until(task.entries(log.entries), kind, wanted - trained.done)
    try:
        with training, Bar("steps", share) as bar:
            for number, (costs, entries) in enumerate(by_costs(left, task.costs)):
                if number and workers.emulates:
                    training.repace(costs.paces(workers.scale))
                trained.steps.append(Steps(costs))
                for step in training.run(entries):
                    show(step, bar)
            for step in training.run(drains=True):
                show(step, bar)
            training.states()  # the weights that it ends with, as the last checkpoint
    except KeyboardInterrupt:
        for step in training.rest():  # that count already; what is under way is not waited for
            keep(step)
        raise


def _until(entries: Iterator[Any], kind: type, count: int) -> Iterator[Any]:
    """Entries up to so many steps."""
    for entry in entries:
        yield entry
        count -= isinstance(entry, kind)
        if not count:
            return


def _noted(trained: Trained, step: Step, scale: float, counts: bool) -> dict[str, Any]:
    """A step's row of the curve."""
    samples = max(step.measures.get("samples", 0.0), 1.0)
    loss, accuracy = step.measures.get("loss", 0.0) / samples, step.measures.get("right", 0.0) / samples
    trained.losses.append(loss)
    trained.rights.append(accuracy)
    trained.done += 1
    before_s = trained.ended_s or step.begun_s
    trained.begun_s = trained.begun_s or step.begun_s
    trained.ended_s = step.logged_s
    return dict(
        zip(COLUMNS, (trained.done, loss, accuracy, (step.logged_s - before_s) / scale, int(counts)), strict=True)
    )


@contextmanager
def _curve(out: Path, done: int) -> Iterator[TextIO]:
    """The learning curve, to be written on behind the steps that are done."""
    path, rows = out / CURVE, list[list[str]]()
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(islice(csv.reader(file), 1, done + 1))
    with writing(path), path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
        yield file
