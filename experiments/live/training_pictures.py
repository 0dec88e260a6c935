"""The timeline of a training: what was predicted above what was measured, K + 1 steps of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...ui.canvas import COLORS, clean, new_figure, top_legend
from .training_trace import Trace

if TYPE_CHECKING:
    from .training_report import TrainingReport

KINDS = ("forward", "backward", "train", "update")
LABELS = {"train": "forward and backward"}
SEND = "#c9c9c9"


def timeline(report: TrainingReport, roles: Sequence[str], title: str) -> Any:
    """Draw both on one axis.

    Returns:
        A matplotlib Figure (Agg canvas).
    """
    assert report.typical is not None
    figure = new_figure(10, 2.4 + 1.1 * len(roles))
    panels = figure.subplots(2, 1, sharex=True)
    count = len(report.typical.logged_s)
    shown = [
        (f"{title}, predicted: {report.predicted_s * 1e3:.1f} ms a step", report.predicted),
        (f"measured: {report.measured_s * 1e3:.1f} ms", report.typical),
    ]
    handles: dict[str, Any] = {}
    for axes, (words, trace) in zip(panels, shown, strict=True):
        _draw(axes, trace, roles, sorted(trace.logged_s)[-count:], handles)
        axes.set_title(words, loc="left", fontsize=10)
    panels[-1].set_xlabel("ms")
    top_legend(figure, handles)
    return figure


def _draw(axes: Any, trace: Trace, roles: Sequence[str], numbers: Sequence[int], handles: dict[str, Any]) -> None:
    """One trace, from the log of its first shown step on."""
    begin_s, end_s = trace.logged_s[numbers[0]], trace.logged_s[numbers[-1]]
    clean(axes)
    for row, role in enumerate(roles):
        for work in trace.works:
            if work.role == role and work.end_s > begin_s and work.start_s < end_s:
                color = COLORS[KINDS.index(work.kind)]
                span = (work.start_s - begin_s) * 1e3, (work.end_s - work.start_s) * 1e3
                bars = axes.broken_barh([span], (row - 0.4, 0.45), color=color, linewidth=0)
                handles.setdefault(LABELS.get(work.kind, work.kind), bars)
        for message in trace.messages:
            if message.sender == role and message.there_s > begin_s and message.start_s < end_s:
                span = (message.start_s - begin_s) * 1e3, (message.there_s - message.start_s) * 1e3
                bars = axes.broken_barh([span], (row + 0.1, 0.25), color=SEND, linewidth=0)
                handles.setdefault("on its way to another", bars)
    for number in numbers:
        axes.axvline((trace.logged_s[number] - begin_s) * 1e3, color="black", linewidth=0.8)
    axes.set_yticks(range(len(roles)), roles)
    axes.set_ylim(len(roles) - 0.5, -0.6)
    axes.set_xlim(0.0, (end_s - begin_s) * 1.02e3)
