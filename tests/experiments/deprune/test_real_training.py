"""Deprune with backend=train from the command line: progress, checkpoints, one's own images, bad input."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splitgym.runtime.training.trainer import Training

from ...command_line import PNG, files, metrics, read
from ..brief import BRIEF, undraw

pytestmark = pytest.mark.usefixtures("scratch", "toy_scenario")

TOY = "model: lenet5\nlayer: 1\nshares: [0.17, 0.5, 1]\nepochs: 3\nimages: 64\n"
train = BRIEF["deprune"].train.of("--scenario", "toy.yaml", "--env-kwargs", "backend=train")
PLAYING = "playing "  # what lines of progress begin with


@pytest.fixture
def toy_scenario(scratch: Path) -> None:
    """A small one without recordings."""
    Path("toy.yaml").write_text(TOY)


def write_images(folder: str, classes: str = "ab", parts: tuple[str, ...] = ("train", "test")) -> None:
    """Two images of noise for every class."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for part in parts:
        for name in classes:
            place = Path(folder) / part / name
            place.mkdir(parents=True)
            for number in range(2):
                Image.fromarray(rng.integers(256, size=(32, 32), dtype=np.uint8)).save(place / f"{number}.png")


@pytest.mark.usefixtures("alone")
def test_a_real_training_shows_how_far_it_is_and_is_drawn_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    called = train("checkpoints=kept", "--out", "run")
    pictures = {"training.png", "rewards.png"}
    assert files("run") == {"config.json", "plan.json", "result.json", "curve.csv", *pictures}
    assert all(Path(f"run/{name}").read_bytes().startswith(PNG) for name in pictures)
    undraw(monkeypatch)
    assert re.search(r"playing\s+33 %\s+deprune\s+.* left", called.err)
    assert "accuracy: measured, trained here on scikit-learn digits" in called.out
    assert len(files("kept")) == 3
    weights = {path: path.stat().st_mtime_ns for path in Path("kept").iterdir()}
    train("checkpoints=kept", "--out", "again")
    assert metrics("again", "deprune") == metrics("run", "deprune")
    assert {path: path.stat().st_mtime_ns for path in Path("kept").iterdir()} == weights
    for path in Path("kept").iterdir():
        path.write_bytes(b"broken")
    named = ".safetensors: is not a checkpoint of a split training"
    train.refuses(["checkpoints=kept", "--out", "other"], named, progress=PLAYING)


@pytest.mark.usefixtures("undrawn", "alone")
def test_a_stopped_training_goes_on_with_the_same_command(monkeypatch: pytest.MonkeyPatch) -> None:
    epoch = Training.epoch

    def stopped(self: Training, *rest: Any) -> Any:
        if len(self.records) == 2:
            signal.raise_signal(signal.SIGINT)
        return epoch(self, *rest)

    monkeypatch.setattr(Training, "epoch", stopped)
    called = train("checkpoints=kept", "--out", "run", code=130)
    lines = [line for line in called.told if not line.startswith(PLAYING)]
    assert lines == ["splitgym-train: interrupted; whole epochs are kept in kept, the same command goes on from there"]
    assert not Path("run").exists()
    assert len(files("kept")) == 2
    trained: list[int] = []
    monkeypatch.setattr(Training, "epoch", lambda self, *rest: (trained.append(rest[0]), epoch(self, *rest))[1])
    train("checkpoints=kept", "--out", "run")
    assert len(trained) == 1
    monkeypatch.setattr(Training, "epoch", epoch)
    train("--out", "whole")
    assert metrics("whole", "deprune") == metrics("run", "deprune")


@pytest.mark.usefixtures("undrawn", "alone")
def test_ones_own_images_are_trained_on() -> None:
    write_images("mine", "abc")
    train("data=mine", "--out", "run")
    assert any("trained here on " in line and "mine" in line for line in read("run/result.json")["provenance"])


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_without_curves_the_best_schedule_is_left_out() -> None:
    tiny = ["epochs=1", "images=8"]
    called = train(*tiny, "--out", "run")
    assert "best-schedule is left out: best-schedule needs recorded curves" in called.err
    named = "best-schedule needs recorded curves; this scenario has none"
    train.refuses([*tiny, "--agent", "best-schedule", "--out", "other"], named)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("nothing", "data/train: is not a folder; it must hold a folder of images for every class"),
        ("one class", "data/train: has only the class 'a'; two or more are needed"),
        ("no test", "data/test: is not a folder"),
        ("empty class", "data/train/c: holds no images; allowed: .jpg"),
        ("broken", "data/train/a/0.png: cannot be read as an image"),
        ("text", "data/train/b/0.png: cannot be read as an image"),
        ("unknown class", "data/test: class 'c' is not in data/train"),
        ("no folder", "nowhere: is not a folder; it must hold train/<class>/ and test/<class>/"),
    ],
)
def test_images_that_cannot_be_used_are_one_line(wrong: str, named: str) -> None:
    Path("data").mkdir()
    if wrong not in ("nothing", "no folder"):
        parts = ("train",) if wrong == "no test" else ("train", "test")
        write_images("data", "a" if wrong == "one class" else "ab", parts)
    if wrong == "empty class":
        Path("data/train/c").mkdir()
    if wrong == "unknown class":
        write_images("data", "c", ("test",))
    if wrong == "broken":
        Path("data/train/a/0.png").write_bytes(Path("data/train/a/0.png").read_bytes()[:60])
    if wrong == "text":
        Path("data/train/b/0.png").write_text("no image")
    train.refuses([f"data={'nowhere' if wrong == 'no folder' else 'data'}", "--out", "run"], named)


def test_a_file_in_place_of_checkpoints_is_one_line() -> None:
    Path("kept").write_text("")
    named = "checkpoints: kept: cannot be written ("
    train.refuses(["checkpoints=kept", "--out", "other"], named, progress=PLAYING)
