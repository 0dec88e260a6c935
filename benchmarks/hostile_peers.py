"""Peers that mean ill: what they send comes from a seed, so that whatever does harm can be sent again.

    python hostile_peers.py KIND --keys FOLDER --at NAME --address HOST:PORT [--as NAME] [--count N] [--seed S]

KIND is strangers (TCP connections that are no peers), unlisted (a key that is on no roster), orders or rows (a listed
key sends messages to the port for orders or for rows), endless (a listed key sends messages of very many frames), or
crowd (connections of a listed key, many of which say nothing). Prints one line of JSON: how many of what were sent.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import zmq

from splitgym.runtime import wire, wire_requests, wire_types
from splitgym.runtime.keys import ROSTER_FILE, Identity, load_identity, load_roster, make_identity
from splitgym.runtime.keys_command import key_path
from splitgym.runtime.transport import CHUNK_BYTES, MOST_HEADER_BYTES
from splitgym.runtime.wire_training_plan import Setup, TrainingPlan

TOKEN, DIGEST, NAME = "ab" * 16, "11" * 32, "pi-1"
HOST = "127.0.0.1"
PEER = wire.Peer(NAME, f"{HOST}:1", 9)
SETUP = Setup("cut", ("device", "edge"), {"is": "Model"}, "sgd", 0.9, 0.0, 16, 0, 0, False, (0.5,), (0.2,), 20)
PACE = wire.Pace("table", (0.1,), 0.3, 1.0, (0.001,) * 2, (1e-8,) * 2, 1e-8, 2e-8)
MOST_OPEN, MOST_SLOW = 200, 32  # connections of strangers at once: that say nothing, and that say a byte at a time
ENDLESS_BYTES = 2**26
TIMEOUT_S, QUIET_S = 60.0, 1.5


@dataclass(frozen=True)
class Target:
    """A listener.

    Attributes:
        address: ``host:port``.
        public: the key that it proves to have.
    """

    address: str
    public: str


# messages -----------------------------------------------------------------------------------------------------------


def orders(session: str = TOKEN) -> list[bytes]:
    """One well-formed message of every kind that travels between workers and controllers."""
    found: list[wire.Control] = [
        wire.Hello(wire.VERSION, "1.0", session, f"{HOST}:1"),
        wire.Welcome(session, 7, "1.0", 7412, "a board"),
        wire.Refuse("no"),
        wire.PlanMessage(session, 2**40, 0, {"is": "Model"}, (DIGEST,), (0,), {"cuts": [1]}, 1, 0, (PEER,), 2, PACE),
        TrainingPlan(session, 2**40, 0, SETUP, (PEER, PEER), (DIGEST,)),
        wire.Want(session, 1, (DIGEST,)),
        wire.Blob(session, 1, DIGEST, 0, 10),
        wire.Ready(session, 1),
        wire.Spans(session, 1, 0, (wire.Span("compute", 0.5, 1.5, "tail"),)),
        wire.Heartbeat(session, 1, 1, 0, "compute"),
        wire.Reset(session, 2**40),
        wire.Bye(session),
        wire.Failed(session, 1, "because"),
        wire_requests.TimeCopies(session, 3, 0.5),
        wire_requests.Timed(session, 2, (0.25, 0.5)),
    ]
    return [wire.encode(message) for message in found]


def rows(session: str = TOKEN, weights: str = DIGEST) -> list[bytes]:
    """Well-formed headers of bytes: an image's first, a later item's, another's, a crumb's, a training's packets, and a
    link's measuring."""
    found = wire.Chunk(session, 1, 9, 0, 0, "main", 0, 8, wire_types.UINT8, weights, 0, CHUNK_BYTES, CHUNK_BYTES, 0.0)
    changes: list[dict[str, Any]] = [
        {}, {"item": 2**50}, {"epoch": 2**50}, {"incarnation": 0}, {"boundary": 3, "tensor": "result"}, {"offset": 1},
        {"size": wire_types.MOST_PIECE_BYTES, "message_bytes": wire_types.MOST_PIECE_BYTES}, {"begun_s": 1e12},
        {"lo": 5, "hi": 2},
    ]  # fmt: skip
    chunks = [wire.encode(msgspec.structs.replace(found, **change)) for change in changes]
    part = wire.Part(session, 1, 9, 0, 0, CHUNK_BYTES, 100, 0.0)
    changes = [{}, {"number": 2**50}, {"size": wire_types.MOST_PIECE_BYTES}, {"envelope_bytes": 0}, {"offset": 1}]
    chunks += [wire.encode(msgspec.structs.replace(part, **change)) for change in changes]
    return [*chunks, wire.encode(wire.Echo(session, 1, 0, 0, wire_types.MOST_ECHO_BYTES))]


