"""Pictures that every family has: the learning curve, grouped bars. Agg canvases only, never pyplot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .runs import replacing

DPI = 150
COLORS = (
    "#3b6fb6", "#e08a1e", "#3f9a5b", "#c8453b", "#8562b5", "#8c5b45", "#d773b4", "#7a7a7a", "#b5b03a", "#3fb3c6",
    "#a9c4e6", "#f6c491", "#a6d8a8", "#f0a5a0", "#cbb6e0", "#c9aaa0", "#f3c1dd", "#c8c8c8", "#dedb92", "#a8dfe8",
)  # fmt: skip
INK = "#333333"
GRID = "#e6e6e6"


def new_figure(width_in: float, height_in: float) -> Any:
    """An empty matplotlib figure on an Agg canvas."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)


def learning_curve(
    curve: Sequence[Mapping[str, float]],
    metric: str,
    label: str,
    factor: float = 1.0,
    references: Mapping[str, float] | None = None,
    lower_is_better: bool = True,
    title: str = "",
) -> Any:
    """Draw how the headline metric came along.

    Args:
        curve: reports with ``episodes``, ``best_<metric>`` and ``recent_<metric>``.
        metric: the headline metric.
        label: its name on the axis, with the unit.
        factor: from the metric to that unit.
        references: other agents' values; the four best are drawn as lines.
        lower_is_better: which ones are best.
        title: above the axes.
    """
    figure = new_figure(8.0, 4.4)
    axes = figure.add_subplot()
    episodes = np.array([row["episodes"] for row in curve], dtype=float)
    best = _series(curve, f"best_{metric}") * factor
    recent = _series(curve, f"recent_{metric}") * factor
    axes.plot(episodes, recent, color=COLORS[0], linewidth=1.1, alpha=0.65, label="mean of the newest episodes")
    axes.plot(episodes, best, color=COLORS[3], linewidth=2.0, drawstyle="steps-post", label="best episode so far")
    ranked = sorted((references or {}).items(), key=lambda item: item[1] if lower_is_better else -item[1])[:4]
    lines = {name: value * factor for name, value in ranked if math.isfinite(value)}
    _limits(axes, [*recent, *best, *lines.values()], recent, lower_is_better)
    for value in lines.values():
        axes.axhline(value, color="#999999", linewidth=0.9, linestyle=(0, (5, 3)), zorder=0)
    _label_lines(axes, lines)
    if len(episodes):
        axes.set_xlim(min(0.0, float(episodes[0])), max(float(episodes[-1]), 1.0))
    axes.set_xlabel("episodes")
    axes.set_ylabel(label)
    axes.set_title(title, loc="left", fontsize=11)
    axes.legend(frameon=False, fontsize=9, loc="upper right" if lower_is_better else "lower right")
    _clean(axes)
    return figure


def _series(curve: Sequence[Mapping[str, float]], name: str) -> np.ndarray:
    return np.array([row.get(name, math.nan) for row in curve], dtype=float)


def _limits(axes: Any, values: Sequence[float], recent: np.ndarray, lower_is_better: bool) -> None:
    """Room for all that matters: wild first episodes may leave the picture."""
    shown = np.array([v for v in values if math.isfinite(v)])
    if not shown.size:
        return
    low, high = float(shown.min()), float(shown.max())
    settled = recent[np.isfinite(recent)]
    if settled.size >= 20:
        bound = np.percentile(settled, 95 if lower_is_better else 5)
        rest = [v for v in shown if v not in settled]
        if lower_is_better:
            high = max(bound, *rest) if rest else bound
        else:
            low = min(bound, *rest) if rest else bound
    margin = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    axes.set_ylim(low - margin, high + margin)


def _label_lines(axes: Any, lines: Mapping[str, float]) -> None:
    """Names of horizontal lines at the right edge, pushed apart where they would overlap."""
    low, high = axes.get_ylim()
    gap = 0.055 * (high - low)
    at = -math.inf
    for name, value in sorted(lines.items(), key=lambda item: item[1]):
        at = max(value, at + gap)
        axes.annotate(
            f"{name} {value:.4g}",
            (1.0, value),
            (1.02, at),
            xycoords=("axes fraction", "data"),
            textcoords=("axes fraction", "data"),
            fontsize=9,
            color=INK,
            va="center",
            annotation_clip=False,
        )


def grouped_bars(
    values: Mapping[str, Mapping[str, Sequence[float]]], label: str, title: str = "", factor: float = 1.0
) -> Any:
    """Bars of every agent for every scenario, error bars over seeds (standard deviation).

    Args:
        values: scenario -> agent -> one value a seed; an agent may be missing somewhere.
        label: the vertical axis, with the unit.
        title: above the axes.
        factor: from the values to that unit.
    """
    scenarios = list(values)
    agents = list(dict.fromkeys(agent for row in values.values() for agent in row))
    several = any(len(seeds) > 1 for row in values.values() for seeds in row.values())
    bars = len(scenarios) * (len(agents) + 1.2)
    figure = new_figure(min(max(6.5, 1.6 + 0.14 * bars), 40.0), 4.6)
    axes = figure.add_subplot()
    width = 0.86 / len(agents)
    for a, agent in enumerate(agents):
        where = [i for i, scenario in enumerate(scenarios) if agent in values[scenario]]
        seeds = [np.asarray(values[scenarios[i]][agent], dtype=float) * factor for i in where]
        axes.bar(
            [i + (a - (len(agents) - 1) / 2) * width for i in where],
            [s.mean() for s in seeds],
            width,
            yerr=[s.std() for s in seeds] if several else None,
            color=COLORS[a % len(COLORS)],
            edgecolor="white",
            linewidth=0.4,
            hatch="///" if a >= len(COLORS) else None,
            error_kw={"ecolor": INK, "elinewidth": 0.9, "capsize": 1.6, "capthick": 0.9},
            label=agent,
        )
    crowded = max(map(len, scenarios)) * len(scenarios) * 0.09 > figure.get_size_inches()[0] - 1.2
    axes.set_xticks(range(len(scenarios)), scenarios, rotation=30 if crowded else 0, ha="right" if crowded else "center")
    axes.set_xlim(-0.6, len(scenarios) - 0.4)
    axes.set_ylabel(label)
    axes.tick_params(axis="x", length=0)
    columns = max(3, int(figure.get_size_inches()[0] / 1.35))
    figure.legend(loc="outside upper left", ncols=min(len(agents), columns), frameon=False, fontsize=9, title=title,
                  alignment="left", title_fontproperties={"size": 11}, columnspacing=1.2, handlelength=1.2)  # fmt: skip
    _clean(axes)
    return figure


def _clean(axes: Any) -> None:
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
