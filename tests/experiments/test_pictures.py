"""What pictures and curves of all families have in common."""

from __future__ import annotations

from itertools import pairwise
from operator import attrgetter

import numpy as np
import pytest

from splitgym.envs import FAMILIES, Family
from splitgym.experiments.figures import hook

from .brief import BRIEF
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
