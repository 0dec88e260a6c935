"""The figures of L2S.

Lane i of a vector env has seed i, as a scalar env with that seed; agents that draw numbers (l2s, lints) draw from
(seed, lane) with seed 0 here, so that only lane 0 decides as a run of its own would.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from measure import Figure, vector_rate

from splitgym.agents.registry import get_spec, make_agent
from splitgym.envs.l2s.scenarios import GROUPS as SCENARIO_GROUPS
from splitgym.envs.l2s.scenarios import get_scenario
from splitgym.envs.l2s.system import System
from splitgym.experiments.play import Explanations

ENV = "splitgym/L2S-v0"
SEEDS = 20
MODELS = ("alexnet", "vgg16", "resnet34")
RECOVERY_MBPS = (5.0, 10.0, 15.0, 20.0, 26.0, 30.0, 40.0, 60.0)


@dataclass
class Rounds:
    """What an agent did on every lane: arrays (rounds, lanes), and the episodes' metrics by name, (lanes,)."""

    trace: Mapping[str, np.ndarray]
    metrics: Mapping[str, np.ndarray]
    system: System
    predicted: np.ndarray  # (rounds, K - 1, lanes) edge delays of all points but P, of agents that predict

    @property
    def on_device(self) -> np.ndarray:
        """Whether a round ran on the device alone."""
        return self.trace["point"] == self.system.last

    @property
    def free(self) -> np.ndarray:
        """Whether forcing left a round alone."""
        return ~self.trace["forced"]

    def error_everywhere(self, rounds: slice, load: float = 1.0) -> np.ndarray:
        """Relative error of the edge delays predicted for all points but P, chosen or not, (rounds, K - 1, lanes)."""
        mbps = self.trace["mbps"][rounds].astype(float)[:, None]
        edge_s = self.system.edge_delay_s(mbps, load, np.arange(self.system.n_points - 1)[:, None])
        return np.abs(self.predicted[rounds] * self.system.pdt_s - edge_s) / edge_s

    @property
    def error(self) -> np.ndarray:
        """Relative error of the edge delay predicted for the choice, against its expectation; NaN on the device."""
        front_s = self.system.front_s[self.trace["point"] - self.system.first]
        edge = np.where(self.on_device, np.nan, self.trace["expected_s"] - front_s)
        return np.abs(self.trace["predicted_edge_s"] - edge) / edge


def play_lanes(scenario: str, agent: str, lanes: int = SEEDS, fields: Mapping[str, Any] | None = None) -> Rounds:
    """Play one episode on every lane."""
    options = {**(fields or {}), **get_spec("l2s", agent).env_kwargs}
    env: Any = gym.make_vec(
        ENV, lanes, scenario=scenario, record=True, autoreset_mode="SameStep", **options
    )  # fmt: skip
    decider, dynamics = make_agent("l2s", agent, env), env.dynamics
    explained, state, info = Explanations(decider), None, {}
    (observation, _), starts, predicted = env.reset(seed=0), np.ones(lanes, dtype=bool), []
    for _ in range(dynamics.episode_steps):
        actions, state = decider.predict(observation, state, starts, deterministic=True)
        explained.add(state, starts)
        if hasattr(state, "model"):
            predicted.append(state.model.predicted[:-1].copy())
        observation, _, starts, _, info = env.step(actions)
    told = [explained.of(lane) for lane in range(lanes)]
    notes = {name: np.stack([lane[name] for lane in told], axis=1) for name in told[0]}
    metrics = {k: v for k, v in info["final_info"]["metrics"].items() if not k.startswith("_")}
    return Rounds({**dynamics.trace, **notes}, metrics, dynamics.system, np.array(predicted))


def speed_figures() -> Iterator[Figure]:
    make = partial(gym.make_vec, ENV, 1024, None, None, None)
    env = make()
    env.reset(seed=0)
    fixed, best = np.zeros(1024, dtype=int), 0.0
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(500):
            env.step(fixed)
        best = max(best, 1024 * 500 / (time.perf_counter() - begin))
    yield Figure("L2S n=1024, fixed actions", best, "steps/s")
    yield Figure("L2S n=1024, random actions", vector_rate(make, 300), "steps/s")
    for lanes, rounds in ((1, 2000), (1024, 200)):
        for agent in ("linucb-e", "l2s", "lints", "d-linucb"):
            seconds = _decision_s(agent, lanes, rounds)
            name = f"{agent} decision and update"
            if lanes == 1:
                yield Figure(f"{name}, scalar", seconds * 1e6, "us")
            else:
                yield Figure(f"{name}, n={lanes}", lanes / seconds, "1/s")


