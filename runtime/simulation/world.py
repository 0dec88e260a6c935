"""One seed: some workers, a controller, something to do, and the faults that are drawn for them."""

from __future__ import annotations

import random
import traceback
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from ..progress import BUILD_S
from .checks import Checks, Violation
from .controller import SimController
from .disk import Disk
from .loop import Loop
from .network import Net
from .worker import SimWorker

FAULTS_S = 6.0  # in which they begin
LASTS_S = 2.5  # that one lasts at most
ENOUGH_S = 60.0  # for everything once there are no faults any more; more where workers are to be found stuck
STUCK_S, FOR_EVER = 20.0, 0.3  # that one lasts longer whose computation is stuck; the chance that nobody restarts it
ITEMS = 16
KINDS = ("crash", "restart", "hang", "cut", "slow", "controller", "pause", "links", "disk", "stuck")


@dataclass(frozen=True)
class Outcome:
    """What became of a seed.

    Attributes:
        violation: in one line, empty for none.
        items, epochs, faults, events: how many there were.
        counts: what happened of what must happen sometimes.
        log: lines, where they are kept.
    """

    seed: int
    violation: str
    items: int
    epochs: int
    faults: int
    events: int
    virtual_s: float
    counts: Counter[str]
    log: tuple[str, ...]


