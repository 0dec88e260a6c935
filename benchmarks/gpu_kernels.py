"""Bandwidth of the CUDA kernels as a fraction of the GPU's own device-to-device copy, measured with CUDA events.

    python benchmarks/gpu_kernels.py [--megabytes N] [--repeats N]

Bytes are those that a kernel must read and write at least once. Maps are larger than the GPU's cache; every figure is
the median of several samples of ten launches each. Without a GPU it prints one line and exits with code 2.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from splitgym.trt_kernels.launch import GpuKernels
from splitgym.trt_kernels.selection import top_maps
from splitgym.ui.errors import InputError

LAUNCHES = 10  # a sample, so that the GPU is never waiting for Python
WIDTHS = (224, 225)  # rows that 16-byte words fit, and rows that they do not
CHANNELS, ROWS = 64, 224


class Case(NamedTuple):
    name: str
    moved_bytes: int
    run: Callable[[], object]


def row_cases(kernels: GpuKernels, maps: Any, label: str) -> Iterator[Case]:
    height = maps.shape[2]
    lo, hi = height // 4, 3 * height // 4
    packed = kernels.pack_rows(maps, lo, hi)
    yield Case(f"pack half the rows, {label}", 2 * packed.nbytes, lambda: kernels.pack_rows(maps, lo, hi, out=packed))
    yield Case(f"unpack half the rows, {label}", 2 * packed.nbytes, lambda: kernels.unpack_rows(packed, maps, lo))
    halo = kernels.pack_rows(maps, lo, lo + 1)
    yield Case(f"pack one row, {label}", 2 * halo.nbytes, lambda: kernels.pack_rows(maps, lo, lo + 1, out=halo))


def code_cases(kernels: GpuKernels, maps: Any, label: str) -> Iterator[Case]:
    bounds = kernels.value_bounds(maps)
    codes = kernels.quantise(maps, bounds)
    both = maps.nbytes + codes.nbytes
    yield Case(f"value bounds, {label}", maps.nbytes, lambda: kernels.value_bounds(maps))
    yield Case(f"quantise, {label}", both, lambda: kernels.quantise(maps, bounds, out=codes))
    yield Case(f"dequantise, {label}", both, lambda: kernels.dequantise(codes, bounds, maps.dtype, out=maps))


def map_cases(kernels: GpuKernels, maps: Any, label: str) -> Iterator[Case]:
    filter_ = np.random.default_rng(0).uniform(size=CHANNELS)
    chosen = kernels.upload(top_maps(filter_, CHANNELS // 4))
    packed = kernels.select_maps(maps, chosen)
    name = f"a quarter of the maps, {label}"
    yield Case(f"select {name}", 2 * packed.nbytes, lambda: kernels.select_maps(maps, chosen, out=packed))
    both = packed.nbytes + maps.nbytes
    yield Case(f"scatter {name}", both, lambda: kernels.scatter_maps(packed, chosen, out=maps))


def sample_seconds(driver: Any, run: Callable[[], object], repeats: int) -> float:
    """Median time of one call on the GPU."""
    begin, end = driver.Event(), driver.Event()
    samples = []
    for _ in range(repeats + 1):  # the first warms up
        begin.record()
        for _ in range(LAUNCHES):
            run()
        end.record()
        end.synchronize()
        samples.append(end.time_since(begin) * 1e-3 / LAUNCHES)
    return statistics.median(samples[1:])


def copy_seconds(driver: Any, size_bytes: int, repeats: int) -> float:
    """Median time of the driver's own copy from the GPU to itself."""
    source, target = driver.mem_alloc(size_bytes), driver.mem_alloc(size_bytes)
    return sample_seconds(driver, lambda: driver.memcpy_dtod_async(target, source, size_bytes), repeats)


def new_maps(arrays: Any, kernels: GpuKernels, size_bytes: int, dtype: str, width: int) -> Any:
    """Maps of about this size with random values, of at least one image."""
    image = np.random.default_rng(0).normal(size=(1, CHANNELS, ROWS, width)).astype(dtype)
    maps = arrays.empty((max(1, size_bytes // image.nbytes), *image.shape[1:]), image.dtype, kernels.allocator)
    for i in range(len(maps)):
        maps[i : i + 1].set(image)
    return maps


def measure(megabytes: int | None, repeats: int) -> None:
    kernels = GpuKernels()
    driver, arrays, tools = (import_module(f"pycuda.{name}") for name in ("driver", "gpuarray", "tools"))
    kernels.allocator = tools.DeviceMemoryPool().allocate
    free_bytes, _ = driver.mem_get_info()
    size_bytes = megabytes * 1_000_000 if megabytes else min(free_bytes // 8, 1_000_000_000)
    device = driver.Context.get_device()
    copy_rate = 2 * size_bytes / copy_seconds(driver, size_bytes, repeats)
    print(f"{device.name()}, maps of {size_bytes / 1e6:.0f} MB: a copy moves {copy_rate / 1e9:.1f} GB/s")
    for dtype in ("float32", "float16"):
        for width in WIDTHS:
            maps = new_maps(arrays, kernels, size_bytes, dtype, width)
            label = f"{dtype}, width {width}"
            for cases in (row_cases, code_cases, map_cases):
                for case in cases(kernels, maps, label):
                    rate = case.moved_bytes / sample_seconds(driver, case.run, repeats)
                    print(f"{case.name:50s} {rate / 1e9:8.1f} GB/s {rate / copy_rate:6.2f} of a copy", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--megabytes", type=int, help="of one map; by default an eighth of the free memory, at most 1000"
    )
    parser.add_argument("--repeats", type=int, default=9, help="samples of every figure")
    args = parser.parse_args()
    try:
        measure(args.megabytes, args.repeats)
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
