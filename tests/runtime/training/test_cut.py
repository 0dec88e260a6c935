"""Training with one cut: plain SGD without moves; with moves, one process that holds both copies of every layer."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from splitgym.envs.l2s.ledger import SyncLedger
from splitgym.models.chain import Unit
from splitgym.models.layers import Pool
from splitgym.models.model import Model
from splitgym.runtime.training.cut import Ledger
from splitgym.runtime.training.half import step_of
from splitgym.runtime.training.local import LocalTraining
from splitgym.runtime.wire_training import Forward, Round, Sync

from .faults import PACKETS, SEEDS, lose, run_with_losses
from .members import cut_training, rounds
from .nets import NORMS, PLAIN, digits, same
from .reference import RATE, BothCopies, plain, remembered

STEPS = 9  # across the end of an epoch of eight


def trained(training: LocalTraining, cut: int) -> dict[str, Tensor]:
    """The network as its two holders trained it."""
    states = training.states()
    front = {name: value for name, value in states["device"].items() if step_of(name) < cut}
    return front | {name: value for name, value in states["edge"].items() if step_of(name) >= cut}


@pytest.mark.parametrize("model", [PLAIN, NORMS], ids=lambda model: model.name)
def test_without_moves_it_is_plain_sgd_bit_by_bit_at_every_cut(model: Model) -> None:
    net, optimizer, losses = plain(model, digits(), STEPS)
    for cut in range(len(model.steps) + 1):
        training = cut_training(model, digits(), encoded=True)
        told = [training.do(entry).measures for entry in rounds(cut, 0, STEPS)]
        assert same(trained(training, cut), remembered(net, optimizer))
        assert [round_["loss"] / round_["samples"] for round_ in told] == pytest.approx(losses, rel=1e-12)


def test_a_front_without_weights_learns_nothing_and_hinders_nothing() -> None:
    pool_first = replace(PLAIN, name="pool first", units=(Unit("pool0", (Pool(2, 2),)), PLAIN.units[0]))
    net, optimizer, _ = plain(pool_first, digits(), 3)
    training = cut_training(pool_first, digits())
    training.submit(*rounds(1, 0, 3))
    training.deliver()
    assert same(trained(training, 1), remembered(net, optimizer))


@settings(max_examples=4)
@given(st.integers(0, 7), PACKETS, st.sampled_from(["device", "edge"]), SEEDS)
def test_a_lost_half_is_rebuilt_bit_by_bit_wherever_that_was(
    cut: int, packets: int, who: str, seed: int | None
) -> None:
    net, optimizer, _ = plain(NORMS, digits(), STEPS)
    training = cut_training(NORMS, digits(), every=4, seed=seed)
    training.submit(*rounds(cut, 0, STEPS))
    training.deliver(packets)
    lose(training, who)
    training.deliver()
    assert same(trained(training, cut), remembered(net, optimizer))
    assert [done.number for done in training.done] == list(range(STEPS))


def moving(
    model: Model, cuts: Sequence[int], period: int, lost: Sequence[int] = ()
) -> tuple[LocalTraining, BothCopies]:
    """The same rounds over members and in one process; members are lost in the middle of some."""
    training, ledger = cut_training(model, digits(), every=5, seed=1), Ledger(len(model.steps), period)
    both = BothCopies(model, digits(), period)
    for number, cut in enumerate(cuts):
        entry = Round(number, cut, RATE)
        training.submit(entry)
        if number in lost:
            training.deliver(number % 4)
            lose(training, "device" if number % 2 else "edge")
        training.deliver()
        ledger.book(entry)
        if (sync := ledger.due_behind()) is not None:
            training.do(sync)
            ledger.book(sync)
        assert both.round(cut) == pytest.approx(_loss(training, number), rel=1e-12)
    return training, both


def _loss(training: LocalTraining, number: int) -> float:
    found = [done for done in training.done if isinstance(done.entry, Round)][number].measures
    return found["loss"] / found["samples"]


@pytest.mark.parametrize("model", [PLAIN, NORMS], ids=lambda model: model.name)
@pytest.mark.parametrize("lost", [(), (2, 7, 12)], ids=["whole", "lost"])
def test_with_moves_it_is_one_process_with_both_copies_bit_by_bit(model: Model, lost: Sequence[int]) -> None:
    cuts = [random.Random(3).randint(0, len(model.steps)) for _ in range(3)] + [2, 4, 4, 1, 0, 3, 5, 2, 2, 1, 4, 3]
    training, both = moving(model, cuts, 4, lost)
    states = training.states()
    for who, net, optimizer in zip(("device", "edge"), both.nets, both.optimizers, strict=True):
        assert same(states[who], remembered(net, optimizer))
    assert not same(states["device"], states["edge"])  # copies that did not change sides are still apart


def test_a_layer_that_changes_sides_goes_on_from_its_new_holders_old_copy() -> None:
    training = cut_training(PLAIN, digits())
    untouched = training.states()["device"]["steps.2.layers.0.conv.weight"]
    for entry in rounds(1, 0, 4):
        training.do(entry)
    states = training.states()
    assert torch.equal(states["device"]["steps.2.layers.0.conv.weight"], untouched)
    assert not torch.equal(states["edge"]["steps.2.layers.0.conv.weight"], untouched)
    training.do(Round(4, 5, RATE))
    one, optimizer, _ = plain(PLAIN, digits(), 1)  # its first step, though the fifth of the training
    assert "steps.2.layers.0.conv.weight@momentum_buffer" in training.states()["device"]
    assert optimizer.state[one.steps[2].get_parameter("layers.0.conv.weight")]


def test_at_p_0_nothing_returns_and_at_p_P_the_round_is_silent() -> None:
    training, sent = cut_training(PLAIN, digits()), []
    send = training._send

    def told(sender: str, outgoing: object) -> None:
        sent.append((sender, outgoing))
        send(sender, outgoing)  # type: ignore[arg-type]

    training._send = told  # type: ignore[method-assign]
    training.do(Round(0, 5, RATE))
    assert not [s for s, outgoing in sent if {s, outgoing.to} == {"device", "edge"} or "edge" in (s, outgoing.to)]
    training.do(Round(1, 0, RATE))
    between = [(s, o.packet) for s, o in sent if {s, o.to} == {"device", "edge"}]
    assert [(s, type(packet.header)) for s, packet in between] == [("device", Forward)]
    assert between[0][1].tensors[""].dtype == torch.uint8  # the images themselves


@given(st.lists(st.integers(0, 5) | st.just("ask"), min_size=1, max_size=40), st.integers(1, 7), st.booleans())
def test_the_ledger_sends_what_the_environments_ledger_charges(plan: list, period: int, every_change: bool) -> None:
    system = SimpleNamespace(last=5, scenario=SimpleNamespace(sync_period=period))
    env, ledger = SyncLedger(system, 1, every_change), Ledger(5, period, every_change)  # type: ignore[arg-type]
    charged: list[int] = []
    sent: list[int] = []

    def send_s(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        charged.append(int((high - low)[0]))
        return 1.0 * (high - low)

    def book(sync: Sync | None) -> None:
        if sync is not None:
            ledger.book(sync)
            sent.append(len(sync.up) + len(sync.down))

    rounds_done = 0
    for what in plan:
        if what == "ask":
            env.synchronise(np.arange(1), np.array([True]), send_s)
            book(ledger.asked())
        else:
            env.advance(np.arange(1), np.array([what]), np.array([rounds_done]), send_s)
            book(ledger.due_before(what))
            ledger.book(Round(0, what, RATE))
            book(ledger.due_behind())
            rounds_done += 1
    assert sum(sent) == sum(charged)


def test_the_copy_that_was_trained_more_is_given() -> None:
    ledger = Ledger(5, 10)
    for cut in [1] * 7 + [4] * 3:
        ledger.book(Round(0, cut, RATE))
    sync = ledger.due_behind()
    assert sync is not None
    assert (sync.up, sync.down) == ((), (1, 2, 3))  # seven rounds on the edge, three on the device
    ledger.book(sync)
    assert ledger.due_behind() is None


@pytest.mark.slow
def test_fifty_losses_over_five_hundred_rounds_leave_no_trace() -> None:
    cuts = [random.Random(5).randint(0, 5) for _ in range(500)]
    whole, broken = (cut_training(PLAIN, digits(), seed=1) for _ in range(2))
    for training in (whole, broken):
        training.submit(*(Round(number, cut, RATE) for number, cut in enumerate(cuts)))
    whole.deliver()
    run_with_losses(broken, 50, 3500, 7)
    assert all(same(whole.states()[who], broken.states()[who]) for who in ("device", "edge"))
    assert [done.number for done in broken.done] == list(range(500))
