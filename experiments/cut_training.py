"""A training with one cut in this process, as the studies do it, and how good the network is that its members hold."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..models.model import MAIN, Model
from ..models.runnable.units import TorchModel
from ..runtime.training.back import Back
from ..runtime.training.cut import DEVICE, EDGE, CutRules, Device, Ledger
from ..runtime.training.data import Dataset
from ..runtime.training.half import Half, Recipe, Scale, untrained
from ..runtime.training.local import LocalTraining
from ..runtime.training.order import Batches
from ..runtime.wire_training import Round, Sync

TEST_BATCH = 500
Crossing = Callable[[Tensor], Tensor]  # what becomes of a tensor that crosses the cut


class CutTraining:
    """Device and edge, their ledger, and the images.

    Args:
        model: the network; its steps are 0 to P - 1.
        data: images of its input shape.
        seed: of weights, order of the images and flips.
        batch: images a round.
        period: rounds between two syncs, None for none at all.
        every_change: sync in front of every round whose cut is another one, instead.
        recipe: of the updates.
        device, edge: make the members.
        flips: whether images are mirrored at random.
    """

    def __init__(
        self,
        model: Model,
        data: Dataset,
        seed: int,
        batch: int,
        period: int | None = None,
        every_change: bool = False,
        recipe: Recipe | None = None,
        device: Callable[..., Device] = Device,
        edge: Callable[..., Back] = Back,
        flips: bool = False,
    ) -> None:
        self.steps = len(model.steps)
        self.ledger = Ledger(self.steps, period or 2**62, every_change)
        self._data, self._scale = data, Scale.of(data)
        batches = Batches(data, batch, seed, flips=flips)

        def half() -> Half:
            return Half(untrained(model, seed), recipe or Recipe(), self._scale)

        make = {
            DEVICE: lambda: device(half(), batches, recovers=False),
            EDGE: lambda: edge(EDGE, half(), batches.largest, recovers=False),
        }
        self._local = LocalTraining(CutRules((DEVICE, EDGE), self.steps), make, every=None)

    def round(self, number: int, cut: int, rate: float) -> float:
        """Train a batch; returns the share of it that was right, before its update."""
        self._sync(self.ledger.due_before(cut))
        told = self._local.do(Round(number, cut, rate))
        assert isinstance(told.entry, Round)
        self.ledger.book(told.entry)
        return told.measures["right"] / told.measures["samples"]

    def end_round(self) -> None:
        """Sync where that is due behind the round."""
        self._sync(self.ledger.due_behind())

    def end(self) -> None:
        """The last sync of a training, whose copies may differ."""
        self._sync(self.ledger.asked())

    def copy(self, name: str) -> TorchModel:
        """A member's copy of the network."""
        return network_of(self._local, name)

    def accuracy(self, cut: int, crossing: Crossing | None = None) -> float:
        """Share of the test images that the two parts in force get right.

        Args:
            cut: between them.
            crossing: what becomes of what crosses; nothing where none is given.
        """
        parts = [(self.copy(DEVICE), 0, cut), (self.copy(EDGE), cut, self.steps)]
        return accuracy(parts, self._data, self._scale, crossing)

    def _sync(self, entry: Sync | None) -> None:
        if entry is not None:
            self._local.do(entry)
            self.ledger.book(entry)


def network_of(local: LocalTraining, name: str) -> TorchModel:
    """A member's copy of the network."""
    half = local.members[name].half
    assert isinstance(half, Half)
    return half.network


@torch.no_grad()
def accuracy(
    parts: list[tuple[TorchModel, int, int]], data: Dataset, scale: Scale, crossing: Crossing | None = None
) -> float:
    """Share of the test images that steps [start, stop) of several networks, one behind the other, get right.

    Args:
        parts: networks with the steps that are theirs; in training mode, in which they are left.
        crossing: what becomes of a tensor between two parts.
    """
    right = 0
    for network, _, _ in parts:
        network.eval()
    for images, labels in zip(data.test_images.split(TEST_BATCH), data.test_labels.split(TEST_BATCH), strict=True):
        tensors = {MAIN: scale(images)}
        for number, (network, start, stop) in enumerate(parts):
            if number and crossing is not None and 0 < start < stop:
                tensors = {name: crossing(value) for name, value in tensors.items()}
            if start < stop:
                tensors, _ = network[start:stop](tensors)
        right += int((tensors[MAIN].flatten(1).argmax(1) == labels).sum())
    for network, _, _ in parts:
        network.train()
    return right / len(data.test_labels)
