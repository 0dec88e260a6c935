"""A Gantt chart of one image: what every device computes and sends, and when."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...models.plans import SpatialPlan
from ..figures import LEGEND_KEY_IN, LINE_IN, canvas_figure, frame, place, short, steady, title, widest_in
from .physics import Row
from .system import System
from .volumes import Range

TAIL_COLOR = "#555555"
SEND_COLOR = "#c9c9c9"
IMAGE_COLOR = "#9fc5e8"
USUAL = 4.0  # times the best device alone: the end of the axis of frames


def timeline_figure(system: System, plan: SpatialPlan, mbps: np.ndarray | None = None, who: str = "") -> Any:
    """Draw a plan's timeline.

    Args:
        system: the scenario.
        plan: the plan.
        mbps: (D,) rates, nominal when None.
        who: in front of the scenario's name.

    Returns:
        A matplotlib Figure (Agg canvas).
    """
    figure, latency_s = _chart(system, plan.ranges, plan.splits, mbps)
    title(figure.axes[0], f"{_where(system, who)}: {_result(system, latency_s)}", 11)
    return figure


def timeline_frame(
    system: System, ranges: Sequence[Range], splits: Sequence[Sequence[int]], mbps: np.ndarray, last: bool = False
) -> np.ndarray:
    """An image as far as it is decided, as pixels; the axis is the same for all images of a scenario.

    Args:
        system: the scenario.
        ranges: the layer-volumes that ran, as (first unit, behind the last).
        splits: rows of the last output of each.
        mbps: (D,) rates.
        last: whether it is the image before one that has not begun.
    """
    figure, latency_s = _chart(system, ranges, splits, mbps, moving=True)
    told = f"{ranges[-1][1] if ranges else 0} of {system.n_units} units decided"
    if math.isfinite(latency_s):
        told = _result(system, latency_s)
    title(figure.axes[0], f"{_where(system)}{', the last image' if last else ''}: {told}", 11)
    return frame(figure)


def _where(system: System, who: str = "") -> str:
    return f"{who} on {system.scenario.name}" if who else system.scenario.name


def _result(system: System, latency_s: float) -> str:
    sources = ", ".join(sorted({t.provenance.source for t in system.tables}))
    inputs = ", inferred inputs" if system.scenario.provenance else ""
    return f"{latency_s * 1e3:.1f} ms, {1 / latency_s:.1f} images/s  ({sources} latency{inputs})"


def comparison_figure(
    system: System, plan: SpatialPlan, above: tuple[str, Sequence[Row]], below: tuple[str, Sequence[Row]], end_s: float
) -> Any:
    """One timeline above another, on the same axis.

    Args:
        above, below: a title, and what happened, as in :class:`.physics.Events`.
        end_s: where the axis ends.

    Returns:
        A matplotlib Figure (Agg canvas).
    """
    names, lanes = _volume_names(system, plan.ranges), [short(name) for name in system.names]
    figure = canvas_figure(10, 2.9 + 1.1 * len(lanes))
    _place_beside_legend(figure, system, lanes)
    shades = [_shade(first, system.n_units) for first, _ in plan.ranges]
    for number, (words, rows) in enumerate((above, below), start=1):
        axes = figure.add_subplot(2, 1, number)
        _lanes(axes, lanes)
        axes.set_xlim(0, 1.02e3 * end_s)
        _draw_events(axes, system, rows, shades)
        title(axes, words, 11)
        if number == 1:
            axes.set_xlabel("")
            _legend(axes, system, names, shades)
    figure.subplots_adjust(hspace=0.35)
    return figure


def _chart(
    system: System,
    ranges: Sequence[Range],
    splits: Sequence[Sequence[int]],
    mbps: np.ndarray | None,
    moving: bool = False,
) -> tuple[Any, float]:
    """(figure, seconds that the image takes, NaN where it is under way)."""
    lanes = [short(name) for name in system.names]
    figure = canvas_figure(10, 1.9 + 0.55 * len(lanes))
    _place_beside_legend(figure, system, lanes)
    axes = figure.add_subplot()
    _lanes(axes, lanes)
    latency_s, _, events = system.replay_volumes(ranges, splits, mbps)
    end_s = max((end for _, _, _, end, _ in events.rows), default=0.0)
    axes.set_xlim(0, 1e3 * (steady(USUAL * system.reference_s, 1.02 * end_s) if moving else 1.02 * latency_s))
    shades = [_shade(first, system.n_units) for first, _ in ranges]
    _draw_events(axes, system, events.rows, shades)
    if math.isfinite(latency_s):
        axes.axvline(latency_s * 1e3, color="black", linewidth=0.8)
    _legend(axes, system, _volume_names(system, ranges), shades)
    return figure, latency_s


def _volume_names(system: System, ranges: Sequence[Range]) -> list[str]:
    names = [short(unit.name) for unit in system.model.units]
    return [_range_name(names[a], names[b - 1]) for a, b in ranges]


def _place_beside_legend(figure: Any, system: System, lanes: Sequence[str]) -> None:
    longest = max((short(unit.name) for unit in system.model.units), key=len)
    labels_in = widest_in(figure, [f"{longest} … {longest}", "image arriving"], 7)
    place(figure, 0.25 + widest_in(figure, lanes, 10), LEGEND_KEY_IN + labels_in)


def _lanes(axes: Any, names: Sequence[str]) -> None:
    """A line for every device."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel("time since the image was sent (ms)")
    axes.grid(axis="x", color="#eeeeee")
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _shade(first: int, units: int) -> Any:
    """The color of a volume by where it begins in the network, the same in every frame."""
    from matplotlib import colormaps

    return colormaps["viridis"](0.15 + 0.8 * first / max(units - 1, 1))


