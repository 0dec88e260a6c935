"""What it costs to move layers, to change the worker, to fall back on the client (seconds)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .world import NOBODY, World


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
    changed = old.differs(new)
    total = np.zeros(len(lane))
    if changed.any():
        some = np.flatnonzero(changed)
        before, after = (Placement(p.cut[some], p.server[some]) for p in (old, new))
        at = lane[some], elapsed_s[some]
        total[some] = _transfer_s(world, before, after, *at) + world.filling_s(after.cut, after.server, *at)
    return total


def _transfer_s(world: World, old: Placement, new: Placement, lane: np.ndarray, elapsed_s: np.ndarray) -> np.ndarray:
    weights, backhaul = world.system.weight_bits, 1e6 * world.system.scenario.backhaul_mbps
    from_worker, to_worker = old.server != NOBODY, new.server != NOBODY
    position = world.position_m(lane, elapsed_s)
    rates, reached = [], []
    for placement in (old, new):
        server = np.maximum(placement.server, 0)
        distance_m = world.distance_m(server, position)
        rates.append(world.rate_bits(server, lane, elapsed_s, distance_m))
        reached.append(world.reaches(server, distance_m))
    old_bits, new_bits = (weights[-1] - weights[placement.cut] for placement in (old, new))
    moved_bits = np.abs(new_bits - old_bits)
    fetched_s = np.where(from_worker, old_bits / rates[0], 0.0)
    sent_s = np.where(to_worker, new_bits / rates[1], 0.0)
    by_client_s = fetched_s + sent_s
    lost_s = old_bits / backhaul + moved_bits / rates[1]
    lost_s = np.where(to_worker, lost_s, old_bits / backhaul + fetched_s)
    seconds = np.where(from_worker & ~reached[0], lost_s, by_client_s)
    return np.where(from_worker & (old.server == new.server), moved_bits / rates[1], seconds)
