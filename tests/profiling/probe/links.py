"""Links of known rate and latency, a server in a thread, and what strangers may send."""

from __future__ import annotations

import json
import queue
import socket
import struct
import threading
import time
from typing import Any

import numpy as np
import pytest

from splitgym.profiling.link_file import LinkMeasurement
from splitgym.profiling.probe import client as probe_client
from splitgym.profiling.probe import wire as probe_wire
from splitgym.profiling.probe.client import measure_over
from splitgym.profiling.probe.server import Server
from splitgym.profiling.probe.wire import CHUNK_BYTES, HEADER, MAGIC, VERSION, Kind

HELLO = json.dumps({"device": "toy", "software": "none"}).encode()


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def perf_counter(self) -> float:
        return self.now_s

    monotonic = perf_counter


class KnownLink:
    """A server at the other end of a link of known latency and rates, as the client's wire; time is a clock's.

    Args:
        clock: moved by everything that is sent or received.
        latency_s: of every frame, one way.
        up_mbps, down_mbps: of its bytes.
        rng: every frame takes up to 3 % longer, and one in twenty half as long again; None for neither.
    """

    def __init__(
        self, clock: Clock, latency_s: float, up_mbps: float, down_mbps: float, rng: np.random.Generator | None = None
    ) -> None:
        self.clock, self.latency_s, self.rng = clock, latency_s, rng
        self.end_s = clock.now_s + probe_wire.HELLO_S
        self.s_per_byte = {"up": 8e-6 / up_mbps, "down": 8e-6 / down_mbps}
        self.answers: list[tuple[Kind, Any, float]] = []  # kind, payload, seconds until it is there
        self.stream: list[float] = []  # when the chunks of a stream up arrived

    def last(self, seconds: float) -> None:
        self.end_s = self.clock.now_s + seconds

    def _took_s(self, way: str, n_bytes: int, latency_s: float) -> float:
        seconds = latency_s + n_bytes * self.s_per_byte[way]
        if self.rng is not None:
            seconds *= (1.0 + 0.03 * self.rng.random()) * (1.5 if self.rng.random() < 0.05 else 1.0)
        return seconds

    def send(self, kind: Kind, payload: Any = b"") -> None:
        if kind is Kind.CHUNK:  # a full link: the sender waits for it
            self.clock.now_s += self._took_s("up", len(payload), 0.0)
            self.stream.append(self.clock.now_s)
            return
        if kind is not Kind.FLOOD:
            self.clock.now_s += self._took_s("up", len(payload), self.latency_s)
        reply = {
            Kind.HELLO: (Kind.HELLO, HELLO),
            Kind.COPY: (Kind.REPORT, b'{"copy_out_bytes_per_s": 2e9, "copy_in_bytes_per_s": 3e9}'),
            Kind.MESSAGE: (Kind.ACK, b"\0"),
            Kind.WANT: (Kind.MESSAGE, probe_wire.filler(struct.unpack("!I", payload)[0]) if kind is Kind.WANT else b""),
            Kind.DONE: (Kind.REPORT, self._report()),
        }.get(kind)
        if reply is not None:
            self.answers.append((*reply, self._took_s("down", len(reply[1]), self.latency_s)))
        elif kind is Kind.FLOOD:
            seconds, most_bytes = struct.unpack("!2d", payload)
            count = int(min(seconds / self.s_per_byte["down"], most_bytes) / CHUNK_BYTES) + 2
            times_s = [self._took_s("down", CHUNK_BYTES, 0.0) for _ in range(count)]
            self.answers += [(Kind.CHUNK, bytes(CHUNK_BYTES), s) for s in times_s] + [(Kind.DONE, b"", 0.0)]

    def _report(self) -> bytes:
        if not self.stream:
            return b""
        n_bytes, seconds = (len(self.stream) - 1) * CHUNK_BYTES, self.stream[-1] - self.stream[0]
        return json.dumps({"n_bytes": float(n_bytes), "seconds": seconds}).encode()

    def receive(self, *kinds: Kind) -> tuple[Kind, memoryview]:
        kind, payload, seconds = self.answers.pop(0)
        assert kind in kinds
        assert self.clock.now_s < self.end_s
        self.clock.now_s += seconds
        return kind, memoryview(payload)


