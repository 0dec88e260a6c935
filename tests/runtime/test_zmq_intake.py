"""What is never finished is ended in time; what is merely large, many or idle is not."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping

import pytest
import zmq

from splitgym.runtime.transport import MOST_HEADER_BYTES, MOST_PAYLOAD_BYTES, Event
from splitgym.runtime.zmq_intake import (
    ALERT_S,
    ENDLESS,
    LOOK_S,
    MOST_MESSAGE_BYTES,
    MOST_UNREAD_BYTES,
    SILENT,
    Intake,
)
from splitgym.runtime.zmq_links import MOST_LINKS
from splitgym.runtime.zmq_transport import ZmqDialer, ZmqListener, ZmqNetwork

from .network import (
    ANN,
    ANY,
    BOB,
    DESK,
    ENOUGH_S,
    HOST,
    ROSTER,
    SOON_S,
    headers,
    raw_context,
    raw_dealer,
    until,
    until_kind,
    until_why,
)

BOTH_WAYS = pytest.mark.parametrize("insecure", [False, True], ids=["curve", "plain"])


def send_long(raw: zmq.Socket[bytes], first: list[bytes], n_bytes: int, frame_bytes: int) -> None:
    """One message of very many frames; ZeroMQ sends none of them before it has the last."""
    frame = bytes(frame_bytes)
    for part in (*first, *[frame] * (n_bytes // frame_bytes)):
        raw.send(part, zmq.SNDMORE, copy=False)
    raw.send(b"the end")


@BOTH_WAYS
@pytest.mark.parametrize("frame_bytes", [100, MOST_PAYLOAD_BYTES])
def test_a_message_of_too_many_frames_costs_its_sender_the_connection(insecure: bool, frame_bytes: int) -> None:
    with (
        ZmqListener(ANY, DESK, ROSTER, insecure, ENOUGH_S) as listener,
        ZmqDialer(listener.address, "desk", ANN, ROSTER, insecure) as ann,
        raw_context() as context,
    ):
        until_kind(ann, "up")
        raw = raw_dealer(context, listener.address, None if insecure else BOB, b"bob", once=True)
        raw.send(b"here I am")
        until(listener, lambda events: Event("up", "ann") in events and headers(events) == [b"here I am"])
        send_long(raw, [], 2**26, frame_bytes)
        assert until_kind(listener, "down") == [Event("down", "bob")]
        assert listener.drops.counts == {ENDLESS: 1}
        ann.send(b"undisturbed")
        assert headers(until_kind(listener, "message")) == [b"undisturbed"]


def test_who_has_nothing_to_say_may_stay_if_it_says_who_it_is() -> None:
    silence_s = 1.0
    with (
        ZmqListener(ANY, DESK, ROSTER, silence_s=silence_s) as listener,
        ZmqDialer(listener.address, "desk", ANN, ROSTER) as dialer,
    ):
        came: list[Event] = []
        due_s = time.monotonic() + ENOUGH_S
        while not came and time.monotonic() < due_s:
            dialer.attend()
            came += listener.poll(0.01)
        assert came == [Event("up", "ann")]
        until_s = time.monotonic() + 4 * silence_s
        while time.monotonic() < until_s:
            dialer.attend()
            assert not listener.poll(0.01)


def test_it_looks_more_often_while_somebody_may_bring_too_much() -> None:
    intake = Intake(ENOUGH_S, 2)
    assert intake.look_s == LOOK_S
    intake.opened(5)
    assert intake.look_s == ALERT_S
    assert intake.judge({}) == []
    assert intake.look_s == ALERT_S  # nobody has looked at it yet
    intake.spoke(5)
    assert intake.judge({5: 100}) == []
    assert intake.look_s == LOOK_S
    assert intake.judge({5: 100 + MOST_MESSAGE_BYTES}) == []
    assert intake.look_s == ALERT_S


def test_the_largest_messages_are_not_too_large_whenever_they_come() -> None:
    """Also those that are read from a connection between the look at it and the messages' turn."""
    header, payload = bytes(MOST_HEADER_BYTES), bytes(MOST_PAYLOAD_BYTES)
    with (
        ZmqListener(ANY, DESK, ROSTER, silence_s=ENOUGH_S) as listener,
        ZmqDialer(listener.address, "desk", ANN, ROSTER) as dialer,
    ):
        until_kind(dialer, "up")
        look, looks = listener._intake.look, 0

        def look_and_linger() -> Mapping[int, int]:
            nonlocal looks
            found = look()
            if found and looks % 3 == 0:
                for _ in range(4):
                    dialer.send(header, payload, ENOUGH_S)
                time.sleep(SOON_S)
            looks += bool(found)
            return found

        listener._intake.look = look_and_linger  # type: ignore[method-assign]
        came = 0
        while looks < 9 or came < 12:
            came += len(headers(listener.poll(0.05)))
            assert not listener.drops.total


