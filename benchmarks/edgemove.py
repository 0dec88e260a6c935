"""The figures of EdgeMove."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import gymnasium as gym
import numpy as np
from measure import Figure, vector_rate

from splitgym.agents.protocol import Learner
from splitgym.agents.registry import agents_of, make_agent
from splitgym.envs import get_family
from splitgym.envs.edgemove.scenarios import GROUPS as SCENARIO_GROUPS
from splitgym.envs.edgemove.scenarios import PUBLISHED_SPEEDUPS, SWEEP_MBPS, TASKS
from splitgym.experiments.play import assess, make_env, play

ENV = "splitgym/EdgeMove-v0"
SCHEMES = ("on-device", "device-cloud", "pipedream-e", "edgemove-literal", "edgemove")
FURTHER = ("pipedream", "lookahead", "oracle")
COLUMN = {"device-cloud": 0, "pipedream-e": 1, "edgemove-literal": 2, "edgemove": 2}  # of PUBLISHED_SPEEDUPS
CLOUD_MBPS = (50.0, 100.0, 150.0, 200.0, 300.0)
SEEDS = range(5)  # of agents that draw
Options = Mapping[str, Any]
UNSEEN = 100  # first seed of held-out episodes; their loads and round trips were in no training


def mean_metrics(
    agent: str, scenario: str, seed: int = 0, options: Options = MappingProxyType({}), **hyperparams: Any
) -> Mapping[str, float]:
    """Metrics over the ten trajectories, without the optimum."""
    spec = agents_of("edgemove")[agent]
    given = {"optimum": False, **options}
    return assess(get_family("edgemove"), spec, scenario, given, seed, None, hyperparams).metrics


def over_seeds(
    agent: str, scenario: str, metric: str, options: Options = MappingProxyType({}), **hyperparams: Any
) -> float:
    """Mean over agent and env seeds, ten trajectories each."""
    return float(np.mean([mean_metrics(agent, scenario, seed, options, **hyperparams)[metric] for seed in SEEDS]))


def speed_figures() -> Iterator[Figure]:
    rate = vector_rate(partial(gym.make_vec, ENV, 1024), 60)
    yield Figure("vgg16-cifar10 n=1024, random actions", rate, "steps/s")
    begin = time.perf_counter()
    for task in TASKS:
        for agent in SCHEMES:
            mean_metrics(agent, task)
    yield Figure("Table 1: 4 tasks x 4 schemes x 10 trajectories", time.perf_counter() - begin, "s")


def table_figures() -> Iterator[Figure]:
    """Table 1 and the same in a city: speed-up over On-Device, ten walks and five seeds; the published beside."""
    for task in (*TASKS, *SCENARIO_GROUPS["city"]):
        published = PUBLISHED_SPEEDUPS.get(task)
        alone_s = over_seeds("on-device", task, "elapsed_s")
        for agent in (*SCHEMES, *FURTHER):
            speedup = alone_s / over_seeds(agent, task, "elapsed_s")
            known = published[COLUMN[agent]] if published and agent in COLUMN else None
            ratio = None if known is None else speedup / known
            yield Figure(f"{task} {agent}", speedup, "x", ratio, "" if known is None else f"published {known}")
        blind = alone_s / over_seeds("edgemove", task, "elapsed_s", foresight=False)
        yield Figure(f"{task} edgemove without foresight", blind, "x")


def double_speed_figures() -> Iterator[Figure]:
    """Fig. 8: what doubling the client's speed adds to the training time."""
    for task in TASKS:
        for agent in ("device-cloud", "pipedream-e", "edgemove-literal", "edgemove", "lookahead"):
            once, twice = (over_seeds(agent, name, "elapsed_s") for name in (task, f"{task}-x2"))
            yield Figure(f"{task} {agent}: twice as fast a client", 100.0 * (twice / once - 1.0), "% longer")
            yield Figure(f"{task} {agent}: twice as fast a client", twice - once, "s longer")


def rate_figures() -> Iterator[Figure]:
    """Speed-up by the link's rate and by the cloud's, which decide the ranking."""
    for task in TASKS:
        alone_s = mean_metrics("on-device", task)["elapsed_s"]
        for mbps in SWEEP_MBPS:
            name = f"{task}-{mbps}mbps"
            for agent in ("pipedream-e", "edgemove-literal", "edgemove", "lookahead"):
                yield Figure(f"{name} {agent}", alone_s / mean_metrics(agent, name)["elapsed_s"], "x")
        for mbps in CLOUD_MBPS:
            cloud_s = mean_metrics("device-cloud", task, options={"cloud_mbps": mbps})["elapsed_s"]
            yield Figure(f"{task} device-cloud, cloud at {mbps:g} Mbps", alone_s / cloud_s, "x")


def cost_figures() -> Iterator[Figure]:
    """Fig. 9: how often EdgeMove and PipeDream-E adapt, and how long that takes."""
    for task in TASKS:
        for agent in ("pipedream-e", "edgemove-literal", "edgemove", "lookahead"):
            for metric, unit in (("cut_moves", "moves"), ("worker_switches", "switches"), ("adaptation_s", "s")):
                yield Figure(f"{task} {agent} {metric}", over_seeds(agent, task, metric), unit)


def iterations_after(agent: str, scenario: str, after_s: float, options: Options = MappingProxyType({})) -> float:
    """Iterations done in the first seconds, the mean of ten seeds."""
    family, spec, done = get_family("edgemove"), agents_of("edgemove")[agent], []
    for seed in range(10):
        trace = assess(family, spec, scenario, {"optimum": False, **options}, seed, 1).trace
        assert trace is not None
        ends, iterations = np.append(0.0, trace["elapsed_s"]), np.append(0.0, trace["iterations"])
        done.append(float(np.interp(after_s, ends, np.cumsum(iterations))))
    return float(np.mean(done))


def start_figures() -> Iterator[Figure]:
    """Fig. 6: how far EdgeMove is after its first seconds, over PipeDream-E (published: behind for 50-75 s)."""
    for task in TASKS:
        for agent in ("edgemove-literal", "edgemove"):
            for after_s in (25.0, 75.0):
                ratio = iterations_after(agent, task, after_s) / iterations_after("pipedream-e", task, after_s)
                yield Figure(f"{task} {agent}, iterations after {after_s:g} s", ratio, "x pipedream-e")


def learned_figures() -> Iterator[Figure]:
    """PPO trained on other walks of a city, judged on the ten and on unseen seeds, beside EdgeMove."""
    family = get_family("edgemove")
    for task in SCENARIO_GROUPS["city"]:
        env = make_env(family, task, {"optimum": False})
        begin = time.perf_counter()
        agent = make_agent("edgemove", "ppo", env, 0)
        assert isinstance(agent, Learner)
        agent.learn(None, None, lambda report: None)
        seconds = time.perf_counter() - begin
        for first in (0, UNSEEN):
            learned_s = play(agent, env, 10, first).metrics["elapsed_s"]
            paper_s = mean_metrics("edgemove", task, first)["elapsed_s"]
            yield Figure(f"{task} ppo, seed {first} on", learned_s, "s", learned_s / paper_s, "edgemove")
        yield Figure(f"{task} ppo, training", seconds, "s")


GROUPS: dict[str, Callable[[], Iterator[Figure]]] = {
    "edgemove-speed": speed_figures,
    "edgemove-table1": table_figures,
    "edgemove-double-speed": double_speed_figures,
    "edgemove-rates": rate_figures,
    "edgemove-adaptation": cost_figures,
    "edgemove-start": start_figures,
    "edgemove-learned": learned_figures,
}
