"""The city: where sites stand, how far they reach, which GPU they have, and which of them are near a place."""

from __future__ import annotations

from dataclasses import dataclass

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


class Neighbourhood:
    """Which sites may cover a place: those of its cell on a grid, a superset of those that do.

    Args:
        city: the sites.
        low_m, high_m: corners of the area that is asked about.

    Attributes:
        most: sites of the fullest cell.
    """

    def __init__(self, city: City, low_m: np.ndarray, high_m: np.ndarray) -> None:
        self._cell_m = max(CELL_M, float((high_m - low_m).max()) / MOST_CELLS)
        self._low = low_m - self._cell_m
        self._shape = np.ceil((high_m - self._low) / self._cell_m).astype(np.intp) + 1
        cell, site = _sites_of_cells(city, self._low, self._shape, self._cell_m)
        place = np.arange(len(cell)) - np.searchsorted(cell, cell)  # among the sites of its cell
        self.most = 1 + int(place.max(initial=0))
        self._table = np.full((self._shape.prod(), self.most), city.n_sites, dtype=np.intp)
        self._table[cell, place] = site

    def of(self, position_m: np.ndarray) -> np.ndarray:
        """(n, most) sites by index for places (2, n) inside the area; S, the number of sites, fills up."""
        cell = ((position_m - self._low[:, None]) * (1.0 / self._cell_m)).astype(np.intp)
        return self._table[cell[0] * self._shape[1] + cell[1]]


def _sites_of_cells(city: City, low: np.ndarray, shape: np.ndarray, cell_m: float) -> tuple[np.ndarray, np.ndarray]:
    """(cells, sites): every cell with every site that may cover a place in it, in order."""
    east, north = (low[axis] + cell_m * (np.arange(shape[axis]) + 0.5) for axis in (0, 1))
    reach = (city.radius_m + cell_m / np.sqrt(2.0)) ** 2
    east_away, north_away = (
        (middles[:, None] - city.position_m[:, axis]) ** 2 for axis, middles in enumerate((east, north))
    )
    cells, sites = [], []
    for column, away in enumerate(east_away):
        row, site = np.nonzero(away + north_away <= reach)
        cells.append(column * shape[1] + row)
        sites.append(site)
    return np.concatenate(cells), np.concatenate(sites)


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
