"""Running an engine: buffers, copies, events, and TensorRT's own times of layers."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from .engines import Built
from .gpu import Gpu
from .networks import Port
from .versions import PRECISIONS, enqueuer

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
    """

    def __init__(self, trt: Any, gpu: Gpu, built: Built) -> None:
        self.gpu, self.ports = gpu, built.ports
        self._trt, self._built = trt, built
        self._dtype = np.dtype(PRECISIONS[built.precision])
        driver = gpu.driver
        with gpu.current():
            self._context = self._new_context()
            self._memory = {port.name: driver.mem_alloc(self._bytes(port)) for port in self._all_ports}
            self._host: dict[str, npt.NDArray[Any]] = {}
            if not built.padded:
                self._host = {port.name: driver.pagelocked_empty(port.sizes, self._dtype) for port in self._all_ports}
            self._begin, self._end = driver.Event(), driver.Event()
        self._enqueue = self._bound(self._context)

    @property
    def _all_ports(self) -> tuple[Port, ...]:
        return (*self.ports.inputs, *self.ports.outputs)

    def _new_context(self) -> Any:
        engine = self._built.engine
        context = engine.create_execution_context()
        if context is None:
            raise MemoryError("TensorRT cannot make room for the engine's intermediate results")
        return context

    def _bytes(self, port: Port) -> int:
        batch, channels, rows, width = port.sizes
        if self._built.padded:
            channels = -(-channels // CHANNEL_BLOCK) * CHANNEL_BLOCK
        return prod((batch, channels, rows, width)) * self._dtype.itemsize

    def _bound(self, context: Any) -> Any:
        addresses = {name: int(memory) for name, memory in self._memory.items()}
        return enqueuer(self._built.engine, context, addresses, self.gpu.stream.handle)

    def run(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Run the engine on maps.

        Args:
            inputs: by port name, each of the port's sizes; other numbers than the engine's are converted.

        Returns:
            Outputs by port name, in the engine's precision.

        Raises:
            ValueError: an input is missing or has other sizes, or the engine is only to be timed.
            RuntimeError: TensorRT could not run it.
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
            self._start(self._enqueue)
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
            self._start(self._enqueue)
            self._end.record(self.gpu.stream)
            self._end.synchronize()
            return self._begin.time_till(self._end) * 1e-3

    def layer_times_s(self, runs: int = 20) -> dict[str, float]:
        """Mean seconds of every layer by TensorRT's own profiler, over some runs after one to warm up.

        The profiler waits for every run, so it has an execution context of its own.

        Raises:
            RuntimeError, MemoryError: as :meth:`seconds`.
        """
        with self.gpu.current():
            context, total = self._new_context(), new_profiler(self._trt)
            enqueue = self._bound(context)
            self._start(enqueue)
            self.gpu.stream.synchronize()
            context.profiler = total
            for _ in range(runs):
                self._start(enqueue)
                self.gpu.stream.synchronize()
        return {name: seconds / runs for name, seconds in total.times_s.items()}

    def _start(self, enqueue: Any) -> None:
        if not enqueue():
            raise RuntimeError("TensorRT could not run the engine")
