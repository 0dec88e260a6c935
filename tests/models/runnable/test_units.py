"""Split by rows equals unsplit: the ground truth of the row algebra."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.models.blocks import Block
from splitgym.models.chain import MAIN, Join, Unit
from splitgym.models.layers import Conv, ConvTranspose, Layer, Linear, Pool, Shape
from splitgym.models.lookup import get_model
from splitgym.models.model import Model
from splitgym.models.runnable.layers import KernelModule
from splitgym.models.runnable.units import RowSlice, TorchModel, build, gather, layer_module, run_split

from ... import slow
from ..strategies import models, plans

# Small maps on which every unit still has at least one row; the convolutional part is what is split.
SMALL = {
    "alexnet": Shape(3, 127, 95),
    "vgg16": Shape(3, 48, 32),
    "resnet34": Shape(3, 70, 33),
    "resnet50": Shape(3, 97, 33),
    "inception_v3": Shape(3, 139, 107),
    "googlenet": Shape(3, 97, 65),
    "yolov2": Shape(3, 128, 64),
    "openpose": Shape(3, 56, 32),
    "voxelnet": Shape(128, 24, 16, depth=10),
    "lenet5": Shape(3, 32, 32),
}
SSD = ("ssd_vgg16", "ssd_resnet50")  # their maps must end at 1x1, so they keep their height
QUICK = ("lenet5", "resnet34", "googlenet", "yolov2", "voxelnet")


def image(model: Model, seed: int = 0) -> torch.Tensor:
    shape = model.input
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, shape.folded_channels, shape.height, shape.width, generator=generator)


def assert_same(actual: torch.Tensor, expected: torch.Tensor) -> None:
    assert actual.shape == expected.shape
    assert torch.isfinite(expected).all()
    if expected.numel():
        scale = max(1.0, float(expected.abs().max()))
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5 * scale)


@torch.no_grad()
def assert_split_equals_whole(model: Model, cuts: list[int], posts: list[list[int]]) -> None:
    torch_model, x = build(model), image(model)
    main, heads = torch_model(x)
    split_main, split_heads = run_split(torch_model, x, cuts, posts)
    assert_same(split_main, main)
    assert len(heads) == len(split_heads) == (0 if model.tail else len(model.heads))
    for head, split_head in zip(heads, split_heads, strict=True):
        assert_same(split_head, head)


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_split_equals_whole_on_random_models(data: st.DataObject) -> None:
    model = data.draw(models())
    assert_split_equals_whole(model, *data.draw(plans(model)))


def random_plan(model: Model, volumes: int, devices: int, seed: int) -> tuple[list[int], list[list[int]]]:
    rng = np.random.default_rng(seed)
    count = len(model.units)
    cuts = [*sorted(rng.choice(np.arange(1, count), min(volumes, count) - 1, replace=False).tolist()), count]
    heights = [model.out_shape(cut - 1).height for cut in cuts]
    return cuts, [[0, *sorted(rng.integers(0, h + 1, devices - 1).tolist()), h] for h in heights]


@pytest.mark.parametrize("name", [*QUICK, *slow(*(name for name in (*SMALL, *SSD) if name not in QUICK))])
def test_split_equals_whole_on_the_zoo(name: str) -> None:
    model = get_model(name)
    shape = SMALL.get(name, Shape(3, 300, 300))
    model = replace(model, input=shape, tail=model.tail if name == "lenet5" else ())
    torch_model, x = build(model), image(model)
    with torch.no_grad():
        main, heads = torch_model(x)
        for seed in range(1 if name in SSD else 3):
            cuts, posts = random_plan(model, volumes=4, devices=3, seed=seed)
            split_main, split_heads = run_split(torch_model, x, cuts, posts)
            assert_same(split_main, main)
            for head, split_head in zip(heads, split_heads, strict=True):
                assert_same(split_head, head)
    assert main.std() > 1e-3, "an output that hardly depends on its input proves nothing"


def test_a_part_looks_only_at_the_rows_it_needs() -> None:
    """Poison everything beyond need_lo..need_hi: the part does not notice. Take one needed row away: it does."""
    units = (
        Unit("a", (Conv(3, 1, 1, out_channels=4),), save="a"),
        Unit("b", (Conv(3, 2, 1, out_channels=4),)),
        Unit("c", (Conv(5, 1, 2, out_channels=4),)),
        Unit("d", (Conv(3, 1, 1, out_channels=2),), joins=(Join("a", (Pool(2, 2),)),)),
    )
    model = Model("passthrough", Shape(3, 24, 8), units)
    torch_model, x = build(model), image(model)
    volume = model.volume(2, 4)
    with torch.no_grad():
        tensors, _ = torch_model[:2]({MAIN: x})
        whole, _ = torch_model(x)
        poisoned, short = {}, {}
        for name, lo, hi in zip(volume.needs, volume.need_lo[:, 4], volume.need_hi[:, 7], strict=True):
            tensor = torch.full_like(tensors[name], float("nan"))
            tensor[:, :, lo:hi] = tensors[name][:, :, lo:hi]
            poisoned[name] = RowSlice(tensor, 0)
            short[name] = RowSlice(tensors[name][:, :, lo : hi - 1], int(lo))
        part = torch_model.run_part(2, 4, poisoned, 4, 7)
        assert part.tensors[MAIN].lo == 4
        assert_same(part.tensors[MAIN].tensor, whole[:, :, 4:7])
        for name in volume.needs:
            with pytest.raises(ValueError, match="are wanted, only"):
                torch_model.run_part(2, 4, {**poisoned, name: short[name]}, 4, 7)


LINEAR_LAYERS: list[Layer] = [
    Conv(3, 1, 1, out_channels=2, activation="none"),
    Conv(5, 2, 1, out_channels=2, activation="none"),
    Pool(3, 2, 1, kind="avg", ceil_mode=True),
    ConvTranspose(3, 2, 1, out_channels=2, activation="none"),
    Block(((Conv(3, 1, 1, out_channels=2, activation="none"),), (Conv(1, out_channels=2, activation="none"),)), "add"),
]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_needed_rows_are_exactly_those_the_output_depends_on(data: st.DataObject) -> None:
    """No row too many either: on dense linear layers every needed row changes the part's output."""
    chain = data.draw(st.lists(st.sampled_from(LINEAR_LAYERS), min_size=1, max_size=4))
    model = Model("linear", Shape(1, 60, 60), tuple(Unit(f"u{i}", (layer,)) for i, layer in enumerate(chain)))
    volume = model.volume(0, len(chain))
    a = data.draw(st.integers(0, volume.height - 1))
    b = data.draw(st.integers(a + 1, volume.height))
    x = image(model).double().requires_grad_()
    y, _ = build(model).double()(x)
    weights = torch.randn(y[:, :, a:b].shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (y[:, :, a:b] * weights).sum().backward()
    assert x.grad is not None
    rows = torch.nonzero(x.grad.abs().amax((0, 1, 3)) > 0).flatten()
    assert (int(rows[0]), int(rows[-1]) + 1) == (volume.need_lo[0, a], volume.need_hi[0, b])


@pytest.mark.parametrize("name", ["resnet50", "inception_v3", "yolov2", "ssd_vgg16", "openpose", "voxelnet"])
def test_a_unit_has_one_module_for_each_of_its_kernels(name: str) -> None:
    model = get_model(name)
    steps = build(model, device="meta").steps
    for i, unit in enumerate(model.units):
        layers = [m.layer for m in steps[i].modules() if isinstance(m, KernelModule)]
        assert sorted(map(repr, layers)) == sorted(repr(model.kernels[k].layer) for k in model.unit_kernels[i]), unit


@pytest.mark.parametrize("cut", [1, 3, 5, 6])
def test_two_stages_train_like_the_whole(cut: int) -> None:
    """Halves that meet only through the tensors that cross the cut give the gradients of the whole model."""
    units = (
        Unit("a", (Conv(3, 1, 1, out_channels=4),), save="a"),
        Unit("b", (Conv(3, 1, 1, out_channels=4, norm=True, activation="leaky"),)),
        Unit("c", (Conv(3, 1, 1, out_channels=4),)),
        Unit("d", (Conv(3, 2, 1, out_channels=4),), joins=(Join("a"),)),
    )
    model = Model("halves", Shape(3, 8, 8), units, (Linear(6), Linear(5), Linear(3, activation="none")))
    torch_model, x = build(model), image(model)
    torch_model(x)[0].square().sum().backward()
    expected = {n: cast(Any, p.grad).clone() for n, p in torch_model.named_parameters()}
    torch_model.zero_grad()

    front, back = torch_model[:cut], torch_model[cut:]
    sent, _ = front({MAIN: x})
    assert set(sent) == set(model.crossing(cut))
    received = {name: tensor.detach().requires_grad_() for name, tensor in sent.items()}
    back(received)[0][MAIN].square().sum().backward()
    torch.autograd.backward(list(sent.values()), [cast(torch.Tensor, received[name].grad) for name in sent])
    for name, parameter in torch_model.named_parameters():
        assert_same(cast(torch.Tensor, parameter.grad), expected[name])
    parameters = {id(p) for half in (front, back) for p in half.parameters()}
    assert len(parameters) == len(expected) == len(list(front.parameters())) + len(list(back.parameters()))


def test_build_is_deterministic_and_leaves_the_global_generator_alone() -> None:
    model = get_model("lenet5")
    state = torch.get_rng_state()
    first, again, other = build(model, 3), build(model, 3), build(model, 4)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), again.parameters(), strict=True))
    assert not any(torch.equal(p, q) for p, q in zip(first.parameters(), other.parameters(), strict=True))
    assert not first.training
    logits, heads = first(image(model))
    assert logits.shape == (1, 10)
    assert heads == []


