"""Folders and files that one process at a time fills; the system lets go of them when it ends, however that is."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from .errors import InputError
from .files import writing


def lock(descriptor: int, where: object) -> None:
    """Hold an open file or folder until it is closed.

    Raises:
        InputError: another process holds it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"{where}: another process is writing there") from None
    except OSError:  # a file system without locks
        return


@contextmanager
def held(folder: Path, where: object) -> Iterator[None]:
    """Hold a folder that is there.

    Raises:
        InputError: another process holds it, or it cannot be opened; beginning with ``where``.
    """
    with writing(where):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        lock(descriptor, where)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def claimed(folder: Path, where: object, mode: int = 0o777) -> Iterator[None]:
    """Make a folder and hold it; where nothing is put into it, it goes again, with those above it that were made.

    Args:
        folder: may be there already.
        where: what a complaint begins with.
        mode: of the folder where it is made.

    Raises:
        InputError: another process holds it, or it cannot be made.
    """
    with writing(where):
        made = [path for path in (folder, *folder.parents) if not path.exists()]
        try:
            folder.mkdir(mode, parents=True, exist_ok=True)
        except OSError:
            _remove_empty(made)
            raise
    with held(folder, where):
        try:
            yield
        finally:
            _remove_empty(made)


@contextmanager
def claimed_new(stem: Path) -> Iterator[Path]:
    """:func:`claimed` for the first of <stem>-1, <stem>-2, ... that nobody has; yields it."""
    for number in count(1):
        folder = stem.with_name(f"{stem.name}-{number}")
        with writing(folder):
            made = [path for path in folder.parents if not path.exists()]
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                continue
            except OSError:
                _remove_empty(made)
                raise
        with held(folder, folder):
            try:
                yield folder
            finally:
                _remove_empty([folder, *made])
        return


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
