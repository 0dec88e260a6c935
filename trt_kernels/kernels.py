"""What is launched for each operation, whoever launches it: kernel, grid and arguments, from shapes and addresses.

The operations are those of :mod:`.twins`, with the same arguments, on arrays of a device.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from . import checks
from .selection import Selection

THREADS = 256  # of every block; the reduction in quantise.cu is written for it
WORD_BYTES = 16  # the widest load
WORDS_PER_THREAD = 16  # at most, once the device is full
BLOCKS_PER_PROCESSOR = 8  # that fill it
MAX_GRID_Y = 65535

SOURCES = {name: Path(__file__).with_name(f"{name}.cu") for name in ("copies", "quantise")}
TAGS = {np.dtype(np.float32): "f32", np.dtype(np.float16): "f16"}


@dataclass(frozen=True)
class Launch:
    """One kernel launch; a kernel takes pointers first, then 64-bit counts.

    Attributes:
        source: the file, a key of ``SOURCES``.
        kernel: the name in it.
        grid: blocks in x and y, of ``THREADS`` threads in x.
        pointers: addresses on the device.
        counts: the other arguments.
    """

    source: str
    kernel: str
    grid: tuple[int, int]
    pointers: tuple[int, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class DeviceSelection:
    """A :class:`.selection.Selection` on the device, as :meth:`Kernels.upload` makes it.

    Attributes:
        channels: phi.
        budget: B.
        kept: (B,) int32.
        slots: (phi,) int32, -1 where a map is not kept.
        scale: (B,) float32.
    """

    channels: int
    budget: int
    kept: Any
    slots: Any
    scale: Any


class Kernels(ABC):
    """The operations; a subclass says how arrays are made and kernels are launched.

    Arrays are contiguous. ``out`` is where the result goes, by default a new array; it must not overlap the arguments.
    Work is queued on ``stream`` and results may be used on that stream at once. Bad arguments raise ValueError.
    """

    processors = 1  # that run blocks

    @abstractmethod
    def _empty(self, shape: Sequence[int], dtype: DTypeLike) -> Any:
        """A new contiguous array of the device."""

    @abstractmethod
    def _put(self, array: np.ndarray, stream: Any) -> Any:
        """A copy of a host array on the device."""

    @abstractmethod
    def _address(self, array: Any) -> int:
        """Where a non-empty array begins."""

    @abstractmethod
    def _launch(self, launch: Launch, stream: Any) -> None:
        """Queue a kernel."""

    def pack_rows(self, maps: Any, lo: int, hi: int, origin: int = 0, *, out: Any = None, stream: Any = None) -> Any:
        """See :func:`.twins.pack_rows`; an empty interval launches nothing."""
        first, last = checks.row_slice(maps, lo, hi, origin)
        batch, channels, _, columns = maps.shape
        out = self._result(out, (batch, channels, last - first, columns), maps.dtype)
        self._copy_runs(maps, first, out, 0, last - first, stream)
        return out

    def unpack_rows(self, packed: Any, maps: Any, lo: int, origin: int = 0, *, stream: Any = None) -> Any:
        """See :func:`.twins.unpack_rows`; an empty interval launches nothing."""
        first, last = checks.unpacked_slice(packed, maps, lo, origin)
        self._copy_runs(packed, 0, maps, first, last - first, stream)
        return maps

    def value_bounds(self, maps: Any, *, stream: Any = None) -> Any:
        """See :func:`.twins.value_bounds`."""
        checks.check_images(maps, "maps", checks.VALUES)
        (source,) = self._addresses(maps)
        batch = len(maps)
        image_bytes = math.prod(maps.shape[1:]) * maps.dtype.itemsize
        width = _word_bytes(source, image_bytes)
        grid = self._image_grid(image_bytes // width, batch)
        # One array, for its first part, the result, keeps the scratch behind it alive while kernels are queued.
        work = self._empty((1 + grid[0], batch, 2), np.float32)
        bounds = self._address(work)
        parts = bounds + batch * 2 * work.dtype.itemsize
        kernel = f"bounds_{TAGS[maps.dtype]}_x{width}"
        self._launch(Launch("quantise", kernel, grid, (source, parts), (batch, image_bytes // width)), stream)
        self._launch(Launch("quantise", "merge_bounds", (1, grid[1]), (parts, bounds), (batch, grid[0])), stream)
        return work[0]

    def quantise(self, maps: Any, bounds: Any, *, out: Any = None, stream: Any = None) -> Any:
        """See :func:`.twins.quantise`."""
        checks.check_images(maps, "maps", checks.VALUES)
        out = self._result(out, maps.shape, np.uint8)
        self._convert("quantise", maps, out, maps.dtype, bounds, stream)
        return out

    def dequantise(
        self, codes: Any, bounds: Any, dtype: DTypeLike = np.float32, *, out: Any = None, stream: Any = None
    ) -> Any:
        """See :func:`.twins.dequantise`."""
        checks.check_images(codes, "codes", checks.CODES)
        result = checks.value_dtype(dtype)
        out = self._result(out, codes.shape, result)
        self._convert("dequantise", codes, out, result, bounds, stream)
        return out

    def upload(self, selection: Selection, *, stream: Any = None) -> DeviceSelection:
        """A selection for the two methods below; keep it until what was queued with it is done."""
        device = [self._put(array, stream) for array in (selection.kept, selection.slots, selection.scale)]
        return DeviceSelection(selection.channels, selection.budget, *device)

    def select_maps(self, maps: Any, selection: DeviceSelection, *, out: Any = None, stream: Any = None) -> Any:
        """See :func:`.twins.select_maps`."""
        checks.check_maps(maps, "maps", selection.channels)
        out = self._result(out, (len(maps), selection.budget, *maps.shape[2:]), maps.dtype)
        self._copy_maps("select", maps, out, selection, selection.kept, stream)
        return out

    def scatter_maps(self, packed: Any, selection: DeviceSelection, *, out: Any = None, stream: Any = None) -> Any:
        """See :func:`.twins.scatter_maps`."""
        checks.check_maps(packed, "packed", selection.budget)
        out = self._result(out, (len(packed), selection.channels, *packed.shape[2:]), packed.dtype)
        self._copy_maps("scatter", packed, out, selection, selection.slots, stream)
        return out

    def _copy_runs(self, source: Any, source_row: int, target: Any, target_row: int, rows: int, stream: Any) -> None:
        if not rows:
            return
        batch, channels, _, columns = source.shape
        row_bytes = columns * source.dtype.itemsize
        addresses = self._addresses(source, target)
        begins = (addresses[0] + source_row * row_bytes, addresses[1] + target_row * row_bytes)
        pitches = (source.shape[2] * row_bytes, target.shape[2] * row_bytes)
        width = _word_bytes(*begins, *pitches)  # the packed rows' pitch is the length of a run
        planes, words = batch * channels, rows * row_bytes // width
        counts = (pitches[0] // width, pitches[1] // width, planes, words)
        grid = (_blocks(planes * words, self.processors), 1)
        self._launch(Launch("copies", f"copy_runs_x{width}", grid, begins, counts), stream)

    def _convert(
        self, operation: str, source: Any, target: Any, dtype: np.dtype[Any], bounds: Any, stream: Any
    ) -> None:
        """Values of ``dtype`` to codes or back."""
        batch = len(source)
        checks.check_bounds(bounds, batch)
        addresses = self._addresses(source, target, bounds)
        size, values = dtype.itemsize, math.prod(source.shape[1:])
        # Codes are 1 byte, values ``size``: what codes allow, in bytes of values, is ``size`` times as much.
        sizes = [array.dtype.itemsize for array in (source, target)]
        allowed = (address * size // own for address, own in zip(addresses, sizes, strict=False))
        width = _word_bytes(*allowed, values * size)
        words = values * size // width
        kernel = f"{operation}_{TAGS[dtype]}_x{width}"
        self._launch(Launch("quantise", kernel, self._image_grid(words, batch), addresses, (batch, words)), stream)

    def _copy_maps(
        self, operation: str, source: Any, target: Any, selection: DeviceSelection, table: Any, stream: Any
    ) -> None:
        addresses = self._addresses(source, target, table, selection.scale)
        plane_bytes = math.prod(source.shape[2:]) * source.dtype.itemsize
        width = _word_bytes(*addresses[:2], plane_bytes)
        batch, words = len(source), plane_bytes // width
        counts = (batch, selection.channels, selection.budget, words)
        grid = (_blocks(batch * target.shape[1] * words, self.processors), 1)
        kernel = f"{operation}_{TAGS[source.dtype]}_x{width}"
        self._launch(Launch("copies", kernel, grid, addresses, counts), stream)

    def _result(self, out: Any, shape: Sequence[int], dtype: DTypeLike) -> Any:
        if out is None:
            return self._empty(shape, dtype)
        checks.check_dtype(out, "out", (np.dtype(dtype),))
        checks.check_shape(out, "out", shape)
        return out

    def _addresses(self, *arrays: Any) -> tuple[int, ...]:
        if not all(array.flags.c_contiguous for array in arrays):
            raise ValueError("arrays: not contiguous, allowed: C order without gaps")
        return tuple(self._address(array) for array in arrays)

    def _image_grid(self, words: int, batch: int) -> tuple[int, int]:
        return _blocks(words, math.ceil(self.processors / batch)), min(batch, MAX_GRID_Y)


def _word_bytes(*sizes: int) -> int:
    """The widest word that all these addresses and lengths in bytes are multiples of."""
    return math.gcd(WORD_BYTES, *sizes)


def _blocks(words: int, processors: int) -> int:
    """One word a thread as far as that fills the processors; then more, which pays for finding its first word."""
    filling = min(math.ceil(words / THREADS), BLOCKS_PER_PROCESSOR * processors)
    return max(filling, math.ceil(words / (THREADS * WORDS_PER_THREAD)))
