"""EdgeMove's pipeline on real workers: a client and one server, as their profiles and the city price them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from ...models.plans import PipelinePlan
from ...ui.errors import InputError
from ..core import seeds_of
from ..live_training import NO_LINK, Costs, Learning, Link, Party, Task, party_of, recipe_of, steps_done
from .scenarios import Scenario, get_scenario
from .system import NOBODY, System
from .world import World

if TYPE_CHECKING:
    from ...runtime.training.job import TrainingJob
    from ...runtime.wire_training import AnyEntry

__all__ = ["PLAN", "costs", "get_scenario", "job", "make_system", "task"]

PLAN = PipelinePlan
DIFFERS = "a server answers before it updates, and what a message takes to travel keeps its sender busy"


def make_system(scenario: Scenario) -> System:
    """What a scenario amounts to.

    Raises:
        InputError: it cannot be carried out.
    """
    if scenario.half_duplex:
        raise InputError(
            f"scenario {scenario.name}: half_duplex is true, allowed live: false (senders in processes of their own "
            f"cannot take turns on one air)"
        )
    return System(scenario)


def costs(world: World, server: int, lane: int, elapsed_s: float) -> Costs:
    """What a minibatch costs with a server (``NOBODY`` for none) at a time of an episode."""
    system = world.system
    setting = system.scenario
    asked = np.array([max(server, 0)])
    rate, rtt_s, load = (float(v[0]) for v in world.conditions(asked, np.array([lane]), np.array([elapsed_s])))
    link = NO_LINK if server == NOBODY else Link(rtt_s / 2, 8.0 / rate)
    parties = {
        "client": party_of(system.profiles[setting.client], setting.batch),
        "server": server_party(system, int(system.kind[asked[0]])).slower(load),
    }
    return Costs(parties, {("client", "server"): link, ("server", "client"): link}, setting.batch)


def server_party(system: System, kind: int) -> Party:
    """A kind of server, unloaded; the fixed cost of an iteration lies in the last step, which a server always has."""
    setting = system.scenario
    party = party_of(system.profiles[(*setting.gpus, setting.cloud)[kind]], setting.batch)
    forward_s = party.forward_s.copy()
    forward_s[-1] += setting.host_floor_s
    return Party(forward_s, party.backward_s, party.update_s)


def job(system: System, cut: int, learning: Learning) -> TrainingJob:
    """Its training in a pipeline that begins at a cut, in steps of the model."""
    from ...runtime.training.job import TrainingJob

    setting = system.scenario
    return TrainingJob(
        "pipeline", system.model, learning.data, recipe_of(setting.optimizer), setting.batch, learning.seed,
        every=learning.every, in_flight=setting.in_flight, cut=cut,
    )  # fmt: skip


def task(system: System, plan: PipelinePlan, learning: Learning) -> Task:
    """A plan as a training, at what the client meets where its walk begins.

    Raises:
        InputError: the plan does not fit the scenario.
    """
    cut, server = system.placement_of(plan)
    world, rng = World(system, 1), np.random.default_rng(learning.seed)
    world.walk[0] = seeds_of([rng])[0] % len(system.walks.test)
    world.seed(np.array([0]), [rng])
    found = costs(world, server, 0, 0.0)

    def entries(logged: Sequence[AnyEntry]) -> Iterator[AnyEntry]:
        from ...runtime.wire_training import Minibatch

        for number in count(steps_done(logged, Minibatch)):
            yield Minibatch(number, plan.cut, learning.rate)

    at = np.array([cut]), np.array([server]), np.array([0]), np.array([0.0])
    step_s = float(world.period_s(*at)[0])
    return Task(job(system, plan.cut, learning), lambda entry: found, entries, step_s, DIFFERS)
