"""What benchmarks say of papers' claims: a verdict is by the numbers themselves, and what fails says why."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan, nextafter
from typing import Any

import pytest

from . import script

claims: Any = script("benchmarks/claims.py")


def both(paper: Any, devices: Any) -> Callable[[str], Any]:
    return lambda inputs: {"paper": paper, "devices": devices}[inputs]


@pytest.mark.parametrize(
    ("paper", "holds"),
    [
        (2.0, True), (2.5, True), (1.6, True), (nextafter(2.5, inf), False), (nextafter(1.6, 0.0), False),
        (2.504, False), (0.0, False), (-2.0, False), (inf, False), (nan, False),
    ],
)  # fmt: skip
def test_a_figure_holds_within_its_tolerance(paper: float, holds: bool) -> None:
    found = claims.figure("f", "n", 2.0, both(paper, 2.0), "why")
    assert (found.holds, found.reason) == (holds, "" if holds else "why")
    assert claims.figure("f", "n", 2.0, both(2.0, paper), "why").holds  # what devices do has no say


@pytest.mark.parametrize(
    ("paper", "holds"),
    [
        ([1.1, 3.0], True), ([2.0], True), ([nextafter(1.1, 0.0), 2.0], False), ([2.0, nextafter(3.0, inf)], False),
        ([1.06], False), ([3.04], False), ([2.0, nan], False),
    ],
)  # fmt: skip
def test_a_band_holds_where_every_figure_is_within_and_none_by_rounding(paper: list[float], holds: bool) -> None:
    assert claims.band("f", "n", (1.1, 3.0), both(paper, [2.0]), "why").holds == holds


@pytest.mark.parametrize("holds", [True, False])
def test_an_order_is_as_told(holds: bool) -> None:
    found = claims.order("f", "n", "yes", both((holds, "a"), (not holds, "b")), "why")
    assert (found.holds, found.paper, found.devices, found.is_order) == (holds, "a", "b", True)
    assert not claims.figure("f", "n", 1.0, both(1.0, 1.0)).is_order


def test_what_does_not_hold_says_why() -> None:
    """A reason that is computed is computed for nothing else."""
    failing, holding = both((False, "a"), (True, "b")), both((True, "a"), (False, "b"))
    for reason in ("", lambda: ""):
        with pytest.raises(AssertionError, match="f: n does not hold"):
            claims.order("f", "n", "yes", failing, reason)
    with pytest.raises(AssertionError, match="no reason"):
        claims.figure("f", "n", 1.0, both(2.0, 1.0))
    with pytest.raises(AssertionError, match="no reason"):
        claims.band("f", "n", (1.0, 2.0), both([3.0], [1.0]))
    found = claims.order("f", "n", "yes", failing, lambda: "by 3 %")
    assert found.line().endswith("checked does not hold: by 3 %")
    assert claims.order("f", "n", "yes", holding, lambda: pytest.fail("asked")).line().endswith("holds")


def test_what_was_fitted_says_so() -> None:
    line = claims.figure("f", "n", 4.2, both(5.2, 7.0), unit="%", fitted=True).line()
    assert line.split() == ["f:", "n", "4.2", "%", "5.2", "%", "7", "%", "fitted", "holds"]
