"""Plans that train, on real workers: what every party and link of a scenario costs, as the tables that price it say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from ..models.model import Model
    from ..models.plans import Plan
    from ..runtime.training.data import Dataset
    from ..runtime.training.half import Recipe
    from ..runtime.training.job import TrainingJob
    from ..runtime.wire_training import AnyEntry
    from ..runtime.wire_training_plan import TrainingPace
    from .scenarios import BaseScenario


@dataclass(frozen=True)
class Party:
    """Seconds of every step of the model on one party, (steps,) each: passes of a whole batch, and the update."""

    forward_s: np.ndarray
    backward_s: np.ndarray
    update_s: np.ndarray

    def slower(self, factor: float) -> Party:
        """A party that takes so many times as long."""
        return Party(self.forward_s * factor, self.backward_s * factor, self.update_s * factor)


@dataclass(frozen=True)
class Link:
    """Seconds of a message from one party to another: its fixed cost, and every byte."""

    message_s: float
    byte_s: float


NO_LINK = Link(0.0, 0.0)  # of two parties that say nothing to each other, or at no cost


@dataclass(frozen=True)
class Costs:
    """What a training costs, in the devices' time.

    Attributes:
        parties: by role.
        links: by (sender, receiver).
        batch: samples that the parties' passes are of.
    """

    parties: Mapping[str, Party]
    links: Mapping[tuple[str, str], Link]
    batch: int

    def link(self, sender: str, receiver: str) -> Link:
        """Of two roles."""
        return self.links.get((sender, receiver), NO_LINK)

    def work_s(self, role: str, work: str, label: str, samples: float) -> float:
        """Seconds of work as a worker's span names it: forward, backward, train or update over steps "start-stop"."""
        start, _, stop = label.partition("-")
        party, steps = self.parties[role], slice(int(start), int(stop))
        if work == "update":
            return float(party.update_s[steps].sum())
        forward_s, backward_s = float(party.forward_s[steps].sum()), float(party.backward_s[steps].sum())
        whole_s = {"forward": forward_s, "backward": backward_s, "train": forward_s + backward_s}[work]
        return whole_s * samples / self.batch

    def paces(self, scale: float) -> dict[str, TrainingPace]:
        """The same as members of an emulated training are told, slower by a time scale."""
        from ..runtime.wire_training_plan import TrainingPace

        def scaled(values: Any) -> tuple[float, ...]:
            return tuple(float(value) * scale for value in values)

        links = {role: [self.link(role, other) for other in self.parties] for role in self.parties}
        return {
            role: TrainingPace(
                scaled(party.forward_s), scaled(party.backward_s), scaled(party.update_s),
                scaled(link.message_s for link in links[role]), scaled(link.byte_s for link in links[role]),
            )
            for role, party in self.parties.items()
        }  # fmt: skip


@dataclass(frozen=True)
class Learning:
    """How a plan is trained, beside what its scenario says.

    Attributes:
        data: images.
        rate: learning rate, where the scenario has none.
        seed: of weights, order of the images, and whatever a scenario draws.
        every: entries between two checkpoints, None for none.
    """

    data: Dataset
    rate: float = 0.01
    seed: int = 0
    every: int | None = 20


@dataclass(frozen=True)
class Task:
    """A plan of a scenario as a training.

    Attributes:
        job: what is trained, at no pace.
        costs: what an entry costs; the same object as long as nothing changes.
        entries: all that follow those that are logged, without end where the plan has none.
        step_s: what the environment says that a step takes, at first.
        differs: in words, why workers take another time than that even if they keep to their pace.
    """

    job: TrainingJob
    costs: Callable[[AnyEntry], Costs]
    entries: Callable[[Sequence[AnyEntry]], Iterator[AnyEntry]]
    step_s: float
    differs: str


class System(Protocol):
    """A scenario with its network, of any family that trains."""

    @property
    def scenario(self) -> Any: ...

    @property
    def model(self) -> Model: ...

    @property
    def device_types(self) -> Mapping[str, str]: ...


class TrainingFamily(Protocol):
    """The module that a family names as ``live``.

    Attributes:
        PLAN: the kind of its plans.
    """

    PLAN: type[Plan]

    def get_scenario(self, name: str, /, **changes: object) -> BaseScenario: ...

    def make_system(self, scenario: Any) -> System: ...

    def task(self, system: Any, plan: Any, learning: Learning) -> Task:
        """A plan as a training.

        Raises:
            InputError: it does not fit the scenario, or that cannot be carried out.
        """
        ...


def party_of(profile: Any, batch: int, slower: float = 1.0) -> Party:
    """A party by its training profile."""
    forward_s, backward_s = profile.at(batch)
    return Party(forward_s, backward_s, profile.update_s).slower(slower)


def steps_done(logged: Sequence[AnyEntry], kind: type[AnyEntry]) -> int:
    """How many of the logged entries are of that kind."""
    return sum(isinstance(entry, kind) for entry in logged)


def recipe_of(optimizer: str) -> Recipe:
    """How weights are updated by the optimizer that a scenario names."""
    from ..runtime.training.half import Recipe

    return Recipe("adam" if optimizer == "adam" else "sgd", 0.9 if optimizer == "momentum" else 0.0)
