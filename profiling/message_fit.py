"""The time of a message over a link: what is timed, and the line through it. No I/O here.

Every time is taken by one clock, so no two need to agree:

* **Messages.** Up, n bytes are answered by a tiny frame; down, a tiny one is answered by n bytes, or the other way
  about. Either takes n bytes one way and a tiny frame the other; half of the median tiny round trip is taken off for
  that. Sizes run from 1 kB in steps of four, as long as the link is fast enough; every pass visits all of them, so that
  a disturbance hits each size once, and medians over the passes drop it.
* **Message overhead.** ``t = t_msg + n s`` with one t_msg and a slope s for each direction, none negative. Relative
  errors are least, since jitter grows with the time of a message: as squares up to 5 %, beyond that as absolute values
  (soft L1), so that a size that was disturbed in most passes counts little. Half a tiny round trip is a sample too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Protocol

import numpy as np

from ..ui.errors import InputError
from .link_file import Samples

SIZES_BYTES = tuple(1024 * 4**k for k in range(7))  # 1 kB to 4 MB
LEAST_SIZES = 3
LEAST_PASSES, MOST_PASSES = 5, 101
PATIENCE = 5.0  # times as long as was asked for, where a link is too unsteady for a line until then
FIT_SCALE = 0.05  # relative error from which a sample counts less


class Channel(Protocol):
    """A link on which messages can be timed; 0 bytes are a tiny one."""

    def up_s(self, n_bytes: int) -> float:
        """Seconds of n bytes up and a tiny frame down."""
        ...

    def down_s(self, n_bytes: int) -> float:
        """Seconds of n bytes down and a tiny frame up."""
        ...


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
        InputError: an exchange took less than half a tiny round trip.
    """
    from scipy.optimize import least_squares  # takes longer to import than the rest of this package

    tiny_s = round_trip_s / 2
    samples_up = ((1, tiny_s), *((n, s - tiny_s) for n, s in up_s.items()))
    samples_down = ((1, tiny_s), *((n, s - tiny_s) for n, s in down_s.items()))
    times = np.array([s for _, s in samples_up + samples_down])
    if not _steady(round_trip_s, up_s, down_s):
        raise InputError("some messages were answered faster than tiny ones: the link is too unsteady, try again")
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


def time_messages(
    channel: Channel,
    seconds: float,
    tell: Callable[[float], None] = lambda share: None,
    clock: Callable[[], float] = time.perf_counter,
) -> MessageFit:
    """Time messages of several sizes and fit them.

    Args:
        channel: where they go.
        seconds: about how long; slow links and unsteady ones take longer.
        tell: gets the share of that which is done.
        clock: of seconds.

    Raises:
        InputError: the link is too unsteady.
    """
    tell(0.0)
    sizes = _sizes(channel, seconds)
    tiny, up, down = list[float](), {n: list[float]() for n in sizes}, {n: list[float]() for n in sizes}
    begin_s, passes, spent = clock(), 0, 0.0

    def medians() -> tuple[float, dict[int, float], dict[int, float]]:
        up_s, down_s = ({n: median(times) for n, times in way.items()} for way in (up, down))
        return median(tiny), up_s, down_s

    while (
        passes < LEAST_PASSES
        or (passes < MOST_PASSES and spent < 1.0)
        or (spent < PATIENCE and not _steady(*medians()))
    ):
        for n in sizes:
            channel.up_s(0)  # a large message just before would slow a tiny one
            tiny.append(channel.up_s(0))
            up[n].append(channel.up_s(n))
            down[n].append(channel.down_s(n))
        passes += 1
        spent = (clock() - begin_s) / seconds
        tell(min(1.0, max(spent, passes / MOST_PASSES), passes / LEAST_PASSES))
    return fit_messages(*medians())


def _steady(round_trip_s: float, up_s: Mapping[int, float], down_s: Mapping[int, float]) -> bool:
    """Whether every exchange took longer than its tiny frame; for the arguments see :func:`fit_messages`."""
    return 0.0 < round_trip_s / 2 < min(*up_s.values(), *down_s.values())


def _sizes(channel: Channel, seconds: float) -> list[int]:
    """Sizes that leave time for all passes; on the way up the connection warms up."""
    most_s = seconds / (2 * LEAST_PASSES) / 1.5  # all smaller sizes together add a third
    tiny_s = min(channel.up_s(0) for _ in range(LEAST_PASSES))
    sizes = list[int]()
    for n in SIZES_BYTES:
        last_s = max(channel.up_s(n), channel.down_s(n)) - tiny_s
        if last_s > most_s and len(sizes) >= LEAST_SIZES:
            break
        sizes.append(n)
    return sizes
