"""Eight numbers in [-1, 1] as a schedule, and back."""

from __future__ import annotations

import numpy as np

from .kernels import decoded
from .schedule import Schedules

SHARPNESS = 4.0  # of the softmax over shares; -1 is no share at all


def decode(action: np.ndarray, n_layers: int, batch: int) -> Schedules:
    """Schedules from actions.

    Args:
        action: (n, 8): scores of device, edge and cloud, the highest is worker o, then s, then l; two cuts, the lower
            is m_s; shares of o, s and l.
        n_layers, batch: N and B.

    Samples are dealt out by a softmax and the largest remainders; a share of -1 and a worker without layers get none.
    """
    a = np.clip(action.T.astype(np.float64, order="C"), -1.0, 1.0)
    weights = np.exp(SHARPNESS * a[5:8]) * (a[5:8] > -1.0)
    return Schedules(*decoded(a[:5], weights, n_layers, batch))


def encode(plans: Schedules, n_layers: int) -> np.ndarray:
    """(n, 8) float32 actions that decode to the schedules."""
    n = len(plans)
    action = np.zeros((8, n))
    for place, score in enumerate((1.0, 0.0, -1.0)):
        action[plans.worker[place], np.arange(n)] = score
    action[3], action[4] = 2.0 * plans.m_s / n_layers - 1.0, 2.0 * plans.m_l / n_layers - 1.0
    most = plans.b.max(axis=0)
    with np.errstate(divide="ignore"):
        action[5:] = np.maximum(1.0 + np.log(plans.b / most) / SHARPNESS, -1.0)
    return action.T.astype(np.float32)
