"""Virtual time: what is due, in order; equal times in the order in which they were asked for."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

Call = Callable[..., Any]


class Loop:
    """A clock and what is due on it.

    Attributes:
        now_s: the time now.
        events: how many have happened.
    """

    def __init__(self) -> None:
        self.now_s = 0.0
        self.events = 0
        self._due: list[tuple[float, int, Call, tuple[Any, ...]]] = []
        self._asked = 0

    def after(self, delay_s: float, call: Call, *args: Any) -> None:
        """Have something happen later."""
        self._asked += 1
        heapq.heappush(self._due, (self.now_s + delay_s, self._asked, call, args))

    def run(self, until: Callable[[], bool], most_s: float) -> bool:
        """Let time go on until something holds; whether it does before ``most_s``."""
        due, pop = self._due, heapq.heappop
        while not until():
            if not due or due[0][0] > most_s:
                return False
            self.now_s, _, call, args = pop(due)
            self.events += 1
            call(*args)
        return True
