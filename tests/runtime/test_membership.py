"""Who can be used: leases, new starts, and pauses that double."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from splitgym.runtime.membership import Hysteresis, Membership

LEASE_S = 0.6
PAUSES = Hysteresis(pause_s=1.0, most_s=8.0, recent_s=30.0)


def members(returns: bool = True) -> Membership:
    return Membership(("ann", "bob"), 0.0, LEASE_S, returns, PAUSES)


def test_who_answers_can_be_used_until_silent_for_a_lease() -> None:
    found = members()
    assert found.absent == {"ann", "bob"}
    assert found.answered("ann", 7, 1.0) == ""
    assert found.usable == {"ann"}
    found.heard("ann", 1.5)
    assert found.expired(1.4 + LEASE_S) == []
    assert found.expired(1.6 + LEASE_S) == ["ann"]


@pytest.mark.parametrize("returns", [True, False])
def test_who_was_lost_comes_back_after_a_pause_or_never(returns: bool) -> None:
    found = members(returns)
    found.answered("ann", 7, 0.0)
    assert found.lose("ann", "is gone", 1.0)
    assert not found.lose("ann", "is gone again", 1.1)
    assert dict(found.reasons) == {"ann": "is gone"}
    found.answered("ann", 8, 2.0)
    found.heard("ann", 2.9)
    assert found.recovered(2.9) == []
    found.heard("ann", 3.0)
    assert found.recovered(3.0) == (["ann"] if returns else [])


def test_another_start_is_a_loss_and_an_answer_at_once() -> None:
    found = members()
    found.answered("ann", 7, 0.0)
    assert found.answered("ann", 8, 1.0) == "has started anew"
    assert found.state("ann") == "PROBATION"
    assert found.is_other("ann", 7)
    assert not found.is_other("ann", 8)


def test_pauses_double_with_recent_losses_up_to_a_limit_and_are_forgotten() -> None:
    assert [PAUSES.after(n) for n in (1, 2, 3, 4, 5, 1000)] == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    found = members()
    found.answered("ann", 7, 0.0)
    for now_s, due_s in ((1.0, 1.0), (10.0, 2.0), (20.0, 4.0), (100.0, 1.0)):
        found.lose("ann", "is gone", now_s)
        assert found.pause_of("ann") == due_s
        found.answered("ann", 7, now_s)
        assert found.recovered(now_s + due_s) == ["ann"]


class MembershipMachine(RuleBasedStateMachine):
    """Any order of what can happen to two workers."""

    def __init__(self) -> None:
        super().__init__()
        self.members, self.now_s = members(), 0.0
        self.losses_s: dict[str, list[float]] = {"ann": [], "bob": []}
        self.heard_s = {"ann": 0.0, "bob": 0.0}
        self.answered_s: dict[str, float] = {}

    names = st.sampled_from(["ann", "bob"])

    @rule(seconds=st.floats(0.01, 3.0))
    def time_goes_on(self, seconds: float) -> None:
        self.now_s += seconds
        for name in self.members.expired(self.now_s):
            assert self.now_s - self.heard_s[name] > LEASE_S
            self._lose(name)
        for name in self.members.recovered(self.now_s):
            recent = [s for s in self.losses_s[name] if self.losses_s[name][-1] - s <= PAUSES.recent_s]
            assert self.now_s - self.answered_s[name] >= PAUSES.after(len(recent))

    @rule(name=names, incarnation=st.integers(1, 3))
    def answers(self, name: str, incarnation: int) -> None:
        was_lost = self.members.state(name) == "LOST"
        if self.members.answered(name, incarnation, self.now_s):
            self.losses_s[name].append(self.now_s)
            was_lost = True
        if was_lost:
            self.answered_s[name] = self.now_s
        self.heard_s[name] = self.now_s

    @precondition(lambda self: self.members.usable)
    @rule(name=names)
    def is_lost(self, name: str) -> None:
        if self.members.state(name) != "ABSENT":
            self._lose(name)

    def _lose(self, name: str) -> None:
        was = self.members.state(name)
        assert self.members.lose(name, "is gone", self.now_s) == (was != "LOST")
        if was != "LOST":
            self.losses_s[name].append(self.now_s)

    @invariant()
    def nobody_silent_is_used_after_a_look(self) -> None:
        for name in self.members.usable:
            assert self.members.silent_s(name, self.now_s) <= LEASE_S or name in self.members.expired(self.now_s)

    @invariant()
    def everybody_is_somewhere(self) -> None:
        states = [self.members.state(name) for name in ("ann", "bob")]
        sets = (self.members.usable, self.members.absent, self.members.gone)
        assert sum(map(len, sets)) + states.count("PROBATION") == 2


TestMembershipMachine = MembershipMachine.TestCase
TestMembershipMachine.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
