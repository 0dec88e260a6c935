"""Pipelined training of a client and one server (EdgeMove): the client's half under strict 1F1B with weight stashing.

With K minibatches in flight the client runs F0 .. F(K-1), then B0, FK, B1, F(K+1), ..: after every backward pass the
next forward first. Minibatch i runs forward *and* backward on the weights that the client had at its forward pass
(its stash, K - 1 updates old in steady state); its gradients are applied to the present ones. The server runs both
passes and updates at once, so it is never stale; what it has updated counts once it is logged, and is taken back
where somebody is lost before. Batch-norm statistics on the client follow the order of forward passes.

A move of layers drains the pipeline: no minibatch has its forward pass under one cut and its backward pass under
another. Then the layers' state (weights, momentum, statistics) goes to the new holder, and the pipeline fills anew, on
the same weights. So the weight version of every minibatch follows from where the drains are, never from timing: where
the client does not know yet whether another minibatch or a drain comes next, it waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from ...models.chain import MAIN
from ..wire_training import AnyEntry, Backward, Do, Exchange, Minibatch, Move
from ..wire_types import WireError
from .back import forward_packet
from .core import Rules
from .half import Half, step_of
from .member import Member
from .order import Batches
from .packets import Outgoing, Packet, expect
from .state import State

CLIENT, SERVER = "client", "server"
STASH = "stash:"  # of a minibatch in flight, in a client's state


class Client(Member):
    """The client, which has the data and begins every minibatch.

    Args:
        half: its copy of the network, with stashes unless ``in_flight`` is 1.
        batches: what it trains on.
        cut: steps of the model that it trains first.
        in_flight: most minibatches between their forward and backward passes, K.
        every: entries between its snapshots, 0 for none.
    """

    half: Half

    def __init__(
        self, half: Half, batches: Batches, cut: int, in_flight: int = 2, every: int = 0, recovers: bool = True
    ) -> None:
        super().__init__(CLIENT, half, recovers)
        self._batches, self._cut, self._most, self._every = batches, cut, in_flight, every
        self._due: deque[tuple[int, AnyEntry]] = deque()  # entries that are not begun
        self._flying: deque[tuple[int, Minibatch]] = deque()  # between their passes
        self._samples: dict[int, int] = {}  # of their batches
        self._gradients: dict[int, dict[str, Tensor]] = {}  # that came back
        self._waiting: tuple[int, AnyEntry] | None = None  # for its commit
        self._stashed: dict[int, dict[str, Tensor]] = {}  # versions of minibatches that are begun again

    def begin_epoch(self) -> None:
        self._due.clear()
        self._flying.clear()
        self._samples.clear()
        self._gradients.clear()
        self._stashed.clear()
        self._waiting = None

    def held(self) -> Sequence[int]:
        return range(self._cut)

    def state(self) -> State:
        """Beside its steps' state the weights that minibatches in flight began with."""
        state = super().state()
        for number in (number for number, entry in self._flying if entry.cut):
            state |= {f"{STASH}{number}:{name}": value for name, value in self.half.version(number).items()}
        return state

    def take_state(self, state: State) -> None:
        own = {name: value for name, value in state.items() if not name.startswith(STASH)}
        for name in state.keys() - own.keys():
            _, number, parameter = name.split(":")
            self._stashed.setdefault(int(number), {})[parameter] = state[name]
        self._cut = 1 + max((step_of(name) for name in own), default=-1)
        self.half.load(own)

    def take(self, sender: str, packet: Packet) -> Iterable[Outgoing]:
        header = packet.header
        match header:
            case Do(entry=Minibatch() | Move()):
                self._due.append((header.number, header.entry))
            case Backward() if header.number in self._samples:
                self._came_back(packet, header)
            case Exchange():
                return self.exchanged(sender, packet, header)
            case _:
                raise WireError(f"{self.name}: {type(header).__name__} {header.number} is not due")
        return self._advance()

    def committed(self, number: int) -> None:
        _, entry = self._waiting or (number, None)
        self._waiting = None
        if isinstance(entry, Minibatch):
            self.half.apply(number, entry.rate)
        elif isinstance(entry, Move):
            self._cut = entry.after

    def commits(self, number: int) -> bool:
        return self._waiting is not None and self._waiting[0] == number

    def go_on(self) -> Iterable[Outgoing]:
        return self._advance()

    def _came_back(self, packet: Packet, header: Backward) -> None:
        entry = next(entry for number, entry in self._flying if number == header.number)
        due = self.half.due(entry.cut, self._samples.pop(header.number))
        self._gradients[header.number] = dict(expect(packet, due))

    def _advance(self) -> Iterator[Outgoing]:
        """Do whatever strict 1F1B has next, as long as that can be done."""
        while self._waiting is None:
            following = self._due[0][1] if self._due else None
            full = len(self._flying) == self._most
            if isinstance(following, Minibatch) and not full:
                yield from self._forward(*self._due.popleft())
            elif self._flying and self._flying[0][0] in self._gradients and (full or isinstance(following, Move)):
                yield from self._backward()
            elif isinstance(following, Move) and not self._flying:
                yield from self._move(*self._due.popleft())
            else:
                break

    def _forward(self, number: int, entry: AnyEntry) -> list[Outgoing]:
        assert isinstance(entry, Minibatch)
        images, labels = self._batches.batch(entry.batch)
        if entry.cut == len(self.half.network):  # alone: one minibatch after another
            measures, _ = self.half.finish(number, 0, {MAIN: images}, labels)
            self._waiting = number, entry
            return [self.prepared(number, measures)]
        self._flying.append((number, entry))
        if entry.cut:
            self._samples[number] = len(labels)
            crossing = self.half.forward(number, 0, entry.cut, {MAIN: images}, self._stashed.pop(number, None))
        else:  # the images themselves are sent, and nothing returns
            self._gradients[number], crossing = {}, {MAIN: images}
        packet = forward_packet(self.epoch, number, entry.cut, entry.rate, crossing, labels)
        return [Outgoing(SERVER, packet)]

    def _backward(self) -> list[Outgoing]:
        number, entry = self._flying.popleft()
        gradients = self._gradients.pop(number)
        if entry.cut:
            self.half.backward(number, gradients)
            self.half.apply(number, entry.rate)
        sends, behind = [self.prepared(number)], number + 1
        return [*sends, self.snapshot(behind)] if self._every and behind % self._every == 0 else sends

    def _move(self, number: int, entry: AnyEntry) -> list[Outgoing]:
        assert isinstance(entry, Move)
        self._waiting = number, entry
        if entry.before == entry.after == len(self.half.network):
            return [self.prepared(number)]
        gives, wants = range(entry.after, entry.before), tuple(range(entry.before, entry.after))
        send = Outgoing(SERVER, Packet(Exchange(self.epoch, number, entry.after, wants), self.half.state(gives)))
        return [send] if wants else [send, self.prepared(number)]


