"""Tables on the screen: one unit for all times of a table, the best in bold, where numbers come from."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from splitgym.envs import FAMILIES, Family
from splitgym.experiments.results import Result
from splitgym.experiments.tables import comparison, ranking, sources
from splitgym.ui.console import print_table


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
    header, took, _ = shown(family, **metrics).splitlines()[0].partition("took (s)")
    assert took
    assert header.count(f"({unit})") == sum(name.endswith("_s") for name in metrics)
    assert f"({'s' if unit == 'ms' else 'ms'})" not in header


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


def test_sources_are_what_stands_behind_a_name_not_what_notes_say() -> None:
    modelled = "vgg16 on nano: modelled (FP16, TensorRT); fitted to measured: latencies"
    imported = "vgg16 on pi3: imported (FP32); my.csv: CSV (ms), which says source: measured"
    assert sources([]) == ""
    assert sources([modelled, "links: modelled (constants)"]) == "modelled"
    assert sources([imported]) == "imported"
    assert sources([modelled, imported]) == "modelled (vgg16 on nano), imported (vgg16 on pi3)"
    lines = ["accuracy: measured, trained here on digits", "training of vgg11 on pixel6a: modelled (FP32)",
             "bytes: counted from the cut; link: modelled"]  # fmt: skip
    assert sources(lines) == "measured (accuracy), modelled (training on pixel6a, link)"


def test_sources_say_where_inputs_are_inferred() -> None:
    inferred = "inputs: inferred from the paper (fitted to: measured ratios; checked on: Fig. 4)"
    modelled, measured = "links: modelled (constants)", "latency: measured (live workers)"
    assert sources([inferred, modelled]) == "modelled, inputs inferred from the paper"
    beside = f"beside it: {inferred}"
    assert (
        sources([measured, modelled, beside]) == "measured (latency), modelled (links), inputs inferred from the paper"
    )


LONG = {"delay_s": 2.7, "total_s": 16_123.0, "sync_s": 1.7, "regret_s": 0.0}


def test_a_column_of_long_times_is_in_seconds_beside_one_in_ms() -> None:
    header, row = shown("l2s", **LONG).splitlines()[:2]
    assert [word for word in header.split() if word in ("(ms)", "(s)")] == ["(ms)", "(s)", "(ms)", "(ms)", "(s)"]
    assert row.split()[:5] == ["agent", "2700", "16123", "1700", "0"]
    assert "(s)" not in shown("l2s", **{**LONG, "total_s": 99.0}).partition("took")[0]


@pytest.mark.parametrize("width", [1, 20, 50, 80, 300])
def test_no_number_is_cut_however_narrow_the_output(width: int) -> None:
    numbers = {"delay_s": 2.6869, "total_s": 1_612_309_876.0, "regret_s": 9_067_696.5, "sync_s": 1_700.25}
    table = ranking([Result("scenario", "neurosurgeon", 0, numbers, seconds=0.503)], FAMILIES["l2s"])
    out = io.StringIO()
    print_table(Console(file=out, width=width), table)
    assert "…" not in out.getvalue()
    row = next(line for line in out.getvalue().splitlines() if "neurosurgeon" in line)
    assert {"2686.9", "1612309876", "9067696", "1700.2", "0.503"} <= set(row.split())
