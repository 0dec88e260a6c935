"""What pictures of studies have in common: a row of panels for every set of images, and where the numbers come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..ui.canvas import footnote, new_figure
from .line_charts import legend

Summary = Mapping[str, Any]
Run = Mapping[str, Any]
Draw = Callable[[Any, str, Summary], None]  # axes, the images' name, the summary


def runs_by(summary: Summary, *names: str) -> dict[tuple[Any, ...], list[Run]]:
    """Trainings that agree on some settings, in the order in which such first come."""
    found: dict[tuple[Any, ...], list[Run]] = {}
    for run in summary["runs"]:
        found.setdefault(tuple(run[name] for name in names), []).append(run)
    return found


def measured(summaries: Mapping[str, Summary]) -> str:
    """Where numbers come from, in words."""
    told = [summary["provenance"] for summary in summaries.values()]
    sources = "; ".join(f"{one['data']}, {one['trainings']} trainings, {one['date']}" for one in told)
    return f"measured ({sources}; {told[0]['machine']})"


def panels(
    summaries: Mapping[str, Summary], draws: Sequence[Draw], size: tuple[float, float, float], title: str, note: str
) -> Any:
    """A row of panels for every set of images, under one legend.

    Args:
        draws: the panels of a row.
        size: inches: its width, the height beside the rows, and that of a row.
        title, note: above and below.

    Returns:
        A matplotlib Figure (Agg canvas).
    """
    width, beside, row_height = size
    made = new_figure(width, beside + row_height * len(summaries))
    grid = made.subplots(len(summaries), len(draws), squeeze=False)
    for row, (name, summary) in zip(grid, summaries.items(), strict=True):
        for axes, draw in zip(row, draws, strict=True):
            draw(axes, name, summary)
    legend(made, title)
    footnote(made, note)
    return made
