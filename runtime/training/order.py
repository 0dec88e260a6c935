"""Which images a step trains on: a function of the data, the settings and the step's number, and of nothing else.

The images come in an endless row of shuffled passes over all of them; an epoch takes the next ones, a batch the next of
these. So a batch does not depend on where layers lie, how many workers there are or what was lost on the way: a move
changes who computes, never what is learnt from, and what is done again is done on the same images in the same order.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .data import Dataset

# What a generator is for: each has its own for every epoch, so that a resumed training draws what it would have drawn.
ORDER, FLIPS, RESET = range(3)


def generator(seed: int, purpose: int, number: int) -> torch.Generator:
    """What is drawn from for a purpose in an epoch (or pass)."""
    state = np.random.SeedSequence((seed, purpose, number)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))


class Batches:
    """The training images of a data set in the order in which they are learnt from.

    Args:
        data: the images.
        batch: images a step.
        seed: of the order and the flips.
        images: of an epoch; None: all.
        flips: whether images are mirrored at random.
        device: where the batches lie.
        whole: whether all batches are of one size: an epoch is shorter by what is left over, with which the next one
            begins.
    """

    def __init__(
        self,
        data: Dataset,
        batch: int,
        seed: int = 0,
        images: int | None = None,
        flips: bool = False,
        device: torch.device | str = "cpu",
        whole: bool = False,
    ) -> None:
        self.seed, self.flips, self.device = seed, flips, torch.device(device)
        self._images, self._labels = data.train_images.to(self.device), data.train_labels.to(self.device)
        self._count = len(data.train_labels)
        self._size = min(images or self._count, self._count)
        if whole:
            self._size = max(1, self._size // batch) * min(batch, self._size)
        self._sizes = [min(batch, self._size - at) for at in range(0, self._size, batch)]
        if len(self._sizes) > 1 and self._sizes[-1] == 1:  # batch norm needs two
            self._sizes[-2:] = [batch + 1]
        self._epoch = -1
        self._parts: list[tuple[Tensor, Tensor]] = []

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return len(self._sizes)

    @property
    def largest(self) -> int:
        """Images of the largest batch."""
        return max(self._sizes)

    def batch(self, number: int) -> tuple[Tensor, Tensor]:
        """(images, labels) of a batch, counted from the first epoch's first.

        Returns:
            (batch, channels, height, width) uint8, and (batch,) int64.
        """
        epoch, at = divmod(number, self.steps)
        if epoch != self._epoch:
            self._epoch, self._parts = epoch, self._indices(epoch)
        part, flipped = self._parts[at]
        images = self._images[part]
        if self.flips:
            images = torch.where(flipped[:, None, None, None], images.flip(3), images)
        return images, self._labels[part]

    def order(self, epoch: int) -> Tensor:
        """Indices of an epoch's images."""
        first, last = epoch * self._size, (epoch + 1) * self._size - 1
        passes = [
            torch.randperm(self._count, generator=generator(self.seed, ORDER, number))
            for number in range(first // self._count, last // self._count + 1)
        ]
        begin = first % self._count
        return torch.cat(passes)[begin : begin + self._size]

    def _indices(self, epoch: int) -> list[tuple[Tensor, Tensor]]:
        """For every batch of an epoch the images and which of them are mirrored."""
        order, flipped = self.order(epoch), torch.zeros(self._size, dtype=torch.bool)
        if self.flips:
            flipped = torch.rand(self._size, generator=generator(self.seed, FLIPS, epoch)) < 0.5
        parts, masks = (values.to(self.device).split(self._sizes) for values in (order, flipped))
        return list(zip(parts, masks, strict=True))
