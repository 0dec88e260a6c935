"""The measuring end of the network probe.

Every time is taken by one clock, so no two need to agree:

* **Messages.** Up, n bytes are answered by one byte; down, a tiny request is answered by n bytes. Either takes n bytes
  one way and a tiny frame the other; half of the median tiny round trip is taken off for that. Sizes run from 1 kB in
  steps of four, as long as the link is fast enough; every pass visits all of them, so that a disturbance hits each size
  once, and medians over the passes drop it.
* **Message overhead.** ``t = t_msg + n s`` with one t_msg and a slope s for each direction, none negative. Relative
  errors are least, since jitter grows with the time of a message: as squares up to 5 %, beyond that as absolute values
  (soft L1), so that a size that was disturbed in most passes counts little. Half a tiny round trip is a sample too.
* **Goodput.** A stream in each direction for a bounded time, timed where it arrives, from the end of its first chunk.
* **Copies.** Measured at each end without the network (:func:`splitgym.profiling.measure.copy_rates.copy_rates`).
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from statistics import median

import numpy as np

from ...ui.addresses import address_text
from ...ui.errors import InputError
from ...ui.validation import validated
from ..link_file import LinkMeasurement, Samples
from ..measure.copy_rates import copy_rates
from .wire import (
    HELLO_S,
    MOST_STREAM_BYTES,
    SESSION_S,
    Kind,
    ProbeError,
    Wire,
    filler,
    numbers_payload,
    receive_hello,
    receive_report,
    receive_stream,
    send_json,
    send_stream,
)

SIZES_BYTES = tuple(1024 * 4**k for k in range(7))  # 1 kB to 4 MB
LEAST_SIZES = 3
LEAST_PASSES, MOST_PASSES = 5, 101
DEFAULT_S = 10.0
FIT_SCALE = 0.05  # relative error from which a sample counts less
COPY_SHARE, MESSAGE_SHARE, STREAM_SHARE = 0.1, 0.5, 0.2  # of the time: copies at each end, messages, each stream
COPY_NAMES = ("copy_out_bytes_per_s", "copy_in_bytes_per_s")

Tell = Callable[[float, str], None]


@dataclass(frozen=True)
class MessageFit:
    """The line through message times.

    Attributes:
        t_msg_s: at no bytes.
        up_mbps, down_mbps: slopes as rates; infinite where time does not grow with size.
        samples_up, samples_down: (bytes, seconds) of one message one way.
    """

    t_msg_s: float
    up_mbps: float
    down_mbps: float
    samples_up: Samples
    samples_down: Samples

    def residual(self, up_mbps: float, down_mbps: float) -> float:
        """Median of |sample - line| / sample, the lines being t_msg_s + 8 n / rate."""
        rated = [(n, s, up_mbps) for n, s in self.samples_up] + [(n, s, down_mbps) for n, s in self.samples_down]
        return median(abs(s - self.t_msg_s - 8e-6 * n / mbps) / s for n, s, mbps in rated)


def fit_messages(round_trip_s: float, up_s: Mapping[int, float], down_s: Mapping[int, float]) -> MessageFit:
    """Fit message times (see the module's description).

    Args:
        round_trip_s: of tiny frames.
        up_s, down_s: seconds of an exchange by its bytes; a tiny frame goes the other way.

    Raises:
        ProbeError: an exchange took less than half a tiny round trip.
    """
    from scipy.optimize import least_squares  # takes longer to import than the rest of this package

    tiny_s = round_trip_s / 2
    samples_up = ((1, tiny_s), *((n, s - tiny_s) for n, s in up_s.items()))
    samples_down = ((1, tiny_s), *((n, s - tiny_s) for n, s in down_s.items()))
    times = np.array([s for _, s in samples_up + samples_down])
    if times.min() <= 0:
        raise ProbeError("answered some messages faster than tiny ones: the link is too unsteady, try again")
    rows = [(1.0, n / 1e6, 0.0) for n, _ in samples_up] + [(1.0, 0.0, n / 1e6) for n, _ in samples_down]
    weighted = np.array(rows) / times[:, None]
    first = [tiny_s, *(1e6 * samples[-1][1] / samples[-1][0] for samples in (samples_up, samples_down))]
    found = least_squares(
        lambda line: weighted @ line - 1.0, first, bounds=(0.0, np.inf),
        loss="soft_l1", f_scale=FIT_SCALE, x_scale="jac", xtol=1e-12, ftol=1e-12, gtol=1e-12,
    )  # fmt: skip
    t_msg, *slopes = found.x.tolist()
    rates = [8.0 / slope if slope > 0 else float("inf") for slope in slopes]
    return MessageFit(t_msg, rates[0], rates[1], samples_up, samples_down)


def measure(
    host: str, port: int, device: str, software: str, seconds: float = DEFAULT_S, tell: Tell = lambda share, text: None
) -> LinkMeasurement:
    """Measure the link to a serving machine.

    Args:
        host, port: where it serves.
        device, software: what this end tells it about itself.
        seconds: about how long to measure; slow links take longer.
        tell: gets the share of the work and what is done now.

    Returns:
        What goes into the link file.

    Raises:
        InputError: no connection, the server vanished or is none, or a number that cannot be right; one line.
    """
    where = address_text(host, port)
    stage = hello = "hello"

    def begin(share: float, text: str) -> None:
        nonlocal stage
        stage = text
        tell(share, text)

    try:
        with _connect(host, port) as connection, Wire(connection, HELLO_S) as wire:
            return measure_over(wire, device, software, seconds, begin)
    except ProbeError as error:
        hint = "; is splitgym-profile --network serve running there, and free?" if stage == hello else ""
        raise InputError(f"--network {where}: at the {stage} the other end {error}{hint}") from None
    except InputError as error:
        raise InputError(f"--network {where}: {error}") from None


def measure_over(wire: Wire, device: str, software: str, seconds: float, tell: Tell) -> LinkMeasurement:
    """:func:`measure` on a connection.

    Raises:
        ProbeError: the other end vanished, or did what is not allowed.
        InputError: a number cannot be right.
    """
    send_json(wire, Kind.HELLO, {"device": device, "software": software})
    peer, peer_software = receive_hello(wire)
    wire.last(SESSION_S)
    tell(0.0, "copies")
    copies = copy_rates(seconds * COPY_SHARE / 2)
    wire.send(Kind.COPY, numbers_payload(seconds * COPY_SHARE / 2))
    peer_copies = receive_report(wire, COPY_NAMES)
    fit = _messages(wire, seconds * MESSAGE_SHARE, lambda share: tell(COPY_SHARE + share * MESSAGE_SHARE, "messages"))
    tell(1.0 - 2 * STREAM_SHARE, "stream up")
    up_mbps = _stream_up_mbps(wire, seconds * STREAM_SHARE, fit.up_mbps)
    tell(1.0 - STREAM_SHARE, "stream down")
    down_mbps = _stream_down_mbps(wire, seconds * STREAM_SHARE, fit.down_mbps)
    wire.send(Kind.BYE)
    found = dict(
        device=device,
        peer=peer,
        date=date.today().isoformat(),
        software=software,
        peer_software=peer_software,
        t_msg_s=fit.t_msg_s,
        goodput_up_mbps=up_mbps,
        goodput_down_mbps=down_mbps,
        copy_out_bytes_per_s=copies[0],
        copy_in_bytes_per_s=copies[1],
        peer_copy_out_bytes_per_s=peer_copies[0],
        peer_copy_in_bytes_per_s=peer_copies[1],
        residual=fit.residual(up_mbps, down_mbps),
        samples_up=fit.samples_up,
        samples_down=fit.samples_down,
    )
    return validated(LinkMeasurement, found, "what was measured")


def _connect(host: str, port: int) -> socket.socket:
    try:
        return socket.create_connection((host, port), timeout=HELLO_S)
    except (socket.gaierror, UnicodeError):
        raise InputError("no machine of that name is known here") from None
    except ConnectionRefusedError:
        raise InputError("connection refused; is splitgym-profile --network serve running there?") from None
    except TimeoutError:
        raise InputError(f"no reply within {HELLO_S:g} s; is the address right, and no firewall between?") from None
    except OSError as error:
        raise InputError(f"cannot be reached ({error.strerror or error})") from None


def _messages(wire: Wire, seconds: float, tell: Callable[[float], None]) -> MessageFit:
    tell(0.0)
    sizes = _sizes(wire, seconds)
    tiny, up, down = list[float](), {n: list[float]() for n in sizes}, {n: list[float]() for n in sizes}
    begin_s, passes, spent = time.perf_counter(), 0, 0.0
    while passes < LEAST_PASSES or (passes < MOST_PASSES and spent < 1.0):
        for n in sizes:
            _up_s(wire, 1)  # a large message just before would slow a tiny one
            tiny.append(_up_s(wire, 1))
            up[n].append(_up_s(wire, n))
            down[n].append(_down_s(wire, n))
        passes += 1
        spent = (time.perf_counter() - begin_s) / seconds
        tell(min(1.0, max(spent, passes / MOST_PASSES), passes / LEAST_PASSES))
    medians = [{n: median(times) for n, times in way.items()} for way in (up, down)]
    return fit_messages(median(tiny), *medians)


def _sizes(wire: Wire, seconds: float) -> list[int]:
    """Sizes that leave time for all passes; on the way up the connection warms up."""
    most_s = seconds / (2 * LEAST_PASSES) / 1.5  # all smaller sizes together add a third
    tiny_s = min(_up_s(wire, 1) for _ in range(LEAST_PASSES))
    sizes = list[int]()
    for n in SIZES_BYTES:
        last_s = max(_up_s(wire, n), _down_s(wire, n)) - tiny_s
        if last_s > most_s and len(sizes) >= LEAST_SIZES:
            break
        sizes.append(n)
    return sizes


def _up_s(wire: Wire, n_bytes: int) -> float:
    begin_s = time.perf_counter()
    wire.send(Kind.MESSAGE, filler(n_bytes))
    wire.receive(Kind.ACK)
    return time.perf_counter() - begin_s


def _down_s(wire: Wire, n_bytes: int) -> float:
    begin_s = time.perf_counter()
    wire.send(Kind.WANT, struct.pack("!I", n_bytes))
    _, payload = wire.receive(Kind.MESSAGE)
    seconds = time.perf_counter() - begin_s
    if len(payload) != n_bytes:
        raise ProbeError(f"sent {len(payload)} bytes where {n_bytes} were asked for")
    return seconds


def _stream_up_mbps(wire: Wire, seconds: float, about_mbps: float) -> float:
    send_stream(wire, seconds, _stream_bytes(seconds, about_mbps))
    n_bytes, took_s = receive_report(wire, ("n_bytes", "seconds"))
    return 8e-6 * n_bytes / took_s


def _stream_down_mbps(wire: Wire, seconds: float, about_mbps: float) -> float:
    wire.send(Kind.FLOOD, numbers_payload(seconds, _stream_bytes(seconds, about_mbps)))
    wire.receive(Kind.CHUNK)
    n_bytes, took_s = receive_stream(wire)
    return 8e-6 * n_bytes / took_s


def _stream_bytes(seconds: float, about_mbps: float) -> float:
    """Enough for ``seconds`` at twice the rate that messages went at: a bound, not the aim."""
    return min(float(MOST_STREAM_BYTES), 2 * about_mbps / 8e-6 * seconds)
