"""Seconds of a training iteration under a schedule: the paper's model (Eq. 5-12) and the event-driven makespan.

Both are evaluated for many schedules at once, each under its own rates. They share the terms of :class:`Terms`; the
paper's model puts a barrier where s, and another where l, hands over to o, the makespan lets everyone go on at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .schedule import Schedules
from .system import CLOUD, DEVICE, System

DEVICE_EDGE, EDGE_CLOUD = 1, 2  # physical links, as bits of a mask
PATH = np.array([[0, DEVICE_EDGE, 3], [DEVICE_EDGE, 0, EDGE_CLOUD], [3, EDGE_CLOUD, 0]])  # links between two workers


def bit_s(path: Any, device_edge: Any, edge_cloud: Any, relay: str, flows: tuple[Any, Any] = (1, 1)) -> np.ndarray:
    """Seconds of one bit over a path, 0 over none.

    Args:
        path: mask of physical links (see ``PATH``).
        device_edge, edge_cloud: their rates, bit/s.
        relay: stream or store.
        flows: how many flows divide each link.
    """
    first = np.where(path & DEVICE_EDGE, flows[0] / device_edge, 0.0)
    second = np.where(path & EDGE_CLOUD, flows[1] / edge_cloud, 0.0)
    return np.maximum(first, second) if relay == "stream" else first + second


@dataclass(frozen=True)
class Terms:
    """Seconds of everything that happens in an iteration, (n,) each, in canonical form.

    ``input``, ``front``, ``back``: (3, n) of o, s, l: receiving the samples; forward and backward of the layers up to
    m_s. ``middle``, ``middle_back``: (2, n) of o and l: layers m_s+1..m_l. ``tail``, ``tail_back``: o's last layers.
    ``output``: (2, n) of s and l: the output sent to o, and its gradient sent back. ``update``: (3, n).
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


def terms(system: System, plans: Schedules, device_edge: Any, edge_cloud: Any) -> Terms:
    """The terms of schedules (n) under rates in bit/s that broadcast with them."""
    plans = plans.canonical()
    worker, b, m_s, m_l = plans.worker, plans.b, plans.m_s, plans.m_l
    o, s, l = worker  # noqa: E741
    n_layers = system.n_layers
    took = b > 0
    incoming, so, lo = link_rates(system, worker, took, device_edge, edge_cloud)
    both = b[0] + b[1]
    forward, backward, update, weights = system.forward_s, system.backward_s, system.update_s, system.weight_bits
    front, front_back = b * forward[worker, m_s], b * backward[worker, m_s]
    middle = [(both, o), (b[2], l)]
    batch = b.sum(axis=0)
    exchanges = _exchanges(system, took)
    return Terms(
        input=b * system.sample_bits * incoming,
        front=front,
        front_back=front_back,
        middle=np.stack([k * (forward[w, m_l] - forward[w, m_s]) for k, w in middle]),
        middle_back=np.stack([k * (backward[w, m_l] - backward[w, m_s]) for k, w in middle]),
        tail=batch * (forward[o, n_layers] - forward[o, m_l]),
        tail_back=batch * (backward[o, n_layers] - backward[o, m_l]),
        output=np.stack([b[1] * system.output_bits[m_s] * so, b[2] * system.output_bits[m_l] * lo]),
        update=np.stack([update[o, n_layers], took[1] * update[s, m_s], took[2] * update[l, m_l]]),
        gradient=np.stack([exchanges[0] * weights[m_s] * so, exchanges[1] * weights[m_l] * lo]),
    )


def _exchanges(system: System, took: np.ndarray) -> tuple[Any, Any]:
    """Whether s and l exchange weights with o: only a layer that several workers train needs it."""
    if system.scenario.exchange == "always":
        return 1, 1
    return took[1] & (took[0] | took[2]), took[2] & (took[0] | took[1])


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
    relay, shared = system.scenario.relay, system.scenario.share_links
    inputs = PATH[DEVICE, worker]
    between = PATH[worker[1:], worker[0]]

    def of(paths: np.ndarray, running: np.ndarray) -> np.ndarray:
        flows: tuple[Any, Any] = (1, 1)
        if shared:
            first, second = (((paths & link > 0) & running).sum(axis=0) for link in (DEVICE_EDGE, EDGE_CLOUD))
            flows = np.maximum(first, 1), np.maximum(second, 1)
        return bit_s(paths, device_edge, edge_cloud, relay, flows)

    so, lo = of(between, took[1:])
    return of(inputs, took), so, lo


def paper_s(t: Terms) -> np.ndarray:
    """(n,) T_total of Eq. 12."""
    arrived = t.input + t.front
    arrived[1] += t.output[0]
    returned = t.front_back.copy()
    returned[1] += t.output[0]
    forward = arrived.max(axis=0) + np.maximum(t.middle[0], t.middle[1] + t.output[1]) + t.tail
    backward = returned.max(axis=0) + np.maximum(t.middle_back[0], t.middle_back[1] + t.output[1]) + t.tail_back
    return forward + backward + t.update.max(axis=0) + 2.0 * t.gradient.max(axis=0)


