"""The compressing cut: two halves that meet only in messages make the same step as the model in one piece."""

from __future__ import annotations

import copy
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from splitgym.models.blocks import Block
from splitgym.models.chain import MAIN, Join, Unit
from splitgym.models.compression import Cut, Interface, Mask, Padding, compressing_cut, layer_cut, step_modules
from splitgym.models.layers import Conv, GlobalPool, Linear, Pool, Shape
from splitgym.models.lookup import get_model
from splitgym.models.model import Model
from splitgym.models.runnable.compression import Halves, kept_maps, split_model
from splitgym.models.runnable.units import TorchModel, build
from splitgym.models.zoo.catalogue import MODELS
from splitgym.ui.errors import InputError

from ... import refused, slow

VGG = get_model("vgg11_32_half")


def small_conv(channels: int, **options: Any) -> Conv:
    return Conv(3, 1, 1, out_channels=channels, **options)


PLAIN = Model(
    "plain",
    Shape(3, 9, 7),
    (Unit("a", (small_conv(6),)), Unit("b", (small_conv(8, norm=True, bias=False),)), Unit("p", (Pool(2, 2),))),
    (Linear(12), Linear(4, activation="none")),
)
RESIDUAL = Model(
    "residual",
    Shape(3, 8, 8),
    (Unit("a", (small_conv(6),)), Unit("r", (Block(((small_conv(6),), ()), "add", "relu"),))),
    (GlobalPool(), Linear(4, activation="none")),
)
JOINED = Model(
    "joined",
    Shape(3, 8, 8),
    (
        Unit("a", (small_conv(5),), save="early"),
        Unit("b", (small_conv(6),)),
        Unit("c", (small_conv(7),)),
        Unit("d", (small_conv(4),), joins=(Join("early"),)),
    ),
    (GlobalPool(), Linear(4, activation="none")),
)
HEADED = Model(
    "headed",
    Shape(3, 8, 8),
    (Unit("a", (small_conv(5),), head=(small_conv(2),)), Unit("b", (small_conv(4),), head=(small_conv(3),))),
)


