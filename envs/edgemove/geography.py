"""Places on the ground: files of latitudes and longitudes, and their projection to metres."""

from __future__ import annotations

import csv

import numpy as np

from ...ui.errors import InputError
from ...ui.faults import Faults
from ...ui.files import read_lines
from ...ui.numerals import Numerals
from ...ui.numerals import read as read_number

EARTH_RADIUS_M = 6_371_000.0
CENTRE_DEG = (-37.8136, 144.9631)  # Melbourne's CBD: where a synthetic city lies
DELIMITERS = ",;\t"
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
    lines = read_lines(path) or [""]
    rows = csv.reader(lines, delimiter=max(DELIMITERS, key=lines[0].count))
    header = [name.strip().upper() for name in next(rows, [])]
    if missing := [name for name in RANGES if name not in header]:
        lacks = " and no column ".join(missing)
        raise InputError(f"{path}: has no column {lacks}; {what} have the columns LATITUDE and LONGITUDE")
    entries = [(rows.line_num, row) for row in rows if any(cell.strip() for cell in row)]
    columns = {name: header.index(name) for name in RANGES}
    texts = [{name: row[at].strip() if at < len(row) else "" for name, at in columns.items()} for _, row in entries]
    numerals, faults = Numerals(text for row in texts for text in row.values()), Faults(path)
    if numerals.conflict:
        faults.add(numerals.contradiction())
    places = [
        [_degrees(faults, numerals, line, name, text) for name, text in row.items()]
        for (line, _), row in zip(entries, texts, strict=True)
    ]
    faults.check()
    if len(places) < least:
        raise InputError(f"{path}: holds {len(places)} {what}, allowed: {least} or more")
    return np.array(places)


def _degrees(faults: Faults, numerals: Numerals, line: int, name: str, text: str) -> float:
    """Degrees; 0, and a fault, where a text says none."""
    value = read_number(text, ",") if numerals.is_open(text) else numerals.read(text)  # no degrees are thousands
    if value is not None and abs(value) <= RANGES[name]:
        return value
    faults.add(f"line {line}: {name} is {text!r}", f", allowed: degrees from {-RANGES[name]:g} to {RANGES[name]:g}")
    return 0.0


def to_metres(places: np.ndarray, centre: tuple[float, float]) -> np.ndarray:
    """(n, 2) metres east and north of a centre (latitude, longitude), of places (n, 2) in degrees (equirectangular)."""
    latitude, longitude = np.radians(places).T
    latitude0, longitude0 = np.radians(centre)
    east = (longitude - longitude0) * np.cos(latitude0)
    return EARTH_RADIUS_M * np.stack([east, latitude - latitude0], axis=1)
