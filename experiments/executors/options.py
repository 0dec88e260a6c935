"""The options that say where work is done: --workers, --executor, --ray."""

from __future__ import annotations

import argparse
import os
from importlib.util import find_spec
from typing import get_args

from ...ui.console import whole
from ...ui.errors import InputError
from ...ui.programs import needs
from .work import Executor, Kind


def add_executor_options(group: argparse._ActionsContainer) -> None:
    """Where work is done; results do not depend on it."""
    text = "processes; results are the same, each takes seconds to start (one a core)"
    group.add_argument("--workers", metavar="N", type=whole, help=text)
    group.add_argument(
        "--executor", choices=get_args(Kind), default=None, help="whose processes: this machine's, or Ray's (processes)"
    )
    group.add_argument(
        "--ray", metavar="ADDRESS", help="of a Ray cluster, host:port, or local for one that ends with the work (local)"
    )


def executor_of(args: argparse.Namespace) -> Executor:
    """What :func:`add_executor_options` asks for.

    Raises:
        InputError: --ray beside another executor, or Ray is not installed.
    """
    if args.ray is not None and args.executor == "processes":
        raise InputError("--ray: is for --executor ray; leave one of them out")
    kind: Kind = "ray" if args.ray is not None else args.executor or "processes"
    if kind == "ray" and find_spec("ray") is None:
        raise InputError(f"--executor ray {needs('ray')}")
    address = None if args.ray in (None, "local") else args.ray
    return Executor(args.workers or os.cpu_count() or 1, kind, address)
