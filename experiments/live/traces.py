"""What happened to one image, predicted or measured, as the same parts and messages on the same clock."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...envs.distredge.system import System
from ...models.chain import MAIN
from ...models.plans import SpatialPlan
from ...runtime.geometry import REQUESTER, Geometry
from ...runtime.requester import Item
from ...runtime.session_core import Clock

TAIL = "tail"


@dataclass(frozen=True)
class Compute:
    """A part of a volume, or the tail; seconds since the image's first row left."""

    device: int
    label: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Message:
    """Rows on their way from one party to another.

    Attributes:
        sender, receiver: devices, or REQUESTER.
        boundary: the unit in front of which they are read.
        start_s, left_s, there_s: the sender begins with it; is free for the next; all of it is at the receiver.
        size_bytes: of its payload.
        fixed_s, copy_s, rate_s: the fixed cost, copies at both ends, and bytes over the link.
        shared_s: longer than that, since others came over the same link.
    """

    sender: int
    receiver: int
    boundary: int
    start_s: float
    left_s: float
    there_s: float
    size_bytes: int
    fixed_s: float
    copy_s: float
    rate_s: float
    shared_s: float = 0.0


@dataclass(frozen=True)
class Trace:
    """One image: what was computed and sent, and how long it took."""

    computes: Sequence[Compute]
    messages: Sequence[Message]
    latency_s: float


@dataclass(frozen=True)
class Costs:
    """What a message costs between two parties, as the scenario says; scaled."""

    fixed_s: float
    copy_s_per_byte: float
    rate_s_per_byte: float


class Link:
    """The costs of messages under a scenario.

    Args:
        system: of the scenario.
        scale: by which everything is slower.
    """

    def __init__(self, system: System, scale: float = 1.0) -> None:
        self._system, self._scale = system, scale

    def costs(self, sender: int, receiver: int) -> Costs:
        """Of a message at nominal rates."""
        links, byte_s, scale = self._system.links, self._system.byte_s(), self._scale
        ends = [d for d in (sender, receiver) if d != REQUESTER]
        fixed_s = max(float(links.message_s[d]) for d in ends)
        copy_s = sum(float(links.copy_s_per_byte[d]) for d in ends)
        if REQUESTER in (sender, receiver):
            fixed_s = max(fixed_s, links.requester_message_s)
            copy_s += links.requester_copy_s_per_byte
            both_s = float(byte_s.requester_s[ends[0]])
        else:
            both_s = float(byte_s.pair_s[sender, receiver])
        return Costs(fixed_s * scale, copy_s * scale, (both_s - copy_s) * scale)


def predicted(system: System, plan: SpatialPlan) -> Trace:
    """What the physics says of an image at nominal rates."""
    latency_s, _, events = system.replay(plan)
    geometry = Geometry(system.model, plan, system.scenario.value_bytes)
    sizes = _message_bytes(geometry)
    link, boundary, waits = Link(system), 0, system.scenario.medium == "shared"
    scatter_s = system.byte_s().scatter_s
    computes: list[Compute] = []
    messages: list[Message] = []
    for kind, device, start_s, end_s, label in events.rows:
        if kind == "compute":
            computes.append(Compute(device, label, start_s, end_s))
            if label != TAIL:
                volume = int(label) + 1
                boundary = geometry.last if volume == len(plan.ranges) else plan.ranges[volume][0]
            continue
        if kind == "scatter":
            sender, receiver, at = REQUESTER, device, 0
        else:
            ends = {"gather": geometry.host, "R": REQUESTER}
            sender, receiver = device, ends[label] if label in ends else int(label)
            at = geometry.last if label in ends else boundary
        costs = link.costs(sender, receiver)
        copy_and_rate_s = costs.copy_s_per_byte + costs.rate_s_per_byte
        size = sizes[sender, receiver, at]
        own_s = costs.fixed_s + size * copy_and_rate_s
        left_s = start_s + costs.fixed_s + size * float(scatter_s[device])
        messages.append(
            Message(
                sender, receiver, at, start_s, left_s if kind == "scatter" and not waits else end_s, end_s, size,
                costs.fixed_s, size * costs.copy_s_per_byte, size * costs.rate_s_per_byte,
                max(0.0, end_s - start_s - own_s) if waits else 0.0,
            )
        )  # fmt: skip
    return Trace(computes, messages, latency_s)


