"""A stream of items that outlives its workers: when to plan again, what to redo, what to deliver. No I/O here.

Over a :class:`.session_core.SessionCore` whose workers may come and go. The states: WAITING for a plan, BEGINNING its
epoch, DEPLOYING it, SERVING it, and DRAINING before a better one. The loss of a worker that the plan gives work ends
its epoch at once: all items that were not delivered are begun anew in the next one, under a plan for who is left. A
worker that comes back, or links that have changed, make a new plan too, which is deployed when nothing is under way.
Results are delivered in order, each once: an item that is delivered is never under way again, and what an older epoch
brings is not taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal

from .progress import Culprit, culprit, unready
from .session_core import Action as SessionAction
from .session_core import Back, Done, Lost, SessionCore
from .wire import Control, PlanMessage

State = Literal["WAITING", "BEGINNING", "DEPLOYING", "SERVING", "DRAINING"]
OVERDUE_S = 2.0  # least that an item may take
OVERDUE_FACTOR = 3.0  # times what it is expected to take, or what recent ones took
UNKNOWN_FACTOR = 10.0  # the same, before any has come
RECENT = 8
ENDING_S = 10.0  # least that a worker may go on computing for an epoch that is over
GRACE_S = 0.25  # that a result waits for what its workers tell of it
PATIENCE_S = 60.0  # without any result
AWAY_S = 1.0  # a tick that comes later was not waited for: this machine was stopped


@dataclass(frozen=True)
class Proposal:
    """A plan to carry out.

    Attributes:
        workers: of its devices, in order.
        working: those that it gives anything to do.
        expected_s: what an item takes, about.
        content: whatever the shell needs to deploy it.
        lasts: whether it is what was asked for, not something to go on with meanwhile.
    """

    workers: tuple[str, ...]
    working: frozenset[str]
    expected_s: float = field(compare=False)
    content: Any
    lasts: bool = field(default=True, compare=False)


@dataclass(frozen=True)
class Replan:
    """Plan for these workers; ends in one or more :meth:`StreamCore.planned`."""

    workers: frozenset[str]
    why: str


@dataclass(frozen=True)
class Begin:
    """Deploy this in a new epoch whose items begin with ``first``; ends in :meth:`StreamCore.deploy`."""

    proposal: Proposal
    first: int


@dataclass(frozen=True)
class Send:
    """Send an item's input to the workers of the epoch."""

    item: int
    epoch: int


@dataclass(frozen=True)
class Deliver:
    """An item is done: hand its result out."""

    item: int


@dataclass(frozen=True)
class GiveUp:
    """The stream cannot go on, and why in one line."""

    reason: str


Action = SessionAction | Replan | Begin | Send | Deliver | GiveUp


@dataclass
class _Item:
    """An item that is not delivered.

    Attributes:
        sent_s: when it was begun in this epoch; infinite before.
        whole_s: when its result was all there in this epoch; below 0 before.
        told: workers that have told what they did.
    """

    sent_s: float = inf
    whole_s: float = -1.0
    told: set[str] = field(default_factory=set)


