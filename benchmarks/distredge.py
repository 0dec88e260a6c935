"""The figures of DistrEdge."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from tempfile import TemporaryDirectory

import gymnasium as gym
import numpy as np
from measure import Figure, vector_rate

from splitgym.agents.distredge.baselines import PLANNERS, aofl
from splitgym.agents.distredge.joint import JointSearch
from splitgym.agents.distredge.plan_agent import ENV_KWARGS
from splitgym.agents.protocol import Learner
from splitgym.agents.registry import get_spec, hyperparams_of, make_agent
from splitgym.envs.distredge.best_known import BestKnown
from splitgym.envs.distredge.planning import lc_pss, partition_scores
from splitgym.envs.distredge.scenarios import GROUPS as SETTINGS
from splitgym.envs.distredge.scenarios import SCENARIOS, get_scenario
from splitgym.envs.distredge.system import System

VGG = [name for group in ("table1", "table2", "table3", "homogeneous") for name in SETTINGS[group]]
MANY = {"devices": ("xavier", "tx2", "nano", "pi3") * 16, "mbps": (50.0, 100.0, 200.0, 300.0) * 16}
FOUR = [name for name in VGG if len(SCENARIOS[name].devices) == 4]


def env_figures() -> Iterator[Figure]:
    """Env-steps a second of DistrEdge's environment with random actions, beside CartPole's."""
    cartpole = vector_rate(lambda: gym.make_vec("CartPole-v1", 1024, "vector_entry_point"), 500)
    yield Figure("CartPoleVectorEnv n=1024", cartpole, "steps/s")
    for name, kwargs in (
        ("DB-50 n=1024", {}),
        ("DB-50 learned partition n=1024", ENV_KWARGS),
        ("LB (16 devices) n=1024", {"scenario": "LB"}),
        ("64 devices n=1024", MANY),
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
    """How long `import splitgym.envs` takes, and whether it brings a heavy module."""
    code = (
        "import sys, time; t = time.perf_counter(); import splitgym.envs; t = time.perf_counter() - t;"
        "print(t, len({'torch', 'wandb', 'matplotlib'} & set(sys.modules)))"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(5)]
    seconds, heavy = min(tuple(map(float, r.stdout.split())) for r in runs)
    yield Figure("import splitgym.envs", seconds, "s")
    yield Figure("heavy modules it brings", heavy, "modules")


def kernel_figures() -> Iterator[Figure]:
    """How long the first episode takes where the kernels are still to be compiled, and where they have been."""
    code = (
        "import time, gymnasium as gym, splitgym.envs; t = time.perf_counter();"
        "env = gym.make('splitgym/DistrEdge-v0'); env.reset(seed=0)\n"
        "while not env.step(env.action_space.sample())[2]: pass\n"
        "print(time.perf_counter() - t)"
    )
    with TemporaryDirectory() as folder:
        for name in ("compiling", "with what was compiled"):
            environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
            command = [sys.executable, "-c", code]
            run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
            yield Figure(f"first DB-50 episode, {name}", float(run.stdout), "s")


def planner_figures() -> Iterator[Figure]:
    """How long planners think."""
    system = System(get_scenario("DB-50"))
    begin = time.perf_counter()
    aofl(system)
    yield Figure("AOFL plans VGG-16", time.perf_counter() - begin, "s")
    begin = time.perf_counter()
    scores = partition_scores(system.model, system.n_devices, 100)
    lc_pss(system.model, scores, system.scenario.alpha)
    yield Figure("LC-PSS VGG-16, 4 devices, 100 decisions", time.perf_counter() - begin, "s")


def joint_figures() -> Iterator[Figure]:
    """What the joint search finds on VGG-16 against the best baseline, with two seeds."""
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


def many_figures() -> Iterator[Figure]:
    """The joint search on 64 devices."""
    system = System(get_scenario("DB-50", **MANY))
    begin = time.perf_counter()
    _, latency_s = JointSearch(system, 0).search()
    yield Figure("joint, 64 devices", latency_s * 1e3, "ms")
    yield Figure("joint, 64 devices, time", time.perf_counter() - begin, "s")


def trained(agent: str, name: str, seed: int) -> tuple[float, float, System]:
    """(best latency, seconds, system) of a learner with its own budget."""
    env = gym.make("splitgym/DistrEdge-v0", scenario=name, **get_spec("distredge", agent).env_kwargs)
    learner = make_agent("distredge", agent, env, seed)
    assert isinstance(learner, Learner)
    begin = time.perf_counter()
    learner.learn(None, None, lambda report: None)
    seconds = time.perf_counter() - begin
    system = env.unwrapped.dynamics.system  # type: ignore[attr-defined]
    return float(system.evaluate([learner.best_plan])[0]), seconds, system


def osds_figures() -> Iterator[Figure]:
    """How long the paper's agent trains."""
    _, seconds, _ = trained("osds", "DB-50", 0)
    yield Figure("osds DB-50, 4000 episodes", seconds, "s")


def learned_figures() -> Iterator[Figure]:
    """What the default agent learns on four devices against AOFL and Offload, with three seeds."""
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
    "kernels": kernel_figures,
    "planners": planner_figures,
    "joint": joint_figures,
    "many": many_figures,
    "osds": osds_figures,
    "learned": learned_figures,
}
