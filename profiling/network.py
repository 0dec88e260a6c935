"""Links and their rates over time: constants, measured traces, generated traces."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from ..ui.errors import InputError
from ..ui.faults import Faults
from ..ui.files import read_lines
from ..ui.numerals import Numerals
from .transfers import Transfers

# Share of a shaped rate that is payload: 1448 of the 1538 bytes that a full TCP segment takes on the wire.
PAYLOAD_FRACTION = 0.94
# Measured traces have gaps with no throughput at all; a link never gets slower than this, so a transfer ends.
MIN_RATE_MBPS = 0.1
MAX_RATE_MBPS = 1e6  # more is a slip of the unit

# A sample whose numbers have at most a decimal point, as ui.numerals reads it.
_USUAL = re.compile(r"(-?\d{1,300}(?:\.\d+)?)(?:\s*[;\t]\s*| +| *, *)(\d{1,300}(?:\.\d+)?)", re.ASCII)
_NOT_FINITE = ("nan", "inf", "infinity")
_FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BandwidthTrace:
    """A rate over time, constant between samples, that starts over at its end.

    The first sample is at time 0 of the trace. The last one holds for as long as the median of the others.

    Args:
        times_s: (n,), strictly increasing; only differences count.
        mbps: (n,), the rate from each time on; rates below ``MIN_RATE_MBPS`` are raised to it.

    Raises:
        ValueError: shapes differ, times do not increase, a value is not finite, or a rate is negative.
    """

    times_s: npt.NDArray[Any]
    mbps: npt.NDArray[Any]

    def __post_init__(self) -> None:
        times, mbps = np.array(self.times_s, dtype=np.float64), np.array(self.mbps, dtype=np.float64)
        if times.ndim != 1 or times.shape != mbps.shape or not times.size:
            raise ValueError(f"a trace needs as many times as rates, at least one, not {times.shape} and {mbps.shape}")
        if not (np.isfinite(times).all() and (np.diff(times) > 0).all()):
            raise ValueError("the times of a trace must be finite and increase strictly")
        if not (np.isfinite(mbps).all() and (mbps >= 0).all()):
            raise ValueError("the rates of a trace must be finite and not negative")
        for name, values in (("times_s", times - times[0]), ("mbps", np.maximum(mbps, MIN_RATE_MBPS))):
            values.flags.writeable = False
            object.__setattr__(self, name, values)

    @cached_property
    def period_s(self) -> float:
        """Seconds after which the trace starts over."""
        steps = np.diff(self.times_s)
        return float(self.times_s[-1] + (np.median(steps) if steps.size else 1.0))

    @property
    def mean_mbps(self) -> float:
        """Mean rate over a period."""
        return float(np.average(self.mbps, weights=np.diff([*self.times_s, self.period_s])))

    def at(self, t_s: npt.ArrayLike) -> _FloatArray:
        """Rates in Mbit/s at some times, the shape of ``t_s``."""
        return self.mbps[np.searchsorted(self.times_s, np.asarray(t_s) % self.period_s, side="right") - 1]

    def transfer_s(self, bits: npt.ArrayLike, start_s: npt.ArrayLike) -> _FloatArray:
        """Seconds that bits take that begin to flow at some times; both broadcast."""
        return self._transfers.seconds(bits, start_s)

    @cached_property
    def _transfers(self) -> Transfers:
        return Transfers([*self.times_s, self.period_s], self.mbps[None])


@dataclass(frozen=True)
class Link:
    """One end of the network: what a device sends and receives at.

    Args:
        rate: Mbit/s on the wire, constant or a trace.

    Raises:
        InputError: a constant rate that is not positive and finite.
    """

    rate: float | BandwidthTrace

    def __post_init__(self) -> None:
        if not isinstance(self.rate, BandwidthTrace) and not (isfinite(self.rate) and self.rate > 0):
            raise InputError(f"link: rate is {self.rate}, allowed: a finite number of Mbit/s above 0")

    def at(self, t_s: npt.ArrayLike) -> _FloatArray:
        """Rates in Mbit/s at some times, the shape of ``t_s``."""
        if isinstance(self.rate, BandwidthTrace):
            return self.rate.at(t_s)
        return np.full(np.shape(t_s), float(self.rate))

    def transfer_s(self, bits: npt.ArrayLike, start_s: npt.ArrayLike) -> _FloatArray:
        """Seconds that bits take that begin to flow at some times; both broadcast."""
        if isinstance(self.rate, BandwidthTrace):
            return self.rate.transfer_s(bits, start_s)
        seconds, _ = np.broadcast_arrays(np.asarray(bits) / (1e6 * self.rate), start_s)
        return seconds


@dataclass(frozen=True)
class Network:
    """The links of all devices and of the requester.

    Args:
        links: one for each device.
        requester: the link of whoever asks for the inference.
        eta: payload share of the rates.

    Raises:
        InputError: ``eta`` is outside (0, 1].
    """

    links: tuple[Link, ...]
    requester: Link
    eta: float = PAYLOAD_FRACTION

    def __post_init__(self) -> None:
        if not 0 < self.eta <= 1:
            raise InputError(f"network: eta is {self.eta}, allowed: above 0, at most 1")

    def rates_mbps(self, t_s: npt.ArrayLike) -> _FloatArray:
        """Rates of all devices, then of the requester, at some times: (len(links) + 1, *shape of t_s)."""
        return np.stack([link.at(t_s) for link in (*self.links, self.requester)])


def load_trace(path: str | os.PathLike[str], factor: float = 1.0) -> BandwidthTrace:
    """Read a trace: seconds and Mbit/s on each line, apart by blanks, a tab, a semicolon or a comma.

    The first line may be a header; empty lines and lines that start with ``#`` are skipped. See
    :mod:`splitgym.ui.numerals` for how numbers are written.

    Args:
        path: the file.
        factor: what the rates are multiplied by.

    Raises:
        InputError: one line that names the file, the lines, and what is allowed.
    """
    if not (isfinite(factor) and factor > 0):
        raise InputError(f"{path}: factor is {factor}, allowed: a finite number above 0")
    lines = _lines(path)
    samples = _usual(lines)
    if samples is None:
        samples = np.array(_careful(path, lines))
    if not samples.size:
        raise InputError(f"{path}: has no samples; each line holds seconds and Mbit/s")
    times, rates = samples.T
    if not rates.any():
        raise InputError(f"{path}: every rate is 0; at least one must be above 0 Mbit/s")
    if rates.max() * factor > MAX_RATE_MBPS:
        raise InputError(
            f"{path}: a rate is {rates.max() * factor:g} Mbit/s, allowed: up to {MAX_RATE_MBPS:g}; a file in bit/s "
            "needs --trace-factor 1e-6 (trace_factor: 1e-6), one in kbit/s 1e-3"
        )
    return BandwidthTrace(times, rates * factor)


def _lines(path: str | os.PathLike[str]) -> list[tuple[int, str]]:
    """The lines that should hold a sample, and their numbers."""
    stripped = ((number, line.strip()) for number, line in enumerate(read_lines(path), start=1))
    lines = [(number, line) for number, line in stripped if line and not line.startswith("#")]
    is_header = bool(lines) and not any(re.match(r"[-+.,]?\d", cell) for cell in _fields(lines[0][1]))
    return lines[1:] if is_header else lines


def _usual(lines: Sequence[tuple[int, str]]) -> _FloatArray | None:
    """(n, 2) samples of a file as programs write it, which reads fast; None where it may be any other."""
    found = [match.groups() for _, line in lines if (match := _USUAL.fullmatch(line))]
    samples = np.array(found, dtype=np.float64).reshape(-1, 2)
    return samples if len(found) == len(lines) and (np.diff(samples[:, 0]) > 0).all() else None


def _careful(path: str | os.PathLike[str], lines: Sequence[tuple[int, str]]) -> list[tuple[float, float]]:
    """Samples, however their numbers are written.

    Raises:
        InputError: lines that hold none, or are not in order.
    """
    rows = [(number, _fields(line)) for number, line in lines]
    numerals = Numerals(cell for _, cells in rows for cell in cells)
    faults, samples = Faults(path), list[tuple[float, float]]()
    for number, cells in rows:
        sample = _sample(faults, numerals, number, cells)
        if sample and samples and sample[0] <= samples[-1][0]:
            late = f"time {sample[0]:g} s is not after {samples[-1][0]:g} s"
            faults.add(f"line {number}: {late}", "; times must increase")
        elif sample:
            samples.append(sample)
    if numerals.conflict:
        faults.add(numerals.contradiction())
    faults.check()
    return samples


def _fields(line: str) -> list[str]:
    """Parts of a line at semicolons or tabs, else at blanks, else at commas: those may come before decimals."""
    for delimiter in (r"\s*[;\t]\s*", r"(?<![\s,])\s+(?![\s,])"):
        if re.search(delimiter, line):
            return re.split(delimiter, line)
    return re.split(r"\s*,\s*", line)


def _sample(faults: Faults, numerals: Numerals, line: int, cells: Sequence[str]) -> tuple[float, float] | None:
    """Seconds and Mbit/s; None, and a fault, where a line does not hold them."""
    values = [numerals.read(cell) for cell in cells]
    if len(values) == 2 and values[0] is not None and values[1] is not None and values[1] >= 0:
        return values[0], values[1]
    known = [
        value is not None or cell.strip("+-").lower() in _NOT_FINITE for value, cell in zip(values, cells, strict=True)
    ]
    if unclear := next(filter(numerals.is_open, cells), None):
        faults.add(f"line {line}: holds {unclear!r}", numerals.complaint())
    elif len(values) != 2 or not all(known):
        faults.add(f"line {line}: cannot read {' '.join(cells)!r}", "; allowed: seconds and Mbit/s, two numbers")
    elif values[0] is None:
        faults.add(f"line {line}: time is {cells[0]}", ", allowed: a finite number of seconds")
    else:
        faults.add(f"line {line}: rate is {cells[1]}", ", allowed: a finite number of Mbit/s, 0 or more")
    return None


def fluctuating_traces(
    rng: np.random.Generator,
    n_links: int,
    means_mbps: npt.ArrayLike,
    duration_s: float = 3600.0,
    step_s: float = 1.0,
    *,
    sigma: float = 0.5,
    correlation_s: float = 10.0,
    bounds: tuple[float, float] = (0.1, 2.5),
) -> npt.NDArray[np.float32]:
    """Rates of a highly dynamic network (in the manner of DistrEdge Fig. 11).

    The duration is divided equally among the means, so three of them in an hour shift at 20 and 40 minutes.
    Around its mean a rate follows the exponential of a first-order autoregressive process (lognormal), cut off
    at ``bounds`` times the mean.

    Args:
        rng: the only source of randomness.
        n_links: number of independent traces.
        means_mbps: (n_means,) for all links alike, or (n_links, n_means).
        duration_s: length of the traces.
        step_s: time between samples.
        sigma: standard deviation of the rate's logarithm.
        correlation_s: time in which the correlation falls to 1/e.
        bounds: lowest and highest rate as fractions of the mean.

    Returns:
        Mbit/s, float32, (n_links, duration_s / step_s).
    """
    from scipy.signal import lfilter  # takes longer to import than the rest of this package

    n_steps = round(duration_s / step_s)
    means = np.asarray(means_mbps, dtype=np.float32)
    means = np.broadcast_to(means, (n_links, means.shape[-1]))
    segment = np.arange(n_steps) * means.shape[1] // n_steps
    keep = np.float32(np.exp(-step_s / correlation_s))
    noise = rng.standard_normal((n_links, n_steps), dtype=np.float32)
    noise[:, 1:] *= np.sqrt(1 - keep**2)  # the first sample is already stationary
    b, a = np.ones(1, np.float32), np.array([1, -keep], np.float32)
    logs = np.asarray(lfilter(b, a, noise, axis=1), dtype=np.float32)
    logs *= sigma
    logs -= sigma**2 / 2  # a lognormal's mean is above its median
    rates = np.exp(logs, out=logs)
    np.clip(rates, *bounds, out=rates)
    rates *= means[:, segment]
    return rates
