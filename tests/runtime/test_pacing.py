"""Emulated links: a message takes what the physics says, and what comes in over one link is served in order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.runtime.pacing import Receiver, Sender


def test_a_message_leaves_when_its_fixed_cost_and_its_bytes_are_over() -> None:
    sender = Sender((0.5, 1.0), (0.25, 0.5))
    assert sender.due_s(0, 10.0, 4) == 11.5
    assert sender.due_s(1, 10.0, 4) == 13.0
    assert sender.due_s(-1, 10.0, 4) == 13.0  # the last is the requester's


def test_two_messages_at_once_share_a_link() -> None:
    link = Receiver()
    assert link.ready_s(0.1, 0.0, 10, now_s=0.2) == pytest.approx(1.0)
    assert link.ready_s(0.1, 0.0, 10, now_s=0.2) == pytest.approx(2.0)
    assert link.ready_s(0.5, 5.0, 10, now_s=5.0) == pytest.approx(10.0)


def test_nobody_holds_a_link_by_a_beginning_that_is_still_to_come() -> None:
    assert Receiver().ready_s(0.1, 1e12, 10, now_s=1.0) == pytest.approx(2.0)


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(1, 100), st.floats(0, 5)), min_size=1, max_size=20))
def test_a_link_is_never_faster_than_its_rate_nor_out_of_order(messages: list[tuple[float, int, float]]) -> None:
    link, last_s, total = Receiver(), 0.0, 0
    for begun_s, size, late_s in messages:
        total += size
        ready_s = link.ready_s(0.1, begun_s, size, begun_s + late_s)
        assert ready_s >= begun_s + late_s
        assert link.free_s >= last_s + 0.1 * size - 1e-9
        assert link.free_s >= min(b for b, _, _ in messages) + 0.1 * total - 1e-6
        last_s = link.free_s
