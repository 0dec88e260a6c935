"""A plain trace: what flows, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


class PlainTrace:
    """A rate that holds for every step and starts over at the end."""

    def __init__(self, lengths_s: Sequence[float], mbps: Sequence[float]) -> None:
        self.steps = list(zip(lengths_s, mbps, strict=True))
        self.period_s = sum(lengths_s)

    def from_time(self, start_s: float) -> Iterator[tuple[float, float]]:
        """(seconds, Mbit/s) of all that follows, the rest of the step at ``start_s`` first."""
        past_s = start_s % self.period_s
        while True:
            for length_s, mbps in self.steps:
                if past_s < length_s:
                    yield length_s - past_s, mbps
                past_s = max(past_s - length_s, 0.0)

    def at(self, t_s: float) -> float:
        return next(self.from_time(t_s))[1]

    def transfer_s(self, bits: float, start_s: float) -> float:
        """Seconds until ``bits`` have flowed."""
        spent_s = 0.0
        for length_s, mbps in self.from_time(start_s):
            if bits <= 1e6 * mbps * length_s:
                return spent_s + bits / (1e6 * mbps)
            bits -= 1e6 * mbps * length_s
            spent_s += length_s
        raise AssertionError("a trace has no end")
