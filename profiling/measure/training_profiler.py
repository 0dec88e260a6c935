"""Training profiles measured in eager PyTorch: forward, backward and weight update of every step at some batch sizes.

Every step runs alone in train mode. Its backward pass starts from gradients of its outputs and ends at the gradients
of its inputs; the image needs none, and a step without weights in front of all others has no backward pass. Before
each of the three, memory goes through the caches as in :mod:`.torch_profiler`: in a whole network other steps have run
in between. The update does not depend on the batch size: its time is the median over all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ...models.blocks import chain_out
from ...models.chain import MAIN, head_name
from ...models.layers import Shape
from ...models.model import Model
from ...models.runnable.units import TorchModel, build
from ...ui.errors import InputError
from ..training import OPTIMIZER_BYTES, VALUE_BYTES, TrainingProfile
from .journal import Journal
from .measuring import Cell, Effort, Progress, measure, provenance_of, spread_of
from .torch_profiler import TorchDevice, memory_errors, touched_bytes

COLUMNS = ("step", "batch", "pass", "forward_s", "backward_s", "update_s")

_OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]] = {
    # A rate of 0 costs the same and leaves the weights as they are.
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.0),
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.0, momentum=0.9),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.0),
}
assert _OPTIMIZERS.keys() == OPTIMIZER_BYTES.keys()


class TorchTrainer(TorchDevice):
    """Times the steps of a model in training.

    Args:
        model: a network as data, which gets random weights, or its torch modules. They are put in train mode; running
            statistics of batch norms change, weights do not.
        optimizer: sgd, momentum or adam.
        threads, device, on: as :class:`.torch_profiler.TorchDevice`.

    Raises:
        InputError: no such optimizer; as :class:`.torch_profiler.TorchDevice`.
        OutOfMemory: the weights do not fit.
    """

    def __init__(
        self,
        model: Model | TorchModel,
        optimizer: str = "sgd",
        threads: int = 1,
        device: str | None = None,
        on: str = "cpu",
    ) -> None:
        if optimizer not in _OPTIMIZERS:
            raise InputError(f"optimizer is {optimizer!r}, allowed: {', '.join(_OPTIMIZERS)}")
        super().__init__(threads, device, on)
        with memory_errors():
            torch_model = build(model) if isinstance(model, Model) else model
            torch_model.to(on).train()
        self.model, self.optimizer = torch_model.model, optimizer
        self._steps = list(torch_model.steps)
        self.touches(touched_bytes(self.model))

    def prepare(self, step: int, batch: int) -> Callable[[], tuple[float, float, float]]:
        """What trains ``Model.steps[step]`` once on so many images: seconds of forward, backward and update.

        Raises:
            OutOfMemory: there is not enough of it; the run raises it, too.
            InputError: the step cannot be trained at that batch size; the run raises it.
        """
        module = self._steps[step]
        given = self._inputs_of(step)
        shapes = [(batch, shape.folded_channels, shape.height, shape.width) for shape in given.values()]
        xs = [x.detach() for x in self.inputs(shapes)]
        for i, x in enumerate(xs):
            x.requires_grad_(step > 0 or i > 0)
        parameters = list(module.parameters())
        optimizer = _OPTIMIZERS[self.optimizer](parameters) if parameters else None
        outs: list[Tensor] = []
        gradients: list[Tensor] = []

        def forward() -> None:
            y, head = module(dict(zip(given, xs, strict=True)))
            outs.extend(out for out in (y, head) if out is not None and out.requires_grad)

        def backward() -> None:
            torch.autograd.backward(outs, gradients)

        def run() -> tuple[float, float, float]:
            try:
                with memory_errors(), _batch_errors(self.model.steps[step].name, batch):
                    forward_s = self.seconds(forward, xs)
                    gradients.extend(map(torch.ones_like, outs))
                    backward_s = self.seconds(backward, gradients) if outs else 0.0
                    update_s = self.seconds(optimizer.step, ()) if optimizer is not None else 0.0
                    return forward_s, backward_s, update_s
            finally:  # what a run leaves behind
                outs.clear()
                gradients.clear()
                module.zero_grad()
                for x in xs:
                    x.grad = None

        return run

    def _inputs_of(self, step: int) -> dict[str, Shape]:
        """Shapes of a step's inputs by name: the main one, those it joins, heads for the tail's first."""
        model, behind = self.model, step - len(self.model.units)
        if behind > 0:
            return {MAIN: chain_out(model.tail[:behind], model.tail_shape)}
        if behind == 0:
            heads = {head_name(unit): model.head_shape(unit) for unit in model.heads}
            return {MAIN: model.in_shapes[step], **heads}
        joins = (join.source for join in model.units[step].joins)
        return {MAIN: model.in_shapes[step], **{name: model.tensor_shape(name, step) for name in joins}}


@contextmanager
def _batch_errors(step: str, batch: int) -> Iterator[None]:
    """A norm over a single value is a question of the batch size."""
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise InputError(f"batch is {batch}: step {step} has a norm over single values; allowed: 2 or more") from None


@dataclass(frozen=True, eq=False)
class MeasuredTraining:
    """A measured profile and its scatter.

    Attributes:
        profile: the training profile.
        spread: interquartile range over median of a step's whole time, (len(batches), len(steps)).
    """

    profile: TrainingProfile
    spread: npt.NDArray[np.float64]


def measure_profile(
    trainer: TorchTrainer, batches: Sequence[int], effort: Effort, journal: Journal, progress: Progress
) -> MeasuredTraining:
    """Measure a training profile.

    Args:
        trainer: runs the steps.
        batches: batch sizes, each 1 or more.
        effort: how much is measured.
        journal: keeps what was measured, with the columns ``COLUMNS``.
        progress: is told what share the journal had, then after every visit.

    Raises:
        InputError, KeyboardInterrupt: as :func:`.measuring.measure`; a step cannot be trained at a batch size.
    """
    model, sizes = trainer.model, tuple(sorted(set(batches)))
    cells = [
        Cell(step.name, size, f"step {step.name}, batch {size}", lambda s=s, size=size: trainer.prepare(s, size))
        for s, step in enumerate(model.steps)
        for size in sizes
    ]
    samples = measure(cells, effort, journal, progress)
    seconds = np.array([[np.percentile(samples[s.name, b], (25, 50, 75), axis=0) for s in model.steps] for b in sizes])
    seconds = seconds.transpose(2, 3, 0, 1)  # (quartile, part, batch, step)
    update_s = [np.median(np.concatenate([samples[s.name, b][:, 2] for b in sizes])) for s in model.steps]
    crossing = np.array([model.cut_bytes(i + 1, VALUE_BYTES) for i in range(len(model.steps))])
    params = [kernel.layer.params(kernel.in_shape) for kernel in model.kernels]
    spread = spread_of(seconds.sum(axis=1))
    profile = TrainingProfile(
        model=model.name,
        fingerprint=model.fingerprint,
        steps=tuple(step.name for step in model.steps),
        batches=sizes,
        forward_s=seconds[1, 0],
        backward_s=seconds[1, 1],
        update_s=np.array(update_s),
        activation_bytes=crossing,
        gradient_bytes=crossing,
        params=np.array([sum(params[k] for k in step.kernels) for step in model.steps]),
        provenance=provenance_of(trainer, effort, trainer.optimizer, spread),
    )
    return MeasuredTraining(profile, spread)
