"""Labelled images to train on: a folder of them, or scikit-learn's digits."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...models.layers import Shape
from ...ui.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".webp")
DIGITS_TEST = 360  # of the 1797 digits, always the same ones
CIFAR_SHAPE = Shape(3, 32, 32)


@dataclass(frozen=True)
class Dataset:
    """Images in two parts.

    Attributes:
        name: for records.
        classes: names, in the order of the labels.
        train_images, test_images: (n, channels, height, width), uint8.
        train_labels, test_labels: (n,), int64.
    """

    name: str
    classes: tuple[str, ...]
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    @cached_property
    def statistics(self) -> tuple[Tensor, Tensor]:
        """(mean, standard deviation) of the training images by channel, each (channels, 1, 1), values from 0 to 1."""
        values = self.train_images.transpose(0, 1).flatten(1).double() / 255.0
        deviation = values.std(1, correction=0).clamp(min=1e-3)
        return values.mean(1).float()[:, None, None], deviation.float()[:, None, None]

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the content."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for part in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(part.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def load_images(
    folder: str | os.PathLike[str] | None,
    shape: Shape = CIFAR_SHAPE,
    train_limit: int | None = None,
    test_limit: int | None = None,
    seed: int = 0,
) -> Dataset:
    """The images of a folder, or the digits where none is given.

    Args:
        folder: holds ``train/<class>/*.jpg`` and ``test/<class>/*.jpg`` (or png, bmp, ppm, webp).
        shape: what the model takes: images are resized to it; one channel makes them grey.
        train_limit, test_limit: how many to take at most of either part.
        seed: of the choice under a limit.

    Raises:
        InputError: one line naming the folder or the file, and what is allowed.
    """
    if shape.folded_channels not in (1, 3):
        raise InputError(f"images have 1 or 3 channels, the model takes {shape.folded_channels}")
    for name, limit in (("train_limit", train_limit), ("test_limit", test_limit)):
        if limit is not None and limit < 1:
            raise InputError(f"{name} is {limit}, allowed: 1 or more")
    if folder is None:
        return _digits(shape, train_limit, test_limit, seed)
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"{root}: is not a folder; it must hold train/<class>/ and test/<class>/ with images")
    train, test = _listing(root / "train"), _listing(root / "test")
    classes = tuple(train)
    if len(classes) < 2:
        raise InputError(f"{root / 'train'}: has only the class {min(train)!r}; two or more are needed")
    if unknown := sorted(set(test) - set(classes)):
        raise InputError(f"{root / 'test'}: class {unknown[0]!r} is not in {root / 'train'}")
    parts = [_read(files, classes, shape, limit, seed) for files, limit in ((train, train_limit), (test, test_limit))]
    return Dataset(root.name, classes, *parts[0], *parts[1])


def _listing(folder: Path) -> dict[str, list[Path]]:
    """The image files of every class, both in the order of their names."""
    if not folder.is_dir():
        raise InputError(f"{folder}: is not a folder; it must hold a folder of images for every class")
    found = {
        entry.name: sorted(file for file in entry.iterdir() if file.suffix.lower() in SUFFIXES)
        for entry in sorted(folder.iterdir())
        if entry.is_dir() and not entry.name.startswith(".")
    }
    if not found:
        raise InputError(f"{folder}: is empty; it must hold a folder of images for every class")
    for name, files in found.items():
        if not files:
            raise InputError(f"{folder / name}: holds no images; allowed: {', '.join(SUFFIXES)}")
    return found


def _read(
    files: dict[str, list[Path]], classes: tuple[str, ...], shape: Shape, limit: int | None, seed: int
) -> tuple[Tensor, Tensor]:
    listed = [(file, classes.index(name)) for name, paths in files.items() for file in paths]
    chosen = [listed[i] for i in _choice(len(listed), limit, seed)]
    pixels = torch.from_numpy(np.stack([_pixels(file, shape) for file, _ in chosen]))
    return pixels, torch.tensor([label for _, label in chosen])


def _choice(count: int, limit: int | None, seed: int) -> Iterable[int]:
    if limit is None or limit >= count:
        return range(count)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return sorted(order[:limit].tolist())


def _pixels(file: Path, shape: Shape) -> np.ndarray:
    """(channels, height, width), uint8."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as opened:
            image = opened.convert("L" if shape.folded_channels == 1 else "RGB")
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{file}: cannot be read as an image ({str(error).splitlines()[0]})") from None
    if image.size != (shape.width, shape.height):
        image = image.resize((shape.width, shape.height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.uint8)
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))


@lru_cache(maxsize=2)  # for the envs of a comparison; nobody writes into them
def _digits(shape: Shape, train_limit: int | None, test_limit: int | None, seed: int) -> Dataset:
    """scikit-learn's handwritten digits (1797 grey ones, 8x8), enlarged to the model's input."""
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    small = torch.from_numpy(digits.images / 16.0).float()[:, None]
    grey = F.interpolate(small, (shape.height, shape.width), mode="bilinear")
    images = (grey * 255.0).round().to(torch.uint8).expand(-1, shape.folded_channels, -1, -1).contiguous()
    labels = torch.from_numpy(digits.target).long()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    test, train = order[:DIGITS_TEST], order[DIGITS_TEST:]
    train = train[list(_choice(len(train), train_limit, seed))]
    test = test[list(_choice(len(test), test_limit, seed))]
    names = tuple(str(name) for name in digits.target_names)
    return Dataset("digits", names, images[train], labels[train], images[test], labels[test])
