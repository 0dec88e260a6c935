"""Quantities and findings in words, as reports and pages say them."""

from __future__ import annotations

import math

from .findings import Finding, Quantity


def number(value: float) -> str:
    """Three digits, without an exponent where a person would write none."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞" if value > 0 else "-∞"
    if value and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.2e}"
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def told(quantity: Quantity) -> str:
    """A quantity in words: mean, interval over seeds, unit."""
    text = number(quantity.mean)
    if quantity.seeds > 1:
        text += f" [{number(quantity.lower)}, {number(quantity.upper)}]"
    return f"{text} {quantity.unit}".rstrip()


def wanted(quantity: Quantity) -> str:
    """Where the paper has a quantity."""
    low, high = quantity.low, quantity.high
    if low == high:
        text = number(low)
    elif high == math.inf:
        text = f"at least {number(low)}"
    elif low == -math.inf:
        text = f"at most {number(high)}"
    else:
        text = f"{number(low)} to {number(high)}"
    return f"{text} {quantity.unit}".rstrip()


def summary(finding: Finding) -> str:
    """What came out, in one cell: the only quantity, or how many are as the paper says."""
    if not finding.quantities:
        return ""
    if len(finding.quantities) == 1:
        return told(finding.quantities[0])
    holding = sum(q.verdict == "holds" for q in finding.quantities)
    return f"{holding} of {len(finding.quantities)} as published"
