"""The best schedule under the paper's cost (Eq. 12), exactly: all mappings, all cuts, all whole numbers of samples.

Schedules with three workers are searched by branch and bound, all at once. For a mapping, cuts m_s <= m_l and b_l
samples of l, the terms of layers behind m_s are known, and those in front of it are two maxima over lines in b_s:

    T1 = max(b_o A, b_s S, b_l L) + max(b_o A', b_s S', b_l L'),   b_o + b_s = B - b_l.

A maximum of two lines has its least value in closed form, which bounds T1 from below for a whole range of b_l; what
survives is minimised over b_s at the kinks of T1. With two workers or one every schedule is evaluated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .cost import iteration_s
from .lines import Lines, lines_of
from .schedule import ROLES, Schedules, alone, schedules
from .system import System

CELL = 16  # values of b_l that are bounded together first
SLACK = 1e-9  # a bound and the cost that it bounds may be rounded differently


@dataclass(frozen=True)
class Best:
    """The optimum: its schedule (one) and its seconds."""

    plan: Schedules
    seconds: float


class ExactPlanner:
    """The exact planner of a scenario; asked for any rates.

    Args:
        system: the scenario.
    """

    def __init__(self, system: System) -> None:
        self.system = system

    @cached_property
    def _cuts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(mapping, m_s, m_l) of every case with three workers."""
        n = self.system.n_layers
        m_s, m_l = np.triu_indices(n)
        cases = len(m_s)
        return np.repeat(np.arange(6), cases), np.tile(m_s + 1, 6), np.tile(m_l + 1, 6)

    @cached_property
    def _few(self) -> Schedules:
        """Every schedule with one or two workers, and with share_links those of three where o has no samples."""
        n, batch = self.system.n_layers, self.system.batch
        mapping, m_l, b_l = (a.ravel() for a in np.meshgrid(range(6), range(1, n + 1), range(1, batch + 1)))
        found = [schedules(ROLES[:, mapping], np.zeros_like(m_l), m_l, np.stack([batch - b_l, 0 * b_l, b_l]))]
        found += [alone(worker, batch) for worker in range(3)]
        if self.system.scenario.share_links and batch > 1:  # without an input for o the flows are others
            mapping, m_s, m_l = self._cuts
            b_l = np.arange(1, batch)
            b = np.stack(np.broadcast_arrays(0, batch - b_l, b_l))
            case = np.repeat(np.arange(len(m_s)), batch - 1)
            found.append(schedules(ROLES[:, mapping[case]], m_s[case], m_l[case], np.tile(b, len(m_s))))
        return Schedules(*(np.concatenate([getattr(p, name) for p in found], axis=-1) for name in _FIELDS))

    def best(self, device_edge: float, edge_cloud: float) -> Best:
        """The optimum under rates in bit/s."""
        few = iteration_s(self.system, self._few, device_edge, edge_cloud)
        winner = int(few.argmin())
        best = Best(self._few.take(np.array([winner])), float(few[winner]))
        if self.system.batch < (3 if self.system.scenario.share_links else 2):
            return best
        case, b_l = self._survivors(device_edge, edge_cloud, best.seconds)
        if not case.size:
            return best
        found = self._finish(case, b_l, device_edge, edge_cloud)
        exact = iteration_s(self.system, found, device_edge, edge_cloud)
        winner = int(exact.argmin())
        if exact[winner] < best.seconds:
            best = Best(found.take(np.array([winner])), float(exact[winner]))
        return best

    def _survivors(self, device_edge: float, edge_cloud: float, bound: float) -> tuple[np.ndarray, np.ndarray]:
        """(case, b_l) pairs that may still beat the bound, by lower bounds on ranges of b_l, then on every b_l."""
        lines = lines_of(self.system, *self._cuts, device_edge, edge_cloud)
        most = self.system.batch - 1  # s keeps at least one sample
        starts = np.arange(1, most + 1, CELL)
        case = np.repeat(np.arange(len(lines.fixed)), len(starts))
        low = np.tile(starts, len(lines.fixed))
        high = np.minimum(low + CELL - 1, most)
        bound = min(bound, self._sampled(lines, case, (low + high) // 2, device_edge, edge_cloud))
        bound *= 1.0 + SLACK
        keep = lines.least(case, low, high, self.system.batch) <= bound
        case, low, high = case[keep], low[keep], high[keep]
        spread = (low[:, None] + np.arange(CELL)).ravel()
        case, inside = np.repeat(case, CELL), spread <= np.repeat(high, CELL)
        case, b_l = case[inside], spread[inside]
        keep = lines.least(case, b_l, b_l, self.system.batch) <= bound
        return case[keep], b_l[keep]

    def _sampled(self, lines: Lines, case: np.ndarray, b_l: np.ndarray, device_edge: float, edge_cloud: float) -> float:
        """The cost of a good guess: of the lowest bounds, the schedule with b_s where o's and s's lines meet."""
        least = lines.least(case, b_l, b_l, self.system.batch)
        some = np.argpartition(least, min(64, least.size - 1))[:64]
        plans = self._finish(case[some], b_l[some], device_edge, edge_cloud)
        return float(iteration_s(self.system, plans, device_edge, edge_cloud).min())

    def _finish(self, case: np.ndarray, b_l: np.ndarray, device_edge: float, edge_cloud: float) -> Schedules:
        """For every (case, b_l) the candidates for the best b_s: whole numbers beside every kink of T1."""
        lines, rest = lines_of(self.system, *self._cuts, device_edge, edge_cloud), self.system.batch - b_l
        kinks = [rest * 0.0 + 1.0, rest * 1.0]
        for of_o, of_s, of_l in zip(lines.front_o, lines.front_s, lines.front_l, strict=True):
            a, c, e = of_o[case], of_s[case], of_l[case] * b_l
            with np.errstate(divide="ignore", invalid="ignore"):
                kinks += [rest * a / (a + c), rest - e / a, e / c]
        most = rest - self.system.scenario.share_links  # where links are shared, o keeps a sample here
        b_s = np.stack([f(k) for k in kinks for f in (np.floor, np.ceil)])
        b_s = np.clip(np.nan_to_num(b_s, nan=1.0, posinf=1.0, neginf=1.0), 1, most).astype(np.intp)
        case, b_l = np.tile(case, len(b_s)), np.tile(b_l, len(b_s))
        b_s = b_s.ravel()
        mapping, m_s, m_l = (a[case] for a in self._cuts)
        return schedules(ROLES[:, mapping], m_s, m_l, np.stack([self.system.batch - b_l - b_s, b_s, b_l]))


_FIELDS = ("worker", "m_s", "m_l", "b")
