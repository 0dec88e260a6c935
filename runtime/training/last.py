"""The member that a worker had last: who only saw others go goes on with what it has. No I/O here."""

from __future__ import annotations

from collections.abc import Callable

from .member import Member


class LastMember:
    """One member, and what it is of."""

    def __init__(self) -> None:
        self._key: object = None
        self._member: Member | None = None

    def member(self, key: object, make: Callable[[], Member]) -> tuple[Member, bool]:
        """A member, and whether it goes on with what it had; one that never began has nothing.

        Args:
            key: what it is of: the same session, training, role and data.
            make: makes another, when the last one's memory is free.
        """
        if self._member is None or self._key != key:
            self.forget()
            self._member, self._key = make(), key
        return self._member, self._member.epoch > 0

    def forget(self) -> None:
        """It is not gone on with."""
        self._member = self._key = None
