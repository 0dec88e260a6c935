"""A controller's shell: joins workers, deploys plans on them, streams items through and collects what was measured."""

from __future__ import annotations

import math
import queue
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from ..models.model import Model, ValueBytes
from ..models.plans import SpatialPlan
from ..models.serial import to_plain
from ..ui.errors import InputError
from . import wire
from .about import software_version
from .assembly import Assembly, Rejected, outputs
from .blobs import BlobStore
from .geometry import REQUESTER, Geometry
from .pacing import Receiver, RequesterPace, wait
from .session_core import Action, Answered, Clock, Done, Lost, SessionCore, Supply, Tell
from .supplies import Supplies
from .transport import CHUNK_BYTES, Buffer, Dialer, Listener, Network, PeerGone
from .under_way import Deployed, UnderWay

POLL_S = 0.02
DTYPES = {wire.FLOAT32: np.float32, wire.FLOAT16: np.float16}


def _image_bytes(rows: np.ndarray, dtype: int) -> bytes:
    """Rows of an image of bytes as they go over the wire."""
    if dtype == wire.UINT8:
        return rows.tobytes()
    return (rows * np.float32(wire.IMAGE_SCALE)).astype(DTYPES[dtype]).tobytes()


class ClusterFailure(InputError):
    """A worker cannot go on: which one and why, in one line."""


@dataclass(frozen=True)
class Member:
    """A worker: its name on the roster and the address where it takes control messages."""

    name: str
    address: str


@dataclass(frozen=True)
class Item:
    """One item that went through.

    Attributes:
        index: in the stream.
        outputs: the network's output, then its side heads in order: (1, channels, rows, width), the tail's (1, values).
        begun_s, latency_s: when its first row left, and how long until its last one was back. Where only the first
            volumes are run nothing comes back: no outputs, and NaN.
        spans: what every worker did, and the requester's own under "".
        overrun_s: of all workers together; above 0 the item says nothing about emulated devices.
        joules: used so far by every worker whose board tells.
    """

    index: int
    outputs: tuple[np.ndarray, ...]
    begun_s: float
    latency_s: float
    spans: Mapping[str, tuple[wire.Span, ...]]
    overrun_s: float
    joules: Mapping[str, float]


