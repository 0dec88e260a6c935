"""Where an image's latency goes: the chain of parts and messages that its end waited for, by term.

The chain is walked back from the last byte of the result: what ended last before something began is what it waited
for. The terms of a trace add up to its latency.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...runtime.geometry import REQUESTER
from .traces import TAIL, Compute, Message, Trace

TERMS = {
    "compute": "parts of volumes",
    "tail": "the unsplit end of the network",
    "t_msg": "fixed cost of messages",
    "rate": "bytes over the links",
    "copies": "copies and serialisation at both ends",
    "shared link": "others on the receiver's link",
    "waiting": "for earlier messages of the same sender",
    "runtime": "the runtime's own: threads, queues, sockets",
}
SLACK_S = 1e-9  # of sums of floats


def terms(trace: Trace, boundaries: Sequence[int], last: int, is_measured: bool) -> dict[str, float]:
    """Seconds by term.

    Args:
        trace: an image that went through alone.
        boundaries: where volumes begin, in order; ``last`` lies behind the last unit.
        is_measured: whether gaps are the runtime's own; in the physics they are the receiver's link.
    """
    return _Walk(trace, boundaries, last, "runtime" if is_measured else "shared link").total


class _Walk:
    def __init__(self, trace: Trace, boundaries: Sequence[int], last: int, gaps: str) -> None:
        self._trace, self._boundaries, self._last, self._gaps = trace, boundaries, last, gaps
        self.total = dict.fromkeys(TERMS, 0.0)
        results = [m for m in trace.messages if m.receiver == REQUESTER]
        at: Compute | Message | None = max(results, key=lambda m: m.there_s, default=None)
        now_s = trace.latency_s
        while at is not None:
            end_s = at.end_s if isinstance(at, Compute) else at.there_s
            self.total[self._gaps] += now_s - end_s
            now_s, at = self._part(at) if isinstance(at, Compute) else self._message(at)
        self.total[self._gaps] += now_s

    def _part(self, part: Compute) -> tuple[float, Compute | Message | None]:
        """Attribute a part; returns when it began and what it waited for."""
        self.total["tail" if part.label == TAIL else "compute"] += part.end_s - part.start_s
        boundary = self._last if part.label == TAIL else self._boundaries[int(part.label)]
        rows = [m for m in self._trace.messages if (m.receiver, m.boundary) == (part.device, boundary)]
        own = self._before(part.device, part.start_s)
        latest = max((m for m in rows if m.there_s <= part.start_s + SLACK_S), key=lambda m: m.there_s, default=None)
        if own is not None and (latest is None or own.end_s >= latest.there_s):
            return part.start_s, own
        return part.start_s, latest

    def _message(self, message: Message) -> tuple[float, Compute | Message | None]:
        """Attribute a message and those that it waited for; returns when the first began and what that waited for."""
        took_s = message.there_s - message.start_s
        shares = {
            "t_msg": message.fixed_s, "copies": message.copy_s, "rate": message.rate_s, "shared link": message.shared_s,
        }  # fmt: skip
        for term, seconds in shares.items():
            self.total[term] += seconds
        self.total["runtime"] += took_s - sum(shares.values())
        now_s = message.start_s
        while True:
            before = [m for m in self._trace.messages if m.sender == message.sender and m.start_s < now_s - SLACK_S]
            queued = max(before, key=lambda m: m.start_s, default=None)
            own = None if message.sender == REQUESTER else self._before(message.sender, now_s)
            own_s = own.end_s if own is not None else 0.0
            if queued is None or min(queued.left_s, now_s) <= own_s:
                return now_s, own
            self.total["waiting"] += now_s - max(queued.start_s, own_s)
            now_s = max(queued.start_s, own_s)

    def _before(self, device: int, now_s: float) -> Compute | None:
        """The device's last part that ended by then."""
        ended = [c for c in self._trace.computes if c.device == device and c.end_s <= now_s + SLACK_S]
        return max(ended, key=lambda c: c.end_s, default=None)
