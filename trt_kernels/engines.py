"""TensorRT engines: built once, kept on disk.

Building an engine means trying out many implementations on the device, seconds to minutes of work. Two things are
therefore kept in a folder: the engines, and what trials came out (TensorRT's timing cache), which speeds up building
similar ones. Either is only good for one device and one release of TensorRT, and named after them.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from ..models.model import Model
from ..ui.errors import InputError
from .graph import Graph
from .networks import Ports, kernel_network, kernel_ports, middle_rows, part_network, part_ports
from .versions import channel_layouts, check_precision, configure, network_flags
from .weights import KernelWeights, check_weights, digest

REVISION = 1  # of what the networks look like: engines of another one are not reused
WORKSPACE_BYTES = 1 << 30  # scratch memory that one kernel may use
_MEMORY = re.compile(r"out ?of ?memory|memory allocation|insufficient (device )?memory", re.IGNORECASE)


def default_folder() -> Path:
    """Where engines are kept: below the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "splitgym" / "tensorrt"


def new_log(trt: Any) -> Any:
    """A TensorRT logger that prints nothing and remembers the errors, as ``errors``."""

    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(" ".join(msg.split()))

    return Log()


def last_error(log: Any) -> str:
    """The last error that a log of :func:`new_log` remembers."""
    return log.errors[-1] if log.errors else "it says no reason"


def failure(log: Any, what: str, kind: type[Exception]) -> Exception:
    """What to raise where TensorRT failed: what failed and the last error, a :class:`MemoryError` if memory was it."""
    return (MemoryError if _MEMORY.search(" ".join(log.errors)) else kind)(f"{what}: {last_error(log)}")


@dataclass(frozen=True)
class EngineKey:
    """What an engine depends on.

    Attributes:
        fingerprint: of the model.
        part: which kernel or units, and which rows.
        precision: of every tensor.
        layouts: allowed memory layouts of inputs and outputs.
        weights: a hash of the weights; empty where the engine is only timed.
        version: of TensorRT.
        device: its name and compute capability.
    """

    fingerprint: str
    part: str
    precision: str
    layouts: str
    weights: str
    version: str
    device: str

    @property
    def file_name(self) -> str:
        """The name of the engine's file: readable as far as it goes, and unlike any other key's."""
        text = "\n".join((str(REVISION), *astuple(self)))
        return f"{_plain(self.part)}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.engine"


@dataclass(frozen=True, eq=False)
class Built:
    """An engine (``ICudaEngine``) and what goes into and comes out of it."""

    engine: Any
    ports: Ports
    precision: str
    padded: bool  # its memory layouts may hold more channels than its maps have
    log: Any  # where TensorRT's errors go


