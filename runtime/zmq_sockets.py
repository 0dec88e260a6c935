"""ZeroMQ sockets as both ends use them: bounded, watched, without pickles; and the addresses they take."""

from __future__ import annotations

import ipaddress
import math
import resource
import socket
import struct
from collections.abc import Iterable, Sequence
from itertools import count

import zmq
from zmq.auth.thread import ThreadAuthenticator

from ..ui.addresses import ADDRESS_FORM, address_text, split_address
from ..ui.errors import InputError
from .keys import Identity, Roster
from .transport import MOST_HEADER_BYTES, MOST_PAYLOAD_BYTES, Buffer, Event

HANDSHAKE_S = 1.5
KEEPALIVE_S, KEEPALIVE_TRIES = 1, 4  # the kernel ends a connection to a machine that has not answered so often
MOST_DESCRIPTORS = 65536
_FRAME_BYTES = max(MOST_HEADER_BYTES, MOST_PAYLOAD_BYTES) + 64  # with what CURVE adds
_HEARD = struct.Struct("=HI")  # of a monitor: the event, its value
_DOMAIN = "splitgym"
_serial = count()

Context = zmq.Context[zmq.Socket[bytes]]
FAILURES = {  # what the end of a connection, or of an attempt, means
    zmq.EVENT_CLOSED: "cannot be connected",
    zmq.EVENT_DISCONNECTED: "the connection ended",
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "does not answer, or has another key than the roster says",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "speaks another protocol, or one of both is not encrypted",
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "refuses this machine's key: is it on the roster there?",
}
UNINVITED = {  # what becomes of connections that strangers make
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "handshakes left off",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "handshakes of another protocol",
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "keys that are not on the roster",
}


class WatchedSocket:
    """A socket, and the monitor that tells what happens to its connections.

    Args:
        context, kind: of the socket.
        events: to be told, of :class:`zmq.Event`.

    Attributes:
        raw: the socket itself.
    """

    def __init__(self, context: Context, kind: int, events: int) -> None:
        self.raw = context.socket(kind)
        self.raw.linger = 0
        self.raw.maxmsgsize = _FRAME_BYTES
        self.raw.handshake_ivl = milliseconds(HANDSHAKE_S)
        # Not the heartbeats of the library: where a peer is lost whose messages wait to be read, they end the process.
        self.raw.tcp_keepalive, self.raw.tcp_keepalive_cnt = 1, KEEPALIVE_TRIES
        self.raw.tcp_keepalive_idle = self.raw.tcp_keepalive_intvl = KEEPALIVE_S
        self.raw.tcp_maxrt = milliseconds(KEEPALIVE_S * (1 + KEEPALIVE_TRIES))
        self._monitor = context.socket(zmq.PAIR)
        self._monitor.linger = 0
        self._monitor.rcvhwm = 0  # at a bound, the thread that does all I/O would wait for whoever reads this
        address = f"inproc://monitor-{next(_serial)}"
        self.raw.monitor(address, events)
        self._monitor.connect(address)

    def heard(self) -> Iterable[tuple[zmq.Event, int]]:
        """What has happened, and happens while this is gone through: events and their values."""
        while self._monitor.poll(0):  # a third of what it takes to fail to receive
            frame, *_ = self._monitor.recv_multipart(zmq.NOBLOCK)
            event, value = _HEARD.unpack(frame)
            yield zmq.Event(event), value

    def receive(self) -> list[zmq.Frame] | None:
        """A message that has come, as frames; None if there is none. Of too many frames only the first are kept."""
        try:
            frames = [self.raw.recv(zmq.NOBLOCK, copy=False)]
        except zmq.Again:
            return None
        more = frames[0].more
        while more:  # all frames of a message come at once
            frame = self.raw.recv(zmq.NOBLOCK, copy=False)
            more = frame.more
            if len(frames) < 4:
                frames.append(frame)
        return frames

    def register(self, poller: zmq.Poller, flag: int) -> None:
        """Let a poller wait for the socket to be ready, if there is a flag, and for what happens to its connections."""
        poller.register(self._monitor, zmq.POLLIN)
        if flag:
            poller.register(self.raw, flag)

    def wait(self, flag: int, timeout_s: float) -> None:
        """Until the socket is ready, something happens to its connections, or so long."""
        poller = zmq.Poller()
        self.register(poller, flag)
        poller.poll(milliseconds(timeout_s))

    def close(self) -> None:
        self.raw.disable_monitor()  # first: the thread that does all I/O would wait for a monitor that nobody reads
        self._monitor.close()
        self.raw.close()


