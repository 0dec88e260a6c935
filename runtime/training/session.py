"""A training over a session's workers: who plays which role, when it is handed out anew, who holds it up. No I/O here.

Over a :class:`..session_core.SessionCore` whose workers may come and go, and a :class:`.core.TrainingCore`. The states:
WAITING until somebody can play every role, BEGINNING an epoch, DEPLOYING it, RUNNING. The loss of a worker that plays
ends the epoch at once; its role goes to a spare worker, or waits for its return. In the next one everybody goes back
to the last checkpoint: a worker that kept its own copy to that, others to the controller's.

A link that loses something, or a worker that computes for too long, ends an epoch too. What an entry may take follows
from those before it; where nobody computes and nothing comes for longer, all begin anew, each time with twice as long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..progress import Culprit, unready
from ..session_core import Action as SessionAction
from ..session_core import Lost, SessionCore
from ..wire import AnyPlan, Control, Failed
from ..wire_training import AnyEntry, AnyHeader
from .core import Action as TrainingAction
from .core import Append, Keep, TrainingCore

State = Literal["WAITING", "BEGINNING", "DEPLOYING", "RUNNING"]
OVERDUE_S = 3.0  # least that an entry may take
OVERDUE_FACTOR = 5.0  # times what recent ones took
UNKNOWN_S = 30.0  # that one may take before any is logged
RECENT = 8
MOST_PATIENCE = 10  # doublings of what one may take
ENDING_S = 10.0  # least that a worker may go on computing for an epoch that is over
PATIENCE_S = 120.0  # without anything logged that is due
MOST_FAILURES = 3  # of a worker, one after another, with nothing logged between
AWAY_S = 1.0  # a tick that comes later was not waited for: this machine was stopped


@dataclass(frozen=True)
class Deploy:
    """Hand the training out in a new epoch; ends in :meth:`TrainingSession.deploy`.

    Attributes:
        workers: by role.
    """

    workers: Mapping[str, str]


@dataclass(frozen=True)
class GiveUp:
    """The training cannot go on, and why in one line."""

    reason: str


Action = SessionAction | TrainingAction | Deploy | GiveUp


class TrainingSession:
    """A training over a session.

    Args:
        session: its workers; it must let them return.
        core: of the training.
        workers: who plays each role; the session's others are spare.
        now_s: the time now.
        patience_s: how long nothing may be logged that is due, or a role be without a worker.
        overdue_s: least that an entry may take before somebody is held to be stuck.
    """

    def __init__(
        self,
        session: SessionCore,
        core: TrainingCore,
        workers: Mapping[str, str],
        now_s: float,
        patience_s: float = PATIENCE_S,
        overdue_s: float = OVERDUE_S,
    ) -> None:
        self.session, self.core = session, core
        self.workers = dict(workers)
        self.patience_s, self.overdue_s = patience_s, overdue_s
        self.state: State = "WAITING"
        self.asks = False  # for a checkpoint of what is logged
        self._asked = -1  # the core's epoch in which it was asked for
        self._deployed_s = self._moved_s = self._ticked_s = self._logged_s = now_s
        self._waited_s = 0.0
        self._took_s: list[float] = []  # by recent entries
        self._doubled = 0  # times that what one may take was, since one was logged
        self._failures: dict[str, int] = {}  # of workers since an entry was logged

    # what goes on with workers ------------------------------------------------------------------------------------

    def control(self, worker: str, message: Control, now_s: float) -> list[Action]:
        """A control message came in from a worker of that verified name."""
        ends = isinstance(message, Failed) and message.epoch == self.session.epoch and worker in self.workers.values()
        found = self._follow(self.session.control(worker, message, now_s), now_s, ends)
        return found + self._failed(worker, message) if ends and isinstance(message, Failed) else found

    def down(self, worker: str, now_s: float) -> list[Action]:
        """The control connection to a worker has ended."""
        return self._follow(self.session.down(worker, now_s), now_s)

    def lose(self, worker: str, reason: str, now_s: float) -> list[Action]:
        """A worker cannot be reached for packets."""
        return self._follow(self.session.lose(worker, reason, now_s), now_s)

    def tick(self, now_s: float, lacks: str = "") -> list[Action]:
        """Time goes on."""
        actions = self._follow(self.session.tick(now_s), now_s)
        actions += self._hurry(now_s)
        return actions + self._despair(now_s)

    def came(self, epoch: int, item: int, now_s: float) -> list[Action]:
        """No items come in here: packets do."""
        return []

    def _follow(self, actions: Sequence[SessionAction], now_s: float, ends: bool = False) -> list[Action]:
        """What the session's actions mean for the training.

        Args:
            ends: whether a worker has left the epoch, whoever that was due to.
        """
        found: list[Action] = list(actions)
        if ends or (any(isinstance(action, Lost) for action in actions) and not self._all_usable()):
            self._stop()
        if self.state == "WAITING":
            found += self._begin()
        if self.state == "DEPLOYING" and self.session.is_ready:
            found += self._run(now_s)
        return found

    def _all_usable(self) -> bool:
        return self.session.membership.usable.issuperset(self.workers.values())

    def _failed(self, worker: str, message: Failed) -> list[Action]:
        """A worker says that it cannot go on: not for ever again, unless that is due to another."""
        if message.peer:
            return []
        self._failures[worker] = self._failures.get(worker, 0) + 1
        return [GiveUp(f"worker {worker}: {message.reason}")] if self._failures[worker] >= MOST_FAILURES else []

    # epochs -------------------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        """The epoch is over."""
        if self.state == "RUNNING":
            for role in self.workers:
                self.core.lost(role)
        self.state = "WAITING"

    def _begin(self) -> list[Action]:
        """Hand the training out, if somebody can play every role."""
        spare = sorted(self.session.membership.usable - set(self.workers.values()))
        for role, worker in self.workers.items():
            if worker not in self.session.membership.usable and spare and not self._may_come(worker):
                self.workers[role] = spare.pop(0)
        if not self._all_usable():
            return []
        self.state = "BEGINNING"
        return [Deploy(dict(self.workers))]

    def _may_come(self, worker: str) -> bool:
        """Whether a worker has never answered, and may yet."""
        return worker in self.session.membership.absent

    def deploy(self, plans: Mapping[str, AnyPlan], workers: Mapping[str, str], now_s: float) -> list[Action]:
        """The messages of a new epoch are made; nothing happens where it is not wanted any more."""
        if self.state != "BEGINNING" or dict(workers) != self.workers:
            return []
        self.state, self._deployed_s = "DEPLOYING", now_s
        return list(self.session.deploy(plans))

    def _run(self, now_s: float) -> list[Action]:
        """All are ready: everybody goes back to the last checkpoint."""
        self.state, self._moved_s = "RUNNING", now_s
        actions: list[Action] = []
        for role, worker in self.workers.items():
            actions += self.core.came(role, anew=not self.session.holds(worker))
        return actions

    def assign(self, role: str, worker: str) -> list[Action]:
        """Another worker plays a role from now on; it goes on from the last checkpoint."""
        self._stop()
        self.workers[role] = worker
        return self._begin()

    # entries ------------------------------------------------------------------------------------------------------

    def submit(self, entry: AnyEntry, now_s: float) -> list[Action]:
        """Another entry, behind those that were submitted."""
        if not self.core.awaits:
            self._moved_s = self._logged_s = now_s
        return self._noted(self.core.submit(entry), now_s)

    def ask(self, now_s: float) -> list[Action]:
        """Make a checkpoint of all that is submitted, as soon as it is logged; :attr:`asks` until it is whole."""
        self.asks, self._asked = True, -1
        return self._ask()

    def packet(self, epoch: int, worker: str, header: AnyHeader, state: Any, now_s: float) -> list[Action]:
        """A packet of a worker came in."""
        role = next((role for role, found in self.workers.items() if found == worker), None)
        if self.state != "RUNNING" or epoch != self.session.epoch or role is None:
            self.core.drops.add("packets of another epoch")
            return []
        self._moved_s = now_s
        return self._noted(self.core.handle(role, header, state), now_s) + self._ask()

    def _noted(self, actions: Sequence[TrainingAction], now_s: float) -> list[Action]:
        for action in actions:
            match action:
                case Append():
                    self._took_s = [*self._took_s, now_s - self._logged_s][-RECENT:]
                    self._logged_s, self._waited_s, self._doubled = now_s, 0.0, 0
                    self._failures.clear()
                case Keep() if action.number == self.core.logged:
                    self.asks = False
                case _:
                    pass
        return list(actions)

    def _ask(self) -> list[Action]:
        if not self.asks or not self.core.idle or self._asked == self.core.epoch:
            return []
        self._asked = self.core.epoch
        return list(self.core.ask_states())

    # who is stuck -------------------------------------------------------------------------------------------------

    @property
    def may_take_s(self) -> float:
        """What an entry may take."""
        usual_s = OVERDUE_FACTOR * max(self._took_s) if self._took_s else UNKNOWN_S
        return max(self.overdue_s, usual_s) * 2.0 ** min(self._doubled, MOST_PATIENCE)

    def _hurry(self, now_s: float) -> list[Action]:
        """End an epoch in which somebody is not ready, or is stuck, for too long."""
        due_s, beats = self.may_take_s, self.session.beats
        found: Culprit | None = None
        if self.state == "DEPLOYING":
            late = [name for name in self.session.missing if name in self.session.membership.usable]
            ending_s = max(ENDING_S, due_s)
            found = unready(late, beats, self.session.epoch, now_s - self._deployed_s, ending_s)
        elif self.state == "RUNNING" and (self.core.awaits or self.asks):
            found = next(
                (
                    Culprit(name, f"has computed entry {beats[name].item} for {beats[name].since_s:.1f} s")
                    for name in self.workers.values()
                    if name in beats and beats[name].phase == "compute" and beats[name].since_s > due_s
                ),
                None,
            )
            if found is None and now_s - self._moved_s > due_s:
                return self._anew(now_s)
        return [] if found is None else self.lose(found.worker, found.reason, now_s)

    def _anew(self, now_s: float) -> list[Action]:
        """Nothing came for too long, and nobody says why: the same once more, over new connections."""
        self._doubled += 1
        self._moved_s = now_s
        self._stop()
        return self._begin()

    def _despair(self, now_s: float) -> list[Action]:
        """Give up where nothing has been logged for too long."""
        passed_s, self._ticked_s = min(now_s - self._ticked_s, AWAY_S), now_s
        waits = self.state != "RUNNING" or self.core.awaits or self.asks
        self._waited_s = self._waited_s + passed_s if waits and self.state != "DEPLOYING" else self._waited_s
        if not waits:
            self._waited_s = 0.0
        if self._waited_s <= self.patience_s:
            return []
        self._waited_s = 0.0
        lost = [f"{name} {why}" for name, why in sorted(self.session.lost.items())]
        why = "; ".join(lost) or f"{self.state.lower()} with {', '.join(sorted(self.session.membership.usable))}"
        return [GiveUp(f"nothing was logged for {self.patience_s:g} s ({why})")]
