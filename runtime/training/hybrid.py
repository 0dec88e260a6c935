"""Hybrid parallelism (HierTrain): workers o, s and l share a batch and train a different number of layers each.

s runs its samples through the first m_s layers and l its own through the first m_l; both send what comes out, and the
labels, to o. There the samples of o, s and l are one batch from the layer on at which they arrive: from m_s on those of
o and s, in this order, from m_l on all three (a mixed batch, also for batch norm). The loss is the mean over the whole
batch, so every sample weighs the same and gradients that are summed are averages weighted by samples. Gradients of
what crossed go back; the parameters' come to o, which sums them in the order o, s, l and returns the sums, so that all
replicas of a layer take the same step from the same weights and stay equal bit by bit (paper, Sec. IV-B).

The statistics of a layer's batch norm are those of the first of o, s and l that ran it, and travel with the sums:
replicas agree on them too. They are not those of the whole batch, which no single worker sees below m_l.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...models.chain import MAIN
from ..wire_training import AnyEntry, Backward, Do, Exchange, Forward, Gradients, Input, Rearrange, Share
from ..wire_types import WireError
from .back import forward_packet
from .core import Rules
from .half import LABELS, Half, Pass, measured, step_of
from .member import Member
from .order import Batches
from .packets import Outgoing, Packet, expect
from .state import State

Tensors = Mapping[str, Tensor]


@dataclass
class Stage:
    """What is run of a pass between two joins.

    Attributes:
        run: its forward pass.
        before, joined: samples in it that were there, and that joined in front of it.
    """

    run: Pass
    before: int
    joined: int


class JoiningHalf(Half):
    """A half at which samples of other workers join on the way.

    A pass is :meth:`begin_joined`, for every join :meth:`reach` and :meth:`join`, :meth:`finish_joined` and
    :meth:`back_joined`.
    """

    _stages: list[Stage]  # of the pass

    def begin_joined(self, number: int, images: Tensor) -> None:
        """Begin a pass with this worker's own images, as bytes; there may be none."""
        before = {name: value.clone() for name, value in self._statistics.items()}
        self._passes[number] = Pass({}, {}, {}, before, stop=len(self.network))
        self._stages = []
        if len(images):
            own = Pass({}, {MAIN: self.scale(images)}, {}, {}, samples=len(images))
            self._stages.append(Stage(own, len(images), 0))

    def reach(self, number: int, boundary: int) -> None:
        """Run what is here as far as a boundary; nothing where it stands there."""
        run = self._stages[-1].run if self._stages else None
        if run is not None and run.stop < boundary:
            with self.watch.over("forward", number, run.start, boundary, run.samples):
                run.outputs, run.version = self._run(self.network[run.start : boundary], run.outputs, None)
            run.stop = boundary

    def join(self, boundary: int, tensors: Tensors) -> None:
        """Others' samples join at a boundary, behind those that are here."""
        joined, before = len(tensors[MAIN]), self._stages[-1].run.samples if self._stages else 0
        whole = dict(tensors)
        if self._stages:
            mine = self._stages[-1].run.outputs
            whole = {name: torch.cat([value.detach(), tensors[name]]) for name, value in mine.items()}
        inputs = {name: value.detach().requires_grad_() for name, value in whole.items()}
        run = Pass(inputs, inputs, {}, {}, start=boundary, stop=boundary, samples=before + joined)
        self._stages.append(Stage(run, before, joined))

    def finish_joined(self, number: int, labels: Tensor) -> dict[str, float]:
        """Run the rest of the network forward.

        Args:
            labels: of all samples, in the order in which they joined.

        Returns:
            Measures of the batch.
        """
        self.reach(number, len(self.network))
        last = self._stages[-1].run
        output = last.outputs[MAIN].flatten(1)
        loss = F.cross_entropy(output, labels)
        last.outputs = {MAIN: loss}
        return measured(loss, output, labels)

    def back_joined(self, number: int) -> Iterator[dict[str, Tensor]]:
        """Run backward; for every join, the last one first, the gradients of what crossed, as soon as they are here."""
        gradients: dict[str, Tensor] = {MAIN: torch.ones_like(self._stages[-1].run.outputs[MAIN])}
        held: dict[str, Tensor] = {}
        for stage in reversed(self._stages):
            run = stage.run
            with self.watch.over("backward", number, run.start, run.stop, run.samples):
                found = self._backward(run, gradients)
            held |= run.gradients
            if stage.joined:
                parts = {name: value.split([stage.before, stage.joined]) for name, value in found.items()}
                gradients = {name: before for name, (before, _) in parts.items()}
                yield {name: joined for name, (_, joined) in parts.items()}
        self._passes[number].gradients = held
        self._stages = []

    def check(self, tensors: Tensors, steps: int) -> Tensors:
        """Gradients and statistics of the first steps of the model, if they are.

        Raises:
            WireError: they are something else.
        """
        own = {**self._parameters, **self._statistics}
        for name, value in tensors.items():
            mine = own.get(name)
            if mine is None or (mine.shape, mine.dtype) != (value.shape, value.dtype) or step_of(name) >= steps:
                raise WireError(f"{name} of shape {tuple(value.shape)} is none of the first {steps} steps'")
        return tensors

    def is_statistic(self, name: str) -> bool:
        """Whether a tensor of that name is a batch norm's."""
        return name in self._statistics


