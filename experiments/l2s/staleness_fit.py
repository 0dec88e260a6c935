"""The curve through the recorded trainings: what a round on old copies costs, and how far off that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...envs.l2s.staleness import BINS, bin_means, bin_slopes

FITTED = ("every", "rarely")  # moves that the fit sees; L2S's own are held out
RESAMPLES = 200  # of the seeds, for the errors
START, LEAST, MOST = (0.03, 0.1), (0.0, -1.0), (1.0, 2.0)  # of scale and power
Run = Mapping[str, Any]


def lost(runs: Sequence[Run]) -> np.ndarray:
    """(n,) training accuracy that runs lose to the one of their seed whose cut stays, as shares."""
    base = {run["seed"]: run["train_accuracy"] for run in runs if run["moves"] == "none"}
    return np.array([base[run["seed"]] - run["train_accuracy"] for run in runs])


def stale_shares(runs: Sequence[Run], rounds: int) -> np.ndarray:
    """(n, BINS) share of a run's rounds that trained on old copies, by age."""
    return np.array([run["stale_by_age"] for run in runs], dtype=float).reshape(-1, BINS) / rounds


def expected(shares: np.ndarray, scale: float, power: float) -> np.ndarray:
    """(n,) what the curve says that runs lose."""
    return scale * (shares @ bin_means(power))


def fitted(runs: Sequence[Run], rounds: int) -> dict[str, Any]:
    """The fit, with errors from seeds drawn anew and the mean absolute error on means over seeds, in points.

    Args:
        runs: of all seeds, those with a cut that stays among them.
        rounds: of a run.
    """
    losses, shares = lost(runs), stale_shares(runs, rounds)
    seen = np.array([run["moves"] in FITTED and run["sync"] != "change" for run in runs])
    held = np.array([run["moves"] == "l2s" for run in runs])
    seeds = np.array([run["seed"] for run in runs])
    scale, power = _least_squares(shares[seen], losses[seen])
    rng = np.random.default_rng(0)
    resampled = []
    for _ in range(RESAMPLES if len(set(seeds)) > 1 else 0):
        drawn = rng.choice(np.unique(seeds), len(set(seeds)))
        rows = np.concatenate([np.flatnonzero(seen & (seeds == seed)) for seed in drawn])
        resampled.append(_least_squares(shares[rows], losses[rows], (scale, power)))
    errors = np.std(resampled, axis=0) if resampled else (np.nan, np.nan)
    off = losses - expected(shares, scale, power)
    found = {
        "scale": scale, "power": power, "scale_error": errors[0], "power_error": errors[1],
        "error_points": 100.0 * _mean_error(off, runs, seen), "held_out_points": 100.0 * _mean_error(off, runs, held),
    }  # fmt: skip
    known = {name: None if np.isnan(value) else float(f"{value:.5g}") for name, value in found.items()}
    return {**known, "trainings": int(seen.sum())}


def _least_squares(shares: np.ndarray, losses: np.ndarray, start: tuple[float, float] = START) -> tuple[float, float]:
    """Scale and power; sooner where it starts near them."""
    from scipy.optimize import least_squares

    def slopes(x: np.ndarray) -> np.ndarray:
        return np.column_stack([expected(shares, 1.0, x[1]), x[0] * (shares @ bin_slopes(x[1]))])

    jacobian: Any = slopes  # of which SciPy's hints know the names only
    found = least_squares(lambda x: expected(shares, *x) - losses, start, jacobian, bounds=(LEAST, MOST))
    return float(found.x[0]), float(found.x[1])


def _mean_error(off: np.ndarray, runs: Sequence[Run], which: np.ndarray) -> float:
    """Mean over conditions of how far the curve is off their mean over seeds."""
    by_condition: dict[tuple[Any, Any], list[float]] = {}
    for run, error, chosen in zip(runs, off, which, strict=True):
        if chosen:
            by_condition.setdefault((run["moves"], run["sync"]), []).append(float(error))
    return float(np.mean([abs(np.mean(errors)) for errors in by_condition.values()])) if by_condition else float("nan")
