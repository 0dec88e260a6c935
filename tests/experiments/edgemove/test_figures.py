"""EdgeMove's pictures show what results and traces hold, and stand missing agents, seeds, optima and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from splitgym.envs.edgemove.pipeline import period_s
from splitgym.envs.edgemove.scenarios import PUBLISHED_SPEEDUPS, get_scenario
from splitgym.envs.edgemove.system import System
from splitgym.envs.edgemove.viewer import episode_figure
from splitgym.experiments.edgemove.figures import PUBLISHED_COLUMN, curve_rows, draw_trace, eval_figures
from splitgym.experiments.edgemove.landscape import LIMITS, cut_times_s, landscape_figure, network_conditions

from ..pictures import Cast, bars, legend_names, line, panel, titled, trace_of, unit

TASK = "vgg16-cifar10"
AGENTS = ("edgemove", "edgemove-literal", "on-device", "device-cloud", "pipedream-e", "oracle")
SHORT = {"on_device_s": 400.0, "cycle": 100}
RATES = tuple(f"{TASK}-{mbps}mbps" for mbps in (400, 50, 100))
CAST = Cast("edgemove", SHORT, 2)
JUDGED = Cast("edgemove", SHORT, 1)
result, results = JUDGED.result, JUDGED.results


def traced(agent: str, **options: Any) -> tuple[Any, Mapping[str, np.ndarray]]:
    return CAST.traced(agent, TASK, **options)


@cache
def charts() -> dict[str, Any]:
    """Of all agents on the task, two seeds."""
    return eval_figures(results(AGENTS, (TASK,), seeds=2), {"table1": (TASK,)})


@cache
def walk(agent: str) -> Any:
    env, trace = traced(agent)
    return episode_figure(env.unwrapped.dynamics.system, int(env.unwrapped.dynamics.world.walk[0]), trace, agent)


# ---- an episode


def test_the_walk_is_drawn_as_the_trace_has_it() -> None:
    env, trace = traced("edgemove")
    figures = draw_trace(env, trace, "edgemove")
    assert set(figures) == {"walk", "cuts"}
    figure = figures["walk"]
    system = env.unwrapped.dynamics.system
    axes = panel(figure, "iteration")
    for label, name in (("cycle", "cycle_s"), ("fastest", "oracle_cycle_s")):
        shown = line(axes, label)
        np.testing.assert_allclose(shown.get_ydata()[:-1], 1e3 * trace[name] / trace["iterations"], rtol=1e-6)
        np.testing.assert_allclose(shown.get_xdata()[1:], trace["elapsed_s"])
    np.testing.assert_allclose(line(axes, "client alone").get_ydata(), 1e3 * system.on_device_iteration_s)
    (cuts,) = panel(figure, "cut").get_lines()
    np.testing.assert_array_equal(cuts.get_ydata()[:-1], trace["cut"])
    (client,) = line(panel(figure, "north"), "client").get_xydata()
    np.testing.assert_allclose(client, [trace["east_m"][-1], trace["north_m"][-1]])
    title = panel(figure, "north").get_title(loc="left")
    assert title.startswith(f"edgemove on {TASK}: cycle {len(trace['cut'])} of {len(trace['cut'])}")
    assert "on walk 1," in title  # the second of two episodes


def test_changes_of_the_worker_are_marked_on_the_walk() -> None:
    _, trace = traced("edgemove-literal")
    changes = int((np.diff(trace["worker"]) != 0).sum())
    assert changes > 0
    axes = panel(walk("edgemove-literal"), "north")
    at = np.asarray(line(axes, "worker changed").get_xydata())
    assert len(at) == changes
    before = np.flatnonzero(np.diff(trace["worker"]))
    places = np.stack([trace["east_m"], trace["north_m"]], axis=1)[before]
    np.testing.assert_allclose(at, places, atol=2.1)  # the walk is sampled every 2 m
    used = set(trace["worker"].astype(int)) - {int(trace["worker"][-1]), -1}
    assert len(line(axes, "workers before").get_xdata()) == len(used)


def test_who_never_changes_the_worker_has_no_mark_for_it() -> None:
    figure = walk("on-device")
    labels = {line.get_label() for axes in figure.axes for line in axes.get_lines()}
    assert labels.isdisjoint({"worker changed", "workers before", "new worker", "worker, its coverage"})
    assert panel(figure, "north").get_title(loc="left").endswith("on the client alone")


def test_the_cut_that_is_used_is_named() -> None:
    env, trace = traced("device-cloud")
    axes = panel(walk("device-cloud"), "cut")
    usual = int(np.bincount(trace["cut"].astype(int)).argmax())
    system = env.unwrapped.dynamics.system
    assert f"{usual} {system.names[usual - 1]}" in {tick.get_text() for tick in axes.get_yticklabels()}


def test_an_episode_without_optimum_or_steps_is_drawn() -> None:
    env, trace = traced("edgemove", optimum=False)
    figure = episode_figure(env.unwrapped.dynamics.system, 0, trace)
    assert "fastest" not in {line.get_label() for line in panel(figure, "iteration").get_lines()}
    assert all("oracle_iteration_s" not in row for row in curve_rows(env, trace))
    figure.canvas.draw()
    nothing = {name: values[:0] for name, values in trace.items()}
    episode_figure(env.unwrapped.dynamics.system, 0, nothing).canvas.draw()


def test_curve_rows_end_in_the_totals() -> None:
    env, (trace, metrics, _) = JUDGED.played("edgemove", TASK)
    rows = curve_rows(env, trace)
    assert [row["round"] for row in rows] == list(range(1, len(trace["cut"]) + 1))
    assert rows[-1]["adaptation_s"] == pytest.approx(metrics["adaptation_s"], rel=1e-5)
    assert rows[-1]["elapsed_s"] == pytest.approx(metrics["elapsed_s"], rel=1e-5)
    assert all(a["adaptation_s"] <= b["adaptation_s"] for a, b in pairwise(rows))
    for name, total in (("iteration_s", "training_s"), ("oracle_iteration_s", "oracle_s")):
        seconds = sum(row[name] * count for row, count in zip(rows, trace["iterations"], strict=True))
        assert seconds == pytest.approx(metrics[total], rel=1e-5)
    np.testing.assert_array_equal([row["cut"] for row in rows], trace["cut"])
    np.testing.assert_array_equal([row["worker"] for row in rows], trace["worker"])


# ---- the cuts


@pytest.mark.parametrize("fields", [{}, {"half_duplex": True}, {"in_flight": 1}, {"near_mbps": 20.0, "in_flight": 8}])
def test_a_cut_takes_the_period_of_its_pipeline_and_is_bound_by_its_part(fields: Mapping[str, Any]) -> None:
    system = System(get_scenario(TASK, **fields))
    setting = system.scenario
    for rate, rtt_s in network_conditions(system).values():
        times, bound = cut_times_s(system, rate, rtt_s)
        for cut in range(1, system.n_layers):
            client, server = float(system.client_s[cut]), float(system.server_s[0, cut])
            link = float(system.link_bits[cut]) / rate
            expected = period_s(client, server, link, link, rtt_s, setting.in_flight, setting.half_duplex)
            assert times[cut - 1] == pytest.approx(expected)
            occupied = (client, server, link * (2 if setting.half_duplex else 1))
            part = int(np.argmax(occupied)) if max(occupied) >= expected * (1 - 1e-9) else len(LIMITS) - 1
            assert bound[cut - 1] == part


def test_conditions_are_the_ends_of_the_scenarios_ranges() -> None:
    links = list(
        network_conditions(System(get_scenario(f"{TASK}-city", edge_rtt_s=(0.001, 0.2), near_mbps=80.0))).values()
    )
    rates, latencies = zip(*links, strict=True)
    assert max(rates) == pytest.approx(80e6)
    assert len(set(links)) == 4
    assert min(rates) < 0.5 * max(rates)
    assert set(latencies) == {0.001, 0.2}
    assert len(network_conditions(System(get_scenario(TASK)))) == 2  # the link is as fast anywhere


def test_the_fastest_cut_has_the_star() -> None:
    system = System(get_scenario(TASK))
    figure = landscape_figure(system, "cuts")
    for name, link in network_conditions(system).items():
        axes = titled(figure, name)
        times, _ = cut_times_s(system, *link)
        factor = unit(figure.axes[0].get_ylabel())
        (star,) = line(axes, "fastest cut").get_xydata()
        np.testing.assert_allclose(star, [1 + times.argmin(), factor * times.min()])
        marks = [drawn for drawn in axes.get_lines() if str(drawn.get_label()).startswith("limited by")]
        shown = dict(np.concatenate([drawn.get_xydata() for drawn in marks]).tolist())
        np.testing.assert_allclose([shown[cut] for cut in range(1, system.n_layers)], factor * times)
        assert axes.get_ylim()[1] > factor * times.max()
        assert not axes.patches  # bars have no honest foot on a logarithmic axis
    assert len({axes.get_ylim() for axes in figure.axes}) == 1


def test_a_model_of_one_layer_has_no_cuts_to_draw() -> None:
    system = System(get_scenario(TASK))
    system.points = (0, system.points[-1])
    assert landscape_figure(system, "") is None


# ---- an evaluation


def test_published_speedups_stand_on_their_bars() -> None:
    tasks = (TASK, "vgg16-agnews")
    found = results(AGENTS, tasks)
    figures = eval_figures(found, {"table1": tasks})
    assert set(figures) == {"table1", "table1_adaptation", "table1_progress"}
    (axes,) = figures["table1"].axes
    measured = {(r.scenario, r.agent): r.metrics["speedup"] for r in found}
    (marks,) = [line for line in axes.get_lines() if line.get_marker() == "D"]
    published = {round(float(x), 6): y for x, y in marks.get_xydata()}
    for agent in AGENTS:
        for at, (task, bar) in enumerate(zip(tasks, bars(axes, agent), strict=True)):
            middle = bar.get_x() + bar.get_width() / 2
            assert round(middle) == at
            assert bar.get_height() == pytest.approx(measured[task, agent])
            column = PUBLISHED_COLUMN.get(agent)
            expected = None if column is None else PUBLISHED_SPEEDUPS[task][column]
            assert published.get(round(float(middle), 6)) == expected
    assert "published (Table 1)" in legend_names(figures["table1"])
    assert axes.get_ylim()[1] > max(published.values())


def test_other_scenarios_have_nothing_published() -> None:
    names = (f"{TASK}-x2", "resnet50-speech-x2")
    figure = eval_figures(results(("on-device", "device-cloud"), names), {"double-speed": names})["double-speed"]
    assert legend_names(figure) == ["on-device", "device-cloud"]


def test_adaptations_are_counted_and_timed_for_those_who_adapt() -> None:
    found = results(AGENTS, (TASK,), seeds=2)
    figure = charts()["table1_adaptation"]
    metric = {"cut moves": "cut_moves", "worker switches": "worker_switches"}
    for agent in ("edgemove", "device-cloud", "pipedream-e"):
        own = [r.metrics for r in found if r.agent == agent]
        for label, name in metric.items():
            (bar,) = bars(panel(figure, label), agent)
            assert bar.get_height() == pytest.approx(np.mean([m[name] for m in own]))
        below = panel(figure, "training time")
        (training,) = bars(below, agent)
        factor = unit(below.get_ylabel())
        assert training.get_height() == pytest.approx(factor * np.mean([m["training_s"] for m in own]))
        adaptation = [bar for bar in below.patches if bar.get_y() == pytest.approx(training.get_height())]
        expected = factor * np.mean([m["adaptation_s"] for m in own])
        assert [bar.get_height() for bar in adaptation] == [pytest.approx(expected)]
        assert f"{expected:.3g}" in {text.get_text() for text in below.texts}
    assert {"on-device", "oracle"}.isdisjoint(legend_names(figure))


def test_where_nobody_adapts_there_is_no_such_chart() -> None:
    assert set(eval_figures(results(("on-device",), (TASK,)), {"a": (TASK,)})) == {"a", "a_progress"}


def test_progress_follows_the_iterations_and_ends_with_the_training() -> None:
    found = results(("edgemove", "pipedream-e"), (TASK,), seeds=2)
    axes = titled(charts()["table1_progress"], TASK)
    factor = unit(axes.get_xlabel())
    for agent in ("edgemove", "pipedream-e"):
        traces = [trace_of(r) for r in found if r.agent == agent]
        shown = line(axes, agent)
        ends = [r.metrics["elapsed_s"] for r in found if r.agent == agent]
        assert shown.get_xdata()[-1] == pytest.approx(factor * np.mean(ends), rel=1e-5)
        done = np.cumsum(traces[0]["iterations"]) / traces[0]["iterations"].sum()
        np.testing.assert_allclose(shown.get_ydata(), 100 * np.append(0.0, done))
        assert axes.get_xlim()[1] >= shown.get_xdata()[-1]


def test_without_traces_there_is_no_progress() -> None:
    found = [replace(r, trace=None) for r in results(AGENTS, (TASK,))]
    assert set(eval_figures(found, {"a": (TASK,)})) == {"a", "a_adaptation"}
    one = [replace(found[0]), *results(("on-device",), (TASK,))]
    axes = eval_figures(one, {"a": (TASK,)})["a_progress"].axes[0]
    assert [line.get_label() for line in axes.get_lines()] == ["on-device"]


@pytest.mark.parametrize("group", ["rates", "scenarios"])
def test_a_sweep_is_drawn_over_the_rates(group: str) -> None:
    agents = ("edgemove", "on-device", "device-cloud")
    found = results(agents, RATES)
    figures = eval_figures(found, {group: RATES})
    assert set(figures) == {group}
    (axes,) = figures[group].axes
    speedups = {(r.agent, r.scenario): r.metrics["speedup"] for r in found}
    for agent in agents:
        expected = [[mbps, speedups[agent, f"{TASK}-{mbps}mbps"]] for mbps in (50, 100, 400)]
        np.testing.assert_allclose(line(axes, agent).get_xydata(), expected)
    assert axes.get_xscale() == "log"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["50", "100", "400"]


def test_tasks_and_speeds_have_panels_of_their_own() -> None:
    names = [f"{task}-{mbps}mbps" for task in (TASK, f"{TASK}-x2") for mbps in (50, 100, 400)]
    figures = eval_figures(results(("on-device",), names), {"a": names})
    assert set(figures) == {"a", "speed"}
    assert {axes.get_title(loc="left") for axes in figures["a"].axes} == {f"{TASK}, 1.4 m/s", f"{TASK}, 2.8 m/s"}


def test_few_rates_are_bars() -> None:
    figures = eval_figures(results(("on-device", "device-cloud"), RATES[:2]), {"a": RATES[:2]})
    assert len(bars(figures["a"].axes[0], "device-cloud")) == 2


def test_training_times_at_both_speeds_stand_side_by_side() -> None:
    groups = {"table1": (TASK, f"{TASK}-600mbps"), "double-speed": (f"{TASK}-x2",)}
    found = results(("edgemove", "on-device"), (TASK, f"{TASK}-600mbps", f"{TASK}-x2"))
    found += results(("oracle",), (TASK,))  # not played at the other speed
    (axes,) = eval_figures(found, groups)["speed"].axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["edgemove", "on-device"]
    factor = unit(axes.get_ylabel())
    times = {(r.agent, r.scenario): factor * r.metrics["elapsed_s"] for r in found}
    for label, scenario in (("1.4 m/s", TASK), ("2.8 m/s", f"{TASK}-x2")):
        heights = [bar.get_height() for bar in bars(axes, label)]
        assert heights == pytest.approx([times["edgemove", scenario], times["on-device", scenario]])
    change = 100 * (times["edgemove", f"{TASK}-x2"] / times["edgemove", TASK] - 1)
    assert f"{change:+.0f} %".replace("-", "−") in {text.get_text() for text in axes.texts}
    assert axes.get_title(loc="left") == TASK


def test_one_speed_is_no_comparison() -> None:
    assert "speed" not in eval_figures(results(("on-device",), (TASK, f"{TASK}-600mbps")), {"a": (TASK,)})
    apart = [*results(("on-device",), (TASK,)), *results(("device-cloud",), (f"{TASK}-x2",))]
    assert "speed" not in eval_figures(apart, {"a": (TASK, f"{TASK}-x2")})


def test_spread_over_seeds_fits_into_the_picture() -> None:
    slow, fast = (result("on-device", name) for name in (TASK, f"{TASK}-x2"))
    found = [
        replace(r, seed=seed, metrics={**r.metrics, "elapsed_s": elapsed_s})
        for r in (slow, fast)
        for seed, elapsed_s in enumerate((1.0, 1000.0))
    ]
    (axes,) = eval_figures(found, {"a": (TASK, f"{TASK}-x2")})["speed"].axes
    factor = unit(axes.get_ylabel())
    assert axes.get_ylim()[1] > factor * (500.5 + 499.5)


def test_an_agent_has_one_color_in_all_figures() -> None:
    from matplotlib.colors import to_rgba

    found = [*results(AGENTS, (TASK,)), *results(("device-cloud", "edgemove", "on-device"), RATES)]
    figures = eval_figures(found, {"a": (TASK,), "rates": RATES})
    shown = {agent: to_rgba(bars(figures["a"].axes[0], agent)[0].get_facecolor()) for agent in AGENTS}
    assert len(set(shown.values())) == len(AGENTS)
    for agent in ("device-cloud", "edgemove", "on-device"):
        assert to_rgba(line(figures["rates"].axes[0], agent).get_color()) == shown[agent]


def test_scenarios_from_files_are_drawn_under_safe_names() -> None:
    found = [replace(r, scenario="my town/../x: 1") for r in results(("on-device", "edgemove"), (TASK,))]
    figures = eval_figures(found, {"a/b c": ("my town/../x: 1",)})
    assert set(figures) == {"a_b_c", "a_b_c_adaptation", "a_b_c_progress"}
    for figure in figures.values():
        figure.canvas.draw()
    assert eval_figures(found, {"table1": (TASK,)}) == {}


def test_a_planned_agent_from_a_file_has_a_color_too() -> None:
    found = [replace(result("device-cloud", TASK), agent="somewhere/plan.json")]
    assert legend_names(eval_figures(found, {"a": (TASK,)})["a"]) == ["somewhere/plan.json"]
