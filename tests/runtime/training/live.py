"""Trainings over worker processes of this machine, and what is done to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from splitgym.models.model import Model
from splitgym.runtime.blobs import BlobStore
from splitgym.runtime.controller import Controller
from splitgym.runtime.membership import Hysteresis
from splitgym.runtime.session import open_session
from splitgym.runtime.testbed import Testbed
from splitgym.runtime.training.half import Recipe
from splitgym.runtime.training.job import TrainingJob
from splitgym.runtime.training.live import Training
from splitgym.runtime.training.log import TrainingLog
from splitgym.runtime.training.settings import Settings
from splitgym.runtime.training.state import State
from splitgym.runtime.training.steps import Step
from splitgym.runtime.wire_training import AnyEntry

from ..live import ENOUGH_S
from .nets import digits
from .reference import BATCH, DECAY, MOMENTUM, RATE

NAMES = ("w0", "w1", "w2")
AT_ONCE = Hysteresis(pause_s=0.01, most_s=0.05)  # workers are killed often here
SETTINGS = Settings(batch=BATCH, learning_rate=RATE, layer=3)


def job(kind: Any, model: Model, **options: Any) -> TrainingJob:
    """A training as the reference's loops are."""
    if kind == "compressed":
        return TrainingJob(kind, model, digits(), settings=SETTINGS, **options)
    return TrainingJob(kind, model, digits(), Recipe("sgd", MOMENTUM, DECAY), BATCH, **options)


@contextmanager
def session(testbed: Testbed, folder: Path, lease_s: float = ENOUGH_S) -> Iterator[Controller]:
    """A session whose workers may come and go."""
    with open_session(
        testbed.members, testbed.identity, testbed.roster, BlobStore(folder), testbed.insecure, lease_s=lease_s,
        join_s=ENOUGH_S, returns=True, hysteresis=AT_ONCE,
    ) as controller:  # fmt: skip
        yield controller


@contextmanager
def training(
    testbed: Testbed, folder: Path, what: TrainingJob, log: TrainingLog | None = None, **options: Any
) -> Iterator[Training]:
    """A training over a testbed's workers, in a session of its own."""
    with session(testbed, folder) as controller, Training(controller, what, log=log, **options) as found:
        yield found


def run(found: Training, entries: Sequence[AnyEntry], faults: Mapping[int, Any]) -> list[Step]:
    """Do entries; behind some of them something happens."""
    steps = []
    for step in found.run(entries):
        steps.append(step)
        if step.number in faults:
            faults[step.number]()
    return steps


def kill(testbed: Testbed, name: str) -> None:
    """A worker is lost, and starts anew."""
    testbed.signal(name)
    testbed.restart(name)


def merged(*states: State) -> dict[str, Tensor]:
    """States of members that have nothing in common, as one."""
    found: dict[str, Tensor] = {}
    for state in states:
        assert not found.keys() & state.keys()
        found |= state
    return found
