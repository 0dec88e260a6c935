"""What a worker decided is done in the order of the decisions, whichever of its threads asked; disks may be slow."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import pytest

from splitgym.runtime import wire
from splitgym.runtime.blobs import BlobStore
from splitgym.runtime.keeper import MOST_CHUNKS
from splitgym.runtime.transport import Buffer, Dialer, Event
from splitgym.runtime.worker import Worker
from splitgym.runtime.worker_core import WorkerCore

from .live import ENOUGH_S
from .test_worker_core import LACKING, MINE, SESSION, hello, plan

ROLES = {"me": "controller", "ann": "worker"}


class Line:
    """What comes in on a socket, and what is said over it."""

    address = "here:1"

    def __init__(self) -> None:
        self.coming: deque[Event] = deque()
        self.said: list[wire.Control] = []

    def say(self, *messages: wire.Control, payload: bytes | None = None) -> None:
        view = None if payload is None else memoryview(payload)
        self.coming.extend(Event("message", "me", wire.encode(message), view) for message in messages)

    def poll(self, timeout_s: float) -> Sequence[Event]:
        found = list(self.coming)
        self.coming.clear()
        if not found:
            time.sleep(timeout_s)
        return found

    def reply(self, peer: str, header: bytes, payload: Buffer | None = None) -> None:
        self.said.append(wire.decode_control(header))

    def close(self) -> None:
        pass


class Nowhere:
    """A network that reaches nobody."""

    def dial(self, address: str, peer: str) -> Dialer:
        raise AssertionError(address)

    def poll(self, dialers: Sequence[Dialer], timeout_s: float) -> Sequence[Event]:
        return []


class Slow(BlobStore):
    """A disk that writes nothing until it is told to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.go_on = threading.Event()

    def add(self, digest: str, offset: int, size: int, payload: Buffer) -> bool:
        assert self.go_on.wait(ENOUGH_S)
        return super().add(digest, offset, size, payload)


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def worker(line: Line, tmp_path: Path) -> Worker:
    core = WorkerCore("pi", 7, "1.0", "a board", 7412, {MINE}.__contains__)
    return Worker(core, line, Line(), Nowhere(), BlobStore(tmp_path), ROLES)


def test_a_drop_that_waits_does_not_take_the_next_plan_away(worker: Worker, line: Line) -> None:
    line.say(hello(), plan(1))
    worker._serve()
    worker._report(lambda now_s: worker.core.failed(1, "ann is gone", now_s, "ann"))  # by the thread that sends
    line.say(plan(2))
    worker._serve()
    assert worker.core.doing == "queued"
    assert worker._build is not None
    assert worker._build is worker.core.plan
    assert worker._build.epoch == 2


def test_a_build_that_waits_does_not_replace_the_next_plan(worker: Worker, line: Line) -> None:
    line.say(hello(), plan(1, (LACKING,)))
    worker._serve()
    worker._report(lambda now_s: worker.core.stored(LACKING, now_s))  # by the thread that writes
    line.say(plan(2))
    worker._serve()
    assert worker._build is not None
    assert worker._build is worker.core.plan
    assert worker._build.epoch == 2


def loading(line: Line) -> int:
    """Heartbeats that say so."""
    return sum(isinstance(m, wire.Heartbeat) and m.phase == "loading" for m in line.said)


def test_a_slow_disk_stops_no_heartbeats(line: Line, tmp_path: Path) -> None:
    """More than may wait is not taken in, and what is not taken in is no silence of the controller's."""
    data = bytes(4 * MOST_CHUNKS)
    digest, store = hashlib.sha256(data).hexdigest(), Slow(tmp_path)
    core = WorkerCore("pi", 7, "1.0", "a board", 7412, store.has, lease_s=0.5)
    worker = Worker(core, line, Line(), Nowhere(), store, ROLES)
    line.say(hello(), plan(1, (digest,)))
    for offset in range(0, len(data), 2):
        line.say(wire.Blob(SESSION, 1, digest, offset, len(data)), payload=data[offset : offset + 2])
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    try:
        due_s = time.monotonic() + ENOUGH_S
        while loading(line) < 10 and time.monotonic() < due_s:
            time.sleep(0.01)
        assert loading(line) >= 10
        assert core.state == "LOADING"
        store.go_on.set()
        while not store.has(digest) and time.monotonic() < due_s:
            line.say(wire.Heartbeat(core.session, sent_s=time.monotonic()))
            time.sleep(0.01)
        assert store.path(digest).read_bytes() == data
    finally:
        store.go_on.set()
        worker.stop()
        thread.join(ENOUGH_S)
