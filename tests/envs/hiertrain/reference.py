"""Plain HierTrain: an iteration by loops over layers and by an event queue; toy systems."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import permutations
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from splitgym.envs.hiertrain.schedule import Schedules
from splitgym.envs.hiertrain.system import System, tables_of

DEVICE, EDGE, CLOUD = range(3)
Rows = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Plain:
    """A setting layer by layer: seconds by worker and layer, bits by layer."""

    forward: Rows
    backward: Rows
    update: Rows
    weights: Sequence[float]
    outputs: Sequence[float]
    sample: float
    batch: int
    relay: str = "stream"
    share: bool = False
    exchange: str = "holders"

    @property
    def n_layers(self) -> int:
        return len(self.weights)


@dataclass(frozen=True)
class Plan:
    """A schedule in plain numbers: workers, cuts and samples of o, s and l."""

    roles: tuple[int, ...]
    m_s: int
    m_l: int
    b: tuple[float, ...]


def zeros(n_layers: int = 3, batch: int = 10, **given: Any) -> Plain:
    """A setting in which nothing takes any time but what is given."""
    none = [[0.0] * n_layers] * 3
    fields: dict[str, Any] = {"forward": none, "backward": none, "update": none, "sample": 0.0, "batch": batch}
    return Plain(**{**fields, "weights": [0.0] * n_layers, "outputs": [0.0] * n_layers, **given})


def random_plain(rng: np.random.Generator, n_layers: int, batch: int, variants: bool = True, **given: Any) -> Plain:
    """A setting drawn over orders of magnitude, some layers without work or weights."""

    def rows(mean: float) -> np.ndarray:
        present = rng.random((3, n_layers)) > 0.1
        return rng.exponential(mean, (3, n_layers)) * present * speed

    speed = rng.uniform(0.1, 5.0, (3, 1))
    fields: dict[str, Any] = {
        "forward": rows(1.0).tolist(),
        "backward": rows(2.0).tolist(),
        "update": rows(rng.choice([0.3, 5.0])).tolist(),
        "weights": rng.exponential(rng.choice([0.1, 3.0, 30.0]), n_layers).tolist(),
        "outputs": rng.exponential(rng.choice([1.0, 5.0]), n_layers).tolist(),
        "sample": float(rng.exponential(3.0)),
        "batch": batch,
    }
    if variants:
        fields["relay"] = str(rng.choice(["stream", "store"]))
        fields["share"] = bool(rng.random() < 0.5)
        fields["exchange"] = str(rng.choice(["holders", "always"]))
    return Plain(**{**fields, **given})


def random_rates(rng: np.random.Generator) -> tuple[float, float]:
    device_edge, edge_cloud = np.exp(rng.uniform(np.log(0.2), np.log(20.0), 2))
    return float(device_edge), float(edge_cloud)


def random_plan(rng: np.random.Generator, n_layers: int, batch: int) -> Plan:
    """Any schedule: cuts from 0 to N, none, some or all of the samples anywhere."""
    m_s, m_l = np.sort(rng.integers(0, n_layers + 1, 2)).tolist()
    may = np.array([True, m_s > 0, m_l > 0]) & np.array([rng.random() > 0.2, rng.random() > 0.2, rng.random() > 0.2])
    share = rng.dirichlet(np.ones(3)) * (may if may.any() else np.array([1, 0, 0]))
    b = np.floor(batch * share / share.sum()).astype(int)
    b[share.argmax()] += batch - b.sum()
    return Plan(tuple(rng.permutation(3).tolist()), m_s, m_l, tuple(b.tolist()))


@st.composite
def cases(draw: st.DrawFn, most_layers: int = 8, most_samples: int = 40, **given: Any) -> tuple[Plain, Plan, Any]:
    """A setting, one of its schedules and rates."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_layers, batch = draw(st.integers(1, most_layers)), draw(st.integers(1, most_samples))
    plain = random_plain(rng, n_layers, batch, **given)
    return plain, random_plan(rng, n_layers, batch), random_rates(rng)


def toy_system(plain: Plain) -> System:
    """What the software needs of a system, from plain numbers."""

    def summed(values: Any) -> np.ndarray:
        values = np.asarray(values, dtype=float)
        return np.concatenate([np.zeros((*values.shape[:-1], 1)), values.cumsum(axis=-1)], axis=-1)

    scenario = SimpleNamespace(
        relay=plain.relay, share_links=plain.share, exchange=plain.exchange, batch=plain.batch, name="toy"
    )
    toy: Any = SimpleNamespace(
        scenario=scenario,
        forward_s=summed(plain.forward),
        backward_s=summed(plain.backward),
        update_s=summed(plain.update),
        weight_bits=summed(plain.weights),
        output_bits=np.array([0.0, *plain.outputs]),
        sample_bits=plain.sample,
        n_layers=plain.n_layers,
        batch=plain.batch,
    )
    toy.tables = tables_of(toy)
    return toy


