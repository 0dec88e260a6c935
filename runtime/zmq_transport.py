"""Messages over ZeroMQ: encrypted and authenticated by CURVE, bounded, and never for the successor of a dead peer.

A :class:`ZmqListener` learns who its peers are from their keys, a :class:`ZmqDialer` has one socket for every
connection, so that what is queued dies with it. Neither says anything twice: a lost connection loses messages, and
whoever sends them must be able to repeat them.
"""

from __future__ import annotations

import math
import secrets
import time
from collections import deque
from collections.abc import Sequence

import zmq

from ..ui.errors import InputError
from .drops import Drops
from .keys import Identity, Roster
from .transport import Buffer, Dialer, Event, PeerGone, PeerSlow, check_bounds
from .zmq_intake import Intake, Watch
from .zmq_links import MOST_LINKS, Link, Links
from .zmq_sockets import (
    FAILURES,
    HANDSHAKE_S,
    UNINVITED,
    Context,
    WatchedSocket,
    bind,
    checked_address,
    is_greeting,
    known_about,
    lock,
    message,
    milliseconds,
    parts,
    raise_descriptor_limit,
    reason,
)

SEND_HWM = 8  # messages that wait at each end of a connection
REPLY_HWM = 64  # replies are small, and nobody waits to make them
CONNECT_S = 3.0
SILENCE_S = 5.0
RETRY_S, MOST_RETRY_S = 0.1, 1.0  # pause before dialling again, doubled each time
NEVER_S = 1e6
MOST_UNREAD = 4 * REPLY_HWM  # replies that are kept for a caller who does not poll


