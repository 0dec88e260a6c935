"""What a training should take on workers that keep to their pace: its protocol, event by event.

Work and messages cost what the environment's tables say. Messages are as long as the runtime's packets, without their
envelopes; control messages cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...envs.live_training import Costs
from ...models.model import Model
from ...runtime.training.hybrid import helpers_of
from ...runtime.training.job import TrainingJob
from ...runtime.training.watch import steps_label
from ...runtime.wire_training import AnyEntry, Compressed, Minibatch, Round, Share
from .training_trace import Message, Trace, Work

VALUE_BYTES, LABEL_BYTES = 4, 8


@dataclass
class Timeline:
    """Who computes and sends what, and when; every role has one thread for either.

    Args:
        costs: of a step.
        model: the network.
    """

    costs: Costs
    model: Model
    works: list[Work] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    logged_s: dict[int, float] = field(default_factory=dict)
    _computes_s: dict[str, float] = field(default_factory=dict)  # until when
    _sends_s: dict[str, float] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Of the model."""
        return len(self.model.steps)

    def work(self, role: str, kind: str, number: int, part: tuple[int, int], samples: int, ready_s: float) -> float:
        """Do work over steps of the model as soon as it is ready; returns when it is done."""
        seconds = self.costs.work_s(role, kind, steps_label(*part), samples)
        start_s = max(ready_s, self._computes_s.get(role, 0.0))
        self._computes_s[role] = start_s + seconds
        self.works.append(Work(role, kind, number, start_s, start_s + seconds))
        return start_s + seconds

    def send(self, sender: str, receiver: str, number: int, size_bytes: float, ready_s: float) -> float:
        """Send a message as soon as it is ready; returns when it is there."""
        link = self.costs.link(sender, receiver)
        start_s = max(ready_s, self._sends_s.get(sender, 0.0))
        bytes_s = size_bytes * link.byte_s
        there_s = self._sends_s[sender] = start_s + link.message_s + bytes_s
        size = round(size_bytes)
        self.messages.append(
            Message(sender, receiver, number, start_s, there_s, there_s, size, link.message_s, bytes_s)
        )
        return there_s

    def crossing(self, boundary: int, samples: int) -> int:
        """Bytes of what crosses in front of a step of the model, and of the labels."""
        value = VALUE_BYTES if boundary else 1
        return samples * (self.model.cut_bytes(boundary, value) + LABEL_BYTES)

    def gradients(self, boundary: int, samples: int) -> int:
        """Bytes of the gradients of that."""
        return samples * self.model.cut_bytes(boundary, VALUE_BYTES)


def predicted(job: TrainingJob, costs: Costs, entry: AnyEntry, count: int) -> Trace:
    """The same step many times over, from the beginning.

    Args:
        job: what is trained.
        costs: of the step.
        entry: of the step.
        count: how many.
    """
    timeline = Timeline(costs, job.model)
    if isinstance(entry, Minibatch) and entry.cut < timeline.steps:
        _pipeline(timeline, entry.cut, job.in_flight, count)
        return Trace(timeline.works, timeline.messages, timeline.logged_s, False)
    begun_s = 0.0
    for number in range(count):
        match entry:
            case Round():
                updates = _round(timeline, number, entry.cut, begun_s)
            case Minibatch():
                updates = _alone(timeline, "client", number, begun_s)
            case Share():
                updates = _share(timeline, number, entry, job.roles[0], begun_s)
            case Compressed():
                updates = _compressed(timeline, number, entry, job, begun_s)
            case _:
                raise AssertionError(entry)
        begun_s = timeline.logged_s[number]
        for role, part in updates:
            timeline.work(role, "update", number, part, 0, begun_s)
    return Trace(timeline.works, timeline.messages, timeline.logged_s, True)


Updates = Sequence[tuple[str, tuple[int, int]]]


def _alone(timeline: Timeline, role: str, number: int, begun_s: float) -> Updates:
    whole = 0, timeline.steps
    batch = timeline.costs.batch
    at_s = timeline.work(role, "forward", number, whole, batch, begun_s)
    timeline.logged_s[number] = timeline.work(role, "backward", number, whole, batch, at_s)
    return [(role, whole)]


def _round(timeline: Timeline, number: int, cut: int, begun_s: float) -> Updates:
    if cut == timeline.steps:
        return _alone(timeline, "device", number, begun_s)
    batch, front, back = timeline.costs.batch, (0, cut), (cut, timeline.steps)
    at_s = timeline.work("device", "forward", number, front, batch, begun_s) if cut else begun_s
    at_s = timeline.send("device", "edge", number, timeline.crossing(cut, batch), at_s)
    for kind in ("forward", "backward"):
        at_s = timeline.work("edge", kind, number, back, batch, at_s)
    if cut:
        at_s = timeline.send("edge", "device", number, timeline.gradients(cut, batch), at_s)
        at_s = timeline.work("device", "backward", number, front, batch, at_s)
    timeline.logged_s[number] = at_s
    return [("device", front), ("edge", back)] if cut else [("edge", back)]