class StreamCore:
    """A stream over a session.

    Args:
        session: its workers; it must let them return.
        in_flight: items that may be under way at once.
        now_s: the time now.
        first: the first item, those before were delivered.
        patience_s: how long there may be no result before the stream is given up; while workers get ready for a plan
            they have deadlines of their own, and what the shell has not begun to send nobody can answer.
        overdue_s: least that an item may take before somebody is held to be stuck.
    """

    def __init__(
        self,
        session: SessionCore,
        in_flight: int,
        now_s: float,
        first: int = 0,
        patience_s: float = PATIENCE_S,
        overdue_s: float = OVERDUE_S,
    ) -> None:
        self.session, self.in_flight, self.patience_s, self.overdue_s = session, in_flight, patience_s, overdue_s
        self.state: State = "WAITING"
        self.proposal: Proposal | None = None  # of the epoch
        self.delivered = first  # items before it
        self.next = first  # to be submitted
        self._items: dict[int, _Item] = {}
        self._better: Proposal | None = None  # to be deployed when nothing is under way
        self._asked: frozenset[str] = frozenset()  # workers that a plan is being made for
        self._moved_s = self._started_s = self._ticked_s = self._deployed_s = now_s
        self._waited_s = 0.0  # for a result
        self._took_s: list[float] = []  # by recent items

    # what goes on with workers ------------------------------------------------------------------------------------

    def control(self, worker: str, message: Control, now_s: float) -> list[Action]:
        """A control message came in from a worker of that verified name."""
        return self._follow(self.session.control(worker, message, now_s), now_s)

    def down(self, worker: str, now_s: float) -> list[Action]:
        """The control connection to a worker has ended."""
        return self._follow(self.session.down(worker, now_s), now_s)

    def lose(self, worker: str, reason: str, now_s: float) -> list[Action]:
        """A worker cannot be reached for rows."""
        return self._follow(self.session.lose(worker, reason, now_s), now_s)

    def tick(self, now_s: float, lacks: str = "") -> list[Action]:
        """Time goes on.

        Args:
            lacks: the worker whose rows the oldest result waits for; empty for none.
        """
        actions = self._follow(self.session.tick(now_s), now_s)
        if self.state == "WAITING" and not self._asked:
            actions += self._replan("workers have joined", now_s)
        actions += self._overtake()
        actions += self._hurry(now_s, lacks)
        actions += self._deliver(now_s)
        return actions + self._despair(now_s)

    def _follow(self, actions: list[SessionAction], now_s: float) -> list[Action]:
        """What the session's actions mean for the stream."""
        found: list[Action] = list(actions)
        lost, back = False, False
        for action in actions:
            match action:
                case Lost():
                    lost = True
                case Back():
                    back = True
                case Done():
                    item = self._items.get(action.spans.item)
                    if item is not None:
                        item.told.add(action.worker)
                case _:
                    pass
        if lost:
            found += self._without(now_s)
        if back:
            found += self._replan("a worker can be used", now_s)
        if self.state == "DEPLOYING" and self.session.is_ready:
            found += self._serve(now_s)
        return found + (self._deliver(now_s) if any(isinstance(a, Done) for a in actions) else [])

    def _despair(self, now_s: float) -> list[Action]:
        """Give up where nothing has come for too long, and nothing is to be waited for."""
        passed_s, self._ticked_s = min(now_s - self._ticked_s, AWAY_S), now_s
        oldest = self._oldest
        if oldest is None:
            self._waited_s = 0.0
        elif self.state != "DEPLOYING" and (self.state == "WAITING" or oldest.sent_s < now_s):
            self._waited_s += passed_s
        if self._waited_s <= self.patience_s:
            return []
        self._waited_s = 0.0
        lost = [f"{name} {why}" for name, why in sorted(self.session.lost.items())]
        if not lost and not self.session.membership.usable:
            lost = ["no worker has answered"]
        why = "; ".join(lost) or f"{self.state.lower()} with {', '.join(sorted(self.session.membership.usable))}"
        return [GiveUp(f"no result for {self.patience_s:g} s ({why})")]

    def _without(self, now_s: float) -> list[Action]:
        """Workers were lost."""
        usable = self.session.membership.usable
        if self._better is not None and not usable.issuperset(self._better.workers):
            self._better = None
        if self.proposal is not None:
            needed = self.proposal.workers if self.state == "BEGINNING" else self.proposal.working
            if not usable.issuperset(needed):
                self._stop()
                return self._replan("a worker was lost", now_s)
        return self._replan("a worker was lost", now_s) if not self._asked <= usable else []

    def _stop(self) -> None:
        """The epoch is over: what is not delivered is to be done anew."""
        self.state, self.proposal = "WAITING", None
        for item in self._items.values():
            item.sent_s, item.whole_s, item.told = inf, -1.0, set()

    # plans --------------------------------------------------------------------------------------------------------

    def changed(self, why: str, now_s: float) -> list[Action]:
        """Links are not what the plan was made for."""
        return self._replan(why, now_s)

    def _replan(self, why: str, now_s: float) -> list[Action]:
        usable, absent = self.session.membership.usable, self.session.membership.absent
        if not self.session.epoch and absent and now_s - self._started_s < self.session.join_s:
            return []  # the others may come yet
        self._asked = usable
        return [Replan(usable, why)] if usable else []

    def planned(self, proposal: Proposal, now_s: float) -> list[Action]:
        """A plan was made; one that needs a worker which cannot be used is dropped."""
        if not self.session.membership.usable.issuperset(proposal.workers):
            return []
        if proposal.lasts:
            self._asked = frozenset()
        if self.state == "WAITING":
            return self._begin(proposal)
        if not proposal.lasts:
            return []
        if proposal == self.proposal:
            return self._stay()
        self._better = proposal
        if self.state == "SERVING":
            self.state = "DRAINING"
        return self._switch()

    def _stay(self) -> list[Action]:
        """What is deployed is what is wanted, whatever was wanted meanwhile."""
        self._better = None
        if self.state == "DRAINING":
            self.state = "SERVING"
        return []

    def _overtake(self) -> list[Action]:
        """A plan to go on with that still waits for weights is not worth waiting for where a better one is there."""
        if self.state != "DEPLOYING" or self._better is None:
            return []
        beats = self.session.beats
        loads = any(n in beats and beats[n].phase == "loading" for n in self.session.missing)
        return self._begin(self._better) if loads and self.proposal is not None and not self.proposal.lasts else []

    def _switch(self) -> list[Action]:
        """Deploy a better plan once nothing is under way."""
        if self._better is None or self.state != "DRAINING" or self._items:
            return []
        return self._begin(self._better)

    def _begin(self, proposal: Proposal) -> list[Action]:
        self._better, self.proposal, self.state = None, proposal, "BEGINNING"
        return [Begin(proposal, self.delivered)]

    def deploy(self, plans: Mapping[str, PlanMessage], proposal: Proposal, now_s: float) -> list[Action]:
        """The messages of a new epoch are made; nothing happens where it is not wanted any more."""
        if self.proposal is not proposal or self.state != "BEGINNING":
            return []
        self.state, self._deployed_s = "DEPLOYING", now_s
        return list(self.session.deploy(plans))

    def _serve(self, now_s: float) -> list[Action]:
        self.state, self._moved_s, self._took_s = "SERVING", now_s, []
        if self._better is not None:
            self.state = "DRAINING"
        return [Send(item, self.session.epoch) for item in sorted(self._items)] or self._switch()

    # items --------------------------------------------------------------------------------------------------------

    @property
    def wants(self) -> bool:
        """Whether another item may be submitted."""
        return len(self._items) < self.in_flight and self.state != "DRAINING"

    @property
    def under_way(self) -> tuple[int, ...]:
        """Items that are not delivered, in order."""
        return tuple(sorted(self._items))

    def serves(self, epoch: int) -> bool:
        """Whether an epoch is being served."""
        return self.state in ("SERVING", "DRAINING") and epoch == self.session.epoch

    def submit(self, now_s: float) -> list[Action]:
        """The next item is there; it is :attr:`under_way` until it is delivered."""
        assert self.wants
        item, self.next = self.next, self.next + 1
        if not self._items:
            self._moved_s, self._waited_s = now_s, 0.0
        self._items[item] = _Item()
        return [Send(item, self.session.epoch)] if self.state == "SERVING" else []

    def sending(self, epoch: int, item: int, now_s: float) -> None:
        """The shell begins to send an item's input."""
        if self.serves(epoch) and item in self._items:
            self._items[item].sent_s = now_s

    def came(self, epoch: int, item: int, now_s: float) -> list[Action]:
        """All rows of a result are there."""
        found = self._items.get(item)
        if not self.serves(epoch) or found is None:
            return []
        found.whole_s = self._moved_s = now_s
        self._took_s = [*self._took_s, now_s - found.sent_s][-RECENT:]
        return self._deliver(now_s)

    def _deliver(self, now_s: float) -> list[Action]:
        actions: list[Action] = []
        while self._items:
            item = min(self._items)
            found, proposal = self._items[item], self.proposal
            if found.whole_s < 0 or proposal is None:
                break
            if not proposal.working <= found.told and now_s - found.whole_s < GRACE_S:
                break
            del self._items[item]
            self.delivered, self._waited_s = item + 1, 0.0
            actions.append(Deliver(item))
        return actions + self._switch()

    # who is stuck -------------------------------------------------------------------------------------------------

    @property
    def _oldest(self) -> _Item | None:
        """Of the items whose results are not there."""
        return next((self._items[i] for i in sorted(self._items) if self._items[i].whole_s < 0), None)

    def _hurry(self, now_s: float, lacks: str) -> list[Action]:
        """Lose whoever keeps the oldest item waiting, or is not ready, for too long."""
        if self.proposal is None:
            return []
        found: Culprit | None = None
        if self.state == "DEPLOYING":
            late = [n for n in self.session.missing if n in self.session.membership.usable]
            ending_s = max(ENDING_S, UNKNOWN_FACTOR * self.proposal.expected_s)
            found = unready(late, self.session.beats, self.session.epoch, now_s - self._deployed_s, ending_s)
        elif self.state in ("SERVING", "DRAINING") and (oldest := self._oldest) is not None:
            factor = OVERDUE_FACTOR if self._took_s else UNKNOWN_FACTOR
            longest_s = max([self.proposal.expected_s * len(self._items), *self._took_s])
            due_s, late_s = max(self.overdue_s, factor * longest_s), now_s - max(self._moved_s, oldest.sent_s)
            found = culprit(lacks, self.session.beats, due_s, late_s) if late_s > due_s else None
        return [] if found is None else self.lose(found.worker, found.reason, now_s)
