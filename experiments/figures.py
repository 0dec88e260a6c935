"""Pictures that every family has: the learning curve and grouped bars."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..agents.registry import family_module
from ..envs import Family
from ..ui.canvas import COLORS, INK, clean, new_figure, top_legend
from .tables import number

LOG_FROM = 4.0  # ratio of the highest to the lowest value that makes an axis logarithmic
FEW_EPISODES = 20  # with fewer, a learning curve is drawn over steps
BARS_IN_A_ROW = 75  # of a bar chart; more begin another row


def hook(family: Family, name: str) -> Any:
    """What a family draws or tells by itself (see :class:`splitgym.envs.Family`), None where it leaves that to all."""
    return getattr(family_module(family.name, family.experiments), name, None) if family.experiments else None


def add_figure(figures: dict[str, Any], name: str, figure: Any) -> None:
    """Add a figure, if there is one, under a name that is safe for a file and not yet taken."""
    if figure is None:
        return
    safe = re.sub(r"[^\w+-]+", "_", name).strip("_") or "figure"
    number = 2
    unique = safe
    while unique in figures:
        unique, number = f"{safe}-{number}", number + 1
    figures[unique] = figure


def learning_curve(
    curve: Sequence[Mapping[str, float]],
    metric: str,
    label: str,
    factor: float = 1.0,
    references: Mapping[str, float] | None = None,
    lower_is_better: bool = True,
    title: str = "",
    paired: bool = False,
) -> Any:
    """Draw how the headline metric came along.

    Args:
        curve: reports with ``episodes``, ``steps``, ``recent_<metric>``, where episodes are alike ``best_<metric>``.
        metric: the headline metric.
        label: its name on the axis, with the unit.
        factor: from the metric to that unit.
        references: other agents' values; the four best are drawn as lines.
        lower_is_better: which ones are best.
        title: above the axes.
        paired: whether ``recent_regret`` is in the metric's own unit, so that the optimum of the same episodes can be
            drawn where it is known.
    """
    figure = new_figure(8.0, 4.4)
    axes = figure.add_subplot()
    unit = "episodes" if curve and curve[-1]["episodes"] >= FEW_EPISODES else "steps"
    done = np.array([row[unit] for row in curve], dtype=float)
    best, recent = (_series(curve, f"{name}_{metric}") * factor for name in ("best", "recent"))
    look = {"marker": "o" if len(done) == 1 else None}  # a line needs two reports
    axes.plot(done, recent, color=COLORS[0], linewidth=1.1, alpha=0.65, label="mean of the newest episodes", **look)
    shown = [*recent]
    if np.isfinite(best).any():
        text = f"best episode so far: {number(best[np.isfinite(best)][-1])}"
        axes.plot(done, best, color=COLORS[3], linewidth=2.0, drawstyle="steps-post", label=text, **look)
        shown += [*best]
    elif paired and np.isfinite(regret := _series(curve, "recent_regret") * factor).any():
        optimum = recent - regret if lower_is_better else recent + regret
        axes.plot(done, optimum, color=COLORS[3], linewidth=1.4, label="optimum of the same episodes", **look)
        shown += [*optimum]
    ranked = sorted((references or {}).items(), key=lambda item: item[1] if lower_is_better else -item[1])[:4]
    lines = {name: value * factor for name, value in ranked if math.isfinite(value)}
    _limits(axes, [*shown, *lines.values()], recent, lower_is_better)
    for value in lines.values():
        axes.axhline(value, color="#999999", linewidth=0.9, linestyle=(0, (5, 3)), zorder=0)
    _label_lines(axes, lines)
    if len(done):
        axes.set_xlim(min(0.0, float(done[0])), max(float(done[-1]), 1.0))
    axes.set_xlabel(unit)
    axes.set_ylabel(label)
    axes.set_title(title, loc="left", fontsize=11)
    axes.legend(frameon=False, fontsize=9, loc="best")
    clean(axes)
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
    if low > 0 and high / low > LOG_FROM:
        logarithmic(axes)
        axes.set_ylim(low / 1.15, high * 1.15)
        return
    margin = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    axes.set_ylim(low - margin, high + margin)


def logarithmic(axes: Any, ticks: Sequence[float] = (1.0, 2.0, 5.0)) -> None:
    """Make the vertical axis logarithmic, with plain numbers at these ticks of every decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=ticks))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _label_lines(axes: Any, lines: Mapping[str, float]) -> None:
    """Names of horizontal lines at the right edge, pushed apart where they would overlap."""
    to_axes = axes.transData + axes.transAxes.inverted()
    at = -math.inf
    for name, value in sorted(lines.items(), key=lambda item: item[1]):
        height = float(to_axes.transform((0.0, value))[1])
        at = max(height, at + 0.055)
        axes.annotate(
            f"{name} {number(value)}",
            (1.02, at),
            xycoords="axes fraction",
            fontsize=9,
            color=INK,
            va="center",
            annotation_clip=False,
        )


