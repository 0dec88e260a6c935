"""Who of a controller's workers can be used: leases, new starts, and a pause for those that were lost. No I/O here.

A worker is ABSENT until it has answered, then ACTIVE. Silence for a lease, a connection that ends, another start or a
failure make it LOST. One that answers again is in PROBATION for a pause that doubles with every recent loss, so that a
worker which comes and goes does not make every plan anew; then it is ACTIVE again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

State = Literal["ABSENT", "ACTIVE", "LOST", "PROBATION"]


@dataclass(frozen=True)
class Hysteresis:
    """How long a worker that was lost is not used after it has answered again.

    Attributes:
        pause_s: after the first loss; twice as long with every recent one.
        most_s: at most.
        recent_s: for so long a loss counts.
    """

    pause_s: float = 1.0
    most_s: float = 60.0
    recent_s: float = 300.0

    def after(self, losses: int) -> float:
        """Seconds after so many recent losses."""
        return min(self.most_s, self.pause_s * 2.0 ** min(60, max(0, losses - 1)))


HYSTERESIS = Hysteresis()


@dataclass
class _Member:
    state: State = "ABSENT"
    incarnation: int = 0
    heard_s: float = 0.0
    since_s: float = 0.0  # in probation
    losses_s: list[float] = field(default_factory=list)
    reason: str = ""


class Membership:
    """The workers of a session.

    Args:
        names: of them.
        now_s: the time now.
        lease_s: how long an active one may be silent.
        returns: whether one that was lost may come back.
        hysteresis: their probation.
    """

    def __init__(
        self,
        names: Iterable[str],
        now_s: float,
        lease_s: float,
        returns: bool = False,
        hysteresis: Hysteresis = HYSTERESIS,
    ) -> None:
        self.lease_s, self.returns, self.hysteresis = lease_s, returns, hysteresis
        self._members = {name: _Member(heard_s=now_s) for name in names}
        self._by_state: dict[State, frozenset[str]] = {}  # as long as none changes

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def state(self, name: str) -> State:
        """Of one worker."""
        return self._members[name].state

    @property
    def usable(self) -> frozenset[str]:
        """Those that a plan may use."""
        return self._are("ACTIVE")

    @property
    def absent(self) -> frozenset[str]:
        """Those that have never answered."""
        return self._are("ABSENT")

    @property
    def gone(self) -> frozenset[str]:
        """Those that were lost and have not answered since."""
        return self._are("LOST")

    @property
    def reasons(self) -> Mapping[str, str]:
        """Why those that cannot be used were lost."""
        return {name: m.reason for name, m in self._members.items() if m.state in ("LOST", "PROBATION")}

    def _are(self, state: State) -> frozenset[str]:
        if state not in self._by_state:
            self._by_state[state] = frozenset(n for n, member in self._members.items() if member.state == state)
        return self._by_state[state]

    def _become(self, member: _Member, state: State) -> None:
        member.state = state
        self._by_state.clear()

    def silent_s(self, name: str, now_s: float) -> float:
        """For how long nothing was heard of a worker, from the beginning on where it never answered."""
        return now_s - self._members[name].heard_s

    def heard(self, name: str, now_s: float) -> None:
        """Something came in from a worker."""
        self._members[name].heard_s = now_s

    def answered(self, name: str, incarnation: int, now_s: float) -> str:
        """A worker has answered a hello.

        Returns:
            Why that means it was lost; empty where it does not. It has answered with its new start then.
        """
        member = self._members[name]
        why = "has started anew" if self.is_other(name, incarnation) else ""
        if why:
            self.lose(name, why, now_s)
        if member.state == "ABSENT":
            self._become(member, "ACTIVE")
        elif member.state == "LOST" and self.returns:
            self._become(member, "PROBATION")
            member.since_s = now_s
        member.incarnation, member.heard_s = incarnation, now_s
        return why

    def is_other(self, name: str, incarnation: int) -> bool:
        """Whether this is not the start of a worker that is used or about to be."""
        member = self._members[name]
        return member.state in ("ACTIVE", "PROBATION") and incarnation != member.incarnation

    def lose(self, name: str, reason: str, now_s: float) -> bool:
        """A worker cannot be used any more; whether that is new."""
        member = self._members[name]
        if member.state == "LOST":
            return False
        self._become(member, "LOST")
        member.reason = reason
        member.losses_s = [s for s in member.losses_s if now_s - s <= self.hysteresis.recent_s] + [now_s]
        return True

    def expired(self, now_s: float) -> list[str]:
        """Those whose lease has ended; to be lost."""
        return [n for n in self._members if self._counts(n) and self.silent_s(n, now_s) > self.lease_s]

    def _counts(self, name: str) -> bool:
        return self._members[name].state in ("ACTIVE", "PROBATION")

    def pause_of(self, name: str) -> float:
        """Seconds of probation after as many recent losses as a worker has had."""
        return self.hysteresis.after(len(self._members[name].losses_s))

    def recovered(self, now_s: float, held: Collection[str] = ()) -> list[str]:
        """Those whose probation is over; they are active from now on.

        Args:
            held: whose probation goes on, however long it has been.
        """
        found = [
            name
            for name, member in self._members.items()
            if member.state == "PROBATION" and name not in held and now_s - member.since_s >= self.pause_of(name)
        ]
        for name in found:
            self._become(self._members[name], "ACTIVE")
        return found
