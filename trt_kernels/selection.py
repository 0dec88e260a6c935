"""Which feature maps cross a compressing cut, and times what (Prune-Deprune, Sec. 3.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Selection:
    """B of phi maps, in their order, each with its factor.

    The same object serves every copy at a cut: selecting with it is what the client sends, scattering a reply with it
    the gradient of the client's maps; :attr:`unscaled` is the server's, whose maps come multiplied already.

    Attributes:
        channels: phi.
        kept: (B,) int32, rising.
        scale: (B,) float32.

    Raises:
        ValueError: kept is empty, not rising or outside 0..phi-1, or the lengths differ.
    """

    channels: int
    kept: NDArray[np.int32]
    scale: NDArray[np.float32]

    def __post_init__(self) -> None:
        kept, scale = np.array(self.kept), np.array(self.scale, np.float32)
        if kept.ndim != 1 or not kept.size or kept.dtype.kind not in "iu":
            raise ValueError("selection: kept must be one or more whole numbers")
        if kept[0] < 0 or kept[-1] >= self.channels or (kept[1:] <= kept[:-1]).any():
            raise ValueError(f"selection: kept is {kept.tolist()}, allowed: rising, 0 to {self.channels - 1}")
        if scale.shape != kept.shape:
            raise ValueError(f"selection: scale has shape {scale.shape}, allowed: {kept.shape}, one for each kept map")
        kept = kept.astype(np.int32)
        kept.flags.writeable = scale.flags.writeable = False
        object.__setattr__(self, "kept", kept)
        object.__setattr__(self, "scale", scale)

    @property
    def budget(self) -> int:
        """B."""
        return len(self.kept)

    @property
    def unscaled(self) -> Selection:
        """The same maps as they are."""
        return Selection(self.channels, self.kept, np.ones(self.budget, np.float32))

    @property
    def slots(self) -> NDArray[np.int32]:
        """(phi,) int32: each map's place among the kept ones, -1 where it is not kept."""
        slots = np.full(self.channels, -1, np.int32)
        slots[self.kept] = np.arange(self.budget)
        return slots


def top_maps(filter_: NDArray[np.floating], budget: int) -> Selection:
    """The maps with the largest entries of the filter, times these; the first of equal ones counts as larger.

    Args:
        filter_: (phi,) f, after its sigmoid.
        budget: B.

    Raises:
        ValueError: the filter is not one-dimensional or holds a NaN, or the budget lies outside 1..phi.
    """
    filter_ = np.asarray(filter_)
    if filter_.ndim != 1 or filter_.dtype.kind != "f" or np.isnan(filter_).any():
        raise ValueError(f"filter: {filter_.dtype} of shape {filter_.shape}, allowed: (phi,) floats without NaN")
    if not 1 <= budget <= len(filter_):
        raise ValueError(f"budget: {budget}, allowed: 1 to {len(filter_)}")
    kept = np.sort(np.argsort(-filter_, kind="stable")[:budget])
    return Selection(len(filter_), kept.astype(np.int32), filter_[kept].astype(np.float32))
