"""Tables on the screen: one unit for all times of a table."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from splitgym.envs import FAMILIES
from splitgym.experiments.results import Result
from splitgym.experiments.tables import ranking


def shown(family: str, **metrics: float) -> str:
    result = Result("scenario", "agent", 0, metrics)
    out = io.StringIO()
    Console(file=out, width=300).print(ranking([result], FAMILIES[family]))
    return out.getvalue()


@pytest.mark.parametrize(
    ("family", "metrics", "unit"),
    [
        ("hiertrain", {"iteration_s": 12.0, "optimal_s": 9.0, "replan_s": 0.1}, "s"),
        ("hiertrain", {"iteration_s": 9.0, "optimal_s": 8.0, "replan_s": 12.0}, "ms"),
        ("edgemove", {"elapsed_s": 900.0, "adaptation_s": 2.0}, "s"),
        ("deprune", {"score": 0.6, "elapsed_s": 300.0, "sync_s": 1.0}, "s"),
    ],
)
def test_all_times_of_a_table_have_one_unit(family: str, metrics: dict[str, float], unit: str) -> None:
    header = shown(family, **metrics).splitlines()[0]
    assert header.count(f"({unit})") == sum(name.endswith("_s") for name in metrics)
    assert f"({'s' if unit == 'ms' else 'ms'})" not in header
