"""Accuracy and traffic against epochs, with the budget as bands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..figures import LEGEND_KEY_IN, canvas_figure, place, title, widest_in
from .system import System

ACCURACY_COLOR, BYTES_COLOR = "#c8453b", "#222222"
BAND_COLORS = ("#f3f6fb", "#e2ebf6", "#cddcef", "#b4cce7", "#98b9dd", "#7ba4d1")  # from few maps to all
TOP = 104.0  # %, of both axes
FEW_PARTS = 3  # runs of epochs at one budget that a title can list
DIGIT_SHARE = 0.012  # of the axis that a digit takes
BUDGETS = "feature maps sent\nof each image"
MOST_BUDGETS = 16  # that a legend can list

Trace = Mapping[str, np.ndarray]  # of the epochs so far, (T,) each; see DepruneDynamics.trace


def training_figure(system: System, trace: Trace, who: str = "") -> Any:
    """Draw a training, or as much of it as there was.

    Args:
        system: the scenario.
        trace: its epochs; may be empty.
        who: in front of the scenario's name.

    Returns:
        A matplotlib Figure (Agg canvas).
    """
    figure = canvas_figure(8.5, 4.4)
    labels_in = max(widest_in(figure, BUDGETS.split("\n"), 8) - 0.3, widest_in(figure, map(_maps, system.budgets), 8))
    place(figure, 0.7, 1.0 + LEGEND_KEY_IN + labels_in)
    axes = figure.add_subplot()
    traffic = axes.twinx()
    epochs = np.arange(1, len(trace["budget"]) + 1)
    draw_bands(axes, system, trace["budget"])
    share = np.cumsum(trace["map_bytes"]) / (system.full_bytes * system.scenario.epochs)
    traffic.plot(epochs, 100 * share, color=BYTES_COLOR, linewidth=1.2, linestyle="--", marker=".", label="bytes")
    axes.plot(epochs, 100 * trace["accuracy"], color=ACCURACY_COLOR, linewidth=2.0, marker="o", markersize=4)
    axes.set_xlim(0.5, system.scenario.epochs + 0.5)
    axes.set_ylim(0.0, TOP)
    traffic.set_ylim(0.0, TOP)
    axes.set_xlabel("epoch")
    axes.set_ylabel("test accuracy (%), drawn through", color=ACCURACY_COLOR)
    traffic.set_ylabel("traffic so far (% of a whole training\nwithout compression), dashed")
    axes.xaxis.get_major_locator().set_params(integer=True)
    for each in (axes, traffic):
        each.spines["top"].set_visible(False)
    where = f"{who} on {system.scenario.name}" if who else system.scenario.name
    title(axes, f"{where}: {_words(system, trace)}")
    legend_of_budgets(traffic, system)
    return figure


def draw_bands(axes: Any, system: System, budgets: np.ndarray) -> None:
    """A band behind every run of epochs at one budget, darker for more maps, with their number where it fits."""
    for first, last, budget in runs_of(budgets):
        color = band_color(system, budget)
        axes.axvspan(first + 0.5, last + 0.5, color=color, linewidth=0, zorder=0)
        if last - first > DIGIT_SHARE * len(str(budget)) * system.scenario.epochs:
            axes.text(
                (first + last + 1) / 2, 0.985, str(budget), fontsize=7, color="#222222", ha="center", va="top",
                transform=axes.get_xaxis_transform(),
            )  # fmt: skip


def band_color(system: System, budget: int) -> str:
    """The color of a budget."""
    if len(system.budgets) == 1:
        return BAND_COLORS[-1]
    place = system.budgets.index(budget) if budget in system.budgets else 0
    return BAND_COLORS[round(place * (len(BAND_COLORS) - 1) / (len(system.budgets) - 1))]


def runs_of(budgets: np.ndarray) -> list[tuple[int, int, int]]:
    """(first, behind the last, budget) of every run of epochs at one budget."""
    found: list[tuple[int, int, int]] = []
    for i, budget in enumerate(np.asarray(budgets).astype(int).tolist()):
        if found and found[-1][2] == budget:
            found[-1] = (found[-1][0], i + 1, budget)
        else:
            found.append((i, i + 1, budget))
    return found


def _words(system: System, trace: Trace) -> str:
    """A training in words: how many maps for how long, and what came out."""
    parts = runs_of(trace["budget"])
    if not parts:
        return "no epoch yet"
    told = ", then ".join(f"{_maps(budget)} x {last - first}" for first, last, budget in parts)
    if len(parts) > FEW_PARTS:
        told = f"{len(parts) - 1} changes of budget"
    so_far = "" if len(trace["budget"]) == system.scenario.epochs else " so far"
    return f"{told}{so_far}; {100 * trace['accuracy'][-1]:.1f} %"


def _maps(budget: int) -> str:
    return f"{budget} map{'s' if budget > 1 else ''}"


def legend_of_budgets(axes: Any, system: System, at: tuple[float, float] = (1.14, 1.0)) -> None:
    """The budgets with their colors, right of the axes."""
    from matplotlib.patches import Patch

    apart = -(-len(system.budgets) // MOST_BUDGETS)
    patches = [
        Patch(facecolor=band_color(system, b), edgecolor="#cccccc", linewidth=0.5, label=_maps(b))
        for b in system.budgets[::apart]
    ]
    axes.legend(
        handles=patches, fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=at, borderaxespad=0.0,
        title=BUDGETS, title_fontsize=8, alignment="left",
    )  # fmt: skip
