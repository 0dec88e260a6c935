"""Split training over budgets that change from epoch to epoch: deprune, prune and from scratch (Algorithms 1-3).

All three are the same loop. Only the schedule differs: when a budget rises the filter goes on as it is (deprune), when
it falls :func:`.schedules.reset_filter` comes first (prune), and a schedule of one budget is training from scratch.
"""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...models.compression import Mask
from ...models.model import Model
from ...models.runnable.compression import Halves, kept_maps, split_model
from ...ui.errors import InputError
from ...ui.files import replacing
from ...ui.validation import validated
from .data import Dataset
from .losses import prune_gradient, prune_loss, scaled_delta
from .schedules import reset_filter, selected_lr
from .settings import EpochRecord, Settings

TEST_BATCH = 500
BROKEN = (  # what torch.load and a checkpoint of something else raise
    OSError, RuntimeError, pickle.UnpicklingError, EOFError, LookupError, AttributeError, TypeError, ValueError,
)  # fmt: skip
KINDS = ("maps", "filter", "labels", "others", "gradients", "other_gradients")

# What a generator is for: each has its own for every epoch, so that a resumed training draws what it would have drawn.
ORDER, FLIPS, RESET = range(3)

OnStep = Callable[[float], None]  # share of the epoch that is done
OnEpoch = Callable[[EpochRecord], None]