def measured(
    latency_s: float, up_mbps: float, down_mbps: float, rng: np.random.Generator | None = None
) -> LinkMeasurement:
    """What the client makes of a :class:`KnownLink` in ten seconds of its clock."""
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        for module in (probe_client, probe_wire):
            patch.setattr(module, "time", clock)
        patch.setattr(probe_client, "copy_rates", lambda seconds: (4e9, 5e9))
        link: Any = KnownLink(clock, latency_s, up_mbps, down_mbps, rng)
        return measure_over(link, "here", "none", 10.0, lambda share, text: None)


class Serving:
    """A server in a thread.

    Attributes:
        address: where.
        lines: what it said.
    """

    def __init__(self, host: str = "127.0.0.1", keep: bool = False, **bounds: Any) -> None:
        self.lines: list[str] = []
        self._unheard: queue.Queue[str] = queue.Queue()
        self._server = Server("board", "software", host, 0, say=self._say, **bounds)
        self.address = self._server.address
        self._thread = threading.Thread(target=self._server.serve, args=(keep,), daemon=True)

    def _say(self, line: str) -> None:
        self.lines.append(line)
        self._unheard.put(line)

    def heard(self, lines: int) -> list[str]:
        """The next lines."""
        return [self._unheard.get(timeout=20) for _ in range(lines)]

    def ended(self) -> bool:
        """Whether it stops serving by itself."""
        self._thread.join(20)
        return not self._thread.is_alive()

    def __enter__(self) -> Serving:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        assert self.ended()


def connected(address: tuple[str, int]) -> socket.socket:
    """A connection to an address."""
    return socket.create_connection(address, timeout=20)


def frame(kind: int, payload: bytes = b"", magic: bytes = MAGIC, version: int = VERSION, size: int = -1) -> bytes:
    """A frame of the probe, or what is nearly one; ``size`` is announced instead of the payload's."""
    return HEADER.pack(magic, version, kind, len(payload) if size < 0 else size) + payload


class Channel:
    """Forwards one connection to a server, both ways at a known rate and latency, by sleeping until a byte is due."""

    def __init__(self, server: tuple[str, int], mbps: float, latency_s: float) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self._server, self._s_per_byte, self._latency_s = server, 8e-6 / mbps, latency_s
        self._sockets: list[socket.socket] = [self._listener]
        threading.Thread(target=self._run, daemon=True).start()

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *_: object) -> None:
        for end in self._sockets:
            end.close()

    def _run(self) -> None:
        client, _ = self._listener.accept()
        server = connected(self._server)
        self._sockets += [client, server]
        for a, b in ((client, server), (server, client)):
            b.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            due: queue.Queue[tuple[float, bytes]] = queue.Queue(64)  # bytes on their way
            threading.Thread(target=self._read, args=(a, due), daemon=True).start()
            threading.Thread(target=self._write, args=(b, due), daemon=True).start()

    def _read(self, end: socket.socket, due: queue.Queue[tuple[float, bytes]]) -> None:
        data = b"x"
        while data:
            try:
                data = end.recv(16384)
            except OSError:
                data = b""
            due.put((time.perf_counter(), data))

    def _write(self, end: socket.socket, due: queue.Queue[tuple[float, bytes]]) -> None:
        free_s = 0.0
        while True:
            came_s, data = due.get()
            free_s = max(free_s, came_s) + len(data) * self._s_per_byte
            time.sleep(max(0.0, free_s + self._latency_s - time.perf_counter()))
            try:
                end.sendall(data) if data else end.shutdown(socket.SHUT_WR)
            except OSError:
                return
            if not data:
                return
