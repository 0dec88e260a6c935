"""What a client observes, scaled for networks; and back to seconds, bit/s and metres for planners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .system import System

LISTED = 16  # servers of the list, M
HISTORY = 4  # last cycles
LIMIT = 100.0
RTT_UNIT_S = 0.1
DISTANCE_UNIT_M = 500.0
AGE_UNIT_S = 600.0
OLDEST = 10.0  # in that unit; a server that was never probed is as old

STATE = (
    "cut", "on_edge", "on_cloud", "in_reach", "rate", "rtt", "probed", "age", "last_cycle", "worst_cycle",
    "last_adaptation", "left", "cloud_rate", "cloud_rtt", "cloud_probed", "cloud_age",
    *(f"cut_{i}" for i in range(HISTORY)), *(f"cycle_{i}" for i in range(HISTORY)),
)  # fmt: skip
SERVER = ("covers", "is_worker", "distance", "rate", "rtt", "probed", "age", "notified")
CUT = ("client", "link")  # of every cut: seconds on the client, and on the link close to a site


@dataclass(frozen=True)
class View:
    """Observations (n lanes) in SI units.

    Attributes:
        cut: (n,) 1..L.
        has_worker, on_cloud, in_reach: (n,) bool; the last one: whether the worker still covers the client.
        rate_bits, rtt_s, probed_s: (n,) of the worker; a probe's seconds are NaN where there was none.
        last_s, worst_s: (n,) cycles, per iteration: the last one, the worst with this worker; NaN before the first.
        left: (n,) share of the iterations that is left.
        cloud_bits, cloud_rtt_s, cloud_probed_s: (n,).
        covers, is_worker, notified: (n, M) bool of the listed servers.
        distance_m, server_bits, server_rtt_s, server_probed_s, age_s: (n, M).
    """

    cut: np.ndarray
    has_worker: np.ndarray
    on_cloud: np.ndarray
    in_reach: np.ndarray
    rate_bits: np.ndarray
    rtt_s: np.ndarray
    probed_s: np.ndarray
    last_s: np.ndarray
    worst_s: np.ndarray
    left: np.ndarray
    cloud_bits: np.ndarray
    cloud_rtt_s: np.ndarray
    cloud_probed_s: np.ndarray
    covers: np.ndarray
    is_worker: np.ndarray
    notified: np.ndarray
    distance_m: np.ndarray
    server_bits: np.ndarray
    server_rtt_s: np.ndarray
    server_probed_s: np.ndarray
    age_s: np.ndarray


def view(observation: Any, system: System) -> View:
    """Read observations (n, ...) of a scenario."""
    state = dict(zip(STATE, np.asarray(observation["state"], dtype=float).T, strict=True))
    servers = np.asarray(observation["servers"], dtype=float)
    server = {name: servers[..., i] for i, name in enumerate(SERVER)}
    near, iteration_s = 1e6 * system.scenario.near_mbps, system.on_device_iteration_s

    def known(values: np.ndarray, unit: float) -> np.ndarray:
        return np.where(values > 0, values * unit, np.nan)

    return View(
        cut=np.rint(state["cut"] * system.n_layers).astype(np.intp),
        has_worker=state["on_edge"] + state["on_cloud"] > 0,
        on_cloud=state["on_cloud"] > 0,
        in_reach=state["in_reach"] > 0,
        rate_bits=state["rate"] * near,
        rtt_s=state["rtt"] * RTT_UNIT_S,
        probed_s=known(state["probed"], iteration_s),
        last_s=known(state["last_cycle"], iteration_s),
        worst_s=known(state["worst_cycle"], iteration_s),
        left=state["left"],
        cloud_bits=state["cloud_rate"] * near,
        cloud_rtt_s=state["cloud_rtt"] * RTT_UNIT_S,
        cloud_probed_s=known(state["cloud_probed"], iteration_s),
        covers=server["covers"] > 0,
        is_worker=server["is_worker"] > 0,
        notified=server["notified"] > 0,
        distance_m=server["distance"] * DISTANCE_UNIT_M,
        server_bits=server["rate"] * near,
        server_rtt_s=server["rtt"] * RTT_UNIT_S,
        server_probed_s=known(server["probed"], iteration_s),
        age_s=server["age"] * AGE_UNIT_S,
    )
