"""The time that emulated links take: deadlines of what leaves, a clock of what comes in.

As in the physics a message of n bytes occupies its sender for ``t_msg + n s``, and all that comes in over a receiver's
link is served in order at the link's own rate. Deadlines are absolute, so what sending really costs is absorbed by
the wait, not added to it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Sender:
    """A device's serial sending.

    Args:
        message_s: fixed cost of a message to every receiver.
        byte_s: seconds a byte to every receiver.
    """

    message_s: tuple[float, ...]
    byte_s: tuple[float, ...]

    def due_s(self, receiver: int, begun_s: float, sent_bytes: int) -> float:
        """When the first ``sent_bytes`` of a message that began then have left."""
        return begun_s + self.message_s[receiver] + sent_bytes * self.byte_s[receiver]


@dataclass
class Receiver:
    """A link's clock: one byte after another, in the order of arrival."""

    free_s: float = 0.0

    def ready_s(self, byte_s: float, begun_s: float, size: int, now_s: float) -> float:
        """When a chunk that arrives now, of a message that began then, is through; ``byte_s`` is what a byte takes."""
        self.free_s = max(self.free_s, min(begun_s, now_s)) + size * byte_s  # nothing that is here begins later
        return max(self.free_s, now_s)


@dataclass(frozen=True)
class RequesterPace:
    """The emulated requester's link; times are dilated.

    Attributes:
        message_s, byte_s: of a message to every device: fixed cost, and seconds a byte that it occupies the requester.
        in_byte_s: of what comes back from every device.
    """

    message_s: tuple[float, ...]
    byte_s: tuple[float, ...]
    in_byte_s: tuple[float, ...]
