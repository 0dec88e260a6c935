"""A worker's shell: five threads round :class:`.worker_core.WorkerCore`, none of which waits without a deadline.

*Control* (the caller's thread) answers the controller and beats; *receive* takes chunks in; *compute* builds and runs
what a plan asks for, and measures; *send* lets messages leave one after another; *keep* writes weights to the disk.
What they share is guarded by one lock that is held for bookkeeping only, never for work. What the core decides,
whichever thread asked it, the control thread does in the order of the decisions. Plans are of several kinds: what is
done for one is its :class:`.epoch.Epoch`'s.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from ..ui.errors import InputError
from . import wire, wire_types
from .assembly import Rejected
from .bench import Bench
from .blobs import BlobStore
from .builder import Builder
from .echo import answer
from .epoch import End, Epoch, Incoming, JobFailed, Left, Outgoing
from .keeper import Keeper
from .packet_links import Broken
from .patience import send_unless, wait
from .power import NO_METER, PowerMeter
from .transport import Buffer, Dialer, Event, Listener, Network, PeerGone
from .worker_core import Action, Build, Drop, Measure, Reply, Store, WorkerCore

POLL_S = 0.02
SHORT_S = 0.002  # sockets are waited for in whole milliseconds
SEND_TIMEOUT_S = 5.0
LOOK_S = 0.2


class Worker:
    """One worker daemon.

    Args:
        core: its decisions.
        control, data: where the controller and others send to.
        network: connects to peers.
        store: weights.
        roles: of every name on the roster.
        meter: of this machine's energy.
        backend: what runs parts, torch or tensorrt.
    """

    def __init__(
        self,
        core: WorkerCore,
        control: Listener,
        data: Listener,
        network: Network,
        store: BlobStore,
        roles: Mapping[str, str],
        meter: PowerMeter = NO_METER,
        backend: str = "torch",
    ) -> None:
        self.core, self.control, self.data, self.store = core, control, data, store
        self.drops = core.drops
        self._network, self._roles, self._meter = network, roles, meter
        self._lock = threading.RLock()
        self._work = threading.Condition(self._lock)
        self._stopping = threading.Event()
        self._builder = Builder(store, backend, core.name, self.drops)
        self._epoch: Epoch | None = None
        self._build: wire.AnyPlan | None = None
        self._bench = Bench(backend)
        self._outbox: queue.Queue[Outgoing | End | Epoch] = queue.Queue()
        self._actions: queue.Queue[tuple[Action, Buffer]] = queue.Queue()  # in the order of the decisions
        self._keeper = Keeper(
            store,
            lambda digest: self._report(partial(self.core.stored, digest)),
            lambda epoch, reason: self._report(partial(self.core.failed, epoch, reason)),
        )

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Serve until asked to stop; every thread has ended then."""
        threads = [
            threading.Thread(target=self._guarded, args=(body,), name=f"{self.core.name} {body.__name__[1:]}")
            for body in (self._receive, self._compute, self._send, self._keep)
        ]
        for thread in threads:
            thread.start()
        try:
            while not self._stopping.is_set() and not until():
                self._serve()
        finally:
            self.stop()
            for thread in threads:
                thread.join()
            self.control.close()
            self.data.close()

    def stop(self) -> None:
        """Let all threads end; may be called from any of them."""
        self._stopping.set()
        with self._work:
            self._bench.forget()
            self._work.notify_all()

    def _guarded(self, body: Callable[[], None]) -> None:
        try:
            body()
        except BaseException:
            self.stop()  # a worker without one of its threads would only look alive
            raise

    # control ------------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        if self._keeper.is_full:
            time.sleep(POLL_S)
            with self._lock:
                self.core.deaf(time.monotonic())
        else:
            # Of other threads' decisions there is nothing to be told to anybody while it serves nobody.
            for event in self.control.poll(LOOK_S if self.core.state == "FREE" else POLL_S):
                self._controlled(event)
        self._report(lambda now_s: self.core.tick(now_s, self._lacks))
        self._act()

    def _lacks(self) -> str:
        """The peer whose data are waited for."""
        return "" if self._epoch is None else self._epoch.lacks()

    def _controlled(self, event: Event) -> None:
        if event.kind != "message":
            return
        try:
            message = wire.decode_control(event.header)
        except wire_types.WireError:
            self.drops.add("malformed orders")
            return
        role = self._roles.get(event.peer, "")
        self._report(partial(self.core.control, event.peer, role, message), event.payload or b"")
        self._act()

    def _act(self) -> None:
        """Do all that was decided."""
        while True:
            try:
                action, payload = self._actions.get_nowait()
            except queue.Empty:
                return
            match action:
                case Reply():
                    with suppress(PeerGone):  # its lease ends
                        self.control.reply(action.peer, wire.encode(action.message))
                case Store():
                    self._keeper.keep(action, payload)
                case Build():
                    with self._work:
                        self._build = action.plan
                        self._work.notify_all()
                case Measure():
                    with self._work:
                        self._bench.put(action.request)
                        self._work.notify_all()
                case Drop():
                    with self._lock:
                        self._epoch = self._build = None
                        self._bench.forget()
                    if action.leaves:
                        self._keeper.abandon()
                        self._builder.forget()

    def _report(self, decide: Callable[[float], list[Action]], payload: Buffer = b"") -> None:
        """Tell the core something; what it decides is done by the control thread."""
        with self._lock:
            for action in decide(time.monotonic()):
                self._actions.put((action, payload))

    def _fail(self, plan: wire.AnyPlan, reason: str, peer: str = "") -> None:
        """A plan cannot be carried out, unless it is over anyway: another session's epochs have the same numbers."""
        self._report(lambda now_s: self.core.failed(plan.epoch, reason, now_s, peer) if self.core.plan is plan else [])

    def _is_over(self, epoch: Epoch) -> bool:
        """Whether nothing more is to be done for an epoch; it may not be dropped yet."""
        return self._epoch is not epoch or self.core.plan is not epoch.plan

    def _keep(self) -> None:
        self._keeper.run(self._stopping)

    # receive ------------------------------------------------------------------------------------------------------

    def _receive(self) -> None:
        pending: deque[Incoming] = deque()
        while not self._stopping.is_set():
            left_s = pending[0].ready_s - time.monotonic() if pending else LOOK_S
            events = self.data.poll(0.0 if left_s < SHORT_S else min(left_s, LOOK_S))
            if not events and 0.0 < left_s < SHORT_S:
                time.sleep(left_s)
            for event in events:
                found = self._accepted(event)
                if found is None:
                    continue
                epoch, data, payload = found
                came_s = time.monotonic()
                ready_s = epoch.arrives_s(event.peer, data, len(payload), came_s)
                if ready_s is None:
                    self.drops.add("rows beyond what the plan has under way")
                    continue
                pending.append(Incoming(ready_s, ready_s - came_s, epoch, event.peer, data, payload))
            while pending and pending[0].ready_s <= time.monotonic():
                self._take(pending.popleft())

    def _accepted(self, event: Event) -> tuple[Epoch, wire.Data, memoryview] | None:
        if event.kind != "message":
            return None
        payload = event.payload or memoryview(b"")
        try:
            found = wire.decode_data(event.header, len(payload))
        except wire_types.WireError:
            self.drops.add("malformed rows")
            return None
        if isinstance(found, wire.Echo):
            self._echo(event.peer, found, len(payload))
            return None
        with self._lock:
            epoch = self._epoch
            if epoch is None or not self.core.accepts(event.peer, found):
                self.drops.add("rows of another plan or sender")
                return None
            return epoch, found, payload

    def _echo(self, peer: str, echo: wire.Echo, payload_bytes: int) -> None:
        with self._lock:
            wanted = self.core.echoes(peer, echo)
        if not wanted:
            self.drops.add("measuring that is not allowed")
            return
        with suppress(PeerGone):  # who waits for it notices
            answer(echo, payload_bytes, partial(self.data.reply, peer))

    def _take(self, incoming: Incoming) -> None:
        epoch = incoming.epoch
        epoch.freed(incoming)
        with self._work:
            if self._epoch is not epoch:
                return
            try:
                complete = epoch.take(incoming, time.monotonic())
            except Rejected:
                self.drops.add("rows that nobody waits for")
                return
            except Broken as error:
                self._fail(epoch.plan, str(error), incoming.sender)
                return
            if complete:
                self._work.notify_all()

    # compute ------------------------------------------------------------------------------------------------------

    def _compute(self) -> None:
        while not self._stopping.is_set():
            with self._work:
                request = self._bench.take()
                plan, epoch, job = self._due()
                self.core.busy = request is not None or plan is not None or job is not None
                if not self.core.busy:
                    self._work.wait(1.0)
                    continue
            if request is not None:
                self._report(partial(self.core.measured, self._bench.do(request)))
            if plan is not None:
                self._prepare(plan)
            elif epoch is not None and job is not None:
                self._run(epoch, job)

    def _due(self) -> tuple[wire.AnyPlan | None, Epoch | None, Any]:
        plan, self._build = self._build, None
        now_s = time.monotonic()
        if plan is not None or self._epoch is None:
            return plan if plan is not None and self.core.builds(plan, now_s) else None, None, None
        job = self._epoch.next_job()
        if job is not None:
            self.core.phase("compute", job.item, now_s)
        elif self.core.state == "READY":
            self.core.phase("waiting", 0, now_s)
        return None, self._epoch, job

    def _prepare(self, message: wire.AnyPlan) -> None:
        """Build what a plan needs and be ready for its items."""
        try:
            with self._lock:
                controller, results = self.core.controller, self.core.results
            epoch = self._builder.build(message, self.core.incarnation, controller, results)
        except Exception as error:  # whatever torch or a GPU says
            reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            self._fail(message, reason)
            return
        self._outbox.put(epoch)  # connect
        with self._lock:
            if self.core.plan is message:
                self._epoch = epoch
                self._report(partial(self.core.built, message.epoch, holds=epoch.holds))

    def _run(self, epoch: Epoch, job: Any) -> None:
        try:
            for due in epoch.do(job, self._lock, lambda: self._is_over(epoch), self._meter.joules):
                self._outbox.put(due)
        except Exception as error:  # whatever torch or a GPU says
            reason = str(error) if isinstance(error, InputError | JobFailed) else f"{type(error).__name__}: {error}"
            self._fail(epoch.plan, reason)

    # send ---------------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        with self._connections() as (connect, attend):
            while not self._stopping.is_set():
                try:
                    due = self._outbox.get(timeout=LOOK_S)
                except queue.Empty:
                    attend()
                    continue
                epoch = due if isinstance(due, Epoch) else due.epoch
                try:
                    if isinstance(due, Epoch):
                        connect(due)
                    elif self._is_over(epoch):
                        continue
                    elif isinstance(due, End):
                        self._finished(due)
                    else:
                        self._leave(due, connect(epoch)[due.to])
                except InputError as error:  # an address that is none, or somebody who is not on the roster
                    self._fail(epoch.plan, str(error))

    @contextmanager
    def _connections(self) -> Iterator[tuple[Callable[[Epoch], dict[str, Dialer]], Callable[[], None]]]:
        """Connections to everybody of the epoch that is asked for, those of the one before are closed; and who sees to
        them where there is nothing to say."""
        current: Epoch | None = None
        dialers: dict[str, Dialer] = {}

        def connect(epoch: Epoch) -> dict[str, Dialer]:
            nonlocal current
            if current is not epoch:
                close()
                for name, address in epoch.addresses.items():
                    dialers[name] = self._network.dial(address, name)
                current = epoch
            return dialers

        def attend() -> None:
            if current is None or current.plan is not self.core.plan:
                close()
                return
            for name, dialer in dialers.items():
                if not current.ordered:
                    dialer.attend()
                elif any(event.kind == "down" for event in dialer.poll(0.0)):
                    self._fail(current.plan, "its connection has ended", name)

        def close() -> None:
            nonlocal current
            for dialer in dialers.values():
                dialer.close()
            dialers.clear()
            current = None

        try:
            yield connect, attend
        finally:
            close()

    def _leave(self, due: Outgoing, dialer: Dialer) -> None:
        epoch, paced = due.epoch, due.pace

        def given_up() -> bool:
            return self._is_over(epoch)

        begun_s, self.core.sending = time.monotonic(), True
        total = due.encode()
        copied_s, sent_bytes, first_s = time.monotonic(), 0, 0.0
        try:
            for header, payload in due.chunks(begun_s):
                sent_bytes += len(payload)
                if paced is not None:
                    wait(begun_s + paced[0] + sent_bytes * paced[1], given_up)
                if not send_unless(dialer, header, payload, SEND_TIMEOUT_S, given_up):
                    return
                first_s = first_s or time.monotonic()
        except PeerGone as error:
            self._fail(epoch.plan, str(error), due.to)
            return
        finally:
            self.core.sending = False
        with self._lock:
            due.left(Left(begun_s, copied_s, first_s, time.monotonic(), total))

    def _finished(self, due: End) -> None:
        with self._lock:
            spans = due.epoch.told(due.item, self._meter.joules())
            self._report(lambda now_s: self.core.spans(spans))
