"""Split training through a compressing cut on real workers: client and server, as their profiles price them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ...models.plans import CompressedPlan
from ...ui.errors import InputError
from ..live_training import Costs, Learning, Link, Party, Task, party_of, steps_done
from .learners import settings_of
from .scenarios import Scenario, get_scenario
from .system import System

if TYPE_CHECKING:
    from ...profiling.training import TrainingProfile
    from ...runtime.training.settings import Settings
    from ...runtime.wire_training import AnyEntry

__all__ = ["PLAN", "costs", "get_scenario", "make_system", "task"]

PLAN = CompressedPlan
DIFFERS = "client and server update their weights side by side, once the step is logged"


def make_system(scenario: Scenario) -> System:
    """What a scenario amounts to.

    Raises:
        InputError: it cannot be carried out.
    """
    found = System(scenario)
    if found.interface.cut.step == 0:
        raise InputError(f"scenario {scenario.name}: layer is {scenario.layer}, allowed live: behind the first step")
    return found


def costs(system: System, budget: int) -> Costs:
    """What a step costs at a budget of maps.

    What the client does beside whole steps of the model, its part of a step that is cut inside and the encoder, counts
    to the last of its steps, the decoder to the server's first; the software around a step to the client's forward.
    """
    setting, cut = system.scenario, system.interface.cut
    client, server = (party_of(profile, setting.batch) for profile in system.profiles)
    inside = slice(cut.step, cut.step + 1) if cut.modules else slice(0, 0)
    mine = [values[inside].sum() for values in _parts(client)]
    theirs = [-values[inside].sum() for values in _parts(server)]
    if system.interface.encoded:
        encodes, decodes = system.module_profiles(budget)
        mine = [a + b for a, b in zip(mine, _whole(encodes, setting.batch), strict=True)]
        theirs = [a + b for a, b in zip(theirs, _whole(decodes, setting.batch), strict=True)]
    parties = {
        "client": _beside(_with(client, cut.step - 1, mine).slower(1.0 / setting.client_share), setting.overhead_s),
        "server": _with(server, cut.step, theirs),
    }
    byte_s = 8e-6 * setting.clients / setting.mbps
    down = Link(setting.rtt_s / 2, byte_s)
    up = Link(setting.rtt_s / 2 + setting.overhead_bytes * byte_s, byte_s)
    return Costs(parties, {("client", "server"): up, ("server", "client"): down}, setting.batch)


def _parts(party: Party) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return party.forward_s, party.backward_s, party.update_s


def _whole(profile: TrainingProfile, batch: int) -> list[float]:
    return [float(values.sum()) for values in (*profile.at(batch), profile.update_s)]


def _with(party: Party, step: int, more_s: Sequence[float]) -> Party:
    """A party that takes longer in a step: forward, backward and update."""
    changed = [values.copy() for values in _parts(party)]
    for values, seconds in zip(changed, more_s, strict=True):
        values[step] += seconds
    return Party(*changed)


def _beside(party: Party, overhead_s: float) -> Party:
    return _with(party, 0, (overhead_s, 0.0, 0.0))


def task(system: System, plan: CompressedPlan, learning: Learning) -> Task:
    """A plan as a training: its epochs, each at its budget, with the learning rates of Algorithm 2.

    Raises:
        InputError: the plan does not fit the scenario, or its filter is soft.
    """
    from ...runtime.training.job import TrainingJob
    from ...runtime.training.order import Batches
    from ...runtime.wire_training import Compressed, Redraw

    system.plan_budgets(plan)
    system = System(system.scenario, available=len(learning.data.train_labels))
    settings = settings_of(system, learning.seed)
    job = TrainingJob("compressed", system.model, learning.data, settings=settings, every=learning.every)
    steps = Batches(learning.data, settings.batch, settings.seed, settings.images).steps
    known = cache(lambda budget: costs(system, budget))

    def priced(entry: AnyEntry) -> Costs:
        return known(entry.budget if isinstance(entry, Compressed) else plan.budgets[0])

    def entries(logged: Sequence[AnyEntry]) -> Iterator[AnyEntry]:
        done = steps_done(logged, Compressed)
        redrawn = {entry.before_epoch for entry in logged if isinstance(entry, Redraw)}
        yield from _entries(plan.budgets, settings, steps, done, redrawn)

    at = system.budgets.index(plan.budgets[0])
    whole_s = system.compute_s[at] + system.transfer_s(np.array(at), np.array(system.scenario.mbps))
    return Task(job, priced, entries, float(whole_s) / system.steps, DIFFERS)


def _entries(
    budgets: Sequence[int], settings: Settings, steps: int, done: int, redrawn: set[int]
) -> Iterator[AnyEntry]:
    """All entries of a schedule behind those steps that are done."""
    from ...runtime.training.budget import selected_lr
    from ...runtime.wire_training import Compressed, Redraw

    for epoch in range(done // steps, len(budgets)):
        if epoch and budgets[epoch] < budgets[epoch - 1] and epoch not in redrawn:
            yield Redraw(epoch)
        base = settings.learning_rate * settings.decay**epoch
        rate = selected_lr(base, budgets[: epoch + 1], settings.gamma, settings.boosted_epochs)
        for number in range(max(done, epoch * steps), (epoch + 1) * steps):
            yield Compressed(number, rate, budgets[epoch])
