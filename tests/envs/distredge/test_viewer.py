"""A timeline says who computes which rows: every bar is seen and says its rows, whoever does nothing is named once."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from matplotlib.transforms import Bbox

from splitgym.agents.registry import get_spec, make_agent
from splitgym.envs import get_family
from splitgym.envs.distredge.scenarios import get_scenario
from splitgym.envs.distredge.system import System
from splitgym.envs.distredge.viewer import TINY, _volumes, timeline_figure
from splitgym.envs.figures import LEAST_WIDTH
from splitgym.experiments.play import make_env, options_for, play
from splitgym.models.plans import SpatialPlan

CASES = [("DA-50", "aofl"), ("LB", "aofl"), ("LA", "offload"), ("DB-50", "coedge"), ("LC", "modnn")]


@cache
def drawn(scenario: str, agent: str) -> tuple[System, SpatialPlan, Any]:
    """(system, plan, axes) of an agent's timeline."""
    family, spec = get_family("distredge"), get_spec("distredge", agent)
    env = make_env(family, scenario, options_for(spec, {}))
    found = play(make_agent("distredge", agent, env), env).plan
    assert found is not None
    plan = SpatialPlan.from_json(found, "plan")
    system = System(get_scenario(scenario))
    figure = timeline_figure(system, plan, None, agent)
    figure.canvas.draw()
    return system, plan, figure.axes[0]


def parts(system: System, plan: SpatialPlan) -> list[str]:
    """The rows of all parts of a plan, counted from 1."""
    found = []
    for stop, split in zip(plan.cuts, plan.splits, strict=True):
        bounds = [0, *split, int(system.heights[stop - 1])]
        rows = [(a + 1, b) for a, b in pairwise(bounds) if b > a]
        found += [str(a) if a == b else f"{a}–{b}" for a, b in rows]
    return found


@pytest.mark.parametrize(("scenario", "agent"), CASES)
def test_parts_say_their_rows(scenario: str, agent: str) -> None:
    """All of them, but where a dozen devices share every layer: words lie apart everywhere."""
    system, plan, axes = drawn(scenario, agent)
    words = [text for text in axes.texts if text.get_text()[:1].isdigit()]
    shown, expected = Counter(text.get_text() for text in words), Counter(parts(system, plan))
    assert shown <= expected
    assert shown.total() >= (1.0 if agent != "modnn" else 0.9) * expected.total()
    boxes = [text.get_window_extent() for text in axes.texts if text.get_fontsize() == TINY]
    apart = [Bbox.from_extents(box.x0 - 1, box.y0 + 1, box.x1 + 1, box.y1 - 1) for box in boxes if box.width]
    assert not any(a.overlaps(b) for a, b in combinations(apart, 2))


def test_short_messages_say_where_they_go() -> None:
    _, _, axes = drawn("DA-50", "aofl")
    beside = [text.get_text() for text in axes.texts if text.get_fontsize() == TINY]
    assert {"to the last layers", "result"} <= set(beside)
    assert any(words.startswith("to tx2-1, tx2-2") for words in beside)  # one message behind another


def test_neighbouring_volumes_are_told_apart() -> None:
    """Also where both begin near each other in the network."""
    system = System(get_scenario("DA-50"))
    ranges = [(unit, unit + 1) for unit in range(system.n_units)]
    volumes = _volumes(system, ranges, [(int(rows),) * 3 for rows in system.heights])
    colors = np.array([volume.color for volume in volumes])
    assert np.abs(np.diff(colors, axis=0)).sum(axis=1).min() > 0.3


@pytest.mark.parametrize(("scenario", "agent"), CASES)
def test_the_shortest_part_is_seen(scenario: str, agent: str) -> None:
    system, plan, axes = drawn(scenario, agent)
    _, _, events = system.replay_volumes(plan.ranges, plan.splits)
    least = LEAST_WIDTH * axes.get_xlim()[1]
    shown = sorted(bar.get_width() for bar in axes.patches)
    assert shown[0] >= least * (1 - 1e-9)
    lengths = sorted(max(1e3 * (stop - start), least) for _, _, start, stop, _ in events.rows)
    np.testing.assert_allclose(shown, lengths)


@pytest.mark.parametrize(("scenario", "agent"), CASES)
def test_devices_have_a_line_or_are_named_as_idle(scenario: str, agent: str) -> None:
    system, plan, axes = drawn(scenario, agent)
    _, _, events = system.replay_volumes(plan.ranges, plan.splits)
    busy = [name for device, name in enumerate(system.names) if any(row[1] == device for row in events.rows)]
    lines = [tick.get_text() for tick in axes.get_yticklabels()]
    assert lines == [*busy, *(["idle"] if len(busy) < system.n_devices else [])]
    told = " ".join(text.get_text() for text in axes.texts if text.get_text()[-4:] == "plan").replace("\n", " ")
    assert set(told.partition(":")[0].split(", ")) - {""} == set(system.names) - set(busy)


@pytest.mark.parametrize(("scenario", "agent"), CASES)
def test_nothing_lies_on_the_legend_or_beyond_the_picture(scenario: str, agent: str) -> None:
    _, _, axes = drawn(scenario, agent)
    box, whole = axes.get_legend().get_window_extent(), axes.figure.bbox
    assert box.x0 >= axes.get_window_extent().x1 - 1
    assert whole.y0 <= box.y0
    assert box.y1 <= whole.y1
    assert box.x1 <= whole.x1