def _draw_events(axes: Any, system: System, rows: Sequence[Any], shades: Sequence[Any]) -> None:
    """Bars above the line of a device are computing, below it sending."""
    edges = dict(edgecolor="white", linewidth=0.4)
    for kind, device, start_s, stop_s, label in rows:
        width, left = (stop_s - start_s) * 1e3, start_s * 1e3
        if kind == "compute":
            color = TAIL_COLOR if label == "tail" else shades[int(label)]
            axes.barh(device - 0.18, width, 0.34, left, color=color, **edges)
            continue
        color = IMAGE_COLOR if kind == "scatter" else SEND_COLOR
        axes.barh(device + 0.2, width, 0.3, left, color=color, hatch="////", **edges)
        words = _message_words(system, kind, label)
        if width > 0.009 * len(words) * axes.get_xlim()[1]:
            axes.text(left + width / 2, device + 0.2, words, ha="center", va="center", fontsize=7)


def _legend(axes: Any, system: System, names: Sequence[str], shades: Sequence[Any]) -> None:
    """What the colors stand for, as many volumes as there is room for."""
    from matplotlib.patches import Patch

    rest: list[Any] = [Patch(color=TAIL_COLOR, label="tail")] if system.model.tail else []
    rest.append(Patch(facecolor=IMAGE_COLOR, hatch="////", edgecolor="white", label="image arriving"))
    rest.append(Patch(facecolor=SEND_COLOR, hatch="////", edgecolor="white", label="sending"))
    room = int((axes.figure.get_size_inches()[1] - 0.9) / LINE_IN) - len(rest)
    shown = len(names) if len(names) <= room else room - 1
    handles = [Patch(color=shade, label=name) for name, shade in list(zip(names, shades, strict=True))[:shown]]
    if shown < len(names):
        handles.append(Patch(color="none", label=f"and {len(names) - shown} more"))
    axes.legend(
        handles=[*handles, *rest], loc="upper left", bbox_to_anchor=(1.0, 1.08), fontsize=7, frameon=False,
        title="computing", alignment="left",
    )  # fmt: skip


def _message_words(system: System, kind: str, label: str) -> str:
    if kind == "scatter":
        return "image"
    return {"gather": "to the tail", "R": "result"}.get(label) or f"to {system.names[int(label)]}"


def _range_name(first: str, last: str) -> str:
    return first if first == last else f"{first} … {last}"
