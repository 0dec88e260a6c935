"""What it costs to move layers, to change the worker, to fall back on the client (seconds)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import kernels
from .world import World


@dataclass(frozen=True)
class Placement:
    """Who trains what: cuts 1..L and servers (``NOBODY`` with cut L), (n,) each."""

    cut: np.ndarray
    server: np.ndarray

    def differs(self, other: Placement) -> np.ndarray:
        """(n,) whether another placement is another pipeline."""
        return (self.cut != other.cut) | (self.server != other.server)


def adaptation_s(world: World, old: Placement, new: Placement, lane: np.ndarray, elapsed_s: np.ndarray) -> np.ndarray:
    """(n,) seconds until the new pipeline runs as fast as it will, 0 where nothing changes.

    Layers that change sides send their weights over the link. A new worker gets its whole partition from the client,
    which first fetches the trained weights from the old one; where that is out of reach they leave it over the backhaul
    and only layers that change sides use the new link too. Falling back on the client fetches the old worker's
    partition. Then the new pipeline fills.
    """
    seconds = np.empty(len(lane))
    kernels.moves(world.tables, old.cut, old.server, new.cut, new.server, lane, elapsed_s, seconds)
    return seconds
