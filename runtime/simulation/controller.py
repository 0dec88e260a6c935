"""A controller's shell on the virtual network, and who wants a stream of items from it."""

from __future__ import annotations

import io
from typing import Any

from .. import wire, wire_types
from ..assembly import Assembly, Rejected
from ..geometry import REQUESTER, Geometry
from ..journal import Journal
from ..membership import Hysteresis
from ..session_core import Answered, Back, Done, Lost, SessionCore, Supply, Tell
from ..stream_core import Action, Begin, Deliver, GiveUp, Proposal, Replan, Send, StreamCore
from .network import LATE_S, Channel
from .rows import PLAIN, PLANS, complete_result, geometry_of, tag
from .start import Start
from .worker import CHUNK_BYTES

TICK_S = 0.05
LEASE_S = 0.6
PLAN_S = 0.02
ITEM_S = 0.03  # that an item takes, about
OVERDUE_S = 1.0  # that it may take at least
PAUSES = Hysteresis(pause_s=0.3, most_s=5.0)  # of workers that were lost
BLOB_BYTES, BLOB_CHUNKS = 256, 4


class SimController(Start):
    """One start of the controller.

    Args:
        world: the :class:`.world.World` that it lives in.
        number: of this start.
        file: its journal's, which outlives it.
    """

    def __init__(self, world: Any, number: int, file: io.BytesIO) -> None:
        super().__init__(world, world.controller_name)
        self.journal, self._awake_s = Journal(file), 0.0
        now_s = world.loop.now_s
        session = SessionCore(
            f"{number:016x}", "simulated", "results:1", world.workers, now_s, LEASE_S, 1.0, returns=True,
            hysteresis=PAUSES,
        )  # fmt: skip
        self.core = StreamCore(session, world.in_flight, now_s, self.journal.next, overdue_s=OVERDUE_S)
        self.session = session
        self._geometry: Geometry | None = None
        self._assembly: Assembly | None = None
        self._supplies: dict[str, Supply] = {}
        self._begun: set[tuple[str, str]] = set()  # workers and the weights that they were sent some of
        self._losses_s: dict[str, list[float]] = {}
        self._whole: set[int] = set()  # items whose results are there
        self._sent: set[int] = set()  # items that were begun in this epoch
        self._has_lost = True  # since the last epoch began
        self._later(0.0, self._tick)
        self._later(0.0, self._feed)

    def message(self, channel: Channel, sender: str, header: bytes, payload: bytes | None) -> None:
        now_s = self.world.loop.now_s
        if channel == "control":
            message = wire.decode_control(header)
            if isinstance(message, wire.Failed) and message.peer and message.epoch == self.session.epoch:
                self.world.checks.sometimes("a worker accused by another")
            self._act(self.core.control(sender, message, now_s))
            if isinstance(message, wire.Heartbeat) and sender in self.session.membership.usable:
                is_other = message.session == self.session.session and message.incarnation != self._start_of(sender)
                self.world.checks.never(is_other, f"an older start of {sender} is in use")
        else:
            chunk = wire.decode_chunk(header, len(payload or b""))
            assert isinstance(chunk, wire.Chunk)
            self._result(sender, chunk, payload or b"")

    def _start_of(self, worker: str) -> int:
        return self.session.welcomes[worker].incarnation

    def down(self, channel: Channel, peer: str) -> None:
        now_s = self.world.loop.now_s
        act = self.core.down(peer, now_s) if channel == "control" else []
        if channel == "data" and self.core.proposal and peer in self.core.proposal.working:
            act = self.core.lose(peer, "its connection for rows has ended", now_s)
        self._act(act)

    def _result(self, sender: str, chunk: wire.Chunk, payload: bytes) -> None:
        checks, assembly, geometry = self.world.checks, self._assembly, self._geometry
        if assembly is None or geometry is None or not self.session.accepts(sender, chunk):
            if (chunk.session, chunk.epoch) < (self.session.session, self.session.epoch):
                checks.sometimes("a result of an older epoch refused")
            return
        checks.never(chunk.epoch != self.session.epoch, "a result of another epoch is taken")
        checks.never(chunk.session != self.session.session, "a result of another session is taken")
        checks.never(chunk.incarnation != self._start_of(sender), f"a result of an older start of {sender} is taken")
        try:
            workers = geometry.plan.devices
            complete = assembly.add(workers.index(sender), chunk, payload)
        except Rejected:
            return
        if complete:
            came = assembly.take(chunk.item, chunk.boundary)
            assembly.over(chunk.item)
            for piece, data in came.items():
                checks.never(
                    bytes(data) != tag(geometry, chunk.item, piece), f"the result of item {chunk.item} is wrong"
                )
            checks.never(not complete_result(geometry, came), f"the result of item {chunk.item} is not whole")
            self._whole.add(chunk.item)
            self._act(self.core.came(chunk.epoch, chunk.item, self.world.loop.now_s))

    def _act(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Tell():
                    if isinstance(action.message, wire.AnyPlan | wire.Reset | wire.Bye):
                        self._supplies.pop(action.worker, None)
                    self.world.net.send(self, action.worker, "control", wire.encode(action.message))
                case Supply():
                    self._supplies[action.worker] = action  # instead of whatever it was to get before
                    self._supply(action, list(action.digests), 0)
                case Lost():
                    self._note_lost(action)
                case Back():
                    self._note_back(action.worker)
                case Replan():
                    self._replan(action)
                case Begin():
                    self._begin(action)
                case Send():
                    self._scatter(action)
                case Deliver():
                    self._deliver(action.item)
                case GiveUp():
                    self.world.checks.never(True, f"gives up: {action.reason}")
                case Done() | Answered():
                    pass

    # workers ------------------------------------------------------------------------------------------------------

    def _note_lost(self, lost: Lost) -> None:
        checks, now_s = self.world.checks, self.world.loop.now_s
        checks.note(now_s, f"lost {lost.worker}: {lost.reason}")
        for words, what in (
            ("silent", "a worker lost by silence"),
            ("connection", "a worker lost by its connection"),
            ("anew", "a worker lost since it started anew"),
            ("computed", "a worker lost since it was stuck"),
            ("though it waits", "a worker lost since it was stuck"),
        ):
            if words in lost.reason:
                checks.sometimes(what)
        checks.never("chunk at" in lost.reason, f"{lost.worker} was sent weights that do not go on")
        self._losses_s.setdefault(lost.worker, []).append(now_s)
        self._has_lost = True
        if not self.session.membership.usable:
            checks.sometimes("all workers lost")
        if self.core.under_way and self.core.state == "WAITING":
            checks.sometimes("an item redone")

    def _note_back(self, worker: str) -> None:
        checks, now_s, beat = self.world.checks, self.world.loop.now_s, self.session.beats.get(worker)
        checks.never(beat is not None and beat.phase == "ending", f"{worker} is used while it computes what is over")
        losses_s = [s for s in self._losses_s.get(worker, []) if now_s - s < PAUSES.recent_s]
        if losses_s:
            pause_s = now_s - losses_s[-1]
            due_s = min(PAUSES.most_s, PAUSES.pause_s * 2.0 ** (len(losses_s) - 1))
            checks.sometimes("a worker back after its pause")
            checks.never(pause_s < due_s, f"{worker} is used again {pause_s:.2f} s after its loss {len(losses_s)}")
            if len(losses_s) > 1:
                checks.sometimes("a pause doubled")
        checks.note(now_s, f"{worker} can be used")

    def _supply(self, supply: Supply, digests: list[str], offset: int) -> None:
        """A chunk of weights after another."""
        worker = supply.worker
        if not digests or self._supplies.get(worker) is not supply:
            return
        payload = b"w" * (BLOB_BYTES // BLOB_CHUNKS)
        blob = wire.Blob(self.session.session, supply.epoch, digests[0], offset, BLOB_BYTES)
        if self.world.net.send(self, worker, "control", wire.encode(blob), payload):
            if not offset:
                self._count_again(worker, digests[0])
            offset += len(payload)
        rest = (digests, offset) if offset < BLOB_BYTES else (digests[1:], 0)
        self._later(self.world.supply_s, self._supply, supply, *rest)

    def _count_again(self, worker: str, digest: str) -> None:
        if (worker, digest) in self._begun:
            self.world.checks.sometimes("weights sent again after a cut")
        self._begun.add((worker, digest))

    # plans --------------------------------------------------------------------------------------------------------

    def _replan(self, action: Replan) -> None:
        rng, workers = self.world.rng, tuple(sorted(action.workers))
        self.world.checks.note(self.world.loop.now_s, f"plan for {' '.join(workers)}: {action.why}")
        if rng.random() < 0.5:  # something to go on with first
            self._later(PLAN_S * rng.random(), self._planned, workers, rng.randrange(PLANS), False)
        self._later(PLAN_S * (1 + 10 * rng.random()), self._planned, workers, rng.randrange(PLANS), True)

    def _planned(self, workers: tuple[str, ...], number: int, lasts: bool) -> None:
        geometry = geometry_of(self.world.model, workers, number)
        working = frozenset(name for d, name in enumerate(workers) if geometry.parts(d))
        proposal = Proposal(workers, working, ITEM_S, (workers, number), lasts)
        if not self.session.membership.usable.issuperset(workers):
            self.world.checks.sometimes("a plan dropped since a worker of it was lost")
        self._act(self.core.planned(proposal, self.world.loop.now_s))

    def _begin(self, action: Begin) -> None:
        if not self._has_lost:
            redone = sorted(self._sent.intersection(self.core.under_way))
            self.world.checks.never(bool(redone), f"items {redone} are redone though nobody was lost")
            drained = not self.core.under_way
            self.world.checks.sometimes(
                "a better plan after draining" if drained else "a better plan instead of one that waited for weights"
            )
        self._has_lost = False
        self._sent.clear()
        self._later(0.002, self._deploy, action)

    def _deploy(self, action: Begin) -> None:
        proposal = action.proposal
        if self.core.proposal is not proposal:
            self.world.checks.sometimes("an epoch ended while it was deployed")
            return
        workers, number = proposal.content
        geometry = geometry_of(self.world.model, workers, number)
        epoch, welcomes = self.session.epoch + 1, self.session.welcomes
        for name in workers:
            usable = name in self.session.membership.usable
            self.world.checks.never(not usable, f"{name} gets a plan though it cannot be used")
        peers = tuple(wire.Peer(name, f"{name}:1", welcomes[name].incarnation) for name in workers)
        messages = {
            name: wire.PlanMessage(
                self.session.session, epoch, d, PLAIN[self.world.model], self.world.digests,
                tuple(sorted(geometry.steps(d))), geometry.plan.to_json(), geometry.volumes, wire_types.FLOAT32, peers,
                self.world.in_flight, None, wire_types.UINT8, action.first,
            )
            for d, name in enumerate(workers)
        }  # fmt: skip
        self._geometry = geometry
        self._assembly = Assembly(geometry, REQUESTER, self.world.in_flight, action.first, CHUNK_BYTES)
        self.world.checks.note(
            self.world.loop.now_s, f"epoch {epoch} from item {action.first}: {workers} plan {number}"
        )
        self._act(self.core.deploy(messages, proposal, self.world.loop.now_s))

    # items --------------------------------------------------------------------------------------------------------

    def _feed(self) -> None:
        """Items come at their own pace."""
        if self.core.wants and self.journal.next + len(self.core.under_way) < self.world.items:
            self._act(self.core.submit(self.world.loop.now_s))
        self._later(self.world.pace_s * (0.5 + self.world.rng.random()), self._feed)

    def _scatter(self, action: Send) -> None:
        geometry = self._geometry
        assert geometry is not None
        self._sent.add(action.item)
        self.core.sending(action.epoch, action.item, self.world.loop.now_s)
        for (piece,) in geometry.scatter():
            name = geometry.plan.devices[piece.receiver]
            rows = tag(geometry, action.item, piece)
            for offset in range(0, len(rows), CHUNK_BYTES):
                part = rows[offset : offset + CHUNK_BYTES]
                chunk = wire.Chunk(
                    self.session.session, action.epoch, 0, action.item, piece.boundary, piece.tensor, piece.lo,
                    piece.hi, wire_types.UINT8, self.world.digests[0], offset, len(rows), len(rows), 0.0,
                )  # fmt: skip
                if not self.world.net.send(self, name, "data", wire.encode(chunk), part):
                    self._act(self.core.lose(name, "its connection for rows is not there", self.world.loop.now_s))
                    return

    def _deliver(self, item: int) -> None:
        self.world.checks.never(item not in self._whole, f"item {item} is delivered without its result")
        self.world.checks.note(self.world.loop.now_s, f"item {item} delivered")
        self.journal.append({})
        self.world.checks.deliver(item)

    # time ---------------------------------------------------------------------------------------------------------

    def go_on(self) -> None:
        self._awake_s = self.world.loop.now_s
        super().go_on()

    def links_changed(self) -> None:
        """A plan for links as they are is wanted."""
        self._act(self.core.changed("links have changed", self.world.loop.now_s))

    def _tick(self) -> None:
        now_s, lacks = self.world.loop.now_s, ""
        if self._assembly is not None and self._geometry is not None and self.core.under_way:
            index = next(self._assembly.lacking(self._assembly.oldest, self._geometry.last), None)
            lacks = "" if index is None else self._geometry.plan.devices[index]
        self._act(self.core.tick(now_s, lacks))
        self._note_held(now_s)
        self._check_silence(now_s)
        self._later(TICK_S, self._tick)

    def _note_held(self, now_s: float) -> None:
        for name, beat in self.session.beats.items():
            over = now_s - self._losses_s.get(name, [now_s])[-1] > PAUSES.most_s
            if beat.phase == "ending" and over and self.session.membership.state(name) == "PROBATION":
                self.world.checks.sometimes("a worker held back while it computed what was over")

    def _check_silence(self, now_s: float) -> None:
        """A worker that has been dead or stopped for longer than a lease is in use no more."""
        for name in self.session.membership.usable:
            gone_s = now_s - max(self._awake_s, self.world.silent_since_s(name))
            self.world.checks.never(gone_s > LEASE_S + 10 * TICK_S, f"{name} is in use {gone_s:.2f} s after its end")
            is_other = self._start_of(name) != self.world.incarnation(name)
            other_s = now_s - max(self._awake_s, self.world.started_s[name]) if is_other else 0.0
            self.world.checks.never(other_s > LATE_S + LEASE_S + 10 * TICK_S, f"an older start of {name} is in use")
