"""Pictures of one episode: its map, cycles and cuts, and what every cut takes; the cycles as a curve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...envs.edgemove.dynamics import EdgeMoveDynamics
from ...envs.edgemove.viewer import episode_figure
from .landscape import landscape_figure

Trace = Mapping[str, np.ndarray]  # of the cycles of an episode, (T,) each; see EdgeMoveDynamics.trace
CURVE_ROWS = 1000


def draw_trace(env: Any, trace: Trace, title: str) -> dict[str, Any]:
    """Draw an episode.

    Args:
        env: the EdgeMove env that was played; it tells which walk its last episode took.
        trace: its cycles.
        title: in front of the scenario's name.

    Returns:
        Matplotlib figures by name: ``walk`` (map, seconds of an iteration, cut) and ``cuts`` (what every cut takes
        under four network conditions; left out for a model that cannot be cut).
    """
    dynamics: EdgeMoveDynamics = env.unwrapped.dynamics
    system = dynamics.system
    figures = {"walk": episode_figure(system, int(dynamics.world.walk[0]), trace, title)}
    cuts = landscape_figure(system, f"{system.scenario.name}: what an iteration takes by cut and network (Fig. 10)")
    return figures | ({} if cuts is None else {"cuts": cuts})


def curve_rows(env: Any, trace: Trace) -> list[dict[str, float]]:
    """How an episode went, as the curve of an agent that is not trained.

    Args:
        env: the EdgeMove env that was played; the trace says it all.
        trace: its cycles.

    Returns:
        Rows, at most 1000, evenly spread, the last cycle among them: round (the cycle, from 1), iteration_s and
        oracle_iteration_s (seconds of an iteration; the latter left out where it is not known), cut, worker (index of
        the site, the cloud behind the last, -1 for none), adaptation_s (cumulative), elapsed_s.
    """
    iterations = np.asarray(trace["iterations"], dtype=float)
    shown = {
        "iteration_s": trace["cycle_s"] / iterations,
        "oracle_iteration_s": trace["oracle_cycle_s"] / iterations,
        "cut": np.asarray(trace["cut"], dtype=float),
        "worker": np.asarray(trace["worker"], dtype=float),
        "adaptation_s": np.cumsum(trace["adaptation_s"], dtype=float),
        "elapsed_s": np.asarray(trace["elapsed_s"], dtype=float),
    }
    cycles = len(iterations)
    kept = np.linspace(cycles - 1, 0, min(cycles, CURVE_ROWS)).astype(int)[::-1]
    return [
        {"round": at + 1, **{name: float(v[at]) for name, v in shown.items() if np.isfinite(v[at])}}
        for at in kept.tolist()
    ]
