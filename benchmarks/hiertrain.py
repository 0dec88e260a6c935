"""The figures of HierTrain."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from measure import Figure, vector_rate

from splitgym.agents.hiertrain.layerwise import ASSIGNMENTS
from splitgym.agents.hiertrain.planners import PLANNERS
from splitgym.agents.protocol import Learner
from splitgym.agents.registry import make_agent
from splitgym.envs.hiertrain.cost import iteration_s, layers_s
from splitgym.envs.hiertrain.planning import ExactPlanner
from splitgym.envs.hiertrain.rates import DriftingRates
from splitgym.envs.hiertrain.scenarios import PAPER_MODELS, get_scenario
from splitgym.envs.hiertrain.schedule import ROLES, alone, schedules
from splitgym.envs.hiertrain.system import EDGE, System
from splitgym.envs.scenarios import INPUTS
from splitgym.experiments.play import play

ENV = "splitgym/HierTrain-v0"


def speed_figures() -> Iterator[Figure]:
    """Env-steps a second of HierTrain's environment, and how long it takes to price schedules."""
    for name, kwargs in (("alexnet-3.5", {}), ("alexnet-drift", {"scenario": "alexnet-drift"})):
        rate = vector_rate(partial(gym.make_vec, ENV, 1024, None, None, None, **kwargs), 200)
        yield Figure(f"{name} n=1024", rate, "steps/s")
    system, rng, count = System(get_scenario("alexnet-3.5")), np.random.default_rng(0), 100_000
    cuts = np.sort(rng.integers(0, system.n_layers + 1, (2, count)), axis=0)
    b = rng.multinomial(system.batch, [1 / 3] * 3, count).T
    plans, best = schedules(ROLES[:, rng.integers(0, 6, count)], cuts[0], cuts[1], b), np.inf
    for _ in range(5):
        begin = time.perf_counter()
        iteration_s(system, plans, *system.nominal)
        best = min(best, time.perf_counter() - begin)
    yield Figure("100 000 schedules in one call", best * 1e3, "ms")


def gap_figures() -> Iterator[Figure]:
    """What the paper's relaxation and rounding lose against the optimum at random rates."""
    for label, batches in (("batch 128", (128,)), ("batches 4 to 32", (4, 8, 16, 32))):
        gaps = []
        rng = np.random.default_rng(0)
        for model in PAPER_MODELS:
            for batch in batches:
                system = System(get_scenario(f"{model}-3.5", batch=batch))
                exact, printed = ExactPlanner(system), PLANNERS["hiertrain"](system)
                for mbps in np.exp(rng.uniform(np.log(0.5), np.log(500.0), (12, 2))):
                    rates = 1e6 * float(mbps[0]), 1e6 * float(mbps[1])
                    found = float(iteration_s(system, printed(*rates), *rates)[0])
                    gaps.append(found / exact.best(*rates).seconds - 1.0)
        yield Figure(f"hiertrain's gap to exact, {label}, mean", 100 * float(np.mean(gaps)), "%")
        yield Figure(f"hiertrain's gap to exact, {label}, worst", 100 * float(np.max(gaps)), "%")


def sharing_figures() -> Iterator[Figure]:
    """Where hybrid parallelism pays: over both links' drift grids, how often the optimum shares samples at all."""
    for model in PAPER_MODELS:
        system = System(get_scenario(f"{model}-drift"))
        planner, path = ExactPlanner(system), ASSIGNMENTS["jointdnn+"](system)
        grid = DriftingRates(system.scenario, 1).grid
        points = [(float(a), float(b)) for a in grid[0] for b in grid[1]]
        best = [planner.best(*rates) for rates in points]
        shared = sum((found.plan.b[:, 0] > 0).sum() > 1 for found in best)
        chains = [float(layers_s(system, path(*rates)[:, None], *rates)[0]) for rates in points]
        same = sum(abs(chain / found.seconds - 1.0) < 1e-9 for chain, found in zip(chains, best, strict=True))
        yield Figure(f"{model}: rates where the optimum shares samples", float(shared), f"of {len(points)}")
        yield Figure(f"{model}: rates where jointdnn+ equals exact", float(same), f"of {len(points)}")


def sweep_figures() -> Iterator[Figure]:
    """The assumptions: shared links, and the batch."""
    for name in ("alexnet-2", "alexnet-3.5", "alexnet-5", "lenet5-3"):
        for shared in (False, True):
            system = System(get_scenario(name, share_links=shared))
            best = ExactPlanner(system).best(*system.nominal).seconds
            yield Figure(f"{name} exact{', links shared' if shared else ''}", best, "s")
        for batch in (32, 64, 128, 256, 512):
            system = System(get_scenario(name, batch=batch))
            best = ExactPlanner(system).best(*system.nominal).seconds
            edge = float(iteration_s(system, alone(EDGE, batch), *system.nominal)[0])
            yield Figure(f"{name} exact, batch {batch}", best, "s", edge / best, "over all-edge")


def learned_figures() -> Iterator[Figure]:
    """PPO on drifting links, judged on drifts that it has not seen (seeds from 1000 on), with either inputs."""
    for inputs in INPUTS:
        options: dict[str, Any] = {"scenario": "alexnet-drift", "inputs": inputs}
        name = f"alexnet-drift, {inputs}"
        for seed in range(3):
            env: Any = gym.make(ENV, **options)
            learner = make_agent("hiertrain", "ppo", env, seed)
            assert isinstance(learner, Learner)
            begin = time.perf_counter()
            learner.learn(None, None, lambda report: None)
            seconds = time.perf_counter() - begin
            metrics = play(learner, env, 20, seed=1000).metrics
            yield Figure(f"ppo {name} seed {seed}: gap to exact", 100 * metrics["gap"], "%")
            yield Figure(f"ppo {name} seed {seed}: iteration", metrics["iteration_s"], "s")
            yield Figure(f"ppo {name} seed {seed}: training", seconds, "s")
        for agent, hyperparams in (("exact", {}), ("exact", {"hold": True}), ("all-edge", {}), ("all-device", {})):
            env = gym.make(ENV, **options)
            metrics = play(make_agent("hiertrain", agent, env, 0, **hyperparams), env, 20, seed=1000).metrics
            label = f"{agent}{', hold' if hyperparams else ''} {name}"
            yield Figure(f"{label}: gap to exact", 100 * metrics["gap"], "%")
            yield Figure(f"{label}: iteration, replanning included", metrics["iteration_s"], "s")


GROUPS: dict[str, Callable[[], Iterator[Figure]]] = {
    "hiertrain-speed": speed_figures,
    "hiertrain-gap": gap_figures,
    "hiertrain-sharing": sharing_figures,
    "hiertrain-sweeps": sweep_figures,
    "hiertrain-learned": learned_figures,
}
