"""The page says of every claim what is published, what came out, the verdict, why, and how to make it again."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from splitgym.experiments.claims.leaderboard import interquartile
from splitgym.experiments.claims.words import number

from . import toy


def test_the_page_tells_all_and_needs_nothing_else(tmp_path: Path) -> None:
    page = toy.written(tmp_path).read_text()
    for words in (
        "Two doubled is four.", "4 m", "4.02 [3.97, 4.07] m", "upside down", "there is none here",
        "1 of 2 as published", "holds in part", "cannot be tested here", "splitgym-eval --paper l2s --only doubles",
        "numbers: inferred, devices", "toy.twice(", "Order &amp; &lt;b&gt;sign&lt;/b&gt;",
    ):  # fmt: skip
        assert words in page, words
    assert page.count('<img src="data:image/svg+xml;base64,') == 2  # a figure and the leaderboard
    assert re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*", page) == []


def test_the_same_results_give_the_same_page(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert toy.written(tmp_path / "a").read_bytes() == toy.written(tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (1.0, "1"), (0.12345, "0.123"), (12.345, "12.3"), (123.45, "123"), (99999.4, "99999"),
        (-2.5, "-2.5"), (0.00123, "0.00123"), (1e-9, "1.00e-09"), (3e9, "3.00e+09"), (float("nan"), "–"),
        (float("inf"), "∞"),
    ],
)  # fmt: skip
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_the_interquartile_mean_leaves_the_extremes_out() -> None:
    table = np.array([[1.0, 2.0, 3.0, 100.0], [1.0, 2.0, 3.0, -100.0]])
    mean, lower, upper = interquartile(table)
    assert mean == 2.0
    assert lower < mean < upper
    assert interquartile(np.full((3, 2), 1.5)) == (1.5, 1.5, 1.5)
