"""Weights go to several workers in turns: a slow one keeps no other waiting."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from splitgym.runtime import supplies as supplies_module
from splitgym.runtime import wire
from splitgym.runtime.blobs import BlobStore
from splitgym.runtime.supplies import Supplies
from splitgym.runtime.transport import CHUNK_BYTES, Buffer, Event, PeerGone

BLOB = bytes(3 * CHUNK_BYTES)


class Taking:
    """A connection that takes so many messages between two pauses."""

    def __init__(self, a_turn: int) -> None:
        self.a_turn = self.left = a_turn
        self.came: list[tuple[int, int]] = []

    def send(self, header: bytes, payload: Buffer | None = None, timeout_s: float = 5.0) -> None:
        if not self.left:
            self.left = self.a_turn
            raise PeerGone("takes nothing")
        self.left -= 1
        message = wire.decode_control(header)
        assert isinstance(message, wire.Blob)
        assert payload is not None
        self.came.append((message.offset, len(payload)))

    def poll(self, timeout_s: float) -> Sequence[Event]:
        return []

    def close(self) -> None:
        pass

    def attend(self) -> None:
        pass


@pytest.fixture
def _long_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns end where nothing more is taken, and not because this machine is busy."""
    monkeypatch.setattr(supplies_module, "TURN_S", 60.0)


@pytest.mark.usefixtures("_long_turns")
def test_all_comes_to_all_in_order_and_a_slow_one_keeps_no_other_waiting(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    digests, supplies = [store.put(BLOB), store.put(b"more")], Supplies("ab" * 16, store)
    workers = {"gone": Taking(0), "slow": Taking(1), "fast": Taking(100)}
    for name in workers:
        supplies.begin(name, 1, digests)
    due = [(i * CHUNK_BYTES, CHUNK_BYTES) for i in range(3)] + [(0, 4)]
    supplies.go_on(workers)
    assert [len(taking.came) for taking in workers.values()] == [0, 1, 4]
    for _ in due:
        supplies.go_on(workers)
    assert [taking.came for taking in workers.values()] == [[], due, due]
    assert supplies
    workers["gone"].a_turn = 100
    supplies.go_on(workers)
    supplies.go_on(workers)
    assert not supplies


def test_a_turn_has_an_end_where_much_is_taken(tmp_path: Path) -> None:
    class Busy(Taking):
        def send(self, header: bytes, payload: Buffer | None = None, timeout_s: float = 5.0) -> None:
            super().send(header, payload)
            time.sleep(0.05)

    store = BlobStore(tmp_path)
    supplies, busy = Supplies("ab" * 16, store), Busy(100)
    supplies.begin("busy", 1, [store.put(BLOB)])
    supplies.go_on({"busy": busy})
    assert len(busy.came) == 1
    assert supplies


@pytest.mark.usefixtures("_long_turns")
def test_what_is_not_wanted_any_more_ends(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    supplies, taking = Supplies("ab" * 16, store), Taking(1)
    supplies.begin("pi", 1, [store.put(BLOB)])
    supplies.go_on({"pi": taking})
    supplies.end("pi")
    assert not supplies
    supplies.go_on({"pi": taking})
    assert taking.came == [(0, CHUNK_BYTES)]
    supplies.end("pi")  # again, or where nothing was under way
