"""One seed of a training: its entries, and what must come of them."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping

import torch

from ..progress import BUILD_S
from ..training.core import Append, TrainingCore
from ..training.local import LocalTraining
from ..training.members import rules_of
from ..training.session import UNKNOWN_S
from ..training.state import State
from ..wire_training import AnyHeader, Do, Prepared
from .checks import TRAINING
from .disk import Disk
from .entries import draw_entries, draw_setup
from .packets_worker import PacketsWorker
from .symbols import STEPS, make_symbolic
from .training_controller import TrainingController
from .world import KINDS, Outcome, World, outcome_of

FAULTS = (*(kind for kind in KINDS if kind != "links"), *["gap"] * 3)
OTHERS = " from another start's log"


class TrainingWorld(World):
    """Everything of one seed.

    Args:
        seed: all that happens follows from it.
        keeps_log: whether what happens is written down.
    """

    stuck_s = UNKNOWN_S + BUILD_S

    def __init__(self, seed: int, keeps_log: bool = False) -> None:
        self._journal = io.BytesIO()
        self._checkpoint: tuple[int, Mapping[str, State]] | None = None
        self._prepared: set[tuple[str, int, str, int]] = set()
        self.switched = False
        super().__init__(seed, keeps_log, TRAINING, FAULTS)

    def _begin(self) -> tuple[str, ...]:
        self.setup = draw_setup(self.rng)
        self.entries, self.rules = draw_entries(self.setup, self.rng), rules_of(self.setup, STEPS)
        self.items = len(self.entries)
        drained = [i for i in range(1, self.items) if self.rules.drain(self.entries[:i]) is None]
        self.switch_behind = self.rng.choice(drained) if drained else -1
        self.spares = self.rng.randint(0, 2)
        return tuple(f"w{i}" for i in range(len(self.setup.roles) + self.spares))

    def _new_worker(self, name: str, number: int, disk: Disk) -> PacketsWorker:
        return PacketsWorker(self, name, number, disk)

    def _new_controller(self, number: int) -> TrainingController:
        return TrainingController(self, number, self._journal, self._checkpoint)

    def _is_spare(self, lame: set[str]) -> bool:
        return len(lame) <= self.spares

    # what happens -------------------------------------------------------------------------------------------------

    def arrived(self, came: Counter[str], sender: str, number: int) -> None:
        """A packet is whole: on every link of an epoch one after another, from the first."""
        self.checks.never(number != came[sender], f"packet {number} from {sender} is out of order")
        came[sender] += 1

    def prepared(self, session: str, header: Prepared, role: str) -> None:
        """A member says that it has done its part."""
        self._prepared.add((session, header.epoch, role, header.number))

    def check_prepared(self, session: str, training: TrainingCore, action: Append) -> None:
        """An entry is about to be logged: all that it concerns have done their part in this epoch, or an older one."""
        for role in self.rules.concerned(action.entry):
            done = any((session, epoch, role, action.number) in self._prepared for epoch in range(training.epoch + 1))
            self.checks.never(not done, f"entry {action.number} is logged though {role} has not done its part")

    def logged(self, number: int) -> None:
        """An entry counts."""
        self.checks.note(self.loop.now_s, f"entry {number} logged")
        self.checks.deliver(number)

    def applied(self, role: str, number: int) -> None:
        """An entry comes into force on a member."""
        entry = self.entries[number]
        early = self.rules.waits(entry) and number >= len(self.checks.delivered)
        self.checks.never(early, f"entry {number} comes into force on {role} before it is logged")

    def issued(self, header: AnyHeader, first: int) -> None:
        """The controller tells a member something."""
        if isinstance(header, Do) and header.number < len(self.checks.delivered):
            by_others = header.number < first
            self.checks.sometimes(f"an entry done again{OTHERS if by_others else ''}")

    def kept(self, number: int, states: Mapping[str, State], logged: int) -> None:
        """A checkpoint is whole."""
        self.checks.never(number > logged, f"a checkpoint lies in front of entry {number}, {logged} are logged")
        self.checks.never(states.keys() != set(self.setup.roles), "a checkpoint lacks a member's state")
        older = self._checkpoint is not None and number < self._checkpoint[0]
        self.checks.never(older, f"a checkpoint in front of entry {number} replaces a newer one")
        self._checkpoint = number, states

    # the end ------------------------------------------------------------------------------------------------------

    def is_done(self) -> bool:
        return super().is_done() and self._checkpoint is not None and self._checkpoint[0] == self.items

    def wrong(self) -> str:
        """Whether what the members hold in the end is not what members that lose nobody hold."""
        make = {
            role: lambda role=role: make_symbolic(self.setup, role, lambda number: None) for role in self.rules.members
        }
        loop = LocalTraining(self.rules, make, self.setup.every)
        loop.submit(*self.entries)
        loop.deliver()
        due = loop.states()
        assert self._checkpoint is not None
        for role, state in self._checkpoint[1].items():
            for name in due[role].keys() | state.keys():
                if name not in state or name not in due[role] or not torch.equal(state[name], due[role][name]):
                    return f"{role} ends with another {name} than a training that loses nobody"
        return ""


def simulate(seed: int, keeps_log: bool = False) -> Outcome:
    """All that happens under a seed."""
    return outcome_of(seed, TrainingWorld(seed, keeps_log))
