"""What pictures of claims share: means with intervals over seeds, and how published values look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...ui.canvas import COLORS, INK
from ..intervals import interval

WIDTH_IN = 7.2
PUBLISHED = {"color": INK, "linestyle": (0, (5, 3)), "linewidth": 1.2}  # a published value or bound as a line
MARK = {"color": COLORS[3], "marker": "D", "markersize": 6, "linestyle": "", "markeredgecolor": "white"}  # as a point
SEEDS = "error bars: 95 % intervals over seeds"
ORDER_ONLY = "the paper's text prints no figures for this one"
GAP = 0.2  # between groups of bars, of the way from one to the next


def spread(samples: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """((n,) means, (2, n) how far intervals go down and up from them)."""
    told = np.array([interval(one) for one in samples])
    return told[:, 0], np.stack([told[:, 0] - told[:, 1], told[:, 2] - told[:, 0]])


def bars(axes: Any, at: Sequence[float] | np.ndarray, samples: Sequence[Any], width: float, **look: Any) -> None:
    """Bars of means over seeds, with intervals."""
    means, ways = spread(samples)
    axes.bar(at, means, width, edgecolor="white", linewidth=0.4, **look)
    axes.errorbar(at, means, ways, fmt="none", ecolor=INK, elinewidth=0.9, capsize=2)


def line(axes: Any, at: Sequence[float] | np.ndarray, samples: Sequence[Any], **look: Any) -> None:
    """A line through means over seeds, with intervals."""
    means, ways = spread(samples)
    axes.errorbar(at, means, ways, markersize=4, elinewidth=0.9, capsize=2, **look)


def place(group: int | np.ndarray, number: int, count: int) -> Any:
    """Where a bar of a group of some stands."""
    return group + (1.0 - GAP) / count * (number - (count - 1) / 2)


def grouped(axes: Any, names: Sequence[str], samples: Mapping[str, Sequence[Any]], colors: Sequence[str]) -> None:
    """Bars side by side for every name.

    Args:
        samples: label -> samples of every name.
    """
    for number, ((label, values), color) in enumerate(zip(samples.items(), colors, strict=False)):
        at = place(np.arange(len(names)), number, len(samples))
        bars(axes, at, values, (1.0 - GAP) / len(samples), color=color, label=label)
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", length=0)
