"""What a worker has of one plan, of whatever kind, and what waits for its threads; the plan's kind fills it in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from . import wire


class JobFailed(Exception):
    """A job cannot be done; the text is a reason."""


@dataclass(frozen=True)
class Incoming:
    """Data that came in, which an emulated link lets through at a moment, after holding them for so long."""

    ready_s: float
    held_s: float
    epoch: Epoch
    sender: str
    data: wire.Data
    payload: memoryview


@dataclass(frozen=True)
class Left:
    """When a message left: it was begun, its bytes were there, its first and its last chunk had left."""

    begun_s: float
    copied_s: float
    first_s: float
    ended_s: float
    size_bytes: int


class Outgoing(ABC):
    """A message for the send thread.

    Attributes:
        epoch: that it belongs to.
        to: the receiver's name.
        pace: fixed seconds and seconds a byte that it occupies the sender, where links are emulated.
    """

    epoch: Epoch
    to: str
    pace: tuple[float, float] | None

    @abstractmethod
    def encode(self) -> int:
        """Have its bytes ready; returns how many they are."""

    @abstractmethod
    def chunks(self, begun_s: float) -> Iterator[tuple[bytes, memoryview]]:
        """Headers, and the bytes beside them."""

    @abstractmethod
    def left(self, left: Left) -> None:
        """It has left. For who has the lock."""


@dataclass(frozen=True)
class End:
    """For the send thread: behind what was to leave, tell the controller what was done for an item."""

    epoch: Epoch
    item: int


class Epoch(ABC):
    """Everything of one plan on this device; replaced whole, so that nothing of two plans ever mixes.

    Args:
        addresses: where each peer takes data, by name; the controller too.

    Attributes:
        plan: that it is of.
        holds: whether it goes on with what was there before it.
        ordered: whether the end of a connection is the end of the epoch, since what it loses comes never again.
    """

    plan: wire.AnyPlan
    holds: bool = False
    ordered: bool = False

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self.addresses = addresses
        self.spans: dict[int, list[wire.Span]] = {}
        self.overrun_s: dict[int, float] = {}

    def span(self, item: int, span: wire.Span) -> None:
        """Note what was done for an item. For who has the lock."""
        self.spans.setdefault(item, []).append(span)

    def told(self, item: int, joules: float) -> wire.Spans:
        """All that was noted of an item, which is forgotten here. For who has the lock."""
        done = tuple(self.spans.pop(item, ()))
        return wire.Spans(self.plan.session, self.plan.epoch, item, done, self.overrun_s.pop(item, 0.0), joules)

    @abstractmethod
    def arrives_s(self, sender: str, data: wire.Data, size_bytes: int, came_s: float) -> float | None:
        """When data that came are through the link; None where no more of them may be under way. By one thread."""

    def freed(self, incoming: Incoming) -> None:  # noqa: B027
        """The link holds something back no longer. By the thread that receives."""

    @abstractmethod
    def take(self, incoming: Incoming, now_s: float) -> bool:
        """Take data in; whether there may be something to compute now. For who has the lock.

        Raises:
            Rejected: nobody waits for them.
            Broken: something in front of them was lost.
        """

    @abstractmethod
    def next_job(self) -> Any:
        """What can be computed now, None for nothing. For who has the lock."""

    @abstractmethod
    def do(
        self, job: Any, lock: AbstractContextManager[object], given_up: Callable[[], bool], joules: Callable[[], float]
    ) -> Iterable[Outgoing | End]:
        """Compute; tells what is to leave as soon as it is there. By the thread that computes, without the lock.

        Args:
            given_up: whether the epoch is over.
            joules: used so far.
        """

    @abstractmethod
    def lacks(self) -> str:
        """The peer whose data are waited for, empty for none."""
