"""The table of an evaluation and the bars that every family has."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from splitgym.envs import Family
from splitgym.experiments.figures import grouped_bars
from splitgym.experiments.results import Result
from splitgym.experiments.tables import comparison

from ..command_line import PNG
from .brief import EVALUATE


def results(scenarios: int, agents: int, seeds: int = 1) -> list[Result]:
    rng = np.random.default_rng(0)
    return [
        Result(f"scenario-{s}", f"agent-{a}", seed, {"cost_s": 0.1 * (a + 1) + 0.001 * rng.random()})
        for s in range(scenarios)
        for a in range(agents)
        for seed in range(seeds)
    ]


def test_the_best_is_bold_and_wide_tables_are_dealt_out(toy: Family) -> None:
    _, (table,) = comparison(results(2, 3), toy, 200)
    best, second = table.columns[1], table.columns[2]
    assert all("[bold" in str(cell) for cell in best.cells)
    assert not any("[bold" in str(cell) for cell in second.cells)
    title, parts = comparison(results(2, 12, seeds=2), toy, 60)
    assert len(parts) > 1
    names = [str(column.header) for part in parts for column in part.columns if column.header != "scenario"]
    assert names == [f"agent-{a}" for a in range(12)]
    assert "standard deviation" in title
    for part in parts:
        assert sum(max(map(len, [str(c.header)])) + 2 for c in part.columns) <= 60


def test_bars_show_means_and_spread_over_seeds() -> None:
    figure = grouped_bars({"near": {"a": [1.0, 3.0], "b": [4.0]}, "far": {"b": [5.0]}}, "cost (s)")
    (axes,) = figure.axes
    heights = sorted(patch.get_height() for patch in axes.patches)
    assert heights == [2.0, 4.0, 5.0]
    segments = [s for c in axes.collections for s in c.get_segments()]
    assert [sorted(point[1] for point in s) for s in segments if len(s)] == [[1.0, 3.0]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["near", "far"]


def test_many_bars_are_dealt_out_over_rows_without_overlap() -> None:
    figure = grouped_bars({f"scenario-{s}": {f"agent-{a}": [1.0] for a in range(10)} for s in range(14)}, "images/s")
    assert len(figure.axes) > 1
    figure.canvas.draw()
    for axes in figure.axes:
        boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
        assert all(a.x1 <= b.x0 for a, b in pairwise(boxes))
    assert sum(len(axes.patches) for axes in figure.axes) == 140


@pytest.mark.usefixtures("scratch", "toy")
def test_an_evaluation_has_bars_for_every_group() -> None:
    EVALUATE("--env", "toy", "--scenarios", "all", "--agents", "middle,exact", "--out", "out")
    assert all(Path(f"out/{group}.png").read_bytes().startswith(PNG) for group in ("all-fixed", "scenarios"))
