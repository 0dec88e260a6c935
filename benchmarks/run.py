"""The figures that the project promises, one line each: name, value, unit, ratio to its reference in the same run.

    python benchmarks/run.py [--only NAME ...] [--json]

NAME is a group: env, import, planners, joint, osds, learned. Timings are single-threaded; run on an idle machine.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial

import gymnasium as gym
import numpy as np

import splitgym.envs
from splitgym.agents.core import Learner, hyperparams_of, make_agent
from splitgym.agents.distredge.baselines import PLANNERS, aofl
from splitgym.agents.distredge.joint import JointSearch
from splitgym.agents.distredge.plan_agent import ENV_KWARGS
from splitgym.envs.distredge.best_known import BestKnown
from splitgym.envs.distredge.planning import lc_pss, partition_scores
from splitgym.envs.distredge.scenarios import SCENARIOS, get_scenario
from splitgym.envs.distredge.system import System

VGG = [s.name for s in SCENARIOS.values() if s.model == "vgg16" and not s.varies]
FOUR = [name for name in VGG if len(SCENARIOS[name].devices) == 4]


@dataclass
class Figure:
    name: str
    value: float
    unit: str
    ratio: float | None = None
    reference: str = ""


def vector_rate(make: Callable[[], gym.vector.VectorEnv], steps: int, repeats: int = 7) -> float:
    """Best env-steps per second of several repeats with random actions."""
    env = make()
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(8)]
    best = 0.0
    for _ in range(repeats):
        begin = time.perf_counter()
        for step in range(steps):
            env.step(actions[step % 8])
        best = max(best, env.num_envs * steps / (time.perf_counter() - begin))
    return best


def env_figures() -> Iterator[Figure]:
    cartpole = vector_rate(lambda: gym.make_vec("CartPole-v1", 1024, "vector_entry_point"), 500)
    yield Figure("CartPoleVectorEnv n=1024", cartpole, "steps/s")
    for name, kwargs in (
        ("DB-50 n=1024", {}),
        ("DB-50 learned partition n=1024", ENV_KWARGS),
        ("LB (16 devices) n=1024", {"scenario": "LB"}),
    ):
        rate = vector_rate(partial(gym.make_vec, "splitgym/DistrEdge-v0", 1024, None, None, None, **kwargs), 200)
        yield Figure(name, rate, "steps/s", rate / cartpole, "CartPoleVectorEnv")
    env = gym.make("splitgym/DistrEdge-v0")
    env.reset(seed=0)
    action, best = env.action_space.sample(), 0.0
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(3000):
            if env.step(action)[2]:
                env.reset()
        best = max(best, 3000 / (time.perf_counter() - begin))
    yield Figure("DB-50 scalar", best, "steps/s")


def import_figures() -> Iterator[Figure]:
    code = (
        "import sys, time; t = time.perf_counter(); import splitgym.envs; t = time.perf_counter() - t;"
        "print(t, len({'torch', 'wandb', 'matplotlib'} & set(sys.modules)))"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(5)]
    seconds, heavy = min(tuple(map(float, r.stdout.split())) for r in runs)
    yield Figure("import splitgym.envs", seconds, "s")
    yield Figure("heavy modules it brings", heavy, "modules")


def planner_figures() -> Iterator[Figure]:
    system = System(get_scenario("DB-50"))
    begin = time.perf_counter()
    aofl(system)
    yield Figure("AOFL plans VGG-16", time.perf_counter() - begin, "s")
    begin = time.perf_counter()
    scores = partition_scores(system.model, system.n_devices, 100)
    stops = {alpha: lc_pss(system.model, scores, alpha) for alpha in (0.0, 0.75, 1.0)}
    yield Figure("LC-PSS VGG-16, 4 devices, 100 decisions", time.perf_counter() - begin, "s")
    for alpha, cuts in stops.items():
        yield Figure(f"LC-PSS volumes at alpha={alpha:g}", len(cuts), "volumes")


def joint_figures() -> Iterator[Figure]:
    for name in VGG:
        system = System(get_scenario(name))
        baseline = min(float(system.evaluate([planner(system)])[0]) for planner in PLANNERS.values())
        options, found = hyperparams_of("distredge", "joint", name), []
        begin = time.perf_counter()
        for seed in (0, 1):
            found.append(JointSearch(system, seed, **options).search()[1])
        seconds = (time.perf_counter() - begin) / 2
        yield Figure(f"joint {name}", min(found) * 1e3, "ms", min(found) / baseline, "best baseline")
        yield Figure(f"joint {name} time", seconds, "s")
        yield Figure(f"joint {name} seeds differ", 100 * (max(found) / min(found) - 1), "%")


def trained(agent: str, name: str, seed: int) -> tuple[float, float, System]:
    """(best latency, seconds, system) of a learner with its own budget."""
    from splitgym.agents.core import get_spec

    env = gym.make("splitgym/DistrEdge-v0", scenario=name, **get_spec("distredge", agent).env_kwargs)
    learner = make_agent("distredge", agent, env, seed)
    assert isinstance(learner, Learner)
    begin = time.perf_counter()
    learner.learn(None, None, lambda report: None)
    seconds = time.perf_counter() - begin
    system = env.unwrapped.dynamics.system  # type: ignore[attr-defined]
    return float(system.evaluate([learner.best_plan])[0]), seconds, system


def osds_figures() -> Iterator[Figure]:
    latency, seconds, system = trained("osds", "DB-50", 0)
    yield Figure("osds DB-50, 4000 episodes", seconds, "s")
    yield Figure("osds DB-50", latency * 1e3, "ms", latency / system.reference_s, "Offload")


def learned_figures() -> Iterator[Figure]:
    for name in FOUR:
        runs = [trained("risk-seeking", name, seed) for seed in range(3)]
        mean, system = float(np.mean([r[0] for r in runs])), runs[0][2]
        bar = min(system.reference_s, float(system.evaluate([aofl(system)])[0]))
        best = float(BestKnown(system).latency_s(system.mbps[:, None])[0])
        yield Figure(
            f"risk-seeking {name}, mean of 3 seeds", mean * 1e3, "ms", mean / bar, "better of AOFL and Offload"
        )
        yield Figure(f"risk-seeking {name} gap to best known", 100 * (mean / best - 1), "%")
        yield Figure(f"risk-seeking {name} time", max(r[1] for r in runs), "s")


GROUPS: dict[str, Callable[[], Iterator[Figure]]] = {
    "env": env_figures,
    "import": import_figures,
    "planners": planner_figures,
    "joint": joint_figures,
    "osds": osds_figures,
    "learned": learned_figures,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS), metavar="NAME")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    args = parser.parse_args()
    assert splitgym.envs.FAMILIES
    for group in args.only:
        for figure in GROUPS[group]():
            if args.json:
                print(json.dumps(asdict(figure)), flush=True)
                continue
            ratio = "" if figure.ratio is None else f"{figure.ratio:8.3f} x {figure.reference}"
            print(f"{figure.name:52s} {figure.value:14,.4g} {figure.unit:9s} {ratio}", flush=True)


if __name__ == "__main__":
    main()
