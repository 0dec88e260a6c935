"""Packets on their way: numbered rows of bytes in parts, taken in the order in which they were sent. No I/O here.

A link that loses something has no way to say it again: the next part shows the gap, and the epoch is over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .assembly import Rejected
from .transport import CHUNK_BYTES, Buffer
from .wire_training_plan import Part


class Broken(Exception):
    """Something that a link carried was lost; the text is a reason."""


@dataclass(frozen=True)
class Sealed:
    """A packet as bytes, its envelope first."""

    data: Buffer
    envelope_bytes: int


def parts(
    packet: Sealed,
    session: str,
    epoch: int,
    incarnation: int,
    number: int,
    begun_s: float,
    chunk_bytes: int = CHUNK_BYTES,
) -> Iterator[tuple[Part, memoryview]]:
    """Headers, and the bytes beside them."""
    view, size = memoryview(packet.data), len(packet.data)
    for offset in range(0, size, chunk_bytes):
        part = Part(session, epoch, incarnation, number, offset, size, packet.envelope_bytes, begun_s)
        yield part, view[offset : offset + chunk_bytes]


class PacketLink:
    """What one sender sends in one epoch.

    Args:
        most_bytes: of a packet; nothing longer is kept room for.
        most_envelope_bytes: of its envelope.
        chunk_bytes: of every part but a packet's last.
    """

    def __init__(self, most_bytes: int, most_envelope_bytes: int, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._most_bytes, self._most_envelope_bytes, self._chunk_bytes = most_bytes, most_envelope_bytes, chunk_bytes
        self._number = 0  # of the packet that is coming in
        self._came = 0  # bytes of it
        self._data = bytearray()
        self._envelope_bytes = 0

    def add(self, part: Part, payload: Buffer) -> Sealed | None:
        """Take a part in.

        Returns:
            The packet that is whole now; None where more of it is to come.

        Raises:
            Rejected: it came before, or is no part of a packet that may be.
            Broken: something in front of it was lost.
        """
        if (part.number, part.offset) < (self._number, self._came):
            raise Rejected(f"packet {part.number} again")
        if part.size > self._most_bytes or not 0 < part.envelope_bytes <= min(part.size, self._most_envelope_bytes):
            raise Rejected(f"packet {part.number} of {part.envelope_bytes} and {part.size} bytes")
        if part.offset % self._chunk_bytes or len(payload) != min(self._chunk_bytes, part.size - part.offset):
            raise Rejected(f"{len(payload)} bytes at {part.offset} are no part of {part.size}")
        if (part.number, part.offset) > (self._number, self._came):
            raise Broken(f"packet {self._number} did not come whole, {part.number} is here")
        if not part.offset:
            self._data, self._envelope_bytes = bytearray(part.size), part.envelope_bytes
        elif (part.size, part.envelope_bytes) != (len(self._data), self._envelope_bytes):
            raise Rejected(f"packet {part.number} changes its size")
        self._data[part.offset : part.offset + len(payload)] = payload
        self._came += len(payload)
        if self._came < part.size:
            return None
        whole, self._data = Sealed(self._data, self._envelope_bytes), bytearray()
        self._number, self._came = self._number + 1, 0
        return whole
