"""What torch modules are written with is read, and gives what the module gives."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from splitgym.models.layers import Shape
from splitgym.models.own.read import import_module
from splitgym.ui.errors import InputError

from ... import slow
from .nets import Net, assert_equal_outputs, image, scrambled


def activations(net: Any, x: Tensor) -> Tensor:
    kinds = [
        x, F.relu(x), F.relu6(x), x.sigmoid(), x.tanh(), F.silu(x), F.hardsigmoid(x), F.hardswish(x), F.leaky_relu(x),
        F.leaky_relu(x, 0.3), F.elu(x), F.gelu(x), F.hardtanh(x, 0, 6), x.clamp(0, 6), torch.clamp_min(x, 0),
        x.clamp(min=0), x.softmax(1), F.log_softmax(x, -3),
    ]  # fmt: skip
    return torch.cat(kinds, 1)


def convolutions(net: Any, x: Tensor) -> Tensor:
    ones = [1, 1]
    x = net.grouped(net.plain(x))
    x = torch.convolution(x, net.high.weight, None, ones, [0, 1], ones, False, [0, 0], 1)
    x = torch.convolution(x, net.up.weight, net.up.bias, [2, 1], [1, 0], ones, True, [0, 0], 1)
    return net.transposed(net.valid(net.same(x)))


def pools(net: Any, x: Tensor) -> Tensor:
    halves = [
        F.max_pool2d(x, 3, 2, 1), F.max_pool2d(x, 2), F.max_pool2d(x, 3, 2, ceil_mode=True),
        F.max_pool2d(x, 2, 2, dilation=(1, 2), ceil_mode=True), F.adaptive_avg_pool2d(x, (4, 4)),
        F.avg_pool2d(x, 3, 2, 1), F.avg_pool2d(x, 2), F.avg_pool2d(x, 3, 2, ceil_mode=True),
        F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    ]  # fmt: skip
    x = F.avg_pool2d(F.adaptive_avg_pool2d(torch.cat(halves, 1), (4, None)), 1)  # both change nothing
    return F.adaptive_avg_pool2d(x, (2, 4))


def vectors(net: Any, x: Tensor) -> Tensor:
    aten = torch.ops.aten
    pooled = [
        F.adaptive_avg_pool2d(x, 1).squeeze((2, 3)), x.relu().mean((-1, -2)), F.max_pool2d(x, 8).flatten(1),
        F.avg_pool2d(x.tanh(), 8).view(1, -1), x.sigmoid().mean((2, 3), keepdim=True).reshape(1, 4),
        aten._unsafe_view(F.adaptive_avg_pool2d(F.silu(x), 1), [1, 4]),
    ]  # fmt: skip
    x = aten.alias(torch.cat(pooled, 1).clone().detach().contiguous())
    return F.dropout(net.last(net.norm(net.first(x)).relu()), training=False).softmax(-1)


def merges(net: Any, x: Tensor) -> Tensor:
    y = net.first(x)
    y += x
    y = torch.cat([y * y.sigmoid(), F.hardsigmoid(y) * y, torch.add(y, y.relu())], 1)
    return torch.cat([net.second(y).relu_().clone() + y], 1)


def borders(net: Any, x: Tensor) -> Tensor:
    x = F.pad(net.conv(F.pad(x, (1, 1, 2, 2))), (1, 0, 0, 2), value=-1.5)
    return net.zeros(torch.ops.aten.constant_pad_nd(x.relu(), [0, 3]))


def norms(net: Any, x: Tensor) -> Tensor:
    return F.pixel_unshuffle(net.drop(net.plain(net.conv(net.affine(x).relu()))), 2)


def vector_net() -> Net:
    return Net(vectors, first=nn.Linear(24, 6), norm=nn.BatchNorm1d(6), last=nn.Linear(6, 5, bias=False))


def constants(net: Any, x: Tensor) -> Tensor:
    x = (x - net.mean) / net.deviation
    y = 1 - net.conv(x) * 0.17
    return y + (x * 2 + net.mean) / 3


class Scaled(Net):
    """A net with constants by channel."""

    def __init__(self, function: Callable[[Any, Tensor], Tensor], **parts: nn.Module) -> None:
        super().__init__(function, **parts)
        self.register_buffer("mean", torch.tensor([0.1, -0.2, 0.3, 0.4]).view(4, 1, 1))
        self.register_buffer("deviation", torch.tensor([0.5, 2.0, 1.5, 1.0]).view(1, 4, 1, 1))


def gated(net: Any, x: Tensor) -> Tensor:
    """A squeeze-and-excitation gate written with linear layers, hard-swish, a shuffle, chunks."""
    scale = net.second(net.first(x.mean((2, 3))).relu()).sigmoid()
    x = F.hardswish(x * scale[:, :, None, None])
    first, second = torch.cat([x, x.tanh()], 1).chunk(2, dim=1)
    return F.channel_shuffle(torch.cat([second, first], 1), 4)


def resized(net: Any, x: Tensor) -> Tensor:
    near = F.interpolate(x, scale_factor=2.0)
    smooth = F.interpolate(net.conv(x), size=(16, 16), mode="bilinear", align_corners=False)
    corners = F.interpolate(x[:, :, ::2, 1:7], size=(16, 16), mode="bilinear", align_corners=True)
    return F.pixel_shuffle(torch.cat([near, smooth, corners, near + smooth], 1), 2)


class Computed(nn.Module):
    """Constants computed in ``forward``, weight norm, weight standardisation."""

    def __init__(self) -> None:
        super().__init__()
        self.mean: Tensor
        self.register_buffer("mean", torch.tensor([0.3, -0.2]))
        self.normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 4, 3, padding=1))
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.prelu = nn.PReLU(4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.prelu(self.normed((x - self.mean.reshape(1, 2, 1, 1)) / (self.mean.abs().view(-1, 1, 1) + 0.5)))
        weight = self.conv.weight
        spread, mean = torch.var_mean(weight, (1, 2, 3), keepdim=True)
        return F.conv2d(x, (weight - mean) / (spread + 1e-3).sqrt(), self.conv.bias, padding=1)


def by_channel(net: Any, x: Tensor) -> Tensor:
    x = net.norm(x.permute(0, 2, 3, 1))
    return net.second(F.gelu(net.first(x))).permute(0, 3, 1, 2) * net.scale[0]


class Attention(nn.Module):
    """Every position looks at every other, in the middle of a network."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.qkv, self.last = (
            nn.Conv2d(2, 4, 3, padding=1),
            nn.Conv2d(4, 12, 1),
            nn.Conv2d(4, 3, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        q, k, v = self.qkv(x).flatten(2).chunk(3, 1)
        weights = (q.transpose(1, 2) @ k / 2).softmax(-1)
        return self.last(x + (v @ weights.transpose(1, 2)).reshape(x.shape))


TORCH_CASES: dict[str, Callable[[], nn.Module]] = {
    "arithmetic": lambda: Scaled(constants, conv=nn.Conv2d(4, 4, 3, padding=1)),
    "activations": lambda: Net(activations),
    "convolutions": lambda: Net(
        convolutions,
        plain=nn.Conv2d(4, 6, (3, 5), (1, 2), (2, 1), (2, 1)),
        grouped=nn.Conv2d(6, 9, 3, padding=1, groups=3, bias=False),
        high=nn.Conv2d(9, 5, (2, 3), bias=False),
        up=nn.ConvTranspose2d(5, 4, (3, 2)),
        same=nn.Conv2d(4, 5, (3, 5), padding="same", dilation=(3, 1)),
        valid=nn.Conv2d(5, 4, 2, padding="valid"),
        transposed=nn.ConvTranspose2d(4, 6, (2, 3), 2, (0, 1), (1, 0), groups=2, bias=False),
    ),
    "pools": lambda: Net(pools),
    "vectors": vector_net,
    "merges": lambda: Net(merges, first=nn.Conv2d(4, 4, 1), second=nn.Conv2d(12, 12, 1)),
    "borders": lambda: Net(borders, conv=nn.Conv2d(4, 4, 3, 2), zeros=nn.ZeroPad2d((0, 1, 2, 0))),
    "norms": lambda: Net(
        norms,
        affine=nn.BatchNorm2d(4),
        conv=nn.Conv2d(4, 6, 3, padding=1, bias=False),
        plain=nn.BatchNorm2d(6, eps=0.3, affine=False),
        drop=nn.Dropout2d(),
    ),
    "gated": lambda: Net(gated, first=nn.Linear(4, 2), second=nn.Linear(2, 4)),
    "resized": lambda: Net(resized, conv=nn.Conv2d(4, 4, 3, padding=1)),
    "computed": Computed,
    "by channel": lambda: Net(
        by_channel, norm=nn.LayerNorm(4), first=nn.Linear(4, 8), second=nn.Linear(8, 4),
        scale=nn.ParameterList([nn.Parameter(torch.tensor([0.5, 1.0, 2.0, -1.0]).reshape(4, 1, 1))]),
    ),
    "group norm": lambda: nn.Sequential(nn.Conv2d(2, 6, 1), nn.GroupNorm(3, 6), nn.ReLU(), nn.Conv2d(6, 3, 3)),
    "instance norm": lambda: nn.Sequential(nn.Conv2d(2, 4, 1), nn.InstanceNorm2d(4, affine=True), nn.Conv2d(4, 3, 3)),
    "attention": Attention,
}  # fmt: skip


def assert_module_is_read(net: nn.Module) -> None:
    shape = Shape(2, 8, 8)
    net, x = scrambled(net), 3 * image(shape)  # beyond the 6 of ReLU6
    with torch.inference_mode():
        expected = net(x)
    assert_equal_outputs(import_module(net, shape), x, expected)


LIKELY = ("activations", "pools", "resized", "computed")  # torch takes a while to export each


@pytest.mark.parametrize("name", [*LIKELY, *slow(*(name for name in TORCH_CASES if name not in LIKELY))])
def test_a_torch_operator_gives_what_the_module_gives(name: str) -> None:
    assert_module_is_read(TORCH_CASES[name]())


def test_without_the_exporter_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(InputError, match=r"nets:net: reading torch modules needs the packages onnx and onnxscript"):
        import_module(nn.Conv2d(2, 2, 1), Shape(2, 8, 8), source="nets:net")
