"""What weight synchronisation costs, apart from the rounds themselves (paper, Sec. IV-C)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .system import System

SendS = Callable[[np.ndarray, np.ndarray], np.ndarray]  # seconds to send the weights between two points, now


class SyncLedger:
    """Which layers have changed sides since the last synchronisation, and what sending their weights costs.

    Between two synchronisations the partition point has wandered between ``low`` and ``high``: the layers between
    them were trained on either side, so their copies differ and are sent once, in whichever direction. Until then a
    layer that moved is trained on its new holder's old copy.

    Args:
        system: layers and the period.
        lanes: number of lanes.
        every_change: synchronise whenever the partition point changes (L2S-FWS) instead of periodically.

    Attributes:
        trained_stale: (n,) whether the last round trained layers on old copies.
        age: (n,) rounds since the last synchronisation, 1 for the first one behind it.
    """

    def __init__(self, system: System, lanes: int, every_change: bool) -> None:
        self.every_change, self.period = every_change, system.scenario.sync_period
        self._point = np.full(lanes, -1, dtype=np.intp)
        self._low = np.zeros(lanes, dtype=np.intp)
        self._high = np.zeros(lanes, dtype=np.intp)
        self.trained_stale = np.zeros(lanes, dtype=bool)
        self.age = np.zeros(lanes, dtype=np.intp)
        self._begins = np.ones(lanes, dtype=bool)  # the next round is the first one behind a synchronisation
        self._layers = np.arange(1, system.last + 1)

    def clear(self, lanes: np.ndarray) -> None:
        """A new episode: both sides hold the same weights."""
        self._point[lanes] = -1
        self._low[lanes] = self._high[lanes] = 0
        self.trained_stale[lanes] = False
        self.age[lanes] = 0
        self._begins[lanes] = True

    def synchronise(self, where: Any, asked: np.ndarray, send_s: SendS) -> np.ndarray:
        """Synchronise in front of a round where it is asked for.

        Args:
            where: lanes that step.
            asked: (n,) which of them ask.
            send_s: what sending weights takes.

        Returns:
            (n,) seconds, 0 where nothing is sent.
        """
        low, high = self._low[where], self._high[where]
        spent = np.where(asked, send_s(low, high), 0.0)
        self._low[where] = np.where(asked, high, low)  # as both are alike: nothing has changed sides
        self._begins[where] |= asked
        return spent

    def advance(self, where: Any, point: np.ndarray, rounds: np.ndarray, send_s: SendS) -> Any:
        """Book a round, and synchronise behind it where that is due.

        Args:
            where: lanes that step.
            point: (n,) their partition points 0..P.
            rounds: (n,) the rounds' indices, from 0.
            send_s: what sending weights takes.

        Returns:
            (n,) seconds that synchronisation takes, or 0.0.
        """
        before = self._point[where]
        before = np.where(before < 0, point, before)
        low, high = self._low[where], self._high[where]
        fresh = low == high
        low, high = np.where(fresh, before, low), np.where(fresh, before, high)
        low, high = np.minimum(low, point), np.maximum(high, point)
        apart = low != high
        if not self.every_change:
            self.trained_stale[where] = apart
        due = apart if self.every_change else (rounds + 1) % self.period == 0
        self.age[where] = np.where(self._begins[where], 1, self.age[where] + 1)
        self._begins[where] = due
        spent: Any = 0.0
        if due.any():
            spent = np.where(due, send_s(low, high), 0.0)
            low, high = np.where(due, point, low), np.where(due, point, high)
        self._point[where], self._low[where], self._high[where] = point, low, high
        return spent

    def stale(self) -> np.ndarray:
        """(n, P) float32, 1 for every layer whose copies differ because it changed sides."""
        between = (self._layers > self._low[:, None]) & (self._layers <= self._high[:, None])
        return between.astype(np.float32)
