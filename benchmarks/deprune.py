"""The figures of Prune-Deprune: what was recorded, and the environment's speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import gymnasium as gym
import numpy as np
from measure import Figure, vector_rate

from splitgym.agents.protocol import Learner
from splitgym.agents.registry import agents_of, make_agent
from splitgym.envs import get_family
from splitgym.envs.deprune.curves import Curves, load_curves
from splitgym.envs.deprune.scenarios import DEFAULT_SCENARIO, SCENARIOS, get_scenario
from splitgym.envs.deprune.system import System
from splitgym.experiments.deprune.claims.runs import Run, by_seed, epochs_to_reach, points
from splitgym.experiments.intervals import interval
from splitgym.experiments.play import assess, make_env, play

ENV = "splitgym/Deprune-v0"
THREAD = "i7-7700k-1t"  # of the catalogue, one thread of a CPU, as the trainings had

COMPARED = (
    ("deprune", "no-compression"),
    ("deprune", "high-compression"),
    ("high-compression", "no-compression"),
)


def speed_figures() -> Iterator[Figure]:
    """Env-steps a second of Prune-Deprune's environment, and how long its best schedule takes to find."""
    yield Figure("vgg11-cifar10 n=1024", vector_rate(partial(gym.make_vec, ENV, 1024), 200), "steps/s")
    begin = time.perf_counter()
    assess(get_family("deprune"), agents_of("deprune")["best-schedule"], DEFAULT_SCENARIO, {})
    yield Figure("best schedule of 18 epochs and 6 budgets", 1e3 * (time.perf_counter() - begin), "ms")


def paired(label: str, one: Mapping[int, Run], other: Mapping[int, Run]) -> Iterator[Figure]:
    """Mean difference of final accuracies over common seeds, and half of its 95 % interval where there are several."""
    differences = points(one, other)
    if not differences:
        return
    mean, _, upper = interval(differences)
    yield Figure(f"{label}, mean of {len(differences)} seeds", mean, "points")
    if len(differences) > 1:
        yield Figure(f"{label}, +- of the 95 % interval", upper - mean, "points")


def recording_figures() -> Iterator[Figure]:
    """All recordings, also those that no claim is judged by: traffic, accuracies, pruning, module, filter, the fits."""
    for name, curves in load_curves().items():
        yield from _traffic(name, curves)
        for schedule in sorted({run["schedule"] for run in curves.runs}):
            runs = by_seed(curves.runs, schedule=schedule).values()
            values = 100.0 * np.array([run["accuracy"][-1] for run in runs])
            spread = f", spread {values.std(ddof=1):.2f}" if len(values) > 1 else ""
            yield Figure(f"{name} {schedule}: accuracy ({len(values)} seeds{spread})", float(values.mean()), "%")
        for one, other in COMPARED:
            yield from paired(f"{name} {one} - {other}", *(by_seed(curves.runs, schedule=s) for s in (one, other)))
        with_module, without = (by_seed(curves.runs, schedule=s) for s in ("no-compression", "without-module"))
        yield from paired(f"{name} module - without", with_module, without)
        yield from _pruning(name, curves)
        yield from _module(name, curves)
        yield from _filter(name, curves)


def _traffic(name: str, curves: Curves) -> Iterator[Figure]:
    """Feature maps and gradients that crossed the cut, deprune over no compression, and all bytes."""
    deprune, full = (next(iter(by_seed(curves.runs, schedule=s).values()), None) for s in ("deprune", "no-compression"))
    if deprune is None or full is None:
        return
    for label, kinds in (("maps and gradients", ("maps", "gradients")), ("all bytes", None)):
        sums = [sum(v for k, v in run["bytes"].items() if kinds is None or k in kinds) for run in (deprune, full)]
        yield Figure(f"{name} deprune, {label} of no compression", 100.0 * sums[0] / sums[1], "%")


def _pruning(name: str, curves: Curves) -> Iterator[Figure]:
    """Epochs until 98 % of what training from scratch reaches in the end: from scratch, and pruned."""
    for scratch in ("scratch-32", "scratch-4"):
        ratios, pairs = [], []
        for seed, run in by_seed(curves.runs, schedule=scratch).items():
            prune, budget = by_seed(curves.runs, schedule="prune").get(seed), run["budgets"][-1]
            if prune is None or budget not in prune["budgets"]:
                continue
            needed, spared = epochs_to_reach(run, prune)
            pairs.append(f"{needed:g}/{spared:g}")
            ratios.append(needed / spared)
        if ratios:
            yield Figure(f"{name} {scratch} over prune, epochs ({', '.join(pairs)})", float(np.mean(ratios)), "x")


def _module(name: str, curves: Curves) -> Iterator[Figure]:
    """What the module takes of a step, measured and modelled on one thread of a CPU, and what the fit does not know."""
    for schedule in ("no-compression", "high-compression"):
        shares = [run["module_s_per_step"] / run["step_s"] for run in by_seed(curves.runs, schedule=schedule).values()]
        if shares:
            yield Figure(f"{name} module's share of a step, {schedule}", 100.0 * float(np.mean(shares)), "%")
            modelled = 100.0 * _modelled_share(name, -1 if schedule == "no-compression" else 0)
            yield Figure(f"{name} module's share of a step, {schedule}, as modelled", modelled, "%")
    yield Figure(f"{name} error of the fit", curves.fit["error_points"], "points")
    if curves.fit["held_out_error_points"] is not None:
        yield Figure(f"{name} error on held-out runs", curves.fit["held_out_error_points"], "points")


def _modelled_share(name: str, budget: int) -> float:
    """The module's share of a step's arithmetic where one thread of a CPU does all of it."""
    system = System(get_scenario(name, inputs="devices", client=THREAD, server=THREAD))
    return float(system.module_s[budget] * system.steps / system.compute_s[budget])


def _filter(name: str, curves: Curves) -> Iterator[Figure]:
    """Whether the kept maps change, what a wire leaves of a soft mask, whether selectLr's factor matters."""
    entered = sum(run["entered_maps"] for run in (*curves.runs, *curves.beside))
    yield Figure(f"{name} maps that entered the kept ones, all runs", float(entered), "maps")
    for schedule in ("high-compression", "deprune"):
        runs = [run for run in by_seed(curves.runs, schedule=schedule).values() if "kept_share" in run]
        if not runs:
            continue
        at = _last_few(runs[0])
        kept = 100.0 * np.mean([run["kept_share"][at] for run in runs])
        yield Figure(f"{name} {schedule}: share of the filter's sum in the kept maps", float(kept), "%")
        if curves.provenance["settings"]["mask"] == "soft":
            soft, wire = (100.0 * np.mean([run[kind][at] for run in runs]) for kind in ("accuracy", "wire_accuracy"))
            yield Figure(f"{name} {schedule}: epoch {at + 1} at few maps, all of them weighted", float(soft), "%")
            yield Figure(f"{name} {schedule}: the same where the kept ones alone cross", float(wire), "%")
    raised, usual = by_seed(curves.runs, schedule="deprune"), curves.provenance["settings"]["gamma"]
    for gamma in sorted({run["gamma"] for run in curves.beside}):
        other = by_seed(curves.beside, schedule="deprune", gamma=gamma)
        yield from paired(f"{name} deprune, gamma {usual:g} - {gamma:g}", raised, other)


def _last_few(run: Run) -> int:
    """The last epoch at a run's smallest budget, from 0."""
    return max(i for i, budget in enumerate(run["budgets"]) if budget == min(run["budgets"]))


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
    "deprune-recordings": recording_figures,
    "deprune-learned": learned_figures,
}
