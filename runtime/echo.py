"""Timing a link over the sockets that rows take: what the far end answers, and the clock of the near end.

A message of n bytes goes in chunks as rows do, and is answered by a tiny one when all of it is there; or a tiny one is
answered by n bytes. Streams are made of the same messages, with enough of them under way to fill the link: their rate
is timed by the answers, from the first to the last.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from functools import cache

from ..ui.errors import InputError
from . import wire, wire_types
from .transport import CHUNK_BYTES, Buffer, Dialer, PeerGone

SILENCE_S = 30.0  # without an answer; a chunk on a slow link takes long
LEAST_PIECE_BYTES = 1024
PIECES = 16  # of a stream at least, as far as it is known how fast the link is
LEAST_TIMED = 4
LEAST_WINDOW, MOST_WINDOW = 8, 32  # messages under way; an answer to each of the most fits its sender's queue


@cache
def _noise() -> memoryview:
    return memoryview(os.urandom(CHUNK_BYTES))  # no link can compress it


def answer(echo: wire.Echo, payload_bytes: int, reply: Callable[[bytes, Buffer | None], None]) -> None:
    """Answer a message if these are its last bytes.

    Args:
        echo: its header, and how many bytes lie beside.
        reply: sends a header and bytes back.

    Raises:
        PeerGone: as ``reply`` does.
    """
    if echo.offset + payload_bytes < echo.size:
        return
    for offset in range(0, max(1, echo.wanted), CHUNK_BYTES):
        part = _noise()[: min(CHUNK_BYTES, echo.wanted - offset)]
        reply(wire.encode(wire.Echo(echo.session, echo.number, offset, echo.wanted, 0)), part if part else None)


class EchoChannel:
    """A link as :class:`..profiling.message_fit.Channel`; up is from the far end to this one.

    Args:
        dialer: to where the far end takes rows; used by one thread.
        session: of the far end, which answers nothing else.
        clock: of seconds.

    Raises (all methods):
        InputError: the far end is gone or silent.
    """

    def __init__(self, dialer: Dialer, session: str, clock: Callable[[], float] = time.perf_counter) -> None:
        self._dialer, self._session, self._clock = dialer, session, clock
        self._number = 0
        self._waiting: dict[int, int] = {}  # number -> bytes that are to come
        self._heard_s = clock()

    def up_s(self, n_bytes: int) -> float:
        """Seconds until a tiny message is answered by so many bytes."""
        return self._exchange_s(0, n_bytes)

    def down_s(self, n_bytes: int) -> float:
        """Seconds until so many bytes are answered by a tiny message."""
        return self._exchange_s(n_bytes, 0)

    def _exchange_s(self, sent: int, wanted: int) -> float:
        begun_s = self._clock()
        self._ask(sent, wanted)
        while self._waiting:
            self._hear()
        return self._clock() - begun_s

    def stream_mbps(self, up: bool, seconds: float, about_mbps: float, round_trip_s: float) -> float:
        """Rate of payload in one direction.

        Args:
            up: whether from the far end to this one.
            seconds: how long, at least.
            about_mbps, round_trip_s: what messages took; says how large pieces are and how many are under way.
        """
        byte_per_s = about_mbps / 8e-6
        piece = int(max(LEAST_PIECE_BYTES, min(CHUNK_BYTES, byte_per_s * seconds / PIECES)))
        window = math.ceil(min(MOST_WINDOW, LEAST_WINDOW + 2 * round_trip_s * byte_per_s / piece))
        end_s = self._clock() + seconds
        asked = came = 0
        times: list[tuple[float, int]] = []  # when how many had come: the first and the last

        def goes_on() -> bool:
            return self._clock() < end_s or len(times) < 2 or times[-1][1] - times[0][1] < LEAST_TIMED

        while came < asked or goes_on():
            while asked - came < window and goes_on():
                self._ask(*((0, piece) if up else (piece, 0)))
                asked += 1
            done = self._hear()
            if done:
                came += done
                times[1:] = [(self._clock(), came)]
        (first_s, first), (last_s, last) = times
        return 8e-6 * piece * (last - first) / (last_s - first_s)

    def _ask(self, size: int, wanted: int) -> None:
        self._number += 1
        self._waiting[self._number] = wanted
        try:
            for offset in range(0, max(1, size), CHUNK_BYTES):
                part = _noise()[: min(CHUNK_BYTES, size - offset)]
                echo = wire.Echo(self._session, self._number, offset, size, wanted)
                self._dialer.send(wire.encode(echo), part if part else None, SILENCE_S)
        except PeerGone as error:
            raise InputError(str(error)) from None
        self._heard_s = self._clock()

    def _hear(self) -> int:
        """Wait a while for answers; how many are whole now."""
        before = len(self._waiting)
        for event in self._dialer.poll(0.5):
            if event.kind == "down":
                raise InputError(f"{event.peer}: the connection ended")
            if event.kind == "message":
                self._heard_s = self._clock()
                self._take(event.header, len(event.payload or b""))
        if self._clock() - self._heard_s > SILENCE_S:
            raise InputError(f"no answer for {SILENCE_S:g} s")
        return before - len(self._waiting)

    def _take(self, header: bytes, payload_bytes: int) -> None:
        try:
            echo = wire.decode_data(header, payload_bytes)
        except wire_types.WireError:
            return
        if not (isinstance(echo, wire.Echo) and echo.session == self._session):
            return
        if self._waiting.get(echo.number) == echo.size == echo.offset + payload_bytes:
            del self._waiting[echo.number]
