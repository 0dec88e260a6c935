"""A map with coverage, the walk and the worker; below it what cycles took and where the cut was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..figures import canvas_figure
from .system import System
from .walks import STEP_M
from .world import NOBODY

GPU_COLORS = ("#3b6fb6", "#e08a1e", "#8562b5", "#3f9a5b")
COVER_COLOR, WALK_COLOR, WORKER_COLOR, BEST_COLOR, CUT_COLOR = "#9db7d8", "#777777", "#c8453b", "#3f9a5b", "#3b6fb6"
MARGIN_M = 150.0
MOST_NAMES = 8  # cuts that are named on an axis

Trace = Mapping[str, np.ndarray]  # of the cycles so far, (T,) each; see EdgeMoveDynamics.trace


def episode_figure(system: System, walk: int, trace: Trace, title: str = "") -> Any:
    """Draw an episode, or as much of it as was played.

    Args:
        system: the scenario.
        walk: number of the walk.
        trace: its cycles; may be empty.
        title: in front of the scenario's name.

    Returns:
        A matplotlib Figure (Agg canvas).
    """
    figure = canvas_figure(9.5, 9.5)
    map_axes, time_axes, cut_axes = figure.subplots(3, 1, height_ratios=[3.4, 1.2, 1.0])
    cycles, worker = len(trace["cut"]), int(trace["worker"][-1]) if len(trace["cut"]) else NOBODY
    _draw_map(map_axes, system, walk, trace, worker)
    now = f"cycle {cycles} of {system.cycles}, {system.scenario.model} on walk {walk}"
    place = f"worker {system.worker_name(worker)}" if worker != NOBODY else "on the client alone"
    name = f"{title} on {system.scenario.name}" if title else system.scenario.name
    map_axes.set_title(f"{name}: {now}, {place}", loc="left", fontsize=10)
    if cycles:
        draw_cycles(time_axes, trace, system)
        draw_cuts(cut_axes, trace, system)
    else:
        time_axes.set_ylabel("iteration (ms)")
        cut_axes.set_ylabel("cut")
    time_axes.tick_params(axis="x", labelbottom=False)
    cut_axes.set_xlabel("time (s)")
    cut_axes.set_xlim(time_axes.get_xlim())
    return figure


def _draw_map(axes: Any, system: System, walk: int, trace: Trace, worker: int) -> None:
    from matplotlib.collections import EllipseCollection

    city = system.city
    size = 2.0 * city.radius_m
    axes.add_collection(
        EllipseCollection(
            size, size, np.zeros(city.n_sites), units="x", offsets=city.position_m, transOffset=axes.transData,
            facecolors=COVER_COLOR, edgecolors="none", alpha=float(np.clip(4.0 / city.n_sites, 0.02, 0.25)),
        )
    )  # fmt: skip
    for gpu, name in enumerate(system.scenario.gpus):
        at = city.position_m[city.gpu == gpu]
        color = GPU_COLORS[gpu % len(GPU_COLORS)]
        axes.scatter(at[:, 0], at[:, 1], 14, color=color, label=f"site, {name}", linewidths=0)
    points = system.walks.points_m[walk]
    axes.plot(points[:, 0], points[:, 1], color=WALK_COLOR, linewidth=1.0, linestyle=":", label="walk")
    here = points[0]
    if len(trace["cut"]):
        here = np.array([trace["east_m"][-1], trace["north_m"][-1]])
        walked = _walked(system, walk, float(trace["elapsed_s"][-1]))
        axes.plot(walked[0], walked[1], color="#222222", linewidth=1.8, label="walked")
        _draw_switches(axes, system, walk, trace)
    _draw_worker(axes, system, worker, here)
    axes.plot(*here, marker="*", markersize=12, color="#222222", markeredgecolor="white", linestyle="", label="client")
    low, high = city.box_m
    low, high = np.minimum(low, points.min(axis=0)) - MARGIN_M, np.maximum(high, points.max(axis=0)) + MARGIN_M
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_aspect("equal")
    axes.locator_params(axis="x", nbins=6)
    axes.set_xlabel("east (m)", fontsize=8)
    axes.set_ylabel("north (m)", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _draw_switches(axes: Any, system: System, walk: int, trace: Trace) -> None:
    """Where the client was when the worker changed, and the sites that were workers before."""
    _, switches = times_of(trace)
    at = system.walks.at(np.full(len(switches), walk), system.scenario.speed_mps * switches)
    if len(switches):
        axes.plot(*at, "o", markersize=4.5, color=WORKER_COLOR, markeredgecolor="white", label="worker changed")
    servers = np.unique(np.asarray(trace["worker"]).astype(int))
    before = servers[(servers >= 0) & (servers < system.n_sites) & (servers != int(trace["worker"][-1]))]
    if before.size:
        places = system.city.position_m[before].T
        look = {"markersize": 8, "markerfacecolor": "none", "markeredgecolor": WORKER_COLOR}
        axes.plot(*places, "s", **look, label="workers before")


def _draw_worker(axes: Any, system: System, worker: int, here: np.ndarray) -> None:
    from matplotlib.patches import Circle

    if not 0 <= worker < system.n_sites:
        return
    at, radius = system.city.position_m[worker], float(system.city.radius_m[worker])
    axes.add_patch(Circle((float(at[0]), float(at[1])), radius, fill=False, color=WORKER_COLOR, linewidth=1.4))
    axes.plot([at[0], here[0]], [at[1], here[1]], color=WORKER_COLOR, linewidth=1.2)
    axes.plot(*at, marker="s", markersize=10, color=WORKER_COLOR, linestyle="", label="worker, its coverage")


def _walked(system: System, walk: int, elapsed_s: float) -> np.ndarray:
    """(2, k) places where the client has been."""
    far = min(system.scenario.speed_mps * elapsed_s, 2.0 * STEP_M * 10_000)
    metres = np.arange(0.0, far + STEP_M, 2 * STEP_M)
    return system.walks.at(np.full(len(metres), walk), metres)


def times_of(trace: Trace) -> tuple[np.ndarray, np.ndarray]:
    """(edges (T + 1,), switches): when cycles begin and end, in s, and when the worker changed."""
    edges = np.concatenate([[0.0], np.asarray(trace["elapsed_s"], dtype=float)])
    switches = np.flatnonzero(np.diff(trace["worker"])) + 1
    return edges, edges[switches]


def draw_cycles(axes: Any, trace: Trace, system: System) -> None:
    """Milliseconds of an iteration in every cycle, the fastest where it is known, changes of worker as lines."""
    edges, switches = times_of(trace)
    iterations = np.asarray(trace["iterations"], dtype=float)
    mine = 1e3 * trace["cycle_s"] / iterations
    best = 1e3 * trace["oracle_cycle_s"] / iterations
    for at in switches:
        axes.axvline(at, color=WORKER_COLOR, linewidth=0.7, alpha=0.6)
    axes.step(edges, np.append(mine, mine[-1]), where="post", color=CUT_COLOR, linewidth=1.6, label="cycle")
    if np.isfinite(best).any():
        axes.step(edges, np.append(best, best[-1]), where="post", color=BEST_COLOR, linewidth=1.2, label="fastest")
    alone = 1e3 * system.on_device_iteration_s
    axes.axhline(alone, color="#999999", linewidth=0.9, linestyle="--", label="client alone")
    if len(switches):
        axes.plot([], [], color=WORKER_COLOR, linewidth=0.7, label="new worker")
    axes.set_ylim(0.0, 1.08 * max(float(mine.max()), alone))
    axes.set_ylabel("iteration (ms)")
    _finish(axes, edges)
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.05))


def draw_cuts(axes: Any, trace: Trace, system: System) -> None:
    """The cut of every cycle."""
    edges, _ = times_of(trace)
    cut = np.asarray(trace["cut"], dtype=float)
    axes.step(edges, np.append(cut, cut[-1]), where="post", color=CUT_COLOR, linewidth=1.6)
    shown = _named_cuts(cut.astype(int), system.n_layers)
    axes.set_yticks(shown, [f"{l} {system.names[l - 1]}" for l in shown], fontsize=7)  # noqa: E741
    axes.set_ylim(0.5, system.n_layers + 0.5)
    axes.set_ylabel("cut behind")
    _finish(axes, edges)


def _named_cuts(cuts: np.ndarray, n_layers: int) -> list[int]:
    """A few cuts for the ticks: the ends, then the most frequent ones that keep some distance, then others."""
    apart = max(1, round(n_layers / MOST_NAMES))
    counts = np.bincount(cuts, minlength=n_layers + 1)
    named = [n_layers, 1] if n_layers > 1 else [1]
    for cut in np.argsort(-counts[1:], kind="stable").tolist():
        if all(abs(cut + 1 - other) >= apart for other in named):
            named.append(cut + 1)
    return sorted(named)


def _finish(axes: Any, edges: np.ndarray) -> None:
    axes.set_xlim(0.0, float(edges[-1]))
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", color="#eeeeee")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
