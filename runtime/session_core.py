"""A controller's side of a session: who has joined, what is deployed, who is lost. Decisions alone, no I/O.

The states: FORMING until every worker has answered the hello, then DEPLOYING an epoch until every worker of it is ready
for its plan, then SERVING it. A worker that is silent for a lease, whose connection ends or that starts anew is lost;
one that refuses or fails says why. Where the session lets them, those that answer again come back after a pause.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec import structs

from .drops import Drops
from .membership import HYSTERESIS, Hysteresis, Membership
from .wire import (
    VERSION,
    AnyPlan,
    Bye,
    Control,
    Data,
    Failed,
    Heartbeat,
    Hello,
    Ready,
    Refuse,
    Reset,
    Spans,
    Want,
    Welcome,
)
from .wire_requests import Answer, AnyAnswer

State = Literal["FORMING", "DEPLOYING", "SERVING"]
HEARTBEAT_S = 0.3
HELLO_AGAIN_S = 0.5


@dataclass(frozen=True)
class Tell:
    """Send this to a worker."""

    worker: str
    message: Control


@dataclass(frozen=True)
class Supply:
    """Send a worker the weights that it lacks for an epoch."""

    worker: str
    epoch: int
    digests: tuple[str, ...]


@dataclass(frozen=True)
class Lost:
    """A worker cannot go on, and why in one line."""

    worker: str
    reason: str


@dataclass(frozen=True)
class Back:
    """A worker that was absent or lost can be used."""

    worker: str


@dataclass(frozen=True)
class Done:
    """What a worker did for an item."""

    worker: str
    spans: Spans


@dataclass(frozen=True)
class Answered:
    """What a worker measured on request."""

    worker: str
    answer: AnyAnswer


Action = Tell | Supply | Lost | Back | Done | Answered


@dataclass(frozen=True)
class Clock:
    """By how much a worker's clock is ahead of the controller's, and by how much that may be wrong at most."""

    ahead_s: float = 0.0
    error_s: float = float("inf")


@dataclass
class _Talk:
    """What was said with a worker."""

    welcome: Welcome | None = None
    asked_s: float = -1e9
    asked: int = 0  # how often
    due: int = 0  # least that an answer is to: older ones are of what was before
    ready: int = 0  # epoch
    holds: bool = False  # in that epoch, what it had before
    supplied: int = 0  # epoch
    why: str = ""  # it cannot be reached, as far as that is known
    beat: Heartbeat | None = None
    clock: Clock = Clock()


class SessionCore:
    """A session with some workers.

    Args:
        session: its token.
        software: splitgym's version.
        results: where the controller listens for rows.
        workers: their names.
        now_s: the time now.
        lease_s: how long a worker may be silent once it has answered.
        join_s: how long it may take to answer first.
        returns: whether a worker that was lost, or has not answered, may come back.
        hysteresis: how long one that was lost is not used after it has answered again.

    Attributes:
        drops: messages that were dropped, by reason.
    """

    def __init__(
        self,
        session: str,
        software: str,
        results: str,
        workers: Iterable[str],
        now_s: float,
        lease_s: float = 3.0,
        join_s: float = 10.0,
        returns: bool = False,
        hysteresis: Hysteresis = HYSTERESIS,
    ) -> None:
        self.session, self._hello = session, Hello(VERSION, software, session, results)
        self.join_s = join_s
        self.membership = Membership(workers, now_s, lease_s, returns, hysteresis)
        self._talks = {name: _Talk() for name in workers}
        self._beat_s = now_s
        self._plans: dict[str, AnyPlan] = {}
        self.epoch = 0
        self.drops = Drops()

    @property
    def state(self) -> State:
        if self.membership.absent:
            return "FORMING"
        return "SERVING" if self.is_ready else "DEPLOYING"

    @property
    def is_ready(self) -> bool:
        """Whether all workers of an epoch are ready for it that are not lost."""
        asked = self._plans.keys() & self.membership.usable
        return bool(asked) and all(self._talks[name].ready == self.epoch for name in asked)

    @property
    def welcomes(self) -> Mapping[str, Welcome]:
        """What every worker that has joined said of itself."""
        return {name: talk.welcome for name, talk in self._talks.items() if talk.welcome is not None}

    @property
    def beats(self) -> Mapping[str, Heartbeat]:
        """The last heartbeat of every worker that has sent one."""
        return {name: talk.beat for name, talk in self._talks.items() if talk.beat is not None}

    @property
    def clocks(self) -> Mapping[str, Clock]:
        """Every worker's clock, from the heartbeat that took the shortest way there and back."""
        return {name: talk.clock for name, talk in self._talks.items()}

    @property
    def missing(self) -> Sequence[str]:
        """Workers that have not joined, or are not ready for the epoch."""
        absent = self.membership.absent
        return [n for n, t in self._talks.items() if n in absent or (n in self._plans and t.ready != self.epoch)]

    @property
    def lost(self) -> Mapping[str, str]:
        """Workers that cannot go on, and why."""
        return self.membership.reasons

    def deploy(self, plans: Mapping[str, AnyPlan]) -> list[Action]:
        """Begin the next epoch; every message must carry it."""
        self.epoch += 1
        assert all(plan.epoch == self.epoch for plan in plans.values())
        self._plans = dict(plans)
        return [Tell(name, plan) for name, plan in plans.items()]

    def holds(self, worker: str) -> bool:
        """Whether a worker that is ready goes on with what it had of the same training."""
        talk = self._talks[worker]
        return talk.ready == self.epoch and talk.holds

    def accepts(self, worker: str, data: Data) -> bool:
        """Whether data belong to the present: session, epoch, what the plan carries, and the very start of a sender."""
        plan = self._plans.get(worker)
        if plan is None or worker not in self.membership.usable or not plan.carries(data):
            return False
        return (data.session, data.epoch, data.incarnation) == (self.session, self.epoch, plan.own.incarnation)

    def control(self, worker: str, message: Control, now_s: float) -> list[Action]:
        """A control message came in from a worker of that verified name."""
        if worker not in self.membership:
            return []
        if getattr(message, "session", self.session) != self.session:
            self.drops.add("messages of another session or plan")
            return []
        talk = self._talks[worker]
        if isinstance(message, Welcome):
            may = message.asked >= talk.due and (self.membership.returns or worker not in self.membership.gone)
            return self._welcome(worker, message, now_s) if may else []
        if worker in self.membership.gone:
            return []
        match message:
            case Refuse():
                return self.lose(worker, message.reason, now_s)
            case Failed() if message.epoch == self.epoch:
                return self._failed(worker, message, now_s)
            case Want() if message.epoch == self.epoch > talk.supplied:
                talk.supplied = self.epoch
                return [Supply(worker, self.epoch, message.digests)]
            case Ready() if message.epoch == self.epoch:
                talk.ready, talk.holds = message.epoch, message.holds
            case Spans() if message.epoch == self.epoch:
                return [Done(worker, message)]
            case Answer():
                return [Answered(worker, message)]
            case Heartbeat():
                return self._beat(worker, message, now_s)
            case _:
                self.drops.add("messages of another session or plan")
        return []

    def _beat(self, worker: str, beat: Heartbeat, now_s: float) -> list[Action]:
        talk = self._talks[worker]
        if self.membership.is_other(worker, beat.incarnation):
            return self.lose(worker, "has started anew", now_s)
        if talk.beat is None or beat.sent_s > talk.beat.sent_s:  # an old one that arrives late is no sign of life
            talk.beat = beat
            self.membership.heard(worker, now_s)
            _compare_clocks(talk, beat, now_s)
        return []

    def _welcome(self, worker: str, message: Welcome, now_s: float) -> list[Action]:
        before = worker in self.membership.usable
        why = self.membership.answered(worker, message.incarnation, now_s)
        self._talks[worker].welcome, self._talks[worker].due = message, message.asked + 1
        if why:
            return self._lost(worker, why)
        came = not before and worker in self.membership.usable
        return [Back(worker)] if came else []

    def _failed(self, worker: str, message: Failed, now_s: float) -> list[Action]:
        peer = message.peer
        if peer in self.membership and peer != worker:
            return self.lose(peer, f"{worker} cannot reach it ({message.reason})", now_s)
        return self.lose(worker, message.reason, now_s)

    def up(self, worker: str) -> None:
        """There is a control connection to a worker: whatever it is to be asked is asked at once."""
        self._talks[worker].asked_s = -1e9

    def down(self, worker: str, now_s: float) -> list[Action]:
        """The control connection to a worker has ended."""
        if worker in self.membership.absent:
            return []
        return self.lose(worker, "its connection has ended", now_s)

    def tick(self, now_s: float) -> list[Action]:
        """Time goes on: ask again, beat, and give up on the silent."""
        members, actions = self.membership, list[Action]()
        for name in members.expired(now_s):
            actions += self.lose(name, f"has been silent for {members.lease_s:g} s", now_s)
        for name in members.absent:
            if members.silent_s(name, now_s) > self.join_s:
                why = f" ({self._talks[name].why})" if self._talks[name].why else ""
                actions += self.lose(name, f"has not answered within {self.join_s:g} s{why}", now_s)
        ending = {n for n, talk in self._talks.items() if talk.beat is not None and talk.beat.phase == "ending"}
        actions += [Back(name) for name in members.recovered(now_s, ending)]
        return actions + self._speak(now_s)

    def _speak(self, now_s: float) -> list[Action]:
        members, actions = self.membership, list[Action]()
        asked = members.absent | (members.gone if members.returns else frozenset())
        beats = now_s - self._beat_s >= HEARTBEAT_S
        if beats:
            self._beat_s = now_s
        for name, talk in self._talks.items():
            if name in asked:
                if now_s - talk.asked_s > HELLO_AGAIN_S:
                    talk.asked_s, talk.asked = now_s, talk.asked + 1
                    actions.append(Tell(name, structs.replace(self._hello, asked=talk.asked)))
            elif beats and name not in members.gone:
                actions.append(Tell(name, Heartbeat(self.session, epoch=self.epoch, sent_s=now_s)))
        return actions

    def unreachable(self, worker: str, why: str) -> None:
        """A message to a worker could not be sent."""
        self._talks[worker].why = why

    def over(self) -> list[Action]:
        """The session ends."""
        return [Tell(name, Bye(self.session)) for name, talk in self._talks.items() if talk.welcome is not None]

    def lose(self, worker: str, reason: str, now_s: float) -> list[Action]:
        """A worker cannot be used any more."""
        return self._lost(worker, reason) if self.membership.lose(worker, reason, now_s) else []

    def _lost(self, worker: str, reason: str) -> list[Action]:
        talk = self._talks[worker]
        talk.ready, talk.beat, talk.due = 0, None, talk.asked + 1
        self._plans.pop(worker, None)  # whatever it does for the epoch is over, also where it comes back meanwhile
        # One that only seemed lost stops working for what it no longer belongs to.
        return [Lost(worker, reason), Tell(worker, Reset(self.session, self.epoch))]


def _compare_clocks(talk: _Talk, beat: Heartbeat, now_s: float) -> None:
    if beat.echo_s == 0.0:
        return
    error_s = max(0.0, now_s - beat.echo_s - beat.held_s) / 2
    if error_s < talk.clock.error_s:
        talk.clock = Clock(beat.sent_s + error_s - now_s, error_s)
