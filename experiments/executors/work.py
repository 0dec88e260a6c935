"""What can be done in processes, where, and what happens when one of them dies."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

from ...envs import Family, register_family
from ...ui.console import note
from ...ui.errors import InputError
from ..jobs import single_thread

REPORT_S = 0.5  # between what a piece of work tells of itself
TRIES = 2  # of a piece of work whose process dies

T = TypeVar("T")
Kind = Literal["processes", "ray"]
OnShare = Callable[[float], None]


@dataclass(frozen=True)
class Executor:
    """Where work is done.

    Attributes:
        workers: processes; 1 of them on this machine is this process itself.
        kind: processes of this machine, or those of Ray.
        address: of a Ray cluster; None begins one on this machine, which ends with the work.
    """

    workers: int = 1
    kind: Kind = "processes"
    address: str | None = None

    def alone(self) -> Executor:
        """The same, one piece of work after another."""
        return replace(self, workers=1)


@dataclass(frozen=True)
class Work(Generic[T]):
    """A call that one process makes.

    Attributes:
        name: unique among those that are carried out together.
        function: importable by name; called with the arguments and with what takes the share that is done, 0..1.
        weight: how long it takes, beside the others.
        live: whether it needs the boards of a live cluster, which is Ray's resource ``live``.
    """

    name: str
    function: Callable[..., T]
    arguments: tuple[Any, ...]
    weight: float = 1.0
    live: bool = False


OnProgress = Callable[[Work[T], float], None]
Results = Generator[tuple[Work[T], T], None, None]


class Deaths:
    """How often the process of a piece of work has died."""

    def __init__(self) -> None:
        self._tries: Counter[str] = Counter()

    def tell(self, name: str) -> None:
        """One more time.

        Raises:
            InputError: once too often.
        """
        self._tries[name] += 1
        why = "its process was killed; is there memory enough?"
        if self._tries[name] >= TRIES:
            raise InputError(f"{name}: {why} (tried {TRIES} times)")
        note(f"{name}: {why} Trying again")


def begin(families: Sequence[Family]) -> None:
    """In a new worker: Ctrl-C is the parent's business, and families from elsewhere must be known here too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    single_thread()
    for family in families:
        register_family(family)
