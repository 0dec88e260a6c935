"""Kernels timed as TensorRT engines.

Every kernel at some number of rows is an engine of its own: the rows in the middle of its map, from the rows that
they read; all rows run the whole kernel. Norms are folded into convolutions and activations fused by TensorRT, and
additions and concatenations cost nothing here, since inside a larger engine they are fused too. Input and output stay
in whatever memory layout TensorRT likes best, as between two kernels of one engine.

There are two sources of times:

* CUDA events around one execution, on one stream. On small kernels they contain the time that the host takes to start
  them.
* TensorRT's own profiler (``IProfiler``): the sum over the layers of an engine, or each of them
  (:meth:`TensorRTBackend.layer_times_s`). DistrEdge took its profiles with it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ...models.model import Model
from ...trt_kernels.engines import Engines
from ...trt_kernels.execute import Runner
from ...trt_kernels.gpu import Gpu
from ...trt_kernels.versions import load_tensorrt, strongly_typed
from ...trt_kernels.weights import KernelWeights
from ...ui.errors import InputError
from .machine import board_name, slug
from .measuring import DeviceFailure, OutOfMemory, Run

TIMERS = {"events": "CUDA events around each run", "profiler": "times by TensorRT's profiler"}  # with notes
_GPU_CLOCKS = Path("/sys/class/devfreq")
_GPU_SUFFIXES = (".gpu", ".gp10b", ".gv11b", ".ga10b")  # what Jetsons call their GPU


class TensorRTBackend:
    """Times kernels of a model with TensorRT; see the module and :class:`.measuring.Backend`.

    Args:
        model: the network.
        weights: one mapping for every kernel (:func:`...trt_kernels.weights.torch_weights`). Engines are kept for any
            weights: what they are changes no time.
        precision: FP16 or FP32.
        cache_dir: where engines and timing caches are kept, by default below the user's cache folder.
        device: name in tables; by default that of the board, or of the GPU in a PC.
        timer: a key of ``TIMERS``, where times come from.

    Raises:
        InputError: TensorRT or PyCUDA or a GPU is missing, the weights are another model's, or an unknown precision
            or timer.
    """

    name = "tensorrt"
    passes = 1

    def __init__(
        self,
        model: Model,
        weights: Sequence[KernelWeights],
        precision: str = "FP16",
        cache_dir: Path | None = None,
        device: str | None = None,
        timer: str = "events",
    ) -> None:
        if timer not in TIMERS:
            raise InputError(f"timer is {timer!r}, allowed: {', '.join(TIMERS)}")
        self._trt = load_tensorrt()
        self._gpu = Gpu()
        self.precision, self._timer = precision, timer
        self.software = f"TensorRT {self._trt.__version__}, CUDA {self._gpu.cuda}"
        board = board_name()
        self.device = device or slug(board if "jetson" in board.lower() else self._gpu.name)
        allowed = precision == "FP16" and not strongly_typed(self._trt)
        notes = ["FP16 allowed: a kernel may run in FP32"] if allowed else []
        self.note = "; ".join((f"one engine a kernel, {TIMERS[timer]}", *notes, *power_notes()))
        with self._gpu.current():
            about = f"{self._gpu.name} {self._gpu.capability}"
            self._engines = Engines(self._trt, model, weights, about, precision, cache_dir)

    def prepare(self, kernel: int, rows: int) -> Run:
        """What runs ``rows`` output rows of ``Model.kernels[kernel]`` once; builds its engine where there is none.

        Raises:
            OutOfMemory: the GPU has not enough memory; the run raises it, too.
            DeviceFailure: the GPU or TensorRT fails; the run raises it, too.
            InputError: TensorRT cannot build the engine.
        """
        runner = self._runner(kernel, rows)
        with self._device_errors():
            layer_times_s = runner.layer_timer() if self._timer == "profiler" else None

        def run() -> float:
            with self._device_errors():
                return runner.seconds() if layer_times_s is None else sum(layer_times_s().values())

        return run

    def layer_times_s(self, kernel: int, rows: int, runs: int = 20) -> dict[str, float]:
        """Mean seconds of every layer of a kernel's engine, by TensorRT's own profiler.

        Raises:
            OutOfMemory, DeviceFailure, InputError: as :meth:`prepare`.
        """
        runner = self._runner(kernel, rows)
        with self._device_errors():
            return runner.layer_times_s(runs)

    def _runner(self, kernel: int, rows: int) -> Runner:
        with self._device_errors():
            with self._gpu.current():
                built = self._engines.kernel(kernel, rows)
            runner = Runner(self._trt, self._gpu, built)
            runner.fill()
        return runner

    @contextmanager
    def _device_errors(self) -> Iterator[None]:
        """Turn shortage of memory into :class:`OutOfMemory`, what else fails on the GPU into :class:`DeviceFailure`."""
        try:
            yield
        except MemoryError as error:
            raise OutOfMemory(str(error)) from None
        except (RuntimeError, self._gpu.driver.Error) as error:
            raise DeviceFailure(str(error)) from None


def power_notes(command: Callable[[Sequence[str]], str] | None = None, clocks: Path = _GPU_CLOCKS) -> list[str]:
    """How fast the GPU may run, as far as it can be read: settings, not the clock of this moment.

    On a Jetson the power mode (nvpmodel) and the range of the GPU's clock (one value after jetson_clocks), on a PC the
    highest clock and the power limit (nvidia-smi).
    """
    command = command or _first_line
    notes = []
    mode = command(("nvpmodel", "-q"))
    if ":" in mode:
        notes.append(f"power mode {mode.partition(':')[2].strip()}")
    for gpu in sorted(path for path in clocks.glob("*") if path.suffix in _GPU_SUFFIXES):
        try:
            low, high = (int((gpu / name).read_text()) / 1e6 for name in ("min_freq", "max_freq"))
        except (OSError, ValueError):
            continue
        notes.append(f"GPU clock {high:.0f} MHz" if low == high else f"GPU clock {low:.0f} to {high:.0f} MHz")
    limits = command(("nvidia-smi", "--query-gpu=clocks.max.sm,power.limit", "--format=csv,noheader"))
    if "," in limits:
        clock, power = (part.strip() for part in limits.split(",")[:2])
        notes.append(f"GPU clock up to {clock}, power limit {power}")
    return notes


def _first_line(command: Sequence[str]) -> str:
    """The first line that a program prints, empty where there is no such program or it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.partition("\n")[0].strip() if done.returncode == 0 else ""
