"""Running an engine: buffers, copies, events, and TensorRT's own times of layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from .engines import Built, failure
from .gpu import Gpu
from .networks import Port
from .versions import PRECISIONS

CHANNEL_BLOCK = 32  # no memory layout of TensorRT pads channels further


def new_profiler(trt: Any) -> Any:
    """A TensorRT profiler that adds up what it is told: ``times_s``, seconds by layer."""

    class Profiler(trt.IProfiler):
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self.times_s: dict[str, float] = {}

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.times_s[layer_name] = self.times_s.get(layer_name, 0.0) + ms * 1e-3

    return Profiler()


class Runner:
    """An engine with its memory on the GPU, to be run again and again; not from two threads at once.

    Args:
        trt: the module ``tensorrt``.
        gpu: where it runs.
        built: what runs.

    Raises:
        MemoryError: the device has not enough memory.
        RuntimeError: TensorRT cannot make it ready.
    """

    def __init__(self, trt: Any, gpu: Gpu, built: Built) -> None:
        self.gpu, self.ports = gpu, built.ports
        self._trt, self._built = trt, built
        self._dtype = np.dtype(PRECISIONS[built.precision])
        driver = gpu.driver
        with gpu.current():
            self._memory = {port.name: driver.mem_alloc(self._bytes(port)) for port in self._all_ports}
            self._host: dict[str, npt.NDArray[Any]] = {}
            if not built.padded:
                self._host = {port.name: driver.pagelocked_empty(port.sizes, self._dtype) for port in self._all_ports}
            self._begin, self._end = driver.Event(), driver.Event()
            self._context = self._new_context()

    @property
    def _all_ports(self) -> tuple[Port, ...]:
        return (*self.ports.inputs, *self.ports.outputs)

    def _new_context(self) -> Any:
        """An execution context that knows where inputs and outputs are."""
        engine, log = self._built.engine, self._built.log
        log.errors.clear()
        context = engine.create_execution_context()
        if context is None:
            raise failure(log, "TensorRT cannot make an execution context", RuntimeError)
        for name in (engine.get_tensor_name(i) for i in range(engine.num_io_tensors)):
            if not context.set_tensor_address(name, int(self._memory[name])):
                raise failure(log, f"TensorRT refuses the address of tensor {name}", RuntimeError)
        return context

    def _bytes(self, port: Port) -> int:
        batch, channels, rows, width = port.sizes
        if self._built.padded:
            channels = -(-channels // CHANNEL_BLOCK) * CHANNEL_BLOCK
        return prod((batch, channels, rows, width)) * self._dtype.itemsize

    def run(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Run the engine on maps.

        Args:
            inputs: by port name, each of the port's sizes; other numbers than the engine's are converted.

        Returns:
            Outputs by port name, in the engine's precision.

        Raises:
            ValueError: an input is missing or has other sizes, or the engine is only to be timed.
            RuntimeError: TensorRT could not run it.
            MemoryError: the device has not enough memory.
            pycuda.driver.Error: the device failed while it ran, as in all that runs an engine.
        """
        if self._built.padded:
            raise ValueError("this engine is only to be timed: what its memory holds is laid out by TensorRT")
        for port in self.ports.inputs:
            if port.name not in inputs or inputs[port.name].shape != port.sizes:
                given = inputs[port.name].shape if port.name in inputs else "missing"
                raise ValueError(f"input {port.name} must have the sizes {port.sizes}, it is {given}")
        driver, stream = self.gpu.driver, self.gpu.stream
        with self.gpu.current():
            for port in self.ports.inputs:
                self._host[port.name][...] = inputs[port.name]
                driver.memcpy_htod_async(self._memory[port.name], self._host[port.name], stream)
            self._start(self._context)
            for port in self.ports.outputs:
                driver.memcpy_dtoh_async(self._host[port.name], self._memory[port.name], stream)
            stream.synchronize()
        return {port.name: self._host[port.name].copy() for port in self.ports.outputs}

    def fill(self, seed: int = 0) -> None:
        """Put random numbers of order 1 into the inputs' memory, however it is laid out."""
        rng = np.random.default_rng(seed)
        with self.gpu.current():
            for port in self.ports.inputs:
                count = self._bytes(port) // self._dtype.itemsize
                values = rng.standard_normal(count, np.float32).astype(self._dtype)
                self.gpu.driver.memcpy_htod(self._memory[port.name], values)

    def seconds(self) -> float:
        """Run once on what the memory holds; seconds between CUDA events around it.

        Raises:
            RuntimeError: TensorRT could not run it.
            MemoryError: the device has not enough memory.
        """
        with self.gpu.current():
            self._begin.record(self.gpu.stream)
            self._start(self._context)
            self._end.record(self.gpu.stream)
            self._end.synchronize()
            return self._begin.time_till(self._end) * 1e-3

    def layer_timer(self) -> Callable[[], dict[str, float]]:
        """A function that runs once and gives the seconds of every layer by TensorRT's own profiler.

        The profiler waits for every run, so it has an execution context of its own.

        Raises:
            RuntimeError, MemoryError: as :meth:`seconds`, and so does the function.
        """
        profiler = new_profiler(self._trt)
        with self.gpu.current():
            context = self._new_context()
            context.profiler = profiler

        def times_s() -> dict[str, float]:
            profiler.times_s.clear()
            with self.gpu.current():
                self._start(context)
                self.gpu.stream.synchronize()
            return dict(profiler.times_s)

        return times_s

    def layer_times_s(self, runs: int = 20) -> dict[str, float]:
        """Mean seconds of every layer by TensorRT's own profiler, over some runs after one to warm up.

        Raises:
            RuntimeError, MemoryError: as :meth:`seconds`.
        """
        times_s = self.layer_timer()
        times_s()
        measured = [times_s() for _ in range(runs)]
        return {name: sum(run[name] for run in measured) / runs for name in measured[0]}

    def _start(self, context: Any) -> None:
        log = self._built.log
        log.errors.clear()
        if not context.execute_async_v3(self.gpu.stream.handle):
            raise failure(log, "TensorRT could not run the engine", RuntimeError)
