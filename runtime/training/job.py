"""A training as its user describes it: which protocol, of which network, on which images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property

from ...models.model import Model
from ...models.serial import to_plain
from ...ui.errors import InputError
from ..wire_training_plan import ROLES, Kind, Setup, TrainingPace
from .core import EVERY, Rules
from .data import Dataset
from .half import Recipe
from .member import Member
from .members import make_member, rules_of
from .settings import Settings


@dataclass(frozen=True)
class TrainingJob:
    """What is to be trained, and how.

    Attributes:
        kind: cut (L2S), pipeline (EdgeMove), hybrid (HierTrain) or compressed (Prune-Deprune).
        model: the network.
        data: images; they go to the first role alone.
        recipe: of the updates; of a compressed training ``settings`` say it.
        batch: images a step.
        seed: of the weights, and of the order of the images.
        images: of an epoch; None: all.
        flips: whether images are mirrored at random.
        every: entries between two checkpoints; None for none: nothing can be lost then.
        in_flight: of a pipeline, K.
        cut: of a pipeline, the first.
        settings: of a compressed training; they say batch, seed, images and flips too.
        threads: that every member computes with; another number may change the last bits.
        hybrid_roles: names of a hybrid training's workers, the first has the data.
        paces: of emulated members, by role.

    Raises:
        InputError: what is asked for does not go together.
    """

    kind: Kind
    model: Model
    data: Dataset
    recipe: Recipe = field(default_factory=Recipe)
    batch: int = 64
    seed: int = 0
    images: int | None = None
    flips: bool = False
    every: int | None = EVERY
    in_flight: int = 2
    cut: int = 0
    settings: Settings | None = None
    threads: int = 1
    hybrid_roles: tuple[str, ...] = ROLES["hybrid"]
    paces: Mapping[str, TrainingPace] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.kind == "compressed") != (self.settings is not None):
            raise InputError("settings: for a compressed training, and for no other")
        if self.settings is not None and self.settings.mask != "hard":
            raise InputError("mask is 'soft', allowed over a wire: 'hard'")

    @cached_property
    def setup(self) -> Setup:
        """What all members must agree on."""
        s, mean, deviation = self.settings, *self.data.statistics
        recipe = self.recipe if s is None else Recipe(s.optimizer, s.momentum, s.weight_decay)
        batch, seed, images, flips = (
            (self.batch, self.seed, self.images, self.flips) if s is None else (s.batch, s.seed, s.images, s.flips)
        )
        roles = self.hybrid_roles if self.kind == "hybrid" else ROLES[self.kind]
        return Setup(
            self.kind, roles, to_plain(self.model), recipe.optimizer, recipe.momentum, recipe.weight_decay, batch, seed,
            images or 0, flips, tuple(mean.flatten().tolist()), tuple(deviation.flatten().tolist()), self.every or 0,
            self.in_flight if self.kind == "pipeline" else 1, self.cut, self.threads,
            {} if s is None else asdict(s),
        )  # fmt: skip

    @property
    def roles(self) -> tuple[str, ...]:
        """The members, the first has the data."""
        return self.setup.roles

    @property
    def rules(self) -> Rules:
        """How its entries go."""
        return rules_of(self.setup, len(self.model.steps))

    @property
    def make(self) -> Mapping[str, Callable[[], Member]]:
        """Makes members as they are at the beginning, for :class:`.local.LocalTraining`."""
        roles = self.roles
        return {
            role: lambda role=role: make_member(self.setup, self.model, role, self.data if role == roles[0] else None)
            for role in roles
        }
