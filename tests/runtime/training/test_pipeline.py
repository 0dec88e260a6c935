"""The pipeline: one process with the same weight versions, through moves of layers and switches of the worker."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from splitgym.models.model import Model
from splitgym.runtime.training.local import LocalTraining
from splitgym.runtime.training.pipeline import STASH
from splitgym.runtime.wire_training import Backward, Forward, Minibatch, Move

from .faults import PACKETS, SEEDS, lose, run_with_losses
from .members import minibatches, pipeline_training
from .nets import NORMS, PLAIN, digits, same
from .reference import RATE, pipelined, plain, remembered

SEGMENTS = [(2, 5), (4, 6), (1, 4)]


def trained(training: LocalTraining) -> dict[str, Tensor]:
    """The network as its two holders have it; nothing is in flight behind a move."""
    states = training.states()
    assert not [name for name in states["client"] if name.startswith(STASH)]
    assert not states["client"].keys() & states["server"].keys()
    return {**states["client"], **states["server"]}


@pytest.mark.parametrize("in_flight", [1, 2, 3])
@pytest.mark.parametrize("model", [PLAIN, NORMS], ids=lambda model: model.name)
def test_it_is_one_process_with_the_same_versions_bit_by_bit(model: Model, in_flight: int) -> None:
    segments = [*SEGMENTS, (len(model.steps), 3), (3, 4), (0, 4)]  # for a while on one side alone
    training = pipeline_training(model, digits(), 2, in_flight, encoded=True)
    training.submit(*minibatches(segments))
    training.deliver()
    assert same(trained(training), remembered(*pipelined(model, digits(), segments, in_flight)))


def test_one_in_flight_is_plain_sgd_and_two_are_not() -> None:
    net, optimizer, _ = plain(PLAIN, digits(), 6)
    for in_flight, is_plain in ((1, True), (2, False)):
        training = pipeline_training(PLAIN, digits(), 3, in_flight)
        training.submit(*minibatches([(3, 6)]))
        training.deliver()
        assert same(trained(training), remembered(net, optimizer)) == is_plain


@settings(max_examples=5)
@given(PACKETS, st.sampled_from(["client", "server"]), SEEDS, st.integers(2, 3), st.integers(1, 7))
def test_a_lost_half_is_rebuilt_bit_by_bit_wherever_that_was(
    packets: int, who: str, seed: int | None, in_flight: int, every: int
) -> None:
    training = pipeline_training(NORMS, digits(), 2, in_flight, every, seed=seed)
    training.submit(*minibatches(SEGMENTS))
    training.deliver(packets)
    lose(training, who)
    training.deliver()
    assert same(trained(training), remembered(*pipelined(NORMS, digits(), SEGMENTS, in_flight)))
    assert [done.number for done in training.done] == list(range(18))


def test_a_switch_of_the_worker_takes_the_whole_partition_along() -> None:
    training = pipeline_training(NORMS, digits(), 2)
    training.submit(*minibatches([(2, 5)]))
    training.deliver()
    training.states()  # drained: the old worker's partition leaves
    lose(training, "server")  # a new one plays its part
    training.deliver()
    assert training.core.checkpoint == training.core.logged == 6
    training.submit(*(Minibatch(5 + k, 2, RATE) for k in range(4)), Move(2, 2))
    training.deliver()
    assert same(trained(training), remembered(*pipelined(NORMS, digits(), [(2, 5), (2, 4)], 2)))


def test_the_client_is_strict_whatever_arrives_when() -> None:
    """F0 F1 B0 F2 B1 F3 ..: the next forward right behind every backward, at most two in flight."""
    for seed in range(8):
        training, said = pipeline_training(PLAIN, digits(), 2, seed=seed), []
        client = training.members["client"]
        forward, backward = client._forward, client._backward  # type: ignore[attr-defined]
        client._forward = lambda n, e: (said.append(("F", n)), forward(n, e))[1]  # type: ignore[attr-defined]  # noqa: B023
        client._backward = lambda: (said.append(("B", client._flying[0][0])), backward())[1]  # type: ignore  # noqa: B023
        training.submit(*minibatches([(2, 6)]))
        training.deliver()
        steady = [said_ for i in range(4) for said_ in (("B", i), ("F", i + 2))]
        assert said == [("F", 0), ("F", 1), *steady, ("B", 4), ("B", 5)]


def test_without_word_of_what_comes_next_the_client_waits() -> None:
    training = pipeline_training(PLAIN, digits(), 2)
    training.submit(Minibatch(0, 2, RATE), Minibatch(1, 2, RATE), Minibatch(2, 2, RATE))
    training.deliver()
    assert [done.number for done in training.done] == [0, 1]  # B2 comes behind F3, or in a drain
    training.submit(Move(2, 2))
    training.deliver()
    assert len(training.done) == 4


def test_gradients_go_back_once_for_every_forward() -> None:
    training, kinds = pipeline_training(PLAIN, digits(), 2), []
    send = training._send
    training._send = lambda who, out: (kinds.append(type(out.packet.header)), send(who, out))[1]  # type: ignore
    training.submit(*minibatches([(2, 6)]))
    training.deliver()
    assert kinds.count(Forward) == kinds.count(Backward) == 6


@pytest.mark.slow
def test_fifty_losses_over_five_hundred_minibatches_leave_no_trace() -> None:
    segments = [(2, 150), (4, 120), (1, 130), (3, 100)]
    training = pipeline_training(PLAIN, digits(), 2, 2, 20, seed=1)
    training.submit(*minibatches(segments))
    run_with_losses(training, 50, 3000, 7)
    assert same(trained(training), remembered(*pipelined(PLAIN, digits(), segments, 2)))
    assert [done.number for done in training.done] == list(range(504))
