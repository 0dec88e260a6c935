"""Machines with keys, waiting for what must come, a relay that listens in, and strangers."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import zmq

from splitgym.runtime.keys import Identity, make_members
from splitgym.runtime.transport import Dialer, Event, Listener, PeerGone

HOST = "127.0.0.1"
ANY = f"{HOST}:0"
ENOUGH_S = 60.0  # for whatever must happen on a machine that is busy
SOON_S = 0.2  # to see that nothing comes

IDENTITIES, ROSTER = make_members({"desk": "controller", "ann": "worker", "bob": "worker"})
STRANGERS, _ = make_members({"eve": "worker"})
DESK, ANN, BOB, EVE = (*IDENTITIES.values(), STRANGERS["eve"])


def until(end: Listener | Dialer, enough: Callable[[list[Event]], bool]) -> list[Event]:
    """Poll until what has come is enough."""
    events: list[Event] = []
    deadline_s = time.monotonic() + ENOUGH_S
    while not enough(events):
        assert time.monotonic() < deadline_s, [(event.kind, event.peer, event.header) for event in events[-20:]]
        events += end.poll(0.2)
    return events


def until_kind(end: Listener | Dialer, *kinds: str) -> list[Event]:
    """Poll until exactly these kinds of events have come, in this order."""
    events = until(end, lambda events: len(events) >= len(kinds))
    assert tuple(event.kind for event in events) == kinds, events
    return events


def headers(events: Sequence[Event]) -> list[bytes]:
    """Of the messages among some events."""
    return [event.header for event in events if event.kind == "message"]


def until_gone(send: Callable[[int], None], most: int = 4000) -> tuple[int, str]:
    """How many messages can be sent before the peer is gone, and why it is."""
    for i in range(most):
        try:
            send(i)
        except PeerGone as gone:
            return i, str(gone)
    raise AssertionError(f"takes {most} messages")


def until_why(dialer: Dialer, pattern: str) -> None:
    """Try to send until that fails for this reason."""
    reasons: list[str] = []
    deadline_s = time.monotonic() + ENOUGH_S
    while not re.search(pattern, "".join(reasons[-1:])):
        assert time.monotonic() < deadline_s, reasons
        reasons.append(until_gone(lambda i: dialer.send(b"x", None, SOON_S))[1])


def raw_dealer(
    context: zmq.Context[zmq.Socket[bytes]], address: str, identity: Identity | None, routing_id: bytes = b""
) -> zmq.Socket[bytes]:
    """What somebody may write who does not use ours: connected to the listener of the desk, with keys or none."""
    dealer = context.socket(zmq.DEALER)
    if identity is not None:
        dealer.curve_serverkey = DESK.public.encode()
        dealer.curve_publickey, dealer.curve_secretkey = identity.public.encode(), identity.secret.encode()
    if routing_id:
        dealer.routing_id = routing_id
    dealer.connect(f"tcp://{address}")
    return dealer


@contextmanager
def raw_context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    """A context whose sockets vanish at the end, with what they have not sent."""
    context = zmq.Context()
    try:
        yield context
    finally:
        context.destroy(linger=0)


def free_address() -> str:
    """Where nobody listens."""
    with socket.create_server((HOST, 0)) as server:
        return f"{HOST}:{server.getsockname()[1]}"


def connected(address: str) -> socket.socket:
    """A TCP connection."""
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=ENOUGH_S)


def held() -> tuple[int, int]:
    """Threads, those of ZeroMQ among them, and open files of this process."""
    return len(list(Path("/proc/self/task").iterdir())), len(os.listdir("/proc/self/fd"))  # noqa: PTH208


class Relay:
    """Forwards connections to an address and keeps what crossed it.

    Args:
        target: where to.
        bytes_per_s: of each direction of a connection; None for no limit.

    Attributes:
        address: where it listens.
        seen: all bytes so far, to the target and from it.
    """

    def __init__(self, target: str, bytes_per_s: float | None = None) -> None:
        self._target, self._bytes_per_s = target, bytes_per_s
        self._server = socket.create_server((HOST, 0))
        self.address = f"{HOST}:{self._server.getsockname()[1]}"
        self.seen = bytearray(), bytearray()
        self._closing = False
        self._open = threading.Event()
        self._open.set()
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def freeze(self) -> None:
        """Let nothing pass any more, without closing anything."""
        self._open.clear()

    def cut(self) -> None:
        """Close all connections, and take no more."""
        self._closing = True
        self._open.set()
        for end in (self._server, *self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # wakes who waits for it
        for thread in self._threads:
            thread.join(ENOUGH_S)
            assert not thread.is_alive()
        for end in (self._server, *self._ends):
            end.close()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def _start(self, body: Callable[..., None], *args: object) -> None:
        self._threads.append(threading.Thread(target=body, args=args, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with suppress(OSError):  # cut, or nobody is there any more
            while True:
                near, _ = self._server.accept()
                self._ends.append(near)
                far = connected(self._target)
                self._ends.append(far)
                if self._closing:
                    return
                self._start(self._forward, near, far, self.seen[0])
                self._start(self._forward, far, near, self.seen[1])

    def _forward(self, source: socket.socket, sink: socket.socket, seen: bytearray) -> None:
        with suppress(OSError):  # one of both was cut
            while data := source.recv(16384):
                self._open.wait()
                seen += data
                if self._bytes_per_s is not None:
                    time.sleep(len(data) / self._bytes_per_s)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
