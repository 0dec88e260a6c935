"""KL privacy of cuts: the divergence itself, the reading of intermediate results as images, P^c, and the script."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from splitgym.envs.l2s.scenarios import get_scenario
from splitgym.envs.l2s.system import System
from splitgym.experiments.l2s import digits, divergence, privacy
from splitgym.experiments.l2s.digits import Trained, train_digits
from splitgym.experiments.l2s.divergence import first_conv_point, kl_by_cut, kl_divergence, kl_of_uniform, point_for
from splitgym.models.chain import Join, Unit
from splitgym.models.cuts import cut_points
from splitgym.models.layers import Conv, GlobalPool, Linear, Pool, Shape
from splitgym.models.lookup import get_model
from splitgym.models.model import Model
from splitgym.models.runnable.units import TorchModel, build
from splitgym.ui.errors import InputError
from splitgym.ui.programs import needs

from ...command_line import PNG, Command

privacy_command = Command("python -m splitgym.experiments.l2s.privacy", privacy.main)
EPOCHS = 4  # a third of the default: enough for the accuracy that is promised


@pytest.fixture(scope="module")
def trained() -> Trained:
    return train_digits(seed=0, epochs=EPOCHS)


@pytest.fixture(scope="module")
def few(trained: Trained) -> Tensor:
    """Images enough to see the trend."""
    return trained.images[:60]


@pytest.fixture(scope="module")
def kl(trained: Trained, few: Tensor) -> np.ndarray:
    return kl_by_cut(trained.model, None, few)


def spearman(kl: np.ndarray) -> float:
    from scipy.stats import spearmanr

    found: Any = spearmanr(range(len(kl)), kl)
    return float(found.statistic)


def logits(*shape: int, seed: int = 0, scale: float = 3.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_images(model: Model, count: int, seed: int = 0) -> Tensor:
    shape = model.input
    return torch.rand(
        count, shape.folded_channels, shape.height, shape.width, generator=torch.Generator().manual_seed(seed)
    )


class Brightness(nn.Module):
    """Judges two classes by the mean of the image: P(bright) is the logistic function of it."""

    def forward(self, x: Tensor) -> Tensor:
        mean = x.flatten(1).mean(1)
        return torch.stack([torch.zeros_like(mean), mean], 1)


def bernoulli_kl(mean: float, other: float) -> float:
    """KL between two answers of :class:`Brightness`."""
    p, q = (1.0 / (1.0 + math.exp(-m)) for m in (mean, other))
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


def pointwise(weights: list[float], *tail: Linear | GlobalPool, shape: Shape | None = None) -> TorchModel:
    """A 1x1 convolution without bias or activation whose maps are multiples of the (one-channel) image."""
    layer = Conv(1, out_channels=len(weights), bias=False, activation="none")
    model = build(Model("pointwise", shape or Shape(1, 2, 2), (Unit("conv", (layer,)),), tail))
    with torch.no_grad():
        next(model.parameters()).copy_(torch.tensor(weights)[:, None, None, None])
    return model


# --- the divergence


def test_kl_of_equal_distributions_is_zero() -> None:
    log_p = logits(20, 7).log_softmax(1)
    assert torch.equal(kl_divergence(log_p, log_p), torch.zeros(20, dtype=torch.float64))


@pytest.mark.parametrize("seed", range(5))
def test_kl_equals_scipy(seed: int) -> None:
    from scipy.stats import entropy

    log_p, log_q = logits(50, 9, seed=seed).log_softmax(1), logits(50, 9, seed=seed + 100).log_softmax(1)
    expected = entropy(log_p.exp().numpy(), log_q.exp().numpy(), axis=1)
    np.testing.assert_allclose(kl_divergence(log_p, log_q).numpy(), expected, rtol=1e-10)


def test_kl_by_hand_is_not_symmetric() -> None:
    p, q = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.75]).log()
    assert float(kl_divergence(p, q)) == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3))
    assert float(kl_divergence(q, p)) == pytest.approx(0.25 * math.log(1 / 2) + 0.75 * math.log(3 / 2))


# --- intermediate results as images


def test_a_map_that_is_the_input_loses_nothing() -> None:
    """Scaled by any positive factor, it is stretched back; its negative is not the input."""
    image = torch.tensor([[[[0.0, 0.2], [0.5, 1.0]]]])
    for factor in (1.0, 0.01, 40.0):
        assert kl_by_cut(pointwise([factor]), Brightness(), image) == pytest.approx([0.0], abs=1e-12)
    negative = kl_by_cut(pointwise([-1.0]), Brightness(), image)
    assert negative == pytest.approx([bernoulli_kl(1.7 / 4, 2.3 / 4)], rel=1e-6)


def test_min_is_the_most_revealing_map_and_mean_all_alike() -> None:
    image = torch.tensor([[[[0.0, 0.2], [0.5, 1.0]]]])
    model = pointwise([-1.0, 2.0, 0.0])  # the negative, the input, a constant map that is shown as the lowest value
    kl = [bernoulli_kl(1.7 / 4, 2.3 / 4), 0.0, bernoulli_kl(1.7 / 4, 0.0)]
    assert kl_by_cut(model, Brightness(), image, reduce="min") == pytest.approx([0.0], abs=1e-12)
    assert kl_by_cut(model, Brightness(), image, reduce="mean") == pytest.approx([np.mean(kl)], rel=1e-6)


def test_the_minimum_is_taken_for_every_image_before_the_average() -> None:
    """Two images, two maps (one a constant): each image has its own most revealing map."""
    images = torch.tensor([[[[0.0, 0.0], [0.0, 1.0]]], [[[0.0, 1.0], [1.0, 1.0]]]])
    kl = kl_by_cut(pointwise([-1.0, 0.0]), Brightness(), images)
    expected = [min(bernoulli_kl(m, 1 - m), bernoulli_kl(m, 0.0)) for m in (0.25, 0.75)]
    assert kl == pytest.approx([np.mean(expected)], rel=1e-6)
    assert bernoulli_kl(0.25, 0.75) > bernoulli_kl(0.25, 0.0), "the first image prefers the constant map"
    assert bernoulli_kl(0.75, 0.25) < bernoulli_kl(0.75, 0.0), "the second one the negative"


def test_maps_are_stretched_to_the_range_of_all_images() -> None:
    """An image of constant 3 among images from -1 to 3: its map has no range and becomes the lowest value, -1."""
    images = torch.tensor([[[[-1.0, 3.0], [3.0, -1.0]]], [[[3.0, 3.0], [3.0, 3.0]]]])
    kl = kl_by_cut(pointwise([1.0]), Brightness(), images)
    assert kl == pytest.approx([(0.0 + bernoulli_kl(3.0, -1.0)) / 2], rel=1e-6)


@pytest.mark.parametrize("tail", [(Linear(4, activation="none"),), (GlobalPool(),)])
def test_a_vector_is_one_image_whose_columns_are_its_values(tail: tuple[Linear | GlobalPool]) -> None:
    model = pointwise([0.0, 2.0, 4.0, 8.0], *tail, shape=Shape(1, 4, 4))
    if isinstance(tail[0], Linear):
        with torch.no_grad():
            *_, weight, bias = model.parameters()
            weight.zero_()
            bias.copy_(torch.tensor([0.0, 2.0, 4.0, 8.0]))
    image = torch.ones(1, 1, 4, 4)
    image[..., 0, 0] = 0.0  # so that the range is 0 to 1
    kl = kl_by_cut(model, Brightness(), image, cuts=[2])
    assert kl == pytest.approx([bernoulli_kl(15 / 16, 14 / 32)], rel=1e-5)


def test_saved_tensors_that_cross_are_judged_too() -> None:
    """A constant follows; the input itself, saved for later, crosses beside it."""
    plain = Conv(1, out_channels=1, bias=False, activation="none")
    units = (Unit("a", (plain,), save="a"), Unit("b", (plain,)), Unit("c", (plain,), joins=(Join("a"),)))
    model = build(Model("skip", Shape(1, 2, 2), units))
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), (1.0, 0.0, 0.0), strict=True):
            parameter.fill_(value)
    image = torch.tensor([[[[0.0, 0.2], [0.5, 1.0]]]])
    constant = bernoulli_kl(1.7 / 4, 0.0)
    assert kl_by_cut(model, Brightness(), image) == pytest.approx([0.0, 0.0, constant], abs=1e-7)
    assert kl_by_cut(model, Brightness(), image, reduce="mean") == pytest.approx(
        [0.0, constant / 2, constant], abs=1e-7
    )


def test_maps_take_the_size_and_channels_of_the_input() -> None:
    seen = []

    class Spy(Brightness):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x)
            return super().forward(x)

    model = build(Model("pool", Shape(3, 8, 6), (Unit("pool", (Pool(2, 2),)),)))
    kl_by_cut(model, Spy(), random_images(model.model, 2))
    assert [tuple(x.shape) for x in seen] == [(2, 3, 8, 6), (6, 3, 8, 6)]
    assert torch.equal(seen[1][:, 0], seen[1][:, 1])
    assert torch.equal(seen[1][:, 0], seen[1][:, 2])


def test_batches_and_the_order_of_cuts_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(get_model("lenet5"))
    images = random_images(model.model, 5)
    whole = kl_by_cut(model, None, images)
    assert len(whole) == len(model)
    assert (whole >= 0).all()
    monkeypatch.setattr(divergence, "PIXELS_AT_ONCE", 2 * 32 * 32)
    shares: list[float] = []
    some = kl_by_cut(model, None, images, cuts=[5, 2, 5, 1], on_progress=shares.append)
    np.testing.assert_allclose(some, whole[[4, 1, 4, 0]], rtol=1e-5, atol=1e-9)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_networks_keep_their_modes() -> None:
    """Batch norm runs on its statistics while it judges, and every module is as before afterwards."""
    layer = Conv(3, 1, 1, out_channels=4, bias=False, norm=True)
    model = build(Model("norm", Shape(1, 8, 8), (Unit("conv", (layer,)),), (Linear(3, activation="none"),)))
    images = random_images(model.model, 6)
    expected = kl_by_cut(model, None, images)
    model.train()
    model.steps[1].eval()
    before = [module.training for module in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    np.testing.assert_array_equal(kl_by_cut(model, None, images), expected)
    assert [module.training for module in model.modules()] == before
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_an_answer_that_knows_nothing() -> None:
    images = torch.tensor([0.0, 2.0])[:, None, None, None].expand(2, 1, 2, 2)
    assert kl_of_uniform(Brightness(), images) == pytest.approx((0.0 + bernoulli_kl(2.0, 0.0)) / 2)


# --- bad input


@pytest.mark.parametrize("cut", [0, 8, -1])
def test_a_cut_out_of_range_is_one_line(trained: Trained, cut: int) -> None:
    with pytest.raises(InputError, match=rf"^model digits16 can be cut after 1 to 7 steps, not {cut}$"):
        kl_by_cut(trained.model, None, trained.images, [1, cut])


def test_bad_questions_are_one_line(trained: Trained) -> None:
    images = trained.images
    with pytest.raises(InputError, match=r"^reduce is 'max', allowed: min, mean$"):
        kl_by_cut(trained.model, None, images, reduce="max")  # pyright: ignore[reportArgumentType]
    for bad in (images[:0], images[:, :, :8], images[0]):
        with pytest.raises(InputError, match=r"^model digits16 needs images of shape \(n, 1, 16, 16\)"):
            kl_by_cut(trained.model, None, bad)
    with pytest.raises(InputError, match=r"must give logits \(batch, classes\), not \(3, 1, 16, 16\)$"):
        kl_by_cut(trained.model, nn.Identity(), images[:3])


# --- P^c


NATS = st.floats(0.0, 20.0)


def chain(steps: int) -> Model:
    return Model("chain", Shape(1, 8, 8), tuple(Unit(f"c{i}", (Conv(1, out_channels=1),)) for i in range(steps)))


@given(st.lists(NATS, min_size=1, max_size=12), NATS)
def test_point_is_the_first_from_which_on_all_are_private(values: list[float], target: float) -> None:
    kl, model = np.array(values), chain(len(values))
    if kl[-1] < target:
        with pytest.raises(InputError) as caught:
            point_for(model, kl, target)
        assert "\n" not in str(caught.value)
        assert str(caught.value).endswith(f"that of the last cut, {kl[-1]:.4g}")
        return
    point = point_for(model, kl, target)
    assert 1 <= point <= len(kl)
    assert (kl[point - 1 :] >= target).all()
    assert not any((kl[earlier - 1 :] >= target).all() for earlier in range(1, point))


@given(st.lists(NATS, min_size=1, max_size=12), NATS, NATS)
def test_more_privacy_never_allows_an_earlier_cut(values: list[float], one: float, other: float) -> None:
    kl, model = np.array(values), chain(len(values))
    low, high = sorted((min(one, kl[-1]), min(other, kl[-1])))
    assert point_for(model, kl, low) <= point_for(model, kl, high)


def test_point_by_hand() -> None:
    kl = np.array([0.1, 0.9, 0.4, 0.8, 2.0])
    assert [point_for(chain(5), kl, target) for target in (0.0, 0.1, 0.2, 0.5, 0.8, 2.0)] == [1, 1, 2, 4, 4, 5]


@pytest.mark.parametrize("name", ["resnet34_32", "resnet34"])
def test_point_of_a_residual_network_is_that_of_the_env(name: str) -> None:
    """Points lie behind the residual blocks only: what cuts before and between them have does not count."""
    model = get_model(name)
    points = cut_points(model)
    kl = np.zeros(len(model.steps))
    for point in range(1, len(points)):
        kl[points[point] - 1] = point
    assert len(points) - 1 < len(kl)
    for point in range(1, len(points)):
        assert point_for(model, kl, point) == point
        assert System(get_scenario(f"{name}-gpu-60-p{point}")).points[point] == points[point]
    assert first_conv_point(model) == 1


@pytest.mark.parametrize("kl", [[], [0.1, math.nan], [math.inf, 1.0], [1.0], [1.0, 2.0, 3.0]])
def test_point_needs_a_finite_number_for_every_cut(kl: list[float]) -> None:
    with pytest.raises(InputError, match=r"^the KL divergence by cut must be finite numbers, one for each of 2 cuts$"):
        point_for(chain(2), np.array(kl), 0.1)


def test_where_ppt_cuts() -> None:
    assert first_conv_point(get_model("vgg16")) == 1
    pool, conv = Unit("pool", (Pool(2, 2),)), Unit("conv", (Conv(3, out_channels=1),))
    assert first_conv_point(Model("late", Shape(1, 8, 8), (pool, conv))) == 2
    with pytest.raises(InputError, match=r"^model none has no convolution to cut behind$"):
        first_conv_point(Model("none", Shape(1, 8, 8), (pool,)))


# --- the trained network


def test_it_learns_the_digits(trained: Trained) -> None:
    assert trained.accuracy > 0.95
    with torch.no_grad():
        sure = trained.model(trained.images)[0].softmax(1).amax(1).mean()
    assert sure > 0.9


def test_training_is_the_same_every_time_for_a_seed(trained: Trained) -> None:
    shares: list[float] = []
    torch.manual_seed(123)  # the global generator has no say
    state = torch.get_rng_state()
    first, other = train_digits(0, 1, shares.append), train_digits(1, 1)
    again = train_digits(0, 1)
    assert torch.equal(torch.get_rng_state(), state)
    assert shares == [1.0]
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.images, trained.images)
    assert not torch.equal(first.images, other.images)
    for one, two in zip(first.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, two)


def test_later_cuts_are_more_private(trained: Trained, few: Tensor, kl: np.ndarray) -> None:
    """The trend of Fig. 4(b), not that every step rises; conv1's maps hardly differ from the input."""
    assert spearman(kl) > 0.8
    assert kl[0] < 0.1
    assert kl[0] < 0.05 * kl_of_uniform(trained.model, few) < kl[-1]
    mean = kl_by_cut(trained.model, None, few[:20], reduce="mean")
    least = kl_by_cut(trained.model, None, few[:20], reduce="min")
    assert (mean[:-2] > least[:-2]).all()
    np.testing.assert_array_equal(mean[-2:], least[-2:], "a vector is one image")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_every_seed_learns_and_shows_the_trend_on_all_images(seed: int) -> None:
    found = train_digits(seed)
    assert found.accuracy > 0.95
    kl = kl_by_cut(found.model, None, found.images)
    assert spearman(kl) > 0.8
    assert kl[0] < 0.1
    assert kl[0] < 0.05 * kl_of_uniform(found.model, found.images) < kl[-1]


