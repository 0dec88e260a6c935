"""Where to cut: the paper's first guess (Alg. 1), and the best cut of a pipeline whose parts are known."""

from __future__ import annotations

from typing import Any

import numpy as np

from .pipeline import period_s
from .system import System


def balanced_cut(system: System, probed_s: Any, rate_bits: Any, rtt_s: Any) -> tuple[np.ndarray, np.ndarray]:
    """Alg. 1: the cut at which client and server side take about as long, if all layers took the same.

    A first guess: it balances f + b against u + s + v at that very cut, not the period of K minibatches in flight.

    Args:
        system: the scenario; only the client's whole time and the bytes of every cut are used.
        probed_s: (...) what a probe told: an iteration of the whole network on the server, round trip included.
        rate_bits, rtt_s: (...) of the link; the round trip is in ``probed_s`` and counts once.

    Returns:
        (cuts 1..L-1, seconds of the longer side there), (...) each.
    """
    n_layers = system.n_layers
    cuts = np.arange(1, n_layers)
    probed_s, rate_bits, rtt_s = (np.asarray(a, dtype=float)[..., None] for a in (probed_s, rate_bits, rtt_s))
    client = cuts * (system.on_device_iteration_s / n_layers)
    server = (n_layers - cuts) * (np.maximum(probed_s - rtt_s, 0.0) / n_layers)
    there_and_back = 2.0 * system.link_bits[1:-1] / rate_bits + rtt_s
    longer = np.maximum(client, server + there_and_back)
    return 1 + longer.argmin(axis=-1), longer.min(axis=-1)


def literal_cut(system: System, probed_s: Any, rtt_s: Any) -> np.ndarray:
    """Alg. 1 as printed: (l t_e + RTT) / (t_d + t_e) of the layers' mean times, rounded; clamped to 1..L-1."""
    n_layers = system.n_layers
    device = system.on_device_iteration_s / n_layers
    edge = np.asarray(probed_s, dtype=float) / n_layers
    cut = np.rint((n_layers * edge + np.asarray(rtt_s)) / (device + edge)).astype(np.intp)
    return np.clip(cut, 1, n_layers - 1)


def cut_periods(system: System, server_s: np.ndarray, rate_bits: Any, rtt_s: Any) -> np.ndarray:
    """(L - 1, ...) period of an iteration at every cut 1..L-1.

    Args:
        system: the scenario.
        server_s: (L - 1, ...) or (L - 1, 1 ...) seconds of the layers behind every cut on the server, as it is loaded.
        rate_bits, rtt_s: (...) of the link.
    """
    setting = system.scenario
    shape = (-1, *(1,) * (np.ndim(server_s) - 1))
    link_s = system.link_bits[1:-1].reshape(shape) / rate_bits
    client_s = system.client_s[1:-1].reshape(shape)
    return period_s(client_s, server_s, link_s, link_s, rtt_s, setting.in_flight, setting.half_duplex)
