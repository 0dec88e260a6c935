"""Stand-ins for the modules ``tensorrt`` and ``pycuda.driver``: building, keeping and running engines without a GPU.

Memory is a dictionary of addresses. As on a GPU, nothing that is put on a stream happens before the stream or an event
behind it is waited for, and nothing works without a current context.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from enum import IntEnum
from itertools import count
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from . import tensorrt_fake_layers as fake
from .tensorrt_fake import INetworkDefinition

ENGINE = b"engine "
TRIALS = b"trials "
KERNEL_MS = 0.25  # what every layer takes


class OldFlags(IntEnum):
    EXPLICIT_BATCH = 0


class NewFlags(IntEnum):
    EXPLICIT_BATCH, STRONGLY_TYPED = 0, 1


class TypedFlags(IntEnum):
    STRONGLY_TYPED = 0


class BuilderFlag(IntEnum):
    FP16, TF32 = 0, 7


class TypedBuilderFlag(IntEnum):
    TF32 = 7


class MemoryPoolType(IntEnum):
    WORKSPACE = 0


class Severity(IntEnum):
    INTERNAL_ERROR, ERROR, WARNING = 0, 1, 2


class ILogger:
    Severity = Severity

    def __init__(self) -> None:
        pass

    def log(self, severity: Severity, msg: str) -> None:
        raise NotImplementedError


class IProfiler:
    def __init__(self) -> None:
        pass

    def report_layer_time(self, layer_name: str, ms: float) -> None:
        raise NotImplementedError


class ITimingCache:
    def __init__(self, trials: frozenset[str]) -> None:
        self._trials = trials

    def serialize(self) -> bytes:
        return TRIALS + pickle.dumps(sorted(self._trials))


class IBuilderConfig:
    def __init__(self, typed: bool) -> None:
        self._typed = typed
        self._flags = {"TF32"}
        self._pools: dict[MemoryPoolType, int] = {}
        self._cache: ITimingCache | None = None

    def set_flag(self, flag: IntEnum) -> None:
        assert not (self._typed and flag.name == "FP16"), "a strongly typed network has no precision to choose"
        self._flags.add(flag.name)

    def clear_flag(self, flag: IntEnum) -> None:
        self._flags.discard(flag.name)

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        self._pools[pool] = pool_size

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache | None:
        if not serialized_timing_cache:
            return ITimingCache(frozenset())
        if not serialized_timing_cache.startswith(TRIALS):
            return None
        return ITimingCache(frozenset(pickle.loads(serialized_timing_cache[len(TRIALS) :])))

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        self._cache = cache
        return True

    def get_timing_cache(self) -> ITimingCache | None:
        return self._cache


class Builder:
    """Builds what it is told to; ``refusal`` makes it fail with a logged error."""

    def __init__(self, logger: ILogger) -> None:
        self._logger = logger
        self._world: World = World.current
        if self._world.no_gpu:
            logger.log(Severity.ERROR, "CUDA initialization failure with error: 35")
            raise TypeError("pybind11::init(): factory function returned nullptr")

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        wanted = {"8": 1 << 0, "10": 1 << 1, "11": 1 << 0}[self._world.generation]
        assert flags == wanted, f"flags {flags:b}"
        return INetworkDefinition(self._world.generation)

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig(self._world.typed)

    def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> bytes | None:
        self._world.builds += 1
        assert config._pools[MemoryPoolType.WORKSPACE] > 0
        half = fake.DataType.HALF in {tensor.dtype for tensor in network.outputs.values()}
        assert ("FP16" in config._flags) == (half and not self._world.typed)
        assert half or "TF32" not in config._flags
        if self._world.refusal:
            self._logger.log(Severity.WARNING, "a warning that nobody has to see")
            self._logger.log(Severity.ERROR, self._world.refusal)
            return None
        assert config._cache is not None
        self._world.known_trials.append(config._cache._trials)
        config._cache._trials |= {layer.name for layer in network.layers}
        network.copy_weights()
        self._world.networks.append(network)
        return ENGINE + str(len(self._world.networks) - 1).encode()


class Runtime:
    """Loads engines; they and their contexts log where it does. ``load_error`` makes it fail."""

    def __init__(self, logger: ILogger) -> None:
        self._world: World = World.current
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        if not serialized_engine.startswith(ENGINE) or self._world.load_error:
            self._logger.log(Severity.ERROR, self._world.load_error or "magicTag mismatch")
            return None
        return ICudaEngine(self._world.networks[int(serialized_engine[len(ENGINE) :])], self._logger)


class ICudaEngine:
    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        self._network, self._logger = network, logger
        self._names = [*network.inputs, *network.outputs]
        self.num_io_tensors = len(self._names)

    def get_tensor_name(self, index: int) -> str:
        return self._names[index]

    def create_execution_context(self) -> IExecutionContext | None:
        world = World.current
        if world.context_error:
            self._logger.log(Severity.ERROR, world.context_error)
            return None
        world.execution_contexts += 1
        return IExecutionContext(self._network, self._logger)


class IExecutionContext:
    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        self._network, self._logger = network, logger
        self._addresses: dict[str, int] = {}
        self.profiler: Any = None

    def set_tensor_address(self, name: str, memory: int) -> bool:
        assert name in {**self._network.inputs, **self._network.outputs}
        self._addresses[name] = memory
        return not World.current.refuses_addresses and memory % 256 == 0

    def execute_async_v3(self, stream_handle: int) -> bool:
        world = World.current
        if world.run_error:
            self._logger.log(Severity.ERROR, world.run_error)
            return False
        assert self._addresses.keys() == {*self._network.inputs, *self._network.outputs}
        world.put(stream_handle, self._compute)
        if self.profiler is not None:
            for layer in self._network.layers:
                self.profiler.report_layer_time(layer.name, KERNEL_MS)
        return True

    def _compute(self) -> None:
        memory, network = World.current.memory, self._network

        def values(name: str, tensor: fake.ITensor) -> np.ndarray:
            size = int(np.prod(tensor.shape))
            stored = memory[self._addresses[name]].view([np.float32, np.float16][tensor.dtype])
            return stored[:size].reshape(tensor.shape)

        given = {name: torch.from_numpy(values(name, t).astype(np.float32)) for name, t in network.inputs.items()}
        for name, result in network.evaluate(given).items():
            values(name, network.outputs[name])[...] = result.numpy()
        World.current.clock_ms += KERNEL_MS * len(network.layers)


class Stream:
    def __init__(self) -> None:
        World.current.need_context()
        self.handle = id(self)

    def synchronize(self) -> None:
        World.current.wait(self.handle)


class Event:
    def __init__(self) -> None:
        World.current.need_context()
        self._ms: float | None = None
        self._stream = 0

    def record(self, stream: Stream) -> None:
        self._ms, self._stream = None, stream.handle

        def mark() -> None:
            self._ms = World.current.clock_ms

        World.current.put(stream.handle, mark)

    def synchronize(self) -> None:
        World.current.wait(self._stream)

    def time_till(self, event: Event) -> float:
        assert self._ms is not None
        assert event._ms is not None, "an event that has not happened yet"
        return event._ms - self._ms


class Error(Exception):
    pass


class DriverMemoryError(Error):
    pass


class Allocation:
    def __init__(self, address: int) -> None:
        self._address = address

    def __int__(self) -> int:
        return self._address


class Context:
    def push(self) -> None:
        World.current.contexts.append(self)

    @staticmethod
    def pop() -> None:
        World.current.contexts.pop()


class Device:
    def __init__(self, index: int) -> None:
        assert World.current.initialised

    def name(self) -> str:
        return "NVIDIA H100 80GB HBM3"

    def compute_capability(self) -> tuple[int, int]:
        return 9, 0

    def retain_primary_context(self) -> Context:
        return Context()


class World:
    """One machine: what it has built, its memory, what waits on its streams, and what goes wrong there."""

    current: World

    def __init__(self, generation: str) -> None:
        self.generation = generation
        self.typed = generation != "8"
        self.builds, self.clock_ms = 0, 0.0
        self.networks: list[INetworkDefinition] = []
        self.known_trials: list[frozenset[str]] = []
        self.memory: dict[int, np.ndarray] = {}
        self.contexts: list[Context] = []
        self.execution_contexts = 0
        self.initialised = self.no_gpu = self.refuses_addresses = False
        self.refusal = self.load_error = self.context_error = self.run_error = ""
        self.stream_error: Exception | None = None  # what waiting raises
        self.memory_bytes = 1 << 30
        self._queues: dict[int, list[Callable[[], None]]] = {}
        self._addresses = count(1)
        World.current = self

    def need_context(self) -> None:
        assert self.contexts, "no context is current"

    def put(self, stream: int, work: Callable[[], None]) -> None:
        self.need_context()
        self._queues.setdefault(stream, []).append(work)

    def wait(self, stream: int) -> None:
        self.need_context()
        for work in self._queues.pop(stream, []):
            work()
        if self.stream_error is not None:
            raise self.stream_error

    def tensorrt(self) -> SimpleNamespace:
        """The module ``tensorrt``."""
        new = self.generation != "8"
        return SimpleNamespace(
            __version__=fake.VERSIONS[self.generation],
            ActivationType=fake.NewActivationType if new else fake.ActivationType,
            Builder=Builder,
            BuilderFlag=TypedBuilderFlag if self.generation == "11" else BuilderFlag,
            DataType=fake.DataType,
            ElementWiseOperation=fake.ElementWiseOperation,
            ILogger=ILogger,
            IProfiler=IProfiler,
            MemoryPoolType=MemoryPoolType,
            NetworkDefinitionCreationFlag={"8": OldFlags, "10": NewFlags, "11": TypedFlags}[self.generation],
            PoolingType=fake.PoolingType,
            ReduceOperation=fake.ReduceOperation,
            Runtime=Runtime,
            SampleMode=fake.SampleMode,
            ScaleMode=fake.ScaleMode,
            TensorFormat=fake.TensorFormat,
            UnaryOperation=fake.UnaryOperation,
            MatrixOperation=fake.MatrixOperation,
            Weights=fake.Weights,
        )

    def driver(self) -> SimpleNamespace:
        """The module ``pycuda.driver``."""
        return SimpleNamespace(
            Context=Context, Device=Device, Error=Error, Event=Event, MemoryError=DriverMemoryError, Stream=Stream,
            get_version=lambda: (12, 6, 0), init=self._init, mem_alloc=self._mem_alloc, memcpy_htod=self._to_device,
            memcpy_htod_async=lambda to, source, stream: self.put(stream.handle, lambda: self._to_device(to, source)),
            memcpy_dtoh_async=lambda to, source, stream: self.put(stream.handle, lambda: self._to_host(to, source)),
            pagelocked_empty=self._pagelocked,
        )  # fmt: skip

    def _init(self) -> None:
        self.initialised = True
        if self.no_gpu:
            raise Error("cuInit failed: no CUDA-capable device is detected")

    def _mem_alloc(self, size: int) -> Allocation:
        self.need_context()
        if size + sum(block.nbytes for block in self.memory.values()) > self.memory_bytes:
            raise DriverMemoryError("cuMemAlloc failed: out of memory")
        address = 256 * next(self._addresses)
        self.memory[address] = np.full(size, 0xFF, np.uint8)  # reads as NaN
        return Allocation(address)

    def _pagelocked(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        self.need_context()
        return np.full(shape, np.nan, dtype)

    def _to_device(self, to: Allocation, source: np.ndarray) -> None:
        self.need_context()
        data = source.reshape(-1).view(np.uint8)
        self.memory[int(to)][: data.size] = data

    def _to_host(self, to: np.ndarray, source: Allocation) -> None:
        to.reshape(-1).view(np.uint8)[...] = self.memory[int(source)][: to.nbytes]
