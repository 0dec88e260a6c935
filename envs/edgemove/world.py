"""What a client meets where and when it is: servers in reach, links, loads; and how long a cycle takes there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import kernels
from .best_cycles import best_cycles
from .city import FAR_M, RATE_STEPS, Neighbourhood, ranks, rate_table
from .servers import BANK, Servers
from .system import System


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
        tables: all of it as kernels read it.
    """

    def __init__(self, system: System, lanes: int) -> None:
        setting = system.scenario
        self.system = system
        self.servers = Servers(setting, system.n_sites, lanes, ranks(system.city))
        corners = np.concatenate(system.walks.points_m)
        self.neighbourhood = Neighbourhood(system.city, corners.min(axis=0), corners.max(axis=0))
        self.walk = np.zeros(lanes, dtype=np.intp)
        self.clock_s = np.zeros(lanes)
        self.whole_s = system.server_s[system.kind, 0]
        self.tables = self._tables()

    def _tables(self) -> kernels.Tables:
        system, servers, grid, setting = self.system, self.servers, self.neighbourhood, self.system.scenario
        x_m, y_m = (np.append(axis, FAR_M) for axis in system.city.position_m.T)
        radius_m = np.append(system.city.radius_m, 1.0)
        return kernels.Tables(
            walk=self.walk, clock_s=self.clock_s, noise_at=servers.noise_at,
            rank=servers.rank, starts=servers.starts, load=servers.load_bank, rtt_s=servers.rtt_bank_s,
            most_load=float(servers.load_bank.max()), most_rtt_s=float(servers.rtt_bank_s[:BANK].max()),
            rates=np.append(rate_table(setting), servers.cloud_bank_bits), normals=servers.normals,
            x_m=x_m, y_m=y_m, radius_m=radius_m, steps_per_m=RATE_STEPS / radius_m,
            kind=system.kind, whole_s=self.whole_s,
            low_m=grid.low_m, per_m=grid.per_m, rows=grid.rows, most=grid.most, first=grid.first, site=grid.site,
            places_m=system.walks.places_m, last=system.walks.last,
            client_s=system.client_s, link_bits=system.link_bits, weight_bits=system.weight_bits,
            server_s=system.server_s,
            speed_mps=float(setting.speed_mps), backhaul_bits=1e6 * setting.backhaul_mbps,
            in_flight=setting.in_flight, half_duplex=setting.half_duplex,
        )  # fmt: skip

    def seed(self, lanes: np.ndarray, rngs: Sequence[np.random.Generator]) -> None:
        """Begin anew in some lanes."""
        self.servers.seed(lanes, rngs)
        self.clock_s[lanes] = 0.0

    def position_m(self, lane: np.ndarray, elapsed_s: np.ndarray) -> np.ndarray:
        """(2, ...) where clients are after a time of their episode."""
        return np.stack(kernels.position_m(self.tables, lane, elapsed_s))

    def distance_m(self, server: np.ndarray, position_m: np.ndarray) -> np.ndarray:
        """From sites; the cloud is far away."""
        return kernels.distance_m(self.tables, server, position_m[0], position_m[1])

    def reaches(self, server: np.ndarray, distance_m: np.ndarray) -> np.ndarray:
        """Whether servers cover clients at these distances; the cloud always does."""
        return (distance_m <= self.tables.radius_m[server]) | (server == self.system.cloud)

    def rate_bits(
        self, server: np.ndarray, lane: np.ndarray, elapsed_s: np.ndarray, distance_m: np.ndarray
    ) -> np.ndarray:
        """Goodput in bit/s; behind the end of its coverage a site serves as at its end (a cycle is not torn)."""
        return kernels.rate_bits(self.tables, server, lane, elapsed_s, distance_m)

    def conditions(
        self, server: np.ndarray, lane: np.ndarray, elapsed_s: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(bit/s, round trip in s, load) at servers; not for ``NOBODY``."""
        at = self.tables, server, lane, elapsed_s
        distance_m = self.distance_m(server, self.position_m(lane, elapsed_s))
        return kernels.rate_bits(*at, distance_m), kernels.rtt_s(*at), kernels.load(*at)

    def period_s(self, cut: np.ndarray, server: np.ndarray, lane: np.ndarray, elapsed_s: np.ndarray) -> np.ndarray:
        """Seconds of an iteration in steady state."""
        return kernels.steady_s(self.tables, cut, server, lane, elapsed_s)

    def filling_s(self, cut: np.ndarray, server: np.ndarray, lane: np.ndarray, elapsed_s: np.ndarray) -> np.ndarray:
        """What an empty pipeline loses: the first minibatch takes its whole way."""
        return kernels.filling_s(self.tables, cut, server, lane, elapsed_s)

    def cycle_s(
        self, cut: np.ndarray, server: np.ndarray, lane: np.ndarray, elapsed_s: np.ndarray, iterations: np.ndarray
    ) -> np.ndarray:
        """(n,) seconds of some iterations from a time on, while client, rates and loads move (no noise)."""
        seconds = np.empty(len(lane))
        kernels.cycles(self.tables, cut, server, lane, elapsed_s, iterations, seconds)
        return seconds

    def nearby(self, lane: np.ndarray, elapsed_s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sites that cover clients now, in no order.

        Returns:
            (sites (n, k), distances in m (n, k), whether they cover (n, k)); the cloud's index fills up.
        """
        position = self.position_m(lane, elapsed_s)
        sites = self.neighbourhood.of(position)
        distance_m = self.distance_m(sites, position[:, :, None])
        return sites, distance_m, distance_m <= self.tables.radius_m[sites]

    def test_iteration_s(self, server: Any, lane: Any, elapsed_s: Any) -> Any:
        """What a probe measures: an iteration of the whole (test) network on a server, and the round trip."""
        return kernels.test_iteration_s(self.tables, server, lane, elapsed_s)

    def best_cycle_s(
        self, lane: np.ndarray, elapsed_s: np.ndarray, iterations: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The fastest cycle over all servers in reach and all cuts: (seconds, server, cut), (n,) each (no noise)."""
        found = np.empty(len(lane)), np.empty(len(lane), dtype=np.intp), np.empty(len(lane), dtype=np.intp)
        best_cycles(self.tables, lane, elapsed_s, iterations, *found)
        return found
