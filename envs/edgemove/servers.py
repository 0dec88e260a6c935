"""What changes at the servers: load, with drift and bursts, round-trip times, and the rate to the cloud.

A bank of traces is drawn once by the city's seed; every lane's servers each replay one of them from somewhere. So
nothing is drawn in a step, and lanes cost no memory of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from .scenarios import Scenario

TRACES = 128
SAMPLES = 1024
BANK = TRACES * SAMPLES
SAMPLE_S = 16.0
DRIFT_S = 300.0  # in which the correlation of load, latency and the cloud's rate falls to 1/e (assumption)
CLOUD_RATE_SIGMA = 0.3  # of the logarithm of the cloud's rate (assumption)
NORMALS = 1 << 16


class Servers:
    """Conditions at all servers of n lanes; the cloud is the last server.

    A *slot* stands for a server of a lane: ``server * n + lane``.

    Args:
        scenario: ranges, bursts, noise.
        n_sites: sites, S; the cloud has index S.
        lanes: n.
    """

    def __init__(self, scenario: Scenario, n_sites: int, lanes: int) -> None:
        bursts = (scenario.burst_every_s, scenario.burst_s, scenario.burst_factor)
        load, share, cloud_bits, self._normals = _bank(
            scenario.city_seed, scenario.load_drift, bursts, scenario.cloud_mbps
        )
        ranges = (scenario.edge_rtt_s, scenario.cloud_rtt_s)
        self._load = np.append(load, np.ones(SAMPLES, dtype=np.float32))  # the last trace is the cloud's
        self._cloud_bits = cloud_bits.ravel()
        self._rtt_s = np.concatenate([(low + (high - low) * share).ravel() for low, high in ranges])
        self._servers, self._lanes = n_sites + 1, lanes
        self._load_at = np.zeros((self._servers, lanes), dtype=np.int32)  # where in the bank each slot's trace starts
        self._rtt_at = np.zeros((self._servers, lanes), dtype=np.int32)
        self._noise_at = np.zeros(lanes, dtype=np.intp)

    def seed(self, lanes: np.ndarray, rngs: Sequence[np.random.Generator]) -> None:
        """Choose the traces of some lanes."""
        for lane, rng in zip(lanes, rngs, strict=True):
            for starts in (self._load_at, self._rtt_at):
                starts[:, lane] = rng.integers(0, BANK, self._servers)
            self._load_at[-1, lane] = BANK
            self._rtt_at[-1, lane] += BANK  # the second half is the cloud's
            self._noise_at[lane] = rng.integers(0, NORMALS)

    def slot(self, server: np.ndarray | int, lane: np.ndarray) -> np.ndarray:
        """Slots of servers of lanes; indices broadcast."""
        return server * self._lanes + lane

    def load(self, slot: np.ndarray, clock_s: np.ndarray) -> np.ndarray:
        """How many times longer servers compute than alone; the cloud is rented, nobody else is on it."""
        return self._load.take(_samples(self._load_at, slot, clock_s))

    def rtt_s(self, slot: np.ndarray, clock_s: np.ndarray) -> np.ndarray:
        """Round-trip times."""
        return self._rtt_s.take(_samples(self._rtt_at, slot, clock_s))

    def cloud_bits(self, lane: np.ndarray, clock_s: np.ndarray) -> np.ndarray:
        """Bit/s to the cloud."""
        return self._cloud_bits.take(_samples(self._rtt_at, self.slot(self._servers - 1, lane), clock_s) - BANK)

    def normal(self, lane: np.ndarray, *number: np.ndarray | int) -> np.ndarray:
        """Standard normal numbers of lanes, always the same for the same numbers behind them."""
        at = self._noise_at[lane]
        for factor, n in zip((1009, 7919), number, strict=False):
            at = at + factor * n
        return self._normals.take(at & (NORMALS - 1))


def _samples(starts: np.ndarray, slot: np.ndarray, clock_s: np.ndarray) -> np.ndarray:
    """Indices into a flat bank: each slot's trace, cyclic, as far on as the clock."""
    start = starts.take(slot)
    moved = start + (clock_s * (1.0 / SAMPLE_S)).astype(np.int32)
    return start ^ ((start ^ moved) & (SAMPLES - 1))


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