def test_gather_names_the_rows_that_are_missing() -> None:
    rows = torch.arange(10.0).reshape(1, 1, 10, 1)
    pieces = [RowSlice(rows[:, :, :4], 0), RowSlice(rows[:, :, 4:9], 4)]
    assert gather(pieces, 2, 7).tensor.flatten().tolist() == [2, 3, 4, 5, 6]
    assert gather(pieces, 4, 4).tensor.shape[2] == 0
    with pytest.raises(ValueError, match=r"rows \[6, 10\) are wanted"):
        gather(pieces, 6, 10)


def lenet() -> tuple[TorchModel, torch.Tensor]:
    model = get_model("lenet5")
    return build(model), image(model)


@pytest.mark.parametrize(
    ("cuts", "posts", "message"),
    [
        ([4], [[0, 3, 4]], "must rise from 0 to 5"),
        ([4], [[0, 4, 2, 5]], "must rise from 0 to 5"),
        ([2], [[0, 14]], "stops at unit 2, the model has 4"),
        ([2, 2], [[0, 14], [0, 14]], r"not a volume \[2, 2\)"),
        ([5], [[0, 5]], r"not a volume \[0, 5\)"),
    ],
)
def test_plans_that_do_not_cover_the_model_are_refused(cuts: list[int], posts: list[list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run_split(*lenet(), cuts, posts)


def test_an_empty_part_cannot_be_run() -> None:
    torch_model, x = lenet()
    with pytest.raises(ValueError, match="output rows within"):
        torch_model.run_part(0, 2, {MAIN: RowSlice(x, 0)}, 3, 3)


def test_layers_torch_does_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match="no dilation"):
        layer_module(Pool(3, 1, 0, 2, kind="avg"), Shape(1, 9, 9))
