"""Verdicts: whether a claim comes out, by the numbers and their spread over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from .statement import Part, Samples

CONFIDENCE = 0.95
Verdict = Literal["holds", "holds in part", "does not hold", "not resolved", "cannot be tested here"]
VERDICTS: tuple[Verdict, ...] = ("holds", "holds in part", "does not hold", "not resolved", "cannot be tested here")


def interval(samples: Samples) -> tuple[float, float, float]:
    """(mean, lower, upper) of the mean over seeds, by Student's t; all three alike where there is one sample."""
    values = np.asarray(samples, dtype=float)
    mean = float(values.mean())
    if len(values) < 2 or not np.isfinite(values).all() or np.ptp(values) == 0.0:
        return mean, mean, mean
    from scipy.stats import t

    half = float(t.ppf(0.5 + CONFIDENCE / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return mean, mean - half, mean + half


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
