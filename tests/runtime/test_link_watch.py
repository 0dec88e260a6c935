"""A changed link is noticed after a while, and whose it is; luck is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.runtime.link_watch import FIRST, LEAST_BYTES, LEAST_S, RECENT, LinkWatch, Pair, rates_bytes_s
from splitgym.runtime.wire import Span

STEP_S = 0.5
HOLD_S, PAUSE_S = 3.0, 10.0
PAIR = "", "ann"
ALL = [(a, b) for a in ("", "ann", "bob", "cid") for b in ("", "ann", "bob", "cid") if a != b]


def watch_of(hold_s: float = HOLD_S) -> LinkWatch:
    return LinkWatch(factor=1.5, hold_s=hold_s, pause_s=PAUSE_S)


def asked(found: LinkWatch, rates: Sequence[float], begun_s: float = 0.0) -> list[int]:
    """The items after which a new plan is wanted, where these are the rates of one pair."""
    out = []
    for i, rate in enumerate(rates):
        now_s = begun_s + STEP_S * i
        found.saw({PAIR: rate}, now_s)
        if found.asks(now_s):
            out.append(i)
    return out


def settled(slow: str, rate: float = 1e6, factor: float = 0.1) -> LinkWatch:
    """All pairs at a rate, then for a while those of one worker at another."""
    found = watch_of()
    for i in range(40):
        found.saw({pair: rate * (factor if slow in pair and i >= FIRST else 1.0) for pair in ALL}, STEP_S * i)
    return found


@given(st.floats(1e3, 1e9), st.lists(st.floats(1.0, 1.2), min_size=1, max_size=60))
def test_luck_within_the_factor_is_no_change(rate: float, luck: list[float]) -> None:
    assert asked(watch_of(), [rate * factor for factor in luck]) == []


@given(st.floats(1e3, 1e6), st.floats(1.8, 100.0), st.booleans())
def test_a_change_is_told_once_within_its_time(rate: float, factor: float, is_up: bool) -> None:
    found, by = watch_of(), factor if is_up else 1.0 / factor
    (first, *later) = asked(found, [rate] * FIRST + [rate * by] * 20)
    assert first * STEP_S <= (FIRST + RECENT) * STEP_S + HOLD_S
    assert later == []
    assert found.factors["ann"] == pytest.approx(by)


def test_an_outlier_is_no_change_and_no_factor() -> None:
    found = watch_of()
    assert asked(found, [1e6] * 10 + [1e4, 1e4] + [1e6] * 30) == []
    assert asked(found, [1e4] * 4, 100.0) == []
    assert found.factors == {}  # as long as it has not lasted


@given(st.sampled_from(["ann", "bob", "cid"]), st.floats(0.01, 0.5) | st.floats(2.0, 100.0))
def test_who_exchanges_rows_with_a_changed_link_has_not_changed(name: str, factor: float) -> None:
    assert settled(name, factor=factor).factors == {name: pytest.approx(factor)}


def test_a_link_that_has_changed_one_way_has_changed() -> None:
    found = watch_of()
    for i in range(40):
        found.saw({pair: 1e6 * (0.1 if pair[1] == "bob" and i >= FIRST else 1.0) for pair in ALL}, STEP_S * i)
    assert found.factors == {"bob": pytest.approx(0.1)}


def test_no_plan_is_asked_for_too_often() -> None:
    found = asked(watch_of(1.0), [1e6] * FIRST + [1e5] * 60)
    assert len(found) > 1
    assert all(b - a >= PAUSE_S / STEP_S for a, b in pairwise(found))


@pytest.mark.parametrize("kept", [False, True])
def test_none_is_asked_for_once_one_was_made_for_the_change(kept: bool) -> None:
    found = watch_of()
    assert asked(found, [1e6] * FIRST + [1e5] * 20) != []
    found.planned(found.factors, kept)
    assert asked(found, [1e5] * 60, 100.0) == []
    assert found.factors["ann"] == pytest.approx(0.1)


@pytest.mark.parametrize("kept", [False, True])
def test_a_change_while_the_plan_was_made_is_not_swallowed(kept: bool) -> None:
    found = watch_of()
    assert asked(found, [1e6] * FIRST + [1e5] * 20) != []
    made_with: Mapping[str, float] = found.factors
    asked(found, [2e4] * 20, 15.0)
    found.planned(made_with, kept)
    assert asked(found, [2e4] * 5, 100.0) != []
    assert found.factors["ann"] == pytest.approx(0.02)


@pytest.mark.parametrize("kept", [False, True])
def test_a_link_that_is_as_before_is_asked_for_too(kept: bool) -> None:
    found = watch_of()
    assert asked(found, [1e6] * FIRST + [1e5] * 20) != []
    found.planned(found.factors, kept)
    assert asked(found, [1e5] * FIRST + [1e6] * 20, 100.0) != []
    assert found.factors == {}


def received(label: str, rest_bytes: int, rest_s: float) -> Span:
    return Span("receive", 0.0, 9.0, label, 10**6, 0, rest_bytes=rest_bytes, rest_s=rest_s)


def test_rates_are_of_pairs_and_of_what_says_anything() -> None:
    big = 4 * LEAST_BYTES
    spans = {
        "ann": [received("R", big, 2.0), received("1", big, 1.0), received("1", big, 3.0), Span("send", 0.0, 1.0, "1")],
        "bob": [received("0", LEAST_BYTES - 1, 1.0), Span("compute", 0.0, 1.0, "0")],
        "": [received("1", big, LEAST_S / 100), Span("scatter", 0.0, 1.0, "0", big)],
    }
    due: dict[Pair, float] = {("", "ann"): big / 2.0, ("bob", "ann"): big / 2.0, ("bob", ""): big / LEAST_S}
    assert rates_bytes_s(spans, ("ann", "bob")) == pytest.approx(due)
