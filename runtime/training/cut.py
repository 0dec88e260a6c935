"""Training with one cut (L2S): the device's half, and the ledger of copies that differ.

Device and edge both hold a copy of every layer. In a round at cut p the device trains its copies of the first p steps
and the edge its copies of the others, each with its own optimiser: FORWARD carries what crosses and the labels,
BACKWARD the gradients of what crossed. At p = 0 the images themselves are sent and nothing returns; at p = P the round
is silent. A layer that changes sides goes on from its new holder's copy as that was left: weights, momentum and
batch-norm statistics, all of them stale, until a sync makes both copies alike (paper, Sec. IV-C).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...models.chain import MAIN
from ..wire_training import AnyEntry, Backward, Do, Exchange, Round, Sync
from ..wire_types import WireError
from .back import forward_packet
from .core import Rules
from .half import Half
from .member import Member
from .order import Batches
from .packets import Outgoing, Packet, expect

DEVICE, EDGE = "device", "edge"


class Device(Member):
    """The end device, which has the data and begins every round.

    Args:
        half: its copy of the network.
        batches: what it trains on.
    """

    half: Half

    def __init__(self, half: Half, batches: Batches, recovers: bool = True) -> None:
        super().__init__(DEVICE, half, recovers)
        self._batches = batches
        self._open: Round | Sync | None = None  # the entry that is not logged
        self._samples = 0  # of its batch

    def begin_epoch(self) -> None:
        self._open = None

    def held(self) -> Sequence[int]:
        return range(len(self.half.network))

    def take(self, sender: str, packet: Packet) -> list[Outgoing]:
        header = packet.header
        match header:
            case Do(entry=Round() as entry):
                return self._round(header.number, entry)
            case Do(entry=Sync() as entry):
                return self._sync(header.number, entry)
            case Backward() if isinstance(self._open, Round):
                self.half.backward(header.number, expect(packet, self.half.due(self._open.cut, self._samples)))
                return [self.prepared(header.number)]
            case Exchange():
                return self.exchanged(sender, packet, header)
        raise WireError(f"{self.name}: {type(header).__name__} {header.number} is not due")

    def committed(self, number: int) -> None:
        entry, self._open = self._open, None
        if isinstance(entry, Round):
            self.half.apply(number, entry.rate)

    def _round(self, number: int, entry: Round) -> list[Outgoing]:
        images, labels = self._batches.batch(entry.batch)
        self._open, self._samples = entry, len(labels)
        crossing = {MAIN: images}
        if entry.cut == len(self.half.network):
            measures, _ = self.half.finish(number, 0, crossing, labels)
            return [self.prepared(number, measures)]
        if entry.cut:
            crossing = self.half.forward(number, 0, entry.cut, crossing)
        send = Outgoing(EDGE, forward_packet(self.epoch, number, entry.cut, entry.rate, crossing, labels))
        return [send] if entry.cut else [send, self.prepared(number)]

    def _sync(self, number: int, entry: Sync) -> list[Outgoing]:
        self._open = entry
        packet = Packet(Exchange(self.epoch, number, 0, entry.down), self.half.state(entry.up))
        send = Outgoing(EDGE, packet)
        return [send] if entry.down else [send, self.prepared(number)]


@dataclass(frozen=True)
class CutRules(Rules):
    """How a cut's entries go.

    Args:
        steps: of the model.
    """

    steps: int

    def concerned(self, entry: AnyEntry) -> Sequence[str]:
        return (DEVICE,) if isinstance(entry, Round) and entry.cut == self.steps else self.members


class Ledger:
    """Which layers' copies differ because they changed sides, and who gives them at a sync.

    Between two syncs the cut has wandered between ``low`` and ``high``: of every step between them both sides hold a
    copy that was trained. At a sync the copy is given that was trained in more rounds since the two were alike, of
    equal ones its holder's. (The paper sends "the layers that change location" and does not say which copy stays;
    the new holder's alone would throw away whatever the old one learnt since they were alike.)

    What it says follows from what was booked, so a ledger that books a log stands where the log ends.

    Args:
        steps: of the model.
        period: rounds between two syncs.
        every_change: sync in front of every round whose cut is another one (L2S-FWS) instead.
    """

    def __init__(self, steps: int, period: int, every_change: bool = False) -> None:
        self.period, self.every_change = period, every_change
        self.low = self.high = 0
        self._cut: int | None = None  # of the last round
        self._rounds = 0
        self._on_device = [0] * steps  # rounds that trained each copy since both were alike
        self._on_edge = [0] * steps

    def book(self, entry: Round | Sync) -> None:
        """A round or a sync was done."""
        if isinstance(entry, Sync):
            for step in (*entry.up, *entry.down):
                self._on_device[step] = self._on_edge[step] = 0
            self.low = self.high
            return
        if self.every_change or self.low == self.high:
            self.low = self.high = entry.cut if self._cut is None or self.every_change else self._cut
        self.low, self.high = min(self.low, entry.cut), max(self.high, entry.cut)
        self._cut = entry.cut
        for step in range(len(self._on_device)):
            (self._on_device if step < entry.cut else self._on_edge)[step] += 1
        self._rounds += 1

    def due_before(self, cut: int) -> Sync | None:
        """The sync that is due in front of a round, if any."""
        if not self.every_change or self._cut is None:
            return None
        return self._sync(*sorted((self._cut, cut)))

    def due_behind(self) -> Sync | None:
        """The sync that is due behind the last round, if any."""
        is_due = not self.every_change and self._rounds and self._rounds % self.period == 0
        return self.asked() if is_due else None

    def asked(self) -> Sync | None:
        """What makes all copies alike that differ because they changed sides; None where none do."""
        return self._sync(self.low, self.high)

    def _sync(self, low: int, high: int) -> Sync | None:
        up = tuple(step for step in range(low, high) if self._is_devices(step))
        return Sync(up, tuple(step for step in range(low, high) if step not in up)) if low < high else None

    def _is_devices(self, step: int) -> bool:
        device, edge = self._on_device[step], self._on_edge[step]
        return device > edge or (device == edge and self._cut is not None and step < self._cut)
