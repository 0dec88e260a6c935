"""What the claims of L2S's paper are judged by: delays of all points, and rounds that agents play.

Lane i of a vector env has seed i, as a scalar env with that seed; agents that draw numbers (l2s, lints) draw from
(seed, lane) with seed 0 here, so that only lane 0 decides as a run of its own would.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from ....agents.registry import get_spec, make_agent
from ....envs import get_family
from ....envs.l2s.system import System
from ....envs.scenarios import Inputs
from ...claims.results import short
from ...play import Explanations, make_env

FAMILY = get_family("l2s")
EARLY, LEARNED, CONVERGED = 100, 40, 50  # rounds that Figs. 10 and 11 are about, and those by which the paper is done
BLOCK = 20  # rounds of a point in the picture of changes
AGREE, WITHIN = 20, 1.02  # decisions of which all but one are so near the optimum: adapted
LAST = 100  # rounds at the end that say where an agent has settled
RECOVERY = "resnet34-recovery"

Found = dict[str, Any]


@dataclass
class Rounds:
    """What an agent did on every lane: arrays (rounds, lanes), and the episodes' metrics by name, (lanes,)."""

    trace: Mapping[str, np.ndarray]
    metrics: Mapping[str, np.ndarray]
    system: System
    predicted: np.ndarray  # (rounds, K - 1, lanes) edge delays of all points but P, of agents that predict
    provenance: Sequence[str]

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


def play_lanes(scenario: str, agent: str, lanes: int, fields: Mapping[str, Any] | None = None) -> Rounds:
    """Play one episode on every lane."""
    options = {**(fields or {}), **get_spec("l2s", agent).env_kwargs}
    env: Any = gym.make_vec(
        FAMILY.env_id, lanes, scenario=scenario, record=True, autoreset_mode="SameStep", **options
    )  # fmt: skip
    decider, dynamics = make_agent("l2s", agent, env), env.dynamics
    explained, state, info = Explanations(decider), None, {}
    (observation, _), starts, predicted = env.reset(seed=0), np.ones(lanes, dtype=bool), []
    for number in range(dynamics.episode_steps):
        actions, state = decider.predict(observation, state, starts, deterministic=True)
        explained.add(state, starts)
        if hasattr(state, "model") and number < EARLY:
            predicted.append(state.model.predicted[:-1].copy())
        observation, _, starts, _, info = env.step(actions)
    told = [explained.of(lane) for lane in range(lanes)]
    notes = {name: np.stack([lane[name] for lane in told], axis=1) for name in told[0]}
    metrics = {k: v for k, v in info["final_info"]["metrics"].items() if not k.startswith("_")}
    trace = {**dynamics.trace, **notes}
    return Rounds(trace, metrics, dynamics.system, np.array(predicted), dynamics.provenance)


def adapted_after(run: Rounds, at: int, length: int = 2000) -> np.ndarray:
    """(lanes,) rounds from a change until 19 of the next 20 unforced decisions take 2 % more than the optimum at most.

    inf where that never comes.
    """
    optimal = run.trace["expected_s"] <= WITHIN * run.trace["oracle_delay_s"]
    found = np.full(optimal.shape[1], np.inf)
    for lane in range(optimal.shape[1]):
        free = np.flatnonzero(~run.trace["forced"][at : at + length, lane])
        good = np.convolve(optimal[at : at + length, lane][free], np.ones(AGREE), "valid") >= AGREE - 1
        if good.any():
            found[lane] = free[int(good.argmax())]
    return found


def points(scenario: str, inputs: Inputs, mbps: Sequence[float], privacy_point: int | None = None) -> Found:
    """Expected delay of every feasible point at some rates, and its parts on the device and on the edge server."""
    dynamics = make_env(FAMILY, scenario, {"inputs": inputs, "privacy_point": privacy_point}).unwrapped.dynamics
    system: System = dynamics.system
    return {
        "names": system.names[system.first :],
        "device_s": short(system.front_s),
        "edge_s": short(system.edge_s),
        "delays_s": {f"{rate:g}": short(system.delay_s(np.array([rate]), np.ones(1))[:, 0]) for rate in mbps},
        "pdt_s": system.pdt_s,
        "provenance": dynamics.provenance,
    }


def totals(scenario: str, agent: str, lanes: int, inputs: Inputs, fields: Mapping[str, Any]) -> Found:
    """What whole trainings took, a number a seed.

    Args:
        fields: of the scenario, changed.
    """
    run = play_lanes(scenario, agent, lanes, {**fields, "inputs": inputs})
    names = ("delay_s", "total_s", "sync_s", "saved", "regret_s", "oracle_delay_s")
    return {
        **{name: short(run.metrics[name]) for name in names},
        "pdt_s": run.system.pdt_s,
        "provenance": run.provenance,
    }


