"""A stand-in for TensorRT's Python API that records a network and evaluates it, without a GPU.

Names and signatures are TensorRT's (test_tensorrt_names.py compares them with the published bindings), and so is
what is checked: sizes of weights, types that must agree, paddings narrower than windows, slices within bounds. Layers
compute from their definition in TensorRT's documentation, in float32, with windows gathered one by one where torch has
an operator of its own for the same layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import torch

from .tensorrt_fake_layers import (
    DataType,
    ElementWiseOperation,
    IActivationLayer,
    IConcatenationLayer,
    IConstantLayer,
    IConvolutionLayer,
    IDeconvolutionLayer,
    IElementWiseLayer,
    IIdentityLayer,
    ILayer,
    IPoolingLayer,
    IReduceLayer,
    IScaleLayer,
    IShuffleLayer,
    ISliceLayer,
    ISoftMaxLayer,
    ITensor,
    IUnaryLayer,
    PoolingType,
    ReduceOperation,
    ScaleMode,
    UnaryOperation,
    Weights,
    dims,
)


class INetworkDefinition:
    """Records layers; ``evaluate`` runs them. Methods are TensorRT's, with its names of arguments."""

    def __init__(self, generation: str) -> None:
        self._generation = generation
        self.strongly_typed = generation != "8"
        self.inputs: dict[str, ITensor] = {}
        self.outputs: dict[str, ITensor] = {}
        self.layers: list[ILayer] = []

    def _agreed(self, *weights: Weights | None) -> list[Weights | None]:
        """The weights of one layer, which must agree in type.

        Those left out are empty, and of the type FLOAT up to release 10.3, whatever the others are.
        """
        left_out = Weights(DataType.FLOAT) if self._generation in ("8", "10") else None
        given = [left_out if part is None else part for part in weights]
        types = {part.dtype for part in given if part is not None}
        assert len(types) == 1, f"weights of several types: {types}"
        return given

    def _recorded(self, layer: Any) -> Any:
        self.layers.append(layer)
        return layer

    def add_input(self, name: str, dtype: DataType, shape: Sequence[int]) -> ITensor:
        assert name not in self.inputs
        assert all(size > 0 for size in dims(shape)), shape
        self.inputs[name] = ITensor(self, dims(shape), dtype, name)
        self.inputs[name].is_network_input = True
        return self.inputs[name]

    def mark_output(self, tensor: ITensor) -> None:
        assert not tensor.is_network_input, "an input is no output"
        assert not tensor.is_network_output, "an output already"
        assert tensor.name not in {"", *self.inputs, *self.outputs}, "a name of its own is needed"
        self.outputs[tensor.name] = tensor
        tensor.is_network_output = True
        if not self.strongly_typed:
            tensor._type = DataType.FLOAT  # unless it is set from now on

    def add_convolution_nd(
        self, input: ITensor, num_output_maps: int, kernel_shape: Sequence[int], kernel: Weights,
        bias: Weights | None = None,
    ) -> IConvolutionLayer:  # fmt: skip
        return self._recorded(
            IConvolutionLayer(self, input, num_output_maps, kernel_shape, *self._agreed(kernel, bias))
        )

    def add_deconvolution_nd(
        self, input: ITensor, num_output_maps: int, kernel_shape: Sequence[int], kernel: Weights,
        bias: Weights | None = None,
    ) -> IDeconvolutionLayer:  # fmt: skip
        return self._recorded(
            IDeconvolutionLayer(self, input, num_output_maps, kernel_shape, *self._agreed(kernel, bias))
        )

    def add_pooling_nd(self, input: ITensor, type: PoolingType, window_size: Sequence[int]) -> IPoolingLayer:
        return self._recorded(IPoolingLayer(self, input, type, window_size))

    def add_activation(self, input: ITensor, type: IntEnum) -> IActivationLayer:
        return self._recorded(IActivationLayer(self, input, type))

    def add_elementwise(self, input1: ITensor, input2: ITensor, op: ElementWiseOperation) -> IElementWiseLayer:
        return self._recorded(IElementWiseLayer(self, input1, input2, op))

    def add_unary(self, input: ITensor, op: UnaryOperation) -> IUnaryLayer:
        return self._recorded(IUnaryLayer(self, input, op))

    def add_reduce(self, input: ITensor, op: ReduceOperation, axes: int, keep_dims: bool) -> IReduceLayer:
        return self._recorded(IReduceLayer(self, input, op, axes, keep_dims))

    def add_scale_nd(
        self, input: ITensor, mode: ScaleMode, shift: Weights | None = None, scale: Weights | None = None,
        power: Weights | None = None, channel_axis: int | None = None,
    ) -> IScaleLayer:  # fmt: skip
        shift, scale, power = self._agreed(shift, scale, power)
        assert power is None or not power.size
        assert channel_axis is not None
        return self._recorded(IScaleLayer(self, input, mode, shift, scale, channel_axis))

    def add_shuffle(self, input: ITensor) -> IShuffleLayer:
        return self._recorded(IShuffleLayer(self, input))

    def add_slice(
        self, input: ITensor, start: Sequence[int], shape: Sequence[int], stride: Sequence[int]
    ) -> ISliceLayer:
        return self._recorded(ISliceLayer(self, input, start, shape, stride))

    def add_concatenation(self, inputs: Sequence[ITensor]) -> IConcatenationLayer:
        return self._recorded(IConcatenationLayer(self, *inputs))

    def add_softmax(self, input: ITensor) -> ISoftMaxLayer:
        return self._recorded(ISoftMaxLayer(self, input))

    def add_identity(self, input: ITensor) -> IIdentityLayer:
        return self._recorded(IIdentityLayer(self, input))

    def add_constant(self, shape: Sequence[int], weights: Weights) -> IConstantLayer:
        return self._recorded(IConstantLayer(self, shape, weights))

    def copy_weights(self) -> None:
        """What building an engine does to the weights: from now on nobody else needs to keep them."""
        for layer in self.layers:
            for name in ("_kernel", "_bias", "_shift", "_scale", "_values"):
                if isinstance(weights := getattr(layer, name, None), Weights) and weights.size:
                    weights.copy()

    def evaluate(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The outputs by name, for exactly the network's inputs, float32."""
        assert inputs.keys() == self.inputs.keys(), (list(inputs), list(self.inputs))
        known: dict[int, torch.Tensor] = {}
        for name, tensor in self.inputs.items():
            assert tuple(inputs[name].shape) == tensor.shape, (name, inputs[name].shape, tensor.shape)
            known[id(tensor)] = inputs[name]

        def value(tensor: ITensor) -> torch.Tensor:
            if id(tensor) not in known:
                layer = tensor._made
                known[id(tensor)] = layer._evaluate(*map(value, layer._inputs))
            return known[id(tensor)]

        return {name: value(tensor) for name, tensor in self.outputs.items()}
