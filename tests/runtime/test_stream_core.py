"""When a stream blames a worker, gives up, or goes over to a better plan: with a session of two, moment by moment."""

from __future__ import annotations

from typing import Any

import pytest

from splitgym.runtime import wire, wire_types
from splitgym.runtime.progress import BUILD_S, LOAD_S, PLAN_S
from splitgym.runtime.session_core import Lost, SessionCore, Tell
from splitgym.runtime.stream_core import ENDING_S, Begin, GiveUp, Proposal, Send, StreamCore

SESSION, WORKERS = "ab" * 16, ("ann", "bob")
PATIENCE_S = 30.0


def plan_for(name: str, epoch: int) -> wire.PlanMessage:
    peers = tuple(wire.Peer(worker, f"{worker}:1", 1) for worker in WORKERS)
    return wire.PlanMessage(
        SESSION,
        epoch,
        WORKERS.index(name),
        {},
        ("cd" * 32,),
        (0,),
        {},
        1,
        wire_types.FLOAT32,
        peers,
        1,
        None,
        wire_types.UINT8,
    )


class Stream:
    """A stream over ann and bob, who beat at every tick and say what they are told to."""

    def __init__(self, in_flight: int = 1) -> None:
        session = SessionCore(SESSION, "1.0", "here:1", WORKERS, 0.0, lease_s=1.0, returns=True)
        self.core = StreamCore(session, in_flight, 0.0, patience_s=PATIENCE_S)
        self.now_s, self.found = 0.0, list[Any]()
        self.phase: dict[str, tuple[str, float]] = dict.fromkeys(WORKERS, ("joined", 0.0))  # and since when
        self.lacks = dict.fromkeys(WORKERS, "")
        for name in WORKERS:
            self.hear(name, wire.Welcome(SESSION, 1, "1.0", 1, "a board"))
        self.tick()

    def hear(self, name: str, message: wire.Control) -> None:
        self.found += self.core.control(name, message, self.now_s)

    def says(self, phase: str, *names: str) -> None:
        for name in names or WORKERS:
            self.phase[name] = phase, self.now_s

    def tick(self, seconds: float = 0.1, lacks: str = "") -> None:
        for _ in range(round(seconds / 0.1)):
            self.now_s += 0.1
            for name, (phase, since_s) in self.phase.items():
                beat = wire.Heartbeat(
                    SESSION, 1, self.core.session.epoch, 0, phase, max(0.0, self.now_s - since_s), self.now_s,
                    lacks=self.lacks[name],
                )  # fmt: skip
                self.hear(name, beat)
            self.found += self.core.tick(self.now_s, lacks)

    def propose(self, lasts: bool = True, content: object = None) -> None:
        proposal = Proposal(WORKERS, frozenset(WORKERS), 0.1, content, lasts)
        self.found += self.core.planned(proposal, self.now_s)

    def deploy(self) -> None:
        epoch = self.core.session.epoch + 1
        proposal = self.core.proposal
        assert proposal is not None
        self.found += self.core.deploy({n: plan_for(n, epoch) for n in WORKERS}, proposal, self.now_s)

    def serve(self) -> None:
        self.propose()
        self.deploy()
        self.says("waiting")
        for name in WORKERS:
            self.hear(name, wire.Ready(SESSION, self.core.session.epoch))

    @property
    def losses(self) -> dict[str, str]:
        return {action.worker: action.reason for action in self.found if isinstance(action, Lost)}

    @property
    def gave_up(self) -> list[str]:
        return [action.reason for action in self.found if isinstance(action, GiveUp)]


@pytest.mark.parametrize(
    ("phase", "allowed_s", "reason"),
    [
        ("queued", ENDING_S, "still computes what is over"),
        ("loading", LOAD_S, "gets no weights"),
        ("building", BUILD_S, "builds its parts"),
        ("waiting", PLAN_S, "does not say that it is ready"),
    ],
)
def test_whoever_does_not_get_ready_is_lost_in_time(phase: str, allowed_s: float, reason: str) -> None:
    stream = Stream()
    stream.found += stream.core.submit(stream.now_s)
    stream.propose()
    stream.deploy()
    stream.says("waiting")
    stream.hear("ann", wire.Ready(SESSION, 1))
    stream.says(phase, "bob")
    stream.tick(allowed_s - 0.2)
    assert not stream.losses
    stream.tick(1.0)
    assert list(stream.losses) == ["bob"]
    assert stream.losses["bob"].startswith(reason)
    assert not stream.gave_up  # although an item has waited for longer than patience allows


