"""Plain bandits for one lane, line by line from the paper, and agents played on L2S envs with all they did kept."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from math import ceil, inf, sqrt
from typing import Any

import gymnasium as gym
import numpy as np

from splitgym.agents.registry import get_spec, make_agent
from splitgym.envs.l2s.dynamics import L2SDynamics


class PlainLinUCB:
    """Alg. 1 with its matrices and inverses; forced rounds are multiples of ``period``, none without."""

    def __init__(self, observation: Any, alpha: float, ridge: float, period: int | None = None) -> None:
        self.x = np.asarray(observation["contexts"], dtype=float)
        self.device = np.asarray(observation["device_delay"], dtype=float)
        self.alpha, self.period, self.last = alpha, period, len(self.x) - 1
        self.A = ridge * np.eye(self.x.shape[1])
        self.b = np.zeros(self.x.shape[1])

    def predicted(self, point: int) -> float:
        return float(np.linalg.inv(self.A) @ self.b @ self.x[point])

    def best(self, t: int) -> tuple[int, bool]:
        """(decision of round t, counted from 1, and whether forcing changed it)."""
        inverse = np.linalg.inv(self.A)
        theta = inverse @ self.b
        scores = [
            d + theta @ x - self.alpha * sqrt(max(x @ inverse @ x, 0.0))
            for d, x in zip(self.device, self.x, strict=True)
        ]
        free = int(np.argmin(scores))
        if self.period and t % self.period == 0 and free == self.last > 0:
            return int(np.argmin(scores[:-1])), True
        return free, False

    def learn(self, point: int, edge: float) -> None:
        if point != self.last:
            self.A += np.outer(self.x[point], self.x[point])
            self.b += self.x[point] * edge


@dataclass
class Move:
    """A round of :func:`plain_l2s`."""

    point: int
    asks: bool
    adapting: bool


def plain_l2s(observation: Any, hp: dict[str, Any], seed: int, log: list[str]) -> Generator[Move, float, None]:
    """Fig. 9: yields what to do, is sent the edge delay that was observed; writes what happens to ``log``."""
    rng, asks = np.random.default_rng((seed, 0)), False
    length, last_rounds, r, drift = hp["adapt_rounds"], hp["agree_rounds"], hp["monitor_rounds"], hp["drift"]
    while True:
        learner = PlainLinUCB(observation, hp["alpha"], hp["ridge"], ceil(length ** hp["mu"]))
        decisions: list[int | None] = []
        while True:
            point, forced = learner.best(len(decisions) + 1)
            learner.learn(point, (yield Move(point, asks, True)))
            asks = False
            decisions.append(None if forced else point)
            if len(decisions) % length == 0:
                free = {p for p in decisions[-last_rounds:] if p is not None}
                if len(free) == 1:
                    break
                log.append("goes on")
        log.append("agreed")
        settled = free.pop()
        until = rng.geometric(hp["random_rate"]) if hp["random_rate"] else inf
        delays: list[float] = []
        while True:
            delays.append(learner.device[settled] + (yield Move(settled, False, False)))
            entry, now = np.mean(delays[:r]), np.mean(delays[-r:])
            if len(delays) > r and abs(now - entry) > drift * entry:
                log.append("drift")
                break
            if len(delays) >= until:
                log.append("chance")
                break
            if hp["probe_period"] and settled == learner.last and len(delays) % hp["probe_period"] == 0:
                others = [learner.device[p] + learner.predicted(p) for p in range(learner.last)]
                look = int(np.argmin(others))
                edge = yield Move(look, False, False)
                if abs(edge - learner.predicted(look)) > drift * (learner.device[look] + edge):
                    log.append("probe")
                    break
        asks = True


@dataclass
class Rounds:
    """An episode of n lanes.

    Attributes:
        dynamics: of its env.
        action, choice: (T, n); feasible points, 0 is P^c.
        explained: name -> (T, n).
        observations: what stood before every decision, the last behind the last round.
        expected_s, oracle_s: (T, n) expected delays.
        metrics: name -> (n,).
    """

    dynamics: L2SDynamics
    action: np.ndarray
    choice: np.ndarray
    explained: dict[str, np.ndarray]
    observations: list[dict[str, np.ndarray]]
    expected_s: np.ndarray
    oracle_s: np.ndarray
    metrics: dict[str, np.ndarray]

    @property
    def regret_s(self) -> np.ndarray:
        return self.expected_s - self.oracle_s

    @property
    def best(self) -> np.ndarray:
        """(T, n) whether the choice was an optimum."""
        return self.regret_s <= 1e-6 * self.oracle_s

    @property
    def free(self) -> np.ndarray:
        """(T, n) rounds that forcing left alone."""
        return ~self.explained["forced"]

    @property
    def on_device(self) -> np.ndarray:
        return self.choice == self.dynamics.system.n_points - 1


def play_lanes(
    scenario: str, name: str, lanes: int = 1, seed: int = 0, hyperparams: dict[str, Any] | None = None, **fields: Any
) -> Rounds:
    """An episode with an agent of its own for every lane, all in one."""
    options = {**fields, **get_spec("l2s", name).env_kwargs}
    env: Any = gym.make_vec(
        "splitgym/L2S-v0", num_envs=lanes, scenario=scenario, record=True, autoreset_mode="SameStep", **options
    )
    dynamics, agent = env.dynamics, make_agent("l2s", name, env, seed, **(hyperparams or {}))
    observation, _ = env.reset(seed=seed)
    state, info, actions, rows, observations = None, {}, [], [], [observation]
    for _ in range(dynamics.episode_steps):
        action, state = agent.predict(observation, state, None, deterministic=True)
        rows.append(agent.explain(state) if hasattr(agent, "explain") else {})  # type: ignore[attr-defined]
        observation, _, _, _, info = env.step(action)
        actions.append(np.array(action))
        observations.append(observation)
    action, points = np.stack(actions), dynamics.system.n_points
    choice = action % points
    metrics = {k: v for k, v in info["final_info"]["metrics"].items() if not k.startswith("_")}
    return Rounds(
        dynamics,
        action,
        choice,
        {key: np.stack([row[key] for row in rows]) for key in rows[0]},
        observations,
        dynamics.trace["expected_s"].astype(float),
        dynamics.trace["oracle_delay_s"].astype(float),
        metrics,
    )


def replay(agent: Any, observations: list[Any], starts: dict[int, np.ndarray] | None = None) -> np.ndarray:
    """(T, n) what an agent does with observations that were made before; ``starts``: round -> episode_start."""
    state, actions = None, []
    for t, observation in enumerate(observations):
        action, state = agent.predict(observation, state, (starts or {}).get(t), deterministic=True)
        actions.append(np.array(action))
    return np.stack(actions)
