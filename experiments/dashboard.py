"""What a W&B dashboard of a family shows, as data, and the workspace and report that are made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..agents.recent_metrics import PREFIX
from ..envs import Family
from .tracking import PROJECT

GROUPED = ("agent", "scenario")  # by what runs share a line, of their config


@dataclass(frozen=True)
class Chart:
    """A chart of tracked columns over another, or of final figures as bars where ``over`` is empty."""

    title: str
    columns: tuple[str, ...]
    over: str = "episodes"


@dataclass(frozen=True)
class Part:
    """Charts below a heading, with a sentence for a report."""

    name: str
    says: str
    charts: tuple[Chart, ...]


def parts_of(family: Family) -> tuple[Part, ...]:
    """What is tracked of trainings of a family: curves, terms of the reward, the network's losses, how they end."""
    headline = family.headline
    learning = [
        Chart("newest episodes", (f"recent_{headline}",)),
        Chart("best episode so far", (f"best_{headline}",)),
    ]
    if family.paired_regret is not None:
        learning.append(Chart("distance of the newest episodes to their optima", ("recent_regret",)))
    terms = tuple(Chart(name, (PREFIX + name,)) for name in family.terms)
    reward = (Part("Reward", "What the reward is made of, in the newest episodes.", terms),) if terms else ()
    network = (
        Chart("losses", ("train/loss", "train/value_loss", "train/actor_loss", "train/critic_loss")),
        Chart("entropy", ("train/entropy_loss", "train/ent_coef")),
    )
    ends = [Chart(f"{headline} at the end", (headline,), "")]
    if family.regret is not None:
        ends.append(Chart(f"{family.regret} at the end", (family.regret,), ""))
    return (
        Part("Learning", "How training came along, over episodes.", tuple(learning)),
        *reward,
        Part("Network", "What the learner's own optimisation told.", network),
        Part("Evaluation", "The agent's own episodes after training.", tuple(ends)),
    )


def lines_of(family: Family) -> list[str]:
    """The same in words."""
    found = []
    for part in parts_of(family):
        found.append(f"{part.name}: {part.says}")
        found += [
            f"  {c.title}: {', '.join(c.columns)}" + (f" over {c.over}" if c.over else ", a bar an agent")
            for c in part.charts
        ]
    return found


def workspace(family: Family, entity: str, project: str = PROJECT) -> Any:
    """A workspace of the family's trainings; not saved."""
    from wandb_workspaces import workspaces

    return workspaces.Workspace(
        name=f"splitgym: {family.name}",
        entity=entity,
        project=project,
        sections=[
            workspaces.Section(name=part.name, panels=_panels(part.charts), is_open=True) for part in parts_of(family)
        ],
        runset_settings=workspaces.RunsetSettings(
            filters=[workspaces.Config("env") == family.name],
            groupby=[workspaces.Config(name) for name in GROUPED],
        ),
    )


def report(family: Family, entity: str, project: str = PROJECT) -> Any:
    """A report of the same charts, with a sentence above each group; not saved."""
    from wandb_workspaces.reports import v2
    from wandb_workspaces.reports.v2.interface import Report, Runset

    blocks: list[Any] = []
    for part in parts_of(family):
        runs = Runset(entity=entity, project=project, name=family.name, filters=f"Config('env') == '{family.name}'")
        runs.groupby = [f"config.{name}" for name in GROUPED]
        blocks += [v2.H2(part.name), v2.P(part.says), v2.PanelGrid(runsets=[runs], panels=_panels(part.charts))]
    return Report(
        entity=entity, project=project, title=f"splitgym: {family.title}", description=family.env_id, blocks=blocks
    )


def _panels(charts: Sequence[Chart]) -> list[Any]:
    from wandb_workspaces.reports import v2

    return [
        v2.LinePlot(title=chart.title, x=chart.over, y=list(chart.columns))
        if chart.over
        else v2.BarPlot(title=chart.title, metrics=list(chart.columns), groupby="agent")
        for chart in charts
    ]