class ZmqListener:
    """Where others send to; used by one thread.

    Args:
        address: ``host:port`` of this machine to bind; port 0 for any that is free.
        identity: of this machine.
        roster: who may connect.
        insecure: neither encrypt nor verify; among processes of one machine only.
        silence_s: how long a connection may take to bring its first message.
        drops: where messages and connections are counted that are dropped.

    Attributes:
        address: as bound.
        drops: as given, or its own.

    Raises:
        InputError: the address is not of this machine, is in use, or is not allowed when insecure.
    """

    def __init__(
        self,
        address: str,
        identity: Identity,
        roster: Roster,
        insecure: bool = False,
        silence_s: float = SILENCE_S,
        drops: Drops | None = None,
    ) -> None:
        host, port = checked_address(address, insecure, least_port=0)
        self.drops = Drops() if drops is None else drops
        self._roster, self._insecure = roster, insecure
        self._links = Links()
        self._intake = Intake(silence_s, len(roster.members))
        raise_descriptor_limit()
        self._context = zmq.Context()
        events = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED
        for event in UNINVITED:
            events |= event
        self._socket = WatchedSocket(self._context, zmq.ROUTER, events)
        self._auth = None
        raw = self._socket.raw
        raw.router_mandatory = 1
        raw.rcvhwm, raw.sndhwm = SEND_HWM, REPLY_HWM
        try:
            if not insecure:
                self._auth = lock(raw, identity, roster)
            self.address = bind(raw, address, host, port)
        except BaseException:
            self.close()
            raise

    def poll(self, timeout_s: float) -> Sequence[Event]:
        """What has come in, waiting for at most so long for the first."""
        deadline_s = time.monotonic() + timeout_s
        events: list[Event] = []
        while True:
            self._hear()
            ends, taken = self._links.ends(), self._intake.look()
            # As many as can have waited when the ends were heard: each connection's turn comes once in a round.
            for _ in range((SEND_HWM + 1) * (len(self._links) + 1)):
                if not self._take(events):
                    break
            for descriptor, serial in ends:
                self._links.leave(descriptor, serial, events)
            for descriptor, why in self._intake.judge(taken):
                self._cut(descriptor, why)
            left_s = deadline_s - time.monotonic()
            if events or left_s <= 0:
                return events
            self._socket.wait(zmq.POLLIN, min(left_s, self._intake.look_s) if self._intake else left_s)

    def reply(self, peer: str, header: bytes, payload: Buffer | None = None) -> None:
        """Send to a peer that is connected here, never waiting.

        Raises:
            PeerGone: it is not connected, or does not take what it was sent before.
        """
        check_bounds(header, payload)
        link = self._links.current.get(peer)
        if link is None:
            raise PeerGone(f"{peer} is not connected")
        try:
            self._socket.raw.send_multipart(parts(link.route, header, payload), zmq.NOBLOCK)
        except zmq.Again:
            raise PeerGone(f"{peer} takes nothing") from None
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            raise PeerGone(f"{peer} went away") from None

    def close(self) -> None:
        """Close; what has not left yet is dropped."""
        if self._auth is not None:
            self._auth.stop()
        self._context.destroy(linger=0)

    def __enter__(self) -> ZmqListener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _hear(self) -> None:
        for event, descriptor in self._socket.heard():
            if event in UNINVITED:  # with a reason, not a descriptor
                self.drops.add(UNINVITED[event])
            elif event == zmq.EVENT_ACCEPTED:
                self._links.hear_accepted(descriptor)
                self._intake.opened(descriptor)
            else:
                self._links.hear_end(descriptor)
                self._intake.closed(descriptor)

    def _cut(self, descriptor: int, why: str) -> None:
        """End a connection that does not keep to what is allowed."""
        if self._intake.cut(descriptor, self._hear):
            self.drops.add(why)

    def _take(self, events: list[Event]) -> bool:
        """Receive a message; whether there was one."""
        frames = self._socket.receive()
        if frames is None:
            return False
        route, *rest = frames
        peer = self._name(route, rest[0]) if rest else None
        link = None if peer is None else self._link(route.bytes, peer, rest[0], events)
        descriptor = known_about(rest[0], zmq.SRCFD) if link is None and rest else link and link.descriptor
        if descriptor is not None:
            self._intake.spoke(int(descriptor))
        if link is None:
            self.drops.add("messages of nobody on the roster" if peer is None else "messages of ended connections")
        elif self._links.current.get(link.peer) is not link:
            self.drops.add("messages of replaced connections")
        elif (event := message(link.peer, rest)) is not None:
            events.append(event)
        elif not is_greeting(rest):
            self.drops.add("malformed messages")
        return True

    def _name(self, route: zmq.Frame, frame: zmq.Frame) -> str | None:
        """Whom a message comes from: by the key where there are keys, else by what the routing id claims."""
        if self._insecure:
            name = route.bytes.partition(b"/")[0].decode("ascii", "replace")
            return name if name in self._roster.members else None
        key = known_about(frame, "User-Id")  # as the door has checked it
        return None if key is None else self._roster.name_of(str(key))

    def _link(self, route: bytes, peer: str, frame: zmq.Frame, events: list[Event]) -> Link | None:
        """The connection that a message came by; None if it has ended, or its end could not be heard of."""
        link = self._links.find(route, peer)
        descriptor = known_about(frame, zmq.SRCFD) if link is None else None
        if descriptor is not None:
            self._hear()  # it was accepted before it sent anything
            link = self._links.join(route, peer, int(descriptor), events)
            for surplus in self._links.surplus(peer):
                self._cut(surplus, f"connections beyond {MOST_LINKS} of one name")
        return link


