"""Messages between peers with keys: they arrive whole and in order, or are known not to; connections come and go."""

from __future__ import annotations

import gc
import socket
import threading
import time
from operator import gt
from typing import Any

import pytest
import zmq

from splitgym.runtime.shaper import Relay
from splitgym.runtime.transport import CHUNK_BYTES, MOST_HEADER_BYTES, MOST_PAYLOAD_BYTES, Event, PeerGone
from splitgym.runtime.zmq_transport import ZmqDialer, ZmqListener, ZmqNetwork
from splitgym.ui.errors import InputError

from .network import (
    ANN,
    ANY,
    BOB,
    DESK,
    ENOUGH_S,
    HOST,
    ROSTER,
    SOON_S,
    free_address,
    headers,
    held,
    until,
    until_gone,
    until_kind,
    until_why,
)

BOTH_WAYS = pytest.mark.parametrize("insecure", [False, True], ids=["curve", "plain"])


@BOTH_WAYS
def test_a_message_and_its_reply(insecure: bool) -> None:
    payload = bytes(range(256)) * 512
    assert len(payload) == MOST_PAYLOAD_BYTES
    with (
        ZmqListener(ANY, DESK, ROSTER, insecure) as listener,
        ZmqDialer(listener.address, "desk", ANN, ROSTER, insecure) as dialer,
    ):
        mutable = bytearray(payload)
        dialer.send(b"rows", mutable, ENOUGH_S)
        mutable[:] = bytes(len(mutable))  # ours again at once
        dialer.send(b"bare")
        up, rows, bare = until_kind(listener, "up", "message", "message")
        assert {event.peer for event in (up, rows, bare)} == {"ann"}
        assert (rows.header, rows.payload) == (b"rows", payload)
        assert (bare.header, bare.payload) == (b"bare", None)
        assert listener.drops.total == 0
        listener.reply("ann", b"good", memoryview(payload)[:100])
        listener.reply("ann", b"bye" * 1000)
        up, good, bye = until_kind(dialer, "up", "message", "message")
        assert {event.peer for event in (up, good, bye)} == {"desk"}
        assert (good.header, good.payload) == (b"good", payload[:100])
        assert (bye.header, bye.payload) == (b"bye" * 1000, None)


def test_a_typed_view_is_sent_as_its_bytes() -> None:
    view: Any = memoryview(bytes(range(96))).cast("f", (4, 6))
    with (
        ZmqListener(ANY, DESK, ROSTER) as listener,
        ZmqDialer(listener.address, "desk", ANN, ROSTER) as dialer,
    ):
        dialer.send(b"tensor", view, ENOUGH_S)
        assert until_kind(listener, "up", "message")[1].payload == bytes(range(96))


@BOTH_WAYS
def test_thousands_of_chunks_in_order_against_back_pressure(insecure: bool) -> None:
    n_chunks = 4000
    with (
        ZmqListener(ANY, DESK, ROSTER, insecure) as listener,
        ZmqDialer(listener.address, "desk", ANN, ROSTER, insecure) as dialer,
    ):
        until_kind(dialer, "up")
        chunk = bytes(CHUNK_BYTES)
        n_sent, why = until_gone(lambda i: dialer.send(b"%d" % i, chunk, SOON_S))
        assert "takes nothing" in why
        assert n_sent * CHUNK_BYTES < 64 * 2**20  # what nobody takes is bounded: queues, and the system's buffers

        def rest() -> None:
            for i in range(n_sent, n_chunks):
                dialer.send(b"%d" % i, chunk[:4096], ENOUGH_S)

        sender = threading.Thread(target=rest)
        sender.start()
        events = until(listener, lambda events: len(events) > n_chunks)
        sender.join(ENOUGH_S)
        assert events[0] == Event("up", "ann")
        assert headers(events) == [b"%d" % i for i in range(n_chunks)]
        sizes = [len(event.payload or b"") for event in events[1:]]
        assert sizes == [CHUNK_BYTES] * n_sent + [4096] * (n_chunks - n_sent)


