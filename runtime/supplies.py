"""Weights on their way to workers that lack them: some to each in turn, so that none is left in silence meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from . import wire
from .blobs import BlobStore
from .transport import Dialer, PeerGone

TURN_S = 0.02  # that a worker which takes nothing keeps the others waiting


class Supplies:
    """What is under way.

    Args:
        session: that they belong to.
        store: where the weights are.
    """

    def __init__(self, session: str, store: BlobStore) -> None:
        self._session, self._store = session, store
        self._rest: dict[str, Iterator[tuple[bytes, bytes]]] = {}
        self._next: dict[str, tuple[bytes, bytes]] = {}

    def __bool__(self) -> bool:
        return bool(self._next)

    def begin(self, worker: str, epoch: int, digests: Sequence[str]) -> None:
        """Let a worker have blobs for an epoch, instead of whatever it was to get before."""
        self._rest[worker] = self._messages(epoch, digests)
        self._advance(worker)

    def end(self, worker: str) -> None:
        """A worker gets nothing more: what it was to get it does not want any more."""
        self._rest.pop(worker, None)
        self._next.pop(worker, None)

    def go_on(self, dialers: Mapping[str, Dialer]) -> None:
        """Send every worker as much as it takes in its turn."""
        for worker in list(self._next):
            until_s = time.monotonic() + TURN_S
            while worker in self._next and (left_s := until_s - time.monotonic()) > 0:
                try:
                    dialers[worker].send(*self._next[worker], timeout_s=left_s)
                except PeerGone:  # it is slow; or it is gone, and its lease ends
                    break
                self._advance(worker)

    def _advance(self, worker: str) -> None:
        found = next(self._rest[worker], None)
        if found is None:
            self.end(worker)
        else:
            self._next[worker] = found

    def _messages(self, epoch: int, digests: Sequence[str]) -> Iterator[tuple[bytes, bytes]]:
        for digest in digests:
            for offset, size, data in self._store.chunks(digest):
                yield wire.encode(wire.Blob(self._session, epoch, digest, offset, size)), data