@dataclass(frozen=True)
class PipelineRules(Rules):
    """How a pipeline's entries go.

    Args:
        steps: of the model.
        in_flight: K.
    """

    steps: int
    in_flight: int

    @property
    def window(self) -> int:
        """The client must know what comes behind the K minibatches in flight."""
        return self.in_flight + 2

    def concerned(self, entry: AnyEntry) -> Sequence[str]:
        if isinstance(entry, Minibatch):
            return self.members if entry.cut < self.steps else (CLIENT,)
        alone = isinstance(entry, Move) and entry.before == entry.after == self.steps
        return (CLIENT,) if alone else self.members

    def waits(self, entry: AnyEntry) -> bool:
        return isinstance(entry, Move) or (isinstance(entry, Minibatch) and entry.cut == self.steps)

    def is_determined(self, entries: Sequence[AnyEntry], number: int) -> bool:
        """A backward pass waits for the forward pass of the K-th minibatch, or for a drain."""
        behind = entries[number : number + self.in_flight]
        return len(behind) == self.in_flight or any(self.waits(entry) for entry in behind)

    def drain(self, entries: Sequence[AnyEntry]) -> AnyEntry | None:
        if not entries or self.is_determined(entries, len(entries) - 1):
            return None
        last = entries[-1]
        assert isinstance(last, Minibatch)
        return Move(last.cut, last.cut)

    def snapshots(self, entry: AnyEntry) -> bool:
        return not self.waits(entry)
