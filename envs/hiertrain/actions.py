"""Eight numbers in [-1, 1] as a schedule, and back."""

from __future__ import annotations

import numpy as np

from .schedule import ROLES, Schedules

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
    worker = ROLES[:, _mapping(a[:3])]
    cuts = np.rint((a[3:5] + 1.0) * (0.5 * n_layers)).astype(np.intp)
    m_s, m_l = np.minimum(cuts[0], cuts[1]), np.maximum(cuts[0], cuts[1])
    weight = np.exp(SHARPNESS * a[5:8]) * (a[5:8] > -1.0)
    weight[1] *= m_s > 0
    weight[2] *= m_l > 0
    weight[0] += weight.sum(axis=0) == 0  # nobody wants any: o takes them
    return Schedules(worker, m_s, m_l, _rounded(weight / weight.sum(axis=0), batch))


def _mapping(scores: np.ndarray) -> np.ndarray:
    """(n,) column of ``ROLES`` for scores (3, n); the first of equals is higher."""
    above = np.array([scores[0] >= scores[1], scores[0] >= scores[2], scores[1] >= scores[2]], dtype=np.intp)
    return _COLUMN[4 * above[0] + 2 * above[1] + above[2]]


def _column_of_order() -> np.ndarray:
    """Column of ``ROLES`` by which of 0 >= 1, 0 >= 2, 1 >= 2 hold; impossible combinations are never asked for."""
    columns = np.zeros(8, dtype=np.intp)
    for column, order in enumerate(ROLES.T):
        rank = np.argsort(order)  # place of every worker
        code = 4 * (rank[0] < rank[1]) + 2 * (rank[0] < rank[2]) + (rank[1] < rank[2])
        columns[code] = column
    return columns


_COLUMN = _column_of_order()


def _rounded(share: np.ndarray, batch: int) -> np.ndarray:
    """(3, n) whole samples that sum to the batch: rounded down, the largest remainders get one more."""
    exact = share * batch
    b = np.floor(exact)
    left = batch - b.sum(axis=0)
    remainder = exact - b
    first, second = remainder.argmax(axis=0), None
    lanes = np.arange(share.shape[1])
    b[first, lanes] += left > 0
    if (left > 1).any():
        remainder[first, lanes] = -1.0
        second = remainder.argmax(axis=0)
        b[second, lanes] += left > 1
    return b.astype(np.intp)


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
