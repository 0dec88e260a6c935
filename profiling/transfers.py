"""How long bits take on links whose rates change: the cumulative bits of periodic traces, and their inverse."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

NEAR = 32  # steps within which most transfers end

_FloatArray = npt.NDArray[np.float64]
_IndexArray = npt.NDArray[np.intp]


class Transfers:
    """Transfers on traces whose rates change at common times and that start over at their end.

    Args:
        edges_s: (S + 1,) when every step of the traces begins, from 0 on, and when the last one ends.
        mbps: (n, S) rates of n traces in these steps, above 0.

    Attributes:
        period_s: length after which the traces repeat.
    """

    def __init__(self, edges_s: npt.ArrayLike, mbps: npt.NDArray[Any]) -> None:
        self._edges_s = np.asarray(edges_s, dtype=float)
        self.period_s = float(self._edges_s[-1])
        n, self._steps = mbps.shape
        grid = np.linspace(0.0, self.period_s, self._steps + 1)
        self._even = np.allclose(self._edges_s, grid, rtol=1e-15, atol=0.0)
        sent = np.cumsum(mbps * np.diff(self._edges_s), axis=1)
        self._total = sent[:, -1].copy()
        # one row a trace, as wide as a power of two: halving it finds any step, and none beyond the last is reached
        self._width = 1 << (self._steps + NEAR).bit_length()
        rates, before = np.ones((n, self._width), mbps.dtype), np.full((n, self._width), np.inf)
        rates[:, : self._steps] = mbps
        before[:, 0], before[:, 1 : self._steps] = 0.0, sent[:, :-1]
        self._mbps, self._sent = rates.ravel(), before.ravel()  # Mbit/s in a step, Mbit of a period before it

    def seconds(self, bits: npt.ArrayLike, start_s: npt.ArrayLike, trace: npt.ArrayLike = 0) -> _FloatArray:
        """Time T of transfers: the integral of the rate from ``start_s`` to ``start_s`` + T is ``bits``.

        Args:
            bits: 0 or more; broadcasts with the others.
            start_s: when they begin to flow, on the traces' clock.
            trace: on which of the n traces.
        """
        mbit, clock_s, trace = np.asarray(bits) / 1e6, np.asarray(start_s, dtype=float), np.asarray(trace)
        clock_s = np.maximum(clock_s - self.period_s * np.floor(clock_s / self.period_s), 0.0)
        step = self._begun(clock_s)
        at = trace * self._width + step
        rate, left_s = self._mbps.take(at), np.maximum(self._edges_s[step + 1] - clock_s, 0.0)
        sent = self._sent.take(at) + rate * (clock_s - self._edges_s[step]) + mbit
        later_s = np.maximum(self._end_s(sent, at, trace) - clock_s, left_s)
        held_s = mbit / rate
        return np.where(held_s <= left_s, held_s, later_s)  # without the cumulative bits' rounding where they can be

    def _begun(self, at_s: _FloatArray) -> _IndexArray:
        """The steps that hold at some times of a period."""
        if self._even:
            return np.minimum((at_s * (self._steps / self.period_s)).astype(np.intp), self._steps - 1)
        return np.searchsorted(self._edges_s[:-1], at_s, side="right") - 1

    def _end_s(self, sent: _FloatArray, at: _IndexArray, trace: _IndexArray) -> _FloatArray:
        """When traces have sent so many Mbit since a period's begin, which they have not before the steps ``at``."""
        row = trace * self._width
        periods = np.floor(sent / self._total.take(trace))
        if periods.any():
            sent, at = sent - periods * self._total.take(trace), np.broadcast_to(row, sent.shape)
        at = self._reached(sent, at, row)
        within_s = (sent - self._sent.take(at)) / self._mbps.take(at)
        return periods * self.period_s + self._edges_s.take(at - row) + within_s

    def _reached(self, sent: _FloatArray, at: _IndexArray, row: _IndexArray) -> _IndexArray:
        """The last steps before which traces have not sent more than so many Mbit, all found by halving at once."""
        half = NEAR // 2
        if (self._sent.take(at + NEAR) <= sent).any():
            at, half = np.broadcast_to(row, sent.shape), self._width // 2
        while half:
            later = at + half
            at = np.where(self._sent.take(later) <= sent, later, at)
            half //= 2
        return at
