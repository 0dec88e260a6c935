"""How the entries of a training went, as its members tell; each is handed out once, in order. No I/O here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..wire import Span
from .core import Done
from .reception import Told

GRACE_S = 1.0  # that an entry waits for what its members tell of it


@dataclass(frozen=True)
class Step(Done):
    """An entry that is logged, and how it went.

    Attributes:
        number, entry, measures: as in :class:`.core.Done`.
        begun_s, logged_s, ended_s: when it was issued, when it counted, and when all its members had told of their
            part, on the controller's monotonic clock.
        spans: what every member did, by role: forward, backward (or train, both as one) and update over the steps of
            the model that the label says; send and receive with the other's role as label.
        overrun_s: of all members together; above 0 the step says nothing about emulated devices.
        epoch: of the session, in which it was done.
    """

    begun_s: float = 0.0
    logged_s: float = 0.0
    ended_s: float = 0.0
    spans: Mapping[str, Sequence[Span]] = field(default_factory=dict)
    overrun_s: float = 0.0
    epoch: int = 0

    @property
    def is_valid(self) -> bool:
        """Whether it says something about emulated devices."""
        return self.overrun_s == 0.0


@dataclass
class _Open:
    """An entry that is not handed out."""

    begun_s: float
    done: Done | None = None
    logged_s: float = 0.0
    ended_s: float = 0.0
    spans: dict[str, list[Span]] = field(default_factory=dict)
    overrun_s: float = 0.0


class Steps:
    """The entries under way.

    Args:
        first: the first one; those before were logged earlier.

    Attributes:
        next: the first one that is not handed out.
    """

    def __init__(self, first: int) -> None:
        self.next = first
        self._open: dict[int, _Open] = {}
        self._concerned: dict[int, set[str]] = {}

    def issued(self, number: int, now_s: float) -> None:
        """An entry is told to its members; again, where somebody was lost. One that is logged stays as it was."""
        found = self._open.get(number)
        if number >= self.next and (found is None or found.done is None):
            self._open[number] = _Open(now_s)

    def told(self, told: Told, now_s: float) -> None:
        """A member tells what it did."""
        found = self._open.get(told.spans.item)
        if found is not None:
            found.spans.setdefault(told.role, []).extend(told.spans.spans)
            found.overrun_s += told.spans.overrun_s
            found.ended_s = now_s

    def logged(self, done: Done, concerned: Sequence[str], now_s: float) -> None:
        """An entry is logged."""
        found = self._open.setdefault(done.number, _Open(now_s))
        found.done, found.logged_s = done, now_s
        self._concerned[done.number] = set(concerned)

    def due(self, epoch: int, now_s: float) -> list[Step]:
        """Entries that can be handed out now, in order."""
        found: list[Step] = []
        while (open_ := self._open.get(self.next)) is not None and open_.done is not None:
            complete = self._concerned[self.next] <= open_.spans.keys()
            if not complete and now_s - open_.logged_s < GRACE_S:
                break
            del self._open[self.next], self._concerned[self.next]
            done, self.next = open_.done, self.next + 1
            ended_s = max(open_.ended_s, open_.logged_s)
            found.append(
                Step(
                    done.number, done.entry, done.measures, open_.begun_s, open_.logged_s, ended_s, open_.spans,
                    open_.overrun_s, epoch,
                )
            )  # fmt: skip
        return found
