"""``splitgym-dashboard``: a W&B workspace and a report of a family's tracked trainings, made by code."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from ..envs import FAMILIES, get_family
from ..ui.console import Parser, entry, note, stdout
from ..ui.errors import InputError
from ..ui.programs import needs, program
from .dashboard import lines_of, report, workspace
from .tracking import PROJECT

PROG = "splitgym-dashboard"


def main(argv: Sequence[str] | None = None) -> int:
    """Build what the command line says and save it where there is a login; returns the exit code."""
    return entry(PROG, _main, argv)


def _main(argv: Sequence[str] | None) -> int:
    args = _parser().parse_args(argv)
    family = get_family(args.env)
    for package in ("wandb", "wandb_workspaces"):
        if find_spec(package) is None:
            raise InputError(needs(package))
    entity = args.entity or _own_entity()
    built = [make(family, entity or "nobody", args.project) for make in (workspace, report)]
    console = stdout()
    console.print(f"{family.title}, trainings in {args.project}", style="bold", soft_wrap=True)
    for line in lines_of(family):
        console.print(line, soft_wrap=True)
    if not entity or not _save(built):
        note(f"a workspace and a report of this were built, not saved: log in with {program('wandb')} login first")
        return 0
    for made in built:
        console.print(f"saved: {made.url}", soft_wrap=True)
    return 0


def _parser() -> Parser:
    parser = Parser(
        PROG,
        "A Weights & Biases workspace and a report of tracked trainings. Without a login: what they would show.",
        lambda: f"examples:\n  {PROG} --env l2s\n  {PROG} --env distredge --entity my-team --project sweeps",
    )
    first = next(iter(FAMILIES))
    parser.add_argument("--env", metavar="NAME", default=first, help=f"which system: {', '.join(FAMILIES)} ({first})")
    parser.add_argument("--entity", metavar="NAME", help="user or team (that of the login)")
    project = os.environ.get("WANDB_PROJECT", PROJECT)
    parser.add_argument("--project", metavar="NAME", default=project, help=f"where runs are tracked ({project})")
    return parser


def _own_entity() -> str | None:
    """That of the login, None without one."""
    import wandb

    try:
        return wandb.Api().default_entity
    except wandb.Error:
        return None


def _save(built: Sequence[Any]) -> bool:
    """Whether there is a login to save by.

    Raises:
        InputError: W&B refuses.
    """
    import wandb
    from wandb.errors import UsageError

    try:
        for made in built:
            made.save()
    except UsageError:
        return False
    except wandb.Error as error:
        raise InputError(f"{PROG}: {next(iter(str(error).splitlines()), type(error).__name__)}") from None
    return True
