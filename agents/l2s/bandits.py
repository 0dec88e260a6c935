"""Linear bandits over partition points: LinUCB, LinUCB-E (paper, Sec. IV-B, Alg. 1), discounted LinUCB, LinTS.

All lanes of a batch env learn at once and independently of each other. Delays are in units of the delay on the
device alone, as the observation has them. Learning goes on in evaluation: it is the agent.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from .ridge import DiscountedRidge, Ridge


@dataclass
class BanditState:
    """What a bandit remembers of n lanes.

    Attributes:
        model: predictions and widths of every point.
        device: (K, n) device delays.
        choice: (n,) points chosen last, -1 before the first round.
        rounds: (n,) rounds decided since learning began.
        predicted: (n,) edge delay that was predicted for the choice.
        forced: (n,) whether forcing changed the choice.
    """

    model: Any
    device: np.ndarray
    choice: np.ndarray
    rounds: np.ndarray
    predicted: np.ndarray
    forced: np.ndarray


class LinUCB:
    """Optimism on a linear model of the edge delay (Eq. 2).

    Args:
        env: an L2S env.
        seed: of everything random in the agent.
        alpha: how many confidence widths are subtracted from a predicted delay.
        ridge: beta of the regression.
    """

    def __init__(self, env: Any, seed: int = 0, *, alpha: float, ridge: float) -> None:
        self.dynamics = env.unwrapped.dynamics
        self.seed, self.alpha, self.ridge = seed, alpha, ridge
        self.last = self.dynamics.system.n_points - 1  # P: nothing is learned there
        self.pdt_s: float = self.dynamics.system.pdt_s

    def predict(
        self,
        observation: Any,
        state: BanditState | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, BanditState]:
        value = np.asarray(observation["last_edge_delay"], dtype=np.float64)[:, 0]
        if state is None:
            state = self._new_state(observation)
        else:
            if episode_start is not None and np.any(episode_start):
                self._restart(state, np.flatnonzero(episode_start))
            self._learn(state, value)
        return self._decide(state), state

    def _new_state(self, observation: Any) -> BanditState:
        device = np.ascontiguousarray(np.asarray(observation["device_delay"], dtype=np.float64).T)
        lanes = device.shape[1]
        return BanditState(
            self._model(np.asarray(observation["contexts"][0]), lanes),
            device,
            np.full(lanes, -1, dtype=np.intp),
            np.zeros(lanes, dtype=np.intp),
            np.full(lanes, np.nan),
            np.zeros(lanes, dtype=bool),
        )

    def _model(self, contexts: np.ndarray, lanes: int) -> Any:
        return Ridge(contexts, self.ridge, lanes)

    def _restart(self, state: BanditState, lanes: np.ndarray) -> None:
        state.model.clear(lanes)
        state.choice[lanes] = -1
        state.rounds[lanes] = 0

    def _learn(self, state: BanditState, value: np.ndarray) -> None:
        """Only a round that used the edge tells something (Alg. 1, lines 16-21)."""
        seen = (state.choice >= 0) & (state.choice < self.last)
        state.model.update(state.choice, value, seen)

    def _scores(self, state: BanditState) -> np.ndarray:
        """(K, n) what is minimised."""
        return state.device + state.model.predicted - self.alpha * state.model.width()

    def _decide(self, state: BanditState) -> np.ndarray:
        choice = self._choose(state, self._scores(state))
        state.rounds += 1
        state.choice = choice
        state.predicted = state.model.predicted[choice, np.arange(len(choice))]
        return choice

    def _choose(self, state: BanditState, scores: np.ndarray) -> np.ndarray:
        return scores.argmin(axis=0)

    def explain(self, state: BanditState) -> dict[str, np.ndarray]:
        """What stood behind the last decision, for figures: name -> (n,)."""
        return {"predicted_edge_s": state.predicted * self.pdt_s, "forced": state.forced.copy()}


class LinUCBE(LinUCB):
    """LinUCB that now and then may not stay on the device (Alg. 1).

    A forced round tries the other point that looks best. Where the network has become faster, the agent leaves the
    device once what it sees there, together with all that it saw before, makes a point look better. Where the tried
    point is bad on the fast network too, or hardly better than the device, it stays.

    Args:
        mu: every ceil(T^mu) rounds P is no option.
        horizon: T; 0 for the doubling trick, where T is the next power of two.
    """

    def __init__(self, env: Any, seed: int = 0, *, alpha: float, ridge: float, mu: float, horizon: int | None = None):
        super().__init__(env, seed, alpha=alpha, ridge=ridge)
        self.mu = mu
        self.horizon = self.dynamics.episode_steps if horizon is None else horizon
        self._forced = forcing(self.mu, self.horizon, 1024)

    def _choose(self, state: BanditState, scores: np.ndarray) -> np.ndarray:
        choice = scores.argmin(axis=0)
        most = int(state.rounds.max()) + 1
        if most >= len(self._forced):
            self._forced = forcing(self.mu, self.horizon, 2 * most)
        state.forced = self._forced[state.rounds + 1] & (choice == self.last) & (self.last > 0)
        if state.forced.any():
            choice[state.forced] = scores[:-1, state.forced].argmin(axis=0)
        return choice


def forcing(mu: float, horizon: int, rounds: int) -> np.ndarray:
    """(rounds + 1,) whether a round, counted from 1, may not choose P (the sequence F of Sec. IV-B).

    Args:
        mu: exponent.
        horizon: T; 0 for the doubling trick: between T = 2^k and 2^(k+1) rounds the period is that of 2^(k+1).
        rounds: length of the sequence.
    """
    t = np.arange(rounds + 1)
    if horizon:
        return (t > 0) & (t % ceil(horizon**mu) == 0)
    doubled = 2.0 ** (np.floor(np.log2(np.maximum(t, 1))) + 1)
    return (t > 0) & (t % np.ceil(doubled**mu).astype(int) == 0)


class DiscountedLinUCB(LinUCB):
    """LinUCB that forgets: uncertainty grows while nothing is observed, also on the device alone.

    Args:
        discount: gamma, what a round takes from the weight of older ones.
    """

    def __init__(self, env: Any, seed: int = 0, *, alpha: float, ridge: float, discount: float) -> None:
        super().__init__(env, seed, alpha=alpha, ridge=ridge)
        self.discount = discount

    def _model(self, contexts: np.ndarray, lanes: int) -> Any:
        return DiscountedRidge(contexts, self.ridge, lanes, self.discount)

    def _learn(self, state: BanditState, value: np.ndarray) -> None:
        seen = (state.choice >= 0) & (state.choice < self.last)
        state.model.update(state.choice, value, seen.astype(float))


class LinTS(LinUCB):
    """Thompson sampling: the best point of a model drawn from the posterior.

    S. Agrawal, N. Goyal, "Thompson Sampling for Contextual Bandits with Linear Payoffs", ICML 2013. Sampling is how
    it decides, in evaluation too.

    Args:
        alpha: standard deviation of the posterior in units of the confidence width.
    """

    BLOCK = 256  # rounds whose draws a lane makes at once

    def __init__(self, env: Any, seed: int = 0, *, alpha: float, ridge: float) -> None:
        super().__init__(env, seed, alpha=alpha, ridge=ridge)
        self._rngs: list[np.random.Generator] = []
        self._draws = np.zeros((0, 0, 0))
        self._used = np.zeros(0, dtype=np.intp)

    def _new_state(self, observation: Any) -> BanditState:
        state = super()._new_state(observation)
        lanes, d = len(state.choice), observation["contexts"].shape[2]
        self._rngs = [np.random.default_rng((self.seed, lane)) for lane in range(lanes)]
        self._draws = np.stack([rng.standard_normal((self.BLOCK, d)) for rng in self._rngs], axis=1)
        self._used = np.zeros(lanes, dtype=np.intp)
        return state

    def _scores(self, state: BanditState) -> np.ndarray:
        lanes = np.arange(len(state.choice))
        for lane in lanes[self._used == self.BLOCK]:
            self._draws[:, lane] = self._rngs[lane].standard_normal(self._draws[:, lane].shape)
            self._used[lane] = 0
        drawn = state.model.sampled(self._draws[self._used, lanes])
        self._used += 1
        return state.device + state.model.predicted + self.alpha * drawn