def _decision_s(agent: str, lanes: int, rounds: int) -> float:
    """Seconds of one call for all lanes, on observations of a run of its own."""
    env = gym.make_vec(ENV, lanes, scenario="resnet34-gpu-100", rounds=10 * rounds)
    decider = make_agent("l2s", agent, env)
    (observation, _), state, seen, best = env.reset(seed=0), None, [], np.inf
    for _ in range(rounds):
        actions, state = decider.predict(observation, state)
        observation = env.step(actions)[0]
        seen.append(observation)
    for _ in range(5):
        begin = time.perf_counter()
        for observation in seen:
            _, state = decider.predict(observation, state)
        best = min(best, (time.perf_counter() - begin) / rounds)
    return best


def constant_figures() -> Iterator[Figure]:
    """LinUCB-E in rounds 51-100 (delay) and 41-100 (prediction error) of 500, means of 20 seeds."""
    for name in SCENARIO_GROUPS["constant"]:
        run = play_lanes(name, "linucb-e")
        window = slice(50, 100)
        delay, optimum = run.trace["delay_s"][window], run.trace["oracle_delay_s"][window].mean(axis=0)
        free = run.free[window]
        unforced = ((delay * free).sum(axis=0) / free.sum(axis=0) / optimum).mean()
        yield Figure(f"{name} unforced rounds 51-100", float(unforced), "x oracle")
        yield Figure(f"{name} all rounds 51-100", float((delay.mean(axis=0) / optimum).mean()), "x oracle")
        error = np.nanmean(run.error[40:100], axis=0)
        yield Figure(f"{name} prediction error, rounds 41-100", 100 * float(error.mean()), "%")
        yield Figure(f"{name} prediction error, worst seed", 100 * float(error.max()), "%")
        everywhere = run.error_everywhere(slice(40, 100)).mean()
        yield Figure(f"{name} prediction error, all points but P", 100 * float(everywhere), "%")


def regret_figures() -> Iterator[Figure]:
    """Exponent of cumulative regret against T, a run for every T (mu = 0.25, horizon T), 8 seeds."""
    horizons = (500, 1000, 2000, 5000, 10_000, 20_000)
    for name in ("resnet34-gpu-60", "resnet34-gpu-100", "alexnet-gpu-60"):
        regret = []
        for rounds in horizons:
            run = play_lanes(name, "linucb-e", 8, {"rounds": rounds})
            regret.append(float(run.metrics["regret_s"].mean()))
            yield Figure(f"{name} linucb-e regret, T={rounds}", regret[-1], "s")
        yield Figure(f"{name} regret exponent", float(np.polyfit(np.log(horizons), np.log(regret), 1)[0]), "")


def change_figures() -> Iterator[Figure]:
    """Changing links: total time against Oracle's, rounds until decisions have adapted, and the trap, 20 seeds."""
    for name in SCENARIO_GROUPS["changing"]:
        oracle = play_lanes(name, "oracle").metrics
        least = oracle["oracle_delay_s"].mean()
        for agent in ("l2s", "l2s-probe", "linucb-e", "linucb", "d-linucb", "neurosurgeon", "pdt"):
            run = play_lanes(name, agent)
            total = run.metrics["total_s"].mean() / len(run.trace["point"])
            yield Figure(f"{name} {agent} total with sync", float(total / least), "x oracle")
            if agent.startswith("l2s") and name.endswith("switch"):
                for at in (2000, 4000):
                    rounds = adapted_after(run, at)
                    label = f"{name} {agent} change at {at}:"
                    yield Figure(f"{label} median rounds to adapt", float(np.median(rounds)), "rounds")
                    yield Figure(f"{label} seeds adapted in 100", float((rounds <= 100).sum()), f"of {SEEDS}")
    yield from _trap_figures()


