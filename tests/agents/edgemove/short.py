"""A short EdgeMove training with what its agents are asked there."""

from __future__ import annotations

from typing import Any

import numpy as np

from .observations import make

SHORT = {"scenario": "vgg16-cifar10-city", "on_device_s": 1000.0}  # ten cycles
ENV = make(**SHORT)
SYSTEM = ENV.dynamics.system
ALONE = SYSTEM.n_layers - 1
FIRST = np.ones(1, dtype=bool)


def run(agent: Any, observations: list[Any]) -> list[list[int]]:
    """Actions of one lane, one after another."""
    state, starts, actions = None, FIRST, []
    for observation in observations:
        action, state = agent.predict(observation, state, starts, deterministic=True)
        actions.append([int(a) for a in action[0]])
        starts = np.zeros(1, dtype=bool)
    return actions


def in_reach(system: Any, trace: Any, cycle: int, site: int) -> bool:
    """Whether a site covers the client at the end of a cycle."""
    east, north = system.city.position_m[site]
    away = np.hypot(trace["east_m"][cycle] - east, trace["north_m"][cycle] - north)
    return bool(away <= system.city.radius_m[site])
