"""What DistrEdge's paper claims of changing links (Sec. V-F, Figs. 11 and 12), and how its agents do there.

    python benchmarks/paper_distredge_online.py [--seeds 3] [--images 200] [--budget narrow] [--inputs paper]

prints the mean latency of every agent, by seed; --budget paper takes a quarter of an hour a seed. The claims play one
seed with the narrow budget: two small nets that learn ten times as fast in 600 and 150 episodes, with exploration over
in the first 125, instead of the paper's nets and rates in 4000 and (the paper names none) 1000.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from claims import Claim, Told, band, order

from splitgym.agents.registry import get_spec
from splitgym.envs import FAMILIES
from splitgym.envs.distredge.best_known import BestKnown
from splitgym.envs.distredge.scenarios import get_scenario
from splitgym.envs.distredge.system import System
from splitgym.experiments.play import assess

SCENARIO, FAMILY = "dynamic-nano", FAMILIES["distredge"]
AGENTS = ("online", "aofl", "coedge", "offload")
BUDGETS: dict[str, dict[str, Any]] = {
    "narrow": {
        "episodes": 600, "finetune_episodes": 150, "delta_eps": 1 / 125, "actor_net": [64, 64], "critic_net": [64, 64],
        "actor_rate": 1e-3, "critic_rate": 1e-3,
    },
    "paper": {},
}  # fmt: skip
PUBLISHED = (0.40, 0.65)  # of AOFL's latency
SHIFTS_S, NOTICED_S = (1200.0, 2400.0), 300.0  # when the traces' means shift, and time to notice it
SEED, IMAGES = 0, 200
FEW = "the narrow budget's splits are not the best at the rates it trains at, and AOFL splits every image anew"


@dataclass(frozen=True)
class Hour:
    """One agent on one trace.

    Attributes:
        clock_s, latency_s, best_s: (images,) when each was sent, what it took, the best of the bank at its rates.
        strategies, asked: (images,) how many had served and been asked for.
        cpu_s: CPU time of planning and playing.
    """

    clock_s: np.ndarray
    latency_s: np.ndarray
    best_s: np.ndarray
    strategies: np.ndarray
    asked: np.ndarray
    cpu_s: float


@cache
def hour(agent: str, inputs: str, seed: int = SEED, budget: str = "narrow", images: int = IMAGES) -> Hour:
    """An agent on the seed's trace."""
    options = {"inputs": inputs}
    begun = time.process_time()
    hyperparams = BUDGETS[budget] if agent == "online" else {}
    result = assess(FAMILY, get_spec("distredge", agent), SCENARIO, options, seed, images, hyperparams)
    series = result.series
    assert series is not None
    latency_s = series["latency_s"]
    best = BestKnown(System(get_scenario(SCENARIO, **options))).latency_s(series["mbps"].T)
    strategies, cpu_s = series["strategies"], time.process_time() - begun
    return Hour(series["clock_s"], latency_s, best, strategies, strategies + series["replanning"], cpu_s)


def ratio(agent: str, other: str, inputs: str) -> float:
    return float(hour(agent, inputs).latency_s.mean() / hour(other, inputs).latency_s.mean())


def bound(inputs: str) -> float:
    """The best plan known at every image's rates, of AOFL's latency; NaN where none is known."""
    aofl = hour("aofl", inputs)
    return float(aofl.best_s.mean() / aofl.latency_s.mean())


def claims() -> Iterator[Claim]:
    def below(agent: str, other: str, inputs: str) -> Told:
        share = ratio(agent, other, inputs)
        return share < 1.0, f"{100 * share:.0f} %"

    def noticed(inputs: str) -> Told:
        run = hour("online", inputs)
        asked_s = run.clock_s[1:][np.diff(run.asked) > 0]
        found = [np.any((asked_s >= shift) & (asked_s < shift + NOTICED_S)) for shift in SHIFTS_S]
        return all(found), f"{len(asked_s)} in the hour"

    def everywhere(inputs: str) -> Told:
        part = np.searchsorted(SHIFTS_S, hour("coedge", inputs).clock_s, side="right")
        means = {
            a: [hour(a, inputs).latency_s[part == p].mean() for p in range(3)] for a in ("coedge", "online", "aofl")
        }
        slowest = [means["coedge"][p] > max(means["online"][p], means["aofl"][p]) for p in range(3)]
        return all(slowest), f"in {sum(slowest)} of 3"

    name = "dynamic-nano: {}"
    yield band(
        "distredge", name.format("online DistrEdge, of AOFL's latency"), PUBLISHED,
        lambda inputs: [ratio("online", "aofl", inputs)],
        lambda: f"the best plan known at every image's rates takes {100 * bound('paper'):.0f} % already",
    )  # fmt: skip
    yield order("distredge", name.format("online < AOFL"), "yes", lambda i: below("online", "aofl", i), FEW)
    yield order("distredge", name.format("online < CoEdge"), "yes", lambda i: below("online", "coedge", i))
    yield order("distredge", name.format("AOFL < CoEdge"), "yes", lambda i: below("aofl", "coedge", i))
    yield order("distredge", name.format("CoEdge slowest, 20-minute parts"), "always", everywhere)
    yield order("distredge", name.format("new strategies at 20 and 40 min"), "yes", noticed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--budget", choices=BUDGETS, default="narrow")
    parser.add_argument("--inputs", choices=("paper", "devices"), default="paper")
    args = parser.parse_args()
    print("seed  agent     mean ms  of AOFL's  best known ms  strategies  CPU s")
    for seed in range(args.seeds):
        runs = {agent: hour(agent, args.inputs, seed, args.budget, args.images) for agent in AGENTS}
        aofl_s = runs["aofl"].latency_s.mean()
        for agent, run in runs.items():
            mean_s = run.latency_s.mean()
            print(
                f"{seed:4d}  {agent:8s} {1e3 * mean_s:8.1f}  {100 * mean_s / aofl_s:7.0f} %  "
                f"{1e3 * run.best_s.mean():13.1f}  {run.strategies[-1]:10d}  {run.cpu_s:5.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
