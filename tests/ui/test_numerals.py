"""Numbers in every form that people and spreadsheets give them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.ui.numerals import SPACES, Numerals, prefixed, read

FORMS = {  # what a text is with a decimal point, and with a decimal comma
    "15": (15.0, 15.0), "+15": (15.0, 15.0), "-1.5": (-1.5, None), "1e-3": (1e-3, 1e-3), " 7 ": (7.0, 7.0),
    "1.5": (1.5, None), "1,5": (None, 1.5), ".5": (0.5, None), ",5": (None, 0.5), "1.": (1.0, None),
    "1.5e3": (1500.0, None), "1,5E+3": (None, 1500.0), "1.234e-5": (1.234e-5, None),
    "1.234": (1.234, 1234.0), "1,234": (1234.0, 1.234), "12,345": (12345.0, 12.345),
    "0.123": (0.123, None), "0,123": (None, 0.123), "1234,567": (None, 1234.567), "1234.567": (1234.567, None),
    "1,234.5": (1234.5, None), "1.234,5": (None, 1234.5), "1,234,567": (1234567.0, None),
    "1.234.567,25": (None, 1234567.25), "1 234,5": (None, 1234.5), "1'234.5": (1234.5, None), "1 234": (1234.0, 1234.0),
    "1,23,456": (None, None), "12 34": (None, None), "1,234 567": (None, None), "1.2.3": (None, None),
    "": (None, None), ".": (None, None), "-": (None, None), "e5": (None, None), "fast": (None, None),
    "nan": (None, None), "inf": (None, None), "1e999": (None, None), "0x10": (None, None),
    "\N{ARABIC-INDIC DIGIT THREE}": (None, None),
}  # fmt: skip


@pytest.mark.parametrize("text", FORMS)
def test_a_text_is_what_it_is_with_either_mark(text: str) -> None:
    assert (read(text, "."), read(text, ",")) == FORMS[text]


def written(value: float, digits: int, decimal: str, thousands: str) -> str:
    text = f"{value:,.{digits}f}"
    return text.translate({ord(","): thousands, ord("."): decimal})


@given(
    st.lists(st.integers(0, 10**9), min_size=1, max_size=5), st.integers(1, 5).filter(lambda n: n != 3),
    st.sampled_from(".,"), st.sampled_from(["", "other", *SPACES]),
)  # fmt: skip
def test_a_file_tells_by_one_number_how_all_are_written(
    numbers: list[int], digits: int, decimal: str, thousands: str
) -> None:
    mark = {".": ",", ",": "."}[decimal] if thousands == "other" else thousands
    values = [number / 10**digits for number in numbers]
    texts = [written(value, digits, decimal, mark) for value in values]
    numerals = Numerals(texts)
    assert numerals.conflict is numerals.open is None
    assert [numerals.read(text) for text in texts] == values


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_what_programs_write_is_read_to_the_bit(value: float) -> None:
    assert read(repr(value), ".") == value
    assert Numerals([repr(value)]).read(repr(value)) == value


def test_a_number_that_could_be_two_is_open_until_another_tells() -> None:
    for others, expected in (([], None), (["7"], None), (["0,5"], 1.234), (["1.5"], 1234.0), (["1.234"], None)):
        numerals = Numerals(["1,234", *others])
        assert numerals.read("1,234") == expected
        assert numerals.is_open("1,234") == (expected is None)
        assert numerals.open == ("1,234" if expected is None else None)
    assert Numerals(["1,234"]).complaint().endswith("write 1.234 or 1234")


def test_a_point_is_a_decimal_point_unless_another_number_tells() -> None:
    assert Numerals(["1.234", "2.345"]).read("1.234") == 1.234
    assert Numerals(["1.234", "0,5"]).read("1.234") == 1234.0


def test_numbers_that_contradict_each_other_are_told() -> None:
    numerals = Numerals(["7", "1.5", "2,5", "3.5"])
    assert numerals.conflict == ("1.5", "2,5")
    assert (numerals.read("1.5"), numerals.read("2,5")) == (1.5, 2.5)
    assert "writes '1.5' and '2,5'" in numerals.contradiction()
    assert Numerals(["1.5", "2,345.5", "x", "nan"]).conflict is None
    assert Numerals(["1.5", "1.234.567"]).conflict == ("1.5", "1.234.567")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 "), (999.4, "999 "), (999.6, "1 k"), (62006, "62 k"), (138_357_544, "138 M"), (15_470_264_320, "15.5 G"),
     (1.33e12, "1.33 T"), (4.8e15, "4800 T")],
)  # fmt: skip
def test_large_numbers_have_a_prefix(value: float, text: str) -> None:
    assert prefixed(value) == text
