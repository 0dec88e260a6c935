"""The CUDA sources: they compile for real boards, and each kernel equals its twin, on the host and on a GPU."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from splitgym.trt_kernels import kernels, twins
from splitgym.trt_kernels.kernels import SOURCES
from splitgym.trt_kernels.launch import GpuKernels
from splitgym.trt_kernels.selection import Selection, top_maps
from splitgym.ui.errors import InputError

from .. import ROOT, slow
from .kernel_devices import GpuDevice, HostDevice, build_libraries

CAPABILITIES = ("87", *slow("75", "90"))
DTYPES = ("float32", "float16")
# Sizes that allow words of 16, 8, 4 and 2 bytes, one row, one column, one value, and more than a few words a thread;
# the last ends, for the grid of HostDevice, behind three loads of some threads.
SHAPES = [
    (1, 1, 1, 1), (1, 3, 7, 5), (2, 3, 1, 9), (3, 2, 6, 1), (2, 5, 6, 4), (1, 4, 8, 16), (2, 3, 5, 6), (3, 7, 33, 31),
    (1, 4, 64, 160), (1, 1, 43, 143),
]  # fmt: skip


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    compiler = shutil.which("g++")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("running the kernels' sources on the host needs g++ on Linux")
    return build_libraries(compiler, tmp_path_factory.mktemp("host_cuda"))


@pytest.fixture(scope="session")
def gpu() -> GpuDevice:
    try:
        return GpuDevice()
    except InputError as error:
        pytest.skip(f"no GPU to run the kernels on: {error}")


@pytest.fixture(params=["host-rising", "host-falling", "gpu"])
def device(request: pytest.FixtureRequest) -> Any:
    """Threads of a block run in rising order, in falling order, or really at once."""
    if request.param == "gpu":
        return request.getfixturevalue("gpu")
    return HostDevice(request.getfixturevalue("libraries"), request.param == "host-falling")


def random_maps(shape: tuple[int, ...], dtype: str = "float32", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 3.0, shape).astype(dtype)


def same(actual: np.ndarray, expected: np.ndarray) -> None:
    """Equal to the last bit; all NaNs are one value, and so are the two zeros."""
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected)


def row_intervals(height: int) -> list[tuple[int, int]]:
    return sorted({(0, height), (0, 1), (height - 1, height), (height // 3, height - height // 4), (1, 1), (0, 0)})


@pytest.mark.parametrize("dtype", [*DTYPES, "uint8"])
@pytest.mark.parametrize("shape", SHAPES)
def test_rows_are_packed_and_unpacked_as_the_twins_do(device: Any, shape: tuple[int, ...], dtype: str) -> None:
    maps = (random_maps(shape) * 40).astype(dtype) if dtype != "uint8" else random_codes(shape)
    batch, channels, height, columns = shape
    for lo, hi in row_intervals(height):
        packed = device.pack_rows(device.put(maps), lo + 10, hi + 10, 10)
        same(device.get(packed), twins.pack_rows(maps, lo + 10, hi + 10, 10))
        # The receiver's maps begin two rows higher up and end one lower down.
        target = random_codes((batch, channels, height + 3, columns)).astype(dtype)
        written = device.unpack_rows(packed, device.put(target), lo + 10, 8)
        same(device.get(written), twins.unpack_rows(maps[:, :, lo:hi], target.copy(), lo + 10, 8))


def random_codes(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, shape, np.uint8)


@pytest.mark.parametrize("skew", [1, 2, 3, 4])
def test_arrays_may_begin_anywhere(device: Any, skew: int) -> None:
    maps, selection = random_maps((2, 8, 8, 16)), top_maps(np.linspace(0, 1, 8), 3)
    put, chosen = device.put(maps, skew), device.upload(selection)
    same(device.get(device.pack_rows(put, 2, 7)), twins.pack_rows(maps, 2, 7))
    same(device.get(device.select_maps(put, chosen)), twins.select_maps(maps, selection))
    same(
        device.get(device.scatter_maps(device.put(maps[:, :3], skew), chosen)),
        twins.scatter_maps(maps[:, :3], selection),
    )
    bounds = device.value_bounds(put)
    same(device.get(bounds), twins.value_bounds(maps))
    codes = twins.quantise(maps, twins.value_bounds(maps))
    same(device.get(device.quantise(put, bounds, out=device.put(np.zeros_like(codes), skew))), codes)
    for dtype in DTYPES:
        expected = twins.dequantise(codes, twins.value_bounds(maps), dtype)
        out = device.put(np.zeros_like(expected), 1)
        same(device.get(device.dequantise(device.put(codes, skew), bounds, dtype, out=out)), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [*SHAPES, (5, 300), (2, 3, 4, 4, 2)])
def test_codes_and_values_are_the_twins(device: Any, shape: tuple[int, ...], dtype: str) -> None:
    maps = random_maps(shape, dtype)
    bounds = twins.value_bounds(maps)
    put = device.put(maps)
    found = device.value_bounds(put)
    same(device.get(found), bounds)
    codes = device.quantise(put, found)
    same(device.get(codes), twins.quantise(maps, bounds))
    for result in DTYPES:
        same(device.get(device.dequantise(codes, found, result)), twins.dequantise(device.get(codes), bounds, result))


@pytest.mark.parametrize("place", [0, 1, 700, 4999])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -1e30, -0.0])
def test_a_remarkable_value_is_found_wherever_it_is(device: Any, value: float, place: int) -> None:
    maps = random_maps((3, 5, 10, 100))
    maps[1].flat[place] = value
    bounds = device.value_bounds(device.put(maps))
    same(device.get(bounds), twins.value_bounds(maps))
    codes = device.quantise(device.put(maps), bounds)
    same(device.get(codes), twins.quantise(maps, twins.value_bounds(maps)))
    restored = device.get(device.dequantise(codes, bounds))
    same(restored, twins.dequantise(device.get(codes), twins.value_bounds(maps)))
    assert np.isnan(restored[1]).all() == (not np.isfinite(value))
    assert np.isfinite(restored[[0, 2]]).all()


@pytest.mark.parametrize(
    "ends", [(0, 0), (7.5, 7.5), (0, 1e-37), (-1e-45, 0), (-3e38, 3e38), (1e8, 1e8 + 8), (0, 3.4e38)]
)
def test_extreme_ranges_are_treated_as_the_twins_do(device: Any, ends: tuple[float, float]) -> None:
    maps = np.linspace(*ends, 64, dtype=np.float64).astype(np.float32).reshape(1, 1, 8, 8)
    bounds = device.value_bounds(device.put(maps))
    same(device.get(bounds), twins.value_bounds(maps))
    codes = device.quantise(device.put(maps), bounds)
    same(device.get(codes), twins.quantise(maps, twins.value_bounds(maps)))
    same(device.get(device.dequantise(codes, bounds)), twins.dequantise(device.get(codes), twins.value_bounds(maps)))


def test_values_outside_given_bounds_become_the_nearest_code(device: Any) -> None:
    maps = np.array([-np.inf, -5, -1, 0, 1, 5, np.inf, np.nan], np.float32).reshape(1, 2, 4)
    codes = device.get(device.quantise(device.put(maps), device.put(np.array([[-1, 1]], np.float32))))
    assert codes.ravel().tolist() == [0, 0, 0, 128, 255, 255, 255, 0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [*SHAPES, (5, 30), (130, 3)])
def test_maps_are_selected_and_scattered_as_the_twins_do(device: Any, shape: tuple[int, ...], dtype: str) -> None:
    channels = shape[1]
    filter_ = np.random.default_rng(2).uniform(0.1, 0.9, channels).astype(np.float32)
    maps = random_maps(shape, dtype)
    for budget in sorted({1, (channels + 1) // 2, channels}):
        for selection in (top_maps(filter_, budget), top_maps(filter_, budget).unscaled):
            chosen = device.upload(selection)
            packed = device.select_maps(device.put(maps), chosen)
            same(device.get(packed), twins.select_maps(maps, selection))
            same(device.get(device.scatter_maps(packed, chosen)), twins.scatter_maps(device.get(packed), selection))


def test_halves_that_overflow_become_infinite_on_both_sides(device: Any) -> None:
    selection = Selection(2, np.array([1], np.int32), np.array([3], np.float32))
    maps = np.full((1, 2, 3), 30000, np.float16)
    result = device.get(device.select_maps(device.put(maps), device.upload(selection)))
    assert np.isinf(result).all()
    same(result, twins.select_maps(maps, selection))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_rows_of_any_maps(device: Any, data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 12), st.integers(1, 20)))
    lo = data.draw(st.integers(0, shape[2]))
    hi = data.draw(st.integers(lo, shape[2]))
    dtype, skew = data.draw(st.sampled_from([*DTYPES, "uint8"])), data.draw(st.integers(0, 9))
    maps = random_codes(shape).astype(dtype)
    packed = device.pack_rows(device.put(maps, skew), lo, hi)
    same(device.get(packed), maps[:, :, lo:hi])
    same(
        device.get(device.unpack_rows(packed, device.put(np.zeros_like(maps), skew), lo))[:, :, lo:hi],
        maps[:, :, lo:hi],
    )


def test_grids_smaller_than_the_work_cover_it(device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "MAX_GRID_Y", 2)
    monkeypatch.setattr(kernels, "WORDS_PER_THREAD", 10**6)
    maps = random_maps((5, 4, 90, 41))
    put = device.put(maps)
    bounds = device.value_bounds(put)
    same(device.get(bounds), twins.value_bounds(maps))
    codes = device.quantise(put, bounds)
    same(device.get(codes), twins.quantise(maps, twins.value_bounds(maps)))
    same(device.get(device.dequantise(codes, bounds)), twins.dequantise(device.get(codes), twins.value_bounds(maps)))
    same(device.get(device.pack_rows(put, 1, 89)), twins.pack_rows(maps, 1, 89))


def test_results_go_where_they_are_wanted(device: Any) -> None:
    maps, chosen = device.put(random_maps((2, 3, 4, 5))), device.upload(top_maps(np.array([0.3, 0.1, 0.2]), 2))
    out = device.put(np.zeros((2, 3, 2, 5), np.float32))
    assert device.pack_rows(maps, 1, 3, out=out) is out
    same(device.get(out), device.get(maps)[:, :, 1:3])
    for wrong in (np.zeros((2, 3, 2, 4), np.float32), np.zeros((2, 3, 2, 5), np.float16)):
        with pytest.raises(ValueError, match=r"^out: "):
            device.pack_rows(maps, 1, 3, out=device.put(wrong))
        with pytest.raises(ValueError, match=r"^out: "):
            device.select_maps(maps, chosen, out=device.put(wrong))


def test_bad_arguments_launch_nothing(libraries: dict[str, Any]) -> None:
    device = HostDevice(libraries, False)
    maps = device.put(random_maps((2, 3, 4, 5)))
    chosen = device.upload(top_maps(np.array([0.3, 0.1]), 1))
    bounds = device.put(np.zeros((1, 2), np.float32))
    for call in (
        lambda: device.pack_rows(maps, 3, 5),
        lambda: device.unpack_rows(maps, maps, 1),
        lambda: device.value_bounds(maps[:, 0:0]),
        lambda: device.quantise(maps, bounds),
        lambda: device.dequantise(maps, bounds),
        lambda: device.select_maps(maps, chosen),
        lambda: device.scatter_maps(maps, chosen),
        lambda: device.pack_rows(maps.transpose(0, 1, 3, 2), 0, 1),
    ):
        with pytest.raises(ValueError, match=r"^[a-z]+: [^\n]+, allowed: [^\n]+$"):
            call()
    assert not device.launches
    device.pack_rows(maps, 2, 2)
    assert not device.launches


def test_wide_words_are_used_where_they_fit(libraries: dict[str, Any]) -> None:
    device = HostDevice(libraries, False)
    for columns, width in ((8, 16), (6, 8), (7, 4)):
        device.pack_rows(device.put(random_maps((1, 2, 4, columns))), 1, 2)
        assert device.launches.pop().kernel == f"copy_runs_x{width}"
    device.select_maps(
        device.put(random_maps((1, 2, 4, 8), "float16")), device.upload(top_maps(np.array([0.1, 0.2]), 1))
    )
    assert device.launches.pop().kernel == "select_f16_x16"


def run_nvcc(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["nvcc", *arguments], capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="compiling for a GPU needs nvcc")
@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("name", SOURCES)
def test_sources_compile_for_boards(name: str, capability: str, tmp_path: Path) -> None:
    ptx, cubin = tmp_path / f"{name}.ptx", tmp_path / f"{name}.cubin"
    strict = ("-Werror", "all-warnings")
    done = run_nvcc("-ptx", f"-arch=compute_{capability}", *strict, SOURCES[name], "-o", ptx)
    assert done.returncode == 0, done.stderr
    # Local memory is slow: a kernel that needs it for spilt registers or for an array is refused.
    local = ("-Xptxas", "-warn-spills,-warn-lmem-usage")
    done = run_nvcc("-cubin", f"-arch=sm_{capability}", *strict, *local, ptx, "-o", cubin)
    assert done.returncode == 0, done.stderr
    assert cubin.read_bytes()[:4] == b"\x7fELF"
    text = ptx.read_text()
    assert f".target sm_{capability}" in text
    assert set(re.findall(r"\.entry (\w+)\(", text)) == kernel_names(name)
    for body in re.split(r"\.entry ", text)[1:]:
        wide = re.match(r"(copy_runs|select|scatter|bounds|quantise)\w*_x16\(", body)
        assert not wide or re.search(r"ld\.global(\.nc)?\.v4", body), body.partition("(")[0]


def kernel_names(name: str) -> set[str]:
    """Every name that a launch may ask for."""
    typed = [f"f32_x{width}" for width in (4, 8, 16)] + [f"f16_x{width}" for width in (2, 4, 8, 16)]
    if name == "copies":
        runs = {f"copy_runs_x{width}" for width in (1, 2, 4, 8, 16)}
        return runs | {f"{operation}_{kind}" for operation in ("select", "scatter") for kind in typed}
    operations = ("bounds", "quantise", "dequantise")
    return {"merge_bounds"} | {f"{operation}_{kind}" for operation in operations for kind in typed}


def test_without_pycuda_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycuda", None)
    with pytest.raises(InputError, match=r"(?s)^(?!.*\n).*splitgym\[tensorrt\].*splitgym\.trt_kernels\.twins"):
        GpuKernels()


def test_the_benchmark_needs_a_gpu_and_says_so() -> None:
    code = "import runpy, sys; sys.modules['pycuda'] = None; runpy.run_path(sys.argv.pop(), run_name='__main__')"
    command = (sys.executable, "-c", code, ROOT / "benchmarks" / "gpu_kernels.py")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "splitgym[tensorrt]" in done.stderr
