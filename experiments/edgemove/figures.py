"""EdgeMove's charts of an evaluation, as in the paper's Table 1 and Figs. 6, 8 and 9."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...envs.edgemove.scenarios import PUBLISHED_SPEEDUPS, Scenario, get_scenario
from ...envs.scenarios import by_name
from ...ui.canvas import INK, panel_grid, top_legend
from ..figures import add_figure, grouped_bars
from ..line_charts import (
    Seeds,
    colors_of,
    error_line,
    finish,
    fit,
    label_grid,
    legend,
    rate_axis,
    seeds_by_agent,
    unit_for,
    values_of,
)
from ..results import Result, by_group
from .adaptation_figure import adaptation_figure
from .episode_figures import curve_rows, draw_trace

__all__ = ["curve_rows", "draw_trace", "eval_figures"]

PALETTE = ("edgemove", "pipedream-e", "oracle", "device-cloud", "lookahead", "edgemove-literal", "ppo", "on-device",
           "dqn", "a2c", "pipedream")  # fmt: skip
PUBLISHED_COLUMN: Mapping[str, int] = {"device-cloud": 0, "pipedream-e": 1, "edgemove-literal": 2, "edgemove": 2}
DASHES: Mapping[str, Any] = {"on-device": (0, (5, 2)), "oracle": (0, (3, 1.5)), "edgemove-literal": (0, (1, 1.2))}
SPEED_COLORS = ("#a9c4e6", "#17375e", "#e08a1e", "#3f9a5b")
SWEEP_RATES = 3  # rates of one task and speed that make a group a sweep
Colors = Mapping[str, str]


def eval_figures(results: Sequence[Result], groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Charts of an evaluation; those that lack their data are left out.

    Args:
        results: of any scenarios, agents and seeds.
        groups: group of charts -> scenarios.

    Returns:
        Matplotlib figures by a name that is safe for a file: for every group its speed-ups, over the link rate where
        it holds several of them, else with ``_adaptation`` and ``_progress``; ``speed`` for what was played at several
        speeds.
    """
    colors = colors_of(PALETTE, (result.agent for result in results))
    found: dict[str, Any] = {}
    for group, values in by_group(results, groups, "speedup").items():
        scenarios = {name: seeds_by_agent(results, name) for name in values}
        if _is_sweep(list(values)):
            add_figure(found, group, _sweep_figure(scenarios, colors))
            continue
        add_figure(found, group, _speedup_bars(values, colors))
        add_figure(found, f"{group}_adaptation", adaptation_figure(scenarios, colors))
        add_figure(found, f"{group}_progress", _progress_figure(scenarios, colors))
    everything = {name: seeds_by_agent(results, name) for name in dict.fromkeys(r.scenario for r in results)}
    shown = {name for members in groups.values() for name in members}
    add_figure(found, "speed", _speed_figure({n: s for n, s in everything.items() if n in shown}))
    return found


def _without(setting: Scenario, **fields: float) -> str:
    """What scenarios have in common that differ in these fields only."""
    return repr(replace(setting, name="", **fields))  # type: ignore[arg-type]


def _task(setting: Scenario) -> str:
    """What comes before rate and speed in a scenario's name."""
    return next((task for task in PUBLISHED_SPEEDUPS if setting.name.startswith(task)), setting.name)


# Speed-up by task (Table 1).


def _speedup_bars(values: Mapping[str, Mapping[str, Sequence[float]]], colors: Colors) -> Any:
    """Bars by scenario and agent, the published speed-ups marked on those that have one."""
    figure = grouped_bars(values, "speed-up over on-device", "Speed-up over on-device", colors=colors)
    mark = None
    for axes in figure.axes:
        axes.axhline(1.0, color=INK, linewidth=0.8, linestyle=(0, (2, 2)))
        mark = _mark_published(axes) or mark
    if mark is not None:
        _legend_again(
            figure, {"published (Table 1)": mark}, "Speed-up over on-device, with the published ones (Table 1)"
        )
    return figure


