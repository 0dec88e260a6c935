"""A map with coverage, the walk and the worker; below it what cycles took and where the cut was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..figures import LEGEND_KEY_IN, canvas_figure, place, short, steady, title, widest_in
from .system import NOBODY, System
from .walks import STEP_M

GPU_COLORS = ("#3b6fb6", "#e08a1e", "#8562b5", "#3f9a5b")
COVER_COLOR, WALK_COLOR, WORKER_COLOR, BEST_COLOR, CUT_COLOR = "#9db7d8", "#777777", "#c8453b", "#3f9a5b", "#3b6fb6"
MARGIN_M = 150.0
MOST_NAMES = 8  # cuts that are named on an axis
USUAL = 2.0  # times an iteration on the client alone: the end of the axis of frames
LOOKS: dict[str, dict[str, Any]] = {
    "walked": {"color": "#222222", "linewidth": 1.8},
    "worker changed": {
        "marker": "o", "linestyle": "", "markersize": 4.5, "color": WORKER_COLOR, "markeredgecolor": "white",
    },
    "workers before": {
        "marker": "s", "linestyle": "", "markersize": 8, "markerfacecolor": "none", "markeredgecolor": WORKER_COLOR,
    },
    "worker, its coverage": {"marker": "s", "linestyle": "", "markersize": 10, "color": WORKER_COLOR},
}  # fmt: skip
CYCLE_LOOKS: dict[str, dict[str, Any]] = {
    "cycle": {"color": CUT_COLOR, "linewidth": 1.6},
    "fastest": {"color": BEST_COLOR, "linewidth": 1.2},
    "new worker": {"color": WORKER_COLOR, "linewidth": 0.7},
}

Trace = Mapping[str, np.ndarray]  # of the cycles so far, (T,) each; see EdgeMoveDynamics.trace


def episode_figure(system: System, walk: int, trace: Trace, who: str = "", moving: bool = False) -> Any:
    """Draw an episode, or as much of it as was played.

    Args:
        system: the scenario.
        walk: number of the walk.
        trace: its cycles; may be empty.
        who: in front of the scenario's name.
        moving: a frame of the episode: axes go over all its cycles, and all that may come is in the legend.

    Returns:
        A matplotlib Figure (Agg canvas).
    """
    figure = canvas_figure(9.5, 9.8)
    names = [f"{l} {short(name)}" for l, name in enumerate(system.names, start=1)]  # noqa: E741
    right_in = LEGEND_KEY_IN + widest_in(figure, [*_sites(system), "worker, its coverage", *names], 8)
    place(figure, 0.45 + max(0.5, widest_in(figure, names, 7)), right_in, bottom_in=0.85)
    figure.subplots_adjust(hspace=0.2)
    map_axes, time_axes, cut_axes = figure.subplots(3, 1, height_ratios=[3.4, 1.2, 1.0])
    cycles, worker = len(trace["cut"]), int(trace["worker"][-1]) if len(trace["cut"]) else NOBODY
    _draw_map(map_axes, system, walk, trace, worker, moving)
    passed = f" after {trace['elapsed_s'][-1]:.0f} s" if cycles else ""
    now = f"cycle {cycles} of {system.cycles}{passed}, {system.scenario.model} on walk {walk}"
    where = f"worker {system.worker_name(worker)}" if worker != NOBODY else "on the client alone"
    title(
        map_axes,
        f"{who} on {system.scenario.name}: {now}, {where}" if who else f"{system.scenario.name}: {now}, {where}",
    )
    draw_cycles(time_axes, trace, system, moving)
    draw_cuts(cut_axes, trace, system, moving)
    time_axes.tick_params(axis="x", labelbottom=False)
    cut_axes.set_xlabel("cycle" if moving else "time (s)")
    figure.align_ylabels([time_axes, cut_axes])
    return figure


def _sites(system: System) -> list[str]:
    """Names of the kinds of sites."""
    return [f"site, {short(name)}" for name in system.scenario.gpus]


def _draw_map(axes: Any, system: System, walk: int, trace: Trace, worker: int, moving: bool) -> None:
    from matplotlib.collections import EllipseCollection

    city = system.city
    size = 2.0 * city.radius_m
    axes.add_collection(
        EllipseCollection(
            size, size, np.zeros(city.n_sites), units="x", offsets=city.position_m, transOffset=axes.transData,
            facecolors=COVER_COLOR, edgecolors="none", alpha=float(np.clip(4.0 / city.n_sites, 0.02, 0.25)),
        )
    )  # fmt: skip
    for gpu, name in enumerate(_sites(system)):
        at = city.position_m[city.gpu == gpu]
        axes.scatter(at[:, 0], at[:, 1], 14, color=GPU_COLORS[gpu % len(GPU_COLORS)], label=name, linewidths=0)
    points = system.walks.points_m[walk]
    axes.plot(points[:, 0], points[:, 1], color=WALK_COLOR, linewidth=1.0, linestyle=":", label="walk")
    here = points[0]
    if len(trace["cut"]):
        here = np.array([trace["east_m"][-1], trace["north_m"][-1]])
        walked = _walked(system, walk, float(trace["elapsed_s"][-1]))
        axes.plot(walked[0], walked[1], label="walked", **LOOKS["walked"])
        _draw_switches(axes, system, walk, trace)
    _draw_worker(axes, system, worker, here)
    axes.plot(*here, marker="*", markersize=12, color="#222222", markeredgecolor="white", linestyle="", label="client")
    low, high = city.box_m
    low, high = np.minimum(low, points.min(axis=0)) - MARGIN_M, np.maximum(high, points.max(axis=0)) + MARGIN_M
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_aspect("equal")
    axes.set_anchor("W")
    axes.locator_params(axis="x", nbins=6)
    axes.set_xlabel("east (m)", fontsize=8)
    axes.set_ylabel("north (m)", fontsize=8)
    axes.tick_params(labelsize=8)
    _legend(axes, LOOKS if moving else {})


def _legend(axes: Any, looks: Mapping[str, Mapping[str, Any]]) -> None:
    """What is drawn, and what else may come."""
    from matplotlib.lines import Line2D

    handles, labels = axes.get_legend_handles_labels()
    known = {name: Line2D([], [], label=name, **look) for name, look in looks.items()}
    known |= dict(zip(labels, handles, strict=True))
    shown = [known[name] for name in (*(name for name in labels if name not in looks), *looks)]
    axes.legend(handles=shown, fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.02))


def _draw_switches(axes: Any, system: System, walk: int, trace: Trace) -> None:
    """Where the client was when the worker changed, and the sites that were workers before."""
    _, switches = times_of(trace)
    at = system.walks.at(np.full(len(switches), walk), system.scenario.speed_mps * switches)
    if len(switches):
        axes.plot(*at, label="worker changed", **LOOKS["worker changed"])
    servers = np.unique(np.asarray(trace["worker"]).astype(int))
    before = servers[(servers >= 0) & (servers < system.n_sites) & (servers != int(trace["worker"][-1]))]
    if before.size:
        places = system.city.position_m[before].T
        axes.plot(*places, label="workers before", **LOOKS["workers before"])


def _draw_worker(axes: Any, system: System, worker: int, here: np.ndarray) -> None:
    from matplotlib.patches import Circle

    if not 0 <= worker < system.n_sites:
        return
    at, radius = system.city.position_m[worker], float(system.city.radius_m[worker])
    axes.add_patch(Circle((float(at[0]), float(at[1])), radius, fill=False, color=WORKER_COLOR, linewidth=1.4))
    axes.plot([at[0], here[0]], [at[1], here[1]], color=WORKER_COLOR, linewidth=1.2)
    axes.plot(*at, label="worker, its coverage", **LOOKS["worker, its coverage"])


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


def draw_cycles(axes: Any, trace: Trace, system: System, moving: bool = False) -> None:
    """Milliseconds of an iteration in every cycle, the fastest where it is known, changes of worker as lines."""
    edges, switches = _edges(trace, moving)
    iterations = np.asarray(trace["iterations"], dtype=float)
    alone = 1e3 * system.on_device_iteration_s
    highest = alone
    for at in switches:
        axes.axvline(at, color=WORKER_COLOR, linewidth=0.7, alpha=0.6)
    if len(iterations):
        mine, best = 1e3 * trace["cycle_s"] / iterations, 1e3 * trace["oracle_cycle_s"] / iterations
        highest = max(highest, float(mine.max()))
        axes.step(edges, np.append(mine, mine[-1]), where="post", label="cycle", **CYCLE_LOOKS["cycle"])
        if np.isfinite(best).any():
            axes.step(edges, np.append(best, best[-1]), where="post", label="fastest", **CYCLE_LOOKS["fastest"])
    axes.axhline(alone, color="#999999", linewidth=0.9, linestyle="--", label="client alone")
    if len(switches):
        axes.plot([], [], label="new worker", **CYCLE_LOOKS["new worker"])
    axes.set_ylim(0.0, steady(USUAL * alone, highest) if moving else 1.08 * highest)
    axes.set_ylabel("iteration (ms)")
    _finish(axes, system.cycles if moving else edges[-1])
    _legend(axes, CYCLE_LOOKS if moving else {})


def draw_cuts(axes: Any, trace: Trace, system: System, moving: bool = False) -> None:
    """The cut of every cycle."""
    edges, _ = _edges(trace, moving)
    cut = np.asarray(trace["cut"], dtype=int)
    if len(cut):
        axes.step(edges, np.append(cut, cut[-1]), where="post", color=CUT_COLOR, linewidth=1.6)
    shown = _named_cuts(cut[:0] if moving else cut, system.n_layers)
    names = [f"{l} {short(name)}" for l, name in enumerate(system.names, start=1)]  # noqa: E741
    axes.set_yticks(shown, [names[l - 1] for l in shown], fontsize=7)  # noqa: E741
    axes.set_ylim(0.5, system.n_layers + 0.5)
    axes.set_ylabel("cut behind layer")
    if moving and len(cut):
        now = f"now {names[cut[-1] - 1]}"
        axes.text(1.01, 0.5, now, color=CUT_COLOR, fontsize=8, transform=axes.transAxes, va="center")
    _finish(axes, system.cycles if moving else edges[-1])


def _edges(trace: Trace, moving: bool) -> tuple[np.ndarray, np.ndarray]:
    """:func:`times_of`, counted in cycles where the end of time is not known yet."""
    edges, switches = times_of(trace)
    if not moving:
        return edges, switches
    return np.arange(len(edges), dtype=float), np.searchsorted(edges, switches).astype(float)


def _named_cuts(cuts: np.ndarray, n_layers: int) -> list[int]:
    """A few cuts for the ticks: the ends, then the most frequent ones that keep some distance, then others."""
    apart = max(1, round(n_layers / MOST_NAMES))
    counts = np.bincount(cuts, minlength=n_layers + 1)
    named = [n_layers, 1] if n_layers > 1 else [1]
    for cut in np.argsort(-counts[1:], kind="stable").tolist():
        if all(abs(cut + 1 - other) >= apart for other in named):
            named.append(cut + 1)
    return sorted(named)


def _finish(axes: Any, end: float) -> None:
    axes.set_xlim(0.0, float(end) or 1.0)
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", color="#eeeeee")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
