"""What is logged, committed, kept and done again: exactly once each, whatever is lost, late or repeated."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.runtime.journal import Journal
from splitgym.runtime.training.core import Append, Done, Rules, Tell, TrainingCore
from splitgym.runtime.training.local import LocalTraining
from splitgym.runtime.training.member import Member
from splitgym.runtime.training.packets import Outgoing, Packet
from splitgym.runtime.training.state import State
from splitgym.runtime.training.watch import NO_WATCH
from splitgym.runtime.wire_training import Backward, Commit, Do, Forward, Prepared, Restore, Restored, Round

from .faults import lose
from .members import cut_training, minibatches, pipeline_training, rounds
from .nets import PLAIN, digits, same


class Applied:
    """Instead of a network: the entries that came into force, in order."""

    watch = NO_WATCH

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.held: int | None = None

    def state(self, steps: Sequence[int]) -> State:
        return {"numbers": torch.tensor(self.numbers)}

    def load(self, state: State) -> None:
        self.numbers = state["numbers"].tolist()

    def drop(self) -> None:
        self.held = None


class Toy(Member):
    """Two halves that only tell each other that they are there: device, then edge, then device again."""

    half: Applied

    def take(self, sender: str, packet: Packet) -> list[Outgoing]:
        header, number = packet.header, packet.header.number
        match header:
            case Do():
                self.half.held = number
                return [Outgoing("edge", Packet(Forward(self.epoch, number, 1, 0.1)))]
            case Forward():
                assert self.half.numbers == list(range(number))  # nothing is begun in front of the commits before
                self.half.held = self.waiting = number
                return [Outgoing(sender, Packet(Backward(self.epoch, number))), self.prepared(number)]
            case Backward():
                assert self.half.held == number
                return [self.prepared(number)]
        raise AssertionError(header)

    def committed(self, number: int) -> None:
        assert self.half.held == number
        self.half.numbers.append(number)

    def held(self) -> Sequence[int]:
        return ()


class Restless(LocalTraining):
    """Links that repeat a packet now and then."""

    sent = 0

    def _send(self, sender: str, outgoing: Outgoing) -> None:
        super()._send(sender, outgoing)
        self.sent += 1
        if self.sent % 5 == 0:
            super()._send(sender, outgoing)


def toys(every: int | None = 3, kind: type[LocalTraining] = LocalTraining, **options: object) -> LocalTraining:
    make = {name: lambda name=name: Toy(name, Applied()) for name in ("device", "edge")}
    return kind(Rules(("device", "edge")), make, every, **options)  # type: ignore[arg-type]


def applied(training: LocalTraining) -> list[list[int]]:
    return [member.half.numbers for member in training.members.values()]  # type: ignore[attr-defined]


LOSSES = st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["device", "edge"])), max_size=6)


@settings(max_examples=40)
@given(LOSSES, st.integers(1, 7), st.integers(0, 2**32), st.sampled_from([LocalTraining, Restless]))
def test_every_entry_counts_once_and_comes_into_force_once(
    losses: list[tuple[int, str]], every: int, seed: int, kind: type[LocalTraining]
) -> None:
    journal = Journal(io.BytesIO())
    training = toys(every, kind, seed=seed, journal=journal)
    training.submit(*rounds(1, 0, 20))
    for packets, who in losses:
        training.deliver(packets)
        lose(training, who)
    training.deliver()
    assert applied(training) == [list(range(20))] * 2
    assert [done.number for done in training.done] == list(range(20))
    assert [entry["batch"] for entry in journal.entries] == list(range(20))
    assert training.core.checkpoint == 20 // every * every


@settings(max_examples=30)
@given(st.integers(0, 120), st.integers(1, 7))
def test_a_controller_that_starts_anew_goes_on_from_its_journal(packets: int, every: int) -> None:
    file = io.BytesIO()
    first = toys(every, journal=Journal(file))
    first.submit(*rounds(1, 0, 12))
    first.deliver(packets)
    counted = first.core.logged
    checkpoint = first.checkpoint if first.checkpoint[0] else None
    second = toys(every, journal=Journal(file), checkpoint=checkpoint)
    assert applied(second) == [list(range(counted))] * 2
    second.submit(*rounds(1, counted, 12 - counted))
    second.deliver()
    assert applied(second) == [list(range(12))] * 2
    assert [done.number for done in second.done] == list(range(counted, 12))


def test_a_training_goes_on_from_its_journal_and_checkpoint_bit_by_bit() -> None:
    file, whole = io.BytesIO(), cut_training(PLAIN, digits(), every=3)
    whole.submit(*rounds(2, 0, 10))
    whole.deliver()
    first = cut_training(PLAIN, digits(), every=3, journal=Journal(file))
    first.submit(*rounds(2, 0, 8))
    first.deliver()
    assert first.checkpoint[0] == 6
    second = cut_training(PLAIN, digits(), every=3, journal=Journal(file), checkpoint=first.checkpoint)
    second.submit(*rounds(2, 8, 2))
    second.deliver()
    assert all(same(whole.states()[who], second.states()[who]) for who in ("device", "edge"))


def test_no_commit_leaves_before_the_entry_is_on_the_disk() -> None:
    core = TrainingCore(Rules(("a", "b")))
    assert core.came("a") == []
    actions = core.came("b")
    assert actions == [Tell(name, Restore(core.epoch, 0)) for name in ("a", "b")]
    entry = Round(0, 1, 0.1)
    assert core.submit(entry) == []  # not before all stand at the beginning
    assert core.handle("a", Restored(core.epoch, 0)) == []
    assert core.handle("b", Restored(core.epoch, 0)) == [Tell("a", Do(core.epoch, 0, entry))]
    assert core.handle("a", Prepared(core.epoch, 0)) == []
    assert core.handle("b", Prepared(core.epoch - 1, 0)) == []
    actions = core.handle("b", Prepared(core.epoch, 0, {"loss": 2.0}))
    commits = [Tell(name, Commit(core.epoch, 0)) for name in ("a", "b")]
    assert actions == [Append(0, entry), *commits, Done(0, entry, {"loss": 2.0})]


def test_a_survivor_goes_back_to_its_own_copy_and_only_the_lost_one_is_sent_its_state() -> None:
    training = cut_training(PLAIN, digits(), every=2)
    training.submit(*rounds(2, 0, 5))
    training.deliver()
    training.kill("edge")
    restores: list[tuple[str, bool]] = []
    send = training._send

    def told(sender: str, outgoing: Outgoing) -> None:
        if isinstance(outgoing.packet.header, Restore):
            restores.append((outgoing.to, bool(outgoing.packet.tensors)))
        send(sender, outgoing)

    training._send = told  # type: ignore[method-assign]
    training.revive("edge")
    assert restores == [("device", False), ("edge", True)]


def test_members_keep_no_copies_that_nobody_goes_back_to() -> None:
    training = pipeline_training(PLAIN, digits(), 2, every=2)
    training.submit(*minibatches([(2, 11)]))
    training.deliver()
    assert training.core.checkpoint == 12
    assert all(len(member._kept) <= 2 for member in training.members.values())


@pytest.mark.parametrize("every", [None, 1])
def test_without_losses_it_needs_no_checkpoints(every: int | None) -> None:
    training = toys(every)
    training.submit(*rounds(1, 0, 5))
    training.deliver()
    assert applied(training) == [list(range(5))] * 2
    assert (training.core.checkpoint == 0) == (every is None)
