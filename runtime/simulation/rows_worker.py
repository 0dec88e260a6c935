"""A worker that computes rows: the real :class:`..spatial.Spatial`, and what its rows say of themselves."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache

from ...models.plans import SpatialPlan
from .. import wire
from ..assembly import Rejected
from ..geometry import REQUESTER, Geometry
from ..spatial import Job, Send, Spatial
from .rows import MODELS, VALUES, lacking, tag
from .worker import SimWorker

COMPUTE_S = 0.004
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


class RowsWorker(SimWorker):
    """One start of a worker under spatial plans."""

    _epoch: _Epoch | None

    def _data(self, sender: str, data: wire.Data, payload: bytes) -> None:
        assert isinstance(data, wire.Chunk)
        self._rows(sender, data, payload)

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

    def _built(self, plan: wire.AnyPlan) -> None:
        assert isinstance(plan, wire.PlanMessage)
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
                if not self._sent(plan.epoch, name, wire.encode(chunk), part):
                    return False
        return True

    def _names(self, epoch: _Epoch) -> tuple[str, ...]:
        return tuple(peer.name for peer in epoch.plan.peers)

    def _lacks(self) -> str:
        epoch = self._epoch
        index = epoch.spatial.lacks() if epoch is not None else None
        if epoch is None or index is None:
            return ""
        return self.core.controller if index == REQUESTER else self._names(epoch)[index]
