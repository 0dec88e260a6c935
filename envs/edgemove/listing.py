"""The list of servers that a client chooses from, and what probes have told it about them."""

from __future__ import annotations

import numpy as np

from .observation import LISTED
from .world import World

NOTIFY = 0.8  # a probed server notifies when it has become this much faster (assumption)
_NEVER_S = 1e4  # ranks servers that were never probed behind all others, by distance
_DISTANCE_WEIGHT = 1e-3


class Listing:
    """Servers that cover every lane's client, by their last probed time, then by distance; M at most.

    Args:
        world: where clients are.
        lanes: n.

    Attributes:
        server: (n, M) indices; the cloud's fills up.
        distance_m: (n, M).
        covers: (n, M) whether there is a server.
        probed_s: (S + 1, n) what the last probe told, inf before; the last is the cloud.
        probed_at_s: (S + 1, n) when, on the world's clock.
    """

    def __init__(self, world: World, lanes: int) -> None:
        self._world = world
        servers = world.system.n_sites + 1
        self.probed_s = np.full((servers, lanes), np.inf)
        self.probed_at_s = np.zeros((servers, lanes))
        self.server = np.full((lanes, LISTED), world.system.cloud)
        self.distance_m = np.zeros((lanes, LISTED))
        self.covers = np.zeros((lanes, LISTED), dtype=bool)
        most = world.neighbourhood.most
        self._sites = np.full((lanes, most), world.system.cloud)  # all that cover, in no order
        self._reached = np.zeros((lanes, most), dtype=bool)

    def forget(self, lanes: np.ndarray) -> None:
        """Nothing has been probed yet in some lanes."""
        self.probed_s[:, lanes] = np.inf

    def update(self, lane: np.ndarray, elapsed_s: np.ndarray) -> None:
        """List anew for where clients are now."""
        sites, distance_m, covers = self._world.nearby(lane, elapsed_s)
        self._sites[lane], self._reached[lane] = sites, covers
        probed_s = self.probed_s.take(self._world.servers.slot(sites, lane[:, None]))
        key = np.minimum(probed_s, _NEVER_S) + _DISTANCE_WEIGHT * distance_m * (probed_s == np.inf)
        key[~covers] = np.inf
        # Ranks and places in one number: the keys' bits, positive and so in order, with the place in the lowest ones.
        packed = (key.view(np.int64) & ~np.int64(0xFFF)) | np.arange(key.shape[1])
        packed.sort(axis=1)
        place = (packed[:, :LISTED] & 0xFFF).astype(np.intp)
        found = place.shape[1]
        rows = np.arange(len(lane))[:, None]
        here = covers[rows, place]
        cloud = self._world.system.cloud
        self.server[lane, found:], self.covers[lane, found:] = cloud, False
        self.server[lane, :found] = np.where(here, sites[rows, place], cloud)
        self.distance_m[lane, :found] = np.where(here, distance_m[rows, place], 0.0)
        self.covers[lane, :found] = here

    def probe(self, lane: np.ndarray, elapsed_s: np.ndarray, number: np.ndarray) -> None:
        """Ask all servers in reach since the last update, and the cloud, for the time of a test model, with noise.

        Args:
            lane: lanes that probe, (k,).
            elapsed_s: when, (k,).
            number: (k,) of the probe, for its noise.
        """
        world, noise = self._world, self._world.system.scenario.probe_noise
        sites, reached = self._sites[lane], self._reached[lane]
        row = np.nonzero(reached)[0]
        cloud = world.system.cloud
        server = np.concatenate([sites[reached], np.full(len(lane), cloud)])
        row = np.concatenate([row, np.arange(len(lane))])
        who, when = lane[row], elapsed_s[row]
        told = world.test_iteration_s(server, who, when)
        told = told * (1.0 + noise * np.clip(world.servers.normal(who, number[row], server + 1), -4.0, 4.0))
        slot = world.servers.slot(server, who)
        self.probed_s.reshape(-1)[slot] = told
        self.probed_at_s.reshape(-1)[slot] = world.clock_s[who] + when

    def blocking_probe_s(self, lane: np.ndarray, elapsed_s: np.ndarray) -> np.ndarray:
        """(n,) how long a client waits for a probe: the slowest server's test, all of them side by side.

        The test model goes out to each server over the one radio, one after another.
        """
        world, setting = self._world, self._world.system.scenario
        cloud = np.full((len(lane), 1), world.system.cloud)
        server = np.concatenate([self._sites[lane], cloud], axis=1)
        covers = np.concatenate([self._reached[lane], cloud == world.system.cloud], axis=1)
        who, when = np.broadcast_to(lane[:, None], server.shape), np.broadcast_to(elapsed_s[:, None], server.shape)
        distance_m = world.distance_m(server, world.position_m(lane, elapsed_s)[:, :, None])
        rate = world.rate_bits(server, who, when, distance_m)
        sent_s = np.where(covers, world.system.weight_bits[-1] / rate, 0.0).sum(axis=1)
        tests_s = setting.probe_iterations * world.test_iteration_s(server, who, when)
        return sent_s + np.where(covers, tests_s, 0.0).max(axis=1)
