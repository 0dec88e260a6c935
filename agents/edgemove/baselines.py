"""What EdgeMove is compared against (paper, Sec. 5.1), and the oracle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...envs.edgemove.actions import CLOUD, STAY
from ...envs.edgemove.observation import View, view
from ...envs.edgemove.planning import cut_periods
from ...envs.edgemove.system import System


class OnDevice:
    """All layers on the client."""

    def __init__(self, env: Any, seed: int = 0) -> None:
        self.system: System = env.unwrapped.dynamics.system

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        n = len(observation["state"])
        return np.tile([self.system.n_layers - 1, STAY, 0], (n, 1)), state


class DeviceCloud:
    """The cloud for ever, cut where the measured rate and the profiles of both machines make the pipeline fastest.

    It profiles the cloud as it is unloaded, and never changes the worker.
    """

    def __init__(self, env: Any, seed: int = 0) -> None:
        self.system: System = env.unwrapped.dynamics.system

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        system, seen = self.system, view(observation, self.system)
        n = len(seen.cut)
        periods = np.full((system.n_layers, n), system.on_device_iteration_s)  # the last: without the cloud
        cloud_s = system.server_s[-1, 1:-1, None]
        periods[:-1] = cut_periods(system, cloud_s, seen.cloud_bits, seen.cloud_rtt_s)
        return np.stack([periods.argmin(axis=0), np.full(n, CLOUD), np.zeros(n, dtype=np.intp)], axis=1), state


@dataclass
class _Lane:
    """What PipeDream remembers of one training: its draws, and the round trip to a worker that is being profiled."""

    rng: np.random.Generator
    rtt_s: float | None = None


class PipeDreamE:
    """PipeDream among edge servers: a random server in reach until its coverage ends, cut by profiles.

    A new worker is profiled, loaded as it is; for that cycle the client trains all layers but the last. Servers around
    the start are profiled before training begins. PipeDream's dynamic programme over two stages comes down to the cut
    with the shortest longest stage. A server's layers share what its profile told as on the first GPU of the scenario.

    Args:
        env: an EdgeMove env with absolute cuts.
        seed: of the choice of servers.
        link: whether the link is a stage too, as in the original (activations and gradients at the rate of the moment);
            the paper's PipeDream-E does not see it (Sec. 5.1).
    """

    def __init__(self, env: Any, seed: int = 0, *, link: bool = False) -> None:
        self.system: System = env.unwrapped.dynamics.system
        self.seed, self.link = seed, link

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        seen = view(observation, self.system)
        n = len(seen.cut)
        lanes = [_Lane(np.random.default_rng((self.seed, i))) for i in range(n)] if state is None else state
        begins = np.zeros(n, dtype=bool) if episode_start is None else episode_start
        return np.array([self._decide(seen, i, lane, bool(begins[i])) for i, lane in enumerate(lanes)]), lanes

    def _decide(self, seen: View, i: int, lane: _Lane, begins: bool) -> tuple[int, int, int]:
        """(cut less 1, server choice, probe) of a lane."""
        alone, rtt_s = self.system.n_layers - 1, lane.rtt_s
        if seen.has_worker[i] and seen.in_reach[i]:
            lane.rtt_s = None
            cut = seen.cut[i] if rtt_s is None else self.cut(seen.probed_s[i] - rtt_s, seen.rate_bits[i])
            return int(cut) - 1, STAY, 0
        listed = np.flatnonzero(seen.covers[i])
        if not listed.size or alone == 0:
            return alone, STAY, 0
        place = int(lane.rng.choice(listed))
        rtt_s = float(seen.server_rtt_s[i, place])
        if begins:
            return self.cut(seen.server_probed_s[i, place] - rtt_s, seen.server_bits[i, place]) - 1, place + 1, 0
        lane.rtt_s = rtt_s
        return alone - 1, place + 1, 1

    def cut(self, whole_s: float, rate_bits: float) -> int:
        """The cut 1..L-1 of PipeDream's partitioning.

        Args:
            whole_s: what the server takes for all layers.
            rate_bits: of the link.
        """
        system = self.system
        stages = [system.client_s, system.server_s[0] * (whole_s / system.server_s[0, 0])]
        if self.link:
            stages.append(2.0 * system.link_bits / rate_bits)
        return int(1 + np.max(stages, axis=0)[1:-1].argmin())


class Oracle:
    """Takes what the environment finds fastest in every cycle, switched for nothing; for ``action="oracle"``."""

    def __init__(self, env: Any, seed: int = 0) -> None:
        pass

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        return np.zeros(len(observation["state"]), dtype=np.intp), state
