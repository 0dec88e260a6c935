"""The serving end of the network probe: one client at a time, everything bounded, strangers dropped."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ...ui.errors import InputError
from ..measure.copy_rates import copy_rates
from .wire import (
    HELLO_S,
    MOST_COPY_S,
    MOST_MESSAGE_BYTES,
    MOST_STREAM_BYTES,
    MOST_STREAM_S,
    SESSION_BYTES,
    SESSION_S,
    Kind,
    ProbeError,
    Wire,
    filler,
    payload_numbers,
    receive_hello,
    receive_stream,
    send_json,
    send_stream,
)

BACKLOG = 4  # who comes while one is measured waits here
Say = Callable[[str], None]


class Server:
    """Answers clients on a TCP port.

    Args:
        device, software: what it tells clients about itself.
        host: address to listen at; None listens on all interfaces, IPv4 and IPv6.
        port: 0 takes any that is free.
        say: gets one line for everything that happens.
        session_s, session_bytes: bounds on one client.

    Attributes:
        address: (host, port) that it listens at.

    Raises:
        InputError: the address is not this machine's, or the port is taken.
    """

    def __init__(
        self,
        device: str,
        software: str,
        host: str | None = None,
        port: int = 0,
        say: Say = print,
        session_s: float = SESSION_S,
        session_bytes: int = SESSION_BYTES,
    ) -> None:
        self._hello = {"device": device, "software": software}
        self._say, self._session_s, self._session_bytes = say, session_s, session_bytes
        self._closed, self._listener = False, _listen(host, port)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take no more clients; :meth:`serve`, waiting for one in another thread, returns."""
        self._closed = True
        with suppress(OSError):  # closed before
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def serve(self, keep: bool = False) -> None:
        """Answer until one client has measured all, or for ever."""
        while True:
            try:
                connection, address = self._listener.accept()
            except ConnectionAbortedError:  # gone before its turn
                continue
            except OSError:
                if self._closed:
                    return
                raise
            if self._answer(connection, address[0].removeprefix("::ffff:")) and not keep:
                return

    def _answer(self, connection: socket.socket, where: str) -> bool:
        """Whether the client measured all."""
        name = where
        try:
            with connection, Wire(connection, HELLO_S, self._session_bytes) as wire:
                device, _ = receive_hello(wire)
                name = f"{device} ({where})"
                self._say(f"{name} measures the link to here")
                wire.last(self._session_s)
                send_json(wire, Kind.HELLO, self._hello)
                while _reply(wire):
                    pass
                self._say(f"{name} is done, {wire.moved_bytes / 1e6:.1f} MB moved")
                return True
        except (ProbeError, OSError) as error:  # OSError: gone before the socket was set up
            self._say(f"dropped {name}: {error}")
            return False


def _listen(host: str | None, port: int) -> socket.socket:
    both = host is None and socket.has_dualstack_ipv6()
    try:
        family: Any = socket.AF_INET6 if both else socket.AF_INET
        if host:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host or "", port), family=family, backlog=BACKLOG, dualstack_ipv6=both)
    except (OSError, UnicodeError) as error:
        where = f"port {port}" if host is None else f"{host} port {port}"
        raise InputError(f"--network serve: cannot listen at {where} ({getattr(error, 'strerror', error)})") from None


def _reply(wire: Wire) -> bool:
    """Do what the client's next frame asks; whether it goes on."""
    kind, payload = wire.receive(Kind.MESSAGE, Kind.WANT, Kind.FLOOD, Kind.CHUNK, Kind.COPY, Kind.BYE)
    if kind is Kind.MESSAGE:
        wire.send(Kind.ACK, b"\0")
    elif kind is Kind.WANT:
        wire.send(Kind.MESSAGE, filler(_wanted_bytes(payload)))
    elif kind is Kind.FLOOD:
        send_stream(wire, *payload_numbers(payload, MOST_STREAM_S, MOST_STREAM_BYTES))
    elif kind is Kind.CHUNK:
        n_bytes, seconds = receive_stream(wire)
        send_json(wire, Kind.REPORT, {"n_bytes": float(n_bytes), "seconds": seconds})
    elif kind is Kind.COPY:
        out, back = copy_rates(*payload_numbers(payload, MOST_COPY_S))
        send_json(wire, Kind.REPORT, {"copy_out_bytes_per_s": out, "copy_in_bytes_per_s": back})
    return kind is not Kind.BYE


def _wanted_bytes(payload: memoryview) -> int:
    n_bytes = struct.unpack("!I", payload)[0] if len(payload) == 4 else 0
    if not 1 <= n_bytes <= MOST_MESSAGE_BYTES:
        raise ProbeError(f"wants a message of {n_bytes} bytes, allowed: 1 to {MOST_MESSAGE_BYTES}")
    return n_bytes
