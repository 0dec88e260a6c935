"""DistrEdge's latency, event by event in plain Python: the reference that the batched physics must agree with.

Written from the rules (three threads per device, serial sending, one incoming link for all that a receiver gets), one
image, one plan, with lists and loops; it shares no code with the physics but the models' row arithmetic by integers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from splitgym.envs.distredge.system import System
from splitgym.models.layers import trace_rows
from splitgym.models.model import MAIN
from splitgym.models.plans import SpatialPlan


@dataclass
class Device:
    done_s: float = 0.0
    send_free_s: float = 0.0
    owns: dict[str, tuple[int, int]] = field(default_factory=dict)  # tensor -> rows
    head_bytes: float = 0.0


def rows_of_part(system: System, start: int, stop: int, a: int, b: int):
    """What the part [a, b) of a volume reads, computes and makes: (reads, (kernel, rows), owns, head bytes)."""
    model = system.model
    height = model.out_shape(stop - 1).height
    owns = {MAIN: (a, b)}
    wanted: dict[str, tuple[int, int]] = {}
    for name in model.crossing(stop)[1:]:
        rows = model.saved_shape(name).height
        owns[name] = (a * rows // height, b * rows // height)
        wanted[name] = owns[name]
    computed: list[tuple[int, int]] = []  # (kernel, rows)
    head_bytes = 0.0
    lo, hi = a, b
    for u in range(stop - 1, start - 1, -1):
        unit, names = model.units[u], list(model.unit_kernels[u])
        if unit.save in wanted:
            other = wanted.pop(unit.save)
            lo, hi = min(lo, other[0]), max(hi, other[1])
        head_traced = []
        if unit.head:
            rows = model.head_shape(u).height
            first, last = a * rows // height, b * rows // height
            head_bytes += (last - first) * model.head_shape(u).row_elements * system.scenario.activation_bytes
            head_lo, head_hi, head_traced = trace_rows(unit.head, model.out_shape(u), first, last)
            lo, hi = min(lo, int(head_lo)), max(hi, int(head_hi))
        lo, hi, traced = trace_rows(unit.layers, model.joined_shapes[u], lo, hi)
        join_traced = []
        for join in unit.joins:
            join_lo, join_hi, some = trace_rows(join.layers, model.saved_shape(join.source), lo, hi)
            join_traced += some
            old = wanted.get(join.source, (int(join_lo), int(join_hi)))
            wanted[join.source] = (min(old[0], int(join_lo)), max(old[1], int(join_hi)))
        for kernel, (first, last) in zip(names, [*join_traced, *traced, *head_traced], strict=True):
            computed.append((kernel, int(last) - int(first)))
    alias = model.units[start - 1].save if start else None
    if alias in wanted:
        other = wanted.pop(alias)
        lo, hi = min(lo, other[0]), max(hi, other[1])
    reads = {MAIN: (int(lo), int(hi)), **wanted}
    return reads, computed, owns, head_bytes


def latency_s(system: System, plan: SpatialPlan, mbps: list[float]) -> float:
    """Latency of one image under a plan, seconds."""
    return played(system, plan, mbps)[0]


def played(system: System, plan: SpatialPlan, mbps: list[float], fresh_links: bool = False) -> tuple[float, bool]:
    """(latency of one image under a plan, whether anything waited for an incoming link that was still in use).

    ``fresh_links`` gives every exchange links of its own.
    """
    model, scenario, links = system.model, system.scenario, system.links
    n = len(mbps)
    message = [float(m) for m in links.message_s] + [links.requester_message_s]
    copy = [float(c) for c in links.copy_s_per_byte] + [links.requester_copy_s_per_byte]
    rate = [*mbps, scenario.requester_mbps]
    requester = n

    def on_wire(size: float, slowest_mbps: float) -> float:
        return 8 * size / (scenario.eta * slowest_mbps * 1e6)

    def message_s(i: int, j: int, size: float) -> float:
        return max(message[i], message[j]) + on_wire(size, min(rate[i], rate[j])) + size * (copy[i] + copy[j])

    link_free_s = [0.0] * (n + 1)
    waited = False

    def received(arrivals: list[tuple[float, float, float]], j: int) -> float:
        """(start, end, bytes) of all messages to j -> when all its rows are complete."""
        nonlocal waited
        if not arrivals:
            return 0.0
        begin = min(start for start, _, _ in arrivals)
        if begin < link_free_s[j]:
            waited = True
            begin = begin if fresh_links else link_free_s[j]
        link_free_s[j] = begin + on_wire(sum(b for *_, b in arrivals), rate[j])
        return max(link_free_s[j], *(end for _, end, _ in arrivals))

    devices = [Device() for _ in range(n)]
    start = 0
    for stop, split in zip(plan.cuts, plan.splits, strict=True):
        posts = [0, *split, model.out_shape(stop - 1).height]
        parts = {
            d: rows_of_part(system, start, stop, posts[d], posts[d + 1]) for d in range(n) if posts[d + 1] > posts[d]
        }
        complete = [0.0] * n
        if start == 0:
            free = 0.0
            for d, (reads, *_) in parts.items():
                size = (reads[MAIN][1] - reads[MAIN][0]) * model.row_bytes(MAIN, 0, scenario.activation_bytes)
                complete[d] = link_free_s[d] = free + message_s(requester, d, size)
                fixed = max(message[requester], message[d])
                free += fixed + on_wire(size, scenario.requester_mbps) + size * (copy[requester] + copy[d])
        else:
            inbox: list[list[tuple[float, float, float]]] = [[] for _ in range(n)]
            for s, sender in enumerate(devices):
                free = max(sender.send_free_s, sender.done_s)
                for d, (reads, *_) in parts.items():
                    size = 0.0
                    for name, (lo, hi) in reads.items():
                        own_lo, own_hi = sender.owns.get(name, (0, 0))
                        rows = max(0, min(hi, own_hi) - max(lo, own_lo))
                        size += rows * model.row_bytes(name, start, scenario.activation_bytes)
                    if s != d and size > 0:
                        end = free + message_s(s, d, size)
                        inbox[d].append((free, end, size))
                        free = end
                sender.send_free_s = free
            complete = [received(box, d) for d, box in enumerate(inbox)]
        for d, device in enumerate(devices):
            device.owns = {}
            if d in parts:
                _, computed, owns, head_bytes = parts[d]
                table = system.tables[system.types[d]]
                device.done_s = max(device.done_s, complete[d]) + sum(table.seconds[k, rows] for k, rows in computed)
                device.owns, device.head_bytes = owns, device.head_bytes + head_bytes
        start = stop
    return _result_s(system, devices, message_s, received, requester), waited


def _result_s(system: System, devices: list[Device], message_s, received, requester: int) -> float:
    model, value_bytes = system.model, system.scenario.activation_bytes
    last = model.out_shape(len(model.units) - 1)
    rows = [d.owns[MAIN][1] - d.owns[MAIN][0] if d.owns else 0 for d in devices]
    sizes = [r * last.row_elements * value_bytes for r in rows]
    if not model.tail:
        inbox = []
        for d, device in enumerate(devices):
            size = sizes[d] + device.head_bytes
            if size > 0:
                begin = max(device.send_free_s, device.done_s)
                inbox.append((begin, begin + message_s(d, requester, size), size))
        return received(inbox, requester)
    host = rows.index(max(rows))
    inbox = []
    for d, device in enumerate(devices):
        if d != host and sizes[d] > 0:
            begin = max(device.send_free_s, device.done_s)
            inbox.append((begin, begin + message_s(d, host, sizes[d]), sizes[d]))
            device.send_free_s = inbox[-1][1]
    device = devices[host]
    table = system.tables[system.types[host]]
    tail_s = sum(table.seconds[k, model.kernels[k].out_shape.height] for k in model.unit_kernels[-1])
    device.done_s = max(device.done_s, received(inbox, host)) + tail_s
    size = model.kernels[-1].out_shape.elements * value_bytes
    return max(device.send_free_s, device.done_s) + message_s(host, requester, size)
