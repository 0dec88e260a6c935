"""What those who have a listed key cannot do: harm by orders, give any or answer for others, get what is not theirs."""

from __future__ import annotations

import hashlib
import json
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from safetensors.torch import save

from splitgym.models.model import ValueBytes
from splitgym.models.serial import to_plain
from splitgym.runtime import wire, wire_types
from splitgym.runtime.blobs import PART, BlobStore
from splitgym.runtime.controller import ClusterFailure, Controller, Member
from splitgym.runtime.deployment import Deployment
from splitgym.runtime.geometry import Geometry
from splitgym.runtime.keys import Identity, make_members
from splitgym.runtime.session import open_session
from splitgym.runtime.testbed import Testbed
from splitgym.runtime.transport import CHUNK_BYTES
from splitgym.runtime.zmq_transport import ZmqDialer, ZmqListener

from .live import ENOUGH_S, assert_same, random_images, small, small_network, stored, whole
from .network import ANY, HOST, headers, until
from .plans import random_plan

IDENTITIES, ROSTER = make_members({"me": "controller", "w0": "worker", "w1": "worker", "mallory": "worker"})
ME, W1, MALLORY = IDENTITIES["me"], IDENTITIES["w1"], IDENTITIES["mallory"]
MODEL = small("vgg16")
PLAN = random_plan(MODEL, 2, np.random.default_rng(3))
STEPS = len(MODEL.steps)


@pytest.fixture(scope="module")
def testbed(folder: Path) -> Iterator[Testbed]:
    """Two workers with a folder of weights of their own; they are alive in the end."""
    with Testbed(["w0", "w1"], folder, members=(IDENTITIES, ROSTER)) as testbed:
        yield testbed
        testbed.check()


@pytest.fixture(scope="module")
def weights(folder: Path) -> tuple[str, ...]:
    return stored("vgg16", folder)


class Orders:
    """A controller that says to w0 what it likes, and is heard of often enough to keep it."""

    def __init__(self, testbed: Testbed) -> None:
        self.session, self.said_s = hashlib.sha256(str(time.monotonic()).encode()).hexdigest()[:32], 0.0
        self._heard, self._others = deque[wire.Control](), deque[wire.Control](maxlen=3)
        self._dialer = ZmqDialer(testbed.running["w0"].control, "w0", ME, ROSTER)
        self.say(wire.Hello(wire.VERSION, "1.0", self.session, f"{HOST}:1"))
        self.welcome = self.hear(wire.Welcome)

    def say(self, message: wire.Control, payload: bytes | None = None) -> None:
        self._dialer.send(wire.encode(message), payload, ENOUGH_S)

    def hear(self, kind: type[Any]) -> Any:
        """The next message of a kind."""
        due_s = time.monotonic() + ENOUGH_S
        while time.monotonic() < due_s:
            if time.monotonic() - self.said_s > 0.2:
                self.say(wire.Heartbeat(self.session))
                self.said_s = time.monotonic()
            self._heard.extend(map(wire.decode_control, headers(self._dialer.poll(0.05))))
            while self._heard:
                if isinstance(found := self._heard.popleft(), kind):
                    return found
                self._others.append(found)
        raise AssertionError(f"no {kind.__name__} after {list(self._others)}")

    def plan(
        self,
        epoch: int,
        weights: tuple[str, ...],
        others: tuple[wire.Peer, ...] = (wire.Peer("w1", f"{HOST}:1", 1),),
        **changes: Any,
    ) -> wire.PlanMessage:
        peers = (wire.Peer("w0", f"{HOST}:1", self.welcome.incarnation), *others)
        steps = tuple(Geometry(MODEL, PLAN, ValueBytes(4)).steps(0))
        found = wire.PlanMessage(
            self.session, epoch, 0, to_plain(MODEL), weights, steps, PLAN.to_json(), len(PLAN.cuts), wire_types.FLOAT32,
            peers, 1,
        )  # fmt: skip
        return msgspec.structs.replace(found, **changes)

    def close(self) -> None:
        self.say(wire.Bye(self.session))
        self._dialer.close()