def _pipeline(timeline: Timeline, cut: int, in_flight: int, count: int) -> None:
    """Strict 1F1B; both sides tell of a minibatch as soon as it is back there, the server before it updates."""
    batch, front, back = timeline.costs.batch, (0, cut), (cut, timeline.steps)
    returned_s: dict[int, float] = {}

    def forward(number: int) -> None:
        at_s = timeline.work("client", "forward", number, front, batch, 0.0)
        at_s = timeline.send("client", "server", number, timeline.crossing(cut, batch), at_s)
        for kind in ("forward", "backward"):
            at_s = timeline.work("server", kind, number, back, batch, at_s)
        timeline.work("server", "update", number, back, 0, at_s)
        returned_s[number] = timeline.send("server", "client", number, timeline.gradients(cut, batch), at_s)

    for number in range(in_flight):
        forward(number)
    for number in range(count):
        at_s = timeline.work("client", "backward", number, front, batch, returned_s[number])
        timeline.logged_s[number] = timeline.work("client", "update", number, front, 0, at_s)
        forward(number + in_flight)


def _compressed(timeline: Timeline, number: int, entry: Compressed, job: TrainingJob, begun_s: float) -> Updates:
    assert job.settings is not None
    batch, interface = timeline.costs.batch, job.settings.interface(job.model)
    cut = interface.cut.step
    front, back = (0, cut), (cut, timeline.steps)
    others = (
        0 if interface.cut.modules else job.model.cut_bytes(cut, VALUE_BYTES) - interface.shape.elements * VALUE_BYTES
    )
    maps = batch * (entry.budget * interface.map_bytes + others)
    at_s = timeline.work("client", "forward", number, front, batch, begun_s)
    at_s = timeline.send("client", "server", number, maps + interface.filter_bytes + batch * LABEL_BYTES, at_s)
    at_s = timeline.work("server", "train", number, back, batch, at_s)
    at_s = timeline.send("server", "client", number, maps, at_s)
    timeline.logged_s[number] = timeline.work("client", "backward", number, front, batch, at_s)
    return [("client", front), ("server", back)]


def _share(timeline: Timeline, number: int, entry: Share, owner: str, begun_s: float) -> Updates:
    """o computes its own samples while others compute theirs, and serves them on its way back."""
    o, samples = entry.roles[0], sum(entry.b)
    parts = helpers_of(entry)
    here_s = {owner: begun_s}  # samples
    for role, count in ((o, entry.b[0]), *((party, count) for party, _, count in parts)):
        if role != owner:
            here_s[role] = timeline.send(owner, role, number, timeline.crossing(0, count), begun_s)
    crossed_s: dict[str, float] = {}
    for party, m, count in parts:
        at_s = timeline.work(party, "forward", number, (0, m), count, here_s[party])
        crossed_s[party] = timeline.send(party, o, number, timeline.crossing(m, count), at_s)
    at_s, start, joined = here_s[o], 0, entry.b[0]
    segments: list[tuple[tuple[int, int], int, str]] = []  # of o: steps, samples, and who joins behind
    for party, m, count in (*parts, ("", timeline.steps, 0)):
        if joined:
            at_s = timeline.work(o, "forward", number, (start, m), joined, at_s)
            segments.append(((start, m), joined, party))
        at_s, start, joined = max(at_s, crossed_s.get(party, 0.0)), m, joined + count
    assert joined == samples
    told_s = {o: 0.0}
    for part, count, party in reversed(segments):
        if party:
            told_s[party] = _answered(timeline, number, o, entry, party, at_s)
        at_s = timeline.work(o, "backward", number, part, count, at_s)
    for party, _, _ in parts:
        if party not in told_s:
            told_s[party] = _answered(timeline, number, o, entry, party, at_s)
    told_s[o] = at_s
    summed_s, ends_s = max(told_s.values()), [max(told_s.values())]
    for party, m, _ in parts:
        ends_s.append(timeline.send(o, party, number, _weights(timeline.model, m), summed_s))
    timeline.logged_s[number] = max(ends_s)
    return [(o, (0, timeline.steps)), *((party, (0, m)) for party, m, _ in parts)]


def _answered(timeline: Timeline, number: int, o: str, entry: Share, party: str, ready_s: float) -> float:
    """o gives a worker gradients, which answers with those of its weights; returns when they are there."""
    m, count = next((m, count) for name, m, count in helpers_of(entry) if name == party)
    at_s = timeline.send(o, party, number, timeline.gradients(m, count), ready_s)
    at_s = timeline.work(party, "backward", number, (0, m), count, at_s)
    return timeline.send(party, o, number, _weights(timeline.model, m), at_s)


def _weights(model: Model, steps: int) -> int:
    """Bytes of the parameters of the first steps."""
    kernels = [model.kernels[k] for step in model.steps[:steps] for k in step.kernels]
    return VALUE_BYTES * sum(k.layer.params(k.in_shape) for k in kernels)
