"""A plan that is to be trained, and what came of it so far."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...envs import Family
from ...envs.live_training import Task

if TYPE_CHECKING:
    from ...models.plans import Plan
    from ...runtime.service import Event
    from .training_families import TrainingCluster
    from .training_report import Steps

CURVE = "curve.csv"
STEPS, RATE = 100, 0.01
SAME = ("optimizer", "momentum", "weight_decay", "batch", "seed", "images", "flips", "in_flight", "cut", "settings")
RECENT = 20  # steps that loss and accuracy are shown of


@dataclass(frozen=True)
class Asked:
    """What is to be carried out.

    Attributes:
        scenario: its name or file.
        cluster: where machines do it.
    """

    args: argparse.Namespace
    family: Family
    scenario: str
    cluster: TrainingCluster | None
    name: str
    plan: Plan
    task: Task

    @property
    def steps(self) -> int:
        return self.args.steps or STEPS

    @property
    def same(self) -> dict[str, Any]:
        """What a run that goes on has in common with the one that was begun: whatever decides its weights."""
        job, setup = self.task.job, self.task.job.setup
        return {
            "scenario": self.name,
            "plan": self.plan.to_json(),
            "learning_rate": self.args.learning_rate or RATE,
            "checkpoint_every": job.every,
            "data": job.data.fingerprint,
            "model": job.model.fingerprint,
            **{name: getattr(setup, name) for name in SAME},
        }


@dataclass
class Trained:
    """What came of a training so far, in this call.

    Attributes:
        steps: under each of the costs that were paid, in order.
        done: of all steps, earlier calls included.
        losses, rights: means of recent steps.
        begun_s, ended_s: of the first step and the last one, real time.
    """

    done: int
    steps: list[Steps] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    rights: list[float] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    begun_s: float = 0.0
    ended_s: float = 0.0

    @property
    def count(self) -> int:
        """Steps of this call."""
        return sum(steps.count for steps in self.steps)

    @property
    def loss(self) -> float:
        """Of the last steps."""
        return _mean(self.losses[-RECENT:])

    @property
    def accuracy(self) -> float:
        """Of the last steps, on what they trained on."""
        return _mean(self.rights[-RECENT:])


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