def _mark_published(axes: Any) -> Any:
    """Marks on the bars of agents whose speed-up the paper tells; None where there is no such bar."""
    scenarios = [tick.get_text() for tick in axes.get_xticklabels()]
    at, published = [], []
    for bars in axes.containers:
        if bars.get_label() not in PUBLISHED_COLUMN or not hasattr(bars, "patches"):
            continue
        for bar in bars.patches:
            middle = bar.get_x() + bar.get_width() / 2
            speedups = PUBLISHED_SPEEDUPS.get(scenarios[round(middle)])
            if speedups is not None:
                at.append(middle)
                published.append(speedups[PUBLISHED_COLUMN[bars.get_label()]])
    if not at:
        return None
    axes.set_ylim(top=max(axes.get_ylim()[1], 1.06 * max(published)))
    return axes.plot(
        at, published, "D", markersize=5, color=INK, markeredgecolor="white", markeredgewidth=0.8, zorder=5
    )[0]


def _legend_again(figure: Any, more: Mapping[str, Any], title: str) -> None:
    """The legend above the panels, with more entries."""
    handles, names = figure.axes[0].get_legend_handles_labels()
    for old in figure.legends:
        old.remove()
    figure.legends.clear()
    top_legend(figure, {**dict(zip(names, handles, strict=True)), **more}, title)


# Speed-up over the rates.


def _is_sweep(scenarios: Sequence[str]) -> bool:
    """Whether every task and speed of a group has several link rates."""
    settings = [by_name(get_scenario, name) for name in scenarios]
    rates: dict[str, set[float]] = {}
    for setting in settings:
        if setting is None:
            return False
        rates.setdefault(_without(setting, near_mbps=1.0), set()).add(setting.near_mbps)
    return min(map(len, rates.values())) >= SWEEP_RATES


def _sweep_figure(scenarios: Mapping[str, Seeds], colors: Colors) -> Any:
    """A line for every agent over the link rate near a site, a panel for every task and speed."""
    panels_of: dict[str, list[tuple[Scenario, Seeds]]] = {}
    for name, seeds in scenarios.items():
        setting = get_scenario(name)
        panels_of.setdefault(_without(setting, near_mbps=1.0), []).append((setting, seeds))
    figure, panels = panel_grid(len(panels_of))
    for axes, rows in zip(panels, panels_of.values(), strict=True):
        rows.sort(key=lambda row: row[0].near_mbps)
        agents = dict.fromkeys(agent for _, seeds in rows for agent in seeds)
        for agent in agents:
            points = [(s.near_mbps, values_of(seeds[agent], "speedup")) for s, seeds in rows if agent in seeds]
            error_line(axes, points, 1.0, label=agent, marker="o", **_look(agent, colors))
        rate_axis(axes, [setting.near_mbps for setting, _ in rows])
        fit(axes, {a: [v for _, seeds in rows for v in values_of(seeds.get(a, ()), "speedup")] for a in agents})
        finish(axes, f"{_task(rows[0][0])}, {rows[0][0].speed_mps:g} m/s")
    label_grid(panels, "goodput near a site (Mbps)", "speed-up over on-device")
    legend(figure, "Speed-up over on-device by link rate")
    return figure


def _look(agent: str, colors: Colors) -> dict[str, Any]:
    width = 2.2 if agent == "edgemove" else 1.4
    return {"color": colors[agent], "linestyle": DASHES.get(agent, "-"), "linewidth": width}


# Progress (Fig. 6).


def _progress_figure(scenarios: Mapping[str, Seeds], colors: Colors) -> Any:
    """Share of iterations done over time, a panel for every scenario; None without traces.

    Staleness is ignored, so accuracy follows iterations.
    """
    traces = {n: {a: [r.trace for r in rs if r.trace is not None] for a, rs in seeds.items()}
              for n, seeds in scenarios.items()}  # fmt: skip
    traces = {n: found for n, agents in traces.items() if (found := {a: t for a, t in agents.items() if t})}
    if not traces:
        return None
    figure, panels = panel_grid(len(traces), 2)
    for axes, (name, agents) in zip(panels, traces.items(), strict=True):
        lines = {agent: _progress(found) for agent, found in agents.items()}
        longest = max(float(at_s[-1]) for at_s, _ in lines.values())
        unit, factor = unit_for([longest])
        for agent, (at_s, percent) in lines.items():
            axes.plot(factor * at_s, percent, label=agent, **_look(agent, colors))
        axes.set_xlim(0.0, 1.02 * factor * longest)
        axes.set_ylim(0.0, 103.0)
        finish(axes, name)
        axes.set_xlabel(f"time ({unit})")
    for axes in panels[:: panels[0].get_gridspec().ncols]:
        axes.set_ylabel("iterations done (%)")
    legend(figure, "Progress of training, the last episode (Fig. 6)")
    return figure


