"""DistrEdge's latency, event by event in plain Python: the reference that the batched physics must agree with.

Written from the rules (three threads per device, serial sending, one incoming link for all that a receiver gets), one
image, one plan, with lists and loops; it shares no code with the physics but the models' row arithmetic by integers.
"""

from __future__ import annotations

from dataclasses import dataclass

from splitgym.envs.distredge.system import System
from splitgym.models.blocks import chain_out, trace_rows
from splitgym.models.chain import MAIN, Join
from splitgym.models.plans import SpatialPlan


@dataclass
class Stage:
    """Messages (sender, receiver, bytes) in order of sending, and what each device then computes, seconds.

    The requester is the last number; the first stage is its scattering, the last one all that it gets back.
    """

    messages: list[tuple[int, int, float]]
    compute_s: dict[int, float]


@dataclass
class Message:
    """Seconds from a message's start: when it is there, its sender is free, it takes the link, and for how long."""

    arrives_s: float
    occupies_s: float
    link_from_s: float
    link_s: float


class Costs:
    """Messages at given rates."""

    def __init__(self, system: System, mbps: list[float]) -> None:
        links, scenario = system.links, system.scenario
        self.fixed_s = [float(m) for m in links.message_s] + [links.requester_message_s]
        self.copy_s = [float(c) for c in links.copy_s_per_byte] + [links.requester_copy_s_per_byte]
        self.requester = len(mbps)
        self.mbps, self.requester_mbps = mbps, scenario.requester_mbps
        self.eta, self.shared = scenario.eta, scenario.medium == "shared"

    def _on_wire_s(self, size: float, mbps: float) -> float:
        return 8 * size / (self.eta * mbps * 1e6)

    def _mbps(self, end: int, other: int) -> float:
        """Rate at an end of a message; the requester may have that of the other."""
        if end < self.requester:
            return self.mbps[end]
        return self.mbps[other] if isinstance(self.requester_mbps, str) else self.requester_mbps

    def message(self, i: int, j: int, size: float) -> Message:
        fixed_s = max(self.fixed_s[i], self.fixed_s[j])
        copy_s = size * (self.copy_s[i] + self.copy_s[j])
        rates = self._mbps(i, j), self._mbps(j, i)
        if self.shared:
            air_s = sum(self._on_wire_s(size, mbps) for mbps in rates)
            return Message(fixed_s + air_s + copy_s, fixed_s + air_s + copy_s, fixed_s, air_s)
        slowest_s = self._on_wire_s(size, min(rates)) + copy_s
        if i == self.requester:  # it scatters as if every link were as fast as its own
            occupies_s = fixed_s + self._on_wire_s(size, rates[0]) + copy_s
            return Message(fixed_s + slowest_s, occupies_s, fixed_s, slowest_s)
        return Message(fixed_s + slowest_s, fixed_s + slowest_s, 0.0, self._on_wire_s(size, rates[1]))


