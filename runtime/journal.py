"""What was delivered of a stream, a line each, so that a controller which starts anew goes on behind it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import RawIOBase, UnsupportedOperation
from pathlib import Path
from typing import Any, BinaryIO

from ..ui.errors import InputError


class Journal:
    """Deliveries in order, each on the disk before the next.

    A delivery is its line: one whose line is whole has happened, one whose line is torn (the controller or its machine
    died over it) has not, and is cut off when the journal is opened.

    Args:
        file: opened for reading and writing, without a buffer that could hold what was not delivered; closed by whoever
            opened it.
        where: the file's name for messages.

    Attributes:
        entries: all deliveries so far.

    Raises:
        InputError: it is no journal, or deliveries are missing in it.
    """

    def __init__(self, file: BinaryIO | RawIOBase, where: str = "journal") -> None:
        self._file, self._where = file, where
        file.seek(0)
        data = file.read()
        whole = data.rfind(b"\n") + 1
        self.entries: list[dict[str, Any]] = [self._entry(i, line) for i, line in enumerate(data[:whole].splitlines())]
        file.seek(whole)
        file.truncate()

    @property
    def next(self) -> int:
        """The first item that was not delivered."""
        return len(self.entries)

    def append(self, entry: Mapping[str, Any]) -> None:
        """Deliver the next item.

        Raises:
            InputError: the disk takes no more; the item is not delivered.
        """
        start, left = self._file.tell(), json.dumps({"item": self.next, **entry}, allow_nan=False).encode() + b"\n"
        try:
            while left:
                left = left[self._file.write(left) or 0 :]
            with suppress(UnsupportedOperation):  # a file in memory
                os.fsync(self._file.fileno())
        except OSError as error:
            self._file.seek(start)
            self._file.truncate()
            raise InputError(f"{self._where}: cannot be written ({error.strerror})") from None
        self.entries.append({"item": self.next, **entry})

    def _entry(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict) or entry.get("item") != number:
            raise InputError(f"{self._where}: line {number + 1} is no delivery of item {number}")
        return entry


@contextmanager
def open_journal(path: Path) -> Iterator[Journal]:
    """The journal of a file, which is made where there is none.

    Raises:
        InputError: it is no journal.
    """
    with path.open("a+b", buffering=0) as file:
        yield Journal(file, str(path))
