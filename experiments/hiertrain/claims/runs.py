"""What HierTrain's claims are judged by: iterations by rate and scheme, edge cores, planning, measured iterations."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ....agents.hiertrain.layerwise import ASSIGNMENTS
from ....agents.hiertrain.planners import PLANNERS
from ....envs.hiertrain.cost import iteration_s, layers_s
from ....envs.hiertrain.planning import Best, ExactPlanner
from ....envs.hiertrain.scenarios import SWEEP_MBPS, get_scenario
from ....envs.hiertrain.schedule import ROLES, alone, schedules
from ....envs.hiertrain.system import CLOUD, DEVICE, EDGE, System
from ....envs.scenarios import Inputs

Found = dict[str, Any]
CORES = (1, 2, 3, 4)
JALAD_BITS = 8
READING = "HierTrain: the optimum of Eq. 12, which Algorithm 1 seeks; Algorithm 1 as printed beside it where it says so"


def sweep(model: str, inputs: Inputs) -> Found:
    """Iterations at every rate of Figs. 7-10: seconds by scheme, and what is done where."""
    seconds: dict[str, list[float]] = {}
    workers, in_cloud, exchanged = [], [], []
    joint: dict[str, list[float]] = {"jointdnn": [], "jointdnn+": []}
    for system in _systems(model, inputs):
        best = ExactPlanner(system).best(*system.nominal)
        row = {"hiertrain": best.seconds, "data-parallel": _data_parallel_s(system)}
        for name, worker in (("all-device", DEVICE), ("all-edge", EDGE), ("all-cloud", CLOUD)):
            row[name] = float(iteration_s(system, alone(worker, system.batch), *system.nominal)[0])
        for name, assignment in ASSIGNMENTS.items():
            owner = assignment(system)(*system.nominal)
            bits = JALAD_BITS if name == "jalad" else 32
            row[name] = float(layers_s(system, owner[:, None], *system.nominal, bits)[0])
            if name in joint:
                joint[name].append(float((owner == CLOUD).mean()))
        for name, value in row.items():
            seconds.setdefault(name, []).append(value)
        workers.append(int((best.plan.b[:, 0] > 0).sum()))
        in_cloud.append(_share_in_cloud(system, best))
        exchanged.append(_share_exchanged(system, best))
    return {
        "mbps": list(SWEEP_MBPS), "seconds": seconds, "workers": workers, "in_cloud": in_cloud, "exchanged": exchanged,
        "joint_in_cloud": joint, "provenance": _lines(system),
    }  # fmt: skip


def _systems(model: str, inputs: Inputs) -> list[System]:
    return [System(get_scenario(f"{model}-{mbps:g}", inputs=inputs)) for mbps in SWEEP_MBPS]


def _lines(system: System, *more: str) -> list[str]:
    return [READING, *system.provenance, "links: modelled (the scenario's constants)", *more]


def _data_parallel_s(system: System) -> float:
    """The least seconds where two or three have samples and train all layers: all ways to share the batch out."""
    batch, layers = system.batch, system.n_layers
    first, second = (side.ravel() for side in np.meshgrid(np.arange(batch + 1), np.arange(batch + 1)))
    b = np.stack([batch - first - second, first, second])
    b = b[:, (b[0] >= 0) & ((b > 0).sum(axis=0) > 1)]
    every = np.full(b.shape[1], layers)
    found = [schedules(ROLES[:, [mapping]], every, every, b) for mapping in range(ROLES.shape[1])]
    return min(float(iteration_s(system, plans, *system.nominal).min()) for plans in found)


def _share_in_cloud(system: System, best: Best) -> float:
    """Of all samples' passes through all layers, by seconds of one of the machines, what the cloud does."""
    plan = best.plan.canonical()
    work = (system.forward_s + system.backward_s)[EDGE]
    whole, short, long = (int(worker) for worker in plan.worker[:, 0])  # the paper's workers o, s and l
    b, m_s, m_l = plan.b[:, 0], int(plan.m_s[0]), int(plan.m_l[0])
    done = {short: b[1] * work[m_s], long: b[2] * work[m_l]}
    done[whole] = system.batch * work[-1] - sum(done.values())
    return float(done[CLOUD] / (system.batch * work[-1]))


def _share_exchanged(system: System, best: Best) -> float:
    """Of the network's parameters, those that workers exchange in an iteration."""
    plan = best.plan.canonical()
    if (plan.b[:, 0] > 0).sum() < 2 or not plan.b[0, 0] + plan.b[1, 0]:
        return 0.0
    return float(system.weight_bits[int(plan.m_l[0])] / system.weight_bits[-1])


def printed(model: str, inputs: Inputs) -> Found:
    """Iterations under Algorithm 1 as printed, relaxed and rounded, at every rate of Figs. 7-10."""
    found = []
    for system in _systems(model, inputs):
        plan = PLANNERS["hiertrain"](system)(*system.nominal)
        found.append(float(iteration_s(system, plan, *system.nominal)[0]))
    return {"mbps": list(SWEEP_MBPS), "seconds": found, "provenance": _lines(system)}


def cores(inputs: Inputs) -> Found:
    """AlexNet's iterations by edge cores and rate (Fig. 11): (rates, cores) seconds."""
    seconds = []
    for mbps in SWEEP_MBPS:
        systems = [System(get_scenario(f"alexnet-{mbps:g}-c{count}", inputs=inputs)) for count in CORES]
        seconds.append([ExactPlanner(system).best(*system.nominal).seconds for system in systems])
    return {"mbps": list(SWEEP_MBPS), "cores": list(CORES), "seconds": seconds, "provenance": _lines(systems[0])}


def machines(inputs: Inputs) -> Found:
    """Seconds of a sample's passes through AlexNet on every worker (Sec. VI-B)."""
    system = System(get_scenario("alexnet-3", inputs=inputs))
    device, edge, cloud = (system.forward_s + system.backward_s)[:, -1].tolist()
    return {"device": device, "edge": edge, "cloud": cloud, "provenance": _lines(system)}


def parameters(model: str) -> Found:
    """How many parameters a network has, and how many of them in fully connected layers."""
    system = System(get_scenario(f"{model}-3"))
    params = np.diff(system.weight_bits) / 32
    dense = np.array([name.startswith("fc") for name in system.names])
    line = f"parameters: counted, {system.model.name}"
    return {"all": float(params.sum()), "dense": float(params[dense].sum()), "provenance": [line]}


def planning(scenario: str) -> Found:
    """CPU seconds that Algorithm 1 and the exact planner take on this machine, and those of an iteration (Table 2)."""
    import scipy
    import scipy.optimize  # which the first plan would do, and is not planning

    system = System(get_scenario(scenario))
    seconds: dict[str, float] = {}
    for name in ("hiertrain", "exact"):
        planner = PLANNERS[name](system)
        begun = time.process_time()
        planner(*system.nominal)
        seconds[name] = time.process_time() - begun
    best = ExactPlanner(system).best(*system.nominal)
    told = f"planning: measured on this machine, SciPy {scipy.__version__}'s HiGHS in place of CPLEX"
    return {
        "layers": system.n_layers, "seconds": seconds, "iteration_s": best.seconds,
        "iterations": system.scenario.iterations, "provenance": _lines(system, told),
    }  # fmt: skip


def eight_bits() -> Found:
    """JALAD's trainings with few bits, as they ship."""
    from ...study_command import recorded, shipped
    from ..eight_bits import STUDY

    (summary,) = shipped(STUDY).values()
    return {**summary, "provenance": [recorded(summary)]}
