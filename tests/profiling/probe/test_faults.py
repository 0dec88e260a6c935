"""Neither end of the network probe can be hurt or held by what the other does."""

from __future__ import annotations

import socket
import struct
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from splitgym.profiling.measure import command
from splitgym.profiling.probe import client as probe_client
from splitgym.profiling.probe import server as probe_server
from splitgym.profiling.probe import wire as probe_wire
from splitgym.profiling.probe.client import measure
from splitgym.profiling.probe.server import Server
from splitgym.profiling.probe.wire import CHUNK_BYTES, HEADER, MAGIC, Kind, ProbeError, Wire

from ... import refused
from .links import HELLO, Serving, connected, frame

SHORT_S = 0.1
STRANGERS: dict[str, tuple[bytes, str]] = {
    "port scan": (b"", "closed the connection"),
    "half a header": (MAGIC, "closed the connection"),
    "browser": (b"GET / HTTP/1.1\r\nHost: pi\r\n\r\n", "something that is not splitgym-profile's"),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 300, "something that is not"),
    "another version": (frame(Kind.HELLO, HELLO, version=9), "version 9 of the probe, allowed: 1"),
    "another kind": (frame(Kind.MESSAGE, b"x"), "kind 2, allowed here: HELLO"),
    "unknown kind": (frame(77), "kind 77"),
    "huge hello": (frame(Kind.HELLO, size=2**32 - 1), "announced 4294967295 bytes in HELLO, allowed: 2048"),
    "hello no json": (frame(Kind.HELLO, b"\xff{"), "wrong HELLO"),
    "hello a list": (frame(Kind.HELLO, b"[" * 2000), "wrong HELLO"),
    "hello without name": (frame(Kind.HELLO, b'{"software": "x"}'), "wrong HELLO, allowed: device, software"),
    "hello escapes": (frame(Kind.HELLO, b'{"device": "\\u001b[2J", "software": "x"}'), "hello wrongly: device is"),
    "huge message": (frame(Kind.HELLO, HELLO) + frame(Kind.MESSAGE, size=4 * 2**20 + 1), "4194305 bytes in MESSAGE"),
    "huge wish": (frame(Kind.HELLO, HELLO) + frame(Kind.WANT, b"\xff" * 4), "wants a message of 4294967295 bytes"),
    "no wish": (frame(Kind.HELLO, HELLO) + frame(Kind.WANT, b"\0\0\0\0"), "wants a message of 0 bytes"),
    "endless stream": (frame(Kind.HELLO, HELLO) + frame(Kind.FLOOD, struct.pack("!2d", 1e9, 1)), "asked for [10000000"),
    "nan stream": (frame(Kind.HELLO, HELLO) + frame(Kind.FLOOD, struct.pack("!2d", 1, float("nan"))), "asked for [1.0"),
    "endless copies": (frame(Kind.HELLO, HELLO) + frame(Kind.COPY, struct.pack("!d", 1e9)), "asked for [1000000000.0]"),
    "stream of one": (frame(Kind.HELLO, HELLO) + frame(Kind.CHUNK, b"x") + frame(Kind.DONE), "too short to be timed"),
    "vanishes in a message": (frame(Kind.HELLO, HELLO) + frame(Kind.MESSAGE, b"x", size=10**6), "closed the conn"),
    "vanishes in a stream": (frame(Kind.HELLO, HELLO) + frame(Kind.CHUNK, b"x" * CHUNK_BYTES), "closed the conn"),
}


def test_strangers_are_dropped_with_a_line_and_do_no_harm() -> None:
    with Serving() as serving:
        for name, (sent, reason) in STRANGERS.items():
            with connected(serving.address) as stranger:
                stranger.sendall(sent)
                with suppress(OSError):  # dropped before it has said all
                    stranger.shutdown(socket.SHUT_WR)
                lines = serving.heard(2 if sent.startswith(frame(Kind.HELLO, HELLO)) else 1)
            assert reason in lines[-1], name
            assert lines[-1].startswith("dropped toy (127.0.0.1): " if len(lines) == 2 else "dropped 127.0.0.1: "), name
            assert lines[-1].isprintable(), name
        assert measure(*serving.address, "here", "none", 0.01).peer == "board"
        assert serving.ended()


def test_the_silent_and_the_slow_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_server, "HELLO_S", SHORT_S)
    with Serving(session_s=2 * SHORT_S) as serving, connected(serving.address) as silent:
        assert serving.heard(1) == ["dropped 127.0.0.1: took longer than 0.1 s"]
        assert silent.recv(1) == b""
        with connected(serving.address) as slow:
            slow.sendall(frame(Kind.HELLO, HELLO))
            assert serving.heard(2)[1] == "dropped toy (127.0.0.1): took longer than 0.2 s"
        monkeypatch.setattr(probe_wire, "IDLE_S", SHORT_S / 2)
        with connected(serving.address):
            assert serving.heard(1) == ["dropped 127.0.0.1: was silent for 0.05 s"]


def test_a_client_that_reads_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_wire, "IDLE_S", SHORT_S)
    with Serving() as serving, connected(serving.address) as client:
        client.sendall(frame(Kind.HELLO, HELLO) + frame(Kind.FLOOD, struct.pack("!2d", 30.0, 4e9)))
        assert serving.heard(2)[1] == "dropped toy (127.0.0.1): was silent for 0.1 s"


def test_a_measurement_has_a_budget_of_bytes() -> None:
    with Serving(session_bytes=100_000) as serving:
        with refused("at the messages the other end"):
            measure(*serving.address, "here", "none", 0.01)
        assert "needs more than the 0.0001 GB that a measurement may move" in serving.heard(2)[1]


