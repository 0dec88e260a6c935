"""A training over worker processes, which outlives them: the shell round :class:`.session.TrainingSession`.

One thread does all that is decided, in order: what is to be written is on the disk before anything that follows leaves.
"""

from __future__ import annotations

import math
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ...ui.errors import InputError
from .. import wire
from ..controller import ClusterFailure, Controller
from ..packet_links import parts
from ..patience import send_unless
from ..service import Event
from ..session_core import Back, Lost
from ..transport import PeerGone
from ..wire_training import AnyEntry, Do, entry_from_json, entry_to_json
from ..wire_training_plan import TrainingPace, TrainingPlan
from ..wire_types import WireError
from .blobs import put_data
from .core import Append, Done, Keep, Tell, TrainingCore
from .job import TrainingJob
from .limits import limits_of
from .log import TrainingLog
from .packets import Packet, opened, seal, unseal
from .reception import Arrived, Reception, Told, Unreachable
from .session import Deploy, GiveUp, TrainingSession
from .state import State
from .steps import Step, Steps

LOOK_S = 0.05
SEND_TIMEOUT_S = 5.0
ENOUGH_S = 3600.0  # for anything: who is stuck is noticed long before


class Training:
    """A training over a session's workers.

    Args:
        controller: of a session whose workers may return.
        job: what is trained.
        workers: who plays each role; by default the session's first, in order. Its others are spare.
        log: what is on record of it; by default in memory, from the beginning.
        options: of :class:`.session.TrainingSession`.

    Attributes:
        events: what happened so far.

    Raises:
        InputError: a worker or role that there is none of; the store does not hold the data; workers may not return.
    """

    def __init__(
        self,
        controller: Controller,
        job: TrainingJob,
        workers: Mapping[str, str] | None = None,
        log: TrainingLog | None = None,
        **options: float,
    ) -> None:
        if not controller.core.membership.returns:
            raise InputError("a training needs a session whose workers may return (returns=True)")
        self._controller, self.job, self.events = controller, job, list[Event]()
        self._number = secrets.randbits(31)
        self.log = log or TrainingLog()
        assigned = _assigned(job.roles, workers, tuple(controller.members))
        self._limits = limits_of(job.setup, job.model)
        self._data = put_data(controller.store, job.data)
        core = TrainingCore(job.rules, job.every, self.log.entries, self.log.checkpoint)
        self._steps, self._due = Steps(core.logged), queue.SimpleQueue[Step]()
        self._sent: dict[str, int] = {}  # packets of this epoch, by worker
        self._reception: Reception | None = None
        self._kept = 0  # checkpoints so far
        self._changed = threading.Condition(controller.lock)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._guarded, name="training", daemon=True)
        with controller.lock:
            self.session = TrainingSession(controller.core, core, assigned, time.monotonic(), **options)
            controller.follow(self.session)
        self._thread.start()

    def __enter__(self) -> Training:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        with self._controller.lock:
            self._controller.follow(None)
            self._clear()

    # for the caller -----------------------------------------------------------------------------------------------

    @property
    def logged(self) -> int:
        """Entries that count."""
        return self.session.core.logged

    def submit(self, *entries: AnyEntry) -> None:
        """More entries, done as soon as it is their turn; see :meth:`run` for what becomes of them.

        Raises:
            InputError: no packet can say one of them.
        """
        for entry in entries:
            try:
                entry_from_json(entry_to_json(entry))
            except WireError as error:
                raise InputError(f"{type(entry).__name__.lower()}: {error}") from None
        with self._controller.lock:
            for entry in entries:
                self._controller.act(self.session.submit(entry, time.monotonic()))

    def do(self, entry: AnyEntry) -> Step:
        """Do one entry behind those that were submitted, and wait for it; of a pipeline that drains it.

        Raises:
            ClusterFailure: the training cannot go on.
        """
        found = list(self.run([entry], drains=True))
        return next(step for step in reversed(found) if step.entry is entry)

    def run(self, entries: Iterable[AnyEntry] = (), drains: bool = False) -> Iterator[Step]:
        """Do entries and yield what became of them and of those that were submitted before: each once, in order.

        Args:
            entries: asked for as they can be worked on.
            drains: have a pipeline finish all of them; otherwise it keeps the last in flight, for what comes next.

        Raises:
            ClusterFailure: the training cannot go on.
        """
        source = iter(entries)
        more = True
        while True:
            while more and self._wants:
                entry = next(source, None)
                if entry is None:
                    more = False
                    if drains:
                        self._drain()
                else:
                    self.submit(entry)
            self._controller.check()
            if not more and self._is_quiet() and self._due.empty():
                return
            try:
                yield self._due.get(timeout=LOOK_S)
            except queue.Empty:
                continue

    def rest(self) -> Iterator[Step]:
        """What counts and :meth:`run` has not yielded, of a training that is closed."""
        while not self._due.empty():
            yield self._due.get()

    def states(self) -> Mapping[str, State]:
        """Every member's part of the training behind all that was submitted, as a checkpoint.

        Raises:
            ClusterFailure: the training cannot go on.
        """
        self._drain()
        with self._controller.lock:
            self._controller.act(self.session.ask(time.monotonic()))
            kept = self._kept
        self._until(lambda: not self.session.asks and self._kept > kept)
        assert self.log.checkpoint is not None
        return self.log.checkpoint[1]

    def switch(self, role: str, worker: str) -> None:
        """Have another worker play a role, behind all that was submitted: it takes the old one's state over.

        Raises:
            InputError: it plays another role, or there is no such worker.
            ClusterFailure: it cannot be used now, or the training cannot go on.
        """
        _assigned(self.job.roles, {**self.session.workers, role: worker}, self._controller.members)
        self.states()
        with self._controller.lock:
            if worker not in self.session.session.membership.usable:
                why = self.session.session.lost.get(worker, "has not answered")
                raise ClusterFailure(f"worker {worker} cannot take {role} over: {why}")
            self._controller.act(self.session.assign(role, worker))

    def repace(self, paces: Mapping[str, TrainingPace]) -> None:
        """Have emulated members take other times, behind all that was submitted: the same training in a new epoch.

        Raises:
            ClusterFailure: the training cannot go on.
        """
        self.states()
        with self._controller.lock:
            self.job = replace(self.job, paces=paces)
            self._controller.act(self.session.assign(*next(iter(self.session.workers.items()))))

    @property
    def _wants(self) -> bool:
        core = self.session.core
        return len(core.entries) - core.logged <= core.rules.window

    def _drain(self) -> None:
        core = self.session.core
        if (entry := core.rules.drain(core.entries)) is not None:
            self.submit(entry)

    def _is_quiet(self) -> bool:
        """Whether nothing more comes of what was submitted."""
        with self._controller.lock:
            core = self.session.core
            all_logged = core.logged == len(core.entries)
            waits = all_logged or (core.phase == "RUNNING" and not core.awaits)
            return waits and self._steps.next == core.logged

    def _until(self, there: Callable[[], bool]) -> None:
        due_s = time.monotonic() + ENOUGH_S
        with self._changed:
            while not there():
                self._controller.check()
                if time.monotonic() > due_s:
                    raise ClusterFailure(f"the training did not get on within {ENOUGH_S:g} s")
                self._changed.wait(LOOK_S)

    def _clear(self) -> None:
        """Leave nothing for whoever trains next; entries that are on record count, however little is told of them."""
        while not self._controller.told.empty():
            action = self._controller.told.get()
            if isinstance(action, Done) and action.number < len(self.log.entries):
                self._steps.logged(action, self.job.rules.concerned(action.entry), time.monotonic())
        for step in self._steps.due(self.session.session.epoch, math.inf):
            self._due.put(step)

    # the thread ---------------------------------------------------------------------------------------------------

    def _guarded(self) -> None:
        try:
            self._work()
        except BaseException as error:  # told by whoever waits for results
            self._controller.give_up(error)

    def _work(self) -> None:
        looked_s = 0.0
        while not self._stopping.is_set():
            with suppress(queue.Empty):
                self._do(self._controller.told.get(timeout=LOOK_S))
            now_s = time.monotonic()
            if now_s - looked_s > LOOK_S:
                looked_s = now_s
                self._attend()
            with self._changed:
                for step in self._steps.due(self.session.session.epoch, now_s):
                    self._due.put(step)
                self._changed.notify_all()

    def _do(self, action: Any) -> None:
        match action:
            case Arrived():
                self._arrived(action)
            case Told():
                with self._controller.lock:
                    self._steps.told(action, time.monotonic())
            case Tell():
                self._send(action)
            case Append():
                self.log.append(action.entry)
            case Keep():
                self.log.keep(action.number, action.states)
                self._kept += 1
            case Done():
                with self._controller.lock:
                    self._steps.logged(action, self.job.rules.concerned(action.entry), time.monotonic())
            case Deploy():
                self._deploy(action)
            case Unreachable():
                self._lose(action.worker, action.reason, action.epoch)
            case Lost():
                self._note("lost", f"{action.worker} {action.reason}")
            case Back():
                self._note("back", action.worker)
            case GiveUp():
                raise ClusterFailure(action.reason)
            case _:
                raise AssertionError(action)

    def _note(self, kind: str, text: str, epoch: int = 0) -> None:
        self.events.append(Event(time.monotonic(), kind, text, epoch))

    def _deploy(self, action: Deploy) -> None:
        controller, setup = self._controller, self.job.setup
        with controller.lock:
            if self.session.state != "BEGINNING" or self.session.workers != action.workers:
                return
            peers = controller.dial(action.workers.values(), anew=True)
            present = tuple(peers[action.workers[role]] for role in setup.roles)
            epoch = controller.core.epoch + 1
            plans = {
                action.workers[role]: TrainingPlan(
                    controller.session,
                    epoch,
                    i,
                    setup,
                    present,
                    () if i else (self._data,),
                    self.job.paces.get(role),
                    self._number,
                )
                for i, role in enumerate(setup.roles)
            }
            self._reception = Reception(plans, self._limits, len(self.job.model.steps), controller.told.put)
            controller.receiver = self._reception
            self._sent = dict.fromkeys(plans, 0)
            controller.act(self.session.deploy(plans, action.workers, time.monotonic()))
        self._note("deploying", ", ".join(f"{role}: {name}" for role, name in action.workers.items()), epoch)

    def _arrived(self, action: Arrived) -> None:
        reception = self._reception
        if reception is None or action.epoch != reception.epoch:
            return
        with self._controller.lock:
            reception.handled(action)
        try:
            packet = unseal(action.sealed, opened(action.sealed))
        except WireError:
            self._controller.drops.add("malformed packets")
            return
        with self._controller.lock:
            now_s = time.monotonic()
            self._controller.act(self.session.packet(action.epoch, action.worker, packet.header, packet.tensors, now_s))

    def _send(self, action: Tell) -> None:
        reception, controller = self._reception, self._controller
        worker = self.session.workers[action.member]
        if reception is None or worker not in self._sent or action.header.epoch != self.session.core.epoch:
            return

        def given_up() -> bool:
            return self.session.state != "RUNNING" or self.session.session.epoch != reception.epoch

        if given_up():
            return
        number, begun_s = self._sent[worker], time.monotonic()
        self._sent[worker] += 1
        with controller.lock:
            if isinstance(action.header, Do):
                self._steps.issued(action.header.number, begun_s)
        self.session.sends = True
        sealed = seal(Packet(action.header, action.state or {}))
        try:
            for part, payload in parts(sealed, controller.session, reception.epoch, 0, number, begun_s):
                if not send_unless(controller.dialers[worker], wire.encode(part), payload, SEND_TIMEOUT_S, given_up):
                    return
        except PeerGone as error:
            self._lose(worker, f"cannot be reached for packets ({error.why})", reception.epoch)
        finally:
            self.session.sends = False

    def _attend(self) -> None:
        """See to connections: one that ends may have lost something."""
        epoch = 0 if self._reception is None else self._reception.epoch
        for worker, dialer in list(self._controller.dialers.items()):
            if any(event.kind == "down" for event in dialer.poll(0.0)):
                self._lose(worker, "its connection for packets has ended", epoch)

    def _lose(self, worker: str, reason: str, epoch: int) -> None:
        with self._controller.lock:
            if epoch == self.session.session.epoch:
                self._controller.act(self.session.lose(worker, reason, time.monotonic()))


def _assigned(roles: Iterable[str], given: Mapping[str, str] | None, members: Iterable[str]) -> dict[str, str]:
    """A worker for every role.

    Raises:
        InputError: they do not go together.
    """
    roles, members = tuple(roles), tuple(members)
    workers = dict(zip(roles, members, strict=False)) if given is None else dict(given)
    if set(workers) != set(roles):
        raise InputError(f"a training needs workers for {', '.join(roles)}; given are {', '.join(workers) or 'none'}")
    if unknown := [name for name in workers.values() if name not in members]:
        raise InputError(f"there is no worker {unknown[0]}, allowed: {', '.join(members)}")
    if len(set(workers.values())) < len(roles):
        raise InputError("a worker plays one role of a training")
    return {role: workers[role] for role in roles}