def _message_bytes(geometry: Geometry) -> dict[tuple[int, int, int], int]:
    """(sender, receiver, boundary) -> bytes of what the one sends the other there."""
    found: dict[tuple[int, int, int], int] = {}
    for receiver in (REQUESTER, *range(geometry.devices)):
        for boundary in (*geometry.boundaries, geometry.last):
            for piece in geometry.inbox(receiver, boundary):
                key = piece.sender, receiver, boundary
                if boundary == 0:  # as the physics counts it: points are fewer than the values they are spread over
                    size = (piece.hi - piece.lo) * geometry.model.row_bytes(MAIN, 0, *geometry.value_bytes)
                else:
                    size = geometry.piece_bytes(piece)
                found[key] = found.get(key, 0) + size
    return found


def measured(item: Item, workers: Sequence[str], clocks: Mapping[str, Clock], link: Link | None, last: int) -> Trace:
    """What the machines tell of an image, on the controller's clock.

    Args:
        item: the image.
        workers: by the plan's devices.
        clocks: of workers on other machines.
        link: the emulated links' costs; None where links are real.
        last: the boundary behind the last unit.
    """
    computes: list[Compute] = []
    messages: list[Message] = []
    came: dict[tuple[int, int, int], tuple[float, float]] = {}  # sender, receiver, boundary: when, and held how long
    sent: list[tuple[tuple[int, int, int], float, float, int, float, float]] = []
    for device, name in enumerate(workers):
        zero_s = item.begun_s + (clocks[name].ahead_s if name in clocks else 0.0)
        for span in item.spans.get(name, ()):
            start_s, end_s = span.start_s - zero_s, span.end_s - zero_s
            if span.kind == "compute":
                computes.append(Compute(device, span.label, start_s, end_s))
                continue
            other = REQUESTER if span.label == "R" else int(span.label)
            if span.kind == "receive":
                key = other, device, span.boundary
                before = came.get(key, (-math.inf, 0.0))
                came[key] = max(before, (end_s, span.wait_s))
            else:
                key = device, other, span.boundary
                sent.append((key, start_s, end_s, span.size_bytes, span.wait_s, span.copy_s))
    for span in item.spans.get("", ()):
        start_s, end_s, other = span.start_s - item.begun_s, span.end_s - item.begun_s, int(span.label)
        if span.kind == "receive":
            key = other, REQUESTER, span.boundary
            came[key] = max(came.get(key, (-math.inf, 0.0)), (end_s, span.wait_s))
        else:
            sent.append(((REQUESTER, other, 0), start_s, end_s, span.size_bytes, span.wait_s, span.copy_s))
    for key, start_s, left_s, size, fixed_s, copy_s in sent:
        there_s, held_s = came.get(key, (left_s, 0.0))
        messages.append(_message(key, (start_s, left_s, there_s), size, (fixed_s, copy_s, held_s), link))
    messages.sort(key=lambda m: m.start_s)
    return Trace(computes, messages, item.latency_s)


def _message(
    key: tuple[int, int, int],
    times_s: tuple[float, float, float],
    size: int,
    own_s: tuple[float, float, float],
    link: Link | None,
) -> Message:
    sender, receiver, boundary = key
    start_s, left_s, there_s = times_s
    fixed_s, copy_s, held_s = own_s
    took_s = there_s - start_s
    if link is None:  # nobody can tell a link's own time from that of others on it
        return Message(*key, start_s, left_s, there_s, size, fixed_s, copy_s, max(0.0, took_s - fixed_s - copy_s))
    costs = link.costs(sender, receiver)
    copy_s, rate_s = size * costs.copy_s_per_byte, size * costs.rate_s_per_byte
    shared_s = min(max(0.0, took_s - costs.fixed_s - copy_s - rate_s), held_s)
    return Message(sender, receiver, boundary, start_s, left_s, there_s, size, costs.fixed_s, copy_s, rate_s, shared_s)
