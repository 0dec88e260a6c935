"""What old copies cost, as a picture: loss by sync period, accuracy on the way, change of the weights by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...ui.canvas import COLORS, INK
from ..line_charts import finish
from ..study_figure import Run, measured, panels
from .staleness_fit import expected, lost, stale_shares

LOOKS = {
    "every": ("the cut moves in every round", COLORS[3]),
    "rarely": ("in 5 % of the rounds", COLORS[1]),
    "l2s": ("as L2S decides", COLORS[0]),
}
DASHED = (0, (4, 2))
SHADES = (COLORS[10], COLORS[0], COLORS[4])
SHOWN_SYNC = 100  # the paper's period


def figure(summaries: Mapping[str, Mapping[str, Any]]) -> Any:
    """A row of three panels for every set of images.

    Returns:
        A matplotlib Figure (Agg canvas).
    """
    settings = next(iter(summaries.values()))["settings"]
    return panels(
        summaries, (_draw_losses, _draw_curves, _draw_changes), (13.0, 0.9, 3.5),
        f"L2S: what training on old copies of layers costs, {settings['model']}, {settings['rounds']} rounds",
        f"bars and bands: spread over seeds; {measured(summaries)}; fit: modelled",
    )  # fmt: skip


def _by_sync(runs: Sequence[Run], moves: str) -> dict[Any, list[int]]:
    """Indices of runs by period, the longest last: never."""
    found: dict[Any, list[int]] = {}
    for index, run in enumerate(runs):
        if run["moves"] == moves and run["sync"] != "change":
            found.setdefault(run["sync"], []).append(index)
    return found


def _draw_losses(axes: Any, name: str, summary: Mapping[str, Any]) -> None:
    runs, fit = summary["runs"], summary["fit"]
    losses = 100.0 * lost(runs)
    told = 100.0 * expected(stale_shares(runs, summary["settings"]["rounds"]), fit["scale"], fit["power"])
    periods: list[Any] = []
    for number, (moves, (label, color)) in enumerate(LOOKS.items()):
        groups = _by_sync(runs, moves)
        periods = list(groups)
        at = np.arange(len(groups)) + 0.12 * (number - 1)
        means = [losses[group].mean() for group in groups.values()]
        spread = [losses[group].std() for group in groups.values()]
        axes.errorbar(at, means, spread, color=color, label=label, marker="o", markersize=4, capsize=2, linewidth=0.8)
        fits = [told[group].mean() for group in groups.values()]
        axes.plot(at, fits, color=color, linestyle=DASHED, linewidth=1.4)
    axes.plot([], [], color=INK, linestyle=DASHED, linewidth=1.4, label="the fit, modelled")
    axes.axhline(0.0, color=INK, linewidth=0.8)
    axes.set_xticks(range(len(periods)), ["never" if sync is None else str(sync) for sync in periods])
    axes.set_xlabel("rounds between two syncs")
    axes.set_ylabel("training accuracy lost (points)")
    finish(axes, f"{name}: lost to a cut that stays (dashed: the fit)")


def _draw_curves(axes: Any, name: str, summary: Mapping[str, Any]) -> None:
    runs, rounds = summary["runs"], summary["settings"]["rounds"]
    stays = [run["curve"] for run in runs if run["moves"] == "none"]
    lines: list[tuple[str, str, Any, list[Any]]] = [("the cut stays", INK, "-", stays)]
    for moves, (label, color) in LOOKS.items():
        groups = _by_sync(runs, moves)
        for sync, style in ((SHOWN_SYNC, "-"), (None, (0, (1, 1.5)))):
            if sync in groups and moves != "rarely":
                lines.append((label, color, style, [runs[index]["curve"] for index in groups[sync]]))
    for label, color, style, curves in lines:
        values = 100.0 * np.array(curves)
        at = rounds * np.arange(1, values.shape[1] + 1) / values.shape[1]
        mean, spread = values.mean(axis=0), values.std(axis=0)
        axes.plot(at, mean, color=color, linestyle=style, linewidth=1.6, label=label)
        if style == "-":
            axes.fill_between(at, mean - spread, mean + spread, color=color, alpha=0.12, linewidth=0)
    axes.set_xlabel("training rounds")
    axes.set_ylabel("test accuracy (%)")
    finish(axes, f"{name}: synced every {SHOWN_SYNC} rounds (lines), never (dots)")


def _draw_changes(axes: Any, name: str, summary: Mapping[str, Any]) -> None:
    changes = summary["changes"]
    marks = sorted(changes, key=int)
    layers = list(changes[marks[-1]])
    width = 0.8 / max(1, len(marks) - 1)
    for number, mark in enumerate(marks[:-1]):
        at = np.arange(len(layers)) + width * (number - (len(marks) - 2) / 2)
        shares = [100.0 * changes[mark][layer] / changes[marks[-1]][layer] for layer in layers]
        bars = axes.bar(at, shares, width, color=SHADES[number % len(SHADES)])
        axes.bar_label(bars, [f"{mark}" for _ in layers], fontsize=7, color=INK, padding=1)
    axes.set_xticks(range(len(layers)), layers)
    axes.set_xlabel("layer; over the bars: after so many rounds")
    axes.set_ylabel(f"weight change (% of that after {marks[-1]})")
    finish(axes, f"{name}: mean change of a weight, the cut stays")
