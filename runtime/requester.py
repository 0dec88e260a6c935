"""The requester of an epoch: it scatters items' rows to workers and puts the results together from theirs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from . import wire, wire_types
from .arrivals import Arrivals
from .assembly import Assembly, outputs
from .deployment import Deployment
from .geometry import REQUESTER, Piece
from .pacing import Receiver
from .patience import send_unless, wait
from .transport import CHUNK_BYTES, Dialer, PeerGone

SEND_TIMEOUT_S = 5.0
DTYPES = {wire_types.FLOAT32: np.float32, wire_types.FLOAT16: np.float16}


@dataclass(frozen=True)
class Item:
    """One item that went through.

    Attributes:
        index: in the stream.
        outputs: the network's output, then its side heads in order: (1, channels, rows, width), the tail's (1, values).
        begun_s, latency_s: when its first row left, and how long until its last one was back. Where only the first
            volumes are run nothing comes back: no outputs, and NaN.
        spans: what every worker did, and the requester's own under "".
        overrun_s: of all workers together; above 0 the item says nothing about emulated devices.
        joules: used so far by every worker whose board tells.
        epoch: in which it was done.
        attempts: how often it was begun.
    """

    index: int
    outputs: tuple[np.ndarray, ...]
    begun_s: float
    latency_s: float
    spans: Mapping[str, tuple[wire.Span, ...]]
    overrun_s: float
    joules: Mapping[str, float]
    epoch: int = 0
    attempts: int = 1


class Unreachable(Exception):
    """A worker cannot be reached for rows.

    Attributes:
        worker: which.
        why: in a few words.
    """

    def __init__(self, worker: str, why: str) -> None:
        super().__init__(f"{worker}: {why}")
        self.worker, self.why = worker, why


@dataclass
class _UnderWay:
    """An item whose result is not all there, or whose workers have not told what they did."""

    begun_s: float
    ended_s: float = 0.0
    came: dict[Piece, bytearray] = field(default_factory=dict)
    spans: dict[str, tuple[wire.Span, ...]] = field(default_factory=dict)
    own: list[wire.Span] = field(default_factory=list)
    overrun_s: float = 0.0
    joules: dict[str, float] = field(default_factory=dict)


class Requester:
    """One epoch's items, guarded by its caller's lock but for :meth:`scatter` and :meth:`held_s`.

    Args:
        session, epoch: of everything that leaves.
        deployment: what is carried out.
        dialers: connections for rows, by worker.
        first: the first item.
    """

    def __init__(
        self, session: str, epoch: int, deployment: Deployment, dialers: Mapping[str, Dialer], first: int = 0
    ) -> None:
        self.session, self.epoch, self.deployment, self._dialers = session, epoch, deployment, dialers
        self.geometry = deployment.geometry
        self._assembly = Assembly(self.geometry, REQUESTER, deployment.in_flight, first)
        pace = deployment.requester
        self._clock = None if pace is None else Receiver()
        self._arrivals = Arrivals()
        self._items: dict[int, _UnderWay] = {}
        self.next = first  # item that was not begun

    def offers(self, worker: str) -> tuple[str, ...]:
        """Digests of what a worker may ask for."""
        return self.deployment.weights

    def begin(self, item: int) -> None:
        """An item is about to be scattered."""
        self._items[item] = _UnderWay(time.monotonic())
        self.next = max(self.next, item + 1)

    def scatter(
        self, item: int, image: np.ndarray, given_up: Callable[[], bool] = lambda: False
    ) -> list[wire.Span] | None:
        """Send an image's rows to all who need them.

        Args:
            image: uint8, (channels, rows, width).
            given_up: asked while links are waited for.

        Returns:
            What to tell :meth:`scattered`; None where it was given up.

        Raises:
            Unreachable: a worker is.
        """
        pace, weights = self.deployment.requester, self.deployment.weights[0]
        dtype, messages = self.deployment.image_dtype, self.geometry.scatter()
        sent = [memoryview(_image_bytes(image[:, p.lo : p.hi], dtype)) for (p,) in messages]  # split beforehand
        free_s, spans = self._items[item].begun_s, list[wire.Span]()
        for (piece,), data in zip(messages, sent, strict=True):
            start_s = free_s if pace is not None else time.monotonic()
            first_s = start_s + (pace.message_s[piece.receiver] if pace else 0.0)
            byte_s = pace.byte_s[piece.receiver] if pace else 0.0
            worker = self.deployment.members[piece.receiver]
            for offset in range(0, len(data), CHUNK_BYTES):
                part = data[offset : offset + CHUNK_BYTES]
                if pace is not None:
                    wait(first_s + (offset + len(part)) * byte_s, given_up)
                chunk = wire.Chunk(
                    self.session, self.epoch, 0, item, piece.boundary, piece.tensor, piece.lo, piece.hi, dtype,
                    weights, offset, len(data), len(data), first_s,
                )  # fmt: skip
                if not self._send(worker, chunk, part, given_up):
                    return None
            free_s = first_s + len(data) * byte_s
            spans.append(wire.Span("scatter", start_s, max(free_s, time.monotonic()), str(piece.receiver), len(data)))
        return spans

    def _send(self, worker: str, chunk: wire.Chunk, part: memoryview, given_up: Callable[[], bool]) -> bool:
        try:
            return send_unless(self._dialers[worker], wire.encode(chunk), part, SEND_TIMEOUT_S, given_up)
        except PeerGone as error:
            raise Unreachable(worker, error.why) from None

    def scattered(self, item: int, spans: list[wire.Span]) -> None:
        """What scattering took."""
        if item in self._items:
            self._items[item].own += spans

    def held_s(self, worker: str, data: wire.Data, size: int) -> float:
        """For how long an emulated link holds a chunk back that comes now."""
        pace = self.deployment.requester
        if self._clock is None or pace is None:
            return 0.0
        byte_s, came_s = pace.in_byte_s[self.deployment.members.index(worker)], time.monotonic()
        return self._clock.ready_s(byte_s, data.begun_s, size, came_s) - came_s

    def take(self, worker: str, data: wire.Data, payload: memoryview, held_s: float) -> bool:
        """Take rows of a result in; whether it is complete now.

        Raises:
            Rejected: nobody waits for them.
        """
        assert isinstance(data, wire.Chunk)  # as the plan has it
        sender, chunk = self.deployment.members.index(worker), data
        complete = self._assembly.add(sender, chunk, payload)
        now_s, found = time.monotonic(), self._items.get(chunk.item)
        rest_bytes, rest_s = self._arrivals.came(sender, chunk, len(payload), now_s)
        if found is not None and chunk.offset + len(payload) == chunk.size:
            found.own.append(
                wire.Span(
                    "receive", chunk.begun_s, now_s, str(sender), chunk.size, chunk.boundary, held_s,
                    rest_bytes=rest_bytes, rest_s=rest_s,
                )
            )  # fmt: skip
        if not complete:
            return False
        if found is not None:
            found.came, found.ended_s = self._assembly.take(chunk.item, chunk.boundary), now_s
        self._assembly.over(chunk.item)
        return found is not None

    def told(self, worker: str, spans: wire.Spans) -> bool:
        """What a worker did for an item; whether it may be, since it is about what there is in the plan."""
        if not self._may_tell(spans.spans):
            return False
        found = self._items.get(spans.item)
        if found is None:
            return True
        found.spans[worker] = spans.spans
        found.overrun_s += spans.overrun_s
        if math.isfinite(spans.joules):
            found.joules[worker] = spans.joules
        return True

    def _may_tell(self, spans: tuple[wire.Span, ...]) -> bool:
        """Whether all that a worker tells is about volumes, devices and boundaries that there are."""
        volumes = {*map(str, range(self.geometry.volumes)), "tail"}
        others = {*map(str, range(self.geometry.devices)), "R"}
        ends = {"compute": volumes, "send": others, "receive": others}
        return all(s.label in ends.get(s.kind, ()) and s.boundary <= self.geometry.last for s in spans)

    @property
    def lacks(self) -> str:
        """The worker whose rows the oldest result waits for; empty for none."""
        index = next(self._assembly.lacking(self._assembly.oldest, self.geometry.last), None)
        return "" if index is None else self.deployment.members[index]

    def is_done(self, item: int) -> bool:
        """Whether an item's result is there, and all that workers tell of it."""
        found = self._items[item]
        came_back = found.ended_s > 0 or not self.geometry.is_whole
        return came_back and self.deployment.working <= set(found.spans)

    def pop(self, item: int) -> Item:
        """Hand an item out."""
        found = self._items.pop(item)
        whole, latency_s = (), math.nan
        if self.geometry.is_whole:
            whole = outputs(self.geometry, found.came, DTYPES[self.deployment.dtype])
            latency_s = found.ended_s - found.begun_s
        spans = {**found.spans, "": tuple(found.own)}
        return Item(item, whole, found.begun_s, latency_s, spans, found.overrun_s, found.joules, self.epoch)


def _image_bytes(rows: np.ndarray, dtype: int) -> bytes:
    """Rows of an image of bytes as they go over the wire."""
    if dtype == wire_types.UINT8:
        return rows.tobytes()
    return (rows * np.float32(wire_types.IMAGE_SCALE)).astype(DTYPES[dtype]).tobytes()
