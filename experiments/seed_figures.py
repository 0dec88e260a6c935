"""The learning curves of several seeds in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..envs import Family
from ..ui.canvas import COLORS, clean, new_figure, top_legend
from . import tables
from .figures import count_axis, limit_to

POINTS = 200  # at which the mean over seeds is drawn


def seed_curves(
    curves: Mapping[int, Sequence[Mapping[str, float]]], family: Family, alike: bool, title: str = ""
) -> Any:
    """Draw how the newest episodes of every seed came along, and the mean over seeds.

    Args:
        curves: seed -> reports with ``steps`` and ``recent_<headline>``, ``recent_regret`` where that is known.
        family: theirs.
        alike: whether episodes are alike; where they have luck of their own, their regret is drawn if there is one.
        title: above the axes.
    """
    regrets = all(any("recent_regret" in row for row in curve) for curve in curves.values())
    by_regret = not alike and family.paired_regret is not None and regrets
    metric = family.paired_regret if by_regret and family.paired_regret is not None else family.headline
    column = "recent_regret" if by_regret else f"recent_{family.headline}"
    lines = {seed: _line(curve, column) for seed, curve in curves.items()}
    label, factor = tables.axis_of(family, metric, [v for _, values in lines.values() for v in values])
    figure = new_figure(8.0, 4.6)
    axes = figure.add_subplot()
    handles: dict[str, Any] = {}
    for number, (seed, (steps, values)) in enumerate(lines.items()):
        look = {"color": COLORS[number % len(COLORS)], "linewidth": 0.9, "alpha": 0.8}
        marker = "o" if len(steps) <= 20 else ""
        (handles[f"seed {seed}"],) = axes.plot(steps, values * factor, marker=marker, markersize=3, **look)
    at, mean = _mean(list(lines.values()))
    (handles["mean over seeds"],) = axes.plot(at, mean * factor, color="black", linewidth=2.0)
    every = np.concatenate([values for _, values in lines.values()]) * factor
    limit_to(axes, [*every], every, family.lower_is_better or by_regret)
    count_axis(axes, "steps of training")
    axes.set_ylabel(f"{label},\nmean of the newest episodes")
    top_legend(figure, handles, title, 2.0)
    clean(axes)
    return figure


def _line(curve: Sequence[Mapping[str, float]], column: str) -> tuple[np.ndarray, np.ndarray]:
    rows = [(row["steps"], row[column]) for row in curve if column in row]
    return np.array([steps for steps, _ in rows], dtype=float), np.array([value for _, value in rows], dtype=float)


def _mean(lines: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """The mean over seeds where all of them have points."""
    known = [(steps, values) for steps, values in lines if len(steps)]
    if not known:
        return np.array([]), np.array([])
    first, last = max(steps[0] for steps, _ in known), min(steps[-1] for steps, _ in known)
    at = np.linspace(first, last, POINTS) if last > first else np.array([first])
    return at, np.mean([np.interp(at, steps, values) for steps, values in known], axis=0)
