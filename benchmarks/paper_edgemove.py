"""What EdgeMove's paper claims; the paper's EdgeMove is the one as printed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from claims import Claim, Told, figure, order
from edgemove import SEEDS, iterations_after, mean_metrics

from splitgym.envs.edgemove.pipeline import path_s
from splitgym.envs.edgemove.planning import cut_periods
from splitgym.envs.edgemove.scenarios import PUBLISHED_SPEEDUPS, TASKS, get_scenario
from splitgym.envs.edgemove.system import System

SCHEMES = {"Device-Cloud": "device-cloud", "PipeDream-E": "pipedream-e", "EdgeMove": "edgemove-literal"}
WARM_UP_S = 50.0
SLOW_RATE, SLOW_RTT_S = 0.1, 0.17  # of the link, Fig. 10's conditions (assumption)


@cache
def means(agent: str, scenario: str, inputs: str) -> dict[str, float]:
    """Metrics over ten trajectories, the mean of the seeds."""
    found = [mean_metrics(agent, scenario, seed, {"inputs": inputs}) for seed in SEEDS]
    return {name: float(np.mean([metrics[name] for metrics in found])) for name in found[0]}


def seconds(agent: str, scenario: str, inputs: str) -> float:
    return means(agent, scenario, inputs)["elapsed_s"]


def speedup(agent: str, task: str, inputs: str) -> float:
    return seconds("on-device", task, inputs) / seconds(agent, task, inputs)


def table_1() -> Iterator[Claim]:
    for task, published in PUBLISHED_SPEEDUPS.items():
        for value, (name, agent) in zip(published, SCHEMES.items(), strict=True):
            yield figure(
                "edgemove", f"Table 1, {task}, {name}", value,
                lambda inputs, agent=agent, task=task: speedup(agent, task, inputs),
                fitted=name == "Device-Cloud",
            )  # fmt: skip
    for task in TASKS:

        def rising(inputs: str, task: str = task) -> Told:
            found = [1.0, *(speedup(agent, task, inputs) for agent in SCHEMES.values())]
            return bool((np.diff(found) > 0).all()), " ".join(f"{s:.2f}" for s in found[1:])

        yield order("edgemove", f"Table 1, {task}: 1 < D-C < PD-E < EM", "yes", rising)


def double_speed() -> Iterator[Claim]:
    """Fig. 8."""

    def longer(agent: str, inputs: str) -> float:
        shares = [seconds(agent, f"{task}-x2", inputs) / seconds(agent, task, inputs) - 1.0 for task in TASKS]
        return 100.0 * float(np.mean(shares))

    def more(inputs: str) -> Told:
        found = longer("pipedream-e", inputs), longer("edgemove-literal", inputs)
        return found[0] > found[1], "{:+.1f} {:+.1f} %".format(*found)

    yield figure(
        "edgemove", "Fig. 8, twice the speed, PipeDream-E", 44.2, lambda inputs: longer("pipedream-e", inputs),
        "a new worker costs it a cycle of profiling and seconds of moving weights, not minutes", unit="%",
    )  # fmt: skip
    yield order("edgemove", "Fig. 8, PipeDream-E suffers more than EdgeMove", "44 > 0 %", more)
    for name, agent in {"Device-Cloud": "device-cloud", "EdgeMove": "edgemove-literal"}.items():

        def same(inputs: str, agent: str = agent) -> Told:
            found = longer(agent, inputs)
            return abs(found) < 5.0, f"{found:+.1f} %"

        yield order("edgemove", f"Fig. 8, twice the speed, {name}", "about 0 %", same)


def adaptation() -> Iterator[Claim]:
    """Figs. 6 and 9."""
    for task in TASKS:

        def behind(inputs: str, task: str = task) -> Told:
            done = [
                iterations_after(a, task, WARM_UP_S, {"inputs": inputs}) for a in ("edgemove-literal", "pipedream-e")
            ]
            return done[0] < done[1], f"{done[0] / done[1]:.2f} x PD-E"

        yield order(
            "edgemove", f"Fig. 6, {task}: behind PD-E at {WARM_UP_S:g} s", "yes", behind,
            "PipeDream-E's first profiling is before training and free, yet Alg. 1's first cut is no worse than its",
        )  # fmt: skip
    for metric, name in (("worker_switches", "changes of worker"), ("adaptation_s", "time adapting")):

        def exceeds(inputs: str, metric: str = metric) -> Told:
            ours, theirs = (
                float(np.mean([means(agent, task, inputs)[metric] for task in TASKS]))
                for agent in ("edgemove-literal", "pipedream-e")
            )
            return ours > theirs, f"{ours:.1f} > {theirs:.1f}"

        yield order("edgemove", f"Fig. 9, {name}: EdgeMove > PipeDream-E", "yes", exceeds)


def network() -> Iterator[Claim]:
    """Figs. 2 and 10, by the pipeline's model."""

    def communication(inputs: str) -> float:
        shares = []
        for task in TASKS:
            system = System(get_scenario(task, inputs=inputs))
            setting = system.scenario
            rate, rtt_s = 1e6 * setting.cloud_mbps, float(np.mean(setting.cloud_rtt_s))
            cut = 1 + int(cut_periods(system, system.server_s[-1, 1:-1, None], rate, rtt_s).argmin())
            link_s = float(system.link_bits[cut]) / rate
            whole_s = path_s(system.client_s[cut], system.server_s[-1, cut], link_s, link_s, rtt_s)
            shares.append((2.0 * link_s + rtt_s) / whole_s)
        return 100.0 * float(np.mean(shares))

    def cuts(inputs: str) -> Told:
        system = System(get_scenario("vgg16-cifar10", inputs=inputs))
        near, low_s = 1e6 * system.scenario.near_mbps, system.scenario.edge_rtt_s[0]
        links = [(rate, rtt_s) for rtt_s in (low_s, SLOW_RTT_S) for rate in (near, SLOW_RATE * near)]
        found = [1 + int(cut_periods(system, system.server_s[0, 1:-1, None], *link).argmin()) for link in links]
        return len(set(found)) > 1, " ".join(map(str, found))

    yield figure(
        "edgemove", "Fig. 2, communication under Device-Cloud", 42.3, communication,
        "its best cuts still send for longer than they compute", unit="%",
    )  # fmt: skip
    yield order("edgemove", "Fig. 10, the best cut hangs on the network", "yes", cuts)


def claims() -> Iterator[Claim]:
    for part in (table_1, double_speed, adaptation, network):
        yield from part()
