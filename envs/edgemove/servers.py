"""What changes at the servers: load, with drift and bursts, round-trip times, and the rate to the cloud.

A bank of traces is drawn once by the city's seed; every lane's servers each replay one of them from somewhere. So
nothing is drawn in a step, and lanes cost no memory of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .scenarios import Scenario

TRACES = 128
SAMPLES = 1024
BANK = TRACES * SAMPLES
SAMPLE_S = 16.0
DRIFT_S = 300.0  # in which the correlation of load, latency and the cloud's rate falls to 1/e (assumption)
CLOUD_RATE_SIGMA = 0.3  # of the logarithm of the cloud's rate (assumption)
NORMALS = 1 << 16
LOAD, RTT = range(2)


class Servers:
    """Conditions at all servers of n lanes; the cloud is the last server.

    A *slot* stands for a server of a lane: ``lane * (S + 1) + rank``, so that servers side by side lie side by side.

    Args:
        scenario: ranges, bursts, noise.
        n_sites: sites, S; the cloud has index S.
        lanes: n.
        rank: (S + 1,) of every server among the slots of a lane, the cloud's the last; by their indices if left out.

    Attributes:
        count: S + 1.
        rank: see above.
        load_bank, rtt_bank_s, cloud_bank_bits: traces one after another.
        starts: (n (S + 1), 2) where in the first two each slot's traces start; in the third ``BANK`` earlier.
        normals, noise_at: normal numbers, and where in them each lane's begin.
    """

    def __init__(self, scenario: Scenario, n_sites: int, lanes: int, rank: np.ndarray | None = None) -> None:
        bursts = (scenario.burst_every_s, scenario.burst_s, scenario.burst_factor)
        load, share, cloud_bits, normals = _bank(scenario.city_seed, scenario.load_drift, bursts, scenario.cloud_mbps)
        ranges = (scenario.edge_rtt_s, scenario.cloud_rtt_s)
        self.load_bank = np.append(load, np.ones(SAMPLES, dtype=np.float32))  # the last trace is the cloud's
        self.cloud_bank_bits = cloud_bits.ravel()
        self.rtt_bank_s = np.concatenate([(low + (high - low) * share).ravel() for low, high in ranges])
        self.normals = normals.copy()  # a copied env's could be written, and kernels are compiled for one kind
        self.count = n_sites + 1
        self.rank = np.arange(self.count) if rank is None else rank
        self.starts = np.zeros((lanes * self.count, 2), dtype=np.int32)
        self.noise_at = np.zeros(lanes, dtype=np.intp)

    def seed(self, lanes: np.ndarray, rngs: Sequence[np.random.Generator]) -> None:
        """Choose the traces of some lanes."""
        for lane, rng in zip(lanes, rngs, strict=True):
            starts = self.starts[lane * self.count :][: self.count]
            for bank in (LOAD, RTT):
                starts[self.rank, bank] = rng.integers(0, BANK, self.count)
            starts[-1, LOAD] = BANK
            starts[-1, RTT] += BANK  # the second half is the cloud's
            self.noise_at[lane] = rng.integers(0, NORMALS)

    def slot(self, server: Any, lane: Any) -> Any:
        """Slots of servers of lanes; indices broadcast."""
        return lane * self.count + self.rank[server]

    def load(self, slot: Any, clock_s: Any) -> Any:
        """How many times longer servers compute than alone; the cloud is rented, nobody else is on it."""
        return self.load_bank[sample(self.starts[slot, LOAD], clock_s)]

    def rtt_s(self, slot: Any, clock_s: Any) -> Any:
        """Round-trip times."""
        return self.rtt_bank_s[sample(self.starts[slot, RTT], clock_s)]

    def cloud_bits(self, lane: Any, clock_s: Any) -> Any:
        """Bit/s to the cloud."""
        return self.cloud_bank_bits[sample(self.starts[self.slot(self.count - 1, lane), RTT], clock_s) - BANK]

    def normal(self, lane: Any, number: Any) -> Any:
        """Standard normal numbers of lanes, always the same for the same number."""
        return self.normals[normal_at(self.noise_at[lane], number, 0)]


def sample(start: Any, clock_s: Any) -> Any:
    """Where in a bank one is: in the trace that starts there, cyclic, as far on as the clock."""
    moved = start + np.int32(clock_s * (1.0 / SAMPLE_S))
    return start ^ ((start ^ moved) & (SAMPLES - 1))


def normal_at(begin: Any, number: Any, server: Any) -> Any:
    """Where among the normal numbers that for a number (of a cycle or a probe) and a server is; 0 for no server."""
    return (begin + 1009 * number + 7919 * server) & (NORMALS - 1)


@lru_cache(maxsize=2)  # the envs of a comparison share a city
def _bank(
    city_seed: int, load_drift: float, bursts: tuple[float, float, float], cloud_mbps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(load, share of the range of round-trip times, cloud's bit/s, normal numbers), read-only.

    The first three are (TRACES, SAMPLES), cyclic in time; ``bursts`` is their every_s, their length in s and factor.
    """
    from scipy.special import ndtr

    rng = np.random.default_rng((city_seed, 3))
    every_s, burst_s, factor = bursts
    drift, latency, rate = (_wander(rng) for _ in range(3))
    load = (1.0 + load_drift * ndtr(drift)) * np.where(_bursts(rng, every_s, burst_s), factor, 1.0)
    cloud = 1e6 * cloud_mbps * np.exp(CLOUD_RATE_SIGMA * rate - CLOUD_RATE_SIGMA**2 / 2)
    # Small banks stay in cache.
    load, share, cloud = (values.astype(np.float32) for values in (load, ndtr(latency), cloud))
    found = (load, share, cloud, rng.standard_normal(NORMALS))
    for values in found:
        values.setflags(write=False)
    return found


def _wander(rng: np.random.Generator) -> np.ndarray:
    """(TRACES, SAMPLES) first-order autoregressive, standard normal at every time; the end joins the beginning."""
    keep = np.exp(-SAMPLE_S / DRIFT_S)
    noise = np.sqrt(1.0 - keep**2) * rng.standard_normal((TRACES, SAMPLES))
    found, last = np.zeros((2 * SAMPLES, TRACES)), np.zeros(TRACES)
    for sample, drawn in enumerate(np.concatenate([noise.T, noise.T])):  # scipy.signal takes far longer to import
        last = np.add(drawn, keep * last, out=found[sample])
    return np.ascontiguousarray(found[SAMPLES:].T)


def _bursts(rng: np.random.Generator, every_s: float, burst_s: float) -> np.ndarray:
    """(TRACES, SAMPLES) whether a burst is on: they begin at random and last for a random time, in the mean as told."""
    begins = rng.random((TRACES, SAMPLES)) < SAMPLE_S / every_s
    lasts = rng.exponential(burst_s / SAMPLE_S, (TRACES, SAMPLES)) + rng.random((TRACES, SAMPLES))
    lasts = np.minimum(lasts, SAMPLES).astype(np.intp)  # rounded at random, so that the mean stays
    trace, begin = np.nonzero(begins)
    change = np.zeros((TRACES, 2 * SAMPLES), dtype=np.int32)  # of the bursts that are on, twice round
    np.add.at(change, (trace, begin), 1)
    np.add.at(change, (trace, begin + lasts[trace, begin]), -1)
    on = change.cumsum(axis=1) > 0
    return on[:, :SAMPLES] | on[:, SAMPLES:]