def message(rng: random.Random, known: Sequence[bytes]) -> list[bytes]:
    """The frames of a message that nobody who keeps to the rules sends; never the empty one that says who is there."""
    header = _header(rng, known) or b"\0"
    shape = rng.random()
    if shape < 0.45:
        return [header, rng.randbytes(rng.choice((1, 100, 4096, CHUNK_BYTES)))]
    if shape < 0.9:
        return [header]
    if shape < 0.93:
        return [b"", header]
    if shape < 0.96:
        return [header, bytes(CHUNK_BYTES + 1)]  # as a frame it may pass
    return [header] + [rng.randbytes(rng.randrange(50)) for _ in range(rng.randrange(2, 200))]


def _header(rng: random.Random, known: Sequence[bytes]) -> bytes:
    found = bytearray(rng.choice(known))
    match rng.randrange(7):
        case 0:
            return rng.randbytes(rng.randrange(1, 300))
        case 1:
            found[rng.randrange(len(found))] = rng.randrange(256)
        case 2:
            return bytes(found[: rng.randrange(1, len(found))])
        case 3:
            return bytes(found) + rng.randbytes(rng.randrange(1, 100))
        case 4:
            return msgspec.msgpack.encode(_value(rng, 4))
        case 5:
            return rng.randbytes(MOST_HEADER_BYTES + rng.randrange(1, 1000))
    return bytes(found)


def _value(rng: random.Random, depth: int) -> Any:
    """Any plain value, with the names of the wire where there are some."""
    match rng.randrange(7 if depth else 5):
        case 0:
            return rng.choice((0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1, rng.randrange(100)))
        case 1:
            return rng.choice((0.0, float("nan"), float("inf"), 1e300, True, None))
        case 2:
            return rng.randbytes(rng.randrange(40))
        case 3:
            return "".join(chr(rng.randrange(1, 0xD800)) for _ in range(rng.randrange(40)))
        case 4:
            return rng.choice((TOKEN, DIGEST, "main", "hello", "plan", "blob", "c", "e"))
        case 5:
            return [_value(rng, depth - 1) for _ in range(rng.randrange(16))]
    names = ("is", "session", "epoch", "version", "peers", "plan", "digest", "size", "offset", "model", "x")
    return {rng.choice(names): _value(rng, depth - 1) for _ in range(rng.randrange(8))}


# listed keys --------------------------------------------------------------------------------------------------------


@contextmanager
def dealer(target: Target, identity: Identity | None, **options: int) -> Iterator[zmq.Socket[bytes]]:
    """A connection of somebody who does not use the runtime's own; without keys where there is no identity."""
    with _unconnected(target, identity, **options) as raw:
        raw.connect(f"tcp://{target.address}")
        yield raw


@contextmanager
def watched(
    target: Target, identity: Identity | None, events: int, **options: int
) -> Iterator[tuple[zmq.Socket[bytes], zmq.Socket[bytes]]]:
    """Such a connection, made once, and a socket that tells such events of it, from its first moment on."""
    with _unconnected(target, identity, reconnect_ivl=-1, **options) as raw, raw.get_monitor_socket(events) as monitor:
        raw.connect(f"tcp://{target.address}")
        try:
            yield raw, monitor
        finally:
            raw.disable_monitor()


