"""Devices that the kernels are tested on: their sources run by g++ on this machine, and a GPU where there is one."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from splitgym.trt_kernels.kernels import SOURCES, THREADS, Kernels, Launch

HEADERS = Path(__file__).with_name("host_cuda")
GUARD_BYTES = 64
GUARDS = range(0x70, 0x7C)  # a byte for each array in turn, of large numbers in every dtype
FAULTS = {1: "a barrier that not all threads reach", 2: "a misaligned access"}


def build_libraries(compiler: str, folder: Path) -> dict[str, ctypes.CDLL]:
    """Every source of the kernels as a library for this machine."""
    libraries = {}
    for name, source in SOURCES.items():
        unit, library = folder / f"{name}.o", folder / f"{name}.so"
        flags = ["-std=c++14", "-O1", "-fPIC", "-ffp-contract=off", "-fsanitize=alignment", f"-I{HEADERS}"]
        subprocess.run([compiler, "-x", "c++", *flags, "-c", source, "-o", unit], check=True, timeout=120)
        # Linked apart: with the flag the linker would bring in the sanitizer's runtime, whose place the header takes.
        subprocess.run([compiler, "-shared", unit, "-o", library], check=True, timeout=120)
        libraries[name] = ctypes.CDLL(str(library))
    return libraries


class HostDevice(Kernels):
    """Runs kernels on NumPy arrays, each between guard bytes, which every launch must leave alone.

    Args:
        libraries: from :func:`build_libraries`.
        falling: the order in which the threads of a block run.

    Attributes:
        launches: what was launched so far.
    """

    def __init__(self, libraries: dict[str, ctypes.CDLL], falling: bool) -> None:
        self.launches: list[Launch] = []
        self._libraries = libraries
        self._falling = falling
        self._buffers: list[tuple[np.ndarray, int, int]] = []

    def put(self, array: np.ndarray, skew: int = 0) -> Any:
        """A copy that begins ``skew`` values behind a multiple of 64 bytes."""
        copy = self._guarded(array.shape, array.dtype, skew * array.dtype.itemsize)
        copy[...] = array
        return copy

    def get(self, array: Any) -> np.ndarray:
        return np.array(array)

    def _empty(self, shape: Sequence[int], dtype: DTypeLike) -> Any:
        return self._guarded(shape, np.dtype(dtype), 0)

    def _put(self, array: np.ndarray, stream: Any) -> Any:
        assert stream is None
        return self.put(array)

    def _address(self, array: Any) -> int:
        return array.ctypes.data

    def _launch(self, launch: Launch, stream: Any) -> None:
        assert stream is None
        self.launches.append(launch)
        library = self._libraries[launch.source]
        kernel = ctypes.cast(getattr(library, launch.kernel), ctypes.c_void_p)
        values = [*launch.pointers, *launch.counts]
        arguments = (ctypes.c_longlong * len(values))(*values)
        fault = library.emulate(kernel, *launch.grid, THREADS, arguments, len(values), int(self._falling))
        assert not fault, f"{launch}: {FAULTS.get(fault, fault)}"
        for buffer, begin, end in self._buffers:
            guards = np.concatenate([buffer[:begin], buffer[end:]])
            assert (guards == buffer[0]).all(), f"{launch}: wrote outside an array"

    def _guarded(self, shape: Sequence[int], dtype: np.dtype[Any], skew_bytes: int) -> np.ndarray:
        size = int(np.prod(shape)) * dtype.itemsize
        guard = GUARDS[len(self._buffers) % len(GUARDS)]
        buffer = np.full(size + skew_bytes + 3 * GUARD_BYTES, guard, np.uint8)
        begin = GUARD_BYTES + -buffer.ctypes.data % GUARD_BYTES + skew_bytes
        self._buffers.append((buffer, begin, begin + size))
        return buffer[begin : begin + size].view(dtype).reshape(shape)


class GpuDevice:
    """Runs kernels on the GPU, on a stream of its own.

    Raises:
        InputError: there is none, or no PyCUDA.
    """

    def __init__(self) -> None:
        from splitgym.trt_kernels.launch import GpuKernels

        self._kernels = GpuKernels()
        import pycuda.driver  # pyright: ignore[reportMissingImports]
        from pycuda import gpuarray  # pyright: ignore[reportMissingImports]

        self._arrays: Any = gpuarray
        self._stream: Any = pycuda.driver.Stream()

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._kernels, name)
        return lambda *arguments, **options: operation(*arguments, stream=self._stream, **options)

    def put(self, array: np.ndarray, skew: int = 0) -> Any:
        whole = self._arrays.empty((array.size + skew,), array.dtype)
        part = whole[skew:].reshape(array.shape)
        part.set(np.ascontiguousarray(array))
        return part

    def get(self, array: Any) -> np.ndarray:
        self._stream.synchronize()
        return array.get()
