"""A training whose members are all in this process: links are queues, and all that a shell does is done at once."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

from ..journal import Journal
from ..wire_training import AnyEntry
from .core import EVERY, Action, Append, Done, Keep, Rules, Tell, TrainingCore
from .half import numerics
from .log import TrainingLog
from .member import CONTROLLER, Member
from .packets import Outgoing, Packet, from_wire, to_wire
from .state import State


class LocalTraining:
    """Members, the links between them, and their controller.

    Args:
        rules: of the protocol.
        make: makes a member as it is at the beginning, by name; called again for one that was lost.
        every: entries between two checkpoints, None for none.
        journal: where entries are logged; those in it are done again. None: nowhere but in memory.
        encoded: whether packets travel as the bytes that they are on a wire.
        seed: of the order in which links deliver; by default all in the order of sending. Every link is in order.
        threads: of torch on a CPU; another number may change the last bits.
        checkpoint: (entries that it lies behind, every member's state) to go on from; by default the beginning.

    Attributes:
        done: entries in the order in which they were logged.
        log: what is on record.
        wire_bytes: what crossed every link, (sender, receiver), with the envelopes; of packets that were encoded.
    """

    def __init__(
        self,
        rules: Rules,
        make: Mapping[str, Callable[[], Member]],
        every: int | None = EVERY,
        journal: Journal | None = None,
        encoded: bool = False,
        seed: int | None = None,
        threads: int = 1,
        checkpoint: tuple[int, Mapping[str, State]] | None = None,
    ) -> None:
        self.log = TrainingLog(journal, checkpoint=checkpoint)
        self.core = TrainingCore(rules, every, self.log.entries, checkpoint)
        self.done: list[Done] = []
        self._yielded = 0  # of them
        self._make, self._encoded, self._threads = make, encoded, threads
        self.wire_bytes: Counter[tuple[str, str]] = Counter()
        self._random = None if seed is None else random.Random(seed)
        self._links: dict[tuple[str, str], deque[Packet]] = {}
        self._order: deque[tuple[str, str]] = deque()  # links in the order in which their packets were sent
        self.members: dict[str, Member] = {}
        for name in rules.members:
            self.revive(name)
        self.deliver()

    @property
    def checkpoint(self) -> tuple[int, Mapping[str, State]]:
        """The last one: entries that it lies behind, every member's state."""
        return self.log.checkpoint or (0, {})

    @property
    def logged(self) -> int:
        """Entries that count."""
        return self.core.logged

    def submit(self, *entries: AnyEntry) -> None:
        """More entries, which :meth:`run` does."""
        for entry in entries:
            self._act(self.core.submit(entry))

    def do(self, entry: AnyEntry) -> Done:
        """Do one entry behind those that were submitted; of a pipeline that drains it."""
        found = list(self.run([entry], drains=True))
        return next(done for done in reversed(found) if done.entry is entry)

    def run(self, entries: Iterable[AnyEntry] = (), drains: bool = False) -> Iterator[Done]:
        """Do entries and yield what became of them and of those that were submitted before: each once, in order.

        Args:
            entries: asked for as they can be worked on.
            drains: have a pipeline finish all of them; otherwise it keeps the last in flight, for what comes next.
        """
        source = iter(entries)
        while True:
            wanted = self.core.logged + self.core.rules.window + 1 - len(self.core.entries)
            found = list(islice(source, max(0, wanted)))
            self.submit(*found)
            if len(found) < wanted and drains:
                self._drain()
            self.deliver()
            yield from self._told()
            if len(found) < wanted:
                return

    def deliver(self, most: int | None = None) -> int:
        """Deliver packets until there are none, or so many; returns how many were."""
        delivered = 0
        with numerics(self._threads):
            while self._order and delivered != most:
                self._deliver(self._next())
                delivered += 1
        return delivered

    def states(self) -> Mapping[str, State]:
        """Every member's part of the training behind all that was submitted, as a checkpoint."""
        self._drain()
        self.deliver()
        self._act(self.core.ask_states())
        self.deliver()
        return self.checkpoint[1]

    def switch(self, role: str, worker: str = "") -> None:
        """Have another start play a role: it takes the old one's state over."""
        self.states()
        self.kill(role)
        self.revive(role)
        self.deliver()

    def _drain(self) -> None:
        if (entry := self.core.rules.drain(self.core.entries)) is not None:
            self.submit(entry)

    def _told(self) -> Iterator[Done]:
        """What is logged and was not yielded."""
        while self._yielded < len(self.done):
            self._yielded += 1
            yield self.done[self._yielded - 1]

    def kill(self, name: str) -> None:
        """A member is lost, with all that is on its way to it or from it."""
        del self.members[name]
        for link in [link for link in self._links if name in link]:
            del self._links[link]
        self._order = deque(link for link in self._order if name not in link)
        self._act(self.core.lost(name))

    def revive(self, name: str) -> None:
        """A member starts anew; it knows nothing but the beginning."""
        self.members[name] = self._make[name]()
        self._act(self.core.came(name))

    def _next(self) -> tuple[str, str]:
        if self._random is None:
            return self._order.popleft()
        link = self._random.choice(list(self._order))
        self._order.remove(link)
        return link

    def _deliver(self, link: tuple[str, str]) -> None:
        sender, receiver = link
        packet = self._links[link].popleft()
        if self._encoded:
            envelope, payloads = to_wire(packet)
            self.wire_bytes[link] += len(envelope) + sum(payload.nbytes for payload in payloads)
            packet = from_wire(envelope, payloads)
        if receiver == CONTROLLER:
            self._act(self.core.handle(sender, packet.header, packet.tensors))
        else:
            for outgoing in self.members[receiver].handle(sender, packet):
                self._send(receiver, outgoing)

    def _send(self, sender: str, outgoing: Outgoing) -> None:
        if outgoing.to == CONTROLLER or outgoing.to in self.members:
            link = sender, outgoing.to
            self._links.setdefault(link, deque()).append(outgoing.packet)
            self._order.append(link)

    def _act(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Tell():
                    packet = Packet(action.header, action.state or {})
                    self._send(CONTROLLER, Outgoing(action.member, packet))
                case Append():
                    self.log.append(action.entry)
                case Keep():
                    self.log.keep(action.number, action.states)
                case Done():
                    self.done.append(action)