def rows_of_part(system: System, start: int, stop: int, a: int, b: int):
    """What the part [a, b) of a volume reads, computes and makes: (reads, (kernel, rows), owns, head bytes)."""
    model = system.model
    height = model.out_shape(stop - 1).height
    owns = {MAIN: (a, b)}
    wanted: dict[str, tuple[int, int]] = {MAIN: (a, b)}

    def want(name: str, lo: int, hi: int) -> None:
        old = wanted.get(name, (lo, hi))
        wanted[name] = (min(old[0], lo), max(old[1], hi))

    for name in model.crossing(stop)[1:]:
        rows = model.saved_shape(name).height
        owns[name] = (a * rows // height, b * rows // height)
        wanted[name] = owns[name]
    computed: list[tuple[int, int]] = []  # (kernel, rows)
    head_bytes = 0.0
    for u in range(stop - 1, start - 1, -1):
        unit, names = model.units[u], list(model.unit_kernels[u])
        found = [wanted.pop(name) for name in (MAIN, unit.save) if name in wanted]
        head_traced = []
        if unit.head:
            rows = model.head_shape(u).height
            first, last = a * rows // height, b * rows // height
            head_bytes += (last - first) * model.head_shape(u).row_elements * system.scenario.value_bytes.activation
            head_lo, head_hi, head_traced = trace_rows(unit.head, model.out_shape(u), first, last)
            found.append((int(head_lo), int(head_hi)))
        lo, hi = min(rows[0] for rows in found), max(rows[1] for rows in found)
        lo, hi, traced = trace_rows(unit.layers, model.joined_shapes[u], lo, hi)
        put_together = [] if model.merge(u) is None else [(lo, hi)]
        join_traced = []
        for join in unit.joins if unit.combine else (*unit.joins, Join(MAIN)):
            shape = model.in_shapes[u] if join.source == MAIN else model.saved_shape(join.source)
            whole = chain_out(join.layers, shape).height >= model.joined_shapes[u].height
            join_lo, join_hi, some = trace_rows(join.layers, shape, *((lo, hi) if whole else (0, 1)))
            join_traced += some
            want(join.source, int(join_lo), int(join_hi))
        for kernel, (first, last) in zip(names, [*join_traced, *put_together, *traced, *head_traced], strict=True):
            computed.append((kernel, int(last) - int(first)))
    alias = model.units[start - 1].save if start else None
    if alias in wanted:
        want(MAIN, *wanted.pop(alias))
    return wanted, computed, owns, head_bytes


def stages(system: System, plan: SpatialPlan) -> list[Stage]:
    """What one image makes of a plan."""
    model, value_bytes, n = system.model, system.scenario.value_bytes, system.n_devices
    owned: list[dict[str, tuple[int, int]]] = [{} for _ in range(n)]  # tensor -> rows
    head_bytes = [0.0] * n
    found, start = [], 0
    for stop, split in zip(plan.cuts, plan.splits, strict=True):
        posts = [0, *split, model.out_shape(stop - 1).height]
        parts = {
            d: rows_of_part(system, start, stop, posts[d], posts[d + 1]) for d in range(n) if posts[d + 1] > posts[d]
        }
        senders = owned if start else [{}] * n + [{MAIN: (0, model.input.height)}]
        messages = []
        for s, owns in enumerate(senders):
            for d, (reads, *_) in parts.items():
                size = 0.0
                for name, (lo, hi) in reads.items():
                    own_lo, own_hi = owns.get(name, (0, 0))
                    size += max(0, min(hi, own_hi) - max(lo, own_lo)) * model.row_bytes(name, start, *value_bytes)
                if s != d and size > 0:
                    messages.append((s, d, size))
        owned, compute_s = [{} for _ in range(n)], {}
        for d, (_, computed, owns, part_head_bytes) in parts.items():
            table = system.tables[system.types[d]]
            compute_s[d] = float(sum(table.seconds[k, rows] for k, rows in computed))
            owned[d] = owns
            head_bytes[d] += part_head_bytes
        found.append(Stage(messages, compute_s))
        start = stop
    rows = [owns[MAIN][1] - owns[MAIN][0] if owns else 0 for owns in owned]
    row_bytes = model.out_shape(len(model.units) - 1).row_elements * value_bytes.activation
    if not model.tail:
        sizes = [r * row_bytes + heads for r, heads in zip(rows, head_bytes, strict=True)]
        return [*found, Stage([(d, n, size) for d, size in enumerate(sizes) if size > 0], {})]
    host = rows.index(max(rows))
    sizes = [float(r * row_bytes + heads) for r, heads in zip(rows, head_bytes, strict=True)]
    gathered = [(d, host, size) for d, size in enumerate(sizes) if d != host and size > 0]
    table = system.tables[system.types[host]]
    tail_s = float(sum(table.seconds[k, model.kernels[k].out_shape.height] for k in model.unit_kernels[-1]))
    result = Stage([(host, n, float(model.kernels[-1].out_shape.elements * value_bytes.activation))], {})
    return [*found, Stage(gathered, {host: tail_s}), result]


def latency_s(system: System, plan: SpatialPlan, mbps: list[float]) -> float:
    """Latency of one image under a plan, seconds."""
    return played(system, plan, mbps)[0]


def played(system: System, plan: SpatialPlan, mbps: list[float], fresh_links: bool = False) -> tuple[float, bool]:
    """(latency of one image under a plan, whether anything waited for an incoming link that was still in use).

    ``fresh_links`` gives every stage links of its own.
    """
    if system.scenario.medium == "shared":
        return played_on_one_air(system, plan, mbps), True
    costs, everyone = Costs(system, mbps), range(len(mbps) + 1)
    done_s, send_free_s, link_free_s, complete_s = ([0.0] * len(everyone) for _ in range(4))
    waited = False
    for stage in stages(system, plan):
        inbox: dict[int, list[tuple[float, Message]]] = {}
        for s, d, size in stage.messages:
            message, begin_s = costs.message(s, d, size), max(send_free_s[s], done_s[s])
            inbox.setdefault(d, []).append((begin_s, message))
            send_free_s[s] = begin_s + message.occupies_s
        for d, arrivals in inbox.items():
            begin_s = min(begin_s + message.link_from_s for begin_s, message in arrivals)
            if begin_s < link_free_s[d]:
                waited = True
                begin_s = begin_s if fresh_links else link_free_s[d]
            link_free_s[d] = begin_s + sum(message.link_s for _, message in arrivals)
            complete_s[d] = max(link_free_s[d], *(begin_s + message.arrives_s for begin_s, message in arrivals))
        for d, compute_s in stage.compute_s.items():
            done_s[d] = max(done_s[d], complete_s[d]) + compute_s
    return complete_s[-1], waited


def played_on_one_air(system: System, plan: SpatialPlan, mbps: list[float]) -> float:
    """Latency of an image where all share the air: whoever asks first for it is served, stage after stage."""
    costs = Costs(system, mbps)
    done_s, send_free_s, complete_s = ([0.0] * (len(mbps) + 1) for _ in range(3))
    air_free_s = 0.0
    for stage in stages(system, plan):
        queues: dict[int, list[tuple[int, Message]]] = {}  # sender -> receivers and messages, the next one last
        for s, d, size in reversed(stage.messages):
            queues.setdefault(s, []).append((d, costs.message(s, d, size)))
        ready_s = {s: max(send_free_s[s], done_s[s]) for s in queues}
        while queues:
            asked_s, s = min((ready_s[s] + queue[-1][1].link_from_s, s) for s, queue in queues.items())
            d, message = queues[s].pop()
            air_free_s = max(air_free_s, asked_s) + message.link_s
            copied_s = message.arrives_s - message.link_from_s - message.link_s
            ready_s[s] = send_free_s[s] = air_free_s + copied_s
            complete_s[d] = max(complete_s[d], send_free_s[s])
            if not queues[s]:
                del queues[s]
        for d, compute_s in stage.compute_s.items():
            done_s[d] = max(done_s[d], complete_s[d]) + compute_s
    return complete_s[-1]
