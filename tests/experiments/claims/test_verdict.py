"""Verdicts follow from intervals and the published range, and from nothing else."""

from __future__ import annotations

from math import inf, nan, nextafter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.experiments.claims.statement import TIE, Exhibit, Part, below, near
from splitgym.experiments.claims.verdict import judge, judge_part
from splitgym.experiments.intervals import interval

FIGURES = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        (2.0, True), (2.5, True), (1.6, True), (nextafter(2.5, inf), False), (nextafter(1.6, 0.0), False),
        (2.504, False), (0.0, False), (-2.0, False), (inf, False), (nan, False),
    ],
)  # fmt: skip
def test_a_figure_holds_within_its_tolerance_and_not_by_rounding(value: float, holds: bool) -> None:
    assert judge_part(near("", [value], 2.0)) == ("holds" if holds else "does not hold")


@pytest.mark.parametrize(
    ("samples", "verdict"),
    [
        ([1.0, 1.01, 0.99], "holds"), ([3.0, 3.01, 2.99], "does not hold"), ([1.9, 2.1, 2.0], "not resolved"),
        ([2.0, 2.0, 2.0], "holds"), ([0.0, 0.0, 0.0], "does not hold"), ([1.0, nan], "does not hold"),
    ],
)  # fmt: skip
def test_what_lies_across_an_end_is_not_resolved(samples: list[float], verdict: str) -> None:
    assert judge_part(Part("", samples, 0.5, 2.0)) == verdict


@given(st.lists(FIGURES, min_size=2, max_size=8), st.floats(-1e3, 1e3))
def test_intervals_hold_the_mean_and_move_with_the_samples(samples: list[float], shift: float) -> None:
    mean, lower, upper = interval(samples)
    assert lower <= mean <= upper
    assert interval([value + shift for value in samples]) == pytest.approx(
        (mean + shift, lower + shift, upper + shift), rel=1e-6, abs=1e-3
    )


def test_the_interval_is_that_of_the_mean_19_times_of_20() -> None:
    rng = np.random.default_rng(0)
    inside = [lower <= 1.0 <= upper for _, lower, upper in map(interval, rng.normal(1.0, 1.0, (2000, 4)))]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([1.0], "holds"), ([5.0], "does not hold"), ([1.0, 1.0], "holds"), ([1.0, 5.0], "holds in part"),
        ([5.0, 5.0], "does not hold"),
    ],
)  # fmt: skip
def test_a_claim_holds_in_part_where_some_quantities_do(values: list[float], verdict: str) -> None:
    assert judge([Part("", [value], 0.0, 2.0) for value in values]) == verdict


def test_an_exhibit_without_claims_says_why() -> None:
    with pytest.raises(AssertionError, match="nor a word why"):
        Exhibit("fig9", "Fig. 9", "nothing")


@pytest.mark.parametrize(("ratio", "holds"), [(0.5, True), (1.0 - TIE, True), (0.999, False), (1.2, False)])
def test_what_is_alike_is_not_less(ratio: float, holds: bool) -> None:
    assert judge_part(below("", [ratio])) == ("holds" if holds else "does not hold")
