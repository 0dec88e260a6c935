"""What the kernels and their twins ask of their arguments, for anything with a shape and a dtype."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

VALUES = (np.dtype(np.float32), np.dtype(np.float16))
CODES = (np.dtype(np.uint8),)


def check_dtype(array: Any, name: str, allowed: Sequence[np.dtype[Any]]) -> None:
    """Raises ValueError unless the array's dtype is one of these."""
    if array.dtype not in allowed:
        raise ValueError(f"{name}: {array.dtype}, allowed: {', '.join(map(str, allowed))}")


def check_shape(array: Any, name: str, shape: Sequence[int]) -> None:
    """Raises ValueError unless the array has exactly this shape."""
    if tuple(array.shape) != tuple(shape):
        raise ValueError(f"{name}: shape is {tuple(array.shape)}, allowed: {tuple(shape)}")


def check_images(array: Any, name: str, allowed: Sequence[np.dtype[Any]]) -> None:
    """Raises ValueError unless the array is (batch, channels, ...) and holds something."""
    check_dtype(array, name, allowed)
    if len(array.shape) < 2 or not math.prod(array.shape):
        raise ValueError(f"{name}: shape is {tuple(array.shape)}, allowed: (batch, channels, ...), each at least 1")


def check_maps(array: Any, name: str, channels: int) -> None:
    """Raises ValueError unless these are so many feature maps an image, or nodes."""
    check_images(array, name, VALUES)
    check_shape(array, name, (array.shape[0], channels, *array.shape[2:]))


def value_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """A dtype of values.

    Raises:
        ValueError: it is another one.
    """
    empty = np.empty(0, dtype)
    check_dtype(empty, "dtype", VALUES)
    return empty.dtype


def check_bounds(bounds: Any, batch: int) -> None:
    """Raises ValueError unless these are bounds of so many images."""
    check_dtype(bounds, "bounds", VALUES[:1])
    check_shape(bounds, "bounds", (batch, 2))


def row_slice(maps: Any, lo: int, hi: int, origin: int) -> tuple[int, int]:
    """Where rows [lo, hi) lie in maps whose first row is ``origin``.

    Raises:
        ValueError: the maps are not (batch, channels, rows, columns) of a number type that is sent, or lack these rows.
    """
    check_dtype(maps, "maps", VALUES + CODES)
    if len(maps.shape) != 4 or not math.prod(maps.shape):
        raise ValueError(
            f"maps: shape is {tuple(maps.shape)}, allowed: (batch, channels, rows, columns), each at least 1"
        )
    end = origin + maps.shape[2]
    if not origin <= lo <= hi <= end:
        raise ValueError(f"rows: [{lo}, {hi}), allowed: within [{origin}, {end}), the first not above the last")
    return lo - origin, hi - origin


def unpacked_slice(packed: Any, maps: Any, lo: int, origin: int) -> tuple[int, int]:
    """Where packed rows from ``lo`` on go in maps whose first row is ``origin``.

    Raises:
        ValueError: as :func:`row_slice`, or the two do not fit together.
    """
    if len(packed.shape) != 4:
        raise ValueError(f"packed: shape is {tuple(packed.shape)}, allowed: (batch, channels, rows, columns)")
    rows = row_slice(maps, lo, lo + packed.shape[2], origin)
    check_dtype(packed, "packed", (maps.dtype,))
    batch, channels, _, columns = maps.shape
    check_shape(packed, "packed", (batch, channels, packed.shape[2], columns))
    return rows
