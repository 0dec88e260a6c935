"""How sure a mean over seeds is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

CONFIDENCE = 0.95


def interval(samples: Sequence[Any] | np.ndarray) -> tuple[float, float, float]:
    """(mean, lower, upper) of the mean over seeds, by Student's t; all three alike where there is one sample."""
    values = np.asarray(samples, dtype=float)
    mean = float(values.mean())
    if len(values) < 2 or not np.isfinite(values).all() or np.ptp(values) == 0.0:
        return mean, mean, mean
    from scipy.stats import t

    half = float(t.ppf(0.5 + CONFIDENCE / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return mean, mean - half, mean + half
