"""The profiler's core and its torch backend: what a table is made of, going on after a stop, training."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.models.layers import Block, Conv, GlobalPool, Linear, Pad, Pool, Shape
from splitgym.models.lookup import get_model
from splitgym.models.model import Join, Model, Unit
from splitgym.models.runnable.units import build
from splitgym.profiling.measure import machine, training_profiler
from splitgym.profiling.measure.journal import Journal
from splitgym.profiling.measure.measuring import (
    COLUMNS,
    Effort,
    Extra,
    Measured,
    OutOfMemory,
    Run,
    journal_header,
    measure_table,
    rows_grid,
)
from splitgym.profiling.measure.pictures import table_figure, training_figure
from splitgym.profiling.measure.torch_profiler import MOST_EVICTED_BYTES, TorchBackend, TorchDevice, memory_errors
from splitgym.profiling.tables import load_table
from splitgym.profiling.training import load_profile, modelled_profile
from splitgym.ui.errors import InputError

from ...models.strategies import models

LENET = get_model("lenet5")
CONV = Conv(3, 1, 1, out_channels=2)
# Two branches, one of them with a block inside; a join behind it; a head; a tail.
BRANCHED = Model(
    "branched",
    Shape(2, 9, 8),
    (
        Unit("a", (CONV, Block(((CONV, Block(((), (CONV,)), "add")), ()), "add", "relu")), save="kept"),
        Unit("down", (Conv(3, 2, 1, out_channels=3),)),
        Unit("b", (Conv(1, out_channels=4), CONV), (Join("kept", (Pool(2, 2, ceil_mode=True),)),), head=(CONV,)),
    ),
)


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


class Fake:
    """A backend with a known cost: seconds of a kernel at some rows; ``slow`` says what a visit's runs are times."""

    name, precision, software, note, device, passes = "fake", "FP8", "Fake 1", "in its head", "toy", 4

    def __init__(self, cost: Callable[[int, int], float], slow: Callable[[int], float] = lambda visit: 1.0) -> None:
        self.cost, self.slow = cost, slow
        self.visits: list[tuple[int, int]] = []
        self.runs = 0

    def prepare(self, kernel: int, rows: int) -> Run:
        self.visits.append((kernel, rows))
        factor = self.slow(len(self.visits))

        def run() -> float:
            self.runs += 1
            return factor * self.cost(kernel, rows)

        return run


def affine(kernel: int, rows: int) -> float:
    return 0.5 + kernel + 0.25 * (kernel + 1) * rows


def take(
    path: Path, backend: Any, model: Model = LENET, every: int = 1, effort: Effort | None = None, **options: Any
) -> Measured:
    effort = effort or Effort(repeats=8, warmup=1, passes=backend.passes)
    with Journal(path, journal_header(model, backend, effort), COLUMNS) as journal:
        return measure_table(model, backend, effort, journal, lambda *_: None, every, **options)


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
        with pytest.raises(InputError, match="another process is measuring"):
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
        with pytest.raises(InputError, match="another process is measuring"):
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


class Spy(TorchBackend):
    """Keeps what every cell gives and reads instead of its time."""

    outs: list[Any]
    ins: list[list[torch.Tensor]]

    def seconds(self, body: Callable[[], object], inputs: Any) -> float:
        self.outs.append(body())
        self.ins.append(list(inputs))
        return 1.0


def spy(model: Model) -> Spy:
    backend = Spy(model)
    backend.outs, backend.ins = [], []
    return backend