def test_a_plan_that_does_not_arrive_is_noticed() -> None:
    stream = Stream()
    stream.propose()
    stream.deploy()
    stream.core.session.epoch = 2  # of which nobody has heard
    for _ in range(round(PLAN_S / 0.1) + 2):
        stream.now_s += 0.1
        for name in WORKERS:
            stream.hear(name, wire.Heartbeat(SESSION, 1, 1, 0, "waiting", 0.0, stream.now_s))
        stream.found += stream.core.tick(stream.now_s)
    assert "has not taken the plan" in stream.losses["ann"]


def test_weights_may_take_as_long_as_they_come() -> None:
    stream = Stream()
    stream.found += stream.core.submit(stream.now_s)
    stream.propose()
    stream.deploy()
    for _ in range(10):
        stream.says("loading")  # another chunk
        stream.tick(LOAD_S - 1.0)
    assert not stream.losses
    assert not stream.gave_up


def test_nobody_is_blamed_for_what_was_not_sent() -> None:
    stream = Stream()
    stream.serve()
    stream.found += stream.core.submit(stream.now_s)
    stream.lacks["ann"] = "desk"
    stream.tick(2 * PATIENCE_S, lacks="ann")
    assert not stream.losses
    assert not stream.gave_up
    stream.core.sending(1, 0, stream.now_s)
    stream.tick(3.0, lacks="ann")
    assert stream.losses == {"ann": "does not get what the controller sends it"}


def test_patience_ends_and_says_what_was_waited_for() -> None:
    stream = Stream()
    stream.serve()
    stream.found += stream.core.submit(stream.now_s)
    stream.core.sending(1, 0, stream.now_s)
    stream.tick(PATIENCE_S + 1.0)  # nobody knows whose rows the result waits for
    assert stream.gave_up == [f"no result for {PATIENCE_S:g} s (serving with ann, bob)"]


def test_time_in_which_the_controller_was_stopped_tries_no_patience() -> None:
    stream = Stream()
    stream.serve()
    stream.found += stream.core.submit(stream.now_s)
    stream.core.sending(1, 0, stream.now_s)
    stream.now_s += 2 * PATIENCE_S
    stream.tick()
    assert not stream.gave_up


def test_a_better_plan_overtakes_one_that_waits_for_weights_alone() -> None:
    for phase, overtakes in (("loading", True), ("building", False)):
        stream = Stream()
        stream.found += stream.core.submit(stream.now_s)
        stream.propose(lasts=False, content="meanwhile")
        stream.deploy()
        stream.says(phase)
        stream.tick()
        stream.propose(content="better")
        stream.tick()
        begun = [action.proposal.content for action in stream.found if isinstance(action, Begin)]
        assert begun == ["meanwhile", *(["better"] if overtakes else [])]


def test_what_an_earlier_plan_took_says_nothing_of_the_next() -> None:
    """The first item of a plan is waited for by what the plan is expected to take, not by what others took."""
    stream = Stream()
    stream.serve()
    stream.found += stream.core.submit(stream.now_s)
    stream.core.sending(1, 0, stream.now_s)
    stream.now_s += 0.2
    stream.found += stream.core.came(1, 0, stream.now_s)
    stream.tick(1.0)
    stream.found += stream.core.lose("bob", "is gone", stream.now_s)
    slow = Proposal(("ann",), frozenset(["ann"]), 1.0, None)  # 3 times this is less than it takes, 10 times is more
    stream.found += stream.core.planned(slow, stream.now_s)
    stream.found += stream.core.deploy({"ann": plan_for("ann", 2)}, slow, stream.now_s)
    stream.says("waiting")
    stream.hear("ann", wire.Ready(SESSION, 2))
    stream.found += stream.core.submit(stream.now_s)
    stream.core.sending(2, 1, stream.now_s)
    stream.says("compute", "ann")
    stream.tick(8.0, lacks="ann")
    assert list(stream.losses) == ["bob"]


def test_an_item_goes_to_the_epoch_that_serves() -> None:
    stream = Stream()
    stream.found += stream.core.submit(stream.now_s)
    stream.serve()
    assert [action for action in stream.found if isinstance(action, Send)] == [Send(0, 1)]
    told = [action.worker for action in stream.found if isinstance(action, Tell) and action.worker in WORKERS]
    assert set(told) == set(WORKERS)


def test_what_is_served_is_kept_where_it_is_what_is_wanted_in_the_end() -> None:
    stream = Stream()
    stream.serve()
    stream.found += stream.core.submit(stream.now_s)
    stream.propose(content="another")  # to be deployed once nothing is under way
    assert not stream.core.wants
    stream.propose()
    stream.core.sending(1, 0, stream.now_s)
    stream.found += stream.core.came(1, 0, stream.now_s)
    stream.tick(1.0)
    assert [action.proposal.content for action in stream.found if isinstance(action, Begin)] == [None]
    assert stream.core.wants
