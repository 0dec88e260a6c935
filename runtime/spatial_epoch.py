"""What a worker has of one spatial plan: parts that are computed as rows come in, and rows that leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..models.plans import SpatialPlan
from ..models.serial import model_from
from ..ui.errors import InputError
from . import wire
from .arrivals import Arrivals
from .blobs import BlobStore
from .epoch import End, Epoch, Incoming, JobFailed, Left, Outgoing
from .geometry import REQUESTER, Geometry
from .pacing import Receiver
from .spatial import Job, Send, Spatial
from .transport import CHUNK_BYTES

if TYPE_CHECKING:
    from .compute import Network


class SpatialEpoch(Epoch):
    """A device under a spatial plan.

    Args:
        plan: what it was told.
        spatial: its share of it.
        executor: computes.
        incarnation: of this start of the worker.
        controller: its name.
        results: where it takes rows.
    """

    def __init__(
        self,
        plan: wire.PlanMessage,
        spatial: Spatial,
        executor: Any,
        incarnation: int = 0,
        controller: str = "",
        results: str = "",
    ) -> None:
        peers = () if plan is None else (peer for i, peer in enumerate(plan.peers) if i != plan.device)
        super().__init__({**{peer.name: peer.address for peer in peers}, controller: results})
        self.plan: wire.PlanMessage = plan
        self.spatial, self.executor = spatial, executor
        self.incarnation, self.controller = incarnation, controller
        self.held_bytes: dict[int, int] = {}  # that emulated links hold back, by sender
        self._arrivals, self._clock = Arrivals(), Receiver()

    def index(self, name: str) -> int:
        """A party's number in the geometry."""
        return REQUESTER if name == self.controller else [peer.name for peer in self.plan.peers].index(name)

    def name(self, index: int) -> str:
        """The party of a number in the geometry."""
        return self.controller if index == REQUESTER else self.plan.peers[index].name

    def arrives_s(self, sender: str, data: wire.Data, size_bytes: int, came_s: float) -> float | None:
        index, pace = self.index(sender), self.plan.pace
        if not self.hold(index, size_bytes):
            return None
        if pace is None:
            return came_s
        byte_s = pace.scatter_byte_s if index == REQUESTER else pace.in_byte_s
        return self._clock.ready_s(byte_s, data.begun_s, size_bytes, came_s)

    def hold(self, sender: int, n_bytes: int) -> bool:
        """Have the emulated link hold so much back; False where that is more than the plan lets the sender send."""
        held = self.held_bytes.get(sender, 0) + n_bytes
        fits = held <= self.spatial.assembly.most_bytes(sender)
        if fits:
            self.held_bytes[sender] = held
        return fits

    def take(self, incoming: Incoming, now_s: float) -> bool:
        sender, chunk, size_bytes = self.index(incoming.sender), incoming.data, len(incoming.payload)
        assert isinstance(chunk, wire.Chunk)
        complete = self.spatial.add(sender, chunk, incoming.payload)
        rest_bytes, rest_s = self._arrivals.came(sender, chunk, size_bytes, incoming.ready_s)
        if chunk.offset + size_bytes == chunk.size:  # the last one of a piece
            span = wire.Span(
                "receive", chunk.begun_s, now_s, _label(sender), chunk.size, chunk.boundary, incoming.held_s,
                rest_bytes=rest_bytes, rest_s=rest_s,
            )  # fmt: skip
            self.span(chunk.item, span)
        return complete

    def freed(self, incoming: Incoming) -> None:
        """The emulated link holds something back no longer. By the thread that receives."""
        self.held_bytes[self.index(incoming.sender)] -= len(incoming.payload)

    def next_job(self) -> Job | None:
        return self.spatial.next_job()

    def do(
        self, job: Job, lock: AbstractContextManager[object], given_up: Callable[[], bool], joules: Callable[[], float]
    ) -> Sequence[Outgoing | End]:
        before = joules()
        try:
            begin_s, end_s, overrun_s = self.executor.run(job, given_up)
        except Exception as error:  # whatever torch or a GPU says
            raise JobFailed(f"volume {job.label} failed ({type(error).__name__}: {error})") from error
        used = joules() - before
        with lock:
            if given_up():
                return []  # finished into another plan: nobody waits for it
            self.span(job.item, wire.Span("compute", begin_s, end_s, job.label, joules=used))
            self.overrun_s[job.item] = self.overrun_s.get(job.item, 0.0) + overrun_s
            sends, ended = self.spatial.computed(job)
        leaves: list[Outgoing | End] = [
            Rows(self, send, tuple(self.executor.rows(job.item, piece) for piece in send.pieces)) for send in sends
        ]
        if ended:
            self.executor.over(job.item)
            leaves.append(End(self, job.item))
        return leaves

    def lacks(self) -> str:
        index = self.spatial.lacks()
        return "" if index is None else self.name(index)


