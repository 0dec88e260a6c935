"""Model parallelism layer by layer: JointDNN, JointDNN+ and JALAD as shortest paths (paper, Sec. VI-C)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from ...envs.hiertrain.cost import PATH, bit_s
from ...envs.hiertrain.system import CLOUD, DEVICE, EDGE, FLOAT_BITS, System

Assign = Callable[[float, float], np.ndarray]  # rates in bit/s -> (N,) worker of every layer


def shortest_path(system: System, workers: Sequence[int], activation_bits: int = FLOAT_BITS) -> Assign:
    """The assignment of layers to some workers with the least time of computing and sending, forward and backward.

    A node is a layer on a worker, an edge the transfer between two of them; the first transfer is that of the samples.
    Weight updates run side by side and are left out, as in JointDNN. Ties stay on the worker that comes first.
    """
    chosen = np.array(workers)
    compute = system.batch * np.diff(system.forward_s + system.backward_s, axis=1)[chosen]
    sent_bits = 2.0 * system.batch * system.output_bits[1:] * activation_bits / FLOAT_BITS

    def assign(device_edge: float, edge_cloud: float) -> np.ndarray:
        per_bit = bit_s(PATH, device_edge, edge_cloud, system.scenario.relay)
        between = per_bit[np.ix_(chosen, chosen)]
        cost = system.batch * system.sample_bits * per_bit[DEVICE, chosen] + compute[:, 0]
        before = np.zeros((system.n_layers, len(chosen)), dtype=np.intp)
        for layer in range(1, system.n_layers):
            arriving = cost[:, None] + sent_bits[layer - 1] * between
            before[layer] = arriving.argmin(axis=0)
            cost = arriving.min(axis=0) + compute[:, layer]
        at = int(cost.argmin())
        owner = np.zeros(system.n_layers, dtype=np.intp)
        for layer in range(system.n_layers - 1, -1, -1):
            owner[layer] = chosen[at]
            at = before[layer, at]
        return owner

    return assign


ASSIGNMENTS: dict[str, Callable[[System], Assign]] = {
    "jointdnn": partial(shortest_path, workers=(DEVICE, CLOUD)),
    "jointdnn+": partial(shortest_path, workers=(DEVICE, EDGE, CLOUD)),
    "jalad": partial(shortest_path, workers=(EDGE, CLOUD), activation_bits=8),
}