def assert_runs_its_rows(model: Model) -> None:
    backend = spy(model)
    for k, kernel in enumerate(model.kernels):
        height = kernel.out_shape.height
        for rows in sorted({1, (height + 1) // 2, height}):
            backend.prepare(k, rows)()
            out = backend.outs[-1]
            if out.ndim == 2:
                assert out.shape == (1, kernel.out_shape.elements)
            else:
                assert out.shape == (1, kernel.out_shape.folded_channels, rows, kernel.out_shape.width)
    for extra in backend.extras:
        height = model.kernels[extra.kernel].out_shape.height
        for rows in {1, height}:
            extra.prepare(rows)()
            if extra.name.endswith("merge"):
                assert backend.outs[-1].shape[2] == rows


@settings(max_examples=25)
@given(models())
def test_every_cell_runs_exactly_its_rows(model: Model) -> None:
    assert_runs_its_rows(model)


def test_a_part_reads_its_halo_and_the_whole_kernel_everything() -> None:
    backend = spy(BRANCHED)
    down = [kernel.name for kernel in BRANCHED.kernels].index("down")
    for rows in range(1, 6):
        backend.prepare(down, rows)()
    assert [x.shape[2] for (x,) in backend.ins] == [3, 5, 7, 8, 9]  # 2 * rows + 1, but padding is not read
    assert all((x >= 0).all() and (x == 0).any() for (x,) in backend.ins)


def test_merges_and_joins_are_charged_to_the_right_kernels() -> None:
    backend = spy(BRANCHED)
    names = [kernel.name for kernel in BRANCHED.kernels]
    charged = {extra.name: names[extra.kernel] for extra in backend.extras}
    assert charged == {"a.1.b0.1 merge": "a.1.b0.1.b1.0", "a.1 merge": "a.1.b0.1.b1.0", "b join": "b.0"}
    by_name = {extra.name: extra for extra in backend.extras}
    by_name["a.1 merge"].prepare(4)()
    assert [tuple(x.shape) for x in backend.ins[-1]] == [(1, 2, 4, 8)] * 2
    x, y = backend.ins[-1]
    torch.testing.assert_close(backend.outs[-1], torch.relu(x + y))
    by_name["b join"].prepare(5)()
    assert backend.outs[-1].shape == (1, 2 + 3, 5, 4)


@pytest.mark.parametrize(
    ("name", "merges", "joins"), [("resnet50", 16, 0), ("yolov2", 0, 1), ("openpose", 5 + 5 * 7, 5)]
)
def test_extras_of_the_zoo(name: str, merges: int, joins: int) -> None:
    model = get_model(name)
    backend = object.__new__(TorchBackend)  # its weights are not needed
    backend.model = model
    extras = list(backend._extras())
    assert sum(extra.name.endswith("merge") for extra in extras) == merges
    assert sum(extra.name.endswith("join") for extra in extras) == joins
    for extra in extras:
        unit = model.units[model.kernels[extra.kernel].unit]
        assert extra.name.startswith(unit.name)
        out = model.out_shape(model.kernels[extra.kernel].unit)
        assert model.kernels[extra.kernel].out_shape.height == out.height


def test_a_measured_table_of_torch_is_whole(tmp_path: Path) -> None:
    backend = TorchBackend(BRANCHED, device="here")
    found = take(
        tmp_path / "j.csv", backend, BRANCHED, 2, Effort(2, 1, 2), extras=backend.extras, whole=backend.prepare_whole
    )
    table = found.table
    assert all((row[1 : height + 1] > 0).all() for row, height in zip(table.seconds, table.heights, strict=True))
    assert found.whole_s is not None
    assert 0 < table.total_s() < 100 * found.whole_s
    assert table.provenance.software == f"PyTorch {torch.__version__}"
    assert table.provenance.device == "here"
    assert "1 thread" in table.provenance.note
    assert table_figure(BRANCHED, found).axes


def test_memory_that_torch_does_not_get_ends_the_measurement(tmp_path: Path) -> None:
    huge = Model("huge", Shape(1, 4, 2), (Unit("conv", (CONV,)), Unit("border", (Pad(left=2**50),))))
    words = r"border, \d rows?: out of memory \(.*allocate.*bytes\), and so are 3 others; 8 of 16 measurements"
    with pytest.raises(InputError, match=words):
        take(tmp_path / "j.csv", TorchBackend(huge), huge, effort=Effort(2, 1, 2))


def test_only_errors_of_memory_count_as_such() -> None:
    with pytest.raises(OutOfMemory, match="allocate"), memory_errors():
        torch.empty(2**50)
    with pytest.raises(RuntimeError, match="shape"), memory_errors():
        _ = torch.ones(2, 3) @ torch.ones(2, 3)


def test_what_the_whole_network_touches_goes_through_the_caches() -> None:
    weights = 456 + 2416 + 48120 + 10164 + 850
    written = 6 * 28 * 28 + 6 * 14 * 14 + 16 * 10 * 10 + 16 * 5 * 5 + 120 + 84 + 10
    assert TorchBackend(LENET)._evicting.numel() == weights + written
    device = TorchDevice()
    device.touches(2**40)
    assert device._evicting.numel() * 4 == MOST_EVICTED_BYTES


@pytest.mark.parametrize(
    ("options", "words"),
    [({"threads": 0}, "threads is 0"), ({"threads": 4096}, "threads is 4096, allowed: 1 to"), ({"on": "tpu"}, "tpu")],
)
def test_a_backend_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        TorchBackend(LENET, **options)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Intel(R) Xeon(R) CPU E5-2670 v3 @ 2.30GHz", "intel-xeon-e5-2670-v3"),
        ("AMD EPYC 7763 64-Core Processor", "amd-epyc-7763"),
        ("NVIDIA Jetson Orin Nano Developer Kit", "nvidia-jetson-orin-nano-developer-kit"),
        ("Raspberry Pi 4 Model B Rev 1.4", "raspberry-pi-4-model-b-rev-1-4"),
        ("***", "device"),
    ],
)
def test_names_of_devices(name: str, slug: str) -> None:
    assert machine.slug(name) == slug


def test_the_machine_is_named_by_its_hardware() -> None:
    assert machine.board_name()
    assert platform.node() not in machine.board_name() or not platform.node()
    assert machine.usable_cpus() >= 1


# --- training ---


