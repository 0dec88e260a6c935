"""Training over a schedule of budgets: losses, schedules, data, traffic, and resuming as if nothing had happened."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from splitgym.envs.deprune.data import Dataset, load_images
from splitgym.envs.deprune.losses import minimum, prune_gradient, prune_loss, scaled_delta, total_loss
from splitgym.envs.deprune.schedules import (
    Schedule,
    deprune,
    from_scratch,
    high_compression,
    no_compression,
    parse,
    prune,
    reset_filter,
    selected_lr,
    without_module,
)
from splitgym.envs.deprune.settings import MAX_DELTA, Settings
from splitgym.envs.deprune.trainer import Training, train
from splitgym.models.compression import Cut
from splitgym.models.layers import Conv, Linear, Pool, Shape
from splitgym.models.model import Model, Unit
from splitgym.models.runnable.compression import kept_maps
from splitgym.ui.errors import InputError

from ... import script, slow


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


def weights(training: Training) -> dict[str, Tensor]:
    return {
        f"{i}.{n}": value.clone() for i, half in enumerate(training.halves) for n, value in half.state_dict().items()
    }


def assert_same_weights(first: Training, second: Training) -> None:
    mine, theirs = weights(first), weights(second)
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        assert torch.equal(value, theirs[name]), name


# Losses


@given(
    st.integers(1, 2048), st.floats(1e-6, MAX_DELTA), st.sampled_from([0.0, 1e-12, 0.3, 1.0]), st.floats(0.0, 1.0),
    st.sampled_from([-math.inf, -1e30, -30.0, 0.0, 30.0, 1e30, math.inf]),
)  # fmt: skip
def test_prune_loss_and_its_gradient_are_finite(phi: int, delta: float, lam: float, share: float, logit: float) -> None:
    logits = torch.full((phi,), logit)
    budget = max(1, round(share * phi))
    for d in (scaled_delta(delta, phi), delta):
        assert torch.isfinite(prune_loss(torch.sigmoid(logits), budget, d, lam))
        assert torch.isfinite(prune_gradient(logits, budget, d, lam)).all()


@given(st.integers(1, 200), st.floats(1e-3, 50.0), st.sampled_from([0.0, 1e-6, 0.3, 1.0]), st.integers(0, 5))
def test_gradient_is_the_derivative(phi: int, delta: float, lam: float, seed: int) -> None:
    logits = torch.randn(phi, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    loss = prune_loss(torch.sigmoid(logits), 1 + phi // 3, delta, lam)
    (expected,) = torch.autograd.grad(loss, logits)
    found = prune_gradient(logits, 1 + phi // 3, delta, lam)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@given(st.integers(1, 2048), st.floats(1e-3, MAX_DELTA), st.floats(1e-12, 1.0), st.floats(0.0, 1.0))
def test_prune_loss_is_least_where_the_formula_says(phi: int, delta: float, lam: float, share: float) -> None:
    """Eq. 1: Σf = B + ln λ / (2δ), within 1e-3."""
    budget, d = max(1, round(share * phi)), scaled_delta(delta, phi)
    least = minimum(budget, d, lam)
    assert least == pytest.approx(budget + math.log(lam) / (2.0 * d))

    def slope(total: float) -> float:
        f = torch.tensor([total], dtype=torch.float64, requires_grad=True)
        return float(torch.autograd.grad(prune_loss(f, budget, d, lam), f)[0])

    assert slope(least - 1e-3) < 0 < slope(least + 1e-3)


def test_without_the_second_exponential_nothing_holds_the_filter_up() -> None:
    assert minimum(4, 0.1, 0.0) == -math.inf
    assert (prune_gradient(torch.randn(32), 30, 0.1, 0.0) > 0).all()


@pytest.mark.parametrize(("phi", "budget", "steps"), [(128, 4, 11_000), (128, 32, 2000), *slow((16, 15, 20_000))])
def test_descending_prune_loss_alone_brings_the_filter_to_its_budget(phi: int, budget: int, steps: int) -> None:
    logits = torch.randn(phi, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for _ in range(steps):
        logits -= 0.5 * prune_gradient(logits, budget, scaled_delta(10.0, phi))
    assert float(torch.sigmoid(logits).sum()) == pytest.approx(budget, abs=1e-3)


def test_total_loss_weighs_the_budget_by_epsilon() -> None:
    assert float(total_loss(torch.tensor(2.0), torch.tensor(3.0), 0.5)) == 3.5


# Schedules


def test_the_papers_schedules() -> None:
    assert deprune().budgets == (4,) * 15 + (128,) * 3
    assert deprune(25, 5).budgets == (4,) * 25 + (128,) * 5
    assert prune().budgets == (128,) * 30 + (32,) * 10 + (4,) * 10
    assert no_compression().budgets == (128,) * 18
    assert high_compression().budgets == from_scratch(4).budgets == (4,) * 18
    assert not without_module().module


def test_budgets_are_shares_of_what_a_cut_has() -> None:
    schedule = Schedule("s", (1, 4, 32, 127, 128))
    assert schedule.at(128) == (1, 4, 32, 127, 128)
    assert schedule.at(64) == (1, 2, 16, 64, 64)
    assert schedule.at(3) == (1, 1, 1, 3, 3)


def test_written_schedules() -> None:
    assert parse("4x15+128x3").budgets == deprune().budgets
    for text in ("", "4", "4x", "x3", "4x3+", "0x3", "129x3", "4x0", "4x-1", "4 x 3"):
        with pytest.raises(InputError, match=r"^schedule .*budget of 1 to 128"):
            parse(text)


def test_select_lr_raises_the_first_epochs_of_every_budget_but_the_first() -> None:
    budgets = [4, 4, 4, 128, 128, 128, 4]
    rates = [selected_lr(0.1, budgets[: i + 1], 3.0, 2) / 0.1 for i in range(len(budgets))]
    assert rates == pytest.approx([1, 1, 1, 3, 3, 1, 3])


def test_reset_draws_the_open_entries_anew_and_leaves_the_others() -> None:
    logits = torch.cat([torch.full((200,), 4.0), torch.full((50,), -4.0), torch.zeros(1)])
    before = logits.clone()
    reset_filter(logits, torch.Generator().manual_seed(0))
    assert torch.equal(logits[200:], before[200:])  # f = 0.5 is not above 0.5
    assert (logits[:200] != 4.0).all()
    assert abs(float(logits[:200].mean())) < 0.3
    assert float(logits[:200].std()) == pytest.approx(1.0, abs=0.2)


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
        assert_same_weights(whole, resumed)
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
    assert_same_weights(whole, resumed)


def test_schedules_that_begin_alike_begin_with_the_same_weights(digits: Dataset, tmp_path: Path) -> None:
    low, rising = start(digits), start(digits)
    train(low, [2, 2], tmp_path / "c.pt")
    train(rising, [2, 2])
    assert_same_weights(low, rising)
    branch = start(digits)
    train(branch, [2, 2, 16], tmp_path / "c.pt")
    train(rising, [2, 2, 16])
    assert_same_weights(branch, rising)


def test_the_seed_reaches_weights_order_flips_and_draws(digits: Dataset) -> None:
    first, again, other = start(digits), start(digits), start(digits, seed=1)
    assert_same_weights(first, again)
    assert not torch.equal(weights(first)["0.body.steps.0.layers.0.conv.weight"],
                           weights(other)["0.body.steps.0.layers.0.conv.weight"])  # fmt: skip
    assert not torch.equal(weights(first)["0.compressor.logits"], weights(other)["0.compressor.logits"])
    for purpose in range(3):
        draws = [torch.rand(4, generator=t._generator(purpose, 0)) for t in (first, again, other)]
        assert torch.equal(draws[0], draws[1])
        assert not torch.equal(draws[0], draws[2])


def test_flips_mirror_about_half_of_the_images_anew_in_every_epoch(digits: Dataset) -> None:
    def mirrored(seed: int, epoch: int) -> list[bool]:
        found: list[bool] = []
        flipping, plain = (start(digits, seed=seed, flips=flips)._batches(epoch) for flips in (True, False))
        for (images, labels), (others, same) in zip(flipping, plain, strict=True):
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
    seen = torch.cat([training._order(epoch) for epoch in range(10)])
    for number in range(3):
        assert sorted(seen[100 * number : 100 * (number + 1)].tolist()) == list(range(100))
    assert seen[:100].tolist() != seen[100:200].tolist()


def test_a_last_batch_of_one_image_joins_the_one_before(digits: Dataset) -> None:
    assert [len(labels) for _, labels in start(digits, images=33)._batches(0)] == [16, 17]
    assert [len(labels) for _, labels in start(digits, images=34)._batches(0)] == [16, 16, 2]


def test_after_training_exactly_the_top_maps_cross(digits: Dataset) -> None:
    training = start(digits)
    train(training, [16, 3, 3])
    client = training.halves.client
    client.eval()
    assert client.compressor is not None
    f = client.compressor.filter.detach()
    top = sorted(range(16), key=lambda i: (-float(f[i]), i))[:3]
    assert training.kept(3) == tuple(sorted(top))
    images = training._scaled(digits.test_images[:4])
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


@pytest.mark.parametrize("budgets", [[2] * 12, [2] * 9 + [16] * 3])
def test_it_learns(budgets: list[int]) -> None:
    data = load_images(None, SMALL.input, train_limit=300, test_limit=200)
    settings = Settings(layer=5, batch=16, learning_rate=0.04)
    records = train(Training(SMALL, data, settings, "cpu"), budgets)
    assert records[-1].test_accuracy > 0.8
    assert records[-1].train_loss < 0.5 * records[0].train_loss
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
    with pytest.raises(InputError, match=r"^[^\n]*$") as error:
        start(digits, **change)
    assert said in str(error.value)


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
    with pytest.raises(InputError, match="digits: has 10 classes, small tells"):
        Training(few, digits, SETTINGS)
    with pytest.raises(InputError, match="digits: images are 1x8x8, small takes"):
        Training(replace(SMALL, input=Shape(3, 8, 8)), digits, SETTINGS)


# Data


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
    with pytest.raises(InputError, match=r"^[^\n]*$") as error:
        load_images(tmp_path)
    assert said in str(error.value)


def test_a_missing_image_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: is not a folder"):
        load_images(tmp_path / "nowhere")


# Recorded runs


@pytest.fixture(scope="module")
def command() -> ModuleType:
    return script("benchmarks/deprune_runs.py")


def record_of(folder: Path) -> dict[str, Any]:
    data = json.loads(folder.read_text())
    del data["epochs"]["seconds"], data["epochs"]["module_s"]
    return data


def test_recorded_runs_share_beginnings_and_go_on_after_an_interruption(
    command: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
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
    names = [f"small-layer5-{name}-seed0.json" for name in ("4x2+128x1", "4x3", "128x1")]
    for name in names:
        whole, parts = (record_of(tmp_path / folder / name) for folder in ("whole", "parts"))
        assert whole == parts
        assert len(whole["epochs"]["test_accuracy"]) == len(whole["budgets"]) == len(whole["sent_bytes"]["maps"])
    trained.clear()
    assert command.main([*schedules, "--out", str(tmp_path / "parts")]) == 0
    assert trained == []
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
    command: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert command.main(["--out", str(tmp_path), *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
