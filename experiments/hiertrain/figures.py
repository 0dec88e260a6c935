"""HierTrain's charts of an evaluation, as in the paper's Figs. 7-11 and Table 2."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...envs.hiertrain.scenarios import Scenario, get_scenario
from ...envs.scenarios import by_name
from ...ui.canvas import INK, panel_grid
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
from .episode_figures import curve_rows, draw_plan, draw_trace
from .scaling_figure import scaling_figure

__all__ = ["curve_rows", "draw_plan", "draw_trace", "eval_figures"]

PALETTE = ("hiertrain", "all-edge", "exact", "all-cloud", "jalad", "jointdnn", "jointdnn+", "all-device", "ppo", "sac",
           "ddpg")  # fmt: skip
# Many agents find the same plan: broad lines lie below narrow ones, so that all of them can be seen.
WIDTHS = {"hiertrain": 5.0, "exact": 3.0, "jointdnn+": 1.6}
DASHES: Mapping[str, Any] = {"jointdnn": (0, (2, 1.5)), "jalad": (0, (4, 2)), "all-device": (0, (6, 2))}
MARKERS = {"hiertrain": "", "exact": "", "all-edge": "s", "all-cloud": "^", "all-device": "D", "jalad": "v"}
RATE_LOOKS = (("-", "o", 3.2), ("--", "s", 2.0), (":", "^", 1.6), ("-.", "D", 1.4))  # line, marker, width
RATE_COLORS = ("#a9c4e6", "#17375e", "#e08a1e", "#3f9a5b")
SWEEP_RATES = 3  # rates of one model and edge that make a group a sweep
PLANNERS = ("hiertrain", "exact")
LEAST_GAP = 0.1  # %; less is drawn as this
TITLES = {
    "alexnet": "AlexNet: iteration time by edge–cloud rate (Figs. 7 and 9)",
    "lenet5": "LeNet-5: iteration time by edge–cloud rate (Figs. 8 and 10)",
}
Colors = Mapping[str, str]
Figures = Mapping[str, Any]  # what stands behind a group's name -> figure


def eval_figures(results: Sequence[Result], groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Charts of an evaluation; those that lack their data are left out.

    Args:
        results: of any scenarios, agents and seeds.
        groups: group of charts -> scenarios.

    Returns:
        Matplotlib figures by a name that is safe for a file.
    """
    colors = colors_of(PALETTE, (result.agent for result in results))
    found: dict[str, Any] = {}
    for group, values in by_group(results, groups, "iteration_s").items():
        scenarios = {name: seeds_by_agent(results, name) for name in values}
        for kind, figure in _GROUP_FIGURES[_kind(group, list(values))](group, scenarios, colors).items():
            add_figure(found, group + kind, figure)
    return found


def _kind(group: str, scenarios: Sequence[str]) -> str:
    """What a group shows: sweep (by rate), cores, scaling (by model), drifting, or bars of whatever it is."""
    settings = [by_name(get_scenario, name) for name in scenarios]
    known = [s for s in settings if s is not None]
    if len(known) < len(settings):
        return "bars"
    if any(s.drift for s in known):
        return "drifting" if all(s.drift for s in known) else "bars"
    if group == "scaling":
        return "scaling"
    if len({s.edge_cores for s in known}) > 1 and len({s.model for s in known}) == 1:
        return "cores"
    rates = [len({o.edge_cloud_mbps for o in known if _swept(o) == _swept(s)}) for s in known]
    return "sweep" if min(rates) >= SWEEP_RATES else "bars"


def _swept(setting: Scenario) -> tuple[str, int]:
    """What one panel of a sweep has in common."""
    return setting.model, setting.edge_cores


def _look(agent: str, colors: Colors) -> dict[str, Any]:
    width = WIDTHS.get(agent, 1.4)
    return {
        "color": colors[agent],
        "linewidth": width,
        "linestyle": DASHES.get(agent, "-"),
        "marker": MARKERS.get(agent, "o"),
        "zorder": 3.0 - 0.1 * width,
    }


