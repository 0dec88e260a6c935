"""A stream of images under a plan, event by event: what steady-state throughput is held against.

Every device has three serial resources: its incoming link, which serves messages as they come, and its computing and
sending, which take the oldest image that waits; so has the requester, less the computing. Where all share the air, that
serves messages as they ask for it, instead of the incoming links.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count, islice

from splitgym.envs.distredge.system import System
from splitgym.models.plans import SpatialPlan

from .event_reference import Costs, stages

Key = tuple[int, ...]  # (image, stage) and for messages the receiver: the least goes first
Job = Callable[[Callable[[], None]], None]  # begins at once and calls what it is given when it is over


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
        self._waiting: list[tuple[Key, Job]] = []

    def offer(self, key: Key, job: Job) -> None:
        """Queue a job."""
        heapq.heappush(self._waiting, (key, job))
        if not self._busy:
            self._next()

    def _next(self) -> None:
        self._busy = bool(self._waiting)
        if not self._busy:
            return
        heapq.heappop(self._waiting)[1](self._next)


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

        def over_a_link(over: Callable[[], None]) -> None:
            link_free_s[d] = max(link_free_s[d], clock.now_s + message.link_from_s) + message.link_s
            clock.at(max(link_free_s[d], clock.now_s + message.arrives_s), lambda: came(i, k, d))
            clock.at(clock.now_s + message.occupies_s, over)

        def over_the_air(over: Callable[[], None]) -> None:
            def ask() -> None:
                link_free_s[0] = max(link_free_s[0], clock.now_s) + message.link_s
                copied_s = message.arrives_s - message.link_from_s - message.link_s
                clock.at(link_free_s[0] + copied_s, lambda: came(i, k, d))
                clock.at(link_free_s[0] + copied_s, over)

            clock.at(clock.now_s + message.link_from_s, ask)

        senders[s].offer((i, k, d), over_the_air if costs.shared else over_a_link)

    def came(i: int, k: int, d: int) -> None:
        missing[i, k, d] -= 1
        if missing[i, k, d] > 0:
            return
        if d == requester:
            ended_s[i] = clock.now_s
            scatter()
        else:

            def compute(over: Callable[[], None]) -> None:
                clock.at(clock.now_s + work[k].compute_s[d], lambda: part_over(i, k, d))
                clock.at(clock.now_s + work[k].compute_s[d], over)

            computers[d].offer((i, k), compute)

    def scatter() -> None:
        for i in islice(to_come, 1):
            for s, d, size in work[0].messages:
                send(i, 0, s, d, size)

    for _ in range(in_flight):
        scatter()
    clock.run()
    return ended_s
