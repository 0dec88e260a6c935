"""What one worker computes of a training: forward and backward passes over some steps of a network, and its updates.

Gradients are held beside the weights until they are applied: a pass changes nothing but the batch norms' statistics,
and what those were before it is kept as long. So the state of a half is always that in front of the passes it holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Interval
from torch import Tensor, nn

from ...models.chain import MAIN
from ...models.model import Model
from ...models.runnable.units import Stage, TorchModel, build
from ...ui.validation import Share
from .data import Dataset
from .state import State, load_state, state_of
from .watch import NO_WATCH, Watch

LABELS = "labels"


@dataclass(frozen=True)
class Recipe:
    """How weights are updated; the learning rate comes with every step.

    Attributes:
        optimizer: "sgd" or "adam".
        momentum: of SGD.
        weight_decay: of every parameter that is trained.
    """

    optimizer: Literal["sgd", "adam"] = "sgd"
    momentum: Annotated[float, Interval(ge=0, le=0.9999)] = 0.9
    weight_decay: Share = 5e-4

    def make(self, parameters: Sequence[nn.Parameter], plain: Sequence[nn.Parameter] = ()) -> torch.optim.Optimizer:
        """An optimiser of these parameters; those in ``plain`` do not decay."""
        groups = [{"params": list(parameters)}, *([{"params": list(plain), "weight_decay": 0.0}] if plain else [])]
        if self.optimizer == "adam":
            return torch.optim.Adam(groups, weight_decay=self.weight_decay)
        return torch.optim.SGD(groups, 1.0, self.momentum, weight_decay=self.weight_decay)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the next update."""
    for group in optimizer.param_groups:
        group["lr"] = rate


@contextmanager
def numerics(threads: int) -> Iterator[None]:
    """Sums in a fixed order: so many threads, and the deterministic kernels of a GPU."""
    before = torch.get_num_threads(), torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before[1:]


def untrained(model: Model, seed: int = 0) -> TorchModel:
    """A model to be trained: random weights, statistics of nothing."""
    network = build(model, seed)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d):
            part.reset_running_stats()
    return network.train()


@dataclass(frozen=True)
class Scale:
    """What makes a network's input of a data set's bytes: (x / 255 - mean) / deviation, by channel."""

    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, data: Dataset, device: torch.device | str = "cpu") -> Scale:
        mean, deviation = (value.to(device) for value in data.statistics)
        return cls(mean, deviation)

    def __call__(self, images: Tensor) -> Tensor:
        return (images.float() / 255.0 - self.mean) / self.deviation


@dataclass
class Pass:
    """A pass that is not applied.

    Attributes:
        inputs: tensors that crossed in, as leaves.
        outputs: those that cross out, with their graph.
        version: the weights that it runs on, by name.
        statistics: of the batch norms before it.
        gradients: of the weights, by name; of those that the loss reaches.
        start, stop, samples: steps of the model that it is over, and images of its batch.
    """

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    version: dict[str, Tensor]
    statistics: dict[str, Tensor]
    gradients: dict[str, Tensor] = field(default_factory=dict)
    start: int = 0
    stop: int = 0
    samples: int = 0


