"""Deprune's charts of an evaluation, as in the paper's Figs. 4-16: accuracy, traffic and time of budget schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...envs.deprune.scenarios import get_scenario
from ...envs.scenarios import by_name
from ...ui.canvas import INK, clean, new_figure, panel_grid, top_legend
from ..figures import add_figure, grouped_bars
from ..line_charts import Seeds, colors_of, finish, label_grid, legend, seeds_by_agent, unit_for, values_of
from ..results import Result, by_group
from .episode_figures import curve_rows, draw_trace
from .progress_figures import by_bytes_figure, by_time_figure, cuts_figure, marker_of, progress_figure

__all__ = ["curve_rows", "draw_trace", "eval_figures"]

PALETTE = ("no-compression", "prune", "best-schedule", "deprune", "from-scratch", "high-compression", "ppo",
           "without-module", "dqn")  # fmt: skip
METRICS = {
    "score": ("score", 1.0),
    "accuracy": ("test accuracy (%)", 100.0),
    "bytes_share": ("traffic (% of\nno compression)", 100.0),
}
LINK = {"name": "", "mbps": 1.0, "clients": 1, "rtt_s": 0.0, "dynamic": False, "sigma": 0.0}
BOARDS = {"client": "pixel6a", "client_share": 1.0, "server": "pixel6a"}  # they only take another time
NAMED_BARS = 14  # so many bars have room for their values
LETTER_IN = 0.085  # width of a letter below the bars
Colors = Mapping[str, str]


def eval_figures(results: Sequence[Result], groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Charts of an evaluation; those that lack their data are left out.

    Args:
        results: of any scenarios, agents and seeds.
        groups: group of charts -> scenarios.

    Returns:
        Matplotlib figures by a name that is safe for a file. A group whose scenarios differ in links and boards alone
        has training times, and accuracies over time (``_progress``). Every other one has score, accuracy and traffic
        as bars, accuracy against traffic (``_traffic``), accuracies by epoch (``_progress``) and by bytes (``_bytes``),
        and, where there are several cuts, these side by side (``_by_cut``).
    """
    colors = colors_of(PALETTE, (result.agent for result in results))
    found: dict[str, Any] = {}
    for group, values in by_group(results, groups, "score").items():
        scenarios = {name: seeds_by_agent(results, name) for name in values}
        if _differ_in_link(list(values)):
            add_figure(found, group, _time_bars(scenarios, colors))
            add_figure(found, f"{group}_progress", by_time_figure(scenarios, colors))
            continue
        add_figure(found, group, _bars_figure(scenarios, colors))
        add_figure(found, f"{group}_traffic", _traffic_figure(scenarios, colors))
        add_figure(found, f"{group}_progress", progress_figure(scenarios, colors))
        add_figure(found, f"{group}_bytes", by_bytes_figure(scenarios, colors))
        add_figure(found, f"{group}_by_cut", cuts_figure(scenarios))
    return found


def _differ_in_link(scenarios: Sequence[str]) -> bool:
    """Whether there are several scenarios, the same but for their link and what is at its ends."""
    settings = [by_name(get_scenario, name) for name in scenarios]
    return (
        len(settings) > 1
        and len({repr(s and replace(s, **LINK, **BOARDS)) for s in settings}) == 1
        and None not in settings
    )


# Bars.


def _bars_figure(scenarios: Mapping[str, Seeds], colors: Colors) -> Any:
    """Score, accuracy and traffic one below the other, bars by scenario and agent."""
    agents = list(dict.fromkeys(agent for seeds in scenarios.values() for agent in seeds))
    figure = new_figure(min(max(7.0, 1.6 + 0.24 * len(scenarios) * (len(agents) + 1.2)), 13.0), 7.2)
    panels = figure.subplots(len(METRICS), sharex=True)
    for axes, (metric, (label, factor)) in zip(panels, METRICS.items(), strict=True):
        for a, agent in enumerate(agents):
            _agent_bars(axes, scenarios, metric, factor, agent, (a, len(agents)), colors[agent])
        axes.set_ylabel(label)
        axes.tick_params(axis="x", length=0)
        clean(axes)
    if len(scenarios) * len(agents) <= NAMED_BARS:
        for axes in panels:
            for bars in axes.containers:
                if hasattr(bars, "patches"):
                    axes.bar_label(bars, fmt=_three_digits, padding=2, fontsize=7, color=INK)
            axes.margins(y=0.14)
    names = list(scenarios)
    room_in = (figure.get_size_inches()[0] - 1.2) / len(names)
    slant: dict[str, Any] = {"rotation": 20, "ha": "right"} if max(map(len, names)) * LETTER_IN > room_in else {}
    panels[-1].set_xticks(range(len(names)), names, **slant)
    panels[-1].set_xlim(-0.6, len(names) - 0.4)
    figure.align_ylabels(panels)
    handles, labels = panels[0].get_legend_handles_labels()
    top_legend(figure, dict(zip(labels, handles, strict=True)), "Score, final accuracy and traffic of schedules")
    return figure