@dataclass
class Rows(Outgoing):
    """Rows by piece."""

    epoch: SpatialEpoch
    send: Send
    rows: tuple[Any, ...]
    data: list[memoryview] = field(default_factory=list)

    @property
    def to(self) -> str:  # type: ignore[override]
        return self.epoch.name(self.send.receiver)

    @property
    def pace(self) -> tuple[float, float] | None:  # type: ignore[override]
        pace, receiver = self.epoch.plan.pace, self.send.receiver
        return None if pace is None else (pace.message_s[receiver], pace.byte_s[receiver])

    def encode(self) -> int:
        from .compute import to_bytes

        self.data = [to_bytes(rows, self.epoch.plan.dtype) for rows in self.rows]
        return sum(map(len, self.data))

    def chunks(self, begun_s: float) -> Iterator[tuple[bytes, memoryview]]:
        plan, total = self.epoch.plan, sum(map(len, self.data))
        for piece, payload in zip(self.send.pieces, self.data, strict=True):
            for offset in range(0, len(payload), CHUNK_BYTES):
                chunk = wire.Chunk(
                    plan.session, plan.epoch, self.epoch.incarnation, self.send.item, piece.boundary, piece.tensor,
                    piece.lo, piece.hi, plan.dtype, plan.weights[0], offset, len(payload), total, begun_s,
                )  # fmt: skip
                yield wire.encode(chunk), payload[offset : offset + CHUNK_BYTES]

    def left(self, left: Left) -> None:
        paced = self.pace
        wait_s = left.first_s - left.begun_s if paced is None else paced[0]
        copy_s = 0.0 if paced is not None else left.copied_s - left.begun_s
        span = wire.Span(
            "send", left.begun_s, left.ended_s, _label(self.send.receiver), left.size_bytes,
            self.send.pieces[0].boundary, wait_s - copy_s, copy_s,
        )  # fmt: skip
        self.epoch.span(self.send.item, span)


class SpatialBuilder:
    """Builds what a worker needs for spatial plans, one after another.

    Args:
        store: weights.
        backend: what runs parts, torch or tensorrt.
    """

    def __init__(self, store: BlobStore, backend: str) -> None:
        self._store, self._backend = store, backend
        self._network: Network | None = None  # the last plan's, whose weights the next one may use too

    def build(self, message: wire.PlanMessage, incarnation: int, controller: str, results: str) -> SpatialEpoch:
        """Everything of a plan.

        Raises:
            InputError: it makes no sense, or weights do not fit.
        """
        from .compute import Executor, Network  # torch, only where something is computed

        model = model_from(message.model)
        plan = SpatialPlan.from_json(message.plan, "plan").validate(model)
        fits = len(message.peers) == len(plan.devices) > message.device and len(message.weights) == len(model.steps)
        if not fits or not 0 < message.volumes <= len(plan.ranges) or not _paced(message, len(plan.devices)):
            raise InputError("plan: peers, device, weights, volumes or pace do not go with it")
        geometry = Geometry(model, plan, message.value_bytes, message.volumes)
        steps = geometry.steps(message.device)
        if self._network is None or not self._network.is_of(model, message.weights):
            self._network = Network(model, self._store, message.weights)
        torch_model = self._network.with_steps(steps)
        parts = None
        if self._backend == "tensorrt":
            from .engine_parts import EngineParts

            parts = EngineParts(torch_model, geometry.parts(message.device))
        executor = Executor(
            geometry, message.device, torch_model, message.dtype, message.pace, parts, message.image_dtype
        )
        spatial = Spatial(geometry, message.device, message.in_flight, message.first)
        return SpatialEpoch(message, spatial, executor, incarnation, controller, results)


def _label(index: int) -> str:
    """A party as the physics' events name it."""
    return "R" if index == REQUESTER else str(index)


def _paced(message: wire.PlanMessage, devices: int) -> bool:
    """Whether a plan's pace, if it has one, is about all its volumes and receivers."""
    pace = message.pace
    return pace is None or (len(pace.volume_s), len(pace.message_s), len(pace.byte_s)) == (
        max(len(pace.volume_s), message.volumes), devices + 1, devices + 1,
    )  # fmt: skip
