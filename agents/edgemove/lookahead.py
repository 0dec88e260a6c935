"""EdgeMove's information, the pipeline's own model: all servers and all cuts are compared in every cycle (ours)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...envs.edgemove.actions import CLOUD, STAY
from ...envs.edgemove.observation import LISTED, view
from ...envs.edgemove.planning import cut_periods
from ...envs.edgemove.system import System

CHOICES = LISTED + 1  # listed servers and the cloud


class Lookahead:
    """Takes the server and cut with the shortest period by what it has been told, when that pays for the change.

    Unlike ±1 climbing it does not stop in a valley, and needs no cycle for every step. A server's layers are taken to
    share its probed time as they share the client's.

    Args:
        env: an EdgeMove env with absolute cuts.
        seed: unused, nothing is drawn.
        cycles: a change must pay for its weights within so many cycles.
    """

    def __init__(self, env: Any, seed: int = 0, *, cycles: float = 2.0) -> None:
        self.system: System = env.unwrapped.dynamics.system
        self.cycles = cycles

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        system, seen = self.system, view(observation, self.system)
        n = len(seen.cut)
        actions = np.tile([system.n_layers - 1, STAY, 1], (n, 1))
        if system.n_layers == 1:
            return actions, state
        rate = np.column_stack([seen.server_bits, seen.cloud_bits])
        rtt_s = np.column_stack([seen.server_rtt_s, seen.cloud_rtt_s])
        probed_s = np.column_stack([seen.server_probed_s, seen.cloud_probed_s])
        usable = np.column_stack([seen.covers, np.ones(n, dtype=bool)]) & np.isfinite(probed_s)
        mine = np.column_stack([seen.is_worker, seen.on_cloud])
        total_s = self._costs(np.where(usable, rate, 1.0), rtt_s, np.where(usable, probed_s, np.inf), mine, seen.cut)
        flat = total_s.reshape(-1, n)
        best = flat.argmin(axis=0)
        cut, choice = np.divmod(best, CHOICES)
        alone_s = system.on_device_iteration_s
        pays = flat[best, np.arange(n)] < alone_s
        actions[pays, 0] = cut[pays]
        actions[pays, 1] = np.where(choice == LISTED, CLOUD, choice + 1)[pays]
        return actions, state

    def _costs(
        self, rate: np.ndarray, rtt_s: np.ndarray, probed_s: np.ndarray, mine: np.ndarray, cut: np.ndarray
    ) -> np.ndarray:
        """(L - 1, CHOICES, n) seconds of an iteration, with a share of what changing to it costs."""
        system = self.system
        share = 1.0 - system.client_s[1:-1] / system.client_s[-1]
        server_s = share[:, None, None] * np.maximum(probed_s - rtt_s, 0.0)
        periods = cut_periods(system, server_s, rate, rtt_s)
        behind = (system.weight_bits[-1] - system.weight_bits[1:-1])[:, None, None]
        mine_behind = (system.weight_bits[-1] - system.weight_bits[cut])[:, None]
        moved = np.where(mine, np.abs(behind - mine_behind), behind + mine_behind)
        spread = self.cycles * system.scenario.cycle
        return np.moveaxis(periods + moved / rate / spread, 1, 2)
