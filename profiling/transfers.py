"""How long bits take on links whose rates change: the cumulative bits of periodic traces, and their inverse."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

NEAR = 32  # steps within which most transfers end

_FloatArray = npt.NDArray[np.float64]


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
        n, steps = mbps.shape
        grid = np.linspace(0.0, self.period_s, steps + 1)
        self._even = np.allclose(self._edges_s, grid, rtol=1e-15, atol=0.0)
        sent = np.cumsum(mbps * np.diff(self._edges_s), axis=1)
        self._total = sent[:, -1].copy()
        # one row a trace, as wide as a power of two: halving it finds any step, and none beyond the last is reached
        width = 1 << (steps + NEAR).bit_length()
        rates, before = np.ones((n, width), mbps.dtype), np.full((n, width), np.inf)
        rates[:, :steps] = mbps
        before[:, 0], before[:, 1:steps] = 0.0, sent[:, :-1]
        self._mbps, self._sent = rates.ravel(), before.ravel()  # Mbit/s in a step, Mbit of a period before it

    def seconds(self, bits: npt.ArrayLike, start_s: npt.ArrayLike, trace: npt.ArrayLike = 0) -> _FloatArray:
        """Time T of transfers: the integral of the rate from ``start_s`` to ``start_s`` + T is ``bits``.

        Args:
            bits: 0 or more; broadcasts with the others.
            start_s: when they begin to flow, on the traces' clock.
            trace: on which of the n traces.
        """
        from .transfer_kernels import seconds

        shape = np.broadcast(bits, start_s, trace).shape
        each = np.empty((3, *shape))
        each[0], each[1], each[2] = bits, start_s, trace
        found = seconds(each.reshape(3, -1), self._edges_s, self._even, self._mbps, self._sent, self._total, NEAR)
        return found.reshape(shape)
