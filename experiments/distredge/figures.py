"""DistrEdge's pictures: a plan's timeline, and images per second as in the paper's Figs. 6-10."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...envs.distredge.dynamics import DistrEdgeDynamics
from ...envs.distredge.viewer import timeline_figure
from ...models.plans import SpatialPlan
from ..figures import grouped_bars
from ..results import Result, by_group

TITLES = {
    "table1": "Heterogeneous devices (Table I)",
    "table2": "Heterogeneous networks (Table II)",
    "table3": "Sixteen devices (Table III)",
    "models": "Other models",
    "dynamic": "Highly dynamic links",
    "homogeneous": "Equal devices and links",
    "sweep-image": "By type of images on the wire",
    "sweep-requester": "By rate of the requester",
    "sweep-medium": "By medium",
    "sweep-costs": "By costs of messages and copies, and without the tile staircase",
}


def draw_plan(env: Any, plan: Mapping[str, Any], title: str) -> Any:
    """Gantt chart of a plan at the rates of the env's last image.

    Args:
        env: the scalar env that played it.
        plan: JSON data of a spatial plan.
        title: in front of the scenario's name.
    """
    dynamics: DistrEdgeDynamics = env.unwrapped.dynamics
    return timeline_figure(dynamics.system, SpatialPlan.from_json(plan, "plan"), dynamics.mbps[:, 0], title)


def eval_figures(results: Sequence[Result], groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Images per second by scenario and agent, a chart for every group."""
    figures = {}
    for group, values in by_group(results, groups, "ips").items():
        figures[group] = grouped_bars(values, "images/s", TITLES.get(group, ""))
    return figures