def test_connections_are_told_before_anything_is_said() -> None:
    with ZmqListener(ANY, DESK, ROSTER) as listener:
        with ZmqDialer(listener.address, "desk", ANN, ROSTER) as dialer:
            assert until_kind(dialer, "up") == [Event("up", "desk")]
            assert until_kind(listener, "up") == [Event("up", "ann")]
        assert until_kind(listener, "down") == [Event("down", "ann")]
        with pytest.raises(PeerGone, match="ann is not connected"):
            listener.reply("ann", b"late")


def test_a_dialer_finds_its_peer_again() -> None:
    with ZmqListener(ANY, DESK, ROSTER) as listener:
        address = listener.address
        dialer = ZmqDialer(address, "desk", ANN, ROSTER)
        until_kind(dialer, "up")
        until_kind(listener, "up")
        listener.reply("ann", b"last words")
        until_kind(dialer, "message")
    with dialer:
        assert until_kind(dialer, "down") == [Event("down", "desk")]
        with ZmqListener(address, DESK, ROSTER) as listener:
            until_kind(dialer, "up")
            dialer.send(b"again")
            assert headers(until_kind(listener, "up", "message")) == [b"again"]


def test_what_was_queued_for_the_dead_never_reaches_a_successor() -> None:
    dead = ZmqListener(ANY, DESK, ROSTER)
    with ZmqDialer(dead.address, "desk", ANN, ROSTER) as dialer:
        until_kind(dialer, "up")
        _, why = until_gone(lambda i: dialer.send(b"old", bytes(CHUNK_BYTES), SOON_S))
        assert "takes nothing" in why
        address = dead.address
        dead.close()  # without having read any
        with ZmqListener(address, DESK, ROSTER) as successor:
            _, why = until_gone(lambda i: dialer.send(b"old", None, ENOUGH_S))  # may not be known yet
            assert "the connection ended" in why
            dialer.send(b"new", None, ENOUGH_S)
            assert headers(until_kind(successor, "up", "message")) == [b"new"]
        assert [event.kind for event in until(dialer, lambda e: len(e) >= 2)][:2] == ["down", "up"]


def test_nor_while_nobody_knows_that_they_are_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = ZmqListener(ANY, DESK, ROSTER)
    with ZmqDialer(dead.address, "desk", ANN, ROSTER) as dialer:
        until_kind(dialer, "up")
        dead.close()
        with ZmqListener(dead.address, DESK, ROSTER) as successor:
            monkeypatch.setattr(dialer._socket, "heard", lambda: [])
            until_gone(lambda i: dialer.send(b"old", None, 5 * SOON_S))
            assert list(successor.poll(SOON_S)) == []


def test_last_words_come_before_the_end() -> None:
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    port = router.bind_to_random_port(f"tcp://{HOST}")
    with ZmqDialer(f"{HOST}:{port}", "desk", ANN, ROSTER, insecure=True) as dialer:
        until_kind(dialer, "up")
        route, _ = router.recv_multipart()
        router.send_multipart([route, b"last words"])
        router.close(linger=int(ENOUGH_S * 1e3))
        context.term()
        assert headers(until_kind(dialer, "message", "down")) == [b"last words"]


def test_a_peer_that_comes_while_others_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        ZmqListener(ANY, DESK, ROSTER) as listener,
        ZmqDialer(listener.address, "desk", ANN, ROSTER) as dialer,
    ):
        until_kind(dialer, "up")
        assert listener._socket.raw.poll(int(ENOUGH_S * 1e3))
        heard = listener._socket.heard
        before: list[list[tuple[zmq.Event, int]]] = [[]]  # when it was listened for, it was not there yet
        monkeypatch.setattr(listener._socket, "heard", lambda: before.pop() if before else heard())
        until_kind(listener, "up")


