"""What the viewers of all families share: places and limits that stay from frame to frame, figures as pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..ui.canvas import new_figure
from ..ui.fonts import families_for, give_fonts, with_letters

MOST_LETTERS = 22  # of a name beside axes
LEGEND_KEY_IN = 0.65  # of a legend right of axes, beside its longest label
LINE_IN = 0.164  # of a legend's line in letters of 7 points
LEAST_WIDTH = 0.003  # of a timeline's axis: what takes less time is drawn as long as this
HATCH_COLOR = "#8a8a8a"
HATCHED: dict[str, Any] = {"hatch": "////", "edgecolor": HATCH_COLOR, "linewidth": 0.5}  # transfers, in any color


def canvas_figure(width_in: float, height_in: float) -> Any:
    """An empty figure as a viewer draws it, 100 pixels an inch; :func:`place` says where its axes go."""
    return new_figure(width_in, height_in, dpi=100, layout=None)


def place(figure: Any, left_in: float, right_in: float, top_in: float = 0.6, bottom_in: float = 0.8) -> None:
    """Keep axes so far from the figure's edges, whatever they show, so that the frames of an episode are alike.

    At the bottom there is room for a label and a footnote, at the top for a title of two lines.
    """
    width_in, height_in = figure.get_size_inches()
    figure.subplots_adjust(
        left=left_in / width_in, right=1.0 - right_in / width_in,
        top=1.0 - top_in / height_in, bottom=bottom_in / height_in,
    )  # fmt: skip


def title(axes: Any, text: str, points: float = 10.0) -> None:
    """A title at the left, in several lines where the figure is too narrow for one."""
    axes.set_title(text, loc="left", fontsize=points, wrap=True)


def widest_in(figure: Any, texts: Iterable[str], points: float) -> float:
    """Inches that the widest of some texts takes in letters of so many points."""
    from matplotlib.font_manager import FontProperties

    renderer = figure.canvas.get_renderer()
    shown = [(with_letters(text), FontProperties(family=families_for(text), size=points)) for text in texts]
    widths = [renderer.get_text_width_height_descent(text, font, False)[0] for text, font in shown]
    return max(widths, default=0.0) / figure.dpi


def short(name: str) -> str:
    """A name of a user's, cut where it would leave no room for the axes."""
    return name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…"


def steady(usual: float, highest: float) -> float:
    """The end of an axis that stays: ``usual``, doubled only where data go beyond."""
    return usual * 2.0 ** max(0, math.ceil(math.log2(highest / usual))) if highest > usual else usual


def time_bar(axes: Any, middle: float, height: float, start: float, length: float, color: Any, sends: bool) -> float:
    """A bar on a timeline whose limits are set, hatched where something is sent; returns the length that is drawn."""
    drawn = max(length, LEAST_WIDTH * axes.get_xlim()[1])
    look = HATCHED if sends else {"edgecolor": color, "linewidth": 0.3}
    axes.barh(middle, drawn, height, start, color=color, **look)
    return drawn


def in_bar(axes: Any, text: str, middle: float, start: float, length: float, points: float, color: Any) -> bool:
    """Write into a bar if its text fits, on its own color where it is hatched; returns whether it does."""
    from matplotlib.colors import to_rgb

    inches = axes.get_position().width * axes.figure.get_size_inches()[0] / axes.get_xlim()[1]
    if widest_in(axes.figure, [text], points) > 0.93 * inches * length:
        return False
    ink = "black" if np.dot((0.299, 0.587, 0.114), to_rgb(color)) > 0.5 else "white"
    axes.text(
        start + length / 2, middle, text, ha="center", va="center", fontsize=points, color=ink,
        bbox={"facecolor": color, "edgecolor": "none", "pad": 0.2},
    )  # fmt: skip
    return True


def frame(figure: Any) -> np.ndarray:
    """Pixels of a figure, (height, width, 3) uint8."""
    give_fonts(figure)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
