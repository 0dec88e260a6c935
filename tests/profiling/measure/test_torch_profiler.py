"""The profiler's torch backend: what a cell runs, whose work is whose, training step by step."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from splitgym.models.blocks import Block
from splitgym.models.chain import Join, Unit
from splitgym.models.layers import Conv, GlobalPool, Linear, Pool, Shape
from splitgym.models.lookup import get_model
from splitgym.models.model import Model
from splitgym.models.remaps import Pad
from splitgym.models.runnable.units import build
from splitgym.profiling.measure import machine, training_profiler
from splitgym.profiling.measure.journal import Journal
from splitgym.profiling.measure.measuring import (
    Effort,
    OutOfMemory,
    journal_header,
)
from splitgym.profiling.measure.pictures import table_figure, training_figure
from splitgym.profiling.measure.torch_profiler import MOST_EVICTED_BYTES, TorchBackend, TorchDevice, memory_errors
from splitgym.profiling.training import load_profile, modelled_profile
from splitgym.ui.errors import InputError

from ...models.strategies import models
from .fakes import LENET, take

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
        tmp_path / "j.csv", backend, BRANCHED, 2, Effort(5, 1, 5), extras=backend.extras, whole=backend.prepare_whole
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
