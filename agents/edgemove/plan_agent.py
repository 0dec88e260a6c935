"""A pipeline plan as an agent."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...envs.edgemove.actions import CLOUD, STAY
from ...envs.edgemove.dynamics import EdgeMoveDynamics
from ...envs.edgemove.system import NOBODY


class Placed:
    """One cut and one worker whenever that is in reach and listed; the client trains alone otherwise.

    Args:
        env: an EdgeMove env with absolute cuts.
        cut: 1..L.
        server: index, the cloud's or -1 for none.
    """

    def __init__(self, env: Any, cut: int, server: int) -> None:
        self.dynamics: EdgeMoveDynamics = env.unwrapped.dynamics
        self.cut, self.server = cut, server

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        listing, n = self.dynamics.listing, len(observation["state"])
        actions = np.tile([self.cut - 1, STAY, 0], (n, 1))
        if self.server == self.dynamics.system.cloud:
            actions[:, 1] = CLOUD
        elif self.server != NOBODY:
            lane, place = np.nonzero((listing.server == self.server) & listing.covers)
            actions[lane, 1] = place + 1
        return actions, state
