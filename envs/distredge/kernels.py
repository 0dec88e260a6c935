"""The latency of one image under a spatial plan, compiled: one volume, then the end, of some lanes.

Loops run over lanes and inside over devices; a receiver meets only the senders whose rows it reads. All sums over
devices are taken in the devices' order, or are of whole bytes and so exact in any: one lane and a thousand agree to the
bit. The requester is the end behind the last device.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...profiling.compiled import kernel, part
from .state import State

NEVER_S = 1e30  # later than any message
START, POST_AT, CELL_AT, WIDTH = range(4)  # columns of Tables.volumes
NEED_LO, NEED_HI, HOLD = range(3)  # of Tables.rows
SCATTERS, SENDS, COMPUTES = 0.0, 1.0, 2.0  # kinds in a log; whole ones would be compiled each for itself


class Tables(NamedTuple):
    """Layer-volumes; see :class:`.volumes.VolumeTables`.

    Attributes:
        volumes: (V, 4) first unit, offsets into posts and cells, height + 1.
        row_bytes, out_bytes: (V, T) and (V,).
        rows: (3, T, posts) needed from, needed up to, held up to a fence post.
        head_bytes: (posts,).
        part_s, tail_s: (types, cells) and (types,).
    """

    volumes: np.ndarray
    row_bytes: np.ndarray
    out_bytes: np.ndarray
    rows: np.ndarray
    head_bytes: np.ndarray
    part_s: np.ndarray
    tail_s: np.ndarray


class Queues(NamedTuple):
    """What D senders have to send over one air, each in receiver order.

    Attributes:
        count: (D,) messages of each sender.
        to: (D, D) receivers.
        costs_s: (D, D, 3) fixed cost, airtime and copies of each message.
    """

    count: np.ndarray
    to: np.ndarray
    costs_s: np.ndarray


class Ends(NamedTuple):
    """Devices and what messages cost at either end.

    Attributes:
        types: (D,) which row of the tables' seconds each device uses.
        message_s, copy_s_per_byte: (D + 1,) the requester last.
        result_bytes: what the tail makes; 0 where devices return their own rows.
    """

    types: np.ndarray
    message_s: np.ndarray
    copy_s_per_byte: np.ndarray
    result_bytes: float


@kernel
def run_volume(
    tables: Tables,
    ends: Ends,
    in_s: np.ndarray,
    requester_in_s: np.ndarray,
    air: Queues | None,
    at: State,
    lanes: np.ndarray,
    volumes: np.ndarray,
    posts: np.ndarray,
    log: np.ndarray,
) -> None:
    """Run one layer-volume in some lanes, in place.

    Args:
        in_s, requester_in_s: (1 or lanes, D) seconds a byte at devices' links and the requester's.
        air: room to queue for it where all messages cross one air; compiled anew for None.
        at: all lanes.
        lanes: (m,) those that run a volume, ``volumes`` (1 or m,) which, -1 for none.
        posts: (m, D + 1) fence posts.
        log: see :func:`note`.
    """
    scratch = np.zeros((4, posts.shape[1]))
    for i in range(lanes.size):
        lane, v = lanes[i], volumes[i if volumes.size > 1 else 0]
        if v < 0:
            continue
        rate = lane if in_s.shape[0] > 1 else 0
        mine, theirs = in_s[rate], requester_in_s[rate]
        ready = scratch[0]
        if tables.volumes[v, START] == 0:
            scatter(tables, ends, mine, theirs, air, at, lane, v, posts[i], ready, log)
        elif air is None:
            exchange(tables, ends, mine, at, lane, v, posts[i], scratch, log)
        else:
            exchange_on_air(tables, ends, mine, air, at, lane, v, posts[i], scratch, log)
        compute(tables, ends, at, lane, v, posts[i], ready, log)
        for d in range(posts.shape[1]):
            at.posts[lane, d] = posts[i, d]
        at.volume[lane] = v


@part
def note(log: np.ndarray, kind: float, device: int, start_s: float, end_s: float, to: int) -> None:
    """Write (kind, device, start_s, end_s, to) behind what a log holds; its first entry is the number of its rows.

    An empty log takes nothing.
    """
    if log.shape[0] > 0 and end_s > start_s:
        log[0, 0] += 1
        row = int(log[0, 0])
        log[row, 0], log[row, 1], log[row, 2], log[row, 3], log[row, 4] = kind, device, start_s, end_s, to


@part
def compute(tables, ends, at, lane, v, posts, ready, log):
    """Every device computes its part when its rows are there."""
    post_at, cell_at, width = tables.volumes[v, POST_AT], tables.volumes[v, CELL_AT], tables.volumes[v, WIDTH]
    for d in range(ends.types.size):
        a, b = posts[d], posts[d + 1]
        begin = max(at.done_s[lane, d], ready[d])
        part_s = tables.part_s[ends.types[d], cell_at + a * width + b]
        at.done_s[lane, d] = begin + part_s
        at.compute_s[lane, d] += part_s
        at.head_bytes[lane, d] += tables.head_bytes[post_at + b] - tables.head_bytes[post_at + a]
        note(log, COMPUTES, d, begin, at.done_s[lane, d], v)


@part
def scatter(tables, ends, in_s, requester_in_s, air, at, lane, v, posts, ready, log):
    """The requester sends image rows one after another."""
    devices, post_at = in_s.size, tables.volumes[v, POST_AT]
    free_s = air_s = 0.0
    for d in range(devices):
        ready[d] = 0.0
        if posts[d + 1] > posts[d]:
            lo, hi = tables.rows[NEED_LO, 0, post_at + posts[d]], tables.rows[NEED_HI, 0, post_at + posts[d + 1]]
            size, begin_s = (hi - lo) * tables.row_bytes[v, 0], free_s
            fixed_s = max(ends.message_s[d], ends.message_s[devices])
            byte_s = ends.copy_s_per_byte[d] + ends.copy_s_per_byte[devices]
            if air is None:
                taken_s = size * (max(in_s[d], requester_in_s[d]) + byte_s)
                message_s = taken_s + fixed_s
                ready[d] = begin_s + message_s
                free_s += size * (requester_in_s[d] + byte_s) + fixed_s  # as if the receiver were as fast
                at.receive_s[lane, d] += taken_s
                at.link_s[lane, d] = ready[d]
            else:
                over_s = size * (in_s[d] + requester_in_s[d])
                message_s = fixed_s + over_s + size * byte_s
                at.link_s[lane, devices] = max(begin_s + fixed_s, at.link_s[lane, devices]) + over_s
                ready[d] = free_s = at.link_s[lane, devices] + size * byte_s
                at.send_s[lane, devices] += message_s
                air_s += over_s
            at.scatter_s[lane, d] += message_s
            note(log, SCATTERS, d, begin_s, ready[d], d)
    if air is None:
        at.send_s[lane, devices] += free_s
    at.air_s[lane] += air_s


@part
def missing(tables, v, a, b, last, held, guess, moved):
    """Bytes that senders have and the part [a, b) of a volume reads are added to ``moved`` (D,).

    Returns the first sender, and the one behind the last. The search for it begins at ``guess``.
    """
    devices = moved.size - 1
    need_at, hold_at = tables.volumes[v, POST_AT], tables.volumes[last, POST_AT]
    first, stop = devices, 0
    for t in range(tables.row_bytes.shape[1]):
        lo, hi = tables.rows[NEED_LO, t, need_at + a], tables.rows[NEED_HI, t, need_at + b]
        if hi <= lo:
            continue
        hold = tables.rows[HOLD, t]
        s = guess
        while s > 0 and hold[hold_at + held[s]] > lo:
            s -= 1
        while s < devices and hold[hold_at + held[s + 1]] <= lo:
            s += 1
        first = min(first, s)
        while s < devices and hold[hold_at + held[s]] < hi:
            rows = min(hold[hold_at + held[s + 1]], hi) - max(hold[hold_at + held[s]], lo)
            moved[s] += rows * tables.row_bytes[v, t]
            s += 1
        stop = max(stop, s)
    return first, stop


@part
def exchange(tables, ends, in_s, at, lane, v, posts, scratch, log):
    """Devices send each other the rows they lack; ``ready`` is when each one's are complete."""
    ready, moved, begin_s, busy_s = scratch[0], scratch[1], scratch[2], scratch[3]
    devices, first = in_s.size, 0
    for s in range(devices):
        begin_s[s], busy_s[s] = max(at.free_s[lane, s], at.done_s[lane, s]), 0.0
    for d in range(devices):
        ready[d] = at.link_s[lane, d]  # where nothing comes: free before its device was done
        if posts[d + 1] <= posts[d]:
            continue
        first, stop = missing(
            tables, v, posts[d], posts[d + 1], at.volume[lane], at.posts[lane], min(first, devices - 1), moved
        )
        moved[d] = incoming = latest_s = 0.0  # own rows stay
        earliest_s = NEVER_S
        for s in range(first, stop):
            size, moved[s] = moved[s], 0.0
            if size > 0:
                copy_s = ends.copy_s_per_byte[s] + ends.copy_s_per_byte[d]
                message_s = size * (max(in_s[s], in_s[d]) + copy_s) + max(ends.message_s[s], ends.message_s[d])
                busy_s[s] += message_s
                end_s = busy_s[s] + begin_s[s]
                earliest_s, latest_s = min(earliest_s, end_s - message_s), max(latest_s, end_s)
                incoming += size
                note(log, SENDS, s, end_s - message_s, end_s, d)
        if incoming > 0:
            taken_s = incoming * in_s[d]
            at.link_s[lane, d] = max(earliest_s, at.link_s[lane, d]) + taken_s
            at.receive_s[lane, d] += taken_s
            ready[d] = max(latest_s, at.link_s[lane, d])
    for s in range(devices):
        at.send_s[lane, s] += busy_s[s]
        at.free_s[lane, s] = begin_s[s] + busy_s[s]