class Worker(Member):
    """A worker that may play any role.

    Args:
        half: its copy of the network.
        largest: most samples of a batch.
        batches: what is trained on, whole ones, for the one worker that has the data.
    """

    half: JoiningHalf

    def __init__(
        self, name: str, half: JoiningHalf, largest: int, batches: Batches | None = None, recovers: bool = True
    ) -> None:
        super().__init__(name, half, recovers)
        self._batches, self._largest = batches, largest
        self._steps = len(half.network)  # the first of the model that are up to date here
        self._next_steps = self._steps
        self.begin_epoch()

    def begin_epoch(self) -> None:
        self._share: Share | None = None
        self._own: tuple[Tensor, Tensor] | None = None  # images and labels
        self._crossed: dict[str, tuple[int, Tensors, Tensor]] = {}  # at o, by sender: boundary, tensors, labels
        self._sums: dict[str, Tensors] = {}  # gradients at o, by sender
        self._joined = 0  # of s and l, at o
        self._measures: dict[str, float] | None = None  # of o's own pass, once it is done

    def held(self) -> Sequence[int]:
        return range(self._steps)

    def take_state(self, state: State) -> None:
        self._steps = self._next_steps = 1 + max((step_of(name) for name in state), default=-1)
        super().take_state(state)

    def take(self, sender: str, packet: Packet) -> Iterable[Outgoing]:
        header = packet.header
        match header:
            case Do(entry=Share() as share) if self._batches is not None:
                return self._begin(header.number, share)
            case Do(entry=Rearrange() as entry):
                return self._give(header.number, entry)
            case Input():
                return self._input(header.number, header.share, self._checked_input(packet, header.share))
            case Forward():
                return self._crossing(sender, packet, header)
            case Backward() if self._share is not None:
                return self._backward(packet, self._share)
            case Gradients():
                return self._gradients(sender, packet)
            case Exchange():
                self.waiting, self._next_steps = header.number, max(self._steps, header.boundary)
                return self.exchanged(sender, packet, header)
        raise WireError(f"{self.name}: {type(header).__name__} {header.number} is not due")

    def committed(self, number: int) -> None:
        if self._share is not None:
            self.half.apply(number, self._share.rate)
        self._steps = self._next_steps
        self.begin_epoch()

    # the batch ----------------------------------------------------------------------------------------------------

    def _begin(self, number: int, share: Share) -> Iterator[Outgoing]:
        """Hand the samples of a batch out: the first to o, the next to s, then l."""
        assert self._batches is not None
        images, labels = self._batches.batch(share.batch)
        if sum(share.b) != len(labels):
            raise WireError(f"{self.name}: share {number} is of {sum(share.b)} samples, its batch of {len(labels)}")
        mine: tuple[Tensor, Tensor] | None = None
        for i, part in enumerate(zip(images.split(share.b), labels.split(share.b), strict=True)):
            party = share.roles[i]
            if party == self.name:
                mine = part
            elif i == 0 or share.b[i]:
                packet = Packet(Input(self.epoch, number, share), {MAIN: part[0], LABELS: part[1]})
                yield Outgoing(party, packet)
        role = share.roles.index(self.name)
        if mine is not None and (role == 0 or share.b[role]):
            yield from self._input(number, share, mine)

    def _checked_input(self, packet: Packet, share: Share) -> tuple[Tensor, Tensor]:
        fits = sum(share.b) <= self._largest and share.m_s <= share.m_l <= len(self.half.network)
        if not fits or self.name not in share.roles:
            raise WireError(
                f"{self.name}: share {packet.header.number} does not fit the model, its batch or its workers"
            )
        count = share.b[share.roles.index(self.name)]
        tensors = expect(packet, {**self.half.due(0, count), LABELS: ((count,), torch.int64)})
        return tensors[MAIN], tensors[LABELS]

    def _input(self, number: int, share: Share, part: tuple[Tensor, Tensor]) -> Iterator[Outgoing]:
        self._share, self._own, self.waiting = share, part, number
        role = share.roles.index(self.name)
        self._next_steps = (len(self.half.network), share.m_s, share.m_l)[role]
        if role == 0:
            self.half.begin_joined(number, part[0])
            yield from self._join(number)
            return
        crossing = self.half.forward(number, 0, self._next_steps, {MAIN: part[0]})
        packet = forward_packet(self.epoch, number, self._next_steps, share.rate, crossing, part[1])
        yield Outgoing(share.roles[0], packet)

    # at o ---------------------------------------------------------------------------------------------------------

    def _crossing(self, sender: str, packet: Packet, header: Forward) -> Iterator[Outgoing]:
        labels = packet.tensors.get(LABELS)
        if labels is None or not 0 < labels.numel() <= self._largest or header.boundary > len(self.half.network):
            raise WireError(f"{self.name}: forward {header.number} has no labels of 1 to {self._largest} samples")
        due = {**self.half.due(header.boundary, len(labels)), LABELS: ((len(labels),), torch.int64)}
        tensors = dict(expect(packet, due))
        self._crossed[sender] = header.boundary, tensors, tensors.pop(LABELS)
        self.waiting = header.number
        yield from self._join(header.number)

    def _join(self, number: int) -> Iterator[Outgoing]:
        """Go on with o's pass as far as samples are here, and back once it is at its end."""
        share = self._share
        if share is None or self._own is None or self._measures is not None or share.roles[0] != self.name:
            return
        helpers = helpers_of(share)
        for party, m, count in helpers[self._joined :]:
            self.half.reach(number, m)
            if party not in self._crossed:
                return
            boundary, tensors, labels = self._crossed[party]
            if (boundary, len(labels)) != (m, count):
                raise WireError(f"{self.name}: what crossed for share {number} is not what it shares out")
            self.half.join(m, tensors)
            self._joined += 1
        labels = torch.cat([self._own[1], *(self._crossed[party][2] for party, _, _ in helpers)])
        self._measures = self.half.finish_joined(number, labels)
        parties = [party for party, _, _ in helpers]
        for gradients in self.half.back_joined(number):
            yield Outgoing(parties.pop(), Packet(Backward(self.epoch, number), gradients))
        if not helpers:
            yield self.prepared(number, self._measures)

    def _gradients(self, sender: str, packet: Packet) -> list[Outgoing]:
        """At o: sum once all are here. Elsewhere: the sums."""
        share, number = self._share, packet.header.number
        if share is None:
            raise WireError(f"{self.name}: gradients {number} are not due")
        tensors = self.half.check(packet.tensors, self._next_steps)
        if share.roles[0] != self.name:
            self._hold(number, tensors)
            return [self.prepared(number)]
        self._sums[sender] = tensors
        helpers = helpers_of(share)
        if not self._sums.keys() >= {party for party, _, _ in helpers}:
            return []
        sums = self._summed(number, share)
        self._hold(number, sums)
        sends = [
            Outgoing(party, Packet(Gradients(self.epoch, number), {n: v for n, v in sums.items() if step_of(n) < m}))
            for party, m, _ in helpers
        ]
        return [*sends, self.prepared(number, self._measures)]

    def _summed(self, number: int, share: Share) -> dict[str, Tensor]:
        """Gradients of every layer summed in the order o, s, l; statistics of the first of them that ran it."""
        helpers = helpers_of(share)
        first = 0 if share.b[0] else min(m for _, m, _ in helpers)  # of the steps that o ran
        sums = {**self.half.gradients(number), **self.half.statistics(first, len(self.half.network))}
        for party, _, _ in helpers:
            for name, value in self._sums[party].items():
                if name not in sums:
                    sums[name] = value
                elif not self.half.is_statistic(name):
                    sums[name] = sums[name] + value
        return sums

    def _hold(self, number: int, tensors: Tensors) -> None:
        statistics = {name: value for name, value in tensors.items() if self.half.is_statistic(name)}
        self.half.hold(number, {n: v for n, v in tensors.items() if n not in statistics}, statistics)

    # at s and l ---------------------------------------------------------------------------------------------------

    def _backward(self, packet: Packet, share: Share) -> list[Outgoing]:
        number, role = packet.header.number, share.roles.index(self.name)
        self.half.backward(number, expect(packet, self.half.due(self._next_steps, share.b[role])))
        tensors = {**self.half.gradients(number), **self.half.statistics(0, self._next_steps)}
        return [Outgoing(share.roles[0], Packet(Gradients(self.epoch, number), tensors))]

    # weights ------------------------------------------------------------------------------------------------------

    def _give(self, number: int, entry: Rearrange) -> list[Outgoing]:
        self.waiting = number
        sends = [
            Outgoing(party, Packet(Exchange(self.epoch, number, steps), self.half.state(range(steps))))
            for party, steps in entry.takers.items()
        ]
        return [*sends, self.prepared(number)]


