"""What a controller has workers measure: the kernels of a network, and the link to each of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial

import numpy as np

from ..models.model import Model
from ..models.serial import to_plain
from ..profiling.link_file import MOST_TEXT, LinkMeasurement
from ..profiling.measure.copy_rates import copy_rates
from ..profiling.measure.journal import Samples
from ..profiling.measure.measuring import WHOLE, Cell, DeviceFailure, Extra, OutOfMemory, Run
from ..profiling.message_fit import time_messages
from ..ui.errors import InputError
from ..ui.validation import validated
from . import wire_requests
from .about import machine_words, software_version
from .controller import Controller
from .echo import EchoChannel

KERNEL_S = 600.0  # most that a request about kernels may take, to build a network on a slow board say
COPY_SHARE, MESSAGE_SHARE, STREAM_SHARE = 0.1, 0.5, 0.2  # of the time: copies at both ends, messages, each stream

Tell = Callable[[float, str], None]


class RemoteKernels:
    """A worker as the backend that a table is measured with (:class:`..profiling.measure.measuring.Backend`).

    Args:
        controller: in session with the worker.
        worker: its name.
        model: the network.

    Attributes:
        extras: operations that are no kernels, to be charged to kernels.
        whole: what prepares the whole network, if that can be timed.

    Raises (all methods):
        OutOfMemory, DeviceFailure: the worker says so.
        ClusterFailure: it refuses or is lost.
    """

    def __init__(self, controller: Controller, worker: str, model: Model) -> None:
        self._controller, self.worker, self.model = controller, worker, model
        found = self._ask(wire_requests.PrepareKernels, model=to_plain(model))
        if not isinstance(found, wire_requests.KernelsPrepared):
            raise DeviceFailure(f"{worker} tells no kernels")
        self.name, self.device, self.precision, self.software = (
            found.backend,
            found.device,
            found.precision,
            found.software,
        )
        self.note, self.passes = found.note, found.passes
        if any(kernel >= len(model.kernels) for _, kernel in found.extras):
            raise DeviceFailure(f"{worker} tells of kernels that {model.name} has not")
        self.extras = tuple(Extra(name, k, partial(self._prepare, name)) for name, k in found.extras)
        self.whole = partial(self._prepare, WHOLE, 1) if found.whole else None

    def prepare(self, kernel: int, rows: int) -> Run:
        """What runs rows of a kernel there."""
        return self._prepare(self.model.kernels[kernel].name, rows)

    def visit(self, cell: Cell, warmup: int, samples: int) -> Samples:
        """All runs of a cell by one request."""
        return np.array(self._times(cell.name, cell.size, warmup, samples))[:, None]

    def close(self) -> None:
        """Let the worker forget the network."""
        self._controller.reset(self.worker)

    def _prepare(self, name: str, rows: int) -> Run:
        return lambda: self._times(name, rows, 0, 1)[0]

    def _times(self, name: str, rows: int, warmup: int, samples: int) -> Sequence[float]:
        found = self._ask(wire_requests.TimeKernel, name=name, rows=rows, warmup=warmup, samples=samples)
        if not (isinstance(found, wire_requests.Timed) and len(found.values) == samples and _times(found.values)):
            raise DeviceFailure(f"{self.worker} tells no times")
        return found.values

    def _ask(self, kind: type[wire_requests.Request], **fields: object) -> wire_requests.AnyAnswer:
        found = self._controller.ask(self.worker, kind, KERNEL_S, **fields)
        if isinstance(found, wire_requests.Unable):
            raise (OutOfMemory if found.memory else DeviceFailure)(f"{self.worker}: {found.reason}")
        return found


def measure_link(controller: Controller, worker: str, peer: str, seconds: float, tell: Tell) -> LinkMeasurement:
    """Measure the link of a worker to this machine; nothing else may use it meanwhile.

    Args:
        controller: in session with the worker.
        worker: its name.
        peer: this machine's.
        seconds: about how long; slow links take longer.
        tell: gets the share of the work and what is done now.

    Raises:
        InputError: the worker is gone or silent, or a number cannot be right; the message names the worker.
    """
    welcome = controller.welcomes[worker]
    dialer = controller.network.dial(controller.data_address(worker), worker)
    try:
        tell(0.0, "copies")
        copies = _worker_copies(controller, worker, seconds * COPY_SHARE / 2)
        own = copy_rates(seconds * COPY_SHARE / 2)
        channel = EchoChannel(dialer, controller.session)
        fit = time_messages(
            channel, seconds * MESSAGE_SHARE, lambda share: tell(COPY_SHARE + share * MESSAGE_SHARE, "messages")
        )
        round_trip_s = 2 * fit.samples_up[0][1]
        tell(1.0 - 2 * STREAM_SHARE, "stream up")
        up_mbps = channel.stream_mbps(True, seconds * STREAM_SHARE, fit.up_mbps, round_trip_s)
        tell(1.0 - STREAM_SHARE, "stream down")
        down_mbps = channel.stream_mbps(False, seconds * STREAM_SHARE, fit.down_mbps, round_trip_s)
    except InputError as error:
        raise InputError(f"link of {worker}: {error}") from None
    finally:
        dialer.close()
    found = dict(
        device=worker,
        peer=peer,
        date=date.today().isoformat(),
        software=_about(welcome.software, welcome.machine),
        peer_software=_about(software_version(), machine_words()),
        t_msg_s=fit.t_msg_s,
        goodput_up_mbps=up_mbps,
        goodput_down_mbps=down_mbps,
        copy_out_bytes_per_s=copies[0],
        copy_in_bytes_per_s=copies[1],
        peer_copy_out_bytes_per_s=own[0],
        peer_copy_in_bytes_per_s=own[1],
        residual=fit.residual(up_mbps, down_mbps),
        samples_up=fit.samples_up,
        samples_down=fit.samples_down,
    )
    return validated(LinkMeasurement, found, f"link of {worker}: what was measured")


def _worker_copies(controller: Controller, worker: str, seconds: float) -> Sequence[float]:
    found = controller.ask(worker, wire_requests.TimeCopies, seconds + 60.0, seconds=seconds)
    if not (isinstance(found, wire_requests.Timed) and len(found.values) == 2 and _times(found.values)):
        raise InputError(found.reason if isinstance(found, wire_requests.Unable) else "tells no copy rates")
    return found.values


def _about(software: str, machine: str) -> str:
    return f"splitgym {software}, {machine}"[:MOST_TEXT].strip()


def _times(values: Sequence[float]) -> bool:
    """Whether a worker's numbers can be times or rates."""
    return all(math.isfinite(value) and value > 0 for value in values)
