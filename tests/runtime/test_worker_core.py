"""What a worker answers and when it gives up, without any I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.runtime import wire, wire_requests, wire_types
from splitgym.runtime.worker_core import HEARTBEAT_S, Build, Drop, Measure, Reply, Store, WorkerCore

SESSION, OTHER = "ab" * 16, "cd" * 16
MINE, LACKING = "11" * 32, "22" * 32
LEASE_S = 3.0


def core(has: set[str] | None = None, measures: bool = False) -> WorkerCore:
    known = {MINE} if has is None else has
    return WorkerCore("pi", 7, "1.0", "a board", 7412, known.__contains__, lease_s=LEASE_S, measures=measures)


def hello(session: str = SESSION, version: int = wire.VERSION) -> wire.Hello:
    return wire.Hello(version, "1.0", session, "here:1")


def plan(
    epoch: int = 1, weights: tuple[str, ...] = (MINE,), session: str = SESSION, incarnation: int = 7
) -> wire.PlanMessage:
    peers = (wire.Peer("pi", "here:7412", incarnation), wire.Peer("ann", "there:7412", 9))
    return wire.PlanMessage(
        session, epoch, 0, {}, weights, tuple(range(len(weights))), {}, 1, wire_types.FLOAT32, peers, 1
    )


def chunk(**changes: Any) -> wire.Chunk:
    fields = dict(
        session=SESSION, epoch=1, incarnation=9, item=0, boundary=1, tensor="main", lo=0, hi=1,
        dtype=wire_types.FLOAT32, weights=MINE, offset=0, size=4, message_bytes=4, begun_s=0.0,
    )  # fmt: skip
    return wire.Chunk(**{**fields, **changes})


def ready(epoch: int = 1) -> WorkerCore:
    """A worker that is ready for a plan."""
    found = core()
    found.control("me", "controller", hello(), 0.0)
    found.control("me", "controller", plan(epoch), 0.0)
    found.built(epoch, 0.0)
    assert found.state == "READY"
    return found


def replies(actions: list[Any]) -> list[wire.Control]:
    return [action.message for action in actions if isinstance(action, Reply)]


def refusal(actions: list[Any]) -> str:
    (message,) = replies(actions)
    assert isinstance(message, wire.Refuse)
    return message.reason


def test_it_joins_loads_builds_and_serves() -> None:
    worker = core()
    (welcome,) = replies(worker.control("me", "controller", hello(), 0.0))
    assert welcome == wire.Welcome(SESSION, 7, "1.0", 7412, "a board")
    assert replies(worker.control("me", "controller", plan(weights=(MINE, LACKING)), 1.0)) == [
        wire.Want(SESSION, 1, (LACKING,))
    ]
    blob = wire.Blob(SESSION, 1, LACKING, 0, 4)
    assert worker.control("me", "controller", blob, 1.1) == [Store(blob)]
    assert worker.stored(LACKING, 1.2) == [Build(plan(weights=(MINE, LACKING)))]
    assert worker.built(1, 1.3) == [Reply("me", wire.Ready(SESSION, 1))]
    assert worker.accepts("ann", chunk())
    spans = wire.Spans(SESSION, 1, 0, ())
    assert worker.spans(spans) == [Reply("me", spans)]


@pytest.mark.parametrize("message", [hello(), plan(), wire.Reset(SESSION, 9), wire.Bye(SESSION)])
def test_only_controllers_give_orders(message: wire.Control) -> None:
    worker = ready()
    assert "ann is a worker on the roster of pi" in refusal(worker.control("ann", "worker", message, 0.0))
    assert worker.state == "READY"


def test_another_version_is_told_both() -> None:
    reason = refusal(core().control("me", "controller", hello(version=9), 0.0))
    assert f"pi speaks version {wire.VERSION}" in reason
    assert "the controller 9" in reason


def test_a_busy_worker_says_whom_it_serves_and_goes_on() -> None:
    worker = ready()
    assert refusal(worker.control("you", "controller", hello(OTHER), 0.0)) == "pi serves me now"
    assert worker.accepts("ann", chunk())


def test_the_same_controller_anew_begins_anew() -> None:
    worker = ready()
    actions = worker.control("me", "controller", hello(OTHER), 0.0)
    assert actions[0] == Drop(leaves=True)
    assert worker.session == OTHER
    assert not worker.accepts("ann", chunk())


@pytest.mark.parametrize(
    "changes",
    [
        {"session": OTHER}, {"epoch": 2}, {"epoch": 0}, {"incarnation": 8}, {"weights": LACKING},
    ],
)  # fmt: skip
def test_rows_of_another_time_are_not_taken(changes: dict[str, Any]) -> None:
    assert not ready().accepts("ann", chunk(**changes))


def test_rows_of_strangers_are_not_taken_and_the_requesters_are() -> None:
    worker = ready()
    assert not worker.accepts("eve", chunk())
    assert worker.accepts("me", chunk(incarnation=0))


def test_an_older_plan_changes_nothing() -> None:
    worker = ready(epoch=5)
    assert worker.control("me", "controller", plan(4), 0.0) == []
    assert worker.control("me", "controller", plan(5), 0.0) == []
    assert worker.control("me", "controller", wire.Reset(SESSION, 4), 0.0) == []
    assert worker.state == "READY"


def test_a_newer_plan_drops_what_was() -> None:
    worker = ready()
    assert worker.control("me", "controller", plan(2), 0.0)[0] == Drop()
    assert not worker.accepts("ann", chunk())
    assert worker.built(1, 0.0) == []  # finished too late
    assert worker.spans(wire.Spans(SESSION, 1, 0, ())) == []
    assert worker.built(2, 0.0) == [Reply("me", wire.Ready(SESSION, 2))]


def test_what_cannot_be_built_is_told_and_the_worker_takes_the_next_plan() -> None:
    worker = ready()
    assert worker.failed(1, "no memory", 0.0) == [Drop(), Reply("me", wire.Failed(SESSION, 1, "no memory"))]
    assert worker.control("me", "controller", plan(2), 0.0) == [Build(plan(2))]


def test_a_silent_controller_is_given_up() -> None:
    worker = ready()
    worker.control("me", "controller", wire.Heartbeat(SESSION), 5.0)
    assert Drop(leaves=True) not in worker.tick(5.0 + LEASE_S)
    assert worker.tick(5.1 + LEASE_S) == [Drop(leaves=True)]
    assert worker.state == "FREE"
    assert replies(worker.control("you", "controller", hello(OTHER), 9.0))[0] == wire.Welcome(
        OTHER, 7, "1.0", 7412, "a board"
    )


def test_other_sessions_do_not_keep_it() -> None:
    worker = ready()
    worker.control("me", "controller", wire.Heartbeat(OTHER), 5.0)
    assert worker.tick(LEASE_S + 0.1) == [Drop(leaves=True)]


def test_heartbeats_tell_the_phase_and_return_the_controllers() -> None:
    worker = ready()
    worker.control("me", "controller", wire.Heartbeat(SESSION, sent_s=100.0), 1.0)
    worker.phase("compute", 3, 1.5)
    (beat,) = replies(worker.tick(2.0))
    assert beat == wire.Heartbeat(SESSION, 7, 1, 3, "compute", 0.5, 2.0, 100.0, 1.0)
    assert worker.tick(2.0 + HEARTBEAT_S / 2) == []


@pytest.mark.parametrize(
    ("peer", "role", "message", "reason"),
    [
        ("ann", "worker", plan(2), "orders of no controller"),
        ("nobody", "", plan(2), "orders of no controller"),
        ("you", "controller", plan(2), "orders of another session"),
        ("me", "controller", plan(2, session=OTHER), "orders of another session"),
        ("me", "controller", wire.Bye(OTHER), "orders of another session"),
        ("me", "controller", plan(1), "plans that are no newer"),
        ("me", "controller", plan(2, incarnation=6), "plans for another start"),
        ("me", "controller", wire.Blob(OTHER, 1, LACKING, 0, 4), "orders of another session"),
        ("me", "controller", wire.Blob(SESSION, 1, LACKING, 0, 4), "weights that are not wanted"),
        ("me", "controller", wire.Ready(SESSION, 1), "orders that are none"),
        ("me", "controller", wire.Welcome(SESSION, 1, "1.0", 1, ""), "orders that are none"),
    ],
)
def test_what_is_dropped_is_counted_and_changes_nothing(
    peer: str, role: str, message: wire.Control, reason: str
) -> None:
    worker = ready()
    actions = worker.control(peer, role, message, 0.0)
    assert all(isinstance(action, Reply) and isinstance(action.message, wire.Refuse) for action in actions)
    assert worker.drops.counts == {reason: 1}
    assert (worker.state, worker.session, worker.epoch) == ("READY", SESSION, 1)


TIME, ECHO = wire_requests.TimeKernel(SESSION, 5, "conv1", 3, 1, 2), wire.Echo(SESSION, 1, 0, 0, 9)
TIMED = wire_requests.Timed(SESSION, 5, (0.1, 0.2))


def joined(measures: bool = True) -> WorkerCore:
    found = core(measures=measures)
    found.control("me", "controller", hello(), 0.0)
    return found


def test_who_joins_is_told_whether_the_worker_measures() -> None:
    for measures in (False, True):
        (welcome,) = replies(core(measures=measures).control("me", "controller", hello(), 0.0))
        assert isinstance(welcome, wire.Welcome)
        assert welcome.measures is measures


def test_it_measures_one_request_after_the_other() -> None:
    worker = joined()
    assert worker.control("me", "controller", TIME, 1.0) == [Measure(TIME)]
    assert "busy" in refusal(worker.control("me", "controller", wire_requests.TimeCopies(SESSION, 6, 0.1), 1.0))
    assert worker.measured(wire_requests.Timed(SESSION, 4, ()), 2.0) == []
    assert worker.measured(TIMED, 2.0) == [Reply("me", TIMED)]
    assert worker.measured(TIMED, 2.0) == []
    assert worker.control("me", "controller", TIME, 3.0) == [Measure(TIME)]


def test_it_measures_only_when_it_is_allowed_to_and_has_no_plan() -> None:
    words = "does not measure on request; start it with --profile"
    assert refusal(joined(measures=False).control("me", "controller", TIME, 0.0)) == words
    assert not joined(measures=False).echoes("me", ECHO)
    worker = joined()
    worker.control("me", "controller", plan(), 0.0)
    assert "busy with a plan" in refusal(worker.control("me", "controller", TIME, 0.0))
    assert not worker.echoes("me", ECHO)


def test_it_echoes_to_its_controller_alone() -> None:
    worker = joined()
    assert worker.echoes("me", ECHO)
    assert not worker.echoes("ann", ECHO)
    assert not worker.echoes("me", wire.Echo(OTHER, 1, 0, 0, 9))
    assert not core(measures=True).echoes("me", ECHO)


@pytest.mark.parametrize("end", [None, wire.Bye(SESSION), wire.Reset(SESSION, 0), hello(OTHER), plan()])
def test_whoever_leaves_or_changes_its_mind_ends_a_measurement(end: wire.Control | None) -> None:
    worker = joined()
    worker.control("me", "controller", TIME, 0.0)
    ended = worker.tick(LEASE_S + 0.1) if end is None else worker.control("me", "controller", end, 0.0)
    assert ended[0] == Drop(leaves=not isinstance(end, wire.Reset | wire.PlanMessage))
    assert worker.measured(TIMED, 9.0) == []  # finished too late


def test_it_says_while_it_computes_what_is_over() -> None:
    worker = ready()
    worker.busy = True
    worker.phase("compute", 3, 1.0)
    worker.control("me", "controller", wire.Reset(SESSION, 1), 2.0)
    assert heartbeat(worker, 2.5).phase == "ending"
    worker.control("me", "controller", plan(2), 3.0)
    assert heartbeat(worker, 3.5).phase == "queued"
    worker.busy = False
    assert not worker.builds(plan(3), 4.0)
    assert worker.plan is not None
    assert worker.builds(worker.plan, 4.0)
    assert heartbeat(worker, 4.5).phase == "building"


def test_weights_that_come_are_a_sign_that_it_goes_on() -> None:
    worker = core()
    worker.control("me", "controller", hello(), 0.0)
    worker.control("me", "controller", plan(weights=(MINE, LACKING)), 1.0)
    assert heartbeat(worker, 2.0).since_s == 1.0
    worker.control("me", "controller", wire.Blob(SESSION, 1, LACKING, 0, 4), 2.5)
    assert heartbeat(worker, 3.0).since_s == 0.5
    assert worker.control("me", "controller", wire.Blob(SESSION, 2, LACKING, 0, 4), 3.0) == []  # of another epoch
    assert worker.drops.counts == {"weights that are not wanted": 1}


def test_a_controller_that_is_not_listened_to_is_not_silent() -> None:
    worker = ready()
    worker.deaf(LEASE_S)
    assert Drop(leaves=True) not in worker.tick(LEASE_S + 0.1)


def heartbeat(worker: WorkerCore, now_s: float) -> wire.Heartbeat:
    (beat,) = replies(worker.tick(now_s))
    assert isinstance(beat, wire.Heartbeat)
    return beat


@dataclass
class _Seen:
    """What a controller would see: epochs that were ready, in order."""

    epochs: list[int] = field(default_factory=list)


@given(st.lists(st.tuples(st.sampled_from(["plan", "built", "reset", "failed"]), st.integers(1, 4)), max_size=20))
def test_no_order_of_messages_makes_an_old_plan_ready(steps: list[tuple[str, int]]) -> None:
    worker, seen, newest = core(), _Seen(), 0
    worker.control("me", "controller", hello(), 0.0)
    for what, epoch in steps:
        match what:
            case "plan":
                worker.control("me", "controller", plan(epoch), 0.0)
                newest = max(newest, epoch) if worker.epoch == epoch else newest
            case "reset":
                worker.control("me", "controller", wire.Reset(SESSION, epoch), 0.0)
            case "failed":
                worker.failed(epoch, "why", 0.0)
            case _:
                before = worker.epoch
                seen.epochs += [m.epoch for m in replies(worker.built(epoch, 0.0)) if isinstance(m, wire.Ready)]
                assert not seen.epochs or before == 0 or seen.epochs[-1] <= before
    assert all(epoch <= newest for epoch in seen.epochs)


def test_only_the_weights_of_its_own_parts_are_wanted() -> None:
    worker = core(has=set())
    worker.control("me", "controller", hello(), 0.0)
    asked = msgspec.structs.replace(plan(weights=(MINE, LACKING)), steps=(1,))
    assert replies(worker.control("me", "controller", asked, 1.0)) == [wire.Want(SESSION, 1, (LACKING,))]
