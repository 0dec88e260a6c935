"""Time to plan by model, as bars and as a table below them (paper, Table 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...envs.hiertrain.scenarios import get_scenario
from ...models.cuts import cut_points
from ...models.lookup import get_model
from ...ui.canvas import clean, new_figure, top_legend
from ..figures import logarithmic
from ..line_charts import Seeds

# Seconds of the paper's planner with CPLEX on a Core i7-6700 (Table 2), by the first part of a scenario's name.
PAPER = "paper (CPLEX)"
PAPER_S = {"lenet5": 0.52, "alexnet": 1.48, "vgg16": 3.0, "vgg19": 4.0, "googlenet": 5.3, "resnet34": 12.0}
PAPER_COLOR = "#c8c8c8"
ROW_IN = 0.27


def scaling_figure(scenarios: Mapping[str, Seeds], colors: Mapping[str, str], planners: Sequence[str]) -> Any:
    """Bars and a table of the seconds that planners took.

    Args:
        scenarios: scenario -> agent -> results; their seconds are those to plan.
        colors: of agents.
        planners: agents that are shown, those without results left out; None is drawn without any.
    """
    planners = [a for a in planners if any(a in seeds for seeds in scenarios.values())]
    if not planners:
        return None
    seconds = {a: [_mean_s(seeds, a) for seeds in scenarios.values()] for a in planners}
    published = [PAPER_S.get(name.partition("-")[0], np.nan) for name in scenarios]
    layers = [len(cut_points(get_model(get_scenario(name).model), stem=True)) - 1 for name in scenarios]
    rows = {"layers N": [f"{n}" for n in layers], PAPER: [_text(v) for v in published]}
    rows |= {agent: [_text(v) for v in values] for agent, values in seconds.items()}
    if len(planners) == 2:
        ratios = np.array(seconds[planners[0]]) / np.array(seconds[planners[1]])
        rows[f"{planners[0]} / {planners[1]}"] = [f"{v:.0f}×" if np.isfinite(v) else "–" for v in ratios]
    figure = new_figure(max(7.0, 2.0 + 1.15 * len(scenarios)), 3.9 + ROW_IN * len(rows))
    axes, below = figure.subplots(2, height_ratios=(3.2, ROW_IN * (len(rows) + 1)))
    bars = {PAPER: (published, PAPER_COLOR), **{a: (values, colors[a]) for a, values in seconds.items()}}
    _draw_bars(axes, bars, list(scenarios))
    _draw_table(below, rows)
    handles, names = axes.get_legend_handles_labels()
    top_legend(figure, dict(zip(names, handles, strict=True)), "Planning time (Table 2)")
    return figure


def _mean_s(seeds: Seeds, agent: str) -> float:
    return float(np.mean([result.seconds for result in seeds[agent]])) if agent in seeds else np.nan


def _text(seconds: float) -> str:
    if not np.isfinite(seconds):
        return "–"
    return f"{seconds:.3f}"


def _draw_bars(axes: Any, bars: Mapping[str, tuple[Sequence[float], str]], names: Sequence[str]) -> None:
    width = 0.8 / len(bars)
    for k, (label, (values, color)) in enumerate(bars.items()):
        at = np.arange(len(values)) + (k - (len(bars) - 1) / 2) * width
        axes.bar(at, values, width, color=color, label=label, edgecolor="white", linewidth=0.4)
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", length=0, labelsize=9)
    axes.set_xlim(-0.5, len(names) - 0.5)
    logarithmic(axes, (1.0,))
    known = [v for values, _ in bars.values() for v in values if np.isfinite(v) and v > 0]
    axes.set_ylim(10.0 ** np.floor(np.log10(min(known) / 1.5)) if known else None, 2.0 * max(known, default=1.0))
    axes.set_ylabel("seconds")
    clean(axes)


def _draw_table(axes: Any, rows: Mapping[str, Sequence[str]]) -> None:
    """Cells under the bars of their scenario."""
    axes.set_axis_off()
    table = axes.table(list(rows.values()), rowLabels=list(rows), cellLoc="center", loc="upper center", edges="open")
    table.auto_set_font_size(False)
    table.set_fontsize(9)
