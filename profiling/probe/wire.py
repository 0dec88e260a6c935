"""Frames of the network probe: what its two ends say to each other over TCP, with a bound on everything.

A frame is a header (magic, version, kind, payload length) and a payload. A frame of an unexpected kind, or longer than
its kind may be, ends the talk before any of its payload is read.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from functools import cache
from typing import Any

from ...ui.errors import InputError
from ..link_file import check_text

MAGIC, VERSION = b"SGLP", 1
HEADER = struct.Struct("!4sBBI")

HELLO_S = 5.0  # to connect, and to say hello
IDLE_S = 30.0  # without a byte; a server that measures its copies is silent for a while
SESSION_S = 300.0
SESSION_BYTES = 16 * 10**9  # both ways together
MOST_MESSAGE_BYTES = 4 * 2**20
CHUNK_BYTES = 64 * 2**10
UNSENT_BYTES = 512 * 2**10
MOST_COPY_S = 10.0
MOST_STREAM_S = 30.0
MOST_STREAM_BYTES = 4 * 10**9
LEAST_CHUNKS = 4  # the first begins the time of a stream


class ProbeError(Exception):
    """The other end is not there any more, or not what it should be; the message says what it did."""


class Kind(IntEnum):
    """What a frame is."""

    HELLO = 1  # JSON: device, software
    MESSAGE = 2  # bytes; a client's is answered with ACK
    ACK = 3  # one byte
    WANT = 4  # answer with a MESSAGE of so many bytes
    FLOOD = 5  # answer with a stream of at most so many seconds and bytes
    CHUNK = 6  # a piece of a stream
    DONE = 7  # a stream's end; a client's is answered with REPORT
    COPY = 8  # measure copies for so many seconds and answer with REPORT
    REPORT = 9  # JSON: numbers
    BYE = 10  # all was measured


_MOST_BYTES = {
    Kind.HELLO: 2048, Kind.MESSAGE: MOST_MESSAGE_BYTES, Kind.ACK: 1, Kind.WANT: 4, Kind.FLOOD: 16,
    Kind.CHUNK: CHUNK_BYTES, Kind.DONE: 0, Kind.COPY: 8, Kind.REPORT: 2048, Kind.BYE: 0,
}  # fmt: skip


class Wire:
    """One end of a connection.

    Args:
        connection: a connected socket, closed by :meth:`close`.
        seconds: how long it may last in all.
        budget_bytes: how much it may move, both ways together.

    Raises (all methods):
        ProbeError: the other end closed, fell silent, sent what is not allowed, or a bound is reached.
    """

    def __init__(self, connection: socket.socket, seconds: float, budget_bytes: int = SESSION_BYTES) -> None:
        self._socket = connection
        self._seconds, self._end_s = seconds, time.monotonic() + seconds
        self._budget_bytes = self._left_bytes = budget_bytes
        self._buffer = bytearray(2048)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # else seconds of a slow stream wait in the send buffer
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def last(self, seconds: float) -> None:
        """Let the connection last so long from now on."""
        self._seconds, self._end_s = seconds, time.monotonic() + seconds

    @property
    def moved_bytes(self) -> int:
        """Bytes sent and received so far."""
        return self._budget_bytes - self._left_bytes

    def send(self, kind: Kind, payload: bytes | memoryview = b"") -> None:
        """Send a frame; returns when the kernel has taken all of it."""
        self._spend(HEADER.size + len(payload))
        parts = [memoryview(HEADER.pack(MAGIC, VERSION, kind, len(payload))), memoryview(payload)]
        while parts:
            with self._watched():
                sent = self._socket.sendmsg(parts)
            while parts and sent >= len(parts[0]):
                sent -= len(parts.pop(0))
            if parts:
                parts[0] = parts[0][sent:]

    def receive(self, *kinds: Kind) -> tuple[Kind, memoryview]:
        """The next frame, of one of some kinds; the payload is valid until the next call."""
        magic, version, number, size = HEADER.unpack(self._read(HEADER.size))
        if magic != MAGIC:
            raise ProbeError("sent something that is not splitgym-profile's")
        if version != VERSION:
            raise ProbeError(f"speaks version {version} of the probe, allowed: {VERSION}")
        kind = next((kind for kind in kinds if kind == number), None)
        if kind is None:
            raise ProbeError(f"sent a frame of kind {number}, allowed here: {', '.join(k.name for k in kinds)}")
        if size > _MOST_BYTES[kind]:
            raise ProbeError(f"announced {size} bytes in {kind.name}, allowed: {_MOST_BYTES[kind]}")
        return kind, self._read(size)

    def _read(self, size: int) -> memoryview:
        self._spend(size)
        if size > len(self._buffer):
            self._buffer = bytearray(size)
        view = memoryview(self._buffer)[:size]
        at = 0
        while at < size:
            with self._watched():
                got = self._socket.recv_into(view[at:])
            if got == 0:
                raise ProbeError("closed the connection")
            at += got
        return view

    def _spend(self, n_bytes: int) -> None:
        if n_bytes > self._left_bytes:
            raise ProbeError(f"needs more than the {self._budget_bytes / 1e9:g} GB that a measurement may move")
        self._left_bytes -= n_bytes

    @contextmanager
    def _watched(self) -> Iterator[None]:
        left_s = self._end_s - time.monotonic()
        late = f"took longer than {self._seconds:g} s"
        if left_s <= 0:
            raise ProbeError(late)
        self._socket.settimeout(min(IDLE_S, left_s))
        try:
            yield
        except TimeoutError:
            raise ProbeError(late if left_s <= IDLE_S else f"was silent for {IDLE_S:g} s") from None
        except OSError as error:
            raise ProbeError(f"broke the connection ({error.strerror or error})") from None


@cache
def _noise() -> memoryview:
    return memoryview(os.urandom(MOST_MESSAGE_BYTES))


def filler(n_bytes: int) -> memoryview:
    """At most ``MOST_MESSAGE_BYTES`` that no link can compress."""
    return _noise()[:n_bytes]


def numbers_payload(*values: float) -> bytes:
    """Numbers as a payload."""
    return struct.pack(f"!{len(values)}d", *values)


def payload_numbers(payload: memoryview, *most: float) -> tuple[float, ...]:
    """The numbers in a payload.

    Args:
        payload: from :func:`numbers_payload`.
        most: the most that each may be; the least is 0.

    Raises:
        ProbeError: they are too few, too many, or out of range.
    """
    fits = len(payload) == 8 * len(most)
    values = struct.unpack(f"!{len(most)}d", payload) if fits else ()
    if not fits or not all(0 <= value <= bound for value, bound in zip(values, most, strict=True)):
        raise ProbeError(f"asked for {list(values)}, allowed: {len(most)} numbers from 0 to {list(most)}")
    return values


def send_json(wire: Wire, kind: Kind, data: Mapping[str, Any]) -> None:
    """Send an object as a frame of some kind."""
    wire.send(kind, json.dumps(dict(data)).encode())


def receive_hello(wire: Wire) -> tuple[str, str]:
    """Name and software of the other end.

    Raises:
        ProbeError: it said something else.
    """
    data = _receive_object(wire, Kind.HELLO, ("device", "software"))
    try:
        return check_text("device", data["device"]), check_text("software", data["software"])
    except InputError as error:
        raise ProbeError(f"said hello wrongly: {error}") from None


def receive_report(wire: Wire, names: tuple[str, ...]) -> list[float]:
    """Positive numbers by name.

    Raises:
        ProbeError: it reported something else.
    """
    data = _receive_object(wire, Kind.REPORT, names)
    values = [data[name] for name in names]
    if not all(isinstance(v, float) and 0 < v < 1e18 for v in values):
        raise ProbeError(f"reported {values} as {', '.join(names)}, allowed: numbers above 0")
    return values


def _receive_object(wire: Wire, kind: Kind, names: tuple[str, ...]) -> dict[str, Any]:
    _, payload = wire.receive(kind)
    try:
        data = json.loads(bytes(payload).decode())
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict) or set(data) != set(names):
        raise ProbeError(f"sent a wrong {kind.name}, allowed: {', '.join(names)}")
    return data


def send_stream(wire: Wire, seconds: float, most_bytes: float) -> None:
    """Send chunks for some seconds, ``LEAST_CHUNKS`` at least, then the end.

    Args:
        wire: where to.
        seconds: how long.
        most_bytes: ends the stream sooner; buffers on the way may take much more than the link does in ``seconds``.
    """
    end_s, chunk, count = time.monotonic() + seconds, filler(CHUNK_BYTES), 0
    while count < LEAST_CHUNKS or (count * CHUNK_BYTES < most_bytes and time.monotonic() < end_s):
        wire.send(Kind.CHUNK, chunk)
        count += 1
    wire.send(Kind.DONE)


def receive_stream(wire: Wire) -> tuple[int, float]:
    """Receive the rest of a stream whose first chunk has just come.

    Returns:
        Payload bytes after the first chunk, and the seconds from its end to the last chunk's end.

    Raises:
        ProbeError: it was too short to be timed.
    """
    begin_s = last_s = time.perf_counter()
    n_bytes = 0
    while True:
        kind, payload = wire.receive(Kind.CHUNK, Kind.DONE)
        if kind is Kind.DONE:
            break
        n_bytes += len(payload)
        last_s = time.perf_counter()
    if n_bytes == 0 or last_s <= begin_s:
        raise ProbeError("sent a stream that is too short to be timed")
    return n_bytes, last_s - begin_s
