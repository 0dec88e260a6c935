"""How fast messages come in: from the first to the last chunk of each. No I/O here.

When the first chunk came says nothing of the link, since it may have waited for anything; what came behind it came as
fast as the link, or its sender, lets it.
"""

from __future__ import annotations

from dataclasses import dataclass

from .wire import Chunk


@dataclass
class _Message:
    """One that is coming in."""

    key: tuple[int, int, float]
    first_s: float
    first_bytes: int
    came_bytes: int


class Arrivals:
    """What one party has coming in under one plan; of every sender one message at a time, as they are sent."""

    def __init__(self) -> None:
        self._coming: dict[int, _Message] = {}

    def came(self, sender: int, chunk: Chunk, size_bytes: int, at_s: float) -> tuple[int, float]:
        """A chunk came that is part of what its sender may send.

        Returns:
            Where it was the last of its message, the bytes behind the first chunk and the seconds they took; else
            nothing, (0, 0.0).
        """
        key, found = (chunk.item, chunk.boundary, chunk.begun_s), self._coming.get(sender)
        if found is None or found.key != key:
            found = self._coming[sender] = _Message(key, at_s, size_bytes, 0)
        found.came_bytes += size_bytes
        if found.came_bytes < chunk.message_bytes:
            return 0, 0.0
        del self._coming[sender]
        return found.came_bytes - found.first_bytes, max(0.0, at_s - found.first_s)
