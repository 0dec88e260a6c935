"""Where the zoo's networks may be cut for training, with a stem of its own and without."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from splitgym.models.blocks import Block
from splitgym.models.chain import Unit
from splitgym.models.cuts import cut_points
from splitgym.models.layers import Conv, Linear, Shape
from splitgym.models.lookup import get_model
from splitgym.models.model import Model
from splitgym.models.zoo.catalogue import MODELS

CHAINS = {"lenet5": 7, "alexnet": 11, "alexnet_64": 11, "vgg11": 16, "vgg16": 21, "vgg19": 24, "googlenet": 18}


def adds(name: str) -> list[int]:
    """Units that hold a residual block."""
    units = get_model(name).units
    return [i for i, u in enumerate(units) if any(isinstance(k, Block) and k.combine == "add" for k in u.layers)]


@pytest.mark.parametrize("stem", [False, True])
@pytest.mark.parametrize(("name", "steps"), CHAINS.items())
def test_a_chain_is_cut_behind_every_layer(name: str, steps: int, stem: bool) -> None:
    """Concatenating blocks (GoogLeNet's) are layers here, not residual ones."""
    assert cut_points(get_model(name), stem) == tuple(range(steps + 1))


def test_resnet34_is_cut_behind_its_sixteen_blocks() -> None:
    """conv1 and pool1, then blocks 3..18, pool and fc: the stem joins the first block unless it is asked for."""
    model = get_model("resnet34")
    names = [step.name for step in model.steps]
    assert cut_points(model) == (0, *range(3, 18), 18, 20)
    with_stem = cut_points(model, stem=True)
    assert with_stem == (0, 2, *range(3, 19), 20)
    assert len(with_stem) - 1 == 18  # stem, 16 blocks, head
    assert [names[p - 1] for p in with_stem[1:3]] == ["pool1", "conv2_1"]
    assert [names[p - 1] for p in with_stem[-2:]] == ["conv5_3", "fc1"]


@pytest.mark.parametrize("name", MODELS)
def test_points_of_every_network(name: str) -> None:
    model, residual = get_model(name), adds(name)
    last = len(model.steps)
    for stem in (False, True):
        points = cut_points(model, stem)
        assert points[0] == 0
        assert points[-1] == last
        assert (np.diff(points) > 0).all()
        assert all(type(p) is int for p in points)
        if not residual:
            assert len(points) == last + 1
            continue
        assert set(points[1:-1]) <= {i + 1 for i in residual} | ({residual[0]} if stem else set())
        pieces = [sum(a <= i < b for i in residual) for a, b in pairwise(points)]
        head = residual[-1] + 1 < last  # what comes behind the last block is a piece
        begins = stem and residual[0] > 0
        assert pieces == [0] * begins + [1] * len(residual) + [0] * head
    assert set(cut_points(model)) <= set(cut_points(model, stem=True))


@pytest.mark.parametrize(
    ("before", "behind", "tail", "points", "with_stem"),
    [
        (0, 0, False, (0, 1, 2), (0, 1, 2)),  # nothing but two blocks
        (0, 0, True, (0, 1, 2, 3), (0, 1, 2, 3)),
        (1, 0, False, (0, 2, 3), (0, 1, 2, 3)),
        (2, 1, True, (0, 3, 4, 6), (0, 2, 3, 4, 6)),
        (2, 2, False, (0, 3, 4, 6), (0, 2, 3, 4, 6)),
    ],
)
def test_two_blocks_with_layers_around_them(
    before: int, behind: int, tail: bool, points: tuple[int, ...], with_stem: tuple[int, ...]
) -> None:
    conv = Conv(3, 1, 1, out_channels=3)
    layers = [conv] * before + [Block(((conv,), ()), "add")] * 2 + [conv] * behind
    units = tuple(Unit(f"unit{i}", (layer,)) for i, layer in enumerate(layers))
    model = Model("toy", Shape(3, 8, 8), units, (Linear(2),) if tail else ())
    assert cut_points(model) == points
    assert cut_points(model, stem=True) == with_stem
