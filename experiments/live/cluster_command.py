"""``splitgym-cluster``: look at a cluster's workers, and have them measure their kernels and links."""

from __future__ import annotations

import argparse
import math
import shlex
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...envs.distredge.scenarios import Scenario, get_scenario
from ...models.lookup import get_model
from ...models.own.option import add_model_options, model_of
from ...profiling.link_file import LinkMeasurement, load_link
from ...profiling.tables import LatencyTable, load_table
from ...ui.console import (
    Parser,
    entry,
    listed,
    note,
    positive_number,
    print_table,
    stderr,
    stdout,
    subcommand,
    whole,
    wrapped,
)
from ...ui.errors import InputError
from ...ui.progress import Bar
from .cluster_file import measured_path, write_measured

if TYPE_CHECKING:
    from ...envs.distredge.live import Access
    from ...models.model import Model
    from ...runtime.controller import Controller
    from ...runtime.session_core import Clock
    from ...runtime.wire import Welcome

PROG = "splitgym-cluster"
JOIN_S = 8.0  # more than an attempt to connect takes
LEASE_S = 10.0  # a worker that measures may be late
LISTEN_S, MOST_LISTEN_S = 1.0, 10.0  # to heartbeats, for the clocks
LINK_S, LEAST_LINK_S, MOST_LINK_S = 10.0, 1.0, 60.0
EVERY = 8
POOR_RESIDUAL = 0.2


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit code."""
    return entry(PROG, _main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = Parser(PROG, "The machines of a cluster: look at them, measure them.", _help)
    return subcommand(parser, {"show": _show, "profile": _profile}, argv)


def _add_cluster(parser: Parser) -> None:
    parser.add_argument("cluster", metavar="CLUSTER", help="a scenario file with addresses: where splitgym-worker runs")
    parser.add_argument(
        "--wait", metavar="S", type=positive_number, default=JOIN_S, help=f"for a worker to answer ({JOIN_S:g})"
    )
    parser.add_argument("--insecure", action="store_true", help="no encryption; on this machine only")


def _access(args: argparse.Namespace, **changes: Any) -> Access:
    from ...envs.distredge.live import access_to

    return access_to(get_scenario(args.cluster, **changes))


@contextmanager
def _session(access: Access, names: Sequence[str], args: argparse.Namespace) -> Iterator[Controller]:
    """A session with some workers, the key being in nobody else's use."""
    from ...runtime.blobs import BlobStore, default_folder
    from ...runtime.session import open_session

    members = [access.member(name) for name in names]
    options = {"lease_s": LEASE_S, "join_s": args.wait}
    store = BlobStore(default_folder())
    with open_session(members, access.identity, access.roster, store, args.insecure, **options) as controller:
        yield controller


# show -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Seen:
    """What a worker said of itself."""

    welcome: Welcome
    clock: Clock


def _show(words: Sequence[str]) -> int:
    parser = Parser(f"{PROG} show", "Say of every worker what it is, or what is wrong with it.", _show_help)
    _add_cluster(parser)
    args = parser.parse_args(words)
    access = _access(args)
    scenario = access.scenario
    names = scenario.device_names
    from ...runtime.keys import sole_use

    with (
        sole_use(access.key_file),
        stderr().status("asking the workers …"),
        ThreadPoolExecutor(len(names)) as pool,
    ):
        found = list(pool.map(partial(_look, access, args), names))
    say = partial(stdout().print, soft_wrap=True)
    for name, kind, seen in zip(names, scenario.devices, found, strict=True):
        if isinstance(seen, _Seen):
            say(f"{name} ({kind}) at {(scenario.addresses or {})[name]}", style="bold")
            for line in _about(seen):
                say(f"  {line}")
    wrong = [seen for seen in found if isinstance(seen, str)]
    for line in wrong:
        note(f"{PROG}: {line}")
    return 2 if wrong else 0


def _look(access: Access, args: argparse.Namespace, name: str) -> _Seen | str:
    """What a worker says, or what is wrong with it in one line."""
    try:
        with _session(access, [name], args) as controller:
            due_s = time.monotonic() + MOST_LISTEN_S
            time.sleep(LISTEN_S)
            while not math.isfinite(controller.clocks[name].error_s) and time.monotonic() < due_s:
                time.sleep(0.1)
            return _Seen(controller.welcomes[name], controller.clocks[name])
    except InputError as error:
        return " ".join(str(error).split())