def early(scenario: str, lanes: int, inputs: Inputs) -> Found:
    """LinUCB-E's first hundred rounds: errors of its predictions and delays over the optimum, over time and a seed."""
    run = play_lanes(scenario, "linucb-e", lanes, {"inputs": inputs})
    free, over = run.free[:EARLY], (run.trace["delay_s"] / run.trace["oracle_delay_s"])[:EARLY]
    error, settled = run.error[:EARLY], slice(CONVERGED, EARLY)
    unforced = (over[settled] * free[settled]).sum(axis=0) / free[settled].sum(axis=0)
    return {
        "error": short(np.nanmean(error[LEARNED:], axis=0)),
        "over_optimum": short(unforced),
        "error_by_round": [_mean(row) if np.isfinite(row).any() else None for row in error],
        "delay_by_round_s": short(run.trace["delay_s"][:EARLY].mean(axis=1)),
        "optimum_s": float(run.trace["oracle_delay_s"][:EARLY].mean()),
        "provenance": run.provenance,
    }


def switch(lanes: int, inputs: Inputs) -> Found:
    """L2S on a link that slows down and recovers: rounds until it has adapted, a number a seed; seed 0 over time.

    Who never adapts counts with the rounds that there were.
    """
    run = play_lanes("resnet34-switch", "l2s", lanes, {"inputs": inputs})
    changes = [at for at, _ in run.system.scenario.mbps_changes]
    ends = [*changes[1:], run.system.scenario.rounds]
    lengths = [end - at for at, end in zip(changes, ends, strict=True)]
    after = [np.minimum(adapted_after(run, at, most), most) for at, most in zip(changes, lengths, strict=True)]
    blocks = [run.trace[name][:, 0].astype(float).reshape(-1, BLOCK).mean(axis=1) for name in ("delay_s", "mbps")]
    over = [_over(run, at, most) for at, most in zip(changes, lengths, strict=True)]
    return {
        "changes": changes,
        "adapted_after": [short(rounds) for rounds in after],
        "over_optimum": [short(values) for values in over],
        "block": BLOCK,
        "delay_s": short(blocks[0]),
        "mbps": short(blocks[1]),
        "adapting": run.trace["adapting"][:, 0].reshape(-1, BLOCK).any(axis=1).tolist(),
        "alike": _alike(run.system),
        "provenance": run.provenance,
    }


def _over(run: Rounds, at: int, length: int) -> np.ndarray:
    """(lanes,) delay over the optimum's from a hundred rounds behind a change on."""
    window = slice(at + LAST, at + length)
    return run.trace["expected_s"][window].mean(axis=0) / run.trace["oracle_delay_s"][window].mean(axis=0)


def _alike(system: System) -> dict[str, float]:
    """How far apart the two best cuts are, by rate."""
    rates = {system.scenario.mbps, *(mbps for _, mbps in system.scenario.mbps_changes)}
    found = {}
    for mbps in sorted(rates):
        best, second = np.sort(system.delay_s(np.array([mbps]), np.ones(1))[:, 0])[:2]
        found[f"{mbps:g}"] = float(second / best - 1.0)
    return found


def trapped(agent: str, lanes: int, inputs: Inputs) -> Found:
    """Where an agent is at last, when a link on which the device alone was best has become fast; a number a seed."""
    run = play_lanes(RECOVERY, agent, lanes, {"inputs": inputs})
    stays = (run.on_device & run.free)[-LAST:].sum(axis=0) / run.free[-LAST:].sum(axis=0)
    best = run.trace["oracle_delay_s"][-1] < run.system.pdt_s
    assert best.all(), "a cut is best in the end"
    return {"on_device": short(stays), "regret_s": short(run.metrics["regret_s"]), "provenance": run.provenance}


def decision(agent: str, rounds: int, inputs: Inputs) -> Found:
    """Seconds of a decision and an update on this machine, beside a round of the training that it decides for."""
    dynamics = make_env(FAMILY, "resnet34-gpu-100", {"inputs": inputs}).unwrapped.dynamics
    return {
        "decision_s": decision_s(agent, 1, rounds),
        "round_s": dynamics.system.pdt_s,
        "state_bytes": 8 * (dynamics.system.contexts.shape[1] ** 2 + dynamics.system.contexts.shape[1]),
        "provenance": ["seconds of decisions: measured on this machine", *dynamics.provenance],
    }


def decision_s(agent: str, lanes: int, rounds: int, repeats: int = 5) -> float:
    """Seconds of one call for all lanes, on observations of a run of its own; the best of several."""
    options = {"rounds": 10 * rounds, **get_spec("l2s", agent).env_kwargs}
    env: Any = gym.make_vec(FAMILY.env_id, lanes, scenario="resnet34-gpu-100", **options)
    decider = make_agent("l2s", agent, env)
    (observation, _), state, seen, best = env.reset(seed=0), None, [], np.inf
    for _ in range(rounds):
        actions, state = decider.predict(observation, state)
        observation = env.step(actions)[0]
        seen.append(observation)
    for _ in range(repeats):
        begin = time.perf_counter()
        for observation in seen:
            _, state = decider.predict(observation, state)
        best = min(best, (time.perf_counter() - begin) / rounds)
    return best


def _mean(values: np.ndarray) -> float:
    return float(f"{np.nanmean(values):.4g}")
