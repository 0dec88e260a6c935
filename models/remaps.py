"""Layers whose rows are other rows of their input by a rule: borders, slices, resizing, depth to space and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil, floor
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from .layers import LATER, Layer, RowKind, Rows, Shape

Steps = tuple[int, int, int]  # first, how many, how far apart


@dataclass(frozen=True)
class Reorg(Layer):
    """Space to depth: each ``stride`` x ``stride`` patch becomes channels (YOLOv2's passthrough).

    A patch's values lie side by side for every channel (torch's pixel_unshuffle), or, with the order "patch", all
    channels of its first value come first (ONNX's SpaceToDepth).
    """

    stride: int = 2
    order: Literal["channel", "patch"] = field(default="channel", metadata=LATER)
    kind_of_rows: ClassVar[RowKind] = "remapped"

    def out_shape(self, shape: Shape) -> Shape:
        s = self.stride
        if shape.height % s or shape.width % s:
            raise ValueError(f"reorg with stride {s} needs height and width divisible by it, got {shape}")
        return Shape(shape.folded_channels * s * s, shape.height // s, shape.width // s)

    def input_lo(self, a: Rows, height: int) -> Rows:
        return np.clip(a * self.stride, 0, height)

    def input_hi(self, b: Rows, height: int) -> Rows:
        return np.clip(b * self.stride, 0, height)

    def most_rows(self, rows: Rows, height: int) -> Rows:
        return rows * self.stride


@dataclass(frozen=True)
class Pad(Layer):
    """A border of one value around a map, where a window's own padding is not the same on both sides."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0
    value: float = 0.0
    kind_of_rows: ClassVar[RowKind] = "remapped"

    def out_shape(self, shape: Shape) -> Shape:
        return Shape(shape.folded_channels, shape.height + self.top + self.bottom, shape.width + self.left + self.right)

    def input_lo(self, a: Rows, height: int) -> Rows:
        return np.clip(a - self.top, 0, height)

    def input_hi(self, b: Rows, height: int) -> Rows:
        return np.clip(b - self.top, 0, height)


@dataclass(frozen=True)
class DepthToSpace(Layer):
    """Channels become ``stride`` x ``stride`` patches: pixel shuffle; ``order`` as in :class:`Reorg`."""

    stride: int = 2
    order: Literal["channel", "patch"] = "channel"
    kind_of_rows: ClassVar[RowKind] = "remapped"

    def out_shape(self, shape: Shape) -> Shape:
        s = self.stride
        if shape.folded_channels % (s * s):
            raise ValueError(f"depth to space with stride {s} needs channels divisible by {s * s}, got {shape}")
        return Shape(shape.folded_channels // (s * s), shape.height * s, shape.width * s)

    def input_lo(self, a: Rows, height: int) -> Rows:
        return np.clip(a // self.stride, 0, height)

    def input_hi(self, b: Rows, height: int) -> Rows:
        return np.clip(-(-b // self.stride), 0, height)

    def most_rows(self, rows: Rows, height: int) -> Rows:
        return np.minimum(height, -(-(rows + self.stride - 1) // self.stride))


@dataclass(frozen=True)
class Slice(Layer):
    """Some rows, columns and channels at equal distances, each (first, how many, how far apart); None is all."""

    channels: Steps | None = None
    rows: Steps | None = None
    columns: Steps | None = None
    kind_of_rows: ClassVar[RowKind] = "remapped"

    def out_shape(self, shape: Shape) -> Shape:
        sizes = (shape.folded_channels, shape.height, shape.width)
        found = []
        for size, steps in zip(sizes, (self.channels, self.rows, self.columns), strict=True):
            first, count, apart = steps or (0, size, 1)
            last = first + (count - 1) * apart
            if count < 1 or apart == 0 or not (0 <= first < size and 0 <= last < size):
                raise ValueError(f"a slice of {count} from {first} on, {apart} apart, does not fit {size} values")
            found.append(count)
        if self.rows is not None and self.rows[2] < 0:
            raise ValueError("a slice turns rows upside down")
        return Shape(*found)

    def input_lo(self, a: Rows, height: int) -> Rows:
        first, _, apart = self.rows or (0, height, 1)
        return np.clip(first + a * apart, 0, height)

    def input_hi(self, b: Rows, height: int) -> Rows:
        first, _, apart = self.rows or (0, height, 1)
        return np.clip(first + (b - 1) * apart + 1, 0, height)

    def most_rows(self, rows: Rows, height: int) -> Rows:
        return (rows - 1) * (self.rows[2] if self.rows else 1) + 1


Coordinates = Literal["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
Rounding = Literal["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]


Taps = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]


class Tapped(Layer):
    """A layer whose rows and columns are sums of some of the input's, by a rule for each axis."""

    kind_of_rows: ClassVar[RowKind] = "remapped"

    def taps(self, axis: int, size: int) -> Taps:
        """For every output row (axis 0) or column (1) the input positions that it is made of, and their weights."""
        raise NotImplementedError

    def input_lo(self, a: Rows, height: int) -> Rows:
        first = self.taps(0, height)[0].min(axis=1)
        return _at(np.append(np.minimum.accumulate(first[::-1])[::-1], height), a)

    def input_hi(self, b: Rows, height: int) -> Rows:
        last = self.taps(0, height)[0].max(axis=1) + 1
        return _at(np.concatenate([[0], np.maximum.accumulate(last)]), b)


@dataclass(frozen=True)
class Mirror(Tapped):
    """A border of copies of the map's own rows and columns: of the edge, or by reflection at it.

    Reflected rows run against the others, so that a part at the edge reads all rows between them, too.
    """

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0
    mode: Literal["edge", "reflect"] = "reflect"

    def out_shape(self, shape: Shape) -> Shape:
        sides = (self.top, self.bottom, self.left, self.right)
        reach = (max(sides[:2]), max(sides[2:]))
        if min(sides) < 0 or (self.mode == "reflect" and (reach[0] >= shape.height or reach[1] >= shape.width)):
            raise ValueError(f"a border of {sides} by {self.mode} does not fit {shape}")
        return Shape(shape.folded_channels, shape.height + sum(sides[:2]), shape.width + sum(sides[2:]))

    def taps(self, axis: int, size: int) -> Taps:
        before, behind = ((self.top, self.bottom), (self.left, self.right))[axis]
        at = np.arange(-before, size + behind)
        if self.mode == "reflect":
            at = np.abs(at)
            at = np.where(at >= size, 2 * (size - 1) - at, at)
        return np.clip(at, 0, size - 1)[:, None], np.ones((len(at), 1))


@dataclass(frozen=True)
class Resize(Tapped):
    """A map brought to another size by ONNX's rules for Resize.

    Attributes:
        height, width: of the output.
        mode: nearest value, or linear or cubic between values, along rows and columns apart.
        coordinates: where an output position lies in the input.
        scales: output over input size along (rows, columns), as the file states them.
        rounding: of nearest.
        cubic: the coefficient a of cubic.
    """

    height: int = 1
    width: int = 1
    mode: Literal["nearest", "linear", "cubic"] = "nearest"
    coordinates: Coordinates = "asymmetric"
    scales: tuple[float, float] = (1.0, 1.0)
    rounding: Rounding = "floor"
    cubic: float = -0.75

    def out_shape(self, shape: Shape) -> Shape:
        return Shape(shape.folded_channels, self.height, self.width)

    def taps(self, axis: int, size: int) -> Taps:
        out, scale = (self.height, self.width)[axis], self.scales[axis]
        return _taps(size, out, scale, self.mode, self.coordinates, self.rounding, self.cubic)

    def most_rows(self, rows: Rows, height: int) -> Rows:
        reach = {"nearest": 1, "linear": 2, "cubic": 4}[self.mode]
        return np.minimum(height, np.ceil((np.asarray(rows) - 1) * (height / self.height)).astype(np.int64) + reach)


def _at(values: npt.NDArray[Any], posts: Rows) -> Rows:
    """Values at fence posts; a number for a number."""
    return values[posts] if isinstance(posts, np.ndarray) else int(values[posts])


@lru_cache(maxsize=256)
def _taps(size: int, out: int, scale: float, mode: str, coordinates: str, rounding: str, cubic: float) -> Taps:
    at, by = np.arange(out, dtype=np.float32), np.float32(scale)  # as runtimes do: float64 rounds elsewhere
    if coordinates == "align_corners":
        at = at * np.float32(size - 1) / np.float32(out - 1) if out > 1 else at * 0
    elif coordinates == "asymmetric":
        at = at / by
    elif coordinates == "half_pixel" or out > 1:
        at = (at + np.float32(0.5)) / by - np.float32(0.5)
    else:  # pytorch_half_pixel of a single position
        at = at * 0
    if mode == "nearest":
        whole = {
            "floor": lambda x: floor(x),
            "ceil": lambda x: ceil(x),
            "round_prefer_floor": lambda x: ceil(x - 0.5),
            "round_prefer_ceil": lambda x: floor(x + 0.5),
        }[rounding]
        index = np.array([whole(x) for x in at], dtype=np.int64)[:, None]
        weights = np.ones((out, 1))
    else:
        base = np.floor(at).astype(np.int64)
        share = at.astype(np.float64) - base
        if mode == "linear":
            index, weights = np.stack([base, base + 1], 1), np.stack([1 - share, share], 1)
        else:
            index = np.stack([base + k for k in (-1, 0, 1, 2)], 1)
            weights = np.stack([_cubic(share + 1 - k, cubic) for k in range(4)], 1)
        index = np.where(weights == 0, base[:, None], index)  # a tap of no weight is no row that is read
    return np.clip(index, 0, size - 1), weights


def _cubic(x: npt.NDArray[np.float64], a: float) -> npt.NDArray[np.float64]:
    """Keys' kernel."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