def _agent_bars(
    axes: Any,
    scenarios: Mapping[str, Seeds],
    metric: str,
    factor: float,
    agent: str,
    place: tuple[int, int],
    color: str,
) -> None:
    """An agent's bars, the ``place``th of so many, with the spread over seeds where there are several."""
    number, count = place
    width = 0.86 / count
    for i, seeds in enumerate(scenarios.values()):
        if agent not in seeds:
            continue
        values = factor * np.array(values_of(seeds[agent], metric))
        at, spread = i + (number - (count - 1) / 2) * width, values.std() if np.ptp(values) > 1e-12 else None
        label = agent if agent not in axes.get_legend_handles_labels()[1] else None
        axes.bar(
            at, values.mean(), width, yerr=spread, color=color, edgecolor="white", linewidth=0.4, label=label,
            error_kw={"ecolor": INK, "elinewidth": 0.9, "capsize": 1.6, "capthick": 0.9},
        )  # fmt: skip


def _three_digits(value: float) -> str:
    return f"{value:.3g}"


def _time_bars(scenarios: Mapping[str, Seeds], colors: Colors) -> Any:
    """Training time by link and agent."""
    values = {n: {a: values_of(rs, "elapsed_s") for a, rs in seeds.items()} for n, seeds in scenarios.items()}
    unit, factor = unit_for(v for row in values.values() for seeds in row.values() for v in seeds)
    return grouped_bars(values, f"training time ({unit})", "Training time by link", factor, colors, 0.0)


# Accuracy against traffic.


def _traffic_figure(scenarios: Mapping[str, Seeds], colors: Colors) -> Any:
    """Final accuracy against traffic, a panel for every scenario; a line through those that nobody beats in both."""
    line = ""
    figure, panels = panel_grid(len(scenarios), 2)
    for axes, (name, seeds) in zip(panels, scenarios.items(), strict=True):
        points = {a: (_percent(rs, "bytes_share"), _percent(rs, "accuracy")) for a, rs in seeds.items()}
        means = {agent: (x.mean(), y.mean()) for agent, (x, y) in points.items()}
        for agent, (x, y) in points.items():
            spread = {"xerr": x.std(), "yerr": y.std()} if len(x) > 1 else {}
            axes.errorbar(
                x.mean(), y.mean(), **spread, fmt=marker_of(agent, colors), markersize=7, color=colors[agent],
                elinewidth=0.9, capsize=2, label=agent, zorder=3,
            )  # fmt: skip
        edge = frontier(means)
        if len(edge) > 1:
            axes.plot(*zip(*edge, strict=True), color="#b0b0b0", linewidth=1.2, linestyle=(0, (5, 2)), zorder=1)
            line = "; the dashed line: none is better in both"
        axes.set_xscale("log")
        ends = [x.mean() + side * x.std() for x, _ in points.values() for side in (-1.0, 1.0)]
        positive = [end for end in ends if end > 0] or [100.0]
        axes.set_xlim(min(positive) / 1.4, max(100.0, *positive) * 1.25)
        _percent_ticks(axes)
        axes.margins(y=0.12)
        finish(axes, name)
    label_grid(panels, "traffic (% of no compression)", "accuracy (%)")
    legend(figure, f"Final accuracy against traffic of maps and gradients{line}")
    return figure


def _percent(results: Sequence[Result], metric: str) -> np.ndarray:
    return 100.0 * np.array(values_of(results, metric))


def frontier(points: Mapping[str, tuple[float, float]]) -> list[tuple[float, float]]:
    """The points (cost, worth) that no other one beats in one and equals or beats in the other, by rising cost."""
    found: list[tuple[float, float]] = []
    for x, y in sorted(points.values(), key=lambda point: (point[0], -point[1])):
        if not found or y > found[-1][1]:
            found.append((x, y))
    return found


def _percent_ticks(axes: Any) -> None:
    """Plain numbers on a logarithmic axis of shares, more of them where it spans few."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high > 6.0 * low else range(1, 10)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
