"""The figures of Prune-Deprune: what the recorded trainings say of the paper's claims, and the environment's speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from measure import Figure, vector_rate
from scipy.stats import t as student

from splitgym.agents.protocol import Learner
from splitgym.agents.registry import agents_of, make_agent
from splitgym.envs import get_family
from splitgym.envs.deprune.curves import Curves, load_curves
from splitgym.envs.deprune.scenarios import DEFAULT_SCENARIO, SCENARIOS
from splitgym.experiments.play import assess, make_env, play

ENV = "splitgym/Deprune-v0"
NEAR = 0.98  # of what training from scratch reaches (Fig. 12)
CONFIDENCE = 0.95

Run = Mapping[str, Any]


def speed_figures() -> Iterator[Figure]:
    yield Figure("vgg11-cifar10 n=1024", vector_rate(partial(gym.make_vec, ENV, 1024), 200), "steps/s")
    begin = time.perf_counter()
    assess(get_family("deprune"), agents_of("deprune")["best-schedule"], DEFAULT_SCENARIO, {})
    yield Figure("best schedule of 18 epochs and 6 budgets", 1e3 * (time.perf_counter() - begin), "ms")


def runs_of(curves: Curves, schedule: str) -> dict[int, Run]:
    """Recorded runs of a schedule by seed."""
    return {run["seed"]: run for run in curves.runs if run["schedule"] == schedule}


def paired(label: str, one: Mapping[int, float], other: Mapping[int, float]) -> Iterator[Figure]:
    """Mean difference over common seeds in points, and half of its 95 % interval where there are several."""
    seeds = sorted(set(one) & set(other))
    if not seeds:
        return
    differences = 100.0 * np.array([one[seed] - other[seed] for seed in seeds])
    yield Figure(f"{label}, mean of {len(seeds)} seeds", float(differences.mean()), "points")
    if len(seeds) > 1:
        error = differences.std(ddof=1) / np.sqrt(len(seeds))
        half = float(student.ppf(0.5 + CONFIDENCE / 2, len(seeds) - 1) * error)
        yield Figure(f"{label}, +- of the 95 % interval", half, "points")


def finals(curves: Curves, schedule: str) -> dict[int, float]:
    return {seed: run["accuracy"][-1] for seed, run in runs_of(curves, schedule).items()}


def claim_figures() -> Iterator[Figure]:
    """Every recorded cut: traffic, final accuracies, differences between schedules, epochs of pruning, the module."""
    for name, curves in load_curves().items():
        yield from _traffic(name, curves)
        for schedule in sorted({run["schedule"] for run in curves.runs}):
            values = 100.0 * np.array(list(finals(curves, schedule).values()))
            spread = f", spread {values.std(ddof=1):.2f}" if len(values) > 1 else ""
            yield Figure(f"{name} {schedule}: accuracy ({len(values)} seeds{spread})", float(values.mean()), "%")
        for other in ("no-compression", "high-compression"):
            yield from paired(f"{name} deprune - {other}", finals(curves, "deprune"), finals(curves, other))
        with_module, without = finals(curves, "no-compression"), finals(curves, "without-module")
        yield from paired(f"{name} module - without", with_module, without)
        yield from _pruning(name, curves)
        yield from _module(name, curves)


def _traffic(name: str, curves: Curves) -> Iterator[Figure]:
    """Feature maps and gradients that crossed the cut, deprune over no compression, and all bytes."""
    deprune, full = (next(iter(runs_of(curves, s).values()), None) for s in ("deprune", "no-compression"))
    if deprune is None or full is None:
        return
    for label, kinds in (("maps and gradients", ("maps", "gradients")), ("all bytes", None)):
        sums = [sum(v for k, v in run["bytes"].items() if kinds is None or k in kinds) for run in (deprune, full)]
        yield Figure(f"{name} deprune, {label} of no compression", 100.0 * sums[0] / sums[1], "%")


def _pruning(name: str, curves: Curves) -> Iterator[Figure]:
    """Epochs until 98 % of what training from scratch reaches in the end: from scratch, and pruned."""
    for scratch in ("scratch-32", "scratch-4"):
        ratios, pairs = [], []
        for seed, run in runs_of(curves, scratch).items():
            prune, budget = runs_of(curves, "prune").get(seed), run["budgets"][-1]
            if prune is None or budget not in prune["budgets"]:
                continue
            goal = NEAR * run["accuracy"][-1]
            first = prune["budgets"].index(budget)
            phase = [a for a, b in zip(prune["accuracy"], prune["budgets"], strict=True) if b == budget]
            assert prune["budgets"][first : first + len(phase)] == [budget] * len(phase)
            needed, spared = _reached(run["accuracy"], goal), _reached(phase, goal)
            pairs.append(f"{needed:g}/{spared:g}")
            ratios.append(needed / spared)
        if ratios:
            yield Figure(f"{name} {scratch} over prune, epochs ({', '.join(pairs)})", float(np.mean(ratios)), "x")


def _reached(accuracy: list[float], goal: float) -> float:
    """Epochs until a goal; inf if never."""
    return next((float(i) for i, a in enumerate(accuracy, start=1) if a >= goal), float("inf"))


def _module(name: str, curves: Curves) -> Iterator[Figure]:
    """What the module takes of a step, how often a map entered the kept ones, what the fit does not know."""
    for schedule in ("no-compression", "high-compression"):
        shares = [run["module_s_per_step"] / run["step_s"] for run in runs_of(curves, schedule).values()]
        if shares:
            yield Figure(f"{name} module's share of a step, {schedule}", 100.0 * float(np.mean(shares)), "%")
    entered = sum(run["entered_maps"] for run in curves.runs)
    yield Figure(f"{name} maps that entered the kept ones, all runs", float(entered), "maps")
    yield Figure(f"{name} error of the fit", curves.fit["error_points"], "points")
    if curves.fit["held_out_error_points"] is not None:
        yield Figure(f"{name} error on held-out runs", curves.fit["held_out_error_points"], "points")


def learned_figures() -> Iterator[Figure]:
    """PPO and DQN against the best schedule, by score."""
    family = get_family("deprune")
    for scenario in SCENARIOS:
        best = assess(family, agents_of("deprune")["best-schedule"], scenario, {"noise": False}).metrics["score"]
        for algorithm in ("ppo", "dqn"):
            env = make_env(family, scenario, {})
            agent = make_agent("deprune", algorithm, env, 0)
            assert isinstance(agent, Learner)
            begin = time.perf_counter()
            agent.learn(None, None, lambda report: None)
            seconds = time.perf_counter() - begin
            quiet = make_env(family, scenario, {"noise": False})
            learned = play(agent, quiet, 10, 100).metrics["score"]
            yield Figure(f"{scenario} {algorithm}: score", learned, "", learned / best, "best-schedule")
            yield Figure(f"{scenario} {algorithm}: training", seconds, "s")


GROUPS: dict[str, Callable[[], Iterator[Figure]]] = {
    "deprune-speed": speed_figures,
    "deprune-claims": claim_figures,
    "deprune-learned": learned_figures,
}
