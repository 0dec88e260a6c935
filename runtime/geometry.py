"""Which rows cross between whom, from a spatial plan and the row algebra of its model. No I/O here.

A *boundary* lies in front of a unit, or behind the last one: what a part of the volume that begins there reads. Rows
are named by boundary and tensor, never by a volume's number, so that rows of one plan cannot be taken for another's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..models.chain import HEAD, MAIN, head_name
from ..models.model import Model, ValueBytes
from ..models.plans import SpatialPlan

REQUESTER = -1  # whoever has the image and wants the result, beside the devices 0..D-1
RESULT = "result"  # what comes back: the tail's output, or rows of the last map

Rows = tuple[int, int]


@dataclass(frozen=True)
class Piece:
    """Rows ``[lo, hi)`` of one tensor at a boundary, that one party has and another needs.

    Attributes:
        sender, receiver: devices, or REQUESTER.
        boundary: the unit in front of which the rows are read; the number of units for what is gathered at the end.
        tensor: MAIN, a saved tensor's name, RESULT or a head.
    """

    sender: int
    receiver: int
    boundary: int
    tensor: str
    lo: int
    hi: int


@dataclass(frozen=True)
class Part:
    """What one device does in one volume: output rows ``[a, b)`` of units ``[start, stop)``."""

    volume: int
    start: int
    stop: int
    a: int
    b: int


class Geometry:
    """Everything that crosses under a plan.

    Args:
        model: the network.
        plan: validated against it.
        value_bytes: of activations and of the image on the wire.
        volumes: how many of the plan's are run; where it is not all of them, rows stay where they are in the end.

    Attributes:
        host: the device that gathers the last map and runs the tail; REQUESTER where there is no tail.
        last: the boundary behind the last unit.
    """

    def __init__(self, model: Model, plan: SpatialPlan, value_bytes: ValueBytes, volumes: int | None = None) -> None:
        self.model, self.plan, self.value_bytes = model, plan, value_bytes
        self.devices = len(plan.devices)
        self.last = len(model.units)
        self.ranges = plan.ranges
        heights = [model.out_shape(stop - 1).height for _, stop in self.ranges]
        self._posts = [(0, *split, height) for split, height in zip(plan.splits, heights, strict=True)]
        rows = np.diff(self._posts[-1])
        self.volumes = len(self.ranges) if volumes is None else volumes
        self.is_whole = self.volumes == len(self.ranges)
        self._bytes: dict[Piece, int] = {}
        self.host = int(rows.argmax()) if model.tail and self.is_whole else REQUESTER

    @cached_property
    def boundaries(self) -> tuple[int, ...]:
        """Where volumes begin, in order."""
        return tuple(start for start, _ in self.ranges)

    def part(self, volume: int, device: int) -> Part | None:
        """A device's part of a volume; None where it has none."""
        a, b = self._posts[volume][device : device + 2]
        start, stop = self.ranges[volume]
        return Part(volume, start, stop, a, b) if a < b else None

    def parts(self, device: int) -> list[Part]:
        """All parts of a device, in order."""
        return [p for v in range(self.volumes) if (p := self.part(v, device)) is not None]

    def steps(self, device: int) -> set[int]:
        """The steps of the model (units, then layers of the tail) whose weights a device needs."""
        units = {u for part in self.parts(device) for u in range(part.start, part.stop)}
        return units | set(range(self.last, len(self.model.steps))) if self.host == device else units

    def needs(self, volume: int, device: int) -> dict[str, Rows]:
        """Rows of every tensor that a device's part of a volume reads; empty where it has none."""
        part = self.part(volume, device)
        if part is None:
            return {}
        rows = self.model.volume(part.start, part.stop)
        return {
            name: (int(rows.need_lo[t, part.a]), max(int(rows.need_lo[t, part.a]), int(rows.need_hi[t, part.b])))
            for t, name in enumerate(rows.needs)
        }

    def holds(self, volume: int, device: int) -> dict[str, Rows]:
        """Rows of every tensor behind a volume that a device owns; empty where it has no part."""
        part = self.part(volume, device)
        if part is None:
            return {}
        rows = self.model.volume(part.start, part.stop)
        return {
            name: (int(rows.hold_post[t, part.a]), int(rows.hold_post[t, part.b])) for t, name in enumerate(rows.holds)
        }

    def scatter(self) -> list[list[Piece]]:
        """The image rows that the requester sends, a message a device, in order."""
        messages = []
        for device in range(self.devices):
            rows = self.needs(0, device).get(MAIN, (0, 0))
            if rows[0] < rows[1]:
                messages.append([Piece(REQUESTER, device, 0, MAIN, *rows)])
        return messages

    def exchange(self, volume: int, sender: int) -> list[list[Piece]]:
        """What a device sends in front of a volume (1, 2, ...), its own part done: a message a receiver, in order."""
        if volume >= self.volumes:
            return []
        owned, boundary = self.holds(volume - 1, sender), self.ranges[volume][0]
        messages = []
        for receiver in range(self.devices):
            if receiver == sender:
                continue
            pieces = []
            for name, (lo, hi) in self.needs(volume, receiver).items():
                own_lo, own_hi = owned.get(name, (0, 0))
                lo, hi = max(lo, own_lo), min(hi, own_hi)
                if lo < hi:
                    pieces.append(Piece(sender, receiver, boundary, name, lo, hi))
            if pieces:
                messages.append(pieces)
        return messages

    def gather(self, sender: int) -> list[Piece]:
        """What a device sends in the end: rows of the last map and of side heads, to the host or the requester."""
        if sender == self.host or not self.is_whole:
            return []
        rows = self.holds(len(self.ranges) - 1, sender).get(MAIN, (0, 0))
        name = MAIN if self.host != REQUESTER else RESULT
        pieces = [Piece(sender, self.host, self.last, name, *rows)] if rows[0] < rows[1] else []
        return pieces + self.head_pieces(sender)

    def head_pieces(self, sender: int) -> list[Piece]:
        """Rows of the side heads that a device makes on the way."""
        pieces = []
        for part in self.parts(sender):
            rows = self.model.volume(part.start, part.stop)
            for h, unit in enumerate(rows.heads):
                lo, hi = int(rows.head_post[h, part.a]), int(rows.head_post[h, part.b])
                if lo < hi:
                    pieces.append(Piece(sender, self.host, self.last, head_name(unit), lo, hi))
        return pieces

    def result(self) -> list[Piece]:
        """What the host sends when the tail is done; empty where devices return their own rows."""
        return [Piece(self.host, REQUESTER, self.last, RESULT, 0, 1)] if self.host != REQUESTER else []

    def inbox(self, receiver: int, boundary: int) -> list[Piece]:
        """Every piece that a party waits for at a boundary; what it owns itself is not among them."""
        return [piece for message in self._messages_to(receiver, boundary) for piece in message]

    def _messages_to(self, receiver: int, boundary: int) -> Iterator[list[Piece]]:
        if boundary == self.last:
            found = [self.gather(sender) for sender in range(self.devices)]
            if receiver == REQUESTER:
                found.append(self.result())
        elif boundary == 0:
            found = self.scatter()
        else:
            volume = self.boundaries.index(boundary)
            found = [m for sender in range(self.devices) for m in self.exchange(volume, sender)]
        yield from (m for m in found if m and m[0].receiver == receiver)

    def shape(self, tensor: str, boundary: int, rows: int) -> tuple[int, ...]:
        """(1, channels, rows, width) of so many rows; the tail's output is whole, with all its values as one row."""
        if tensor == RESULT and self.host != REQUESTER:
            return (1, 1, rows, self.model.kernels[-1].out_shape.elements)
        if tensor.startswith(HEAD):
            shape = self.model.head_shape(int(tensor[len(HEAD) :]))
        else:
            shape = self.model.tensor_shape(MAIN if tensor == RESULT else tensor, boundary)
        return (1, shape.folded_channels, rows, shape.width)

    def piece_bytes(self, piece: Piece) -> int:
        """Bytes of a piece on the wire."""
        if piece not in self._bytes:
            value_bytes = self.value_bytes.activation if piece.boundary else self.value_bytes.image
            shape = self.shape(piece.tensor, piece.boundary, piece.hi - piece.lo)
            self._bytes[piece] = math.prod(shape) * value_bytes
        return self._bytes[piece]

    def moved_bytes(self, device: int) -> int:
        """Bytes of an item that a device holds at most at once in messages that come in: what bounds its memory."""
        return sum(self.piece_bytes(p) for b in (*self.boundaries, self.last) for p in self.inbox(device, b))
