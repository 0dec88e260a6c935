"""The loop over transfers on traces, compiled."""

from __future__ import annotations

import numpy as np

from .compiled import kernel


@kernel
def _reached(before, value, begin, half):
    """The last index from ``begin`` on whose value is not more, found by halving; values rise."""
    at = begin
    while half:
        if before[at + half] <= value:
            at += half
        half //= 2
    return at


@kernel
def seconds(each, edges_s, even, rates, before, total, near):
    """(n,) seconds of transfers; see :meth:`.transfers.Transfers.seconds`.

    Args:
        each: (3, n) how many bits, from when on, on which trace.
        edges_s, even: (S + 1,) begins of steps, and whether they are equally far apart.
        rates, before: rows of a power of two for every trace: Mbit/s in a step, Mbit of a period before it.
        total: Mbit of a whole period, by trace.
        near: steps within which most transfers end, a power of two.
    """
    steps, width = len(edges_s) - 1, len(rates) // len(total)
    period_s = edges_s[steps]
    found = np.empty(each.shape[1])
    for i in range(len(found)):
        mbit, start_s, which = each[0, i] / 1e6, each[1, i], int(each[2, i])
        row, whole = which * width, total[which]
        clock_s = max(start_s - period_s * np.floor(start_s / period_s), 0.0)
        if even:
            step = min(int(clock_s * (steps / period_s)), steps - 1)
        else:
            step = np.searchsorted(edges_s[:steps], clock_s, side="right") - 1
        at, rate = row + step, rates[row + step]
        left_s, held_s = max(edges_s[step + 1] - clock_s, 0.0), mbit / rate
        if held_s <= left_s:  # without the cumulative bits' rounding where they can be
            found[i] = held_s
            continue
        sent = before[at] + rate * (clock_s - edges_s[step]) + mbit  # since a period's begin
        periods = np.floor(sent / whole)
        if periods:
            sent, at = sent - periods * whole, row
        if before[at + near] <= sent:
            at = _reached(before, sent, row, width // 2)
        else:
            at = _reached(before, sent, at, near // 2)
        end_s = periods * period_s + edges_s[at - row] + (sent - before[at]) / rates[at]
        found[i] = max(end_s - clock_s, left_s)
    return found
