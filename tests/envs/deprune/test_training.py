"""Training over a schedule of budgets: traffic, seeds, and resuming as if nothing had happened; recorded runs."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from splitgym.envs.deprune.schedules import (
    deprune,
    no_compression,
)
from splitgym.models.chain import Unit
from splitgym.models.compression import Cut, Mask
from splitgym.models.layers import Conv, Linear, Pool, Shape
from splitgym.models.model import Model
from splitgym.models.runnable.compression import kept_maps
from splitgym.runtime.training.data import Dataset, load_images
from splitgym.runtime.training.order import generator
from splitgym.runtime.training.settings import Settings
from splitgym.runtime.training.trainer import Training, train
from splitgym.ui.errors import InputError

from ... import refused, script
from .episodes import same_weights, weights


def small_model(maps: int = 16) -> Model:
    units = (
        Unit("conv1", (Conv(3, 1, 1, out_channels=8),)),
        Unit("pool1", (Pool(2, 2),)),
        Unit("conv2", (Conv(3, 1, 1, out_channels=maps),)),
        Unit("pool2", (Pool(2, 2),)),
    )
    return Model("small", Shape(1, 8, 8), units, (Linear(10, activation="none"),))


SMALL = small_model()
SETTINGS = Settings(layer=5, images=64, batch=16, flips=True)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_images(None, SMALL.input, train_limit=100, test_limit=60)


def start(data: Dataset, model: Model = SMALL, **changes: Any) -> Training:
    return Training(model, data, replace(SETTINGS, **changes), "cpu")


# Training


def test_traffic_of_the_papers_schedule_is_19_27_percent(digits: Dataset) -> None:
    """Sec. 4.1: 15 epochs at 4 of 128 maps and 3 at 128, feature maps and gradients as they crossed."""
    model = small_model(128)
    sums = {}
    for schedule in (deprune(15, 3), no_compression(18)):
        records = train(start(digits, model, images=16), schedule.at(128))
        sums[schedule.name] = sum(record.cut_bytes for record in records)
        sent = records[0].sent_bytes
        assert sent["maps"] == sent["gradients"] == 16 * records[0].budget * 4 * 4 * 4
        assert (sent["filter"], sent["labels"]) == (128 * 4, 16 * 8)
        assert records[0].total_bytes == records[0].cut_bytes + sent["filter"] + sent["labels"]
    assert sums["deprune-15-3"] / sums["no-compression"] == pytest.approx(3.46875 / 18)
    assert round(100 * sums["deprune-15-3"] / sums["no-compression"], 2) == 19.27


def test_a_resumed_training_ends_in_the_same_weights(digits: Dataset, tmp_path: Path) -> None:
    """Stopped anywhere, also around rising and falling budgets; momentum, batch norm, order, flips and draws go on."""
    budgets = [2, 2, 16, 8, 8, 2]
    whole = start(digits)
    train(whole, budgets)
    for stop in (1, 2, 3, 5):  # before and after budgets of each kind
        file = tmp_path / f"{stop}.pt"
        train(start(digits), budgets[:stop], file)
        resumed = start(digits)
        records = train(resumed, budgets, file)
        assert same_weights(whole, resumed)
        pairs = zip(records, whole.records, strict=True)
        assert all(replace(a, seconds=0.0, module_s=0.0) == replace(b, seconds=0.0, module_s=0.0) for a, b in pairs)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_training_stopped_within_an_epoch_repeats_it(digits: Dataset, tmp_path: Path, optimizer: str) -> None:
    budgets = [2, 16, 16]
    whole = start(digits, optimizer=optimizer)
    train(whole, budgets)

    def stop(share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(start(digits, optimizer=optimizer), budgets, tmp_path / "c.pt", on_step=stop)
    resumed = start(digits, optimizer=optimizer)
    train(resumed, budgets, tmp_path / "c.pt")
    assert same_weights(whole, resumed)


def test_schedules_that_begin_alike_begin_with_the_same_weights(digits: Dataset, tmp_path: Path) -> None:
    low, rising = start(digits), start(digits)
    train(low, [2, 2], tmp_path / "c.pt")
    train(rising, [2, 2])
    assert same_weights(low, rising)
    branch = start(digits)
    train(branch, [2, 2, 16], tmp_path / "c.pt")
    train(rising, [2, 2, 16])
    assert same_weights(branch, rising)


def test_the_seed_reaches_weights_order_flips_and_draws(digits: Dataset) -> None:
    first, again, other = start(digits), start(digits), start(digits, seed=1)
    assert same_weights(first, again)
    assert not torch.equal(weights(first)["0.body.steps.0.layers.0.conv.weight"],
                           weights(other)["0.body.steps.0.layers.0.conv.weight"])  # fmt: skip
    assert not torch.equal(weights(first)["0.compressor.logits"], weights(other)["0.compressor.logits"])
    for purpose in range(3):
        draws = [torch.rand(4, generator=generator(t.settings.seed, purpose, 0)) for t in (first, again, other)]
        assert torch.equal(draws[0], draws[1])
        assert not torch.equal(draws[0], draws[2])


def test_flips_mirror_about_half_of_the_images_anew_in_every_epoch(digits: Dataset) -> None:
    def mirrored(seed: int, epoch: int) -> list[bool]:
        found: list[bool] = []
        flipping, plain = (start(digits, seed=seed, flips=flips).batches for flips in (True, False))
        for number in range(epoch * flipping.steps, (epoch + 1) * flipping.steps):
            (images, labels), (others, same) = flipping.batch(number), plain.batch(number)
            assert torch.equal(labels, same)
            for image, other in zip(images, others, strict=True):
                assert torch.equal(image, other) or torch.equal(image, other.flip(2))
                found.append(not torch.equal(image, other))
        return found

    assert 16 < sum(mirrored(0, 0)) < 48
    assert mirrored(0, 0) == mirrored(0, 0)
    assert mirrored(0, 0) != mirrored(0, 1)
    assert mirrored(0, 0) != mirrored(1, 0)


def test_epochs_go_through_all_images_before_any_comes_again(digits: Dataset) -> None:
    training = start(digits, images=30)
    seen = torch.cat([training.batches.order(epoch) for epoch in range(10)])
    for number in range(3):
        assert sorted(seen[100 * number : 100 * (number + 1)].tolist()) == list(range(100))
    assert seen[:100].tolist() != seen[100:200].tolist()


def test_a_last_batch_of_one_image_joins_the_one_before(digits: Dataset) -> None:
    for images, sizes in ((33, [16, 17]), (34, [16, 16, 2])):
        batches = start(digits, images=images).batches
        assert [len(batches.batch(number)[1]) for number in range(batches.steps)] == sizes


def test_after_training_exactly_the_top_maps_cross(digits: Dataset) -> None:
    training = start(digits)
    train(training, [16, 3, 3])
    client = training.halves.client
    client.eval()
    assert client.compressor is not None
    f = client.compressor.filter.detach()
    top = sorted(range(16), key=lambda i: (-float(f[i]), i))[:3]
    assert training.kept(3) == tuple(sorted(top))
    images = training._scale(digits.test_images[:4])
    client.budget = 16
    every = client(images).maps
    client.budget = 3
    message = client(images)
    torch.testing.assert_close(message.maps, every[:, sorted(top)])
    assert message.filter is not None
    assert kept_maps(message.filter, 3).tolist() == sorted(top)


def test_the_kept_maps_stay_the_same_while_the_budget_does(digits: Dataset) -> None:
    """Unsent maps feel only the budget's pull, the same for all, so the kept set hardly ever changes by itself."""
    training = start(digits, learning_rate=0.01)
    before = training.kept(4)
    records = train(training, [4] * 6)
    assert training.kept(4) == before
    assert all(record.entered_maps == 0 for record in records)


