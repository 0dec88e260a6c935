"""What operators take of every axis, or put around it, however a file says so."""

from __future__ import annotations

from collections.abc import Sequence


def border(ndim: int, pads: Sequence[int] | None, axes: Sequence[int] | None) -> list[int]:
    """Values to put in front of every axis, then those behind each (Pad).

    Args:
        ndim: axes of the tensor.
        pads: the same of ``axes`` alone, where these are given.
        axes: counted from behind if negative.

    Raises:
        ValueError: they are missing, or more or fewer than axes.
    """
    if pads is None:
        raise ValueError("its pads are missing")
    if axes is None:
        axes = range(ndim)
    places = [*(axis % ndim for axis in axes), *(axis % ndim + ndim for axis in axes)]
    given = dict(zip(places, pads, strict=True))
    return [given.get(place, 0) for place in range(2 * ndim)]


def slices(
    sizes: Sequence[int], starts: Sequence[int] | None, ends: Sequence[int] | None, axes: Sequence[int] | None,
    steps: Sequence[int] | None,
) -> dict[int, range]:  # fmt: skip
    """The places that are taken of axes (Slice).

    Args:
        sizes: of the tensor.
        starts, ends, axes, steps: ONNX's; axes and steps may be left out.

    Raises:
        ValueError: starts or ends are missing, or the numbers of them differ.
        IndexError: an axis that the tensor does not have.
    """
    if starts is None or ends is None:
        raise ValueError("its starts or ends are missing")
    found = dict[int, range]()
    for axis, start, end, step in zip(
        axes or range(len(starts)), starts, ends, steps or [1] * len(starts), strict=True
    ):
        size = sizes[axis]
        found[axis % len(sizes)] = range(size)[slice(start, None if step < 0 and end < -size else end, step)]
    return found
