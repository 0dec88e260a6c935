"""The half behind a cut, with its own optimiser: the edge of L2S, EdgeMove's server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from ..wire_training import Backward, Exchange, Forward
from ..wire_types import WireError
from .half import LABELS, Half, step_of
from .member import Member
from .packets import Outgoing, Packet, expect
from .state import State


class Back(Member):
    """A worker that trains the steps behind the cut.

    Args:
        half: a copy of the whole network.
        largest: most samples of a batch.
        cut: with ``at_once``: steps of the model in front of it at first.
        at_once: whether its updates come into force at once (a pipeline's), not when they are logged. They count as
            little before that: who loses a worker takes them back.
        every: with ``at_once``: entries between its snapshots; 0 for none.
    """

    half: Half

    def __init__(
        self,
        name: str,
        half: Half,
        largest: int,
        cut: int = 0,
        at_once: bool = False,
        every: int = 0,
        recovers: bool = True,
    ) -> None:
        super().__init__(name, half, recovers)
        self._cut, self._largest, self._at_once, self._every = cut, largest, at_once, every
        self._open: Forward | Exchange | None = None  # of the entry that is not logged

    def begin_epoch(self) -> None:
        self._open = None

    def held(self) -> Sequence[int]:
        return range(self._cut if self._at_once else 0, len(self.half.network))

    def take_state(self, state: State) -> None:
        self._cut = min((step_of(name) for name in state), default=len(self.half.network))
        super().take_state(state)

    def take(self, sender: str, packet: Packet) -> Iterable[Outgoing]:
        match packet.header:
            case Forward():
                return self._train(sender, packet, packet.header)
            case Exchange():
                self._open, self.waiting = packet.header, packet.header.number
                return self.exchanged(sender, packet, packet.header)
        raise WireError(f"{self.name}: {type(packet.header).__name__} is not for the half behind a cut")

    def committed(self, number: int) -> None:
        header, self._open = self._open, None
        if isinstance(header, Forward):
            self.half.apply(number, header.rate)
        elif header is not None:
            self._cut = header.boundary

    def commits(self, number: int) -> bool:
        return not self._at_once or self.waiting == number

    def _train(self, sender: str, packet: Packet, header: Forward) -> Iterator[Outgoing]:
        tensors, labels = self._checked(packet, header)
        measures, gradients = self.half.finish(header.number, header.boundary, tensors, labels)
        if not self._at_once:
            self._open, self.waiting = header, header.number
        if header.returns:
            yield Outgoing(sender, Packet(Backward(self.epoch, header.number), gradients))
        yield self.prepared(header.number, measures)
        if self._at_once:
            self.half.apply(header.number, header.rate)
            behind = header.number + 1
            if self._every and behind % self._every == 0:
                yield self.snapshot(behind)

    def _checked(self, packet: Packet, header: Forward) -> tuple[dict[str, Tensor], Tensor]:
        labels = packet.tensors.get(LABELS)
        if labels is None or not 0 < labels.numel() <= self._largest or header.boundary >= len(self.half.network):
            raise WireError(f"{self.name}: forward {header.number} has no labels of 1 to {self._largest} samples")
        due = self.half.due(header.boundary, len(labels))
        tensors = dict(expect(packet, {**due, LABELS: ((len(labels),), torch.int64)}))
        if not 0 <= int(labels.min()) <= int(labels.max()) < self.half.classes:
            raise WireError(f"{self.name}: forward {header.number} has a label beyond 0..{self.half.classes - 1}")
        return tensors, tensors.pop(LABELS)


def forward_packet(
    epoch: int, number: int, cut: int, rate: float, crossing: Mapping[str, Tensor], labels: Tensor
) -> Packet:
    """What crosses a cut, without its graph, and the labels."""
    tensors = {name: value.detach() for name, value in crossing.items()}
    return Packet(Forward(epoch, number, cut, rate, cut > 0), {**tensors, LABELS: labels})