def pick_device() -> torch.device:
    """The GPU when torch sees one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Training:
    """A model being trained in two halves.

    Args:
        model: the network; its last layer gives at least one value a class.
        data: images of the model's input shape.
        settings: everything but the budgets.
        device: by default :func:`pick_device`.
        threads: of torch on a CPU. Resuming with another number may change the last bits.

    Attributes:
        halves: client and server.
        records: of the epochs so far.

    Raises:
        InputError: settings, model and data do not fit together.
    """

    def __init__(
        self,
        model: Model,
        data: Dataset,
        settings: Settings | None = None,
        device: torch.device | str | None = None,
        threads: int = 1,
    ) -> None:
        self.model, self.data = model, data
        self.settings = validated(Settings, vars(settings or Settings()), "settings")
        self.interface = self.settings.interface(model)
        _check_fit(model, data)
        self.device = torch.device(device) if device is not None else pick_device()
        self.threads = threads
        halves = split_model(model, self.interface, self.settings.seed, mask=self.settings.mask)
        self.halves = Halves(halves.client.to(self.device), halves.server.to(self.device))
        self.records: list[EpochRecord] = []
        self._optimizers = [_optimizer(half, self.settings) for half in self.halves if list(half.parameters())]
        self._mean, self._deviation = (value.to(self.device) for value in data.statistics)
        self._train = data.train_images.to(self.device), data.train_labels.to(self.device)
        self._test = data.test_images.to(self.device), data.test_labels.to(self.device)

    @property
    def budgets(self) -> tuple[int, ...]:
        """Of the epochs so far."""
        return tuple(record.budget for record in self.records)

    def kept(self, budget: int) -> tuple[int, ...]:
        """The maps that cross at a budget, rising."""
        compressor = self.halves.client.compressor
        if compressor is None:
            return tuple(range(self.interface.phi))
        return tuple(kept_maps(compressor.filter, budget).tolist())

    def epoch(self, budget: int, on_step: OnStep | None = None) -> EpochRecord:
        """Train for one epoch at a budget, then test.

        Raises:
            InputError: the cut has no such budget.
        """
        self.interface.check_budget(budget)
        with _numerics(self.threads):
            record = self._epoch(budget, on_step)
        self.records.append(record)
        return record

    def evaluate(self, budget: int | None = None, mask: Mask | None = None) -> tuple[float, float]:
        """(mean loss, share that is right) of the test images.

        Args:
            budget: by default the last one.
            mask: by default that of the settings.
        """
        client, server = self.halves
        client.budget = budget if budget is not None else client.budget
        for half in self.halves:
            half.eval()
        if client.compressor is not None:
            client.compressor.mask = mask or self.settings.mask
        images, labels = self._test
        loss, right = 0.0, 0
        with _numerics(self.threads), torch.no_grad():
            for x, y in zip(images.split(TEST_BATCH), labels.split(TEST_BATCH), strict=True):
                output, _ = server(client(self._scaled(x)))
                loss += float(F.cross_entropy(output, y, reduction="sum"))
                right += int((output.argmax(1) == y).sum())
        for half in self.halves:
            half.train()
        if client.compressor is not None:
            client.compressor.mask = self.settings.mask
        return loss / len(labels), right / len(labels)

    def _epoch(self, budget: int, on_step: OnStep | None) -> EpochRecord:
        s, (client, server), number = self.settings, self.halves, len(self.records)
        rate = selected_lr(s.learning_rate * s.decay**number, (*self.budgets, budget), s.gamma, s.boosted_epochs)
        for group in (group for optimizer in self._optimizers for group in optimizer.param_groups):
            group["lr"] = rate
        if self.records and budget < self.records[-1].budget and client.compressor is not None:
            reset_filter(client.compressor.logits, self._generator(RESET, number))
        client.budget = budget
        before = self.kept(budget)
        client.watch.seconds = server.watch.seconds = 0.0
        totals = {"loss": 0.0, "right": 0.0, "prune": 0.0}
        sent: dict[str, int] = dict.fromkeys(KINDS, 0)
        steps, begin = self._batches(number), time.perf_counter()
        for i, (images, labels) in enumerate(steps):
            self._step(images, labels, totals, sent)
            if on_step is not None:
                on_step((i + 1) / len(steps))
        seconds = time.perf_counter() - begin
        module_s = (client.watch.seconds + server.watch.seconds) / len(steps)
        test_loss, test_accuracy = self.evaluate()
        wire_accuracy = test_accuracy
        if s.mask == "soft" and budget < self.interface.phi:
            wire_accuracy = self.evaluate(mask="hard")[1]
        filter_sum, kept_sum = self._filter_sums(budget)
        count = sum(len(labels) for _, labels in steps)
        return EpochRecord(
            number, budget, rate, count, len(steps), totals["loss"] / count, totals["right"] / count,
            totals["prune"] / len(steps), test_loss, test_accuracy, wire_accuracy, seconds, module_s,
            filter_sum, kept_sum, len(set(self.kept(budget)) - set(before)), sent,
        )  # fmt: skip

    def _filter_sums(self, budget: int) -> tuple[float, float]:
        """Σf of all maps and of the kept ones; without the module nothing is weighed."""
        compressor = self.halves.client.compressor
        if compressor is None:
            return float(budget), float(budget)
        f = compressor.filter.detach()
        return float(f.sum()), float(f[kept_maps(f, budget)].sum())

    def _step(self, images: Tensor, labels: Tensor, totals: dict[str, float], sent: dict[str, int]) -> None:
        """One batch: forward, send, backward, send back, both optimisers."""
        client, server = self.halves
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)
        message = client(self._scaled(images), labels)
        reply, loss, output = server.step(message, reply=client.trains)
        client.backward(reply, self._filter_gradient(totals))
        for optimizer in self._optimizers:
            optimizer.step()
        for kind, count in (*message.sent_bytes.items(), *reply.sent_bytes.items()):
            sent[kind] += count
        totals["loss"] += float(loss) * len(labels)
        totals["right"] += int((output.argmax(1) == labels).sum())

    def _filter_gradient(self, totals: dict[str, float]) -> Tensor | None:
        """ε · ∂pruneLoss/∂f̂, which the client knows from f alone."""
        s, compressor = self.settings, self.halves.client.compressor
        if compressor is None:
            return None
        delta = scaled_delta(s.delta, self.interface.phi)
        with torch.no_grad():
            totals["prune"] += float(prune_loss(compressor.filter, compressor.budget, delta, s.lam))
        return s.epsilon * prune_gradient(compressor.logits, compressor.budget, delta, s.lam)

    def _batches(self, epoch: int) -> list[tuple[Tensor, Tensor]]:
        """(images, labels) of every step; a last one of a single image joins the one before (batch norm needs two)."""
        images, labels = self._train
        order = self._order(epoch).to(self.device)
        parts = list(order.split(self.settings.batch))
        if len(parts) > 1 and len(parts[-1]) == 1:
            parts[-2:] = [torch.cat(parts[-2:])]
        flipped = torch.zeros(len(order), dtype=torch.bool)
        if self.settings.flips:
            flipped = torch.rand(len(order), generator=self._generator(FLIPS, epoch)) < 0.5
        masks = flipped.to(self.device).split([len(part) for part in parts])
        return [
            (torch.where(mask[:, None, None, None], images[part].flip(3), images[part]), labels[part])
            for part, mask in zip(parts, masks, strict=True)
        ]

    def _order(self, epoch: int) -> Tensor:
        """Indices of an epoch's images: the next ones of an endless row of shuffled passes over all of them."""
        count = len(self.data.train_labels)
        size = min(self.settings.images or count, count)
        first, last = epoch * size, (epoch + 1) * size - 1
        passes = [
            torch.randperm(count, generator=self._generator(ORDER, number))
            for number in range(first // count, last // count + 1)
        ]
        begin = first % count
        return torch.cat(passes)[begin : begin + size]

    def _generator(self, purpose: int, number: int) -> torch.Generator:
        state = np.random.SeedSequence((self.settings.seed, purpose, number)).generate_state(1, np.uint64)
        return torch.Generator().manual_seed(int(state[0]))

    def _scaled(self, images: Tensor) -> Tensor:
        return (images.float() / 255.0 - self._mean) / self._deviation

    def identity(self, budgets: Sequence[int]) -> dict[str, Any]:
        """What a checkpoint behind epochs at these budgets must agree on to be resumed here."""
        settings = asdict(self.settings.decisive(budgets, self.interface.phi))
        return {"model": self.model.fingerprint, "data": self.data.fingerprint, "settings": settings}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint: weights, optimisers, records; whole or not at all.

        Raises:
            InputError: it cannot be written.
        """
        state = {
            "identity": self.identity(self.budgets),
            "records": [record.to_json() for record in self.records],
            "halves": [half.state_dict() for half in self.halves],
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
        }
        with replacing(Path(path)) as temporary, temporary.open("wb") as file:  # torch alone does not say why it fails
            torch.save(state, file)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Go on from a checkpoint as if the training had never stopped.

        Raises:
            InputError: it cannot be read, or is of another model, data set or settings.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            identity, records = state["identity"], [EpochRecord(**record) for record in state["records"]]
            halves, optimizers = state["halves"], state["optimizers"]
        except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        except BROKEN:
            raise InputError(f"{path}: is not a checkpoint of a split training") from None
        mine = self.identity([record.budget for record in records])
        for name, value in mine.items():
            if identity.get(name) != value:
                raise InputError(f"{path}: its {name} differ from those of this training; start anew or use its own")
        for half, weights in zip(self.halves, halves, strict=True):
            half.load_state_dict(weights)
        for optimizer, saved in zip(self._optimizers, optimizers, strict=True):
            optimizer.load_state_dict(saved)
        self.records = records


def train(
    training: Training,
    budgets: Sequence[int],
    checkpoint: str | os.PathLike[str] | None = None,
    on_epoch: OnEpoch | None = None,
    on_step: OnStep | None = None,
) -> list[EpochRecord]:
    """Train over a schedule's budgets, one epoch each, and go on where the training or its checkpoint stands.

    Args:
        training: at the start of the schedule or some epochs into it.
        budgets: of all epochs, at the cut's own phi.
        checkpoint: read if it is there, written after every epoch.
        on_epoch: called after every epoch that is trained here, once its checkpoint is written.
        on_step: called with the share of the whole schedule that is done.

    Returns:
        The records of all epochs.

    Raises:
        InputError: a budget is not allowed, or what was trained so far had other budgets.
    """
    for i, budget in enumerate(budgets):
        training.interface.check_budget(budget, f"epoch {i}")
    if checkpoint is not None and Path(checkpoint).exists() and not training.records:
        training.load(checkpoint)
    done = training.budgets
    if done != tuple(budgets[: len(done)]):
        where = checkpoint if checkpoint is not None else "training"
        raise InputError(f"{where}: its {len(done)} epochs had other budgets than the schedule's first {len(done)}")
    for number in range(len(done), len(budgets)):

        def step(share: float, number: int = number) -> None:
            if on_step is not None:
                on_step((number + share) / len(budgets))

        record = training.epoch(budgets[number], step)
        if checkpoint is not None:
            training.save(checkpoint)
        if on_epoch is not None:
            on_epoch(record)
    return training.records


def _check_fit(model: Model, data: Dataset) -> None:
    channels, height, width = data.train_images.shape[1:]
    shape = model.input
    if (channels, height, width) != (shape.folded_channels, shape.height, shape.width):
        raise InputError(f"{data.name}: images are {channels}x{height}x{width}, {model.name} takes {shape}")
    outputs = model.kernels[-1].out_shape
    if outputs.elements != outputs.channels or outputs.channels < len(data.classes):
        raise InputError(f"{data.name}: has {len(data.classes)} classes, {model.name} tells {outputs} apart")


def _optimizer(half: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """SGD or Adam; the filter's logits decay no more than their budget says."""
    named = list(half.named_parameters())
    logits = [value for name, value in named if name == "compressor.logits"]
    others = [value for name, value in named if name != "compressor.logits"]
    groups = [{"params": others}, *([{"params": logits, "weight_decay": 0.0}] if logits else [])]
    if settings.optimizer == "adam":
        return torch.optim.Adam(groups, settings.learning_rate, weight_decay=settings.weight_decay)
    return torch.optim.SGD(groups, settings.learning_rate, settings.momentum, weight_decay=settings.weight_decay)


@contextmanager
def _numerics(threads: int) -> Iterator[None]:
    """Sums in a fixed order: so many threads, and the deterministic kernels of a GPU."""
    before = torch.get_num_threads(), torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before[1:]
