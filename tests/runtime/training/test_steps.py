"""What is told of entries, once each and in order; what is on record, and of which training; who may have the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from splitgym.models.compression import Cut
from splitgym.runtime import wire
from splitgym.runtime.assembly import Rejected
from splitgym.runtime.blobs import BlobStore
from splitgym.runtime.packet_links import parts
from splitgym.runtime.training.blobs import data_of, put_data
from splitgym.runtime.training.core import Done
from splitgym.runtime.training.job import TrainingJob
from splitgym.runtime.training.limits import Limits, kept_bytes, limits_of
from splitgym.runtime.training.local import LocalTraining
from splitgym.runtime.training.log import CHECKPOINT, JOURNAL, TrainingLog, open_log
from splitgym.runtime.training.members import make_member
from splitgym.runtime.training.packets import Packet, opened, seal, unseal
from splitgym.runtime.training.reception import Arrived, Reception, Told, Unreachable
from splitgym.runtime.training.settings import Settings
from splitgym.runtime.training.steps import GRACE_S, Step, Steps
from splitgym.runtime.wire_training import Prepared, Round
from splitgym.runtime.wire_training_plan import TrainingPlan
from splitgym.ui.errors import InputError
from splitgym.ui.validation import validated

from .live import SETTINGS, job
from .nets import NORMS, PLAIN, digits, same
from .reference import RATE

TOKEN, ROLES = "ab" * 16, ("device", "edge")


def told(role: str, number: int, overrun_s: float = 0.0) -> Told:
    return Told(role, wire.Spans(TOKEN, 1, number, (wire.Span("forward", 0.0, 1.0, "0-2"),), overrun_s))


@given(st.lists(st.sampled_from(["issue", "log", "tell device", "tell edge", "look", "late"]), max_size=60))
def test_steps_are_told_once_in_order_when_all_have_told_or_none_will(happens: Sequence[str]) -> None:
    steps, now_s, issued, logged, found = Steps(3), 0.0, 3, 3, list[Step]()
    for what in happens:
        now_s += 0.001
        if what == "issue":
            steps.issued(issued, now_s)
            issued += 1
        elif what == "log" and logged < issued:
            steps.logged(Done(logged, Round(logged, 2, RATE), {}), ROLES, now_s)
            logged += 1
        elif what.startswith("tell"):
            steps.told(told(what.split()[1], steps.next), now_s)
        elif what == "late":
            now_s += GRACE_S
        for step in steps.due(1, now_s):
            assert step.spans.keys() == set(ROLES) or now_s - step.logged_s >= GRACE_S
            found.append(step)
    assert [step.number for step in found] == list(range(3, 3 + len(found)))
    waiting = logged - steps.next
    assert len(steps.due(1, now_s + 2 * GRACE_S)) == waiting >= 0


def test_what_is_logged_stays_told_of_though_its_entry_is_issued_again() -> None:
    steps = Steps(0)
    steps.issued(0, 1.0)
    steps.told(told("device", 0, 0.25), 1.5)
    steps.logged(Done(0, Round(0, 2, RATE), {"loss": 1.0}), ROLES, 2.0)
    steps.issued(0, 3.0)
    (step,) = steps.due(1, 9.0)
    assert (step.begun_s, step.logged_s, step.measures, step.is_valid) == (1.0, 2.0, {"loss": 1.0}, False)


def test_a_log_is_what_was_written_and_of_one_training(tmp_path: Path) -> None:
    states = {"device": {"steps.0.w": torch.arange(3.0)}, "edge": {}}
    with open_log(tmp_path, {"model": "a"}) as log:
        assert (log.entries, log.checkpoint) == ([], None)
        for number in range(3):
            log.append(Round(number, 2, RATE))
        log.keep(2, states)
    with open_log(tmp_path, {"model": "a"}) as log:
        assert log.entries == [Round(number, 2, RATE) for number in range(3)]
        assert log.checkpoint is not None
        assert log.checkpoint[0] == 2
        assert log.checkpoint[1].keys() == states.keys()
        assert all(same(log.checkpoint[1][role], states[role]) for role in ROLES)
    with pytest.raises(InputError, match="is of another training; its model differs"), open_log(tmp_path, {"model": 2}):
        pass
    (tmp_path / JOURNAL).write_text("")
    with pytest.raises(InputError, match="lies behind 2 entries, 0 are logged"), open_log(tmp_path):
        pass
    (tmp_path / CHECKPOINT).write_bytes(b"nothing")
    with pytest.raises(InputError, match="is not a checkpoint of a training"), open_log(tmp_path):
        pass
    (tmp_path / CHECKPOINT).unlink()
    (tmp_path / JOURNAL).write_text('{"item": 0, "is": "round", "batch": -1}\n')
    with pytest.raises(InputError, match="item 0 is no entry of a training"), open_log(tmp_path):
        pass


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    log = TrainingLog(path=tmp_path / "gone" / CHECKPOINT)
    with pytest.raises(InputError):
        log.keep(0, {"device": {"w": torch.zeros(1)}})
    assert log.checkpoint is None


def plans(controller_epoch: int = 1) -> dict[str, TrainingPlan]:
    setup, peers = job("cut", PLAIN).setup, (wire.Peer("a", "a:1", 1), wire.Peer("b", "b:1", 2))
    return {
        peer.name: TrainingPlan(TOKEN, controller_epoch, i, setup, peers, () if i else ("11" * 32,))
        for i, peer in enumerate(peers)
    }


def reception(put: list[Any]) -> Reception:
    return Reception(plans(), Limits(10_000, 1000, 5000), len(PLAIN.steps), put.append)


def test_the_data_are_for_who_has_them_alone() -> None:
    found = reception([])
    assert list(found.offers("a")) == ["11" * 32]
    assert not list(found.offers("b"))
    assert not list(found.offers("eve"))


@pytest.mark.parametrize(
    ("span", "may"),
    [
        (wire.Span("forward", 0.0, 1.0, "0-5"), True), (wire.Span("update", 0.0, 1.0, "2-5"), True),
        (wire.Span("send", 0.0, 1.0, "edge", 5), True), (wire.Span("receive", 0.0, 1.0, "controller", 5), True),
        (wire.Span("forward", 0.0, 1.0, "0-6"), False), (wire.Span("forward", 0.0, 1.0, "edge"), False),
        (wire.Span("send", 0.0, 1.0, "0-2"), False), (wire.Span("send", 0.0, 1.0, "eve"), False),
        (wire.Span("compute", 0.0, 1.0, "0-2"), False), (wire.Span("forward", 0.0, 1.0, "0-2", boundary=3), False),
    ],
)  # fmt: skip
def test_members_tell_of_steps_and_roles_and_of_nothing_else(span: wire.Span, may: bool) -> None:
    put: list[Any] = []
    assert reception(put).told("b", wire.Spans(TOKEN, 1, 0, (span,))) == may
    assert [type(found) for found in put] == [Told] * may


def test_a_link_to_the_controller_that_loses_something_is_told_once() -> None:
    put: list[Any] = []
    found, sealed = reception(put), seal(Packet(Prepared(1, 0)))
    for number in (0, 2, 3):
        for part, payload in parts(sealed, TOKEN, 1, 2, number, 0.0):
            if number < 3:
                found.take("b", part, payload, 0.0)
                continue
            with pytest.raises(Rejected):
                found.take("b", part, payload, 0.0)
    with pytest.raises(Rejected):
        found.take("eve", next(parts(sealed, TOKEN, 1, 2, 0, 0.0))[0], memoryview(b"x"), 0.0)
    assert [type(what) for what in put] == [Arrived, Unreachable]


def test_more_than_can_be_handled_is_not_kept() -> None:
    put: list[Any] = []
    found, sealed, sent = reception(put), seal(Packet(Prepared(1, 0))), 0
    while not any(isinstance(what, Unreachable) for what in put):
        for part, payload in parts(sealed, TOKEN, 1, 2, sent, 0.0):
            found.take("b", part, payload, 0.0)
        sent += 1
    assert sent == 5000 // kept_bytes(sealed) + 1
    others = reception(put := [])
    for number in range(2 * sent):
        for part, payload in parts(sealed, TOKEN, 1, 2, number, 0.0):
            others.take("b", part, payload, 0.0)
        others.handled(put[-1])
    assert [type(what) for what in put] == [Arrived] * 2 * sent


@pytest.mark.parametrize(
    "roles", [("a", "b"), ("a", "a", "b"), ("a", "controller", "b"), ("a", "b/c", "d"), ("", "b", "c")]
)
def test_roles_that_are_none_are_refused(roles: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="roles are"):
        _ = job("hybrid", PLAIN, hybrid_roles=roles).rules


def test_settings_come_as_they_were_sent() -> None:
    for layer in (3, Cut(2)):
        what = TrainingJob("compressed", PLAIN, digits(), settings=replace(SETTINGS, layer=layer))
        plan = TrainingPlan(TOKEN, 1, 0, what.setup, (wire.Peer("a", "a:1", 1),) * 2)
        found = wire.decode_control(wire.encode(plan))
        assert isinstance(found, TrainingPlan)
        assert validated(Settings, found.setup.settings, "settings") == what.settings
        assert make_member(found.setup, PLAIN, "server", None).name == "server"


@pytest.mark.parametrize("model", [PLAIN, NORMS], ids=lambda model: model.name)
@pytest.mark.parametrize("kind", ["cut", "pipeline", "hybrid", "compressed"])
def test_all_that_a_training_sends_is_within_its_limits(kind: str, model: Any) -> None:
    from .test_live_faults import entries_of

    what = job(kind, model, cut=2 if kind == "pipeline" else 0)
    local, most = LocalTraining(what.rules, what.make), limits_of(what.setup, model)
    send = local._send

    def checked(sender: str, outgoing: Any) -> None:
        sealed = seal(outgoing.packet)
        assert len(sealed.data) <= most.packet_bytes
        assert sealed.envelope_bytes <= most.envelope_bytes
        again = unseal(sealed, opened(sealed))
        assert again.header == outgoing.packet.header
        assert same(again.tensors, outgoing.packet.tensors)
        send(sender, outgoing)

    local._send = checked  # type: ignore[method-assign]
    list(local.run(entries_of(kind, 6)))  # type: ignore[arg-type]
    local.states()


def test_a_data_set_comes_back_from_its_blob(tmp_path: Path) -> None:
    store, data = BlobStore(tmp_path), digits()
    found = data_of(store, [put_data(store, data)], PLAIN.input)
    assert torch.equal(found.train_images, data.train_images)
    assert torch.equal(found.train_labels, data.train_labels)