def _trap_figures() -> Iterator[Figure]:
    """Seeds that left the device when the link got fast: that use the edge unforced in the last 100 rounds."""
    for mbps in RECOVERY_MBPS:
        for agent in ("linucb", "linucb-e", "d-linucb"):
            run = play_lanes("resnet34-recovery", agent, fields={"mbps": mbps})
            left = (~run.on_device & run.free)[-100:].any(axis=0).sum()
            label = f"resnet34-recovery from {mbps:g} Mbps {agent}"
            yield Figure(f"{label}: left the device", float(left), f"of {SEEDS}")
            yield Figure(f"{label}: regret", float(run.metrics["regret_s"].mean()), "s")


def adapted_after(run: Rounds, at: int, length: int = 2000) -> np.ndarray:
    """(lanes,) rounds from a change until 19 of the next 20 unforced decisions take 2 % more than the optimum at most.

    inf where that never comes.
    """
    optimal = run.trace["expected_s"] <= 1.02 * run.trace["oracle_delay_s"]
    found = np.full(optimal.shape[1], np.inf)
    for lane in range(optimal.shape[1]):
        free = np.flatnonzero(~run.trace["forced"][at : at + length, lane])
        good = np.convolve(optimal[at : at + length, lane][free], np.ones(20), "valid") >= 19
        if good.any():
            found[lane] = free[int(good.argmax())]
    return found


def claim_figures() -> Iterator[Figure]:
    """Time saved against PDT, the cost of synchronisation, forced sampling, larger P^c, PPT."""
    for model in MODELS:
        for link in ("gpu-60", "gpu-100", "gpu-200", "cpu-100"):
            for agent in ("oracle", "l2s", "linucb-e"):
                saved = play_lanes(f"{model}-{link}", agent, 5, {"rounds": 5000}).metrics["saved"].mean()
                yield Figure(f"{model}-{link} {agent}: time saved against PDT", 100 * float(saved), "%")
        yield Figure(f"{model}-gpu: rate from which a third can be saved", _third_mbps(f"{model}-gpu-100"), "Mbps")
    every = play_lanes("resnet34-gpu-100", "l2s-fws", 5).metrics["sync_s"].mean()
    period = play_lanes("resnet34-gpu-100", "l2s", 5).metrics["sync_s"].mean()
    yield Figure("resnet34-gpu-100 sync time saved by period 100", 100 * float(1 - period / every), "%")
    for model in MODELS:
        pair = ("linucb-e", "linucb")
        means = [play_lanes(f"{model}-gpu-100", agent, 50).metrics["total_s"].mean() for agent in pair]
        yield Figure(f"{model}-gpu-100 linucb-e total, 50 runs", float(means[0]), "s", means[0] / means[1], "linucb")
    for name in SCENARIO_GROUPS["privacy"]:
        saved = play_lanes(name, "oracle", 5).metrics["saved"].mean()
        yield Figure(f"{name} oracle: time saved against PDT", 100 * float(saved), "%")
    ppt = play_lanes("vgg16-gpu-20", "ppt", 5).metrics["total_s"].mean()
    l2s = play_lanes("vgg16-gpu-20", "l2s", 5).metrics["total_s"].mean()
    yield Figure("vgg16-gpu-20 l2s total below ppt", 100 * float(1 - l2s / ppt), "%")


def _third_mbps(scenario: str) -> float:
    """The least rate at which the best point takes a third off PDT's delay; inf where none below 10 Gbit/s does."""
    system = System(get_scenario(scenario))
    rates = np.geomspace(1.0, 1e4, 4001)
    best = system.delay_s(rates, np.ones_like(rates)).min(axis=0)
    enough = best <= 2 / 3 * system.pdt_s
    return float(rates[enough.argmax()]) if enough.any() else float("inf")


GROUPS: dict[str, Callable[[], Iterator[Figure]]] = {
    "l2s-speed": speed_figures,
    "l2s-constant": constant_figures,
    "l2s-regret": regret_figures,
    "l2s-change": change_figures,
    "l2s-claims": claim_figures,
}