def lock(raw: zmq.Socket[bytes], identity: Identity, roster: Roster) -> ThreadAuthenticator:
    """Let in to a socket that is not bound yet only who has a key of the roster; the doorkeeper, for its ``stop()``."""
    doorkeeper = ThreadAuthenticator(raw.context)
    doorkeeper.configure_curve_callback(_DOMAIN, _Listed(roster))
    doorkeeper.start()
    doorkeeper.pipe.sndtimeo = milliseconds(HANDSHAKE_S)  # of telling it to stop
    raw.curve_server = 1
    raw.curve_secretkey = identity.secret.encode()
    raw.zap_domain = _DOMAIN.encode()
    raw.zap_enforce_domain = 1  # nobody gets in should the doorkeeper be gone
    return doorkeeper


class _Listed:
    """Whose key is on a roster."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    def callback(self, domain: str, key: bytes) -> bool:
        return self._roster.name_of(key.decode("ascii")) is not None


def message(peer: str, frames: Sequence[zmq.Frame]) -> Event | None:
    """The message in some frames, if they are one."""
    if not (len(frames) in (1, 2) and 0 < len(frames[0]) <= MOST_HEADER_BYTES):
        return None
    if len(frames) == 1:
        return Event("message", peer, frames[0].bytes)
    if len(frames[1]) > MOST_PAYLOAD_BYTES:
        return None
    return Event("message", peer, frames[0].bytes, frames[1].buffer)


def is_greeting(frames: Sequence[zmq.Frame]) -> bool:
    """Whether frames only tell that somebody is there."""
    return len(frames) == 1 and len(frames[0]) == 0


def parts(*found: Buffer | None) -> list[Buffer]:
    """Those that are there, as frames to send."""
    return [part for part in found if part is not None]


def known_about(frame: zmq.Frame, what: int | str) -> int | str | None:
    """What ZeroMQ knows of where a frame comes from; None, say, of those who speak an early version of its protocol."""
    try:
        return frame.get(what)
    except zmq.ZMQError:
        return None


def checked_address(address: str, insecure: bool, least_port: int) -> tuple[str, int]:
    """Host and port.

    Raises:
        InputError: it is no address, or not one that may be insecure.
    """
    found = split_address(address, least_port)
    if found is None:
        raise InputError(f"address {address!r}: allowed: {ADDRESS_FORM.format(least=least_port)}")
    if insecure and not _is_loopback(found[0]):
        raise InputError(f"address {address}: allowed without keys: only this machine's own, such as 127.0.0.1")
    return found


def bind(raw: zmq.Socket[bytes], address: str, host: str, port: int) -> str:
    """Bind; the address as bound.

    Raises:
        InputError: that cannot be done.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET  # a name stands for the same on both ends
    try:  # ZeroMQ itself takes no names here
        ip = str(socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError):
        raise InputError(f"address {address}: no machine of that name is known here") from None
    try:
        raw.ipv6 = family == socket.AF_INET6
        raw.bind(f"tcp://{address_text(ip, port)}")
    except zmq.ZMQError as error:
        raise InputError(f"address {address}: cannot be listened at ({reason(error)})") from None
    endpoint = raw.getsockopt(zmq.LAST_ENDPOINT)
    assert isinstance(endpoint, bytes)
    return endpoint.rstrip(b"\0").decode().removeprefix("tcp://")


def reason(error: zmq.ZMQError) -> str:
    """Why something failed, without what pyzmq adds."""
    return zmq.strerror(error.errno or 0)


def raise_descriptor_limit() -> None:
    """Strangers' connections hold descriptors until their handshakes time out: have some to spare."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def milliseconds(seconds: float) -> int:
    return max(0, math.ceil(seconds * 1e3))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
