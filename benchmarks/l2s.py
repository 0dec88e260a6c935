"""The figures of L2S that are not its paper's: those are ``splitgym-eval --paper l2s``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

import gymnasium as gym
import numpy as np
from measure import Figure, vector_rate

from splitgym.envs.l2s.scenarios import GROUPS as SCENARIO_GROUPS
from splitgym.experiments.l2s.claims.runs import decision_s, play_lanes

ENV = "splitgym/L2S-v0"
SEEDS = 20
RECOVERY_MBPS = (5.0, 10.0, 15.0, 20.0, 26.0, 30.0, 40.0, 60.0)


def speed_figures() -> Iterator[Figure]:
    """Env-steps a second of L2S's environment, and how long its bandits take to decide and learn."""
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
            seconds = decision_s(agent, lanes, rounds)
            name = f"{agent} decision and update"
            if lanes == 1:
                yield Figure(f"{name}, scalar", seconds * 1e6, "us")
            else:
                yield Figure(f"{name}, n={lanes}", lanes / seconds, "decisions/s")


def constant_figures() -> Iterator[Figure]:
    """LinUCB-E's predictions for all points but P, chosen or not, in rounds 41-100 of 500, mean of 20 seeds."""
    for name in SCENARIO_GROUPS["constant"]:
        everywhere = play_lanes(name, "linucb-e", SEEDS).error_everywhere(slice(40, 100)).mean()
        yield Figure(f"{name} prediction error, all points but P", 100 * float(everywhere), "%")


def change_figures() -> Iterator[Figure]:
    """Changing links: total time against Oracle's, and the trap by rate, 20 seeds."""
    for name in SCENARIO_GROUPS["changing"]:
        oracle = play_lanes(name, "oracle", SEEDS).metrics
        least = oracle["oracle_delay_s"].mean()
        for agent in ("l2s", "l2s-probe", "linucb-e", "linucb", "d-linucb", "neurosurgeon", "pdt"):
            run = play_lanes(name, agent, SEEDS)
            total = run.metrics["total_s"].mean() / len(run.trace["point"])
            yield Figure(f"{name} {agent} total with sync", float(total / least), "x oracle")
    yield from _trap_figures()


def _trap_figures() -> Iterator[Figure]:
    """Seeds that left the device when the link got fast: that use the edge unforced in the last 100 rounds."""
    for mbps in RECOVERY_MBPS:
        for agent in ("linucb", "linucb-e", "d-linucb"):
            run = play_lanes("resnet34-recovery", agent, SEEDS, {"mbps": mbps})
            left = (~run.on_device & run.free)[-100:].any(axis=0).sum()
            label = f"resnet34-recovery from {mbps:g} Mbps {agent}"
            yield Figure(f"{label}: left the device", float(left), f"of {SEEDS}")
            yield Figure(f"{label}: regret", float(run.metrics["regret_s"].mean()), "s")


GROUPS: dict[str, Callable[[], Iterator[Figure]]] = {
    "l2s-speed": speed_figures,
    "l2s-constant": constant_figures,
    "l2s-change": change_figures,
}
