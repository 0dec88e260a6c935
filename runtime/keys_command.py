"""``splitgym-keys``: make the machines' key pairs and the roster of them, and show it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..ui.claims import claimed
from ..ui.console import Parser, entry, listed, print_table, stdout, subcommand, wrapped
from ..ui.errors import InputError

if TYPE_CHECKING:
    from .keys import Role, Roster

PROG = "splitgym-keys"
FOLDER = "keys"
CONTROLLER = "controller"


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit code."""
    return entry(PROG, _main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = Parser(PROG, "Keys of the machines that carry out plans together.", _help)
    return subcommand(parser, {"make": _make, "show": _show}, argv)


def _make(words: Sequence[str]) -> int:
    parser = Parser(f"{PROG} make", "Make a key pair for every name, and put them on the roster.", _make_help)
    parser.add_argument("names", metavar="NAME", nargs="+", help="of a machine")
    parser.add_argument(
        "--controller", metavar="NAME", action="append", help=f"gives the orders; the others work ({CONTROLLER})"
    )
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=Path(FOLDER), help=f"where to ({FOLDER})")
    parser.add_argument("--force", action="store_true", help="new keys for names that have some; the old ones are lost")
    args = parser.parse_args(words)
    for name in args.controller or ():
        if name not in args.names:
            raise InputError(f"--controller {name}: allowed: one of {', '.join(args.names)}")
    with claimed(args.out, f"--out {args.out}", mode=0o700):
        return _make_in(args)


def _make_in(args: argparse.Namespace) -> int:
    """Make keys in a folder that nobody else writes into."""
    from .keys import ROSTER_FILE, Member, Roster, load_roster, make_identity, save_identity, save_roster

    roster_path = args.out / ROSTER_FILE
    old = load_roster(roster_path).members if roster_path.exists() else {}
    roles: dict[str, Role] = {name: member.role for name, member in old.items()}
    roles.update(dict.fromkeys(args.controller or [CONTROLLER], "controller"))
    identities = [make_identity(name) for name in args.names]
    new = Roster(Member(i.name, i.public, roles.get(i.name, "worker")) for i in identities)
    roster = Roster({**old, **new.members}.values())
    if not any(member.role == "controller" for member in roster.members.values()):
        raise InputError(f"nobody is the controller: call a machine {CONTROLLER!r}, or say --controller NAME")
    paths = {identity.name: key_path(args.out, identity.name) for identity in identities}
    if not args.force:  # all or none
        for name, path in paths.items():
            if path.exists() or name in old:
                where = path if path.exists() else roster_path
                raise InputError(f"{where}: has a key of {name}; --force makes a new one, and the old one is lost")
    new_paths = [path for path in paths.values() if not path.exists()]
    try:
        for identity in identities:
            save_identity(paths[identity.name], identity, args.force)
        save_roster(roster_path, roster)
    except InputError:
        for path in new_paths:  # a key without its place on the roster is good for nothing
            path.unlink(missing_ok=True)
        raise
    console = stdout()
    for name, path in paths.items():
        console.print(f"written: {path}, secret: belongs to {name}, and nowhere else", soft_wrap=True)
    console.print(f"written: {roster_path}, no secret: belongs to all of them", soft_wrap=True)
    return 0


def _show(words: Sequence[str]) -> int:
    parser = Parser(f"{PROG} show", "Show who is on the roster, and whose secret keys are here.", lambda: "")
    parser.add_argument("folder", metavar="FOLDER", type=Path, nargs="?", default=Path(FOLDER), help=f"({FOLDER})")
    args: argparse.Namespace = parser.parse_args(words)
    from .keys import ROSTER_FILE, load_roster

    _print_roster(args.folder, load_roster(args.folder / ROSTER_FILE))
    return 0


def _print_roster(folder: Path, roster: Roster) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("name", "role", "public key", "secret key"):
        table.add_column(title, no_wrap=True)
    for member in roster.members.values():
        table.add_row(member.name, member.role, escape(member.public), _secret_key(folder, member.name, member.public))
    print_table(stdout(), table)


def _secret_key(folder: Path, name: str, public: str) -> str:
    from .keys import load_identity

    path = key_path(folder, name)
    if not path.exists():
        return "not here"
    identity = load_identity(path)
    if identity.name != name:
        raise InputError(f"{path}: is the key of {identity.name}")
    return "here" if identity.public == public else "another one is here"


def key_path(folder: Path, name: str) -> Path:
    """Where a machine's secret key lies."""
    return folder / f"{name}.key"


def _help() -> str:
    return "\n".join(
        [
            "what it is for:",
            *wrapped(
                "  ",
                "Machines that carry out plans encrypt what they send and let in nobody but each other. Each has a "
                "secret key of its own, and all have the roster of public keys; a name is proved by its key.",
            ),
            "",
            "commands:",
            *listed(
                {
                    f"{PROG} make NAME...": "make keys, and the roster or more lines of it",
                    f"{PROG} show [FOLDER]": "who is on the roster, and whose secret keys are here",
                }
            ),
            "",
            "examples:",
            f"  {PROG} make controller pi-1 pi-2 nano-1",
            f"  {PROG} make desk pi-1 --controller desk --out /etc/splitgym",
        ]
    )


def _make_help() -> str:
    return "\n".join(
        [
            "what it makes:",
            *wrapped(
                "  NAME.key     ", "a secret key, readable by its owner only; copy it to its machine, delete it here"
            ),
            *wrapped("  roster.yaml  ", "names, public keys and roles; copy it to every machine"),
            "",
            "examples:",
            f"  {PROG} make controller pi-1 pi-2",
            f"  {PROG} make pi-3                    # one more, later: the roster grows",
        ]
    )
