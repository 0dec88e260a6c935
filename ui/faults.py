"""All that is wrong with a file in one line: of every kind the first few, and how many more there are."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import InputError

MOST = 3  # faults of a kind that are told


def few(names: Sequence[str], most: int = 8) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


class Faults:
    """Collects what is wrong with something.

    Args:
        where: what the message begins with, a file say.
    """

    def __init__(self, where: object) -> None:
        self.where = where
        self._kinds: dict[str, list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._kinds)

    def add(self, fault: str, allowed: str = "") -> None:
        """Keep a fault; ``allowed`` ends the message and is told once for all faults that share it."""
        self._kinds.setdefault(allowed, []).append(fault)

    def check(self) -> None:
        """Say what was found.

        Raises:
            InputError: there is a fault.
        """
        if self._kinds:
            told = "; ".join(f"{few(faults, MOST)}{allowed}" for allowed, faults in self._kinds.items())
            raise InputError(f"{self.where}: {told}")
