"""The kernels in NumPy: the reference that the GPU must equal, and what runs where there is none.

Codes are those of JALAD (Li et al., ICPADS 2018): a layer's output is normalised between its least and greatest value
and rounded to c bits, here c = 8 as in HierTrain's comparison, without JALAD's entropy coding behind it. Bounds are an
image's own, so that what an image becomes does not depend on the batch that it travels in::

    q = round((x - low) * 255 / (high - low)),    x' = low + q * (high - low) / 255

in float32, halves to even, q within 0..255 and x' at most high. Hence ``|x' - x| <= (high - low) / 510`` up to
rounding, and x' = x where all values of an image are equal. A NaN, an infinity or a range above float32's largest
number makes both bounds of its image NaN, every code 0, and every value that comes back NaN: nothing wrong passes for a
number. A range under 1e-36 counts as none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from . import checks
from .selection import Selection, top_maps

__all__ = [
    "Selection",
    "dequantise",
    "pack_rows",
    "quantise",
    "scatter_maps",
    "select_maps",
    "top_maps",
    "unpack_rows",
    "value_bounds",
]

Array = NDArray[Any]
LEVELS = np.float32(255)


def pack_rows(maps: Array, lo: int, hi: int, origin: int = 0) -> Array:
    """Rows [lo, hi) of maps as a contiguous copy: what a device sends to another.

    Args:
        maps: (batch, channels, rows, columns), float32, float16 or uint8.
        lo, hi: half-open interval of rows, counted in the whole map; may be empty.
        origin: the row of the whole map that ``maps`` begins with.

    Raises:
        ValueError: the maps are of another kind or do not hold these rows.
    """
    first, last = checks.row_slice(maps, lo, hi, origin)
    return maps[:, :, first:last].copy()


def unpack_rows(packed: Array, maps: Array, lo: int, origin: int = 0) -> Array:
    """Write packed rows into maps, in place, and return these.

    Args:
        packed: (batch, channels, any number of rows, columns), of the maps' dtype.
        maps: (batch, channels, rows, columns).
        lo: the row of the whole map that ``packed`` begins with.
        origin: the row of the whole map that ``maps`` begins with.

    Raises:
        ValueError: the maps have no such rows, or the two do not fit together.
    """
    first, last = checks.unpacked_slice(packed, maps, lo, origin)
    maps[:, :, first:last] = packed
    return maps


def value_bounds(maps: Array) -> NDArray[np.float32]:
    """(batch, 2) least and greatest value of every image; NaN as the module says.

    Args:
        maps: (batch, channels, ...), float32 or float16.

    Raises:
        ValueError: the maps are of another kind or empty.
    """
    checks.check_images(maps, "maps", checks.VALUES)
    flat = maps.reshape(len(maps), -1)
    with np.errstate(invalid="ignore", over="ignore"):
        bounds = np.stack([flat.min(1), flat.max(1)], axis=1).astype(np.float32)
        bounds[~(bounds[:, 1] - bounds[:, 0] < np.inf)] = np.nan
    return bounds


def quantise(maps: Array, bounds: NDArray[np.float32]) -> NDArray[np.uint8]:
    """8-bit codes of the values between the bounds; values outside become the nearest code, NaN becomes 0.

    Args:
        maps: (batch, channels, ...), float32 or float16.
        bounds: (batch, 2) float32: least and greatest value of every image.

    Raises:
        ValueError: an argument is of another kind or shape.
    """
    checks.check_images(maps, "maps", checks.VALUES)
    checks.check_bounds(bounds, len(maps))
    low, high = _columns(bounds, maps.ndim)
    with np.errstate(all="ignore"):
        factor = LEVELS / (high - low)
        factor = np.where(factor < np.inf, factor, np.float32(0))
        levels = np.rint((maps.astype(np.float32) - low) * factor)
        return np.fmin(np.fmax(levels, np.float32(0)), LEVELS).astype(np.uint8)


def dequantise(codes: NDArray[np.uint8], bounds: NDArray[np.float32], dtype: DTypeLike = np.float32) -> Array:
    """The values that 8-bit codes stand for.

    Args:
        codes: (batch, channels, ...) uint8.
        bounds: (batch, 2) float32: those that the codes were made with.
        dtype: float32 or float16; beyond the latter's largest number values become infinite.

    Raises:
        ValueError: an argument is of another kind or shape.
    """
    checks.check_images(codes, "codes", checks.CODES)
    checks.check_bounds(bounds, len(codes))
    result = checks.value_dtype(dtype)
    low, high = _columns(bounds, codes.ndim)
    with np.errstate(all="ignore"):
        step = (high - low) / LEVELS
        return np.fmin(low + codes.astype(np.float32) * step, high).astype(result)


def select_maps(maps: Array, selection: Selection) -> Array:
    """The kept maps, each times its factor in float32, as a contiguous (batch, B, ...): what the client sends.

    Args:
        maps: (batch, phi, ...), float32 or float16; (batch, phi) are nodes.
        selection: of phi maps.

    Raises:
        ValueError: the maps are of another kind or another number.
    """
    checks.check_maps(maps, "maps", selection.channels)
    return _scaled(maps[:, selection.kept], selection)


def scatter_maps(packed: Array, selection: Selection) -> Array:
    """The transpose of :func:`select_maps`: (batch, phi, ...), kept maps times their factor, zeros elsewhere.

    Args:
        packed: (batch, B, ...), float32 or float16.
        selection: of phi maps.

    Raises:
        ValueError: the maps are of another kind or another number.
    """
    checks.check_maps(packed, "packed", selection.budget)
    maps = np.zeros((len(packed), selection.channels, *packed.shape[2:]), packed.dtype)
    maps[:, selection.kept] = _scaled(packed, selection)
    return maps


def _columns(bounds: NDArray[np.float32], ndim: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Least and greatest values, shaped to go with images of so many axes."""
    shaped = bounds.reshape(len(bounds), 2, *[1] * (ndim - 1))
    return shaped[:, 0], shaped[:, 1]


def _scaled(maps: Array, selection: Selection) -> Array:
    scale = selection.scale.reshape(-1, *[1] * (maps.ndim - 2))
    with np.errstate(over="ignore"):
        return (maps.astype(np.float32) * scale).astype(maps.dtype)