@kernel
def finish(
    tables: Tables,
    ends: Ends,
    in_s: np.ndarray,
    requester_in_s: np.ndarray,
    air: Queues | None,
    at: State,
    lanes: np.ndarray,
    latency_s: np.ndarray,
    log: np.ndarray,
) -> None:
    """After the last volume: gather, tail, result; ``latency_s`` (m,) is when the requester has it.

    The other arguments are those of :func:`run_volume`.
    """
    devices = in_s.shape[1]
    sizes, ready = np.zeros(devices + 1), np.zeros(devices + 1)
    for i in range(lanes.size):
        lane = lanes[i]
        rate = lane if in_s.shape[0] > 1 else 0
        mine, theirs, posts = in_s[rate], requester_in_s[rate], at.posts[lane]
        for d in range(devices):
            sizes[d] = (posts[d + 1] - posts[d]) * tables.out_bytes[at.volume[lane]] + at.head_bytes[lane, d]
        if ends.result_bytes == 0:
            latency_s[i] = collect(ends, mine, theirs, air, at, lane, sizes, devices, ready, log)
            continue
        host = largest(posts)
        sizes[host] = 0.0
        begin = max(at.done_s[lane, host], collect(ends, mine, theirs, air, at, lane, sizes, host, ready, log))
        tail_s = tables.tail_s[ends.types[host]]
        at.done_s[lane, host] = begin + tail_s
        at.compute_s[lane, host] += tail_s
        note(log, COMPUTES, host, begin, at.done_s[lane, host], devices + 1)
        if air is None:
            latency_s[i] = return_result(ends, mine, theirs, at, lane, host, log)
        else:
            sizes[:] = 0.0
            sizes[host] = ends.result_bytes
            latency_s[i] = collect(ends, mine, theirs, air, at, lane, sizes, devices, ready, log)


