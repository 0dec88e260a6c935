"""A worker's shell on the virtual network: the threads of :mod:`..worker` become events; the cores are the same."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any

from ...ui.errors import InputError
from .. import wire
from ..worker_core import Action, Build, Drop, Reply, Store, WorkerCore
from .disk import Disk
from .network import Channel
from .start import Start

TICK_S = 0.05
TURN_S = 0.02  # that the control thread may take until it does what others had decided
BUILD_S = 0.01
LEASE_S = 1.5  # of a controller


class SimWorker(Start):
    """One start of a worker; what it does for a plan is the kind's.

    Args:
        world: the :class:`.world.World` that it lives in.
        name: of its machine.
        incarnation: of this start.
        disk: of its machine.
    """

    def __init__(self, world: Any, name: str, incarnation: int, disk: Disk) -> None:
        super().__init__(world, name)
        self.disk, self.stuck = disk, False
        disk.restarted()
        self.core = WorkerCore(name, incarnation, "simulated", "simulated", 1, disk.has, lease_s=LEASE_S)
        self._epoch: Any = None  # everything of one plan here
        self._plan: wire.AnyPlan | None = None  # what is to be built
        self._decided: deque[tuple[Action, bytes]] = deque()  # to be done by the control thread, in order
        self._written_s = 0.0  # when all that was to be written is on the disk
        self._ended: set[str] = set()  # connections for data that broke since they were last used
        self._heard_s = world.loop.now_s  # of the controller
        world.loop.after(world.rng.random() * TICK_S, self._tick)

    # what comes in ------------------------------------------------------------------------------------------------

    def message(self, channel: Channel, sender: str, header: bytes, payload: bytes | None) -> None:
        if channel == "control":
            role = "controller" if sender == self.world.controller_name else "worker"
            message = wire.decode_control(header)
            self._decide(self.core.control(sender, role, message, self.world.loop.now_s), payload or b"")
            self._act()
            if sender == self.core.controller and getattr(message, "session", self.core.session) == self.core.session:
                self._heard_s = self.world.loop.now_s
        else:
            self._data(sender, wire.decode_chunk(header, len(payload or b"")), payload or b"")

    def down(self, channel: Channel, peer: str) -> None:
        if channel == "data":
            self._ended.add(peer)

    @abstractmethod
    def _data(self, sender: str, data: wire.Data, payload: bytes) -> None:
        """Data came in."""

    # what is done -------------------------------------------------------------------------------------------------

    def _decide(self, actions: list[Action], payload: bytes = b"") -> None:
        self._decided.extend((action, payload) for action in actions)

    def _report(self, actions: list[Action]) -> None:
        """What threads other than control have the core decide."""
        self._decide(actions)
        self._later(TURN_S * self.world.rng.random(), self._act)

    def _act(self) -> None:
        while self._decided:
            action, payload = self._decided.popleft()
            match action:
                case Reply():
                    if isinstance(action.message, wire.Want):
                        again = any(map(self.disk.has, action.message.digests))
                        self.world.checks.never(again, f"{self.name} wants weights that it has")
                    self.world.net.send(self, action.peer, "control", wire.encode(action.message))
                case Store():
                    now_s = self.world.loop.now_s
                    self._written_s = max(self._written_s, now_s) + self.disk.slow_s
                    self._later(self._written_s - now_s, self._store, action, payload)
                case Build():
                    self._plan = action.plan
                    self._work()
                case Drop():
                    self._epoch = self._plan = None
                case _:
                    raise AssertionError(action)

    def _store(self, action: Store, payload: bytes) -> None:
        now_s, blob = self.world.loop.now_s, action.blob
        try:
            whole = self.disk.add(blob.digest, blob.offset, blob.size, payload)
        except InputError as error:
            if self.disk.full:
                self.world.checks.sometimes("a worker failed by a full disk")
            self._report(self.core.failed(blob.epoch, str(error), now_s))
            return
        if whole:
            self._report(self.core.stored(blob.digest, now_s))

    def _work(self) -> None:
        """The compute thread takes what is next, if it is free."""
        if self.core.busy:
            return
        plan, self._plan = self._plan, None
        if plan is None:
            self._compute()
        elif self.core.builds(plan, self.world.loop.now_s):
            self._begin(BUILD_S * (1 + self.world.rng.random()), self._built, plan)

    def _begin(self, takes_s: float, ended: Callable[..., None], *args: object) -> None:
        """Something that is computed; where the worker is stuck it never ends."""
        self.core.busy = True
        if not self.stuck:
            self._later(takes_s, self._over, ended, args)

    def _over(self, ended: Callable[..., None], args: tuple[object, ...]) -> None:
        self.core.busy = False
        ended(*args)
        self._work()

    @abstractmethod
    def _built(self, plan: wire.AnyPlan) -> None:
        """A plan is built."""

    @abstractmethod
    def _compute(self) -> None:
        """Begin what can be computed."""

    def _sent(self, epoch: int, to: str, header: bytes, payload: bytes) -> bool:
        """Send data of an epoch; where that cannot be the epoch has failed."""
        is_there = self.world.net.send(self, to, "data", header, payload)
        if to in self._ended or not is_there:
            self._ended.discard(to)
            self._report(self.core.failed(epoch, "is gone", self.world.loop.now_s, to))
            return False
        return True

    # time ---------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        now_s = self.world.loop.now_s
        was = self.core.state
        self._decide(self.core.tick(now_s, self._lacks))
        self._act()
        forgotten = self.core.doing == "queued" and self._plan is not self.core.plan
        self.world.checks.never(forgotten, f"{self.name} waits for parts that nobody builds")
        if was != "FREE" and self.core.state == "FREE":
            self.world.checks.sometimes("a worker freed by a silent controller")
        late = self.core.state != "FREE" and now_s - self._heard_s > LEASE_S + 10 * TICK_S
        self.world.checks.never(late, f"{self.name} serves a controller that has been silent")
        self._later(TICK_S, self._tick)

    def _lacks(self) -> str:
        """The peer whose data are waited for."""
        return ""
