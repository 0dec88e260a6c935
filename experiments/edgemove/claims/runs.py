"""What the claims of EdgeMove's paper are judged by: trainings on ten walks, the pipeline's model, recorded trainings.

The paper's EdgeMove is the one as printed (``edgemove-literal``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....agents.registry import get_spec
from ....envs import get_family
from ....envs.edgemove.pipeline import path_s, period_s
from ....envs.edgemove.planning import cut_periods
from ....envs.edgemove.scenarios import TASKS
from ....envs.edgemove.system import System
from ....envs.scenarios import Inputs
from ...claims.results import recorded, short
from ...play import assess, make_env
from ..landscape import cut_times_s

FAMILY = get_family("edgemove")
WARM_UP_S, WARM_S = 50.0, 75.0  # EdgeMove's warm-up ends in between (Sec. 5.2)
POINTS = 60  # of a curve of progress
SLOW_RATE, SLOW_RTT_S = 0.1, 0.17  # of the link, Fig. 10's conditions (assumption)
CIFAR_IMAGES = 50_000
TASK = "vgg16-cifar10"
WITHOUT = {"optimum": False}  # nobody asks for it here, and it takes time

Found = dict[str, Any]


def training(agent: str, scenario: str, seed: int, inputs: Inputs) -> Found:
    """Metrics over the ten walks."""
    result = assess(FAMILY, get_spec(FAMILY.name, agent), scenario, {**WITHOUT, "inputs": inputs}, seed)
    kept = ("elapsed_s", "training_s", "adaptation_s", "cut_moves", "worker_switches", "probes")
    return {**{name: result.metrics[name] for name in kept}, "provenance": provenance(scenario, inputs)}


def progress(agent: str, scenario: str, seeds: int, inputs: Inputs) -> Found:
    """How trainings come along, one walk a seed: iterations when the warm-up ends, and their rate from then on."""
    begun, rates, curves = [], [], []
    for seed in range(seeds):
        options = {**WITHOUT, "inputs": inputs}
        trace = assess(FAMILY, get_spec(FAMILY.name, agent), scenario, options, seed, 1).trace
        assert trace is not None
        ends_s = np.append(0.0, trace["elapsed_s"].astype(float))
        done = np.append(0.0, np.cumsum(trace["iterations"], dtype=float))
        early, warm = (float(np.interp(at_s, ends_s, done)) for at_s in (WARM_UP_S, WARM_S))
        begun.append(early)
        rates.append((done[-1] - warm) / (ends_s[-1] - WARM_S))
        curves.append((ends_s, 100.0 * done / done[-1]))
    longest_s = max(float(ends_s[-1]) for ends_s, _ in curves)
    at_s = np.linspace(0.0, longest_s, POINTS)
    mean = np.mean([np.interp(at_s, *curve) for curve in curves], axis=0)
    return {
        "done_early": short(begun), "rate": short(rates), "at_s": short(at_s), "percent": short(mean),
        "provenance": provenance(scenario, inputs),
    }  # fmt: skip


def provenance(scenario: str, inputs: Inputs) -> Sequence[str]:
    """Where a scenario's numbers come from."""
    return make_env(FAMILY, scenario, {**WITHOUT, "inputs": inputs}).unwrapped.dynamics.provenance


def minibatch(task: str, inputs: Inputs) -> Found:
    """What a minibatch takes on the client alone, with the cloud, and with an edge server: Fig. 2, without a load.

    For the first cut, as the figure has it, and for the one that makes the pipeline with the cloud fastest.
    """
    dynamics = make_env(FAMILY, task, {**WITHOUT, "inputs": inputs}).unwrapped.dynamics
    system: System = dynamics.system
    setting = system.scenario
    links = {
        "cloud": (len(setting.gpus), 1e6 * setting.cloud_mbps, float(np.mean(setting.cloud_rtt_s))),
        "edge": (0, 1e6 * setting.near_mbps, float(np.mean(setting.edge_rtt_s))),
    }
    found: Found = {"device_s": system.on_device_iteration_s, "provenance": dynamics.provenance}
    kind, rate, rtt_s = links["cloud"]
    best = 1 + int(cut_periods(system, system.server_s[kind, 1:-1, None], rate, rtt_s).argmin())
    for name, cut in (("first", 1), ("best", best)):
        found[name] = {where: _parts(system, cut, *link) for where, link in links.items()}
    return found


