"""Chunks become rows, in whatever order they come; what does not belong is refused; every needed row has one source."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.models.lookup import get_model
from splitgym.models.model import Model, ValueBytes
from splitgym.runtime import wire
from splitgym.runtime.assembly import Assembly, Rejected
from splitgym.runtime.geometry import REQUESTER, Geometry, Piece
from splitgym.runtime.transport import CHUNK_BYTES

from .live import SMALL, small
from .plans import random_plan

DEVICES = 3


def model_of(name: str) -> Model:
    return small(name) if name == "detector" else replace(get_model(name), input=SMALL[name], tail=())


def geometry_of(name: str, seed: int, volumes: int | None = None) -> Geometry:
    model = model_of(name)
    plan = random_plan(model, DEVICES, np.random.default_rng(seed))
    return Geometry(model, plan, ValueBytes(4), None if volumes is None else min(volumes, len(plan.ranges)))


def chunk(piece: Piece, offset: int, size: int, item: int = 0) -> wire.Chunk:
    return wire.Chunk(
        "ab" * 16, 1, 1, item, piece.boundary, piece.tensor, piece.lo, piece.hi, 0, "11" * 32, offset, size, size, 0.0
    )  # fmt: skip


@given(st.sampled_from(list(SMALL)), st.integers(0, 10**6))
def test_every_row_that_a_part_reads_is_its_own_or_comes_in_once(name: str, seed: int) -> None:
    geometry = geometry_of(name, seed)
    for device in range(DEVICES):
        for volume in range(geometry.volumes):
            own = geometry.holds(volume - 1, device) if volume else {}
            pieces = geometry.inbox(device, geometry.ranges[volume][0])
            for tensor, (lo, hi) in geometry.needs(volume, device).items():
                count = np.zeros(hi - lo, dtype=int)
                sources = [own[tensor]] if tensor in own else []
                sources += [(p.lo, p.hi) for p in pieces if p.tensor == tensor]
                for a, b in sources:
                    count[max(a, lo) - lo : max(0, min(b, hi) - lo)] += 1
                assert (count == 1).all()


@given(st.sampled_from(list(SMALL)), st.integers(0, 10**6))
def test_what_is_sent_is_what_is_waited_for(name: str, seed: int) -> None:
    geometry = geometry_of(name, seed)
    sent = [p for message in geometry.scatter() for p in message]
    for device in range(DEVICES):
        for volume in range(1, geometry.volumes):
            sent += [p for message in geometry.exchange(volume, device) for p in message]
        sent += geometry.gather(device)
    sent += geometry.result()
    due = [
        p
        for d in (REQUESTER, *range(DEVICES))
        for b in (*geometry.boundaries, geometry.last)
        for p in geometry.inbox(d, b)
    ]
    assert sorted(sent, key=repr) == sorted(due, key=repr)
    assert len(set(sent)) == len(sent)


@given(st.sampled_from(list(SMALL)), st.integers(0, 10**6), st.integers(1, 3))
def test_the_first_volumes_are_the_whole_plans(name: str, seed: int, volumes: int) -> None:
    part, whole = geometry_of(name, seed, volumes), geometry_of(name, seed)
    for device in range(DEVICES):
        assert part.parts(device) == [p for p in whole.parts(device) if p.volume < part.volumes]
        for volume in range(1, part.volumes):
            assert part.exchange(volume, device) == whole.exchange(volume, device)
        if not part.is_whole:
            assert part.gather(device) == []
            assert part.exchange(part.volumes, device) == []


@given(st.integers(0, 10**6), st.data())
def test_chunks_in_any_order_and_again_make_the_rows(seed: int, data: st.DataObject) -> None:
    geometry = geometry_of("vgg16", seed)
    receiver = data.draw(st.integers(0, DEVICES - 1))
    pieces = geometry.inbox(receiver, 0)
    assembly = Assembly(geometry, receiver, 1, chunk_bytes=1000)
    if not pieces:
        assert assembly.complete(0, 0)
        return
    rng = np.random.default_rng(seed)
    content = {p: rng.bytes(geometry.piece_bytes(p)) for p in pieces}
    parts = [
        (p, at, content[p][at : at + 1000]) for p in pieces for at in range(0, len(content[p]), 1000)
    ]  # fmt: skip
    order = data.draw(st.permutations(parts))
    for piece, at, payload in [*order[: len(order) // 2], *order]:
        assembly.add(piece.sender, chunk(piece, at, len(content[piece])), payload)
    assert assembly.complete(0, 0)
    assert {p: bytes(rows) for p, rows in assembly.take(0, 0).items()} == content


def first_piece(chunk_bytes: int = CHUNK_BYTES) -> tuple[Assembly, Piece, int]:
    """The image rows of device 0, more than one small chunk of them."""
    for seed in range(100):
        geometry = geometry_of("vgg16", seed)
        if (pieces := geometry.inbox(0, 0)) and (size := geometry.piece_bytes(pieces[0])) > 2000:
            return Assembly(geometry, 0, 2, chunk_bytes=chunk_bytes), pieces[0], size
    raise AssertionError


def test_what_nobody_waits_for_is_refused() -> None:
    assembly, piece, size = first_piece()
    wrong = [
        (1, chunk(piece, 0, size)),
        (REQUESTER, chunk(replace(piece, tensor="other"), 0, size)),
        (REQUESTER, chunk(replace(piece, boundary=1), 0, size)),
        (REQUESTER, chunk(replace(piece, lo=piece.lo + 1), 0, size)),
        (REQUESTER, chunk(replace(piece, hi=piece.hi + 1), 0, size)),
        (REQUESTER, chunk(piece, 0, size + 1)),
        (REQUESTER, chunk(piece, 0, size, item=2)),
    ]
    for sender, bad in wrong:
        with pytest.raises(Rejected):
            assembly.add(sender, bad, b"1234")
    assert not assembly.complete(0, 0)


@pytest.mark.parametrize(("offset", "n"), [(0, 4), (2, 4), (2, 998), (1, 1000), (1000, 999), (0, 1001), (0, 0)])
def test_bytes_that_are_no_chunk_of_the_piece_are_refused(offset: int, n: int) -> None:
    """Crumbs would cost far more to keep than they hold, and others would overlap."""
    assembly, piece, size = first_piece(chunk_bytes=1000)
    with pytest.raises(Rejected):
        assembly.add(REQUESTER, chunk(piece, offset, size), bytes(n))


def test_a_sender_has_reason_for_what_the_plan_says_and_no_more() -> None:
    assembly, _, size = first_piece()
    assert assembly.most_bytes(REQUESTER) == 3 * size
    assert assembly.most_bytes(0) == 0


def test_what_comes_for_a_finished_item_is_refused() -> None:
    assembly, piece, size = first_piece()
    assembly.over(0)
    with pytest.raises(Rejected):
        assembly.add(REQUESTER, chunk(piece, 0, size), bytes(size))
    assert assembly.add(REQUESTER, chunk(piece, 0, size, item=2), bytes(size))
