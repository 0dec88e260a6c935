"""Pictures that every family has, and what those of its own have in common."""

from __future__ import annotations

from itertools import pairwise
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest

from splitgym.envs import FAMILIES, Family
from splitgym.experiments.figures import FEW_POINTS, grouped_bars, hook, learning_curve, regret_curve

from ..command_line import PNG
from .brief import BRIEF, EVALUATE
from .pictures import Cast

NAME = attrgetter("name")


@pytest.mark.parametrize("family", [family for family in FAMILIES.values() if hook(family, "curve_rows")], ids=NAME)
def test_curve_rows_are_at_most_a_thousand_and_evenly_spread(family: Family) -> None:
    rows, brief = hook(family, "curve_rows"), BRIEF[family.name]
    env, trace = Cast(family.name, brief.options, 1).traced(brief.planner, brief.scenario)
    longer = {name: np.resize(values, 2345) for name, values in trace.items()}
    numbers = [row["round"] for row in rows(env, longer)]
    assert (len(numbers), numbers[0], numbers[-1]) == (1000, 1, 2345)
    assert {b - a for a, b in pairwise(numbers)} == {2, 3}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=NAME)
def test_groups_without_results_have_no_charts(family: Family) -> None:
    draw, brief = hook(family, "eval_figures"), BRIEF[family.name]
    assert draw([], {"all": (brief.scenario,)}) == {}
    results = Cast(family.name, brief.options, 1).results((brief.planner,), (brief.scenario,))
    assert draw(results, {"all": ("nowhere",)}) == {}


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


def test_few_reports_of_a_training_are_each_marked() -> None:
    report = {"episodes": 512, "steps": 512, "best_latency_s": 0.03, "recent_latency_s": 0.4}
    for reports in (1, 2, FEW_POINTS, FEW_POINTS + 1):
        curve = [{**report, "episodes": 512 * (i + 1)} for i in range(reports)]
        drawn = learning_curve(curve, "latency_s", "ms").axes[0].get_lines()[:2]
        assert all(line.get_marker() == "o" for line in drawn) == (reports <= FEW_POINTS)


@pytest.mark.parametrize("lower_is_better", [True, False])
def test_what_leaves_a_learning_curve_is_told(lower_is_better: bool) -> None:
    values = [0.5, *[0.1] * 40] if lower_is_better else [0.1, *[0.5] * 40]
    curve = [{"episodes": 50_000 * (i + 1), "steps": i, "recent_cost": value} for i, value in enumerate(values)]
    figure = learning_curve(curve, "cost", "cost", lower_is_better=lower_is_better)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    low, high = axes.get_ylim()
    assert low <= (0.1 if lower_is_better else 0.5) <= high
    (told,) = [text.get_text() for text in axes.texts]
    assert told.startswith("above: up to 0.5" if lower_is_better else "below: down to 0.1")
    assert not axes.xaxis.get_offset_text().get_text()
    assert "1M" in [label.get_text() for label in axes.get_xticklabels()]


def test_a_regret_curve_shows_what_is_lost_and_who_loses_least() -> None:
    curve = [{"episodes": 100 * i, "steps": i, "recent_regret": 2.0 / i, "recent_cost_s": 9.0} for i in range(1, 9)]
    others = {"oracle": 0.0, "unknown": float("nan"), **{f"agent-{i}": float(i) for i in range(1, 7)}}
    axes = regret_curve(curve, "regret (ms)", 1e3, others, "all").axes[0]
    regret, *lines = axes.get_lines()
    np.testing.assert_allclose(regret.get_ydata(), [2e3 / i for i in range(1, 9)])
    assert [line.get_ydata()[0] for line in lines] == [1e3, 2e3, 3e3, 4e3]
    assert axes.get_ylabel().startswith("regret (ms)")


def test_a_regret_below_zero_stays_in_the_picture() -> None:
    """A plan may be better than the best known one."""
    curve = [{"episodes": 100 * i, "steps": i, "recent_regret": 0.3 - 0.1 * i} for i in range(1, 9)]
    low, high = regret_curve(curve, "regret").axes[0].get_ylim()
    assert low < -0.5
    assert high > 0.2


def test_values_of_many_sizes_are_marks_and_no_bars() -> None:
    """On a logarithmic axis a bar's length depends on where the axis happens to begin."""
    for highest, bars in ((15.0, True), (300.0, False)):
        figure = grouped_bars({"one": {"a": [1.0], "b": [0.0]}, "two": {"a": [highest]}}, "cost", least=0.9)
        (axes,) = figure.axes
        assert bool(axes.patches) == bars == (axes.get_yscale() == "linear")
        if not bars:
            shown = {
                line.get_label(): list(line.get_ydata()) for line in axes.get_lines() if line.get_marker() != "None"
            }
            assert shown == {"a": [1.0, 300.0], "b": [0.9]}
