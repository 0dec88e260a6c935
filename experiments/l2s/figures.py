"""L2S's charts of an evaluation, as in the paper's Figs. 10-12, 14, 16 and 17."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...envs.l2s.scenarios import PRIVACY_POINT, Scenario, get_scenario
from ...envs.scenarios import by_name
from ...ui.canvas import INK, clean, panel_grid
from ..figures import add_figure, grouped_bars
from ..line_charts import error_line, rate_axis, seeds_by_agent, values_of
from ..results import Result, by_group
from .episode_figures import draw_trace
from .lines import Seeds, agent_colors, finish, fit, label_grid, legend, look, traces_of, unit_for
from .round_figures import changing_figures, error_figure, ratio_figure
from .rounds import curve_rows

__all__ = ["curve_rows", "draw_trace", "eval_figures"]

SWEEP_AGENTS = ("pdt", "fpt", "oracle", "l2s", "linucb-e")
FEW_AGENTS = 8  # up to so many, all are drawn over the rates
LEAST_REGRET = 0.1  # %; less is shown as this
DELAYS = "Mean delay of a training round"
SWEEP_RATES = 3  # rates of one model and edge that make a group a sweep
TITLES = {
    "constant": "Time lost against the best cut, on constant links",
    "changing": "Time lost against the best cut, on changing links",
    "sweep-gpu": "Delay by rate, edge server with GPU (Fig. 12)",
    "sweep-cpu": "Delay by rate, edge server without GPU (Fig. 12)",
    "privacy": "Time saved by how many layers must stay on the device (Fig. 14)",
}


def eval_figures(results: Sequence[Result], groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Charts of an evaluation; those that lack their data are left out.

    Args:
        results: of any scenarios, agents and seeds.
        groups: group of charts -> scenarios.

    Returns:
        Matplotlib figures by a name that is safe for a file.
    """
    colors = agent_colors(result.agent for result in results)
    found: dict[str, Any] = {}
    by_scenario = {name: seeds_by_agent(results, name) for name in dict.fromkeys(r.scenario for r in results)}
    steady: list[str] = []
    changing: list[str] = []
    for group, values in by_group(results, groups, "delay_s").items():
        kind = _kind(group, list(values))
        add_figure(found, group, _GROUP_FIGURES[kind](group, {name: by_scenario[name] for name in values}, colors))
        if kind in ("sweep", "privacy"):
            continue
        for name in values:
            kept = changing if _changes(name, by_scenario[name]) else steady
            kept.extend([name] if name not in kept else [])
    for name in changing:
        for kind, figure in changing_figures(name, by_scenario[name], colors).items():
            add_figure(found, name + kind, figure)
    for name, draw in (
        ("prediction_error", error_figure),
        ("delay_by_round", ratio_figure),
        ("forced_sampling", _forced_figure),
    ):
        add_figure(found, name, draw({n: by_scenario[n] for n in steady}, colors))
    return found


def _kind(group: str, scenarios: Sequence[str]) -> str:
    """What a group shows: sweep (by rate), privacy (by P^c), regret or delay."""
    if group in ("constant", "changing"):
        return "regret"
    settings = [by_name(get_scenario, name) for name in scenarios]
    known = [s for s in settings if s is not None]
    if len(known) < len(settings):
        return "delay"
    if group.startswith("sweep-"):
        return "sweep"
    if group == "privacy":
        return "privacy"
    if len({_first(s) for s in known}) == 1 and not any(s.mbps_changes or s.varies for s in known):
        rates = [len({o.mbps for o in known if (o.model, o.edge) == (s.model, s.edge)}) for s in known]
        return "sweep" if min(rates) >= SWEEP_RATES else "delay"
    return "delay"


def _changes(scenario: str, seeds: Seeds) -> bool:
    """Whether a scenario's conditions change while it is played."""
    setting = by_name(get_scenario, scenario)
    if setting is not None and (setting.mbps_changes or setting.load_changes or setting.varies):
        return True
    return any(np.ptp(trace["mbps"]) > 0 for traces in traces_of(seeds).values() for trace in traces)


def _delay_bars(group: str, scenarios: Mapping[str, Seeds], colors: Mapping[str, str]) -> Any:
    """Mean delay of a round by scenario and agent."""
    values = {n: {a: values_of(results, "delay_s") for a, results in seeds.items()} for n, seeds in scenarios.items()}
    unit, factor = unit_for(v for row in values.values() for seeds in row.values() for v in seeds)
    return grouped_bars(values, f"delay of a round ({unit})", TITLES.get(group, DELAYS), factor, colors, 0.0)


def _regret_bars(group: str, scenarios: Mapping[str, Seeds], colors: Mapping[str, str]) -> Any:
    """Regret by scenario and agent, in % of what the best points take: models of any size on one axis."""
    values = {n: {a: [_regret_share(r) for r in results] for a, results in seeds.items() if a != "oracle"}
              for n, seeds in scenarios.items()}  # fmt: skip
    values = {n: agents for n, agents in values.items() if agents}
    if not values:
        return None
    label = f"time lost (% of the best)\n{LEAST_REGRET:g} or less: at {LEAST_REGRET:g}"
    return grouped_bars(values, label, TITLES[group], 100.0, colors, LEAST_REGRET)


