"""Statistics of recorded rounds, for figures and the learning curve.

A trace maps names to arrays (T,) over the rounds of an episode: point (0..P), delay_s and edge_delay_s (0 at P) as they
came out, expected_s and oracle_delay_s without noise, sync_s and mbps; of agents that explain themselves
predicted_edge_s and forced, and of those that switch modes adapting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Trace = Mapping[str, np.ndarray]
WINDOW = 10  # rounds of running means and medians, as in the paper's delay monitor
CURVE_ROWS = 1000


def running_mean(values: np.ndarray, window: int = WINDOW) -> np.ndarray:
    """(..., T) mean of the last ``window`` values up to each; those that are not finite are skipped."""
    known = np.isfinite(values)
    sums, counts = _running_sum(np.where(known, values, 0.0), window), _running_sum(known, window)
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)


def _running_sum(values: np.ndarray, window: int) -> np.ndarray:
    total = np.cumsum(values, axis=-1, dtype=float)
    total[..., window:] -= total[..., :-window].copy()
    return total


def running_median(values: np.ndarray, window: int = WINDOW) -> np.ndarray:
    """(T,) median of the last ``window`` rounds of all n seeds (n, T); NaN where none of them is finite."""
    before = np.full((len(values), window - 1), np.nan)
    padded = np.concatenate([before, np.where(np.isfinite(values), values, np.nan)], axis=1)
    pooled = np.lib.stride_tricks.sliding_window_view(padded, window, axis=1).transpose(1, 0, 2)
    pooled = pooled.reshape(len(pooled), -1)
    some = ~np.isnan(pooled).all(axis=1)
    medians = np.full(len(pooled), np.nan)
    medians[some] = np.nanmedian(pooled[some], axis=1)
    return medians


def prediction_errors(trace: Trace) -> np.ndarray | None:
    """(T,) share by which predictions of d^e missed its expectation; NaN on the device alone, where nothing is seen.

    None where nothing was ever predicted and seen.
    """
    if "predicted_edge_s" not in trace:
        return None
    observed_s, delay_s = np.asarray(trace["edge_delay_s"], dtype=float), np.asarray(trace["delay_s"], dtype=float)
    edge_s = observed_s - (delay_s - trace["expected_s"])
    missed_s = np.abs(np.asarray(trace["predicted_edge_s"], dtype=float) - edge_s)
    seen = (observed_s != 0) & (edge_s > 0)
    errors = np.divide(missed_s, edge_s, out=np.full(len(edge_s), np.nan), where=seen)
    return errors if np.isfinite(errors).any() else None


def latest_errors(errors: np.ndarray) -> np.ndarray:
    """(T,) median of the last WINDOW errors that were seen up to each round; NaN before the first."""
    seen = np.flatnonzero(np.isfinite(errors))
    latest = np.searchsorted(seen, np.arange(len(errors)), side="right") - 1
    medians = np.append(running_median(errors[None, seen]), np.nan)  # -1, before the first, is the NaN
    return medians[latest]


def regrets(traces: Sequence[Trace]) -> np.ndarray:
    """(n, T) sum of expected delays above the best points', up to every round, by seed."""
    return running_total(traces, "expected_s") - running_total(traces, "oracle_delay_s")


def average_ratio(traces: Sequence[Trace]) -> np.ndarray:
    """(T,) average delay up to every round over the best points' expected one, mean over seeds (paper, Fig. 11)."""
    ratios = running_total(traces, "delay_s") / running_total(traces, "oracle_delay_s")
    return ratios.mean(axis=0)


def running_total(traces: Sequence[Trace], name: str) -> np.ndarray:
    """(n, T) sum up to every round, by seed."""
    return np.cumsum(stacked(traces, name), axis=1)


def stacked(traces: Sequence[Trace], name: str) -> np.ndarray:
    """(n, T) an array of every trace, T that of the shortest."""
    rounds = min(len(trace[name]) for trace in traces)
    return np.stack([np.asarray(trace[name][:rounds], dtype=float) for trace in traces])


def spans(mask: np.ndarray) -> list[tuple[int, int]]:
    """(first, behind the last) of every run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], np.asarray(mask, dtype=bool), [False]]).astype(int)))
    return [(int(first), int(end)) for first, end in zip(edges[::2], edges[1::2], strict=True)]


def late_point(trace: Trace) -> int:
    """The point, 0..P, that the last tenth of the rounds chose most often."""
    points = np.asarray(trace["point"])
    return int(np.bincount(points[-max(1, len(points) // 10) :]).argmax())


def curve_rows(env: Any, trace: Trace) -> list[dict[str, float]]:
    """How an episode went, as the learning curve of an agent that learns while it plays.

    Args:
        env: the L2S env that was played; the trace says it all.
        trace: its rounds.

    Returns:
        Rows, at most 1000, evenly spread, the last round among them: round (from 1), delay_s (mean of the last 10),
        prediction_error (median of the last 10 that were seen, left out before the first), cumulative regret_s and
        sync_s, point.
    """
    rounds = len(trace["delay_s"])
    delay_s = running_mean(np.asarray(trace["delay_s"], dtype=float))
    errors = prediction_errors(trace)
    latest = np.full(rounds, np.nan) if errors is None else latest_errors(errors)
    regret_s = regrets([trace])[0]
    sync_s = np.cumsum(trace["sync_s"], dtype=float)
    kept = np.linspace(rounds - 1, 0, min(rounds, CURVE_ROWS)).astype(int)[::-1]
    rows = []
    for at in kept.tolist():
        row = {"round": at + 1, "delay_s": float(delay_s[at])}
        if np.isfinite(latest[at]):
            row["prediction_error"] = float(latest[at])
        row |= {"regret_s": float(regret_s[at]), "sync_s": float(sync_s[at]), "point": int(trace["point"][at])}
        rows.append(row)
    return rows
