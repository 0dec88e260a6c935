"""The two-stage pipeline event by event: minibatch after minibatch through client, link, server, link and client.

It shares nothing with :mod:`.pipeline` but its meaning, takes up- and downlink times of their own, and times that
change from minibatch to minibatch.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Times = npt.ArrayLike  # one number, or one for each minibatch

FORWARD, UP, SERVER, DOWN, BACKWARD = range(5)
CLIENT_CPU, UPLINK, SERVER_GPU, DOWNLINK, SHARED_LINK = range(5)


@dataclass(frozen=True)
class Stages:
    """Seconds of a minibatch in every stage.

    ``forward``, ``backward``: client; ``up``, ``down``: occupancy of the link; ``server``: both passes;
    ``up_latency``, ``down_latency``: delay behind each way.
    """

    forward: Times
    up: Times
    server: Times
    down: Times
    backward: Times
    up_latency: Times = 0.0
    down_latency: Times = 0.0


def simulate(
    stages: Stages, minibatches: int, in_flight: int, half_duplex: bool = False, order: str = "strict"
) -> np.ndarray:
    """Run a pipeline from empty.

    Args:
        stages: seconds of the stages.
        minibatches: how many go through.
        in_flight: most of them between the start of their forward and the end of their backward pass, K.
        half_duplex: whether both ways share the link, first come, first served.
        order: of the client: strict (1F1B: after every backward pass the next forward pass, then the next backward
            pass) or ready-backward (whichever backward pass is ready goes first, though a forward pass may start).

    Returns:
        (minibatches,) seconds at which each has finished its backward pass.
    """
    return _Run(stages, minibatches, in_flight, half_duplex, order).run()


class _Run:
    """One simulation: who waits for which resource, and what has happened."""

    def __init__(self, stages: Stages, minibatches: int, in_flight: int, half_duplex: bool, order: str) -> None:
        if order not in ("strict", "ready-backward"):
            raise ValueError(f"order is {order!r}, it must be strict or ready-backward")
        self._seconds = [
            np.broadcast_to(np.asarray(t, dtype=float), (minibatches,)).tolist()
            for t in (stages.forward, stages.up, stages.server, stages.down, stages.backward)
        ]
        self._latency = {
            UP: np.broadcast_to(np.asarray(stages.up_latency, dtype=float), (minibatches,)).tolist(),
            DOWN: np.broadcast_to(np.asarray(stages.down_latency, dtype=float), (minibatches,)).tolist(),
        }
        links = (SHARED_LINK, SHARED_LINK) if half_duplex else (UPLINK, DOWNLINK)
        self._resource = (CLIENT_CPU, links[0], SERVER_GPU, links[1], CLIENT_CPU)
        self._count, self._strict = minibatches, order == "strict"
        self._waiting: dict[int, list[tuple[float, int, int]]] = {r: [] for r in (*links, SERVER_GPU)}
        self._busy = dict.fromkeys((CLIENT_CPU, *links, SERVER_GPU), False)
        self._events: list[tuple[float, int, int, int]] = []  # time, number, kind (stage or -stage-1), minibatch
        self._number = 0
        self._window = in_flight
        self._begun = self._returned = 0
        self._ready: set[int] = set()  # minibatches whose gradients are back
        self._client_order = self._strict_order(in_flight)
        self.done = np.full(minibatches, np.nan)

    def _strict_order(self, in_flight: int) -> list[tuple[int, int]]:
        """(stage, minibatch) in the order in which a strict client runs them."""
        warm = min(in_flight, self._count)
        order = [(FORWARD, i) for i in range(warm)]
        for i in range(self._count):
            order.append((BACKWARD, i))
            if i + warm < self._count:
                order.append((FORWARD, i + warm))
        return order[::-1]

    def run(self) -> np.ndarray:
        self._client(0.0)
        while self._events:
            now, _, kind, minibatch = heapq.heappop(self._events)
            if kind < 0:
                self._arrived(now, -kind - 1, minibatch)
            else:
                self._ended(now, kind, minibatch)
        return self.done

    def _push(self, time: float, kind: int, minibatch: int) -> None:
        self._number += 1
        heapq.heappush(self._events, (time, self._number, kind, minibatch))

    def _start(self, now: float, stage: int, minibatch: int) -> None:
        self._busy[self._resource[stage]] = True
        self._push(now + self._seconds[stage][minibatch], stage, minibatch)

    def _ended(self, now: float, stage: int, minibatch: int) -> None:
        """A stage is over: its resource is free, the minibatch goes on (behind a link after its latency)."""
        self._busy[self._resource[stage]] = False
        if stage == BACKWARD:
            self.done[minibatch] = now
            self._returned += 1
        else:
            self._push(now + self._latency.get(stage, [0.0] * self._count)[minibatch], -(stage + 1) - 1, minibatch)
        self._next(now, self._resource[stage])

    def _arrived(self, now: float, stage: int, minibatch: int) -> None:
        """A minibatch is ready for a stage."""
        if stage == BACKWARD:
            self._ready.add(minibatch)
        else:
            heapq.heappush(self._waiting[self._resource[stage]], (now, minibatch, stage))
        self._next(now, self._resource[stage])

    def _next(self, now: float, resource: int) -> None:
        if self._busy[resource]:
            return
        if resource == CLIENT_CPU:
            self._client(now)
        elif self._waiting[resource]:
            _, minibatch, stage = heapq.heappop(self._waiting[resource])
            self._start(now, stage, minibatch)

    def _client(self, now: float) -> None:
        step = self._strict_step() if self._strict else self._ready_step()
        if step is not None:
            self._start(now, *step)

    def _strict_step(self) -> tuple[int, int] | None:
        if not self._client_order:
            return None
        stage, minibatch = self._client_order[-1]
        if stage == BACKWARD and minibatch not in self._ready:
            return None
        return self._client_order.pop()

    def _ready_step(self) -> tuple[int, int] | None:
        if self._ready:
            minibatch = min(self._ready)
            self._ready.remove(minibatch)
            return BACKWARD, minibatch
        if self._begun < self._count and self._begun - self._returned < self._window:
            self._begun += 1
            return FORWARD, self._begun - 1
        return None
