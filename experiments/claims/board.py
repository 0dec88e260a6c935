"""A leaderboard as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...ui.canvas import COLORS, INK, new_figure
from .findings import Paper
from .leaderboard import Place


def board(paper: Paper, places: Sequence[Place]) -> Any:
    """Agents by interquartile mean, the best at the top, with their intervals."""
    leaderboard, family = paper.leaderboard, paper.family
    figure = new_figure(7.5, 1.0 + 0.28 * len(places))
    axes = figure.add_subplot()
    for row, place in enumerate(places):
        axes.plot([place.lower, place.upper], [row, row], color=COLORS[0], linewidth=5, alpha=0.35)
        axes.plot([place.iqm], [row], "o", color=COLORS[0], markersize=6)
    axes.axvline(0.0 if leaderboard.difference else 1.0, color=INK, linewidth=0.9, linestyle=(0, (5, 3)))
    axes.set_yticks(range(len(places)), [place.agent for place in places])
    axes.invert_yaxis()
    how = "minus" if leaderboard.difference else "over"
    better = "less" if family.lower_is_better else "more"
    name = family.labels.get(family.headline, family.headline.removesuffix("_s").replace("_", " "))
    axes.set_xlabel(f"{name}, {how} that of {leaderboard.reference}: interquartile mean ({better} is better)")
    axes.set_ylabel("agent")
    axes.grid(axis="x", color="#e6e6e6")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure
