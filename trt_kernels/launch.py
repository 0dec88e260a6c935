"""The kernels on an NVIDIA GPU through PyCUDA: compiled by the machine's own nvcc, cached, launched on a stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..ui.errors import InputError
from .gpu import load_driver
from .kernels import SOURCES, THREADS, Kernels, Launch

TWINS = "without a GPU use splitgym.trt_kernels.twins"


class GpuKernels(Kernels):
    """The operations of :mod:`.twins` on ``pycuda.gpuarray.GPUArray``, with ``pycuda.driver.Stream``.

    It works in PyCUDA's current context; where there is none it enters the device's primary one, which it shares with
    TensorRT and torch. Use it from the thread that made it. A kernel's file is compiled when it is first needed, for
    the GPU at hand; PyCUDA keeps the result in the user's cache folder.

    Args:
        allocator: bytes -> device memory, for results; by default ``pycuda.driver.mem_alloc``.

    Attributes:
        allocator: may be changed later. ``pycuda.tools.DeviceMemoryPool().allocate`` spares most calls the cost of an
            allocation; then use one stream only.
        processors: streaming multiprocessors of the GPU.

    Raises:
        InputError: PyCUDA or a driver is missing, there is no GPU, or (on first use) nvcc is missing or fails.
    """

    def __init__(self, allocator: Callable[[int], Any] | None = None) -> None:
        self._driver: Any = _load_driver()
        _enter_context(self._driver)
        self._arrays: Any = import_module("pycuda.gpuarray")
        self.allocator = allocator or self._driver.mem_alloc
        device = self._driver.Context.get_device()
        self.processors: int = device.get_attribute(self._driver.device_attribute.MULTIPROCESSOR_COUNT)
        self._modules: dict[str, Any] = {}
        self._functions: dict[str, Any] = {}

    def _empty(self, shape: Sequence[int], dtype: DTypeLike) -> Any:
        return self._arrays.empty(tuple(shape), np.dtype(dtype), self.allocator)

    def _put(self, array: np.ndarray, stream: Any) -> Any:
        return self._arrays.to_gpu_async(array, self.allocator, stream)

    def _address(self, array: Any) -> int:
        return array.ptr

    def _launch(self, launch: Launch, stream: Any) -> None:
        function = self._functions.get(launch.kernel)
        if function is None:
            function = self._module(launch.source).get_function(launch.kernel)
            function.prepare("P" * len(launch.pointers) + "q" * len(launch.counts))
            self._functions[launch.kernel] = function
        function.prepared_async_call(launch.grid, (THREADS, 1, 1), stream, *launch.pointers, *launch.counts)

    def _module(self, source: str) -> Any:
        if source not in self._modules:
            compiler: Any = import_module("pycuda.compiler")
            path = SOURCES[source]
            try:
                module = compiler.SourceModule(path.read_text(encoding="utf-8"), no_extern_c=True)
            except self._driver.CompileError as error:
                raise InputError(f"{path}: nvcc fails: {_one_line(error.stderr or error)}") from error
            except OSError as error:
                raise InputError(f"nvcc: cannot be run ({_one_line(error)}); put the CUDA toolkit's on PATH") from error
            self._modules[source] = module
        return self._modules[source]


def _load_driver() -> Any:
    try:
        return load_driver()
    except InputError as error:
        raise InputError(f"{error}; {TWINS}") from error


def _enter_context(driver: Any) -> None:
    try:
        driver.init()
        if driver.Context.get_current() is None:
            import_module("pycuda.autoprimaryctx")
    except (driver.Error, RuntimeError) as error:
        raise InputError(f"CUDA finds no GPU ({_one_line(error)}); {TWINS}") from error


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
