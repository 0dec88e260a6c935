"""The two links' rates over an episode: constant, or a walk over a grid, so that optima can be looked up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .planning import ExactPlanner
from .scenarios import Scenario
from .system import System

DEVICE_EDGE_FACTORS = (0.5, 0.7, 1.0, 1.4, 2.0)  # of the nominal rate (assumption)
EDGE_CLOUD_FACTORS = (1 / 2, 2 / 3, 5 / 6, 1.0, 7 / 6, 4 / 3, 3 / 2, 5 / 3)  # 1.5 to 5 Mbps around 3, as in Fig. 7
MOVE = 0.2  # probability of a step up, and of one down, at every block (assumption)


class DriftingRates:
    """Rates of n lanes now, in bit/s.

    Args:
        scenario: nominal rates, whether they drift, blocks of an episode.
        lanes: n.

    Attributes:
        grid: rates that each link takes.
        at: (2, n) index into them.
    """

    def __init__(self, scenario: Scenario, lanes: int) -> None:
        factors = (DEVICE_EDGE_FACTORS, EDGE_CLOUD_FACTORS) if scenario.drift else ((1.0,), (1.0,))
        nominal = (1e6 * scenario.device_edge_mbps, 1e6 * scenario.edge_cloud_mbps)
        self.grid = [rate * np.array(f) for rate, f in zip(nominal, factors, strict=True)]
        self.drifts, self._blocks = scenario.drift, scenario.blocks
        self.at = np.zeros((2, lanes), dtype=np.intp)
        self._moves = np.zeros((2, scenario.blocks, lanes), dtype=np.int8)
        self._top = np.array([[len(g) - 1] for g in self.grid])
        self._rngs: list[np.random.Generator] = [np.random.default_rng(0)] * lanes

    def seed(self, lanes: np.ndarray, rngs: Sequence[np.random.Generator]) -> None:
        """Begin anew somewhere on the grid."""
        for lane, rng in zip(lanes, rngs, strict=True):
            self._rngs[lane] = rng
            self.at[:, lane] = rng.integers(0, self._top[:, 0] + 1) if self.drifts else 0

    def reset(self, lanes: np.ndarray) -> None:
        """Draw the moves of another episode; the walk goes on where it is."""
        if self.drifts:
            for lane in lanes:
                draw = self._rngs[lane].random((2, self._blocks))
                self._moves[:, :, lane] = (draw < MOVE).astype(np.int8) - (draw > 1.0 - MOVE)

    def move(self, blocks: np.ndarray, where: np.ndarray | slice, lanes: np.ndarray) -> None:
        """Go on by a block, the ``blocks``-th of each lane."""
        if self.drifts:
            stepped = self.at[:, where] + self._moves[:, blocks, lanes]
            self.at[:, where] = np.clip(stepped, 0, self._top)

    def now(self, where: np.ndarray | slice = slice(None)) -> np.ndarray:
        """(2, n) bit/s of device-edge and edge-cloud."""
        at = self.at[:, where]
        rates = np.empty(at.shape)
        rates[0], rates[1] = self.grid[0][at[0]], self.grid[1][at[1]]
        return rates


class OptimumTable:
    """The exact optimum at every point of the grid, computed when it is first asked for.

    Args:
        system: the scenario.
        grid: rates that each link takes.
    """

    def __init__(self, system: System, grid: Sequence[np.ndarray]) -> None:
        self._planner, self._grid = ExactPlanner(system), grid
        self._seconds = np.full([len(g) for g in grid], np.nan)

    def seconds(self, at: np.ndarray) -> np.ndarray:
        """(n,) least seconds of an iteration at grid points (2, n)."""
        found = self._seconds[at[0], at[1]]
        if np.isnan(found).any():
            for i, j in set(zip(*at[:, np.isnan(found)].tolist(), strict=True)):
                self._seconds[i, j] = self._planner.best(float(self._grid[0][i]), float(self._grid[1][j])).seconds
            found = self._seconds[at[0], at[1]]
        return found
