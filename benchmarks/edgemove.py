"""The figures of EdgeMove."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from measure import Figure, vector_rate

from splitgym.agents.protocol import Learner
from splitgym.agents.registry import agents_of, make_agent
from splitgym.envs import get_family
from splitgym.envs.edgemove.scenarios import PUBLISHED_SPEEDUPS, SWEEP_MBPS, TASKS
from splitgym.experiments.play import assess, make_env, play

ENV = "splitgym/EdgeMove-v0"
SCHEMES = ("on-device", "device-cloud", "pipedream-e", "edgemove")
PUBLISHED = ("device-cloud", "pipedream-e", "edgemove")
FURTHER = ("edgemove-literal", "lookahead", "oracle")
SEEDS = range(5)  # of agents that draw
UNSEEN = 100  # first seed of held-out episodes; their loads and round trips were in no training


def mean_metrics(agent: str, scenario: str, seed: int = 0, **hyperparams: Any) -> Mapping[str, float]:
    """Metrics over the ten trajectories, without the optimum."""
    spec = agents_of("edgemove")[agent]
    return assess(get_family("edgemove"), spec, scenario, {"optimum": False}, seed, None, hyperparams).metrics


def over_seeds(agent: str, scenario: str, metric: str, **hyperparams: Any) -> float:
    """Mean over agent and env seeds, ten trajectories each."""
    return float(np.mean([mean_metrics(agent, scenario, seed, **hyperparams)[metric] for seed in SEEDS]))


def speed_figures() -> Iterator[Figure]:
    rate = vector_rate(partial(gym.make_vec, ENV, 1024), 60)
    yield Figure("vgg16-cifar10 n=1024, random actions", rate, "steps/s")
    begin = time.perf_counter()
    for task in TASKS:
        for agent in SCHEMES:
            mean_metrics(agent, task)
    yield Figure("Table 1: 4 tasks x 4 schemes x 10 trajectories", time.perf_counter() - begin, "s")


def table_figures() -> Iterator[Figure]:
    """Table 1: speed-up over the time of On-Device, mean over ten trajectories and five seeds; the published beside."""
    for task in TASKS:
        published: dict[str, float] = dict(zip(PUBLISHED, PUBLISHED_SPEEDUPS[task], strict=True))
        alone_s = over_seeds("on-device", task, "elapsed_s")
        for agent in (*SCHEMES, *FURTHER):
            speedup = alone_s / over_seeds(agent, task, "elapsed_s")
            known = published.get(agent)
            ratio = None if known is None else speedup / known
            yield Figure(f"{task} {agent}", speedup, "x", ratio, "" if known is None else f"published {known}")
        blind = alone_s / over_seeds("edgemove", task, "elapsed_s", foresight=False)
        yield Figure(f"{task} edgemove without foresight", blind, "x")


def double_speed_figures() -> Iterator[Figure]:
    """Fig. 8: what doubling the client's speed adds to the training time."""
    for task in TASKS:
        for agent in ("device-cloud", "pipedream-e", "edgemove", "lookahead"):
            once, twice = (over_seeds(agent, name, "elapsed_s") for name in (task, f"{task}-x2"))
            yield Figure(f"{task} {agent}: twice as fast a client", 100.0 * (twice / once - 1.0), "% longer")
            yield Figure(f"{task} {agent}: twice as fast a client", twice - once, "s longer")


def rate_figures() -> Iterator[Figure]:
    """Speed-up by the rate near a site, the assumption that decides the ranking."""
    for task in TASKS:
        for mbps in SWEEP_MBPS:
            name = f"{task}-{mbps}mbps"
            alone_s = mean_metrics("on-device", name)["elapsed_s"]
            for agent in ("device-cloud", "pipedream-e", "edgemove", "lookahead"):
                yield Figure(f"{name} {agent}", alone_s / mean_metrics(agent, name)["elapsed_s"], "x")


def cost_figures() -> Iterator[Figure]:
    """Fig. 9: how often EdgeMove and PipeDream-E adapt, and how long that takes."""
    for task in TASKS:
        for agent in ("pipedream-e", "edgemove", "edgemove-literal", "lookahead"):
            for metric, unit in (("cut_moves", "moves"), ("worker_switches", "switches"), ("adaptation_s", "s")):
                yield Figure(f"{task} {agent} {metric}", over_seeds(agent, task, metric), unit)


def start_figures() -> Iterator[Figure]:
    """Fig. 6: how far EdgeMove is after its first seconds, over PipeDream-E (published: behind for 50-75 s)."""
    family, specs = get_family("edgemove"), agents_of("edgemove")
    for task in TASKS:
        for after_s in (25.0, 75.0):
            done = dict.fromkeys(("edgemove", "pipedream-e"), 0.0)
            for agent in done:
                for seed in range(10):
                    trace = assess(family, specs[agent], task, {"optimum": False}, seed, 1).trace
                    assert trace is not None
                    ends, iterations = np.append(0.0, trace["elapsed_s"]), np.append(0.0, trace["iterations"])
                    done[agent] += float(np.interp(after_s, ends, np.cumsum(iterations)))
            yield Figure(
                f"{task} iterations after {after_s:g} s", done["edgemove"] / done["pipedream-e"], "x pipedream-e"
            )


def learned_figures() -> Iterator[Figure]:
    """PPO trained on other walks, judged on the ten and on unseen seeds, beside EdgeMove."""
    family = get_family("edgemove")
    for task in TASKS:
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
