"""The controller's side of a training: what is logged, committed, kept and done again. Decisions alone, no I/O.

A step counts when it is in the log. The states: WAITING for members, RESTORING the last checkpoint everywhere,
RUNNING. An entry is issued to whoever begins it; once all that it concerns are prepared it is logged, and committed
after that. Every so many entries all members' states make a checkpoint. A member that is lost ends the epoch: when
all are there again, everybody goes back to the last whole checkpoint and the logged entries behind it are done once
more, in order and on the same images, so bit by bit what they were; what was not logged follows, for the first time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..drops import Drops
from ..wire_training import AnyEntry, AnyHeader, Commit, Do, Kept, Prepared, Restore, Restored, Snapshot, State

Phase = Literal["WAITING", "RESTORING", "RUNNING"]
EVERY = 20  # entries between two checkpoints


@dataclass(frozen=True)
class Tell:
    """Send this to a member; ``state`` lies beside it where there is one."""

    member: str
    header: AnyHeader
    state: Any = None


@dataclass(frozen=True)
class Append:
    """Write an entry into the log, to the disk, before anything that follows is done."""

    number: int
    entry: AnyEntry


@dataclass(frozen=True)
class Keep:
    """A checkpoint in front of an entry is whole: keep it, older ones can go."""

    number: int
    states: Mapping[str, Any]


@dataclass(frozen=True)
class Done:
    """An entry is logged, for the first time and the only one.

    Attributes:
        measures: sums of what its members told, by name.
    """

    number: int
    entry: AnyEntry
    measures: Mapping[str, float]


Action = Tell | Append | Keep | Done


@dataclass(frozen=True)
class Rules:
    """How a protocol's entries go.

    Attributes:
        members: who takes part.
    """

    members: tuple[str, ...]

    @property
    def window(self) -> int:
        """Entries that may be issued and not logged."""
        return 1

    def begins(self, entry: AnyEntry) -> str:
        """Who is told of an entry; it tells the others."""
        return self.members[0]

    def concerned(self, entry: AnyEntry) -> Sequence[str]:
        """Who must be prepared before an entry is logged."""
        return self.members

    def waits(self, entry: AnyEntry) -> bool:
        """Whether it comes into force by its commit."""
        return True

    def is_determined(self, entries: Sequence[AnyEntry], number: int) -> bool:
        """Whether an entry can be logged without word of what comes behind all that were submitted."""
        return True

    def drain(self, entries: Sequence[AnyEntry]) -> AnyEntry | None:
        """What makes all that were submitted be logged; None where they are without."""
        return None

    def snapshots(self, entry: AnyEntry) -> bool:
        """Whether members run ahead of it, and send their states unasked where a checkpoint is due behind it."""
        return False


class TrainingCore:
    """A training over its members.

    Args:
        rules: of the protocol.
        every: entries between two checkpoints; None for none: nothing can be lost then.
        log: entries of an earlier start of the controller.
        checkpoint: (number, every member's state) of an earlier start; by default the beginning, which members know.

    Attributes:
        epoch: rises with every loss and every return.
        logged: entries that count.
        drops: messages that were dropped, by reason.
    """

    def __init__(
        self,
        rules: Rules,
        every: int | None = EVERY,
        log: Sequence[AnyEntry] = (),
        checkpoint: tuple[int, Mapping[str, Any]] | None = None,
    ) -> None:
        self.rules, self.every, self.drops = rules, every, Drops()
        self.epoch, self.logged = 0, len(log)
        self.checkpoint = 0 if checkpoint is None else checkpoint[0]
        self._entries: list[AnyEntry] = list(log)
        self._states: dict[int, dict[str, Any]] = {} if checkpoint is None else {checkpoint[0]: dict(checkpoint[1])}
        self._holding: dict[str, set[int]] = {name: set() for name in rules.members}  # states that a member has
        self._absent = set(rules.members)
        self._behind: set[str] = set()  # members that have not gone back yet
        self._issued = self._counted = self.checkpoint
        self._reports: dict[int, dict[str, Prepared]] = {}

    @property
    def phase(self) -> Phase:
        if self._absent:
            return "WAITING"
        return "RESTORING" if self._behind else "RUNNING"

    @property
    def entries(self) -> Sequence[AnyEntry]:
        """All that were submitted, the logged ones first."""
        return self._entries

    @property
    def awaits(self) -> bool:
        """Whether something is due from members: that they go back, or the next entry."""
        if self.phase == "RUNNING":
            return self._counted < len(self._entries) and self.rules.is_determined(self._entries, self._counted)
        return self.phase == "RESTORING"

    @property
    def idle(self) -> bool:
        """Whether all that was submitted is logged, and in force everywhere."""
        return self.phase == "RUNNING" and self._counted == len(self._entries)

    # members ------------------------------------------------------------------------------------------------------

    def came(self, member: str, anew: bool = True) -> list[Action]:
        """A member is there; ``anew``: it knows nothing but the beginning."""
        self._absent.discard(member)
        if anew:
            self._holding[member].clear()
        return [] if self._absent else self._restore()

    def lost(self, member: str) -> list[Action]:
        """A member is gone: the epoch ends."""
        self._absent.add(member)
        self.epoch += 1
        return []

    def _restore(self) -> list[Action]:
        self.epoch += 1
        self._states = {n: states for n, states in self._states.items() if n == self.checkpoint}
        self._behind = set(self.rules.members)
        self._issued = self._counted = self.checkpoint
        self._reports.clear()
        return [self._back(name) for name in self.rules.members]

    def _back(self, member: str) -> Tell:
        states = self._states.get(self.checkpoint)
        keeps = self.every is not None  # copies of its states
        if states is None or (keeps and self.checkpoint in self._holding[member]):
            return Tell(member, Restore(self.epoch, self.checkpoint))
        return Tell(member, Restore(self.epoch, self.checkpoint, True), states.get(member, {}))

    # entries ------------------------------------------------------------------------------------------------------

    def submit(self, entry: AnyEntry) -> list[Action]:
        """Another entry, behind those that were submitted."""
        self._entries.append(entry)
        return self._issue()

    def ask_states(self) -> list[Action]:
        """Make a checkpoint now; nothing may be under way."""
        assert self.idle
        return [Tell(name, Snapshot(self.epoch, self._counted)) for name in self.rules.members]

    def handle(self, member: str, header: AnyHeader, state: Any = None) -> list[Action]:
        """A message of a member came in, with the state beside it where it is one."""
        if header.epoch != self.epoch or member not in self.rules.members:
            self.drops.add("messages of another epoch")
            return []
        match header:
            case Restored() if header.number == self.checkpoint:
                return self._restored(member)
            case Prepared() if self._counted <= header.number < self._issued:
                self._reports.setdefault(header.number, {})[member] = header
                return self._log()
            case State() if header.number > self.checkpoint or header.number == self._counted:
                return self._state(member, header.number, state)
        self.drops.add(f"{type(header).__name__.lower()} that was not due")
        return []

    def _restored(self, member: str) -> list[Action]:
        self._behind.discard(member)
        self._holding[member].add(self.checkpoint)
        return [] if self._behind else self._issue()

    def _issue(self) -> list[Action]:
        actions: list[Action] = []
        while self._may_issue():
            number = self._issued
            entry = self._entries[number]
            self._issued += 1
            actions.append(Tell(self.rules.begins(entry), Do(self.epoch, number, entry)))
        return actions

    def _may_issue(self) -> bool:
        open_ = self._issued - self._counted
        return self.phase == "RUNNING" and self._issued < len(self._entries) and open_ < self.rules.window

    def _log(self) -> list[Action]:
        """Log the next entries, in order, whose members are all prepared."""
        actions: list[Action] = []
        while self._counted < self._issued:
            number, entry = self._counted, self._entries[self._counted]
            concerned = self.rules.concerned(entry)
            if not self._reports.get(number, {}).keys() >= set(concerned):
                break
            reports = self._reports.pop(number)
            self._counted += 1
            first = number == self.logged  # done again it counts no second time
            if first:
                self.logged += 1
                actions.append(Append(number, entry))
            actions += self._commit(number, entry, concerned)
            if first:
                actions.append(Done(number, entry, _summed(reports.values())))
            actions += self._whole(self._counted)
        return actions + self._issue()

    # checkpoints --------------------------------------------------------------------------------------------------

    def _commit(self, number: int, entry: AnyEntry, concerned: Sequence[str]) -> list[Action]:
        due = self.every is not None and (number + 1) % self.every == 0 and not self.rules.snapshots(entry)
        actions: list[Action] = []
        if self.rules.waits(entry):
            actions += [Tell(name, Commit(self.epoch, number, due)) for name in concerned]
        if due:
            others = [name for name in self.rules.members if name not in concerned]
            actions += [Tell(name, Snapshot(self.epoch, number + 1)) for name in others]
        return actions

    def _state(self, member: str, number: int, state: Any) -> list[Action]:
        self._states.setdefault(number, {})[member] = state
        self._holding[member].add(number)
        return self._whole(number)

    def _whole(self, number: int) -> list[Action]:
        """Whether a checkpoint is whole now: all states are here, and what they stand behind is logged."""
        states = self._states.get(number, {})
        if not states or number > self._counted or set(states) != set(self.rules.members):
            return []
        self.checkpoint = number
        self._states = {n: found for n, found in self._states.items() if n >= number}
        for name, held in self._holding.items():
            self._holding[name] = {n for n in held if n >= number}
        kept = [Tell(name, Kept(self.epoch, number)) for name in self.rules.members]
        return [Keep(number, dict(states)), *kept]


def _summed(reports: Any) -> dict[str, float]:
    sums: dict[str, float] = {}
    for report in reports:
        for name, value in report.measures.items():
            sums[name] = sums.get(name, 0.0) + value
    return sums
