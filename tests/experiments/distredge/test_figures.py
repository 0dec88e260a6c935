"""DistrEdge's pictures show what results hold: latency over the trace where links vary."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from splitgym.experiments.distredge.figures import eval_figures
from splitgym.experiments.distredge.trace_figure import trace_figure

from ..pictures import Cast

SCENARIO, AGENTS = "dynamic-nano", ("aofl", "coedge", "offload")
CAST = Cast("distredge", {"gap_s": 90.0}, 24)


def test_every_image_is_drawn_at_its_time() -> None:
    results = {agent: CAST.result(agent, SCENARIO) for agent in AGENTS}
    figure = trace_figure(results, dict.fromkeys(AGENTS, "#000000"), "all")
    rates, latency, *_ = figure.axes
    lines = latency.get_lines()
    for agent, drawn in zip(AGENTS, lines[::2], strict=True):
        series = results[agent].series
        assert series is not None
        np.testing.assert_allclose(drawn.get_xdata(), series["clock_s"] / 60.0)
        np.testing.assert_allclose(drawn.get_ydata(), series["latency_s"] * 1e3)
        assert np.mean(series["latency_s"]) == pytest.approx(results[agent].metrics["latency_s"])
        assert np.all(np.diff(series["clock_s"]) > 90.0)
    assert [drawn.get_label() for drawn in lines[1::2]] == list(AGENTS)
    assert len(rates.get_lines()) == 4  # links


def test_bars_stand_where_a_new_strategy_was_being_made() -> None:
    """AOFL's takes 600 s: from the image that asked for it to the first behind that time."""
    result = CAST.result("aofl", SCENARIO)
    series = result.series
    assert series is not None
    assert series["replanning"].any()
    figure = trace_figure(
        {"aofl": result, "offload": CAST.result("offload", SCENARIO)}, {"aofl": "b", "offload": "r"}, ""
    )
    (bars,) = figure.axes[2].collections
    spans = [path.get_extents() for path in bars.get_paths()]
    at = series["clock_s"] / 60.0
    inside = np.array([any(span.x0 <= t < span.x1 for span in spans) for t in at])
    np.testing.assert_array_equal(inside[:-1], series["replanning"][:-1])
    assert [label.get_text() for label in figure.axes[2].get_yticklabels()] == ["aofl plans anew"]
    assert len(trace_figure({"offload": CAST.result("offload", SCENARIO)}, {"offload": "r"}, "").axes) == 2


def test_an_evaluation_has_a_trace_only_where_links_vary() -> None:
    varying = [CAST.result(agent, SCENARIO, seed) for agent in AGENTS for seed in (1, 0)]
    steady = CAST.result("offload", "NA-nano")
    assert steady.series is None
    found = eval_figures([*varying, steady], {"all": (SCENARIO, "NA-nano")})
    assert list(found) == ["all", "dynamic-nano_trace"]
    first = CAST.result("aofl", SCENARIO, 0).series
    assert first is not None
    np.testing.assert_allclose(found["dynamic-nano_trace"].axes[1].get_lines()[0].get_ydata(), first["latency_s"] * 1e3)
    kept = [replace(result, series=None) for result in varying]
    assert list(eval_figures(kept, {"all": (SCENARIO,)})) == ["all"]
