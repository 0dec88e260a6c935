"""A stream of images that outlives workers: the shell round :class:`.stream_core.StreamCore`."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from .controller import ClusterFailure, Controller
from .deployment import Deployment
from .link_watch import LinkWatch, rates_bytes_s
from .requester import Item, Unreachable
from .session_core import Back, Lost
from .stream_core import Action, Begin, GiveUp, Proposal, Replan, Send, StreamCore

LOOK_S = 0.2  # most that is waited for what is to be done
CLOSE_S = 1.0  # most that is waited, in the end, for a plan that nobody wants any more


@dataclass(frozen=True)
class Event:
    """Something that happened to a stream, for people.

    Attributes:
        at_s: on this machine's monotonic clock.
        kind: lost, back, planning, failed (a planner did), deploying (an epoch began), or serving (its workers are
            ready, and its first item leaves).
        text: which worker and why; the workers of a plan.
        epoch: that began or serves.
    """

    at_s: float
    kind: str
    text: str
    epoch: int = 0


Planner = Callable[[frozenset[str], Mapping[str, float]], Proposal]


@dataclass(frozen=True)
class _Wanted:
    """A plan that is asked for: for which workers, and with which factors of their links."""

    workers: frozenset[str]
    factors: Mapping[str, float]


@dataclass(frozen=True)
class _Content:
    """What there is to carry out of a proposal, and the factors that it was made with."""

    deployment: Deployment
    factors: Mapping[str, float] = field(compare=False)


def proposal(deployment: Deployment, expected_s: float, lasts: bool = True) -> Proposal:
    """A deployment as a planner proposes it.

    Args:
        expected_s: what an item takes, about.
        lasts: whether it is the plan that is wanted, not one to go on with meanwhile.
    """
    return Proposal(deployment.members, deployment.working, expected_s, deployment, lasts)


class Service:
    """Images through whoever of a session's workers is there.

    Args:
        controller: of a session whose workers may return.
        at_once: makes a plan (see :func:`proposal`) for some workers, and by how much their links have changed: soon,
            since nothing else goes on meanwhile. Where it lasts, it is all that is made for them.
        planner: the same, however long it takes: the plan that is wanted. Called in a thread of its own, for one set
            of workers at a time.
        in_flight: items that may be under way at once; every plan's.
        first: the first item; those before were delivered.
        lease_s: how long workers may be silent from now on; the session's own by default.
        options: of :class:`.stream_core.StreamCore`.

    Attributes:
        events: what happened so far.
        watch: of links; for who has the controller's lock.
        deployments: of every epoch.
    """

    def __init__(
        self,
        controller: Controller,
        at_once: Planner,
        planner: Planner,
        in_flight: int = 1,
        first: int = 0,
        lease_s: float | None = None,
        **options: float,
    ) -> None:
        self._controller, self._at_once, self._planner = controller, at_once, planner
        self.events: list[Event] = []
        self.watch = LinkWatch()
        self.deployments: dict[int, Deployment] = {}
        self._images: dict[int, np.ndarray] = {}
        self._attempts: dict[int, int] = {}
        self._asked: queue.SimpleQueue[_Wanted | None] = queue.SimpleQueue()
        self._serving = 0  # epoch
        self._wanted: _Wanted | None = None  # the newest, until its plan is made
        self._planning = threading.Thread(target=self._plan, name="planning", daemon=True)
        with controller.lock:
            if lease_s is not None:
                controller.core.membership.lease_s = lease_s
            self.core = StreamCore(controller.core, in_flight, time.monotonic(), first, **options)  # type: ignore[arg-type]
            controller.follow(self.core)
        self._planning.start()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        with self._controller.lock:
            self._controller.follow(None)
            self._wanted = None
        self._asked.put(None)
        self._planning.join(CLOSE_S)

    def run(self, images: Iterable[np.ndarray]) -> Iterator[Item]:
        """Send images through and yield what became of them: each once, in order.

        Args:
            images: uint8, (channels, rows, width) each; at once there when they are asked for.

        Raises:
            ClusterFailure: there has been no result for too long.
            Exception: whatever a planner raised, where there is no plan to go on with.
        """
        source = iter(images)
        more = True
        while more or self._images:
            self._controller.check()
            self._controller.attend()
            more = more and self._submit(source)
            try:
                action = self._controller.told.get(timeout=LOOK_S)
            except queue.Empty:
                continue
            if isinstance(action, Item):
                self._watched(action)
                yield replace(action, attempts=self._attempts.pop(action.index))
            else:
                self._do(action)

    def _watched(self, item: Item) -> None:
        del self._images[item.index]
        rates, now_s = rates_bytes_s(item.spans, self.deployments[item.epoch].members), time.monotonic()
        with self._controller.lock:
            self.watch.saw(rates, now_s)
            if self._wanted is None and self.watch.asks(now_s):
                self._controller.act(self.core.changed("links have changed", now_s))

    def _submit(self, source: Iterator[np.ndarray]) -> bool:
        """Take in as many images as may be under way; whether there may be more."""
        while self.core.wants:
            image = next(source, None)
            if image is None:
                return False
            with self._controller.lock:
                item = self.core.next
                self._images[item] = image
                self._controller.act(self.core.submit(time.monotonic()))
        return True

    def _do(self, action: Action) -> None:
        match action:
            case Replan():
                self._replan(action)
            case Begin():
                self._begin(action)
            case Send():
                self._serves(action.epoch)
                self._send(action)
            case Lost():
                self._note("lost", f"{action.worker} {action.reason}")
            case Back():
                self._note("back", action.worker)
            case GiveUp():
                raise ClusterFailure(action.reason)
            case _:
                raise AssertionError(action)

    def _note(self, kind: str, text: str, epoch: int = 0) -> None:
        self.events.append(Event(time.monotonic(), kind, text, epoch))

    # plans --------------------------------------------------------------------------------------------------------

    def _replan(self, action: Replan) -> None:
        """Have something to go on with at once, whatever the planner is busy with, and ask that for better."""
        self._note("planning", f"{action.why}: {', '.join(sorted(action.workers))}")
        with self._controller.lock:
            self._wanted = wanted = _Wanted(action.workers, self.watch.factors)
        try:
            found = self._at_once(wanted.workers, wanted.factors)
        except Exception as error:  # the planner may do better
            self._note("failed", f"{type(error).__name__}: {error}")
        else:
            self._propose(wanted, found)
        if self._wanted is wanted:
            self._asked.put(wanted)

    def _plan(self) -> None:
        """Plan for the newest set of workers that is asked for."""
        try:
            while (wanted := self._asked.get()) is not None:
                if wanted is self._wanted:
                    self._better(wanted)
        except BaseException as error:  # told by whoever waits for results
            self._controller.give_up(error)

    def _better(self, wanted: _Wanted) -> None:
        try:
            found = self._planner(wanted.workers, wanted.factors)
        except Exception as error:
            self._failed(wanted, error)
        else:
            self._propose(wanted, found)

    def _propose(self, wanted: _Wanted, found: Proposal) -> None:
        found = replace(found, content=_Content(found.content, wanted.factors))
        with self._controller.lock:
            if wanted is not self._wanted:
                return
            if found.lasts:
                self._wanted = None
                if found == self.core.proposal:
                    self.watch.planned(wanted.factors, kept=True)
            self._controller.act(self.core.planned(found, time.monotonic()))

    def _failed(self, wanted: _Wanted, error: Exception) -> None:
        """There is no better plan: whatever serves goes on, and is not asked to be replaced for the same reason."""
        with self._controller.lock:
            if wanted is not self._wanted:
                return
            self._wanted = None
            self.watch.planned(wanted.factors, kept=True)
            is_newest = wanted.workers == self.core.session.membership.usable
            is_over = is_newest and self.core.state == "WAITING"
        self._note("failed", f"{type(error).__name__}: {error}")
        if is_over:
            self._controller.give_up(error)

    def _begin(self, action: Begin) -> None:
        content: _Content = action.proposal.content
        with self._controller.lock:
            if self.core.proposal is not action.proposal:
                return
            messages = self._controller.begin(content.deployment, action.first)
            self._controller.act(self.core.deploy(messages, action.proposal, time.monotonic()))
            self.watch.planned(content.factors)
        epoch = self._controller.core.epoch
        self.deployments[epoch] = content.deployment
        self._note("deploying", _names(content.deployment), epoch)

    def _serves(self, epoch: int) -> None:
        """Note when an epoch's first item leaves."""
        if epoch != self._serving and self.core.serves(epoch):
            self._serving = epoch
            self._note("serving", _names(self.deployments[epoch]), epoch)

    # items --------------------------------------------------------------------------------------------------------

    def _send(self, action: Send) -> None:
        requester, item = self._controller.requester, action.item
        assert requester is not None

        def given_up() -> bool:
            return self._controller.requester is not requester or not self.core.serves(action.epoch)

        if given_up():
            return
        with self._controller.lock:
            requester.begin(item)
            self.core.sending(action.epoch, item, time.monotonic())
        self._attempts[item] = self._attempts.get(item, 0) + 1
        try:
            spans = requester.scatter(item, self._images[item], given_up)
        except Unreachable as error:
            reason = f"cannot be reached for rows ({error.why})"
            with self._controller.lock:
                self._controller.act(self.core.lose(error.worker, reason, time.monotonic()))
            return
        with self._controller.lock:
            requester.scattered(item, spans or [])


def _names(deployment: Deployment) -> str:
    return ", ".join(sorted(deployment.working))