def helpers_of(share: Share) -> list[tuple[str, int, int]]:
    """(worker, steps, samples) of s and l, where they have samples, in the order in which they join."""
    found = [(share.roles[i], m, share.b[i]) for i, m in ((1, share.m_s), (2, share.m_l))]
    return [helper for helper in found if helper[2]]


def rearrangement(before: Share, after: Share, steps: int) -> Rearrange | None:
    """What must be given before batches can be shared in another way; None for nothing.

    Args:
        steps: of the model.
    """

    def trained(share: Share) -> dict[str, int]:
        return {**{party: m for party, m, _ in helpers_of(share)}, share.roles[0]: steps}

    had = trained(before)
    takers = {party: m for party, m in trained(after).items() if m > had.get(party, 0)}
    return Rearrange(before.roles[0], takers) if takers else None


@dataclass(frozen=True)
class HybridRules(Rules):
    """How a hybrid training's entries go; the first member has the data."""

    def begins(self, entry: AnyEntry) -> str:
        return entry.giver if isinstance(entry, Rearrange) else self.members[0]

    def concerned(self, entry: AnyEntry) -> Sequence[str]:
        if isinstance(entry, Rearrange):
            return (entry.giver, *entry.takers)
        assert isinstance(entry, Share)
        return (entry.roles[0], *(party for party, _, _ in helpers_of(entry)))