class Engines:
    """Engines of a model's kernels and parts, from disk where they are there.

    A CUDA context must be current wherever an engine is made.

    Args:
        trt: the module ``tensorrt``.
        model: the network.
        weights: one mapping for every kernel.
        device: the GPU's name and compute capability.
        precision: a key of ``versions.PRECISIONS``.
        folder: where engines are kept, by default :func:`default_folder`.

    Raises:
        InputError: the weights are another model's, an unknown precision, TensorRT does not start, or the folder
            cannot be made.
    """

    def __init__(
        self, trt: Any, model: Model, weights: Sequence[KernelWeights], device: str, precision: str = "FP16",
        folder: Path | None = None,
    ) -> None:  # fmt: skip
        check_precision(precision)
        check_weights(model, weights)
        self.trt, self.model, self.weights, self.device, self.precision = trt, model, weights, device, precision
        self.folder = folder if folder is not None else default_folder()
        self._log = new_log(trt)
        try:
            self._builder, self._runtime = trt.Builder(self._log), trt.Runtime(self._log)
        except TypeError:  # the bindings' way of saying that there is no GPU, or no driver for it
            raise InputError(f"TensorRT {trt.__version__} does not start: {last_error(self._log)}") from None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.folder}: engines cannot be kept there ({error.strerror})") from None
        self._trials = self.folder / f"{_plain(f'trials-{device}-{trt.__version__}')}.cache"

    def kernel(self, index: int, rows: int) -> Built:
        """The engine of ``rows`` output rows in the middle of one kernel's map, to be timed.

        Input and output may have any layout in memory, as inside a network: else the time would be mostly that of
        reordering them. What they hold has no meaning outside.

        Raises:
            InputError: TensorRT cannot build or load it, or a file cannot be read or written.
            MemoryError: the device has not enough memory.
        """
        kernel = self.model.kernels[index]
        a, b = middle_rows(kernel, rows)
        layouts = channel_layouts(self.trt, self.precision)

        def network(graph: Graph) -> None:
            kernel_network(graph, kernel, self.weights[index], a, b, layouts)

        key = self._key(f"{kernel.name}, {rows} rows", f"any of {layouts:b}", "")
        engine = self._engine(key, network)
        return Built(engine, kernel_ports(kernel, a, b), self.precision, padded=True, log=self._log)

    def part(self, start: int, stop: int, a: int, b: int) -> Built:
        """The engine of units ``[start, stop)`` for the output rows ``[a, b)`` of the last one.

        Raises:
            ValueError: no such units, or no such rows.
            InputError, MemoryError: as :meth:`kernel`.
        """
        ports = part_ports(self.model, start, stop, a, b)

        def network(graph: Graph) -> None:
            part_network(graph, self.model, self.weights, start, stop, a, b)

        used = [self.weights[k] for k in self.model.volume(start, stop).kernels]
        first, last = self.model.units[start].name, self.model.units[stop - 1].name
        key = self._key(f"{first} to {last}, rows {a} to {b}", "rows", digest(used))
        return Built(self._engine(key, network), ports, self.precision, padded=False, log=self._log)

    def _key(self, part: str, layouts: str, weights: str) -> EngineKey:
        fingerprint, version = self.model.fingerprint, self.trt.__version__
        return EngineKey(fingerprint, part, self.precision, layouts, weights, version, self.device)

    def _engine(self, key: EngineKey, network: Callable[[Graph], None]) -> Any:
        path = self.folder / key.file_name
        kept = _read(path)
        if kept and (engine := self._runtime.deserialize_cuda_engine(kept)) is not None:
            return engine
        plan = self._build(key.part, network)
        _write(path, plan)
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise self._failure(key.part, "load")
        return engine

    def _build(self, part: str, fill: Callable[[Graph], None]) -> bytes:
        """Build an engine, as the bytes that it is kept as."""
        self._log.errors.clear()
        network = self._builder.create_network(network_flags(self.trt))
        graph = Graph(self.trt, network, self.precision)
        try:
            fill(graph)
        except InputError as error:
            detail = f" ({last_error(self._log)})" if self._log.errors else ""
            raise InputError(f"model {self.model.name}: {error}{detail}") from None
        config = self._builder.create_builder_config()
        configure(self.trt, config, self.precision, WORKSPACE_BYTES)
        self._load_trials(config)
        serialized = self._builder.build_serialized_network(network=network, config=config)
        if serialized is None:
            raise self._failure(part, "build")
        _write(self._trials, bytes(config.get_timing_cache().serialize()))
        return bytes(serialized)

    def _load_trials(self, config: Any) -> None:
        for data in (_read(self._trials), b""):  # what TensorRT does not accept starts anew
            cache = config.create_timing_cache(data)
            if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
                return

    def _failure(self, part: str, action: str) -> Exception:
        what = f"{part} of {self.model.name}: TensorRT {self.trt.__version__} cannot {action} it"
        return failure(self._log, what, InputError)


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[:80]


def _read(path: Path) -> bytes:
    """What a file holds, nothing where there is none.

    Raises:
        InputError: it is there and cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    finally:
        temporary.unlink(missing_ok=True)
