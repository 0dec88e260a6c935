"""How agents look in L2S's charts: colors, lines, limits and legends that all of them share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..figures import COLORS, clean, scale_to, top_legend
from ..results import Result
from ..tables import unit_of
from .rounds import Trace

# An agent has the same color in every figure; the most distinct ones go to those that are compared most.
PALETTE = ("l2s", "linucb-e", "oracle", "linucb", "l2s-probe", "fpt", "d-linucb", "pdt", "l2s-fws", "lints",
           "neurosurgeon", "ppt", "ppo", "dqn")  # fmt: skip
# Some decide alike for long: l2s is drawn broad, others over it, the alike ones dashed so that both can be seen.
LINES: Mapping[str, Any] = {"l2s-fws": (0, (3, 2)), "l2s-probe": (0, (1, 1.2)), "linucb": (0, (4, 2)),
                            "pdt": (0, (5, 2)), "neurosurgeon": (0, (1, 1.2))}  # fmt: skip
FIXED = ("fpt", "ppt", "neurosurgeon")  # may leave the picture, so that the others fill it
Seeds = Mapping[str, Sequence[Result]]  # agent -> results by seed
Traces = Mapping[str, Sequence[Trace]]  # agent -> traces by seed


def agent_colors(agents: Iterable[str]) -> dict[str, str]:
    """A color for every agent, the same in every evaluation for those that the family has."""
    order = list(dict.fromkeys((*PALETTE, *agents)))
    return {agent: COLORS[i % len(COLORS)] for i, agent in enumerate(order)}


def traces_of(seeds: Seeds) -> dict[str, list[Trace]]:
    """The traces that there are, by agent."""
    found = {agent: [r.trace for r in results if r.trace is not None] for agent, results in seeds.items()}
    return {agent: traces for agent, traces in found.items() if traces}


def unit_for(values: Iterable[float]) -> tuple[str, float]:
    """(unit, factor) of times in seconds, by their size."""
    return unit_of("delay_s", list(values))


def draw_lines(axes: Any, lines: Mapping[str, np.ndarray], colors: Mapping[str, str]) -> None:
    """A line over the rounds for every agent."""
    for agent, line in lines.items():
        axes.plot(np.arange(1, len(line) + 1), line, label=agent, **look(agent, colors))


def look(agent: str, colors: Mapping[str, str]) -> dict[str, Any]:
    """Color, width and dashes of an agent's lines."""
    width, height = (3.2, 2.0) if agent == "l2s" else (1.3, 2.2)
    return {"color": colors[agent], "linestyle": LINES.get(agent, "-"), "linewidth": width, "zorder": height}


def fit(axes: Any, lines: Mapping[str, Sequence[float] | np.ndarray]) -> None:
    """Limits and scale for those that do not keep a fixed point; others may leave at the top, and are named then."""
    values = {agent: np.asarray(line, dtype=float) for agent, line in lines.items()}
    chosen = [line for agent, line in values.items() if agent not in FIXED] or list(values.values())
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
    above = [agent for agent, line in values.items() if np.isfinite(line).any() and np.nanmin(line) > top]
    if above:
        axes.text(
            0.99, 0.98, f"above: {', '.join(above)}", transform=axes.transAxes, ha="right", va="top",
            fontsize=7.5, color="#777777",
        )  # fmt: skip


def legend(figure: Any, title: str) -> None:
    """One legend for the lines of all panels."""
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
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