def test_the_filter_is_drawn_to_its_budget_by_epsilon(digits: Dataset) -> None:
    sums = [train(start(digits, epsilon=epsilon), [2] * 6)[-1].filter_sum for epsilon in (0.0, 1.0)]
    assert sums[1] < 3.0
    assert sums[0] > 5.0
    records = train(start(digits), [2])
    assert records[0].prune_loss > 2.0  # its least, where Σf = B


def test_a_falling_budget_resets_the_filter_and_a_rising_one_does_not(digits: Dataset) -> None:
    training = start(digits, epsilon=0.0, learning_rate=1e-12)  # so that nothing else moves it
    compressor = training.halves.client.compressor
    assert compressor is not None
    training.epoch(4)
    before = compressor.logits.detach().clone()
    training.epoch(16)
    torch.testing.assert_close(compressor.logits.detach(), before)
    training.epoch(4)
    high = torch.sigmoid(before) > 0.5
    assert (compressor.logits.detach()[high] != before[high]).all()
    torch.testing.assert_close(compressor.logits.detach()[~high], before[~high])


def test_the_learning_rate_decays_and_rises_after_a_change(digits: Dataset) -> None:
    records = train(start(digits, learning_rate=0.1, decay=0.5, gamma=3.0, boosted_epochs=1), [2, 2, 16, 16])
    assert [record.learning_rate for record in records] == pytest.approx([0.1, 0.05, 0.075, 0.0125])


