"""A controller's shell on the virtual network; what it is there for is its kind's."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from .. import wire
from ..membership import Hysteresis
from ..session_core import Lost, SessionCore, Supply, Tell
from .network import LATE_S, Channel
from .start import Start

TICK_S = 0.05
LEASE_S = 0.6
PAUSES = Hysteresis(pause_s=0.3, most_s=5.0)  # of workers that were lost
BLOB_BYTES, BLOB_CHUNKS = 256, 4


class SimController(Start):
    """One start of the controller.

    Args:
        world: the :class:`.world.World` that it lives in.
        number: of this start.

    Attributes:
        core: what decides over the session; made by the kind.
    """

    core: Any

    def __init__(self, world: Any, number: int) -> None:
        super().__init__(world, world.controller_name)
        self._awake_s = 0.0
        self.session = SessionCore(
            f"{number:016x}", "simulated", "results:1", world.workers, world.loop.now_s, LEASE_S, 1.0, returns=True,
            hysteresis=PAUSES,
        )  # fmt: skip
        self._supplies: dict[str, Supply] = {}
        self._begun: set[tuple[str, str]] = set()  # workers and the weights that they were sent some of
        self._losses_s: dict[str, list[float]] = {}
        self._later(0.0, self._tick)

    def message(self, channel: Channel, sender: str, header: bytes, payload: bytes | None) -> None:
        now_s = self.world.loop.now_s
        if channel == "control":
            message = wire.decode_control(header)
            if isinstance(message, wire.Failed) and message.peer and message.epoch == self.session.epoch:
                self.world.checks.sometimes("a worker accused by another")
            self._act(self.core.control(sender, message, now_s))
            if isinstance(message, wire.Heartbeat) and sender in self.session.membership.usable:
                is_other = message.session == self.session.session and message.incarnation != self._start_of(sender)
                self.world.checks.never(is_other, f"an older start of {sender} is in use")
        else:
            self._data(sender, wire.decode_chunk(header, len(payload or b"")), payload or b"")

    @abstractmethod
    def _data(self, sender: str, data: wire.Data, payload: bytes) -> None:
        """Data came in."""

    @abstractmethod
    def _needs(self, worker: str) -> bool:
        """Whether the present epoch ends with a connection for data to a worker."""

    @abstractmethod
    def _do(self, action: Any) -> None:
        """Do what was decided."""

    @abstractmethod
    def links_changed(self) -> None:
        """Links are not what they were."""

    def _start_of(self, worker: str) -> int:
        return self.session.welcomes[worker].incarnation

    def down(self, channel: Channel, peer: str) -> None:
        now_s = self.world.loop.now_s
        act = self.core.down(peer, now_s) if channel == "control" else []
        if channel == "data" and self._needs(peer):
            act = self.core.lose(peer, "its connection for data has ended", now_s)
        self._act(act)

    def _act(self, actions: Sequence[Any]) -> None:
        for action in actions:
            match action:
                case Tell():
                    if isinstance(action.message, wire.AnyPlan | wire.Reset | wire.Bye):
                        self._supplies.pop(action.worker, None)
                    self.world.net.send(self, action.worker, "control", wire.encode(action.message))
                case Supply():
                    self._supplies[action.worker] = action  # instead of whatever it was to get before
                    self._supply(action, list(action.digests), 0)
                case _:
                    self._do(action)

    # workers ------------------------------------------------------------------------------------------------------

    def _note_lost(self, lost: Lost) -> None:
        checks, now_s = self.world.checks, self.world.loop.now_s
        checks.note(now_s, f"lost {lost.worker}: {lost.reason}")
        for words, what in (
            ("silent", "a worker lost by silence"),
            ("connection", "a worker lost by its connection"),
            ("anew", "a worker lost since it started anew"),
            ("computed", "a worker lost since it was stuck"),
            ("though it waits", "a worker lost since it was stuck"),
        ):
            if words in lost.reason:
                checks.sometimes(what)
        checks.never("chunk at" in lost.reason, f"{lost.worker} was sent weights that do not go on")
        self._losses_s.setdefault(lost.worker, []).append(now_s)
        if not self.session.membership.usable:
            checks.sometimes("all workers lost")

    def _note_back(self, worker: str) -> None:
        checks, now_s, beat = self.world.checks, self.world.loop.now_s, self.session.beats.get(worker)
        checks.never(beat is not None and beat.phase == "ending", f"{worker} is used while it computes what is over")
        losses_s = [s for s in self._losses_s.get(worker, []) if now_s - s < PAUSES.recent_s]
        if losses_s:
            pause_s = now_s - losses_s[-1]
            due_s = min(PAUSES.most_s, PAUSES.pause_s * 2.0 ** (len(losses_s) - 1))
            checks.sometimes("a worker back after its pause")
            checks.never(pause_s < due_s, f"{worker} is used again {pause_s:.2f} s after its loss {len(losses_s)}")
            if len(losses_s) > 1:
                checks.sometimes("a pause doubled")
        checks.note(now_s, f"{worker} can be used")

    def _supply(self, supply: Supply, digests: list[str], offset: int) -> None:
        """A chunk of weights after another."""
        worker = supply.worker
        if not digests or self._supplies.get(worker) is not supply:
            return
        payload = b"w" * (BLOB_BYTES // BLOB_CHUNKS)
        blob = wire.Blob(self.session.session, supply.epoch, digests[0], offset, BLOB_BYTES)
        if self.world.net.send(self, worker, "control", wire.encode(blob), payload):
            if not offset:
                self._count_again(worker, digests[0])
            offset += len(payload)
        rest = (digests, offset) if offset < BLOB_BYTES else (digests[1:], 0)
        self._later(self.world.supply_s, self._supply, supply, *rest)

    def _count_again(self, worker: str, digest: str) -> None:
        if (worker, digest) in self._begun:
            self.world.checks.sometimes("weights sent again after a cut")
        self._begun.add((worker, digest))

    # time ---------------------------------------------------------------------------------------------------------

    def go_on(self) -> None:
        self._awake_s = self.world.loop.now_s
        super().go_on()

    def _tick(self) -> None:
        now_s = self.world.loop.now_s
        self._act(self.core.tick(now_s, self._lacks()))
        self._note_held(now_s)
        self._check_silence(now_s)
        self._later(TICK_S, self._tick)

    def _lacks(self) -> str:
        """The worker whose data are waited for."""
        return ""

    def _note_held(self, now_s: float) -> None:
        for name, beat in self.session.beats.items():
            over = now_s - self._losses_s.get(name, [now_s])[-1] > PAUSES.most_s
            if beat.phase == "ending" and over and self.session.membership.state(name) == "PROBATION":
                self.world.checks.sometimes("a worker held back while it computed what was over")

    def _check_silence(self, now_s: float) -> None:
        """A worker that has been dead or stopped for longer than a lease is in use no more."""
        for name in self.session.membership.usable:
            gone_s = now_s - max(self._awake_s, self.world.silent_since_s(name))
            self.world.checks.never(gone_s > LEASE_S + 10 * TICK_S, f"{name} is in use {gone_s:.2f} s after its end")
            is_other = self._start_of(name) != self.world.incarnation(name)
            other_s = now_s - max(self._awake_s, self.world.started_s[name]) if is_other else 0.0
            self.world.checks.never(other_s > LATE_S + LEASE_S + 10 * TICK_S, f"an older start of {name} is in use")
