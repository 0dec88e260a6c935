"""A bar for every partition point: what the device, the link and the edge server take of a round."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..figures import LEGEND_KEY_IN, canvas_figure, frame, place, short, steady, title, widest_in
from .system import System

DEVICE_COLOR, LINK_COLOR, EDGE_COLOR = "#3b6fb6", "#c9c9c9", "#e08a1e"
CHOICE_COLOR, BEST_COLOR = "#c8453b", "#3f9a5b"
WORDS_IN = 1.1  # of the legend
MARGIN = 1.12  # above the longest delay


def points_figure(
    system: System,
    mbps: float | None = None,
    load: float = 1.0,
    choice: int | None = None,
    who: str = "",
    when: str = "",
    messages_s: np.ndarray | None = None,
    highest_s: float = 0.0,
) -> Any:
    """Draw the expected delay of a round at every feasible point.

    Args:
        system: the scenario.
        mbps: the rate now, nominal when None.
        load: the edge server's.
        choice: feasible point that was chosen (0 is P^c), None for none.
        who: in front of the scenario's name.
        when: behind it.
        messages_s: (K,) what the messages take where the rate changes, None where it holds.
        highest_s: end of the axis, 0 where it ends with the bars.

    Returns:
        A matplotlib Figure (Agg canvas).
    """
    mbps = system.mbps if mbps is None else mbps
    count = system.n_points
    every = np.arange(count)
    edge_s = load * system.edge_s
    link_s = system.edge_delay_s(mbps, load, every) - edge_s if messages_s is None else messages_s
    total_s = system.front_s + link_s + edge_s
    unit, factor = ("s", 1.0) if max(total_s.max(), highest_s) >= 10.0 else ("ms", 1e3)
    figure = canvas_figure(max(6.0, 2.8 + 0.45 * count), 4.4)
    axes = _axes(figure, system, unit)
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
    dot = {"markersize": 9, "color": CHOICE_COLOR, "markeredgecolor": "white"}  # fits into the optimum's ring
    if choice is not None:
        _mark(axes, choice, total_s[choice] * factor, f"chosen {total_s[choice] * factor:.4g} {unit}", **dot)
    axes.set_ylim(0.0, factor * (highest_s or MARGIN * float(total_s.max())))
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), labelspacing=0.9)
    kinds = ", ".join(sorted({p.provenance.source for p in (system.device, system.edge)}))
    inferred = ", inferred inputs" if system.scenario.provenance else ""
    loaded = f", load {load:g}" if load != 1.0 else ""
    where = ", ".join(
        part for part in (f"{who} on {system.scenario.name}" if who else system.scenario.name, when) if part
    )
    title(axes, f"{where}: {mbps:.4g} Mbps{loaded}  ({kinds} profiles{inferred})")
    return figure


def _axes(figure: Any, system: System, unit: str) -> Any:
    """Axes that lie where the scenario wants them, with the points' names."""
    first = system.first
    names = [f"{first + i} {short(system.names[first + i])}" for i in range(system.n_points)]
    widest = widest_in(figure, names, 8)
    place(figure, max(0.9, 0.8 * widest), LEGEND_KEY_IN + WORDS_IN, bottom_in=0.7 + 0.7 * widest)
    axes = figure.add_subplot()
    axes.set_xlim(-0.7, len(names) - 0.3)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=8)
    axes.set_xlabel("partition point: the last layer that runs on the end device", fontsize=9)
    axes.set_ylabel(f"expected delay of a round ({unit})")
    axes.grid(axis="y", color="#eeeeee")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return axes


def _mark(axes: Any, at: int, height: float, label: str, **look: Any) -> None:
    axes.plot(at, height, "o", label=label, zorder=3, **look)


def points_frame(
    system: System,
    mbps: float,
    load: float,
    choice: int | None,
    when: str,
    ends_s: tuple[float, float],
    messages_s: np.ndarray | None = None,
) -> np.ndarray:
    """:func:`points_figure` of a round as pixels, on an axis that stays.

    Args:
        system: the scenario.
        mbps, load, choice, when, messages_s: as there.
        ends_s: the longest delays, as expected before the episode, and of the rounds so far.
    """
    total_s = system.front_s + load * system.edge_s + (0.0 if messages_s is None else messages_s)
    usual_s, seen_s = ends_s
    end_s = MARGIN * steady(usual_s, max(seen_s, float(total_s.max())))
    figure = points_figure(system, mbps, load, choice, when=when, messages_s=messages_s, highest_s=end_s)
    return frame(figure)
