"""L2S's pictures show what the traces hold, and stand missing agents, seeds, traces and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from splitgym.experiments.figures import has_error_bars
from splitgym.experiments.l2s.figures import curve_rows, draw_trace, eval_figures
from splitgym.experiments.l2s.lines import agent_colors
from splitgym.experiments.l2s.rounds import (
    average_ratio,
    latest_errors,
    prediction_errors,
    regrets,
    running_mean,
    running_median,
    spans,
)
from splitgym.experiments.results import Result

from ..pictures import Cast, heights, legend_names, line, panel, titled, trace_of, unit

SWITCH = ((30, 20.0),)
DEVICES = {"inputs": "devices"}  # where at 60 Mbps the device alone is best
CAST, JUDGED = Cast("l2s", {"rounds": 60, **DEVICES}), Cast("l2s", {"rounds": 40, **DEVICES})
played, result, results = CAST.played, JUDGED.result, JUDGED.results


def without(results: Sequence[Result], *agents: str) -> list[Result]:
    return [r for r in results if r.agent not in agents]


# ---- statistics


def test_running_mean_and_median_skip_what_is_not_finite() -> None:
    values = np.array([1.0, np.nan, 3.0, np.inf, 5.0, 9.0])
    np.testing.assert_allclose(running_mean(values, 2), [1.0, 1.0, 3.0, 3.0, 5.0, 7.0])
    seeds = np.array([[1.0, np.nan, np.nan, 8.0], [3.0, np.nan, np.nan, np.nan]])
    np.testing.assert_allclose(running_median(seeds, 2), [2.0, 2.0, np.nan, 8.0])
    np.testing.assert_allclose(latest_errors(np.array([np.nan, 0.4, np.nan, 0.2])), [np.nan, 0.4, 0.4, 0.3])


def test_spans_are_the_runs_of_true_values() -> None:
    assert spans(np.array([True, True, False, True])) == [(0, 2), (3, 4)]
    assert spans(np.array([], dtype=bool)) == []


def test_errors_are_of_the_noiseless_edge_delay_and_only_where_the_edge_takes_part() -> None:
    env, trace = CAST.traced("linucb-e", "resnet34-gpu-60")
    system = env.unwrapped.dynamics.system
    choice = trace["point"].astype(int) - system.scenario.privacy_point
    expected = system.edge_delay_s(trace["mbps"].astype(float), 1.0, choice)
    errors = prediction_errors(trace)
    assert errors is not None
    away = trace["point"] < system.last
    assert away.any()
    assert not away.all()
    np.testing.assert_array_equal(np.isfinite(errors), away)
    wanted = np.abs(trace["predicted_edge_s"] - expected)[away] / expected[away]
    np.testing.assert_allclose(errors[away], wanted, atol=1e-4)
    silent = CAST.traced("oracle", "resnet34-gpu-60")[1]
    assert prediction_errors(silent) is None
    assert all("prediction_error" not in row for row in curve_rows(env, silent))


@pytest.mark.parametrize("agent", ["oracle", "fpt", "l2s", "linucb-e"])
def test_regret_of_the_trace_is_the_metric(agent: str) -> None:
    _, found = played(agent, "resnet34-gpu-60")
    assert regrets([found.trace])[0, -1] == pytest.approx(found.metrics["regret_s"], abs=1e-3)


# ---- the learning curve


def test_curve_rows_end_in_the_totals() -> None:
    env, (trace, metrics, _) = played("l2s", "resnet34-gpu-60")
    rows = curve_rows(env, trace)
    assert [row["round"] for row in rows] == list(range(1, 61))
    last = rows[-1]
    assert last["regret_s"] == pytest.approx(metrics["regret_s"], abs=1e-3)
    assert last["sync_s"] == pytest.approx(metrics["sync_s"], rel=1e-5)
    assert last["delay_s"] == pytest.approx(trace["delay_s"][-10:].mean(), rel=1e-5)
    assert rows[0]["delay_s"] == pytest.approx(trace["delay_s"][0], rel=1e-6)
    assert [row["point"] for row in rows] == trace["point"].tolist()
    assert all(a["regret_s"] <= b["regret_s"] + 1e-6 for a, b in pairwise(rows))
    errors = prediction_errors(trace)
    assert errors is not None
    seen = errors[np.isfinite(errors)]
    assert last["prediction_error"] == pytest.approx(np.median(seen[-10:]))


# ---- an episode


def test_rounds_are_drawn_as_the_trace_has_them() -> None:
    env, trace = CAST.traced("linucb-e", "resnet34-gpu-100", mbps_changes=SWITCH)
    figure = draw_trace(env, trace, "linucb-e")["rounds"]
    delay = panel(figure, "delay")
    factor = unit(delay.get_ylabel())
    np.testing.assert_allclose(line(delay, "a round").get_ydata(), trace["delay_s"].astype(float) * factor)
    np.testing.assert_allclose(
        line(delay, "best point, expected").get_ydata(), trace["oracle_delay_s"].astype(float) * factor
    )
    pdt_s = env.unwrapped.dynamics.system.pdt_s
    assert line(delay, "device alone, expected").get_ydata()[0] == pytest.approx(pdt_s * factor)
    steps, dots, *_ = panel(figure, "partition").get_lines()
    np.testing.assert_array_equal(steps.get_ydata(), trace["point"])
    np.testing.assert_array_equal(dots.get_xdata(), np.arange(1, 61))
    crosses = line(panel(figure, "partition"), "forced")
    np.testing.assert_array_equal(crosses.get_xdata(), np.flatnonzero(trace["forced"]) + 1)
    np.testing.assert_array_equal(panel(figure, "Mbps").get_lines()[0].get_ydata(), trace["mbps"])
    assert panel(figure, "regret").get_lines()[0].get_ydata()[-1] > 0
    names = env.unwrapped.dynamics.system.names
    for tick in panel(figure, "partition").get_yticklabels():
        number, name = tick.get_text().split()
        assert names[int(number)] == name
    figure.canvas.draw()


def test_adaptations_are_shaded_and_nothing_is_where_no_agent_explains_itself() -> None:
    env, trace = CAST.traced("l2s", "resnet34-gpu-60", rounds=150)
    adapting = trace["adapting"]
    assert adapting.any()
    assert not adapting.all()
    figure = draw_trace(env, trace, "l2s")["rounds"]
    assert len(panel(figure, "regret").patches) == len(spans(adapting))
    env, trace = CAST.traced("oracle", "resnet34-gpu-60")
    figure = draw_trace(env, trace, "oracle")["rounds"]
    labels = [axes.get_ylabel().split()[0] for axes in figure.axes]
    assert labels == ["delay", "partition", "regret"]  # no prediction, and a rate that never changes
    assert not panel(figure, "regret").patches


def test_points_show_the_usual_late_choice() -> None:
    env, trace = CAST.traced("pdt", "resnet34-gpu-60")
    figure = draw_trace(env, trace, "pdt")["points"]
    marks = {str(m.get_label()).split()[0]: m for m in figure.axes[0].get_lines()}
    assert list(marks["chosen"].get_xdata()) == [env.unwrapped.dynamics.system.n_points - 1]
    assert marks["optimum"].get_markerfacecolor() == "none"  # and so seen around the choice where they are the same
    assert marks["optimum"].get_markersize() > marks["chosen"].get_markersize() + 4
    assert "60 Mbps" in figure.axes[0].get_title(loc="left")


# ---- an evaluation

AGENTS = ("l2s", "linucb-e", "linucb", "oracle", "pdt", "fpt")
CONSTANT = ("resnet34-gpu-60", "resnet34-cpu-60")


def test_constant_links_show_how_agents_learn() -> None:
    found = results(AGENTS, CONSTANT, seeds=2)
    figures = eval_figures(found, {"constant": CONSTANT})
    assert set(figures) == {"constant", "prediction_error", "delay_by_round", "forced_sampling"}
    traces = [r.trace for r in found if (r.scenario, r.agent) == (CONSTANT[0], "fpt")]
    drawn = line(titled(figures["delay_by_round"], CONSTANT[0]), "fpt").get_ydata()
    np.testing.assert_allclose(drawn, average_ratio([t for t in traces if t is not None]))
    errors = [prediction_errors(r.trace) for r in found if r.agent == "l2s" and r.scenario == CONSTANT[1] and r.trace]
    drawn = line(titled(figures["prediction_error"], CONSTANT[1]), "l2s").get_ydata()
    np.testing.assert_allclose(drawn, 100.0 * running_median(np.stack([e for e in errors if e is not None])))
    assert legend_names(figures["prediction_error"]) == ["l2s", "linucb-e", "linucb"]
    bars = [patch.get_height() for patch in figures["forced_sampling"].axes[0].patches]
    oracle = np.mean([r.metrics["total_s"] for r in found if (r.scenario, r.agent) == (CONSTANT[0], "oracle")])
    mine = np.mean([r.metrics["total_s"] for r in found if (r.scenario, r.agent) == (CONSTANT[0], "linucb")])
    assert bars[0] == pytest.approx(mine / oracle)


def test_forced_sampling_needs_both_and_takes_the_reference_that_is_there() -> None:
    found = results(AGENTS, CONSTANT[:1])
    group = {"constant": CONSTANT}
    assert "forced_sampling" not in eval_figures(without(found, "linucb"), group)
    by_pdt = eval_figures(without(found, "oracle"), group)["forced_sampling"]
    assert by_pdt.axes[0].get_ylabel() == "total time / pdt's"
    alone = eval_figures(without(found, "oracle", "pdt"), group)["forced_sampling"]
    assert alone.axes[0].get_ylabel() == "total time (s)"


def test_a_sweep_is_drawn_over_the_rates() -> None:
    names = [f"{model}-gpu-{mbps}" for model in ("alexnet", "resnet34") for mbps in (200, 5, 60)]
    found = results(("pdt", "fpt", "oracle"), names)
    for group in ("sweep-gpu", "scenarios"):
        figure = eval_figures(found, {group: names})[group]
        axes = titled(figure, "alexnet, gpu")
        assert axes.get_xscale() == "log"
        factor = unit(axes.get_ylabel())
        (fpt,) = [c for c in axes.containers if c.get_label() == "fpt"]
        wanted = {r.scenario: r.metrics["delay_s"] for r in found if r.agent == "fpt"}
        np.testing.assert_array_equal(fpt[0].get_xdata(), [5, 60, 200])
        np.testing.assert_allclose(heights(fpt[0]), [wanted[f"alexnet-gpu-{m}"] * factor for m in (5, 60, 200)])
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["5", "60", "200"]


def test_privacy_shows_the_time_saved_by_rate() -> None:
    names = [f"resnet34-gpu-{mbps}-p{p}" for mbps in (100, 200) for p in (8, 2)]
    found = results(("oracle", "pdt"), names)
    (axes,) = eval_figures(found, {"privacy": names})["privacy"].axes
    lines = {c.get_label(): c[0] for c in axes.containers}
    assert list(lines) == ["oracle, 100 Mbps", "oracle, 200 Mbps"]
    saved = {r.scenario: 100.0 * r.metrics["saved"] for r in found if r.agent == "oracle"}
    np.testing.assert_array_equal(lines["oracle, 200 Mbps"].get_xdata(), [2, 8])
    np.testing.assert_allclose(
        heights(lines["oracle, 200 Mbps"]), [saved["resnet34-gpu-200-p2"], saved["resnet34-gpu-200-p8"]]
    )


def test_changing_links_show_delay_and_regret_over_the_rounds() -> None:
    found = results(("l2s", "oracle", "pdt"), ("resnet34-gpu-100",), mbps_changes=SWITCH)
    figures = eval_figures(found, {"scenarios": ("resnet34-gpu-100",)})
    assert {"resnet34-gpu-100", "resnet34-gpu-100-regret"} <= set(figures)
    assert "prediction_error" not in figures
    (mine,) = [r for r in found if r.agent == "l2s"]
    trace = trace_of(mine)
    axes = panel(figures["resnet34-gpu-100-regret"], "regret")
    factor = unit(axes.get_ylabel())
    assert line(axes, "l2s").get_ydata()[-1] == pytest.approx(mine.metrics["regret_s"] * factor, rel=1e-4)
    axes = panel(figures["resnet34-gpu-100"], "delay")
    factor = unit(axes.get_ylabel())
    delay_s = running_mean(trace["delay_s"].astype(float), 20)
    np.testing.assert_allclose(line(axes, "l2s").get_ydata(), delay_s * factor)
    strip = panel(figures["resnet34-gpu-100"], "Mbps")
    np.testing.assert_array_equal(strip.get_lines()[0].get_ydata(), trace["mbps"])
    assert strip.get_title(loc="right") == ""  # everyone met these


def test_rates_that_differ_by_seed_are_said_to_be_whose_they_are() -> None:
    found = results(("pdt", "linucb-e"), ("resnet34-dynamic",), seeds=2)
    figures = eval_figures(found, {"changing": ("resnet34-dynamic",)})
    for name in ("resnet34-dynamic", "resnet34-dynamic-regret"):
        strip = panel(figures[name], "Mbps")
        assert strip.get_title(loc="right") == "rates that linucb-e, seed 0 met"
        first = next(r for r in found if (r.agent, r.seed) == ("linucb-e", 0))
        np.testing.assert_array_equal(strip.get_lines()[0].get_ydata(), trace_of(first)["mbps"])


def test_only_charts_with_error_bars_have_them() -> None:
    for seeds in (1, 2):
        figures = eval_figures(results(("l2s", "pdt"), CONSTANT, seeds), {"scenarios": CONSTANT})
        assert {name for name, figure in figures.items() if has_error_bars(figure)} == (
            {"scenarios"} if seeds > 1 else set()
        )


def test_an_agent_has_one_color_in_all_figures() -> None:
    found = results(("pdt", "linucb", "oracle", "linucb-e"), CONSTANT)
    figures = eval_figures(found, {"constant": CONSTANT})
    bars = {c.get_label(): c.patches[0].get_facecolor() for c in figures["forced_sampling"].axes[0].containers
            if hasattr(c, "patches")}  # fmt: skip
    from matplotlib.colors import to_rgba

    lines, _ = titled(figures["delay_by_round"], CONSTANT[0]).get_legend_handles_labels()
    colors = {drawn.get_label(): to_rgba(drawn.get_color()) for drawn in lines}
    assert bars["linucb"] == colors["linucb"]
    assert bars["linucb-e"] == colors["linucb-e"]
    assert len(set(colors.values())) == 4
    assert agent_colors(["plan.json"])["linucb"] == agent_colors([])["linucb"]


def test_a_line_that_leaves_a_panel_is_named_and_the_best_is_in_all() -> None:
    base = results(("fpt", "pdt", "l2s"), CONSTANT[:1])
    found = []
    for r in base:
        trace = trace_of(r)
        delay_s, best_s = np.array(trace["delay_s"]), np.asarray(trace["oracle_delay_s"])
        delay_s[:] = 1.1 * best_s
        if r.agent == "pdt":
            delay_s[0] = 1.5 * best_s[0]  # it leaves at first alone
        found.append(replace(r, trace={**trace, "delay_s": delay_s}))
    figure = eval_figures(found, {"constant": CONSTANT})["delay_by_round"]
    axes = titled(figure, CONSTANT[0])
    assert [text.get_text() for text in axes.texts] == ["above: pdt"]
    low, high = axes.get_ylim()
    assert low < 1.0 < high
    assert "dotted" in figure.legends[0].get_title().get_text()


def test_many_agents_are_all_in_the_legend() -> None:
    base = results(("fpt",), CONSTANT[:1])[0]
    found = [replace(base, agent=f"agent-{i}") for i in range(16)]
    figure = eval_figures(found, {"constant": CONSTANT})["delay_by_round"]
    figure.canvas.draw()
    assert legend_names(figure) == [f"agent-{i}" for i in range(16)]
    box = figure.legends[0].get_window_extent()
    assert box.x1 <= figure.bbox.x1
    assert all(box.y0 >= axes.get_tightbbox().y1 - 1 for axes in figure.axes)


def test_scenarios_from_files_are_drawn_under_safe_names() -> None:
    base = results(("l2s", "pdt"), CONSTANT[:1])
    found = [replace(r, scenario="my lab/../link: 1") for r in base]
    figures = eval_figures(found, {"a/b c": ("my lab/../link: 1",)})
    assert set(figures) == {"a_b_c", "prediction_error", "delay_by_round"}
    values = [p.get_height() for p in figures["a_b_c"].axes[0].patches]
    factor = unit(figures["a_b_c"].axes[0].get_ylabel())
    assert values == pytest.approx([r.metrics["delay_s"] * factor for r in base])
    twice = eval_figures(found, {"x y": ("my lab/../link: 1",), "x/y": ("my lab/../link: 1",)})
    assert {"x_y", "x_y-2"} <= set(twice)


def test_nothing_fails_without_traces_or_with_nan() -> None:
    found = results(AGENTS, CONSTANT[:1])
    bare = [replace(r, trace=None) for r in found]
    assert set(eval_figures(bare, {"constant": CONSTANT})) == {"constant", "forced_sampling"}
    assert eval_figures(found, {"sweep-gpu": ("vgg16-gpu-5",)}) == {}
    holes = []
    for r in found:
        delay_s = trace_of(r)["delay_s"].copy()
        delay_s[3:9] = np.nan
        predicted = np.full(len(delay_s), np.nan)
        holes.append(replace(r, trace={**trace_of(r), "delay_s": delay_s, "predicted_edge_s": predicted}))
    figures = eval_figures(holes, {"constant": CONSTANT}) | eval_figures(holes, {"scenarios": CONSTANT})
    assert {"constant", "scenarios"} <= set(figures)
    assert "prediction_error" not in figures
    for figure in figures.values():
        figure.canvas.draw()
    env, _ = played("l2s", CONSTANT[0], rounds=40)
    trace = next(trace_of(r) for r in holes if r.agent == "l2s")
    draw_trace(env, trace, "")["rounds"].canvas.draw()
    assert len(curve_rows(env, trace)) == 40


def test_whatever_marks_a_point_is_in_the_legend() -> None:
    env, trace = CAST.traced("fpt", CONSTANT[0], rounds=30)
    (axes,) = draw_trace(env, trace, "fpt")["points"].axes
    bars = [bar for container in axes.containers for bar in container]
    assert [patch for patch in axes.patches if patch not in bars] == []
    shown = [text.get_text() for text in axes.get_legend().get_texts()]
    assert {line.get_label() for line in axes.get_lines()} <= set(shown)


def test_where_p_is_the_only_point_it_is_drawn() -> None:
    env, trace = CAST.traced("fpt", CONSTANT[0], rounds=30, privacy_point=17)
    figures = draw_trace(env, trace, "fpt")
    assert set(figures) == {"rounds", "points"}
    for figure in figures.values():
        figure.canvas.draw()


def test_one_round_is_enough() -> None:
    env, found = played("l2s", CONSTANT[0], rounds=1)
    for figure in draw_trace(env, found.trace, "l2s").values():
        figure.canvas.draw()
    (row,) = curve_rows(env, found.trace)
    assert row["round"] == 1
    assert row["regret_s"] == pytest.approx(found.metrics["regret_s"], rel=1e-5)
    one = result("l2s", CONSTANT[0], rounds=1)
    for figure in eval_figures([one], {"constant": CONSTANT}).values():
        figure.canvas.draw()
