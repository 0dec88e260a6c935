"""What happened in a training on workers, predicted or measured, as the same work and messages on the same clock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...envs.live_training import Costs
from ...runtime.session_core import Clock
from ...runtime.training.steps import Step
from ...runtime.training.watch import WORKS

CONTROLLER = "controller"


@dataclass(frozen=True)
class Work:
    """Forward, backward, both as one (train), or an update of an entry on a role."""

    role: str
    kind: str
    number: int
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Message:
    """A packet of an entry from one role to another.

    Attributes:
        start_s, left_s, there_s: the sender begins with it; is free for the next; all of it is at the receiver.
        fixed_s, bytes_s: its fixed cost, and its bytes over the link.
    """

    sender: str
    receiver: str
    number: int
    start_s: float
    left_s: float
    there_s: float
    size_bytes: int
    fixed_s: float
    bytes_s: float


@dataclass(frozen=True)
class Trace:
    """Some entries of a training, in order.

    Attributes:
        logged_s: when each counted, by its number.
        barrier: whether an entry begins behind the log of the one before.
    """

    works: Sequence[Work]
    messages: Sequence[Message]
    logged_s: Mapping[int, float]
    barrier: bool


def measured(
    steps: Sequence[Step], costs: Costs | None, scale: float, barrier: bool, clocks: Mapping[str, Clock]
) -> Trace:
    """What workers tell of some entries, in the devices' time.

    Args:
        steps: one after another.
        costs: of the emulated links; None where links are real: nobody can tell a fixed cost from bytes there.
        scale: by which real time is longer.
        barrier: see :class:`Trace`.
        clocks: of roles whose worker has another clock.
    """
    zero_s = steps[0].begun_s
    works: list[Work] = []
    messages: list[Message] = []
    for step in steps:
        came: dict[tuple[str, str], list[float]] = defaultdict(list)
        sent: list[tuple[str, str, float, float, int]] = []
        for role, spans in step.spans.items():
            own_s = zero_s + (clocks[role].ahead_s if role in clocks else 0.0)
            for span in spans:
                start_s, end_s = (span.start_s - own_s) / scale, (span.end_s - own_s) / scale
                if span.kind in WORKS:
                    works.append(Work(role, span.kind, step.number, start_s, end_s))
                elif CONTROLLER in (span.label, role):
                    continue
                elif span.kind == "receive":
                    came[span.label, role].append(end_s)
                else:
                    sent.append((role, span.label, start_s, end_s, span.size_bytes))
        for sender, receiver, start_s, left_s, size in sorted(sent, key=lambda message: message[2]):
            there = came[sender, receiver]
            there_s = there.pop(0) if there else left_s
            left_s = min(left_s, there_s)  # the sender may be told late that it is free
            link = None if costs is None else costs.link(sender, receiver)
            fixed_s = 0.0 if link is None else link.message_s
            bytes_s = there_s - start_s if link is None else size * link.byte_s
            messages.append(Message(sender, receiver, step.number, start_s, left_s, there_s, size, fixed_s, bytes_s))
    logged_s = {step.number: (step.logged_s - zero_s) / scale for step in steps}
    return Trace(works, messages, logged_s, barrier)
