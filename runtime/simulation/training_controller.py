"""A controller that has a training done, and who wants that training."""

from __future__ import annotations

import io
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

from .. import wire
from ..assembly import Rejected
from ..journal import Journal
from ..packet_links import Broken, PacketLink, parts
from ..session_core import Back, Lost
from ..session_core import Done as Spans
from ..training.core import Append, Done, Keep, Tell, TrainingCore
from ..training.log import TrainingLog
from ..training.packets import Packet, opened, seal, unseal
from ..training.reception import Arrived
from ..training.session import Deploy, GiveUp, TrainingSession
from ..wire_training_plan import TrainingPlan
from .controller import SimController
from .network import Channel
from .packets_worker import CHUNK_BYTES, MOST_BYTES

TURN_S, WRITE_S = 0.0005, 0.003  # that the thread takes for what was decided, and for what goes to the disk
QUIET_S = 1.0
DATA = "d0" * 32  # the data set's digest


class TrainingController(SimController):
    """One start of the controller.

    Args:
        file: its journal's, which outlives it.
        checkpoint: that was kept before.
    """

    core: TrainingSession

    def __init__(self, world: Any, number: int, file: io.BytesIO, checkpoint: Any) -> None:
        super().__init__(world, number)
        self.log = TrainingLog(Journal(file), checkpoint=checkpoint)
        training = TrainingCore(world.rules, world.setup.every, self.log.entries, checkpoint)
        workers = dict(zip(world.setup.roles, world.workers, strict=False))
        self.core = TrainingSession(self.session, training, workers, world.loop.now_s, quiet_s=QUIET_S)
        self._first = training.logged  # of this start
        self._decided: deque[Any] = deque()  # to be done by the thread, in order
        self._busy = False
        self._plans: dict[str, TrainingPlan] = {}
        self._links: dict[str, PacketLink] = {}
        self._sent, self._came = Counter[str](), Counter[str]()  # packets of this epoch, by worker
        self._later(0.0, self._feed)

    @property
    def training(self) -> TrainingCore:
        """What counts."""
        return self.core.core

    def _needs(self, worker: str) -> bool:
        return self.core.state == "RUNNING" and worker in self._plans

    def links_changed(self) -> None:
        """Links do not matter to who plays which role."""

    # what comes in ------------------------------------------------------------------------------------------------

    def message(self, channel: Channel, sender: str, header: bytes, payload: bytes | None) -> None:
        epoch = self.session.epoch if channel == "control" and sender in self._plans else 0
        super().message(channel, sender, header, payload)
        message = wire.decode_control(header) if epoch else None
        if isinstance(message, wire.Failed) and (message.session, message.epoch) == (self.session.session, epoch):
            goes_on = self.core.state in ("DEPLOYING", "RUNNING") and self.session.epoch == epoch
            self.world.checks.never(goes_on, f"{sender} is waited for though it has left epoch {epoch}")

    def _data(self, sender: str, data: wire.Data, payload: bytes) -> None:
        checks = self.world.checks
        assert isinstance(data, wire.Part)
        if sender not in self._links or not self.session.accepts(sender, data):
            if (data.session, data.epoch) < (self.session.session, self.session.epoch):
                checks.sometimes("packets of an older epoch refused")
            return
        checks.never(data.epoch != self.session.epoch, "a packet of another epoch is taken by the controller")
        checks.never(data.session != self.session.session, "a packet of another session is taken by the controller")
        try:
            sealed = self._links[sender].add(data, payload)
        except Rejected:
            checks.sometimes("a packet that came twice")
            return
        except Broken as error:
            checks.sometimes("an epoch ended by a gap in a link")
            self._act(self.core.lose(sender, str(error), self.world.loop.now_s))
            return
        if sealed is not None:
            self.world.arrived(self._came, sender, data.number)
            self._do(Arrived(self.session.epoch, sender, sealed))

    # what is decided ----------------------------------------------------------------------------------------------

    def _do(self, action: Any) -> None:
        """Have the thread do something, behind all that it has to do."""
        self._decided.append(action)
        if not self._busy:
            self._busy = True
            self._later(TURN_S * self.world.rng.random(), self._turn)

    def _turn(self) -> None:
        action = self._decided.popleft()
        self._done(action)
        self._busy = bool(self._decided)
        if self._busy:
            takes_s = WRITE_S if isinstance(self._decided[0], Append | Keep) else TURN_S
            self._later(takes_s * self.world.rng.random(), self._turn)

    def _done(self, action: Any) -> None:
        match action:
            case Arrived():
                packet = unseal(action.sealed, opened(action.sealed))
                now_s = self.world.loop.now_s
                self._act(self.core.packet(action.epoch, action.worker, packet.header, packet.tensors, now_s))
            case Tell():
                self._send(action)
            case Append():
                self.world.check_prepared(self.session.session, self.training, action)
                self.log.append(action.entry)
                self.world.logged(action.number)
            case Keep():
                self.world.kept(action.number, action.states, len(self.log.entries))
                self.log.keep(action.number, action.states)
            case Done():
                pass
            case Deploy():
                self._deploy(action)
            case Lost():
                self._note_lost(action)
                if self.core.state == "WAITING":
                    self.world.checks.sometimes("a role that waited for its worker")
            case Back():
                self._note_back(action.worker)
            case GiveUp():
                self.world.checks.never(True, f"gives up: {action.reason}")
            case Spans():
                pass
            case _:
                raise AssertionError(action)

    def _deploy(self, action: Deploy) -> None:
        checks, setup, welcomes = self.world.checks, self.world.setup, self.session.welcomes
        if self.core.state != "BEGINNING" or self.core.workers != action.workers:
            return
        epoch, workers = self.session.epoch + 1, [action.workers[role] for role in setup.roles]
        for name in workers:
            checks.never(name not in self.session.membership.usable, f"{name} gets a plan though it cannot be used")
        self._note_roles(action.workers)
        peers = tuple(wire.Peer(name, f"{name}:1", welcomes[name].incarnation) for name in workers)
        self._plans = {
            name: TrainingPlan(self.session.session, epoch, i, setup, peers, () if i else (DATA,))
            for i, name in enumerate(workers)
        }
        self._links = {name: PacketLink(MOST_BYTES, MOST_BYTES, CHUNK_BYTES) for name in workers}
        self._sent.clear()
        self._came.clear()
        checks.note(self.world.loop.now_s, f"epoch {epoch} behind {self.training.logged}: {dict(action.workers)}")
        self._act(self.core.deploy(self._plans, action.workers, self.world.loop.now_s))

    def _note_roles(self, workers: Mapping[str, str]) -> None:
        before = {self.world.setup.roles[plan.role]: name for name, plan in self._plans.items()}
        if any(before.get(role, name) != name for role, name in workers.items()):
            self.world.checks.sometimes("a role that went to another worker")
        elif self._plans and self.core._doubled:
            self.world.checks.sometimes("all begun anew since nothing came")

    def _send(self, tell: Tell) -> None:
        worker, epoch = self.core.workers[tell.member], self.session.epoch
        if tell.header.epoch != self.training.epoch or worker not in self._plans or self.core.state != "RUNNING":
            return
        self.world.issued(tell.header, self._first)
        number, self._sent[worker] = self._sent[worker], self._sent[worker] + 1
        packet, session = seal(Packet(tell.header, tell.state or {})), self.session.session
        for part, payload in parts(packet, session, epoch, 0, number, 0.0, CHUNK_BYTES):
            if not self.world.net.send(self, worker, "data", wire.encode(part), bytes(payload)):
                self._act(self.core.lose(worker, "its connection for packets is not there", self.world.loop.now_s))
                return

    # who wants it -------------------------------------------------------------------------------------------------

    def _feed(self) -> None:
        """Entries come at their own pace; between two of them a worker is switched; the last behind all is kept."""
        world, training, now_s = self.world, self.training, self.world.loop.now_s
        given = len(training.entries)
        if given == world.switch_behind and not world.switched:
            self._switch()
        elif given < world.items:
            if given - training.logged <= training.rules.window:
                self._act(self.core.submit(world.entries[given], now_s))
        elif training.idle and training.checkpoint < given and not self.core.asks:
            world.checks.sometimes("a checkpoint that was asked for")
            self._act(self.core.ask(now_s))
        self._later(world.pace_s * (0.5 + world.rng.random()), self._feed)

    def _switch(self) -> None:
        world, core = self.world, self.core
        spare = sorted(self.session.membership.usable - set(core.workers.values()))
        if not core.core.idle or core.asks:
            return
        if core.core.checkpoint < core.core.logged:
            self._act(core.ask(world.loop.now_s))
            return
        world.switched = True
        if spare:
            world.checks.sometimes("a worker switched on request")
            self._act(core.assign(world.rng.choice(list(world.setup.roles)), world.rng.choice(spare)))
