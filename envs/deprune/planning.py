"""The best schedule of budgets under a learning model, by looking at all of them."""

from __future__ import annotations

from itertools import chain, combinations
from math import comb

import numpy as np

from .curves import LearningModel
from .system import System

MOST_COUNTS = 4_000_000  # ways to share out epochs over budgets that are looked at


def score(system: System, accuracy: np.ndarray, epoch_costs: np.ndarray) -> np.ndarray:
    """What an episode is worth: the weighted final accuracy less all epochs' costs (see :func:`costs`)."""
    return system.scenario.accuracy_weight * accuracy - epoch_costs


def costs(system: System, budget: np.ndarray, mbps: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """(bytes, time): the weighted costs of an epoch, so that all epochs without compression cost the weights."""
    setting, full = system.scenario, np.array(len(system.budgets) - 1)
    share = system.sent_bytes[budget] / (system.full_bytes * setting.epochs)
    longest_s = system.compute_s[full] + system.transfer_s(full, np.array(setting.mbps))
    took_s = system.compute_s[budget] + system.transfer_s(budget, np.asarray(mbps, dtype=float))
    return setting.bytes_weight * share, setting.time_weight * took_s / (longest_s * setting.epochs)


def best_schedule(system: System, model: LearningModel) -> tuple[np.ndarray, float]:
    """The schedule with the highest score at the nominal rate, and that score, without noise.

    The model does not see the order of epochs, only how many were trained at which budget and which comes last. So all
    ways to share the epochs out over budgets, with every one of them last, are all there is.

    Returns:
        ((epochs,) indices of budgets, those before the last one rising; the score).

    Raises:
        ValueError: there are more ways than can be looked at.
    """
    epochs, kinds = system.scenario.epochs, len(system.budgets)
    ways = comb(epochs + kinds - 1, kinds - 1)
    if ways * kinds > MOST_COUNTS:
        raise ValueError(f"{ways} ways to share {epochs} epochs out over {kinds} budgets are too many")
    counts = _shares_of(epochs, kinds)
    ceiling, keep = model.tables(system.shares)
    every = np.arange(kinds)
    spent = sum(part for part in costs(system, every, system.scenario.mbps)) @ counts
    best = (-np.inf, 0, 0)
    for last in range(kinds):
        at = np.full(counts.shape[1], last)
        scores = score(system, model.accuracy_by(ceiling, keep, counts, at), spent)
        scores[counts[last] == 0] = -np.inf
        best = max(best, (float(scores.max()), int(scores.argmax()), last))
    value, column, last = best
    before = np.repeat(every, counts[:, column].astype(int))
    return np.concatenate([before[before != last], before[before == last]]), value


def _shares_of(epochs: int, kinds: int) -> np.ndarray:
    """(kinds, ways) of all ways to write ``epochs`` as a sum of ``kinds`` counts."""
    ways = comb(epochs + kinds - 1, kinds - 1)
    flat = chain.from_iterable(combinations(range(epochs + kinds - 1), kinds - 1))
    bars = np.fromiter(flat, dtype=np.int32, count=ways * (kinds - 1)).reshape(ways, kinds - 1).T
    ends = np.concatenate([np.full((1, ways), -1), bars, np.full((1, ways), epochs + kinds - 1)])
    return (np.diff(ends, axis=0) - 1).astype(float)
