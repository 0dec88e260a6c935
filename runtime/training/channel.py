"""What a training is to whoever gives it entries, whether its members are in this process or on workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from ..wire_training import AnyEntry
from .core import Done
from .state import State


class Channel(Protocol):
    """A training under way: :class:`.local.LocalTraining`, or :class:`.live.Training`."""

    @property
    def logged(self) -> int:
        """Entries that count."""
        ...

    def submit(self, *entries: AnyEntry) -> None:
        """More entries, which :meth:`run` does."""
        ...

    def do(self, entry: AnyEntry) -> Done:
        """Do one entry behind those that were submitted; of a pipeline that drains it."""
        ...

    def run(self, entries: Iterable[AnyEntry] = (), drains: bool = False) -> Iterator[Done]:
        """Do entries and yield what became of them and of those that were submitted before: each once, in order."""
        ...

    def states(self) -> Mapping[str, State]:
        """Every member's part of the training behind all that was submitted, as a checkpoint."""
        ...

    def switch(self, role: str, worker: str) -> None:
        """Have another worker play a role: it takes the old one's state over."""
        ...
