"""One device's share of a stream of images under a spatial plan: what it may compute now, what it sends. No I/O here.

As in the physics a device computes one part at a time, in the order of items and volumes, as soon as all rows that
the part reads are there; its messages leave one after another in receiver order. What is computed, and how bytes leave
the machine, is the shell's.
"""

from __future__ import annotations

from dataclasses import dataclass

from .assembly import Assembly
from .geometry import Geometry, Part, Piece
from .transport import CHUNK_BYTES, Buffer
from .wire import Chunk


@dataclass(frozen=True)
class Job:
    """Something to compute.

    Attributes:
        part: of a volume; None for the tail.
        came: the pieces that came in for it, with their bytes.
    """

    item: int
    part: Part | None
    came: dict[Piece, bytearray]

    @property
    def label(self) -> str:
        """As the physics' events name it."""
        return "tail" if self.part is None else str(self.part.volume)


@dataclass(frozen=True)
class Send:
    """A message of rows to send: all pieces have one receiver."""

    item: int
    receiver: int
    pieces: tuple[Piece, ...]


@dataclass
class _Item:
    """Where an item stands on this device: parts done, and whether the tail is."""

    parts: int = 0


class Spatial:
    """A device under a plan.

    Args:
        geometry: of the plan.
        device: which of its devices this is.
        in_flight: items that may be under way at once.
        first: the first item of all.
        chunk_bytes: of every chunk but the last of a piece.
    """

    def __init__(
        self, geometry: Geometry, device: int, in_flight: int, first: int = 0, chunk_bytes: int = CHUNK_BYTES
    ) -> None:
        self.geometry, self.device = geometry, device
        self.assembly = Assembly(geometry, device, in_flight, first, chunk_bytes)
        self._parts = geometry.parts(device)
        self._items: dict[int, _Item] = {}
        self._running = False
        self._is_host = geometry.host == device

    def add(self, sender: int, chunk: Chunk, payload: Buffer) -> bool:
        """Take a chunk in; whether there may be something to compute now.

        Raises:
            Rejected: it belongs to nothing that is waited for.
        """
        complete = self.assembly.add(sender, chunk, payload)
        self._items.setdefault(chunk.item, _Item())
        return complete

    def next_job(self) -> Job | None:
        """The first thing that can be computed, if nothing is; it counts as running until :meth:`computed`."""
        if self._running:
            return None
        for item in sorted(self._items):
            due = self._due(item)
            if due is not None:
                part, boundary = due
                self._running = True
                return Job(item, part, self.assembly.take(item, boundary))
        return None

    def lacks(self) -> int | None:
        """Whose rows the oldest item that is not over waits for; None where it waits for none."""
        if self._running:
            return None
        item = self.assembly.oldest
        found = self._next(item)
        return None if found is None else next(self.assembly.lacking(item, found[1]), None)

    def _due(self, item: int) -> tuple[Part | None, int] | None:
        """What an item can do next here (a part, None for the tail) and its boundary; None while rows are missing."""
        found = self._next(item)
        return found if found is not None and self.assembly.complete(item, found[1]) else None

    def _next(self, item: int) -> tuple[Part | None, int] | None:
        """What an item does next here and the boundary whose rows it reads; None where it is done."""
        at = self._items.get(item, _Item()).parts
        part = self._parts[at] if at < len(self._parts) else None
        if part is None and not self._is_host:
            return None
        return part, self.geometry.last if part is None else part.start

    def computed(self, job: Job) -> tuple[list[Send], bool]:
        """A job is done: the messages that may leave now, in order, and whether that ends the item here."""
        self._running = False
        sends: list[list[Piece]] = []
        if job.part is None:
            sends = [self.geometry.result()]
            ends = True
        else:
            self._items[job.item].parts += 1
            if job.part.volume < self.geometry.volumes - 1:
                sends = self.geometry.exchange(job.part.volume + 1, self.device)
            done = self._items[job.item].parts == len(self._parts)
            ends = done and not self._is_host
            if done:
                sends = [*sends, self.geometry.gather(self.device)]
        if ends:
            del self._items[job.item]
            self.assembly.over(job.item)
        return [Send(job.item, pieces[0].receiver, tuple(pieces)) for pieces in sends if pieces], ends
