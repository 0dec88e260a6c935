"""Every operator of torch that is read gives what the module gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from splitgym.models.layers import Shape
from splitgym.models.own import torch_module
from splitgym.models.own.read import import_module

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


TORCH_CASES: dict[str, tuple[Callable[[], nn.Module], str]] = {  # a net, the operators that torch.export makes of it
    "arithmetic": (lambda: Scaled(constants, conv=nn.Conv2d(4, 4, 3, padding=1)), "add sub mul div rsub"),
    "activations": (
        lambda: Net(activations),
        "relu relu6 sigmoid tanh silu hardsigmoid hardswish leaky_relu elu gelu hardtanh clamp clamp_min softmax "
        "log_softmax cat",
    ),
    "convolutions": (
        lambda: Net(
            convolutions,
            plain=nn.Conv2d(4, 6, (3, 5), (1, 2), (2, 1), (2, 1)),
            grouped=nn.Conv2d(6, 9, 3, padding=1, groups=3, bias=False),
            high=nn.Conv2d(9, 5, (2, 3), bias=False),
            up=nn.ConvTranspose2d(5, 4, (3, 2)),
            same=nn.Conv2d(4, 5, (3, 5), padding="same", dilation=(3, 1)),
            valid=nn.Conv2d(5, 4, 2, padding="valid"),
            transposed=nn.ConvTranspose2d(4, 3, (2, 3), 2, (0, 1), bias=False),
        ),
        "conv2d convolution conv_transpose2d",
    ),
    "pools": (lambda: Net(pools), "max_pool2d avg_pool2d adaptive_avg_pool2d cat"),
    "vectors": (vector_net, "squeeze view mean _unsafe_view alias clone detach linear relu softmax"),
    "merges": (lambda: Net(merges, first=nn.Conv2d(4, 4, 1), second=nn.Conv2d(12, 12, 1)), "add mul cat"),
    "borders": (
        lambda: Net(borders, conv=nn.Conv2d(4, 4, 3, 2), zeros=nn.ZeroPad2d((0, 1, 2, 0))), "pad constant_pad_nd"
    ),
    "norms": (
        lambda: Net(
            norms,
            affine=nn.BatchNorm2d(4),
            conv=nn.Conv2d(4, 6, 3, padding=1, bias=False),
            plain=nn.BatchNorm2d(6, eps=0.3, affine=False),
            drop=nn.Dropout2d(),
        ),
        "_native_batch_norm_legit_no_training relu pixel_unshuffle",
    ),
}  # fmt: skip
# What decompositions turn into other operators; a version of torch may leave it.
UNDECOMPOSED = "flatten reshape contiguous dropout feature_dropout"


@pytest.fixture
def met(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The operators that torch's reader hands to its handlers."""
    found: set[str] = set()

    class Recorded(dict):
        def get(self, key: str, default: Any = None) -> Any:
            found.add(key)
            return super().get(key, default)

    monkeypatch.setattr(torch_module, "_HANDLERS", Recorded(torch_module._HANDLERS))
    return found


def assert_module_is_read(net: nn.Module) -> None:
    shape = Shape(2, 8, 8)
    net, x = scrambled(net), 3 * image(shape)  # beyond the 6 of ReLU6
    with torch.inference_mode():
        expected = net(x)
    assert_equal_outputs(import_module(net, shape), x, expected)


@pytest.mark.parametrize("name", TORCH_CASES)
def test_a_torch_operator_gives_what_the_module_gives(name: str, met: set[str]) -> None:
    net, operators = TORCH_CASES[name]
    assert_module_is_read(net())
    assert set(operators.split()) <= met


def test_what_is_left_undecomposed_is_read_too(met: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.export.ExportedProgram, "run_decompositions", lambda program, table: program)

    def shapes(net: Any, x: Tensor) -> Tensor:
        x = torch.ops.aten.contiguous(net.drop(net.drop_maps(x))).reshape(1, 4, 8, 8)
        return net.last(x.flatten(1))

    assert_module_is_read(Net(shapes, drop=nn.Dropout(), drop_maps=nn.Dropout2d(), last=nn.Linear(256, 3)))
    assert set(UNDECOMPOSED.split()) <= met


def test_every_torch_handler_has_a_case() -> None:
    covered = {operator for _, operators in TORCH_CASES.values() for operator in operators.split()}
    assert set(torch_module._HANDLERS) - covered - set(UNDECOMPOSED.split()) == set()
