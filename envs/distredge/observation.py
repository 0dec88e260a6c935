"""What DistrEdge's agent sees: Eq. 7 scaled, or with what decides the next latency beside it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from ...models.chain import MAIN
from ...models.model import Model, ValueBytes
from ...models.plans import volume_ranges
from .physics import Rates
from .state import Progress
from .system import System

LIMIT = 100.0  # observations are of order 1; a hopeless split on a slow device is clipped here
RATE_SCALE_MBPS = 300.0


@cache
def step_kernels() -> Any:
    """The kernels of a step, as :func:`.physics.kernels`."""
    from . import step_kernels as compiled

    return compiled


class Observer:
    """Builds observations of n lanes.

    Args:
        system: the scenario.
        stops: end of the volume (or unit) decided at every stage.
        full: Eq. 7 alone, or with everything that the next latency depends on.
        learned: whether stages are units whose volume is still open.

    Attributes:
        names: meaning of every entry.
    """

    def __init__(self, system: System, stops: Sequence[int], full: bool, learned: bool) -> None:
        self.system, self.full, self.learned = system, full, learned
        model, devices = system.model, system.names
        self._facts = np.concatenate(
            [_last_layer_config(model, stops), _stage_cost(model, stops, system.scenario.value_bytes)], axis=1
        )
        self._macs_before = _macs_before(model)
        self._scales = (system.reference_s, RATE_SCALE_MBPS, LIMIT)
        names = [f"T[{d}] / T_ref" for d in devices] + ["H / 224", "log2 C / 11", "F / 7", "S / 2"]
        if full:
            names += [f"previous split {i + 1} / H" for i in range(len(devices) - 1)]
            names += [f"send backlog[{d}] / T_ref" for d in devices]
            names += [f"rate[{d}] / 300 Mbps" for d in devices]
            names += ["MACs share of the stage", "entering bytes / image bytes / 8", "stages behind", "clock share"]
        if full and learned:
            names += ["open units share", "MACs share of the open volume", "open volume reads the image"]
        self.names = tuple(names)

    def eq_7(self, observation: np.ndarray) -> np.ndarray:
        """(n, D + 4) what Eq. 7 has of full observations."""
        return observation[:, : self.system.n_devices + 4]

    def rates_mbps(self, observation: np.ndarray) -> np.ndarray:
        """(n, D) device rates in full observations."""
        return observation[:, self._where("rate[")] * RATE_SCALE_MBPS

    def clock_share(self, observation: np.ndarray) -> np.ndarray:
        """(n,) clock as a share of the trace in full observations."""
        return observation[:, self._where("clock")][:, 0]

    def _where(self, prefix: str) -> list[int]:
        return [i for i, name in enumerate(self.names) if name.startswith(prefix)]

    @property
    def size(self) -> int:
        return len(self.names)

    def __call__(
        self, progress: Progress, stage: np.ndarray, opened: np.ndarray, rates: Rates, clock: np.ndarray
    ) -> np.ndarray:
        """Observation of every lane, float32 (n, size).

        Args:
            progress: where images stand.
            stage, opened: (n,) next decision, and first unit of the volume under way.
            rates: now.
            clock: (n,) as a share of the trace.
        """
        out = np.empty((len(stage), self.size), dtype=np.float32)
        step_kernels().observe(
            out, progress.state, stage, opened, self._facts, self._macs_before, rates.mbps, clock,
            self._scales, self.full, self.learned,
        )  # fmt: skip
        return out


def _last_layer_config(model: Model, stops: Sequence[int]) -> np.ndarray:
    """(stages + 1, 4): scaled H, C, F, S of each stage's last unit, zeros after the last stage."""
    rows = []
    for stop in stops:
        out, volume = model.out_shape(stop - 1), model.volume(stop - 1, stop)
        reach = int(np.max(volume.need_hi[0][1:] - volume.need_lo[0][:-1]))  # rows that one output row reads
        stride = model.in_shapes[stop - 1].height / out.height
        rows.append((out.height / 224, np.log2(out.folded_channels) / 11, reach / 7, stride / 2))
    return np.array([*rows, (0.0,) * 4])


def _stage_cost(model: Model, stops: Sequence[int], value_bytes: ValueBytes) -> np.ndarray:
    """(stages + 1, 3): MACs share, bytes entering over the image's (an eighth of it), stages behind."""
    before = _macs_before(model)
    image = model.row_bytes(MAIN, 0, *value_bytes) * model.input.height
    rows = []
    for i, (start, stop) in enumerate(volume_ranges(stops)):
        entering = model.boundary_bytes(start, *value_bytes)
        rows.append((before[stop] - before[start], entering / image / 8, i / len(stops)))
    return np.array([*rows, (0.0, 0.0, 1.0)])


def _macs_before(model: Model) -> np.ndarray:
    """(units + 1,) share of all MACs in front of each boundary."""
    return np.concatenate([[0.0], np.cumsum(model.unit_macs[:-1])]) / model.macs
