"""Whether links are still what a plan was made for, told from how fast rows come over them. No I/O here.

Every pair's rate is compared with its own in the first items of the plan, so that neither clocks nor what a link is
said to carry matter. By how much a worker's link has changed is what all pairs have in common that send to it, or that
it sends to, so that who exchanges rows with a slow one is not taken for slow. A change counts once it has lasted, and
a new plan is asked for no more often than a pause allows. Plans load links differently, so every one begins its own
rates: a change that has not lasted by then goes unseen.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from .wire import Span

FACTOR, HOLD_S, PAUSE_S = 1.5, 3.0, 10.0
FIRST, RECENT = 5, 5  # items that make what a rate was, and what it is
LEAST_BYTES = 16 * 1024  # behind a message's first chunk that say anything about a rate
LEAST_S = 0.005  # that they are taken to need: what is quicker is the machine's own time

Pair = tuple[str, str]  # sender and receiver; the requester is ""


def rates_bytes_s(spans: Mapping[str, Iterable[Span]], members: Sequence[str]) -> dict[Pair, float]:
    """How fast rows of an item came, by pair; without pairs whose messages say nothing.

    Args:
        spans: what every worker did, and the requester's own under "".
        members: workers by the plan's devices.

    Returns:
        Pair -> bytes a second.
    """
    n_bytes, seconds = Counter[Pair](), dict[Pair, float]()
    for receiver, own in spans.items():
        for span in own:
            if span.kind == "receive" and span.rest_bytes >= LEAST_BYTES:
                pair = "" if span.label == "R" else members[int(span.label)], receiver
                n_bytes[pair] += span.rest_bytes
                seconds[pair] = seconds.get(pair, 0.0) + max(LEAST_S, span.rest_s)
    return {pair: n_bytes[pair] / took_s for pair, took_s in seconds.items()}


@dataclass
class _Rate:
    """One pair's: bytes a second of the plan's first items, and of the newest."""

    first: list[float] = field(default_factory=list)
    recent: list[float] = field(default_factory=list)

    def add(self, bytes_s: float) -> None:
        if len(self.first) < FIRST:
            self.first.append(bytes_s)
        else:
            self.recent = [*self.recent, bytes_s][-RECENT:]

    @property
    def ratio(self) -> float | None:
        """What it is over what it was; None where that is not known yet."""
        return median(self.recent) / median(self.first) if len(self.recent) == RECENT else None


class LinkWatch:
    """The links of a stream's workers. All factors are by how much rates have changed since the first plan.

    Args:
        factor: up or down by which a rate must change.
        hold_s: for so long.
        pause_s: between two plans that are asked for.
    """

    def __init__(self, factor: float = FACTOR, hold_s: float = HOLD_S, pause_s: float = PAUSE_S) -> None:
        self._factor, self._hold_s, self._pause_s = factor, hold_s, pause_s
        self._rates: dict[Pair, _Rate] = {}
        self._held: dict[str, float] = {}  # factors that have lasted
        self._at_first: Mapping[str, float] = {}  # those when the plan's first items came
        self._planned: Mapping[str, float] = {}  # those that the plan was made with
        self._since_s: dict[str, float] = {}  # links have not been what is held
        self._asked_s = -math.inf

    @property
    def factors(self) -> Mapping[str, float]:
        """Of links that have changed, as far as that has lasted."""
        return {name: factor for name, factor in self._held.items() if self._is_beyond(factor)}

    def planned(self, factors: Mapping[str, float], kept: bool = False) -> None:
        """A plan is carried out that was made with these factors.

        Args:
            kept: whether it is the one that has been carried out before.
        """
        self._planned = factors
        if not kept:
            self._at_first, self._rates, self._since_s = self.factors, {}, {}

    def saw(self, rates_bytes_s: Mapping[Pair, float], now_s: float) -> None:
        """How fast rows of an item came (:func:`rates_bytes_s`)."""
        for pair, bytes_s in rates_bytes_s.items():
            self._rates.setdefault(pair, _Rate()).add(bytes_s)
        for name in {name for pair in rates_bytes_s for name in pair if name}:
            self._judge(name, now_s)

    def asks(self, now_s: float) -> bool:
        """Whether links are other than the plan was made for, so that a new one is wanted now."""
        names = {*self._held, *self._planned}
        changed = any(self._is_beyond(self._held.get(n, 1.0) / self._planned.get(n, 1.0)) for n in names)
        if not changed or now_s - self._asked_s < self._pause_s:
            return False
        self._asked_s = now_s
        return True

    def _judge(self, name: str, now_s: float) -> None:
        ratio = self._ratio(name)
        if ratio is None:
            return
        factor = self._at_first.get(name, 1.0) * ratio
        if not self._is_beyond(factor / self._held.get(name, 1.0)):
            self._since_s.pop(name, None)
        elif now_s - self._since_s.setdefault(name, now_s) >= self._hold_s:
            self._held[name] = factor
            del self._since_s[name]

    def _ratio(self, name: str) -> float | None:
        """What a worker's link is over what it was: of either way the least change, of both the greater."""
        known = {pair: ratio for pair, rate in self._rates.items() if (ratio := rate.ratio) is not None}
        ways = [[ratio for pair, ratio in known.items() if pair[end] == name] for end in (0, 1)]
        return max((min(way, key=_change) for way in ways if way), key=_change, default=None)

    def _is_beyond(self, factor: float) -> bool:
        return not 1.0 / self._factor <= factor <= self._factor


def _change(ratio: float) -> float:
    return abs(math.log(ratio))