# A metric over the rates (Figs. 7-10).


def _sweep_figures(group: str, scenarios: Mapping[str, Seeds], colors: Colors) -> Figures:
    """Seconds of an iteration by edge-cloud rate, and the same over the exact optimum's."""
    title = TITLES.get(group, "Iteration time by edge–cloud rate")
    times = {n: {a: values_of(r, "iteration_s") for a, r in seeds.items()} for n, seeds in scenarios.items()}
    ratios = {
        n: {a: [v / float(np.mean(row["exact"])) for v in values] for a, values in row.items()}
        for n, row in times.items()
        if "exact" in row
    }
    figures = {"": _lines_by_rate(times, colors, title, "")}
    if ratios:
        head = title.replace("iteration time", "iteration time over the exact planner's")
        head = head.replace("Iteration time", "Iteration time over the exact planner's")
        figures["_ratio"] = _lines_by_rate(ratios, colors, head, "time / that of the exact optimum")
    return figures


def _lines_by_rate(values: Mapping[str, Mapping[str, Sequence[float]]], colors: Colors, title: str, label: str) -> Any:
    """A line for every agent, a panel for every model and edge; times where there is no label."""
    panels_of: dict[tuple[str, int], list[tuple[float, Mapping[str, Sequence[float]]]]] = {}
    for name, row in values.items():
        setting = get_scenario(name)
        panels_of.setdefault(_swept(setting), []).append((setting.edge_cloud_mbps, row))
    figure, panels = panel_grid(len(panels_of))
    for axes, ((model, cores), rows) in zip(panels, panels_of.items(), strict=True):
        rows.sort(key=lambda row: row[0])
        agents = list(dict.fromkeys(agent for _, row in rows for agent in row))
        unit, factor = ("", 1.0) if label else unit_for(v for _, row in rows for seeds in row.values() for v in seeds)
        for agent in agents:
            points = [(mbps, row[agent]) for mbps, row in rows if agent in row]
            error_line(axes, points, factor, label=agent, **_look(agent, colors))
        rate_axis(axes, [mbps for mbps, _ in rows])
        fit(axes, {a: [v * factor for _, row in rows for v in row.get(a, ())] for a in agents})
        axes.set_ylabel(label or f"time of an iteration ({unit})")
        finish(axes, f"{model}, {cores} edge core{'s' if cores > 1 else ''}")
    label_grid(panels, "edge–cloud rate (Mbps)", panels[0].get_ylabel())
    legend(figure, title)
    return figure


# Edge cores (Fig. 11).


def _cores_figures(group: str, scenarios: Mapping[str, Seeds], colors: Colors) -> Figures:
    """Seconds of an iteration by edge cores, a line for every rate, a panel for every agent."""
    settings = {name: get_scenario(name) for name in scenarios}
    rates = sorted({s.edge_cloud_mbps for s in settings.values()})
    agents = _served(scenarios, settings)
    times = [v for seeds in scenarios.values() for a in agents for v in values_of(seeds.get(a, ()), "iteration_s")]
    unit, factor = unit_for(times)
    figure, panels = panel_grid(len(agents))
    for axes, agent in zip(panels, agents, strict=True):
        for k, mbps in enumerate(rates):
            rows = [(s.edge_cores, scenarios[name][agent]) for name, s in settings.items()
                    if s.edge_cloud_mbps == mbps and agent in scenarios[name]]  # fmt: skip
            points = [(float(cores), values_of(found, "iteration_s")) for cores, found in sorted(rows, key=_first)]
            line, marker, width = RATE_LOOKS[k % len(RATE_LOOKS)]
            look = {"color": RATE_COLORS[k % len(RATE_COLORS)], "linestyle": line, "marker": marker, "linewidth": width}
            error_line(axes, points, factor, label=f"{mbps:g} Mbps", **look)
        axes.set_xticks(sorted({s.edge_cores for s in settings.values()}))
        fit(axes, {"": np.array(times) * factor})
        finish(axes, agent)
    label_grid(panels, "cores of the edge server", f"time of an iteration ({unit})")
    model = next(iter(settings.values())).model
    legend(figure, f"{model}: iteration time by edge cores and edge–cloud rate (Fig. 11)")
    return {"": figure}


