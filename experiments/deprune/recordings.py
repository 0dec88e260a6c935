"""The recorded trainings behind the curves, and the fit through them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...envs.deprune.curves import Curves
from ...envs.deprune.viewer import runs_of
from ...ui.canvas import COLORS, INK, footnote, panel_grid
from ..line_charts import finish, label_grid, legend

SPELLED = set("0123456789x+")  # letters of schedules that are named by what they are in the paper's maps
SEEN, UNSEEN, FIT = COLORS[0], COLORS[1], INK
Run = Mapping[str, Any]


def recordings_figure(curves: Curves) -> Any:
    """Recorded test accuracies by epoch, a panel for every schedule: runs, mean and spread over seeds, the fit.

    Args:
        curves: recordings with their fit; runs that the fit has not seen have a color of their own.

    Returns:
        A matplotlib Figure (Agg canvas).
    """
    schedules: dict[str, list[Run]] = {}
    for run in curves.runs:
        schedules.setdefault(run["schedule"], []).append(run)
    figure, panels = panel_grid(len(schedules))
    for axes, (name, runs) in zip(panels, schedules.items(), strict=True):
        _draw_schedule(axes, curves, name, runs)
    top = 1.05 * max(max(run["accuracy"]) for run in curves.runs)
    for axes in panels:
        axes.set_ylim(0.0, 100.0 * min(top, 1.0))
    label_grid(panels, "epoch", "test accuracy (%)")
    legend(figure, _title(curves))
    runs = ", ".join(str(curves.provenance[name]) for name in ("data", "machine", "date"))
    footnote(figure, f"dots, their mean and spread: measured ({runs}); fit: modelled")
    return figure


def fitted(curves: Curves, run: Run) -> np.ndarray | None:
    """(epochs,) accuracies that the fit tells for a recorded run; None where that kind of run was not fitted."""
    model = curves.judged if is_split(run) else curves.bare
    if model is None:
        return None
    used, at = np.unique(run["budgets"], return_inverse=True)
    counts = np.cumsum(at[None, :] == np.arange(len(used))[:, None], axis=1).astype(float)
    return model.accuracy((used / run["phi"]).tolist(), counts, at)


def is_split(run: Run) -> bool:
    """Whether a run had the module in its cut: then the filter crossed, too."""
    return run["bytes"].get("filter", 0) > 0


def is_unseen(curves: Curves, run: Run) -> bool:
    """Whether the fit was made without a run; those without the module are all seen."""
    fit = curves.fit
    held = run["schedule"] in fit["held_out_schedules"] or run["seed"] == fit["held_out_seed"]
    return held and is_split(run)


def _draw_schedule(axes: Any, curves: Curves, name: str, runs: Sequence[Run]) -> None:
    """All runs of a schedule, their mean and spread where there are several, the fit over them."""
    longest = max(runs, key=lambda run: len(run["budgets"]))
    epochs = np.arange(1, len(longest["budgets"]) + 1)
    for run in runs:
        unseen = is_unseen(curves, run)
        axes.plot(
            epochs[: len(run["accuracy"])], 100.0 * np.array(run["accuracy"]), linewidth=0, marker=".", markersize=5,
            color=UNSEEN if unseen else SEEN, label="recorded, held out" if unseen else "recorded, fitted", zorder=3,
        )  # fmt: skip
    alike = [100.0 * np.array(run["accuracy"]) for run in runs if len(run["accuracy"]) == len(epochs)]
    if len(alike) > 1:
        mean, spread = np.mean(alike, axis=0), np.std(alike, axis=0)
        axes.fill_between(epochs, mean - spread, mean + spread, color="#cfcfcf", linewidth=0, label="spread over seeds")
        axes.plot(epochs, mean, color="#8a8a8a", linewidth=1.0, label="mean over seeds")
    told = fitted(curves, longest)
    if told is not None:
        axes.plot(epochs, 100.0 * told, color=FIT, linewidth=1.6, label="fit", zorder=4)
    axes.set_xlim(0.5, len(epochs) + 0.5)
    axes.xaxis.get_major_locator().set_params(integer=True)
    parts = runs_of(np.array(longest["budgets"]))
    maps = ", ".join(f"{budget} x {last - first}" for first, last, budget in parts)
    told = f"{maps} of {longest['phi']} maps" if is_split(longest) else "all maps"
    finish(axes, told if set(name) <= SPELLED else f"{name}: {told}")


def _title(curves: Curves) -> str:
    """What was recorded, and how far the fit is off on what it has not seen."""
    fit = curves.fit
    seen = f"error {fit['error_points']:.1f} points"
    held = fit["held_out_error_points"]
    error = f"{seen}, nothing held out" if held is None else f"{seen}; held out {held:.1f} points"
    return f"{curves.name}: {len(curves.runs)} measured trainings and the fit, {error} (mean absolute)"