def test_a_send_that_waits_ends_with_the_connection() -> None:
    with (
        ZmqListener(ANY, DESK, ROSTER) as listener,
        Relay(listener.address) as relay,
        ZmqDialer(relay.address, "desk", ANN, ROSTER) as dialer,
    ):
        until_kind(dialer, "up")
        relay.freeze()
        found: list[tuple[int, str]] = []

        def send() -> None:
            found.append(until_gone(lambda i: dialer.send(b"x", bytes(CHUNK_BYTES), 10 * ENOUGH_S)))

        sender = threading.Thread(target=send)
        sender.start()
        relay.cut()
        sender.join(ENOUGH_S)
        assert "the connection ended" in found[0][1]


def test_nobody_there() -> None:
    with free_address() as address, ZmqDialer(address, "desk", ANN, ROSTER) as dialer:
        until_why(dialer, "cannot be connected")
        for _ in range(3):
            with pytest.raises(PeerGone, match=rf"^desk at {HOST}:\d+: cannot be connected \(0.2 s\)$"):
                dialer.send(b"x", None, SOON_S)
        assert list(dialer.poll(SOON_S)) == []


def test_somebody_who_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((HOST, 0)) as silent:
        address = f"{HOST}:{silent.getsockname()[1]}"
        with monkeypatch.context() as patch:
            patch.setattr("splitgym.runtime.zmq_sockets.HANDSHAKE_S", ENOUGH_S)
            with ZmqDialer(address, "desk", ANN, ROSTER) as dialer:
                until_why(dialer, "is not connected yet")
        with ZmqDialer(address, "desk", ANN, ROSTER) as dialer:
            until_why(dialer, "does not answer")


def test_a_slow_link_takes_its_time() -> None:
    n_chunks = 24
    with (
        ZmqListener(ANY, DESK, ROSTER) as listener,
        Relay(listener.address, bytes_per_s=1e6) as relay,
        ZmqDialer(relay.address, "desk", ANN, ROSTER) as dialer,
    ):
        for i in range(n_chunks):
            dialer.send(b"%d" % i, bytes(CHUNK_BYTES), ENOUGH_S)
        events = until(listener, lambda events: len(headers(events)) == n_chunks)
        assert [event.kind for event in events] == ["up"] + ["message"] * n_chunks
        assert [event.kind for event in dialer.poll(0)] == ["up"]


def test_the_newest_connection_of_a_name_is_the_one_that_counts() -> None:
    with (
        ZmqListener(ANY, DESK, ROSTER) as listener,
        ZmqDialer(listener.address, "desk", ANN, ROSTER) as old,
    ):
        old.send(b"old", None, ENOUGH_S)
        until_kind(listener, "up", "message")
        with ZmqDialer(listener.address, "desk", ANN, ROSTER) as new:
            until_kind(new, "up")
            assert until_kind(listener, "down", "up") == [Event("down", "ann"), Event("up", "ann")]
            old.send(b"stale")
            while not listener.drops.total:
                assert list(listener.poll(SOON_S)) == []
            new.send(b"new")
            assert headers(until_kind(listener, "message")) == [b"new"]
            listener.reply("ann", b"for the new")
            assert headers(until_kind(new, "message")) == [b"for the new"]
            old.close()  # which is no news
            new.send(b"newer")
            assert headers(until_kind(listener, "message")) == [b"newer"]
        assert until_kind(listener, "down") == [Event("down", "ann")]


def test_a_peer_that_takes_no_replies_is_gone() -> None:
    with (
        ZmqListener(ANY, DESK, ROSTER) as listener,
        ZmqDialer(listener.address, "desk", ANN, ROSTER) as dialer,
    ):
        until_kind(dialer, "up")
        until_kind(listener, "up")
        _, why = until_gone(lambda i: listener.reply("ann", b"x", bytes(CHUNK_BYTES)))
        assert why == "ann takes nothing"
        dialer.close()
        until_kind(listener, "down")


