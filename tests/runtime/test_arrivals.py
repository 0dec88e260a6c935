"""What came behind a message's first chunk, and how long it took."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.runtime.arrivals import Arrivals
from splitgym.runtime.wire import Chunk

HEADER = Chunk("ab" * 16, 1, 2, 0, 3, "x", 0, 4, 0, "11" * 32, 0, 1, 1, 5.0)


def chunk(message_bytes: int, begun_s: float = 5.0, item: int = 0) -> Chunk:
    return msgspec.structs.replace(HEADER, message_bytes=message_bytes, begun_s=begun_s, item=item)


@given(st.lists(st.integers(1, 2**17), min_size=1, max_size=9), st.floats(1e3, 1e9), st.floats(0.0, 1e3))
def test_the_rest_comes_at_the_links_rate_whatever_the_first_chunk_waited_for(
    sizes: list[int], bytes_s: float, waited_s: float
) -> None:
    found, at_s, told = Arrivals(), waited_s, []
    for i, size in enumerate(sizes):
        at_s += size / bytes_s if i else 0.0
        told.append(found.came(0, chunk(sum(sizes)), size, at_s))
    assert told[:-1] == [(0, 0.0)] * (len(sizes) - 1)
    assert told[-1][0] == sum(sizes[1:])
    assert told[-1][1] == pytest.approx(sum(sizes[1:]) / bytes_s, abs=1e-9)


def test_messages_of_several_senders_are_told_apart_and_one_that_breaks_off_is_forgotten() -> None:
    found = Arrivals()
    assert found.came(0, chunk(30), 10, 1.0) == (0, 0.0)
    assert found.came(1, chunk(20), 10, 1.5) == (0, 0.0)
    assert found.came(0, chunk(30, item=1), 10, 2.0) == (0, 0.0)  # another message, without the end of the first
    assert found.came(0, chunk(30, item=1), 10, 3.0) == (0, 0.0)
    assert found.came(1, chunk(20), 10, 4.0) == (10, 2.5)
    assert found.came(0, chunk(30, item=1), 10, 4.0) == (20, 2.0)
