"""A Gantt chart of one iteration: what device, edge and cloud compute and send, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..figures import LEGEND_KEY_IN, canvas_figure, place, title, widest_in
from .cost import PATH, Terms, bit_s, event_s, layers_s, paper_s, terms
from .scenarios import WORKERS
from .schedule import Schedules
from .system import DEVICE, FLOAT_BITS, System

FORWARD_COLOR, BACKWARD_COLOR, UPDATE_COLOR, SEND_COLOR = "#3b6fb6", "#3f9a5b", "#8562b5", "#c9c9c9"
COLORS = {"forward": FORWARD_COLOR, "backward": BACKWARD_COLOR, "update": UPDATE_COLOR, "receive": SEND_COLOR}
NAMES, HATCHES = {"receive": "receiving"}, {"receive": "////"}


@dataclass(frozen=True)
class Bar:
    """Something that happens on a worker (0 device, 1 edge, 2 cloud); kind is a key of ``COLORS``."""

    worker: int
    kind: str
    start_s: float
    end_s: float
    label: str


def timeline(system: System, plan: Schedules, device_edge: float, edge_cloud: float) -> list[Bar]:
    """What happens in an iteration without barriers (:func:`.cost.event_s`), for one schedule and rates in bit/s."""
    plan = plan.canonical()
    t = Terms(**{k: v[..., 0] for k, v in vars(terms(system, plan, device_edge, edge_cloud)).items()})
    o, s, l = (int(w) for w in plan.worker[:, 0])  # noqa: E741
    bars: list[Bar] = []

    def run(worker: int, kind: str, start: float, seconds: float, label: str) -> float:
        if seconds > 0:
            bars.append(Bar(worker, kind, start, start + seconds, label))
        return start + seconds

    done = [run(w, "receive", 0.0, float(t.input[i]), "samples") for i, w in enumerate((o, s, l))]
    done = [run(w, "forward", done[i], float(t.front[i]), "") for i, w in enumerate((o, s, l))]
    from_s = run(o, "receive", done[1], float(t.output[0]), f"from {WORKERS[s]}")
    l_front = run(l, "forward", done[2], float(t.middle[1]), "")
    from_l = run(o, "receive", l_front, float(t.output[1]), f"from {WORKERS[l]}")
    at = run(o, "forward", max(done[0], from_s), float(t.middle[0]), "")
    at = run(o, "forward", max(at, from_l), float(t.tail), "")
    turned = run(o, "backward", at, float(t.tail_back), "")
    l_at = run(l, "receive", turned, float(t.output[1]), "gradient")
    l_done = run(l, "backward", l_at, float(t.middle_back[1] + t.front_back[2]), "")
    at = run(o, "backward", turned, float(t.middle_back[0]), "")
    s_at = run(s, "receive", at, float(t.output[0]), "gradient")
    s_done = run(s, "backward", s_at, float(t.front_back[1]), "")
    o_done = run(o, "backward", at, float(t.front_back[0]), "")
    ready = max(
        o_done,
        run(o, "receive", s_done, float(t.gradient[0]), f"weights from {WORKERS[s]}"),
        run(o, "receive", l_done, float(t.gradient[1]), f"weights from {WORKERS[l]}"),
    )
    run(o, "update", ready, float(t.update[0]), "")
    for worker, way, step in ((s, 0, 1), (l, 1, 2)):
        at = run(worker, "receive", ready, float(t.gradient[way]), "weights")
        run(worker, "update", at, float(t.update[step]), "")
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
) -> Any:
    """Draw one schedule's iteration.

    Args:
        system: the scenario.
        plan: one schedule; None draws axes where it would be.
        device_edge, edge_cloud: rates in bit/s.
        who: in front of the scenario's name.
        when: behind it.
        moving: a frame of an episode, whose iterations take times of many sizes: the axis is the share of this one.

    Returns:
        A matplotlib Figure (Agg canvas).
    """
    if plan is None:
        return _chart(_head(system, who, when, device_edge, edge_cloud, "no schedule yet"), [], moving)
    t = terms(system, plan, device_edge, edge_cloud)
    paper, event = float(paper_s(t)[0]), float(event_s(t)[0])
    unit, factor = _unit(event)
    times = f"{event * factor:.4g} {unit} as drawn, {paper * factor:.4g} {unit} by Eq. 12"
    head = _head(system, who, when, device_edge, edge_cloud, _words(system, plan))
    return _chart(f"{head}\n{times}", timeline(system, plan, device_edge, edge_cloud), moving)


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
    shares = ", ".join(f"{WORKERS[w]} {n} layer{'s' if n > 1 else ''}" for w, n in enumerate(counts) if n)
    unit, factor = _unit(max(bar.end_s for bar in bars))
    seconds = float(layers_s(system, np.asarray(owner)[:, None], device_edge, edge_cloud, activation_bits)[0])
    head = _head(system, "", when, device_edge, edge_cloud, f"{shares}, {activation_bits} bits")
    return _chart(f"{head}\n{seconds * factor:.4g} {unit}", bars, moving=True)


def _head(system: System, who: str, when: str, device_edge: float, edge_cloud: float, words: str) -> str:
    where = f"{who} on {system.scenario.name}" if who else system.scenario.name
    rates = f"{device_edge / 1e6:.3g} and {edge_cloud / 1e6:.3g} Mbps"
    return f"{', '.join(part for part in (where, when, rates) if part)}: {words}"


def _unit(seconds: float) -> tuple[str, float]:
    return ("s", 1.0) if seconds >= 1.0 else ("ms", 1e3)


def _chart(text: str, bars: list[Bar], moving: bool) -> Any:
    from matplotlib.patches import Patch

    figure = canvas_figure(10, 3.6)
    place(figure, 0.75, LEGEND_KEY_IN + widest_in(figure, [*COLORS, "receiving"], 8), top_in=0.75)
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
    _draw(axes, bars, factor)
    axes.set_xlabel(label)
    axes.set_xlim(0, end)
    if not bars:
        return figure
    patches = [
        Patch(facecolor=color, label=NAMES.get(kind, kind), edgecolor="white", hatch=HATCHES.get(kind))
        for kind, color in COLORS.items()
    ]
    axes.legend(handles=patches, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)
    return figure


def _draw(axes: Any, bars: list[Bar], factor: float) -> None:
    places = _places(bars)
    end = factor * max((bar.end_s for bar in bars), default=0.0)
    for bar in bars:
        left, width = bar.start_s * factor, (bar.end_s - bar.start_s) * factor
        at, height = places.get(bar, (bar.worker - 0.14, 0.4))
        look = {"color": COLORS[bar.kind], "hatch": HATCHES.get(bar.kind)}
        axes.barh(at, width, height, left, edgecolor="white", linewidth=0.5, **look)
        if bar.label and width > 0.012 * len(bar.label) * end:
            axes.text(left + width / 2, at, bar.label, ha="center", va="center", fontsize=7)


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
        height = 0.27 / max(len(ends), 1)
        places |= {bar: (worker + 0.09 + (row + 0.5) * height, height) for bar, row in rows.items()}
    return places


def _words(system: System, plan: Schedules) -> str:
    """A schedule in words: who trains how many samples through which layers."""
    plan = plan.canonical()
    parts = []
    for role, layers in ((1, int(plan.m_s[0])), (2, int(plan.m_l[0])), (0, system.n_layers)):
        samples, name = int(plan.b[role, 0]), WORKERS[int(plan.worker[role, 0])]
        if role == 0:
            parts.append(
                f"{name}: {samples} samples and the rest of all"
                if 0 < samples < system.batch
                else f"{name}: {'the rest' if samples == 0 else f'all {samples} samples'}"
            )
        elif samples:
            parts.append(f"{name}: {samples} samples up to {system.names[layers - 1]}")
    return ", ".join(parts)
