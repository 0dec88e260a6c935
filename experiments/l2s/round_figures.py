"""L2S's charts over training rounds: learning on constant links, tracking changing ones (paper, Figs. 10, 11, 17)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...ui.canvas import INK, clean, new_figure, panel_grid
from ..figures import LOG_FROM, logarithmic
from .lines import LEAST_ERROR, PALETTE, Seeds, Traces, draw_lines, finish, fit, label_grid, legend, traces_of, unit_for
from .rounds import WINDOW, average_ratio, prediction_errors, regrets, running_mean, running_median, stacked

FIRST_ROUNDS = 100  # in which an agent learns (Figs. 10 and 11)
LATER = f" (logarithmic from {FIRST_ROUNDS} on)"
ERRORS = "How far agents misjudge the time on link and edge server before a round"
LATER_WINDOW = 50  # rounds of running medians after that, where rounds lie close together


def error_figure(scenarios: Mapping[str, Seeds], colors: Mapping[str, str]) -> Any:
    """How far agents' predictions of the edge delay are off by round (Fig. 10): median of seeds and last ten rounds."""
    errors = {name: _errors(traces_of(seeds)) for name, seeds in scenarios.items()}
    errors = {name: lines for name, lines in errors.items() if lines}
    if not errors:
        return None
    figure, panels = panel_grid(len(errors))
    for axes, (name, lines) in zip(panels, errors.items(), strict=True):
        draw_lines(axes, lines, colors)
        highest = max(float(np.nanmax(percent)) for percent in lines.values())
        if highest > LOG_FROM * LEAST_ERROR:
            logarithmic(axes, (1.0,))
            axes.set_ylim(LEAST_ERROR, 1.2 * highest)
        _early_rounds(axes, max(map(len, lines.values())))
        finish(axes, name)
    compressed = any(axes.get_xscale() != "linear" for axes in panels)
    label_grid(panels, f"training round{LATER if compressed else ''}", "prediction off by (%)")
    legend(figure, f"{ERRORS}; median of {WINDOW} rounds and all seeds (Fig. 10)")
    return figure


def _errors(traces: Traces) -> dict[str, np.ndarray]:
    """Agent -> (T,) running median of errors in %."""
    found = {}
    for agent, seeds in traces.items():
        known = [errors for trace in seeds if (errors := prediction_errors(trace)) is not None]
        if known:
            rounds = min(map(len, known))
            stack = np.stack([errors[:rounds] for errors in known])
            later = running_median(stack, LATER_WINDOW)
            found[agent] = 100.0 * np.concatenate([running_median(stack)[:FIRST_ROUNDS], later[FIRST_ROUNDS:]])
    return found


def _early_rounds(axes: Any, rounds: int) -> None:
    """The first rounds in full, later ones ever closer together."""
    if rounds <= FIRST_ROUNDS:
        axes.set_xlim(1, max(2, rounds))
        return
    axes.set_xscale("symlog", linthresh=FIRST_ROUNDS, linscale=2.0)
    later = [at for at in (200, 500, 1000, 2000, 5000, 10_000) if at <= rounds]
    axes.set_xticks([1, 20, 40, 60, 80, FIRST_ROUNDS, *later], [1, 20, 40, 60, 80, FIRST_ROUNDS, *later])
    axes.set_xticks([], minor=True)
    axes.set_xlim(1, rounds)
    axes.axvline(FIRST_ROUNDS, color="#bbbbbb", linewidth=0.8, zorder=0)


def ratio_figure(scenarios: Mapping[str, Seeds], colors: Mapping[str, str]) -> Any:
    """Average delay up to every round over the best points' (Fig. 11)."""
    traces = {name: found for name, seeds in scenarios.items() if (found := traces_of(seeds))}
    if not traces:
        return None
    figure, panels = panel_grid(len(traces))
    for axes, (name, agents) in zip(panels, traces.items(), strict=True):
        ratios = {agent: average_ratio(seeds)[:FIRST_ROUNDS] for agent, seeds in agents.items()}
        draw_lines(axes, ratios, colors)
        fit(axes, {**ratios, "best": [1.0]})
        axes.axhline(1.0, color=INK, linewidth=0.8, linestyle=(0, (2, 2)))
        axes.set_xlim(1, max(2, *(len(ratio) for ratio in ratios.values())))
        finish(axes, name)
    label_grid(panels, "training round", "mean delay / best")
    legend(figure, "Mean delay of the rounds so far, as a multiple of the best cut's (dotted; Fig. 11)")
    return figure


def changing_figures(scenario: str, seeds: Seeds, colors: Mapping[str, str]) -> dict[str, Any]:
    """Delay (Fig. 17) and regret over the rounds, means over seeds; by what stands behind the scenario's name."""
    traces = traces_of(seeds)
    if not traces:
        return {}
    rounds = max(len(trace["delay_s"]) for agent in traces.values() for trace in agent)
    window = max(2 * WINDOW, rounds // 100)
    delays = {a: running_mean(stacked(t, "delay_s").mean(axis=0), window) for a, t in traces.items()}
    losses = {a: regrets(t).mean(axis=0) for a, t in traces.items()}
    whose = _whose_rates(seeds, traces)
    delay_title = f"{scenario}: delay, mean of the last {window} rounds (Fig. 17)"
    return {
        "": _changing_figure(delay_title, "delay of a round", delays, whose, colors),
        "-regret": _changing_figure(
            f"{scenario}: time lost so far against the best cut of every round", "regret so far", losses, whose, colors
        ),
    }


def _whose_rates(seeds: Seeds, traces: Traces) -> tuple[np.ndarray, str]:
    """(rates of the first seed of one agent, what to say of them: nothing where all others met the same)."""
    agent = next((a for a in PALETTE if a in traces), next(iter(traces)))
    first = next(result for result in seeds[agent] if result.trace is not None)
    mbps = np.asarray(traces[agent][0]["mbps"], dtype=float)
    same = all(np.array_equal(mbps, trace["mbps"]) for found in traces.values() for trace in found)
    return mbps, "" if same else f"rates that {agent}, seed {first.seed} met"


def _changing_figure(
    title: str, label: str, lines: Mapping[str, np.ndarray], whose: tuple[np.ndarray, str], colors: Mapping[str, str]
) -> Any:
    """Lines by agent over the rounds, below a strip with the rate."""
    mbps, note = whose
    figure = new_figure(8.5, 4.9)
    strip, axes = figure.subplots(2, sharex=True, height_ratios=(1, 5))
    strip.step(np.arange(1, len(mbps) + 1), mbps, where="mid", color=INK, linewidth=0.8)
    strip.set_ylim(0.0, 1.15 * float(np.nanmax(mbps)))
    strip.set_ylabel("Mbps", fontsize=9)
    strip.set_title(note, loc="right", fontsize=8, color="#777777", pad=2)
    strip.tick_params(labelsize=8)
    unit, factor = unit_for(v for line in lines.values() for v in line)
    scaled = {agent: line * factor for agent, line in lines.items()}
    draw_lines(axes, scaled, colors)
    fit(axes, scaled)
    axes.set_ylabel(f"{label} ({unit})")
    axes.set_xlabel("training round")
    axes.set_xlim(1, max(2, len(mbps)))
    for panel in (strip, axes):
        clean(panel)
    legend(figure, title)
    return figure
