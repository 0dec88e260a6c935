"""What must never happen, and what must happen at least once over all seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

COMMON = (
    "a worker lost by silence",
    "a worker lost by its connection",
    "a worker lost since it started anew",
    "a worker lost since it was stuck",
    "a worker accused by another",
    "a worker failed by a full disk",
    "a worker back after its pause",
    "a pause doubled",
    "all workers lost",
    "work ended into another epoch",
    "a worker freed by a silent controller",
    "a controller that went on from its journal",
    "a worker held back while it computed what was over",
    "weights sent again after a cut",
)
STREAM = (
    *COMMON,
    "an item redone",
    "a better plan after draining",
    "a better plan instead of one that waited for weights",
    "a plan dropped since a worker of it was lost",
    "an epoch ended while it was deployed",
    "rows of an older epoch refused",
    "rows of another session refused",
    "a result of an older epoch refused",
)
TRAINING = (
    *COMMON,
    "a role that went to another worker",
    "a role that waited for its worker",
    "a worker switched on request",
    "a member that went back to its own copy",
    "a member that got the controller's copy",
    "an entry done again",
    "an entry done again from another start's log",
    "an epoch ended by a gap in a link",
    "all begun anew since nothing came",
    "packets of an older epoch refused",
    "packets of another session refused",
    "a packet that came twice",
    "a checkpoint that was asked for",
)


class Violation(Exception):
    """Something happened that must never happen."""


class Checks:
    """The invariants of one seed.

    Attributes:
        counts: how often what must happen sometimes has happened.
        log: lines of what happened, where they are kept.
    """

    def __init__(self, keeps_log: bool, allowed: Sequence[str]) -> None:
        self.counts: Counter[str] = Counter()
        self._allowed = frozenset(allowed)
        self.log: list[str] = []
        self._keeps_log = keeps_log
        self.delivered: list[int] = []

    def sometimes(self, what: str) -> None:
        """This happened, as it must now and then."""
        assert what in self._allowed, what
        self.counts[what] += 1

    def never(self, wrong: bool, what: str) -> None:
        """Raise if something wrong has happened.

        Raises:
            Violation: it has.
        """
        if wrong:
            raise Violation(what)

    def note(self, now_s: float, line: str) -> None:
        """Something to read when a seed is looked into."""
        if self._keeps_log:
            self.log.append(f"{now_s:8.4f} {line}")

    def deliver(self, item: int) -> None:
        """A result was handed out: each once, in order."""
        due = len(self.delivered)
        self.never(item < due, f"item {item} was delivered again")
        self.never(item > due, f"item {item} was delivered before item {due}")
        self.delivered.append(item)
