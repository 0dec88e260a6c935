"""Hybrid parallelism: the same concatenations in one process, the full batch, and replicas that stay equal."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.models.model import Model
from splitgym.runtime.training.half import step_of
from splitgym.runtime.training.hybrid import rearrangement

from .faults import PACKETS, SEEDS, lose, run_with_losses
from .members import hybrid_training, shares
from .nets import NORMS, PLAIN, digits, same
from .reference import hybrid, plain, remembered

STEPS = 5
SCHEDULES = [
    (1, 3, (4, 4, 4)), (2, 2, (2, 5, 5)), (0, 3, (6, 0, 6)), (2, 4, (0, 6, 6)), (1, 5, (0, 0, 12)), (0, 0, (12, 0, 0)),
    (2, 5, (8, 4, 0)),
]  # fmt: skip


@pytest.mark.parametrize("model", [PLAIN, NORMS], ids=lambda model: model.name)
@pytest.mark.parametrize(("m_s", "m_l", "b"), SCHEDULES)
def test_it_is_the_same_concatenations_in_one_process_bit_by_bit(
    model: Model, m_s: int, m_l: int, b: tuple[int, int, int]
) -> None:
    training = hybrid_training(model, digits(), encoded=True, seed=2)
    training.submit(*shares(0, STEPS, m_s, m_l, b))
    training.deliver()
    states, expected = training.states(), remembered(*hybrid(model, digits(), STEPS, m_s, m_l, b))
    assert same(states["edge"], expected)  # plays o
    for who, m, samples in (("device", m_s, b[1]), ("cloud", m_l, b[2])):
        if samples:  # a replica of the first m layers
            assert same(states[who], {n: value for n, value in expected.items() if step_of(n) < m})


@pytest.mark.parametrize(("m_s", "m_l", "b"), SCHEDULES)
def test_without_batch_norm_it_is_the_full_batch(m_s: int, m_l: int, b: tuple[int, int, int]) -> None:
    training = hybrid_training(PLAIN, digits())
    training.submit(*shares(0, STEPS, m_s, m_l, b))
    training.deliver()
    net, optimizer, losses = plain(PLAIN, digits(), STEPS)
    found, expected = training.states()["edge"], remembered(net, optimizer)
    assert all((found[n] - value).abs().max() <= 1e-5 for n, value in expected.items())
    told = training.done[-1].measures
    assert told["samples"] == 12
    assert told["loss"] / 12 == pytest.approx(losses[-1], rel=1e-5)


@settings(max_examples=3)
@given(PACKETS, st.sampled_from(["device", "edge", "cloud"]), SEEDS, st.sampled_from(SCHEDULES))
def test_a_lost_worker_is_rebuilt_bit_by_bit_wherever_that_was(
    packets: int, who: str, seed: int | None, schedule: tuple[int, int, tuple[int, int, int]]
) -> None:
    training = hybrid_training(NORMS, digits(), every=3, seed=seed)
    training.submit(*shares(0, STEPS, *schedule))
    training.deliver(packets)
    lose(training, who)
    training.deliver()
    assert same(training.states()["edge"], remembered(*hybrid(NORMS, digits(), STEPS, *schedule)))
    assert [done.number for done in training.done] == list(range(STEPS))


def test_other_roles_begin_with_the_layers_that_they_lack() -> None:
    first = shares(0, 3, 1, 3, (4, 4, 4))
    second = shares(3, 3, 2, 5, (4, 4, 4), ("cloud", "edge", "device"))
    given_ = rearrangement(first[0], second[0], 7)
    assert given_ is not None
    assert (given_.giver, given_.takers) == ("edge", {"device": 5, "cloud": 7})
    training = hybrid_training(NORMS, digits(), every=2, seed=4)
    training.submit(*first, given_, *second)
    training.deliver(60)
    lose(training, "device")
    training.deliver()
    states = training.states()
    for who, m in (("edge", 2), ("device", 5)):
        assert same(states[who], {n: value for n, value in states["cloud"].items() if step_of(n) < m})
    last, untrained = "steps.6.layers.0.linear.weight", hybrid_training(NORMS, digits()).states()
    assert not torch.equal(states["cloud"][last], untrained["cloud"][last])


def test_it_does_not_matter_who_has_the_data() -> None:
    expected = remembered(*hybrid(NORMS, digits(), 2, 1, 3, (4, 3, 5)))
    for roles in permutations(("device", "edge", "cloud")):
        training = hybrid_training(NORMS, digits(), seed=5)
        training.submit(*shares(0, 2, 1, 3, (4, 3, 5), roles))
        training.deliver()
        assert same(training.states()[roles[0]], expected)


def test_nothing_is_given_to_who_has_it() -> None:
    one, other = shares(0, 1, 1, 3, (4, 4, 4))[0], shares(1, 1, 1, 2, (2, 4, 6))[0]
    assert rearrangement(one, other, 7) is None


@pytest.mark.slow
def test_fifty_losses_over_five_hundred_steps_leave_no_trace() -> None:
    whole, broken = (hybrid_training(PLAIN, digits(), seed=1) for _ in range(2))
    for training in (whole, broken):
        training.submit(*shares(0, 500, 1, 3, (4, 4, 4)))
    whole.deliver()
    run_with_losses(broken, 50, 8000, 7)
    assert all(same(whole.states()[who], broken.states()[who]) for who in whole.members)
    assert [done.number for done in broken.done] == list(range(500))
