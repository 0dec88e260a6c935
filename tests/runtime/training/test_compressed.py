"""Split training through a compressing cut: the loop with both halves at hand, records and bytes too."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from splitgym.models.model import Model
from splitgym.runtime.training.compressed import CompressedServer
from splitgym.runtime.training.packets import from_wire, to_wire
from splitgym.runtime.training.settings import Settings
from splitgym.runtime.training.trainer import Training, train
from splitgym.runtime.wire_training import Compressed as CompressedStep
from splitgym.ui.errors import InputError

from .faults import lose, run_with_losses
from .nets import NORMS, PLAIN, digits, same
from .reference import compressed

BUDGETS = [2, 6, 3]
CASES: list[tuple[str, Model, dict[str, Any], list[int]]] = [
    ("maps", PLAIN, {"layer": 3}, BUDGETS),
    ("smaller maps", NORMS, {"layer": 3, "resolution": 2}, BUDGETS),
    ("soft filter", PLAIN, {"layer": 3, "mask": "soft"}, BUDGETS),
    ("without the module", NORMS, {"layer": 3, "module": False}, [6, 6]),
    ("nothing on the client", PLAIN, {"layer": 0, "module": False}, [1, 1]),
]


def training_of(model: Model, options: dict[str, Any], **more: Any) -> Training:
    return Training(model, digits(), Settings(batch=12, learning_rate=0.05, **options), "cpu", **more)


def same_as_the_loop(training: Training, model: Model, options: dict[str, Any], budgets: list[int]) -> bool:
    loop = compressed(model, digits(), Settings(batch=12, learning_rate=0.05, **options), budgets)
    for mine, theirs in zip(training.halves, loop.halves, strict=True):
        pairs = zip(mine.state_dict().values(), theirs.state_dict().values(), strict=True)
        if not all(torch.equal(a, b) for a, b in pairs):
            return False
    told = [(r.train_loss, r.train_accuracy, r.sent_bytes) for r in training.records]
    return told == [(loss, right, {**dict.fromkeys(told[0][2], 0), **sent}) for loss, right, sent in loop.epochs]


@pytest.mark.parametrize(("name", "model", "options", "budgets"), CASES, ids=[case[0] for case in CASES])
def test_it_is_the_loop_bit_by_bit_records_and_bytes_too(
    name: str, model: Model, options: dict[str, Any], budgets: list[int]
) -> None:
    training = training_of(model, options)
    train(training, budgets)
    assert same_as_the_loop(training, model, options, budgets)


@pytest.mark.parametrize(("name", "model", "options", "budgets"), CASES, ids=[case[0] for case in CASES])
def test_lost_halves_are_rebuilt_bit_by_bit(
    name: str, model: Model, options: dict[str, Any], budgets: list[int]
) -> None:
    training, draw = training_of(model, options, every=3), random.Random(name)
    submit, count = training.members.submit, iter(range(10_000))

    def submit_and_lose(*entries: Any) -> None:
        submit(*entries)
        if next(count) % 5 == 2:
            training.members.deliver(draw.randint(0, 6))
            lose(training.members, draw.choice(["client", "server"]))

    training.members.submit = submit_and_lose  # type: ignore[method-assign]
    train(training, budgets)
    assert training.members.core.epoch > 5
    assert same_as_the_loop(training, model, options, budgets)


def test_it_is_the_same_over_bytes() -> None:
    training = training_of(PLAIN, {"layer": 3}, encoded=True)
    train(training, BUDGETS)
    assert same_as_the_loop(training, PLAIN, {"layer": 3}, BUDGETS)


def test_the_bytes_of_the_wire_are_those_counted_and_small_envelopes() -> None:
    training = training_of(PLAIN, {"layer": 3}, encoded=True)
    (record,) = train(training, [3])
    sent = training.members.wire_bytes
    envelopes = sent["client", "server"] + sent["server", "client"] - record.total_bytes
    assert 0 < envelopes <= 200 * 2 * record.steps
    assert training_of(PLAIN, {"layer": 3}).members.wire_bytes == {}


def test_a_soft_filter_is_refused_where_packets_are_encoded() -> None:
    with pytest.raises(InputError, match="mask is 'soft', allowed where packets are encoded: hard"):
        training_of(PLAIN, {"layer": 3, "mask": "soft"}, encoded=True)


def test_what_crosses_is_what_is_counted() -> None:
    training = training_of(PLAIN, {"layer": 3})
    server, crossed = training.members.members["server"], dict[str, int]()
    assert isinstance(server, CompressedServer)
    take = server.take

    def counting(sender: str, packet: Any) -> Any:
        _, payloads = to_wire(packet)
        for name, payload in zip(packet.tensors, payloads, strict=True):
            crossed[name] = crossed.get(name, 0) + len(payload)
        return take(sender, from_wire(*to_wire(packet)))

    server.take = counting  # type: ignore[method-assign]
    (record,) = train(training, [3])
    assert crossed == {kind: record.sent_bytes[kind] for kind in ("maps", "filter", "labels")}


@pytest.mark.slow
def test_fifty_losses_over_five_hundred_steps_leave_no_trace() -> None:
    entries = [CompressedStep(number, 0.05, 2 + number // 100) for number in range(500)]
    whole, broken = (training_of(PLAIN, {"layer": 3}, every=20).members for _ in range(2))
    for members in (whole, broken):
        members.submit(*entries)
    whole.deliver()
    run_with_losses(broken, 50, 3500, 7)
    assert all(same(whole.states()[who], broken.states()[who]) for who in whole.members)
    assert [done.number for done in broken.done] == list(range(500))
