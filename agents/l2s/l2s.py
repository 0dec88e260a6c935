"""L2S: LinUCB-E in the switch between adaptation and regular training (paper, Sec. IV-D, Fig. 9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .bandits import BanditState, LinUCBE


@dataclass
class Modes:
    """Where n lanes stand in the mode switch.

    Attributes:
        adapting: (n,) whether LinUCB-E decides.
        free: (n,) the last decision that forcing left alone, -1 before the first; ``free_at`` its round.
        differed_at: (n,) round of the last such decision that was another point, 0 where there is none.
        settled: (n,) the point of regular training.
        regular: (n,) rounds of regular training so far.
        random_at: (n,) the round of regular training in which a random adaptation begins.
        delays: (r, n) newest total delays of regular training.
        entry: (n,) mean of its first r delays.
        asks: (n,) whether this round begins an adaptation, and so synchronises first.
    """

    adapting: np.ndarray
    free: np.ndarray
    free_at: np.ndarray
    differed_at: np.ndarray
    settled: np.ndarray
    regular: np.ndarray
    random_at: np.ndarray
    delays: np.ndarray
    entry: np.ndarray
    asks: np.ndarray


@dataclass
class L2SState(BanditState):
    """A bandit's state and the modes."""

    modes: Modes


class L2S(LinUCBE):
    """Learn by LinUCB-E until its decisions agree, then stay until the delay drifts or chance says so.

    In regular training on the device alone the delay tells nothing of the network: only chance can end it there.

    Args:
        adapt_rounds: length of an adaptation; another one follows, with what was learned, while decisions disagree.
        agree_rounds: n_th, last rounds whose unforced decisions must be the same.
        monitor_rounds: r, rounds whose mean delay is compared with the mean at entry.
        drift: r_th, relative change of the mean that begins a new adaptation.
        random_rate: r_d, probability of one in any round.
        probe_period: every so many rounds of regular training on the device alone, train one round at the best other
            point; a delay off its prediction by more than ``drift`` begins an adaptation. 0 for never, as printed.
    """

    def __init__(
        self,
        env: Any,
        seed: int = 0,
        *,
        alpha: float,
        ridge: float,
        mu: float,
        adapt_rounds: int,
        agree_rounds: int,
        monitor_rounds: int,
        drift: float,
        random_rate: float,
        probe_period: int = 0,
    ) -> None:
        super().__init__(env, seed, alpha=alpha, ridge=ridge, mu=mu, horizon=adapt_rounds)
        self.adapt_rounds, self.agree_rounds = adapt_rounds, agree_rounds
        self.monitor_rounds, self.drift, self.random_rate = monitor_rounds, drift, random_rate
        self.probe_period = probe_period
        self._rngs: list[np.random.Generator] = []

    def _new_state(self, observation: Any) -> L2SState:
        base = super()._new_state(observation)
        n = len(base.choice)
        self._rngs = [np.random.default_rng((self.seed, lane)) for lane in range(n)]
        modes = Modes(
            adapting=np.ones(n, dtype=bool),
            free=np.full(n, -1, dtype=np.intp),
            free_at=np.zeros(n, dtype=np.intp),
            differed_at=np.zeros(n, dtype=np.intp),
            settled=np.zeros(n, dtype=np.intp),
            regular=np.zeros(n, dtype=np.intp),
            random_at=np.zeros(n, dtype=np.intp),
            delays=np.zeros((self.monitor_rounds, n)),
            entry=np.zeros(n),
            asks=np.zeros(n, dtype=bool),
        )
        return L2SState(**vars(base), modes=modes)

    def _restart(self, state: BanditState, lanes: np.ndarray) -> None:
        super()._restart(state, lanes)
        assert isinstance(state, L2SState)
        modes = state.modes
        modes.adapting[lanes] = True
        modes.free[lanes], modes.free_at[lanes], modes.differed_at[lanes] = -1, 0, 0

    def _learn(self, state: BanditState, value: np.ndarray) -> None:
        assert isinstance(state, L2SState)
        modes = state.modes
        modes.asks[:] = False
        on_edge = (state.choice >= 0) & (state.choice < self.last)
        learning = modes.adapting & on_edge
        if learning.any():
            state.model.update(state.choice, value, learning)
        watching = ~modes.adapting & (state.choice >= 0)
        if watching.any():
            self._watch(state, value, watching)
        if modes.adapting.any():
            self._settle(state)

    def _watch(self, state: L2SState, value: np.ndarray, watching: np.ndarray) -> None:
        """The delay monitor; begins adaptations."""
        modes, r, lanes = state.modes, self.monitor_rounds, np.arange(len(value))
        probed = watching & (state.choice != modes.settled)
        total = state.device[state.choice, lanes] + value
        off = probed & (np.abs(value - state.predicted) > self.drift * total)
        usual = watching & ~probed
        modes.delays[modes.regular % r, lanes] = np.where(usual, total, modes.delays[modes.regular % r, lanes])
        modes.regular[usual] += 1
        at_entry = usual & (modes.regular == r)
        if at_entry.any():
            modes.entry[at_entry] = modes.delays[:, at_entry].mean(axis=0)
        judged = usual & (modes.regular > r)
        if judged.any():
            off |= judged & (np.abs(modes.delays.mean(axis=0) - modes.entry) > self.drift * modes.entry)
        begins = off | (usual & (modes.regular >= modes.random_at))
        if begins.any():
            some = np.flatnonzero(begins)
            self._restart(state, some)
            modes.asks[some] = True

    def _choose(self, state: BanditState, scores: np.ndarray) -> np.ndarray:
        assert isinstance(state, L2SState)
        modes = state.modes
        if modes.adapting.any():
            choice = super()._choose(state, scores)
            state.forced &= modes.adapting
            self._note(state, choice)
        else:
            choice, state.forced = modes.settled.copy(), np.zeros(len(modes.settled), dtype=bool)
        choice = np.where(modes.adapting, choice, modes.settled)
        return self._probe(state, choice) if self.probe_period else choice

    def _note(self, state: L2SState, choice: np.ndarray) -> None:
        """Keep when unforced decisions were made, and when they last differed."""
        modes = state.modes
        free = modes.adapting & ~state.forced
        np.copyto(modes.differed_at, modes.free_at, where=free & (choice != modes.free))
        np.copyto(modes.free, choice, where=free)
        np.copyto(modes.free_at, state.rounds + 1, where=free)

    def _settle(self, state: L2SState) -> None:
        """End the adaptations whose last round is over, where the unforced decisions of the last rounds agree."""
        modes, rounds = state.modes, state.rounds
        over = modes.adapting & (rounds % self.adapt_rounds == 0)
        if over.any():
            over &= (modes.free >= 0) & (rounds - modes.differed_at >= self.agree_rounds)
            modes.adapting[over], modes.settled[over], modes.regular[over] = False, modes.free[over], 0
            modes.delays[:, over] = 0.0
            for lane in np.flatnonzero(over):
                rate = self.random_rate
                modes.random_at[lane] = self._rngs[lane].geometric(rate) if rate > 0 else np.iinfo(np.intp).max

    def _probe(self, state: L2SState, choice: np.ndarray) -> np.ndarray:
        """Leave the device for a round where it is time to look at the network."""
        modes = state.modes
        due = ~modes.adapting & (modes.settled == self.last) & (modes.regular % self.probe_period == 0)
        due &= (modes.regular > 0) & (state.choice == self.last) & (self.last > 0)
        if due.any():
            best = (state.device + state.model.predicted)[:-1, due].argmin(axis=0)
            choice[due] = best
        return choice

    def _decide(self, state: BanditState) -> np.ndarray:
        choice = super()._decide(state)
        assert isinstance(state, L2SState)
        return np.where(state.modes.asks, choice + self.last + 1, choice) if self.dynamics.asks else choice

    def explain(self, state: BanditState) -> dict[str, np.ndarray]:
        assert isinstance(state, L2SState)
        return {**super().explain(state), "adapting": state.modes.adapting.copy()}
