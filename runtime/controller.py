"""A controller's shell: joins workers, deploys plans on them, streams items through and collects what was measured."""

from __future__ import annotations

import queue
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from ..ui.errors import InputError
from . import wire, wire_requests, wire_types
from .about import software_version
from .assembly import Rejected
from .blobs import BlobStore
from .controlled import Receiver, Stream
from .deployment import Deployment
from .membership import HYSTERESIS, Hysteresis
from .patience import wait
from .requester import Item, Requester, Unreachable
from .session_core import Answered, Back, Clock, Done, Lost, SessionCore, Supply, Tell
from .stream_core import Deliver
from .supplies import Supplies
from .transport import Dialer, Listener, Network, PeerGone

POLL_S, SHORT_S = 0.02, 0.2
LEASE_S, JOIN_S = 3.0, 10.0


class ClusterFailure(InputError):
    """A worker cannot go on: which one and why, in one line."""


@dataclass(frozen=True)
class Member:
    """A worker: its name on the roster and the address where it takes control messages."""

    name: str
    address: str


class Controller:
    """A session with workers.

    Args:
        members: the workers.
        network: connects to them.
        data: where they send results; ``results`` is its address as they reach it.
        store: where the weights are that workers may lack.
        lease_s, join_s: how long a worker may be silent, and how long it may take to answer first.
        returns: whether workers may go and come back, for a :class:`.service.Service`.
        needs_all: whether all must answer at the beginning, not some.
        hysteresis: how long one that was lost is not used after it has answered again.

    Raises:
        ClusterFailure: a worker refuses, or does not answer in time; all of them, where not all are needed.
    """

    def __init__(
        self,
        members: Sequence[Member],
        network: Network,
        data: Listener,
        store: BlobStore,
        results: str = "",
        lease_s: float = LEASE_S,
        join_s: float = JOIN_S,
        returns: bool = False,
        needs_all: bool = True,
        hysteresis: Hysteresis = HYSTERESIS,
    ) -> None:
        self.members, self.network, self.data, self.store = {m.name: m for m in members}, network, data, store
        self.session = secrets.token_hex(16)
        begun_s = time.monotonic()
        self.core = SessionCore(
            self.session, software_version(), results or data.address, self.members, begun_s, lease_s, join_s, returns,
            hysteresis,
        )  # fmt: skip
        self.drops = self.core.drops
        self.lock = threading.Lock()
        self.told: queue.SimpleQueue[Any] = queue.SimpleQueue()  # what a stream is to do, and its results
        self._stream: Stream | None = None
        self._changed = threading.Condition(self.lock)
        self._outgoing: queue.Queue[Tell | Supply] = queue.Queue()
        self._supplies = Supplies(self.session, store)  # of the control thread
        self._late: dict[str, bytes] = {}  # plans that could not be handed over yet, of the control thread
        self._stopping = threading.Event()
        self.receiver: Receiver | None = None  # of the epoch
        self._numbers = count(1)  # of requests
        self._asked: dict[int, str] = {}
        self._answers: dict[int, wire_requests.AnyAnswer] = {}
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._guarded, args=(body,), name=f"controller {body.__name__[1:]}", daemon=True)
            for body in (self._converse, self._receive)
        ]
        self.dialers: dict[str, Dialer] = {}  # for data, of the thread that sends them
        self._dialled: dict[str, wire.Peer] = {}
        for thread in self._threads:
            thread.start()
        try:
            self._until(lambda: self.core.state != "FORMING", join_s + 5.0, "join", ())
            if self.core.lost and (needs_all or not self.core.membership.usable):
                raise self._failure(*next(iter(self.core.lost.items())))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Controller:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def welcomes(self) -> Mapping[str, wire.Welcome]:
        """What every worker said of itself when it joined."""
        return self.core.welcomes

    @property
    def requester(self) -> Requester | None:
        """Of the epoch, where images go through it."""
        return self.receiver if isinstance(self.receiver, Requester) else None

    @property
    def clocks(self) -> Mapping[str, Clock]:
        """Every worker's clock, as far as heartbeats have told it."""
        return self.core.clocks

    def data_address(self, worker: str) -> str:
        """Where a worker takes rows."""
        return f"{self.members[worker].address.rpartition(':')[0]}:{self.core.welcomes[worker].data}"

    def ask(
        self, worker: str, kind: type[wire_requests.Request], timeout_s: float, **fields: Any
    ) -> wire_requests.AnyAnswer:
        """Have a worker measure something; from several threads at once for several workers.

        Args:
            worker: that is asked for nothing else now.
            kind: of request, with its ``fields``.

        Raises:
            ClusterFailure: the worker refuses or is lost, or it takes too long.
        """
        number = next(self._numbers)
        with self.lock:
            self.check()  # nothing more is asked once all was given up
            self._asked[number] = worker
            self.act([Tell(worker, kind(self.session, number, **fields))])  # type: ignore[arg-type]
        try:
            self._until(lambda: number in self._answers, timeout_s, "measure what it was asked for", [worker])
            return self._answers[number]
        finally:
            with self.lock:
                del self._asked[number]
                self._answers.pop(number, None)

    def reset(self, worker: str) -> None:
        """Have a worker forget what it has ready."""
        with self.lock:
            self.act([Tell(worker, wire.Reset(self.session, self.core.epoch))])

    def give_up(self, error: BaseException) -> None:
        """Have everybody who waits for workers stop with this error."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def check(self) -> None:
        """See that the threads are well.

        Raises:
            BaseException: what ended one of them.
        """
        if self._error is not None:
            raise self._error

    def deploy(self, deployment: Deployment, timeout_s: float = 600.0) -> None:
        """Have workers ready for a plan.

        Raises:
            ClusterFailure: a worker cannot, or is not ready in time.
        """
        with self.lock:
            messages = self.begin(deployment)
            self.act(self.core.deploy(messages))
        self._until(lambda: self.core.state == "SERVING", timeout_s, "get ready for the plan")

    def begin(self, deployment: Deployment, first: int = 0) -> dict[str, wire.PlanMessage]:
        """Have everything here for a new epoch; returns its messages. For the thread that scatters, with the lock."""
        peers = self.dial(deployment.members)
        self.receiver = Requester(self.session, self.core.epoch + 1, deployment, self.dialers, first)
        return deployment.messages(self.session, self.core.epoch + 1, peers, first)

    def dial(self, workers: Iterable[str], anew: bool = False) -> dict[str, wire.Peer]:
        """Have connections for data to workers, and say where those are. For the thread that sends, with the lock.

        Args:
            anew: leave none that there is: what it may have lost comes never again.
        """
        peers = {
            name: wire.Peer(name, self.data_address(name), self.core.welcomes[name].incarnation) for name in workers
        }
        for name, peer in peers.items():
            if anew or self._dialled.get(name) != peer:
                if name in self.dialers:
                    self.dialers.pop(name).close()
                self.dialers[name], self._dialled[name] = self.network.dial(peer.address, name), peer
            else:
                self.dialers[name].poll(0.0)  # if it has ended since, that is no news of this epoch
        return peers

    def attend(self) -> None:
        """See to the connections for rows. For the thread that scatters."""
        for dialer in self.dialers.values():
            dialer.attend()

    def run(self, images: Sequence[np.ndarray] | Iterator[np.ndarray], timeout_s: float = 60.0) -> Iterator[Item]:
        """Send images through the deployed plan and yield them in order, as many under way as the plan was deployed
        with.

        Args:
            images: uint8, (channels, rows, width) each.
            timeout_s: most that an item may take.

        Raises:
            ClusterFailure: a worker was lost, or an item took too long.
        """
        requester = self.requester
        assert requester is not None
        waiting: list[int] = []
        for item, image in enumerate(images, requester.next):
            if len(waiting) == requester.deployment.in_flight:
                yield self._finished(requester, waiting.pop(0), timeout_s)
            waiting.append(item)
            self._scatter(requester, item, image)
        while waiting:
            yield self._finished(requester, waiting.pop(0), timeout_s)

    def _scatter(self, requester: Requester, item: int, image: np.ndarray) -> None:
        with self.lock:
            requester.begin(item)
        try:
            spans = requester.scatter(item, image)
        except Unreachable as error:
            raise ClusterFailure(f"worker {error}") from None
        with self.lock:
            requester.scattered(item, spans or [])

    def _finished(self, requester: Requester, item: int, timeout_s: float) -> Item:
        def is_done() -> bool:
            self.attend()
            return requester.is_done(item)

        self._until(is_done, timeout_s, f"finish item {item}")
        with self.lock:
            return requester.pop(item)

    def follow(self, stream: Stream | None) -> None:
        """Have a stream decide what becomes of workers; what it wants done is :attr:`told`. For who has the lock."""
        self._stream = stream

    def act(self, actions: Sequence[Any]) -> None:
        """Do what was decided, or have it done. For who has the lock."""
        for action in actions:
            match action:
                case Tell() | Supply():
                    self._outgoing.put(action)
                case Done():
                    if self.receiver is None or not self.receiver.told(action.worker, action.spans):
                        self.drops.add("reports of what no plan has")
                case Answered():
                    if self._asked.get(action.answer.request) == action.worker:
                        self._answers[action.answer.request] = action.answer
                case Deliver():
                    assert self.requester is not None
                    self.told.put(self.requester.pop(action.item))
                case Lost() | Back():
                    if self._stream is not None:
                        self.told.put(action)
                case _:
                    self.told.put(action)

    def close(self) -> None:
        """End the session; workers are free for the next."""
        with self.lock:
            self.act(self.core.over())
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        for dialer in self.dialers.values():
            dialer.close()
        self.data.close()

    def _failure(self, worker: str, reason: str) -> ClusterFailure:
        return ClusterFailure(f"worker {worker} ({self.members[worker].address}): {reason}")

    def _until(self, there: Callable[[], bool], timeout_s: float, what: str, of: Collection[str] | None = None) -> None:
        """Wait for something that the threads bring about.

        Raises:
            ClusterFailure: a worker that it hangs on (by default any) is lost, or it takes too long.
        """
        due_s = time.monotonic() + timeout_s
        with self._changed:
            while not there():
                self.check()
                lost = self.core.lost if self._stream is None else {}
                for name, reason in lost.items():
                    if of is None or name in of:
                        raise self._failure(name, reason)
                left_s = due_s - time.monotonic()
                if left_s <= 0:
                    late = ", ".join(of or self.core.missing) or "the cluster"
                    raise ClusterFailure(f"{late}: did not {what} within {timeout_s:g} s")
                self._changed.wait(min(left_s, 0.5))

    # threads ------------------------------------------------------------------------------------------------------

    def _guarded(self, body: Callable[[], None]) -> None:
        try:
            body()
        except BaseException as error:
            self.give_up(error)

    def _converse(self) -> None:
        dialers = {name: self.network.dial(member.address, name) for name, member in self.members.items()}
        try:
            while not (self._stopping.is_set() and self._outgoing.empty()):
                for event in self.network.poll(list(dialers.values()), 0.0 if self._supplies else POLL_S):
                    if event.kind == "message":
                        self._heard(event.peer, event.header)
                    else:
                        self._connection(event.peer, event.kind == "up")
                if not self._stopping.is_set():
                    self._tick()
                while not self._outgoing.empty():
                    self._say(self._outgoing.get(), dialers)
                for worker, plan in list(self._late.items()):
                    self._plan(worker, plan, dialers, 0.0)
                self._supplies.go_on(dialers)
        finally:
            for dialer in dialers.values():
                dialer.close()

    def _decide(self, decide: Callable[[Any, float], Sequence[Any]]) -> None:
        """Ask the stream, or where there is none the session, and do what it says."""
        with self._changed:
            actions = decide(self._stream or self.core, time.monotonic())
            self.act(actions)
            if actions:
                self._changed.notify_all()

    def _connection(self, worker: str, is_up: bool) -> None:
        if is_up:
            with self.lock:
                self.core.up(worker)
        else:
            self._decide(lambda core, now_s: core.down(worker, now_s))

    def _heard(self, worker: str, header: bytes) -> None:
        try:
            message = wire.decode_control(header)
        except wire_types.WireError:
            self.drops.add("malformed messages of workers")
            return
        self._decide(lambda core, now_s: core.control(worker, message, now_s))
        with self._changed:
            self._changed.notify_all()

    def _tick(self) -> None:
        stream, receiver = self._stream, self.receiver
        if stream is None:
            self._decide(lambda core, now_s: core.tick(now_s))
        else:
            self._decide(lambda core, now_s: core.tick(now_s, receiver.lacks if receiver else ""))

    def _say(self, action: Tell | Supply, dialers: Mapping[str, Dialer]) -> None:
        if isinstance(action, Supply):
            due = () if self.receiver is None else self.receiver.offers(action.worker)
            self._supplies.begin(action.worker, action.epoch, [digest for digest in action.digests if digest in due])
            return
        if isinstance(action.message, wire.AnyPlan | wire.Reset | wire.Bye):  # what was before it is over
            self._supplies.end(action.worker)
            self._late.pop(action.worker, None)
        message = wire.encode(action.message)
        if isinstance(action.message, wire.AnyPlan):
            self._plan(action.worker, message, dialers, SHORT_S)
            return
        try:
            dialers[action.worker].send(message, timeout_s=0.0)  # it is said again
        except PeerGone as error:  # its lease ends, or it has never been there
            with self.lock:
                self.core.unreachable(action.worker, error.why)

    def _plan(self, worker: str, message: bytes, dialers: Mapping[str, Dialer], timeout_s: float) -> None:
        """Hand a plan over, now or as soon as a worker takes it; one that never does is late for its epoch."""
        try:
            dialers[worker].send(message, timeout_s=timeout_s)
            self._late.pop(worker, None)
        except PeerGone:
            self._late[worker] = message

    def _receive(self) -> None:
        while not self._stopping.is_set():
            for event in self.data.poll(POLL_S):
                if event.kind != "message":
                    continue
                payload = event.payload or memoryview(b"")
                try:
                    chunk = wire.decode_chunk(event.header, len(payload))
                except wire_types.WireError:
                    self.drops.add("malformed rows")
                    continue
                self._result(event.peer, chunk, payload)

    def _result(self, worker: str, data: wire.Data, payload: memoryview) -> None:
        receiver = self.receiver
        if receiver is None or not self._accepts(receiver, worker, data):
            self.drops.add("rows of another plan or sender")
            return
        held_s = receiver.held_s(worker, data, len(payload))
        wait(time.monotonic() + held_s, lambda: self.receiver is not receiver)
        with self._changed:
            try:
                if not self._accepts(receiver, worker, data) or not receiver.take(worker, data, payload, held_s):
                    return
            except Rejected:
                self.drops.add("rows that nobody waits for")
                return
            if self._stream is not None and isinstance(data, wire.Chunk):
                self.act(self._stream.came(data.epoch, data.item, time.monotonic()))
            self._changed.notify_all()

    def _accepts(self, receiver: Receiver, worker: str, data: wire.Data) -> bool:
        return self.receiver is receiver and self.core.accepts(worker, data)