def _progress(traces: Sequence[Mapping[str, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """(time in s (T + 1,), the mean over seeds; % of iterations done by then (T + 1,))."""
    done = np.cumsum(traces[0]["iterations"], dtype=float)
    at_s = np.mean([np.asarray(trace["elapsed_s"], dtype=float) for trace in traces], axis=0)
    return np.append(0.0, at_s), np.append(0.0, 100.0 * done / done[-1])


# Training time by speed (Fig. 8).


def _speed_figure(scenarios: Mapping[str, Seeds]) -> Any:
    """Training time of every agent at several speeds, a panel for every task; None without such scenarios."""
    panels_of: dict[str, list[tuple[Scenario, Seeds]]] = {}
    for name, seeds in scenarios.items():
        setting = by_name(get_scenario, name)
        if setting is not None:
            panels_of.setdefault(_without(setting, speed_mps=1.0), []).append((setting, seeds))
    shown = [_by_speed(rows) for rows in panels_of.values()]
    shown = [rows for rows in shown if len(rows) > 1 and _in_all(rows)]
    if not shown:
        return None
    figure, panels = panel_grid(len(shown), 2)
    for axes, rows in zip(panels, shown, strict=True):
        _draw_speeds(axes, rows)
    legend(figure, "Training time by the client's speed, and the change from the slowest (Fig. 8)")
    return figure


def _by_speed(rows: Sequence[tuple[Scenario, Seeds]]) -> list[tuple[Scenario, Seeds]]:
    """One row for every speed, slowest first: a scenario may have several names."""
    first = {setting.speed_mps: (setting, seeds) for setting, seeds in reversed(rows)}
    return [first[speed] for speed in sorted(first)]


def _in_all(rows: Sequence[tuple[Scenario, Seeds]]) -> list[str]:
    """The agents that played at every speed."""
    return [agent for agent in rows[0][1] if all(agent in seeds for _, seeds in rows)]


def _draw_speeds(axes: Any, rows: Sequence[tuple[Scenario, Seeds]]) -> None:
    agents = _in_all(rows)
    seconds = [[values_of(seeds[a], "elapsed_s") for a in agents] for _, seeds in rows]
    unit, factor = unit_for(v for row in seconds for values in row for v in values)
    means, spreads = (factor * np.array([[f(v) for v in row] for row in seconds]) for f in (np.mean, np.std))
    width = 0.84 / len(rows)
    for k, (setting, _) in enumerate(rows):
        at = np.arange(len(agents)) + (k - (len(rows) - 1) / 2) * width
        axes.bar(at, means[k], width, color=SPEED_COLORS[k % len(SPEED_COLORS)], label=f"{setting.speed_mps:g} m/s")
        several = [i for i, values in enumerate(seconds[k]) if len(values) > 1]
        axes.errorbar(
            at[several], means[k, several], spreads[k, several], fmt="none", ecolor="#999999", elinewidth=0.9,
            capsize=1.6, capthick=0.9,
        )  # fmt: skip
        for x, mean, base, top in zip(at, means[k], means[0], means[k] + spreads[k], strict=True):
            change = f"{100 * (mean / base - 1):+.0f} %".replace("-", "−") if k else ""
            axes.annotate(
                change, (x, top), (0, 2), textcoords="offset points", ha="center", va="bottom", fontsize=7, color=INK
            )
    axes.set_ylim(0.0, 1.12 * float((means + spreads).max()))
    axes.set_ylabel(f"training time ({unit})")
    axes.set_xticks(range(len(agents)), agents, rotation=20, ha="right")
    finish(axes, _task(rows[0][0]))
    axes.tick_params(axis="x", length=0)
