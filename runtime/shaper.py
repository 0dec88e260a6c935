"""A relay between two ends on this machine that is slow, frozen or cut when it is told to be."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

HOST = "127.0.0.1"
CONNECT_S, JOIN_S = 5.0, 60.0
PIECE_BYTES = 16384
LATE_S = 0.02  # that a sleep may be late and is made up for, so that the rate holds on a busy machine


class Relay:
    """Forwards connections to an address.

    Args:
        target: where to, ``host:port``.
        bytes_per_s: of each direction of a connection; None for no limit. May be changed at any time.
        keeps: whether what crosses is kept.

    Attributes:
        address: where it listens.
        seen: all bytes so far, to the target and from it, where they are kept.
    """

    def __init__(self, target: str, bytes_per_s: float | None = None, keeps: bool = False) -> None:
        self._target, self.bytes_per_s, self._keeps = target, bytes_per_s, keeps
        self._server = socket.create_server((HOST, 0))
        self.address = f"{HOST}:{self._server.getsockname()[1]}"
        self.seen = bytearray(), bytearray()
        self._closing = threading.Event()
        self._open = threading.Event()
        self._open.set()
        self._lock = threading.Lock()
        self._ends: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def freeze(self) -> None:
        """Let nothing pass any more, without closing anything."""
        self._open.clear()

    def thaw(self) -> None:
        """Let what was held pass, and all that follows."""
        self._open.set()

    def drop(self) -> None:
        """Cut all connections, wherever in a message they are; new ones are taken."""
        with self._lock:
            ends = list(self._ends)
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # wakes who waits for it

    def cut(self) -> None:
        """Close all connections, and take no more."""
        self._closing.set()
        self._open.set()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self.drop()
        for thread in list(self._threads):
            thread.join(JOIN_S)
        self._server.close()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def _start(self, body: Callable[..., None], *args: object) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        self._threads.append(threading.Thread(target=body, args=args, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                near, _ = self._server.accept()
            except OSError:
                return  # cut
            host, _, port = self._target.rpartition(":")
            try:
                far = _connected(host, int(port))
            except OSError:  # nobody is there now
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                self._ends |= {near, far}
            if self._closing.is_set():
                self.drop()
            done = threading.Barrier(2)
            self._start(self._forward, near, far, self.seen[0], done)
            self._start(self._forward, far, near, self.seen[1], done)

    def _forward(self, source: socket.socket, sink: socket.socket, seen: bytearray, done: threading.Barrier) -> None:
        free_s = 0.0
        with suppress(OSError):  # one of both was cut
            while data := source.recv(PIECE_BYTES):
                self._open.wait()
                if self._keeps:
                    seen += data
                if self.bytes_per_s is not None:
                    free_s = max(free_s, time.monotonic() - LATE_S) + len(data) / self.bytes_per_s
                    time.sleep(max(0.0, free_s - time.monotonic()))
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        with suppress(threading.BrokenBarrierError):
            done.wait()  # neither end is closed while the other direction may use it
        with self._lock:
            self._ends.discard(source)
        source.close()


def _connected(host: str, port: int) -> socket.socket:
    """A connection to somebody who listens there.

    Raises:
        OSError: nobody does. Where its port was the near end's, too, the connection would be one with itself.
    """
    found = socket.create_connection((host, port), CONNECT_S)
    if found.getsockname() == found.getpeername():
        found.close()
        raise ConnectionRefusedError(port)
    return found
