"""A worker's shell on the virtual network: the threads of :mod:`..worker` become events; the cores are the same."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ...models.plans import SpatialPlan
from ...ui.errors import InputError
from .. import wire
from ..assembly import Rejected
from ..geometry import REQUESTER, Geometry
from ..spatial import Job, Send, Spatial
from ..worker_core import Action, Build, Drop, Reply, Store, WorkerCore
from .disk import Disk
from .network import Channel
from .rows import MODELS, VALUES, lacking, tag
from .start import Start

TICK_S = 0.05
TURN_S = 0.02  # that the control thread may take until it does what others had decided
BUILD_S, COMPUTE_S = 0.01, 0.004
LEASE_S = 1.5  # of a controller
CHUNK_BYTES = 96  # so that most messages are several chunks


@cache
def _geometry(plan: str) -> Geometry:
    found = SpatialPlan.from_json(json.loads(plan), "plan")
    model = next(m for m in MODELS if m.name == found.model)
    return Geometry(model, found.validate(model), VALUES)


@dataclass
class _Epoch:
    """Everything of one plan here."""

    plan: wire.PlanMessage
    geometry: Geometry
    spatial: Spatial
    volumes: dict[int, int] = field(default_factory=dict)  # item -> the last volume whose part was computed


class SimWorker(Start):
    """One start of a worker.

    Args:
        world: the :class:`.world.World` that it lives in.
        name: of its machine.
        incarnation: of this start.
        disk: of its machine.
    """

    def __init__(self, world: Any, name: str, incarnation: int, disk: Disk) -> None:
        super().__init__(world, name)
        self.disk, self.stuck = disk, False
        disk.restarted()
        self.core = WorkerCore(name, incarnation, "simulated", "simulated", 1, disk.has, lease_s=LEASE_S)
        self._epoch: _Epoch | None = None
        self._plan: wire.PlanMessage | None = None  # whose parts are to be built
        self._decided: deque[tuple[Action, bytes]] = deque()  # to be done by the control thread, in order
        self._written_s = 0.0  # when all that was to be written is on the disk
        self._ended: set[str] = set()  # connections for rows that broke since they were last used
        self._heard_s = world.loop.now_s  # of the controller
        world.loop.after(world.rng.random() * TICK_S, self._tick)

    # what comes in ------------------------------------------------------------------------------------------------

    def message(self, channel: Channel, sender: str, header: bytes, payload: bytes | None) -> None:
        if channel == "control":
            role = "controller" if sender == self.world.controller_name else "worker"
            message = wire.decode_control(header)
            self._decide(self.core.control(sender, role, message, self.world.loop.now_s), payload or b"")
            self._act()
            if sender == self.core.controller and getattr(message, "session", self.core.session) == self.core.session:
                self._heard_s = self.world.loop.now_s
        else:
            chunk = wire.decode_chunk(header, len(payload or b""))
            assert isinstance(chunk, wire.Chunk)
            self._rows(sender, chunk, payload or b"")

    def down(self, channel: Channel, peer: str) -> None:
        if channel == "data":
            self._ended.add(peer)

    def _rows(self, sender: str, chunk: wire.Chunk, payload: bytes) -> None:
        checks, epoch = self.world.checks, self._epoch
        if epoch is None or not self.core.accepts(sender, chunk):
            self._refused(sender, chunk)
            return
        checks.never(chunk.session != self.core.session, f"{self.name} takes rows of another session")
        checks.never(chunk.epoch != epoch.plan.epoch, f"{self.name} takes rows of epoch {chunk.epoch} into another")
        if sender != self.core.controller:
            peer = next(p for p in epoch.plan.peers if p.name == sender)
            checks.never(peer.incarnation != chunk.incarnation, f"{self.name} takes rows of an older start of {sender}")
        try:
            index = REQUESTER if sender == self.core.controller else self._names(epoch).index(sender)
            epoch.spatial.add(index, chunk, payload)
        except Rejected:
            return
        oldest, window = epoch.spatial.assembly.oldest, epoch.plan.in_flight
        checks.never(not oldest <= chunk.item < oldest + window, f"{self.name} holds more than {window} items")
        self._work()

    def _refused(self, sender: str, chunk: wire.Chunk) -> None:
        checks = self.world.checks
        if chunk.session != self.core.session:
            checks.sometimes("rows of another session refused")
            return
        if chunk.epoch < self.core.epoch:
            checks.sometimes("rows of an older epoch refused")

    # what is done -------------------------------------------------------------------------------------------------

    def _decide(self, actions: list[Action], payload: bytes = b"") -> None:
        self._decided.extend((action, payload) for action in actions)

    def _report(self, actions: list[Action]) -> None:
        """What threads other than control have the core decide."""
        self._decide(actions)
        self._later(TURN_S * self.world.rng.random(), self._act)

    def _act(self) -> None:
        while self._decided:
            action, payload = self._decided.popleft()
            match action:
                case Reply():
                    if isinstance(action.message, wire.Want):
                        again = any(map(self.disk.has, action.message.digests))
                        self.world.checks.never(again, f"{self.name} wants weights that it has")
                    self.world.net.send(self, action.peer, "control", wire.encode(action.message))
                case Store():
                    now_s = self.world.loop.now_s
                    self._written_s = max(self._written_s, now_s) + self.disk.slow_s
                    self._later(self._written_s - now_s, self._store, action, payload)
                case Build(plan=wire.PlanMessage() as plan):
                    self._plan = plan
                    self._work()
                case Drop():
                    self._epoch = self._plan = None
                case _:
                    raise AssertionError(action)

    def _store(self, action: Store, payload: bytes) -> None:
        now_s, blob = self.world.loop.now_s, action.blob
        try:
            whole = self.disk.add(blob.digest, blob.offset, blob.size, payload)
        except InputError as error:
            if self.disk.full:
                self.world.checks.sometimes("a worker failed by a full disk")
            self._report(self.core.failed(blob.epoch, str(error), now_s))
            return
        if whole:
            self._report(self.core.stored(blob.digest, now_s))

    def _work(self) -> None:
        """The compute thread takes what is next, if it is free."""
        if self.core.busy:
            return
        plan, self._plan = self._plan, None
        if plan is None:
            self._compute()
        elif self.core.builds(plan, self.world.loop.now_s):
            self._begin(BUILD_S * (1 + self.world.rng.random()), self._built, plan)

    def _begin(self, takes_s: float, ended: Callable[..., None], *args: object) -> None:
        """Something that is computed; where the worker is stuck it never ends."""
        self.core.busy = True
        if not self.stuck:
            self._later(takes_s, self._over, ended, args)

    def _over(self, ended: Callable[..., None], args: tuple[object, ...]) -> None:
        self.core.busy = False
        ended(*args)
        self._work()

    def _built(self, plan: wire.PlanMessage) -> None:
        if self.core.plan is not plan:
            return
        if not all(self.disk.has(plan.weights[step]) for step in plan.steps):  # lost again since
            self._report(self.core.failed(plan.epoch, "weights are gone", self.world.loop.now_s))
            return
        geometry = _geometry(json.dumps(plan.plan))
        self._epoch = _Epoch(plan, geometry, Spatial(geometry, plan.device, plan.in_flight, plan.first, CHUNK_BYTES))
        self._report(self.core.built(plan.epoch, self.world.loop.now_s))

    def _compute(self) -> None:
        epoch = self._epoch
        if epoch is None or self.core.state != "READY":
            return
        job = epoch.spatial.next_job()
        if job is None:
            return
        self._check(epoch, job)
        self.core.phase("compute", job.item, self.world.loop.now_s)
        self._begin(COMPUTE_S * (0.5 + self.world.rng.random()), self._computed, epoch, job)

    def _check(self, epoch: _Epoch, job: Job) -> None:
        """What a part reads is all there, and is what it says it is."""
        never, geometry = self.world.checks.never, epoch.geometry
        for piece, data in job.came.items():
            is_right = bytes(data) == tag(geometry, job.item, piece)
            never(not is_right, f"{self.name} computes item {job.item} from wrong rows")
        if job.part is not None:
            has = epoch.volumes.get(job.item, -1) == job.part.volume - 1
            missing = lacking(geometry, job.part.volume, epoch.plan.device, has, job.came)
            never(bool(missing), f"{self.name} computes item {job.item} without all rows of {missing}")

    def _computed(self, epoch: _Epoch, job: Job) -> None:
        if self._epoch is not epoch:
            self.world.checks.sometimes("work ended into another epoch")
            return
        if job.part is not None:
            epoch.volumes[job.item] = job.part.volume
        self.core.phase("waiting", 0, self.world.loop.now_s)
        sends, ended = epoch.spatial.computed(job)
        for send in sends:
            if not self._send(epoch, send):
                return
        if ended:
            self._report(self.core.spans(wire.Spans(epoch.plan.session, epoch.plan.epoch, job.item, ())))

    def _send(self, epoch: _Epoch, send: Send) -> bool:
        plan = epoch.plan
        self.world.checks.never(plan.epoch != self.core.epoch, f"{self.name} sends rows of an epoch that is over")
        name = self.core.controller if send.receiver == REQUESTER else self._names(epoch)[send.receiver]
        data = [(piece, tag(epoch.geometry, send.item, piece)) for piece in send.pieces]
        total = sum(len(rows) for _, rows in data)
        for piece, rows in data:
            for offset in range(0, len(rows), CHUNK_BYTES):
                part = rows[offset : offset + CHUNK_BYTES]
                chunk = wire.Chunk(
                    self.core.session, plan.epoch, self.core.incarnation, send.item, piece.boundary, piece.tensor,
                    piece.lo, piece.hi, plan.dtype, plan.weights[0], offset, len(rows), total, 0.0,
                )  # fmt: skip
                is_there = self.world.net.send(self, name, "data", wire.encode(chunk), part)
                if name in self._ended or not is_there:
                    self._ended.discard(name)
                    self._report(self.core.failed(plan.epoch, "is gone", self.world.loop.now_s, name))
                    return False
        return True

    def _names(self, epoch: _Epoch) -> tuple[str, ...]:
        return tuple(peer.name for peer in epoch.plan.peers)

    # time ---------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        now_s = self.world.loop.now_s
        was = self.core.state
        self._decide(self.core.tick(now_s, self._lacks))
        self._act()
        forgotten = self.core.doing == "queued" and self._plan is not self.core.plan
        self.world.checks.never(forgotten, f"{self.name} waits for parts that nobody builds")
        if was != "FREE" and self.core.state == "FREE":
            self.world.checks.sometimes("a worker freed by a silent controller")
        late = self.core.state != "FREE" and now_s - self._heard_s > LEASE_S + 10 * TICK_S
        self.world.checks.never(late, f"{self.name} serves a controller that has been silent")
        self._later(TICK_S, self._tick)

    def _lacks(self) -> str:
        epoch = self._epoch
        index = epoch.spatial.lacks() if epoch is not None else None
        if epoch is None or index is None:
            return ""
        return self.core.controller if index == REQUESTER else self._names(epoch)[index]
