"""Links between real processes: their rates are measured where rows come in, real ones and emulated ones alike."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from splitgym.models.layers import Shape
from splitgym.models.lookup import get_model
from splitgym.models.model import Model
from splitgym.models.plans import SpatialPlan
from splitgym.models.runnable.units import build
from splitgym.runtime.blobs import BlobStore, put_model
from splitgym.runtime.controller import Controller
from splitgym.runtime.deployment import Deployment
from splitgym.runtime.link_watch import FIRST, LinkWatch, Pair, rates_bytes_s
from splitgym.runtime.pacing import RequesterPace
from splitgym.runtime.service import Service, proposal
from splitgym.runtime.shaper import Relay
from splitgym.runtime.stream_core import Proposal
from splitgym.runtime.testbed import Testbed
from splitgym.runtime.wire import Pace
from splitgym.runtime.zmq_transport import ZmqListener, ZmqNetwork

from .live import ENOUGH_S, narrow, random_images

NAMES = ("w0", "w1")
CHAIN: Pair = NAMES
FAST_BYTES_S, SLOW_BYTES_S = 2e6, 5e5
IMAGES = 7
HOLD_S = 0.2
MOST_PLANS = 8


WIDE, NARROW = 64, 16  # channels behind the second unit: four chunks, and one, which tells no rate


@cache
def model(channels: int = WIDE) -> Model:
    """The beginning of VGG-16; in front of its second unit lie four chunks."""
    zoo = get_model("vgg16")
    units = (zoo.units[0], *narrow(zoo.units[1:2], channels))
    return replace(zoo, input=Shape(3, 44, 44), units=units, tail=())


class Relayed(Controller):
    """Has everybody reach the second worker for rows through a relay."""

    relay: Relay

    def data_address(self, worker: str) -> str:
        return self.relay.address if worker == NAMES[1] else super().data_address(worker)


@pytest.fixture(scope="module")
def testbed(folder: Path) -> Iterator[Testbed]:
    with Testbed(NAMES, folder) as found:
        yield found


@pytest.fixture
def relay(testbed: Testbed) -> Iterator[Relay]:
    """In front of the second worker."""
    with Relay(testbed.running[NAMES[1]].data, FAST_BYTES_S) as found:
        yield found


@pytest.fixture
def controller(testbed: Testbed, folder: Path, relay: Relay, monkeypatch: pytest.MonkeyPatch) -> Iterator[Controller]:
    monkeypatch.setattr(Relayed, "relay", relay, raising=False)
    identity, roster = testbed.identity, testbed.roster
    with (
        ZmqNetwork(identity, roster, False) as network,
        ZmqListener("127.0.0.1:0", identity, roster, False) as data,
        Relayed(
            testbed.members, network, data, BlobStore(folder), lease_s=ENOUGH_S, join_s=ENOUGH_S, returns=True
        ) as found,
    ):
        yield found


def deployed(folder: Path, model: Model) -> Deployment:
    """The first unit on the first worker, the second on the second."""
    digests = put_model(BlobStore(folder), build(model))
    heights = [model.out_shape(unit).height for unit in (0, 1)]
    plan = SpatialPlan(model.name, NAMES, (1, 2), ((heights[0],), (0,)), types=dict.fromkeys(NAMES, "worker"))
    return Deployment(model, digests, plan.validate(model), NAMES)


@pytest.fixture(scope="module")
def deployment(folder: Path) -> Deployment:
    return deployed(folder, model())


def images(count: int) -> list[np.ndarray]:
    return random_images(model(), count, np.random.default_rng(1))


def measured(controller: Controller, deployment: Deployment) -> dict[Pair, float]:
    """Bytes a second by pair, over some images."""
    controller.deploy(deployment, ENOUGH_S)
    found = [rates_bytes_s(item.spans, NAMES) for item in controller.run(images(IMAGES), ENOUGH_S)]
    return {pair: median(rates[pair] for rates in found) for pair in found[0]}


@pytest.mark.parametrize("bytes_s", [FAST_BYTES_S, SLOW_BYTES_S])
def test_a_real_links_rate_is_what_it_lets_through(
    bytes_s: float, controller: Controller, relay: Relay, deployment: Deployment
) -> None:
    relay.bytes_per_s = bytes_s
    assert measured(controller, deployment)[CHAIN] == pytest.approx(bytes_s, rel=0.25)


def test_an_emulated_links_rate_is_what_it_stands_for(
    controller: Controller, relay: Relay, deployment: Deployment
) -> None:
    relay.bytes_per_s, byte_s = None, 1.0 / FAST_BYTES_S
    pace = Pace("table", (0.0, 0.0), 0.0, 1.0, (0.01,) * 3, (byte_s,) * 3, byte_s / 2, byte_s)
    paced = replace(deployment, paces=(pace, pace), requester=RequesterPace((0.01,) * 2, (byte_s,) * 2, (byte_s,) * 2))
    found = measured(controller, paced)
    assert found == pytest.approx(dict.fromkeys([CHAIN, (NAMES[1], "")], FAST_BYTES_S), rel=0.2)


def test_a_changed_link_is_planned_for_and_again_when_it_is_as_before(
    controller: Controller, relay: Relay, folder: Path
) -> None:
    deployment = deployed(folder, model(NARROW))  # so that only the relay's rate is told, not also how busy all is here
    asked: list[Mapping[str, float]] = []
    due_s = time.monotonic() + ENOUGH_S

    def plan(workers: frozenset[str], factors: Mapping[str, float]) -> Proposal:
        asked.append(factors)
        return proposal(deployment, ENOUGH_S)

    def at_once(workers: frozenset[str], factors: Mapping[str, float]) -> Proposal:
        return proposal(deployment, ENOUGH_S, lasts=False)

    def source() -> Iterator[np.ndarray]:
        """Images at the relay's first rate; at another until that is asked about; at the first again."""
        some = images(IMAGES)
        yield from some
        for rate, is_slow in ((SLOW_BYTES_S, True), (FAST_BYTES_S, False)):
            relay.bytes_per_s = rate
            while ("w1" in asked[-1]) != is_slow and time.monotonic() < due_s:
                yield some[0]

    with Service(controller, at_once, plan) as found:
        found.watch = LinkWatch(hold_s=HOLD_S, pause_s=HOLD_S)
        assert len(list(found.run(source()))) > 2 * FIRST
        assert [event.kind for event in found.events if event.kind == "serving"] == ["serving"]  # the plan was kept
    assert asked[0] == {}
    slow = next(factors for factors in asked if "w1" in factors)
    assert slow["w1"] == pytest.approx(SLOW_BYTES_S / FAST_BYTES_S, rel=0.4)
    assert "w1" not in asked[-1]
    assert len(asked) <= MOST_PLANS  # the other end of a link may seem slow a moment later
