"""Engines: built, kept, found again and run, and timed by the profiler; on a stand-in for TensorRT and PyCUDA."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from splitgym.models.blocks import Block
from splitgym.models.chain import Join, Unit
from splitgym.models.layers import Conv, GlobalPool, Linear, Pool, Shape
from splitgym.models.model import Model
from splitgym.models.runnable.units import RowSlice, TorchModel, build
from splitgym.profiling.measure import tensorrt_profiler
from splitgym.profiling.measure.journal import Journal
from splitgym.profiling.measure.measuring import (
    COLUMNS,
    Backend,
    DeviceFailure,
    Effort,
    OutOfMemory,
    journal_header,
    measure_table,
    rows_grid,
)
from splitgym.profiling.measure.tensorrt_profiler import TensorRTBackend, power_notes
from splitgym.trt_kernels.engines import EngineKey, Engines, default_folder
from splitgym.trt_kernels.execute import Runner
from splitgym.trt_kernels.gpu import Gpu
from splitgym.trt_kernels.weights import torch_weights
from splitgym.ui.errors import InputError

from .. import refused
from .tensorrt_fake import INetworkDefinition
from .tensorrt_fake_layers import GENERATIONS, TensorFormat
from .tensorrt_fake_runtime import KERNEL_MS, DriverMemoryError, Error, World


def small_model() -> Model:
    residual = Block(((Conv(3, padding=1, out_channels=4, norm=True, activation="none"),), ()), "add", "relu")
    units = (
        Unit("conv1", (Conv(3, padding=1, out_channels=4),), save="early"),
        Unit("block", (residual,), head=(Pool(2, 2),)),
        Unit("conv2", (Conv(3, padding=1, out_channels=5),), joins=(Join("early"),)),
    )
    return Model("small", Shape(3, 12, 6), units)


def install(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    """Make the stand-ins what ``import tensorrt`` and ``import pycuda.driver`` find."""
    package = ModuleType("pycuda")
    package.driver = world.driver()  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "tensorrt", world.tensorrt())  # pyright: ignore[reportArgumentType]
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", package.driver)


@pytest.fixture
def torch_model() -> TorchModel:
    return build(small_model(), seed=5)


@pytest.fixture(params=GENERATIONS)
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(request.param)
    install(monkeypatch, made)
    return made


@pytest.fixture
def newest(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World("11")
    install(monkeypatch, made)
    return made


def engines_of(torch_model: TorchModel, folder: Path, precision: str = "FP16") -> tuple[Gpu, Engines]:
    gpu = Gpu()
    with gpu.current():
        trt: Any = sys.modules["tensorrt"]
        return gpu, Engines(trt, torch_model.model, torch_weights(torch_model), "h100 9.0", precision, folder)


def whole_maps(model: Model, start: int, seed: int) -> dict[str, RowSlice]:
    rng = np.random.default_rng(seed)
    shapes = {name: model.tensor_shape(name, start) for name in model.crossing(start)}
    return {
        name: RowSlice(torch.from_numpy(rng.standard_normal((1, s.channels, s.height, s.width), np.float32)), 0)
        for name, s in shapes.items()
    }


@pytest.mark.parametrize(("precision", "tolerance"), [("FP32", 1e-4), ("FP16", 2e-2)])
def test_an_engine_of_a_part_runs_on_rows(
    world: World, torch_model: TorchModel, tmp_path: Path, precision: str, tolerance: float
) -> None:
    gpu, engines = engines_of(torch_model, tmp_path, precision)
    for start, stop, a, b in [(0, 3, 0, 12), (0, 2, 4, 7), (2, 3, 11, 12), (1, 2, 0, 1)]:
        with gpu.current():
            built = engines.part(start, stop, a, b)
        runner = Runner(engines.trt, gpu, built)
        results = []
        for seed in (0, 1):
            maps = whole_maps(torch_model.model, start, seed)
            inputs = {p.name: maps[str(p.tensor)].crop(p.lo, p.hi).tensor.numpy() for p in built.ports.inputs}
            with torch.inference_mode():
                wanted = torch_model.run_part(start, stop, maps, a, b)
            results.append((runner.run(inputs), {**wanted.tensors, **wanted.heads}))
        for found, rows in results:  # the second run left the results of the first as they were
            for port in built.ports.outputs:
                assert found[port.name].dtype == {"FP32": np.float32, "FP16": np.float16}[precision]
                np.testing.assert_allclose(found[port.name], rows[port.tensor].tensor, tolerance, tolerance)
    assert world.contexts == []


def test_a_backend_times_kernels(world: World, torch_model: TorchModel, tmp_path: Path) -> None:
    backend: Backend = TensorRTBackend(torch_model.model, torch_weights(torch_model), cache_dir=tmp_path)
    assert (backend.name, backend.precision, backend.passes) == ("tensorrt", "FP16", 1)
    assert backend.software == f"TensorRT {world.tensorrt().__version__}, CUDA 12.6"
    assert backend.device == "nvidia-h100-80gb-hbm3"
    run = backend.prepare(0, 5)
    assert np.isfinite(next(iter(world.memory.values())).view(np.float16)).all()  # the input, and not as it was found
    network = world.networks[-1]
    assert (network.inputs["in."].shape, network.outputs["out."].shape) == ((1, 3, 7, 6), (1, 4, 5, 6))
    assert run() == pytest.approx(len(network.layers) * KERNEL_MS * 1e-3)
    world.clock_ms += 1e3  # what happens between runs is not timed
    assert run() == pytest.approx(len(network.layers) * KERNEL_MS * 1e-3)
    assert world.contexts == []


def test_a_table_is_measured(newest: World, torch_model: TorchModel, tmp_path: Path) -> None:
    model = torch_model.model
    backend = TensorRTBackend(model, torch_weights(torch_model), cache_dir=tmp_path)
    effort = Effort(repeats=2, warmup=1, passes=backend.passes)
    with Journal(tmp_path / "journal.csv", journal_header(model, backend, effort, every="4"), COLUMNS) as journal:
        table = measure_table(model, backend, effort, journal, lambda share, done: None, every=4).table
    assert newest.builds == sum(len(rows_grid(kernel.out_shape.height, 4)) for kernel in model.kernels)
    assert table.kernel_s("conv1", [1, 12]) == pytest.approx([2 * KERNEL_MS * 1e-3] * 2)
    assert table.provenance.label().startswith(
        "nvidia-h100-80gb-hbm3: measured (FP16, TensorRT 11.4.0.106, CUDA 12.6, "
    )


def test_a_kernel_is_timed_on_finite_numbers_in_memory_for_any_layout(newest: World, torch_model: TorchModel) -> None:
    gpu, engines = engines_of(torch_model, default_folder())
    with gpu.current():
        built = engines.kernel(0, 12)
    before = set(newest.memory)
    runner = Runner(engines.trt, gpu, built)
    runner.fill()
    blocks = [newest.memory[address].view(np.float16) for address in sorted(set(newest.memory) - before)]
    assert [block.size for block in blocks] == [32 * 12 * 6, 32 * 12 * 6]
    assert np.isfinite(blocks[0]).all()
    assert 0.9 < blocks[0].astype(float).std() < 1.1
    tensors = [newest.networks[-1].inputs["in."], newest.networks[-1].outputs["out."]]
    assert {tensor.allowed_formats for tensor in tensors} == {0b111}
    with pytest.raises(ValueError, match="only to be timed"):
        runner.run({})


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_linear_layer_and_a_global_pool_run_whole(newest: World, tmp_path: Path) -> None:
    model = Model("tailed", Shape(2, 6, 6), (Unit("a", (Conv(out_channels=3),)),), (GlobalPool(), Linear(4)))
    backend = TensorRTBackend(model, torch_weights(build(model)), cache_dir=tmp_path)
    for kernel, sizes in [(1, (1, 3, 1, 1)), (2, (1, 4, 1, 1))]:
        assert backend.prepare(kernel, 1)() > 0
        assert newest.networks[-1].outputs["out."].shape == sizes


def test_tensorrts_own_times_are_by_layer(newest: World, torch_model: TorchModel, tmp_path: Path) -> None:
    backend = TensorRTBackend(torch_model.model, torch_weights(torch_model), cache_dir=tmp_path)
    times_s = backend.layer_times_s(0, 12, runs=7)
    assert list(times_s) == ["conv1", "conv1 [activation]"]
    assert list(times_s.values()) == pytest.approx([KERNEL_MS * 1e-3] * 2)
    backend.prepare(0, 12)()  # the profiler slows down nothing that is timed with events
    assert times_s == backend.layer_times_s(0, 12, runs=7)


def test_a_backend_takes_the_profilers_times(world: World, torch_model: TorchModel, tmp_path: Path) -> None:
    weights = torch_weights(torch_model)
    backend = TensorRTBackend(torch_model.model, weights, cache_dir=tmp_path, timer="profiler")
    run = backend.prepare(0, 5)
    made = world.execution_contexts
    assert [run() for _ in range(3)] == pytest.approx([2 * KERNEL_MS * 1e-3] * 3)
    assert world.execution_contexts == made
    assert world.contexts == []


def test_the_note_says_how_times_are_taken(world: World, torch_model: TorchModel, tmp_path: Path) -> None:
    weights = torch_weights(torch_model)

    def start_of_note(precision: str, timer: str) -> list[str]:
        note = TensorRTBackend(torch_model.model, weights, precision, tmp_path, timer=timer).note
        return [part for part in note.split("; ") if part.startswith(("one engine", "FP16"))]

    events = "one engine a kernel, CUDA events around each run"
    allowed = ["FP16 allowed: a kernel may run in FP32"] if world.generation == "8" else []
    assert start_of_note("FP16", "events") == [events, *allowed]
    assert start_of_note("FP32", "events") == [events]
    assert start_of_note("FP16", "profiler") == ["one engine a kernel, times by TensorRT's profiler", *allowed]


def test_a_single_precision_kernel_may_have_layouts_of_its_type(world: World, torch_model, tmp_path: Path) -> None:
    backend = TensorRTBackend(torch_model.model, torch_weights(torch_model), "FP32", tmp_path)
    assert backend.prepare(0, 5)() > 0
    tensors = [world.networks[-1].inputs["in."], world.networks[-1].outputs["out."]]
    wanted = sum(1 << form for form in (TensorFormat.LINEAR, TensorFormat.HWC, TensorFormat.CHW32))
    assert {tensor.allowed_formats for tensor in tensors} == {wanted}


def test_a_second_process_builds_nothing(world: World, torch_model: TorchModel, tmp_path: Path) -> None:
    weights = torch_weights(torch_model)
    first = TensorRTBackend(torch_model.model, weights, cache_dir=tmp_path).prepare(1, 4)()
    assert world.builds == 1
    assert TensorRTBackend(torch_model.model, weights, cache_dir=tmp_path).prepare(1, 4)() == first
    assert world.builds == 1
    TensorRTBackend(torch_model.model, weights, cache_dir=tmp_path).prepare(1, 5)
    TensorRTBackend(torch_model.model, weights, "FP32", cache_dir=tmp_path).prepare(1, 4)
    assert world.builds == 3
    assert not list(tmp_path.glob(".*.tmp"))


def test_trials_are_kept_for_the_next_engine(newest: World, torch_model: TorchModel, tmp_path: Path) -> None:
    weights = torch_weights(torch_model)
    for rows in (1, 2):
        TensorRTBackend(torch_model.model, weights, cache_dir=tmp_path).prepare(0, rows)
    assert newest.known_trials == [frozenset(), frozenset({"conv1", "conv1 [activation]"})]
    (trials,) = tmp_path.glob("trials-*.cache")
    trials.write_bytes(b"half a file")
    TensorRTBackend(torch_model.model, weights, cache_dir=tmp_path).prepare(0, 3)
    assert newest.known_trials[-1] == frozenset()


def test_an_engine_that_cannot_be_read_is_built_again(newest: World, torch_model: TorchModel, tmp_path: Path) -> None:
    weights = torch_weights(torch_model)
    for content in (b"", b"of another release"):
        TensorRTBackend(torch_model.model, weights, cache_dir=tmp_path).prepare(0, 4)
        (kept,) = tmp_path.glob("*.engine")
        whole = kept.read_bytes()
        kept.write_bytes(content)
        builds = newest.builds
        TensorRTBackend(torch_model.model, weights, cache_dir=tmp_path).prepare(0, 4)()
        assert newest.builds == builds + 1
        assert kept.read_bytes()[:7] == whole[:7]


def test_a_part_is_built_again_for_other_weights(newest: World, torch_model: TorchModel, tmp_path: Path) -> None:
    for model in (torch_model, torch_model, build(torch_model.model, seed=6)):
        gpu, engines = engines_of(model, tmp_path)
        with gpu.current():
            engines.part(0, 1, 0, 4)
    assert newest.builds == 2


def test_every_field_of_a_key_makes_another_file() -> None:
    fields = ("fingerprint", "part", "precision", "layouts", "weights", "version", "device")
    key = EngineKey(*fields)
    others = [EngineKey(*(f"{field}!" if field == changed else field for field in fields)) for changed in fields]
    names = {other.file_name for other in [key, *others, EngineKey(*fields)]}
    assert len(names) == 1 + len(fields)
    shifted = EngineKey("fingerprintpart", "", *fields[2:])
    assert shifted.file_name[-23:] != EngineKey("fingerprint", "part", *fields[2:]).file_name[-23:]
    assert EngineKey("f", "net/conv 1: 3 rows", "FP16", "", "", "10", "d").file_name.startswith("net-conv-1-3-rows-")


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("Could not find any implementation for node conv1", InputError),
        ("[defaultAllocator.cpp] Requested amount of GPU memory could not be allocated: out of memory", OutOfMemory),
        ("Internal Error: OutOfMemory (no further information)", OutOfMemory),
    ],
)
def test_what_cannot_be_built_is_named(newest: World, torch_model: TorchModel, tmp_path, reason, error) -> None:
    backend = TensorRTBackend(torch_model.model, torch_weights(torch_model), cache_dir=tmp_path)
    newest.refusal = reason
    with pytest.raises(error) as caught:
        backend.prepare(3, 3)
    assert str(caught.value) == f"conv2, 3 rows of small: TensorRT 11.4.0.106 cannot build it: {reason}"
    assert not list(tmp_path.glob("*.engine"))


def test_a_fresh_engine_that_cannot_be_loaded_is_named(newest: World, torch_model: TorchModel, tmp_path: Path) -> None:
    backend = TensorRTBackend(torch_model.model, torch_weights(torch_model), cache_dir=tmp_path)
    newest.load_error = "no plugin"
    with pytest.raises(InputError, match=r"^conv2, 3 rows of small: TensorRT \S+ cannot load it: no plugin$"):
        backend.prepare(3, 3)


def test_an_earlier_error_is_no_reason(newest: World, torch_model: TorchModel, tmp_path: Path, monkeypatch) -> None:
    backend = TensorRTBackend(torch_model.model, torch_weights(torch_model), cache_dir=tmp_path)
    newest.refusal = "out of memory"
    with pytest.raises(OutOfMemory):
        backend.prepare(3, 3)
    newest.refusal = ""
    monkeypatch.setattr(INetworkDefinition, "add_convolution_nd", lambda *_, **__: None)
    with pytest.raises(InputError, match=r"^model small: kernel conv2: TensorRT refuses the layer$"):
        backend.prepare(3, 3)


@pytest.mark.parametrize("pattern", ["*.engine", "trials-*.cache"])
def test_a_kept_file_that_cannot_be_read_is_named(newest: World, torch_model, tmp_path: Path, pattern: str) -> None:
    backend = TensorRTBackend(torch_model.model, torch_weights(torch_model), cache_dir=tmp_path)
    backend.prepare(0, 4)
    (kept,) = tmp_path.glob(pattern)
    kept.unlink()
    kept.mkdir()
    with pytest.raises(InputError) as caught:
        backend.prepare(0, 4 if pattern == "*.engine" else 5)
    assert str(caught.value) == f"{kept}: cannot be read (Is a directory)"


def test_the_gpus_memory_runs_out(newest: World, torch_model: TorchModel, tmp_path: Path) -> None:
    backend = TensorRTBackend(torch_model.model, torch_weights(torch_model), cache_dir=tmp_path)
    newest.memory_bytes = 6000  # the input fits
    with pytest.raises(OutOfMemory, match="cuMemAlloc failed"):
        backend.prepare(0, 12)
    newest.memory_bytes = 1 << 20
    newest.context_error = "Error Code 2: OutOfMemory (Requested size was 7 bytes.)"
    with pytest.raises(OutOfMemory, match=r"cannot make an execution context: .* 7 bytes"):
        backend.prepare(0, 12)
    assert newest.contexts == []


@pytest.mark.parametrize("timer", ["events", "profiler"])
@pytest.mark.parametrize(
    ("reason", "error"), [("Cuda Runtime (invalid argument)", DeviceFailure), ("2: [] OutOfMemory ()", OutOfMemory)]
)
def test_a_run_that_fails_says_why(newest: World, torch_model: TorchModel, tmp_path, timer, reason, error) -> None:
    weights = torch_weights(torch_model)
    run = TensorRTBackend(torch_model.model, weights, cache_dir=tmp_path, timer=timer).prepare(0, 2)
    newest.run_error = reason
    for _ in range(2):
        with pytest.raises(error) as caught:
            run()
        assert str(caught.value) == f"TensorRT could not run the engine: {reason}"
    newest.run_error = ""
    assert run() > 0
    newest.run_error = "another reason"  # an earlier shortage of memory is not this one
    with pytest.raises(DeviceFailure, match=r"engine: another reason$"):
        run()
    assert newest.contexts == []


@pytest.mark.parametrize("timer", ["events", "profiler"])
@pytest.mark.parametrize(
    ("fault", "error"), [(Error("illegal memory access"), DeviceFailure), (DriverMemoryError("none left"), OutOfMemory)]
)
def test_a_gpu_that_fails_says_why(newest: World, torch_model: TorchModel, tmp_path, timer, fault, error) -> None:
    weights = torch_weights(torch_model)
    run = TensorRTBackend(torch_model.model, weights, cache_dir=tmp_path, timer=timer).prepare(0, 2)
    newest.stream_error = fault
    with pytest.raises(error, match=f"^{fault}$"):
        run()
    assert newest.contexts == []


def test_what_cannot_be_made_ready_is_a_failure(newest: World, torch_model: TorchModel, tmp_path: Path) -> None:
    backend = TensorRTBackend(torch_model.model, torch_weights(torch_model), cache_dir=tmp_path)
    newest.refuses_addresses = True
    with pytest.raises(DeviceFailure, match=r"^TensorRT refuses the address of tensor in\.: it says no reason$"):
        backend.prepare(0, 2)
    newest.context_error = "no kernel image"
    with pytest.raises(DeviceFailure, match=r"^TensorRT cannot make an execution context: no kernel image$"):
        backend.prepare(0, 2)
    assert newest.contexts == []


def test_inputs_are_checked(newest: World, torch_model: TorchModel, tmp_path: Path) -> None:
    gpu, engines = engines_of(torch_model, tmp_path)
    with gpu.current():
        runner = Runner(engines.trt, gpu, engines.part(0, 1, 0, 4))
    with pytest.raises(ValueError, match=r"^input in\. must have the sizes \(1, 3, 5, 6\), it is missing$"):
        runner.run({})
    with pytest.raises(ValueError, match=r"it is \(1, 3, 4, 6\)$"):
        runner.run({"in.": np.zeros((1, 3, 4, 6))})


@pytest.mark.parametrize("missing", ["tensorrt", "pycuda"])
def test_what_is_not_installed_is_said_in_one_line(newest: World, monkeypatch, torch_model, missing: str) -> None:
    for name in {"tensorrt": ["tensorrt"], "pycuda": ["pycuda", "pycuda.driver"]}[missing]:
        monkeypatch.setitem(sys.modules, name, None)
    name = {"tensorrt": "TensorRT", "pycuda": "PyCUDA"}[missing]
    words = ('pip install "splitgym[tensorrt]"', "on a Jetson with JetPack 6")
    with refused(*words, start=f"{name} is not available ("):
        TensorRTBackend(torch_model.model, torch_weights(torch_model))


def test_a_machine_without_a_gpu(newest: World, torch_model: TorchModel) -> None:
    newest.no_gpu = True
    with pytest.raises(InputError, match=r"^CUDA finds no GPU \(cuInit failed: no CUDA-capable device is detected\)$"):
        TensorRTBackend(torch_model.model, torch_weights(torch_model))
    newest.no_gpu = False
    gpu = Gpu()
    newest.no_gpu = True
    with gpu.current(), pytest.raises(InputError, match=r"^TensorRT 11\S+ does not start: CUDA initialization failure"):
        Engines(newest.tensorrt(), torch_model.model, torch_weights(torch_model), "h100")


def test_bad_arguments_are_refused(newest: World, torch_model: TorchModel, tmp_path: Path) -> None:
    weights = torch_weights(torch_model)
    with pytest.raises(InputError, match=r"^precision is 'INT8', allowed: FP16, FP32$"):
        TensorRTBackend(torch_model.model, weights, "INT8")
    with pytest.raises(InputError, match=r"^timer is 'clock', allowed: events, profiler$"):
        TensorRTBackend(torch_model.model, weights, timer="clock")
    with pytest.raises(InputError, match=r"^weights are for 1 kernels, the model small has 4$"):
        TensorRTBackend(torch_model.model, weights[:1])
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(InputError, match=r"file/sub: engines cannot be kept there \(Not a directory\)$"):
        TensorRTBackend(torch_model.model, weights, cache_dir=blocked / "sub")
    assert newest.contexts == []


def test_a_jetson_is_named_after_its_board(newest: World, torch_model: TorchModel, monkeypatch) -> None:
    weights = torch_weights(torch_model)
    monkeypatch.setattr(tensorrt_profiler, "board_name", lambda: "NVIDIA Jetson Orin Nano Developer Kit")
    assert TensorRTBackend(torch_model.model, weights).device == "nvidia-jetson-orin-nano-developer-kit"
    assert TensorRTBackend(torch_model.model, weights, device="orin").device == "orin"


def test_power_settings_are_noted(tmp_path: Path) -> None:
    gpu = tmp_path / "17000000.gpu"
    gpu.mkdir()
    (gpu / "min_freq").write_text("306000000\n")
    (gpu / "max_freq").write_text("624750000\n")
    said = {"nvpmodel": "NV Power Mode: 15W", "nvidia-smi": ""}
    assert power_notes(lambda words: said[words[0]], tmp_path) == ["power mode 15W", "GPU clock 306 to 625 MHz"]
    (gpu / "min_freq").write_text("624750000\n")
    assert power_notes(lambda words: said[words[0]], tmp_path)[1] == "GPU clock 625 MHz"
    said = {"nvpmodel": "", "nvidia-smi": "1980 MHz, 700.00 W"}
    assert power_notes(lambda words: said[words[0]], tmp_path / "none") == [
        "GPU clock up to 1980 MHz, power limit 700.00 W"
    ]
