"""Hard and soft filters as a picture: accuracy against bytes, and by how many maps cross."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...ui.canvas import COLORS, INK
from ..line_charts import finish
from ..study_figure import Run, Summary, measured, panels, runs_by

PALETTE = (COLORS[0], COLORS[2], COLORS[8], COLORS[1], INK, COLORS[3])


def groups_of(summary: Summary) -> dict[tuple[Any, ...], list[Run]]:
    """Trainings of all seeds by schedule and filter."""
    return runs_by(summary, "schedule", "mask")


def bytes_of(run: Run) -> np.ndarray:
    """(epochs,) bytes so far: of the wire, or of the maps that count behind a soft filter."""
    return np.cumsum(run["wire_bytes"] or run["counted_bytes"])


def figure(summaries: Mapping[str, Summary]) -> Any:
    """A row of two panels for every set of images.

    Returns:
        A matplotlib Figure (Agg canvas).
    """
    model = next(iter(summaries.values()))["settings"]["model"]
    return panels(
        summaries, (_draw_bytes, _draw_budgets), (11.5, 1.1, 3.6),
        f"Prune-Deprune: accuracy of {model} against bytes, by filter and by maps that cross",
        f"bars: spread over seeds; {measured(summaries)}; bytes: both directions, of encoded packets; a soft filter's, "
        "which no wire can have, of the maps that count",
    )  # fmt: skip


def _draw_bytes(axes: Any, name: str, summary: Summary) -> None:
    schedules = list(dict.fromkeys(schedule for schedule, _ in groups_of(summary)))
    for (schedule, mask), group in groups_of(summary).items():
        color = PALETTE[schedules.index(schedule) % len(PALETTE)]
        accuracy = 100.0 * np.mean([run["accuracy"] for run in group], axis=0)
        look: dict[str, Any] = {"linestyle": "-" if mask == "hard" else (0, (2, 1.5)), "linewidth": 1.6, "color": color}
        axes.plot(bytes_of(group[0]) / 1e6, accuracy, label=schedule if mask == "hard" else "", **look)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("MB over the cut so far, both directions")
    axes.set_ylabel("test accuracy (%)")
    finish(axes, f"{name}: an epoch after another (lines: hard filter, dashed: soft)")


def _draw_budgets(axes: Any, name: str, summary: Summary) -> None:
    groups = groups_of(summary)
    even = [
        schedule for schedule, mask in groups if mask == "hard" and len(set(groups[schedule, mask][0]["budgets"])) == 1
    ]
    maps = [groups[schedule, "hard"][0]["budgets"][0] for schedule in even]
    kinds: Sequence[tuple[str, str, str, str, Any]] = (
        ("hard", "accuracy", "hard filter", "o", "-"),
        ("soft", "accuracy", "soft filter", "s", (0, (2, 1.5))),
        ("soft", "wire_accuracy", "soft filter, tested behind a hard one", "^", (0, (1, 1.5))),
    )
    for number, (mask, told, label, marker, style) in enumerate(kinds):
        known = [(m, groups[s, mask]) for m, s in zip(maps, even, strict=True) if (s, mask) in groups]
        values = [100.0 * np.array([run[told][-1] for run in group]) for _, group in known]
        at = [m * 1.04 ** (number - 1) for m, _ in known]
        axes.errorbar(
            at, [v.mean() for v in values], [v.std() for v in values], marker=marker, markersize=4.5, capsize=2,
            color=COLORS[7] if number == 0 else COLORS[4] if number == 1 else COLORS[6], linestyle=style, label=label,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xticks(maps, [str(m) for m in maps])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("maps that cross, in every epoch")
    axes.set_ylabel("test accuracy at the end (%)")
    finish(axes, f"{name}: after the last epoch")
