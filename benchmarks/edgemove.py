"""The figures of EdgeMove that are not its paper's: those are ``splitgym-eval --paper edgemove``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import gymnasium as gym
import numpy as np
from measure import Figure, vector_rate
from sites import sites_apart

from splitgym.agents.protocol import Learner
from splitgym.agents.registry import agents_of, make_agent
from splitgym.envs import get_family
from splitgym.envs.edgemove.scenarios import GROUPS as SCENARIO_GROUPS
from splitgym.envs.edgemove.scenarios import SWEEP_MBPS, TASKS
from splitgym.experiments.play import assess, make_env, play

ENV = "splitgym/EdgeMove-v0"
SCHEMES = ("on-device", "device-cloud", "pipedream-e", "edgemove-literal", "edgemove")
FURTHER = ("pipedream", "lookahead", "oracle")
CLOUD_MBPS = (50.0, 100.0, 150.0, 200.0, 300.0)
SEEDS = range(5)  # of agents that draw
Options = Mapping[str, Any]
MANY_SITES = 10_000
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
    """Env-steps a second of EdgeMove's environment with 125 sites, and how long its Table 1 takes."""
    rate = vector_rate(partial(gym.make_vec, ENV, 1024), 60)
    yield Figure("vgg16-cifar10 n=1024, random actions", rate, "steps/s")
    many = vector_rate(partial(gym.make_vec, ENV, 1024, **sites_apart(MANY_SITES)), 60)
    yield Figure("the same among 10,000 sites", many, "steps/s", many / rate, "125 sites")
    begin = time.perf_counter()
    for task in TASKS:
        for agent in SCHEMES:
            mean_metrics(agent, task)
    name = f"Table 1: {len(TASKS)} tasks x {len(SCHEMES)} schemes x 10 trajectories"
    yield Figure(name, time.perf_counter() - begin, "s")


def table_figures() -> Iterator[Figure]:
    """Speed-up over On-Device, ten walks and five seeds: agents that the paper has not on its tasks, all in a city."""
    for group, agents in (("table1", ("edgemove", *FURTHER)), ("city", (*SCHEMES, *FURTHER))):
        for task in SCENARIO_GROUPS[group]:
            alone_s = over_seeds("on-device", task, "elapsed_s")
            for agent in agents:
                yield Figure(f"{task} {agent}", alone_s / over_seeds(agent, task, "elapsed_s"), "x")
            blind = alone_s / over_seeds("edgemove", task, "elapsed_s", foresight=False)
            yield Figure(f"{task} edgemove without foresight", blind, "x")


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
    "edgemove-rates": rate_figures,
    "edgemove-learned": learned_figures,
}
