"""The rates of links over time, for n lanes: constant, from files, or drawn by seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..profiling.network import BandwidthTrace, Link, fluctuating_traces, load_trace
from ..profiling.transfers import Transfers
from ..ui.errors import InputError

STEP_S = 1.0
DURATION_S = 3600.0
MEANS_MBPS = (30.0, 200.0)  # range of the seeded traces' means, drawn anew for every 20 minutes (assumption)


def load_traces(paths: Sequence[str], factor: float, links: int) -> list[BandwidthTrace]:
    """The trace of every link, from one file for all or one each.

    Raises:
        InputError: a file cannot be read, or is no trace.
    """
    read = {path: load_trace(path, factor) for path in dict.fromkeys(paths)}
    return [read[path] for path in (paths if len(paths) > 1 else list(paths) * links)]


def check_trace_factor(factor: float, paths: Sequence[str]) -> None:
    """Refuse a factor of traces that would scale nothing.

    Raises:
        InputError: beginning with the field.
    """
    if factor != 1.0 and not paths:
        raise InputError(f"trace_factor is {factor:g}, but it scales the rates of traces, which names no file")


class LinkRates:
    """Link rates at any time: constant, from traces, or seeded traces of high fluctuation (DistrEdge, Fig. 11).

    Args:
        mbps: constant rate of every link.
        lanes: number of lanes.
        traces: one for every link instead.
        dynamic: seeded traces instead, unless ``traces`` are given.

    Attributes:
        varies: whether rates change with time.
        is_random: whether they differ from seed to seed.
        period_s: length after which the traces repeat.
    """

    def __init__(
        self, mbps: Sequence[float], lanes: int, traces: Sequence[BandwidthTrace] = (), dynamic: bool = False
    ) -> None:
        self.varies = dynamic or bool(traces)
        self.is_random = dynamic and not traces
        self.period_s = max((trace.period_s for trace in traces), default=DURATION_S)
        self._links = [Link(rate) for rate in (traces or mbps)]
        self._everyone = np.arange(lanes)
        self._seeded: np.ndarray | None = None
        self._transfers: Transfers | None = None  # on the seeded traces, since the first that is asked for
        if self.is_random:
            self._seeded = np.zeros((len(self._links), lanes, int(DURATION_S / STEP_S)), dtype=np.float32)

    def seed(self, lanes: np.ndarray, rngs: Sequence[np.random.Generator]) -> None:
        """Draw the traces of some lanes."""
        if self._seeded is not None:
            self._transfers = None
            links = len(self._links)
            for lane, rng in zip(lanes, rngs, strict=True):
                means = rng.uniform(*MEANS_MBPS, (links, 3))
                self._seeded[:, lane] = fluctuating_traces(rng, links, means, DURATION_S, STEP_S)

    def at(self, clock_s: np.ndarray, lanes: np.ndarray | None = None) -> np.ndarray:
        """(links, n) Mbit/s of some lanes (n,), all where none are named, at the clock of each."""
        if self._seeded is not None:
            step = (clock_s / STEP_S).astype(np.intp) % self._seeded.shape[2]
            return self._seeded[:, self._everyone if lanes is None else lanes, step].astype(float)
        return np.stack([link.at(clock_s) for link in self._links])

    def transfer_s(self, bits: np.ndarray, start_s: np.ndarray, lanes: np.ndarray, link: int = 0) -> np.ndarray:
        """(..., n) seconds that bits take on a link of some lanes (n,) from some times on; bits and times broadcast."""
        if self._seeded is None:
            return self._links[link].transfer_s(bits, start_s)
        if self._transfers is None:
            steps = self._seeded.shape[2]
            self._transfers = Transfers(STEP_S * np.arange(steps + 1), self._seeded.reshape(-1, steps))
        return self._transfers.seconds(bits, start_s, link * self._seeded.shape[1] + lanes)
