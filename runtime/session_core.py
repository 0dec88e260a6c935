"""A controller's side of a session: who has joined, what is deployed, who is lost. Decisions alone, no I/O.

The states: FORMING until every worker has answered the hello, then DEPLOYING an epoch until every worker is ready for
its plan, then SERVING it. A worker that is silent for a lease, or that starts anew, is lost; one that refuses or fails
says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from .drops import Drops
from .wire import (
    VERSION,
    Answer,
    AnyAnswer,
    Bye,
    Control,
    Failed,
    Heartbeat,
    Hello,
    PlanMessage,
    Ready,
    Refuse,
    Spans,
    Want,
    Welcome,
)

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
    """Send a worker the weights that it lacks."""

    worker: str
    digests: tuple[str, ...]


@dataclass(frozen=True)
class Lost:
    """A worker cannot go on, and why in one line."""

    worker: str
    reason: str


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


Action = Tell | Supply | Lost | Done | Answered


@dataclass(frozen=True)
class Clock:
    """By how much a worker's clock is ahead of the controller's, and by how much that may be wrong at most."""

    ahead_s: float = 0.0
    error_s: float = float("inf")


@dataclass
class _Member:
    welcome: Welcome | None = None
    heard_s: float = 0.0
    asked_s: float = -1e9
    ready: int = 0  # epoch
    lost: str = ""
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
        lease_s: how long a worker may be silent once it has answered.
        join_s: how long it may take to answer first.
        now_s: the time now.

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
    ) -> None:
        self.session, self._hello = session, Hello(VERSION, software, session, results)
        self.lease_s, self.join_s = lease_s, join_s
        self._members = {name: _Member(heard_s=now_s) for name in workers}
        self._beat_s = now_s
        self.epoch = 0
        self.drops = Drops()

    @property
    def state(self) -> State:
        if any(member.welcome is None for member in self._members.values()):
            return "FORMING"
        ready = all(member.ready == self.epoch for member in self._members.values() if not member.lost)
        return "SERVING" if self.epoch and ready else "DEPLOYING"

    @property
    def welcomes(self) -> Mapping[str, Welcome]:
        """What every worker that has joined said of itself."""
        return {name: m.welcome for name, m in self._members.items() if m.welcome is not None}

    @property
    def clocks(self) -> Mapping[str, Clock]:
        """Every worker's clock, from the heartbeat that took the shortest way there and back."""
        return {name: member.clock for name, member in self._members.items()}

    @property
    def missing(self) -> Sequence[str]:
        """Workers that have not joined, or are not ready for the epoch."""
        return [n for n, m in self._members.items() if m.welcome is None or (self.epoch and m.ready != self.epoch)]

    @property
    def lost(self) -> Mapping[str, str]:
        """Workers that cannot go on, and why."""
        return {name: m.lost for name, m in self._members.items() if m.lost}

    def deploy(self, plans: Mapping[str, PlanMessage]) -> list[Action]:
        """Begin the next epoch; every message must carry it."""
        self.epoch += 1
        assert all(plan.epoch == self.epoch for plan in plans.values())
        return [Tell(name, plan) for name, plan in plans.items()]

    def control(self, worker: str, message: Control, now_s: float) -> list[Action]:
        """A control message came in from a worker of that verified name."""
        member = self._members.get(worker)
        if member is None or member.lost:
            return []
        member.heard_s = now_s
        match message:
            case Welcome() if message.session == self.session:
                if member.welcome is not None and member.welcome.incarnation != message.incarnation:
                    return self._lose(worker, "has started anew")
                member.welcome = message
            case Refuse():
                return self._lose(worker, message.reason)
            case Failed() if message.epoch == self.epoch:
                return self._lose(worker, message.reason)
            case Want() if message.epoch == self.epoch:
                return [Supply(worker, message.digests)]
            case Ready() if message.epoch == self.epoch:
                member.ready = message.epoch
            case Spans() if message.epoch == self.epoch:
                return [Done(worker, message)]
            case Answer() if message.session == self.session:
                return [Answered(worker, message)]
            case Heartbeat() if message.session == self.session:
                member.beat = message
                _compare_clocks(member, message, now_s)
                if member.welcome is not None and message.incarnation != member.welcome.incarnation:
                    return self._lose(worker, "has started anew")
            case _:
                self.drops.add("messages of another session or plan")
        return []

    def tick(self, now_s: float) -> list[Action]:
        """Time goes on: ask again, beat, and give up on the silent."""
        actions: list[Action] = []
        beats = now_s - self._beat_s >= HEARTBEAT_S
        if beats:
            self._beat_s = now_s
        for name, member in self._members.items():
            if member.lost:
                continue
            if member.welcome is None:
                if now_s - member.heard_s > self.join_s:
                    why = f" ({member.why})" if member.why else ""
                    actions += self._lose(name, f"has not answered within {self.join_s:g} s{why}")
                elif now_s - member.asked_s > HELLO_AGAIN_S:
                    member.asked_s = now_s
                    actions.append(Tell(name, self._hello))
            elif now_s - member.heard_s > self.lease_s:
                actions += self._lose(name, f"has been silent for {self.lease_s:g} s")
            elif beats:
                actions.append(Tell(name, Heartbeat(self.session, epoch=self.epoch, sent_s=now_s)))
        return actions

    def unreachable(self, worker: str, why: str) -> None:
        """A message to a worker could not be sent."""
        self._members[worker].why = why

    def over(self) -> list[Action]:
        """The session ends."""
        return [Tell(name, Bye(self.session)) for name, m in self._members.items() if m.welcome is not None]

    def _lose(self, worker: str, reason: str) -> list[Action]:
        self._members[worker].lost = reason
        return [Lost(worker, reason)]


def _compare_clocks(member: _Member, beat: Heartbeat, now_s: float) -> None:
    if beat.echo_s == 0.0:
        return
    error_s = max(0.0, now_s - beat.echo_s - beat.held_s) / 2
    if error_s < member.clock.error_s:
        member.clock = Clock(beat.sent_s + error_s - now_s, error_s)