class Half:
    """A copy of a network, of which some steps are trained here.

    Args:
        network: in training mode (:func:`untrained`); the half takes it over.
        recipe: of its updates.
        scale: of the images.
        stashes: whether passes overlap with updates, so that each keeps the weights that it began with.

    Attributes:
        watch: takes notice of what is computed.
    """

    watch: Watch = NO_WATCH

    def __init__(self, network: TorchModel, recipe: Recipe, scale: Scale, stashes: bool = False) -> None:
        self.network, self.model, self.scale, self.stashes = network, network.model, scale, stashes
        self._parameters = dict(network.named_parameters())
        self._statistics = dict(network.named_buffers())
        self._names = {id(parameter): name for name, parameter in self._parameters.items()}
        self._optimizer = recipe.make(list(self._parameters.values()))
        self._passes: dict[int, Pass] = {}
        self._shapes = boundary_shapes(network)

    @property
    def classes(self) -> int:
        """How many values the network's output has."""
        return math.prod(self._shapes[-1][MAIN])

    def due(self, boundary: int, batch: int) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
        """Shapes and types of what crosses a boundary for a batch; images are bytes."""
        dtype = torch.float32 if boundary else torch.uint8
        return {name: ((batch, *shape), dtype) for name, shape in self._shapes[boundary].items()}

    def forward(
        self,
        number: int,
        start: int,
        stop: int,
        tensors: Mapping[str, Tensor],
        version: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Run a pass over steps [start, stop) and hold it.

        Args:
            tensors: that cross in front, images as bytes at boundary 0.
            version: the weights to run on, by default the present ones.

        Returns:
            What crosses behind, with its graph.
        """
        samples = len(tensors[MAIN])
        with self.watch.over("forward", number, start, stop, samples):
            if start == 0:
                inputs = {MAIN: self.scale(tensors[MAIN])}
            else:
                inputs = {name: value.detach().requires_grad_() for name, value in tensors.items()}
            stage = self.network[start:stop]
            statistics = {name: value.clone() for name, value in self._statistics.items() if name in self._own(stage)}
            outputs, used = self._run(stage, inputs, version)
        found = Pass(inputs if start else {}, outputs, used, statistics, start=start, stop=stop, samples=samples)
        self._passes[number] = found
        return outputs

    def backward(self, number: int, gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The gradients of what crossed in, from those of what crossed out; the weights' are held."""
        found = self._passes[number]
        with self.watch.over("backward", number, found.start, found.stop, found.samples):
            return self._backward(found, gradients)

    def _backward(self, found: Pass, gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        pairs = [(found.outputs[n], g) for n, g in gradients.items() if found.outputs[n].requires_grad]
        leaves = {**found.version, **found.inputs}
        if not pairs or not leaves:  # nothing here has weights
            return {name: torch.zeros_like(value) for name, value in found.inputs.items()}
        values = torch.autograd.grad(
            [output for output, _ in pairs], list(leaves.values()), [gradient for _, gradient in pairs],
            allow_unused=True,
        )  # fmt: skip
        by_name = dict(zip(leaves, values, strict=True))
        found.gradients = {n: g for n in found.version if (g := by_name[n]) is not None}
        found.outputs = {}  # the graph
        # A saved tensor that the loss does not reach (a join behind nothing) has a gradient of zeros.
        return {n: torch.zeros_like(x) if (g := by_name[n]) is None else g for n, x in found.inputs.items()}

    def finish(
        self, number: int, start: int, tensors: Mapping[str, Tensor], labels: Tensor
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        """Run the rest of the network forward and backward.

        Returns:
            Measures of the batch (see :func:`measured`), and the gradients of what crossed in.
        """
        outputs = self.forward(number, start, len(self.network), tensors)
        output = outputs[MAIN].flatten(1)
        loss = F.cross_entropy(output, labels)
        self._passes[number].outputs = {MAIN: loss}
        return measured(loss, output, labels), self.backward(number, {MAIN: torch.ones_like(loss)})

    def gradients(self, number: int) -> dict[str, Tensor]:
        """The held gradients of the weights, by name."""
        return self._passes[number].gradients

    def hold(self, number: int, gradients: Mapping[str, Tensor], statistics: Mapping[str, Tensor]) -> None:
        """Hold other gradients instead, and statistics of batch norms that come into force at once."""
        self._passes[number].gradients = dict(gradients)
        self.put_statistics(statistics)

    def statistics(self, start: int, stop: int) -> dict[str, Tensor]:
        """Of the batch norms of some steps, as the held passes left them."""
        return {n: value.clone() for n, value in self._statistics.items() if start <= step_of(n) < stop}

    def put_statistics(self, statistics: Mapping[str, Tensor]) -> None:
        """Statistics that another replica has seen."""
        for name, value in statistics.items():
            self._statistics[name].copy_(value)

    def apply(self, number: int, rate: float) -> None:
        """Bring the gradients that a pass holds into force; a step that held none changes nothing."""
        found = self._passes.pop(number, None)
        if found is None or not found.gradients:
            return
        with self.watch.over("update", number, found.start, found.stop):
            for name, gradient in found.gradients.items():
                self._parameters[name].grad = gradient
            set_rate(self._optimizer, rate)
            self._optimizer.step()
            for name in found.gradients:
                self._parameters[name].grad = None

    def version(self, number: int) -> dict[str, Tensor]:
        """The weights that a held pass runs on."""
        return {name: value.detach() for name, value in self._passes[number].version.items()}

    def state(self, steps: Sequence[int]) -> State:
        """A copy of what some steps of the model are, in front of the passes that are held."""
        wanted = set(steps)
        state = state_of(self.network, self._optimizer, lambda name: step_of(name) in wanted)
        for number in sorted(self._passes, reverse=True):
            state |= {n: v.clone() for n, v in self._passes[number].statistics.items() if n in state}
        return state

    def load(self, state: State) -> None:
        """Take over the state of the steps that it names.

        Raises:
            InputError: it is of another network.
        """
        load_state(self.network, self._optimizer, state)

    def drop(self) -> None:
        """Forget the passes that are held."""
        self._passes.clear()

    def _own(self, stage: Stage) -> set[str]:
        return {f"steps.{stage.start + int(n.split('.')[1])}.{n.split('.', 2)[2]}" for n, _ in stage.named_buffers()}

    def _run(
        self, stage: Stage, inputs: Mapping[str, Tensor], version: Mapping[str, Tensor] | None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """(what crosses behind, the weights that were used)."""
        own = {inside: self._names[id(p)] for inside, p in stage.named_parameters()}
        if version is None and not self.stashes:
            outputs, _ = stage(inputs)
            return outputs, {name: self._parameters[name] for name in own.values()}
        used = {
            name: (self._parameters if version is None else version)[name].detach().clone().requires_grad_()
            for name in own.values()
        }
        replaced = {inside: used[name] for inside, name in own.items()}
        outputs, _ = torch.func.functional_call(stage, replaced, (inputs,))
        return outputs, used


def measured(loss: Tensor, output: Tensor, labels: Tensor) -> dict[str, float]:
    """What a batch says: sums over its samples of the loss, of those that are right, and how many they are."""
    right = int((output.argmax(1) == labels).sum())
    return {"loss": float(loss.detach()) * len(labels), "right": float(right), "samples": float(len(labels))}


def step_of(name: str) -> int:
    """The step of the model that a tensor of a state belongs to."""
    return int(name.split(".")[1])


@torch.no_grad()
def boundary_shapes(network: TorchModel) -> list[dict[str, tuple[int, ...]]]:
    """For every boundary in front of a step, and behind the last, the shapes of what crosses, without the batch."""
    training, shape = network.training, network.model.input
    network.eval()  # so that the statistics stay
    tensors = {MAIN: torch.zeros(1, shape.folded_channels, shape.height, shape.width)}
    found = [{MAIN: tuple(tensors[MAIN].shape[1:])}]
    for step in range(len(network)):
        tensors, _ = network[step : step + 1](tensors)
        found.append({name: tuple(value.shape[1:]) for name, value in tensors.items()})
    network.train(training)
    return found
