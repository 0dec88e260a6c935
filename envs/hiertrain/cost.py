"""Seconds of a training iteration under a schedule: the paper's model (Eq. 5-12) and the event-driven makespan.

Both are evaluated for many schedules at once, each under its own rates. They share the terms of :class:`Terms`; the
paper's model puts a barrier where s, and another where l, hands over to o, the makespan lets everyone go on at once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import kernels
from .kernels import PATH, event_s, paper_s
from .schedule import Schedules
from .system import System

__all__ = [
    "COSTS", "PATH", "Terms", "bit_s", "event_s", "hand_out_s", "iteration_s", "layers_s", "link_rates", "paper_s",
    "terms",
]  # fmt: skip
COSTS = {"paper": paper_s, "event": event_s}


class Terms(NamedTuple):
    """Seconds of everything that happens in an iteration, (n,) each, in canonical form.

    ``input``, ``front``, ``front_back``: (3, n) of o, s, l: receiving the samples; forward and backward of the layers
    up to m_s. ``middle``, ``middle_back``: (2, n) of o and l: layers m_s+1..m_l. ``tail``, ``tail_back``: o's last
    layers. ``output``: (2, n) of s and l: the output sent to o, and its gradient sent back. ``update``: (3, n).
    ``gradient``: (2, n) of s and l: one way of the weight exchange.
    """

    input: np.ndarray
    front: np.ndarray
    front_back: np.ndarray
    middle: np.ndarray
    middle_back: np.ndarray
    tail: np.ndarray
    tail_back: np.ndarray
    output: np.ndarray
    update: np.ndarray
    gradient: np.ndarray


def bit_s(path: Any, device_edge: Any, edge_cloud: Any, relay: str, flows: tuple[Any, Any] = (1, 1)) -> np.ndarray:
    """Seconds of one bit over a path, 0 over none; everything broadcasts.

    Args:
        path: mask of physical links (see ``PATH``).
        device_edge, edge_cloud: their rates, bit/s.
        relay: stream or store.
        flows: how many flows divide each link.
    """
    shape = np.broadcast(path, device_edge, edge_cloud, *flows).shape
    each = np.empty((5, *shape))
    each[0], each[1], each[2], each[3], each[4] = path, device_edge, edge_cloud, *flows
    return kernels.bits_s(each.reshape(5, -1), relay == "stream").reshape(shape)


def terms(system: System, plans: Schedules, device_edge: Any, edge_cloud: Any) -> Terms:
    """The terms of schedules (n) under rates in bit/s, numbers or (n,)."""
    plans = plans.canonical()
    rows = kernels.terms_of(system.tables, *plans.arrays, _both(len(plans), device_edge, edge_cloud))
    return Terms(
        rows[:3], rows[3:6], rows[6:9], rows[9:11], rows[11:13], rows[13], rows[14], rows[15:17], rows[17:20], rows[20:]
    )


def _both(n: int, device_edge: Any, edge_cloud: Any) -> np.ndarray:
    """(2, n) rates."""
    rates = np.empty((2, n))
    rates[0], rates[1] = device_edge, edge_cloud
    return rates


def link_rates(
    system: System, worker: np.ndarray, took: np.ndarray, device_edge: Any, edge_cloud: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Seconds of a bit under mappings.

    Args:
        system: the scenario.
        worker: (3, n) workers of o, s and l.
        took: (3, n) whether each has samples; decides how many flows share a link.
        device_edge, edge_cloud: rates in bit/s.

    Returns:
        (from the device to o, s and l (3, n), between s and o (n,), between l and o (n,)).
    """
    worker, took = (np.ascontiguousarray(array, dtype=np.intp) for array in (worker, took))
    rates, tables = _both(worker.shape[1], device_edge, edge_cloud), system.tables
    found = kernels.rates_of(worker, took, rates, tables.stream, tables.shared)
    return found[:3], found[3], found[4]


def iteration_s(system: System, plans: Schedules, device_edge: Any, edge_cloud: Any, cost: str = "paper") -> np.ndarray:
    """(n,) seconds of an iteration under schedules.

    Args:
        system: the scenario.
        plans: n schedules.
        device_edge, edge_cloud: rates in bit/s, numbers or (n,).
        cost: paper or event.
    """
    return COSTS[cost](terms(system, plans, device_edge, edge_cloud))


def layers_s(
    system: System, owner: np.ndarray, device_edge: Any, edge_cloud: Any, activation_bits: int = 32
) -> np.ndarray:
    """(n,) seconds of an iteration of plain model parallelism: every layer on one worker, all samples through it.

    Args:
        system: the scenario.
        owner: (N, n) worker of every layer.
        device_edge, edge_cloud: rates in bit/s, numbers or (n,).
        activation_bits: bits of a value that workers send each other, activations and gradients alike (JALAD: 8).

    No weights are exchanged, as no layer has two holders; workers update at the same time.
    """
    owner, scale = np.ascontiguousarray(owner, dtype=np.intp), 2.0 * system.batch * activation_bits / 32.0
    rates = _both(owner.shape[1], device_edge, edge_cloud)
    return kernels.layers_s(system.tables, owner, rates, system.batch, scale)


def hand_out_s(system: System, old: Schedules, new: Schedules, device_edge: Any, edge_cloud: Any) -> np.ndarray:
    """(n,) seconds until every worker has the weights that a new schedule needs and the old one did not give it.

    Whoever trained a layer last has its weights. That is the old worker o, but for the layers of an l that trained
    them alone, and sent o none. Workers receive side by side, each what it lacks one after the other.
    """
    rates = _both(len(new), device_edge, edge_cloud)
    return kernels.handed_s(system.tables, *old.arrays, *new.arrays, rates)
