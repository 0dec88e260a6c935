"""One seed: some workers, a controller, a stream, and the faults that are drawn for them."""

from __future__ import annotations

import io
import random
import traceback
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from math import inf

from ..progress import BUILD_S
from .checks import Checks, Violation
from .controller import SimController
from .disk import Disk
from .loop import Loop
from .network import Net
from .rows import MODELS
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


class World:
    """Everything of one seed.

    Args:
        seed: all that happens follows from it.
        keeps_log: whether what happens is written down.
    """

    controller_name = "controller"

    def __init__(self, seed: int, keeps_log: bool = False) -> None:
        self.rng = random.Random(seed)
        self.loop, self.checks = Loop(), Checks(keeps_log)
        self.net = Net(self.loop, self.rng)
        self.workers = tuple(f"w{i}" for i in range(self.rng.randint(2, 4)))
        self.model, self.items = self.rng.randrange(len(MODELS)), ITEMS
        self.in_flight = self.rng.randint(1, 3)
        self.pace_s = FAULTS_S / ITEMS
        self.supply_s = 0.01 * 10.0 ** self.rng.random()  # that a chunk of weights takes
        self.digests = tuple(sha256(f"{i}".encode()).hexdigest() for i in range(len(MODELS[self.model].steps)))
        self.faults = self.epochs = 0
        self._journal = io.BytesIO()
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

    def run(self) -> str:
        """Let it all happen; returns what was violated, empty for nothing."""
        try:
            done = self.loop.run(lambda: len(self.checks.delivered) == self.items or self._is_late, inf)
        except Violation as violation:
            return str(violation)
        except Exception as error:  # a core that breaks is a violation, too
            self.checks.note(self.loop.now_s, traceback.format_exc())
            return f"{type(error).__name__}: {error}"
        if self._is_late or not done:
            return f"item {len(self.checks.delivered)} was not delivered within {self._enough_s:g} s without faults"
        return ""

    @property
    def _enough_s(self) -> float:
        """For everything once there are no faults any more."""
        return ENOUGH_S + BUILD_S * len(self._lame)

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
        self.net.parties[name] = SimWorker(self, name, self._starts, self._disks[name])

    def _control(self) -> None:
        self._starts += 1
        before = self.net.parties.get(self.controller_name)
        self.net.parties[self.controller_name] = found = SimController(self, self._starts, self._journal)
        if before is not None:
            self.net.haunt(self.controller_name)
            if found.journal.next:
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
        kind, name = self.rng.choice(KINDS), self.rng.choice(self.workers)
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
        if self.rng.random() < FOR_EVER and len(self._lame | {name}) < len(self.workers):
            self._lame.add(name)
            return
        self.loop.after(lasts_s + STUCK_S * self.rng.random(), self._end_stuck, worker)

    def _end_stuck(self, worker: SimWorker) -> None:
        if worker.alive and worker.stuck and self._worker(worker.name) is worker:
            self._fault_restart(worker.name, 0.0)


def simulate(seed: int, keeps_log: bool = False) -> Outcome:
    """All that happens under a seed."""
    world = World(seed, keeps_log)
    violation = world.run()
    epochs = world.epochs + world.controller.session.epoch
    return Outcome(
        seed, violation, len(world.checks.delivered), epochs, world.faults, world.loop.events, world.loop.now_s,
        world.checks.counts, tuple(world.checks.log),
    )  # fmt: skip