def plain_of(system: System) -> Plain:
    """A real system layer by layer."""
    scenario = system.scenario
    return Plain(
        *(np.diff(a, axis=1).tolist() for a in (system.forward_s, system.backward_s, system.update_s)),
        weights=np.diff(system.weight_bits).tolist(),
        outputs=system.output_bits[1:].tolist(),
        sample=system.sample_bits,
        batch=system.batch,
        relay=scenario.relay,
        share=scenario.share_links,
        exchange=scenario.exchange,
    )


def to_schedules(plans: Sequence[Plan]) -> Schedules:
    return Schedules(
        np.array([p.roles for p in plans]).T,
        np.array([p.m_s for p in plans]),
        np.array([p.m_l for p in plans]),
        np.array([p.b for p in plans]).T,
    )


@cache
def every_schedule(n_layers: int, batch: int) -> tuple[frozenset[Plan], Schedules]:
    """All of :func:`all_plans`, both ways."""
    plans = list(all_plans(n_layers, batch))
    return frozenset(plans), to_schedules(plans)


def to_plan(schedules: Schedules, at: int = 0) -> Plan:
    worker, b = schedules.worker[:, at].tolist(), schedules.b[:, at].tolist()
    return Plan(tuple(worker), int(schedules.m_s[at]), int(schedules.m_l[at]), tuple(b))


def all_plans(n_layers: int, batch: int) -> Iterator[Plan]:
    """Every (mapping, m_s, m_l, b_o, b_s, b_l) in which workers without layers have no samples."""
    for roles in permutations(range(3)):
        for m_s in range(n_layers + 1):
            for m_l in range(m_s, n_layers + 1):
                for b_s in range(batch + 1 if m_s else 1):
                    for b_l in range(batch - b_s + 1 if m_l else 1):
                        yield Plan(roles, m_s, m_l, (batch - b_s - b_l, b_s, b_l))


# An iteration.


def scored(plan: Plan) -> Plan:
    """The form in which a schedule is scored: who has no samples takes no part, a single helper is l."""
    (o, s, l), (b_o, b_s, b_l) = plan.roles, plan.b  # noqa: E741
    if b_s and not b_l:
        return Plan((o, l, s), 0, plan.m_s, (b_o, 0, b_s))
    return replace(plan, m_s=plan.m_s if b_s else 0, m_l=plan.m_l if b_l else 0)


def links(a: int, b: int) -> set[int]:
    """Physical links between two workers: 0 is device-edge, 1 is edge-cloud."""
    return set(range(min(a, b), max(a, b)))


def send_s(plain: Plain, bits: float, a: int, b: int, rates: Sequence[float], flows: Sequence[int] = (1, 1)) -> float:
    """Seconds from worker a to worker b while other flows use the links."""
    each = [bits / (rates[link] / (max(flows[link], 1) if plain.share else 1)) for link in links(a, b)]
    return (max if plain.relay == "stream" else sum)([0.0, *each])


@dataclass
class Times:
    """What happens in an iteration of a scored schedule, by role (o, s, l): seconds of every layer and transfer."""

    plan: Plan
    receive: list[float] = field(default_factory=list)
    output: dict[int, float] = field(default_factory=dict)
    weights: dict[int, float] = field(default_factory=dict)
    update: list[float] = field(default_factory=list)