def test_a_second_client_waits_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_client, "HELLO_S", SHORT_S)
    with Serving(keep=True) as serving, connected(serving.address) as first:
        first.sendall(frame(Kind.HELLO, HELLO))
        serving.heard(1)
        with refused("at the hello the other end took longer than 0.1 s", "and free?"):
            measure(*serving.address, "second", "none", 0.01)
        first.sendall(frame(Kind.MESSAGE, b"x") + frame(Kind.BYE))
        assert serving.heard(1)[0].startswith("toy (127.0.0.1) is done")


@contextmanager
def fake_server(answer: Callable[[socket.socket], None]) -> Iterator[tuple[str, int]]:
    """Answers one connection, which then closes."""

    def run() -> None:
        connection, _ = listener.accept()
        with connection:
            answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield listener.getsockname()[:2]
        thread.join(20)
        assert not thread.is_alive()


def hello_and(more: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        Wire(connection, 20).receive(Kind.HELLO)
        connection.sendall(frame(Kind.HELLO, HELLO) + more)
        Wire(connection, 20).receive(Kind.COPY)

    return answer


REPORT = frame(Kind.REPORT, b'{"copy_out_bytes_per_s": 1e9, "copy_in_bytes_per_s": 1e9}')


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda connection: connection.recv(9), ["at the hello the other end", "and free?"]),
        (lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n"), ["at the hello", "not splitgym-prof"]),
        (lambda connection: connection.sendall(frame(Kind.HELLO, HELLO, version=2)), ["version 2", "allowed: 1"]),
        (lambda connection: connection.sendall(frame(Kind.HELLO, size=10**9)), ["announced 1000000000 bytes"]),
        (hello_and(b""), ["at the copies the other end"]),
        (hello_and(frame(Kind.REPORT, b"{}")), ["wrong REPORT", "copy_out_bytes_per_s"]),
        (hello_and(frame(Kind.REPORT, REPORT[10:].replace(b"1e9", b"-1.0"))), ["reported [-1.0, -1.0]"]),
        (hello_and(frame(Kind.REPORT, REPORT[10:].replace(b"1e9", b'"x"'))), ["reported ['x', 'x']"]),
        (hello_and(REPORT), ["at the messages the other end"]),
        (hello_and(REPORT + frame(Kind.MESSAGE, b"x")), ["at the messages the other end sent a frame of kind 2"]),
    ],
)
def test_a_server_that_vanishes_or_is_none_gets_one_line(
    answer: Callable[[socket.socket], None], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "link.json"
    with fake_server(answer) as (host, port):
        assert command.main(["--network", f"{host}:{port}", "--seconds", "1", "--out", str(out)]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"splitgym-profile: --network {host}:{port}: ")
    for word in words:
        assert word in last
    assert not list(tmp_path.iterdir())


def wait_for_end(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def test_a_silent_server_gets_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_client, "HELLO_S", SHORT_S)
    words = ("at the hello the other end took longer than 0.1 s", "serve running there")
    with fake_server(wait_for_end) as address, refused(*words):
        measure(*address, "here", "none", 0.01)


def test_nobody_serves_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert command.main(["--network", f"127.0.0.1:{port}", "--out", str(tmp_path / "x.json")]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"splitgym-profile: --network 127.0.0.1:{port}: connection refused; "
        "is splitgym-profile --network serve running there?"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (socket.gaierror(-2, "Name or service not known"), "no machine of that name"),
        (UnicodeError("label too long"), "no machine of that name"),
        (TimeoutError(), "no reply within 5 s"),
        (OSError(113, "No route to host"), "cannot be reached (No route to host)"),
    ],
)
def test_who_cannot_be_reached(monkeypatch: pytest.MonkeyPatch, error: Exception, word: str) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(socket, "create_connection", fail)
    with refused("--network pi:9000: ", word):
        measure("pi", 9000, "here", "none")


def test_a_port_that_is_taken_and_an_address_that_is_not_ours() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with refused(f"cannot listen at 127.0.0.1 port {port}"):
            Server("board", "software", "127.0.0.1", port)
    with refused("cannot listen at 192.0.2.1 port 0"):
        Server("board", "software", "192.0.2.1", 0)


@contextmanager
def wires() -> Iterator[tuple[Wire, Wire, socket.socket]]:
    """Two ends and the second one's socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = connected(listener.getsockname()[:2])
        two, _ = listener.accept()
    with Wire(one, 20) as first, Wire(two, 20) as second:
        yield first, second, two


def test_a_large_message_arrives_as_it_was_sent() -> None:
    payload = np.random.default_rng(0).bytes(probe_wire.MOST_MESSAGE_BYTES)
    with wires() as (first, second, _):
        thread = threading.Thread(target=first.send, args=(Kind.MESSAGE, payload))
        thread.start()
        kind, got = second.receive(Kind.ACK, Kind.MESSAGE)
        thread.join(20)
        assert kind is Kind.MESSAGE
        assert got == payload
        assert first.moved_bytes == second.moved_bytes == len(payload) + HEADER.size


def test_a_huge_length_takes_no_memory() -> None:
    with wires() as (first, _, stranger):
        stranger.sendall(frame(Kind.HELLO, size=2**31))
        tracemalloc.start()
        with pytest.raises(ProbeError, match="announced 2147483648 bytes in HELLO, allowed: 2048"):
            first.receive(Kind.HELLO)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 100_000
