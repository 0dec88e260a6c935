"""What a worker measures on a controller's request: its kernels as its backend runs them, and its copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..models.model import Model
from ..models.serial import model_from
from ..profiling.measure.copy_rates import copy_rates
from ..profiling.measure.machine import usable_cpus
from ..profiling.measure.measuring import WHOLE, Backend, Extra, OutOfMemory, Run
from ..ui.errors import InputError
from . import wire_requests


@dataclass(frozen=True)
class _Ready:
    """A network that a session's requests can time, and what prepares it as a whole."""

    session: str
    model: Model
    backend: Backend
    extras: Sequence[Extra] = ()
    whole: Callable[[], Run] | None = None


class Bench:
    """What is to be measured next, and the network that is ready for it.

    All but :meth:`do` are bookkeeping, under the worker's lock.

    Args:
        backend: what runs kernels, torch or tensorrt.
    """

    def __init__(self, backend: str = "torch") -> None:
        self._backend = backend
        self._next: wire_requests.AnyRequest | None = None
        self._cancelled = False
        self._ready: _Ready | None = None

    def put(self, request: wire_requests.AnyRequest) -> None:
        """Have something done next."""
        self._next = request

    def take(self) -> wire_requests.AnyRequest | None:
        """What is to be done now."""
        request, self._next = self._next, None
        if request is not None:
            self._cancelled = False
        return request

    def forget(self) -> None:
        """End what is being done, and free what is ready."""
        self._next, self._cancelled, self._ready = None, True, None

    def do(self, request: wire_requests.AnyRequest) -> wire_requests.AnyAnswer:
        """Do what a request asks; never raises, since a daemon outlives networks that cannot be run."""
        try:
            match request:
                case wire_requests.PrepareKernels():
                    return self._prepare(request)
                case wire_requests.TimeKernel():
                    values = self._times(self._run(request), request.warmup + request.samples)
                    return wire_requests.Timed(request.session, request.request, values[request.warmup :])
                case wire_requests.TimeCopies():
                    return wire_requests.Timed(request.session, request.request, copy_rates(request.seconds))
        except Exception as error:
            known = isinstance(error, InputError | OutOfMemory)
            reason = " ".join(f"{'' if known else type(error).__name__ + ': '}{error}".split())
            return wire_requests.Unable(request.session, request.request, reason[:1000], isinstance(error, OutOfMemory))

    def _prepare(self, request: wire_requests.PrepareKernels) -> wire_requests.KernelsPrepared:
        self._ready = None  # frees the one before
        ready = _ready(request.session, model_from(request.model), self._backend)
        self._ready, found = ready, ready.backend
        if self._cancelled:
            self._ready = None
        extras = tuple((extra.name, extra.kernel) for extra in ready.extras)
        return wire_requests.KernelsPrepared(
            request.session, request.request, found.name, found.device, found.precision, found.software, found.note,
            found.passes, extras, ready.whole is not None,
        )  # fmt: skip

    def _run(self, request: wire_requests.TimeKernel) -> Run:
        ready, name, rows = self._ready, request.name, request.rows
        if ready is None or ready.session != request.session:
            raise InputError("no network is ready to be timed")
        if name == WHOLE and ready.whole is not None:
            return ready.whole()
        extra = next((extra for extra in ready.extras if extra.name == name), None)
        k = extra.kernel if extra else next((k for k, kn in enumerate(ready.model.kernels) if kn.name == name), None)
        if k is None or not 1 <= rows <= ready.model.kernels[k].out_shape.height:
            raise InputError(f"{rows} rows of {name!r} are nothing that the network has")
        return extra.prepare(rows) if extra else ready.backend.prepare(k, rows)

    def _times(self, run: Run, count: int) -> tuple[float, ...]:
        found = []
        for _ in range(count):
            if self._cancelled:
                raise InputError("nobody waits for it any more")
            found.append(run())
        return tuple(found)


def _ready(session: str, model: Model, backend: str) -> _Ready:
    import torch  # only where something is computed

    if backend == "tensorrt":
        from ..models.runnable.units import build
        from ..profiling.measure.tensorrt_profiler import TensorRTBackend
        from ..trt_kernels.weights import torch_weights

        return _Ready(session, model, TensorRTBackend(model, torch_weights(build(model))))
    from ..profiling.measure.torch_profiler import TorchBackend

    threads = min(torch.get_num_threads(), usable_cpus())  # as many as plans are computed with
    found = TorchBackend(model, threads)
    return _Ready(session, model, found, found.extras, found.prepare_whole)