class World(ABC):
    """Everything of one seed.

    Args:
        seed: all that happens follows from it.
        keeps_log: whether what happens is written down.
        sometimes: what must happen at least once over all seeds.
        kinds: of faults.
    """

    controller_name = "controller"
    items = ITEMS
    stuck_s = BUILD_S  # until somebody is found stuck for whom nothing is usual yet

    def __init__(self, seed: int, keeps_log: bool, sometimes: Sequence[str], kinds: Sequence[str] = KINDS) -> None:
        self.rng = random.Random(seed)
        self.loop, self.checks = Loop(), Checks(keeps_log, sometimes)
        self.net, self._kinds = Net(self.loop, self.rng), kinds
        self.workers = self._begin()
        self.pace_s = FAULTS_S / self.items
        self.supply_s = 0.01 * 10.0 ** self.rng.random()  # that a chunk of weights takes
        self.faults = self.epochs = 0
        self._starts = 0
        self._disks = {name: Disk() for name in self.workers}
        self._lame: set[str] = set()  # machines whose worker nobody restarts
        self._silent_s: dict[str, float] = {}
        self.started_s: dict[str, float] = {}
        for name in self.workers:
            self._start(name)
        self._control()
        for _ in range(self.rng.randint(1, 5)):
            self.loop.after(FAULTS_S * self.rng.random(), self._fault)

    @abstractmethod
    def _begin(self) -> tuple[str, ...]:
        """Draw what there is to do; returns the workers."""

    @abstractmethod
    def _new_worker(self, name: str, number: int, disk: Disk) -> SimWorker:
        """Another start of a worker."""

    @abstractmethod
    def _new_controller(self, number: int) -> SimController:
        """Another start of the controller."""

    @abstractmethod
    def _is_spare(self, lame: set[str]) -> bool:
        """Whether all can be done though nobody restarts these machines' workers."""

    def wrong(self) -> str:
        """What is wrong once all is done, empty for nothing."""
        return ""

    def run(self) -> str:
        """Let it all happen; returns what was violated, empty for nothing."""
        try:
            done = self.loop.run(self._is_over, inf) and not self._is_late
            wrong = self.wrong() if done else ""
        except Violation as violation:
            return str(violation)
        except Exception as error:  # a core that breaks is a violation, too
            self.checks.note(self.loop.now_s, traceback.format_exc())
            return f"{type(error).__name__}: {error}"
        if not done:
            return f"item {len(self.checks.delivered)} was not delivered within {self._enough_s:g} s without faults"
        return wrong

    def is_done(self) -> bool:
        """Whether there is nothing left to do."""
        return len(self.checks.delivered) == self.items

    @property
    def _enough_s(self) -> float:
        """For everything once there are no faults any more."""
        return ENOUGH_S + self.stuck_s * len(self._lame)

    def _is_over(self) -> bool:
        return self.is_done() or self._is_late

    @property
    def _is_late(self) -> bool:
        return self.loop.now_s > FAULTS_S + LASTS_S + self._enough_s

    def silent_since_s(self, name: str) -> float:
        """Since when a worker has not been able to do anything; the future where it is."""
        return self._silent_s.get(name, float("inf"))

    def incarnation(self, name: str) -> int:
        """Of a worker's newest start."""
        return self._worker(name).core.incarnation

    # parties ------------------------------------------------------------------------------------------------------

    def _start(self, name: str) -> None:
        self._starts += 1
        self._silent_s.pop(name, None)
        self.started_s[name] = self.loop.now_s
        self.net.parties[name] = self._new_worker(name, self._starts, self._disks[name])

    def _control(self) -> None:
        self._starts += 1
        before = self.net.parties.get(self.controller_name)
        self.net.parties[self.controller_name] = self._new_controller(self._starts)
        if before is not None:
            self.net.haunt(self.controller_name)
            if self.checks.delivered:
                self.checks.sometimes("a controller that went on from its journal")

    @property
    def controller(self) -> SimController:
        found = self.net.parties[self.controller_name]
        assert isinstance(found, SimController)
        return found

    def _worker(self, name: str) -> SimWorker:
        found = self.net.parties[name]
        assert isinstance(found, SimWorker)
        return found

    # faults -------------------------------------------------------------------------------------------------------

    def _fault(self) -> None:
        kind, name = self.rng.choice(self._kinds), self.rng.choice(self.workers)
        lasts_s = LASTS_S * self.rng.random() ** 2
        self.faults += 1
        self.checks.note(self.loop.now_s, f"FAULT {kind} {name} for {lasts_s:.2f} s")
        getattr(self, f"_fault_{kind}")(name, lasts_s)

    def _fault_crash(self, name: str, lasts_s: float) -> None:
        self._kill(name)
        self.loop.after(lasts_s, self._revive, name)

    def _fault_restart(self, name: str, lasts_s: float) -> None:
        self._kill(name)
        self.loop.after(lasts_s / 50, self._revive, name)

    def _kill(self, name: str) -> None:
        worker = self._worker(name)
        if worker.alive:
            self._silent_s.setdefault(name, self.loop.now_s)
            peers = [*self.workers, self.controller_name]
            self.net.died(worker, [p for p in peers if p != name], self.rng.random() < 0.7)

    def _revive(self, name: str) -> None:
        if not self._worker(name).alive:
            self._start(name)
            self.net.haunt(name)

    def _fault_hang(self, name: str, lasts_s: float) -> None:
        worker = self._worker(name)
        if worker.alive and not worker.hung:
            worker.hung = True
            self._silent_s.setdefault(name, self.loop.now_s)
            self.loop.after(lasts_s, self._wake, worker)

    def _wake(self, worker: SimWorker) -> None:
        if worker.alive:
            self._silent_s.pop(worker.name, None)
            worker.go_on()

    def _fault_cut(self, name: str, lasts_s: float) -> None:
        other = self.rng.choice([n for n in (*self.workers, self.controller_name) if n != name])
        channel = self.rng.choice(("control", "data")) if other == self.controller_name else "data"
        kind = self.rng.choice(("broken", "stalled"))
        self.net.cut(name, other, channel, kind, lasts_s)

    def _fault_gap(self, name: str, lasts_s: float) -> None:
        other = self.rng.choice([n for n in (*self.workers, self.controller_name) if n != name])
        self.net.link(name, other, "data").swallows = self.rng.randint(1, 3)
        self.loop.after(lasts_s, self._end_gap, name, other)

    def _end_gap(self, name: str, other: str) -> None:
        self.net.link(name, other, "data").swallows = 0

    def _fault_slow(self, name: str, lasts_s: float) -> None:
        other = self.rng.choice([n for n in (*self.workers, self.controller_name) if n != name])
        self.net.slow(name, other, 2.0 ** self.rng.uniform(1, 6), lasts_s)

    def _fault_controller(self, name: str, lasts_s: float) -> None:
        controller = self.controller
        if controller.alive:
            self.epochs += controller.session.epoch
            self.net.died(controller, list(self.workers), True)
            self.loop.after(lasts_s, self._control)

    def _fault_pause(self, name: str, lasts_s: float) -> None:
        controller = self.controller
        if controller.alive and not controller.hung:
            controller.hung = True
            self.loop.after(lasts_s, self._go_on, controller)

    def _go_on(self, controller: SimController) -> None:
        if controller.alive:
            controller.go_on()

    def _fault_links(self, name: str, lasts_s: float) -> None:
        controller = self.controller
        if controller.alive and not controller.hung:
            controller.links_changed()

    def _fault_disk(self, name: str, lasts_s: float) -> None:
        disk = self._disks[name]
        disk.full, disk.slow_s = self.rng.random() < 0.5, 0.05
        disk.whole.clear()  # and what was on it has gone
        self.loop.after(lasts_s, self._mend, disk)

    def _mend(self, disk: Disk) -> None:
        disk.full, disk.slow_s = False, 0.0

    def _fault_stuck(self, name: str, lasts_s: float) -> None:
        worker = self._worker(name)
        worker.stuck = True
        if self.rng.random() < FOR_EVER and self._is_spare(self._lame | {name}):
            self._lame.add(name)
            return
        self.loop.after(lasts_s + STUCK_S * self.rng.random(), self._end_stuck, worker)

    def _end_stuck(self, worker: SimWorker) -> None:
        if worker.alive and worker.stuck and self._worker(worker.name) is worker:
            self._fault_restart(worker.name, 0.0)


def outcome_of(seed: int, world: World) -> Outcome:
    """All that happens in a world."""
    violation = world.run()
    epochs = world.epochs + world.controller.session.epoch
    return Outcome(
        seed, violation, len(world.checks.delivered), epochs, world.faults, world.loop.events, world.loop.now_s,
        world.checks.counts, tuple(world.checks.log),
    )  # fmt: skip