def test_who_says_nothing_is_shown_out_and_who_has_said_something_may_be_idle() -> None:
    silence_s = 1.0
    with (
        ZmqListener(ANY, DESK, ROSTER, silence_s=silence_s) as listener,
        ZmqDialer(listener.address, "desk", ANN, ROSTER) as ann,
        raw_context() as context,
    ):
        until_kind(ann, "up")
        silent = raw_dealer(context, listener.address, BOB, once=True)
        events: list[Event] = []
        while not listener.drops.counts.get(SILENT):
            events += listener.poll(SOON_S)
        events += listener.poll(silence_s)
        assert events == [Event("up", "ann")]
        silent.close()


def test_one_name_has_few_connections() -> None:
    with ZmqListener(ANY, DESK, ROSTER) as listener, raw_context() as context:
        dealers = [raw_dealer(context, listener.address, BOB) for _ in range(MOST_LINKS + 4)]
        for i, raw in enumerate(dealers):
            raw.send(b"%d" % i)
            until(listener, lambda events, i=i: headers(events) == [b"%d" % i])
        assert listener.drops.counts[f"connections beyond {MOST_LINKS} of one name"] >= 4
        while len(listener._links) > MOST_LINKS:  # their ends are heard of a moment later
            listener.poll(SOON_S)


def test_many_unfinished_messages_together_are_too_much() -> None:
    """Connections that have never said anything go first."""
    taken = {d: 10_000 if d else MOST_MESSAGE_BYTES for d in range(1000)}
    intake = Intake(ENOUGH_S, 3)
    for descriptor in taken:
        intake.opened(descriptor)
    intake.spoke(0)
    assert 0 not in dict(intake.judge({**taken, 0: 0}))
    found = dict(intake.judge(taken))
    assert 0 not in found
    assert set(found.values()) == {ENDLESS}
    assert sum(taken[d] for d in taken if d not in found) <= 16 * MOST_MESSAGE_BYTES
    assert intake.judge({d: taken[d] for d in list(taken)[:100]}) == []


def test_a_descriptor_that_another_connection_has_now_is_left_alone() -> None:
    ours, theirs = socket.socketpair()
    intake = Intake(ENOUGH_S, 3)
    intake.opened(ours.fileno())

    def another() -> None:
        intake.closed(ours.fileno())
        intake.opened(ours.fileno())

    with ours, theirs:
        assert not intake.cut(ours.fileno(), another)
        ours.sendall(b"still here")
        assert theirs.recv(100) == b"still here"
        assert intake.cut(ours.fileno(), lambda: None)
        assert theirs.recv(100) == b""
    assert not intake.cut(10**6, lambda: None)


@BOTH_WAYS
def test_a_listener_that_floods_those_who_only_send_is_hung_up_on(insecure: bool) -> None:
    with raw_context() as context:
        router = context.socket(zmq.ROUTER)
        if not insecure:
            router.curve_server, router.curve_secretkey = 1, DESK.secret.encode()
        port = router.bind_to_random_port(f"tcp://{HOST}")
        with ZmqNetwork(ANN, ROSTER, insecure) as network:
            dialer = network.dial(f"{HOST}:{port}", "desk")
            dialer.send(b"rows", None, ENOUGH_S)
            route = router.recv_multipart()[0]
            send_long(router, [route], 16 * MOST_UNREAD_BYTES, 30_000)
            assert isinstance(dialer, ZmqDialer)
            until_why(dialer, "the connection ended")
            dialer.close()
