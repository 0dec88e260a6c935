"""A worker's disk: it outlives the worker, fills up and slows down."""

from __future__ import annotations

from ...ui.errors import InputError


class Disk:
    """Weights by digest, as :class:`..blobs.BlobStore` keeps them.

    Attributes:
        whole: digests that are there.
        full: nothing more can be written.
        slow_s: that a chunk takes.
    """

    def __init__(self) -> None:
        self.whole: set[str] = set()
        self.full = False
        self.slow_s = 0.0
        self._came: dict[str, int] = {}

    def has(self, digest: str) -> bool:
        """Whether weights are here, whole."""
        return digest in self.whole

    def add(self, digest: str, offset: int, size: int, payload: bytes) -> bool:
        """Take the next chunk; whether the blob is whole now.

        Raises:
            InputError: out of order, or the disk is full.
        """
        came = self._came.get(digest, 0) if offset else 0
        if self.full or offset != came:
            self._came.pop(digest, None)
            raise InputError("no space left" if self.full else f"chunk at {offset}, due is {came}")
        self._came[digest] = came + len(payload)
        if self._came[digest] < size:
            return False
        del self._came[digest]
        self.whole.add(digest)
        return True

    def restarted(self) -> None:
        """The process that wrote is no more: blobs that are not whole begin anew."""
        self._came.clear()
