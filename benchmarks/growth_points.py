"""One point of growth.py, measured in a process of its own: what it takes, and the most memory that it held.

    python benchmarks/growth_points.py AXIS JOB SIZE

Prints a JSON object: quantity -> seconds, or MB. Seconds are the process's own on one thread, so that others on the
machine do not count; a point that has used up its own is killed.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
from sites import sites_apart

from splitgym.agents.distredge.baselines import PLANNERS as SPATIAL
from splitgym.agents.distredge.joint import JointSearch
from splitgym.agents.hiertrain.layerwise import ASSIGNMENTS
from splitgym.agents.hiertrain.planners import PLANNERS as HYBRID
from splitgym.agents.registry import get_spec, make_agent
from splitgym.envs import FAMILIES
from splitgym.models.chain import Unit
from splitgym.models.layers import Conv, GlobalPool, Linear, Shape
from splitgym.models.model import Model
from splitgym.models.zoo.catalogue import MODELS

LANES = 1024
ROWS, CHANNELS = 16, 8  # of the chain's maps
GENERATIONS = 8  # of the joint search that are timed
LEAST_S = 0.2  # of a run of calls
MOST_S = 90  # of a point, import, set-up and repeats included
Point = Mapping[str, float]  # quantity -> seconds, or MB for memory
Job = Callable[[int], Point]


def chain(units: int) -> Model:
    """Convolutions one behind another, then a pool and a fully connected layer."""
    convs = tuple(Unit(f"conv{i}", (Conv(3, padding=1, out_channels=CHANNELS),)) for i in range(units))
    return Model("chain", Shape(3, ROWS, ROWS), convs, (GlobalPool(), Linear(10, activation="none")))


def of_devices(count: int) -> dict[str, Any]:
    """A scenario's devices of two types in turn, on equal links."""
    return {"devices": tuple(("xavier", "nano")[i % 2] for i in range(count)), "mbps": (50.0,) * count}


def of_units(units: int) -> dict[str, Any]:
    MODELS["chain"] = partial(chain, units)
    return {"model": "chain"}


def of_sites(count: int) -> dict[str, Any]:
    return {"n_sites": count}


def of_steps(steps: int) -> dict[str, Any]:
    return of_units(steps - len(chain(1).tail))


class Watch:
    """Seconds of this process since it was made: its own, or the clock's where too few to be told are its own."""

    def __init__(self) -> None:
        self._clock_s, self._own_s = time.perf_counter(), time.process_time()

    @property
    def passed_s(self) -> float:
        clock_s, own_s = time.perf_counter() - self._clock_s, time.process_time() - self._own_s
        return min(clock_s, own_s) if own_s > 0 else clock_s


def made(env: str, lanes: int = 0, **options: Any) -> tuple[Any, float]:
    """(env, seconds until it is there)."""
    begin = Watch()
    env_id = FAMILIES[env].env_id
    found = gym.make_vec(env_id, lanes, None, None, None, **options) if lanes else gym.make(env_id, **options)
    return found, begin.passed_s


def memory_mb() -> float:
    """Most memory that this process held."""
    # getrusage also counts what the process held that this one was forked from
    held = Path("/proc/self/status").read_text(encoding="ascii")
    return int(held.partition("VmHWM:")[2].split()[0]) / 1024


def each_s(act: Callable[[], object]) -> float:
    """Seconds of a call that has been called before: best of five runs, of one where it takes long."""
    act()
    calls, run_s = 1, _run_s(act, 1)
    while run_s < LEAST_S:
        calls, run_s = calls * 4, _run_s(act, calls * 4)
    runs = 5 if run_s < 1.0 else 1
    return min(run_s, *(_run_s(act, calls) for _ in range(runs))) / calls


def _run_s(act: Callable[[], object], calls: int) -> float:
    begin = Watch()
    for _ in range(calls):
        act()
    return begin.passed_s


def took_s(act: Callable[[], object]) -> float:
    begin = Watch()
    act()
    return begin.passed_s


def scalar(env: str, fields: Callable[[int], dict[str, Any]], size: int, **options: Any) -> Point:
    """A scalar env with random actions; resets are among the steps."""
    found, set_up_s = made(env, **fields(size), **options)
    found.reset(seed=0)
    found.action_space.seed(0)
    actions = [found.action_space.sample() for _ in range(8)]
    taken = iter(range(10**9))

    def step() -> None:
        _, _, terminated, truncated, _ = found.step(actions[next(taken) % 8])
        if terminated or truncated:
            found.reset()

    return {"set-up": set_up_s, "first step": took_s(step), "scalar step": each_s(step), "memory": memory_mb()}


