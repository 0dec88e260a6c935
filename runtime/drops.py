"""What was dropped, by reason: a party counts it in one place, and tells its user from time to time. No I/O here."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

TELL_S = 60.0


class Drops:
    """Messages and connections that were dropped, by reason; shared by the threads of a party."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._told, self._told_s = 0, float("-inf")

    def add(self, reason: str) -> None:
        """One more."""
        with self._lock:
            self._counts[reason] += 1

    @property
    def counts(self) -> Mapping[str, int]:
        """How many so far, by reason."""
        with self._lock:
            return dict(self._counts)

    @property
    def total(self) -> int:
        """How many so far."""
        return sum(self.counts.values())

    def news(self, now_s: float) -> str:
        """A line for people where something is new since the last, at most once a minute; else empty."""
        return self.rest(now_s) if now_s - self._told_s >= TELL_S else ""

    def rest(self, now_s: float) -> str:
        """A line where something is new since the last; else empty."""
        counts = self.counts
        total = sum(counts.values())
        if total == self._told:
            return ""
        self._told, self._told_s = total, now_s
        return "dropped so far: " + ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
