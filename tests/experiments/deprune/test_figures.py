"""Deprune's pictures show what results, traces and recordings hold, and stand missing agents, seeds and traces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from splitgym.envs.deprune.curves import load_curves
from splitgym.envs.deprune.viewer import BAND_COLORS, band_color, runs_of, training_figure
from splitgym.experiments.deprune.episode_figures import reward_parts, rewards_figure
from splitgym.experiments.deprune.figures import curve_rows, draw_trace, eval_figures, frontier
from splitgym.experiments.deprune.progress_figures import progress_of
from splitgym.experiments.deprune.recordings import fitted, is_split, is_unseen, recordings_figure
from splitgym.experiments.play import make_env
from splitgym.experiments.results import Result

from ..pictures import Cast, heights, line, panel, titled, trace_of

SCENARIO = "vgg11-cifar10"
LINKS = (SCENARIO, f"{SCENARIO}-wifi8", f"{SCENARIO}-dynamic")
AGENTS = ("deprune", "prune", "no-compression", "high-compression")
CAST, JUDGED = Cast("deprune", {}, 1), Cast("deprune", {}, 2)


def traced(agent: str) -> tuple[Any, Mapping[str, np.ndarray]]:
    return CAST.traced(agent, SCENARIO)


def results(agents: Sequence[str], scenarios: Sequence[str] = (SCENARIO,), seeds: int = 1) -> list[Result]:
    return JUDGED.results(agents, scenarios, seeds)


@cache
def charts() -> dict[str, Any]:
    """Of all agents on one scenario."""
    return eval_figures(results(AGENTS), {"g": (SCENARIO,)})


# A training.


def test_a_training_is_drawn_as_the_trace_has_it() -> None:
    env, trace = traced("deprune")
    figures = draw_trace(env, trace, "deprune")
    assert set(figures) == {"training", "rewards", "recordings"}
    figure = figures["training"]
    axes = panel(figure, "test accuracy")
    np.testing.assert_allclose(axes.get_lines()[0].get_ydata(), 100 * trace["accuracy"])
    traffic = panel(figure, "traffic so far").get_lines()[0].get_ydata()
    np.testing.assert_allclose(traffic[-1], 100 * (15 / 32 + 3) / 18)
    np.testing.assert_allclose(traffic[14], 100 * 15 / 32 / 18)
    title = axes.get_title(loc="left")
    assert title.startswith(f"deprune on {SCENARIO}: 2 maps x 15, then 64 maps x 3; ")
    assert f"{100 * trace['accuracy'][-1]:.1f} %" in title


def test_bands_lie_where_the_budget_is_held_and_are_darker_for_more_maps() -> None:
    env, trace = traced("prune")
    system = env.unwrapped.dynamics.system
    figure = training_figure(system, trace)
    bands = [(b.get_x(), b.get_x() + b.get_width()) for b in panel(figure, "test accuracy").patches]
    np.testing.assert_allclose(bands, [(0.5, 11.5), (11.5, 14.5), (14.5, 18.5)])
    colors = [band_color(system, budget) for budget in system.budgets]
    assert colors == list(BAND_COLORS)
    light = [sum(int(color[i : i + 2], 16) for i in (1, 3, 5)) for color in colors]
    assert light == sorted(light, reverse=True)


def test_runs_of_budgets_cover_every_epoch_once() -> None:
    assert runs_of(np.array([2.0, 2, 64, 2])) == [(0, 2, 2), (2, 3, 64), (3, 4, 2)]
    assert runs_of(np.array([])) == []


@pytest.mark.parametrize("epochs", [0, 7])
def test_a_training_under_way_is_drawn(epochs: int) -> None:
    env, trace = traced("deprune")
    system = env.unwrapped.dynamics.system
    figure = training_figure(system, {name: values[:epochs] for name, values in trace.items()})
    figure.canvas.draw()
    axes = panel(figure, "test accuracy")
    assert axes.get_xlim() == (0.5, 18.5)
    told = "so far" if epochs else "no epoch yet"
    assert told in axes.get_title(loc="left")


def test_many_changes_are_counted_in_the_title() -> None:
    env, trace = traced("deprune")
    system = env.unwrapped.dynamics.system
    figure = training_figure(system, {**trace, "budget": np.array([2.0, 64.0] * 9)})
    assert "17 changes of budget" in panel(figure, "test accuracy").get_title(loc="left")


def test_without_the_module_there_is_one_dark_band() -> None:
    env, trace = traced("without-module")
    figure = training_figure(env.unwrapped.dynamics.system, trace)
    (band,) = panel(figure, "test accuracy").patches
    assert band.get_width() == pytest.approx(18)
    assert band_color(env.unwrapped.dynamics.system, 64) == BAND_COLORS[-1]


@pytest.mark.parametrize(
    "options", [{}, {"time_weight": 0.3}, {"bytes_weight": 0.0}, {"accuracy_weight": 2.0, "epochs": 7}], ids=str
)
def test_parts_of_the_rewards_are_those_that_the_env_gave(options: Mapping[str, Any]) -> None:
    env = make_env(CAST.family, f"{SCENARIO}-dynamic", options)
    given: list[Mapping[str, float]] = []
    env.reset(seed=4)
    over, info = False, {}
    while not over:
        _, reward, over, _, info = env.step(len(given) % 6)
        given.append({**info["rewards"], "total": reward})
    parts = reward_parts(env.unwrapped.dynamics, info["trace"])
    for name, values in parts.items():
        np.testing.assert_allclose(values, [row[name] for row in given], atol=1e-12)
    figure = rewards_figure(env.unwrapped.dynamics, info["trace"])
    heights = np.zeros(len(given))
    labels = set()
    for bars in panel(figure, "reward").containers:
        labels.add(bars.get_label())
        heights += [bar.get_height() for bar in bars]
    np.testing.assert_allclose(heights, [row["total"] for row in given], atol=1e-12)
    assert ("cost of time" in labels) == ("time_weight" in options)
    assert ("cost of bytes" in labels) == (options.get("bytes_weight") != 0.0)
    figure.canvas.draw()
    for axes in figure.axes:
        numbers = [text.get_window_extent() for text in axes.texts]
        drawn = [bar.get_window_extent() for bars in axes.containers for bar in bars]
        assert not any(box.overlaps(bar) for box in numbers for bar in drawn if bar.height > 1.0)
        colors = [to_rgb(bars[0].get_facecolor()) for bars in axes.containers]
        assert not any(color[2] > max(color[:2]) for color in colors)  # bands are blue
    worth = panel(figure, "score").get_lines()[0].get_ydata()
    assert worth[-1] == pytest.approx(info["metrics"]["score"])


def test_curve_rows_end_in_the_totals() -> None:
    env, trace = traced("prune")
    rows = curve_rows(env, trace)
    found = CAST.played("prune", SCENARIO)[1].metrics
    assert [row["round"] for row in rows] == list(range(1, 19))
    for name in ("accuracy", "loss", "budget"):
        np.testing.assert_array_equal([row[name] for row in rows], trace[name])
    for name in ("bytes_share", "elapsed_s"):
        assert rows[-1][name] == pytest.approx(found[name])
        assert all(a[name] < b[name] for a, b in pairwise(rows))
    assert rows[-1]["accuracy"] == found["accuracy"]


# Recordings.


@pytest.mark.parametrize("name", list(load_curves()))
def test_recordings_are_drawn_with_their_fit(name: str) -> None:
    curves = load_curves()[name]
    figure = recordings_figure(curves)
    assert len(figure.axes) == len({run["schedule"] for run in curves.runs})
    for schedule, axes in zip(dict.fromkeys(run["schedule"] for run in curves.runs), figure.axes, strict=True):
        told = axes.get_title(loc="left")
        assert "+" not in told  # what the name spells is of the paper's maps, not of those that were recorded
        assert told.startswith(f"{schedule}: ") or schedule[0].isdigit()
        runs = [run for run in curves.runs if run["schedule"] == schedule]
        points = [drawn for drawn in axes.get_lines() if drawn.get_label().startswith("recorded")]
        drawn = sorted(np.concatenate([p.get_ydata() for p in points]))
        np.testing.assert_allclose(drawn, sorted(100 * a for run in runs for a in run["accuracy"]))
        told = fitted(curves, runs[0])
        if told is not None:
            np.testing.assert_allclose(line(axes, "fit").get_ydata(), 100 * told)
    (legend,) = figure.legends
    held = curves.fit["held_out_error_points"]
    assert (f"held out {held:.1f} points" if held is not None else "nothing held out") in legend.get_title().get_text()


@pytest.mark.parametrize("name", list(load_curves()))
def test_the_error_in_the_title_is_that_of_the_points_drawn_as_held_out(name: str) -> None:
    curves = load_curves()[name]
    split = [run for run in curves.runs if is_split(run)]
    for unseen, key in ((False, "error_points"), (True, "held_out_error_points")):
        off = []
        for run in split:
            told = fitted(curves, run)
            if is_unseen(curves, run) == unseen and told is not None:
                off.append(np.abs(told - np.array(run["accuracy"])))
        if off:
            assert 100 * np.mean(np.concatenate(off)) == pytest.approx(curves.fit[key], abs=2e-3)


def test_recordings_without_a_fit_to_them_or_held_out_ones_are_drawn() -> None:
    curves = next(iter(load_curves().values()))
    fit = {**curves.fit, "held_out_error_points": None, "held_out_seed": None, "held_out_schedules": []}
    shorter = {**curves.runs[0], "accuracy": curves.runs[0]["accuracy"][:4], "budgets": curves.runs[0]["budgets"][:4]}
    figure = recordings_figure(replace(curves, bare=None, fit=fit, runs=(shorter, *curves.runs)))
    figure.canvas.draw()
    labels = {drawn.get_label() for axes in figure.axes for drawn in axes.get_lines()}
    assert "recorded, held out" not in labels
    (legend,) = figure.legends
    assert "nothing held out" in legend.get_title().get_text()


def test_real_trainings_have_no_recordings() -> None:
    env, trace = traced("deprune")
    dynamics = env.unwrapped.dynamics
    dynamics.backend = "train"
    try:
        assert set(draw_trace(env, trace, "")) == {"training", "rewards"}
    finally:
        dynamics.backend = "curves"


# An evaluation.


def test_cuts_have_bars_traffic_and_progress() -> None:
    found = results(AGENTS, seeds=2)
    figures = eval_figures(found, {"cuts": (SCENARIO,)})
    assert set(figures) == {"cuts", "cuts_traffic", "cuts_progress", "cuts_bytes"}
    for metric, label, factor in (
        ("score", "score", 1),
        ("accuracy", "test accuracy", 100),
        ("bytes_share", "traffic", 100),
    ):
        axes = panel(figures["cuts"], label)
        tops = [bar.get_height() for bar in axes.patches]
        means = [factor * np.mean([r.metrics[metric] for r in found if r.agent == agent]) for agent in AGENTS]
        np.testing.assert_allclose(tops, means)
    for figure in figures.values():
        figure.canvas.draw()


def test_accuracy_stands_above_its_traffic() -> None:
    found = results(AGENTS)
    axes = titled(charts()["g_traffic"], SCENARIO)
    points = {c.get_label(): c[0].get_xydata()[0] for c in axes.containers}
    for r in found:
        np.testing.assert_allclose(points[r.agent], [100 * r.metrics["bytes_share"], 100 * r.metrics["accuracy"]])
    edge = frontier({r.agent: (r.metrics["bytes_share"], r.metrics["accuracy"]) for r in found})
    (drawn,) = [each for each in axes.get_lines() if each.get_linestyle() == "--"]
    np.testing.assert_allclose(drawn.get_xydata(), 100 * np.array(edge))


@pytest.mark.parametrize("shares", [(0.10, 0.40), (0.62, 0.70)])
def test_spreads_of_traffic_lie_within_the_axes_which_name_it(shares: tuple[float, float]) -> None:
    base = results(AGENTS[:1], seeds=2)
    found = [replace(r, metrics={**r.metrics, "bytes_share": s}) for r, s in zip(base, shares, strict=True)]
    figure = eval_figures(found, {"g": (SCENARIO,)})["g_traffic"]
    figure.draw_without_rendering()
    axes = titled(figure, SCENARIO)
    low, high = axes.get_xlim()
    assert low < 100 * shares[0]
    assert high > 100 * shares[1]
    assert sum(bool(label.get_text()) and low <= at <= high
               for label, at in zip(axes.get_xticklabels(), axes.get_xticks(), strict=True)) >= 3  # fmt: skip
    assert "line" not in figure.legends[0].get_title().get_text()  # one agent is all there is: none is drawn
    assert "dashed line" in charts()["g_traffic"].legends[0].get_title().get_text()


def test_nobody_on_the_frontier_is_beaten() -> None:
    points = {"a": (1.0, 3.0), "b": (2.0, 2.0), "c": (3.0, 5.0), "d": (3.0, 4.0), "e": (4.0, 5.0)}
    assert frontier(points) == [(1.0, 3.0), (3.0, 5.0)]


def test_progress_is_that_of_the_last_episode_over_seeds() -> None:
    found = results(("deprune", "no-compression"), seeds=2)
    figure = eval_figures(found, {"g": (SCENARIO,)})["g_progress"]
    axes = titled(figure, SCENARIO)
    traces = [trace_of(r) for r in found if r.agent == "deprune"]
    shown = line(axes, "deprune")
    np.testing.assert_allclose(shown.get_ydata(), 100 * np.mean([t["accuracy"] for t in traces], axis=0))
    np.testing.assert_array_equal(shown.get_xdata(), np.arange(1, 19))
    assert list(shown.get_markevery()) == [17]  # the mark of the agent, at its end
    diamonds = [drawn.get_markevery() for drawn in axes.get_lines() if drawn.get_marker() == "D"]
    assert diamonds == [[15], []]  # new budgets, of "no-compression" none
    strip = next(a for a in figure.axes if a is not axes)
    assert [text.get_text() for text in strip.texts] == ["2", "64", "64"]
    widths = [(bar.get_x(), bar.get_width()) for bar in strip.patches]
    np.testing.assert_allclose(widths, [(0.5, 15), (15.5, 3), (0.5, 18)])


def test_bytes_and_time_grow_along_the_lines() -> None:
    found = results(("deprune",), LINKS)
    trace = next(trace_of(r) for r in found if r.scenario == SCENARIO)
    axes = titled(eval_figures(found, {"g": (SCENARIO,)})["g_bytes"], SCENARIO)
    np.testing.assert_allclose(line(axes, "deprune").get_xdata(), np.cumsum(trace["sent_bytes"]) / 1e9)
    figures = eval_figures(found, {"links": LINKS})
    assert set(figures) == {"links", "links_progress"}
    axes = titled(figures["links_progress"], f"{SCENARIO}-wifi8")
    slow = next(r.trace for r in found if r.scenario.endswith("wifi8"))
    assert slow is not None
    np.testing.assert_allclose(line(axes, "deprune").get_xdata(), np.cumsum(slow["epoch_s"]))
    shown = heights(line(figures["links"].axes[0], "deprune"))  # no bars, as the times are of many sizes
    np.testing.assert_allclose(shown, [r.metrics["elapsed_s"] for r in found])
    assert len({axes.get_xlim() for axes in figures["links_progress"].axes}) == 1


def test_several_cuts_are_lines_of_every_agent() -> None:
    found = results(AGENTS[:2], seeds=2)
    found += [replace(r, scenario="other") for r in found]
    figures = eval_figures(found, {"cuts": (SCENARIO, "other")})
    axes = titled(figures["cuts_by_cut"], "prune")
    trace = trace_of(found[2])
    assert axes.get_legend_handles_labels()[1] == [SCENARIO, "other"]
    assert len(line(axes, "other").get_ydata()) == len(trace["accuracy"])
    figures["cuts_by_cut"].canvas.draw()


def test_without_traces_there_is_no_progress() -> None:
    found = [replace(r, trace=None) for r in results(AGENTS)]
    assert set(eval_figures(found, {"g": (SCENARIO,)})) == {"g", "g_traffic"}
    assert progress_of(found) is None


def test_missing_agents_and_other_lengths_are_stood() -> None:
    found = results(AGENTS)
    trace = {name: values[:5] for name, values in (found[0].trace or {}).items()}
    found += [replace(found[0], scenario="mine", trace=trace), replace(found[0], seed=1, trace=trace)]
    figures = eval_figures(found, {"scenarios": (SCENARIO, "mine")})
    figures["scenarios_progress"].canvas.draw()


def test_an_agent_has_one_color_in_all_figures() -> None:
    figures = charts()
    colors = {line(titled(figures[name], SCENARIO), "prune").get_color() for name in ("g_progress", "g_bytes")}
    colors.add(titled(figures["g_traffic"], SCENARIO).containers[1][0].get_color())
    assert len(colors) == 1
    alone = eval_figures(results(("prune",)), {"g": (SCENARIO,)})["g_progress"]
    assert {line(titled(alone, SCENARIO), "prune").get_color()} == colors