@pytest.fixture
def orders(testbed: Testbed, weights: tuple[str, ...]) -> Iterator[Orders]:
    found = Orders(testbed)
    yield found
    found.close()


# a controller's key --------------------------------------------------------------------------------------------------


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def lying_file(size: int) -> bytes:
    """Safetensors whose header tells of more bytes than there are."""
    header = json.dumps({"weight": {"dtype": "F32", "shape": [2**28], "data_offsets": [0, 2**30]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(size)


def ragged_file() -> bytes:
    """Safetensors whose header is longer than the file."""
    return struct.pack("<Q", 2**63) + b"{}"


def other_tensors() -> bytes:
    import torch

    return save({"weight": torch.zeros(3), "evil": torch.zeros(2, dtype=torch.int64)})


DATA = bytes(range(256)) * 1024  # two chunks
POISON: dict[str, tuple[str, list[tuple[int, int, bytes]], str]] = {  # digest, (offset, size, bytes), what is said
    "of another digest": ("ab" * 32, [(0, 7, b"weights")], "damaged or another's"),
    "in another order": (digest_of(DATA), [(CHUNK_BYTES, len(DATA), DATA[CHUNK_BYTES:])], "due is 0"),
    "with a gap": (digest_of(DATA), [(0, len(DATA), DATA[:100]), (CHUNK_BYTES, len(DATA), b"x")], "due is 100"),
    "more than said": (digest_of(DATA), [(0, 10, DATA[:20])], "chunk at 0 of 10 bytes"),
    "of another size then": (digest_of(DATA), [(0, 300, DATA[:9]), (9, 900, DATA[:9])], "of 900 bytes, due is 9"),
    "no file": (digest_of(b"weights"), [(0, 7, b"weights")], "cannot be read"),
    "a lying header": (digest_of(lying_file(64)), [(0, len(lying_file(64)), lying_file(64))], "cannot be read"),
    "a header without end": (digest_of(ragged_file()), [(0, len(ragged_file()), ragged_file())], "cannot be read"),
    "other tensors": (digest_of(other_tensors()), [(0, len(other_tensors()), other_tensors())], "do not fit"),
}  # fmt: skip


@pytest.mark.parametrize("name", POISON)
def test_poisoned_weights_are_refused_in_one_line(name: str, orders: Orders, folder: Path) -> None:
    digest, chunks, said = POISON[name]
    orders.say(orders.plan(1, (digest,) * STEPS))
    assert orders.hear(wire.Want).digests == (digest,)
    for offset, size, data in chunks:
        orders.say(wire.Blob(orders.session, 1, digest, offset, size), data)
    reason = orders.hear(wire.Failed).reason
    assert said in reason
    assert "\n" not in reason
    assert not list(folder.glob(f".*{PART}"))


NOBODY = wire.Pace("table", (0.1,) * 9, 0.1, 1.0, (0.1,), (1e-8,), 1e-8, 1e-8)
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "a stranger": ({"others": (wire.Peer("eve", f"{HOST}:1", 1),)}, "eve at"),
    "no address": ({"others": (wire.Peer("w1", "nowhere", 1),)}, "address 'nowhere'"),
    "too few peers": ({"others": ()}, "do not go with it"),
    "no such device": ({"device": 2}, "do not go with it"),
    "no volumes": ({"volumes": 0}, "do not go with it"),
    "too many volumes": ({"volumes": 99}, "do not go with it"),
    "a pace for nobody": ({"pace": NOBODY}, "do not go with it"),
    "half a model": ({"model": {"is": "Model"}}, "model: is not one"),
    "something else for a model": ({"model": {"is": "Shape", "channels": 1, "height": 1, "width": 1}}, "it is a Shape"),
    "a model of no kind": ({"model": {"is": "os.system"}}, "model: is not one"),
    "no plan": ({"plan": {}}, "plan"),
    "another plan": ({"plan": {**PLAN.to_json(), "splits": [[10**6]]}}, "plan"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_plans_that_cannot_be_carried_out_fail_and_the_next_is_taken(
    name: str, orders: Orders, weights: tuple[str, ...]
) -> None:
    changes, said = BROKEN[name]
    orders.say(orders.plan(1, weights, **changes))
    assert said in orders.hear(wire.Failed).reason
    orders.say(orders.plan(2, weights))
    assert orders.hear(wire.Ready) == wire.Ready(orders.session, 2)


def leaves(value: Any) -> list[tuple[Any, Any]]:
    """All places in plain data where something can be put: the container and its key."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [leaf for key, inner in items for leaf in [(value, key), *leaves(inner)]]


def test_damaged_plans_leave_the_worker_as_it_was(orders: Orders, weights: tuple[str, ...]) -> None:
    rng = np.random.default_rng(11)
    for epoch in range(1, 41):
        data = json.loads(msgspec.json.encode(orders.plan(epoch, weights)))
        places = [leaf for leaf in leaves(data) if leaf[1] not in ("session", "epoch", "is")]
        for _ in range(int(rng.integers(1, 3))):
            container, key = places[int(rng.integers(len(places)))]
            container[key] = [-1, 0, 1, 3, 10_000, 0.5, "x", None, [], {}, [[1]]][int(rng.integers(11))]
        orders._dialer.send(msgspec.msgpack.encode(data), None, ENOUGH_S)
        orders.say(wire.Heartbeat(orders.session))  # what is malformed does not count as a sign of life
    orders.say(orders.plan(100, weights))
    while orders.hear(wire.Ready) != wire.Ready(orders.session, 100):
        pass


# a worker's key ------------------------------------------------------------------------------------------------------


def dialer(address: str, name: str, identity: Identity = MALLORY) -> ZmqDialer:
    return ZmqDialer(address, name, identity, ROSTER)


def test_a_worker_neither_gives_orders_nor_speaks_for_others(
    testbed: Testbed, folder: Path, weights: tuple[str, ...]
) -> None:
    rng = np.random.default_rng(5)
    running = testbed.running["w0"]
    with open_session(
        [Member(name, testbed.running[name].control) for name in ("w0", "w1")], ME, ROSTER, BlobStore(folder),
        lease_s=ENOUGH_S, join_s=ENOUGH_S,
    ) as controller:  # fmt: skip
        controller.deploy(Deployment(MODEL, weights, PLAN, ("w0", "w1")), ENOUGH_S)
        with dialer(running.control, "w0") as control:
            for order in (
                wire.Reset(controller.session, 10), wire.Bye(controller.session), wire.Heartbeat(controller.session),
                wire.Hello(wire.VERSION, "1.0", "cd" * 16, f"{HOST}:1"), order_of(controller, weights),
            ):  # fmt: skip
                control.send(wire.encode(order), None, ENOUGH_S)
                (reply,) = headers(until(control, lambda events: bool(headers(events))))
                refused = wire.decode_control(reply)
                assert isinstance(refused, wire.Refuse)
                assert "mallory is a worker on the roster of w0; only controllers deploy" in refused.reason
        forged = forge(controller, weights[0])
        with dialer(running.data, "w0") as rows, dialer(controller.data.address, "me") as results:
            for header, payload in forged:
                rows.send(header, payload, ENOUGH_S)
                results.send(header, payload, ENOUGH_S)
            while controller.drops.counts.get("rows of another plan or sender", 0) < len(forged):
                time.sleep(0.01)
        images = random_images(MODEL, 3, rng)
        for item, image in zip(controller.run(iter(images), ENOUGH_S), images, strict=True):
            assert_same(item.outputs, whole(small_network("vgg16"), image))


def order_of(controller: Controller, weights: tuple[str, ...]) -> wire.PlanMessage:
    """The plan of a session, as its controller tells it."""
    peers = {name: wire.Peer(name, f"{HOST}:1", controller.welcomes[name].incarnation) for name in ("w0", "w1")}
    return Deployment(MODEL, weights, PLAN, ("w0", "w1")).messages(controller.session, 2, peers)["w0"]


def forge(controller: Controller, weights: str) -> list[tuple[bytes, bytes]]:
    """All rows of an item that anybody waits for, as if the others sent them, all zero."""
    geometry = Geometry(MODEL, PLAN, ValueBytes(4))
    incarnations = {d: controller.welcomes[name].incarnation for d, name in enumerate(("w0", "w1"))}
    found = []
    for receiver in (-1, 0, 1):
        for boundary in (*geometry.boundaries, geometry.last):
            for piece in geometry.inbox(receiver, boundary):
                size = geometry.piece_bytes(piece)
                for offset in range(0, size, CHUNK_BYTES):
                    chunk = wire.Chunk(
                        controller.session, 1, incarnations.get(piece.sender, 0), 0, boundary, piece.tensor, piece.lo,
                        piece.hi, wire_types.FLOAT32 if boundary else wire_types.UINT8, weights, offset, size, size,
                        0.0,
                    )  # fmt: skip
                    found.append((wire.encode(chunk), bytes(min(CHUNK_BYTES, size - offset))))
    return found


class Liar:
    """Somebody with the key of w1 who joins a controller's session, asks for what is not its, and tells nonsense."""

    def __init__(self, foreign: str) -> None:
        self._foreign, self.got = foreign, set[str]()
        self._control, self._data = (ZmqListener(ANY, W1, ROSTER) for _ in range(2))
        self.address, self._stop = self._control.address, threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._control.close()
        self._data.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            for event in self._control.poll(0.02):
                if event.kind == "message":
                    self._heard(event.peer, wire.decode_control(event.header), len(event.payload or b""))

    def _heard(self, peer: str, message: wire.Control, n_bytes: int) -> None:
        match message:
            case wire.Hello():
                port = int(self._data.address.rpartition(":")[2])
                said: list[wire.Control] = [wire.Welcome(message.session, 5, "1.0", port, "a board")]
            case wire.PlanMessage():
                self._control.reply(peer, b"\xc1 no message")
                nowhere = wire.Spans(message.session, 1, 0, (wire.Span("compute", 0.0, 1.0, "77"),))
                said = [
                    wire.Want(message.session, 1, (message.weights[0], self._foreign)),
                    wire.Want(message.session, 1, (self._foreign,)),
                    nowhere,
                ]
            case wire.Blob():
                self.got.add(message.digest)
                said = [wire.Ready(message.session, 1)] if message.offset + n_bytes == message.size else []
            case _:
                said = []
        for answer in said:
            self._control.reply(peer, wire.encode(answer))


def test_a_worker_gets_no_weights_but_the_plans_and_its_nonsense_is_counted(tmp_path: Path) -> None:
    store, weights = BlobStore(tmp_path), stored("vgg16", tmp_path)
    liar = Liar(store.put(b"another network's"))
    try:
        with open_session(
            [Member("w1", liar.address)], ME, ROSTER, store, lease_s=ENOUGH_S, join_s=ENOUGH_S
        ) as controller:
            plan = random_plan(MODEL, 1, np.random.default_rng(0))
            controller.deploy(Deployment(MODEL, weights, plan, ("w1",)), ENOUGH_S)
            assert dict(controller.core.lost) == {}
            assert controller.drops.counts == {
                "malformed messages of workers": 1, "reports of what no plan has": 1,
                "messages of another session or plan": 1,  # it asks again, and is not told twice
            }  # fmt: skip
    finally:
        liar.close()
    assert liar.got == {weights[0]}


def test_a_controller_takes_no_answer_from_another_worker(testbed: Testbed, tmp_path: Path) -> None:
    with (
        pytest.raises(ClusterFailure, match=r"w1 .*: has not answered within 2 s"),
        open_session([Member("w1", testbed.running["w0"].control)], ME, ROSTER, BlobStore(tmp_path), join_s=2.0),
    ):
        raise AssertionError