def train(path: Path, trainer: Any, batches: tuple[int, ...] = (1, 3)) -> training_profiler.MeasuredTraining:
    effort = Effort(2, 1, 2)
    header = journal_header(trainer.model, trainer, effort, optimizer=trainer.optimizer)
    with Journal(path, header, training_profiler.COLUMNS) as journal:
        return training_profiler.measure_profile(trainer, batches, effort, journal, lambda *_: None)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_a_measured_training_profile(tmp_path: Path, optimizer: str) -> None:
    found = train(tmp_path / "j.csv", training_profiler.TorchTrainer(LENET, optimizer, device="here"))
    profile, modelled = found.profile, modelled_profile(LENET, "pi3", (1, 3))
    assert (profile.steps, profile.batches) == (modelled.steps, (1, 3))
    for name in ("activation_bytes", "gradient_bytes", "params"):
        np.testing.assert_array_equal(getattr(profile, name), getattr(modelled, name))
    assert profile.forward_s.shape == profile.backward_s.shape == found.spread.shape == (2, 7)
    assert (profile.forward_s > 0).all()
    assert (profile.backward_s > 0).all()
    assert ((profile.update_s > 0) == (profile.params > 0)).all()
    assert (profile.provenance.source, profile.provenance.device) == ("measured", "here")
    assert optimizer in profile.provenance.note
    profile.save(tmp_path / "profile.csv")
    np.testing.assert_array_equal(load_profile(tmp_path / "profile.csv", LENET).backward_s, profile.backward_s)
    assert len(training_figure(profile).axes) == 2


class TrainerSpy(training_profiler.TorchTrainer):
    """Keeps the stages instead of timing them; the n-th of all takes n seconds."""

    stages: list[tuple[str, list[torch.Tensor]]]

    def seconds(self, body: Any, inputs: Any) -> float:
        body()
        self.stages.append((getattr(body, "__name__", "update"), [x.detach() for x in inputs]))
        return float(len(self.stages))


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_a_step_runs_forward_backward_and_update_with_its_joins_and_head(optimizer: str) -> None:
    torch_model = build(BRANCHED)
    before = {name: value.clone() for name, value in torch_model.state_dict().items()}
    trainer = TrainerSpy(torch_model, optimizer)
    trainer.stages = []
    run = trainer.prepare(2, 3)
    assert run() == (1.0, 2.0, 3.0)
    (forward, ins), (backward, gradients), _ = trainer.stages
    assert (forward, backward) == ("forward", "backward")
    assert [tuple(x.shape) for x in ins] == [(3, 3, 5, 4), (3, 2, 9, 8)]  # main, then what it joins
    assert [tuple(g.shape) for g in gradients] == [(3, 2, 5, 4)] * 2  # of the output and the head's
    assert all(parameter.grad is None for parameter in torch_model.parameters())  # nothing is left behind
    for name, value in torch_model.state_dict().items():
        torch.testing.assert_close(value, before[name])


@pytest.mark.parametrize(("step", "needed"), [(0, [False]), (1, [True]), (2, [True, True])])
def test_only_the_image_needs_no_gradient(step: int, needed: list[bool]) -> None:
    found: list[list[bool]] = []

    class Look(training_profiler.TorchTrainer):
        def seconds(self, body: Any, inputs: Any) -> float:
            body()
            found.append([x.requires_grad for x in inputs])
            return 1.0

    Look(BRANCHED).prepare(step, 2)()
    assert found[0] == needed


def test_a_step_without_weights_in_front_has_no_backward_pass(tmp_path: Path) -> None:
    model = Model("pooled", Shape(1, 8, 8), (Unit("pool", (Pool(2, 2),)), Unit("conv", (CONV,))))
    profile = train(tmp_path / "j.csv", training_profiler.TorchTrainer(model)).profile
    assert (profile.backward_s[:, 0] == 0).all()
    assert (profile.backward_s[:, 1] > 0).all()


def test_a_batch_too_small_for_a_norm_is_named(tmp_path: Path) -> None:
    norm = Conv(2, 2, out_channels=2, norm=True)
    model = Model("norm", Shape(1, 2, 2), (Unit("conv", (norm,)),), (GlobalPool(), Linear(3)))
    with pytest.raises(InputError, match="batch is 1: step conv has a norm over single values; allowed: 2 or more"):
        train(tmp_path / "j.csv", training_profiler.TorchTrainer(model))
    assert train(tmp_path / "k.csv", training_profiler.TorchTrainer(model), (2,)).profile.batches == (2,)


def test_the_update_is_the_median_over_all_batch_sizes(tmp_path: Path) -> None:
    class Steady(training_profiler.TorchTrainer):
        def prepare(self, step: int, batch: int) -> Callable[[], tuple[float, float, float]]:
            return lambda: (batch * 1.0, batch * 2.0, {1: 5.0, 3: 7.0, 4: 6.0}[batch])

    found = train(tmp_path / "j.csv", Steady(LENET), (4, 1, 3))
    assert (found.profile.update_s == 6.0).all()
    np.testing.assert_array_equal(found.profile.backward_s, np.array([[2.0], [6.0], [8.0]]) * np.ones(7))


def test_an_optimizer_must_be_known() -> None:
    with pytest.raises(InputError, match="optimizer is 'lion', allowed: sgd, momentum, adam"):
        training_profiler.TorchTrainer(LENET, "lion")
