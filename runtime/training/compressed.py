"""Split training through a compressing cut (Deprune, Algorithms 1-2): the client's half and the server's.

FORWARD carries the kept maps, times their f, the filter and the labels; BACKWARD the gradients of those maps. What the
budget adds to the filter's gradient the client knows from f alone. Behind a soft filter more maps travel than are
counted, a simulation for members in one process; over a wire the filter is hard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ...models.compression import Interface
from ...models.runnable.compression import ClientHalf, Message, Reply, ServerHalf
from ..wire_training import AnyEntry, Backward, Compressed, Do, Forward, Redraw
from ..wire_types import WireError
from .budget import prune_gradient, prune_loss, reset_filter, scaled_delta
from .core import Rules
from .half import LABELS, Recipe, Scale, measured, set_rate
from .member import Member
from .order import RESET, Batches, generator
from .packets import Outgoing, Packet, expect
from .settings import Settings
from .state import State, load_state, state_of
from .watch import NO_WATCH, Watch

CLIENT, SERVER = "client", "server"
MAPS, FILTER, OTHER = "maps", "filter", "other."
LOGITS = "compressor.logits"


class Held:
    """A module whose gradients are held until they are applied.

    Args:
        module: in training mode.
        recipe: of its updates; the filter's logits decay no more than their budget says.

    Attributes:
        watch: takes notice of what is computed.
    """

    watch: Watch = NO_WATCH

    def __init__(self, module: nn.Module, recipe: Recipe) -> None:
        self._module = module
        named = list(module.named_parameters())
        logits = [value for name, value in named if name == LOGITS]
        others = [value for name, value in named if name != LOGITS]
        self._optimizer = recipe.make(others, logits) if named else None
        self._before: State = {}

    def begin(self) -> None:
        """A step begins: no gradients, and the present statistics are kept."""
        self._module.zero_grad(set_to_none=True)
        self._before = {name: value.clone() for name, value in self._module.named_buffers()}

    def apply(self, rate: float) -> None:
        """Bring the held gradients into force."""
        if self._optimizer is not None:
            set_rate(self._optimizer, rate)
            self._optimizer.step()
        self.drop()

    def state(self, steps: Sequence[int] = ()) -> State:
        """A copy of all of it, in front of the step that is held."""
        return {**state_of(self._module, self._optimizer), **{n: v.clone() for n, v in self._before.items()}}

    def load(self, state: State) -> None:
        """Take a state over."""
        load_state(self._module, self._optimizer, state)

    def drop(self) -> None:
        """Forget what is held."""
        self._module.zero_grad(set_to_none=True)
        self._before = {}


class CompressedClient(Member):
    """The client, which has the data and begins every step.

    Args:
        half: its part of the network, with the encoder.
        settings: of the training.
        batches: what it trains on.
        scale: of the images.
    """

    def __init__(
        self, half: ClientHalf, settings: Settings, batches: Batches, scale: Scale, recovers: bool = True
    ) -> None:
        held = Held(half, recipe_of(settings))
        super().__init__(CLIENT, held, recovers)
        self.module, self._held = half, held
        self._settings, self._batches, self._scale = settings, batches, scale
        self._open: Compressed | Redraw | None = None
        self._message: Message | None = None

    @property
    def _step(self) -> int:
        """Of the model, in which the cut is."""
        return self.module.interface.cut.step

    def begin_epoch(self) -> None:
        self._open = self._message = None

    def held(self) -> Sequence[int]:
        return ()

    def take(self, sender: str, packet: Packet) -> list[Outgoing]:
        header = packet.header
        match header:
            case Do(entry=Compressed() as entry):
                return self._forward(header.number, entry)
            case Do(entry=Redraw() as entry):
                self._open = entry
                return [self.prepared(header.number)]
            case Backward() if self._message is not None:
                return self._backward(header.number, packet, self._message)
        raise WireError(f"{self.name}: {type(header).__name__} {header.number} is not due")

    def committed(self, number: int) -> None:
        entry, self._open = self._open, None
        compressor = self.module.compressor
        if isinstance(entry, Compressed):
            with self._held.watch.over("update", number, 0, self._step):
                self._held.apply(entry.rate)
        elif entry is not None and compressor is not None:
            reset_filter(compressor.logits, generator(self._settings.seed, RESET, entry.before_epoch))

    def _forward(self, number: int, entry: Compressed) -> list[Outgoing]:
        client, self._open = self.module, entry
        self._held.begin()
        client.budget = entry.budget
        images, labels = self._batches.batch(entry.batch)
        with self._held.watch.over("forward", number, 0, self._step, len(labels)):
            message = self._message = client(self._scale(images), labels)
        tensors = {MAPS: message.maps, **numbered(message.others), LABELS: labels}
        if message.filter is not None:
            tensors[FILTER] = message.filter
        counted = message.counted if message.counted not in (None, message.maps.shape[1]) else -1
        header = Forward(self.epoch, number, self._step, entry.rate, client.trains, counted)
        send = Outgoing(SERVER, Packet(header, tensors))
        return [send] if client.trains else [send, self.prepared(number, self._measures(message, Reply(None)))]

    def _backward(self, number: int, packet: Packet, message: Message) -> list[Outgoing]:
        sent = {MAPS: message.maps, **numbered(message.others)}
        tensors = expect(packet, {name: (value.shape, value.dtype) for name, value in sent.items()})
        reply = Reply(tensors[MAPS], in_order(tensors), message.counted)
        measures, self._message = self._measures(message, reply), None
        with self._held.watch.over("backward", number, 0, self._step, len(message.maps)):
            self.module.backward(reply, self._filter_gradient(measures))
        return [self.prepared(number, measures)]

    def _measures(self, message: Message, reply: Reply) -> dict[str, float]:
        """Bytes by kind."""
        return {kind: float(count) for kind, count in (*message.sent_bytes.items(), *reply.sent_bytes.items())}

    def _filter_gradient(self, measures: dict[str, float]) -> Tensor | None:
        """ε · ∂pruneLoss/∂f̂, which the client knows from f alone."""
        s, compressor = self._settings, self.module.compressor
        if compressor is None:
            return None
        delta = scaled_delta(s.delta, self.module.interface.phi)
        with torch.no_grad():
            measures["prune"] = float(prune_loss(compressor.filter, compressor.budget, delta, s.lam))
        return s.epsilon * prune_gradient(compressor.logits, compressor.budget, delta, s.lam)


class CompressedServer(Member):
    """The server.

    Args:
        half: its part of the network, with the decoder.
        settings: of the training.
        others: shapes, without the batch, of what crosses beside the maps (see :func:`others_of`).
        largest: most samples of a batch.
    """

    def __init__(
        self,
        half: ServerHalf,
        settings: Settings,
        others: Sequence[Sequence[int]],
        largest: int,
        recovers: bool = True,
    ) -> None:
        held = Held(half, recipe_of(settings))
        super().__init__(SERVER, held, recovers)
        self.module, self._held = half, held
        self._others, self._largest = others, largest
        self._rate: float | None = None

    def begin_epoch(self) -> None:
        self._rate = None

    def held(self) -> Sequence[int]:
        return ()

    def take(self, sender: str, packet: Packet) -> list[Outgoing]:
        header = packet.header
        if not isinstance(header, Forward):
            raise WireError(f"{self.name}: {type(header).__name__} {header.number} is not due")
        message = self._message(packet, header)
        self._rate, self.waiting = header.rate, header.number
        self._held.begin()
        assert message.labels is not None
        with self._held.watch.over("train", header.number, *self._steps, len(message.labels)):
            reply, loss, output = self.module.step(message, reply=header.returns)
        prepared = self.prepared(header.number, measured(loss, output, message.labels))
        if reply.gradients is None:
            return [prepared]
        tensors = {MAPS: reply.gradients, **numbered(reply.others)}
        return [Outgoing(sender, Packet(Backward(self.epoch, header.number), tensors)), prepared]

    def committed(self, number: int) -> None:
        rate, self._rate = self._rate, None
        if rate is not None:
            with self._held.watch.over("update", number, *self._steps):
                self._held.apply(rate)

    @property
    def _steps(self) -> tuple[int, int]:
        """Of the model, behind the cut."""
        return self.module.interface.cut.step, self.module.body.stop

    def _message(self, packet: Packet, header: Forward) -> Message:
        labels, maps = packet.tensors.get(LABELS), packet.tensors.get(MAPS)
        if labels is None or not 0 < labels.numel() <= self._largest or maps is None or maps.dim() < 2:
            raise WireError(f"{self.name}: forward {header.number} has no maps, or no labels of up to {self._largest}")
        interface, count = self.module.interface, len(labels)
        budget = interface.check_budget(maps.shape[1])
        due = {MAPS: ((count, budget, *map_shape(interface)), torch.float32), LABELS: ((count,), torch.int64)}
        due |= {f"{OTHER}{i}": ((count, *shape), torch.float32) for i, shape in enumerate(self._others)}
        if interface.module:
            due[FILTER] = ((interface.phi,), torch.float32)
        tensors = expect(packet, due)
        counted = None if header.counted < 0 else header.counted
        return Message(maps, tensors.get(FILTER), labels, in_order(tensors), counted)


class CompressedRules(Rules):
    """How a compressed training's entries go."""

    def concerned(self, entry: AnyEntry) -> Sequence[str]:
        return (CLIENT,) if isinstance(entry, Redraw) else self.members


def recipe_of(settings: Settings) -> Recipe:
    """How the halves' weights are updated."""
    return Recipe(settings.optimizer, settings.momentum, settings.weight_decay)


def map_shape(interface: Interface) -> tuple[int, ...]:
    """Of one map as it crosses."""
    return () if interface.nodes else (interface.height, interface.width)


@torch.no_grad()
def others_of(client: ClientHalf) -> list[tuple[int, ...]]:
    """Shapes, without the batch, of what crosses beside the maps: tensors saved for later joins, side heads."""
    shape = client.body.model.input
    client.eval()  # so that the statistics stay
    message = client(torch.zeros(1, shape.folded_channels, shape.height, shape.width))
    client.train()
    return [tuple(value.shape[1:]) for value in message.others]


def numbered(others: Sequence[Tensor]) -> dict[str, Tensor]:
    """What crosses beside the maps, by name."""
    return {f"{OTHER}{i}": value for i, value in enumerate(others)}


def in_order(tensors: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """What :func:`numbered` named."""
    return tuple(tensors[f"{OTHER}{i}"] for i in range(sum(name.startswith(OTHER) for name in tensors)))
