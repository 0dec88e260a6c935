"""A Gantt chart of one iteration: what device, edge and cloud compute and send, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..figures import HATCHED, LEGEND_KEY_IN, canvas_figure, in_bar, place, short, time_bar, title, widest_in
from .cost import PATH, Terms, bit_s, iteration_s, layers_s, terms
from .scenarios import WORKERS
from .schedule import Schedules
from .system import DEVICE, FLOAT_BITS, System

COLORS = {"forward": "#1f4e8c", "backward": "#e9a13b", "update": "#222222", "receive": "#d9d9d9"}
THIN = 0.2  # of a line's height: bars in which small letters fit
NAMES = {"forward": "forward pass", "backward": "backward pass", "update": "weight update", "receive": "receiving"}


@dataclass(frozen=True)
class Bar:
    """Something that happens on a worker (0 device, 1 edge, 2 cloud); kind is a key of ``COLORS``."""

    worker: int
    kind: str
    start_s: float
    end_s: float
    label: str


def timeline(system: System, plan: Schedules, device_edge: float, edge_cloud: float, cost: str = "paper") -> list[Bar]:
    """What happens in an iteration of one schedule, which takes as long as :func:`.cost.iteration_s` says.

    Args:
        system: the scenario.
        plan: one schedule.
        device_edge, edge_cloud: rates in bit/s.
        cost: paper (all wait for each other where samples are handed over, Eq. 12) or event (nobody waits for more
            than what it needs).
    """
    plan = plan.canonical()
    t = Terms(**{k: v[..., 0] for k, v in terms(system, plan, device_edge, edge_cloud)._asdict().items()})
    o, s, l = (int(w) for w in plan.worker[:, 0])  # noqa: E741
    bars: list[Bar] = []

    def run(worker: int, kind: str, start: float, seconds: Any, label: str = "") -> float:
        if seconds > 0:
            bars.append(Bar(worker, kind, start, start + float(seconds), label))
        return start + float(seconds)

    def meet(*times: float) -> tuple[float, ...]:
        return (max(times),) * len(times) if cost == "paper" else times

    ready = [run(w, "receive", 0.0, t.input[i], "samples") for i, w in enumerate((o, s, l))]
    ready = [run(w, "forward", ready[i], t.front[i]) for i, w in enumerate((o, s, l))]
    from_s = run(o, "receive", ready[1], t.output[0], f"from {WORKERS[s]}")
    o_at, l_at = meet(max(ready[0], from_s), ready[2])
    from_l = run(o, "receive", run(l, "forward", l_at, t.middle[1]), t.output[1], f"from {WORKERS[l]}")
    turn = run(o, "forward", max(run(o, "forward", o_at, t.middle[0]), from_l), t.tail)
    turn = run(o, "backward", turn, t.tail_back)
    l_at = run(l, "backward", run(l, "receive", turn, t.output[1], "gradient"), t.middle_back[1])
    o_at, l_at = meet(run(o, "backward", turn, t.middle_back[0]), l_at)
    s_at = run(s, "backward", run(s, "receive", o_at, t.output[0], "gradient"), t.front_back[1])
    o_at, l_at = run(o, "backward", o_at, t.front_back[0]), run(l, "backward", l_at, t.front_back[2])
    o_at, s_at, l_at = meet(o_at, s_at, l_at)
    from_s = run(o, "receive", s_at, t.gradient[0], f"weights from {WORKERS[s]}")
    from_l = run(o, "receive", l_at, t.gradient[1], f"weights from {WORKERS[l]}")
    averaged = max(o_at, from_s, from_l)
    given = [run(w, "receive", averaged, t.gradient[i], "weights") for i, w in enumerate((s, l))]
    for i, (worker, start) in enumerate(zip((o, s, l), meet(averaged, *given), strict=True)):
        run(worker, "update", start, t.update[i])
    return bars


def layers_timeline(
    system: System, owner: np.ndarray, device_edge: float, edge_cloud: float, activation_bits: int = FLOAT_BITS
) -> list[Bar]:
    """The same for a layer assignment (N,): through the layers and back, one worker after another."""
    per_bit = bit_s(PATH, device_edge, edge_cloud, system.scenario.relay)
    batch, n_layers, at = system.batch, system.n_layers, 0.0
    bars: list[Bar] = []

    def run(worker: int, kind: str, seconds: float, label: str = "") -> None:
        nonlocal at
        if seconds > 0:
            bars.append(Bar(worker, kind, at, at + seconds, label))
        at += seconds

    def send(cut: int, source: int, target: int, label: str) -> None:
        bits = batch * system.output_bits[cut] * activation_bits / FLOAT_BITS
        run(target, "receive", float(bits * per_bit[source, target]), label)

    owner = np.asarray(owner)
    run(int(owner[0]), "receive", float(batch * system.sample_bits * per_bit[DEVICE, owner[0]]), "samples")
    ends = [*(np.flatnonzero(np.diff(owner)) + 1).tolist(), n_layers]
    parts = list(zip([0, *ends[:-1]], ends, strict=True))
    for first, last in parts:
        worker = int(owner[first])
        if first:
            send(first, int(owner[first - 1]), worker, f"from {WORKERS[owner[first - 1]]}")
        run(worker, "forward", float(batch * (system.forward_s[worker, last] - system.forward_s[worker, first])))
    for first, last in reversed(parts):
        worker = int(owner[first])
        if last < n_layers:
            send(last, int(owner[last]), worker, "gradient")
        run(worker, "backward", float(batch * (system.backward_s[worker, last] - system.backward_s[worker, first])))
    updates = np.diff(system.update_s, axis=1)
    for worker in range(3):
        seconds = float(updates[worker, owner == worker].sum())
        if seconds > 0:
            bars.append(Bar(worker, "update", at, at + seconds, ""))
    return bars


def plan_figure(
    system: System,
    plan: Schedules | None,
    device_edge: float,
    edge_cloud: float,
    who: str = "",
    when: str = "",
    moving: bool = False,
    cost: str = "paper",
) -> Any:
    """Draw one schedule's iteration.

    Args:
        system: the scenario.
        plan: one schedule; None draws axes where it would be.
        device_edge, edge_cloud: rates in bit/s.
        who: in front of the scenario's name.
        when: behind it.
        moving: a frame of an episode, whose iterations take times of many sizes: the axis is the share of this one.
        cost: paper or event, as in :func:`timeline`.

    Returns:
        A matplotlib Figure (Agg canvas).
    """
    rates = _rates(device_edge, edge_cloud)
    if plan is None:
        return _chart(f"{_where(system, who, when)}: no schedule yet\n{rates}", [], moving)
    seconds = float(iteration_s(system, plan, device_edge, edge_cloud, cost)[0])
    head = f"{_where(system, who, when)}: {_time(seconds)} an iteration of {system.batch} samples"
    bars = timeline(system, plan, device_edge, edge_cloud, cost)
    return _chart(f"{head}; {rates}\n{_words(system, plan)}", bars, moving)


def layers_figure(
    system: System,
    owner: np.ndarray,
    device_edge: float,
    edge_cloud: float,
    activation_bits: int = FLOAT_BITS,
    when: str = "",
) -> Any:
    """The frame of a layer assignment (N,); see :func:`plan_figure`."""
    bars = layers_timeline(system, owner, device_edge, edge_cloud, activation_bits)
    counts = [int((owner == worker).sum()) for worker in range(3)]
    shares = ", ".join(f"{WORKERS[w]}: {n} layer{'s' if n > 1 else ''}" for w, n in enumerate(counts) if n)
    seconds = float(layers_s(system, np.asarray(owner)[:, None], device_edge, edge_cloud, activation_bits)[0])
    head = f"{_where(system, '', when)}: {_time(seconds)} an iteration of {system.batch} samples"
    sent = f"values sent in {activation_bits} bits"
    return _chart(f"{head}; {_rates(device_edge, edge_cloud)}\n{shares}; {sent}", bars, moving=True)


def _where(system: System, who: str, when: str) -> str:
    where = f"{who} on {system.scenario.name}" if who else system.scenario.name
    return f"{where}, {when}" if when else where


def _rates(device_edge: float, edge_cloud: float) -> str:
    return f"device–edge {device_edge / 1e6:.3g} Mbps, edge–cloud {edge_cloud / 1e6:.3g} Mbps"


def _unit(seconds: float) -> tuple[str, float]:
    return ("s", 1.0) if seconds >= 1.0 else ("ms", 1e3)


def _time(seconds: float) -> str:
    unit, factor = _unit(seconds)
    return f"{seconds * factor:.4g} {unit}"


def _chart(text: str, bars: list[Bar], moving: bool) -> Any:
    from matplotlib.patches import Patch

    figure = canvas_figure(10, 4.2)
    place(figure, 0.75, LEGEND_KEY_IN + widest_in(figure, NAMES.values(), 8), top_in=0.75)
    axes = figure.add_subplot()
    axes.set_yticks(range(3), WORKERS)
    axes.set_ylim(2.6, -0.6)
    axes.grid(axis="x", color="#eeeeee")
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    title(axes, text, 9)
    end_s = max((bar.end_s for bar in bars), default=1.0)
    unit, factor = _unit(end_s)
    end, label = 1.02 * end_s * factor, f"time since the iteration began ({unit})"
    if moving:
        factor, end, label = 100.0 / end_s, 102.0, "time since the iteration began (% of it)"
    axes.set_xlabel(label)
    axes.set_xlim(0, end)
    if not bars:
        return figure
    _draw(axes, bars, factor)
    patches = [
        Patch(facecolor=COLORS[kind], label=name, **(HATCHED if kind == "receive" else {}))
        for kind, name in NAMES.items()
    ]
    axes.legend(
        handles=patches, loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.0, fontsize=8, frameon=False
    )
    return figure


def _draw(axes: Any, bars: list[Bar], factor: float) -> None:
    places = _places(bars)
    for bar in bars:
        start, length = bar.start_s * factor, (bar.end_s - bar.start_s) * factor
        middle, height = places.get(bar, (bar.worker - 0.14, 0.4))
        drawn = time_bar(axes, middle, height, start, length, COLORS[bar.kind], sends=bar.kind == "receive")
        if bar.label:
            in_bar(axes, bar.label, middle, start, drawn, 7 if height > THIN else 6, COLORS[bar.kind])
    for worker in {0, 1, 2} - {bar.worker for bar in bars}:
        axes.text(
            0.005, worker, "no part of this schedule", fontsize=7, color="#666666", va="center",
            transform=axes.get_yaxis_transform(),
        )  # fmt: skip


def _places(bars: list[Bar]) -> dict[Bar, tuple[float, float]]:
    """(middle, height) of every transfer below its worker's line: side by side where several arrive at once."""
    places: dict[Bar, tuple[float, float]] = {}
    for worker in range(3):
        ends: list[float] = []  # of the last transfer in each row
        rows: dict[Bar, int] = {}
        for bar in sorted((b for b in bars if b.worker == worker and b.kind == "receive"), key=lambda b: b.start_s):
            free = [row for row, end in enumerate(ends) if end <= bar.start_s]
            rows[bar] = free[0] if free else len(ends)
            ends[rows[bar] : rows[bar] + 1] = [bar.end_s]
        height = 0.32 / max(len(ends), 1)
        places |= {bar: (worker + 0.09 + (row + 0.5) * height, height) for bar, row in rows.items()}
    return places


def _words(system: System, plan: Schedules) -> str:
    """A schedule in words: who trains how many samples through which layers; whoever does nothing is left out."""
    plan = plan.canonical()
    worker, samples = plan.worker[:, 0], plan.b[:, 0].tolist()
    parts = [
        f"{WORKERS[worker[role]]}: {_samples(samples[role])} up to {short(system.names[layers - 1])}"
        for role, layers in ((1, int(plan.m_s[0])), (2, int(plan.m_l[0])))
        if samples[role]
    ]
    own = [_samples(samples[0])] if samples[0] else []
    if parts and int(plan.m_l[0]) < system.n_layers:
        own.append("the later layers of all")
    return "; ".join([*parts, *([f"{WORKERS[worker[0]]}: {' and '.join(own)}"] if own else [])])


def _samples(count: int) -> str:
    return f"{count} sample{'s' if count > 1 else ''}"
