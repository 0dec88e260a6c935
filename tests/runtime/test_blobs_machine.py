"""Weights on disk under any order of chunks, restarts and damage: a blob is whole and right, or not there."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from splitgym.runtime.blobs import BlobStore
from splitgym.ui.errors import InputError

DATA = [bytes([i]) * (40 + 10 * i) for i in range(3)]
DIGESTS = [hashlib.sha256(data).hexdigest() for data in DATA]
PART = 16
QUOTA = 260  # two of them, while the others are on their way


class BlobMachine(RuleBasedStateMachine):
    """A store that gets chunks of three blobs."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        self.store = BlobStore(self.folder, QUOTA)
        self.came = [0, 0, 0]

    def teardown(self) -> None:
        self.store.abandon()
        self._folder.cleanup()

    which = st.integers(0, 2)

    @rule(i=which)
    def next_chunk(self, i: int) -> None:
        part = DATA[i][self.came[i] : self.came[i] + PART]
        whole = self.store.add(DIGESTS[i], self.came[i], len(DATA[i]), part)
        self.came[i] += len(part)
        assert whole == (self.came[i] == len(DATA[i]))
        if whole:
            assert self.store.has(DIGESTS[i])
            self.came[i] = 0

    @rule(i=which)
    def from_the_start(self, i: int) -> None:
        self.store.add(DIGESTS[i], 0, len(DATA[i]), DATA[i][:PART])
        self.came[i] = PART

    @rule(i=which, offset=st.integers(1, 80))
    def out_of_order(self, i: int, offset: int) -> None:
        if offset == self.came[i]:
            return
        with pytest.raises(InputError):
            self.store.add(DIGESTS[i], offset, len(DATA[i]), b"x")
        self.came[i] = 0

    @rule(i=which)
    def damaged(self, i: int) -> None:
        rest = len(DATA[i]) - self.came[i]
        with pytest.raises(InputError, match="damaged"):
            self.store.add(DIGESTS[i], self.came[i], len(DATA[i]), b"\xff" * rest)
        self.came[i] = 0

    @rule()
    def starts_anew(self) -> None:
        self.store.abandon()
        self.store = BlobStore(self.folder, QUOTA)
        self.came = [0, 0, 0]

    @rule(i=which)
    def put(self, i: int) -> None:
        had = self.store.has(DIGESTS[i])
        assert self.store.put(DATA[i]) == DIGESTS[i]
        self.came[i] = self.came[i] if had else 0

    @invariant()
    def what_is_there_is_right(self) -> None:
        held = 0
        for data, digest in zip(DATA, DIGESTS, strict=True):
            if self.store.has(digest):
                assert self.store.path(digest).read_bytes() == data
                held += len(data)
        assert held <= QUOTA


TestBlobMachine = BlobMachine.TestCase
TestBlobMachine.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
