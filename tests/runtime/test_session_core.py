"""A controller's decisions about its workers, without any I/O."""

from __future__ import annotations

import pytest

from splitgym.runtime import wire, wire_requests
from splitgym.runtime.membership import Hysteresis
from splitgym.runtime.session_core import (
    HEARTBEAT_S,
    HELLO_AGAIN_S,
    Answered,
    Back,
    Done,
    Lost,
    SessionCore,
    Supply,
    Tell,
)

SESSION = "ab" * 16
LEASE_S, JOIN_S = 3.0, 10.0
NAMES = ("ann", "bob")


def session() -> SessionCore:
    return SessionCore(SESSION, "1.0", "me:1", NAMES, 0.0, LEASE_S, JOIN_S)


def welcome(incarnation: int = 7, session: str = SESSION, asked: int = 99) -> wire.Welcome:
    return wire.Welcome(session, incarnation, "1.0", 7412, "a board", asked=asked)


def plans(epoch: int) -> dict[str, wire.PlanMessage]:
    peers = tuple(wire.Peer(name, f"{name}:7412", 7) for name in NAMES)
    return {
        n: wire.PlanMessage(SESSION, epoch, i, {}, ("11" * 32,), (0,), {}, 1, 0, peers, 1) for i, n in enumerate(NAMES)
    }


def serving() -> SessionCore:
    found = session()
    for name in NAMES:
        assert found.control(name, welcome(), 0.0) == [Back(name)]
    found.deploy(plans(1))
    for name in NAMES:
        found.control(name, wire.Ready(SESSION, 1), 0.0)
    assert found.state == "SERVING"
    return found


def test_it_forms_deploys_and_serves() -> None:
    core = session()
    assert {action.worker for action in core.tick(0.0) if isinstance(action, Tell)} == set(NAMES)
    assert core.state == "FORMING"
    core.control("ann", welcome(), 0.1)
    assert core.missing == ["bob"]
    core.control("bob", welcome(), 0.2)
    assert core.deploy(plans(1)) == [Tell(name, plan) for name, plan in plans(1).items()]
    assert core.state == "DEPLOYING"
    assert core.control("ann", wire.Want(SESSION, 1, ("11" * 32,)), 0.3) == [Supply("ann", 1, ("11" * 32,))]
    core.control("ann", wire.Ready(SESSION, 1), 0.4)
    assert core.missing == ["bob"]
    core.control("bob", wire.Ready(SESSION, 1), 0.5)
    assert core.state == "SERVING"
    spans = wire.Spans(SESSION, 1, 0, ())
    assert core.control("bob", spans, 0.6) == [Done("bob", spans)]


def test_hello_is_said_again_until_it_is_answered() -> None:
    core = session()
    core.tick(0.0)
    assert core.tick(HELLO_AGAIN_S / 2) == []
    core.control("ann", welcome(), 0.0)
    (again,) = [a for a in core.tick(HELLO_AGAIN_S + 0.1) if isinstance(a, Tell) and isinstance(a.message, wire.Hello)]
    assert again.worker == "bob"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (wire.Refuse("pi serves me now"), "pi serves me now"),
        (wire.Failed(SESSION, 1, "no memory"), "no memory"),
        (welcome(incarnation=8, asked=100), "has started anew"),
        (wire.Heartbeat(SESSION, incarnation=8), "has started anew"),
    ],
)
def test_a_worker_that_cannot_go_on_is_lost_with_its_reason(message: wire.Control, words: str) -> None:
    core = serving()
    reset = Tell("bob", wire.Reset(SESSION, 1))  # it may only seem lost
    assert core.control("bob", message, 1.0) == [Lost("bob", words), reset]
    assert dict(core.lost) == {"bob": words}
    assert core.control("bob", wire.Ready(SESSION, 1), 1.0) == []


def test_silence_is_a_loss_after_a_lease() -> None:
    core = serving()
    core.control("ann", wire.Heartbeat(SESSION, incarnation=7), 2.0)
    lost = [a for a in core.tick(LEASE_S + 0.1) if isinstance(a, Lost)]
    assert lost == [Lost("bob", f"has been silent for {LEASE_S:g} s")]


def test_a_worker_that_never_answers_is_lost() -> None:
    core = session()
    core.control("ann", welcome(), 0.0)
    core.control("ann", wire.Heartbeat(SESSION, incarnation=7), JOIN_S)
    assert [a for a in core.tick(JOIN_S + 0.1) if isinstance(a, Lost)] == [
        Lost("bob", f"has not answered within {JOIN_S:g} s")
    ]


def test_what_belongs_to_another_epoch_or_session_says_nothing() -> None:
    core = serving()
    for message in (
        wire.Ready(SESSION, 2),
        wire.Spans(SESSION, 2, 0, ()),
        wire.Want(SESSION, 2, ()),
        wire.Failed(SESSION, 2, "x"),
        welcome(9, "cd" * 16),
    ):
        assert core.control("ann", message, 1.0) == []
    assert core.control("eve", wire.Ready(SESSION, 1), 1.0) == []
    assert core.state == "SERVING"
    assert not core.lost


