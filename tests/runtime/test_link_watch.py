"""A changed link is noticed after a while, once; luck is not."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.runtime.link_watch import FIRST, LEAST_BYTES, LinkWatch, sent_bytes_s
from splitgym.runtime.wire import Span

STEP_S = 0.5
PAUSE_S = 10.0


def spans(bytes_s: float) -> dict[str, list[Span]]:
    """A second of computing, and a message at this rate that has waited before."""
    end_s = 2.5 + LEAST_BYTES / bytes_s
    return {"ann": [Span("compute", 0.0, 1.0, "0"), Span("send", 2.0, end_s, "1", LEAST_BYTES, wait_s=0.5)], "": []}


def asked(rates: list[float], watch: LinkWatch | None = None) -> list[int]:
    """The items after which a new plan is wanted."""
    found = watch or LinkWatch(factor=1.5, hold_s=3.0, pause_s=PAUSE_S)
    return [i for i, rate in enumerate(rates) if found.saw(spans(rate), STEP_S * i)]


@given(st.floats(1e3, 1e9), st.lists(st.floats(1.0, 1.2), min_size=1, max_size=60))
def test_luck_within_the_factor_is_no_change(rate: float, luck: list[float]) -> None:
    assert asked([rate * factor for factor in luck]) == []


@given(st.floats(1e3, 1e6), st.floats(1.8, 100.0), st.booleans())
def test_a_change_is_told_once_within_its_time(rate: float, factor: float, is_up: bool) -> None:
    changed = rate * factor if is_up else rate / factor
    found = asked([rate] * FIRST + [changed] * 20)
    assert len(found) == 1
    assert found[0] * STEP_S <= (FIRST + 3) * STEP_S + 3.0 + STEP_S  # most of the recent ones, and the while


def test_an_outlier_is_no_change() -> None:
    assert asked([1e6] * 10 + [1e4, 1e4] + [1e6] * 30) == []


def test_a_new_plan_begins_anew_and_is_not_asked_for_too_often() -> None:
    watch = LinkWatch(factor=1.5, hold_s=1.0, pause_s=PAUSE_S)
    found = asked([1e6] * FIRST + [1e5] * 60, watch)
    assert len(found) > 1
    assert all(b - a >= PAUSE_S / STEP_S for a, b in pairwise(found))
    assert watch.factors["ann"] == pytest.approx(0.1)
    watch.planned()
    assert asked([1e5] * 40, watch) == []  # what the plan was made for
    assert watch.factors["ann"] == pytest.approx(0.1)


def test_small_messages_say_nothing() -> None:
    assert sent_bytes_s([Span("send", 0.0, 1.0, "1", LEAST_BYTES - 1)]) is None
    assert sent_bytes_s([]) is None
