"""HierTrain's hybrid parallelism on real workers: device, edge and cloud, as their profiles price them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import count
from typing import TYPE_CHECKING

from ...models.plans import HybridPlan
from ...ui.errors import InputError
from ..live_training import Costs, Learning, Link, Party, Task, recipe_of, steps_done
from .cost import PATH, bit_s, iteration_s
from .scenarios import WORKERS, Scenario, get_scenario
from .system import System

if TYPE_CHECKING:
    from ...runtime.training.job import TrainingJob
    from ...runtime.wire_training import AnyEntry, Share

__all__ = ["PLAN", "costs", "get_scenario", "job", "make_system", "share", "task"]

PLAN = HybridPlan
DIFFERS = "workers go on as soon as what they need is there, and send one message after another"


def make_system(scenario: Scenario) -> System:
    """What a scenario amounts to.

    Raises:
        InputError: it cannot be carried out.
    """
    if scenario.share_links:
        raise InputError(
            f"scenario {scenario.name}: share_links is true, allowed live: false (senders in processes of their own "
            f"cannot share a link)"
        )
    return System(scenario)


def costs(system: System, device_edge: float, edge_cloud: float) -> Costs:
    """What an iteration costs at rates in bit/s."""
    relay = system.scenario.relay
    parties = {name: Party(*system.step_costs(number)) for number, name in enumerate(WORKERS)}
    links = {
        (a, b): Link(0.0, 8.0 * float(bit_s(PATH[i, j], device_edge, edge_cloud, relay)))
        for i, a in enumerate(WORKERS)
        for j, b in enumerate(WORKERS)
        if a != b
    }
    return Costs(parties, links, system.batch)


def job(system: System, learning: Learning) -> TrainingJob:
    """Its training."""
    from ...runtime.training.job import TrainingJob

    return TrainingJob(
        "hybrid", system.model, learning.data, recipe_of(system.scenario.optimizer), system.batch, learning.seed,
        every=learning.every, hybrid_roles=WORKERS,
    )  # fmt: skip


def share(plan: HybridPlan, number: int, rate: float) -> Share:
    """An iteration under a plan; a worker that trains nothing takes no part."""
    from ...runtime.wire_training import Share

    m_s, m_l = (m if samples else 0 for m, samples in ((plan.m_s, plan.b[1]), (plan.m_l, plan.b[2])))
    roles, b = plan.roles, plan.b
    if m_s > m_l:  # l has no samples: what s does is l's
        (o, s, l), (b_o, b_s, b_l) = roles, b  # noqa: E741
        roles, b, m_s, m_l = (o, l, s), (b_o, b_l, b_s), m_l, m_s
    return Share(number, rate, (roles[0], roles[1], roles[2]), m_s, m_l, (b[0], b[1], b[2]))


def task(system: System, plan: HybridPlan, learning: Learning) -> Task:
    """A plan as a training, at nominal rates.

    Raises:
        InputError: the plan does not fit the scenario.
    """
    schedule = system.schedule_of(plan)
    found = cache(lambda: costs(system, *system.nominal))

    def entries(logged: Sequence[AnyEntry]) -> Iterator[AnyEntry]:
        from ...runtime.wire_training import Share

        for number in count(steps_done(logged, Share)):
            yield share(plan, number, learning.rate)

    step_s = float(iteration_s(system, schedule, *system.nominal)[0])
    return Task(job(system, learning), lambda entry: found(), entries, step_s, DIFFERS)