@BOTH_WAYS
def test_many_at_once(insecure: bool) -> None:
    with (
        ZmqListener(ANY, DESK, ROSTER, insecure) as listener,
        ZmqDialer(listener.address, "desk", ANN, ROSTER, insecure) as ann,
        ZmqDialer(listener.address, "desk", BOB, ROSTER, insecure) as bob,
    ):

        def talk(dialer: ZmqDialer) -> None:
            for i in range(500):
                dialer.send(b"%d" % i, bytes(1000), ENOUGH_S)

        threads = [threading.Thread(target=talk, args=(dialer,)) for dialer in (ann, bob)]
        for thread in threads:
            thread.start()
        events = until(listener, lambda events: len(headers(events)) == 1000)
        for thread in threads:
            thread.join(ENOUGH_S)
        for name in ("ann", "bob"):
            assert headers([event for event in events if event.peer == name]) == [b"%d" % i for i in range(500)]


@BOTH_WAYS
def test_a_network_waits_for_all_its_peers(insecure: bool) -> None:
    with (
        ZmqListener(ANY, DESK, ROSTER, insecure) as desk,
        ZmqListener(ANY, BOB, ROSTER, insecure) as bob,
        ZmqNetwork(ANN, ROSTER, insecure) as network,
        free_address() as free,
    ):
        dialers = [
            network.dial(desk.address, "desk"),
            network.dial(free, "desk"),
            network.dial(bob.address, "bob"),
        ]
        assert list(network.poll([], SOON_S)) == []
        seen: set[str] = set()
        deadline_s = time.monotonic() + ENOUGH_S
        while seen != {"desk", "bob"} and time.monotonic() < deadline_s:
            seen |= {event.peer for event in network.poll(dialers, ENOUGH_S) if event.kind == "up"}
        assert seen == {"desk", "bob"}
        assert list(network.poll(dialers, SOON_S)) == []
        for listener in (bob, desk):
            until_kind(listener, "up")
            listener.reply("ann", b"hello")
            (event,) = network.poll(dialers, ENOUGH_S)
            assert (event.header, event.peer) == (b"hello", "bob" if listener is bob else "desk")
        dialers[0].close()
        until_kind(desk, "down")
        with pytest.raises(PeerGone):
            dialers[0].send(b"x", None, SOON_S)
        dialers[2].send(b"still there")
        until_kind(bob, "message")
        bob.close()
        assert list(network.poll(dialers, ENOUGH_S)) == [Event("down", "bob")]
        with pytest.raises(InputError, match=r"carl at 127.0.0.1:1 is not on the roster"):
            network.dial("127.0.0.1:1", "carl")


def test_who_is_not_there_is_waited_for_and_not_asked_for_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, follow = [], ZmqDialer._follow
    monkeypatch.setattr(ZmqDialer, "_follow", lambda dialer: (asked.append(dialer), follow(dialer))[1])
    with ZmqNetwork(ANN, ROSTER) as network, free_address() as address:
        assert network.poll([network.dial(address, "desk")], 1.0) == []
    assert 1 < len(asked) < 100  # it dials again a few times


