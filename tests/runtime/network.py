"""Machines with keys, waiting for what must come, a relay that listens in, and strangers."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
        reasons.append(until_gone(lambda i: dialer.send(b"x", None, SOON_S), 40_000)[1])


def raw_dealer(
    context: zmq.Context[zmq.Socket[bytes]],
    address: str,
    identity: Identity | None,
    routing_id: bytes = b"",
    once: bool = False,
) -> zmq.Socket[bytes]:
    """What somebody may write who does not use ours: connected to the listener of the desk, with keys or none."""
    dealer = context.socket(zmq.DEALER)
    if once:
        dealer.reconnect_ivl = -1
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


@contextmanager
def free_address() -> Iterator[str]:
    """Where nobody listens, nor anybody else can meanwhile."""
    with socket.socket() as held:
        held.bind((HOST, 0))
        yield f"{HOST}:{held.getsockname()[1]}"


def connected(address: str) -> socket.socket:
    """A TCP connection."""
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=ENOUGH_S)


def held() -> tuple[int, int]:
    """Threads, those of ZeroMQ among them, and open files of this process."""
    return len(list(Path("/proc/self/task").iterdir())), len(os.listdir("/proc/self/fd"))  # noqa: PTH208
