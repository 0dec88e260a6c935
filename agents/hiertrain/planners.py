"""HierTrain's planner as printed (paper, Sec. V, Alg. 1), the exact one, and all on one worker."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ...envs.hiertrain.cost import iteration_s
from ...envs.hiertrain.lines import Lines, lines_of
from ...envs.hiertrain.planning import ExactPlanner
from ...envs.hiertrain.schedule import ROLES, Schedules, alone, schedules
from ...envs.hiertrain.system import CLOUD, DEVICE, EDGE, System

Plan = Callable[[float, float], Schedules]  # rates of device-edge and edge-cloud in bit/s -> one schedule


def hiertrain(system: System) -> Plan:
    """Alg. 1: for every mapping and pair of cuts the relaxed linear program of Eq. 16-19, rounded, scored by Eq. 12."""

    def plan(device_edge: float, edge_cloud: float) -> Schedules:
        m_s, m_l = np.triu_indices(system.n_layers + 1)
        mapping, m_s, m_l = np.repeat(np.arange(6), len(m_s)), np.tile(m_s, 6), np.tile(m_l, 6)
        lines = lines_of(system, mapping, m_s, m_l, device_edge, edge_cloud)
        relaxed = [_relaxed(lines, case, int(m_s[case]), int(m_l[case]), system.batch) for case in range(len(m_s))]
        found = schedules(ROLES[:, mapping], m_s, m_l, np.array([rounded(b, system.batch) for b in relaxed]).T)
        best = int(iteration_s(system, found, device_edge, edge_cloud).argmin())
        return found.take(np.array([best])).canonical()

    return plan


def _relaxed(lines: Lines, case: int, m_s: int, m_l: int, batch: int) -> np.ndarray:
    """(3,) samples of o, s and l, fractions allowed: variables b_o, b_s, b_l and the four maxima of Eq. 5-8."""
    from scipy.optimize import linprog

    rows = []
    for way in range(2):
        for place, ways in enumerate((lines.front_o, lines.front_s, lines.front_l)):
            rows.append(_row({place: ways[way][case], 3 + way: -1.0}))
        behind_o = lines.behind_o[way][case]
        rows.append(_row({0: behind_o, 1: behind_o, 5 + way: -1.0}))
        rows.append(_row({2: lines.behind_l[way][case], 5 + way: -1.0}))
    bounds = [(0, None), (0, m_s * batch), (0, m_l * batch), *[(0, None)] * 4]
    solved = linprog(
        [0, 0, 0, 1, 1, 1, 1], rows, np.zeros(len(rows)), [[1, 1, 1, 0, 0, 0, 0]], [batch], bounds, method="highs"
    )
    return solved.x[:3]


def _row(values: dict[int, float]) -> list[float]:
    return [values.get(i, 0.0) for i in range(7)]


def rounded(b: np.ndarray, batch: int) -> np.ndarray:
    """The paper's rounding (Sec. V): the largest fractions are rounded up until the samples sum to the batch.

    A solution that is integral already stays.
    """
    near = np.rint(b)
    if np.abs(b - near).max() < 1e-6:
        return near.astype(np.intp)
    whole = np.floor(b + 1e-9)
    order = np.argsort(-(b - whole), kind="stable")
    whole[order[: round(batch - whole.sum())]] += 1
    return whole.astype(np.intp)


def exact(system: System) -> Plan:
    """The optimum over every schedule."""
    planner = ExactPlanner(system)
    return lambda device_edge, edge_cloud: planner.best(device_edge, edge_cloud).plan


def _alone(worker: int, system: System) -> Plan:
    return lambda device_edge, edge_cloud: alone(worker, system.batch)


PLANNERS: dict[str, Callable[[System], Plan]] = {
    "hiertrain": hiertrain,
    "exact": exact,
    "all-device": partial(_alone, DEVICE),
    "all-edge": partial(_alone, EDGE),
    "all-cloud": partial(_alone, CLOUD),
}
