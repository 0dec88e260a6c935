"""What every member of a training does, whatever the protocol: epochs, snapshots, taking back, exchanging layers.

A member takes packets in and gives packets out, one at a time: no clock, no thread, no socket. What it computes is
behind :class:`Computes`; a simulation puts something else there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Protocol

from torch import Tensor

from ...ui.errors import InputError
from ..drops import Drops
from ..wire_training import Commit, Exchange, Kept, Prepared, Restore, Restored, Snapshot
from ..wire_training import State as StateHeader
from .packets import Outgoing, Packet
from .state import State
from .watch import Watch

CONTROLLER = "controller"
MOST_SEEN, OLD = 1000, 100  # packets that are remembered, and entries after which one does not come again


class Stateful(Protocol):
    """What has a state that can be copied and taken back to.

    Attributes:
        watch: takes notice of what is computed.
    """

    watch: Watch

    def state(self, steps: Sequence[int]) -> State:
        """A copy of what some steps of the model are, in front of whatever is held."""
        ...

    def load(self, state: State) -> None:
        """Take a state over."""
        ...

    def drop(self) -> None:
        """Forget whatever is held."""
        ...


class Member(ABC):
    """A party that computes.

    Args:
        name: of the party.
        half: what it computes with.
        recovers: whether it keeps copies of its state to go back to.

    Attributes:
        epoch: of the training, 0 before the first.
        drops: packets that were dropped, by reason.
    """

    def __init__(self, name: str, half: Stateful, recovers: bool = True) -> None:
        self.name, self.half, self.epoch, self.drops = name, half, 0, Drops()
        self._recovers, self._fresh = recovers, True
        self.waiting: int | None = None  # the entry whose commit is waited for
        self._early: list[tuple[str, Packet]] = []  # of later entries
        self._seen: set[tuple[str, type, int]] = set()
        self._kept: dict[int, State] = {}
        self._came: dict[int, State] = {}  # layers to be taken over when their entry is logged

    def handle(self, sender: str, packet: Packet) -> list[Outgoing]:
        """Take a packet in; returns what is to be sent.

        Raises:
            WireError: it carries something else than is due.
            InputError: a state does not fit this member.
        """
        return list(self.work(sender, packet))

    def work(self, sender: str, packet: Packet) -> Iterable[Outgoing]:
        """As :meth:`handle`, but what is to be sent comes as soon as it is there, and the rest is done behind it; to be
        gone through to its end.
        """
        header = packet.header
        if isinstance(header, Restore):
            return self._restore(packet, header) if header.epoch > self.epoch else []
        if header.epoch != self.epoch:
            self.drops.add("messages of another epoch")
            return []
        if self._is_again(sender, packet):
            self.drops.add("messages that came twice")
            return []
        match header:
            case Snapshot():
                return [self.snapshot(header.number)]
            case Kept():
                self._kept = {n: state for n, state in self._kept.items() if n >= header.number}
                return []
            case Commit():
                if (state := self._came.pop(header.number, None)) is not None:
                    self.half.load(state)
                self.committed(header.number)
                self.waiting = None
                kept = [self.snapshot(header.number + 1)] if header.snapshot else []
                return chain(kept, self.go_on())
        self._fresh = False
        return self._in_turn(sender, packet)

    def _in_turn(self, sender: str, packet: Packet) -> Iterable[Outgoing]:
        """Take a packet, now or behind the commit that is waited for: others may have heard of it before us."""
        if self.waiting is not None and packet.header.number > self.waiting:
            self._early.append((sender, packet))
            return []
        return self.take(sender, packet)

    @abstractmethod
    def take(self, sender: str, packet: Packet) -> Iterable[Outgoing]:
        """A packet of the protocol."""

    @abstractmethod
    def committed(self, number: int) -> None:
        """An entry is logged: what is held for it comes into force."""

    def commits(self, number: int) -> bool:
        """Whether an entry that is prepared here comes into force by its commit."""
        return True

    @abstractmethod
    def held(self) -> Sequence[int]:
        """The steps of the model whose state is this member's part of the training."""

    def go_on(self) -> Iterable[Outgoing]:
        """Do what waited for a commit."""
        early, self._early = self._early, []
        for sender, packet in early:
            yield from self._in_turn(sender, packet)

    def begin_epoch(self) -> None:  # noqa: B027
        """Everything of the epoch before is forgotten."""

    def state(self) -> State:
        """A copy of this member's part of the training, in front of whatever it holds."""
        return self.half.state(self.held())

    def take_state(self, state: State) -> None:
        """Go back to a state."""
        self.half.load(state)

    def snapshot(self, number: int) -> Outgoing:
        """This member's part of the training in front of an entry, for the controller."""
        state = self.state()
        if self._recovers:
            self._kept[number] = state
        return self.tell(StateHeader(self.epoch, number), state)

    def tell(self, header: Prepared | StateHeader | Restored, tensors: Mapping[str, Tensor] | None = None) -> Outgoing:
        """A packet for the controller."""
        return Outgoing(CONTROLLER, Packet(header, tensors or {}))

    def prepared(self, number: int, measures: Mapping[str, float] | None = None) -> Outgoing:
        """An entry is done here as far as it can be before it is logged."""
        return self.tell(Prepared(self.epoch, number, dict(measures or {})))

    def exchanged(self, sender: str, packet: Packet, header: Exchange) -> list[Outgoing]:
        """Layers came from another member, which may want others back."""
        self._came[header.number] = dict(packet.tensors)
        sends = [self.prepared(header.number)]
        if header.wants:
            answer = Exchange(self.epoch, header.number, header.boundary)
            sends.append(Outgoing(sender, Packet(answer, self.half.state(header.wants))))
        return sends

    def _is_again(self, sender: str, packet: Packet) -> bool:
        """Whether a packet of that kind, entry and sender came before, as it may where a network repeats itself."""
        number = packet.header.number
        key = sender, type(packet.header), number
        again = key in self._seen
        self._seen.add(key)
        if len(self._seen) > MOST_SEEN:
            self._seen = {seen for seen in self._seen if seen[2] >= number - OLD}
        return again

    def _restore(self, packet: Packet, header: Restore) -> list[Outgoing]:
        self.epoch = header.epoch
        self._came.clear()
        self._early.clear()
        self._seen.clear()
        self.waiting = None
        self.half.drop()
        self.begin_epoch()
        if header.whole:
            self._kept[header.number] = dict(packet.tensors)
        elif self._fresh and header.number == 0 and self._recovers:
            self._kept[0] = self.state()
        state = self._kept.get(header.number)
        if state is not None:
            self.take_state(state)
        elif not self._fresh or header.number:
            raise InputError(f"{self.name}: has no state in front of entry {header.number}")
        self._kept = {n: state for n, state in self._kept.items() if n <= header.number}
        return [self.tell(Restored(self.epoch, header.number))]
