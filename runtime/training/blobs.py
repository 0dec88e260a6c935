"""A data set in a store, and back: one blob of its training images and labels, named by what it holds."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...models.layers import Shape
from ...ui.errors import InputError
from ..blobs import BlobStore
from .data import Dataset

IMAGES, LABELS = "images", "labels"


def put_data(store: BlobStore, data: Dataset) -> str:
    """Keep what a data set has to train on; returns its digest.

    Raises:
        InputError: the store's quota does not hold it.
    """
    from safetensors.torch import save

    return store.put(save({IMAGES: data.train_images.contiguous(), LABELS: data.train_labels.contiguous()}))


def data_of(store: BlobStore, digests: Sequence[str], shape: Shape) -> Dataset:
    """The data set of some blobs, its images in order; there is nothing to test on.

    Args:
        shape: that its images must have.

    Raises:
        InputError: the blobs are not here, or hold something else.
    """
    found = [store.load(digest) for digest in digests]
    images, labels = [], []
    for digest, tensors in zip(digests, found, strict=True):
        if tensors.keys() != {IMAGES, LABELS}:
            raise InputError(f"data {digest[:12]}: holds {', '.join(sorted(tensors))}, not {IMAGES} and {LABELS}")
        images.append(tensors[IMAGES])
        labels.append(tensors[LABELS])
    due = (shape.folded_channels, shape.height, shape.width)
    for x, y in zip(images, labels, strict=True):
        fits = x.dim() == 4 and tuple(x.shape[1:]) == due and y.shape == x.shape[:1] and len(y)
        if not fits or (x.dtype, y.dtype) != (torch.uint8, torch.int64):
            raise InputError(f"data: images are {tuple(x.shape)} {x.dtype}, allowed: (n, {due[0]}, {due[1]}, {due[2]})")
    none = torch.zeros((0, *due), dtype=torch.uint8), torch.zeros(0, dtype=torch.int64)
    return Dataset("wire", (), torch.cat(images), torch.cat(labels), *none)
