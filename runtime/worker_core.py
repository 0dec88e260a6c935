"""What a worker answers to its controller and when it gives up on it: decisions alone, no I/O.

The states: FREE until a controller's hello, JOINED, LOADING an epoch's plan (weights come in, parts are built),
READY for its items. What it does within them is its phase, which heartbeats tell: loading, queued behind what is still
being computed, building, waiting, compute, sending; joined, or ending what belongs to an epoch that is over. Whoever
allows it is measured while JOINED: one request of the controller's after the other. A worker serves one session at a
time; a controller that is silent for a lease has left, and everything of its session is dropped. Whatever belongs to
another session, an older epoch or another start of a peer is refused or ignored, never mixed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .drops import Drops
from .wire import (
    VERSION,
    AnyPlan,
    Blob,
    Bye,
    Control,
    Data,
    Echo,
    Failed,
    Heartbeat,
    Hello,
    PlanMessage,
    Ready,
    Refuse,
    Reset,
    Spans,
    Want,
    Welcome,
)
from .wire_requests import AnyAnswer, AnyRequest, Request
from .wire_training_plan import TrainingPlan

State = Literal["FREE", "JOINED", "LOADING", "READY"]
HEARTBEAT_S = 0.1
LEASE_S = 3.0  # of a controller; its loss only frees the worker, so it may take its time


@dataclass(frozen=True)
class Reply:
    """Send this to a controller."""

    peer: str
    message: Control


@dataclass(frozen=True)
class Build:
    """Build the parts of a plan; all its weights are here. Ends in :meth:`WorkerCore.built` or ``failed``."""

    plan: AnyPlan


@dataclass(frozen=True)
class Store:
    """Keep a chunk of weights; ends in :meth:`WorkerCore.stored` when the blob is whole."""

    blob: Blob


@dataclass(frozen=True)
class Measure:
    """Do what a request asks; ends in :meth:`WorkerCore.measured`."""

    request: AnyRequest


@dataclass(frozen=True)
class Drop:
    """Stop computing and sending for the epoch that was, forget its rows, and whatever was ready for measuring.

    Attributes:
        leaves: the session, too: weights that are not whole will not become so.
    """

    leaves: bool = False


Action = Reply | Build | Store | Measure | Drop


class WorkerCore:
    """A worker's side of a session.

    Args:
        name: on the roster.
        incarnation: of this start.
        software: splitgym's version.
        machine: what it runs on.
        data_port: where it listens for rows.
        has: whether weights of a digest are on its disk.
        power: what tells the machine's energy.
        lease_s: how long a controller may be silent.
        boot: the same for all workers of one machine.
        measures: whether a controller may have it measure.
        drops: where messages are counted that are dropped.
    """

    def __init__(
        self,
        name: str,
        incarnation: int,
        software: str,
        machine: str,
        data_port: int,
        has: Callable[[str], bool],
        power: str = "",
        lease_s: float = LEASE_S,
        boot: str = "",
        measures: bool = False,
        drops: Drops | None = None,
    ) -> None:
        self.drops = Drops() if drops is None else drops
        self.name, self.incarnation, self.lease_s, self.measures = name, incarnation, lease_s, measures
        self._about = (software, data_port, machine, power, boot, measures)
        self._has = has
        self.state: State = "FREE"
        self.session = self.controller = self.results = ""
        self.plan: AnyPlan | None = None
        self._wanted: set[str] = set()
        self._asked = 0  # number of the request that is under way
        self._measured = False  # whether there may be something to drop
        self._chunks = 0  # of the plan's weights
        self.busy = False  # whether something is being computed, for whatever epoch
        self.sending = False  # whether a message is leaving
        self._heard_s = self._beat_s = self._since_s = 0.0
        self._phase: tuple[str, int] = ("free", 0)
        self._echo = (0.0, 0.0)  # when the controller's last heartbeat left, on its clock, and when it came

    @property
    def doing(self) -> str:
        """The phase."""
        name = self._phase[0]
        if name == "joined" and self.busy:
            return "ending"
        return "sending" if name == "waiting" and self.sending else name

    @property
    def epoch(self) -> int:
        """Of the plan that is loading or ready, 0 for none."""
        return 0 if self.plan is None else self.plan.epoch

    def control(self, peer: str, role: str, message: Control, now_s: float) -> list[Action]:
        """A control message came in from a peer of that verified name and role."""
        if role != "controller":
            self.drops.add("orders of no controller")
            return [Reply(peer, Refuse(f"{peer} is a {role} on the roster of {self.name}; only controllers deploy"))]
        if isinstance(message, Hello):
            return self._hello(peer, message, now_s)
        if peer != self.controller or getattr(message, "session", self.session) != self.session:
            self.drops.add("orders of another session")
            return []
        self._heard_s = now_s
        match message:
            case PlanMessage() | TrainingPlan():
                return self._plan(message, now_s)
            case Blob() if message.digest in self._wanted and message.epoch == self.epoch:
                self._chunks += 1
                self.phase("loading", self._chunks, now_s)
                return [Store(message)]
            case Blob():
                self.drops.add("weights that are not wanted")
                return []
            case Reset() if message.epoch >= self.epoch:
                return self._forget("JOINED", now_s)
            case Bye():
                return self._forget("FREE", now_s)
            case Heartbeat():
                self._echo = message.sent_s, now_s
                return []
            case Request():
                return self._measure(message, now_s)
            case Reset():
                return []
        self.drops.add("orders that are none")
        return [Reply(peer, Refuse(f"a worker takes no {type(message).__name__}"))]

    def _hello(self, peer: str, hello: Hello, now_s: float) -> list[Action]:
        software = self._about[0]
        if hello.version != VERSION:
            words = f"{self.name} speaks version {VERSION} of the wire (splitgym {software})"
            return [Reply(peer, Refuse(f"{words}, the controller {hello.version} (splitgym {hello.software})"))]
        if self.state != "FREE" and (peer, hello.session) != (self.controller, self.session):
            if peer != self.controller:
                return [Reply(peer, Refuse(f"{self.name} serves {self.controller} now"))]
            dropped = self._forget("FREE", now_s)  # the same controller anew: it has lost what it had
        else:
            dropped = []
        if self.state == "FREE":
            self.state, self.session, self.controller, self.results = "JOINED", hello.session, peer, hello.results
        self._heard_s = self._beat_s = now_s
        welcome = Welcome(hello.session, self.incarnation, *self._about, hello.asked)
        return [*dropped, Reply(peer, welcome)]

    def _plan(self, plan: AnyPlan, now_s: float) -> list[Action]:
        if plan.epoch <= self.epoch:
            self.drops.add("plans that are no newer")
            return []  # again, or older than what is here
        if not plan.is_for(self.incarnation):
            self.drops.add("plans for another start")
            return []
        dropped = self._forget("LOADING", now_s)
        self.plan = plan
        self._wanted, self._chunks = {digest for digest in plan.needed if not self._has(digest)}, 0
        if self._wanted:
            self.phase("loading", 0, now_s)
            return [*dropped, Reply(self.controller, Want(self.session, plan.epoch, tuple(sorted(self._wanted))))]
        return [*dropped, *self._build(now_s)]

    def _build(self, now_s: float) -> list[Action]:
        assert self.plan is not None
        self.phase("queued", 0, now_s)
        return [Build(self.plan)]

    def builds(self, plan: AnyPlan, now_s: float) -> bool:
        """The parts of a plan are about to be built; whether they are wanted still."""
        if self.plan is not plan:
            return False
        self.phase("building", 0, now_s)
        return True

    def stored(self, digest: str, now_s: float) -> list[Action]:
        """A blob is whole on the disk."""
        if digest not in self._wanted:
            return []
        self._wanted.discard(digest)
        return [] if self._wanted or self.state != "LOADING" else self._build(now_s)

    def built(self, epoch: int, now_s: float, holds: bool = False) -> list[Action]:
        """The parts of an epoch's plan are built; whether they go on with what was there of the same training."""
        if epoch != self.epoch or self.state != "LOADING":
            return []
        self.state = "READY"
        self.phase("waiting", 0, now_s)
        return [Reply(self.controller, Ready(self.session, epoch, holds))]

    def failed(self, epoch: int, reason: str, now_s: float, peer: str = "") -> list[Action]:
        """An epoch cannot be carried out here; since a peer cannot be reached, where one is named."""
        if epoch != self.epoch or self.state not in ("LOADING", "READY"):
            return []
        failed = Failed(self.session, epoch, " ".join(reason.split())[:1000], peer)
        return [*self._forget("JOINED", now_s), Reply(self.controller, failed)]

    def spans(self, spans: Spans) -> list[Action]:
        """What was done for an item."""
        return [Reply(self.controller, spans)] if spans.epoch == self.epoch and self.state == "READY" else []

    def accepts(self, sender: str, data: Data) -> bool:
        """Whether data belong to the present: session, epoch, what the plan carries, and the very start of a sender."""
        plan = self.plan
        if plan is None or self.state != "READY" or not plan.carries(data):
            return False
        if (data.session, data.epoch) != (self.session, plan.epoch):
            return False
        if sender == self.controller:
            return True
        return any((peer.name, peer.incarnation) == (sender, data.incarnation) for peer in plan.peers)

    def _measure(self, request: AnyRequest, now_s: float) -> list[Action]:
        if not self.measures:
            return [Reply(self.controller, Refuse("does not measure on request; start it with --profile"))]
        if self.state != "JOINED" or self._asked:
            return [Reply(self.controller, Refuse("is busy with a plan or a measurement"))]
        self._asked, self._measured = request.request, True
        self.phase("measuring", 0, now_s)
        return [Measure(request)]

    def measured(self, answer: AnyAnswer, now_s: float) -> list[Action]:
        """A request is done, or cannot be."""
        if (answer.session, answer.request) != (self.session, self._asked):
            return []
        self._asked = 0
        self.phase("joined", 0, now_s)
        return [Reply(self.controller, answer)]

    def echoes(self, sender: str, echo: Echo) -> bool:
        """Whether a message that measures the link is to be answered."""
        present = (sender, echo.session) == (self.controller, self.session)
        return self.measures and self.state == "JOINED" and present

    def deaf(self, now_s: float) -> None:
        """The controller is not listened to for now: its silence is no sign that it has left."""
        self._heard_s = now_s

    def phase(self, name: str, item: int, now_s: float) -> None:
        """What the worker does now, for heartbeats."""
        if (name, item) != self._phase:
            self._phase, self._since_s = (name, item), now_s

    def tick(self, now_s: float, lacks: Callable[[], str] = lambda: "") -> list[Action]:
        """Time goes on: beat, or give up on a silent controller.

        Args:
            lacks: tells the peer whose rows the oldest item waits for, empty for none.
        """
        if self.state == "FREE":
            return []
        if now_s - self._heard_s > self.lease_s:
            return self._forget("FREE", now_s)
        if now_s - self._beat_s < HEARTBEAT_S:
            return []
        self._beat_s = now_s
        name, item = self.doing, self._phase[1]
        since_s = max(0.0, now_s - self._since_s)
        echo_s, came_s = self._echo
        beat = Heartbeat(
            self.session, self.incarnation, self.epoch, item, name, since_s, now_s, echo_s, max(0.0, now_s - came_s),
            lacks(),
        )  # fmt: skip
        return [Reply(self.controller, beat)]

    def _forget(self, state: State, now_s: float) -> list[Action]:
        had = self.plan is not None or self._measured
        self.plan, self._wanted, self.state = None, set(), state
        self._asked, self._measured = 0, False
        if state == "FREE":
            self.session = self.controller = self.results = ""
        self.phase("free" if state == "FREE" else "joined", 0, now_s)
        return [Drop(state == "FREE")] if had else []
