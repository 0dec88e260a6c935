"""Packets as bytes: what is sent is what comes, and nothing else is taken."""

from __future__ import annotations

import math

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from splitgym.runtime.training.packets import Packet, expect, from_wire, to_wire
from splitgym.runtime.wire import WireError
from splitgym.runtime.wire_training import (
    AnyEntry,
    Backward,
    Commit,
    Compressed,
    Do,
    Exchange,
    Forward,
    Input,
    Minibatch,
    Move,
    Prepared,
    Rearrange,
    Redraw,
    Round,
    Share,
    Sync,
    entry_from_json,
    entry_to_json,
)

from .members import cut_training, hybrid_training
from .nets import NORMS, PLAIN, digits, same
from .reference import BATCH

SHARE = Share(3, 0.1, ("a", "b", "c"), 1, 2, (4, 4, 4))
ENTRIES: list[AnyEntry] = [
    Round(0, 3, 0.1), Sync((1, 2), (3,)), Minibatch(1, 2, 0.05), Move(2, 4), SHARE, Rearrange("a", {"b": 3}),
    Compressed(2, 0.1, 4), Redraw(3),
]  # fmt: skip
DTYPES = st.sampled_from([torch.float32, torch.float16, torch.uint8, torch.int64])


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: type(entry).__name__)
def test_entries_are_the_same_from_the_log_and_from_the_wire(entry: AnyEntry) -> None:
    assert entry_from_json(entry_to_json(entry)) == entry
    assert from_wire(*to_wire(Packet(Do(1, 2, entry)))).header == Do(1, 2, entry)


@given(st.dictionaries(st.text(max_size=20), st.tuples(DTYPES, st.lists(st.integers(0, 3), max_size=4)), max_size=4))
def test_tensors_come_as_they_were_sent(specs: dict) -> None:
    tensors = {n: torch.arange(math.prod(s)).reshape(s).to(dtype) for n, (dtype, s) in specs.items()}
    for header in (Exchange(1, 0, 2, (1,)), Prepared(1, 0, {"loss": float("inf")}), Input(1, 0, SHARE), Commit(3, 4)):
        found = from_wire(*to_wire(Packet(header, tensors)))
        assert found.header == header
        assert same(found.tensors, tensors)
        assert list(found.tensors) == list(tensors)


@given(st.binary(max_size=60), st.lists(st.integers(0, 40), max_size=3))
def test_garbage_is_refused(data: bytes, sizes: list[int]) -> None:
    with pytest.raises(WireError):
        from_wire(data, [bytes(size) for size in sizes])


@pytest.mark.parametrize(
    ("specs", "payloads"),
    [
        ([["w", 0, [2, 3]]], [23]),
        ([["w", 0, [2, 3]]], []),
        ([["w", 0, [2, 3]]], [24, 0]),
        ([["w", 9, [2]]], [8]),
        ([["w", 0, [-1]]], [4]),
        ([["w", 0, [1] * 7]], [4]),
        ([["w", 0, [2**30, 2**30]]], [4]),
        ([["w", 0, [1]], ["w", 0, [1]]], [4, 4]),
        ([["w" * 201, 0, [1]]], [4]),
    ],
)
def test_what_does_not_fit_its_bytes_is_refused(specs: list, payloads: list[int]) -> None:
    data = msgspec.msgpack.encode([{"is": "backward", "epoch": 1, "number": 0}, specs])
    with pytest.raises(WireError):
        from_wire(data, [bytes(size) for size in payloads])


@pytest.mark.parametrize(
    "header",
    [
        {"is": "round", "epoch": 1, "number": 0},
        {"is": "commit", "epoch": -1, "number": 0},
        {"is": "commit", "epoch": 1, "number": 0, "more": 1},
        {"is": "do", "epoch": 1, "number": 0, "entry": {"is": "round", "batch": 0, "cut": -1, "rate": 0.1}},
        {"is": "do", "epoch": 1, "number": 0, "entry": {"is": "round", "batch": 0, "cut": 1, "rate": float("nan")}},
        {"is": "forward", "epoch": 1, "number": 0, "boundary": 1, "rate": 0.1, "counted": 4},
    ],
)
def test_headers_out_of_bounds_are_refused(header: dict) -> None:
    with pytest.raises(WireError):
        from_wire(msgspec.msgpack.encode([header, []]), [])


def test_a_wrong_shape_is_named() -> None:
    packet = Packet(Backward(1, 7), {"": torch.zeros(2, 3)})
    with pytest.raises(WireError, match=r"backward 7: .* due is"):
        expect(packet, {"": ((2, 4), torch.float32)})
    assert expect(packet, {"": ((2, 3), torch.float32)})


@pytest.mark.parametrize("count", [0, 3, BATCH + 1])
@pytest.mark.parametrize("label", [-1, 0, 10])
def test_the_half_behind_a_cut_takes_what_is_due_and_nothing_else(count: int, label: int) -> None:
    edge = cut_training(PLAIN, digits()).members["edge"]
    labels = torch.full((count,), label)
    fits = count == 3 and label == 0
    for tensors, ok in (
        ({"": torch.zeros(count, 6, 8, 8), "labels": labels}, fits),
        ({"": torch.zeros(count, 6, 8, 7), "labels": labels}, False),
        ({"": torch.zeros(count, 6, 8, 8), "labels": labels, "more": labels}, False),
        ({"": torch.zeros(count, 6, 8, 8)}, False),
    ):
        packet = Packet(Forward(edge.epoch, 0 if ok else 9, 1, 0.1), tensors)
        if ok:
            assert len(edge.handle("device", packet)) == 2
            edge.waiting = None
        else:
            edge._seen.clear()
            with pytest.raises(WireError):
                edge.handle("device", packet)


def test_o_refuses_what_the_share_does_not_say() -> None:
    training = hybrid_training(NORMS, digits())
    o = training.members["edge"]
    share = Share(0, 0.1, ("edge", "device", "cloud"), 2, 3, (0, 4, 0))
    none = {"": torch.zeros(0, 1, 8, 8, dtype=torch.uint8), "labels": torch.zeros(0, dtype=torch.int64)}
    assert o.handle("device", Packet(Input(o.epoch, 0, share), none)) == []
    wrong = {"": torch.zeros(4, 6, 8, 8), "labels": torch.zeros(4, dtype=torch.int64)}
    with pytest.raises(WireError, match="not what it shares out"):
        o.handle("device", Packet(Forward(o.epoch, 0, 1, 0.1), wrong))
    bad = Share(0, 0.1, ("edge", "device", "x"), 2, 3, (0, 4, 0))
    with pytest.raises(WireError, match="does not fit"):
        training.members["cloud"].handle("device", Packet(Input(o.epoch, 5, bad), none))
