"""What a worker may tell of an item, and what an emulated link may hold back of a sender's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from splitgym.runtime import wire
from splitgym.runtime.deployment import Deployment
from splitgym.runtime.geometry import REQUESTER
from splitgym.runtime.requester import Requester
from splitgym.runtime.spatial import Spatial
from splitgym.runtime.spatial_epoch import SpatialEpoch

from .live import small
from .plans import random_plan

MODEL = small("vgg16")
DEPLOYMENT = Deployment(MODEL, ("11" * 32,), random_plan(MODEL, 3, np.random.default_rng(0)), ("a", "b", "c"))
GEOMETRY = DEPLOYMENT.geometry
REQUESTED = Requester("ab" * 16, 1, DEPLOYMENT, {})


def may_tell(spans: tuple[wire.Span, ...]) -> bool:
    return REQUESTED.told("a", wire.Spans("ab" * 16, 1, 0, spans))


def span(kind: str, label: str, boundary: int = 0) -> wire.Span:
    return wire.Span(kind, 0.0, 1.0, label, boundary=boundary)


def test_a_worker_tells_of_volumes_devices_and_boundaries() -> None:
    last = str(GEOMETRY.volumes - 1)
    told = [span("compute", "0"), span("compute", last), span("compute", "tail"), span("send", "2"), span("send", "R")]
    assert may_tell((*told, span("receive", "R"), span("receive", "0", GEOMETRY.last)))
    assert may_tell(())


@pytest.mark.parametrize(
    "bad",
    [
        span("compute", str(GEOMETRY.volumes)), span("compute", "R"), span("compute", "-1"), span("compute", "x"),
        span("send", "3"), span("send", "tail"), span("receive", ""), span("scatter", "0"), span("rest", "0"),
        span("send", "0", GEOMETRY.last + 1), span("send", "٣"),
    ],
)  # fmt: skip
def test_and_of_nothing_else(bad: wire.Span) -> None:
    assert not may_tell((span("compute", "0"), bad))


def test_a_link_holds_back_what_a_plan_lets_a_sender_send_and_no_more() -> None:
    message: Any = None
    device = next(d for d in range(3) if GEOMETRY.inbox(d, 0))
    epoch = SpatialEpoch(message, Spatial(GEOMETRY, device, in_flight=2), None, 1, "me", "here:1")
    most = epoch.spatial.assembly.most_bytes(REQUESTER)
    due = sum(GEOMETRY.piece_bytes(piece) for piece in GEOMETRY.inbox(device, 0))
    assert most == 3 * due > 0
    assert epoch.hold(REQUESTER, most)
    assert not epoch.hold(REQUESTER, 1)
    assert not epoch.hold(7, 1)  # of whom the plan lets nothing come
    epoch.held_bytes[REQUESTER] -= 10
    assert epoch.hold(REQUESTER, 10)
