"""What the families' line charts share: one color for every agent, error bars over seeds, limits, one legend."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..ui.canvas import COLORS, clean, top_legend
from .figures import note_beyond, scale_to
from .results import Result
from .tables import unit_of

Seeds = Mapping[str, Sequence[Result]]  # agent -> results by seed


def seeds_by_agent(results: Iterable[Result], scenario: str) -> dict[str, list[Result]]:
    """The results on a scenario, by agent."""
    agents: dict[str, list[Result]] = {}
    for result in results:
        if result.scenario == scenario:
            agents.setdefault(result.agent, []).append(result)
    return agents


def values_of(results: Iterable[Result], metric: str) -> list[float]:
    """A metric of results."""
    return [result.metrics[metric] for result in results]


def colors_of(palette: Sequence[str], agents: Iterable[str]) -> dict[str, str]:
    """A color for every agent, the same in every evaluation for those that ``palette`` lists."""
    order = list(dict.fromkeys((*palette, *agents)))
    return {agent: COLORS[i % len(COLORS)] for i, agent in enumerate(order)}


def unit_for(values: Iterable[float]) -> tuple[str, float]:
    """(unit, factor) of times in seconds, by their size."""
    return unit_of("_s", list(values))


def error_line(axes: Any, points: Sequence[tuple[float, Sequence[float]]], factor: float, **look: Any) -> None:
    """A line through means, bars for the spread over seeds."""
    if points:
        at, seeds = [x for x, _ in points], [np.asarray(values, dtype=float) * factor for _, values in points]
        means, spread = [s.mean() for s in seeds], [s.std() for s in seeds]
        axes.errorbar(at, means, spread, markersize=4, elinewidth=0.9, capsize=2, **look)


def rate_axis(axes: Any, rates: Sequence[float]) -> None:
    """A logarithmic axis of rates in Mbps, each of them named."""
    axes.set_xscale("log")
    axes.set_xticks(rates, [f"{mbps:g}" for mbps in rates])
    axes.set_xticks([], minor=True)


def fit(axes: Any, lines: Mapping[str, Sequence[float] | np.ndarray], may_leave: Collection[str] = ()) -> None:
    """Limits and scale for lines by agent; those of ``may_leave`` may leave at the top: who does is named."""
    values = {agent: np.asarray(line, dtype=float) for agent, line in lines.items()}
    chosen = [line for agent, line in values.items() if agent not in may_leave] or list(values.values())
    known = np.concatenate(chosen)
    known = known[np.isfinite(known)]
    if not known.size:
        return
    scale_to(axes, known)
    low, high = float(known.min()), float(known.max())
    if axes.get_yscale() == "log":
        axes.set_ylim(low / 1.1, high * 1.1)
    else:
        margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
        axes.set_ylim(low - margin, high + margin)
    top = axes.get_ylim()[1]
    above = [agent for agent, line in values.items() if (line[np.isfinite(line)] > top).any()]
    if above:
        note_beyond(axes, f"above: {', '.join(above)}")


def legend(figure: Any, title: str) -> None:
    """One legend for the lines of all panels."""
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle[0] if isinstance(handle, tuple) else handle)  # without its error bars
    top_legend(figure, handles, title, 2.4)


def finish(axes: Any, title: str) -> None:
    """Title and frame of a panel."""
    axes.set_title(title, loc="left", fontsize=9.5)
    axes.tick_params(labelsize=8)
    clean(axes)


def label_grid(panels: Sequence[Any], below: str, left: str) -> None:
    """Labels at the edges of a grid of panels only."""
    columns = panels[0].get_gridspec().ncols
    for i, axes in enumerate(panels):
        if i % columns == 0:
            axes.set_ylabel(left)
        if i + columns >= len(panels):
            axes.set_xlabel(below)
