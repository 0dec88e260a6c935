"""Places on the ground: files of latitudes and longitudes, and their projection to metres."""

from __future__ import annotations

import csv
import io
from math import isfinite

import numpy as np

from ...ui.errors import InputError
from ...ui.files import read_lines

EARTH_RADIUS_M = 6_371_000.0
CENTRE_DEG = (-37.8136, 144.9631)  # Melbourne's CBD: where a synthetic city lies
RANGES = {"LATITUDE": 90.0, "LONGITUDE": 180.0}


def load_places(path: str, least: int, what: str) -> np.ndarray:
    """(n, 2) latitudes and longitudes of a CSV file's columns LATITUDE and LONGITUDE, in any case and place.

    Args:
        path: the file.
        least: how many places it must hold.
        what: what they are, for messages.

    Raises:
        InputError: one line that names the file, the line or column, and what is allowed.
    """
    rows = csv.reader(io.StringIO("\n".join(read_lines(path)).removeprefix("\ufeff")))
    header = [name.strip().upper() for name in next(rows, [])]
    for name in RANGES:
        if name not in header:
            raise InputError(f"{path}: has no column {name}; {what} have the columns LATITUDE and LONGITUDE")
    columns = [(name, header.index(name), limit) for name, limit in RANGES.items()]
    places = [
        [_degrees(f"{path}: line {rows.line_num}", row, *column) for column in columns]
        for row in rows
        if any(cell.strip() for cell in row)
    ]
    if len(places) < least:
        raise InputError(f"{path}: holds {len(places)} {what}, allowed: {least} or more")
    return np.array(places)


def _degrees(where: str, row: list[str], name: str, column: int, limit: float) -> float:
    text = row[column].strip() if column < len(row) else ""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not (isfinite(value) and abs(value) <= limit):
        raise InputError(f"{where}: {name} is {text!r}, allowed: degrees from {-limit:g} to {limit:g}")
    return value


def to_metres(places: np.ndarray, centre: tuple[float, float]) -> np.ndarray:
    """(n, 2) metres east and north of a centre (latitude, longitude), of places (n, 2) in degrees (equirectangular)."""
    latitude, longitude = np.radians(places).T
    latitude0, longitude0 = np.radians(centre)
    east = (longitude - longitude0) * np.cos(latitude0)
    return EARTH_RADIUS_M * np.stack([east, latitude - latitude0], axis=1)
