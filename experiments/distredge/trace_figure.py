"""Latency over the trace: what every image took while links changed (paper, Figs. 11 and 12)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...ui.canvas import clean, new_figure, top_legend
from ..figures import scale_to
from ..results import Result

Series = Mapping[str, np.ndarray]  # of the images that an agent was played on; see Played.series
WINDOW = 9  # images that a line is the mean of
LINK_COLORS = ("#17375e", "#7f9fc4", "#8a8a8a", "#c2a878", "#5f8f75", "#b07aa1")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))  # so that lines differ in grey, too
MINUTE_S = 60.0


def trace_figure(results: Mapping[str, Result], colors: Mapping[str, str], title: str) -> Any:
    """Rates of the links, latency of every image and when agents were making a new strategy, over the trace's time.

    Args:
        results: by agent, all played on the same trace; those without a series are left out.
        colors: of agents.
        title: above it all.

    Returns:
        A figure, or None where no result has a series.
    """
    series = {agent: result.series for agent, result in results.items() if result.series is not None}
    if not series:
        return None
    waiting = [agent for agent, rows in series.items() if np.any(rows.get("replanning", False))]
    strip_in = 0.35 + 0.17 * len(waiting)
    figure = new_figure(9.0, 5.6 + strip_in)
    heights = [1.5, 3.4, *([strip_in] if waiting else [])]
    rates, latency, *strip = figure.subplots(len(heights), sharex=True, height_ratios=heights)
    _draw_rates(rates, next(iter(series.values())))
    for number, (agent, rows) in enumerate(series.items()):
        at, values = rows["clock_s"] / MINUTE_S, rows["latency_s"] * 1e3
        latency.plot(at, values, color=colors[agent], linewidth=0.6, alpha=0.3)
        latency.plot(
            at,
            _running_mean(values),
            color=colors[agent],
            linewidth=1.9,
            linestyle=DASHES[number % len(DASHES)],
            label=agent,
        )
    smooth = np.concatenate([_running_mean(rows["latency_s"] * 1e3) for rows in series.values()])
    scale_to(latency, smooth)
    latency.set_ylim(*_limits(smooth, latency.get_yscale() == "log"))
    latency.set_ylabel("latency (ms)")
    for axes in strip:
        _draw_replanning(axes, {agent: series[agent] for agent in waiting}, colors)
    figure.axes[-1].set_xlabel("time of the trace (minutes)")
    end = max(float(rows["clock_s"][-1]) for rows in series.values()) / MINUTE_S
    latency.set_xlim(0.0, end or 1.0)
    for axes in figure.axes:
        axes.tick_params(labelsize=8)
        clean(axes)
    figure.align_ylabels(figure.axes[:2])
    handles, labels = latency.get_legend_handles_labels()
    lines = dict(zip(labels, handles, strict=True))
    top_legend(figure, lines, f"{title} (bold: mean of {WINDOW} images)", 2.4)
    return figure


def _draw_rates(axes: Any, rows: Series) -> None:
    """What each link carries, the mean of the images around."""
    for d, mbps in enumerate(rows["mbps"].T):
        color = LINK_COLORS[d % len(LINK_COLORS)]
        look = {"color": color, "linewidth": 1.1, "linestyle": DASHES[d % len(DASHES)]}
        axes.plot(rows["clock_s"] / MINUTE_S, _running_mean(mbps), label=f"link of device {d + 1}", **look)
    axes.set_ylim(bottom=0.0)
    axes.set_ylabel("link rate (Mbps)")
    if rows["mbps"].shape[1] <= len(LINK_COLORS):
        axes.legend(frameon=False, fontsize=7.5, loc="upper left", bbox_to_anchor=(1.0, 1.05), handlelength=2.6)


def _draw_replanning(axes: Any, series: Mapping[str, Series], colors: Mapping[str, str]) -> None:
    """A bar for every time in which an agent's old strategy served while a new one was being made."""
    for row, (agent, rows) in enumerate(series.items()):
        at = np.append(rows["clock_s"], rows["clock_s"][-1]) / MINUTE_S
        edges = np.flatnonzero(np.diff(np.concatenate([[0], rows["replanning"].astype(int), [0]])))
        spans = [(at[a], at[b] - at[a]) for a, b in zip(edges[::2], edges[1::2], strict=True)]
        axes.broken_barh(spans, (row - 0.35, 0.7), color=colors[agent])
    axes.set_yticks(range(len(series)), [f"{agent} plans anew" for agent in series])
    axes.set_ylim(len(series) - 0.5, -0.5)


def _running_mean(values: np.ndarray) -> np.ndarray:
    """Means of the WINDOW values around each, of fewer at the ends."""
    kernel = np.ones(min(WINDOW, len(values)))
    return np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same")


def _limits(values: np.ndarray, logarithmic: bool) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    if logarithmic:
        return low / 1.15, high * 1.15
    margin = 0.1 * (high - low) or 0.1 * high
    return max(0.0, low - margin), high + margin
