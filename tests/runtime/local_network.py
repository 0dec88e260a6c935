"""A network inside one process: queues instead of sockets, with the promises of the transport."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence

from splitgym.runtime.transport import Buffer, Dialer, Event, PeerGone


class LocalListener:
    def __init__(self, network: LocalNetwork, address: str) -> None:
        self.network, self.address = network, address
        self.inbox: queue.Queue[Event] = queue.Queue(64)
        self.back: dict[str, LocalDialer] = {}
        network.listeners[address] = self

    def poll(self, timeout_s: float) -> Sequence[Event]:
        return _drained(self.inbox, timeout_s)

    def reply(self, peer: str, header: bytes, payload: Buffer | None = None) -> None:
        dialer = self.back.get(peer)
        if dialer is None or dialer.closed:
            raise PeerGone(f"{peer} is not connected")
        dialer.inbox.put(Event("message", self.network.name_of[self.address], header, _copied(payload)))

    def close(self) -> None:
        self.network.listeners.pop(self.address, None)


class LocalDialer:
    def __init__(self, network: LocalNetwork, address: str, peer: str, me: str) -> None:
        self.network, self.address, self.peer, self.me = network, address, peer, me
        self.inbox: queue.Queue[Event] = queue.Queue()
        self.closed = False

    def send(self, header: bytes, payload: Buffer | None = None, timeout_s: float = 5.0) -> None:
        listener = self.network.listeners.get(self.address)
        if listener is None:
            raise PeerGone(f"{self.peer} is not there")
        listener.back[self.me] = self
        try:
            listener.inbox.put(Event("message", self.me, header, _copied(payload)), timeout=timeout_s)
        except queue.Full:
            raise PeerGone(f"{self.peer} takes nothing") from None

    def poll(self, timeout_s: float) -> Sequence[Event]:
        return _drained(self.inbox, timeout_s)

    def close(self) -> None:
        self.closed = True


class LocalNetwork:
    """All listeners by address; :meth:`seen_by` is what one party dials with."""

    def __init__(self) -> None:
        self.listeners: dict[str, LocalListener] = {}
        self.name_of: dict[str, str] = {}
        self._ports = iter(range(1000, 65000))
        self._lock = threading.Lock()

    def listen(self, name: str) -> LocalListener:
        with self._lock:
            address = f"local:{next(self._ports)}"
        self.name_of[address] = name
        return LocalListener(self, address)

    def seen_by(self, me: str) -> Seen:
        return Seen(self, me)


class Seen:
    def __init__(self, network: LocalNetwork, me: str) -> None:
        self._network, self._me = network, me

    def dial(self, address: str, peer: str) -> LocalDialer:
        return LocalDialer(self._network, address, peer, self._me)

    def poll(self, dialers: Sequence[Dialer], timeout_s: float) -> Sequence[Event]:
        share_s = timeout_s / max(1, len(dialers))
        return [event for dialer in dialers for event in dialer.poll(share_s)]


def _copied(payload: Buffer | None) -> memoryview | None:
    return None if payload is None else memoryview(bytes(payload))


def _drained(inbox: queue.Queue[Event], timeout_s: float) -> list[Event]:
    events: list[Event] = []
    try:
        events.append(inbox.get(timeout=max(timeout_s, 1e-3)))
        while True:
            events.append(inbox.get_nowait())
    except queue.Empty:
        return events