@part
def largest(posts):
    """The first device with the most rows."""
    found, most = 0, posts[1] - posts[0]
    for d in range(1, posts.size - 1):
        if posts[d + 1] - posts[d] > most:
            found, most = d, posts[d + 1] - posts[d]
    return found


@part
def return_result(ends, in_s, requester_in_s, at, lane, host, log):
    """A host sends what the tail made; returns when it is there."""
    devices = in_s.size
    leave_s = max(at.free_s[lane, host], at.done_s[lane, host])
    byte_s = max(in_s[host], requester_in_s[host]) + (ends.copy_s_per_byte[host] + ends.copy_s_per_byte[devices])
    result_s = ends.result_bytes * byte_s + max(ends.message_s[host], ends.message_s[devices])
    at.send_s[lane, host] += result_s
    at.receive_s[lane, devices] += ends.result_bytes * requester_in_s[host]
    note(log, SENDS, host, leave_s, leave_s + result_s, devices)
    return leave_s + result_s


@part
def collect(ends, in_s, requester_in_s, air, at, lane, sizes, receiver, ready, log):
    """All send bytes (D,) to one receiver, a host or the requester; returns when all is there, 0 for none."""
    if air is not None:
        return collect_on_air(ends, in_s, requester_in_s, air, at, lane, sizes, receiver, ready, log)
    devices = in_s.size
    incoming = taken_s = latest_s = 0.0
    earliest_s = NEVER_S
    for d in range(devices):
        begin_s = max(at.free_s[lane, d], at.done_s[lane, d])
        at.free_s[lane, d] = begin_s
        if sizes[d] > 0:
            link_s = requester_in_s[d] if receiver == devices else in_s[receiver]
            byte_s = max(in_s[d], link_s) + (ends.copy_s_per_byte[d] + ends.copy_s_per_byte[receiver])
            message_s = sizes[d] * byte_s + max(ends.message_s[d], ends.message_s[receiver])
            end_s = begin_s + message_s
            at.send_s[lane, d] += message_s
            at.free_s[lane, d] = end_s
            earliest_s, latest_s = min(earliest_s, begin_s), max(latest_s, end_s)
            incoming += sizes[d]
            taken_s += sizes[d] * link_s
            note(log, SENDS, d, begin_s, end_s, receiver)
    if receiver < devices:
        taken_s = incoming * in_s[receiver]  # whole bytes: the sum is exact
    at.receive_s[lane, receiver] += taken_s
    return max(latest_s, max(earliest_s, at.link_s[lane, receiver]) + taken_s) if taken_s > 0 else latest_s