def times(plain: Plain, plan: Plan, rates: Sequence[float], working: Sequence[int] | None = None) -> Times:
    """Transfers and updates of a schedule.

    Args:
        plain, plan, rates: the setting, a scored schedule, bit/s of device-edge and edge-cloud.
        working: the roles that take part; None for those with samples.
    """
    working = [r for r in range(3) if plan.b[r]] if working is None else working
    o = plan.roles[0]
    cuts = {0: plain.n_layers, 1: plan.m_s, 2: plan.m_l}
    incoming = [sum(link in links(DEVICE, plan.roles[r]) for r in working) for link in (0, 1)]
    handing = [sum(link in links(plan.roles[r], o) for r in working if r) for link in (0, 1)]
    found = Times(plan)
    for r in range(3):
        worker = plan.roles[r]
        found.receive.append(send_s(plain, plan.b[r] * plain.sample, DEVICE, worker, rates, incoming))
        takes_part = r == 0 or r in working
        found.update.append(sum(plain.update[worker][: cuts[r]]) if takes_part else 0.0)
        if r and takes_part:
            found.output[r] = send_s(plain, plan.b[r] * plain.outputs[cuts[r] - 1], worker, o, rates, handing)
            weights = sum(plain.weights[: cuts[r]])
            alone = plain.exchange == "holders" and list(working) == [r]
            found.weights[r] = 0.0 if alone else send_s(plain, weights, worker, o, rates, handing)
        elif r:
            found.output[r] = found.weights[r] = 0.0
    return found


def paper_loop_s(plain: Plain, plan: Plan, rates: Sequence[float], working: Sequence[int] | None = None) -> float:
    """T_total of Eq. 12, term by term."""
    plan = scored(plan) if working is None else plan
    t = times(plain, plan, rates, working)
    (o, s, l), (b_o, b_s, b_l) = plan.roles, plan.b  # noqa: E741
    m_s, m_l, n = plan.m_s, plan.m_l, plain.n_layers
    f, g = plain.forward, plain.backward
    t1_forward = max(
        t.receive[0] + sum(b_o * f[o][i] for i in range(m_s)),
        t.receive[1] + sum(b_s * f[s][i] for i in range(m_s)) + t.output[1],
        t.receive[2] + sum(b_l * f[l][i] for i in range(m_s)),
    )
    t1_backward = max(
        sum(b_o * g[o][i] for i in range(m_s)),
        sum(b_s * g[s][i] for i in range(m_s)) + t.output[1],
        sum(b_l * g[l][i] for i in range(m_s)),
    )
    t2_forward, t2_backward = (
        max(
            sum((b_o + b_s) * each[o][i] for i in range(m_s, m_l)),
            sum(b_l * each[l][i] for i in range(m_s, m_l)) + t.output[2],
        )
        for each in (f, g)
    )
    t3 = sum((b_o + b_s + b_l) * (f[o][i] + g[o][i]) for i in range(m_l, n))
    update = max(t.update) + max(2 * t.weights[1], 2 * t.weights[2])
    return t1_forward + t1_backward + t2_forward + t2_backward + t3 + update


