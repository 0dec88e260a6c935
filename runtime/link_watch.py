"""Whether links are still what a plan was made for, told from how fast rows really leave. No I/O here.

Every worker's rate is compared with its own in the first items of the plan, so that neither clocks nor what a link is
said to carry matter. It has changed when it has been beyond a factor for a while, and a new plan is asked for no more
often than a pause allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from .wire import Span

FACTOR, HOLD_S, PAUSE_S = 1.5, 3.0, 10.0
FIRST, RECENT = 5, 5  # items that make what a rate was, and what it is
LEAST_BYTES = 16 * 1024  # of a message that says anything about a rate


@dataclass
class _Rate:
    """One worker's: bytes a second of the first items, and of the newest."""

    first: list[float] = field(default_factory=list)
    recent: list[float] = field(default_factory=list)
    since_s: float | None = None  # it has been beyond the factor

    @property
    def factor(self) -> float:
        """What it is over what it was; 1 where that is not known yet."""
        known = len(self.first) == FIRST and self.recent
        return median(self.recent) / median(self.first) if known else 1.0


class LinkWatch:
    """The rates of a stream's workers.

    Args:
        factor: up or down by which a rate must change.
        hold_s: for so long.
        pause_s: between two plans that are asked for.
    """

    def __init__(self, factor: float = FACTOR, hold_s: float = HOLD_S, pause_s: float = PAUSE_S) -> None:
        self._factor, self._hold_s, self._pause_s = factor, hold_s, pause_s
        self._rates: dict[str, _Rate] = {}
        self._before: Mapping[str, float] = {}  # factors that the plan was made with
        self._asked_s = -1e9

    @property
    def factors(self) -> Mapping[str, float]:
        """By how much rates have changed since the first plan; without those that have not."""
        now = {name: rate.factor for name, rate in self._rates.items() if self._is_beyond(rate)}
        return {name: self._before.get(name, 1.0) * now.get(name, 1.0) for name in {*self._before, *now}}

    def _is_beyond(self, rate: _Rate) -> bool:
        return not 1.0 / self._factor <= rate.factor <= self._factor

    def planned(self) -> None:
        """A new plan is being served: what is seen from now on is what it was made for."""
        self._before, self._rates = self.factors, {}

    def saw(self, spans: Mapping[str, Iterable[Span]], now_s: float) -> bool:
        """What workers did for an item; whether links have changed so that a new plan is wanted."""
        for name, own in spans.items():
            rate_bytes_s = sent_bytes_s(own)
            if name and rate_bytes_s is not None:
                self._add(self._rates.setdefault(name, _Rate()), rate_bytes_s, now_s)
        held = [r for r in self._rates.values() if r.since_s is not None and now_s - r.since_s >= self._hold_s]
        if not held or now_s - self._asked_s < self._pause_s:
            return False
        self._asked_s = now_s
        return True

    def _add(self, rate: _Rate, rate_bytes_s: float, now_s: float) -> None:
        if len(rate.first) < FIRST:
            rate.first.append(rate_bytes_s)
            return
        rate.recent = [*rate.recent, rate_bytes_s][-RECENT:]
        if not self._is_beyond(rate):
            rate.since_s = None
        elif rate.since_s is None:
            rate.since_s = now_s


def sent_bytes_s(spans: Iterable[Span]) -> float | None:
    """Bytes a second of the messages among what a worker did, without what they waited; None where none says it."""
    sent = [s for s in spans if s.kind == "send" and s.size_bytes >= LEAST_BYTES]
    seconds = sum(s.end_s - s.start_s - s.wait_s - s.copy_s for s in sent)
    return sum(s.size_bytes for s in sent) / seconds if seconds > 0 else None
