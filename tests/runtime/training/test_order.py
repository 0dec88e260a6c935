"""The order of the images: shuffled passes over all of them, whatever the sizes of batches and epochs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.runtime.training.order import Batches

from .nets import digits
from .reference import batch_of


@pytest.fixture(scope="module")
def index_of() -> dict[bytes, int]:
    return {image.numpy().tobytes(): i for i, image in enumerate(digits().train_images)}


@settings(max_examples=15)
@given(st.integers(2, 40), st.integers(2, 90) | st.none(), st.booleans(), st.integers(0, 99))
def test_every_image_comes_once_before_any_comes_again(
    index_of: dict[bytes, int], batch: int, images: int | None, whole: bool, seed: int
) -> None:
    batches, seen, sizes, number = Batches(digits(), batch, seed, images, whole=whole), [], [], 0
    while len(seen) < 2 * 90:
        found, labels = batches.batch(number)
        assert torch.equal(labels, digits().train_labels[[index_of[image.numpy().tobytes()] for image in found]])
        seen += [index_of[image.numpy().tobytes()] for image in found]
        sizes.append(len(labels))
        number += 1
    for at in (0, 90):
        assert len(set(seen[at : at + 90])) == 90
    assert max(sizes) <= batches.largest <= batch + 1
    assert min(sizes) > 1
    if whole:
        assert set(sizes) == {min(batch, images or 90)}


def test_a_batch_does_not_depend_on_those_before() -> None:
    here, there = Batches(digits(), 12, seed=4), Batches(digits(), 12, seed=4)
    for number in range(20):
        here.batch(number)
    for number in (19, 3, 11, 3):
        assert torch.equal(here.batch(number)[0], there.batch(number)[0])
        assert torch.equal(here.batch(number)[1], batch_of(digits(), number, seed=4)[1])
