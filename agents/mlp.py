"""Multilayer perceptrons forward and backward without autograd, for nets so small that its upkeep counts."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def is_plain(net: nn.Sequential) -> bool:
    """Whether :class:`Mlp` knows the net: linear layers with biases, ReLU between, nothing or tanh after the last."""
    layers = list(net)
    if layers and isinstance(layers[-1], nn.Tanh):
        layers.pop()
    alternate = [(nn.Linear, nn.ReLU)[i % 2] for i in range(len(layers))]
    biased = all(layer.bias is not None for layer in layers if isinstance(layer, nn.Linear))
    return [type(layer) for layer in layers] == alternate and len(layers) % 2 == 1 and biased


class Mlp:
    """A net's outputs and gradients for batches of one size, in buffers that are made once.

    Products and sums are those of autograd, of the same operands in the same order, so that results are the same.

    Args:
        net: one that :func:`is_plain`, of float32 on the CPU; parameters are shared with it.
        rows: batch size.
        learns: whether :meth:`backward` is wanted; the gradients are found in ``grad`` of the net's parameters.
    """

    def __init__(self, net: nn.Sequential, rows: int, learns: bool = False) -> None:
        layers = [layer for layer in net if isinstance(layer, nn.Linear)]
        self.squashed = isinstance(net[-1], nn.Tanh)
        self.weights = [layer.weight.detach() for layer in layers]
        self.sums = [(layer.bias.detach(), layer.weight.detach().t()) for layer in layers]
        self.outputs = [torch.empty(rows, layer.out_features) for layer in layers]
        self.slopes = [torch.empty(rows, layer.in_features) for layer in layers]
        self.inputs = torch.empty(rows, layers[0].in_features)
        if learns:
            for parameter in net.parameters():
                parameter.grad = torch.zeros_like(parameter)
            self.grads = [(layer.weight.grad, layer.bias.grad) for layer in layers]

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs (rows, outputs) for inputs (rows, inputs); both are read until the gradients are asked for."""
        self.inputs, last = inputs, self.outputs[-1]
        for (bias, weight), output in zip(self.sums, self.outputs, strict=True):
            torch.addmm(bias, inputs, weight, out=output)
            inputs = output if output is last else torch.relu_(output)
        return last.tanh_() if self.squashed else last

    def backward(self, slope: Tensor) -> None:
        """Gradients of the parameters, from the loss's by the newest outputs (rows, outputs)."""
        slope = self._last(slope)
        for layer in reversed(range(len(self.grads))):
            weight, bias = self.grads[layer]
            torch.mm(slope.t(), self.outputs[layer - 1] if layer else self.inputs, out=weight)
            torch.sum(slope, 0, out=bias)
            if layer:
                slope = self._below(layer, slope)

    def input_slope(self, slope: Tensor) -> Tensor:
        """The loss's gradient by the inputs (rows, inputs), from that by the newest outputs (rows, outputs)."""
        slope = self._last(slope)
        for layer in range(len(self.weights) - 1, 0, -1):
            slope = self._below(layer, slope)
        return torch.mm(slope, self.weights[0], out=self.slopes[0])

    def _last(self, slope: Tensor) -> Tensor:
        """From the gradient by the outputs, that by what the last layer gives."""
        return torch.ops.aten.tanh_backward(slope, self.outputs[-1]) if self.squashed else slope

    def _below(self, layer: int, slope: Tensor) -> Tensor:
        """From the gradient by what a layer gives, that by what the layer below gives."""
        below = torch.mm(slope, self.weights[layer], out=self.slopes[layer])
        return torch.ops.aten.threshold_backward.grad_input(below, self.outputs[layer - 1], 0.0, grad_input=below)
