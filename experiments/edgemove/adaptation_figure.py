"""How often agents adapt and what that takes beside training (paper, Fig. 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...ui.canvas import INK, clean, new_figure, top_legend
from ..line_charts import Seeds, unit_for, values_of

COUNTS = {"cut_moves": "cut moves", "worker_switches": "worker switches"}
ADAPTATION_COLOR = "#222222"
NAME_IN = 0.085  # width of a letter below the bars


def adaptation_figure(scenarios: Mapping[str, Seeds], colors: Mapping[str, str]) -> Any:
    """Cut moves, worker switches, and training with adaptation on top of it, by scenario and agent.

    Agents that spend no time on adaptation anywhere are left out: they do not adapt, or do so for nothing.

    Args:
        scenarios: scenario -> agent -> results.
        colors: of agents.

    Returns:
        A figure, or None where nobody adapts.
    """
    agents = [a for a in dict.fromkeys(a for seeds in scenarios.values() for a in seeds) if _adapts(scenarios, a)]
    if not agents:
        return None
    figure = new_figure(min(max(7.0, 1.6 + 0.24 * len(scenarios) * (len(agents) + 1.2)), 13.0), 7.6)
    *panels, below = figure.subplots(3, sharex=True, height_ratios=(1.0, 1.0, 1.6))
    for axes, (metric, label) in zip(panels, COUNTS.items(), strict=True):
        for at, agent, seeds in _places(scenarios, agents):
            values = [values_of(results, metric) for results in seeds]
            _bars(axes, at, values, agents, color=colors[agent], label=agent)
        axes.set_ylabel(label)
    _draw_times(below, scenarios, agents, colors)
    names = list(scenarios)
    room_in = (figure.get_size_inches()[0] - 1.2) / len(names)
    slant: dict[str, Any] = {"rotation": 20, "ha": "right"} if max(map(len, names)) * NAME_IN > room_in else {}
    below.set_xticks(range(len(names)), names, **slant)
    below.set_xlim(-0.6, len(names) - 0.4)
    for axes in (*panels, below):
        axes.tick_params(axis="x", length=0)
        clean(axes)
    figure.align_ylabels([*panels, below])
    handles, labels = below.get_legend_handles_labels()
    top_legend(figure, dict(zip(labels, handles, strict=True)), "Adaptations and their time, per training (Fig. 9)")
    return figure


def _adapts(scenarios: Mapping[str, Seeds], agent: str) -> bool:
    return any(v > 0 for seeds in scenarios.values() for v in values_of(seeds.get(agent, ()), "adaptation_s"))


def _places(
    scenarios: Mapping[str, Seeds], agents: Sequence[str]
) -> list[tuple[list[float], str, list[Sequence[Any]]]]:
    """(where bars stand, agent, results there), of every agent."""
    width = 0.86 / len(agents)
    found = []
    for a, agent in enumerate(agents):
        rows = [(i, seeds[agent]) for i, seeds in enumerate(scenarios.values()) if agent in seeds]
        found.append(([i + (a - (len(agents) - 1) / 2) * width for i, _ in rows], agent, [r for _, r in rows]))
    return found


def _bars(
    axes: Any, at: Sequence[float], values: Sequence[Sequence[float]], agents: Sequence[str], **look: Any
) -> None:
    """Means, and bars for the spread where there are several seeds."""
    means = [float(np.mean(v)) for v in values]
    axes.bar(at, means, 0.86 / len(agents), edgecolor="white", linewidth=0.4, **look)
    several = [i for i, v in enumerate(values) if len(v) > 1]
    axes.errorbar(
        [at[i] for i in several], [means[i] for i in several], [float(np.std(values[i])) for i in several],
        fmt="none", ecolor="#777777", elinewidth=0.9, capsize=1.6, capthick=0.9,
    )  # fmt: skip


def _draw_times(axes: Any, scenarios: Mapping[str, Seeds], agents: Sequence[str], colors: Mapping[str, str]) -> None:
    """Seconds of training, those of adaptation on top of them and in figures."""
    total = [v for seeds in scenarios.values() for a in agents for v in values_of(seeds.get(a, ()), "elapsed_s")]
    unit, factor = unit_for(total)
    for number, (at, agent, seeds) in enumerate(_places(scenarios, agents)):
        training, adaptation = (
            np.array([np.mean(values_of(results, metric)) for results in seeds]) * factor
            for metric in ("training_s", "adaptation_s")
        )
        width = 0.82 / len(agents)
        axes.bar(at, training, width, color=colors[agent], label=agent)
        axes.bar(
            at, adaptation, width, bottom=training, color=ADAPTATION_COLOR,
            label="of it adaptation, in figures above the bar" if number == len(agents) - 1 else None,
        )  # fmt: skip
        for x, low, high in zip(at, training, adaptation, strict=True):
            axes.annotate(
                f"{high:.3g}", (x, low + high), (0, 2), textcoords="offset points", ha="center", va="bottom",
                fontsize=7, color=INK,
            )  # fmt: skip
    axes.set_ylim(0.0, 1.12 * max(total) * factor)
    axes.set_ylabel(f"training time ({unit})")
