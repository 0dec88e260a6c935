"""The KL divergence by cut of several networks, as a picture (L2S, Fig. 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...ui.canvas import COLORS, INK, footnote, new_figure
from ..line_charts import finish
from ..study_figure import Run, Summary, measured, runs_by

LEAST_NATS = 1e-4  # of a bar that is seen


def groups_of(summary: Summary) -> dict[str, list[Run]]:
    """Trainings of all seeds by network."""
    return {network: runs for (network,), runs in runs_by(summary, "network").items()}


def mean_kl(runs: Sequence[Run]) -> np.ndarray:
    """(P,) nats by partition point, means over seeds."""
    return np.mean([run["kl"] for run in runs], axis=0)


def figure(summaries: Mapping[str, Summary]) -> Any:
    """A row for every set of images, a panel for every network: means over seeds, each seed as a dot.

    Returns:
        A matplotlib Figure (Agg canvas).
    """
    widest = max(len(groups_of(summary)) for summary in summaries.values())
    made = new_figure(6.4 * widest, 0.6 + 3.6 * len(summaries))
    grid = made.subplots(len(summaries), widest, squeeze=False)
    for row, (images, summary) in zip(grid, summaries.items(), strict=True):
        for axes, (name, runs) in zip(row, groups_of(summary).items(), strict=False):
            _draw(axes, f"{images}: {name}", summary["points"][name], runs)
    judged, reduce = (next(iter(summaries.values()))["settings"][name] for name in ("judged", "reduce"))
    footnote(
        made,
        f"bars: means over seeds, dots: seeds; {judged} test images a network, {reduce} over maps; "
        f"{measured(summaries)}",
    )
    return made


def _draw(axes: Any, title: str, names: Sequence[str], runs: Sequence[Run]) -> None:
    kl, points = mean_kl(runs), np.arange(1, len(names) + 1)
    ppt, uniform = runs[0]["ppt"], float(np.mean([run["uniform"] for run in runs]))
    axes.bar(points, kl, 0.7, color=[COLORS[1] if point == ppt else COLORS[10] for point in points])
    for run in runs:
        axes.plot(points, run["kl"], linewidth=0, marker=".", markersize=5, color=COLORS[0])
    axes.axhline(uniform, color=INK, linewidth=1.0, linestyle=(0, (5, 3)))
    axes.annotate(
        "knows\nnothing", (1.01, uniform), xycoords=("axes fraction", "data"), va="center", color=INK, fontsize=8
    )
    axes.set_yscale("log", subs=[])
    low, high = float(min(min(run["kl"]) for run in runs)), float(max(max(run["kl"]) for run in runs))
    axes.set_ylim(0.6 * max(low, LEAST_NATS), 1.5 * high)
    ticks = [m * 10.0**e for e in range(-4, 3) for m in (1, 2, 5) if axes.get_ylim()[0] <= m * 10.0**e <= 1.5 * high]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks(points, names, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_xlabel("partition point, behind this layer (orange: where PPT cuts)")
    axes.set_ylabel("KL divergence (nats)")
    finish(axes, title)
