"""What weight synchronisation costs, apart from the rounds themselves (paper, Sec. IV-C)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from .kernels import moved

if TYPE_CHECKING:
    from .system import System

SendS = Callable[[np.ndarray, np.ndarray], np.ndarray]  # seconds to send the weights between two points, now
_BEGIN = np.array([[-1], [0], [0], [0], [0], [1]])


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
        state: (6, n) partition point of the last round, -1 before the first; low; high; whether the last round trained
            layers on old copies; rounds since the last synchronisation, 1 for the first one behind it; whether the next
            round is that.
    """

    def __init__(self, system: System, lanes: int, every_change: bool) -> None:
        self.every_change, self.period = every_change, system.scenario.sync_period
        self.state = np.zeros((6, lanes), dtype=np.intp)
        self.clear(np.arange(lanes))

    def clear(self, lanes: np.ndarray) -> None:
        """A new episode: both sides hold the same weights."""
        self.state[:, lanes] = _BEGIN

    def synchronise(self, lanes: np.ndarray, asked: np.ndarray, send_s: SendS) -> np.ndarray:
        """Synchronise in front of a round where it is asked for.

        Args:
            lanes: (k,) those that step.
            asked: (k,) which of them ask.
            send_s: what sending weights takes.

        Returns:
            (k,) seconds, 0 where nothing is sent.
        """
        low, high = self.state[1:3, lanes]
        spent = np.where(asked, send_s(low, high), 0.0)
        self.state[1, lanes] = np.where(asked, high, low)  # as both are alike: nothing has changed sides
        self.state[5, lanes] |= asked
        return spent

    def advance(self, lanes: np.ndarray, point: np.ndarray, rounds: np.ndarray, send_s: SendS) -> np.ndarray:
        """Book a round, and synchronise behind it where that is due.

        Args:
            lanes: (k,) those that step.
            point: (k,) their partition points 0..P.
            rounds: (k,) the rounds' indices, from 0.
            send_s: what sending weights takes, 0 between equal points.

        Returns:
            (k,) seconds that synchronisation takes.
        """
        due, low, high = moved(lanes, point, rounds, self.period, self.every_change, self.state)
        return send_s(low, high) if due else np.zeros(len(lanes))