def test_everything_is_closed() -> None:
    def use() -> None:
        with free_address() as free:
            use_with(free)

    def use_with(free: str) -> None:
        with ZmqListener(ANY, DESK, ROSTER) as listener:
            with ZmqDialer(listener.address, "desk", ANN, ROSTER) as dialer:
                dialer.send(b"x", bytes(1000), ENOUGH_S)
                until_kind(listener, "up", "message")
                dialer.send(b"unread", bytes(1000))
            listener.close()  # twice does no harm
        with ZmqDialer(free, "desk", ANN, ROSTER) as dialer:
            with pytest.raises(PeerGone):
                dialer.send(b"x", None, SOON_S)
            dialer.close()
        with ZmqListener(ANY, DESK, ROSTER) as listener, ZmqNetwork(ANN, ROSTER) as network:
            for address in 2 * [listener.address, free]:
                dialer = network.dial(address, "desk")
                network.poll([dialer], ENOUGH_S if address == listener.address else SOON_S)
                dialer.close()
            left = network.dial(listener.address, "desk")
            left.poll(0)  # is closed with the network
        with socket.create_server((HOST, 0)) as server, pytest.raises(InputError):
            ZmqListener(f"{HOST}:{server.getsockname()[1]}", DESK, ROSTER)

    use()
    gc.collect()
    names, before = threading.enumerate(), held()
    for _ in range(3):
        use()
    assert threading.enumerate() == names
    deadline_s = time.monotonic() + ENOUGH_S
    while any(map(gt, held(), before)) and time.monotonic() < deadline_s:  # what has ended is listed a moment longer
        time.sleep(0.01)
    assert not any(map(gt, held(), before)), (held(), before)


def test_a_port_in_use_is_named() -> None:
    with ZmqListener(ANY, DESK, ROSTER) as listener:
        assert listener.address.startswith(f"{HOST}:")
        assert not listener.address.endswith(":0")
        with pytest.raises(InputError, match=rf"^address {listener.address}: .* \(Address already in use\)$"):
            ZmqListener(listener.address, DESK, ROSTER)


@pytest.mark.parametrize("address", ["[::1]:0", "localhost:0"])
def test_other_addresses_of_this_machine(address: str) -> None:
    try:
        listener = ZmqListener(address, DESK, ROSTER)
    except InputError:
        pytest.skip("this machine has no IPv6")
    with listener, ZmqDialer(listener.address, "desk", ANN, ROSTER) as dialer:
        dialer.send(b"x", None, ENOUGH_S)
        until_kind(listener, "up", "message")


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("here", "address 'here': allowed: HOST:PORT with a port from 0 to 65535"),
        ("a b:1", "allowed: HOST:PORT"),
        ("no.such.machine.invalid:7791", "no machine of that name is known here"),
        ("203.0.113.7:7791", "address 203.0.113.7:7791: cannot be listened at"),
    ],
)
def test_where_nobody_can_listen(address: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        ZmqListener(address, DESK, ROSTER)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_who_cannot_be_dialled() -> None:
    with pytest.raises(InputError, match=r"^carl at pi:1 is not on the roster$"):
        ZmqDialer("pi:1", "carl", ANN, ROSTER)
    for address in ("pi", "pi:0", "p#i:1"):
        with pytest.raises(InputError, match=r"^address '?p#?i"):
            ZmqDialer(address, "desk", ANN, ROSTER)


@pytest.mark.parametrize("address", ["0.0.0.0:0", "192.168.0.7:7791", "pi:7791", "[::]:1", "[fe80::1]:1"])
def test_without_keys_among_processes_of_one_machine_only(address: str) -> None:
    with pytest.raises(InputError, match=r"allowed without keys: only this machine's own, such as 127\.0\.0\.1$"):
        ZmqListener(address, DESK, ROSTER, insecure=True)
    with pytest.raises(InputError, match="without keys" if not address.endswith(":0") else "allowed: HOST:PORT"):
        ZmqDialer(address, "desk", ANN, ROSTER, insecure=True)


@pytest.mark.parametrize(
    ("header", "n_bytes"), [(b"", 0), (b"", 1), (bytes(MOST_HEADER_BYTES + 1), 0), (b"x", MOST_PAYLOAD_BYTES + 1)]
)
def test_what_cannot_be_sent(header: bytes, n_bytes: int) -> None:
    with (
        ZmqListener(ANY, DESK, ROSTER) as listener,
        ZmqDialer(listener.address, "desk", ANN, ROSTER) as dialer,
    ):
        for send in (dialer.send, lambda *message: listener.reply("ann", *message)):
            with pytest.raises(ValueError, match="cannot be sent"):
                send(header, bytes(n_bytes) if n_bytes else None)
