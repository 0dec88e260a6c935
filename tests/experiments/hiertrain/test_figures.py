"""HierTrain's pictures show what results and traces hold, and stand missing agents, seeds, optima and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from splitgym.experiments.hiertrain.figures import curve_rows, draw_plan, draw_trace, eval_figures
from splitgym.experiments.play import make_env
from splitgym.models.cuts import cut_points
from splitgym.models.lookup import get_model

from ..pictures import Cast, heights, line, panel, titled, unit

AGENTS = ("exact", "all-device", "all-edge", "all-cloud", "jointdnn", "jalad")
RATES = ("lenet5-5", "lenet5-1.5", "lenet5-3")
CAST, JUDGED = Cast("hiertrain", {"blocks": 12}, 1), Cast("hiertrain", {"blocks": 3}, 1)
played, result, results = CAST.played, JUDGED.result, JUDGED.results


def factor(axes: Any) -> float:
    """From seconds to the unit of an axis."""
    return unit(axes.get_ylabel())


# ---- an episode


def test_blocks_are_drawn_as_the_trace_has_them() -> None:
    env, trace = CAST.traced("exact", "alexnet-drift", blocks=30)
    figure = draw_trace(env, trace, "exact")["blocks"]
    rates = {drawn.get_label(): drawn.get_ydata()[:-1] for drawn in panel(figure, "Mbps").get_lines()}
    np.testing.assert_array_equal(rates["device–edge"], trace["device_edge_mbps"])
    np.testing.assert_array_equal(rates["edge–cloud"], trace["edge_cloud_mbps"])
    axes = panel(figure, "iteration")
    mine, best = (drawn.get_ydata()[:-1] for drawn in axes.get_lines())
    np.testing.assert_allclose(mine, trace["iteration_s"] * factor(axes))
    np.testing.assert_allclose(best, trace["optimal_s"] * factor(axes))
    axes = panel(figure, "replanning")
    assert (trace["replan_s"] > 0).any()
    drawn = [bar.get_height() for bar in axes.patches]
    np.testing.assert_allclose(drawn, trace["replan_s"].astype(float) * factor(axes))
    np.testing.assert_allclose(panel(figure, "gap").get_lines()[0].get_ydata(), 0.0, atol=1e-4)
    assert figure.axes[0].get_title(loc="left") == "exact on alexnet-drift"


def test_the_gap_is_of_every_block() -> None:
    env, (trace, metrics, _) = played("all-cloud", "lenet5-drift")
    figure = draw_trace(env, trace, "")["blocks"]
    percent = panel(figure, "gap").get_lines()[0].get_ydata()[:-1]
    np.testing.assert_allclose(percent / 100.0, trace["iteration_s"] / trace["optimal_s"] - 1.0, rtol=1e-5)
    assert np.mean(percent) / 100.0 == pytest.approx(metrics["gap"], rel=1e-5)
    assert [axes.get_ylabel().split(" ")[0] for axes in figure.axes] == ["Mbps", "iteration", "gap"]  # one plan


@pytest.mark.parametrize("options", [{"cost": "event"}, {"optimum": False}])
def test_without_an_optimum_there_is_no_gap(options: Mapping[str, Any]) -> None:
    env, trace = CAST.traced("all-cloud", "lenet5-drift", **options)
    figure = draw_trace(env, trace, "")["blocks"]
    figure.canvas.draw()
    assert [axes.get_ylabel().split(" ")[0] for axes in figure.axes] == ["Mbps", "iteration"]
    assert len(panel(figure, "iteration").get_lines()) == 1
    assert all({"gap", "optimal_s"}.isdisjoint(row) for row in curve_rows(env, trace))


def test_blocks_that_are_all_alike_are_not_drawn() -> None:
    env, trace = CAST.traced("exact", "lenet5-2")
    assert draw_trace(env, trace, "exact") == {}


def test_one_block_is_enough() -> None:
    env, trace = CAST.traced("exact", "lenet5-drift", blocks=1)
    draw_trace(env, trace, "exact")["blocks"].canvas.draw()
    assert [row["round"] for row in curve_rows(env, trace)] == [1]


def test_curve_rows_end_in_the_totals() -> None:
    env, (trace, metrics, _) = played("exact", "alexnet-drift", blocks=30)
    rows = curve_rows(env, trace)
    assert [row["round"] for row in rows] == list(range(1, 31))
    assert rows[-1]["replan_s"] == pytest.approx(metrics["replan_s"], rel=1e-5)
    assert all(a["replan_s"] <= b["replan_s"] for a, b in pairwise(rows))
    np.testing.assert_array_equal([row["iteration_s"] for row in rows], trace["iteration_s"])
    assert np.mean([row["gap"] for row in rows]) == pytest.approx(metrics["gap"], abs=1e-6)
    assert np.mean([row["optimal_s"] for row in rows]) == pytest.approx(metrics["optimal_s"], rel=1e-5)


# ---- a plan


def test_a_plan_is_drawn_at_the_last_rates() -> None:
    env, found = played("exact", "alexnet-drift", blocks=30)
    assert found.plan is not None
    axes = draw_plan(env, found.plan, "exact").axes[0]
    title = axes.get_title(loc="left")
    device_edge, edge_cloud = (found.trace[name][-1] for name in ("device_edge_mbps", "edge_cloud_mbps"))
    assert f"device–edge {device_edge:.3g} Mbps, edge–cloud {edge_cloud:.3g} Mbps" in title
    assert title.startswith("exact")
    unit = 1.0 if "(s)" in axes.get_xlabel() else 1e3
    ends = max(bar.get_x() + bar.get_width() for bar in axes.patches) / unit
    assert ends == pytest.approx(float(found.trace["iteration_s"][-1]), rel=0.004)  # slivers are drawn longer


def test_a_plan_before_any_episode_is_drawn_at_the_nominal_rates() -> None:
    _, found = played("exact", "lenet5-2")
    assert found.plan is not None
    env = make_env(CAST.family, "lenet5-2", {})
    figure = draw_plan(env, found.plan, "")
    assert "device–edge 5 Mbps, edge–cloud 2 Mbps" in figure.axes[0].get_title(loc="left")
    figure.canvas.draw()


# ---- an evaluation


@pytest.mark.parametrize("group", ["lenet5", "scenarios"])
def test_a_sweep_is_drawn_over_the_rates(group: str) -> None:
    found = results(AGENTS, RATES)
    figures = eval_figures(found, {group: RATES})
    assert set(figures) == {group, f"{group}_ratio"}
    axes = titled(figures[group], "lenet5, 1 edge core")
    times = {(r.agent, r.scenario): r.metrics["iteration_s"] for r in found}
    order = ("lenet5-1.5", "lenet5-3", "lenet5-5")
    for agent in AGENTS:
        drawn = line(axes, agent)
        np.testing.assert_array_equal(drawn.get_xdata(), [1.5, 3.0, 5.0])
        np.testing.assert_allclose(heights(drawn), [times[agent, name] * factor(axes) for name in order])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1.5", "3", "5"]
    ratio = titled(figures[f"{group}_ratio"], "lenet5, 1 edge core")
    expected = [times["all-cloud", name] / times["exact", name] for name in order]
    np.testing.assert_allclose(heights(line(ratio, "all-cloud")), expected)
    np.testing.assert_allclose(heights(line(ratio, "exact")), 1.0)


def test_without_the_exact_planner_there_is_no_ratio() -> None:
    found = results(("all-edge", "all-cloud"), RATES)
    assert set(eval_figures(found, {"lenet5": RATES})) == {"lenet5"}
    one = [*found, *results(("exact",), RATES[:1])]
    drawn = eval_figures(one, {"lenet5": RATES})["lenet5_ratio"]
    assert list(line(drawn.axes[0], "all-edge").get_xdata()) == [5.0]


def test_models_and_cores_have_panels_of_their_own() -> None:
    names = [f"{model}-{mbps}{cores}" for model, cores in (("lenet5", ""), ("vgg16", "-c4")) for mbps in (2, 4, 8)]
    (figure,) = eval_figures(results(("all-edge",), names), {"scenarios": names}).values()
    assert {axes.get_title(loc="left") for axes in figure.axes} == {"lenet5, 1 edge core", "vgg16, 4 edge cores"}


def test_few_rates_are_bars() -> None:
    names = ("lenet5-2", "alexnet-3")
    found = results(("exact", "all-edge"), names)
    (axes,) = eval_figures(found, {"scenarios": names})["scenarios"].axes
    drawn = sorted(bar.get_height() for bar in axes.patches)
    np.testing.assert_allclose(drawn, sorted(r.metrics["iteration_s"] * factor(axes) for r in found))


def test_cores_are_drawn_for_agents_that_the_edge_serves() -> None:
    names = CAST.family.groups["cores"]
    found = results(("exact", "all-edge", "all-cloud"), names)
    figure = eval_figures(found, {"cores": names})["cores"]
    assert {axes.get_title(loc="left") for axes in figure.axes} == {"exact", "all-edge"}
    axes = titled(figure, "all-edge")
    times = {r.scenario: r.metrics["iteration_s"] for r in found if r.agent == "all-edge"}
    drawn = line(axes, "1.5 Mbps")
    np.testing.assert_array_equal(drawn.get_xdata(), [1, 2, 3, 4])
    np.testing.assert_allclose(
        heights(drawn),
        [times[f"alexnet-1.5-c{cores}"] * factor(panel(figure, "time of an iteration")) for cores in (1, 2, 3, 4)],
    )
    alone = [r for r in found if r.agent == "all-cloud"]
    assert [a.get_title(loc="left") for a in eval_figures(alone, {"cores": names})["cores"].axes] == ["all-cloud"]


def test_planning_times_are_bars_and_a_table() -> None:
    names = ("lenet5-3.5", "resnet34-3.5")
    base = results(("exact",), names)
    found = [replace(r, seconds=0.02 * (1 + i)) for i, r in enumerate(base)]
    found += [replace(r, agent="hiertrain", seconds=1.0 + i) for i, r in enumerate(base)]
    figures = eval_figures(found, {"scaling": names})
    assert set(figures) == {"scaling", "scaling_iteration"}
    bars, below = figures["scaling"].axes
    drawn = {c.get_label(): [bar.get_height() for bar in c] for c in bars.containers}
    assert drawn == {"paper (CPLEX)": [0.52, 12.0], "hiertrain": [1.0, 2.0], "exact": [0.02, 0.04]}
    cells = {key: cell.get_text().get_text() for key, cell in below.tables[0].get_celld().items()}
    rows = {cells[row, -1]: [cells[row, 0], cells[row, 1]] for row in range(5)}
    layers = [str(len(cut_points(get_model(model), stem=True)) - 1) for model in ("lenet5", "resnet34")]
    assert rows["layers N"] == layers
    assert rows["exact"] == ["0.020", "0.040"]
    assert rows["hiertrain / exact"] == ["50×", "50×"]
    figures["scaling"].canvas.draw()


def test_planning_times_stand_missing_planners() -> None:
    names = ("lenet5-3.5", "resnet34-3.5")
    assert set(eval_figures(results(("all-edge",), names), {"scaling": names})) == {"scaling_iteration"}
    one = [*results(("exact",), names), replace(result("exact", names[0]), agent="hiertrain")]
    eval_figures(one, {"scaling": names})["scaling"].canvas.draw()


def test_drifting_links_show_time_and_gap_over_seeds() -> None:
    names = ("lenet5-drift",)
    found = results(("exact", "all-edge", "all-cloud"), names, seeds=2)
    figures = eval_figures(found, {"drifting": names})
    assert set(figures) == {"drifting", "drifting_gap"}
    (axes,) = figures["drifting_gap"].axes
    means = {a: np.mean([r.metrics["gap"] for r in found if r.agent == a]) for a in ("all-edge", "all-cloud")}
    drawn = {c.get_label(): c[0].get_height() for c in axes.containers if hasattr(c, "patches")}
    assert drawn == pytest.approx({agent: 100.0 * mean for agent, mean in means.items()})
    (axes,) = figures["drifting"].axes
    drawn = {c.get_label(): c[0].get_height() for c in axes.containers if hasattr(c, "patches")}
    mean = np.mean([r.metrics["iteration_s"] for r in found if r.agent == "all-edge"])
    assert drawn["all-edge"] == pytest.approx(mean * factor(axes))


def test_gaps_that_nobody_knows_are_not_drawn() -> None:
    names = ("lenet5-drift",)
    found = results(("exact", "all-edge"), names, cost="event")
    assert set(eval_figures(found, {"drifting": names})) == {"drifting"}
    assert set(eval_figures(results(("exact",), names), {"drifting": names})) == {"drifting"}


def test_an_agent_has_one_color_in_all_figures() -> None:
    from matplotlib.colors import to_rgba

    names = ("lenet5-drift",)
    found = [*results(("all-cloud", "exact", "all-edge"), RATES), *results(("all-edge",), names)]
    figures = eval_figures(found, {"lenet5": RATES, "drifting": names})
    drawn = {c.get_label(): to_rgba(c[0].get_color()) for c in figures["lenet5"].axes[0].containers}
    assert len(set(drawn.values())) == 3
    (bars,) = [c for c in figures["drifting"].axes[0].containers if hasattr(c, "patches")]
    assert bars.patches[0].get_facecolor() == drawn["all-edge"]


def test_scenarios_from_files_are_drawn_under_safe_names() -> None:
    found = [replace(r, scenario="my lab/../x: 1") for r in results(("exact", "all-edge"), RATES[:1])]
    figures = eval_figures(found, {"a/b c": ("my lab/../x: 1",)})
    assert set(figures) == {"a_b_c"}
    assert eval_figures(found, {"lenet5": RATES}) == {}


def test_many_agents_are_all_in_the_legend() -> None:
    found = [replace(r, agent=f"agent-{i}") for r in results(("all-edge",), RATES) for i in range(16)]
    figure = eval_figures(found, {"lenet5": RATES})["lenet5"]
    figure.canvas.draw()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [f"agent-{i}" for i in range(16)]
    box = figure.legends[0].get_window_extent()
    assert box.x1 <= figure.bbox.x1
    assert all(box.y0 >= axes.get_tightbbox().y1 - 1 for axes in figure.axes)
