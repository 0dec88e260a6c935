"""A bar for every partition point: what the device, the link and the edge server take of a round."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..figures import canvas_figure, frame
from .system import System

DEVICE_COLOR, LINK_COLOR, EDGE_COLOR = "#3b6fb6", "#c9c9c9", "#e08a1e"
CHOICE_COLOR, BEST_COLOR = "#c8453b", "#3f9a5b"


def points_figure(
    system: System,
    mbps: float | None = None,
    load: float = 1.0,
    choice: int | None = None,
    title: str = "",
    messages_s: np.ndarray | None = None,
) -> Any:
    """Draw the expected delay of a round at every feasible point.

    Args:
        system: the scenario.
        mbps: the rate now, nominal when None.
        load: the edge server's.
        choice: feasible point that was chosen (0 is P^c), None for none.
        title: in front of the scenario's name.
        messages_s: (K,) what the messages take where the rate changes, None where it holds.

    Returns:
        A matplotlib Figure (Agg canvas).
    """
    mbps = system.mbps if mbps is None else mbps
    count = system.n_points
    every = np.arange(count)
    edge_s = load * system.edge_s
    link_s = system.edge_delay_s(mbps, load, every) - edge_s if messages_s is None else messages_s
    total_s = system.front_s + link_s + edge_s
    unit, factor = ("s", 1.0) if total_s.max() >= 10.0 else ("ms", 1e3)
    figure = canvas_figure(max(6.0, 2.0 + 0.45 * count), 4.2)
    axes = figure.add_subplot()
    below = np.zeros(count)
    for label, values, color in (
        ("end device", system.front_s, DEVICE_COLOR),
        ("link, both ways", link_s, LINK_COLOR),
        ("edge server", edge_s, EDGE_COLOR),
    ):
        axes.bar(every, values * factor, 0.72, below * factor, color=color, label=label)
        below = below + values
    best = int(total_s.argmin())
    ring = {"markersize": 16, "markerfacecolor": "none", "markeredgecolor": BEST_COLOR, "markeredgewidth": 2.2}
    _mark(axes, best, total_s[best] * factor, f"optimum {total_s[best] * factor:.4g} {unit}", **ring)
    if choice is not None:
        axes.axvspan(choice - 0.44, choice + 0.44, color=CHOICE_COLOR, alpha=0.16, linewidth=0)
        dot = {"markersize": 9, "color": CHOICE_COLOR, "markeredgecolor": "white"}  # fits into the optimum's ring
        _mark(axes, choice, total_s[choice] * factor, f"chosen {total_s[choice] * factor:.4g} {unit}", **dot)
    _label(axes, system, unit)
    head = f"{title}  {system.scenario.name}".strip()
    kinds = ", ".join(sorted({p.provenance.source for p in (system.device, system.edge)}))
    loaded = f", load {load:g}" if load != 1.0 else ""
    axes.set_title(f"{head}: {mbps:.4g} Mbps{loaded}  ({kinds} profiles)", loc="left", fontsize=10)
    return figure


def _mark(axes: Any, at: int, height: float, label: str, **look: Any) -> None:
    axes.plot(at, height, "o", label=label, zorder=3, **look)


def _label(axes: Any, system: System, unit: str) -> None:
    first, names = system.first, system.names
    ticks = [f"{first + i} {names[first + i]}" for i in range(system.n_points)]
    axes.set_xticks(range(len(ticks)), ticks, rotation=40, ha="right", fontsize=8)
    axes.set_xlabel("partition point (the layers in front of it run on the end device)", fontsize=9)
    axes.set_ylabel(f"expected delay of a round ({unit})")
    axes.margins(y=0.12)
    axes.grid(axis="y", color="#eeeeee")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), labelspacing=0.9)


def points_frame(
    system: System, mbps: float, load: float, choice: int | None, rounds: int, messages_s: np.ndarray | None = None
) -> np.ndarray:
    """:func:`points_figure` of a round as pixels."""
    title = f"round {rounds}" if choice is not None else "before"
    return frame(points_figure(system, mbps, load, choice, title, messages_s))