class Controller:
    """A session with workers.

    Args:
        members: the workers.
        network: connects to them.
        data: where they send results; ``results`` is its address as they reach it.
        store: where the weights are that workers may lack.
        lease_s, join_s: how long a worker may be silent, and how long it may take to answer first.

    Raises:
        ClusterFailure: a worker refuses, or does not answer in time.
    """

    def __init__(
        self,
        members: Sequence[Member],
        network: Network,
        data: Listener,
        store: BlobStore,
        results: str = "",
        lease_s: float = 3.0,
        join_s: float = 10.0,
    ) -> None:
        self.members, self.network, self.data, self.store = {m.name: m for m in members}, network, data, store
        self.session = secrets.token_hex(16)
        self.core = SessionCore(
            self.session, software_version(), results or data.address, self.members, time.monotonic(), lease_s, join_s,
        )  # fmt: skip
        self.drops = self.core.drops
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._outgoing: queue.Queue[Action] = queue.Queue()
        self._supplies = Supplies(store)  # of the control thread
        self._stopping = threading.Event()
        self._deployed: Deployed | None = None
        self._assembly: Assembly | None = None
        self._clock: Receiver | None = None
        self._items: dict[int, UnderWay] = {}
        self._next = 0
        self._numbers = count(1)  # of requests
        self._asked: dict[int, str] = {}
        self._answers: dict[int, wire.AnyAnswer] = {}
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._guarded, args=(body,), name=f"controller {body.__name__[1:]}", daemon=True)
            for body in (self._converse, self._receive)
        ]
        self._data_dialers: dict[str, Dialer] = {}
        for thread in self._threads:
            thread.start()
        try:
            self._until(lambda: self.core.state != "FORMING", join_s + 5.0, "join")
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
    def clocks(self) -> Mapping[str, Clock]:
        """Every worker's clock, as far as heartbeats have told it."""
        return self.core.clocks

    def data_address(self, worker: str) -> str:
        """Where a worker takes rows."""
        return f"{self.members[worker].address.rpartition(':')[0]}:{self.core.welcomes[worker].data}"

    def ask(self, worker: str, kind: type[wire.Request], timeout_s: float, **fields: Any) -> wire.AnyAnswer:
        """Have a worker measure something; from several threads at once for several workers.

        Args:
            worker: that is asked for nothing else now.
            kind: of request, with its ``fields``.

        Raises:
            ClusterFailure: the worker refuses or is lost, or it takes too long.
        """
        number = next(self._numbers)
        with self._lock:
            self._asked[number] = worker
            self._push([Tell(worker, kind(self.session, number, **fields))])  # type: ignore[arg-type]
        try:
            self._until(lambda: number in self._answers, timeout_s, "measure what it was asked for", [worker])
            return self._answers[number]
        finally:
            with self._lock:
                del self._asked[number]
                self._answers.pop(number, None)

    def reset(self, worker: str) -> None:
        """Have a worker forget what it has ready."""
        self._push([Tell(worker, wire.Reset(self.session, self.core.epoch))])

    def give_up(self, error: BaseException) -> None:
        """Have everybody who waits for workers stop with this error."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def deploy(
        self,
        model: Model,
        weights: Sequence[str],
        plan: SpatialPlan,
        members: Sequence[str],
        dtype: int = wire.FLOAT32,
        in_flight: int = 1,
        paces: Sequence[wire.Pace] | None = None,
        requester: RequesterPace | None = None,
        volumes: int | None = None,
        timeout_s: float = 600.0,
        image_dtype: int = wire.UINT8,
    ) -> None:
        """Have workers ready for a plan.

        Args:
            model: the network.
            weights: digests of its steps' blobs in the store.
            plan: validated against the model.
            members: the worker that plays each of the plan's devices.
            dtype: what activations are on the wire.
            in_flight: items that may be under way at once.
            paces: of emulated devices.
            requester: the pace of the emulated requester.
            volumes: how many of the plan's are run; all by default.
            image_dtype: what images are on the wire.

        Raises:
            ClusterFailure: a worker cannot, or is not ready in time.
        """
        value_bytes = ValueBytes(wire.VALUE_BYTES[dtype], wire.VALUE_BYTES[image_dtype])
        geometry = Geometry(model, plan, value_bytes, volumes)
        with self._lock:
            peers = tuple(
                wire.Peer(name, self.data_address(name), self.core.welcomes[name].incarnation) for name in members
            )
            epoch, model_data, plan_data = self.core.epoch + 1, to_plain(model), plan.to_json()
            messages = {
                name: wire.PlanMessage(
                    self.session, epoch, d, model_data, tuple(weights), tuple(geometry.steps(d)),
                    plan_data, geometry.volumes, dtype, peers,
                    in_flight, paces[d] if paces else None, image_dtype,
                )
                for d, name in enumerate(members)
            }  # fmt: skip
            working = {name for d, name in enumerate(members) if geometry.parts(d)}
            self._deployed = Deployed(geometry, tuple(members), messages[members[0]], requester, frozenset(working))
            self._assembly = Assembly(geometry, REQUESTER, in_flight)
            self._clock = None if requester is None else Receiver()
            self._items, self._next = {}, 0
            self._push(self.core.deploy(messages))
        for peer in peers:
            if peer.name not in self._data_dialers:
                self._data_dialers[peer.name] = self.network.dial(peer.address, peer.name)
        self._until(lambda: self.core.state == "SERVING", timeout_s, "get ready for the plan")

    def run(self, images: Sequence[np.ndarray] | Iterator[np.ndarray], timeout_s: float = 60.0) -> Iterator[Item]:
        """Send images through the deployed plan and yield them in order, as many under way as the plan was deployed
        with.

        Args:
            images: uint8, (channels, rows, width) each.
            timeout_s: most that an item may take.

        Raises:
            ClusterFailure: a worker was lost, or an item took too long.
        """
        deployed = self._deployed
        assert deployed is not None
        waiting: list[int] = []
        for image in images:
            if len(waiting) == deployed.message.in_flight:
                yield self._finished(deployed, waiting.pop(0), timeout_s)
            waiting.append(self._scatter(deployed, image))
        while waiting:
            yield self._finished(deployed, waiting.pop(0), timeout_s)

    def close(self) -> None:
        """End the session; workers are free for the next."""
        with self._lock:
            self._push(self.core.over())
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        for dialer in self._data_dialers.values():
            dialer.close()
        self.data.close()

    # items --------------------------------------------------------------------------------------------------------

    def _scatter(self, deployed: Deployed, image: np.ndarray) -> int:
        geometry, message, pace = deployed.geometry, deployed.message, deployed.pace
        rows = [image[:, piece.lo : piece.hi] for (piece,) in geometry.scatter()]
        sent = [memoryview(_image_bytes(some, message.image_dtype)) for some in rows]  # split beforehand
        item, begun_s = self._next, time.monotonic()
        self._next += 1
        with self._lock:
            self._items[item] = UnderWay(begun_s)
        free_s, spans = begun_s, []
        for (piece,), data in zip(geometry.scatter(), sent, strict=True):
            start_s = free_s if pace is not None else time.monotonic()
            first_s = start_s + (pace.message_s[piece.receiver] if pace else 0.0)
            byte_s = pace.byte_s[piece.receiver] if pace else 0.0
            name = deployed.members[piece.receiver]
            for offset in range(0, len(data), CHUNK_BYTES):
                part = data[offset : offset + CHUNK_BYTES]
                if pace is not None:
                    wait(first_s + (offset + len(part)) * byte_s)
                chunk = wire.Chunk(
                    self.session, message.epoch, 0, item, piece.boundary, piece.tensor, piece.lo, piece.hi,
                    message.image_dtype, message.weights[0], offset, len(data), len(data), first_s,
                )  # fmt: skip
                self._send(name, wire.encode(chunk), part)
            free_s = first_s + len(data) * byte_s
            spans.append(wire.Span("scatter", start_s, max(free_s, time.monotonic()), str(piece.receiver), len(data)))
        with self._lock:
            self._items[item].own += spans
        return item

    def _send(self, name: str, header: bytes, payload: Buffer) -> None:
        try:
            self._data_dialers[name].send(header, payload)
        except PeerGone as error:
            raise ClusterFailure(f"worker {name}: {error}") from None

    def _finished(self, deployed: Deployed, item: int, timeout_s: float) -> Item:
        def there() -> bool:
            found = self._items[item]
            came_back = found.ended_s > 0 or not deployed.geometry.is_whole
            return came_back and deployed.reporting <= set(found.spans)

        self._until(there, timeout_s, f"finish item {item}")
        with self._lock:
            found = self._items.pop(item)
        whole, latency_s = (), math.nan
        if deployed.geometry.is_whole:
            whole = outputs(deployed.geometry, found.came, DTYPES[deployed.message.dtype])
            latency_s = found.ended_s - found.begun_s
        spans = {**found.spans, "": tuple(found.own)}
        return Item(item, whole, found.begun_s, latency_s, spans, found.overrun_s, found.joules)

    def _until(self, there: Callable[[], bool], timeout_s: float, what: str, of: Collection[str] | None = None) -> None:
        """Wait for something that the threads bring about.

        Raises:
            ClusterFailure: a worker that it hangs on (by default any) is lost, or it takes too long.
        """
        due_s = time.monotonic() + timeout_s
        with self._changed:
            while not there():
                if self._error is not None:
                    raise self._error
                for name, reason in self.core.lost.items():
                    if of is None or name in of:
                        raise ClusterFailure(f"worker {name} ({self.members[name].address}): {reason}")
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

    def _push(self, actions: Sequence[Action]) -> None:
        for action in actions:
            self._outgoing.put(action)

    def _converse(self) -> None:
        dialers = {name: self.network.dial(member.address, name) for name, member in self.members.items()}
        try:
            while not (self._stopping.is_set() and self._outgoing.empty()):
                for event in self.network.poll(list(dialers.values()), 0.0 if self._supplies else POLL_S):
                    if event.kind == "message":
                        self._told(event.peer, event.header)
                with self._changed:
                    actions = [] if self._stopping.is_set() else self.core.tick(time.monotonic())
                    self._push(actions)
                    if any(isinstance(action, Lost) for action in actions):
                        self._changed.notify_all()
                while not self._outgoing.empty():
                    self._act(self._outgoing.get(), dialers)
                self._supplies.go_on(dialers)
        finally:
            for dialer in dialers.values():
                dialer.close()

    def _told(self, worker: str, header: bytes) -> None:
        try:
            message = wire.decode_control(header)
        except wire.WireError:
            self.drops.add("malformed messages of workers")
            return
        with self._changed:
            for action in self.core.control(worker, message, time.monotonic()):
                if isinstance(action, Done):
                    found = self._items.get(action.spans.item)
                    if self._deployed is None or not self._deployed.may_tell(action.spans.spans):
                        self.drops.add("reports of what no plan has")
                    elif found is not None:
                        found.spans[worker] = action.spans.spans
                        found.overrun_s += action.spans.overrun_s
                        if math.isfinite(action.spans.joules):
                            found.joules[worker] = action.spans.joules
                elif isinstance(action, Answered):
                    if self._asked.get(action.answer.request) == action.worker:
                        self._answers[action.answer.request] = action.answer
                else:
                    self._outgoing.put(action)
            self._changed.notify_all()

    def _act(self, action: Action, dialers: Mapping[str, Dialer]) -> None:
        if isinstance(action, Tell):
            try:
                dialers[action.worker].send(wire.encode(action.message), timeout_s=0.2)
            except PeerGone as error:  # its lease ends, or it has never been there
                with self._lock:
                    self.core.unreachable(action.worker, error.why)
        elif isinstance(action, Supply):
            due = () if self._deployed is None else self._deployed.message.weights
            self._supplies.begin(action.worker, [digest for digest in action.digests if digest in due])

    def _receive(self) -> None:
        while not self._stopping.is_set():
            for event in self.data.poll(POLL_S):
                if event.kind != "message":
                    continue
                payload = event.payload or memoryview(b"")
                try:
                    chunk = wire.decode_chunk(event.header, len(payload))
                except wire.WireError:
                    self.drops.add("malformed rows")
                    continue
                self._result(event.peer, chunk, payload)

    def _result(self, worker: str, chunk: wire.Chunk, payload: memoryview) -> None:
        deployed, assembly = self._deployed, self._assembly
        if deployed is None or assembly is None or worker not in deployed.members:
            self.drops.add("rows of no worker of the plan")
            return
        welcome = self.core.welcomes[worker]
        due = (self.session, deployed.message.epoch, welcome.incarnation, deployed.message.weights[0])
        if (chunk.session, chunk.epoch, chunk.incarnation, chunk.weights) != due:
            self.drops.add("rows of another plan or sender")
            return
        held_s, sender = 0.0, deployed.members.index(worker)
        if self._clock is not None and deployed.pace is not None:
            came_s = time.monotonic()
            ready_s = self._clock.ready_s(deployed.pace.in_byte_s[sender], chunk.begun_s, len(payload), came_s)
            held_s = ready_s - came_s
            wait(ready_s)
        try:
            complete = assembly.add(sender, chunk, payload)
        except Rejected:
            self.drops.add("rows that nobody waits for")
            return
        now_s = time.monotonic()
        with self._changed:
            found = self._items.get(chunk.item)
            if found is not None and chunk.offset + len(payload) == chunk.size:
                found.own.append(
                    wire.Span("receive", chunk.begun_s, now_s, str(sender), chunk.size, chunk.boundary, held_s)
                )  # fmt: skip
            if not complete:
                return
            if found is not None:
                found.came, found.ended_s = assembly.take(chunk.item, chunk.boundary), now_s
            assembly.over(chunk.item)
            self._changed.notify_all()
