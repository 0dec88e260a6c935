"""Walks through the city: polylines along streets, walked at constant speed and retraced at their ends."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .city import City
from .geography import load_places, to_metres
from .scenarios import Scenario

TEST_WALKS = 10  # of the evaluation (paper, Sec. 5.1)
TRAIN_WALKS = 246
STEP_M = 2.0  # between two samples of a walk
TURNS = (2, 8)
LEG_M = (200.0, 600.0)
LEAST_LEG_M = 50.0  # at the city's edge


class Walks:
    """The walks of a scenario: first the evaluation's ten, then others to train on; or the one of a file.

    Args:
        scenario: seed, or file.
        city: where they lie.

    Raises:
        InputError: the file cannot be read, or is no walk.

    Attributes:
        points_m: corners of every walk, (k, 2) each.
        places_m: (2, walks, most) places every ``STEP_M`` along them, filled up with zeros.
        last: (walks,) index of the last of each.
    """

    def __init__(self, scenario: Scenario, city: City) -> None:
        if scenario.trajectory:
            self.points_m = [_from_file(scenario.trajectory, city)]
            self.places_m, self.last = _sampled(self.points_m)
        else:
            low, high = city.box_m.tolist()
            self.points_m, self.places_m, self.last = _drawn(scenario.city_seed, tuple(low), tuple(high))

    @property
    def test(self) -> range:
        """Numbers of the evaluation's walks."""
        return range(min(TEST_WALKS, len(self.points_m)))

    @property
    def train(self) -> range:
        """Numbers of the walks to train on; the same where a file names the only one."""
        return range(TEST_WALKS, len(self.points_m)) if len(self.points_m) > TEST_WALKS else self.test

    def at(self, walk: np.ndarray, metres: np.ndarray) -> np.ndarray:
        """(2, ...) places after walking some metres, there and back and there again."""
        return np.stack(place_at(self.places_m, self.last, walk, metres))


def place_at(places_m: np.ndarray, last: np.ndarray, walk: Any, metres: Any) -> tuple[Any, Any]:
    """East and north of :class:`Walks`' places after walking some metres, for one walk or an array of them."""
    end = last[walk]
    step = np.intp(np.rint(metres * (1.0 / STEP_M))) % (2 * end)
    step = end - np.abs(step - end)
    return places_m[0, walk, step], places_m[1, walk, step]


def _from_file(path: str, city: City) -> np.ndarray:
    return to_metres(load_places(path, 2, "points of a trajectory"), city.centre_deg)


def _sampled(walks: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(2, walks, most) places every ``STEP_M`` along polylines, filled up with zeros, and each last one's index."""
    sampled = [_steps(points) for points in walks]
    last = np.array([len(s) - 1 for s in sampled])
    places = np.zeros((2, len(sampled), last.max() + 1))
    for i, samples in enumerate(sampled):
        places[:, i, : len(samples)] = samples.T
    return places, last


def _steps(points: np.ndarray) -> np.ndarray:
    """(k, 2) places every ``STEP_M`` along a polyline; at least two."""
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    steps = np.linspace(0.0, lengths[-1], max(2, round(lengths[-1] / STEP_M) + 1))
    return np.stack([np.interp(steps, lengths, points[:, axis]) for axis in (0, 1)], axis=1)


@lru_cache(maxsize=2)  # the envs of a comparison share a city
def _drawn(
    seed: int, low: tuple[float, float], high: tuple[float, float]
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Walks in a box: their corners, and both of :func:`_sampled`."""
    rng = np.random.default_rng((seed, 2))
    walks = [_walk(rng, np.array(low), np.array(high)) for _ in range(TEST_WALKS + TRAIN_WALKS)]
    return walks, *_sampled(walks)


def _walk(rng: np.random.Generator, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Corners of a walk along a rectangular grid of streets that stays in the city."""
    at = rng.uniform(low, high)
    points, axis = [at], int(rng.integers(0, 2))
    for _ in range(int(rng.integers(TURNS[0], TURNS[1] + 1)) + 1):
        room = np.array([at[axis] - low[axis], high[axis] - at[axis]])
        side = int(rng.random() < room[1] / room.sum())  # rather to where there is more room
        length = max(min(rng.uniform(*LEG_M), room[side]), LEAST_LEG_M)
        at = at.copy()
        at[axis] += length if side else -length
        points.append(at)
        axis = 1 - axis
    return np.array(points)
