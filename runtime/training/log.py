"""What a training has on record: the entries that count and the last checkpoint, on the disk where it has a folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...ui.errors import InputError
from ...ui.files import writing
from ..journal import Journal, open_journal
from ..wire_training import AnyEntry, entry_from_json, entry_to_json
from ..wire_types import WireError
from .state import State, by_member, flat, read_state, save_state

JOURNAL, CHECKPOINT = "training.jsonl", "checkpoint.safetensors"


class TrainingLog:
    """Entries as they are logged, each on the disk before anything that follows from it, and the last checkpoint.

    Args:
        journal: where entries go; None: nowhere but in memory.
        path: file of the last checkpoint; None: in memory.
        checkpoint: (entries that it lies behind, every member's state) to begin with, instead of the file's.
        about: what a file's training must agree on.

    Attributes:
        entries: all that are logged.
        checkpoint: the last one, None before the first.

    Raises:
        InputError: a file is none of this training's.
    """

    def __init__(
        self,
        journal: Journal | None = None,
        path: Path | None = None,
        checkpoint: tuple[int, Mapping[str, State]] | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self._journal, self._path, self._about = journal, path, dict(about or {})
        self.entries = [] if journal is None else [_entry(line) for line in journal.entries]
        self.checkpoint = checkpoint
        if checkpoint is None and path is not None and path.exists():
            self.checkpoint = self._read(path)
        if self.checkpoint is not None and self.checkpoint[0] > len(self.entries):
            raise InputError(f"{path}: lies behind {self.checkpoint[0]} entries, {len(self.entries)} are logged")

    def append(self, entry: AnyEntry) -> None:
        """An entry counts from now on.

        Raises:
            InputError: the disk takes no more; it does not count.
        """
        if self._journal is not None:
            self._journal.append(entry_to_json(entry))
        self.entries.append(entry)

    def keep(self, number: int, states: Mapping[str, State]) -> None:
        """A checkpoint in front of an entry is whole.

        Raises:
            InputError: it cannot be written; the one before stays.
        """
        if self._path is not None:
            empty = [who for who, state in states.items() if not state]
            save_state(self._path, flat(states), {**self._about, "number": number, "empty": empty})
        self.checkpoint = number, states

    def _read(self, path: Path) -> tuple[int, dict[str, State]]:
        state, about = read_state(path, "a checkpoint of a training")
        if not isinstance(number := about.get("number"), int) or not isinstance(empty := about.get("empty"), list):
            raise InputError(f"{path}: is not a checkpoint of a training")
        for name, value in self._about.items():
            if about.get(name) != value:
                raise InputError(f"{path}: is of another training; its {name} differs")
        return number, {**by_member(state), **{str(who): {} for who in empty}}


@contextmanager
def open_log(folder: Path, about: Mapping[str, Any] | None = None) -> Iterator[TrainingLog]:
    """The log of a folder, which is made where there is none.

    Args:
        about: what training it must be of.

    Raises:
        InputError: it is another's, or cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with open_journal(folder / JOURNAL) as journal:
        yield TrainingLog(journal, folder / CHECKPOINT, about=about)


def _entry(line: Mapping[str, Any]) -> AnyEntry:
    try:
        return entry_from_json({name: value for name, value in line.items() if name != "item"})
    except WireError as error:
        raise InputError(f"journal: item {line.get('item')} is {error}") from None
