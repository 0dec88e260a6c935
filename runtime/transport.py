"""What carries messages between machines, as the shells and the simulated network see it. No I/O here.

A message is a header (bytes, see :mod:`.wire`) and at most one payload (raw bytes). Whoever it comes from is named by
the transport, from what it has verified, never by the message.

A peer's connection tells ``up``, then its messages in order, then ``down``; nothing of it comes after that. Only the
newest connection of a name counts: where one replaces another, ``down`` and ``up`` come before its first message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Buffer = bytes | bytearray | memoryview

MOST_HEADER_BYTES = 64 * 1024
CHUNK_BYTES = 128 * 1024  # of tensors and weights
MOST_PAYLOAD_BYTES = CHUNK_BYTES  # of one message: what peers can have others keep is a multiple of it


class PeerGone(Exception):
    """A peer cannot be reached: it never answered, or it went away.

    Args:
        text: which peer and why.
        why: the reason alone.
    """

    def __init__(self, text: str, why: str = "") -> None:
        super().__init__(text)
        self.why = why


class PeerSlow(PeerGone):
    """A peer has taken nothing for so long, or is not connected yet: the message may be tried again."""


@dataclass(frozen=True)
class Event:
    """What a transport has to tell.

    Attributes:
        kind: a message, or that a peer's connection came up or went down.
        peer: the verified name.
        header, payload: of a message; the payload stays as it is for as long as it is kept.
    """

    kind: Literal["message", "up", "down"]
    peer: str
    header: bytes = b""
    payload: memoryview | None = None


class Listener(Protocol):
    """Where others send to; used by one thread."""

    @property
    def address(self) -> str:
        """``host:port`` as bound."""
        ...

    def poll(self, timeout_s: float) -> Sequence[Event]:
        """What has come in, waiting for at most so long for the first."""
        ...

    def reply(self, peer: str, header: bytes, payload: Buffer | None = None) -> None:
        """Send to a peer that is connected here, never waiting; the buffers are the caller's again.

        Raises:
            PeerGone: it is not connected, or does not take what it was sent before.
        """
        ...

    def close(self) -> None:
        """Close; what has not left yet is dropped."""
        ...


class Dialer(Protocol):
    """A connection to one peer, made anew whenever it ends; used by one thread."""

    def send(self, header: bytes, payload: Buffer | None = None, timeout_s: float = 5.0) -> None:
        """Hand a message over, waiting while the peer takes none; the buffers are the caller's again.

        Raises:
            PeerSlow: there was no connection, or the peer took nothing, for so long.
            PeerGone: the connection ended since the last call. What was handed over for it is dropped, never kept for
                a successor.
        """
        ...

    def poll(self, timeout_s: float) -> Sequence[Event]:
        """What the peer has replied, and whether the connection is up."""
        ...

    def attend(self) -> None:
        """See to the connection where there is nothing to say: one that never says who is there is ended."""
        ...

    def close(self) -> None:
        """Close; what has not left yet is dropped."""
        ...


class Network(Protocol):
    """How one party reaches others."""

    def dial(self, address: str, peer: str) -> Dialer:
        """Connect to a listener that proves to be ``peer``; returns at once, whether or not it is there."""
        ...

    def poll(self, dialers: Sequence[Dialer], timeout_s: float) -> Sequence[Event]:
        """What any of these peers has replied, waiting for at most so long for the first."""
        ...


def check_bounds(header: bytes, payload: Buffer | None) -> None:
    """What may be sent.

    Raises:
        ValueError: an empty header, or one or a payload that is too long: a mistake of the caller's.
    """
    n_bytes = 0 if payload is None else memoryview(payload).nbytes
    if not (0 < len(header) <= MOST_HEADER_BYTES and n_bytes <= MOST_PAYLOAD_BYTES):
        raise ValueError(f"a header of {len(header)} and a payload of {n_bytes} bytes cannot be sent")