def _served(scenarios: Mapping[str, Seeds], settings: Mapping[str, Scenario]) -> list[str]:
    """The agents whose time depends on the edge server's cores at some rate; all of them where none does."""
    found: dict[str, dict[float, set[float]]] = {}
    for name, seeds in scenarios.items():
        for agent, results in seeds.items():
            times = found.setdefault(agent, {}).setdefault(settings[name].edge_cloud_mbps, set())
            times.add(float(np.mean(values_of(results, "iteration_s"))))
    return [a for a, rates in found.items() if any(len(times) > 1 for times in rates.values())] or list(found)


def _first(row: tuple[int, Any]) -> int:
    return row[0]


# Bars.


def _bar_figures(group: str, scenarios: Mapping[str, Seeds], colors: Colors) -> Figures:
    """Seconds of an iteration by scenario and agent."""
    return {"": _time_bars(scenarios, colors, "Iteration time")}


def _time_bars(scenarios: Mapping[str, Seeds], colors: Colors, title: str) -> Any:
    values = {n: {a: values_of(r, "iteration_s") for a, r in seeds.items()} for n, seeds in scenarios.items()}
    unit, factor = unit_for(v for row in values.values() for seeds in row.values() for v in seeds)
    return grouped_bars(values, f"time of an iteration ({unit})", title, factor, colors, 0.0)


def _drifting_figures(group: str, scenarios: Mapping[str, Seeds], colors: Colors) -> Figures:
    """Seconds of an iteration with replanning, and the gap to the optimum without it, means over episodes."""
    return {
        "": _time_bars(scenarios, colors, "Iteration time on drifting links, replanning included"),
        "_gap": _gap_bars(scenarios, colors),
    }


def _gap_bars(scenarios: Mapping[str, Seeds], colors: Colors) -> Any:
    """Gap to the optimum in %; that of the exact planner is 0 and left out."""
    gaps = {n: {a: values_of(r, "gap") for a, r in seeds.items() if a != "exact"} for n, seeds in scenarios.items()}
    gaps = {n: {a: v for a, v in row.items() if np.isfinite(v).all()} for n, row in gaps.items()}
    gaps = {n: row for n, row in gaps.items() if row}
    if not gaps:
        return None
    means = [float(np.mean(v)) for row in gaps.values() for v in row.values()]
    least = LEAST_GAP if min(means) > -1e-6 else None  # who sends 8-bit activations may beat the optimum
    title = "Time lost against the exact optimum of every block, replanning left out"
    figure = grouped_bars(gaps, f"gap (%; at least {LEAST_GAP:g} is drawn)", title, 100.0, colors, least)
    for axes in figure.axes:
        if axes.get_yscale() == "linear":
            axes.axhline(0.0, color=INK, linewidth=0.8)
    return figure


def _scaling_figures(group: str, scenarios: Mapping[str, Seeds], colors: Colors) -> Figures:
    """Planning times by model (Table 2), and what the plans are worth."""
    return {
        "": scaling_figure(scenarios, colors, PLANNERS),
        "_iteration": _time_bars(scenarios, colors, "Iteration time by model"),
    }


_GROUP_FIGURES: Mapping[str, Callable[[str, Mapping[str, Seeds], Colors], Figures]] = {
    "sweep": _sweep_figures,
    "cores": _cores_figures,
    "bars": _bar_figures,
    "drifting": _drifting_figures,
    "scaling": _scaling_figures,
}