# --- the script


def test_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("sklearn", "sklearn.datasets"):
        monkeypatch.setitem(sys.modules, name, None)
    named = f"{privacy_command.prog}: {needs('sklearn')}"
    privacy_command.refuses("", named, progress="privacy ")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, trained: Trained) -> Trained:
    """The script with the network that is already trained and some of its images."""
    some = replace(trained, images=trained.images[:10])
    monkeypatch.setattr(digits, "train_digits", lambda seed, on_progress: some)
    return some


def test_the_script_prints_a_line_for_every_cut(quick: Trained, tmp_path: Path) -> None:
    chart = tmp_path / "kl.png"
    out = privacy_command("--out", str(chart)).out
    kl, model = kl_by_cut(quick.model, None, quick.images), quick.model.model
    lines = {words[1]: words for words in (line.split() for line in out.splitlines()) if words[0].isdigit()}
    assert list(lines) == [step.name for step in model.steps]
    assert [words[2] for words in lines.values()] == [f"{value:.3f}" for value in kl]
    assert lines["conv1"][3:5] == ["16.38", "PPT" if point_for(model, kl, kl[0]) > 1 else "PPT,"]
    assert f"P^c for the privacy of PPT's cut, {kl[0]:.3f} nats: {point_for(model, kl, kl[0])}" in out
    assert f"Spearman correlation with the cut {spearman(kl):+.2f}" in out
    assert chart.read_bytes().startswith(PNG)
    assert [path.name for path in tmp_path.iterdir()] == ["kl.png"]


