"""DistrEdge's pictures: a plan's timeline, and images per second as in the paper's Figs. 6-10."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from ...envs.distredge.dynamics import DistrEdgeDynamics
from ...envs.distredge.viewer import timeline_figure
from ...models.plans import SpatialPlan
from ..figures import add_figure, grouped_bars
from ..line_charts import colors_of, seeds_by_agent
from ..results import Result, by_group
from .trace_figure import trace_figure

PALETTE = ("online", "aofl", "coedge", "joint", "osds", "offload", "risk-seeking", "ppo")

TITLES = {
    "table1": "Heterogeneous devices (Table I)",
    "table2": "Heterogeneous networks (Table II)",
    "table3": "Sixteen devices (Table III)",
    "models": "Other models",
    "dynamic": "Highly dynamic links",
    "homogeneous": "Equal devices and links",
    "sweep-image": "By type of images on the wire",
    "sweep-activation": "By type of activations on the wire",
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
    """Images per second by scenario and agent, a chart for every group; latency over the trace where links vary.

    A trace is that of the first seed, as seeds draw their own.
    """
    figures: dict[str, Any] = {}
    for group, values in by_group(results, groups, "ips").items():
        add_figure(figures, group, grouped_bars(values, "images/s", TITLES.get(group, "Images per second")))
    colors = colors_of(PALETTE, (result.agent for result in results))
    shown = {name for names in groups.values() for name in names}
    for name in dict.fromkeys(result.scenario for result in results if result.scenario in shown):
        seeds = seeds_by_agent(results, name)
        first = {agent: min(found, key=attrgetter("seed")) for agent, found in seeds.items()}
        add_figure(figures, f"{name}_trace", trace_figure(first, colors, f"{name}: latency over the trace"))
    return figures
