"""The list of servers that a client chooses from, and what probes have told it about them."""

from __future__ import annotations

import numpy as np

from . import kernels
from .observation import LISTED
from .world import World


class Listing:
    """Servers that cover every lane's client, by their last probed time, then by distance; M at most.

    Args:
        world: where clients are.
        lanes: n.

    Attributes:
        server: (n, M) indices; the cloud's fills up.
        distance_m: (n, M).
        covers: (n, M) whether there is a server.
        place_m: (n, 2) where the client is.
        reached: (n,) whether the worker covers it; the cloud always does.
        probes: (n (S + 1), 2) what the last probe of every slot told, inf before, and when, on the world's clock.
    """

    def __init__(self, world: World, lanes: int) -> None:
        self._world = world
        self.probes = np.zeros((lanes * world.servers.count, 2))
        self.probes[:, kernels.TOLD] = np.inf
        self.server = np.full((lanes, LISTED), world.system.cloud)
        self.distance_m = np.zeros((lanes, LISTED))
        self.covers = np.zeros((lanes, LISTED), dtype=bool)
        self.place_m = np.zeros((lanes, 2))
        self.reached = np.zeros(lanes, dtype=bool)

    @property
    def probed_s(self) -> np.ndarray:
        """(S + 1, n) what the last probe told, inf before; the last is the cloud."""
        return self._of_lanes[:, self._world.servers.rank, kernels.TOLD].T

    @property
    def probed_at_s(self) -> np.ndarray:
        """(S + 1, n) when, on the world's clock."""
        return self._of_lanes[:, self._world.servers.rank, kernels.WHEN].T

    @property
    def _of_lanes(self) -> np.ndarray:
        return self.probes.reshape(-1, self._world.servers.count, 2)

    def forget(self, lanes: np.ndarray) -> None:
        """Nothing has been probed yet in some lanes."""
        self._of_lanes[lanes, :, kernels.TOLD] = np.inf

    def update(self, lane: np.ndarray, elapsed_s: np.ndarray, worker: np.ndarray) -> None:
        """List anew for where clients are now.

        Args:
            lane: (k,) lanes.
            elapsed_s: (k,) of their episodes.
            worker: (n,) of all lanes, ``NOBODY`` for none.
        """
        listed = self.place_m, self.reached, self.server, self.distance_m, self.covers
        kernels.list_servers(self._world.tables, self.probes, lane, elapsed_s, worker, *listed)

    def probe(self, lane: np.ndarray, elapsed_s: np.ndarray, number: np.ndarray) -> None:
        """Ask all servers in reach, and the cloud, for the time of a test model, with noise.

        Args:
            lane: lanes that probe, (k,).
            elapsed_s: when, (k,).
            number: (k,) of the probe, for its noise.
        """
        noise = float(self._world.system.scenario.probe_noise)
        kernels.probe(self._world.tables, lane, elapsed_s, number, noise, self.probes)

    def blocking_probe_s(self, lane: np.ndarray, elapsed_s: np.ndarray) -> np.ndarray:
        """(n,) how long a client waits for a probe: the slowest server's test, all of them side by side.

        The test model goes out to each server over the one radio, one after another.
        """
        world, setting = self._world, self._world.system.scenario
        sites, away_m, reached = world.nearby(lane, elapsed_s)
        cloud = np.full((len(lane), 1), world.system.cloud)
        server = np.concatenate([sites, cloud], axis=1)
        covers = np.concatenate([reached, cloud == world.system.cloud], axis=1)
        distance_m = np.concatenate([away_m, np.zeros(cloud.shape)], axis=1)
        who, when = lane[:, None], elapsed_s[:, None]
        rate = world.rate_bits(server, who, when, distance_m)
        sent_s = np.where(covers, world.system.weight_bits[-1] / rate, 0.0).sum(axis=1)
        tests_s = setting.probe_iterations * world.test_iteration_s(server, who, when)
        return sent_s + np.where(covers, tests_s, 0.0).max(axis=1)
