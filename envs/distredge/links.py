"""The rates of a scenario's links over time, for n lanes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...profiling.network import BandwidthTrace, Link, Network, fluctuating_traces, load_trace
from .scenarios import Scenario

STEP_S = 1.0
DURATION_S = 3600.0
MEANS_MBPS = (30.0, 200.0)  # range of the seeded traces' means, drawn anew for every 20 minutes (assumption)


def load_traces(scenario: Scenario) -> list[BandwidthTrace]:
    """The trace of every device, from the scenario's files (one for all, or one each)."""
    files = scenario.traces if len(scenario.traces) > 1 else scenario.traces * len(scenario.devices)
    return [load_trace(path, scenario.trace_factor) for path in files]


class LinkRates:
    """Device rates now: constant, from files, or from seeded traces of high fluctuation (paper, Fig. 11).

    Attributes:
        varies: whether rates change with time.
        is_random: whether they differ from seed to seed.
        period_s: length after which the traces repeat.
    """

    def __init__(self, scenario: Scenario, lanes: int) -> None:
        self.varies = scenario.varies
        self.is_random = scenario.dynamic and not scenario.traces
        self.period_s = DURATION_S
        self._devices = len(scenario.devices)
        self._seeded: np.ndarray | None = None
        rates: list[float | BandwidthTrace] = list(scenario.mbps)
        if scenario.traces:
            traces = load_traces(scenario)
            self.period_s = max(trace.period_s for trace in traces)
            rates = list(traces)
        elif scenario.dynamic:
            self._seeded = np.zeros((self._devices, lanes, int(DURATION_S / STEP_S)), dtype=np.float32)

        self._network = Network(tuple(map(Link, rates)), Link(scenario.requester_mbps), scenario.eta)

    def seed(self, lanes: np.ndarray, rngs: Sequence[np.random.Generator]) -> None:
        """Draw the traces of some lanes."""
        if self._seeded is not None:
            for lane, rng in zip(lanes, rngs, strict=True):
                means = rng.uniform(*MEANS_MBPS, (self._devices, 3))
                self._seeded[:, lane] = fluctuating_traces(rng, self._devices, means, DURATION_S, STEP_S)

    def at(self, clock_s: np.ndarray) -> np.ndarray:
        """(D, n) Mbit/s at every lane's clock."""
        if self._seeded is not None:
            step = (clock_s / STEP_S).astype(np.intp) % self._seeded.shape[2]
            return self._seeded[:, np.arange(len(clock_s)), step].astype(float)
        return self._network.rates_mbps(clock_s)[:-1]
