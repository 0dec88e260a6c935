"""A stream of images under a plan, event by event: what steady-state throughput is held against.

Every device has three serial resources: its incoming link, which serves messages as they come, and its computing and
sending, which take the oldest image that waits; so has the requester, less the computing.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count, islice

from splitgym.envs.distredge.system import System
from splitgym.models.plans import SpatialPlan

from .event_reference import Costs, stages

Key = tuple[int, ...]  # (image, stage) and for messages the receiver: the least goes first


class Clock:
    """Calls functions at their times."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def at(self, time_s: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time_s, next(self._order), what))

    def run(self) -> None:
        while self._due:
            self.now_s, _, what = heapq.heappop(self._due)
            what()


class Server:
    """Does one job at a time, the least key first."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._busy = clock, False
        self._waiting: list[tuple[Key, float, Callable[[], None], Callable[[], None]]] = []

    def offer(self, key: Key, seconds: float, begun: Callable[[], None], done: Callable[[], None]) -> None:
        """Queue a job of that many seconds."""
        heapq.heappush(self._waiting, (key, seconds, begun, done))
        if not self._busy:
            self._next()

    def _next(self) -> None:
        self._busy = bool(self._waiting)
        if not self._busy:
            return
        _, seconds, begun, done = heapq.heappop(self._waiting)

        def over() -> None:
            done()
            self._next()

        begun()
        self._clock.at(self._clock.now_s + seconds, over)


def finished_s(system: System, plan: SpatialPlan, mbps: list[float], images: int, in_flight: int) -> list[float]:
    """When each of so many images is done, as many of them under way at once as allowed."""
    costs, work, requester, clock = Costs(system, mbps), stages(system, plan), len(mbps), Clock()
    senders, computers = ([Server(clock) for _ in range(requester + 1)] for _ in range(2))
    link_free_s = [0.0] * (requester + 1)
    ended_s, to_come = [0.0] * images, iter(range(images))
    missing: dict[Key, int] = {}  # (image, stage, device): messages to come and the part before
    for k, stage in enumerate(work):
        for d in [*stage.compute_s, requester]:
            before = any(d in earlier.compute_s for earlier in work[:k])
            comes = sum(receiver == d for _, receiver, _ in stage.messages)
            missing |= {(i, k, d): comes + before for i in range(images)}

    def part_over(i: int, k: int, d: int) -> None:
        """Send what later stages need of it, up to the next part, which has one thing less to wait for."""
        for later in range(k + 1, len(work)):
            for s, receiver, size in work[later].messages:
                if s == d:
                    send(i, later, s, receiver, size)
            if d in work[later].compute_s:
                came(i, later, d)
                return

    def send(i: int, k: int, s: int, d: int, size: float) -> None:
        message = costs.message(s, d, size)

        def begun() -> None:
            link_free_s[d] = max(link_free_s[d], clock.now_s + message.link_from_s) + message.link_s
            clock.at(max(link_free_s[d], clock.now_s + message.arrives_s), lambda: came(i, k, d))

        senders[s].offer((i, k, d), message.occupies_s, begun, lambda: None)

    def came(i: int, k: int, d: int) -> None:
        missing[i, k, d] -= 1
        if missing[i, k, d] > 0:
            return
        if d == requester:
            ended_s[i] = clock.now_s
            scatter()
        else:
            computers[d].offer((i, k), work[k].compute_s[d], lambda: None, lambda: part_over(i, k, d))

    def scatter() -> None:
        for i in islice(to_come, 1):
            for s, d, size in work[0].messages:
                send(i, 0, s, d, size)

    for _ in range(in_flight):
        scatter()
    clock.run()
    return ended_s
