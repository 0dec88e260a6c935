"""What weight synchronisation costs, apart from the rounds themselves (paper, Sec. IV-C)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .system import System


class SyncLedger:
    """Which layers have changed sides since the last synchronisation, and what sending their weights costs.

    Between two synchronisations the partition point has wandered between ``low`` and ``high``: the layers between
    them were trained on either side, so their copies differ and are sent once, in whichever direction. Until then a
    layer that moved is trained on its new holder's old copy.

    Args:
        system: weights, link and the period.
        lanes: number of lanes.
        every_change: synchronise whenever the partition point changes (L2S-FWS) instead of periodically.
    """

    def __init__(self, system: System, lanes: int, every_change: bool) -> None:
        self.system, self.every_change = system, every_change
        self.period = system.scenario.sync_period
        self._point = np.full(lanes, -1, dtype=np.intp)
        self._low = np.zeros(lanes, dtype=np.intp)
        self._high = np.zeros(lanes, dtype=np.intp)
        self._layers = np.arange(1, system.last + 1)

    def clear(self, lanes: np.ndarray) -> None:
        """A new episode: both sides hold the same weights."""
        self._point[lanes] = -1
        self._low[lanes] = self._high[lanes] = 0

    def advance(self, where: Any, point: np.ndarray, rounds: np.ndarray, mbps: Any, asked: np.ndarray | None) -> Any:
        """Book a round.

        Args:
            where: lanes that step.
            point: (n,) their partition points 0..P.
            rounds: (n,) the rounds' indices, from 0.
            mbps: their rates.
            asked: (n,) whether to synchronise before the round; None for nowhere.

        Returns:
            (n,) seconds that synchronisation takes in this round, or 0.0.
        """
        before = self._point[where]
        before = np.where(before < 0, point, before)
        low, high = self._low[where], self._high[where]
        fresh = low == high
        low, high = np.where(fresh, before, low), np.where(fresh, before, high)
        spent: Any = 0.0
        if asked is not None and asked.any():
            spent = np.where(asked, self.system.sync_s(low, high, mbps), 0.0)
            low, high = np.where(asked, before, low), np.where(asked, before, high)
        low, high = np.minimum(low, point), np.maximum(high, point)
        due = low != high if self.every_change else (rounds + 1) % self.period == 0
        if due.any():
            spent = spent + np.where(due, self.system.sync_s(low, high, mbps), 0.0)
            low, high = np.where(due, point, low), np.where(due, point, high)
        self._point[where], self._low[where], self._high[where] = point, low, high
        return spent

    def stale(self) -> np.ndarray:
        """(n, P) float32, 1 for every layer whose copies differ because it changed sides."""
        between = (self._layers > self._low[:, None]) & (self._layers <= self._high[:, None])
        return between.astype(np.float32)
