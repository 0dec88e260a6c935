"""What a worker has of one training plan: a member, the packets that come in for it, and those that leave."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ...models.serial import model_from
from ...ui.errors import InputError
from .. import wire
from ..assembly import Rejected
from ..blobs import BlobStore
from ..drops import Drops
from ..epoch import End, Epoch, Incoming, Left
from ..epoch import Outgoing as Leaving
from ..packet_links import Broken, PacketLink, Sealed, parts
from ..wire_training import Commit, Envelope, Prepared
from ..wire_training_plan import TrainingPlan
from ..wire_types import WireError
from .blobs import data_of
from .half import numerics
from .last import LastMember
from .limits import Limits, kept_bytes, limits_of
from .member import CONTROLLER, Member
from .members import make_member
from .packets import Packet, opened, seal, unseal
from .watch import Clock


@dataclass(frozen=True)
class Arrival:
    """A packet that waits to be handled.

    Attributes:
        sender: its role, or the controller.
        begun_s, came_s: when its sender began it, on its clock, and when it was whole.
    """

    sender: str
    sealed: Sealed
    envelope: Envelope
    begun_s: float
    came_s: float

    @property
    def item(self) -> int:
        """The entry that it belongs to."""
        return self.envelope.header.number


class TrainingEpoch(Epoch):
    """A member under a plan.

    Args:
        plan: what it was told.
        member: plays its role; it may have done so before.
        limits: of packets.
        holds: whether the member has done so before.
        incarnation: of this start of the worker.
        controller: its name.
        results: where it takes packets.
        drops: where packets are counted that are dropped.
    """

    ordered = True

    def __init__(
        self,
        plan: TrainingPlan,
        member: Member,
        limits: Limits,
        holds: bool,
        incarnation: int,
        controller: str,
        results: str,
        drops: Drops,
    ) -> None:
        others = {peer.name: peer for i, peer in enumerate(plan.peers) if i != plan.role}
        super().__init__({**{name: peer.address for name, peer in others.items()}, controller: results})
        self.plan: TrainingPlan = plan
        self.member, self.holds, self.incarnation, self._drops = member, holds, incarnation, drops
        self.names = {CONTROLLER: controller, **dict(zip(plan.setup.roles, (p.name for p in plan.peers), strict=True))}
        self._roles = {name: role for role, name in self.names.items()}
        self._links = {name: PacketLink(limits.packet_bytes, limits.envelope_bytes) for name in self.addresses}
        self._waiting: deque[Arrival] = deque()
        self._waiting_bytes: Counter[str] = Counter()  # by sender
        self._most_bytes = limits.waiting_bytes
        self._sent: Counter[str] = Counter()  # packets, by receiver
        self._clock = Clock(plan.setup.batch, plan.pace)
        member.half.watch = self._clock

    def arrives_s(self, sender: str, data: wire.Data, size_bytes: int, came_s: float) -> float | None:
        return came_s

    def take(self, incoming: Incoming, now_s: float) -> bool:
        part, sender = incoming.data, self._roles[incoming.sender]
        assert isinstance(part, wire.Part)
        sealed = self._links[incoming.sender].add(part, incoming.payload)
        if sealed is None:
            return False
        try:
            envelope = opened(sealed)
        except WireError as error:
            raise Rejected(str(error)) from None
        self._waiting_bytes[sender] += kept_bytes(sealed)
        if self._waiting_bytes[sender] > self._most_bytes:
            raise Broken(f"{sender} sends more than can be handled")
        self._waiting.append(Arrival(sender, sealed, envelope, part.begun_s, now_s))
        self.span(envelope.header.number, wire.Span("receive", part.begun_s, now_s, sender, part.size))
        return True

    def next_job(self) -> Arrival | None:
        if not self._waiting:
            return None
        arrival = self._waiting.popleft()
        self._waiting_bytes[arrival.sender] -= kept_bytes(arrival.sealed)
        return arrival

    def do(
        self,
        job: Arrival,
        lock: AbstractContextManager[object],
        given_up: Callable[[], bool],
        joules: Callable[[], float],
    ) -> Iterator[Leaving | End]:
        self._clock.given_up = given_up
        ends: set[int] = set()
        try:
            with numerics(self.plan.setup.threads):
                for out in self.member.work(job.sender, unseal(job.sealed, job.envelope)):
                    header = out.packet.header
                    if ends and header.number not in ends:  # what is told of them must not wait for other packets
                        self._noted(lock)
                        yield from (End(self, number) for number in sorted(ends))
                        ends.clear()
                    if isinstance(header, Prepared) and not self.member.commits(header.number):
                        ends.add(header.number)
                    yield self._leaving(out.to, out.packet)
        except WireError:
            self._drops.add("packets that are not due")
        finally:
            self._noted(lock)
        header = job.envelope.header
        if isinstance(header, Commit) and header.epoch == self.member.epoch:
            ends.add(header.number)
        for number in sorted(ends):
            yield End(self, number)

    def lacks(self) -> str:
        return ""

    def _leaving(self, to: str, packet: Packet) -> Packets:
        name = self.names.get(to)
        if name is None:
            raise InputError(f"{self.member.name}: {to} is no member of this training")
        number, self._sent[name] = self._sent[name], self._sent[name] + 1
        return Packets(self, name, to, packet, number)

    def _noted(self, lock: AbstractContextManager[object]) -> None:
        """What the clock has taken notice of."""
        with lock:
            for number, span in self._clock.taken:
                self.span(number, span)
            for number, overrun_s in self._clock.overrun_s.items():
                self.overrun_s[number] = self.overrun_s.get(number, 0.0) + overrun_s
        self._clock.taken.clear()
        self._clock.overrun_s.clear()


class Packets(Leaving):
    """A packet that is to leave.

    Args:
        epoch: that it belongs to.
        to: the worker, or the controller.
        role: that it plays.
        packet: to be sent.
        number: on its link.
    """

    def __init__(self, epoch: TrainingEpoch, to: str, role: str, packet: Packet, number: int) -> None:
        self.epoch: TrainingEpoch = epoch
        self.to, self._role, self._packet, self._number = to, role, packet, number
        self._sealed: Sealed | None = None
        pace, roles = epoch.plan.pace, epoch.plan.setup.roles
        self.pace = None
        if pace is not None and role != CONTROLLER:
            index = roles.index(role)
            self.pace = pace.message_s[index], pace.byte_s[index]

    def encode(self) -> int:
        self._sealed = seal(self._packet)
        return len(self._sealed.data)

    def chunks(self, begun_s: float) -> Iterator[tuple[bytes, memoryview]]:
        assert self._sealed is not None
        plan = self.epoch.plan
        for part, payload in parts(
            self._sealed, plan.session, plan.epoch, self.epoch.incarnation, self._number, begun_s
        ):
            yield wire.encode(part), payload

    def left(self, left: Left) -> None:
        number = self._packet.header.number
        wait_s, copy_s = left.first_s - left.copied_s, left.copied_s - left.begun_s
        span = wire.Span("send", left.begun_s, left.ended_s, self._role, left.size_bytes, wait_s=wait_s, copy_s=copy_s)
        self.epoch.span(number, span)


class TrainingBuilder:
    """Builds members, and keeps the last one: who only saw others go goes on with what it has.

    Args:
        store: data sets.
        name: of the worker.
        drops: where packets are counted that are dropped.
    """

    def __init__(self, store: BlobStore, name: str, drops: Drops) -> None:
        self._store, self._name, self._drops = store, name, drops
        self._last = LastMember()

    def build(self, plan: TrainingPlan, incarnation: int, controller: str, results: str) -> TrainingEpoch:
        """Everything of a plan.

        Raises:
            InputError: it makes no sense, or the data do not fit.
        """
        self._check(plan)
        setup = plan.setup
        key, model = (plan.session, plan.training, plan.role, setup, plan.data), model_from(setup.model)

        def make() -> Member:
            data = data_of(self._store, plan.data, model.input) if plan.data else None
            return make_member(setup, model, setup.roles[plan.role], data)

        member, holds = self._last.member(key, make)
        limits = limits_of(setup, model)
        return TrainingEpoch(plan, member, limits, holds, incarnation, controller, results, self._drops)

    def forget(self) -> None:
        """What was trained is not gone on with."""
        self._last.forget()

    def _check(self, plan: TrainingPlan) -> None:
        roles, names = plan.setup.roles, [peer.name for peer in plan.peers]
        if not (plan.role < len(roles) == len(names) == len(set(names)) and names[plan.role] == self._name):
            raise InputError("plan: peers and roles do not go with it")
        pace = plan.pace
        if pace is not None:
            steps = len(model_from(plan.setup.model).steps)
            lengths = {len(pace.forward_s), len(pace.backward_s), len(pace.update_s)}
            if lengths != {steps} or {len(pace.message_s), len(pace.byte_s)} != {len(roles)}:
                raise InputError("plan: its pace is not of all steps and roles")
