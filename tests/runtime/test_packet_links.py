"""Packets come whole, once and in order, or the link is broken: whatever comes twice, late, or never."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.runtime.assembly import Rejected
from splitgym.runtime.packet_links import Broken, PacketLink, Sealed, parts
from splitgym.runtime.wire_training_plan import Part

TOKEN, CHUNK, MOST = "ab" * 16, 8, 64
PACKETS = st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6)


def link() -> PacketLink:
    return PacketLink(MOST, MOST, CHUNK)


def sent(packets: Sequence[bytes]) -> list[tuple[Part, memoryview]]:
    return [
        found
        for number, data in enumerate(packets)
        for found in parts(Sealed(data, 1), TOKEN, 1, 2, number, 0.0, CHUNK)
    ]


@given(PACKETS, st.integers(0, 2**32))
def test_packets_come_as_they_were_sent_though_parts_come_again(packets: list[bytes], seed: int) -> None:
    draw, taken, came = random.Random(seed), link(), []
    found = sent(packets)
    for i, (part, payload) in enumerate(found):
        whole = taken.add(part, payload)
        if whole is not None:
            came.append(bytes(whole.data))
        for again, its in draw.sample(found[: i + 1], min(i + 1, 2)):
            with pytest.raises(Rejected, match="again"):
                taken.add(again, its)
    assert came == packets


@given(PACKETS, st.data())
def test_what_is_lost_is_noticed_by_what_comes_next(packets: list[bytes], data: st.DataObject) -> None:
    found, taken, came = sent(packets), link(), []
    lost = data.draw(st.integers(0, len(found) - 1))
    for i, (part, payload) in enumerate(found):
        if i < lost:
            whole = taken.add(part, payload)
            came += [] if whole is None else [bytes(whole.data)]
        elif i > lost:
            with pytest.raises(Broken, match="did not come whole"):
                taken.add(part, payload)
    assert came == packets[: len(came)]


@pytest.mark.parametrize(
    ("changes", "payload"),
    [
        ({"size": MOST + 1}, bytes(CHUNK)), ({"envelope_bytes": 0}, bytes(CHUNK)),
        ({"envelope_bytes": 21}, bytes(CHUNK)), ({"offset": 3}, bytes(CHUNK)), ({}, bytes(CHUNK - 1)),
        ({}, bytes(CHUNK + 1)), ({"size": 4}, bytes(CHUNK)),
    ],
)  # fmt: skip
def test_what_is_no_part_of_a_packet_is_refused(changes: dict[str, Any], payload: bytes) -> None:
    part = msgspec.structs.replace(Part(TOKEN, 1, 2, 0, 0, 20, 1, 0.0), **changes)
    taken = link()
    with pytest.raises(Rejected):
        taken.add(part, payload)
    assert taken.add(Part(TOKEN, 1, 2, 0, 0, 2, 1, 0.0), b"ab") == Sealed(bytearray(b"ab"), 1)


def test_a_packet_does_not_change_its_size_on_the_way() -> None:
    taken = link()
    taken.add(Part(TOKEN, 1, 2, 0, 0, 20, 1, 0.0), bytes(CHUNK))
    for changes in ({"size": 24}, {"envelope_bytes": 2}):
        with pytest.raises(Rejected, match="changes its size"):
            taken.add(msgspec.structs.replace(Part(TOKEN, 1, 2, 0, CHUNK, 20, 1, 0.0), **changes), bytes(CHUNK))