def _about(seen: _Seen) -> Iterator[str]:
    welcome, clock = seen.welcome, seen.clock
    yield f"{welcome.machine}, splitgym {welcome.software}"
    if math.isfinite(clock.error_s):
        error_ms = clock.error_s * 1e3
        yield (
            f"round trip {2 * error_ms:.2f} ms, clock {clock.ahead_s * 1e3:+.2f} ms from here (known to {error_ms:.2f})"
        )
    else:
        yield "its heartbeats do not come"
    power = f"tells its power ({welcome.power})" if welcome.power else "does not tell its power"
    yield f"{power}, {'measures' if welcome.measures else 'does not measure'} on request"


# profile --------------------------------------------------------------------------------------------------------------


def _profile(words: Sequence[str]) -> int:
    args = _profile_parser().parse_args(words)
    if args.kernels_only and args.links_only:
        raise InputError("--kernels-only and --links-only leave nothing to measure")
    if not LEAST_LINK_S <= args.seconds <= MOST_LINK_S:
        raise InputError(f"--seconds is {args.seconds:g}, allowed: {LEAST_LINK_S:g} to {MOST_LINK_S:g}")
    name = model_of(args)
    access = _access(args, **({} if name is None else {"model": name}))
    source = Path(args.cluster)
    out = args.out or source.parent
    target = measured_path(source, out)
    work = _Work(access, get_model(access.scenario.model), out, args)
    try:
        work.do()
    except KeyboardInterrupt as stop:
        again = shlex.join([PROG, "profile", *(word for word in words if word != "--fresh")])
        raise KeyboardInterrupt(f"{str(stop) or 'interrupted'}; go on with: {again}") from None
    links = {worker: (path, work.links[worker]) for worker, path in work.link_files.items() if worker in work.links}
    tables = {worker: path for worker, path in work.table_files.items() if worker in work.tables}
    write_measured(source, target, name, access.scenario, tables, links)
    _summary(access.scenario, work)
    console = stdout()
    console.print(f"written: {', '.join(map(str, (target, *work.written)))}", soft_wrap=True)
    console.print(f"use it: --scenario {target} in train_agent.py, --cluster {target} in splitgym-run", soft_wrap=True)
    return 0


class _Work:
    """What there is of a cluster's tables and links, and what is to be measured.

    Attributes:
        table_files, link_files: where they lie, by worker.
        tables, links: those that are there.
        written: files.
    """

    def __init__(self, access: Access, model: Model, out: Path, args: argparse.Namespace) -> None:
        self.access, self.model, self.args = access, model, args
        names = access.scenario.device_names
        self.table_files = {name: out / "tables" / f"{name}.csv" for name in names}
        self.link_files = {name: out / "links" / f"{name}.json" for name in names}
        self.tables: dict[str, LatencyTable] = {}
        self.links: dict[str, LinkMeasurement] = {}
        self.written: list[Path] = []
        for name in names:
            if self.table_files[name].exists() and not (args.fresh and not args.links_only):
                self.tables[name] = _kept(partial(load_table, self.table_files[name], model), not args.links_only)
            if self.link_files[name].exists() and not (args.fresh and not args.kernels_only):
                self.links[name] = _kept(partial(load_link, self.link_files[name]), not args.kernels_only)

    def do(self) -> None:
        """Measure what is missing, and write each as soon as it is whole."""
        args, names = self.args, self.access.scenario.device_names
        tables = {} if args.links_only else {n: p for n, p in self.table_files.items() if n not in self.tables}
        links = {} if args.kernels_only else {n: p for n, p in self.link_files.items() if n not in self.links}
        kept = [] if args.links_only else [str(p) for n, p in self.table_files.items() if n in self.tables]
        kept += [] if args.kernels_only else [str(p) for n, p in self.link_files.items() if n in self.links]
        if kept:
            note(f"kept, --fresh measures anew: {', '.join(kept)}")
        asked = [name for name in names if name in tables or name in links]
        if not asked:
            return
        from ...runtime.keys import sole_use
        from .cluster_profile import Asked, measure_kernels, measure_links

        with sole_use(self.access.key_file), _session(self.access, asked, args) as controller:
            for name in asked:
                if not controller.welcomes[name].measures:
                    raise InputError(f"{name}: does not measure on request; start it with --profile")
            if tables:
                how = Asked(args.repeats, args.warmup, args.every, args.fresh)
                with Bar("kernels") as bar:
                    measure_kernels(controller, self.model, tables, how, bar.show)
                self.tables |= {name: load_table(path, self.model) for name, path in tables.items()}
                self.written += tables.values()
            if links:
                with Bar("links") as bar:
                    self.links |= measure_links(
                        controller, self.access.identity.name, links, args.seconds, bar.show
                    )  # fmt: skip
                self.written += links.values()


def _kept(load: Any, counts: bool) -> Any:
    """What lies there from before."""
    try:
        return load()
    except InputError as error:
        raise InputError(f"{error}{'; --fresh measures anew' if counts else ''}") from None


