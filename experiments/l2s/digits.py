"""A small network trained on real images: scikit-learn's handwritten digits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...models.chain import Unit
from ...models.layers import Shape
from ...models.model import Model
from ...models.runnable.units import TorchModel, build
from ...models.zoo.classifiers import classifier, conv, max_pool

TEST_IMAGES = 360  # of the 1797 digits
EPOCHS = 12
BATCH = 32
LEARNING_RATE = 2e-3

OnProgress = Callable[[float], None]


@dataclass(frozen=True)
class Trained:
    """A network that was trained on images.

    Attributes:
        model: in eval mode.
        images: (n, channels, height, width), those that it was not trained on.
        accuracy: share of them that it gets right.
    """

    model: TorchModel
    images: Tensor
    accuracy: float


def digits_model() -> Model:
    """A small chain in the manner of VGG for grey 16x16 images of digits."""
    units = (
        Unit("conv1", (conv(16),)),
        max_pool("pool1"),
        Unit("conv2", (conv(24),)),
        Unit("conv3", (conv(24),)),
        max_pool("pool2"),
    )
    return Model("digits16", Shape(1, 16, 16), units, classifier(48, 10))


def train_digits(seed: int = 0, epochs: int = EPOCHS, on_progress: OnProgress | None = None) -> Trained:
    """Train :func:`digits_model` on scikit-learn's digits (1797 photographed ones, 8x8, here enlarged to 16x16).

    It runs on one thread, takes a few seconds, and is the same every time for a seed: split, weights and order.

    Args:
        seed: of all three.
        epochs: passes over the training images.
        on_progress: called with the share that is done.

    Raises:
        ModuleNotFoundError: scikit-learn is missing.
    """
    pixels, labels = _load_digits()
    generator = torch.Generator().manual_seed(seed)
    images = F.interpolate(pixels, (16, 16), mode="bilinear")
    order = torch.randperm(len(images), generator=generator)
    test, training = order[:TEST_IMAGES], order[TEST_IMAGES:]
    model = build(digits_model(), seed)
    with _one_thread():
        optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE)
        for epoch in range(epochs):
            for part in training[torch.randperm(len(training), generator=generator)].split(BATCH):
                optimizer.zero_grad()
                F.cross_entropy(model(images[part])[0], labels[part]).backward()
                optimizer.step()
            if on_progress is not None:
                on_progress((epoch + 1) / epochs)
        with torch.no_grad():
            right = model(images[test])[0].argmax(1) == labels[test]
    return Trained(model, images[test], float(right.double().mean()))


def _load_digits() -> tuple[Tensor, Tensor]:
    """(images (1797, 1, 8, 8) from 0 to 1, labels (1797,))."""
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    return torch.from_numpy(digits.images / 16.0).float()[:, None], torch.from_numpy(digits.target).long()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in a fixed order; a network as small as this gains nothing from more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
