"""Small networks and data for trainings, and comparison of states."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor

from splitgym.models.blocks import Block
from splitgym.models.chain import Join, Unit
from splitgym.models.layers import Conv, GlobalPool, Linear, Pool, Shape
from splitgym.models.model import Model
from splitgym.runtime.training.data import Dataset, load_images

PLAIN = Model(
    "plain",
    Shape(1, 8, 8),
    (
        Unit("conv1", (Conv(3, 1, 1, out_channels=6),)),
        Unit("pool1", (Pool(2, 2),)),
        Unit("conv2", (Conv(3, 1, 1, out_channels=8),)),
    ),
    (Linear(16), Linear(10, activation="none")),
)
NORMS = Model(
    "norms",
    Shape(1, 8, 8),
    (
        Unit("conv1", (Conv(3, 1, 1, out_channels=6, bias=False, norm=True),)),
        Unit("conv2", (Conv(3, 1, 1, out_channels=6, bias=False, norm=True),), save="early"),
        Unit("pool", (Pool(2, 2),)),
        Unit(
            "block",
            (
                Block(
                    ((Conv(3, 1, 1, out_channels=6, bias=False, norm=True, activation="none"),), ()),
                    "add",
                    activation="relu",
                ),
            ),
        ),
        Unit("conv3", (Conv(1, 1, 0, out_channels=8),), joins=(Join("early", (Pool(2, 2),)),)),
    ),
    (GlobalPool(), Linear(10, activation="none")),
)


@cache
def digits() -> Dataset:
    return load_images(None, PLAIN.input, train_limit=90, test_limit=20)


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Whether two states are one, bit by bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
