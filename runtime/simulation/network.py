"""A virtual network: connections that keep order, that break, stall and slow down, and what arrives late or twice."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from typing import Literal, Protocol

from .loop import Loop

Channel = Literal["control", "data"]
LATENCY_S = 0.001
LATE, TWICE = 0.3, 0.04  # chances
KEPT = 4  # messages of a connection that may arrive late
LATE_S = 1.0


class Party(Protocol):
    """A process on the network.

    Attributes:
        name: of its machine.
        alive: until it dies; another start of a machine is another party.
        hung: stopped; what comes meanwhile is handed over when it goes on.
    """

    name: str
    alive: bool
    hung: bool

    def message(self, channel: Channel, sender: str, header: bytes, payload: bytes | None) -> None:
        """Something came in."""
        ...

    def down(self, channel: Channel, peer: str) -> None:
        """The connection to a peer has ended."""
        ...


@dataclass
class _Link:
    """One direction between two machines.

    Attributes:
        cut: nothing gets through any more; who sends is told at once (broken) or never (stalled).
        factor: by which it is slower than usual.
        free_s: when the last message of a channel arrives; order is kept.
        swallows: messages that vanish, though nobody is told.
    """

    cut: Literal["", "broken", "stalled"] = ""
    factor: float = 1.0
    free_s: float = 0.0
    swallows: int = 0


class Net:
    """All machines and the links between them.

    Args:
        loop: its clock.
        rng: of delays and of what arrives late or twice.
    """

    def __init__(self, loop: Loop, rng: random.Random) -> None:
        self.loop, self.rng = loop, rng
        self.parties: dict[str, Party] = {}
        self._told: set[Party] = set()  # parties of whose end their peers were told
        self._links: dict[tuple[str, str, Channel], _Link] = {}
        self._held: dict[str, list[tuple[Party, Channel, str, bytes | None, bytes | None]]] = {}
        self._last: dict[tuple[str, str, Channel], deque[tuple[Party, bytes, bytes | None]]] = {}

    def link(self, sender: str, receiver: str, channel: Channel) -> _Link:
        found = self._links.get((sender, receiver, channel))
        if found is None:
            found = self._links[sender, receiver, channel] = _Link()
        return found

    def send(self, sender: Party, receiver: str, channel: Channel, header: bytes, payload: bytes | None = None) -> bool:
        """Send over a connection; False where it is known to have ended."""
        link, target = self.link(sender.name, receiver, channel), self.parties.get(receiver)
        if target is None or link.cut == "broken" or (not target.alive and target in self._told):
            return False
        if link.cut == "stalled" or not target.alive:
            return True  # and nobody will ever hear of it
        if link.swallows:
            link.swallows -= 1
            return True
        took_s = LATENCY_S * link.factor * (1.0 + self.rng.random() + len(payload or b"") / 4096)
        link.free_s = max(link.free_s, self.loop.now_s) + took_s
        self._last.setdefault((sender.name, receiver, channel), deque(maxlen=KEPT)).append((sender, header, payload))
        delay_s = link.free_s - self.loop.now_s
        self.loop.after(delay_s, self._arrive, sender, target, channel, header, payload)
        if channel == "data" and self.rng.random() < TWICE:
            again_s = delay_s + LATE_S * self.rng.random() ** 4
            self.loop.after(again_s, self._arrive, sender, target, channel, header, payload)
        return True

    def haunt(self, name: str) -> None:
        """A machine has started anew: some of the last messages to its old start, and from it, arrive only now."""
        for (sender, receiver, channel), kept in self._last.items():
            if name in (sender, receiver) and self.rng.random() < LATE:
                for party, header, payload in kept:
                    delay_s = LATE_S * self.rng.random() ** 2
                    self.loop.after(delay_s, self._arrive, party, self.parties[receiver], channel, header, payload)

    def _arrive(self, sender: Party, target: Party, channel: Channel, header: bytes, payload: bytes | None) -> None:
        present = self.parties[target.name]
        if present is not target:  # sent to a start that is no more
            if not present.alive or self.rng.random() > LATE:
                return
        elif not target.alive or self.link(sender.name, target.name, channel).cut:
            return
        if present.hung:
            self._held.setdefault(present.name, []).append((present, channel, sender.name, header, payload))
        else:
            present.message(channel, sender.name, header, payload)

    def awake(self, party: Party) -> None:
        """A party goes on: it gets what came meanwhile, in order."""
        for target, channel, sender, header, payload in self._held.pop(party.name, []):
            if target is party and party.alive:
                if header is None:
                    party.down(channel, sender)
                else:
                    party.message(channel, sender, header, payload)

    def cut(self, a: str, b: str, channel: Channel, kind: Literal["broken", "stalled"], lasts_s: float) -> None:
        """Cut both directions for a while; a connection that breaks is told to both ends."""
        for sender, receiver in ((a, b), (b, a)):
            self.link(sender, receiver, channel).cut = kind
            if kind == "broken":
                self.loop.after(LATENCY_S, self._tell_down, receiver, channel, sender)
        self.loop.after(lasts_s, self._mend, a, b, channel)

    def _mend(self, a: str, b: str, channel: Channel) -> None:
        """The link is there again, over a new connection: what was sent over the old one is gone."""
        for sender, receiver in ((a, b), (b, a)):
            was, self.link(sender, receiver, channel).cut = self.link(sender, receiver, channel).cut, ""
            if was == "stalled":
                self._tell_down(receiver, channel, sender)

    def slow(self, a: str, b: str, factor: float, lasts_s: float) -> None:
        """Make both directions slower for a while."""
        for sender, receiver in ((a, b), (b, a)):
            self.link(sender, receiver, "data").factor = factor
            if lasts_s:
                self.loop.after(lasts_s, self.slow, a, b, 1.0, 0.0)

    def died(self, party: Party, peers: list[str], is_told: bool) -> None:
        """A process is no more; its peers are told of the end of its connections, or are not."""
        party.alive = False
        if is_told:
            self._told.add(party)
        for peer in peers if is_told else []:
            for channel in ("control", "data"):
                self.loop.after(LATENCY_S * (1 + self.rng.random()), self._tell_down, peer, channel, party.name)

    def _tell_down(self, receiver: str, channel: Channel, peer: str) -> None:
        party = self.parties.get(receiver)
        if party is None or not party.alive:
            return
        if party.hung:
            self._held.setdefault(receiver, []).append((party, channel, peer, None, None))
        else:
            party.down(channel, peer)
