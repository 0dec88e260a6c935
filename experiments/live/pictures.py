"""The timeline of a live run: what was predicted above what was measured."""

from __future__ import annotations

from typing import Any

from ...envs.distredge.physics import Row
from ...envs.distredge.system import System
from ...envs.distredge.viewer import comparison_figure
from ...models.plans import SpatialPlan
from ...runtime.geometry import REQUESTER, Geometry
from .traces import Trace


def timeline(system: System, plan: SpatialPlan, predicted: Trace, measured: Trace, who: str) -> Any:
    """Draw both on one axis.

    Args:
        who: in front of the scenario's name.

    Returns:
        A matplotlib Figure (Agg canvas).
    """
    geometry = Geometry(system.model, plan, system.scenario.value_bytes)
    above = f"{who} on {system.scenario.name}, predicted: {predicted.latency_s * 1e3:.1f} ms"
    below = f"measured: {measured.latency_s * 1e3:.1f} ms"
    return comparison_figure(
        system, plan, (above, _rows(predicted, geometry)), (below, _rows(measured, geometry)),
        max(predicted.latency_s, measured.latency_s),
    )  # fmt: skip


def _rows(trace: Trace, geometry: Geometry) -> list[Row]:
    """A trace as the physics' events."""
    rows: list[Row] = [("compute", c.device, c.start_s, c.end_s, c.label) for c in trace.computes]
    for m in trace.messages:
        if m.sender == REQUESTER:
            rows.append(("scatter", m.receiver, m.start_s, m.there_s, ""))
        elif m.receiver == REQUESTER:
            rows.append(("send", m.sender, m.start_s, m.left_s, "R"))
        else:
            label = "gather" if m.boundary == geometry.last else f"{m.receiver}"
            rows.append(("send", m.sender, m.start_s, m.left_s, label))
    return rows
