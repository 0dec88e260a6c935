"""EdgeMove observations in SI units, written down by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from splitgym.envs.edgemove.observation import AGE_UNIT_S, DISTANCE_UNIT_M, LISTED, OLDEST, RTT_UNIT_S, SERVER, STATE
from splitgym.envs.edgemove.system import System


def make(**options: Any) -> Any:
    """The scalar env, its optimum left out."""
    return gym.make("splitgym/EdgeMove-v0", disable_env_checker=True, **{"optimum": False, **options}).unwrapped


def make_batch(n: int, **options: Any) -> Any:
    return gym.make_vec("splitgym/EdgeMove-v0", num_envs=n, autoreset_mode="SameStep", **options)


def server(
    probed_s: float | None = None,
    mbps: float = 600.0,
    rtt_s: float = 0.02,
    worker: bool = False,
    notified: bool = False,
) -> dict[str, float]:
    """A listed server that covers the client; ``probed_s`` of an iteration, None where it was never probed."""
    return {
        "covers": 1.0,
        "is_worker": worker,
        "distance": 100.0,
        "rate": 1e6 * mbps,
        "rtt": rtt_s,
        "probed": probed_s or 0.0,
        "age": 30.0 if probed_s else OLDEST * AGE_UNIT_S,
        "notified": notified,
    }


def observed(system: System, servers: Sequence[dict[str, float]] = (), **state: float) -> dict[str, np.ndarray]:
    """Observations (1, ...) with some listed servers; ``state`` by its names.

    The cloud is out of use unless told otherwise; with a worker, its rate and round trip are those of the list.
    """
    near, iteration_s = 1e6 * system.scenario.near_mbps, system.on_device_iteration_s
    units = {
        "cut": system.n_layers, "rate": near, "rtt": RTT_UNIT_S, "probed": iteration_s, "age": AGE_UNIT_S,
        "last_cycle": iteration_s, "worst_cycle": iteration_s, "distance": DISTANCE_UNIT_M,
        "cloud_rate": near, "cloud_rtt": RTT_UNIT_S, "cloud_probed": iteration_s, "cloud_age": AGE_UNIT_S,
    }  # fmt: skip
    told: dict[str, float] = {"cut": system.n_layers, "left": 0.5, "cloud_rate": 1e3, "cloud_rtt": 5.0}
    for one in servers:
        if one["is_worker"]:
            told |= {"on_edge": 1.0, "in_reach": 1.0, "rate": one["rate"], "rtt": one["rtt"], "probed": one["probed"]}
    rows = np.zeros((1, len(STATE)), np.float32)
    for name, value in {**told, **state}.items():
        rows[0, STATE.index(name)] = value / units.get(name, 1.0)
    table = np.zeros((1, LISTED, len(SERVER)), np.float32)
    for place, one in enumerate(servers):
        table[0, place] = [one[name] / units.get(name, 1.0) for name in SERVER]
    return {"state": rows, "servers": table}
