"""Split training over budgets that change from epoch to epoch: deprune, prune and from scratch (Algorithms 1-3).

All three are the same loop. Only the schedule differs: when a budget rises the filter goes on as it is (deprune), when
it falls :func:`.budget.reset_filter` comes first (prune), and a schedule of one budget is training from scratch. Client
and server are in this process, or on workers: then what they hold is fetched for every test.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from ...models.compression import Mask
from ...models.model import Model
from ...models.runnable.compression import Halves, kept_maps, split_model
from ...ui.errors import InputError
from ...ui.validation import validated
from ..wire_training import Compressed, Redraw
from .budget import selected_lr
from .channel import Channel
from .compressed import CLIENT, SERVER, CompressedClient, CompressedRules, CompressedServer, others_of
from .data import Dataset
from .half import Scale, numerics
from .local import LocalTraining
from .member import Member
from .order import Batches
from .settings import EpochRecord, Settings
from .state import OPTIMIZER, State, by_member, flat, load_state, read_state, save_state

TEST_BATCH = 500
KINDS = ("maps", "filter", "labels", "others", "gradients", "other_gradients")

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
        every: steps between two checkpoints from which a half that is lost is rebuilt; None for none.
        over: a training of the same model, data and settings on workers; by default in this process.
        encoded: whether all that crosses travels as the bytes that it is on a wire; a soft filter cannot.

    Attributes:
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
        every: int | None = None,
        over: Channel | None = None,
        encoded: bool = False,
    ) -> None:
        self.model, self.data = model, data
        self.settings = validated(Settings, vars(settings or Settings()), "settings")
        if encoded and self.settings.mask == "soft":
            raise InputError("mask is 'soft', allowed where packets are encoded: hard; more crosses than a budget says")
        self.interface = self.settings.interface(model)
        _check_fit(model, data)
        self.device = torch.device(device) if device is not None else pick_device()
        self.threads, self._every, self._encoded = threads, every, encoded
        self._scale = Scale.of(data, self.device)
        s = self.settings
        self.batches = Batches(data, s.batch, s.seed, s.images, s.flips, self.device)
        self._test = data.test_images.to(self.device), data.test_labels.to(self.device)
        self._others: list[tuple[int, ...]] = []
        self._spare: dict[str, Any] = {}  # halves that no member has
        self.records: list[EpochRecord] = []
        self._local = None if over is not None else self._start(None)
        self._over = over
        self._fetched: tuple[int, Halves] | None = None  # entries that they lie behind

    def _start(self, checkpoint: tuple[int, Mapping[str, State]] | None) -> LocalTraining:
        rules, make = CompressedRules((CLIENT, SERVER)), {CLIENT: self._client, SERVER: self._server}
        return LocalTraining(
            rules, make, self._every, encoded=self._encoded, threads=self.threads, checkpoint=checkpoint
        )

    def _half(self, name: str) -> Any:
        """A half as it is at the beginning."""
        if name not in self._spare:
            halves = split_model(self.model, self.interface, self.settings.seed, mask=self.settings.mask)
            self._others = others_of(halves.client)
            self._spare = {CLIENT: halves.client.to(self.device), SERVER: halves.server.to(self.device)}
        return self._spare.pop(name)

    def _client(self) -> Member:
        recovers = self._every is not None
        return CompressedClient(self._half(CLIENT), self.settings, self.batches, self._scale, recovers)

    def _server(self) -> Member:
        half, recovers = self._half(SERVER), self._every is not None
        return CompressedServer(half, self.settings, self._others, self.batches.largest, recovers)

    @property
    def members(self) -> LocalTraining:
        """Client and server, and what is between them, in this process."""
        assert self._local is not None
        return self._local

    @property
    def channel(self) -> Channel:
        """Client and server, and what is between them, wherever they are."""
        return self._over or self.members

    @property
    def halves(self) -> Halves:
        """Client and server as they are now; copies, where they are on workers."""
        if self._local is None:
            return self._fetch()
        client, server = self.members.members[CLIENT], self.members.members[SERVER]
        assert isinstance(client, CompressedClient)
        assert isinstance(server, CompressedServer)
        return Halves(client.module, server.module)

    def _fetch(self) -> Halves:
        if self._fetched is None or self._fetched[0] != self.channel.logged:
            halves = Halves(self._half(CLIENT), self._half(SERVER)) if self._fetched is None else self._fetched[1]
            states = self.channel.states()
            for half, state in zip(halves, (states[CLIENT], states[SERVER]), strict=True):
                load_state(half, None, {name: value for name, value in state.items() if OPTIMIZER not in name})
            self._fetched = self.channel.logged, halves
        return self._fetched[1]

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
        with numerics(self.threads), torch.no_grad():
            for x, y in zip(images.split(TEST_BATCH), labels.split(TEST_BATCH), strict=True):
                output, _ = server(client(self._scale(x)))
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
        if self.records and budget < self.records[-1].budget:
            self.channel.do(Redraw(number))
        before = self.kept(budget)
        client.watch.seconds = server.watch.seconds = 0.0  # where the halves are on workers it stays there
        totals: dict[str, float] = dict.fromkeys(("loss", "right", "samples", "prune", *KINDS), 0.0)
        steps, begin = self.batches.steps, time.perf_counter()
        for i in range(steps):
            self._step(Compressed(number * steps + i, rate, budget), totals)
            if on_step is not None:
                on_step((i + 1) / steps)
        seconds = time.perf_counter() - begin
        module_s = (client.watch.seconds + server.watch.seconds) / steps
        test_loss, test_accuracy = self.evaluate(budget)
        wire_accuracy = test_accuracy
        if s.mask == "soft" and budget < self.interface.phi:
            wire_accuracy = self.evaluate(budget, "hard")[1]
        filter_sum, kept_sum = self._filter_sums(budget)
        count = int(totals["samples"])
        return EpochRecord(
            number, budget, rate, count, steps, totals["loss"] / count, int(totals["right"]) / count,
            totals["prune"] / steps, test_loss, test_accuracy, wire_accuracy, seconds, module_s,
            filter_sum, kept_sum, len(set(self.kept(budget)) - set(before)),
            {kind: int(totals[kind]) for kind in KINDS},
        )  # fmt: skip

    def _step(self, entry: Compressed, totals: dict[str, float]) -> None:
        """One batch: forward, send, backward, send back, both optimisers."""
        for name, value in self.channel.do(entry).measures.items():
            totals[name] += value

    def _filter_sums(self, budget: int) -> tuple[float, float]:
        """Σf of all maps and of the kept ones; without the module nothing is weighed."""
        compressor = self.halves.client.compressor
        if compressor is None:
            return float(budget), float(budget)
        f = compressor.filter.detach()
        return float(f.sum()), float(f[kept_maps(f, budget)].sum())

    def identity(self, budgets: Sequence[int]) -> dict[str, Any]:
        """What a checkpoint behind epochs at these budgets must agree on to be resumed here."""
        settings = asdict(self.settings.decisive(budgets, self.interface.phi))
        return {"model": self.model.fingerprint, "data": self.data.fingerprint, "settings": settings}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint: weights, optimisers, records; whole or not at all.

        Raises:
            InputError: it cannot be written.
        """
        if self._local is None:
            states = self.channel.states()
        else:
            states = {name: member.state() for name, member in self.members.members.items()}
        about = {"identity": self.identity(self.budgets), "records": [record.to_json() for record in self.records]}
        save_state(path, flat(states), about)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Go on from a checkpoint as if the training had never stopped.

        Raises:
            InputError: it cannot be read, or is of another model, data set or settings.
        """
        if self._local is None:
            raise InputError(f"{path}: a training on workers goes on from its own log")
        what = "a checkpoint of a split training"
        state, about = read_state(path, what)
        try:
            identity, records = dict(about["identity"]), [EpochRecord(**record) for record in about["records"]]
        except (LookupError, TypeError, ValueError):
            raise InputError(f"{path}: is not {what}") from None
        mine = self.identity([record.budget for record in records])
        for name, value in mine.items():
            if identity.get(name) != value:
                raise InputError(f"{path}: its {name} differ from those of this training; start anew or use its own")
        self._spare = {CLIENT: self.halves.client, SERVER: self.halves.server}
        self._local = self._start((0, by_member(state)))
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
        taken = f"{shape.folded_channels}x{shape.height}x{shape.width}"
        raise InputError(f"{data.name}: images are {channels}x{height}x{width}, {model.name} takes {taken}")
    outputs = model.kernels[-1].out_shape
    vector = outputs.elements == outputs.channels
    if model.heads or not vector or outputs.channels < len(data.classes):
        made = f"{outputs.channels}" if vector else f"{outputs.folded_channels}x{outputs.height}x{outputs.width}"
        heads = " beside side outputs" if model.heads else ""
        raise InputError(
            f"{data.name}: has {len(data.classes)} classes, {model.name} gives {made} values{heads}; allowed: a "
            "classifier, one vector with a value for every class"
        )
