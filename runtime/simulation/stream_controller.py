"""A controller that has a stream of items done, and who wants that stream."""

from __future__ import annotations

import io
from typing import Any

from .. import wire, wire_types
from ..assembly import Assembly, Rejected
from ..geometry import REQUESTER, Geometry
from ..journal import Journal
from ..session_core import Answered, Back, Done, Lost
from ..stream_core import Begin, Deliver, GiveUp, Proposal, Replan, Send, StreamCore
from .controller import SimController
from .rows import PLAIN, PLANS, complete_result, geometry_of, tag
from .rows_worker import CHUNK_BYTES

PLAN_S = 0.02
ITEM_S = 0.03  # that an item takes, about
OVERDUE_S = 1.0  # that it may take at least


class StreamController(SimController):
    """One start of the controller.

    Args:
        file: its journal's, which outlives it.
    """

    core: StreamCore

    def __init__(self, world: Any, number: int, file: io.BytesIO) -> None:
        super().__init__(world, number)
        self.journal = Journal(file)
        self.core = StreamCore(self.session, world.in_flight, world.loop.now_s, self.journal.next, overdue_s=OVERDUE_S)
        self._geometry: Geometry | None = None
        self._assembly: Assembly | None = None
        self._whole: set[int] = set()  # items whose results are there
        self._sent: set[int] = set()  # items that were begun in this epoch
        self._has_lost = True  # since the last epoch began
        self._later(0.0, self._feed)

    def _needs(self, worker: str) -> bool:
        return self.core.proposal is not None and worker in self.core.proposal.working

    def _data(self, sender: str, data: wire.Data, payload: bytes) -> None:
        assert isinstance(data, wire.Chunk)
        self._result(sender, data, payload)

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

    def _do(self, action: Any) -> None:
        match action:
            case Lost():
                self._lost(action)
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
            case _:
                raise AssertionError(action)

    def _lost(self, lost: Lost) -> None:
        self._note_lost(lost)
        self._has_lost = True
        if self.core.under_way and self.core.state == "WAITING":
            self.world.checks.sometimes("an item redone")

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

    def links_changed(self) -> None:
        """A plan for links as they are is wanted."""
        self._act(self.core.changed("links have changed", self.world.loop.now_s))

    def _lacks(self) -> str:
        if self._assembly is None or self._geometry is None or not self.core.under_way:
            return ""
        index = next(self._assembly.lacking(self._assembly.oldest, self._geometry.last), None)
        return "" if index is None else self._geometry.plan.devices[index]