class Events:
    """Tasks that start when all that they wait for is done, on workers that do one thing at a time."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.needs: dict[str, set[str]] = {}
        self.on: dict[str, int | None] = {}
        self.ends: dict[str, float] = {}

    def add(self, name: str, seconds: float, after: Sequence[str], on: int | None = None) -> str:
        """A task; ``on`` is its processor, None for a transfer."""
        self.seconds[name], self.needs[name], self.on[name] = seconds, set(after), on
        return name

    def chain(self, name: str, seconds: Sequence[float], after: Sequence[str], on: int) -> str:
        """Tasks of one processor behind each other."""
        last = self.add(f"{name} begins", 0.0, after, on)
        for i, each in enumerate(seconds):
            last = self.add(f"{name} {i}", each, [last], on)
        return last

    def run(self) -> float:
        """The time at which the last task ends."""
        queue: list[tuple[float, int, str]] = []
        busy: dict[int, list[str]] = {}
        waiting = {name: set(needs) for name, needs in self.needs.items()}
        running: set[int] = set()
        now, count = 0.0, 0

        def begin(name: str) -> None:
            nonlocal count
            count += 1
            heapq.heappush(queue, (now + self.seconds[name], count, name))

        def ready(name: str) -> None:
            processor = self.on[name]
            if processor is None:
                begin(name)
            elif processor in running:
                busy.setdefault(processor, []).append(name)
            else:
                running.add(processor)
                begin(name)

        for name in [name for name, needs in waiting.items() if not needs]:
            ready(name)
        while queue:
            now, _, done = heapq.heappop(queue)
            self.ends[done] = now
            processor = self.on[done]
            if processor is not None:
                running.discard(processor)
                if busy.get(processor):
                    ready(busy[processor].pop(0))
            for name, needs in waiting.items():
                if done in needs:
                    needs.remove(done)
                    if not needs:
                        ready(name)
        assert len(self.ends) == len(self.seconds)
        return now


def event_loop_s(plain: Plain, plan: Plan, rates: Sequence[float]) -> float:
    """The makespan of an iteration, task by task and layer by layer."""
    plan = scored(plan)
    t = times(plain, plan, rates)
    (o, s, l), (b_o, b_s, b_l) = plan.roles, plan.b  # noqa: E741
    m_s, m_l, n = plan.m_s, plan.m_l, plain.n_layers
    e = Events()

    def compute(name: str, role: int, table: Rows, b: float, layers: range, after: list[str]) -> str:
        worker = plan.roles[role]
        return e.chain(name, [b * table[worker][i] for i in layers], after, worker)

    arrived = [e.add(f"samples of {role}", seconds, []) for role, seconds in enumerate(t.receive)]
    s_front = compute("s forward", 1, plain.forward, b_s, range(m_s), [arrived[1]])
    l_front = compute("l forward", 2, plain.forward, b_l, range(m_l), [arrived[2]])
    from_s, from_l = e.add("s to o", t.output[1], [s_front]), e.add("l to o", t.output[2], [l_front])
    at = compute("o to m_s", 0, plain.forward, b_o, range(m_s), [arrived[0]])
    at = compute("o to m_l", 0, plain.forward, b_o + b_s, range(m_s, m_l), [at, from_s])
    at = compute("o to N", 0, plain.forward, plain.batch, range(m_l, n), [at, from_l])
    at_l = compute("o back to m_l", 0, plain.backward, plain.batch, range(n - 1, m_l - 1, -1), [at])
    to_l = e.add("o to l", t.output[2], [at_l])
    l_back = compute("l back", 2, plain.backward, b_l, range(m_l - 1, -1, -1), [to_l])
    at_s = compute("o back to m_s", 0, plain.backward, b_o + b_s, range(m_l - 1, m_s - 1, -1), [at_l])
    to_s = e.add("o to s", t.output[1], [at_s])
    s_back = compute("s back", 1, plain.backward, b_s, range(m_s - 1, -1, -1), [to_s])
    o_back = compute("o back", 0, plain.backward, b_o, range(m_s - 1, -1, -1), [at_s])
    sent = [e.add(f"gradients of {r}", t.weights[r], [done]) for r, done in ((1, s_back), (2, l_back))]
    averaged = e.add("average", 0.0, [o_back, *sent])
    e.add("o updates", t.update[0], [averaged], o)
    for role, worker in ((1, s), (2, l)):
        e.add(f"{role} updates", t.update[role], [e.add(f"weights to {role}", t.weights[role], [averaged])], worker)
    return e.run()


def layers_loop_s(plain: Plain, owner: Sequence[int], rates: Sequence[float], bits: int = 32) -> tuple[float, float]:
    """(seconds up to the updates, seconds of the updates) with every layer on one worker."""
    total = send_s(plain, plain.batch * plain.sample, DEVICE, owner[0], rates)
    updates = [0.0] * 3
    for i, worker in enumerate(owner):
        total += plain.batch * (plain.forward[worker][i] + plain.backward[worker][i])
        updates[worker] += plain.update[worker][i]
        if i + 1 < len(owner):
            sent = plain.batch * plain.outputs[i] * bits / 32
            total += 2 * send_s(plain, sent, worker, owner[i + 1], rates)
    return total, max(updates)


def holds(plain: Plain, plan: Plan) -> list[set[int]]:
    """The layers whose newest weights device, edge and cloud hold: those that a worker trains or gets averaged."""
    plan, held = scored(plan), [set() for _ in range(3)]
    for role, layers in enumerate((plain.n_layers, plan.m_s, plan.m_l)):
        held[plan.roles[role]] = set(range(layers))
    if l_is_alone(plain, plan):
        held[plan.roles[0]] -= set(range(plan.m_l))
    return held


def l_is_alone(plain: Plain, plan: Plan) -> bool:
    """Whether l trains its layers with nobody else, so that nobody else has their weights."""
    plan = scored(plan)
    return plan.b[0] == plan.b[1] == 0 and plain.exchange == "holders"


def hand_out_loop_s(plain: Plain, old: Plan, new: Plan, rates: Sequence[float]) -> float:
    """Seconds until everyone has what a new schedule needs, from whoever trained it last; receivers do not wait."""
    had, needed = holds(plain, old), holds(plain, new)
    alone = replace(plain, share=False)
    plan = scored(old)
    seconds = [0.0] * 3
    for w in range(3):
        for i in needed[w] - had[w]:
            source = plan.roles[2] if l_is_alone(plain, old) and i < plan.m_l else plan.roles[0]
            seconds[w] += send_s(alone, plain.weights[i], source, w, rates)
    return max(seconds)