class ZmqDialer:
    """A connection to one peer, made anew whenever it ends; used by one thread.

    Args:
        address: ``host:port`` of the peer's listener.
        peer: its name.
        identity: of this machine.
        roster: where the peer's key is found.
        insecure: neither encrypt nor verify; to an address of this machine only.
        context: shared with others, and not closed here.
        watch: ends a connection by which more comes than is read.

    Attributes:
        address, peer: as given.

    Raises:
        InputError: the address is none, is not allowed when insecure, or the peer is not on the roster.
    """

    def __init__(
        self,
        address: str,
        peer: str,
        identity: Identity,
        roster: Roster,
        insecure: bool = False,
        context: Context | None = None,
        watch: Watch | None = None,
    ) -> None:
        checked_address(address, insecure, least_port=1)
        if peer not in roster.members:
            raise InputError(f"{peer} at {address} is not on the roster")
        self.address, self.peer = address, peer
        self._identity, self._peer_key = identity, roster.members[peer].public
        self._insecure = insecure
        self._events: deque[Event] = deque(maxlen=2 * MOST_UNREAD)
        self._socket: WatchedSocket | None = None  # of this attempt, or this connection
        self._up = False
        self._lost = False  # since the last call that told of it
        self._due_s = time.monotonic()  # when to dial, or to give an attempt up
        self._pause_s = RETRY_S
        self._why = "is not connected yet"
        self._watch = watch
        self._own_context = context is None
        self._context = zmq.Context() if context is None else context
        try:
            self._follow()
        except zmq.ZMQError as error:
            self.close()
            raise InputError(f"address {address}: cannot be connected ({reason(error)})") from None

    def send(self, header: bytes, payload: Buffer | None = None, timeout_s: float = 5.0) -> None:
        """Hand a message over, waiting while the peer takes none.

        Raises:
            PeerSlow: there was no connection, or the peer took nothing, for so long.
            PeerGone: the connection ended since the last call. What was handed over for it is dropped.
        """
        check_bounds(header, payload)
        frames = parts(header, payload)
        deadline_s = time.monotonic() + timeout_s
        while True:
            self._follow()
            if self._lost:
                self._lost = False
                raise PeerGone(f"{self.peer} at {self.address}: {self._why}", self._why)
            if self._up and self._try(frames):
                return
            if time.monotonic() >= deadline_s:
                why = "takes nothing" if self._up else self._why
                raise PeerSlow(f"{self.peer} at {self.address}: {why} ({timeout_s:g} s)", why)
            _wait([self], zmq.POLLOUT, deadline_s)

    def poll(self, timeout_s: float) -> Sequence[Event]:
        """What the peer has replied, and whether the connection is up, waiting for at most so long for the first."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            self._follow()
            self._receive()
            if self._events or time.monotonic() >= deadline_s:
                events = list(self._events)
                self._events.clear()
                self._lost = False  # told by an event
                return events
            _wait([self], zmq.POLLIN, deadline_s)

    def attend(self) -> None:
        """See to the connection where there is nothing to say: one that never says who is there is ended."""
        self._follow()

    def close(self) -> None:
        """Close; what has not left yet is dropped."""
        if self._socket is not None:
            self._disconnect(self._socket)
        self._up, self._due_s = False, math.inf
        if self._own_context:
            self._context.destroy(linger=0)

    def __enter__(self) -> ZmqDialer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _follow(self) -> None:
        """Dial, notice that the connection is there, notice that it is not; never waiting."""
        if self._socket is None:
            if time.monotonic() >= self._due_s:
                self._dial()
            return
        for event, descriptor in self._socket.heard():
            if event == zmq.EVENT_CONNECTED:
                if self._watch is not None:
                    self._watch.opened(self, descriptor)
            elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._up, self._pause_s = True, RETRY_S
                self._events.append(Event("up", self.peer))
                self._try([b""])  # tells the listener who is there, before there is anything to say
            else:
                self._hang_up(FAILURES[event])
                return
        if not self._up and time.monotonic() >= self._due_s:
            self._hang_up("does not answer")

    def _dial(self) -> None:
        events = zmq.EVENT_CONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED
        for event in FAILURES:
            events |= event
        self._socket = WatchedSocket(self._context, zmq.DEALER, events)
        raw = self._socket.raw
        # Another connection is another socket. That takes the place of ZMQ_IMMEDIATE, which would throw away replies
        # that have come but are not read when the connection ends; so would an interval of -1.
        raw.reconnect_ivl = milliseconds(NEVER_S)
        raw.connect_timeout = milliseconds(CONNECT_S)
        raw.sndhwm, raw.rcvhwm = SEND_HWM, REPLY_HWM
        if self._insecure:
            raw.routing_id = f"{self._identity.name}/{secrets.token_hex(8)}".encode()
        else:
            raw.curve_serverkey = self._peer_key.encode()
            raw.curve_publickey = self._identity.public.encode()
            raw.curve_secretkey = self._identity.secret.encode()
        raw.ipv6 = self.address.startswith("[")
        raw.connect(f"tcp://{self.address}")
        self._due_s = time.monotonic() + CONNECT_S + HANDSHAKE_S + 0.5

    def _hang_up(self, why: str) -> None:
        assert self._socket is not None
        self._why = why
        if self._up:
            self._receive()
            self._events.append(Event("down", self.peer))
            self._up, self._lost = False, True
        self._disconnect(self._socket)
        self._due_s = time.monotonic() + self._pause_s
        self._pause_s = min(2 * self._pause_s, MOST_RETRY_S)

    def _disconnect(self, watched: WatchedSocket) -> None:
        watched.close()
        self._socket = None
        if self._watch is not None:
            self._watch.closed(self)

    def _try(self, frames: list[Buffer]) -> bool:
        assert self._socket is not None
        try:
            self._socket.raw.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def _receive(self) -> None:
        while self._up and self._socket is not None and len(self._events) < MOST_UNREAD:
            frames = self._socket.receive()
            if frames is None:
                return
            if self._watch is not None:
                self._watch.spoke(self)
            event = message(self.peer, frames)
            if event is not None:
                self._events.append(event)

    def _register(self, poller: zmq.Poller, flag: int) -> float:
        """Let a poller wait for what concerns this dialer; returns when its next step is due."""
        if self._socket is not None:
            self._socket.register(poller, flag if self._up else 0)
        return math.inf if self._up else self._due_s


class ZmqNetwork:
    """How one party reaches others; dialers are closed by whoever asked for them, and before the network.

    Args:
        identity, roster, insecure: as for :class:`ZmqDialer`.
    """

    def __init__(self, identity: Identity, roster: Roster, insecure: bool = False) -> None:
        self._identity, self._roster = identity, roster
        self._insecure = insecure
        self._context, self._watch = zmq.Context(), Watch()

    def dial(self, address: str, peer: str) -> ZmqDialer:
        """Connect to a listener that proves to be ``peer``; returns at once, whether or not it is there.

        Raises:
            InputError: as :class:`ZmqDialer` does.
        """
        return ZmqDialer(address, peer, self._identity, self._roster, self._insecure, self._context, self._watch)

    def poll(self, dialers: Sequence[Dialer], timeout_s: float) -> Sequence[Event]:
        """What any of these peers has replied, waiting for at most so long for the first."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            events = [event for dialer in dialers for event in dialer.poll(0.0)]
            if events or time.monotonic() >= deadline_s:
                return events
            _wait([dialer for dialer in dialers if isinstance(dialer, ZmqDialer)], zmq.POLLIN, deadline_s)

    def close(self) -> None:
        """Close, with all dialers."""
        self._watch.close()
        self._context.destroy(linger=0)

    def __enter__(self) -> ZmqNetwork:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _wait(dialers: Sequence[ZmqDialer], flag: int, until_s: float) -> None:
    """Until something happens to a dialer, a step is due, or until then."""
    poller = zmq.Poller()
    due_s = min([until_s, *(dialer._register(poller, flag) for dialer in dialers)])
    left_s = max(0.0, due_s - time.monotonic())
    if poller.sockets:
        poller.poll(milliseconds(left_s))
    else:  # between two attempts there is no socket, and of none a poller would not wait
        time.sleep(left_s)
