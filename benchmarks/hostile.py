"""A worker and a controller among peers that mean ill: what they keep, whom they still answer, and what they count.

    python benchmarks/run.py --only hostile

A ``splitgym-worker`` and the peers (``hostile_peers.py``, each with its seed) are processes of their own; this one is
the controller, a legitimate client that asks the worker at both ports every 20 ms meanwhile, and then streams images
while its own listener is the target.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from measure import Figure

from splitgym.models.lookup import get_model
from splitgym.models.plans import SpatialPlan
from splitgym.runtime import wire
from splitgym.runtime.blobs import BlobStore
from splitgym.runtime.controller import Controller, Member
from splitgym.runtime.deployment import Deployment
from splitgym.runtime.keys import ROSTER_FILE, Identity, Roster, make_members, save_identity, save_roster
from splitgym.runtime.keys_command import key_path
from splitgym.runtime.session import open_session
from splitgym.runtime.weights import store_weights
from splitgym.runtime.zmq_transport import ZmqDialer, ZmqListener

DESK, WORKER, ILL = "controller", "pi-1", "pi-2"
MODEL = "lenet5"
IDLE_S, ASK_S, ANSWER_S = 20.0, 0.02, 10.0
MOST_GROWN_MB, MOST_ANSWER_MS = 10.0, 50.0  # what is promised
TO_WORKER = (  # kind, port, how many, with the listed key
    ("orders", "control", 2500, True), ("rows", "data", 2500, True), ("orders", "data", 500, True),
    ("strangers", "control", 1500, True), ("strangers", "data", 1000, True), ("unlisted", "control", 300, False),
    ("endless", "control", 10, True), ("endless", "data", 10, True), ("crowd", "control", 200, True),
    ("crowd", "data", 200, True),
)  # fmt: skip
TO_CONTROLLER = (
    ("rows", "data", 1000, True), ("strangers", "data", 500, True), ("unlisted", "data", 100, False),
    ("endless", "data", 10, True), ("crowd", "data", 100, True),
)  # fmt: skip


@dataclass
class Worker:
    """The process that is under attack."""

    process: subprocess.Popen[bytes]
    control: str
    data: str


@contextmanager
def started(folder: Path) -> Iterator[Worker]:
    code = "import sys; from splitgym.runtime.worker_command import main; sys.exit(main(sys.argv[1:]))"
    words = ["--key", str(key_path(folder, WORKER)), "--listen", "127.0.0.1:0", "--weights", str(folder / "weights")]
    told = folder / "told"
    with told.open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", code, *words, "--threads", "1", "--profile"], stderr=log)
    try:
        while not (found := re.search(r"listens at (\S+), for rows at (\S+)\n", told.read_text())):
            if process.poll() is not None:
                raise RuntimeError(told.read_text())
            time.sleep(0.1)
        yield Worker(process, found[1], found[2])
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60.0)


class Client:
    """A controller in session with the worker, which asks it for a sign at both ports."""

    def __init__(self, worker: Worker, identity: Identity, roster: Roster) -> None:
        self._session, self._number = secrets.token_hex(16), 0
        self._control = ZmqDialer(worker.control, WORKER, identity, roster)
        self._data = ZmqDialer(worker.data, WORKER, identity, roster)
        self.order_s()

    def order_s(self) -> float:
        """Until a hello is answered."""
        hello = wire.Hello(wire.VERSION, "1.0", self._session, "127.0.0.1:1")
        return _answer_s(self._control, hello, lambda header: isinstance(wire.decode_control(header), wire.Welcome))

    def rows_s(self) -> float:
        """Until a tiny message beside the rows is answered."""
        self._number += 1
        echo = wire.Echo(self._session, self._number, 0, 0, 0)
        return _answer_s(self._data, echo, lambda header: wire.decode_data(header, 0) == echo)

    def close(self) -> None:
        self._control.close()
        self._data.close()


def _answer_s(dialer: ZmqDialer, asked: wire.Control | wire.Echo, is_answer: Callable[[bytes], bool]) -> float:
    begun_s = time.perf_counter()
    dialer.send(wire.encode(asked), None, ANSWER_S)
    while time.perf_counter() - begun_s < ANSWER_S:
        if any(event.kind == "message" and is_answer(event.header) for event in dialer.poll(ANSWER_S)):
            return time.perf_counter() - begun_s
    raise RuntimeError(f"no answer within {ANSWER_S:g} s")


def rss_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def ill(folder: Path, at: str, address: str, kind: str, count: int, listed: bool, seed: int) -> subprocess.Popen[bytes]:
    """Let a peer loose."""
    script = Path(__file__).with_name("hostile_peers.py")
    words = [kind, "--keys", folder, "--at", at, "--address", address, "--count", count, "--seed", seed]
    words += ["--as", ILL] if listed else []
    return subprocess.Popen([sys.executable, str(script), *map(str, words)], stdout=subprocess.PIPE)


def sent_by(peer: subprocess.Popen[bytes]) -> Counter[str]:
    """What a peer says that it has sent; it has ended."""
    assert peer.stdout is not None
    with peer.stdout:
        out = peer.stdout.read()
    if peer.wait():
        raise RuntimeError(f"a hostile peer failed: {peer.args}")
    return Counter(json.loads(out))


def hostile() -> Iterator[Figure]:
    """A worker and a controller among peers that mean ill: answers, memory, and what they drop."""
    with tempfile.TemporaryDirectory() as name:
        folder, sent = Path(name), Counter[str]()
        identities, roster = make_members({DESK: "controller", WORKER: "worker", ILL: "worker"})
        for identity in identities.values():
            save_identity(key_path(folder, identity.name), identity)
        save_roster(folder / ROSTER_FILE, roster)
        with started(folder) as worker:
            yield from _at_worker(worker, folder, identities[DESK], roster, sent)
            own: Counter[str] = Counter()
            yield from _at_controller(worker, folder, identities[DESK], roster, own)
            yield Figure("worker is still there", float(worker.process.poll() is None), "")
        last = [line for line in (folder / "told").read_text().splitlines() if line.startswith("dropped so far: ")][-1]
        for words in last.removeprefix("dropped so far: ").split(", "):
            count, _, reason = words.partition(" ")
            yield Figure(f"worker dropped: {reason}", float(count), "")
        yield Figure("hostile messages and connections in all", (sent + own).total(), "")
        yield Figure("hostile: load average behind", os.getloadavg()[0], "")


def _at_worker(
    worker: Worker, folder: Path, identity: Identity, roster: Roster, sent: Counter[str]
) -> Iterator[Figure]:
    client = Client(worker, identity, roster)
    times: dict[str, list[float]] = {"idle": [], "meanwhile": []}
    most_mb = 0.0

    def ask(when: str) -> None:
        nonlocal most_mb
        times[when] += [client.order_s(), client.rows_s()]
        most_mb = max(most_mb, rss_mb(worker.process.pid))
        time.sleep(ASK_S)

    until_s = time.monotonic() + IDLE_S
    while time.monotonic() < until_s:
        ask("idle")
    before_mb = rss_mb(worker.process.pid)
    for seed, (kind, port, count, listed) in enumerate(TO_WORKER):
        address = worker.control if port == "control" else worker.data
        peer = ill(folder, WORKER, address, kind, count, listed, seed)
        while peer.poll() is None:
            ask("meanwhile")
        sent.update(sent_by(peer))
    client.close()
    yield from _answers("worker", times["idle"], times["meanwhile"])
    yield _grown("worker", before_mb, most_mb)


def _at_controller(
    worker: Worker, folder: Path, identity: Identity, roster: Roster, sent: Counter[str]
) -> Iterator[Figure]:
    store, model = BlobStore(folder / "mine"), get_model(MODEL)
    plan = SpatialPlan(model.name, (WORKER,), (len(model.units),), ((),), types={WORKER: "nano"}).validate(model)
    shape = (model.input.folded_channels, model.input.height, model.input.width)
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    weights, members = store_weights(store, MODEL), [Member(WORKER, worker.control)]
    with ExitStack() as stack:
        controller = stack.enter_context(open_session(members, identity, roster, store))
        data = controller.data
        assert isinstance(data, ZmqListener)
        controller.deploy(Deployment(model, weights, plan, (WORKER,)))
        idle = [_latency_s(controller, image) for _ in range(100)]
        before_mb, most_mb, meanwhile = rss_mb(os.getpid()), 0.0, list[float]()
        for seed, (kind, _, count, listed) in enumerate(TO_CONTROLLER):
            peer = ill(folder, DESK, data.address, kind, count, listed, seed)
            while peer.poll() is None:
                meanwhile.append(_latency_s(controller, image))
                most_mb = max(most_mb, rss_mb(os.getpid()))
                time.sleep(ASK_S)
            sent.update(sent_by(peer))
        dropped = Counter(controller.drops.counts) + Counter(data.drops.counts)
    yield from _answers(f"controller, an image of {MODEL}", idle, meanwhile)
    yield _grown("controller", before_mb, most_mb)
    for reason, dropped_count in sorted(dropped.items()):
        yield Figure(f"controller dropped: {reason}", dropped_count, "")


def _latency_s(controller: Controller, image: np.ndarray) -> float:
    (item,) = controller.run([image])
    return item.latency_s


def _answers(who: str, idle: Sequence[float], meanwhile: Sequence[float]) -> Iterator[Figure]:
    yield Figure(f"{who}: answers, idle, median", 1e3 * median(idle), "ms")
    yield Figure(f"{who}: answers, idle, worst", 1e3 * max(idle), "ms")
    allowed = f"the {MOST_ANSWER_MS:g} ms promised"
    yield Figure(f"{who}: answers meanwhile", len(meanwhile), "")
    for name, found in (("median", median(meanwhile)), ("worst", max(meanwhile))):
        yield Figure(f"{who}: answers meanwhile, {name}", 1e3 * found, "ms", 1e3 * found / MOST_ANSWER_MS, allowed)


def _grown(who: str, before_mb: float, most_mb: float) -> Figure:
    grown_mb = most_mb - before_mb
    told = f"the {MOST_GROWN_MB:g} MB promised; {before_mb:.0f} MB before"
    return Figure(f"{who}: resident memory grown by at most", grown_mb, "MB", grown_mb / MOST_GROWN_MB, told)


GROUPS = {"hostile": hostile}