@contextmanager
def _unconnected(target: Target, identity: Identity | None, **options: int) -> Iterator[zmq.Socket[bytes]]:
    with zmq.Context() as context, context.socket(zmq.DEALER) as raw:
        raw.linger, raw.sndtimeo = 0, int(TIMEOUT_S * 1e3)
        for name, value in options.items():
            setattr(raw, name, value)
        if identity is not None:
            raw.curve_serverkey = target.public.encode()
            raw.curve_publickey, raw.curve_secretkey = identity.public.encode(), identity.secret.encode()
        yield raw


def send_messages(
    target: Target, identity: Identity | None, known: Sequence[bytes], count: int, seed: int
) -> Mapping[str, int]:
    """Messages of a listed key; all have been read when this returns, unless the far end takes a long rest."""
    rng = random.Random(seed)
    with dealer(target, identity, sndhwm=8, linger=int(TIMEOUT_S * 1e3)) as raw:
        raw.send(b"")
        for _ in range(count):
            raw.send_multipart(message(rng, known))
            while raw.poll(0):  # a connection that is closed with replies unread takes what it has sent along
                raw.recv_multipart()
        while raw.poll(int(QUIET_S * 1e3)):
            raw.recv_multipart()
    return {"messages": count}


def send_endless(target: Target, identity: Identity | None, count: int, seed: int) -> Mapping[str, int]:
    """Messages of very many frames, which ZeroMQ begins to send when it has them all; each costs the connection."""
    rng = random.Random(seed)
    for _ in range(count):
        frame = bytes(rng.choice((50, 2000, CHUNK_BYTES)))
        with watched(target, identity, zmq.EVENT_DISCONNECTED, sndhwm=8) as (raw, monitor):
            raw.send(b"")
            for _ in range(min(ENDLESS_BYTES // len(frame), 300_000)):
                raw.send(frame, zmq.SNDMORE, copy=False)
            raw.send(b"the end")
            monitor.poll(int(TIMEOUT_S * 1e3))
    return {"endless messages": count}


def crowd(target: Target, identity: Identity | None, count: int, seed: int) -> Mapping[str, int]:
    """Connections of one key, some at a time, half of which say who is there."""
    rng = random.Random(seed)
    for begun in range(0, count, 50):
        with zmq.Context() as context:
            found = []
            for _ in range(min(50, count - begun)):
                raw = context.socket(zmq.DEALER)
                raw.linger, raw.reconnect_ivl = 0, -1
                if identity is not None:
                    raw.curve_serverkey = target.public.encode()
                    raw.curve_publickey, raw.curve_secretkey = identity.public.encode(), identity.secret.encode()
                raw.connect(f"tcp://{target.address}")
                if rng.random() < 0.5:
                    with suppress(zmq.Again):  # it may be shown out before
                        raw.send(b"", zmq.NOBLOCK)
                found.append(raw)
            time.sleep(0.3)
            for raw in found:
                raw.close()
    return {"connections": count}


def knock(target: Target, identity: Identity, count: int) -> Mapping[str, int]:
    """Attempts with a key that is not listed; each is refused."""
    events = zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    for _ in range(count):
        with watched(target, identity, events) as (_, monitor):  # nothing is sent: it may be refused before
            monitor.poll(int(TIMEOUT_S * 1e3))
    return {"connections": count}


# strangers ----------------------------------------------------------------------------------------------------------


def connected(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=TIMEOUT_S)


def recorded(target: Target, identity: Identity | None) -> bytes:
    """All that a listed peer sends from its first byte to the end of a message, as somebody on the way sees it."""
    seen, done = bytearray(), threading.Event()
    with socket.create_server((HOST, 0)) as server:

        def forward(source: socket.socket, sink: socket.socket, keep: bool) -> None:
            with suppress(OSError):
                while data := source.recv(65536):
                    if keep:
                        seen.extend(data)
                        if len(seen) > 2000:
                            done.set()
                    sink.sendall(data)

        relay = Target(f"{HOST}:{server.getsockname()[1]}", target.public)
        with dealer(relay, identity) as raw:
            near = server.accept()[0]
            with near, connected(target.address) as far:
                ways = [(near, far, True), (far, near, False)]
                threads = [threading.Thread(target=forward, args=way, daemon=True) for way in ways]
                for thread in threads:
                    thread.start()
                raw.send(b"")
                raw.send_multipart([orders()[-4], bytes(3000)])
                done.wait(TIMEOUT_S)
                for end in (near, far):
                    with suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
                for thread in threads:
                    thread.join()
    return bytes(seen)


def first_words(rng: random.Random, known: bytes) -> bytes:
    """What a stranger says: noise, other protocols, the beginning of a handshake, one that was recorded, lies."""
    greeting = b"\xff" + bytes(8) + b"\x7f" + bytes([rng.choice((0, 1, 2, 3, 3, 3, 9)), rng.randrange(2)])
    greeting += rng.choice((b"NULL", b"PLAIN", b"CURVE", b"CURVE", b"GSSAPI", b"x" * 20)).ljust(20, b"\0") + bytes(32)
    match rng.randrange(8):
        case 0:
            return rng.randbytes(rng.randrange(1, 5000))
        case 1:
            return b"GET / HTTP/1.1\r\nHost: pi\r\n\r\n"
        case 2:
            return greeting[: rng.randrange(1, len(greeting))]
        case 3:
            return greeting + rng.randbytes(rng.randrange(1, 500))
        case 4:
            return greeting + rng.choice((b"\x04", b"\x06", b"\x02", b"\x01")) + b"\x7f" * 8 + bytes(1000)
        case 5:
            return known[: rng.randrange(1, len(known))]
        case 6:
            changed = bytearray(known)
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
            return bytes(changed)
    return known


def strangers(target: Target, known: bytes, count: int, seed: int) -> Mapping[str, int]:
    """TCP connections: a third says nothing, some say a byte at a time, some leave in the middle of what they say."""
    rng, sent = random.Random(seed), Counter[str]()
    silent: deque[socket.socket] = deque()
    slow: deque[tuple[socket.socket, Iterator[int]]] = deque()
    for _ in range(count):
        stranger, words, how = connected(target.address), first_words(rng, known), rng.random()
        if how < 0.3:
            silent.append(stranger)
        elif how < 0.4:
            slow.append((stranger, iter(words)))
        else:
            with suppress(OSError):  # shown out in the middle of a sentence
                stranger.sendall(words)
            silent.append(stranger)
        sent["silent" if how < 0.3 else "slow" if how < 0.4 else "talking"] += 1
        for talker, rest in slow:
            with suppress(OSError, StopIteration):
                talker.sendall(bytes([next(rest)]))
        while len(silent) > MOST_OPEN:
            silent.popleft().close()
        while len(slow) > MOST_SLOW:
            slow.popleft()[0].close()
    for left in (*silent, *(talker for talker, _ in slow)):
        left.close()
    return sent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["strangers", "unlisted", "orders", "rows", "endless", "crowd"])
    parser.add_argument("--keys", type=Path, required=True)
    parser.add_argument("--at", required=True)
    parser.add_argument("--address", required=True)
    parser.add_argument("--as", dest="name", default="")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    target = Target(args.address, load_roster(args.keys / ROSTER_FILE).members[args.at].public)
    identity = load_identity(key_path(args.keys, args.name)) if args.name else make_identity("eve")
    acts: dict[str, Callable[[], Mapping[str, int]]] = {
        "strangers": lambda: strangers(target, recorded(target, identity), args.count, args.seed),
        "unlisted": lambda: knock(target, identity, args.count),
        "orders": lambda: send_messages(target, identity, orders(), args.count, args.seed),
        "rows": lambda: send_messages(target, identity, rows(), args.count, args.seed),
        "endless": lambda: send_endless(target, identity, args.count, args.seed),
        "crowd": lambda: crowd(target, identity, args.count, args.seed),
    }
    print(json.dumps(acts[args.kind]()))


if __name__ == "__main__":
    main()
