"""A worker that trains: the real members over symbolic halves, the real links of packets."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from ...ui.errors import InputError
from .. import wire
from ..assembly import Rejected
from ..packet_links import Broken, PacketLink, Sealed, parts
from ..training.last import LastMember
from ..training.member import CONTROLLER, Member
from ..training.packets import Outgoing, Packet, opened, seal, unseal
from ..wire_training import Prepared, Restore
from ..wire_training_plan import TrainingPlan
from ..wire_types import WireError
from .disk import Disk
from .network import Channel
from .symbols import make_symbolic
from .worker import SimWorker

COMPUTE_S = 0.004
ATTEND_S = 0.2  # between two looks at connections
CHUNK_BYTES = 160  # so that states are several parts
MOST_BYTES = 10_000


@dataclass
class _Epoch:
    """Everything of one plan here."""

    plan: TrainingPlan
    member: Member
    names: dict[str, str]  # by role
    links: dict[str, PacketLink]
    waiting: deque[tuple[str, Packet]] = field(default_factory=deque)
    sent: Counter[str] = field(default_factory=Counter)  # packets, by receiver
    came: Counter[str] = field(default_factory=Counter)  # and by sender


class PacketsWorker(SimWorker):
    """One start of a worker under training plans."""

    _epoch: _Epoch | None

    def __init__(self, world: Any, name: str, incarnation: int, disk: Disk) -> None:
        super().__init__(world, name, incarnation, disk)
        self._last = LastMember()

    # what comes in ------------------------------------------------------------------------------------------------

    def _data(self, sender: str, data: wire.Data, payload: bytes) -> None:
        checks, epoch = self.world.checks, self._epoch
        assert isinstance(data, wire.Part)
        if epoch is None or not self.core.accepts(sender, data):
            self._refused(data)
            return
        checks.never(data.session != self.core.session, f"{self.name} takes packets of another session")
        checks.never(data.epoch != epoch.plan.epoch, f"{self.name} takes packets of epoch {data.epoch} into another")
        if sender != self.core.controller:
            peer = next(p for p in epoch.plan.peers if p.name == sender)
            checks.never(peer.incarnation != data.incarnation, f"{self.name} takes packets of an older start")
        try:
            sealed = epoch.links[sender].add(data, payload)
        except Rejected:
            checks.sometimes("a packet that came twice")
            return
        except Broken as error:
            checks.sometimes("an epoch ended by a gap in a link")
            self._report(self.core.failed(epoch.plan.epoch, str(error), self.world.loop.now_s, sender))
            return
        if sealed is not None:
            self._arrived(epoch, sender, data.number, sealed)

    def _refused(self, part: wire.Part) -> None:
        if part.session != self.core.session:
            self.world.checks.sometimes("packets of another session refused")
        elif part.epoch < self.core.epoch:
            self.world.checks.sometimes("packets of an older epoch refused")

    def _arrived(self, epoch: _Epoch, sender: str, number: int, sealed: Sealed) -> None:
        role = next(role for role, name in epoch.names.items() if name == sender)
        self.world.arrived(epoch.came, sender, number)
        epoch.waiting.append((role, unseal(sealed, opened(sealed))))
        self._work()

    def down(self, channel: Channel, peer: str) -> None:
        super().down(channel, peer)
        if channel == "data" and self._epoch is not None and peer in self._epoch.links:
            self._later(ATTEND_S * self.world.rng.random(), self._gone, self._epoch, peer)

    def _gone(self, epoch: _Epoch, peer: str) -> None:
        """What an idle connection that has ended may have carried is lost."""
        if self._epoch is epoch and peer in self._ended:
            self._ended.discard(peer)
            self._report(self.core.failed(epoch.plan.epoch, "its connection has ended", self.world.loop.now_s, peer))

    # what is done -------------------------------------------------------------------------------------------------

    def _built(self, plan: wire.AnyPlan) -> None:
        assert isinstance(plan, TrainingPlan)
        if self.core.plan is not plan:
            return
        if not all(map(self.disk.has, plan.data)):  # lost again since
            self._report(self.core.failed(plan.epoch, "data are gone", self.world.loop.now_s))
            return
        setup, role = plan.setup, plan.setup.roles[plan.role]

        def make() -> Member:
            return make_symbolic(setup, role, lambda number: self.world.applied(role, number))

        member, holds = self._last.member((plan.session, plan.training, plan.role, setup, plan.data), make)
        names = {CONTROLLER: self.core.controller, **dict(zip(setup.roles, (p.name for p in plan.peers), strict=True))}
        links = {name: PacketLink(MOST_BYTES, MOST_BYTES, CHUNK_BYTES) for name in names.values() if name != self.name}
        self._epoch = _Epoch(plan, member, names, links)
        self._ended.clear()  # connections are made anew
        self._report(self.core.built(plan.epoch, self.world.loop.now_s, holds))

    def _compute(self) -> None:
        epoch = self._epoch
        if epoch is None or self.core.state != "READY" or not epoch.waiting:
            return
        role, packet = epoch.waiting.popleft()
        self.core.phase("compute", packet.header.number, self.world.loop.now_s)
        try:
            outgoing = epoch.member.handle(role, packet)
        except WireError as error:
            self.world.checks.never(True, f"{self.name} gets what is not due: {error}")
            return
        except InputError as error:
            self._report(self.core.failed(epoch.plan.epoch, str(error), self.world.loop.now_s))
            return
        self._note_restored(packet)
        self._begin(COMPUTE_S * (0.5 + self.world.rng.random()), self._computed, epoch, outgoing)

    def _note_restored(self, packet: Packet) -> None:
        header = packet.header
        if isinstance(header, Restore) and header.whole:
            self.world.checks.sometimes("a member that got the controller's copy")
        elif isinstance(header, Restore) and header.number:
            self.world.checks.sometimes("a member that went back to its own copy")

    def _computed(self, epoch: _Epoch, outgoing: list[Outgoing]) -> None:
        if self._epoch is not epoch or self.core.plan is not epoch.plan:
            self.world.checks.sometimes("work ended into another epoch")
            return
        self.core.phase("waiting", 0, self.world.loop.now_s)
        for out in outgoing:
            if isinstance(header := out.packet.header, Prepared):
                self.world.prepared(epoch.plan.session, header, epoch.member.name)
            if not self._send(epoch, epoch.names[out.to], out.packet):
                return

    def _send(self, epoch: _Epoch, to: str, packet: Packet) -> bool:
        plan = epoch.plan
        self.world.checks.never(plan.epoch != self.core.epoch, f"{self.name} sends packets of an epoch that is over")
        number, epoch.sent[to] = epoch.sent[to], epoch.sent[to] + 1
        incarnation = self.core.incarnation
        for part, payload in parts(seal(packet), plan.session, plan.epoch, incarnation, number, 0.0, CHUNK_BYTES):
            if not self._sent(plan.epoch, to, wire.encode(part), bytes(payload)):
                return False
        return True