def grouped_bars(
    values: Mapping[str, Mapping[str, Sequence[float]]],
    label: str,
    title: str = "",
    factor: float = 1.0,
    colors: Mapping[str, str] | None = None,
) -> Any:
    """Bars of every agent for every scenario, error bars over seeds (standard deviation).

    Args:
        values: scenario -> agent -> one value a seed; an agent may be missing somewhere.
        label: the vertical axis, with the unit.
        title: above the axes.
        factor: from the values to that unit.
        colors: agent -> color; by the order of the agents where it says nothing.
    """
    scenarios = list(values)
    agents = list(dict.fromkeys(agent for row in values.values() for agent in row))
    looks = {agent: {"color": COLORS[a % len(COLORS)], "hatch": "///" if a >= len(COLORS) else None}
             for a, agent in enumerate(agents)}  # fmt: skip
    looks |= {agent: {"color": color, "hatch": None} for agent, color in (colors or {}).items()}
    panels = _panels(scenarios, len(agents))
    width_in = min(max(6.5, 1.4 + 0.16 * len(panels[0]) * (len(agents) + 1.2)), 13.0)
    figure = new_figure(width_in, 1.2 + (3.4 if len(panels) == 1 else 2.5) * len(panels))
    axes = figure.subplots(len(panels), squeeze=False)[:, 0]
    for panel, names in zip(axes, panels, strict=True):
        _bars(panel, {name: values[name] for name in names}, agents, factor, looks)
        panel.set_xlim(-0.6, len(panels[0]) - 0.4)
        panel.set_ylabel(label)
        clean(panel)
    handles, names = axes[0].get_legend_handles_labels()
    top_legend(figure, dict(zip(names, handles, strict=True)), title)
    return figure


def _panels(scenarios: Sequence[str], agents: int) -> list[list[str]]:
    """Scenarios in rows of about equal length, so that bars and names stay legible."""
    rows = max(1, math.ceil(len(scenarios) * (agents + 1.2) / BARS_IN_A_ROW))
    most = math.ceil(len(scenarios) / rows)
    return [list(scenarios[i : i + most]) for i in range(0, len(scenarios), most)]


def _bars(
    axes: Any,
    values: Mapping[str, Mapping[str, Sequence[float]]],
    agents: Sequence[str],
    factor: float,
    looks: Mapping[str, Mapping[str, Any]],
) -> None:
    width = 0.86 / len(agents)
    for a, agent in enumerate(agents):
        rows = [(i, row[agent]) for i, row in enumerate(values.values()) if agent in row]
        seeds = {i: np.asarray(row, dtype=float) * factor for i, row in rows}
        at = {i: i + (a - (len(agents) - 1) / 2) * width for i in seeds}
        axes.bar(
            list(at.values()), [s.mean() for s in seeds.values()], width,
            edgecolor="white", linewidth=0.4, label=agent, **looks[agent],
        )  # fmt: skip
        several = [i for i in seeds if len(seeds[i]) > 1]
        axes.errorbar(
            [at[i] for i in several], [seeds[i].mean() for i in several], [seeds[i].std() for i in several],
            fmt="none", ecolor=INK, elinewidth=0.9, capsize=1.6, capthick=0.9,
        )  # fmt: skip
    room = (axes.figure.get_size_inches()[0] - 1.2) / len(values)
    slanted = max(map(len, values)) * 0.09 > room
    slant = {"rotation": 20, "ha": "right"} if slanted else {}
    axes.set_xticks(range(len(values)), list(values), **slant)
    axes.tick_params(axis="x", length=0)


def has_error_bars(figure: Any) -> bool:
    """Whether a figure shows error bars of any length."""
    from matplotlib.container import ErrorbarContainer

    found = [c for axes in figure.axes for c in axes.containers if isinstance(c, ErrorbarContainer)]
    return any(np.ptp(bar[:, 1]) > 0 for c in found for bars in c.lines[2] for bar in bars.get_segments() if len(bar))


def scale_to(axes: Any, values: Sequence[float] | np.ndarray) -> None:
    """Make the vertical axis logarithmic where positive values differ by more than LOG_FROM."""
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    if known.size and known.min() > 0 and known.max() / known.min() > LOG_FROM:
        logarithmic(axes)
