"""What a worker has of one plan, and what waits for its threads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from . import wire
from .arrivals import Arrivals
from .geometry import REQUESTER
from .spatial import Send, Spatial


@dataclass
class Epoch:
    """Everything of one plan on this device; replaced whole, so that nothing of two plans ever mixes."""

    plan: wire.PlanMessage
    spatial: Spatial
    executor: Any
    controller: str
    results: str
    spans: dict[int, list[wire.Span]] = field(default_factory=dict)
    overrun_s: dict[int, float] = field(default_factory=dict)
    held_bytes: dict[int, int] = field(default_factory=dict)  # that emulated links hold back, by sender
    arrivals: Arrivals = field(default_factory=Arrivals)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the plan's devices."""
        return tuple(peer.name for peer in self.plan.peers)

    def index(self, name: str) -> int:
        """A party's number in the geometry."""
        return REQUESTER if name == self.controller else self.names.index(name)

    def hold(self, sender: int, n_bytes: int) -> bool:
        """Have the emulated link hold so much back; False where that is more than the plan lets the sender send."""
        held = self.held_bytes.get(sender, 0) + n_bytes
        fits = held <= self.spatial.assembly.most_bytes(sender)
        if fits:
            self.held_bytes[sender] = held
        return fits

    def name(self, index: int) -> str:
        """The party of a number in the geometry."""
        return self.controller if index == REQUESTER else self.names[index]

    def span(self, item: int, span: wire.Span) -> None:
        self.spans.setdefault(item, []).append(span)

    def received(self, incoming: Incoming, now_s: float) -> None:
        """Note a chunk that was taken in: the last one of a piece makes a span."""
        sender, chunk, size_bytes = incoming.sender, incoming.chunk, len(incoming.payload)
        rest_bytes, rest_s = self.arrivals.came(sender, chunk, size_bytes, incoming.ready_s)
        if chunk.offset + size_bytes == chunk.size:
            label = "R" if sender == REQUESTER else str(sender)
            span = wire.Span(
                "receive", chunk.begun_s, now_s, label, chunk.size, chunk.boundary, incoming.held_s,
                rest_bytes=rest_bytes, rest_s=rest_s,
            )  # fmt: skip
            self.span(chunk.item, span)


@dataclass(frozen=True)
class Incoming:
    """A chunk that an emulated link lets through at a moment, after holding it for so long."""

    ready_s: float
    held_s: float
    epoch: Epoch
    sender: int
    chunk: wire.Chunk
    payload: memoryview


@dataclass(frozen=True)
class Outgoing:
    """A message for the send thread: rows by piece; no message but the end of an item where ``send`` is None."""

    epoch: Epoch
    item: int
    send: Send | None
    rows: tuple[Any, ...] = ()


def paced(message: wire.PlanMessage, devices: int) -> bool:
    """Whether a plan's pace, if it has one, is about all its volumes and receivers."""
    pace = message.pace
    return pace is None or (len(pace.volume_s), len(pace.message_s), len(pace.byte_s)) == (
        max(len(pace.volume_s), message.volumes), devices + 1, devices + 1,
    )  # fmt: skip