@part
def exchange_on_air(tables, ends, in_s, air, at, lane, v, posts, scratch, log):
    """:func:`exchange` where all share one air."""
    ready, moved, devices, first = scratch[0], scratch[1], in_s.size, 0
    air.count[:] = 0
    ready[:] = 0.0
    for d in range(devices):
        if posts[d + 1] <= posts[d]:
            continue
        first, stop = missing(
            tables, v, posts[d], posts[d + 1], at.volume[lane], at.posts[lane], min(first, devices - 1), moved
        )
        moved[d] = air_s = 0.0  # own rows stay
        for s in range(first, stop):
            if moved[s] > 0:
                air_s += ask(ends, at, lane, s, d, moved[s], moved[s] * (in_s[s] + in_s[d]), air)
                moved[s] = 0.0
        at.air_s[lane] += air_s
    serve(air, at, lane, ready, log)


@part
def collect_on_air(ends, in_s, requester_in_s, air, at, lane, sizes, receiver, ready, log):
    """:func:`collect` where all share one air."""
    air.count[:] = 0
    ready[receiver] = air_s = 0.0
    for d in range(in_s.size):
        if sizes[d] > 0:
            link_s = requester_in_s[d] if receiver == in_s.size else in_s[receiver]
            air_s += ask(ends, at, lane, d, receiver, sizes[d], sizes[d] * (in_s[d] + link_s), air)
    at.air_s[lane] += air_s
    serve(air, at, lane, ready, log)
    return ready[receiver]


@part
def ask(ends, at, lane, sender, receiver, size, air_s, air):
    """Put a message behind what a sender has to send; returns its airtime."""
    fixed_s = max(ends.message_s[sender], ends.message_s[receiver])
    copy_s = size * (ends.copy_s_per_byte[sender] + ends.copy_s_per_byte[receiver])
    k = air.count[sender]
    air.to[sender, k] = receiver
    air.costs_s[sender, k, 0], air.costs_s[sender, k, 1], air.costs_s[sender, k, 2] = fixed_s, air_s, copy_s
    air.count[sender] = k + 1
    at.send_s[lane, sender] += fixed_s + air_s + copy_s
    return air_s


@part
def serve(air, at, lane, ready, log):
    """The air carries one message at a time, of whoever asked first, of two at once the first device's.

    ``ready`` (D + 1,) rises to when what each one gets is there.
    """
    devices, waiting = air.count.size, 0
    turn, asks_s = np.zeros(devices, np.int64), np.zeros(devices)
    for s in range(devices):
        at.free_s[lane, s] = max(at.free_s[lane, s], at.done_s[lane, s])
        waiting += air.count[s]
        asks_s[s] = at.free_s[lane, s] + air.costs_s[s, 0, 0] if air.count[s] > 0 else NEVER_S
    while waiting > 0:
        s = 0
        for other in range(1, devices):
            if asks_s[other] < asks_s[s]:
                s = other
        k = turn[s]
        to = air.to[s, k]
        at.link_s[lane, devices] = max(asks_s[s], at.link_s[lane, devices]) + air.costs_s[s, k, 1]
        end_s = at.link_s[lane, devices] + air.costs_s[s, k, 2]
        note(log, SENDS, s, at.free_s[lane, s], end_s, to)
        at.free_s[lane, s] = end_s
        ready[to] = max(ready[to], end_s)
        turn[s] = k + 1
        waiting -= 1
        asks_s[s] = end_s + air.costs_s[s, k + 1, 0] if k + 1 < air.count[s] else NEVER_S
