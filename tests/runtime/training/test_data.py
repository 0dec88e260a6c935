"""Images to train on: folders of them, the digits, and what is wrong with a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from splitgym.models.layers import Shape
from splitgym.runtime.training.data import load_images
from splitgym.ui.errors import InputError

from ... import refused


def write_images(folder: Path, classes: tuple[str, ...] = ("cat", "dog"), count: int = 3) -> Path:
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for number, name in enumerate(classes):
            (folder / part / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 100, (6, 5, 3), dtype=np.uint8)
                pixels[..., number % 3] += 100
                Image.fromarray(pixels).save(folder / part / name / f"{i}.png")
    return folder


def test_an_image_folder_is_read_in_order_and_resized(tmp_path: Path) -> None:
    data = load_images(write_images(tmp_path), Shape(3, 8, 8))
    assert data.classes == ("cat", "dog")
    assert data.train_images.shape == data.test_images.shape == (6, 3, 8, 8)
    assert data.train_labels.tolist() == [0, 0, 0, 1, 1, 1]
    means = data.train_images.double().mean((2, 3))
    assert (means[:3, 0] > means[:3, 1] + 50).all()
    assert (means[3:, 1] > means[3:, 0] + 50).all()
    grey = load_images(tmp_path, Shape(1, 6, 5))
    assert grey.train_images.shape == (6, 1, 6, 5)
    mean, deviation = data.statistics
    scaled = (data.train_images / 255.0 - mean) / deviation
    assert scaled.mean((0, 2, 3)).abs().max() < 1e-5
    assert scaled.std((0, 2, 3), correction=0).sub(1).abs().max() < 1e-4


def test_a_limit_chooses_images_by_the_seed(tmp_path: Path) -> None:
    folder = write_images(tmp_path, count=20)
    chosen = [load_images(folder, train_limit=10, test_limit=5, seed=seed) for seed in (0, 0, 1)]
    assert [len(data.train_labels) for data in chosen] == [10] * 3
    assert len(chosen[0].test_labels) == 5
    assert torch.equal(chosen[0].train_images, chosen[1].train_images)
    assert not torch.equal(chosen[0].train_images, chosen[2].train_images)
    assert chosen[0].fingerprint == chosen[1].fingerprint != chosen[2].fingerprint
    with pytest.raises(InputError, match="train_limit is 0"):
        load_images(folder, train_limit=0)


def test_digits_are_the_default() -> None:
    data = load_images(None)
    assert data.train_images.shape == (1437, 3, 32, 32)
    assert data.test_images.shape == (360, 3, 32, 32)
    assert sorted(set(data.test_labels.tolist())) == list(range(10))


def _empty(folder: Path) -> None:
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            for file in (folder / part / name).iterdir():
                file.unlink()
            (folder / part / name).rmdir()


def _one_class(folder: Path) -> None:
    for part in ("train", "test"):
        (folder / part / "dog").rename(folder / f"{part}-dog")


def _no_images(folder: Path) -> None:
    for file in (folder / "train" / "dog").iterdir():
        file.rename(file.with_suffix(".txt"))


def _unreadable(folder: Path) -> None:
    (folder / "train" / "dog" / "1.png").write_bytes(b"no image")


def _cut_short(folder: Path) -> None:
    file = folder / "test" / "cat" / "2.png"
    file.write_bytes(file.read_bytes()[:60])


def _no_test(folder: Path) -> None:
    (folder / "test").rename(folder / "tests")


def _strange_class(folder: Path) -> None:
    (folder / "test" / "dog").rename(folder / "test" / "fox")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_empty, "train: is empty"),
        (_one_class, "train: has only the class 'cat'; two or more"),
        (_no_images, "train/dog: holds no images"),
        (_unreadable, "train/dog/1.png: cannot be read as an image"),
        (_cut_short, "test/cat/2.png: cannot be read as an image"),
        (_no_test, "test: is not a folder"),
        (_strange_class, "test: class 'fox' is not in"),
    ],
)
def test_a_bad_image_folder_is_named_in_one_line(tmp_path: Path, spoil: Callable[[Path], None], said: str) -> None:
    spoil(write_images(tmp_path))
    with refused(said):
        load_images(tmp_path)


def test_a_missing_image_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: is not a folder"):
        load_images(tmp_path / "nowhere")