def _regret_share(result: Result) -> float:
    """Regret over the delay of the best points, both of all rounds."""
    metrics = result.metrics
    rounds = (metrics["total_s"] - metrics["sync_s"]) / metrics["delay_s"]
    return metrics["regret_s"] / (rounds * metrics["oracle_delay_s"])


def _forced_figure(scenarios: Mapping[str, Seeds], colors: Mapping[str, str]) -> Any:
    """Total time of LinUCB with and without forced sampling (Fig. 16)."""
    both = {name: seeds for name, seeds in scenarios.items() if {"linucb", "linucb-e"} <= set(seeds)}
    if not both:
        return None
    reference = next((a for a in ("oracle", "pdt") if all(a in seeds for seeds in both.values())), None)
    values: dict[str, dict[str, list[float]]] = {}
    for name, seeds in both.items():
        base = 1.0 if reference is None else float(np.mean(values_of(seeds[reference], "total_s")))
        values[name] = {a: [v / base for v in values_of(seeds[a], "total_s")] for a in ("linucb", "linucb-e")}
    label = "total time (s)" if reference is None else f"total time / {reference}'s"
    figure = grouped_bars(values, label, "LinUCB without and with forced sampling (Fig. 16)", colors=colors)
    for axes in figure.axes if reference is not None else ():
        axes.axhline(1.0, color=INK, linewidth=0.8, linestyle=(0, (2, 2)))
    return figure


def _sweep_figure(group: str, scenarios: Mapping[str, Seeds], colors: Mapping[str, str]) -> Any:
    """Delay by rate, a panel for every model and edge (Fig. 12)."""
    agents = list(dict.fromkeys(agent for seeds in scenarios.values() for agent in seeds))
    if len(agents) > FEW_AGENTS:
        agents = [a for a in agents if a in SWEEP_AGENTS] or agents
    panels_of: dict[str, list[tuple[float, Seeds]]] = {}
    for name, seeds in scenarios.items():
        setting = get_scenario(name)
        model = name.partition("-")[0]  # whichever variant of it the inputs stand for
        panels_of.setdefault(f"{model}, {setting.edge}", []).append((setting.mbps, seeds))
    figure, panels = panel_grid(len(panels_of))
    for axes, (title, rows) in zip(panels, panels_of.items(), strict=True):
        rows.sort(key=lambda row: row[0])
        shown = [v for _, seeds in rows for a in agents for v in values_of(seeds.get(a, ()), "delay_s")]
        unit, factor = unit_for(shown)
        for agent in agents:
            points = [(mbps, values_of(seeds[agent], "delay_s")) for mbps, seeds in rows if agent in seeds]
            error_line(axes, points, factor, label=agent, marker="o", **look(agent, colors))
        rate_axis(axes, [mbps for mbps, _ in rows])
        lines = {a: [v * factor for _, s in rows for v in values_of(s.get(a, ()), "delay_s")] for a in agents}
        fit(axes, {a: values for a, values in lines.items() if values})
        axes.set_ylabel(f"delay of a round ({unit})")
        finish(axes, title)
    label_grid(panels, "rate (Mbps)", panels[0].get_ylabel())
    legend(figure, TITLES.get(group, "Delay by rate (Fig. 12)"))
    return figure


def _privacy_figure(group: str, scenarios: Mapping[str, Seeds], colors: Mapping[str, str]) -> Any:
    """Time saved against the device alone by P^c, a line for every agent and rate (Fig. 14)."""
    agents = list(dict.fromkeys(agent for seeds in scenarios.values() for agent in seeds))
    agents = [a for a in ("l2s", "oracle") if a in agents] or agents
    settings = {name: get_scenario(name) for name in scenarios}
    rates = sorted({s.mbps for s in settings.values()})
    styles = dict(zip(rates, [("-", "o"), ("--", "s"), (":", "^"), ("-.", "D")] * len(rates), strict=False))
    figure, (axes,) = panel_grid(1)
    for agent in agents:
        for mbps in rates:
            rows = [(_first(settings[n]), seeds[agent]) for n, seeds in scenarios.items()
                    if settings[n].mbps == mbps and agent in seeds]  # fmt: skip
            line, marker = styles[mbps]
            points = sorted(((float(p), values_of(found, "saved")) for p, found in rows), key=lambda point: point[0])
            label = f"{agent}, {mbps:g} Mbps"
            error_line(
                axes, points, 100.0, color=colors[agent], linestyle=line, marker=marker, linewidth=1.4, label=label
            )
    axes.set_xticks(sorted({_first(s) for s in settings.values()}))
    axes.axhline(0.0, color=INK, linewidth=0.8, linestyle=(0, (2, 2)))
    axes.set_xlabel("first layers that must stay on the device (privacy constraint)")
    axes.set_ylabel("time saved against\ntraining on the device alone (%)")
    clean(axes)
    legend(figure, TITLES.get(group, TITLES["privacy"]))
    return figure


_GROUP_FIGURES: Mapping[str, Callable[[str, Mapping[str, Seeds], Mapping[str, str]], Any]] = {
    "regret": _regret_bars,
    "delay": _delay_bars,
    "sweep": _sweep_figure,
    "privacy": _privacy_figure,
}


def _first(setting: Scenario) -> int:
    """P^c of a setting of the paper's networks."""
    return PRIVACY_POINT if setting.privacy_point is None else setting.privacy_point
