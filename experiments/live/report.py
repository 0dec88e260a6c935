"""What a live run showed: latency, rate and speed-up beside what was predicted, and where the latency went."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from ...envs.distredge.live import Cluster
from ...models.plans import SpatialPlan
from ...runtime.requester import Item
from .stream import TOLERANCE, Streamed
from .terms import TERMS, terms
from .traces import Compute, Link, Message, Trace, measured, predicted


@dataclass(frozen=True)
class Report:
    """A run in numbers; times are those of the devices, not of an emulation that is slower.

    Attributes:
        predicted, typical: traces, the latter of the image of median latency.
        latencies_s: of the images that count.
        invalid: images that do not, since real work took longer than what it stands for.
        offload_s: measured, median; None where that was not run.
        terms: term -> (predicted, measured) seconds.
        stage_ips, stage: predicted images a second with many in flight, and the slowest stage that sets it.
        alone: whether images went through one at a time.
        runtime_s: the runtime's own time in real seconds, which no scale hides.
        joules: an image, None where no board tells.
        worst_error: over all checked images, None where none were.
    """

    predicted: Trace
    typical: Trace | None
    latencies_s: Sequence[float]
    invalid: int
    images_per_s: float
    offload_s: float | None
    offload_predicted_s: float
    terms: Mapping[str, tuple[float, float]]
    stage_ips: float
    stage: str
    alone: bool
    runtime_s: float
    joules: float | None
    worst_error: float | None
    tolerance: float

    @property
    def latency_s(self) -> float:
        """Measured, median; NaN where no image counts."""
        return median(self.latencies_s) if self.latencies_s else math.nan

    @property
    def predicted_ips(self) -> float:
        """Images a second: as the slowest stage lets, or one after another."""
        return 1.0 / self.predicted.latency_s if self.alone else self.stage_ips

    @property
    def error(self) -> float:
        """Of the prediction, relative to what was measured."""
        return self.predicted.latency_s / self.latency_s - 1.0


def make_report(cluster: Cluster, plan: SpatialPlan, found: Streamed, offload: Streamed | None, alone: bool) -> Report:
    """Compare what was measured with what the physics says.

    Args:
        alone: whether images went through one at a time, so that gaps are the runtime's own.
    """
    scale = cluster.scale
    system, valid = cluster.system, found.valid
    prediction, reached = predicted(system, plan), system.throughput([plan])
    fronts, last = [start for start, _ in plan.ranges], system.n_units
    typical = None
    by_term = {name: (s, math.nan) for name, s in terms(prediction, fronts, last, False).items()}
    runtime_s = math.nan
    if valid:
        middle = sorted(valid, key=lambda item: item.latency_s)[(len(valid) - 1) // 2]
        emulates_links = cluster.emulation.kind != "none" and cluster.emulation.links
        link = Link(system, scale) if emulates_links else None
        real = measured(middle, system.names, cluster.clocks, link, last)
        typical = _scaled(real, 1.0 / scale)
        if alone:
            own = terms(real, fronts, last, True)
            by_term = {name: (s, own[name] / scale) for name, (s, _) in by_term.items()}
            runtime_s = own["runtime"]
    offloaded = [item.latency_s for item in offload.items] if offload else []
    return Report(
        predicted=prediction,
        typical=typical,
        latencies_s=[item.latency_s / scale for item in valid],
        invalid=len(found.items) - len(valid),
        images_per_s=found.count / found.seconds * scale if found.seconds else math.nan,
        offload_s=median(offloaded) / scale if offloaded else None,
        offload_predicted_s=system.reference_s,
        terms=by_term,
        stage_ips=float(reached.ips[0]),
        stage=reached.limits[0],
        alone=alone,
        runtime_s=runtime_s,
        joules=_joules(found.items),
        worst_error=max(found.errors, default=None),
        tolerance=TOLERANCE[cluster.is_exact],
    )


def _scaled(trace: Trace, factor: float) -> Trace:
    def part(c: Compute) -> Compute:
        return replace(c, start_s=c.start_s * factor, end_s=c.end_s * factor)

    def message(m: Message) -> Message:
        names = ("start_s", "left_s", "there_s", "fixed_s", "copy_s", "rate_s", "shared_s")
        return replace(m, **{name: getattr(m, name) * factor for name in names})

    return Trace([*map(part, trace.computes)], [*map(message, trace.messages)], trace.latency_s * factor)


def _joules(items: Sequence[Item]) -> float | None:
    """An image, all workers together, from the first image's end to the last one's."""
    if len(items) < 2:
        return None
    first, last = items[0].joules, items[-1].joules
    told = [name for name in last if name in first]
    return sum(last[name] - first[name] for name in told) / (len(items) - 1) if told else None


def to_json(report: Report, cluster: Cluster, plan: SpatialPlan, found: Streamed, in_flight: int) -> dict[str, Any]:
    """Everything about a run, as plain data."""
    scenario, controller = cluster.system.scenario, cluster.controller
    clocks = {name: {"ahead_s": c.ahead_s, "error_s": c.error_s} for name, c in cluster.clocks.items()}
    return {
        "schema": 1,
        "scenario": scenario.name,
        "summary": scenario.summary,
        "plan": plan.to_json(),
        "emulation": {"kind": cluster.emulation.kind, "time_scale": cluster.emulation.scale},
        "in_flight": in_flight,
        "workers": {name: w.machine for name, w in controller.welcomes.items()},
        "clocks": clocks,
        "load_average": list(os.getloadavg()),
        "predicted": {
            "latency_s": report.predicted.latency_s,
            "offload_s": report.offload_predicted_s,
            "throughput_ips": report.stage_ips,
            "slowest_stage": report.stage,
        },
        "measured": {
            "latency_s": _finite(report.latency_s),
            "images_per_s": _finite(report.images_per_s),
            "offload_s": report.offload_s,
            "runtime_s": _finite(report.runtime_s),
        },
        "terms_s": {name: {"predicted": p, "measured": _finite(m)} for name, (p, m) in report.terms.items()},
        "terms": dict(TERMS),
        "joules_per_image": report.joules,
        "power": {name: w.power or "not told" for name, w in controller.welcomes.items()},
        "worst_error": report.worst_error,
        "tolerance": report.tolerance,
        "images": [
            {"index": i.index, "latency_s": i.latency_s, "valid": i.overrun_s <= 0, "overrun_s": i.overrun_s}
            for i in found.items
        ],
    }  # fmt: skip


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
