"""Eq. 5-10 as lines: what a sample costs each worker, for a mapping and two cuts with three workers at work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .cost import link_rates
from .schedule import ROLES
from .system import System

Ways = tuple[np.ndarray, np.ndarray]  # forward and backward


@dataclass(frozen=True)
class Lines:
    """Seconds a sample of every case, forward and backward: of o, s and l in front of m_s, of o and l behind it."""

    front_o: Ways
    front_s: Ways
    front_l: Ways
    behind_o: Ways
    behind_l: Ways
    fixed: np.ndarray

    def least(self, case: np.ndarray, low: np.ndarray, high: np.ndarray, batch: int) -> np.ndarray:
        """Lower bound of the cost of cases for all b_l in low..high and all b_s, fractions allowed."""
        bound = self.fixed[case].copy()
        rest = batch - high
        for way in range(2):
            of_o, of_s = self.front_o[way][case], self.front_s[way][case]
            total = of_o + of_s
            meet = np.divide(of_o * of_s, total, out=np.zeros_like(total), where=total > 0)
            bound += np.maximum(rest * meet, low * self.front_l[way][case])
            bound += np.maximum(rest * self.behind_o[way][case], low * self.behind_l[way][case])
        return bound


def lines_of(
    system: System, mapping: np.ndarray, m_s: np.ndarray, m_l: np.ndarray, device_edge: float, edge_cloud: float
) -> Lines:
    """The lines of cases: columns of ``ROLES`` and cuts (cases,), under rates in bit/s."""
    o, s, l = ROLES[:, mapping]  # noqa: E741
    incoming, so, lo = link_rates(system, ROLES, np.ones((3, 6), dtype=bool), device_edge, edge_cloud)
    incoming, so, lo = incoming[:, mapping] * system.sample_bits, so[mapping], lo[mapping]
    forward, backward, n = system.forward_s, system.backward_s, system.n_layers
    s_out, l_out = system.output_bits[m_s] * so, system.output_bits[m_l] * lo
    update = np.max([system.update_s[o, n], system.update_s[s, m_s], system.update_s[l, m_l]], axis=0)
    weights = system.weight_bits
    tail = forward[o, n] - forward[o, m_l] + backward[o, n] - backward[o, m_l]
    return Lines(
        front_o=(incoming[0] + forward[o, m_s], backward[o, m_s]),
        front_s=(incoming[1] + forward[s, m_s] + s_out, backward[s, m_s] + s_out),
        front_l=(incoming[2] + forward[l, m_s], backward[l, m_s]),
        behind_o=(forward[o, m_l] - forward[o, m_s], backward[o, m_l] - backward[o, m_s]),
        behind_l=(forward[l, m_l] - forward[l, m_s] + l_out, backward[l, m_l] - backward[l, m_s] + l_out),
        fixed=system.batch * tail + update + 2.0 * np.maximum(weights[m_s] * so, weights[m_l] * lo),
    )
