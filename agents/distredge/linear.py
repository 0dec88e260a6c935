"""The linear models that DistrEdge's baselines plan with, instead of the physics.

Compute time is MACs over a device's capability (model operations over model time); transfer time is bytes over
throughput (that of a transfer alone, which on one access point crosses the air twice), without a cost per message. A
fused block's input is gathered and scattered again, as these methods do it: a part's transfer is all its input rows
(halo included) over its link. A plan costs the sum over its volumes of the slowest transfer and the slowest compute.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from ...envs.distredge.system import System
from ...models.model import Volume

Shares = Callable[[int, int], np.ndarray]  # (start, stop) -> (D,) shares of the last output's rows


def fence_posts(shares: np.ndarray, height: int) -> np.ndarray:
    """(D + 1,) rows 0..height where the parts of a volume begin and end, for shares (D,) of its last output."""
    inner = np.cumsum(shares)[:-1] / np.sum(shares)
    return np.rint(np.concatenate([[0.0], inner, [1.0]]) * height).astype(int)


class LinearModel:
    """Linear costs of layer-volumes.

    Args:
        system: the scenario.
        mbps: (D,) monitored rates, nominal when None.
    """

    def __init__(self, system: System, mbps: np.ndarray | None = None) -> None:
        self.system = system
        rates = system.mbps if mbps is None else np.asarray(mbps, dtype=float)
        scenario = system.scenario
        requester = system.requester_mbps(rates)
        if scenario.medium == "shared":
            self._byte_s = 8e-6 / scenario.eta * (2.0 / rates)
            self._image_byte_s = 8e-6 / scenario.eta * (1.0 / rates + 1.0 / requester)
        else:
            self._byte_s = 8e-6 / (scenario.eta * rates)
            self._image_byte_s = 8e-6 / (scenario.eta * np.minimum(rates, requester))

    def byte_s(self, start: int) -> np.ndarray:
        """(D,) seconds per byte of the tensors in front of unit ``start``."""
        return self._byte_s if start else self._image_byte_s

    @cached_property
    def macs_before(self) -> np.ndarray:
        """(units + 1,) MACs in front of every boundary."""
        return np.concatenate([[0], np.cumsum(self.system.model.unit_macs[:-1])]).astype(float)

    def input_bytes(self, start: int) -> float:
        """Bytes of everything that crosses the boundary in front of unit ``start``."""
        return float(self.system.model.boundary_bytes(start, *self.system.scenario.value_bytes))

    def ratio(self, start: int, stop: int) -> np.ndarray:
        """(D,) the linear ratio: shares that equalise compute plus transfer of a volume without halo (AOFL)."""
        macs = self.macs_before[stop] - self.macs_before[start]
        share_s = macs / self.system.capability + self.input_bytes(start) * self.byte_s(start)
        return (1.0 / share_s) / np.sum(1.0 / share_s)

    def cost_s(self, start: int, stop: int, shares: np.ndarray) -> float:
        """Slowest transfer plus slowest compute of volume (start, stop) split by shares."""
        system = self.system
        volume = system.model.volume(start, stop)
        posts = fence_posts(shares, volume.height)
        a, b = posts[:-1], posts[1:]
        some = b > a
        sent = np.zeros(system.n_devices)
        for name, lo, hi in zip(volume.needs, volume.need_lo, volume.need_hi, strict=True):
            sent += np.where(some, hi[b] - lo[a], 0) * system.model.row_bytes(name, start, *system.scenario.value_bytes)
        macs = np.where(some, self._part_macs(volume, a, b), 0.0)
        return float(np.max(sent * self.byte_s(start)) + np.max(macs / system.capability))

    def _part_macs(self, volume: Volume, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        kernels = [self.system.model.kernels[k] for k in volume.kernels]
        per_row = np.array([k.layer.macs(k.in_shape) / k.out_shape.height for k in kernels])
        return per_row @ (volume.kernel_hi[:, b] - volume.kernel_lo[:, a])

    def best_cuts(self, shares: Shares) -> tuple[tuple[int, ...], float]:
        """Cuts with the least total cost, by dynamic programming over all partitions: (stops, seconds)."""
        units = self.system.n_units
        best = np.full(units + 1, np.inf)
        best[0] = 0.0
        came = np.zeros(units + 1, dtype=int)
        for stop in range(1, units + 1):
            for start in range(stop):
                total = best[start] + self.cost_s(start, stop, shares(start, stop))
                if total < best[stop]:
                    best[stop], came[stop] = total, start
        stops = [units]
        while came[stops[0]]:
            stops.insert(0, int(came[stops[0]]))
        return tuple(stops), float(best[units])