def _parts(system: System, cut: int, kind: int, rate: float, rtt_s: float) -> Found:
    link_s = float(system.link_bits[cut]) / rate
    client_s, server_s = float(system.client_s[cut]), float(system.server_s[kind, cut])
    way = client_s, server_s, link_s, link_s, rtt_s
    return {
        "behind": system.names[cut - 1], "client_s": client_s, "server_s": server_s,
        "communication_s": 2.0 * link_s + rtt_s, "way_s": float(path_s(*way)),
        "period_s": float(period_s(*way, system.scenario.in_flight)),
    }  # fmt: skip


def conditions(inputs: Inputs) -> Found:
    """VGG-16's time of an iteration at every cut, by four conditions of the link (Fig. 10)."""
    dynamics = make_env(FAMILY, TASK, {**WITHOUT, "inputs": inputs}).unwrapped.dynamics
    system: System = dynamics.system
    near, low_s = 1e6 * system.scenario.near_mbps, system.scenario.edge_rtt_s[0]
    links = {
        f"{rate / 1e6:g} Mbit/s, {1e3 * rtt_s:g} ms": (rate, rtt_s)
        for rtt_s in (low_s, SLOW_RTT_S)
        for rate in (near, SLOW_RATE * near)
    }
    return {
        "names": system.names[:-1],
        "device_s": system.on_device_iteration_s,
        "period_s": {name: short(cut_times_s(system, *link)[0]) for name, link in links.items()},
        "provenance": dynamics.provenance,
    }


def cycles(seeds: int, inputs: Inputs) -> Found:
    """How much the time of a training cycle varies where nothing else does: on the client alone; a number a seed."""
    traces = [
        assess(FAMILY, get_spec(FAMILY.name, "on-device"), TASK, {**WITHOUT, "inputs": inputs}, seed, 1).trace
        for seed in range(seeds)
    ]
    per_iteration = [trace["cycle_s"] / trace["iterations"] for trace in traces if trace is not None]
    return {
        "variation": short([one.std() / one.mean() for one in per_iteration]),
        "over_mean": short(per_iteration[0] / per_iteration[0].mean()),
        "cycle": TASKS[TASK].cycle,
        "provenance": provenance(TASK, inputs),
    }


def epoch(device: str, inputs: Inputs) -> Found:
    """Seconds of an epoch of CIFAR-10 with VGG-16 on a server's GPU alone."""
    dynamics = make_env(FAMILY, TASK, {**WITHOUT, "inputs": inputs}).unwrapped.dynamics
    system: System = dynamics.system
    kind = system.scenario.gpus.index(device)
    iteration_s = float(system.server_s[kind, 0])
    return {"epoch_s": iteration_s * CIFAR_IMAGES / system.scenario.batch, "provenance": dynamics.provenance}


def stale_trainings(images: str) -> Found:
    """The recorded trainings in a pipeline (:mod:`.staleness`): test accuracy in points over modelled time, a row a
    seed, by minibatches in flight; one in flight is plain SGD, on the client alone ("0")."""
    from ...study_command import shipped
    from ..staleness import RATES, STUDY

    summary = shipped(STUDY)[images]
    runs = summary["runs"]
    kept = {
        key: [r["curve"] for r in runs if (r["in_flight"], r["moving"], r["rate"]) == (in_flight, False, RATES[0])]
        for key, in_flight in (("0", 1), ("2", 2))
    }
    return {
        "at_s": {key: [n * summary["minibatch_s"][key] for n in summary["minibatches"]] for key in kept},
        "curve": {key: [short(100.0 * np.array(curve)) for curve in curves] for key, curves in kept.items()},
        "provenance": [f"{recorded(summary, summary['settings']['model'])}; time: modelled for {summary['task']}"],
    }
