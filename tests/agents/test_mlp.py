"""Outputs and gradients without autograd are autograd's."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from splitgym.agents.mlp import Mlp, is_plain


def net(*sizes: int, tanh: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = []
    for below, above in pairwise(sizes):
        layers += [nn.Linear(below, above), nn.ReLU()]
    return nn.Sequential(*layers[:-1], *([nn.Tanh()] if tanh else []))


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("tanh", [False, True])
@pytest.mark.parametrize("sizes", [(5, 3), (9, 16, 1), (40, 30, 20, 2)])
@pytest.mark.parametrize("rows", [1, 7])
def test_outputs_and_gradients(sizes: tuple[int, ...], tanh: bool, rows: int) -> None:
    plain = net(*sizes, tanh=tanh)
    mlp = Mlp(plain, rows, learns=True)
    for _ in range(2):  # buffers are used again
        inputs, slope = torch.randn(rows, sizes[0], requires_grad=True), torch.randn(rows, sizes[-1])
        outputs = plain(inputs)
        expected: tuple[Tensor, ...] = torch.autograd.grad(outputs, [inputs, *plain.parameters()], slope)
        with torch.no_grad():
            torch.testing.assert_close(mlp.forward(inputs.detach()), outputs)
            torch.testing.assert_close(mlp.input_slope(slope), expected[0])
            mlp.backward(slope)
        for parameter, gradient in zip(plain.parameters(), expected[1:], strict=True):
            torch.testing.assert_close(parameter.grad, gradient)


def test_parameters_are_the_nets() -> None:
    plain = net(4, 8, 2)
    mlp, inputs = Mlp(plain, 3), torch.randn(3, 4)
    with torch.no_grad():
        plain.load_state_dict(net(4, 8, 2).state_dict())
        torch.testing.assert_close(mlp.forward(inputs), plain(inputs))


@pytest.mark.parametrize(
    ("layers", "plain"),
    [
        ([nn.Linear(3, 2)], True),
        ([nn.Linear(3, 2), nn.Tanh()], True),
        ([nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2)], True),
        ([], False),
        ([nn.Tanh()], False),
        ([nn.Linear(3, 2), nn.ReLU()], False),
        ([nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 2)], False),
        ([nn.Linear(3, 2), nn.Linear(2, 2)], False),
        ([nn.Linear(3, 2), nn.LayerNorm(2), nn.ReLU(), nn.Linear(2, 2)], False),
        ([nn.Linear(3, 2, bias=False)], False),
    ],
)
def test_nets_of_other_layers_are_not_taken(layers: list[nn.Module], plain: bool) -> None:
    assert is_plain(nn.Sequential(*layers)) is plain
