"""A real worker and a real controller among peers that mean ill, with and without a listed key; cheap and seeded."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splitgym.runtime import keys_command
from splitgym.runtime.blobs import BlobStore
from splitgym.runtime.controller import Controller, Member
from splitgym.runtime.deployment import Deployment
from splitgym.runtime.keys import Identity, Roster, load_identity, load_roster
from splitgym.runtime.session import open_session
from splitgym.runtime.testbed import HOST

from .. import script
from ..command_line import Command
from .live import ENOUGH_S, assert_same, random_images, small, small_network, stored, whole
from .plans import random_plan

peers: Any = script("benchmarks/hostile_peers.py")
KEYS = Command(keys_command.PROG, keys_command.main)
COUNT, SEED = 150, 7  # messages to every port
MOST_GROWN_BYTES = 40 * 2**20  # far less than one of the endless messages
MALFORMED, ENDLESS = "malformed messages", "messages without an end"
LATE = {"messages of replaced connections", "messages of ended connections"}
ORDERS = {MALFORMED, "malformed orders", "orders of no controller"}
ROWS = {MALFORMED, "malformed rows", "rows of another plan or sender", "measuring that is not allowed"}
RESULTS = {MALFORMED, "malformed rows", "rows of another plan or sender"}


@dataclass
class Daemon:
    """``splitgym-worker`` as a process.

    Attributes:
        dropped: what it says of that at its end, by reason.
    """

    process: subprocess.Popen[str]
    control: str
    data: str
    dropped: dict[str, int] = field(default_factory=dict)

    def rss_bytes(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * 4096


@contextmanager
def daemon(name: str) -> Iterator[Daemon]:
    code = "import sys; from splitgym.runtime.worker_command import main; sys.exit(main(sys.argv[1:]))"
    words = ["--key", f"keys/{name}.key", "--listen", f"{HOST}:0", "--weights", "weights", "--threads", "1"]
    with subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            found = re.fullmatch(rf"{name} listens at (\S+), for rows at (\S+)\n", line)
            assert found is not None, line
            told = Daemon(process, found[1], found[2])
            yield told
            process.send_signal(signal.SIGINT)
            assert process.wait(ENOUGH_S) == 0
            lines = [line for line in process.stderr.read().splitlines() if line.startswith("dropped so far: ")]
            if lines:
                words = lines[-1].removeprefix("dropped so far: ").split(", ")
                told.dropped = {reason: int(n) for n, reason in (re.split(" ", word, maxsplit=1) for word in words)}
        finally:
            process.kill()


@pytest.fixture
def roster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Roster:
    monkeypatch.chdir(tmp_path)
    KEYS("make", "controller", "pi-1", "pi-2")
    return load_roster("keys/roster.yaml")


def identity(name: str) -> Identity:
    return load_identity(f"keys/{name}.key")


def attack(target: Any, headers: list[bytes]) -> None:
    """All that anybody can do to a listener, with the key of pi-2 and with none."""
    pi_2 = identity("pi-2")
    peers.send_messages(target, pi_2, headers, COUNT, SEED)
    peers.send_endless(target, pi_2, 2, SEED)
    peers.knock(target, make_stranger(), 3)
    peers.strangers(target, peers.recorded(target, pi_2), 40, SEED)
    peers.crowd(target, pi_2, 12, SEED)


def make_stranger() -> Identity:
    return peers.make_identity("eve")


def results_are_right(controller: Controller, rng: np.random.Generator) -> None:
    images = random_images(small("vgg16"), 2, rng)
    for item, image in zip(controller.run(iter(images), ENOUGH_S), images, strict=True):
        assert_same(item.outputs, whole(small_network("vgg16"), image))


def test_a_session_goes_on_whatever_others_send(roster: Roster, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    model, digests, store = small("vgg16"), stored("vgg16", tmp_path / "mine"), BlobStore(tmp_path / "mine")
    with daemon("pi-1") as worker:
        with open_session(
            [Member("pi-1", worker.control)], identity("controller"), roster, store, lease_s=ENOUGH_S, join_s=ENOUGH_S
        ) as controller:
            controller.deploy(Deployment(model, digests, random_plan(model, 1, rng), ("pi-1",)), ENOUGH_S)
            results_are_right(controller, rng)
            before = worker.rss_bytes()
            public = roster.members["pi-1"].public
            known = peers.rows(controller.session, digests[0])  # as if it had been listened to
            attack(peers.Target(worker.control, public), peers.orders(controller.session))
            results_are_right(controller, rng)
            attack(peers.Target(worker.data, public), known)
            results_are_right(controller, rng)
            attack(peers.Target(controller.data.address, roster.members["controller"].public), known)
            results_are_right(controller, rng)
            assert worker.rss_bytes() - before < MOST_GROWN_BYTES
            results = dict(controller.drops.counts)
            for reason, count in controller.data.drops.counts.items():  # type: ignore[attr-defined]
                results[reason] = results.get(reason, 0) + count
        assert worker.process.poll() is None
    # Every message of the listed key is counted; so may be the recording's, and greetings of its other connections.
    for dropped, reasons, listeners in ((results, RESULTS, 1), (worker.dropped, ORDERS | ROWS, 2)):
        counted = sum(count for reason, count in dropped.items() if reason in reasons | LATE)
        assert listeners * COUNT <= counted <= listeners * (COUNT + 20), dropped
        assert dropped["keys that are not on the roster"] == listeners * 3
        assert dropped[ENDLESS] == listeners * 2
        assert dropped["handshakes left off"] + dropped["handshakes of another protocol"] > 0
