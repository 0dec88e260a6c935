"""What those who have a listed key cannot do to a training: plans that make no sense, packets that nobody is due."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import save

from splitgym.runtime import wire
from splitgym.runtime.blobs import BlobStore
from splitgym.runtime.packet_links import Sealed, parts
from splitgym.runtime.testbed import Testbed
from splitgym.runtime.training.blobs import put_data
from splitgym.runtime.training.job import TrainingJob
from splitgym.runtime.training.packets import Packet, seal
from splitgym.runtime.wire_training import (
    Backward,
    Do,
    Exchange,
    Forward,
    Gradients,
    Prepared,
    Restore,
    Restored,
    Round,
)
from splitgym.runtime.wire_training_plan import Setup, TrainingPace, TrainingPlan
from splitgym.runtime.zmq_transport import ZmqDialer
from splitgym.ui.errors import InputError

from ..live import ENOUGH_S
from ..network import HOST
from ..test_listed_keys import IDENTITIES as KEYS
from ..test_listed_keys import ME, ROSTER, W1, Orders, digest_of, leaves
from .live import SETTINGS, job
from .nets import PLAIN, digits

SETUP = job("cut", PLAIN).setup


@pytest.fixture(scope="module")
def testbed(folder: Path) -> Iterator[Testbed]:
    """Two workers; they are alive in the end."""
    with Testbed(["w0", "w1"], folder, members=(KEYS, ROSTER), trains=True) as testbed:
        yield testbed
        testbed.check()


@pytest.fixture(scope="module")
def data(folder: Path) -> str:
    return put_data(BlobStore(folder), digits())


@pytest.fixture
def orders(testbed: Testbed) -> Iterator[Orders]:
    found = Orders(testbed)
    yield found
    found.close()


def plan_of(orders: Orders, epoch: int, role: int, setup: Setup = SETUP, **changes: Any) -> TrainingPlan:
    """A plan in which w0 plays a role."""
    others = iter((wire.Peer("w1", f"{HOST}:1", 1), wire.Peer("mallory", f"{HOST}:1", 1)))
    own = wire.Peer("w0", f"{HOST}:1", orders.welcome.incarnation)
    peers = tuple(own if i == role else next(others) for i in range(len(setup.roles)))
    return msgspec.structs.replace(TrainingPlan(orders.session, epoch, role, setup, peers), **changes)


def setup_of(**changes: Any) -> dict[str, Any]:
    return {"setup": msgspec.structs.replace(SETUP, **changes)}


def soft(**changes: Any) -> dict[str, Any]:
    found = job("compressed", PLAIN).setup
    return {"setup": msgspec.structs.replace(found, settings={**found.settings, **changes})}


PACE = TrainingPace((0.1,) * 5, (0.1,) * 5, (0.1,) * 5, (0.0, 0.0), (0.0,))
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "too few peers": ({"peers": (wire.Peer("w1", f"{HOST}:1", 1),)}, "do not go with it"),
    "no such role": ({"role": 2}, "do not go with it"),
    "one peer twice": ({"peers": (None, None)}, "do not go with it"),  # None for itself
    "a stranger": ({"peers": (wire.Peer("eve", f"{HOST}:1", 1), None)}, "eve at"),
    "data for who needs none": ({"data": ("ab" * 32,)}, "must not have the data"),
    "other roles": (setup_of(roles=("edge", "device")), "roles are edge, device"),
    "a cut behind the end": (setup_of(cut=9), "cut is 9"),
    "other channels": (setup_of(mean=(0.1, 0.2), deviation=(0.1, 0.2)), "of 2 channels"),
    "half a model": (setup_of(model={"is": "Model"}), "model: is not one"),
    "a model of no kind": (setup_of(model={"is": "os.system"}), "model: is not one"),
    "a pace for nobody": ({"pace": PACE}, "its pace is not"),
    "a soft filter": (soft(mask="soft"), "allowed over a wire: 'hard'"),
    "settings of another": (soft(batch=3), "are not those of the training"),
    "settings that are none": (soft(delta="x"), "settings"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_plans_that_cannot_be_carried_out_fail_and_the_next_is_taken(name: str, orders: Orders, data: str) -> None:
    changes, said = BROKEN[name]
    plan = plan_of(orders, 1, 1)
    if "peers" in changes:
        changes = {**changes, "peers": tuple(plan.own if peer is None else peer for peer in changes["peers"])}
    if "data" in changes:
        changes = {**changes, "data": (data,)}
    orders.say(msgspec.structs.replace(plan, **changes))
    failed = orders.hear(wire.Failed)
    assert said in failed.reason
    assert "\n" not in failed.reason
    orders.say(plan_of(orders, 2, 1))
    assert orders.hear(wire.Ready) == wire.Ready(orders.session, 2)


POISON: dict[str, tuple[dict[str, Any], str]] = {
    "no images": ({"labels": torch.zeros(3, dtype=torch.int64)}, "holds labels"),
    "others beside": ({"images": torch.zeros(1), "labels": torch.zeros(1), "more": torch.zeros(1)}, "holds"),
    "of another shape": (
        {"images": torch.zeros((3, 1, 8, 9), dtype=torch.uint8), "labels": torch.zeros(3, dtype=torch.int64)},
        "images are (3, 1, 8, 9)",
    ),
    "too few labels": (
        {"images": torch.zeros((3, 1, 8, 8), dtype=torch.uint8), "labels": torch.zeros(2, dtype=torch.int64)},
        "images are",
    ),
    "numbers that are no bytes": (
        {"images": torch.zeros((3, 1, 8, 8)), "labels": torch.zeros(3, dtype=torch.int64)},
        "images are",
    ),
}


@pytest.mark.parametrize("name", POISON)
def test_poisoned_data_are_refused_in_one_line(name: str, orders: Orders) -> None:
    tensors, said = POISON[name]
    blob = save(tensors)
    orders.say(plan_of(orders, 1, 0, data=(digest_of(blob),)))
    assert orders.hear(wire.Want).digests == (digest_of(blob),)
    orders.say(wire.Blob(orders.session, 1, digest_of(blob), 0, len(blob)), blob)
    assert said in orders.hear(wire.Failed).reason


def test_damaged_plans_leave_the_worker_as_it_was(orders: Orders, data: str) -> None:
    rng = np.random.default_rng(11)
    for epoch in range(1, 41):
        fields = json.loads(msgspec.json.encode(plan_of(orders, epoch, 0, data=(data,))))
        places = [leaf for leaf in leaves(fields) if leaf[1] not in ("session", "epoch", "is")]
        for _ in range(int(rng.integers(1, 3))):
            container, key = places[int(rng.integers(len(places)))]
            container[key] = [-1, 0, 1, 3, 10_000, 0.5, "x", None, [], {}, [[1]]][int(rng.integers(11))]
        orders._dialer.send(msgspec.msgpack.encode(fields), None, ENOUGH_S)
        orders.say(wire.Heartbeat(orders.session))  # what is malformed does not count as a sign of life
    orders.say(plan_of(orders, 100, 0, data=(data,)))
    while orders.hear(wire.Ready) != wire.Ready(orders.session, 100):
        pass


def packets(epoch: int, rng: random.Random) -> list[Sealed]:
    """Packets that are none, that nobody is due, or that lie about what is in them."""
    labels = torch.zeros(4, dtype=torch.int64)
    good = [
        seal(Packet(header, tensors))
        for header, tensors in (
            (Forward(epoch, 0, 1, 0.1), {"": torch.zeros(4, 6, 8, 7), "labels": labels}),
            (Forward(epoch, 1, 99, 0.1), {"": torch.zeros(4, 6, 8, 8), "labels": labels}),
            (Forward(epoch, 2, 1, 0.1), {"": torch.zeros(4, 6, 8, 8), "labels": labels - 1}),
            (Forward(epoch, 3, 1, 0.1), {"": torch.zeros(0, 6, 8, 8), "labels": labels[:0]}),
            (Backward(epoch, 4), {"": torch.zeros(4, 6, 8, 8)}),
            (Gradients(epoch, 5), {"steps.0.x": torch.zeros(3)}),
            (Do(epoch, 6, Round(0, 2, 0.1)), {}),
            (Prepared(epoch, 7, {"loss": float("nan")}), {}),
            (Restored(epoch, 8), {}),
            (Exchange(epoch, 9, 2, (0,)), {"steps.0.x": torch.zeros(3)}),
        )
    ]
    damaged = []
    for _ in range(30):
        sealed = rng.choice(good)
        data = bytearray(sealed.data)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(min(len(data), 2 * sealed.envelope_bytes))] = rng.randrange(256)
        damaged.append(Sealed(data, rng.choice((sealed.envelope_bytes, rng.randint(1, len(data))))))
    return [*good, *damaged]


def test_packets_that_are_not_due_are_dropped_and_the_worker_goes_on(testbed: Testbed, orders: Orders) -> None:
    """As the edge of a cut, from the device that it trains with."""
    rng = random.Random(3)
    with ZmqDialer(testbed.running["w0"].data, "w0", W1, ROSTER) as device:
        for epoch, sealed in enumerate(packets(0, rng), 1):
            orders.say(plan_of(orders, epoch, 1))
            while orders.hear(wire.Ready).epoch != epoch:  # what fails an epoch fails it alone
                pass
            for part, payload in parts(sealed, orders.session, epoch, 1, 0, 0.0):
                device.send(wire.encode(part), payload, ENOUGH_S)
        huge = wire.Part(orders.session, epoch, 1, 1, 0, 2**30, 100, 0.0)
        for _ in range(20):  # nothing is kept room for
            device.send(wire.encode(huge), bytes(2**17), ENOUGH_S)
        orders.say(wire.Heartbeat(orders.session))
    assert rss_bytes(testbed.running["w0"].pid) < 2**30
    orders.say(plan_of(orders, 1000, 1))
    while orders.hear(wire.Ready).epoch != 1000:
        pass


def rss_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def test_packets_of_others_are_not_taken(testbed: Testbed, orders: Orders) -> None:
    """Of a worker that does not take part, of another session, epoch or start, and of who is to be silent."""
    orders.say(plan_of(orders, 1, 1))
    assert orders.hear(wire.Ready).epoch == 1
    packet = seal(Packet(Restore(1, 0), {}))
    part, payload = next(parts(packet, orders.session, 1, 1, 0, 0.0))
    cases: list[tuple[Any, dict[str, Any]]] = [
        (KEYS["mallory"], {}), (W1, {"session": "cd" * 16}), (W1, {"epoch": 2}), (W1, {"incarnation": 2}),
    ]  # fmt: skip
    for identity, changes in cases:
        with ZmqDialer(testbed.running["w0"].data, "w0", identity, ROSTER) as dialer:
            for _ in range(3):
                dialer.send(wire.encode(msgspec.structs.replace(part, **changes)), payload, ENOUGH_S)
    with ZmqDialer(testbed.running["w0"].data, "w0", ME, ROSTER) as controller:
        gap, its = next(parts(packet, orders.session, 1, 0, 5, 0.0))
        controller.send(wire.encode(gap), its, ENOUGH_S)
        failed = orders.hear(wire.Failed)
        assert "packet 0 did not come whole, 5 is here" in failed.reason


def test_a_job_with_a_soft_filter_is_refused() -> None:
    with pytest.raises(InputError, match="allowed over a wire: 'hard'"):
        TrainingJob("compressed", PLAIN, digits(), settings=replace(SETTINGS, mask="soft"))
    with pytest.raises(InputError, match="for a compressed training"):
        TrainingJob("cut", PLAIN, digits(), settings=SETTINGS)