def test_a_soft_mask_trains_all_maps_and_counts_the_kept_ones(digits: Dataset) -> None:
    hard, soft = start(digits), start(digits, mask="soft")
    untrained = weights(start(digits))["0.compressor.conv.weight"]
    for training in (hard, soft):
        train(training, [2, 2])
    dropped = [i for i in range(16) if i not in hard.kept(2)]
    assert torch.equal(weights(hard)["0.compressor.conv.weight"][dropped].sign(), untrained[dropped].sign())
    moved = (weights(soft)["0.compressor.conv.weight"] - untrained).abs().amax((1, 2, 3))
    decayed = (weights(hard)["0.compressor.conv.weight"] - untrained).abs().amax((1, 2, 3))
    assert (moved[dropped] > 2.0 * decayed[dropped]).all()
    for one, other in zip(hard.records, soft.records, strict=True):
        assert one.sent_bytes == other.sent_bytes
        assert one.wire_accuracy == one.test_accuracy
        assert one.kept_sum < one.filter_sum
    assert soft.evaluate(2, mask="hard")[1] == soft.records[-1].wire_accuracy
    assert soft.evaluate(2) == (soft.records[-1].test_loss, soft.records[-1].test_accuracy)
    assert soft.evaluate(2, mask="hard") != soft.evaluate(2)


def test_at_full_budget_both_masks_are_one_training_and_share_its_checkpoints(digits: Dataset, tmp_path: Path) -> None:
    hard, soft = start(digits), start(digits, mask="soft")
    train(hard, [16, 16], tmp_path / "c.pt")
    train(soft, [16, 16])
    assert same_weights(hard, soft)
    resumed = start(digits, mask="soft", gamma=1.0)  # neither had a say so far
    train(resumed, [16, 16, 4], tmp_path / "c.pt")
    whole = start(digits, mask="soft", gamma=1.0)
    train(whole, [16, 16, 4])
    assert same_weights(resumed, whole)
    with pytest.raises(InputError, match=r"c.pt: its settings differ"):
        train(start(digits, mask="soft", gamma=2.0), [16, 16, 4], tmp_path / "c.pt")


@pytest.mark.parametrize("mask", get_args(Mask))
@pytest.mark.parametrize("budgets", [[2] * 12, [2] * 9 + [16] * 3])
def test_it_learns(budgets: list[int], mask: Mask) -> None:
    data = load_images(None, SMALL.input, train_limit=300, test_limit=200)
    settings = Settings(layer=5, batch=16, learning_rate=0.04, mask=mask)
    records = train(Training(SMALL, data, settings, "cpu"), budgets)
    assert records[-1].test_accuracy > 0.8
    # Behind a soft mask every f rises by as much as the budget does, and the decoder has to follow.
    rises = mask == "soft" and budgets[-1] > budgets[0]
    assert records[-1].train_loss < (0.75 if rises else 0.5) * records[0].train_loss
    assert records[-1].filter_sum < 8.0 or budgets[-1] == 16  # from about 8 towards the budget


def test_without_the_module_everything_crosses_and_nothing_else(digits: Dataset) -> None:
    training = start(digits, module=False)
    record = training.epoch(16)
    assert record.sent_bytes["maps"] == record.sent_bytes["gradients"] == 64 * 16 * 4 * 4 * 4
    assert record.sent_bytes["filter"] == 0
    assert record.module_s == 0.0
    with pytest.raises(InputError, match="no module, all maps cross"):
        training.epoch(4)


