"""What is told of a stream that workers were lost in: one clock, and every plan's own time."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.experiments.live.outage import lines, losses, rate_figure, stretches, to_json
from splitgym.experiments.live.stream import Streamed
from splitgym.runtime.requester import Item
from splitgym.runtime.service import Event

ZERO_S = 1000.0
LOST = "bob has been silent for 0.6 s"


def item(index: int, begun_s: float, epoch: int) -> Item:
    """One that takes 0.4 real seconds."""
    return Item(index, (), ZERO_S + begun_s, 0.4, {}, 0.0, {}, epoch, 1 if index != 4 else 2)


def streamed() -> Streamed:
    """Real seconds: four images in 2, a loss at 2.2, two plans deployed at 2.5 and 6; the second serves from 8."""
    events = [
        Event(ZERO_S - 3.0, "deploying", "ann, bob", 1), Event(ZERO_S, "serving", "ann, bob", 1),
        Event(ZERO_S + 2.2, "lost", LOST), Event(ZERO_S + 2.3, "planning", "ann"),
        Event(ZERO_S + 2.5, "deploying", "ann", 2), Event(ZERO_S + 5.0, "failed", "ValueError: no plan"),
        Event(ZERO_S + 5.5, "failed", "ValueError: no plan"),
        Event(ZERO_S + 6.0, "deploying", "ann", 3), Event(ZERO_S + 8.0, "serving", "ann", 3),
    ]  # fmt: skip
    before = [item(i, 0.5 * i, 1) for i in range(4)]
    return Streamed(all=before + [item(4 + i, 8.0 + 0.5 * i, 3) for i in range(8)], events=events)


@pytest.mark.parametrize("scale", [1.0, 40.0])
def test_a_plans_time_is_that_in_which_it_serves(scale: float) -> None:
    first, second = stretches(streamed(), scale)
    assert (first.workers, first.images, second.workers, second.images) == ("ann, bob", 4, "ann", 8)
    assert (first.begun_s, first.ended_s) == pytest.approx((0.0, 2.2 / scale))
    assert (second.begun_s, second.ended_s) == pytest.approx((8.0 / scale, 11.9 / scale))
    assert second.images_per_s == pytest.approx(8 / 3.9 * scale)


def test_a_line_of_a_stretch_has_one_clock_and_says_which() -> None:
    told = lines(streamed(), 40.0)
    assert "devices' time (real time / 40)" in told[0]
    assert told[1] == f"0.06 s: {LOST}: 0.155 s to the next result"
    assert "0.00-0.06 s: 4 images, 72.7/s: ann, bob" in told
    assert "0.20-0.30 s: 8 images, 82.1/s: ann" in told
    assert sum("ValueError: no plan" in line for line in told) == 1
    assert not any("devices'" in line for line in lines(streamed(), 1.0))


@given(st.floats(0.1, 1e3))
def test_data_has_the_clock_of_the_lines(scale: float) -> None:
    found: Any = json.loads(json.dumps(to_json(streamed(), scale)))
    (loss,) = losses(streamed(), 1.0)
    assert found["losses"][0]["at_s"] == pytest.approx(loss.at_s / scale)
    assert [part["ended_s"] for part in found["stretches"]] == pytest.approx([2.2 / scale, 11.9 / scale])
    assert found["planning_failed"] == ["ValueError: no plan"]


@pytest.mark.parametrize(("scale", "clock"), [(1.0, "first image"), (40.0, "(the devices': real / 40)")])
def test_the_figure_has_the_clock_too(scale: float, clock: str) -> None:
    (axes,) = rate_figure(streamed(), "mine", scale).axes
    assert axes.get_xlabel().endswith(clock)
    assert axes.get_xlim()[1] == pytest.approx(11.9 / scale)


def test_nothing_is_told_of_a_stream_that_nothing_happened_to() -> None:
    assert lines(Streamed(all=[item(0, 0.0, 1)], events=[Event(ZERO_S, "serving", "ann", 1)]), 40.0) == []
