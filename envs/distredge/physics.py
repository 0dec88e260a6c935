"""The latency of one image under a spatial plan: the physics of DistrEdge, written once, batched.

Each device has three threads: receive, compute, send. A message of n bytes from i to j takes
``t_msg(i, j) + 8 n / (eta min(B_i, B_j)) + n / r_out(i) + n / r_in(j)``; a device's messages leave one after another in
receiver order, and a receiver's link carries all that comes in, one exchange after another: an exchange's bytes follow
each other from the start of its first message or, if that is later, from the end of what came before over the link
(serving message by message as they come gives most plans the same latency, the others a little more or less). The
requester scatters serially at its own rate: a message occupies it as if the receiver were as fast, so several slow
links can be fed side by side. What changes where all share one access point is in :mod:`.shared`. Arrays keep the lane
axis last; every reduction over devices is exact or in a fixed order, so one lane and a thousand agree to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from .volumes import VolumeTables

# Elements of the (D, D, lanes) arrays worked on at once, so that they stay in cache.
BLOCK = 16384
NEVER_S = 1e30  # later than any message
Row = tuple[str, int, float, float, str]  # an event: kind, device, start_s, end_s, label


@dataclass(frozen=True)
class Links:
    """Who can send how fast; rates are Mbit/s.

    Attributes:
        message_s: (D,) fixed cost of a message at each device; a message pays the larger end's.
        copy_s_per_byte: (D,) copy and serialisation at each end.
        requester_message_s, requester_copy_s_per_byte: the same for the requester.
        eta: share of a rate that payload gets.
    """

    message_s: np.ndarray
    copy_s_per_byte: np.ndarray
    requester_message_s: float
    requester_copy_s_per_byte: float
    eta: float


class Rates:
    """Seconds per byte between all pairs under given rates.

    Args:
        links: fixed costs.
        mbps: (D, 1) or (D, n) device rates.
        requester_mbps: rate of the requester, or what it has to every device, shaped as ``mbps``.
        shared: whether all are on one access point, so that a message crosses the air from either end, one after the
            other.

    Attributes:
        pair_s, requester_s: (D, D, ...) and (D, ...) of a message alone, copies included.
        scatter_s: (D, ...) that a message occupies the requester.
        in_s, requester_in_s: (D, ...) that bytes occupy a receiver's link, or the air from or to that end.
    """

    def __init__(
        self, links: Links, mbps: np.ndarray, requester_mbps: float | np.ndarray, shared: bool = False
    ) -> None:
        per_byte = 8e-6 / links.eta
        copy = links.copy_s_per_byte[:, None]
        requester_copy = copy + links.requester_copy_s_per_byte
        self.mbps = mbps
        self.in_s = per_byte / mbps
        self.requester_in_s = per_byte / np.broadcast_to(requester_mbps, np.shape(requester_mbps) or (len(mbps), 1))
        if shared:
            self.pair_s = self.in_s[:, None] + self.in_s[None] + (copy[:, None] + copy[None])
            self.requester_s = self.scatter_s = self.in_s + self.requester_in_s + requester_copy
            return
        slow = np.minimum(mbps[:, None], mbps[None])  # (D, D, n)
        self.pair_s = per_byte / slow + (copy[:, None] + copy[None])
        self.requester_s = per_byte / np.minimum(mbps, requester_mbps) + requester_copy
        self.scatter_s = per_byte / requester_mbps + requester_copy

    def take(self, lanes: np.ndarray | slice) -> Rates:
        """The same for some lanes (constant rates are shared)."""
        if self.mbps.shape[1] == 1:
            return self
        part = object.__new__(Rates)
        for name, values in vars(self).items():
            setattr(part, name, values if values.shape[-1] == 1 else values[..., lanes])
        return part


@dataclass
class Progress:
    """Where an image stands in n lanes. Where there are D + 1 rows, the last is the requester's.

    Attributes:
        hold: list of (D + 1, n) fence posts of what each device owns of every crossing tensor, main first.
        done_s: (D, n) when each device finished its last part.
        free_s: (D, n) when its send thread is free.
        link_s: (D + 1, n) when the incoming link is free; on a shared medium the last row is the air's.
        head_bytes: (D, n) side-head output waiting to go to the requester, or to the tail.
        totals_s: (4 D + 3, n) the totals below, one after another.
        compute_s: (D, n) of computing.
        send_s, receive_s: (D + 1, n) of what occupies the send thread and the incoming link.
        air_s: (n,) of the air that all share.
        scatter_s: (D, n) of the scatter message that a device gets.
    """

    hold: list[np.ndarray]
    done_s: np.ndarray
    free_s: np.ndarray
    link_s: np.ndarray
    head_bytes: np.ndarray
    totals_s: np.ndarray

    _arrays: ClassVar = ("done_s", "free_s", "link_s", "head_bytes", "totals_s")

    def __post_init__(self) -> None:
        devices = len(self.done_s)
        self.compute_s = self.totals_s[:devices]
        self.send_s = self.totals_s[devices : 2 * devices + 1]
        self.receive_s = self.totals_s[2 * devices + 1 : 3 * devices + 2]
        self.air_s = self.totals_s[3 * devices + 2]
        self.scatter_s = self.totals_s[3 * devices + 3 :]

    @property
    def transmit_s(self) -> np.ndarray:
        """(D, n) the scatter message that a device gets and all it sends."""
        return self.scatter_s + self.send_s[:-1]

    @staticmethod
    def fresh(devices: int, tensors: int, n: int) -> Progress:
        hold = [np.zeros((devices + 1, n)) for _ in range(tensors)]
        done_s, free_s, head_bytes = (np.zeros((devices, n)) for _ in range(3))
        return Progress(hold, done_s, free_s, np.zeros((devices + 1, n)), head_bytes, np.zeros((4 * devices + 3, n)))

    def take(self, lanes: np.ndarray) -> Progress:
        """A copy of some lanes."""
        arrays = {name: getattr(self, name).take(lanes, axis=1) for name in self._arrays}
        return Progress(hold=[h.take(lanes, axis=1) for h in self.hold], **arrays)

    def put(self, lanes: np.ndarray, part: Progress) -> None:
        """Write lanes back."""
        mine = [getattr(self, name) for name in self._arrays]
        theirs = [getattr(part, name) for name in self._arrays]
        for whole, some in zip([*mine, *self.hold], [*theirs, *part.hold], strict=True):
            for row, values in zip(whole, some, strict=True):  # much faster than all rows at once
                row[lanes] = values

    def clear(self, lanes: np.ndarray | slice) -> None:
        """Begin a new image in some lanes."""
        for name in self._arrays:
            getattr(self, name)[:, lanes] = 0.0


@dataclass
class Events:
    """What happened to lane 0, for timelines: (kind, device, start_s, end_s, label) tuples."""

    rows: list[Row] = field(default_factory=list)

    def add(self, kind: str, device: int, start_s: float, end_s: float, label: str) -> None:
        if end_s > start_s:
            self.rows.append((kind, device, float(start_s), float(end_s), label))


class Physics:
    """Steps images through layer-volumes.

    Args:
        volumes: dense tables.
        types: (D,) which latency table each device uses.
        links: fixed message costs.
        result_bytes: bytes of the tail's output; 0 when the tail is empty and devices return their own rows.
    """

    def __init__(self, volumes: VolumeTables, types: Sequence[int], links: Links, result_bytes: int) -> None:
        self.volumes = volumes
        self.types = np.asarray(types)
        self.devices = len(self.types)
        self.links = links
        self.result_bytes = float(result_bytes)
        self._type_at = (self.types * volumes.cells)[:, None]
        self._self = np.arange(self.devices)
        message = links.message_s
        self._pair_message_s = np.maximum(message[:, None], message[None])[:, :, None]
        self._requester_message_s = np.maximum(message, links.requester_message_s)[:, None]

    def volume(
        self, at: Progress, v: int | np.ndarray, posts: np.ndarray, rates: Rates, events: Events | None = None
    ) -> None:
        """Run one layer-volume, updating ``at`` in place.

        Args:
            at: state of n lanes, all of them in front of volume ``v``.
            v: volume number, one for all lanes or (n,); either all first volumes or none.
            posts: (D + 1, n) integer fence posts 0, splits, height.
            rates: rates now.
            events: collects lane 0's messages and parts.
        """
        tables = self.volumes
        a, b = posts[:-1], posts[1:]
        some = b > a
        first, post_at, cell_at, size, row_bytes = tables.facts(v)
        a_at, b_at = a + post_at, b + post_at
        move = self._scatter if first else self._exchange
        begin = np.maximum(at.done_s, move(at, row_bytes, a_at, b_at, some, rates, events))
        compute = tables.part_s(self._type_at, a * size + (b + cell_at))
        at.done_s = begin + compute
        at.compute_s += compute
        if tables.heads:
            at.head_bytes += tables.head_bytes.take(b_at) - tables.head_bytes.take(a_at)
        at.hold = [posts.astype(float)] + [tables.hold[t].take(posts + post_at) for t in range(1, tables.n_tensors)]
        if events is not None:
            stage = f"{int(np.atleast_1d(v)[0])}"
            for d in range(self.devices):
                events.add("compute", d, begin[d, 0], at.done_s[d, 0], stage)

    def _needs(self, t: int, a_at: np.ndarray, b_at: np.ndarray, some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lo = self.volumes.need_lo[t].take(a_at)
        hi = self.volumes.need_hi[t].take(b_at)
        return lo, np.where(some, hi, lo)

    def _scatter(self, at: Progress, row_bytes, a_at, b_at, some, rates: Rates, events: Events | None) -> np.ndarray:
        """The requester sends image rows, serially at its own rate; returns arrival (D, n), 0 for none."""
        lo, hi = self._needs(0, a_at, b_at, some)
        sent_bytes = (hi - lo) * row_bytes[0]
        fixed = some * self._requester_message_s
        taken = sent_bytes * rates.requester_s
        message = taken + fixed
        leave = sent_bytes * rates.scatter_s + fixed  # what it occupies the requester
        begin = np.zeros_like(message)
        for d in range(1, self.devices):
            np.add(begin[d - 1], leave[d - 1], out=begin[d])
        at.scatter_s += message
        at.send_s[-1] += begin[-1] + leave[-1]
        at.receive_s[:-1] += taken
        if events is not None:
            for d in range(self.devices):
                events.add("scatter", d, begin[d, 0], begin[d, 0] + message[d, 0], "")
        at.link_s[:-1] = arrival = np.where(some, begin + message, 0.0)
        return arrival

    def _exchange(self, at: Progress, row_bytes, a_at, b_at, some, rates: Rates, events: Events | None) -> np.ndarray:
        """Devices send each other the rows they lack; returns when each one's rows are complete (D, n)."""
        n = some.shape[1]
        needs = [self._needs(t, a_at, b_at, some) for t in range(self.volumes.n_tensors)]
        begin = np.maximum(at.free_s, at.done_s)
        step = max(1, BLOCK // self.devices**2)
        if n <= step:
            ready, busy, at.link_s[:-1], taken = self._messages(
                at.hold, needs, row_bytes, rates, begin, at.link_s[:-1], events
            )
        else:
            found = np.empty((4, *begin.shape))
            for block in (slice(i, i + step) for i in range(0, n, step)):
                hold = [h[:, block] for h in at.hold]
                some_needs = [(lo[:, block], hi[:, block]) for lo, hi in needs]
                some_bytes = row_bytes if row_bytes.ndim == 1 else row_bytes[:, block]
                found[:, :, block] = self._messages(
                    hold, some_needs, some_bytes, rates.take(block), begin[:, block], at.link_s[:-1, block], events
                )
            ready, busy, at.link_s[:-1], taken = found[0], found[1], found[2], found[3]
        at.send_s[:-1] += busy
        at.receive_s[:-1] += taken
        at.free_s = np.add(begin, busy, out=busy)
        return ready

    def _messages(
        self,
        hold,
        needs,
        row_bytes: np.ndarray,
        rates: Rates,
        begin: np.ndarray,
        link_s: np.ndarray,
        events: Events | None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """All messages of one exchange.

        Args:
            begin: (D, n) when each sender begins.
            link_s: (D, n) when each receiver's link is free.

        Returns:
            (D, n) each: when a receiver's rows are complete, how long a sender is busy, when a receiver's link is free
            again, how long it was busy.
        """
        moved = self._moved(hold, needs, row_bytes)
        sent = np.minimum(moved, 1.0)  # bytes are whole: 0 or 1; arithmetic on it is much faster than masks
        message = moved * rates.pair_s
        message += sent * self._pair_message_s
        ends = message.copy()
        for d in range(1, self.devices):  # in receiver order, one after another
            ends[:, d] += ends[:, d - 1]
        busy = ends[:, -1].copy()
        ends += begin[:, None]
        if events is not None:
            self._log_messages(events, ends[:, :, 0], message[:, :, 0])
        incoming = np.add.reduce(moved, axis=0)  # whole bytes: the sum is exact in any order
        starts = np.subtract(ends, message, out=message)
        ends *= sent
        sent *= -NEVER_S
        sent += NEVER_S  # 0 where there is a message
        starts += sent
        link = np.maximum(np.minimum.reduce(starts, axis=0), link_s)
        taken = incoming * rates.in_s
        link += taken
        link = np.where(incoming > 0, link, link_s)  # where nothing comes: free before its device was done
        return np.maximum(np.maximum.reduce(ends, axis=0), link), busy, link, taken

    def _moved(self, hold, needs, row_bytes: np.ndarray) -> np.ndarray:
        """(D, D, n) bytes that each sender has and each receiver lacks."""
        moved = _overlap(hold[0], *needs[0])
        moved *= row_bytes[0]
        for t in range(1, len(needs)):
            moved += _overlap(hold[t], *needs[t]) * row_bytes[t]
        moved[self._self, self._self] = 0.0  # own rows stay
        return moved

    def _log_messages(self, events: Events, ends: np.ndarray, message: np.ndarray) -> None:
        for s in range(self.devices):
            for d in range(self.devices):
                if message[s, d] > 0:
                    events.add("send", s, ends[s, d] - message[s, d], ends[s, d], f"{d}")

    def finish(self, at: Progress, v: int | np.ndarray, rates: Rates, events: Events | None = None) -> np.ndarray:
        """After the last volume: gather, tail, result. Returns the image's latency (n,) and settles ``at``."""
        main = at.hold[0]
        rows = main[1:] - main[:-1]
        out_bytes = rows * self.volumes.out_bytes[v]
        if self.result_bytes == 0:
            return self._collect(at, out_bytes + at.head_bytes, None, rates, events)
        lanes = np.arange(rows.shape[1])
        host = rows.argmax(axis=0)
        out_bytes = out_bytes + at.head_bytes
        out_bytes[host, lanes] = 0.0
        gathered = self._collect(at, out_bytes, host, rates, events)
        begin = np.maximum(at.done_s[host, lanes], gathered)
        tail_s = self.volumes.tail_s[self.types[host]]
        at.done_s[host, lanes] = begin + tail_s
        at.compute_s[host, lanes] += tail_s
        if events is not None:
            events.add("compute", int(host[0]), begin[0], at.done_s[host[0], 0], "tail")
        return self._return_result(at, host, rates, events)

    def _return_result(self, at: Progress, host: np.ndarray, rates: Rates, events: Events | None) -> np.ndarray:
        """The hosts send what the tail made; returns when it is there (n,)."""
        lanes = np.arange(host.size)
        leave = np.maximum(at.free_s[host, lanes], at.done_s[host, lanes])
        result = self.result_bytes * of_device(rates.requester_s, host, lanes) + self._requester_message_s[host, 0]
        at.send_s[host, lanes] += result
        at.receive_s[-1] += self.result_bytes * of_device(rates.requester_in_s, host, lanes)
        if events is not None:
            events.add("send", int(host[0]), leave[0], leave[0] + result[0], "R")
        return leave + result

    def _collect(
        self,
        at: Progress,
        sent_bytes: np.ndarray,
        host: np.ndarray | None,
        rates: Rates,
        events: Events | None,
    ) -> np.ndarray:
        """All send bytes (D, n) to one receiver, host (n,) or the requester; returns when all is there, 0 for none."""
        lanes, sent = np.arange(sent_bytes.shape[1]), sent_bytes > 0
        if host is None:
            receiver = -1
            message = sent_bytes * rates.requester_s + sent * self._requester_message_s
            taken = in_order(sent_bytes * rates.requester_in_s)
        else:
            receiver = host
            pair = rates.pair_s[:, host, lanes if rates.pair_s.shape[2] > 1 else 0]
            message = sent_bytes * pair + sent * self._pair_message_s[:, host, 0]
            taken = np.add.reduce(sent_bytes, axis=0) * of_device(
                rates.in_s, host, lanes
            )  # whole bytes: the sum is exact
        begin = np.maximum(at.free_s, at.done_s)
        ends = begin + message
        at.send_s[:-1] += message
        at.free_s = ends
        if events is not None:
            self._log_collected(events, begin, ends, sent, host)
        at.receive_s[receiver, lanes] += taken
        link = np.maximum(np.minimum.reduce(np.where(sent, begin, NEVER_S), axis=0), at.link_s[receiver, lanes]) + taken
        return np.maximum(np.maximum.reduce(ends * sent, axis=0), link * (taken > 0))

    def _log_collected(
        self, events: Events, begin: np.ndarray, ends: np.ndarray, sent: np.ndarray, host: np.ndarray | None
    ) -> None:
        for d in np.flatnonzero(sent[:, 0]).tolist():
            events.add("send", d, begin[d, 0], ends[d, 0], "R" if host is None else "gather")


def of_device(values: np.ndarray, device: np.ndarray, lanes: np.ndarray) -> np.ndarray:
    """(n,) of values (D, 1) or (D, n) those of a device in each lane."""
    return values[device, lanes if values.shape[1] > 1 else 0]


def in_order(values: np.ndarray) -> np.ndarray:
    """(n,) sums over devices (D, n), one after another: the same in one lane and in many."""
    total = values[0].copy()
    for row in values[1:]:
        total += row
    return total


def _overlap(hold: np.ndarray, lo: np.ndarray, hi: np.ndarray) -> np.ndarray:
    """(D, D, n) rows in [hold[s], hold[s + 1]) of sender s that receiver d needs, [lo[d], hi[d])."""
    cover = np.maximum(hold[:, None], lo)
    np.minimum(cover, hi, out=cover)
    return cover[1:] - cover[:-1]
