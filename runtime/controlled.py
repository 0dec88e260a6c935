"""What a controller's shell works for: what decides over a session, and what takes in what its workers send."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from . import wire


class Receiver(Protocol):
    """What takes in what workers of an epoch send. For who has the lock, but for :meth:`held_s`."""

    def offers(self, worker: str) -> Collection[str]:
        """Digests of what a worker may ask for."""
        ...

    @property
    def lacks(self) -> str:
        """The worker whose data are waited for, empty for none."""
        ...

    def told(self, worker: str, spans: wire.Spans) -> bool:
        """What a worker did; whether it may be."""
        ...

    def held_s(self, worker: str, data: Any, size: int) -> float:
        """For how long an emulated link holds back what comes now."""
        ...

    def take(self, worker: str, data: Any, payload: memoryview, held_s: float) -> bool:
        """Take data in; whether an item is complete now.

        Raises:
            Rejected: nobody waits for them.
        """
        ...


class Stream(Protocol):
    """What decides over a session what becomes of workers. For who has the lock."""

    def control(self, worker: str, message: wire.Control, now_s: float) -> Sequence[Any]:
        """A message of a worker came in."""
        ...

    def down(self, worker: str, now_s: float) -> Sequence[Any]:
        """The connection to a worker has ended."""
        ...

    def tick(self, now_s: float, lacks: str = "") -> Sequence[Any]:
        """Time goes on."""
        ...

    def came(self, epoch: int, item: int, now_s: float) -> Sequence[Any]:
        """An item is complete."""
        ...