def test_the_script_finds_the_point_for_a_target(quick: Trained) -> None:
    out = privacy_command("--target", "1.5", "--reduce", "mean").out
    kl = kl_by_cut(quick.model, None, quick.images, reduce="mean")
    assert f"P^c for the target, 1.500 nats: {point_for(quick.model.model, kl, 1.5)}" in out


@pytest.mark.usefixtures("quick")
def test_the_script_says_when_the_last_cut_is_below_ppt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(divergence, "kl_by_cut", lambda *_, **__: np.array([2.0, 3.0, 4.0, 3.5, 5.0, 2.5, 1.0]))
    out = privacy_command("--out", str(tmp_path / "kl.png")).out
    assert "no P^c gives the privacy of PPT's cut, 2.000 nats: the last cut has 1.000" in out
    assert "KL does not grow with every cut (it falls at conv3, fc1, fc2)" in out


@pytest.mark.usefixtures("quick", "scratch")
@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--privacy", "unrecognized arguments: --privacy"),
        ("--target 0", "argument --target: is '0', allowed: a finite number above 0"),
        ("--target 1e9", "no cut keeps the KL divergence at 1e+09 nats or more"),
        ("--seed -1", "argument --seed"),
        ("--reduce max", "argument --reduce: invalid choice: 'max'"),
        ("--out chart.pdf", "argument --out: is 'chart.pdf', allowed: a .png file in a folder that exists"),
        ("--out nowhere/chart.png", "argument --out: is 'nowhere/chart.png', allowed: a .png file"),
    ],
)
def test_bad_words_are_one_line(words: str, named: str) -> None:
    privacy_command.refuses(words, f"{privacy_command.prog}: {named}", progress="privacy ")