def test_evaluation_changes_nothing(digits: Dataset) -> None:
    training = start(digits)
    training.epoch(4)
    before = weights(training)
    assert training.evaluate(16) != training.evaluate(1)
    assert training.evaluate(4) == (training.records[0].test_loss, training.records[0].test_accuracy)
    assert all(torch.equal(value, before[name]) for name, value in weights(training).items())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"layer": 99}, "layer is 99"),
        ({"resolution": 5}, "r is 5, allowed for maps of 4x4: 1 to 4"),
        ({"layer": Cut(9)}, "step is 9"),
        ({"batch": 1}, "batch is 1, allowed: 2.."),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"delta": 1001.0}, "delta is 1001.0, allowed: 1e-6..1000"),
        ({"lam": 1.5}, "lam is 1.5, allowed: 0 or 1e-12 to 1"),
        ({"optimizer": "rmsprop"}, "optimizer is 'rmsprop', allowed: sgd, adam"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_settings_are_named_in_one_line(digits: Dataset, change: dict[str, Any], said: str) -> None:
    with refused(said):
        start(digits, **change)


def test_bad_schedules_and_checkpoints_are_named(digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^epoch 1: budget is 17, allowed: 1 to 16$"):
        train(start(digits), [16, 17])
    file = tmp_path / "c.pt"
    train(start(digits), [2], file)
    with pytest.raises(InputError, match=r"c.pt: its 1 epochs had other budgets"):
        train(start(digits), [4, 4], file)
    with pytest.raises(InputError, match=r"c.pt: its settings differ"):
        train(start(digits, seed=1), [2, 2], file)
    with pytest.raises(InputError, match=r"c.pt: its model differ"):
        train(start(digits, small_model(12)), [2, 2], file)
    content = file.read_bytes()
    for broken in (b"", b"nonsense", content[: len(content) // 2]):
        file.write_bytes(broken)
        with pytest.raises(InputError, match=r"c.pt: is not a checkpoint"):
            train(start(digits), [2, 2], file)


def test_a_model_that_does_not_fit_the_images_is_named(digits: Dataset) -> None:
    few = replace(SMALL, tail=(Linear(4, activation="none"),))
    with pytest.raises(InputError, match="digits: has 10 classes, small gives"):
        Training(few, digits, SETTINGS)
    with pytest.raises(InputError, match="digits: images are 1x8x8, small takes"):
        Training(replace(SMALL, input=Shape(3, 8, 8)), digits, SETTINGS)


# Recorded runs


command = script("benchmarks/deprune_runs.py")


def record_of(folder: Path) -> dict[str, Any]:
    data = json.loads(folder.read_text())
    del data["epochs"]["seconds"], data["epochs"]["module_s"]
    return data


def test_recorded_runs_share_beginnings_and_go_on_after_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(command.MODELS, "half", "tiny")
    monkeypatch.setattr(command, "get_model", lambda name: SMALL)
    trained: list[int] = []
    epoch = Training.epoch

    def counted(self: Training, *args: Any) -> Any:
        if len(trained) == limit:
            raise KeyboardInterrupt
        trained.append(args[0])
        return epoch(self, *args)

    monkeypatch.setattr(Training, "epoch", counted)
    schedules = ["--schedules", "4x2+128x1", "4x3", "128x1", "--seeds", "0", "--images", "32", "--width", "half"]
    limit = 100
    assert command.main([*schedules, "--out", str(tmp_path / "whole")]) == 0
    assert trained == [1, 1, 16, 1, 16]  # the two epochs at 4/128 only once; 4/128 of 16 maps is one
    trained.clear()
    limit = 1
    for _ in range(3):
        trained.clear()
        assert command.main([*schedules, "--out", str(tmp_path / "parts")]) == 130
    trained.clear()
    limit = 100
    assert command.main([*schedules, "--out", str(tmp_path / "parts")]) == 0
    assert trained == [1, 16]
    names = [f"small-layer5-{name}-hard-decay0.92-gamma3-seed0.json" for name in ("4x2+128x1", "4x3", "128x1")]
    for name in names:
        whole, parts = (record_of(tmp_path / folder / name) for folder in ("whole", "parts"))
        assert whole == parts
        assert len(whole["epochs"]["test_accuracy"]) == len(whole["budgets"]) == len(whole["sent_bytes"]["maps"])
    trained.clear()
    assert command.main([*schedules, "--out", str(tmp_path / "parts")]) == 0
    assert trained == []
    assert command.main([*schedules, "--out", str(tmp_path / "parts"), "--mask", "soft"]) == 0
    assert trained == [1, 1, 16, 1]  # at full budget the mask had no say
    soft = record_of(tmp_path / "parts" / "small-layer5-128x1-soft-decay0.92-gamma3-seed0.json")
    assert soft["settings"].pop("mask") == "soft"
    hard = record_of(tmp_path / "parts" / names[-1])
    assert hard["settings"].pop("mask") == "hard"
    assert hard == soft
    capsys.readouterr()
    assert command.main([*schedules, "--out", str(tmp_path / "parts"), "--learning-rate", "0.5"]) == 2
    assert "is a run with other settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cut", "99"], "layer is 99"),
        (["--resolution", "40"], "r is 40"),
        (["--schedules", "fast"], "'fast' must be"),
        (["--data", "/nowhere"], "/nowhere: is not a folder"),
        (["--images", "1"], "images is 1"),
    ],
)
def test_bad_arguments_end_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert command.main(["--out", str(tmp_path), *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
