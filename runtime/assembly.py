"""Chunks become pieces: every byte that a boundary waits for, once; what is late or wrong is refused. No I/O here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..models.chain import head_name
from .geometry import REQUESTER, RESULT, Geometry, Piece
from .transport import CHUNK_BYTES, Buffer
from .wire import Chunk

Key = tuple[int, str, int]  # sender, tensor, first row


@dataclass
class _Growing:
    """A piece on its way: its bytes, and which chunks of them have come."""

    piece: Piece
    data: bytearray
    came: set[int] = field(default_factory=set)  # offsets
    left: int = 0


class Rejected(ValueError):
    """A chunk that belongs to nothing that is waited for; the text is for a log."""


class Inbox:
    """What one party waits for at one boundary of one item.

    Args:
        pieces: all of them.
        sizes: bytes of each.
        chunk_bytes: of every chunk but the last of a piece.

    Attributes:
        missing: pieces that are not complete.
    """

    def __init__(self, pieces: Iterable[Piece], sizes: Mapping[Piece, int], chunk_bytes: int = CHUNK_BYTES) -> None:
        self._chunk_bytes = chunk_bytes
        self._growing: dict[Key, _Growing] = {}
        for piece in pieces:
            size = sizes[piece]
            self._growing[piece.sender, piece.tensor, piece.lo] = _Growing(piece, bytearray(size), left=size)
        self.missing = len(self._growing)
        self.done: dict[Piece, bytearray] = {}

    @property
    def complete(self) -> bool:
        return self.missing == 0

    def lacking(self) -> Iterator[int]:
        """The senders of pieces that are not complete."""
        return (growing.piece.sender for growing in self._growing.values() if growing.left)

    def add(self, sender: int, chunk: Chunk, payload: Buffer) -> Piece | None:
        """Take a chunk in.

        Args:
            sender: who sent it, as the transport verified.

        Returns:
            The piece that is complete now, None where more of it is to come or nothing was new.

        Raises:
            Rejected: nobody waits for it, it is of another size than the plan says, or no chunk of it.
        """
        growing = self._growing.get((sender, chunk.tensor, chunk.lo))
        if growing is None:
            raise Rejected(f"nobody waits for {chunk.tensor!r} rows from {chunk.lo} at {chunk.boundary} from {sender}")
        if (chunk.hi, chunk.size) != (growing.piece.hi, len(growing.data)):
            raise Rejected(f"rows {chunk.lo}..{chunk.hi} of {chunk.size} bytes; due are {growing.piece}")
        if chunk.offset % self._chunk_bytes or len(payload) != min(self._chunk_bytes, chunk.size - chunk.offset):
            raise Rejected(f"{len(payload)} bytes at {chunk.offset} are no chunk of {chunk.size}")
        if chunk.offset in growing.came:
            return None  # again
        growing.data[chunk.offset : chunk.offset + len(payload)] = payload
        growing.came.add(chunk.offset)
        growing.left -= len(payload)
        if growing.left:
            return None
        self.missing -= 1
        self.done[growing.piece] = growing.data
        return growing.piece


class Assembly:
    """All boundaries of all items that one party waits for under one plan.

    Args:
        geometry: of the plan.
        receiver: the party.
        in_flight: items at once; chunks of further ones are rejected, so memory is bounded.
        first: the first item of all.
        chunk_bytes: of every chunk but the last of a piece.
    """

    def __init__(
        self, geometry: Geometry, receiver: int, in_flight: int, first: int = 0, chunk_bytes: int = CHUNK_BYTES
    ) -> None:
        self.in_flight, self._chunk_bytes = in_flight, chunk_bytes
        boundaries = (*geometry.boundaries, geometry.last)
        self._pieces = {b: found for b in boundaries if (found := geometry.inbox(receiver, b))}
        self._sizes = {p: geometry.piece_bytes(p) for pieces in self._pieces.values() for p in pieces}
        self._sent_bytes: Counter[int] = Counter()
        for piece, size in self._sizes.items():
            self._sent_bytes[piece.sender] += size
        self._inboxes: dict[tuple[int, int], Inbox] = {}
        self._first = first  # items below it are over
        self._ended: set[int] = set()  # and these behind it

    def most_bytes(self, sender: int) -> int:
        """Bytes that a party has reason to have under way at once: of one more item than the receiver knows of."""
        return (self.in_flight + 1) * self._sent_bytes[sender]

    @property
    def oldest(self) -> int:
        """The first item that is not over."""
        return self._first

    def waits_at(self, boundary: int) -> bool:
        """Whether anything comes in at a boundary."""
        return boundary in self._pieces

    def add(self, sender: int, chunk: Chunk, payload: Buffer) -> bool:
        """Take a chunk in; True where it made its boundary complete.

        Raises:
            Rejected: it belongs to nothing that is waited for.
        """
        if not self.under_way(chunk.item):
            raise Rejected(f"item {chunk.item} is not under way")
        if chunk.boundary not in self._pieces:
            raise Rejected(f"nothing comes in at boundary {chunk.boundary}")
        inbox = self._inbox(chunk.item, chunk.boundary)
        return inbox.add(sender, chunk, payload) is not None and inbox.complete

    def complete(self, item: int, boundary: int) -> bool:
        """Whether all that comes in at a boundary is there."""
        return not self.waits_at(boundary) or self._inbox(item, boundary).complete

    def lacking(self, item: int, boundary: int) -> Iterator[int]:
        """Who has not sent all that comes in at a boundary."""
        if self.waits_at(boundary):
            yield from self._inbox(item, boundary).lacking()

    def take(self, item: int, boundary: int) -> dict[Piece, bytearray]:
        """The pieces of a complete boundary; they are forgotten here."""
        if not self.waits_at(boundary):
            return {}
        inbox = self._inboxes[item, boundary]
        found, inbox.done = inbox.done, {}
        return found

    def under_way(self, item: int) -> bool:
        """Whether an item is one of those that may be worked on now."""
        return self._first <= item < self._first + self.in_flight and item not in self._ended

    def over(self, item: int) -> None:
        """An item is finished: what comes late for it belongs to nothing."""
        self._ended.add(item)
        while self._first in self._ended:
            self._ended.remove(self._first)
            self._first += 1
        for key in [key for key in self._inboxes if key[0] == item]:
            del self._inboxes[key]

    def _inbox(self, item: int, boundary: int) -> Inbox:
        if (item, boundary) not in self._inboxes:
            self._inboxes[item, boundary] = Inbox(self._pieces[boundary], self._sizes, self._chunk_bytes)
        return self._inboxes[item, boundary]


def outputs(geometry: Geometry, came: Mapping[Piece, bytearray], dtype: type) -> tuple[np.ndarray, ...]:
    """The network's output and its side heads, put together from their rows."""
    model = geometry.model
    heads = [] if model.tail else list(map(head_name, model.heads))
    found = []
    for tensor in (RESULT, *heads):
        pieces = sorted((p for p in came if p.tensor == tensor), key=lambda p: p.lo)
        shape = [geometry.shape(tensor, geometry.last, p.hi - p.lo) for p in pieces]
        rows = [
            np.frombuffer(came[p], dtype=dtype).reshape(s).astype(np.float32)
            for p, s in zip(pieces, shape, strict=True)
        ]
        whole = np.concatenate(rows, axis=2)
        found.append(whole.reshape(1, -1) if tensor == RESULT and geometry.host != REQUESTER else whole)
    return tuple(found)
