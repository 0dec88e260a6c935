"""Verdicts: whether a claim comes out, by the numbers and their spread over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from ..intervals import interval
from .statement import Part

Verdict = Literal["holds", "holds in part", "does not hold", "not resolved", "cannot be tested here"]
VERDICTS: tuple[Verdict, ...] = ("holds", "holds in part", "does not hold", "not resolved", "cannot be tested here")


def judge_part(part: Part) -> Verdict:
    """Whether a quantity is where the paper has it: its interval within, outside, or across an end (not resolved)."""
    _, low, high = interval(part.samples)
    if part.low <= low and high <= part.high:
        return "holds"
    if high < part.low or low > part.high or math.isnan(low):
        return "does not hold"
    return "not resolved"


def judge(parts: Sequence[Part]) -> Verdict:
    """The verdict on a claim: in part, where some of its quantities are as the paper says and others are not."""
    found: list[Verdict] = [judge_part(part) for part in parts]
    if len(set(found)) == 1:
        return found[0]
    return "holds in part" if "holds" in found else "not resolved"
