"""How much connections have brought of messages that have no end yet, and what ends those that bring too much.

ZeroMQ hands a message over when its last frame is there. It bounds the size of a frame but not how many there are: a
peer that never sends the last one would fill the memory. The kernel knows how much of a connection was read; once all
messages that are whole are taken, what was read since the last one is a single unfinished message.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from .transport import MOST_HEADER_BYTES, MOST_PAYLOAD_BYTES

LOOK_S, ALERT_S = 0.02, 0.001  # between two looks; the same while somebody may be about to bring too much
LOOK_SHARE = 0.1  # of the time at most, however many connections there are
MOST_MESSAGE_BYTES = MOST_HEADER_BYTES + MOST_PAYLOAD_BYTES + 16 * 1024  # with what encryption adds, and read ahead
ALERT_BYTES = MOST_MESSAGE_BYTES // 2
MOST_UNREAD_BYTES = 5 * 2**20  # replies that nobody has read yet
LEAST_IN_ALL = 16  # unfinished messages of full size, of all connections together
ENDLESS, SILENT = "messages without an end", "connections that say nothing"
_RECEIVED = struct.Struct("=128xQ")  # of the kernel's tcp_info: tcpi_bytes_received, Linux 4.1 and later
_WAITING = struct.Struct("=i")
_LIBC = ctypes.CDLL(None)


@dataclass(eq=False)
class _Connection:
    """What was read of a connection by its last message, when that was, and whether there was one."""

    since_s: float
    base_bytes: int = 0
    has_spoken: bool = False

    def unfinished_bytes(self, taken_bytes: int) -> int:
        return taken_bytes - self.base_bytes

    def spoke(self, taken_bytes: int, now_s: float) -> None:
        self.base_bytes, self.since_s, self.has_spoken = taken_bytes, now_s, True


class Intake:
    """The connections of a listener, by descriptor; used by one thread.

    Args:
        silent_s: how long a connection may take to bring its first message.
        peers: that may be connected.
    """

    def __init__(self, silent_s: float, peers: int) -> None:
        self._silent_s, self._most_in_all = silent_s, max(LEAST_IN_ALL, peers) * MOST_MESSAGE_BYTES
        self._connections: dict[int, _Connection] = {}
        self._spoke: set[int] = set()
        self._due_s = 0.0
        self._alert = False

    def __len__(self) -> int:
        return len(self._connections)

    @property
    def look_s(self) -> float:
        """How soon to look again."""
        return ALERT_S if self._alert else LOOK_S

    def opened(self, descriptor: int) -> None:
        """A connection has come."""
        self._alert = True
        self._connections[descriptor] = _Connection(time.monotonic())
        self._spoke.discard(descriptor)

    def closed(self, descriptor: int) -> None:
        """A connection has gone."""
        self._connections.pop(descriptor, None)

    def spoke(self, descriptor: int) -> None:
        """A message of a connection was taken."""
        self._spoke.add(descriptor)

    def look(self) -> Mapping[int, int]:
        """Bytes of every connection that were read so far, from time to time; take what is whole, then judge them."""
        if time.monotonic() < self._due_s:
            return {}
        begun_s = time.thread_time()  # not what others had the processor for meanwhile
        found = {d: taken for d in self._connections if (taken := _taken_bytes(d)) is not None}
        cost_s = time.thread_time() - begun_s
        self._due_s = time.monotonic() + max(self.look_s, cost_s / LOOK_SHARE)
        return found

    def judge(self, taken: Mapping[int, int]) -> Sequence[tuple[int, str]]:
        """The connections that bring too much, or nothing, and which of both."""
        now_s = time.monotonic()
        found: list[tuple[int, str]] = []
        left: list[tuple[bool, float, int]] = []
        self._alert = self._alert and not taken
        for descriptor, n_bytes in taken.items():
            connection = self._connections.get(descriptor)
            if connection is None:
                continue
            if descriptor in self._spoke:  # what it said may have been read after the look: look again
                connection.spoke(_taken_bytes(descriptor) or n_bytes, now_s)
                self._spoke.discard(descriptor)
                continue
            unfinished = connection.unfinished_bytes(n_bytes)
            self._alert |= not connection.has_spoken or unfinished > ALERT_BYTES
            if unfinished > MOST_MESSAGE_BYTES:
                found.append((descriptor, ENDLESS))
            elif not connection.has_spoken and now_s - connection.since_s > self._silent_s:
                found.append((descriptor, SILENT))
            elif unfinished > 0:
                left.append((connection.has_spoken, -unfinished, descriptor))
        surplus = sum(-size for _, size, _ in left) - self._most_in_all
        for _, size, descriptor in sorted(left):  # those first that have never said anything, then the largest
            if surplus <= 0:
                break
            surplus += size
            found.append((descriptor, ENDLESS))
        return found

    def cut(self, descriptor: int, hear: Callable[[], None]) -> bool:
        """End a connection; whether it was there.

        Args:
            hear: hears what has happened to connections. Their ends are told before their descriptors are free, so
                that a descriptor that is held before, and not ended after, is the connection's own.
        """
        connection = self._connections.get(descriptor)
        try:
            held = _held(descriptor)
        except OSError:
            return False
        with held:
            hear()
            if connection is None or self._connections.get(descriptor) is not connection:
                return False
            self.closed(descriptor)
            _end(held)
        return True


class Watch:
    """A thread that ends connections to listeners which say more than anybody reads; nobody else may look at them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._held: dict[object, tuple[socket.socket, _Connection]] = {}
        self._thread: threading.Thread | None = None

    def opened(self, owner: object, descriptor: int) -> None:
        """A connection is there; it stays open until it is told closed."""
        with self._lock, suppress(OSError):
            self._held[owner] = _held(descriptor), _Connection(time.monotonic())
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="watch", daemon=True)
                self._thread.start()

    def closed(self, owner: object) -> None:
        """A connection is to end."""
        with self._lock:
            found = self._held.pop(owner, None)
        if found is not None:
            found[0].close()

    def spoke(self, owner: object) -> None:
        """Messages of a connection were taken."""
        with self._lock:
            found = self._held.get(owner)
            if found is not None:
                found[1].spoke(_taken_bytes(found[0].fileno()) or 0, time.monotonic())

    def close(self) -> None:
        """End the thread."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        for owner in list(self._held):
            self.closed(owner)

    def _look(self) -> None:
        while not self._stopped.wait(LOOK_S):
            with self._lock:
                for held, connection in self._held.values():
                    if connection.unfinished_bytes(_taken_bytes(held.fileno()) or 0) > MOST_UNREAD_BYTES:
                        _end(held)


def _held(descriptor: int) -> socket.socket:
    """A connection of ZeroMQ's by a descriptor of our own."""
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, os.dup(descriptor))  # or IPv6: no matter here


def _end(held: socket.socket) -> None:
    with suppress(OSError):  # it has just ended
        held.shutdown(socket.SHUT_RDWR)


def _taken_bytes(descriptor: int) -> int | None:
    """Bytes that were read so far from a TCP connection by whoever reads it; None if it is none."""
    info, size = ctypes.create_string_buffer(_RECEIVED.size), ctypes.c_uint32(_RECEIVED.size)
    # By the C library: a socket object would close the descriptor with itself, which is not ours.
    if _LIBC.getsockopt(descriptor, socket.IPPROTO_TCP, socket.TCP_INFO, info, ctypes.byref(size)):
        return None
    try:
        waiting = fcntl.ioctl(descriptor, termios.FIONREAD, bytes(_WAITING.size))
    except OSError:
        return None
    return _RECEIVED.unpack(info)[0] - _WAITING.unpack(waiting)[0] if size.value == _RECEIVED.size else None
