"""Symbolic halves of trainings: what a step of the model holds is a number that says all that it was trained on.

The members are the real ones; instead of tensors they have these numbers, so that an update that is lost, doubled, out
of order or of other weights shows in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor

from ...models.model import MAIN
from ..training.back import Back
from ..training.cut import Device
from ..training.half import step_of
from ..training.hybrid import Worker
from ..training.member import Member
from ..training.pipeline import Client
from ..training.state import State
from ..training.watch import NO_WATCH, Watch
from ..wire_training_plan import Setup
from ..wire_types import WireError

STEPS = 4  # of the model
BATCH = 3
CLASSES = 10

Applied = Callable[[int], None]  # told of every entry that comes into force


def mix(*values: object) -> int:
    """A number that says what all of these are."""
    return int.from_bytes(blake2b(repr(values).encode(), digest_size=7).digest(), "big")


@dataclass
class _Pass:
    """A pass: for every sample what went into each step, and the weights that it ran on."""

    start: int
    values: list[tuple[int, list[int]]]  # the step that a sample comes in at, and what goes into each from there on
    version: list[int]
    gradients: dict[int, int] = field(default_factory=dict)  # by step


class SymbolicHalf:
    """Does what :class:`..training.hybrid.JoiningHalf` does, with numbers.

    Args:
        applied: told of every entry that comes into force here.
    """

    network = range(STEPS)
    classes = CLASSES
    watch: Watch = NO_WATCH

    def __init__(self, applied: Applied) -> None:
        self.weights = [mix("initial", step) for step in range(STEPS)]
        self.last = [-1] * STEPS  # entry that each step was last trained by
        self._applied, self._passes = applied, dict[int, _Pass]()

    def due(self, boundary: int, batch: int) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
        return {MAIN: ((batch,), torch.int64)}

    def forward(
        self,
        number: int,
        start: int,
        stop: int,
        tensors: Mapping[str, Tensor],
        version: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        weights = list(self.weights)
        for name, value in (version or {}).items():
            weights[step_of(name)] = int(value)
        found = self._passes[number] = _Pass(start, [(start, [v]) for v in tensors[MAIN].tolist()], weights)
        _run(found, stop)
        return {MAIN: torch.tensor([path[-1] for _, path in found.values], dtype=torch.int64)}

    def backward(self, number: int, gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        back = self._backward(self._passes[number], gradients[MAIN].tolist())
        return {MAIN: torch.tensor(back, dtype=torch.int64)}

    def _backward(self, found: _Pass, gradients: Sequence[int]) -> list[int]:
        """What every sample's gradient is where it came in; the steps' are held."""
        touched: dict[int, list[object]] = {}
        back = []
        for (start, path), gradient in zip(found.values, gradients, strict=True):
            for step in reversed(range(start, start + len(path) - 1)):
                value = path[step - start]
                touched.setdefault(step, []).append((value, gradient))
                gradient = mix("back", found.version[step], value, gradient)
            back.append(gradient)
        found.gradients = {step: mix(step, found.version[step], seen) for step, seen in touched.items()}
        return back

    def finish(
        self, number: int, start: int, tensors: Mapping[str, Tensor], labels: Tensor
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        output = self.forward(number, start, STEPS, tensors)[MAIN].tolist()
        found = self.backward(number, {MAIN: torch.tensor(_losses(output, labels))})
        return {"samples": float(len(labels))}, found

    def begin_joined(self, number: int, images: Tensor) -> None:
        values = [(0, [value]) for value in images.tolist()]
        self._passes[number] = _Pass(0, values, list(self.weights))
        self._joins: list[int] = [len(values)]  # samples that were there, and that joined
        self._current = self._passes[number]

    def reach(self, number: int, boundary: int) -> None:
        _run(self._current, boundary)

    def join(self, boundary: int, tensors: Mapping[str, Tensor]) -> None:
        joining = [(boundary, [value]) for value in tensors[MAIN].tolist()]
        self._current.values.extend(joining)
        self._joins.append(len(joining))

    def finish_joined(self, number: int, labels: Tensor) -> dict[str, float]:
        _run(self._current, STEPS)
        self._losses = _losses([path[-1] for _, path in self._current.values], labels)
        return {"samples": float(len(labels))}

    def back_joined(self, number: int) -> Iterator[dict[str, Tensor]]:
        back = self._backward(self._current, self._losses)
        for part in reversed(torch.tensor(back, dtype=torch.int64).split(self._joins)[1:]):
            yield {MAIN: part}

    def gradients(self, number: int) -> dict[str, Tensor]:
        return {_name(step): torch.tensor(value) for step, value in self._passes[number].gradients.items()}

    def statistics(self, start: int, stop: int) -> dict[str, Tensor]:
        return {}

    def is_statistic(self, name: str) -> bool:
        return False

    def hold(self, number: int, gradients: Mapping[str, Tensor], statistics: Mapping[str, Tensor]) -> None:
        self._passes[number].gradients = {step_of(name): int(value) for name, value in gradients.items()}

    def check(self, tensors: Mapping[str, Tensor], steps: int) -> Mapping[str, Tensor]:
        if any(step_of(name) >= steps or value.dim() for name, value in tensors.items()):
            raise WireError(f"{sorted(tensors)} are none of the first {steps} steps'")
        return tensors

    def apply(self, number: int, rate: float) -> None:
        found = self._passes.pop(number, None)
        if found is None:
            return
        self._applied(number)
        for step, gradient in found.gradients.items():
            self.weights[step] = mix(self.weights[step], gradient, rate)
            self.last[step] = number

    def version(self, number: int) -> dict[str, Tensor]:
        found = self._passes[number]
        stop = found.start + len(found.values[0][1]) - 1
        return {_name(step): torch.tensor(found.version[step]) for step in range(found.start, stop)}

    def state(self, steps: Sequence[int]) -> State:
        return {_name(step): torch.tensor([self.weights[step], self.last[step]]) for step in steps}

    def load(self, state: State) -> None:
        for name, value in state.items():
            self.weights[step_of(name)], self.last[step_of(name)] = value.tolist()

    def drop(self) -> None:
        self._passes.clear()


class SymbolicBatches:
    """Batches whose images say which they are."""

    largest = BATCH

    def batch(self, number: int) -> tuple[Tensor, Tensor]:
        numbers = torch.arange(BATCH) + BATCH * number
        return numbers, numbers % CLASSES


def make_symbolic(setup: Setup, role: str, applied: Applied) -> Member:
    """A member as it is at the beginning."""
    half: Any = SymbolicHalf(applied)
    owner = role == setup.roles[0]
    batches: Any = SymbolicBatches() if owner else None
    match setup.kind:
        case "hybrid":
            return Worker(role, half, BATCH, batches)
        case "pipeline" if owner:
            return Client(half, batches, setup.cut, setup.in_flight, setup.every)
        case "pipeline":
            return Back(role, half, BATCH, setup.cut, at_once=True, every=setup.every)
        case _ if owner:
            return Device(half, batches)
        case _:
            return Back(role, half, BATCH)


def _run(found: _Pass, stop: int) -> None:
    """Run every sample from where it stands."""
    for start, path in found.values:
        for step in range(start + len(path) - 1, stop):
            path.append(mix("front", found.version[step], path[-1]))


def _losses(outputs: Sequence[int], labels: Tensor) -> list[int]:
    return [mix("loss", output, label) for output, label in zip(outputs, labels.tolist(), strict=True)]


def _name(step: int) -> str:
    return f"steps.{step}.weight"
