"""How agents look in L2S's charts: colors and lines that all of them share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..line_charts import Seeds, colors_of, finish, label_grid, legend, unit_for
from ..line_charts import fit as fit_to
from .rounds import Trace

__all__ = [
    "LEAST_ERROR", "PALETTE", "Seeds", "Traces", "agent_colors", "draw_lines", "finish", "fit", "label_grid", "legend",
    "look", "traces_of", "unit_for",
]  # fmt: skip

# An agent has the same color in every figure; the most distinct ones go to those that are compared most.
PALETTE = ("l2s", "linucb-e", "oracle", "linucb", "l2s-probe", "fpt", "d-linucb", "pdt", "l2s-fws", "lints",
           "neurosurgeon", "ppt", "ppo", "dqn")  # fmt: skip
# Some decide alike for long: l2s is drawn broad, others over it, the alike ones dashed so that both can be seen.
LINES: Mapping[str, Any] = {"l2s-fws": (0, (3, 2)), "l2s-probe": (0, (1, 1.2)), "linucb": (0, (4, 2)),
                            "pdt": (0, (5, 2)), "neurosurgeon": (0, (1, 1.2))}  # fmt: skip
LEAST_ERROR = 0.05  # % of prediction errors; less is not shown
FIXED = ("fpt", "ppt", "neurosurgeon", "pdt")  # may leave the picture, so that the others fill it
Traces = Mapping[str, Sequence[Trace]]  # agent -> traces by seed


def agent_colors(agents: Iterable[str]) -> dict[str, str]:
    """A color for every agent, the same in every evaluation for those that the family has."""
    return colors_of(PALETTE, agents)


def traces_of(seeds: Seeds) -> dict[str, list[Trace]]:
    """The traces that there are, by agent."""
    found = {agent: [r.trace for r in results if r.trace is not None] for agent, results in seeds.items()}
    return {agent: traces for agent, traces in found.items() if traces}


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
    fit_to(axes, lines, FIXED)