def batch(env: str, fields: Callable[[int], dict[str, Any]], size: int, lanes: int = LANES, **options: Any) -> Point:
    """A batch env with random actions; a step is one of all lanes."""
    found, set_up_s = made(env, lanes, **fields(size), **options)
    found.reset(seed=0)
    found.action_space.seed(0)
    actions = [found.action_space.sample() for _ in range(8)]
    taken = iter(range(10**9))
    step_s = each_s(lambda: found.step(actions[next(taken) % 8]))
    return {"set-up": set_up_s, "batch step": step_s, "memory": memory_mb()}


def batch_of_lanes(env: str, lanes: int, **options: Any) -> Point:
    return batch(env, lambda _: {}, lanes, lanes, **options)


def system_of(env: str, fields: Mapping[str, Any], **options: Any) -> Any:
    return made(env, **fields, **options)[0].unwrapped.dynamics.system


def spatial(planner: str, fields: Callable[[int], dict[str, Any]], size: int) -> Point:
    """A planner of DistrEdge's comparison, asked for the first time."""
    system = system_of("distredge", fields(size))
    return {"plan": took_s(lambda: SPATIAL[planner](system))}


def joint(fields: Callable[[int], dict[str, Any]], size: int) -> Point:
    """The joint search's start, baselines included, and its generations thereafter."""
    system, ends, begin = system_of("distredge", fields(size)), list[float](), Watch()

    def ended(generation: int, latency_s: float) -> None:
        ends.append(begin.passed_s)
        if generation == GENERATIONS:
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        JointSearch(system).search(ended)
    generation_s = (ends[-1] - ends[0]) / (len(ends) - 1)
    return {"until the first generation": ends[0], "generation": generation_s, "memory": memory_mb()}


def hybrid(planner: str, steps: int) -> Point:
    """A planner of HierTrain's comparison, asked for the first time."""
    system = system_of("hiertrain", of_steps(steps), optimum=False)
    plan = {**HYBRID, **ASSIGNMENTS}[planner](system)
    return {"plan": took_s(lambda: plan(*system.nominal))}


def cycle(agent: str, sites: int) -> Point:
    """An EdgeMove agent's decision and the cycle after it, mean of an episode's first cycles."""
    env, _ = made("edgemove", n_sites=sites, optimum=False, **get_spec("edgemove", agent).env_kwargs)
    decides, (observation, _), state = make_agent("edgemove", agent, env, 0), env.reset(seed=0), None
    batched = {name: values[None] for name, values in observation.items()}
    cycles, begin = 0, Watch()
    while cycles < 50 and begin.passed_s < 5.0:
        actions, state = decides.predict(batched, state)
        observation, _, terminated, _, _ = env.step(actions[0])
        batched, cycles = {name: values[None] for name, values in observation.items()}, cycles + 1
        if terminated:
            break
    return {"cycle": begin.passed_s / cycles}


def distredge(fields: Callable[[int], dict[str, Any]]) -> dict[str, Job]:
    """All of DistrEdge's jobs along an axis."""
    jobs: dict[str, Job] = {}
    for partition in ("lc-pss", "learned"):
        jobs[f"DistrEdge {partition}"] = partial(scalar, "distredge", fields, partition=partition)
        jobs[f"DistrEdge {partition} of {LANES} lanes"] = partial(batch, "distredge", fields, partition=partition)
    jobs["joint"] = partial(joint, fields)
    return {**jobs, **{planner: partial(spatial, planner, fields) for planner in SPATIAL}}


AXES: Mapping[str, Mapping[str, Job]] = {
    "devices": distredge(of_devices),
    "units": distredge(of_units) | {env: partial(scalar, env.lower(), of_units) for env in ("L2S", "EdgeMove")},
    "lanes": {family.title.partition(":")[0]: partial(batch_of_lanes, name) for name, family in FAMILIES.items()}
    | {"DistrEdge learned": partial(batch_of_lanes, "distredge", partition="learned")},
    "sites": {
        "EdgeMove": partial(scalar, "edgemove", of_sites),
        f"EdgeMove of {LANES} lanes": partial(batch, "edgemove", of_sites),
        "EdgeMove, as many in reach": partial(scalar, "edgemove", sites_apart),
        f"EdgeMove of {LANES} lanes, as many in reach": partial(batch, "edgemove", sites_apart),
        **{agent: partial(cycle, agent) for agent in ("edgemove", "pipedream-e", "lookahead", "oracle")},
    },
    "steps": {
        "HierTrain": partial(scalar, "hiertrain", of_steps),
        f"HierTrain of {LANES} lanes": partial(batch, "hiertrain", of_steps),
        **{planner: partial(hybrid, planner) for planner in ("hiertrain", "exact", "jointdnn+")},
    },
}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_S, MOST_S))
    axis, job, size = sys.argv[1:]
    print(json.dumps(AXES[axis][job](int(size))))