def _summary(scenario: Scenario, work: _Work) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for i, text in enumerate(("worker", "kernels (ms)", "message (ms)", "Mbit/s up", "down", "off the line")):
        table.add_column(text, justify="right" if i else "left", no_wrap=True)
    for name in scenario.device_names:
        kernels, link = work.tables.get(name), work.links.get(name)
        row = ("–",) * 4 if link is None else (
            f"{link.t_msg_s * 1e3:.3f}", f"{link.goodput_up_mbps:.1f}", f"{link.goodput_down_mbps:.1f}",
            f"{link.residual:.0%}",
        )  # fmt: skip
        table.add_row(name, "–" if kernels is None else f"{kernels.total_s() * 1e3:.2f}", *row)
    stdout().print(f"{work.model.name}, and the links to {work.access.identity.name}", style="bold", soft_wrap=True)
    print_table(stdout(), table)
    poor = [name for name, link in work.links.items() if link.residual > POOR_RESIDUAL]
    if poor:
        note(f"{', '.join(poor)}: messages are far off overhead + bytes / rate; the link is unsteady, measure longer")


def _profile_parser() -> Parser:
    parser = Parser(
        f"{PROG} profile",
        "Have every worker measure its kernels and its link to this machine, and write a cluster file that uses them.",
        _profile_help,
    )
    _add_cluster(parser)
    group = parser.add_argument_group("network")
    add_model_options(group)
    group = parser.add_argument_group("measuring")
    group.add_argument("--kernels-only", action="store_true", help="no links")
    group.add_argument("--links-only", action="store_true", help="no kernels")
    group.add_argument("--repeats", metavar="N", type=whole, default=20, help="runs of every kernel (20)")
    group.add_argument("--warmup", metavar="N", type=whole, default=3, help="runs that are not timed, before them (3)")
    group.add_argument(
        "--every", metavar="K", type=whole, default=EVERY, help=f"every K rows, linear between ({EVERY}; 1: all)"
    )
    group.add_argument(
        "--seconds", metavar="S", type=positive_number, default=LINK_S, help=f"about how long for a link ({LINK_S:g})"
    )
    group = parser.add_argument_group("result")
    group.add_argument("--out", metavar="DIR", type=Path, help="folder of the results (that of CLUSTER)")
    group.add_argument("--fresh", action="store_true", help="measure anew what is there, whole or begun")
    return parser


def _help() -> str:
    return "\n".join(
        [
            "what it is for:",
            *wrapped(
                "  ",
                "A cluster is a scenario file of distredge with the addresses of its devices' splitgym-worker daemons "
                "and a folder of keys (splitgym-keys make).",
            ),
            "",
            "commands:",
            *listed(
                {
                    f"{PROG} show CLUSTER": "what every worker is, or what is wrong with it",
                    f"{PROG} profile CLUSTER": "measure kernels and links, and write a cluster file that uses them",
                }
            ),
            "",
            "examples:",
            f"  {PROG} show cluster.yaml",
            f"  {PROG} profile cluster.yaml --model net.onnx",
        ]
    ).replace("%", "%%")


def _show_help() -> str:
    return "\n".join(
        [
            *wrapped(
                "",
                "Exit code 2 if anything is wrong with any worker. Clocks count from each machine's start: what counts "
                "is how well their difference is known.",
            ),
            "",
            "examples:",
            f"  {PROG} show cluster.yaml",
        ]
    )


def _profile_help() -> str:
    return "\n".join(
        [
            "what it writes, beside CLUSTER or into --out:",
            *listed(
                {
                    "tables/NAME.csv": "a worker's latency table, as splitgym-profile makes",
                    "links/NAME.json": "the link of a worker: message overhead, goodput and copies at both ends",
                    "CLUSTER.measured.yaml": "the cluster with all that; the user's own file stays as it is",
                }
            ),
            "",
            "how it measures:",
            *wrapped(
                "  ",
                "Workers must have been started with --profile. They run the network's kernels with random weights, "
                "with as many threads as they compute with; workers of one machine one after another, machines at "
                "once. Then links, one at a time, over the connections that rows take. A scenario has one rate for a "
                "device, so each is measured to this machine, not to other workers. Nothing else should run meanwhile. "
                "Ctrl-C keeps what is measured, and the same command goes on.",
            ),
            "",
            "examples:",
            f"  {PROG} profile cluster.yaml",
            f"  {PROG} profile cluster.yaml --model net.onnx --every 1 --out measured",
            f"  {PROG} profile cluster.yaml --links-only --fresh",
        ]
    ).replace("%", "%%")
