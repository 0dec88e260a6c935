"""Online ridge regression over a fixed set of contexts, for n independent learners at once."""

from __future__ import annotations

import numpy as np


class Ridge:
    """n linear models of the same K contexts, each updated by one observation at a time (Sherman-Morrison).

    Instead of the coefficients it keeps what a bandit asks for, the prediction and the squared confidence width of
    every context. An update costs O(d (d + K)) a lane, and no inverse or solution is ever computed.

    Args:
        contexts: (K, d) x of every arm.
        ridge: beta, the weight of the prior A_0 = beta I.
        lanes: n.

    Attributes:
        predicted: (K, n) theta^T x.
        variance: (K, n) x^T A^-1 x.
        inverse: (d, d, n) A^-1.
    """

    def __init__(self, contexts: np.ndarray, ridge: float, lanes: int) -> None:
        self.contexts = np.ascontiguousarray(contexts, dtype=np.float64)
        self._columns = np.ascontiguousarray(self.contexts.T)
        self._prior = np.eye(self.contexts.shape[1])[:, :, None] / ridge
        self._prior_variance = (self.contexts**2).sum(axis=1)[:, None] / ridge
        self._everyone = np.arange(lanes)
        self.inverse = np.repeat(self._prior, lanes, axis=2)
        self.variance = np.repeat(self._prior_variance, lanes, axis=1)
        self.predicted = np.zeros_like(self.variance)

    def clear(self, lanes: np.ndarray) -> None:
        """Forget everything in some lanes."""
        self.inverse[:, :, lanes] = self._prior
        self.variance[:, lanes] = self._prior_variance
        self.predicted[:, lanes] = 0.0

    def update(self, arm: np.ndarray, value: np.ndarray, seen: np.ndarray) -> None:
        """Learn that ``arm`` (n,) gave ``value`` (n,), in the lanes where ``seen`` (n,) is 1 and not 0."""
        x = self._columns[:, arm]
        u = (self.inverse * x).sum(axis=1)
        scale = seen / (1.0 + (x * u).sum(axis=0))
        along = self.contexts @ u
        self.predicted += along * ((value - self.predicted[arm, self._everyone]) * scale)
        self.variance -= along * along * scale
        self.inverse -= u[:, None] * (u * scale)

    def width(self) -> np.ndarray:
        """(K, n) sqrt(x^T A^-1 x)."""
        return np.sqrt(np.maximum(self.variance, 0.0))

    def sampled(self, normal: np.ndarray) -> np.ndarray:
        """(K, n) x^T A^{-1/2} z for standard normal z (n, d): a draw of the posterior around the prediction."""
        factor = np.linalg.cholesky(self.inverse.transpose(2, 0, 1))
        return self.contexts @ (factor @ normal[:, :, None])[:, :, 0].T


class DiscountedRidge:
    """The same with old observations weighing gamma less every round, whether or not one was seen.

    Y. Russac, C. Vernade, O. Cappe, "Weighted Linear Bandits for Non-Stationary Environments", NeurIPS 2019: with
    V = sum gamma^age x x^T + beta I and V~ the same with gamma^2, the squared width is x^T V^-1 V~ V^-1 x.

    Args:
        contexts, ridge, lanes: as for :class:`Ridge`.
        discount: gamma.

    Attributes:
        predicted, variance: as for :class:`Ridge`.
    """

    def __init__(self, contexts: np.ndarray, ridge: float, lanes: int, discount: float) -> None:
        self.contexts = np.asarray(contexts, dtype=np.float64)
        arms, d = self.contexts.shape
        self.ridge, self.discount = ridge, discount
        self._weighted = np.zeros((lanes, d, d))
        self._squared = np.zeros((lanes, d, d))
        self._target = np.zeros((lanes, d))
        self.predicted = np.zeros((arms, lanes))
        self.variance = np.zeros((arms, lanes))
        self.clear(np.arange(lanes))

    def clear(self, lanes: np.ndarray) -> None:
        """Forget everything in some lanes."""
        prior = self.ridge * np.eye(self.contexts.shape[1])
        self._weighted[lanes] = self._squared[lanes] = prior
        self._target[lanes] = 0.0
        self.predicted[:, lanes] = 0.0
        self.variance[:, lanes] = (self.contexts**2).sum(axis=1)[:, None] / self.ridge

    def update(self, arm: np.ndarray, value: np.ndarray, seen: np.ndarray) -> None:
        """A round has passed in every lane, with an observation where ``seen`` is 1."""
        gamma, prior = self.discount, self.ridge * np.eye(self.contexts.shape[1])
        x = self.contexts[arm] * seen[:, None]
        outer = x[:, :, None] * x[:, None]
        self._weighted += outer - (1.0 - gamma) * (self._weighted - prior)
        self._squared += outer - (1.0 - gamma**2) * (self._squared - prior)
        self._target += x * value[:, None] - (1.0 - gamma) * self._target
        columns = np.broadcast_to(self.contexts.T, (len(x), *self.contexts.T.shape))
        right = np.concatenate([self._target[:, :, None], columns], axis=2)
        solved = np.linalg.solve(self._weighted, right)
        theta, v = solved[:, :, 0], solved[:, :, 1:]
        self.predicted = (theta @ self.contexts.T).T
        self.variance = (v * (self._squared @ v)).sum(axis=1).T

    def width(self) -> np.ndarray:
        """(K, n) confidence widths."""
        return np.sqrt(np.maximum(self.variance, 0.0))
