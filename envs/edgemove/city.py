"""The city: where sites stand, how far they reach, which GPU they have, and which of them are near a place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...ui.errors import InputError
from .geography import CENTRE_DEG, load_places, to_metres
from .scenarios import MOST_SITES, Scenario

EXTENT_M = (2300.0, 1600.0)  # of the synthetic city: the public sites of Melbourne's CBD span about as much
LEAST_EXTENT_M = 600.0  # a walk needs room even round a single site
CELL_M = 25.0
MOST_CELLS = 400  # along a side; where people walk farther, cells are larger
FAR_M = 1e6


@dataclass(frozen=True, eq=False)
class City:
    """Sites of a city.

    Attributes:
        position_m: (S, 2) east and north of its centre.
        radius_m: (S,) of coverage.
        gpu: (S,) index into the scenario's GPUs.
        centre_deg: latitude and longitude of (0, 0).
    """

    position_m: np.ndarray
    radius_m: np.ndarray
    gpu: np.ndarray
    centre_deg: tuple[float, float]

    @property
    def n_sites(self) -> int:
        return len(self.radius_m)

    @property
    def box_m(self) -> np.ndarray:
        """(2, 2) lower left and upper right corner of where people walk."""
        low, high = self.position_m.min(axis=0), self.position_m.max(axis=0)
        grow = np.maximum(LEAST_EXTENT_M - (high - low), 0.0) / 2
        return np.stack([low - grow, high + grow])


def build_city(scenario: Scenario) -> City:
    """The city of a scenario.

    Raises:
        InputError: the site file cannot be read, or a line or column of it is wrong.
    """
    rng = np.random.default_rng((scenario.city_seed, 1))
    if scenario.sites:
        places = load_places(scenario.sites, 1, "sites")
        if len(places) > MOST_SITES:
            raise InputError(f"{scenario.sites}: holds {len(places)} sites, allowed: 1..{MOST_SITES}")
        middle = places.mean(axis=0)
        centre = (float(middle[0]), float(middle[1]))
        position = to_metres(places, centre)
    else:
        centre = CENTRE_DEG
        position = (rng.random((scenario.n_sites, 2)) - 0.5) * EXTENT_M
    radius = rng.uniform(*scenario.coverage_m, len(position))
    return City(position, radius, rng.integers(0, len(scenario.gpus), len(position)), centre)


def ranks(city: City) -> np.ndarray:
    """(S + 1,) of every site, and last of the cloud, where sites that are near each other have ranks near each other.

    Sites stand in strips as wide as they reach, from north to south in each.
    """
    strip = np.floor(city.position_m[:, 0] / city.radius_m.mean())
    rank = np.empty(city.n_sites + 1, dtype=np.intp)
    rank[np.lexsort((city.position_m[:, 1], strip))] = np.arange(city.n_sites)
    rank[-1] = city.n_sites
    return rank


class Neighbourhood:
    """Which sites may cover a place: those of its cell on a grid, a superset of those that do.

    Args:
        city: the sites.
        low_m, high_m: corners of the area that is asked about.

    Attributes:
        low_m: (2,) corner of the grid.
        per_m: cells per metre.
        rows: cells of a column.
        first: (cells + 1,) where the sites of every cell begin in ``site``.
        site: sites by index, cell after cell, in order; S at the end.
        most: sites of the fullest cell.
    """

    def __init__(self, city: City, low_m: np.ndarray, high_m: np.ndarray) -> None:
        cell_m = max(CELL_M, float((high_m - low_m).max()) / MOST_CELLS)
        self.low_m, self.per_m = low_m - cell_m, 1.0 / cell_m
        shape = np.ceil((high_m - self.low_m) / cell_m).astype(np.intp) + 1
        self.rows = int(shape[1])
        self.first, self.site = _sites_of_cells(city, self.low_m, shape, cell_m)
        self.most = max(1, int(np.diff(self.first).max()))

    def of(self, position_m: np.ndarray) -> np.ndarray:
        """(n, most) sites by index for places (2, n) inside the area; S, the number of sites, fills up."""
        cell = cell_of(self.low_m, self.per_m, self.rows, position_m[0], position_m[1])
        at = self.first[cell][:, None] + np.arange(self.most)
        return self.site[np.where(at < self.first[cell + 1][:, None], at, -1)]


def cell_of(low_m: Any, per_m: float, rows: int, east_m: Any, north_m: Any) -> Any:
    """Cells of a grid for places inside it, one or an array of them."""
    return np.intp((east_m - low_m[0]) * per_m) * rows + np.intp((north_m - low_m[1]) * per_m)


def _sites_of_cells(city: City, low: np.ndarray, shape: np.ndarray, cell_m: float) -> tuple[np.ndarray, np.ndarray]:
    """:class:`Neighbourhood`'s ``first`` and ``site``: every cell with every site that may cover a place in it."""
    middles = [low[axis] + cell_m * (np.arange(shape[axis]) + 0.5) for axis in (0, 1)]
    reach = city.radius_m + cell_m / np.sqrt(2.0)
    cells = []
    for position, far in zip(city.position_m, reach, strict=True):
        around = [
            slice(*np.searchsorted(middle, (at - far - cell_m, at + far + cell_m)))
            for middle, at in zip(middles, position, strict=True)
        ]
        east_away, north_away = ((m[s] - at) ** 2 for m, s, at in zip(middles, around, position, strict=True))
        column, row = np.nonzero(east_away[:, None] + north_away <= far**2)
        cells.append((column + around[0].start) * shape[1] + row + around[1].start)
    first = np.zeros(shape.prod() + 1, dtype=np.intp)
    for found in cells:
        first[found + 1] += 1
    first = first.cumsum()
    free, site = first[:-1].copy(), np.full(first[-1] + 1, city.n_sites, dtype=np.int32)
    for number, found in enumerate(cells):
        site[free[found]] = number
        free[found] += 1
    return first, site


RATE_STEPS = 4096
CEILING_SNR_DB = 30.0  # no faster modulation beyond


def rate_table(scenario: Scenario) -> np.ndarray:
    """(RATE_STEPS + 1,) bit/s by distance over coverage radius, from 0 to 1: capacity under a path loss.

    The signal falls by ``10 path_loss`` dB per decade of distance to ``edge_snr_db`` at the end of coverage; the rate
    is Shannon's for it, ``near_mbps`` where the fastest modulation is reached.
    """
    ratio = np.maximum(np.arange(RATE_STEPS + 1) / RATE_STEPS, 1e-6)
    snr_db = np.minimum(scenario.edge_snr_db - 10.0 * scenario.path_loss * np.log10(ratio), CEILING_SNR_DB)
    capacity = np.log2(1.0 + 10.0 ** (snr_db / 10.0))
    return 1e6 * scenario.near_mbps * capacity / np.log2(1.0 + 10.0 ** (CEILING_SNR_DB / 10.0))
