"""A training over a session's workers: who plays which role, when it is handed out anew, who holds it up. No I/O here.

Over a :class:`..session_core.SessionCore` whose workers may come and go, and a :class:`.core.TrainingCore`. The states:
WAITING until somebody can play every role, BEGINNING an epoch, DEPLOYING it, RUNNING. The loss of a worker that plays
ends the epoch at once; its role goes to a spare worker, or waits for its return. In the next one everybody goes back
to the last checkpoint: a worker that kept its own copy to that, others to the controller's.

A link that loses something, or a worker that computes for too long, ends an epoch too. Where nobody computes, nothing
is on its way and nothing comes for a while, all begin anew over new connections. Each time both are given twice as
long, until something is logged: an entry may take longer than any before, where layers have moved to a slow device.
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
QUIET_S = 3.0  # in which somebody computes, or something is on its way
MOST_DOUBLED = 10
COMPUTE_FACTOR, COMPUTE_S = 10.0, 30.0  # what one computation may take: times what recent entries took, and at least
UNKNOWN_S = 120.0  # that it may take before any is logged
RECENT = 8
ENDING_S = 10.0  # least that a worker may go on computing for an epoch that is over
PATIENCE_S = 120.0  # in which nobody does anything for what is due
MOST_FAILURES, FAILING_S = 3, 10.0  # of a worker with nothing logged between, and for how long at least
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
        patience_s: how long a role may be without a worker, and nobody do anything for what is due.
        quiet_s: how long nobody may do anything while something is due.

    Attributes:
        sends: whether the controller is sending something.
    """

    def __init__(
        self,
        session: SessionCore,
        core: TrainingCore,
        workers: Mapping[str, str],
        now_s: float,
        patience_s: float = PATIENCE_S,
        quiet_s: float = QUIET_S,
    ) -> None:
        self.session, self.core = session, core
        self.workers = dict(workers)
        self._played: dict[str, str] = {}  # who played each role when it last did
        self.patience_s, self.quiet_s, self.sends = patience_s, quiet_s, False
        self.state: State = "WAITING"
        self.asks = False  # for a checkpoint of what is logged
        self._asked = -1  # the core's epoch in which it was asked for
        self._deployed_s = self._moved_s = self._ticked_s = self._logged_s = now_s
        self._waited_s = 0.0
        self._took_s: list[float] = []  # by recent entries
        self._doubled = 0  # times that what is given was, since an entry was logged
        self._failures: dict[str, list[float]] = {}  # of workers since an entry was logged

    # what goes on with workers ------------------------------------------------------------------------------------

    def control(self, worker: str, message: Control, now_s: float) -> list[Action]:
        """A control message came in from a worker of that verified name."""
        found = self._follow(self.session.control(worker, message, now_s), now_s)
        if isinstance(message, Failed) and message.epoch == self.session.epoch and not message.peer:
            found += self._failed(worker, message.reason, now_s)
        return found

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

    def _follow(self, actions: Sequence[SessionAction], now_s: float) -> list[Action]:
        """What the session's actions mean for the training."""
        found: list[Action] = list(actions)
        if any(isinstance(action, Lost) for action in actions) and not self._all_usable():
            self._stop()
        if self.state == "WAITING":
            found += self._begin()
        if self.state == "DEPLOYING" and self.session.is_ready:
            found += self._run(now_s)
        return found

    def _all_usable(self) -> bool:
        return self.session.membership.usable.issuperset(self.workers.values())

    def _failed(self, worker: str, reason: str, now_s: float) -> list[Action]:
        """A worker cannot go on, by its own fault: not for ever again."""
        failures_s = self._failures.setdefault(worker, [])
        failures_s.append(now_s)
        for_ever = len(failures_s) >= MOST_FAILURES and now_s - failures_s[0] >= FAILING_S
        return [GiveUp(f"worker {worker}: {reason}")] if for_ever else []

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
        self.state, self._moved_s, self._logged_s = "RUNNING", now_s, now_s
        actions: list[Action] = []
        for role, worker in self.workers.items():
            holds = self.session.holds(worker) and self._played.get(role) == worker
            actions += self.core.came(role, anew=not holds)
        self._played = dict(self.workers)
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

    def _hurry(self, now_s: float) -> list[Action]:
        """End an epoch in which somebody is not ready, or is stuck, for too long."""
        found: Culprit | None = None
        if self.state == "DEPLOYING":
            late = [name for name in self.session.missing if name in self.session.membership.usable]
            ending_s = max(ENDING_S, self._compute_s)
            found = unready(late, self.session.beats, self.session.epoch, now_s - self._deployed_s, ending_s)
        elif self.state == "RUNNING" and (self.core.awaits or self.asks):
            found = self._stuck()
            if found is None and self._is_quiet(now_s):
                return self._anew(now_s)
        if found is None:
            return []
        self._doubled += 1
        return self.lose(found.worker, found.reason, now_s) + self._failed(found.worker, found.reason, now_s)

    @property
    def _given(self) -> float:
        """By how much longer than usual anything may take."""
        return 2.0 ** min(self._doubled, MOST_DOUBLED)

    @property
    def _compute_s(self) -> float:
        """What one computation may take."""
        usual_s = max(COMPUTE_S, COMPUTE_FACTOR * max(self._took_s)) if self._took_s else UNKNOWN_S
        return usual_s * self._given

    def _stuck(self) -> Culprit | None:
        """Who computes for too long."""
        for name in self.workers.values():
            beat = self.session.beats.get(name)
            if beat is not None and beat.phase == "compute" and beat.since_s > self._compute_s:
                return Culprit(name, f"has computed entry {beat.item} for {beat.since_s:.1f} s")
        return None

    @property
    def _is_busy(self) -> bool:
        """Whether anybody does anything for the training."""
        beats = [self.session.beats[name] for name in self.workers.values() if name in self.session.beats]
        return self.sends or any(beat.phase in ("compute", "sending") for beat in beats)

    def _is_quiet(self, now_s: float) -> bool:
        """Whether nobody does anything, and has not for too long."""
        if self._is_busy:
            self._moved_s = max(self._moved_s, now_s)
        return now_s - self._moved_s > self.quiet_s * self._given

    def _anew(self, now_s: float) -> list[Action]:
        """Nothing came for too long, and nobody says why: the same once more, over new connections."""
        self._doubled += 1
        self._moved_s = now_s
        self._stop()
        return self._begin()

    def _despair(self, now_s: float) -> list[Action]:
        """Give up where nobody has done anything for too long."""
        passed_s, self._ticked_s = min(now_s - self._ticked_s, AWAY_S), now_s
        if self.state == "RUNNING" and not (self.core.awaits or self.asks):
            self._waited_s = 0.0
        elif self.state != "DEPLOYING" and not (self.state == "RUNNING" and self._is_busy):
            self._waited_s += passed_s
        if self._waited_s <= self.patience_s:
            return []
        self._waited_s = 0.0
        lost = [f"{name} {why}" for name, why in sorted(self.session.lost.items())]
        why = "; ".join(lost) or f"{self.state.lower()} with {', '.join(sorted(self.session.membership.usable))}"
        return [GiveUp(f"nothing was logged for {self.patience_s:g} s ({why})")]
