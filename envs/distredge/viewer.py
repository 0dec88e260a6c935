"""A Gantt chart of one image: what every device computes and sends, and when."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...models.plans import SpatialPlan
from ..figures import canvas_figure, frame
from .system import System

TAIL_COLOR = "#555555"
SEND_COLOR = "#c9c9c9"
IMAGE_COLOR = "#9fc5e8"


def timeline_figure(system: System, plan: SpatialPlan | None, mbps: np.ndarray | None = None, title: str = "") -> Any:
    """Draw a plan's timeline.

    Args:
        system: the scenario.
        plan: the plan; None draws empty axes.
        mbps: (D,) rates, nominal when None.
        title: in front of the scenario's name and the latency.

    Returns:
        A matplotlib Figure (Agg canvas).
    """
    lanes = system.names
    figure = canvas_figure(10, 1.6 + 0.55 * len(lanes))
    axes = figure.add_subplot()
    axes.set_yticks(range(len(lanes)), lanes)
    axes.set_ylim(len(lanes) - 0.4, -0.6)
    axes.set_xlabel("time since the image was sent (ms)")
    axes.grid(axis="x", color="#eeeeee")
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    head = f"{title}  {system.scenario.name}".strip()
    if plan is None:
        axes.set_title(f"{head}: no image yet", loc="left")
        return figure
    latency = _draw_events(axes, system, plan, mbps)
    modelled = ", ".join(sorted({t.provenance.source for t in system.tables}))
    axes.set_title(f"{head}: {latency * 1e3:.1f} ms, {1 / latency:.1f} images/s  ({modelled} latency)", loc="left")
    axes.axvline(latency * 1e3, color="black", linewidth=0.8)
    axes.set_xlim(0, latency * 1e3 * 1.02)
    return figure


def _draw_events(axes: Any, system: System, plan: SpatialPlan, mbps: np.ndarray | None) -> float:
    """Bars above the line of a device are computing, below it sending; returns the latency in seconds."""
    from matplotlib import colormaps
    from matplotlib.patches import Patch

    latency, _, events = system.replay(plan, mbps)
    shades = colormaps["viridis"](np.linspace(0.15, 0.95, len(plan.cuts)))
    edges = dict(edgecolor="white", linewidth=0.4)
    for kind, device, start_s, end_s, label in events.rows:
        width, left = (end_s - start_s) * 1e3, start_s * 1e3
        if kind == "compute":
            color = TAIL_COLOR if label == "tail" else shades[int(label)]
            axes.barh(device - 0.18, width, 0.34, left, color=color, **edges)
            continue
        color = IMAGE_COLOR if kind == "scatter" else SEND_COLOR
        axes.barh(device + 0.2, width, 0.3, left, color=color, hatch="////", **edges)
        words = _message_words(system, kind, label)
        if width > latency * 1e3 * 0.009 * len(words):
            axes.text(left + width / 2, device + 0.2, words, ha="center", va="center", fontsize=7)
    units = system.model.units
    patches = [
        Patch(color=shades[i], label=_range_name(units[a].name, units[b - 1].name))
        for i, (a, b) in enumerate(plan.ranges)
    ]
    if system.model.tail:
        patches.append(Patch(color=TAIL_COLOR, label="tail"))
    patches.append(Patch(facecolor=IMAGE_COLOR, hatch="////", edgecolor="white", label="image arriving"))
    patches.append(Patch(facecolor=SEND_COLOR, hatch="////", edgecolor="white", label="sending"))
    if len(patches) <= 24:
        axes.legend(
            handles=patches, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=7, frameon=False, title="computing"
        )
    return latency


def _message_words(system: System, kind: str, label: str) -> str:
    if kind == "scatter":
        return "image"
    return {"gather": "to the tail", "R": "result"}.get(label) or f"to {system.names[int(label)]}"


def _range_name(first: str, last: str) -> str:
    return first if first == last else f"{first} … {last}"


def timeline_frame(system: System, plan: SpatialPlan | None, mbps: np.ndarray | None = None) -> np.ndarray:
    """:func:`timeline_figure` as pixels."""
    return frame(timeline_figure(system, plan, mbps))
