"""A Gantt chart of one image: what every device computes and sends, and when."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from textwrap import fill
from typing import Any

import numpy as np

from ...models.plans import SpatialPlan
from ..figures import (
    HATCHED,
    LEGEND_KEY_IN,
    LINE_IN,
    canvas_figure,
    frame,
    in_bar,
    place,
    short,
    steady,
    time_bar,
    title,
    widest_in,
)
from .physics import Row
from .system import System
from .volumes import Range

TAIL_COLOR = "#555555"
SEND_COLOR = "#d9d9d9"
IMAGE_COLOR = "#bcd8f0"
USUAL = 4.0  # times the best device alone: the end of the axis of frames
WIDTH_IN, WIDE_IN, MANY_VOLUMES, MOST_VOLUMES = 10, 16, 8, 24
LANE_IN, DENSE_LANE_IN, MANY_LANES = 0.62, 0.5, 8
SMALL, TINY = 7.0, 6.0  # points
LEVELS = (0, 1)  # of words above bars; those below the bars of a line are on the highest level of the next one
TAIL_WORDS = "last layers, undivided"
IDLE_LETTERS = 105  # in a line of those that do nothing


@dataclass(frozen=True)
class Volume:
    """A layer-volume as it is drawn.

    Attributes:
        name: its first and last unit.
        rows: of its output.
        splits: (D - 1,) where the rows of one device end and those of the next begin.
        color: the same in every frame.
    """

    name: str
    rows: int
    splits: Sequence[int]
    color: Any

    def part(self, device: int) -> str:
        """The rows of the output that a device computes, counted from 1, in words."""
        bounds = [0, *self.splits, self.rows]
        first, last = int(bounds[device]) + 1, int(bounds[device + 1])
        return str(first) if first == last else f"{first}–{last}"


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
    volumes = _volumes(system, plan.ranges, plan.splits)
    lanes = _busy(system, [*above[1], *below[1]])
    figure = _figure(system, 2.0 * _lanes_in(lanes) + 2.4, lanes)
    for number, (words, rows) in enumerate((above, below), start=1):
        axes = figure.add_subplot(2, 1, number)
        _lanes(axes, system, lanes)
        axes.set_xlim(0, 1.02e3 * end_s)
        _draw_events(axes, system, rows, volumes, lanes)
        title(axes, words, 11)
        if number == 1:
            axes.set_xlabel("")
            _legend(axes, system, volumes)
    figure.subplots_adjust(hspace=0.35)
    return figure


def _chart(
    system: System,
    ranges: Sequence[Range],
    splits: Sequence[Sequence[int]],
    mbps: np.ndarray | None,
    moving: bool = False,
) -> tuple[Any, float]:
    """(figure, seconds that the image takes, NaN where it is under way); a frame has all devices."""
    latency_s, _, events = system.replay_volumes(ranges, splits, mbps)
    lanes = list(range(system.n_devices)) if moving else _busy(system, events.rows)
    figure = _figure(system, 1.5 + _lanes_in(lanes), lanes, 0 if moving else len(ranges))
    axes = figure.add_subplot()
    _lanes(axes, system, lanes)
    end_s = max((end for _, _, _, end, _ in events.rows), default=0.0)
    axes.set_xlim(0, 1e3 * (steady(USUAL * system.reference_s, 1.02 * end_s) if moving else 1.02 * latency_s))
    volumes = _volumes(system, ranges, splits)
    _draw_events(axes, system, events.rows, volumes, lanes)
    if math.isfinite(latency_s):
        axes.axvline(latency_s * 1e3, color="black", linewidth=0.8)
    _legend(axes, system, volumes)
    return figure, latency_s


def _busy(system: System, rows: Sequence[Any]) -> list[int]:
    """The devices that do anything, in their order."""
    found = {int(device) for _, device, _, _, _ in rows}
    return [device for device in range(system.n_devices) if device in found]


def _lanes_in(lanes: Sequence[int]) -> float:
    """Height of the lines of so many devices, and of one for those that do nothing."""
    return (LANE_IN if len(lanes) <= MANY_LANES else DENSE_LANE_IN) * (len(lanes) + 0.5)


def _volumes(system: System, ranges: Sequence[Range], splits: Sequence[Sequence[int]]) -> list[Volume]:
    names = [short(unit.name) for unit in system.model.units]
    return [
        Volume(
            _range_name(names[a], names[b - 1]),
            int(system.heights[b - 1]),
            [int(row) for row in split],
            _shade(a, system.n_units, pale=number % 2 == 1),
        )
        for number, ((a, b), split) in enumerate(zip(ranges, splits, strict=True))
    ]  # fmt: skip


def _figure(system: System, height_in: float, lanes: Sequence[int], volumes: int = 0) -> Any:
    """An empty figure with room for the names of the devices, for so many volumes and, at the right, for the legend."""
    width_in = WIDTH_IN if volumes <= MANY_VOLUMES else WIDE_IN
    figure = canvas_figure(width_in, max(height_in, 3.2, 2.0 + LINE_IN * (min(volumes, MOST_VOLUMES) + 4)))
    longest = max((short(unit.name) for unit in system.model.units), key=len)
    labels_in = widest_in(figure, [f"{longest} … {longest}: 999 rows", TAIL_WORDS], SMALL)
    names = [*(short(system.names[device]) for device in lanes), "idle"]
    place(figure, 0.25 + widest_in(figure, names, 10), LEGEND_KEY_IN + labels_in)
    return figure


def _lanes(axes: Any, system: System, lanes: Sequence[int]) -> None:
    """A line for every device that does anything; the others are named in one."""
    idle = [short(name) for device, name in enumerate(system.names) if device not in lanes]
    names = [short(system.names[device]) for device in lanes]
    axes.set_yticks(range(len(names) + bool(idle)), [*names, *(["idle"] if idle else [])])
    axes.set_ylim(len(names) - 0.4 + 0.7 * bool(idle), -0.7)
    if idle:
        told = fill(f"{', '.join(idle)}: no part of this plan", IDLE_LETTERS, max_lines=2, placeholder=" …")
        axes.text(
            0.005, len(names), told, fontsize=SMALL, color="#666666", va="center",
            transform=axes.get_yaxis_transform(),
        )  # fmt: skip
    axes.set_xlabel("time since the image was sent (ms)")
    axes.grid(axis="x", color="#eeeeee")
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _shade(first: int, units: int, pale: bool) -> Any:
    """The color of a volume by where it begins in the network, the same in every frame; every other one is paler."""
    from matplotlib import colormaps

    color = np.array(colormaps["viridis"](0.15 + 0.8 * first / max(units - 1, 1))[:3])
    return tuple(1.0 - 0.55 * (1.0 - color) if pale else color)


def _draw_events(
    axes: Any, system: System, rows: Sequence[Any], volumes: Sequence[Volume], lanes: Sequence[int]
) -> None:
    """Bars above the line of a device are computing, with the rows that it computes; below it they are sending."""
    taken: dict[tuple[int, int], list[tuple[float, float]]] = {}  # (line, level above its bars) -> where words are
    sent: dict[int, list[tuple[float, float, list[str]]]] = {}  # line -> start, end, words of messages in a row
    for kind, device, start_s, stop_s, label in sorted(rows, key=itemgetter(2)):
        start, at = start_s * 1e3, lanes.index(device)
        length = (stop_s - start_s) * 1e3
        if kind != "compute":
            color = IMAGE_COLOR if kind == "scatter" else SEND_COLOR
            drawn = time_bar(axes, at + 0.16, 0.26, start, length, color, sends=True)
            words = _message_words(system, kind, label)
            if not in_bar(axes, words, at + 0.16, start, drawn, SMALL, color) and kind != "scatter":
                _gather(sent.setdefault(at, []), words, start, start + drawn)
        elif label == "tail":
            time_bar(axes, at - 0.16, 0.32, start, length, TAIL_COLOR, sends=False)
        else:
            volume = volumes[int(label)]
            drawn = time_bar(axes, at - 0.16, 0.32, start, length, volume.color, sends=False)
            words = volume.part(device)
            if not in_bar(axes, words, at - 0.16, start, drawn, TINY, volume.color):
                _write_above(axes, words, start + drawn / 2, at, LEVELS, taken)
    for at, messages in sent.items():
        for begin, end, words in messages:
            told = ", ".join(dict.fromkeys(words)).replace(", to ", ", ")
            _write_above(axes, told, (begin + end) / 2, at + 1, LEVELS[-1:], taken)


def _gather(messages: list[tuple[float, float, list[str]]], words: str, start: float, end: float) -> None:
    """Add a message of a device to those that it sent, one behind another, until this one starts."""
    if messages and start <= messages[-1][1] * (1.0 + 1e-9):
        first, _, before = messages.pop()
        messages.append((first, end, [*before, words]))
    else:
        messages.append((start, end, [words]))


def _write_above(
    axes: Any,
    words: str,
    middle: float,
    at: int,
    levels: Sequence[int],
    taken: dict[tuple[int, int], list[tuple[float, float]]],
) -> None:
    """Words beside a bar that is too short for them, as low as others leave room; none where they leave none."""
    width_in, end = axes.get_position().width * axes.figure.get_size_inches()[0], axes.get_xlim()[1] / 1.02
    width = widest_in(axes.figure, [f"{words}0"], TINY) * 1.02 * end / width_in  # a letter more keeps words apart
    begins = max(0.0, min(middle - width / 2, end - width))
    for level in levels:
        others = taken.setdefault((at, level), [])
        if all(begins + width <= first or last <= begins for first, last in others):
            others.append((begins, begins + width))
            axes.text(
                begins + width / 2, at - 0.42 - 0.17 * level, words, ha="center", va="center", fontsize=TINY,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.2},
            )  # fmt: skip
            return


def _legend(axes: Any, system: System, volumes: Sequence[Volume]) -> None:
    """What the colors stand for, as many volumes as there is room for."""
    from matplotlib.patches import Patch

    rest: list[Any] = [Patch(color=TAIL_COLOR, label=TAIL_WORDS)] if system.model.tail else []
    rest += [Patch(facecolor=IMAGE_COLOR, label="image arriving", **HATCHED)]
    rest += [Patch(facecolor=SEND_COLOR, label="sending", **HATCHED)]
    room = int((axes.figure.get_size_inches()[1] - 1.1) / LINE_IN) - len(rest)
    shown = len(volumes) if len(volumes) <= room else room - 1
    handles = [
        Patch(color=v.color, label=f"{v.name}: {v.rows} row{'s' if v.rows > 1 else ''}") for v in volumes[:shown]
    ]
    if shown < len(volumes):
        handles.append(Patch(color="none", label=f"and {len(volumes) - shown} more"))
    axes.legend(
        handles=[*handles, *rest], loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.0, fontsize=SMALL,
        frameon=False, title="computing (on bars: which rows\nof the output)", title_fontsize=SMALL, alignment="left",
    )  # fmt: skip


def _message_words(system: System, kind: str, label: str) -> str:
    if kind == "scatter":
        return "image"
    return {"gather": "to the last layers", "R": "result"}.get(label) or f"to {system.names[int(label)]}"


def _range_name(first: str, last: str) -> str:
    return first if first == last else f"{first} … {last}"