def batch(model: Model, count: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    shape = model.input
    images = torch.randn(count, shape.folded_channels, shape.height, shape.width, generator=generator)
    return images, torch.randint(0, 4, (count,), generator=generator)


def whole_step(halves: Halves, images: Tensor, labels: Tensor, budget: int) -> Tensor:
    """Loss of both halves' modules as one graph: every map is encoded and decoded, those behind the mask times zero."""
    client, server = halves
    tensors, heads = client.body({MAIN: images})
    x = client.rest(tensors.pop(MAIN))
    if client.compressor is not None and server.decompressor is not None:
        encoder, decoder, interface = client.compressor, server.decompressor, client.interface
        f = torch.sigmoid(encoder.logits)
        kept = budget if encoder.mask == "hard" else interface.phi
        scale = f * torch.zeros(interface.phi).scatter(0, f.topk(kept).indices, 1.0)
        if interface.nodes:
            x = x * scale
        else:
            maps = encoder.norm(encoder.conv(x)) * scale[:, None, None]
            x = decoder.conv(maps, output_size=list(x.shape[2:]))
    tensors, more = server.body({MAIN: server.front(x), **tensors})
    assert not heads
    assert not more
    return F.cross_entropy(tensors[MAIN], labels)


def gradients(half: nn.Module) -> dict[str, Tensor]:
    return {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in half.named_parameters()}


def split_step(halves: Halves, images: Tensor, labels: Tensor, budget: int) -> Tensor:
    client, server = halves
    client.budget = budget
    message = client(images, labels)
    outcome = server.step(message, reply=client.trains)
    client.backward(outcome.reply)
    return outcome.loss


CUTS: list[tuple[Model, Cut, int, dict[str, Any]]] = [
    (VGG, layer_cut(VGG, 5), 64, {}),
    (VGG, layer_cut(VGG, 5), 2, {}),
    (VGG, layer_cut(VGG, 6), 5, {"resolution": 3, "padding": "paper"}),
    (VGG, layer_cut(VGG, 9), 4, {"resolution": 2}),
    (VGG, layer_cut(VGG, 0), 4, {"phi": 128}),
    (PLAIN, Cut(1), 2, {"resolution": 3}),
    (PLAIN, Cut(1, 1), 3, {"resolution": 2, "padding": "paper"}),
    (PLAIN, Cut(1, 2), 8, {}),
    (PLAIN, Cut(3), 3, {"phi": 5}),
    (PLAIN, Cut(4), 7, {}),
    (PLAIN, Cut(3, 1), 10, {}),
    (RESIDUAL, Cut(1), 2, {}),
    (RESIDUAL, Cut(3), 4, {}),
    (JOINED, Cut(1), 2, {}),
    (JOINED, Cut(2), 2, {}),
    (JOINED, Cut(3), 7, {"resolution": 2}),
]


@pytest.mark.parametrize("mask", get_args(Mask))
@pytest.mark.parametrize(("model", "cut", "budget", "options"), CUTS)
def test_a_split_step_is_the_step_of_the_model_in_one_piece(
    model: Model, cut: Cut, budget: int, options: dict[str, Any], mask: Mask
) -> None:
    halves = split_model(model, compressing_cut(model, cut, **options), seed=3, mask=mask)
    whole = copy.deepcopy(halves)
    images, labels = batch(model)
    loss = split_step(halves, images, labels, budget)
    expected = whole_step(whole, images, labels, budget)
    expected.backward()
    assert float(loss) == pytest.approx(float(expected.detach()), abs=1e-6)
    for half, other in zip(halves, whole, strict=True):
        for (name, gradient), wanted in zip(gradients(half).items(), gradients(other).values(), strict=True):
            torch.testing.assert_close(gradient, wanted, rtol=1e-5, atol=1e-6, msg=name)
            assert name.startswith("compressor.") or float(wanted.abs().max()) > 0 or not cut.step


def both_masks(model: Model, cut: Cut, budget: int, options: dict[str, Any], logits: Tensor | None = None) -> Any:
    """(halves, message, outcome) of the same step behind a hard and a soft mask."""
    images, labels = batch(model)
    for mask in get_args(Mask):
        halves = split_model(model, compressing_cut(model, cut, **options), seed=3, mask=mask)
        client, server = halves
        client.budget = budget
        assert client.compressor is not None
        if logits is not None:
            client.compressor.logits.data.copy_(logits)
        message = client(images, labels)
        outcome = server.step(message)
        client.backward(outcome.reply)
        yield halves, message, outcome


@pytest.mark.parametrize(("model", "cut", "budget", "options"), CUTS)
def test_a_soft_filter_of_zeros_and_ones_is_a_hard_one(
    model: Model, cut: Cut, budget: int, options: dict[str, Any]
) -> None:
    phi = compressing_cut(model, cut, **options).phi
    order = torch.randperm(phi, generator=torch.Generator().manual_seed(5))
    logits = torch.where(order < budget, 200.0, -200.0)
    assert torch.sigmoid(logits).unique().tolist() == ([0.0, 1.0] if budget < phi else [1.0])
    (hard, *_, one), (soft, *_, other) = both_masks(model, cut, budget, options, logits)
    torch.testing.assert_close(one.output, other.output, rtol=1e-5, atol=1e-6)
    assert float(one.loss) == pytest.approx(float(other.loss), abs=1e-6)
    for half, twin in zip(hard, soft, strict=True):
        for (name, gradient), wanted in zip(gradients(twin).items(), gradients(half).values(), strict=True):
            torch.testing.assert_close(gradient, wanted, rtol=1e-5, atol=1e-6, msg=name)


def test_behind_a_soft_mask_gradients_reach_the_maps_that_are_not_counted() -> None:
    (hard, *_), (soft, *_) = both_masks(VGG, layer_cut(VGG, 5), 2, {})
    for halves, reached in ((hard, 2), (soft, 64)):
        client, server = gradients(halves.client), gradients(halves.server)
        assert int((client["compressor.logits"] != 0).sum()) == reached
        assert int((client["compressor.conv.weight"].abs().amax((1, 2, 3)) > 0).sum()) == reached
        assert int((server["decompressor.conv.weight"].abs().amax((1, 2, 3)) > 0).sum()) == reached


@pytest.mark.parametrize(("model", "cut", "budget", "options"), CUTS)
def test_both_masks_count_the_same_bytes(model: Model, cut: Cut, budget: int, options: dict[str, Any]) -> None:
    (_, *hard), (_, *soft) = both_masks(model, cut, budget, options)
    assert hard[0].sent_bytes == soft[0].sent_bytes
    assert hard[1].reply.sent_bytes == soft[1].reply.sent_bytes
    assert soft[0].maps.shape[1] == compressing_cut(model, cut, **options).phi


def test_at_full_budget_both_masks_are_the_same_to_the_last_bit() -> None:
    (hard, *_, one), (soft, *_, other) = both_masks(VGG, layer_cut(VGG, 5), 64, {})
    assert torch.equal(one.output, other.output)
    for half, twin in zip(hard, soft, strict=True):
        for gradient, wanted in zip(gradients(twin).values(), gradients(half).values(), strict=True):
            assert torch.equal(gradient, wanted)


@pytest.mark.parametrize("model", [PLAIN, RESIDUAL, JOINED, *slow(VGG)])
def test_without_the_module_the_step_is_the_unsplit_models_to_the_last_bit(model: Model) -> None:
    for step in range(len(model.steps)):
        network = build(model, seed=2).train()
        halves = split_model(model, compressing_cut(model, step, module=False), network=copy.deepcopy(network))
        images, labels = batch(model)
        loss = split_step(halves, images, labels, halves.client.interface.phi)
        expected = F.cross_entropy(network(images)[0], labels)
        expected.backward()
        assert float(loss) == float(expected.detach())
        mine = [gradient for half in halves for gradient in gradients(half).values()]
        for gradient, wanted in zip(mine, gradients(network).values(), strict=True):
            assert torch.equal(gradient, wanted)


def test_side_heads_in_front_of_the_cut_cross_it_and_are_trained() -> None:
    def loss(output: Tensor, heads: list[Tensor], labels: Tensor) -> Tensor:
        return output.square().mean() + heads[0].square().mean() + 2.0 * heads[1].square().mean()

    network = build(HEADED, seed=2).train()
    client, server = split_model(HEADED, compressing_cut(HEADED, 1, module=False), network=copy.deepcopy(network))
    images, labels = batch(HEADED)
    message = client(images, labels)
    outcome = server.step(message, loss)
    client.backward(outcome.reply)
    output, heads = network(images)
    loss(output, heads, labels).backward()
    assert message.sent_bytes["others"] == outcome.reply.sent_bytes["other_gradients"] == 5 * 2 * 64 * 4
    mine = [*gradients(client).values(), *gradients(server).values()]
    for gradient, wanted in zip(mine, gradients(network).values(), strict=True):
        assert torch.equal(gradient, wanted)


def test_halves_share_nothing_and_messages_carry_no_graph() -> None:
    client, server = split_model(VGG, compressing_cut(VGG, layer_cut(VGG, 5)))
    images, labels = batch(VGG)
    message = client(images, labels)
    outcome = server.step(message)
    ours = {p.untyped_storage().data_ptr() for p in (*client.parameters(), *client.buffers())}
    theirs = {p.untyped_storage().data_ptr() for p in (*server.parameters(), *server.buffers())}
    assert not ours & theirs
    assert outcome.reply.gradients is not None
    assert message.filter is not None
    for tensor in (message.maps, message.filter, outcome.reply.gradients, outcome.loss, outcome.output):
        assert tensor.grad_fn is None
    assert all(parameter.grad is None for parameter in client.parameters())
    client.backward(outcome.reply)
    assert client.compressor is not None
    assert client.compressor.logits.grad is not None


@pytest.mark.parametrize("budget", [1, 2, 7, 64])
def test_bytes_are_those_of_the_budget_in_both_directions(budget: int) -> None:
    client, server = split_model(VGG, compressing_cut(VGG, layer_cut(VGG, 5), resolution=2))
    client.budget = budget
    images, labels = batch(VGG)
    message = client(images, labels)
    reply = server.step(message).reply
    maps = 5 * budget * 8 * 8 * 4
    assert message.sent_bytes == {"maps": maps, "filter": 64 * 4, "labels": 5 * 8, "others": 0}
    assert reply.sent_bytes == {"gradients": maps, "other_gradients": 0}
    assert maps == 5 * budget * client.interface.map_bytes
    assert message.sent_bytes["filter"] == client.interface.filter_bytes


def test_at_the_input_without_the_module_nothing_comes_back() -> None:
    client, server = split_model(VGG, compressing_cut(VGG, 0, module=False))
    images, labels = batch(VGG)
    reply = server.step(client(images, labels), reply=client.trains).reply
    assert not client.trains
    assert reply.sent_bytes == {"gradients": 0, "other_gradients": 0}
    client.backward(reply)


def test_exactly_the_maps_with_the_largest_filter_cross() -> None:
    client, server = split_model(VGG, compressing_cut(VGG, layer_cut(VGG, 5)))
    client.eval()
    server.eval()
    images, _ = batch(VGG)
    client.budget = 64
    every, f = client(images).maps, client(images).filter
    assert f is not None
    client.budget = 3
    message = client(images)
    kept = kept_maps(f, 3)
    assert f[kept].min() > f[[i for i in range(64) if i not in kept.tolist()]].max()
    torch.testing.assert_close(message.maps, every[:, kept])
    before = server(message)[0]
    assert client.compressor is not None
    with torch.no_grad():  # what is not sent cannot matter
        client.compressor.conv.weight[[i for i in range(64) if i not in kept.tolist()]] += 1.0
    assert torch.equal(server(client(images))[0], before)
    with torch.no_grad():
        client.compressor.conv.weight[kept[0]] += 1.0
    assert not torch.equal(server(client(images))[0], before)


def test_equal_entries_of_the_filter_are_kept_from_the_first() -> None:
    assert kept_maps(torch.tensor([0.5, 1.0, 0.5, 1.0, 0.5]), 3).tolist() == [0, 1, 3]


def test_maps_that_are_not_sent_keep_their_batch_norm_statistics() -> None:
    client, _ = split_model(VGG, compressing_cut(VGG, layer_cut(VGG, 5)))
    assert client.compressor is not None
    client.budget = 2
    images, labels = batch(VGG)
    client(images, labels)
    kept = kept_maps(client.compressor.filter, 2)
    mean = client.compressor.norm.running_mean
    assert mean is not None
    assert (mean != 0).nonzero().flatten().tolist() == kept.tolist()


def test_filter_gradient_of_the_budget_is_added_on_the_client() -> None:
    halves = split_model(VGG, compressing_cut(VGG, layer_cut(VGG, 5)), seed=1)
    images, labels = batch(VGG)
    client, server = copy.deepcopy(halves.client), copy.deepcopy(halves.server)
    split_step(halves, images, labels, 2)
    client.budget = 2
    extra = torch.arange(64.0)
    client.backward(server.step(client(images, labels)).reply, extra)
    assert client.compressor is not None
    assert halves.client.compressor is not None
    first, second = halves.client.compressor.logits.grad, client.compressor.logits.grad
    assert first is not None
    assert second is not None
    torch.testing.assert_close(second, first + extra)
    kept = kept_maps(client.compressor.filter, 2).tolist()
    assert first.nonzero().flatten().tolist() == kept  # of the loss, only what was sent feels anything


@given(st.integers(1, 40), st.integers(1, 40), st.data())
@settings(max_examples=60)
def test_the_decoder_restores_every_shape(height: int, width: int, data: st.DataObject) -> None:
    resolution = data.draw(st.integers(1, min(height, width)))
    padding: Padding = data.draw(st.sampled_from(get_args(Padding)))
    unit = Unit("a", (Conv(1, 1, 0, out_channels=3),))
    model = Model("m", Shape(1, height, width), (unit, Unit("b", (Conv(1, 1, 0, out_channels=2),))), (GlobalPool(),))
    interface = compressing_cut(model, 1, resolution=resolution, padding=padding)
    client, server = split_model(model, interface)
    client.budget = 2
    client.eval()  # batch norm cannot train on a single value
    server.eval()
    message = client(torch.randn(1, 1, height, width))
    assert message.maps.shape == (1, 2, interface.height, interface.width)
    assert server.decompressor is not None
    assert message.filter is not None
    assert server.decompressor(message.maps, message.filter).shape == (1, 3, height, width)
    if padding == "sound":
        assert (interface.height, interface.width) == (height // resolution, width // resolution)


def test_the_printed_padding_gives_17_of_32_rows() -> None:
    vgg = get_model("vgg11_32")
    sizes = {p: compressing_cut(vgg, 0, resolution=2, phi=128, padding=p).height for p in ("sound", "paper")}
    assert sizes == {"sound": 16, "paper": 17}


def test_layers_are_counted_as_in_the_features_list() -> None:
    """Prune-Deprune, Sec. 4: behind 5 of VGG-11's modules are 128 maps of 16x16."""
    vgg = get_model("vgg11_32")
    found = {layer: compressing_cut(vgg, layer_cut(vgg, layer)).shape for layer in (0, 5, 6, 7, 9)}
    assert found == {
        0: Shape(3, 32, 32),
        5: Shape(128, 16, 16),
        6: Shape(128, 8, 8),
        7: Shape(256, 8, 8),
        9: Shape(256, 8, 8),
    }
    assert layer_cut(vgg, 5) == Cut(3)
    assert layer_cut(vgg, 9) == Cut(5, 1)
    assert [step_modules(vgg, step) for step in (0, 1)] == [2, 1]
    assert [step_modules(PLAIN, step) for step in range(5)] == [2, 3, 1, 2, 1]
    assert step_modules(RESIDUAL, 1) == 1


# One of every kind: a chain, blocks, branches, joins, side heads, a volume.
KINDS = ("vgg11_32_half", "resnet34_32", "googlenet", "openpose", "ssd_vgg16", "voxelnet")


@pytest.mark.parametrize("name", [*KINDS, *slow(*(name for name in MODELS if name not in KINDS))])
def test_every_network_of_the_zoo_can_be_cut_anywhere(name: str) -> None:
    model = get_model(name)
    shape = model.input
    images = torch.zeros(2, shape.folded_channels, shape.height, shape.width, device="meta")
    network: TorchModel = build(model, device="meta")
    expected, heads = network(images)
    for step in {0, len(model.steps) // 2, len(model.steps) - 1}:
        interface = compressing_cut(model, step)
        halves = split_model(model, interface, network=network)
        client, server = halves.client.to("meta"), halves.server.to("meta")
        client.budget = max(1, interface.phi // 8)
        message = client(images)
        output, found = server(message)
        assert output.shape == expected.shape
        assert [head.shape for head in found] == [head.shape for head in heads]
        assert message.maps.nbytes == 2 * client.budget * interface.map_bytes


def vgg_cut(**options: Any) -> Interface:
    return compressing_cut(VGG, options.pop("cut", 3), where="plan.json", **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cut": -1}, "step is -1, allowed for vgg11_32_half: 0 to 13"),
        ({"cut": 14}, "step is 14, allowed for vgg11_32_half: 0 to 13"),
        ({"cut": Cut(3, 1)}, "modules is 1, allowed in pool2"),
        ({"cut": Cut(2, 5)}, "modules is 5, allowed in conv2_1"),
        ({"resolution": 17}, "r is 17, allowed for maps of 16x16: 1 to 16"),
        ({"resolution": 0}, "r is 0, allowed"),
        ({"phi": 0}, "phi is 0"),
        ({"padding": "same"}, "padding is 'same', allowed: sound, paper"),
        ({"module": False, "resolution": 2}, "r is 2, allowed without the module: 1"),
        ({"module": False, "phi": 4}, "phi is 4"),
    ],
)
def test_a_bad_cut_is_named_in_one_line(options: dict[str, Any], said: str) -> None:
    with refused(said, start="plan.json: "):
        vgg_cut(**options)


def test_a_budget_outside_the_maps_is_named() -> None:
    interface = vgg_cut()
    for budget in (0, 65, -1, True, 2.0):
        with pytest.raises(InputError, match=r"^epoch 3: budget is .*, allowed: 1 to 64$"):
            interface.check_budget(budget, "epoch 3")  # pyright: ignore[reportArgumentType]
    assert interface.check_budget(1) == 1
    assert interface.check_budget(64) == 64
    client, _ = split_model(VGG, interface)
    with pytest.raises(InputError, match="budget is 65"):
        client.budget = 65
    with pytest.raises(InputError, match="no module, all maps cross"):
        vgg_cut(module=False).check_budget(4)


def test_layers_outside_the_model_and_units_that_cannot_be_cut_inside_are_named() -> None:
    with pytest.raises(InputError, match="layer is 22, allowed for vgg11_32_half: 0 to 21"):
        layer_cut(VGG, 22)
    with pytest.raises(InputError, match=r"d of joined is one with .* layer \d+ \(in front of it\) or \d+ \("):
        compressing_cut(JOINED, Cut(3, 1))
    with pytest.raises(InputError, match="without an encoder all 12 maps or nodes"):
        compressing_cut(PLAIN, 4, phi=6)
