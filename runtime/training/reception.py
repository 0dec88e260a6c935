"""What a controller takes in of one epoch of a training: its members' packets, and what they tell of their work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .. import wire
from ..assembly import Rejected
from ..packet_links import Broken, PacketLink, Sealed
from ..wire_training_plan import TrainingPlan
from .limits import Limits, kept_bytes
from .member import CONTROLLER
from .watch import WORKS, steps_label


@dataclass(frozen=True)
class Arrived:
    """A packet came in."""

    epoch: int
    worker: str
    sealed: Sealed


@dataclass(frozen=True)
class Unreachable:
    """What a worker sends does not come whole."""

    epoch: int
    worker: str
    reason: str


@dataclass(frozen=True)
class Told:
    """What a member did for an entry."""

    role: str
    spans: wire.Spans


class Reception:
    """One epoch's packets.

    Args:
        plans: that were handed out, by worker.
        limits: of packets.
        steps: of the model.
        put: takes what came in.
    """

    def __init__(
        self,
        plans: Mapping[str, TrainingPlan],
        limits: Limits,
        steps: int,
        put: Callable[[Arrived | Unreachable | Told], None],
    ) -> None:
        self.plans, self._put = plans, put
        self._links = {name: PacketLink(limits.packet_bytes, limits.envelope_bytes) for name in plans}
        plan = next(iter(plans.values()))
        self.epoch, self._roles = plan.epoch, plan.setup.roles
        self._steps = {steps_label(a, b) for a in range(steps + 1) for b in range(a, steps + 1)}
        self._waiting_bytes: Counter[str] = Counter()  # by worker
        self._most_bytes = limits.waiting_bytes
        self._broken: set[str] = set()

    def offers(self, worker: str) -> Collection[str]:
        """Digests of what a worker may ask for: the data set is for the member that has it."""
        plan = self.plans.get(worker)
        return () if plan is None else plan.data

    @property
    def lacks(self) -> str:
        """Nobody: members wait for each other as their protocol says."""
        return ""

    def held_s(self, worker: str, data: Any, size: int) -> float:
        """Links to the controller are not emulated."""
        return 0.0

    def told(self, worker: str, spans: wire.Spans) -> bool:
        """What a member did for an entry; whether it may be, since it is about what there is in the training."""
        others = {*self._roles, CONTROLLER}
        fits = all(
            span.label in (self._steps if span.kind in WORKS else others)
            and span.kind in (*WORKS, "send", "receive")
            and not span.boundary
            for span in spans.spans
        )
        if fits and worker in self.plans:
            self._put(Told(self._roles[self.plans[worker].role], spans))
        return fits

    def take(self, worker: str, data: Any, payload: memoryview, held_s: float) -> bool:
        """Take a part in.

        Raises:
            Rejected: it is none of this epoch's.
        """
        if not isinstance(data, wire.Part) or worker not in self._links:
            raise Rejected("no part of a packet")
        if worker in self._broken:
            raise Rejected("a link that has lost something")
        try:
            sealed = self._links[worker].add(data, payload)
            self._waiting_bytes[worker] += 0 if sealed is None else kept_bytes(sealed)
            if self._waiting_bytes[worker] > self._most_bytes:
                raise Broken("sends more than can be handled")
        except Broken as error:
            self._broken.add(worker)
            self._put(Unreachable(self.epoch, worker, str(error)))
            return False
        if sealed is not None:
            self._put(Arrived(self.epoch, worker, sealed))
        return False

    def handled(self, arrived: Arrived) -> None:
        """A packet waits no longer."""
        self._waiting_bytes[arrived.worker] -= kept_bytes(arrived.sealed)
