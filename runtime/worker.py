"""A worker's shell: five threads round :class:`.worker_core.WorkerCore`, none of which waits without a deadline.

*Control* (the caller's thread) answers the controller and beats; *receive* takes chunks in; *compute* builds and runs
parts, and measures; *send* lets messages leave one after another; *keep* writes weights to the disk. What they share
is guarded by one lock that is held for bookkeeping only, never for work. What the core decides, whichever thread asked
it, the control thread does in the order of the decisions.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from ..models.plans import SpatialPlan
from ..models.serial import model_from
from ..ui.errors import InputError
from . import wire, wire_types
from .assembly import Rejected
from .bench import Bench
from .blobs import BlobStore
from .echo import answer
from .epoch import Epoch, Incoming, Outgoing, paced
from .geometry import REQUESTER, Geometry
from .keeper import Keeper
from .pacing import Receiver, Sender
from .patience import send_unless, wait
from .power import NO_METER, PowerMeter
from .spatial import Job, Spatial
from .transport import CHUNK_BYTES, Buffer, Dialer, Event, Listener, Network, PeerGone
from .worker_core import Action, Build, Drop, Measure, Reply, Store, WorkerCore

POLL_S = 0.02
SHORT_S = 0.002  # sockets are waited for in whole milliseconds
SEND_TIMEOUT_S = 5.0


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
        self._network, self._roles, self._meter, self._backend = network, roles, meter, backend
        self._lock = threading.RLock()
        self._work = threading.Condition(self._lock)
        self._stopping = threading.Event()
        self._network_of: Any = None  # the last plan's network, whose weights the next one may use too
        self._epoch: Epoch | None = None
        self._build: wire.PlanMessage | None = None
        self._bench = Bench(backend)
        self._outbox: queue.Queue[Outgoing | Epoch] = queue.Queue()
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
            for event in self.control.poll(POLL_S):
                self._controlled(event)
        self._report(lambda now_s: self.core.tick(now_s, self._lacks))
        self._act()

    def _lacks(self) -> str:
        """The peer whose rows the oldest item waits for."""
        epoch = self._epoch
        index = None if epoch is None else epoch.spatial.lacks()
        return "" if epoch is None or index is None else epoch.name(index)

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

    def _report(self, decide: Callable[[float], list[Action]], payload: Buffer = b"") -> None:
        """Tell the core something; what it decides is done by the control thread."""
        with self._lock:
            for action in decide(time.monotonic()):
                self._actions.put((action, payload))

    def _keep(self) -> None:
        self._keeper.run(self._stopping)

    # receive ------------------------------------------------------------------------------------------------------

    def _receive(self) -> None:
        pending: deque[Incoming] = deque()
        clock: tuple[Epoch, Receiver] | None = None
        while not self._stopping.is_set():
            left_s = pending[0].ready_s - time.monotonic() if pending else POLL_S
            events = self.data.poll(0.0 if left_s < SHORT_S else min(left_s, POLL_S))
            if not events and 0.0 < left_s < SHORT_S:
                time.sleep(left_s)
            for event in events:
                found = self._accepted(event)
                if found is None:
                    continue
                epoch, sender, chunk, payload = found
                if not epoch.hold(sender, len(payload)):
                    self.drops.add("rows beyond what the plan has under way")
                    continue
                ready_s = came_s = time.monotonic()
                pace = epoch.plan.pace
                if pace is not None:
                    if clock is None or clock[0] is not epoch:
                        clock = epoch, Receiver()
                    byte_s = pace.scatter_byte_s if sender == REQUESTER else pace.in_byte_s
                    ready_s = clock[1].ready_s(byte_s, chunk.begun_s, len(payload), came_s)
                pending.append(Incoming(ready_s, ready_s - came_s, epoch, sender, chunk, payload))
            while pending and pending[0].ready_s <= time.monotonic():
                self._take(pending.popleft())

    def _accepted(self, event: Event) -> tuple[Epoch, int, wire.Chunk, memoryview] | None:
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
            return epoch, epoch.index(event.peer), found, payload

    def _echo(self, peer: str, echo: wire.Echo, payload_bytes: int) -> None:
        with self._lock:
            wanted = self.core.echoes(peer, echo)
        if not wanted:
            self.drops.add("measuring that is not allowed")
            return
        with suppress(PeerGone):  # who waits for it notices
            answer(echo, payload_bytes, partial(self.data.reply, peer))

    def _take(self, incoming: Incoming) -> None:
        epoch, sender, chunk, payload = incoming.epoch, incoming.sender, incoming.chunk, incoming.payload
        epoch.held_bytes[sender] -= len(payload)
        with self._work:
            if self._epoch is not epoch:
                return
            try:
                complete = epoch.spatial.add(sender, chunk, payload)
            except Rejected:
                self.drops.add("rows that nobody waits for")
                return
            epoch.received(incoming, time.monotonic())
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

    def _due(self) -> tuple[wire.PlanMessage | None, Epoch | None, Job | None]:
        plan, self._build = self._build, None
        now_s = time.monotonic()
        if plan is not None or self._epoch is None:
            return plan if plan is not None and self.core.builds(plan, now_s) else None, None, None
        job = self._epoch.spatial.next_job()
        if job is not None:
            self.core.phase("compute", job.item, now_s)
        elif self.core.state == "READY":
            self.core.phase("waiting", 0, now_s)
        return None, self._epoch, job

    def _prepare(self, message: wire.PlanMessage) -> None:
        """Build the parts of a plan and be ready for its items."""
        try:
            epoch = self._built(message)
        except Exception as error:  # whatever torch or a GPU says
            reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            self._report(lambda now_s: self.core.failed(message.epoch, reason, now_s))
            return
        self._outbox.put(epoch)  # connect
        with self._lock:
            if self.core.plan is message:
                self._epoch = epoch
                self._report(partial(self.core.built, message.epoch))

    def _built(self, message: wire.PlanMessage) -> Epoch:
        from .compute import Executor, Network  # torch, only where something is computed

        model = model_from(message.model)
        plan = SpatialPlan.from_json(message.plan, "plan").validate(model)
        fits = len(message.peers) == len(plan.devices) > message.device and len(message.weights) == len(model.steps)
        if not fits or not 0 < message.volumes <= len(plan.ranges) or not paced(message, len(plan.devices)):
            raise InputError("plan: peers, device, weights, volumes or pace do not go with it")
        geometry = Geometry(model, plan, message.value_bytes, message.volumes)
        steps = geometry.steps(message.device)
        if self._network_of is None or not self._network_of.is_of(model, message.weights):
            self._network_of = Network(model, self.store, message.weights)
        torch_model = self._network_of.with_steps(steps)
        parts = None
        if self._backend == "tensorrt":
            from .engine_parts import EngineParts

            parts = EngineParts(torch_model, geometry.parts(message.device))
        executor = Executor(
            geometry, message.device, torch_model, message.dtype, message.pace, parts, message.image_dtype
        )
        spatial = Spatial(geometry, message.device, message.in_flight, message.first)
        with self._lock:
            return Epoch(message, spatial, executor, self.core.controller, self.core.results)

    def _run(self, epoch: Epoch, job: Job) -> None:
        before = self._meter.joules()
        try:
            begin_s, end_s, overrun_s = epoch.executor.run(job, lambda: self._epoch is not epoch)
        except Exception as error:  # whatever torch or a GPU says
            reason = f"volume {job.label} failed ({type(error).__name__}: {error})"
            self._report(lambda now_s: self.core.failed(epoch.plan.epoch, reason, now_s))
            return
        joules = self._meter.joules() - before
        with self._lock:
            if self._epoch is not epoch:
                return  # finished into another plan: nobody waits for it
            epoch.span(job.item, wire.Span("compute", begin_s, end_s, job.label, joules=joules))
            epoch.overrun_s[job.item] = epoch.overrun_s.get(job.item, 0.0) + overrun_s
            sends, ended = epoch.spatial.computed(job)
        for send in sends:
            rows = tuple(epoch.executor.rows(job.item, piece) for piece in send.pieces)
            self._outbox.put(Outgoing(epoch, job.item, send, rows))
        if ended:
            epoch.executor.over(job.item)
            self._outbox.put(Outgoing(epoch, job.item, None))

    # send ---------------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        with self._connections() as (connect, dialers):
            while not self._stopping.is_set():
                try:
                    due = self._outbox.get(timeout=0.2)
                except queue.Empty:
                    for dialer in dialers():
                        dialer.attend()
                    continue
                try:
                    if isinstance(due, Epoch):
                        connect(due)
                    elif self._epoch is not due.epoch:
                        continue
                    elif due.send is None:
                        self._finished(due.epoch, due.item)
                    else:
                        self._leave(due, connect(due.epoch))
                except InputError as error:  # an address that is none, or somebody who is not on the roster
                    number, reason = (due if isinstance(due, Epoch) else due.epoch).plan.epoch, str(error)
                    self._report(partial(self.core.failed, number, reason))

    @contextmanager
    def _connections(self) -> Iterator[tuple[Callable[[Epoch], dict[int, Dialer]], Callable[[], Iterable[Dialer]]]]:
        """Connections to everybody of the epoch that is asked for, those of the one before are closed; and all."""
        current: list[Any] = [None, {}]

        def connect(epoch: Epoch) -> dict[int, Dialer]:
            if current[0] is not epoch:
                close()
                peers = {i: peer.address for i, peer in enumerate(epoch.plan.peers) if i != epoch.plan.device}
                found: dict[int, Dialer] = current[1]
                for i, address in peers.items():
                    found[i] = self._network.dial(address, epoch.names[i])
                found[REQUESTER] = self._network.dial(epoch.results, epoch.controller)
                current[0] = epoch
            return current[1]

        def close() -> None:
            for dialer in current[1].values():
                dialer.close()
            current[:] = None, {}

        try:
            yield connect, lambda: current[1].values()
        finally:
            close()

    def _leave(self, due: Outgoing, connections: dict[int, Dialer]) -> None:
        from .compute import to_bytes

        epoch, send = due.epoch, due.send
        assert send is not None

        def given_up() -> bool:
            return self._epoch is not epoch

        begun_s, plan = time.monotonic(), epoch.plan
        pacer = None if plan.pace is None else Sender(plan.pace.message_s, plan.pace.byte_s)
        data = [to_bytes(rows, plan.dtype) for rows in due.rows]
        copied_s = time.monotonic()
        total, sent, first_s = sum(len(d) for d in data), 0, 0.0
        try:
            for piece, payload in zip(send.pieces, data, strict=True):
                for offset in range(0, len(payload), CHUNK_BYTES):
                    part = payload[offset : offset + CHUNK_BYTES]
                    sent += len(part)
                    if pacer is not None:
                        wait(pacer.due_s(send.receiver, begun_s, sent), given_up)
                    chunk = wire.Chunk(
                        self.core.session, plan.epoch, self.core.incarnation, due.item, piece.boundary, piece.tensor,
                        piece.lo, piece.hi, plan.dtype, plan.weights[0], offset, len(payload), total, begun_s,
                    )  # fmt: skip
                    if not send_unless(connections[send.receiver], wire.encode(chunk), part, SEND_TIMEOUT_S, given_up):
                        return
                    first_s = first_s or time.monotonic()
        except PeerGone as error:
            reason, peer = str(error), epoch.name(send.receiver)
            self._report(lambda now_s: self.core.failed(plan.epoch, reason, now_s, peer))
            return
        label = "R" if send.receiver == REQUESTER else str(send.receiver)
        wait_s = first_s - begun_s if pacer is None else pacer.message_s[send.receiver]
        copy_s = 0.0 if pacer is not None else copied_s - begun_s
        ended_s, boundary = time.monotonic(), send.pieces[0].boundary
        with self._lock:
            epoch.span(due.item, wire.Span("send", begun_s, ended_s, label, total, boundary, wait_s - copy_s, copy_s))

    def _finished(self, epoch: Epoch, item: int) -> None:
        with self._lock:
            done, overrun_s = tuple(epoch.spans.pop(item, ())), epoch.overrun_s.pop(item, 0.0)
            spans = wire.Spans(epoch.plan.session, epoch.plan.epoch, item, done, overrun_s, self._meter.joules())
            self._report(lambda now_s: self.core.spans(spans))
