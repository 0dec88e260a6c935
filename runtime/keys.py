"""Who takes part: CURVE key pairs, the files of secret keys, and the roster of names, public keys and roles."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
import zmq

from ..ui.addresses import NAME_FORM, is_name
from ..ui.errors import InputError
from ..ui.files import read_yaml, replacing

Role = Literal["controller", "worker"]
ROLES: tuple[Role, ...] = get_args(Role)
ROSTER_FILE = "roster.yaml"
SECRET_MODE, ROSTER_MODE = 0o600, 0o644


@dataclass(frozen=True)
class Identity:
    """A machine's name and key pair; keys are 40 characters of Z85."""

    name: str
    public: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Member:
    """One line of the roster: what the others know about a machine."""

    name: str
    public: str
    role: Role


class Roster:
    """All who may take part.

    Args:
        members: in any order.

    Attributes:
        members: by name.

    Raises:
        InputError: a name or a key is there twice.
    """

    def __init__(self, members: Iterable[Member]) -> None:
        self.members: dict[str, Member] = {}
        self._by_key: dict[str, str] = {}
        for member in members:
            if member.name in self.members:
                raise InputError(f"{member.name} is there twice")
            if member.public in self._by_key:
                raise InputError(f"{member.name} has the key of {self._by_key[member.public]}")
            self.members[member.name] = member
            self._by_key[member.public] = member.name

    def name_of(self, public: str) -> str | None:
        """Whose key it is; None for a stranger's."""
        return self._by_key.get(public)


def make_identity(name: str) -> Identity:
    """A name with a new key pair.

    Raises:
        InputError: it is no name.
    """
    public, secret = zmq.curve_keypair()
    return Identity(checked_name(name, "name"), public.decode(), secret.decode())


def make_members(roles: Mapping[str, Role]) -> tuple[dict[str, Identity], Roster]:
    """New keys for some names, in memory only, and the roster of them."""
    identities = {name: make_identity(name) for name in roles}
    return identities, Roster(Member(name, identities[name].public, role) for name, role in roles.items())


def checked_name(name: Any, where: str) -> str:
    """A name that can be one.

    Raises:
        InputError: it cannot.
    """
    if not (isinstance(name, str) and is_name(name)):
        raise InputError(f"{where} is {name!r}, allowed: {NAME_FORM}")
    return name


def load_identity(path: str | os.PathLike[str]) -> Identity:
    """Read the file with a machine's secret key.

    Raises:
        InputError: it cannot be read, others can read it, or it holds no key.
    """
    try:
        mode = Path(path).stat().st_mode & 0o777
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if mode & 0o077:
        raise InputError(f"{path}: holds a secret key but has mode {mode:04o}, allowed: 0600 (chmod 600 {path})")
    row = _row(read_yaml(path), ("name", "secret"), str(path))
    name = checked_name(row["name"], f"{path}: name")
    try:
        public = _public_of(row["secret"])
    except ValueError:  # the key itself is never shown
        raise InputError(f"{path}: secret is broken, allowed: 40 characters of Z85, as splitgym-keys makes") from None
    return Identity(name, public, row["secret"])


@contextmanager
def sole_use(path: Path) -> Iterator[None]:
    """Keep other processes of this machine from giving orders with a key: workers would leave the one for the other.

    Raises:
        InputError: one does already, or the file cannot be read.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{path}: another command gives orders with this key now") from None
        except OSError:  # a file system without locks
            pass
        yield


def save_identity(path: Path, identity: Identity, force: bool = False) -> None:
    """Write the file with a machine's secret key, for its owner's eyes only.

    Args:
        force: replace one that is there.

    Raises:
        InputError: there is one, or it cannot be written.
    """
    text = f"# The secret key of {identity.name}: stays on that machine, where nobody else may read it.\n"
    text += yaml.safe_dump({"name": identity.name, "secret": identity.secret})
    if path.exists() and not force:
        raise InputError(f"{path}: is there already; --force replaces it, and the old key is lost")
    with replacing(path) as temporary:
        _write(temporary, text, SECRET_MODE)


def load_roster(path: str | os.PathLike[str]) -> Roster:
    """Read a roster.

    Raises:
        InputError: one line naming the file, the field and what is allowed.
    """
    rows = read_yaml(path)
    if not isinstance(rows, list) or not rows:
        raise InputError(f"{path}: must be a list of members with name, role and key")
    try:
        mode = Path(path).stat().st_mode & 0o777
        if mode & 0o002:
            raise InputError(f"can be changed by anybody (mode {mode:04o}), allowed: its owner (chmod go-w {path})")
        return Roster(_member(row, f"member {i}") for i, row in enumerate(rows, 1))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def save_roster(path: Path, roster: Roster) -> None:
    """Write a roster.

    Raises:
        InputError: it cannot be written.
    """
    rows = [{"name": member.name, "role": member.role, "key": member.public} for member in roster.members.values()]
    text = "# Who takes part, the same on every machine: made by splitgym-keys. It holds no secrets.\n"
    with replacing(path) as temporary:
        _write(temporary, text + yaml.safe_dump(rows, sort_keys=False), ROSTER_MODE)


def _member(row: Any, where: str) -> Member:
    row = _row(row, ("name", "role", "key"), where)
    name = checked_name(row["name"], f"{where}: name")
    if row["role"] not in ROLES:
        raise InputError(f"{where} ({name}): role is {row['role']!r}, allowed: {', '.join(ROLES)}")
    try:
        _public_of(row["key"])
    except ValueError:
        raise InputError(f"{where} ({name}): key is {row['key']!r}, allowed: 40 characters of Z85") from None
    return Member(name, row["key"], row["role"])


def _row(row: Any, fields: tuple[str, ...], where: str) -> dict[str, Any]:
    if not isinstance(row, dict) or set(row) != set(fields):
        found = ", ".join(map(str, row)) if isinstance(row, dict) and row else "something else"
        raise InputError(f"{where}: holds {found}, allowed: exactly {', '.join(fields)}")
    return row


def _public_of(secret: Any) -> str:
    """The public key of a secret one; ValueError for what cannot be a key (public and secret keys have one form)."""
    if not isinstance(secret, str) or not secret.isascii() or len(secret) != 40:
        raise ValueError
    try:
        return zmq.curve_public(secret.encode()).decode()
    except zmq.ZMQError:
        raise ValueError from None


def _write(path: Path, text: str, mode: int) -> None:
    """Write a file that is not there, with this mode from the first moment."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