def event_s(t: Terms) -> np.ndarray:
    """(n,) makespan of the same work without barriers: everyone goes on as soon as what it needs is there.

    o runs its own samples first and takes in those of s behind m_s and those of l behind m_l; going back it serves l
    at m_l, then s at m_s. Weights are averaged when all gradients are in.
    """
    s_out = t.input[1] + t.front[1] + t.output[0]
    l_out = t.input[2] + t.front[2] + t.middle[1] + t.output[1]
    o_at_s = np.maximum(t.input[0] + t.front[0], s_out)
    o_at_l = np.maximum(o_at_s + t.middle[0], l_out)
    turned = o_at_l + t.tail + t.tail_back  # o is back at m_l
    l_done = turned + t.output[1] + t.middle_back[1] + t.front_back[2]
    at_s = turned + t.middle_back[0]
    s_done = at_s + t.output[0] + t.front_back[1]
    o_done = at_s + t.front_back[0]
    averaged = np.maximum.reduce([o_done, s_done + t.gradient[0], l_done + t.gradient[1]])
    ends = [averaged, averaged + t.gradient[0], averaged + t.gradient[1]]
    return np.maximum.reduce([end + update for end, update in zip(ends, t.update, strict=True)])


COSTS = {"paper": paper_s, "event": event_s}


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
    relay, batch = system.scenario.relay, system.batch
    layer = np.arange(system.n_layers)[:, None]
    per_layer = np.diff(system.forward_s + system.backward_s, axis=1)
    compute = batch * per_layer[owner, layer].sum(axis=0)
    arrives = bit_s(PATH[DEVICE, owner[0]], device_edge, edge_cloud, relay) * batch * system.sample_bits
    moved = bit_s(PATH[owner[:-1], owner[1:]], device_edge, edge_cloud, relay)
    scale = 2.0 * batch * activation_bits / 32.0
    sends = (scale * system.output_bits[1:-1, None] * moved).sum(axis=0)
    updates = np.diff(system.update_s, axis=1)
    update = np.max([np.where(owner == w, updates[w][:, None], 0.0).sum(axis=0) for w in range(CLOUD + 1)], axis=0)
    return arrives + compute + sends + update


def hand_out_s(system: System, old: Schedules, new: Schedules, device_edge: Any, edge_cloud: Any) -> np.ndarray:
    """(n,) seconds until every worker has the weights that a new schedule needs and the old one did not give it.

    Whoever trained a layer last has its weights. That is the old worker o, but for the layers of an l that trained
    them alone, and sent o none. Workers receive side by side, each what it lacks one after the other.
    """
    relay, weights = system.scenario.relay, system.weight_bits
    (first, last), (need_first, need_last) = _held(system, old), _held(system, new)
    border = _alone_up_to(system, old)  # in front of it the old l is the source, behind it the old o
    everyone = np.arange(3)[:, None]
    total: Any = 0.0
    parts: list[tuple[Any, Any, Any]] = [(old.worker[0], border, system.n_layers)]
    if border.any():
        parts.append((old.worker[2], 0, border))
    for source, low, high in parts:
        need = np.maximum(need_first, low), np.minimum(need_last, high)
        both = np.maximum(need[0], first), np.minimum(need[1], last)
        lacking = _weights_between(weights, *need) - _weights_between(weights, *both)
        total = total + lacking * bit_s(PATH[source, everyone], device_edge, edge_cloud, relay)
    return total.max(axis=0)


def _weights_between(weights: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Bits of the layers first..last, none where they are the wrong way round."""
    return np.where(last > first, weights[last] - weights[first], 0.0)


def _alone_up_to(system: System, plans: Schedules) -> np.ndarray:
    """(n,) m_l where l trains its layers alone and exchanges no weights with o, 0 elsewhere."""
    if system.scenario.exchange == "always":
        return np.zeros_like(plans.m_l)
    return plans.m_l * ((plans.b[0] == 0) & (plans.b[1] == 0))


def _held(system: System, plans: Schedules) -> tuple[np.ndarray, np.ndarray]:
    """The layers (first, last), (3, n) each, whose newest weights device, edge and cloud hold."""
    zero = np.zeros(len(plans), dtype=np.intp)
    start = np.stack([_alone_up_to(system, plans), zero, zero])
    end = np.stack([zero + system.n_layers, plans.m_s * (plans.b[1] > 0), plans.m_l * (plans.b[2] > 0)])
    first, last = np.empty_like(start), np.empty_like(end)
    np.put_along_axis(first, plans.worker, start, axis=0)
    np.put_along_axis(last, plans.worker, end, axis=0)
    return first, last
