"""Who may speak, under which name, and what those can do who may not, or who mean ill."""

from __future__ import annotations

import os
import random
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
import zmq

from splitgym.runtime.keys import Identity, Member, Roster
from splitgym.runtime.shaper import Relay
from splitgym.runtime.transport import MOST_HEADER_BYTES, MOST_PAYLOAD_BYTES, Event, PeerGone
from splitgym.runtime.zmq_sockets import raise_descriptor_limit
from splitgym.runtime.zmq_transport import ZmqDialer, ZmqListener

from .network import (
    ANN,
    ANY,
    BOB,
    DESK,
    ENOUGH_S,
    EVE,
    ROSTER,
    SOON_S,
    connected,
    headers,
    raw_context,
    raw_dealer,
    until,
    until_kind,
    until_why,
)


@pytest.fixture(params=[False, True], ids=["curve", "plain"])
def insecure(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.fixture
def listener(insecure: bool) -> Iterator[ZmqListener]:
    """Of the desk; afterwards it still serves who is on the roster."""
    with ZmqListener(ANY, DESK, ROSTER, insecure) as listener:
        yield listener
        with ZmqDialer(listener.address, "desk", ANN, ROSTER, insecure) as dialer:
            dialer.send(b"still there?", bytes(1000), ENOUGH_S)
            events = until(listener, lambda events: b"still there?" in headers(events))
            assert [event.peer for event in events if event.header == b"still there?"] == ["ann"]
            listener.reply("ann", b"yes")
            assert headers(until_kind(dialer, "up", "message")) == [b"yes"]


only_curve = pytest.mark.parametrize("insecure", [False], ids=["curve"], indirect=True)
only_plain = pytest.mark.parametrize("insecure", [True], ids=["plain"], indirect=True)


@only_curve
@pytest.mark.parametrize("claimed", [b"ann", b"ann/1", b"desk"])
def test_a_name_is_that_of_the_key_whatever_is_claimed(listener: ZmqListener, claimed: bytes) -> None:
    with raw_context() as context:
        raw = raw_dealer(context, listener.address, BOB, claimed)
        raw.send(b"I am ann")
        up, message = until_kind(listener, "up", "message")
        assert (up.peer, message.peer, message.header) == ("bob", "bob", b"I am ann")
        with pytest.raises(PeerGone):
            listener.reply("ann", b"secret")


@only_curve
def test_a_routing_id_that_another_had_before_names_nobody_else(listener: ZmqListener) -> None:
    with raw_context() as context:
        raw = raw_dealer(context, listener.address, ANN, b"same")
        raw.send(b"1")
        assert [event.peer for event in until_kind(listener, "up", "message")] == ["ann", "ann"]
    until_kind(listener, "down")
    with raw_context() as context:
        raw = raw_dealer(context, listener.address, BOB, b"same")
        raw.send(b"2")
        assert [event.peer for event in until_kind(listener, "up", "message")] == ["bob", "bob"]


@only_plain
def test_without_keys_only_names_of_the_roster(listener: ZmqListener) -> None:
    with raw_context() as context:
        claims = (b"eve", b"", b"\xff\xfe", b"eve/ann", b"bob")
        dealers = [raw_dealer(context, listener.address, None, claimed) for claimed in claims]
        for dealer in dealers:
            dealer.send(b"hello")
        up, message = until_kind(listener, "up", "message")
        assert (up, message.peer) == (Event("up", "bob"), "bob")
        while listener.drops.total < 4:
            assert list(listener.poll(SOON_S)) == []


@only_curve
def test_a_key_that_is_not_listed_gets_no_answer(listener: ZmqListener) -> None:
    with ZmqDialer(listener.address, "desk", EVE, ROSTER) as dialer, raw_context() as context:
        raw = raw_dealer(context, listener.address, EVE, b"ann")
        with suppress(zmq.Again):  # it may be refused before
            raw.send(b"let me in", zmq.NOBLOCK)
        until_why(dialer, r"^desk at .*: refuses this machine's key: is it on the roster there\?")
        assert list(listener.poll(SOON_S)) == []
        assert set(listener.drops.counts) == {"keys that are not on the roster"}  # it never came so far
        assert list(dialer.poll(0)) == []
        assert not raw.poll(0)


@only_curve
def test_an_impostor_of_the_listener_gets_nothing(listener: ZmqListener) -> None:
    other = Roster([Member("desk", EVE.public, "controller")])
    with ZmqDialer(listener.address, "desk", ANN, other) as dialer:
        until_why(dialer, "another key|another protocol")
        assert list(listener.poll(SOON_S)) == []


def test_only_one_of_both_without_keys(listener: ZmqListener, insecure: bool) -> None:
    with ZmqDialer(listener.address, "desk", ANN, ROSTER, not insecure) as dialer:
        until_why(dialer, "one of both is not encrypted|does not answer")
        assert list(listener.poll(SOON_S)) == []


def test_nobody_gets_in_when_nobody_is_at_the_door() -> None:
    with ZmqListener(ANY, DESK, ROSTER) as listener:
        assert listener._auth is not None
        listener._auth.stop()
        with ZmqDialer(listener.address, "desk", ANN, ROSTER) as dialer:
            until_why(dialer, "does not answer")
            assert list(listener.poll(SOON_S)) == []


MALFORMED = {
    "empty": [b"", b"payload"],
    "long header": [bytes(MOST_HEADER_BYTES + 1)],
    "long payload": [b"x", bytes(MOST_PAYLOAD_BYTES + 1)],
    "three frames": [b"a", b"b", b"c"],
    "many frames": [b"x"] * 3000,
    "of a REQ socket": [b"", b"a", b"b"],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_messages_are_dropped_alone(listener: ZmqListener, insecure: bool, name: str) -> None:
    identity: Identity | None = None if insecure else BOB
    with raw_context() as context:
        raw = raw_dealer(context, listener.address, identity, b"bob")
        raw.send_multipart(MALFORMED[name])
        raw.send(b"good")
        up, message = until_kind(listener, "up", "message")
        assert (up.peer, message.peer, message.header) == ("bob", "bob", b"good")
        assert listener.drops.counts == {"malformed messages": 1}
        listener.reply("bob", b"heard")
        assert raw.poll(int(ENOUGH_S * 1e3))
        assert raw.recv_multipart() == [b"heard"]


def test_an_oversize_message_costs_its_sender_the_connection(listener: ZmqListener, insecure: bool) -> None:
    with ZmqDialer(listener.address, "desk", ANN, ROSTER, insecure) as ann, raw_context() as context:
        until_kind(ann, "up")
        until_kind(listener, "up")
        raw = raw_dealer(context, listener.address, None if insecure else BOB, b"bob", once=True)
        raw.send(b"here I am")
        until_kind(listener, "up", "message")
        raw.send_multipart([b"x", bytes(4 * MOST_PAYLOAD_BYTES)])
        assert until_kind(listener, "down") == [Event("down", "bob")]
        ann.send(b"undisturbed")
        assert until_kind(listener, "message")[0].peer == "ann"
        ann.close()
        until_kind(listener, "down")


def test_malformed_replies_are_dropped(insecure: bool) -> None:
    with raw_context() as context:
        router = context.socket(zmq.ROUTER)
        if not insecure:
            router.curve_server, router.curve_secretkey = 1, DESK.secret.encode()
        port = router.bind_to_random_port("tcp://127.0.0.1")
        with ZmqDialer(f"127.0.0.1:{port}", "desk", ANN, ROSTER, insecure) as dialer:
            until_kind(dialer, "up")
            route, greeting = router.recv_multipart()
            assert greeting == b""
            for frames in MALFORMED.values():
                router.send_multipart([route, *frames])
            router.send_multipart([route, b"good"])
            assert headers(until_kind(dialer, "message")) == [b"good"]
            router.send_multipart([route, b"x", bytes(4 * MOST_PAYLOAD_BYTES)])
            until_kind(dialer, "down")


def greeting(mechanism: bytes, major: int = 3) -> bytes:
    return b"\xff" + bytes(8) + b"\x7f" + bytes([major, 0]) + mechanism.ljust(20, b"\0") + bytes(32)


GARBAGE = {
    "nothing": b"",
    "web": b"GET / HTTP/1.1\r\nHost: desk\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),
    "zeros": bytes(65536),
    "ones": b"\xff" * 65536,
    "noise": random.Random(0).randbytes(65536),
    "half a greeting": greeting(b"CURVE")[:20],
    "another mechanism": greeting(b"PLAIN") + b"\x04\x1a\x05HELLO" + bytes(20),
    "an early protocol": b"\x04\x00ann\x06\x00hello",
    "an older protocol": b"\xff" + bytes(7) + b"\x04\x7f\x01\x05\x00\x03ann\x00\x05hello",
    "a later protocol": greeting(b"CURVE", 9) + bytes(300),
    "no hello": greeting(b"CURVE") + b"\x04\xc6\x05HELLO" + bytes(192),
    "a huge frame": greeting(b"NULL") + b"\x06" + b"\xff" * 8 + bytes(1000),
    "a huge frame after hello": greeting(b"NULL")
    + b"\x04\x26\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x00"
    + b"\x02"
    + b"\x7f" * 8
    + bytes(1000),
}


def test_garbage_does_no_harm(listener: ZmqListener) -> None:
    with ExitStack() as stack:
        for sent in GARBAGE.values():
            stranger = stack.enter_context(connected(listener.address))
            with suppress(OSError):  # dropped before it has said all
                stranger.sendall(sent)
        assert list(listener.poll(SOON_S)) == []


def test_strangers_who_say_nothing_are_shown_out(listener: ZmqListener) -> None:
    with ExitStack() as stack:
        strangers = [stack.enter_context(connected(listener.address)) for _ in range(200)]
        with ZmqDialer(listener.address, "desk", BOB, ROSTER, listener._insecure) as bob:
            bob.send(b"served meanwhile", None, ENOUGH_S)
            until_kind(listener, "up", "message")
        until_kind(listener, "down")
        for stranger in strangers:
            with suppress(ConnectionResetError):
                while stranger.recv(1024):  # its greeting, then the end, within the timeout of the socket
                    pass


@pytest.mark.parametrize(
    ("soft", "hard", "raised"),
    [
        (1024, 4096, 4096),
        (1024, resource.RLIM_INFINITY, 65536),
        (4096, 4096, None),
        (100_000, 200_000, None),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None),
    ],
)
def test_descriptors_to_spare(soft: int, hard: int, raised: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limit: limits.append(limit))
    raise_descriptor_limit()
    assert limits == ([] if raised is None else [(raised, hard)])


def test_what_crosses_the_wire_is_read_by_nobody(insecure: bool) -> None:
    header, payload = b"rows 3 to 17 of conv4_2", os.urandom(64) * 512
    with (
        ZmqListener(ANY, DESK, ROSTER, insecure) as listener,
        Relay(listener.address, keeps=True) as relay,
        ZmqDialer(relay.address, "desk", ANN, ROSTER, insecure) as dialer,
    ):
        dialer.send(header, payload, ENOUGH_S)
        assert until_kind(listener, "up", "message")[1].payload == payload
        listener.reply("ann", header, payload)
        until_kind(dialer, "up", "message")
        for seen in relay.seen:
            assert len(seen) > len(payload)
            assert (header in seen) is insecure
            assert (payload[:64] in seen) is insecure


def test_what_was_recorded_cannot_be_said_again() -> None:
    with ZmqListener(ANY, DESK, ROSTER) as listener, Relay(listener.address, keeps=True) as relay:
        with ZmqDialer(relay.address, "desk", ANN, ROSTER) as dialer:
            dialer.send(b"pay", bytes(1000), ENOUGH_S)
            until_kind(listener, "up", "message")
        until_kind(listener, "down")
        with connected(listener.address) as replay:
            replay.sendall(relay.seen[0])
            with suppress(ConnectionResetError):
                while replay.recv(1024):
                    pass
        assert list(listener.poll(SOON_S)) == []


def test_short_visits_are_told_in_order(listener: ZmqListener, insecure: bool) -> None:
    for i, identity in enumerate((ANN, BOB, ANN, BOB)):  # in one descriptor after the other, before anything is read
        context = zmq.Context()
        raw = raw_dealer(context, listener.address, None if insecure else identity, f"{identity.name}/{i}".encode())
        raw.send(identity.name.encode())
        raw.close(linger=int(ENOUGH_S * 1e3))
        context.term()
        with socket.create_connection(("127.0.0.1", int(listener.address.rpartition(":")[2]))):
            pass
    events = until(listener, lambda events: sum(event.kind == "down" for event in events) == 4)
    for name in ("ann", "bob"):
        kinds = [event.kind for event in events if event.peer == name]
        assert kinds == ["up", "message", "down"] * 2
