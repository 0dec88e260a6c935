"""What EdgeMove is compared against (paper, Sec. 5.1), and the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...envs.edgemove.actions import CLOUD, STAY
from ...envs.edgemove.observation import view
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


class PipeDreamE:
    """PipeDream among edge servers: a random server in reach until its coverage ends, cut by computation alone.

    PipeDream's dynamic programme over two stages comes down to the cut with the shortest longer stage; it does not see
    the network. The server's layers are profiled by what a probe told, spread as on the first GPU of the scenario.

    Args:
        env: an EdgeMove env with absolute cuts.
        seed: of the choice of servers.
    """

    def __init__(self, env: Any, seed: int = 0) -> None:
        self.system: System = env.unwrapped.dynamics.system
        self.seed = seed

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        seen = view(observation, self.system)
        actions = np.zeros((len(seen.cut), 3), dtype=np.intp)
        rngs = [np.random.default_rng((self.seed, i)) for i in range(len(actions))] if state is None else state
        for i, rng in enumerate(rngs):
            actions[i, 0] = seen.cut[i] - 1
            listed = np.flatnonzero(seen.covers[i])
            if seen.has_worker[i] and seen.in_reach[i]:
                continue
            if not listed.size or self.system.n_layers == 1:
                actions[i] = self.system.n_layers - 1, STAY, 0
                continue
            place = int(rng.choice(listed))
            probed_s = seen.server_probed_s[i, place] - seen.server_rtt_s[i, place]
            actions[i] = self.cut(float(probed_s)) - 1, place + 1, 0
        return actions, rngs

    def cut(self, whole_s: float) -> int:
        """The cut 1..L-1 of PipeDream's partitioning for a server that takes ``whole_s`` for all layers.

        A server that was never probed (NaN) is profiled as unloaded.
        """
        profile = self.system.server_s[0]
        scale = whole_s / profile[0] if np.isfinite(whole_s) else 1.0
        return int(1 + np.maximum(self.system.client_s, profile * scale)[1:-1].argmin())


class Oracle:
    """Takes what the environment finds fastest in every cycle, switched for nothing; for ``action="oracle"``."""

    def __init__(self, env: Any, seed: int = 0) -> None:
        pass

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        return np.zeros(len(observation["state"]), dtype=np.intp), state
