"""Pictures of one training: accuracy and traffic, rewards by part, what was recorded; the epochs as a curve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...envs.deprune.dynamics import DepruneDynamics
from ...envs.deprune.planning import costs
from ...envs.deprune.viewer import draw_bands, legend_of_budgets, training_figure
from ...ui.canvas import COLORS, INK, clean, new_figure
from .recordings import recordings_figure

Trace = Mapping[str, np.ndarray]  # of the epochs of a training, (T,) each; see DepruneDynamics.trace
PARTS = {
    "accuracy": ("gain of accuracy", COLORS[2]),
    "bytes": ("cost of bytes", COLORS[1]),
    "time": ("cost of time", COLORS[7]),
}
CURVE_ROWS = 1000
NUMBERS_SHARE = 0.08  # of an axis, at its top: room for the bands' numbers


def draw_trace(env: Any, trace: Trace, title: str) -> dict[str, Any]:
    """Draw a training.

    Args:
        env: the Deprune env that was played.
        trace: its epochs.
        title: in front of the scenario's name.

    Returns:
        Matplotlib figures by name: ``training`` (accuracy and traffic, budgets as bands), ``rewards`` (by part), and,
        where accuracies come from fitted curves, ``recordings`` (what they were fitted to).
    """
    dynamics: DepruneDynamics = env.unwrapped.dynamics
    figures = {
        "training": training_figure(dynamics.system, trace, title),
        "rewards": rewards_figure(dynamics, trace, title),
    }
    curves = dynamics.system.curves
    if dynamics.backend == "curves" and curves is not None:
        figures["recordings"] = recordings_figure(curves)
    return figures


def reward_parts(dynamics: DepruneDynamics, trace: Trace) -> dict[str, np.ndarray]:
    """The rewards of all epochs by part, (T,) each, as ``info["rewards"]`` tells them: accuracy, bytes, time."""
    system = dynamics.system
    budgets = np.array([system.budgets.index(b) for b in np.asarray(trace["budget"]).astype(int).tolist()], dtype=int)
    bytes_cost, time_cost = costs(system, budgets, np.asarray(trace["mbps"], dtype=float))
    gained = np.diff(trace["accuracy"], prepend=dynamics.learner.chance)
    return {"accuracy": system.scenario.accuracy_weight * gained, "bytes": -bytes_cost, "time": -time_cost}


def rewards_figure(dynamics: DepruneDynamics, trace: Trace, title: str = "") -> Any:
    """Rewards by part as bars over the epochs, their sum so far below; parts that weigh nothing are left out."""
    parts = reward_parts(dynamics, trace)
    figure = new_figure(8.5, 5.2)
    above, below = figure.subplots(2, sharex=True, height_ratios=(1.5, 1.0))
    epochs = np.arange(1, len(trace["budget"]) + 1)
    low, high = np.zeros(len(epochs)), np.zeros(len(epochs))
    draw_bands(above, dynamics.system, trace["budget"])
    draw_bands(below, dynamics.system, trace["budget"])
    for name, values in parts.items():
        if not np.any(values):
            continue
        label, color = PARTS[name]
        above.bar(epochs, values, 0.7, bottom=np.where(values < 0, low, high), color=color, label=label)
        low, high = low + np.minimum(values, 0.0), high + np.maximum(values, 0.0)
    chance = dynamics.system.scenario.accuracy_weight * dynamics.learner.chance
    worth = chance + np.cumsum(np.sum(list(parts.values()), axis=0))
    below.plot(epochs, worth, color=INK, linewidth=1.8, marker=".")
    above.set_ylabel("reward")
    below.set_ylabel("score so far")
    below.set_xlabel("epoch")
    below.set_xlim(0.5, dynamics.system.scenario.epochs + 0.5)
    below.xaxis.get_major_locator().set_params(integer=True)
    above.axhline(0.0, color=INK, linewidth=0.8)
    for axes in (above, below):
        clean(axes)
        low_end, high_end = axes.get_ylim()
        axes.set_ylim(low_end, high_end + NUMBERS_SHARE * (high_end - low_end))
    figure.align_ylabels([above, below])
    where = f"{title} on {dynamics.scenario_name}" if title else dynamics.scenario_name
    end = f", score {worth[-1]:.3f}" if len(worth) else ""
    above.set_title(f"{where}: rewards by part{end}", loc="left", fontsize=10)
    above.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.03))
    legend_of_budgets(below, dynamics.system, at=(1.0, 1.03))
    return figure


def curve_rows(env: Any, trace: Trace) -> list[dict[str, float]]:
    """How a training went, as the curve of an agent that is not trained itself.

    Args:
        env: the Deprune env that was played.
        trace: its epochs.

    Returns:
        Rows, at most 1000, evenly spread, the last epoch among them: round (the epoch, from 1), accuracy, loss, budget
        (maps), bytes_share (maps and gradients so far, of a whole training without compression), elapsed_s (so far).
    """
    system = env.unwrapped.dynamics.system
    epochs = len(trace["budget"])
    shown = {name: np.asarray(trace[name], dtype=float) for name in ("accuracy", "loss", "budget")}
    shown["bytes_share"] = np.cumsum(trace["map_bytes"]) / (system.full_bytes * system.scenario.epochs)
    shown["elapsed_s"] = np.cumsum(trace["epoch_s"])
    kept = np.linspace(epochs - 1, 0, min(epochs, CURVE_ROWS)).astype(int)[::-1]
    return [{"round": at + 1, **{name: float(v[at]) for name, v in shown.items()}} for at in kept.tolist()]
