"""A stream over real processes that are killed and stopped: every image once, in order, and right."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from splitgym.models.plans import SpatialPlan
from splitgym.runtime.blobs import BlobStore
from splitgym.runtime.controller import ClusterFailure
from splitgym.runtime.deployment import Deployment
from splitgym.runtime.membership import Hysteresis
from splitgym.runtime.service import Planner, Service, proposal
from splitgym.runtime.session import open_session
from splitgym.runtime.stream_core import Proposal
from splitgym.runtime.testbed import Testbed

from .live import ENOUGH_S, assert_same, random_images, small, small_network, stored, whole

NAMES = ("w0", "w1", "w2")
LEASE_S = 5.0  # of the stream, on a machine that is slow and busy
IMAGES = 12
CUT = 6


@pytest.fixture(scope="module")
def testbed(folder: Path) -> Iterator[Testbed]:
    with Testbed(NAMES, folder) as found:
        yield found


def plan(folder: Path, in_flight: int, workers: frozenset[str], lasts: bool) -> Proposal:
    """Equal parts of the small VGG-16; what does not last, all on one of the workers."""
    model, digests, names = small("vgg16"), stored("vgg16", folder), tuple(sorted(workers))
    cuts = (CUT, len(model.units))  # behind it a single row is left
    height = model.out_shape(CUT - 1).height
    splits = tuple(height if not lasts else round(height * d / len(names)) for d in range(1, len(names)))
    ends = (model.out_shape(cuts[1] - 1).height,) * (len(names) - 1)
    found = SpatialPlan(model.name, names, cuts, (splits, ends), types=dict.fromkeys(names, "worker"))
    return proposal(Deployment(model, digests, found.validate(model), names, in_flight=in_flight), ENOUGH_S, lasts)


@contextmanager
def service(
    testbed: Testbed,
    folder: Path,
    patience_s: float = ENOUGH_S,
    in_flight: int = 1,
    at_once: Planner | None = None,
    planner: Planner | None = None,
) -> Iterator[Service]:
    """Equal parts for whoever is there; first all on one of them, to go on with."""
    at_once = at_once or (lambda workers, factors: plan(folder, in_flight, workers, False))
    planner = planner or (lambda workers, factors: plan(folder, in_flight, workers, True))
    with (
        open_session(
            testbed.members, testbed.identity, testbed.roster, BlobStore(folder), join_s=ENOUGH_S, lease_s=ENOUGH_S,
            returns=True, hysteresis=Hysteresis(pause_s=0.1, most_s=0.1),
        ) as controller,
        Service(controller, at_once, planner, in_flight, lease_s=LEASE_S, patience_s=patience_s) as found,
    ):  # fmt: skip
        yield found


def images() -> list[np.ndarray]:
    return random_images(small("vgg16"), IMAGES, np.random.default_rng(2))


def run(found: Service, hurt: dict[int, threading.Thread]) -> None:
    """All images, with something that begins when a result is there."""
    sources, seen = images(), []
    for item in found.run(sources):
        seen.append(item.index)
        assert_same(item.outputs, whole(small_network("vgg16"), sources[item.index]))
        if item.index in hurt:
            hurt[item.index].start()
            hurt[item.index].join()
    assert seen == list(range(IMAGES))


@pytest.mark.parametrize("in_flight", [1, 3])
def test_a_stream_without_faults(testbed: Testbed, folder: Path, in_flight: int) -> None:
    with service(testbed, folder, in_flight=in_flight) as found:
        run(found, {})
        assert {event.kind for event in found.events} <= {"planning", "deploying", "serving"}


def test_killed_and_stopped_workers_cost_no_image(testbed: Testbed, folder: Path) -> None:
    with service(testbed, folder) as found:
        hurt = {
            2: threading.Thread(target=testbed.signal, args=("w1",)),
            4: threading.Thread(target=testbed.restart, args=("w1",)),
            6: threading.Thread(target=testbed.signal, args=("w0", signal.SIGSTOP)),
            8: threading.Thread(target=testbed.signal, args=("w0", signal.SIGCONT)),
        }
        run(found, hurt)
    lost = [event.text for event in found.events if event.kind == "lost"]
    assert any(text.startswith("w1") for text in lost)
    assert any(text.startswith("w0") for text in lost)
    served = [event.text for event in found.events if event.kind == "serving"]
    assert all(not text or set(text.split(", ")) <= set(NAMES) for text in served)
    assert len(served) > 2


def test_losses_while_the_planner_computes_cost_no_image_and_nobody_waits_for_it_in_the_end(
    testbed: Testbed, folder: Path
) -> None:
    done, ended = threading.Event(), threading.Event()

    def endless(workers: frozenset[str], factors: Mapping[str, float]) -> Proposal:
        try:
            assert done.wait(ENOUGH_S)
            return plan(folder, 1, workers, True)
        finally:
            ended.set()

    with service(testbed, folder, planner=endless) as found:
        hurt = {2: "w0", 5: "w1"}  # each has all the work then
        run(found, {i: threading.Thread(target=testbed.signal, args=(name,)) for i, name in hurt.items()})
        served = [event.text for event in found.events if event.kind == "serving"]
        assert [text for text in served if text] == list(NAMES)
        found.__exit__()
        assert not ended.is_set()
    done.set()
    for name in hurt.values():
        testbed.restart(name)


def fails(workers: frozenset[str], factors: Mapping[str, float]) -> Proposal:
    raise ValueError("no plan for them")


def test_a_planner_that_fails_is_told_of_and_what_serves_goes_on(testbed: Testbed, folder: Path) -> None:
    with service(testbed, folder, planner=fails) as found:
        run(found, {})
        assert [event.text for event in found.events if event.kind == "failed"] == ["ValueError: no plan for them"]


def test_where_there_is_no_plan_at_all_the_stream_ends_with_the_planners_error(testbed: Testbed, folder: Path) -> None:
    with (
        service(testbed, folder, at_once=fails, planner=fails) as found,
        pytest.raises(ValueError, match="no plan for them"),
    ):
        run(found, {})


def test_it_gives_up_in_one_line_when_nobody_is_left(testbed: Testbed, folder: Path) -> None:
    with service(testbed, folder) as found:
        stream = found.run(images())
        next(stream)
        found.core.patience_s = 2.0
        for name in NAMES:
            testbed.signal(name)
        with pytest.raises(ClusterFailure, match=r"no result for 2 s \(w0 .*; w1 .*; w2 .*\)"):
            list(stream)
    for name in NAMES:
        testbed.restart(name)
