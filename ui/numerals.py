"""Numbers as people and spreadsheets write them: 1.5 or 1,5, and 1,234.5, 1.234,5, 1 234,5 or 1'234.5; 15.5 G."""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import isfinite

SPACES = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}'\N{RIGHT SINGLE QUOTATION MARK}_"


def _pattern(decimal: str, thousands: str) -> re.Pattern[str]:
    part = rf"(?:{re.escape(decimal)}(?P<%s>\d*))?"
    grouped = rf"[1-9]\d{{0,2}}(?P<mark>[{thousands}{SPACES}])\d{{3}}(?:(?P=mark)\d{{3}})*"
    plain = rf"(?P<whole>\d*){part % 'part'}(?P<power>[eE][+-]?\d+)?"
    return re.compile(rf"(?P<sign>[+-]?)(?:(?P<groups>{grouped}){part % 'rest'}|{plain})", re.ASCII)


_USUAL = re.compile(r"-?\d{1,300}(\.\d+)?", re.ASCII)  # most of what programs write, which reads fast
_PATTERNS = {".": _pattern(".", ","), ",": _pattern(",", ".")}


def read(text: str, decimal: str) -> float | None:
    """The finite number that a text is where decimals come behind this mark; None where it is none."""
    if decimal == "." and _USUAL.fullmatch(text):
        return float(text)
    match = _PATTERNS[decimal].fullmatch(text.strip())
    if match is None:
        return None
    whole = re.sub(r"\D", "", match["groups"] or match["whole"])
    part = match["part"] or match["rest"] or ""
    if not whole + part:
        return None
    value = float(f"{match['sign']}{whole}.{part}{match['power'] or ''}")
    return value if isfinite(value) else None


class Numerals:
    """What the numbers of one file say about its decimal mark.

    A number that can be read in one way only decides for all: 1,5 or 0,123 or 1.234,5 for the comma, 1.5 or 1,234.5
    for the point. Where none decides, a point is a decimal mark, and 1,234 could be either.

    Args:
        texts: its numbers, perhaps with some that are none.

    Attributes:
        conflict: two texts that decide differently; None where there are none.
        open: the first text that could be two numbers while nothing tells which; None where there is none.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        texts = list(texts)
        found: dict[str, str] = {}
        for text in texts:
            marks = text.count("."), text.count(",")
            if marks == (0, 0) or (marks == (1, 0) and "." in found):  # says nothing, or nothing new
                continue
            point, comma = read(text, "."), read(text, ",")
            if (point is None) != (comma is None):
                found.setdefault("," if point is None else ".", text)
        self.conflict = (found["."], found[","]) if len(found) == 2 else None
        self._decimal = next(iter(found)) if len(found) == 1 else ""
        self.open = None if self._decimal else next(filter(self.is_open, texts), None)

    def read(self, text: str) -> float | None:
        """The number that a text is; None where it is none, or could be two."""
        if self._decimal:
            return read(text, self._decimal)
        point, comma = read(text, "."), read(text, ",")
        if point is not None and comma is not None and point != comma and "," in text:
            return None
        return comma if point is None else point

    def is_open(self, text: str) -> bool:
        """Whether a text could be two numbers, and nothing in the file tells which."""
        return not self._decimal and self.read(text) is None and read(text, ".") is not None

    def complaint(self) -> str:
        """What ends a complaint about open texts."""
        text = self.open or "1,234"
        both = f"{text.replace(',', '.')} or {text.replace(',', '')}"
        return f", where the comma may come before decimals or after thousands; write {both}"

    def contradiction(self) -> str:
        """What to say of the two texts that decide differently."""
        point, comma = self.conflict or ("1.5", "1,5")
        return f"writes {point!r} and {comma!r}, whose points and commas differ in meaning; allowed: one decimal mark"


def prefixed(value: float) -> str:
    """A large number in about three digits with the prefix of its unit, which goes behind: "15.5 G"."""
    for prefix in ("", "k", "M", "G"):
        if value < 999.5:
            return f"{value:.3g} {prefix}"
        value /= 1e3
    return f"{value:.4g} T"