def test_heartbeats_go_out_to_those_who_have_joined() -> None:
    core = session()
    core.control("ann", welcome(), 0.0)
    beats = [a for a in core.tick(HEARTBEAT_S) if isinstance(a, Tell) and isinstance(a.message, wire.Heartbeat)]
    assert [beat.worker for beat in beats] == ["ann"]


def test_clocks_come_from_the_shortest_way_there_and_back() -> None:
    """A worker whose clock is 100 s ahead: 30 ms there, 10 ms back; then 200 ms in all; then 4 ms."""
    core = serving()
    for sent_s, there_s, back_s in ((1.0, 0.030, 0.010), (2.0, 0.150, 0.050), (3.0, 0.002, 0.002)):
        came_s = sent_s + there_s + 100.0  # on the worker's clock, which beats 50 ms later
        beat = wire.Heartbeat(SESSION, 7, sent_s=came_s + 0.05, echo_s=sent_s, held_s=0.05)
        core.control("ann", beat, sent_s + there_s + 0.05 + back_s)
        clock = core.clocks["ann"]
        assert abs(clock.ahead_s - 100.0) <= clock.error_s + 1e-9
    assert core.clocks["ann"].error_s == pytest.approx(0.002)
    assert core.clocks["bob"].error_s == float("inf")


def test_answers_of_this_session_are_told() -> None:
    core, answer = serving(), wire_requests.Timed(SESSION, 4, (0.5,))
    assert core.control("bob", answer, 1.0) == [Answered("bob", answer)]
    assert core.control("bob", wire_requests.Timed("cd" * 16, 4, (0.5,)), 1.0) == []


def test_who_never_answered_is_lost_with_the_reason_that_is_known() -> None:
    core = session()
    core.unreachable("bob", "cannot be connected")
    core.control("ann", welcome(), JOIN_S)
    lost = [action for action in core.tick(JOIN_S + 0.1) if isinstance(action, Lost)]
    assert lost == [Lost("bob", "has not answered within 10 s (cannot be connected)")]


@pytest.mark.parametrize(
    "message",
    [
        wire.Welcome("cd" * 16, 8, "1.0", 7412, ""), wire.Ready(SESSION, 2), wire.Want(SESSION, 0, ()),
        wire.Spans(SESSION, 2, 0, ()),
        wire.Failed(SESSION, 0, "late"), wire_requests.Timed("cd" * 16, 4, ()), wire.Heartbeat("cd" * 16, 8),
        wire.Hello(wire.VERSION, "1.0", SESSION, "me:1"), plans(2)["ann"], wire.Reset(SESSION, 9), wire.Bye(SESSION),
    ],
)  # fmt: skip
def test_what_is_not_of_this_session_or_not_a_workers_to_say_is_counted(message: wire.Control) -> None:
    core = serving()
    assert core.control("ann", message, 1.0) == []
    assert core.drops.total == 1
    assert (core.state, dict(core.lost)) == ("SERVING", {})


@pytest.mark.parametrize("message", [wire.Ready("cd" * 16, 1), wire.Failed("cd" * 16, 1, "late")])
def test_the_same_epoch_of_another_session_is_another(message: wire.Control) -> None:
    core = serving()
    assert core.control("bob", message, 1.0) == []
    assert not core.lost


def test_an_answer_to_what_was_asked_before_a_loss_is_no_return() -> None:
    core = SessionCore(SESSION, "1.0", "me:1", NAMES, 0.0, LEASE_S, JOIN_S, returns=True)
    core.tick(0.0)
    core.control("bob", welcome(asked=1), 0.1)
    core.down("bob", 0.2)
    core.control("bob", welcome(asked=1), 0.3)  # late
    assert core.membership.state("bob") == "LOST"
    (asked,) = [a.message.asked for a in core.tick(1.0) if isinstance(a, Tell) and isinstance(a.message, wire.Hello)
                and a.worker == "bob"]  # fmt: skip
    core.control("bob", welcome(8, asked=asked), 1.1)
    assert core.membership.state("bob") == "PROBATION"
    core.control("bob", welcome(7, asked=asked - 1), 1.2)  # of the start before: late, too
    assert core.membership.state("bob") == "PROBATION"


def test_who_comes_back_owes_nothing_to_an_epoch_that_it_was_lost_in() -> None:
    core = SessionCore(SESSION, "1.0", "me:1", NAMES, 0.0, LEASE_S, JOIN_S, returns=True, hysteresis=Hysteresis(0.5))
    for name in NAMES:
        core.control(name, welcome(asked=0), 0.0)
    core.deploy(plans(1))
    core.down("bob", 0.1)
    core.control("bob", welcome(8), 0.2)
    core.tick(0.8)
    assert "bob" in core.membership.usable
    assert core.missing == ["ann"]
    row = wire.Chunk(SESSION, 1, 7, 0, 1, "main", 0, 1, 0, "11" * 32, 0, 4, 4, 0.0)
    assert not core.accepts("bob", row)  # of the start that was lost
