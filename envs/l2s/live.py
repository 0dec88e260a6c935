"""L2S's rounds on real workers: the device and the edge server, as their profiles price them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from ...models.plans import CutPlan
from ..live_training import Costs, Learning, Link, Task, party_of, recipe_of, steps_done
from .dynamics import held
from .scenarios import Scenario, get_scenario
from .system import System

if TYPE_CHECKING:
    from ...runtime.training.job import TrainingJob
    from ...runtime.wire_training import AnyEntry

__all__ = ["PLAN", "costs", "get_scenario", "job", "make_system", "task"]

PLAN = CutPlan
DIFFERS = "device and edge server update their weights side by side, once the round is logged"


def make_system(scenario: Scenario) -> System:
    """What a scenario amounts to."""
    return System(scenario)


def costs(system: System, mbps: float, load: float) -> Costs:
    """What a round costs at a rate of the link and a load of the edge server."""
    batch = system.scenario.batch
    up, down = (Link(*costs) for costs in system.link_costs(mbps))
    parties = {"device": party_of(system.device, batch), "edge": party_of(system.edge, batch, load)}
    return Costs(parties, {("device", "edge"): up, ("edge", "device"): down}, batch)


def job(system: System, learning: Learning) -> TrainingJob:
    """Its training with one cut."""
    from ...runtime.training.job import TrainingJob

    setting = system.scenario
    return TrainingJob(
        "cut", system.model, learning.data, recipe_of(setting.optimizer), setting.batch, learning.seed,
        every=learning.every,
    )  # fmt: skip


def task(system: System, plan: CutPlan, learning: Learning) -> Task:
    """A plan as a training: every round at its cut. A link that follows a trace keeps its mean rate.

    Raises:
        InputError: the plan cuts where no feasible partition point lies.
    """
    point, setting = system.choice_of(plan.cut), system.scenario
    mbps_of = held(system.mbps, setting.mbps_changes, setting.rounds)
    load_of = held(setting.edge_load, setting.load_changes, setting.rounds)
    known = lru_cache(maxsize=None)(lambda mbps, load: costs(system, mbps, load))

    def priced(entry: AnyEntry) -> Costs:
        at = min(getattr(entry, "batch", 0), setting.rounds - 1)
        return known(float(mbps_of[at]), float(load_of[at]))

    def entries(logged: Sequence[AnyEntry]) -> Iterator[AnyEntry]:
        from ...runtime.wire_training import Round

        for number in count(steps_done(logged, Round)):
            yield Round(number, plan.cut, learning.rate)

    step_s = float(system.front_s[point] + system.edge_delay_s(mbps_of[0], load_of[0], np.array(point)))
    return Task(job(system, learning), priced, entries, step_s, DIFFERS)
