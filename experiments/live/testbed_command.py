"""``splitgym-testbed``: workers on this machine that stand for a scenario's devices, until they are stopped."""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...envs.distredge.scenarios import Scenario, get_scenario
from ...envs.distredge.system import System
from ...ui.console import Parser, add_list, entry, listed, note, positive_number, stderr, stdout, wrapped
from ...ui.errors import InputError
from ...ui.files import write_text
from ..options import live_listings, parse_pairs
from ..out_folders import claimed_out

if TYPE_CHECKING:
    from ...runtime.testbed import Testbed

PROG = "splitgym-testbed"
FOLDER = Path("testbed")
CLUSTER, KEYS = "cluster.yaml", "keys"
LOOK_S = 0.5


def main(argv: Sequence[str] | None = None) -> int:
    """Keep a testbed as the command line says; returns the exit code."""
    return entry(PROG, _main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = Parser(PROG, "Start a worker for every device of a scenario, here, until Ctrl-C.", _help)
    add_list(parser, live_listings())
    parser.add_argument("scenario", metavar="SCENARIO", help="a name such as DB-50, or a YAML file")
    parser.add_argument("--emulate", choices=("table", "dilate", "none"), default="table", help="devices' time (table)")
    parser.add_argument("--time-scale", metavar="T", type=positive_number, default=1.0, help="slower by T (1)")
    parser.add_argument("--env-kwargs", metavar="K=V", nargs="+", action="extend", help="fields of the scenario")
    parser.add_argument("--insecure", action="store_true", help="no encryption")
    parser.add_argument("--out", metavar="DIR", type=Path, default=FOLDER, help=f"new folder while it runs ({FOLDER})")
    args = parser.parse_args(argv)
    scenario = get_scenario(args.scenario, **parse_pairs("--env-kwargs", args.env_kwargs))
    System(scenario)  # whatever is wrong with it comes out now
    with claimed_out(args.out, CLUSTER):
        try:
            _serve(args, scenario)
        except KeyboardInterrupt:
            note("stopped")
        finally:
            for made in args.out.iterdir():
                shutil.rmtree(made) if made.is_dir() else made.unlink()
    return 0


def _serve(args: argparse.Namespace, scenario: Scenario) -> None:
    from ...runtime.blobs import default_folder
    from ...runtime.testbed import Testbed

    names = scenario.device_names
    with stderr().status(f"{len(names)} workers start …"):
        testbed = Testbed(names, default_folder(), args.insecure, trains=True)  # whatever plans come
    with testbed:
        fields = {**asdict(scenario), "emulate": args.emulate, "time_scale": args.time_scale}
        write_cluster(args.out, fields, testbed)
        _wait(args.out, testbed, args.insecure)


def write_cluster(out: Path, fields: dict[str, Any], testbed: Testbed) -> None:
    """The cluster's file, and the key of whoever gives the orders."""
    import yaml

    from ...runtime.keys import ROSTER_FILE, save_identity, save_roster
    from ...runtime.keys_command import key_path

    addresses = {name: testbed.running[name].control for name in testbed.names}
    fields = {**fields, "addresses": addresses, "keys": KEYS}
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items() if v not in (None, ())}
    try:
        (out / KEYS).mkdir(mode=0o700, parents=True, exist_ok=True)
        save_identity(key_path(out / KEYS, testbed.identity.name), testbed.identity)
        save_roster(out / KEYS / ROSTER_FILE, testbed.roster)
        write_text(out / CLUSTER, yaml.safe_dump(plain, sort_keys=False))
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written ({error.strerror})") from None


def _wait(out: Path, testbed: Testbed, insecure: bool) -> None:
    """Until Ctrl-C.

    Raises:
        InputError: a worker has ended.
    """
    console = stdout()
    for name in testbed.names:
        running = testbed.running[name]
        console.print(f"{name} listens at {running.control}, process {running.pid}", soft_wrap=True)
    extra = " --insecure" if insecure else ""
    console.print(f"a plan on it: splitgym-run PLAN --cluster {out / CLUSTER}{extra}", soft_wrap=True)
    console.print("Ctrl-C ends the workers and removes the folder", soft_wrap=True)
    while True:
        time.sleep(LOOK_S)
        testbed.check()


def _help() -> str:
    return "\n".join(
        [
            "what it is for:",
            *wrapped(
                "  ",
                "Workers that stay between runs, so that several commands can use them: splitgym-run, and "
                "train_agent.py or eval.py with --backend live. splitgym-run --testbed does one run alone.",
            ),
            "",
            "what it writes, as long as it runs:",
            *listed(
                {
                    CLUSTER: "the scenario with the workers' addresses",
                    f"{KEYS}/": "the key of whoever gives the orders, and the roster",
                }
            ),
            "",
            "examples:",
            f"  {PROG} DB-50 --time-scale 150",
            f"  {PROG} NA-nano --time-scale 60 --out nanos",
            f"  {PROG} H-200 --emulate none --env-kwargs model=resnet50",
        ]
    )
