"""The profiler's core: what a table is made of, its journal, going on after a stop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.models.model import Model
from splitgym.profiling.measure import training_profiler
from splitgym.profiling.measure.journal import Journal
from splitgym.profiling.measure.measuring import (
    COLUMNS,
    Effort,
    Extra,
    OutOfMemory,
    journal_header,
    rows_grid,
)
from splitgym.profiling.tables import load_table
from splitgym.ui.errors import InputError

from .fakes import LENET, Fake, affine, take


def expected(cost: Callable[[int, int], float], model: Model = LENET) -> np.ndarray:
    heights = [kernel.out_shape.height for kernel in model.kernels]
    seconds = np.full((len(heights), max(heights) + 1), np.nan)
    for k, height in enumerate(heights):
        seconds[k, : height + 1] = [0.0, *(cost(k, rows) for rows in range(1, height + 1))]
    return seconds


# --- the table ---


@pytest.mark.parametrize("every", [1, 3, 100])
def test_affine_times_come_back_exactly_whatever_is_interpolated(tmp_path: Path, every: int) -> None:
    found = take(tmp_path / "j.csv", Fake(affine), every=every)
    np.testing.assert_allclose(found.table.seconds, expected(affine), rtol=1e-12)
    assert found.whole_s is None


def test_between_measured_rows_times_are_linear_and_measured_ones_stay(tmp_path: Path) -> None:
    found = take(tmp_path / "j.csv", Fake(lambda k, rows: rows**2), every=5)
    row = found.table.kernel_s("conv1", np.arange(29))
    for rows in (1, 6, 11, 16, 21, 26, 28):
        assert row[rows] == rows**2
    assert row[3] == pytest.approx(1 + (36 - 1) * 2 / 5)
    assert row[27] == pytest.approx((26**2 + 28**2) / 2)


@given(st.integers(1, 300), st.integers(1, 400))
def test_the_grid_has_one_row_all_rows_and_no_wider_gaps(height: int, every: int) -> None:
    grid = rows_grid(height, every)
    assert (grid[0], grid[-1]) == (1, height)
    assert all(0 < b - a <= every for a, b in pairwise(grid))
    assert len(grid) <= -(-(height - 1) // every) + 1


def test_a_slow_spell_of_a_pass_leaves_the_medians(tmp_path: Path) -> None:
    """A quarter of the measurement runs at a third of the speed: every cell loses a quarter of its samples to it."""
    cells = sum(kernel.out_shape.height for kernel in LENET.kernels)
    found = take(tmp_path / "j.csv", Fake(affine, lambda visit: 3.0 if cells < visit <= 2 * cells else 1.0))
    np.testing.assert_array_equal(found.table.seconds, expected(affine))
    assert found.table.provenance.note.count("%") == 1


def test_every_pass_visits_every_cell_once_and_warm_ups_do_not_count(tmp_path: Path) -> None:
    backend = Fake(affine)
    effort = Effort(repeats=10, warmup=2, passes=4)  # 3, 3, 2 and 2 samples
    take(tmp_path / "j.csv", backend, effort=effort)
    cells = [(k, r) for k, kernel in enumerate(LENET.kernels) for r in range(1, kernel.out_shape.height + 1)]
    passes = [backend.visits[i : i + len(cells)] for i in range(0, len(backend.visits), len(cells))]
    assert len(passes) == 4
    assert all(Counter(visits) == Counter(cells) for visits in passes)
    assert passes[0] != passes[1]
    assert backend.runs == len(cells) * (10 + 4 * 2)


def test_fewer_repeats_than_passes_make_fewer_passes(tmp_path: Path) -> None:
    backend = Fake(affine)
    take(tmp_path / "j.csv", backend, effort=Effort(repeats=2, warmup=1, passes=4))
    assert backend.runs == len(backend.visits) * 2


def test_extras_are_charged_to_their_kernels_and_the_whole_model_stands_apart(tmp_path: Path) -> None:
    extras = [Extra("merge", 1, lambda rows: lambda: 10.0 * rows), Extra("other", 1, lambda rows: lambda: 1.0)]
    found = take(tmp_path / "j.csv", Fake(affine), extras=extras, whole=lambda: lambda: 42.0)
    np.testing.assert_allclose(
        found.table.seconds, expected(lambda k, rows: affine(k, rows) + (10.0 * rows + 1.0) * (k == 1)), rtol=1e-12
    )
    assert found.whole_s == 42.0


def test_the_spread_is_the_interquartile_range_over_the_median(tmp_path: Path) -> None:
    times = iter(np.tile([1.0, 2.0, 3.0, 4.0, 5.0], 10_000))
    found = take(tmp_path / "j.csv", Fake(lambda k, rows: next(times)), effort=Effort(repeats=5, warmup=5))
    assert all(t.spread() == pytest.approx(2.0 / 3.0) for t in found.times)
    assert "interquartile range 66.7% of the median" in found.table.provenance.note


def test_the_table_says_where_it_comes_from_and_survives_a_round_trip(tmp_path: Path) -> None:
    found = take(tmp_path / "j.csv", Fake(affine), every=4)
    provenance = found.table.provenance
    assert (provenance.source, provenance.device, provenance.precision) == ("measured", "toy", "FP8")
    assert provenance.software == "Fake 1"
    for part in ("in its head", "median of 8 runs in 4 passes, 1 to warm up", "every 4 rows, linear between"):
        assert part in provenance.note
    found.table.save(tmp_path / "table.csv")
    np.testing.assert_array_equal(load_table(tmp_path / "table.csv", LENET).seconds, found.table.seconds)


# --- going on ---


def stopped(path: Path, visits: int) -> Fake:
    """A measurement that is stopped in its visit after so many."""

    def cost(kernel: int, rows: int) -> float:
        if len(backend.visits) > visits:
            raise KeyboardInterrupt
        return affine(kernel, rows) / 3

    backend = Fake(cost)
    with pytest.raises(KeyboardInterrupt, match=rf"interrupted; {visits} of 240 measurements are kept in .*j\.csv"):
        take(path, backend)
    return backend


@pytest.mark.parametrize("visits", [1, 7, 61])
def test_a_stopped_measurement_goes_on_and_measures_nothing_twice(tmp_path: Path, visits: int) -> None:
    path = tmp_path / "j.csv"
    first, second = stopped(path, visits), Fake(lambda k, rows: affine(k, rows) / 3)
    found = take(path, second)
    np.testing.assert_array_equal(found.table.seconds, expected(lambda k, rows: affine(k, rows) / 3))
    assert first.visits[-1] == second.visits[0]  # what was cut short is done again
    straight = Fake(affine)
    take(tmp_path / "straight.csv", straight)
    assert first.visits[:-1] + second.visits == straight.visits
    lines = path.read_text().splitlines()
    assert len({tuple(line.split(",")[:3]) for line in lines}) == len(lines)
    assert sum(not line.startswith("#") for line in lines) == len(straight.visits) + 1


def test_a_finished_journal_measures_nothing(tmp_path: Path) -> None:
    first = take(tmp_path / "j.csv", Fake(affine))
    again = Fake(affine)
    found = take(tmp_path / "j.csv", again)
    assert again.visits == []
    np.testing.assert_array_equal(found.table.seconds, first.table.seconds)


def test_a_half_written_last_line_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "j.csv"
    stopped(path, 5)
    data = path.read_bytes()
    begin = data[:-1].rfind(b"\n") + 1
    for end in (begin + 1, begin + 12, len(data) - 4, len(data) - 1):  # at the last one only the line's end is lost
        path.write_bytes(data[:end] + (b"\0" * 40 if end == begin + 1 else b""))
        with Journal(path, _header(), COLUMNS) as journal:
            assert journal.resumed == 4
        assert path.read_bytes() == data[:begin]
    backend = Fake(lambda k, rows: affine(k, rows) / 3)
    found = take(path, backend)
    np.testing.assert_array_equal(found.table.seconds, expected(lambda k, rows: affine(k, rows) / 3))


def _header(**changes: object) -> dict[str, str]:
    return journal_header(LENET, Fake(affine), Effort(8, 1, 4)) | {k: str(v) for k, v in changes.items()}


@pytest.mark.parametrize(
    "line",
    [
        "conv1,3,0", "conv1,3,0,", "conv1,three,0,0.1", "conv1,3,0,0.1 x", "conv1,3,0,nan", "conv1,3,0,-0.1",
        "conv1,3,0,0.1,0.2", "conv1,3,0,inf", "", '"conv1,3,0,0.1',
    ],
)  # fmt: skip
def test_another_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "j.csv"
    stopped(path, 5)
    lines = path.read_text().splitlines(keepends=True)
    lines[-2] = f"{line}\n"
    path.write_text("".join(lines))
    with pytest.raises(InputError, match=rf"j\.csv: line {len(lines) - 1}: is damaged, allowed: kernel,rows,pass,sec"):
        take(path, Fake(affine))
    assert path.read_text() == "".join(lines)


@pytest.mark.parametrize("field", [*_header()])
def test_going_on_with_something_else_is_refused_and_the_field_named(tmp_path: Path, field: str) -> None:
    path = tmp_path / "j.csv"
    stopped(path, 5)
    before = path.read_text()
    with pytest.raises(InputError, match=rf"j\.csv: was begun with {field} '{_header()[field]}', now it is 'other'"):
        Journal(path, _header(**{field: "other"}), COLUMNS)
    assert path.read_text() == before


def test_other_columns_are_refused(tmp_path: Path) -> None:
    stopped(tmp_path / "j.csv", 5)
    with pytest.raises(InputError, match="expected the columns step,batch"):
        Journal(tmp_path / "j.csv", _header(), training_profiler.COLUMNS)


def test_two_processes_cannot_measure_into_one_file(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.csv", _header(), COLUMNS) as journal:
        journal.append(("conv1", 1, 0), np.array([[0.25]]))
        with pytest.raises(InputError, match="another process is writing there"):
            Journal(tmp_path / "j.csv", _header(), COLUMNS)
    with Journal(tmp_path / "j.csv", _header(), COLUMNS) as journal:
        assert journal.resumed == 1


def test_a_journal_of_nothing_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "j.csv").write_text("")  # as a power cut leaves it
    with Journal(tmp_path / "j.csv", _header(), COLUMNS):
        pass
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=5), st.sampled_from(["conv1", "a, b", 'x"y', "Ünit"]))
@settings(max_examples=30)
def test_samples_come_back_to_the_bit(tmp_path_factory: pytest.TempPathFactory, values: list[float], name: str) -> None:
    path = tmp_path_factory.mktemp("journal") / "j.csv"
    samples = np.array([values, values[::-1]]).T
    columns = (*COLUMNS[:3], "first", "second")
    with Journal(path, _header(), columns) as journal:
        journal.append((name, 3, 1), samples)
    with Journal(path, _header(), columns) as journal:
        assert [*journal.entries] == [(name, 3, 1)]
        np.testing.assert_array_equal(journal.entries[name, 3, 1], samples)


def test_out_of_memory_names_the_cell_and_keeps_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "j.csv"

    def cost(kernel: int, rows: int) -> float:
        if (kernel, rows) == (2, 9):
            raise OutOfMemory("no more")
        return affine(kernel, rows)

    backend = Fake(cost)
    visits = 240
    with pytest.raises(
        InputError, match=r"conv2, 9 rows: out of memory \(no more\); 23\d of 240 measurements are kept"
    ):
        take(path, backend)
    assert backend.visits.count((2, 9)) == 1  # is not tried again in the next pass
    again = Fake(affine)
    take(path, again)
    assert set(again.visits) == {(2, 9)}
    assert len(backend.visits) - 1 + len(again.visits) == visits


def test_a_measurement_goes_on_with_fewer_rows(tmp_path: Path) -> None:
    path, first = tmp_path / "j.csv", Fake(affine)
    take(path, first)
    again = Fake(affine)
    take(path, again, every=3)
    assert again.visits == []


def test_beginning_anew_leaves_a_measurement_that_runs_alone(tmp_path: Path) -> None:
    path = tmp_path / "j.csv"
    with Journal(path, _header(), COLUMNS) as journal:
        journal.append(("a", 1, 0), np.ones((2, 1)))
        with pytest.raises(InputError, match="another process is writing there"):
            Journal(path, _header(), COLUMNS, fresh=True)
        journal.append(("a", 2, 0), np.ones((2, 1)))
    with Journal(path, _header(), COLUMNS) as journal:
        assert journal.resumed == 2
    with Journal(path, _header(), COLUMNS, fresh=True) as journal:
        assert journal.resumed == 0
        journal.append(("b", 1, 0), np.ones((2, 1)))
    with Journal(path, _header(), COLUMNS) as journal:
        assert [*journal.entries] == [("b", 1, 0)]


# --- torch ---
