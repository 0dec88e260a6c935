"""What a client meets where and when it is: servers in reach, links, loads; and how long a cycle takes there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .city import FAR_M, RATE_STEPS, Neighbourhood, rate_table
from .pipeline import path_s, period_s
from .servers import Servers
from .system import System

PIECES = 4  # of a cycle; rates and loads are those in the middle of each
NOBODY = -1  # the worker of a client that trains alone


class World:
    """The city with its servers and walks, over n lanes.

    Servers are indices 0..S-1 of sites, S is the cloud, ``NOBODY`` none; arrays of them broadcast with lanes and times.

    Args:
        system: the scenario.
        lanes: n.

    Attributes:
        walk: (n,) number of the walk.
        clock_s: (n,) when the episode began; loads go on from episode to episode.
        whole_s: (S + 1,) what an iteration of the whole network takes on every server, unloaded.
    """

    def __init__(self, system: System, lanes: int) -> None:
        setting = system.scenario
        self.system = system
        self.servers = Servers(setting, system.n_sites, lanes)
        corners = np.concatenate(system.walks.points_m)
        self.neighbourhood = Neighbourhood(system.city, corners.min(axis=0), corners.max(axis=0))
        self.walk = np.zeros(lanes, dtype=np.intp)
        self.clock_s = np.zeros(lanes)
        self._x, self._y = (np.append(axis, FAR_M) for axis in system.city.position_m.T)
        self._radius = np.append(system.city.radius_m, 1.0)
        self._steps_per_m = RATE_STEPS / self._radius
        self._rates = rate_table(setting)
        self._server_s = system.server_s.ravel()
        self._kind = system.kind * (system.n_layers + 1)
        self.whole_s = self._server_s[self._kind]

    def seed(self, lanes: np.ndarray, rngs: Sequence[np.random.Generator]) -> None:
        """Begin anew in some lanes."""
        self.servers.seed(lanes, rngs)
        self.clock_s[lanes] = 0.0

    def position_m(self, lane: np.ndarray, elapsed_s: np.ndarray) -> np.ndarray:
        """(2, ...) where clients are after a time of their episode."""
        return self.system.walks.at(self.walk[lane], self.system.scenario.speed_mps * elapsed_s)

    def distance_m(self, server: np.ndarray, position_m: np.ndarray) -> np.ndarray:
        """From sites; the cloud is far away."""
        return _length(self._x.take(server) - position_m[0], self._y.take(server) - position_m[1])

    def reaches(self, server: np.ndarray, distance_m: np.ndarray) -> np.ndarray:
        """Whether servers cover clients at these distances; the cloud always does."""
        return (distance_m <= self._radius.take(server)) | (server == self.system.cloud)

    def rate_bits(
        self, server: np.ndarray, lane: np.ndarray, elapsed_s: np.ndarray, distance_m: np.ndarray
    ) -> np.ndarray:
        """Goodput in bit/s; behind the end of its coverage a site serves as at its end (a cycle is not torn)."""
        step = np.minimum(distance_m * self._steps_per_m.take(server), RATE_STEPS).astype(np.intp)
        rates = self._rates.take(step)
        cloud = server == self.system.cloud
        if cloud.any():
            rates = np.where(cloud, self.servers.cloud_bits(lane, self.clock_s[lane] + elapsed_s), rates)
        return rates

    def conditions(
        self, server: np.ndarray, lane: np.ndarray, elapsed_s: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(bit/s, round trip in s, load) at servers; not for ``NOBODY``."""
        clock_s, slot = self.clock_s[lane] + elapsed_s, self.servers.slot(server, lane)
        distance_m = self.distance_m(server, self.position_m(lane, elapsed_s))
        rate = self.rate_bits(server, lane, elapsed_s, distance_m)
        return rate, self.servers.rtt_s(slot, clock_s), self.servers.load(slot, clock_s)

    def stages(
        self, cut: np.ndarray, server: np.ndarray, lane: np.ndarray, elapsed_s: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Seconds of a minibatch on client, server, up, down and in round trips, where and when the client is."""
        system, alone = self.system, server < 0
        asked = np.maximum(server, 0)
        rate, rtt_s, load = self.conditions(asked, lane, elapsed_s)
        link_s = system.link_bits.take(cut) / rate  # none behind the last layer
        server_s = self._server_s.take(self._kind.take(asked) + cut) * load
        return system.client_s.take(cut), server_s, link_s, link_s, np.where(alone, 0.0, rtt_s)

    def period_s(self, cut: np.ndarray, server: np.ndarray, lane: np.ndarray, elapsed_s: np.ndarray) -> np.ndarray:
        """Seconds of an iteration in steady state."""
        setting = self.system.scenario
        return period_s(*self.stages(cut, server, lane, elapsed_s), setting.in_flight, setting.half_duplex)

    def filling_s(self, cut: np.ndarray, server: np.ndarray, lane: np.ndarray, elapsed_s: np.ndarray) -> np.ndarray:
        """What an empty pipeline loses: the first minibatch takes its whole way."""
        setting = self.system.scenario
        stages = self.stages(cut, server, lane, elapsed_s)
        return path_s(*stages) - period_s(*stages, setting.in_flight, setting.half_duplex)

    def cycle_s(
        self, cut: np.ndarray, server: np.ndarray, lane: np.ndarray, elapsed_s: np.ndarray, iterations: np.ndarray
    ) -> np.ndarray:
        """Seconds of some iterations from a time on, while client, rates and loads move (no noise)."""
        share = iterations / PIECES
        period = self.period_s(cut, server, lane, elapsed_s)
        done_s = np.zeros(np.shape(period))
        for _ in range(PIECES):
            period = self.period_s(cut, server, lane, elapsed_s + done_s + 0.5 * share * period)
            done_s = done_s + share * period
        return done_s

    def nearby(self, lane: np.ndarray, elapsed_s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sites that cover clients now, in no order.

        Returns:
            (sites (n, k), distances in m (n, k), whether they cover (n, k)); the cloud's index fills up.
        """
        position = self.position_m(lane, elapsed_s)
        sites = self.neighbourhood.of(position)
        distance_m = _length(self._x.take(sites) - position[0][:, None], self._y.take(sites) - position[1][:, None])
        return sites, distance_m, distance_m <= self._radius.take(sites)

    def test_iteration_s(self, server: np.ndarray, lane: np.ndarray, elapsed_s: np.ndarray) -> np.ndarray:
        """What a probe measures: an iteration of the whole (test) network on a server, and the round trip."""
        clock_s, slot = self.clock_s[lane] + elapsed_s, self.servers.slot(server, lane)
        return self.whole_s.take(server) * self.servers.load(slot, clock_s) + self.servers.rtt_s(slot, clock_s)

    def best_cycle_s(
        self, lane: np.ndarray, elapsed_s: np.ndarray, iterations: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The fastest cycle over all servers in reach and all cuts: (seconds, server, cut), (n,) each (no noise)."""
        return tuple(  # type: ignore[return-value]
            np.array(found)
            for found in zip(
                *(self._best_of(*case) for case in zip(lane, elapsed_s, iterations, strict=True)), strict=True
            )
        )

    def _best_of(self, lane: int, elapsed_s: float, iterations: float) -> tuple[float, int, int]:
        system = self.system
        sites, _, covers = self.nearby(np.array([lane]), np.array([elapsed_s]))
        servers = np.append(sites[covers], system.cloud)[:, None]
        cuts = np.arange(1, system.n_layers)
        alone_s = system.on_device_iteration_s * iterations
        if not cuts.size:
            return alone_s, NOBODY, system.n_layers
        seconds = self.cycle_s(cuts, servers, np.full(servers.shape, lane), np.array(elapsed_s), np.array(iterations))
        at = np.unravel_index(seconds.argmin(), seconds.shape)
        if alone_s <= seconds[at]:
            return alone_s, NOBODY, system.n_layers
        return float(seconds[at]), int(servers[at[0], 0]), int(cuts[at[1]])


def _length(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sqrt(x * x + y * y)
