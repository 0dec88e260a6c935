"""Pictures of one episode: its blocks one below the other, and the timeline of a plan; the blocks as a curve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...envs.hiertrain.dynamics import HierTrainDynamics
from ...envs.hiertrain.viewer import plan_figure
from ...models.plans import HybridPlan
from ...ui.canvas import COLORS, INK, clean, new_figure
from ..line_charts import unit_for

Trace = Mapping[str, np.ndarray]  # of the blocks of an episode, (T,) each; see HierTrainDynamics.trace
DEVICE_EDGE, EDGE_CLOUD, MINE, BEST, REPLAN = COLORS[4], COLORS[1], COLORS[0], COLORS[2], COLORS[3]
CURVE_ROWS = 1000
LINKS = ("device_edge_mbps", "edge_cloud_mbps")


def draw_plan(env: Any, plan: Mapping[str, Any], title: str) -> Any:
    """The timeline of an iteration under a plan.

    Args:
        env: the HierTrain env; the rates are those of the last block that it played, or the nominal ones.
        plan: a hybrid plan as JSON data.
        title: in front of the scenario's name.
    """
    dynamics: HierTrainDynamics = env.unwrapped.dynamics
    played = [1e6 * float(dynamics.trace[name][-1, 0]) for name in LINKS]
    device_edge, edge_cloud = played if min(played) > 0 else dynamics.system.nominal
    schedule = dynamics.system.schedule_of(HybridPlan.from_json(plan, "plan"))
    when = "last block" if dynamics.rates.drifts else ""
    return plan_figure(dynamics.system, schedule, device_edge, edge_cloud, title, when, cost=dynamics.cost)


def draw_trace(env: Any, trace: Trace, title: str) -> dict[str, Any]:
    """Draw the blocks of an episode whose rates change; nothing where all blocks are alike.

    Args:
        env: the HierTrain env that was played.
        trace: its blocks.
        title: in front of the scenario's name.

    Returns:
        Matplotlib figures by name: ``blocks`` (rates of both links, seconds of an iteration beside the optimum, the
        gap between them, what handing out weights takes; the last two where there is any).
    """
    dynamics: HierTrainDynamics = env.unwrapped.dynamics
    if not dynamics.rates.drifts:
        return {}
    known = bool(np.isfinite(trace["optimal_s"]).any())
    replans = bool((trace["replan_s"] > 0).any())
    heights = {"rates": 1.5, "iteration": 2.4, "gap": 1.4 * known, "replan": 1.4 * replans}
    heights = {name: height for name, height in heights.items() if height}
    figure = new_figure(9.5, 0.9 + sum(heights.values()))
    panels = figure.subplots(len(heights), sharex=True, height_ratios=list(heights.values()))
    axes = dict(zip(heights, panels, strict=True))
    _draw_rates(axes["rates"], trace)
    _draw_iterations(axes["iteration"], trace, known)
    if known:
        _draw_gap(axes["gap"], trace)
    if replans:
        _draw_replans(axes["replan"], trace)
    for panel in panels:
        clean(panel)
        if len(panel.get_legend_handles_labels()[0]) > 1:
            panel.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.03))
    figure.align_ylabels(panels)
    panels[0].set_title(f"{title} on {dynamics.scenario_name}".strip(), loc="left", fontsize=11)
    panels[-1].set_xlabel("block of iterations")
    panels[-1].set_xlim(0.5, len(trace["iteration_s"]) + 0.5)
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    return {"blocks": figure}


def _numbers(trace: Trace) -> np.ndarray:
    """(T,) the blocks, counted from 1."""
    return np.arange(1, len(trace["iteration_s"]) + 1)


def _steps(axes: Any, trace: Trace, values: np.ndarray, color: str, label: str = "", **look: Any) -> None:
    """A line that is level over every block, the first and the last one in full."""
    edges = np.append(_numbers(trace) - 0.5, len(values) + 0.5)
    axes.step(edges, np.append(values, values[-1]), where="post", color=color, label=label or None, **look)


def _draw_rates(axes: Any, trace: Trace) -> None:
    _steps(axes, trace, trace["device_edge_mbps"], DEVICE_EDGE, "device–edge", linewidth=1.2)
    _steps(axes, trace, trace["edge_cloud_mbps"], EDGE_CLOUD, "edge–cloud", linewidth=1.2)
    axes.set_ylim(0.0, 1.1 * max(float(trace[name].max()) for name in LINKS))
    axes.set_ylabel("Mbps")


def _draw_iterations(axes: Any, trace: Trace, known: bool) -> None:
    mine, best = (np.asarray(trace[name], dtype=float) for name in ("iteration_s", "optimal_s"))
    unit, factor = unit_for(np.concatenate([mine, best]))
    _steps(axes, trace, mine * factor, MINE, "iteration", linewidth=2.4)
    if known:
        _steps(axes, trace, best * factor, BEST, "exact optimum", linewidth=1.2)
    axes.set_ylabel(f"iteration ({unit})")
    shown = np.concatenate([mine, best[np.isfinite(best)]]) * factor
    margin = 0.06 * float(np.ptp(shown)) or 0.05 * float(shown.max())
    axes.set_ylim(max(float(shown.min()) - margin, 0.0), float(shown.max()) + margin)


def _draw_gap(axes: Any, trace: Trace) -> None:
    percent = 100.0 * _gaps(trace)
    _steps(axes, trace, percent, MINE, linewidth=1.4)
    axes.axhline(0.0, color=INK, linewidth=0.8)
    low, high = float(np.nanmin(percent)), float(np.nanmax(percent))
    axes.set_ylim(min(1.1 * low, 0.0) - 0.05, max(1.1 * high, 1.0))
    axes.set_ylabel("gap (%)")


def _draw_replans(axes: Any, trace: Trace) -> None:
    replan_s = np.asarray(trace["replan_s"], dtype=float)
    unit, factor = unit_for(replan_s)
    axes.bar(_numbers(trace), replan_s * factor, 0.8, color=REPLAN)
    axes.set_ylim(0.0, 1.1 * float(replan_s.max()) * factor)
    axes.set_ylabel(f"replanning ({unit})")


def _gaps(trace: Trace) -> np.ndarray:
    """(T,) seconds of an iteration over the optimum's, minus 1."""
    return np.asarray(trace["iteration_s"], dtype=float) / np.asarray(trace["optimal_s"], dtype=float) - 1.0


def curve_rows(env: Any, trace: Trace) -> list[dict[str, float]]:
    """How an episode went, as the curve of an agent that is not trained.

    Args:
        env: the HierTrain env that was played; the trace says it all.
        trace: its blocks.

    Returns:
        Rows, at most 1000, evenly spread, the last block among them: round (the block, from 1), device_edge_mbps and
        edge_cloud_mbps, iteration_s, optimal_s and gap (left out where no optimum is known), cumulative replan_s.
    """
    blocks = len(trace["iteration_s"])
    shown = {name: np.asarray(trace[name], dtype=float) for name in (*LINKS, "iteration_s", "optimal_s")}
    shown |= {"gap": _gaps(trace), "replan_s": np.cumsum(trace["replan_s"], dtype=float)}
    kept = np.linspace(blocks - 1, 0, min(blocks, CURVE_ROWS)).astype(int)[::-1]
    return [
        {"round": at + 1, **{name: float(v[at]) for name, v in shown.items() if np.isfinite(v[at])}}
        for at in kept.tolist()
    ]
