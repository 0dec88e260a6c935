"""Weights on their way to a worker's disk, which a thread of their own writes: a slow disk must not stop heartbeats."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from ..ui.errors import InputError
from .blobs import BlobStore
from .transport import Buffer
from .worker_core import Store

LOOK_S = 0.2
MOST_CHUNKS = 64  # that wait to be written


class Keeper:
    """Writes chunks in the order in which they came.

    Args:
        store: where to.
        stored: told the digest of a blob that is whole.
        failed: told the epoch that cannot be carried out, and why.
    """

    def __init__(self, store: BlobStore, stored: Callable[[str], None], failed: Callable[[int, str], None]) -> None:
        self._store, self._stored, self._failed = store, stored, failed
        self._waiting: queue.Queue[tuple[Store, Buffer] | None] = queue.Queue()

    @property
    def is_full(self) -> bool:
        """Whether no more should be taken in for now."""
        return self._waiting.qsize() >= MOST_CHUNKS

    def keep(self, action: Store, payload: Buffer) -> None:
        """Have a chunk written."""
        self._waiting.put((action, payload))

    def abandon(self) -> None:
        """Nothing more comes of blobs that are not whole, once what waits is written."""
        self._waiting.put(None)

    def run(self, stopping: threading.Event) -> None:
        """Write until it is to stop."""
        while not stopping.is_set():
            try:
                due = self._waiting.get(timeout=LOOK_S)
            except queue.Empty:
                continue
            if due is None:
                self._store.abandon()
            else:
                self._write(*due)

    def _write(self, action: Store, payload: Buffer) -> None:
        blob = action.blob
        try:
            whole = self._store.add(blob.digest, blob.offset, blob.size, payload)
        except InputError as error:
            self._failed(blob.epoch, str(error))
            return
        if whole:
            self._stored(blob.digest)
