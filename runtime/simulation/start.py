"""One start of a process on the virtual network: what it does later it does while it lives and is not stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Start:
    """A start of a machine's process; another one of the same machine is another object.

    Args:
        world: the :class:`.world.World` that it lives in.
        name: of its machine.

    Attributes:
        alive: until it dies.
        hung: stopped; what comes meanwhile is handed over when it goes on.
    """

    def __init__(self, world: Any, name: str) -> None:
        self.world, self.name = world, name
        self.alive, self.hung = True, False
        self._waiting: list[tuple[Callable[..., None], tuple[object, ...]]] = []  # to be done when it goes on

    def go_on(self) -> None:
        """Goes on after having been stopped; as in reality what came meanwhile is read before the clock is."""
        self.hung = False
        self.world.net.awake(self)
        waiting, self._waiting = self._waiting, []
        for call, args in waiting:
            self._later(0.0, call, *args)

    def _later(self, delay_s: float, call: Callable[..., None], *args: object) -> None:
        """Do something of this start later; not while it is stopped, never once it has died."""
        self.world.loop.after(delay_s, self._now, call, args)

    def _now(self, call: Callable[..., None], args: tuple[object, ...]) -> None:
        if self.alive and self.hung:
            self._waiting.append((call, args))
        elif self.alive:
            call(*args)
