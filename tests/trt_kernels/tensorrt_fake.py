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

from . import tensorrt_fake_layers as trt
from . import tensorrt_fake_math as values


class INetworkDefinition:
    """Records layers; ``evaluate`` runs them. Methods are TensorRT's, with its names of arguments."""

    def __init__(self, generation: str) -> None:
        self._generation = generation
        self.strongly_typed = generation != "8"
        self.inputs: dict[str, trt.ITensor] = {}
        self.outputs: dict[str, trt.ITensor] = {}
        self.layers: list[trt.ILayer] = []

    def _agreed(self, *weights: trt.Weights | None) -> list[trt.Weights | None]:
        """The weights of one layer, which must agree in type.

        Those left out are empty, and of the type FLOAT up to release 10.3, whatever the others are.
        """
        left_out = trt.Weights(trt.DataType.FLOAT) if self._generation in ("8", "10") else None
        given = [left_out if part is None else part for part in weights]
        types = {part.dtype for part in given if part is not None}
        assert len(types) == 1, f"weights of several types: {types}"
        return given

    def _recorded(self, layer: Any) -> Any:
        self.layers.append(layer)
        return layer

    def add_input(self, name: str, dtype: trt.DataType, shape: Sequence[int]) -> trt.ITensor:
        assert name not in self.inputs
        assert all(size > 0 for size in trt.dims(shape)), shape
        self.inputs[name] = trt.ITensor(self, trt.dims(shape), dtype, name)
        self.inputs[name].is_network_input = True
        return self.inputs[name]

    def mark_output(self, tensor: trt.ITensor) -> None:
        assert not tensor.is_network_input, "an input is no output"
        assert not tensor.is_network_output, "an output already"
        assert tensor.name not in {"", *self.inputs, *self.outputs}, "a name of its own is needed"
        self.outputs[tensor.name] = tensor
        tensor.is_network_output = True
        if not self.strongly_typed:
            tensor._type = trt.DataType.FLOAT  # unless it is set from now on

    def add_convolution_nd(
        self, input: trt.ITensor, num_output_maps: int, kernel_shape: Sequence[int], kernel: trt.Weights,
        bias: trt.Weights | None = None,
    ) -> trt.IConvolutionLayer:  # fmt: skip
        return self._recorded(
            trt.IConvolutionLayer(self, input, num_output_maps, kernel_shape, *self._agreed(kernel, bias))
        )

    def add_deconvolution_nd(
        self, input: trt.ITensor, num_output_maps: int, kernel_shape: Sequence[int], kernel: trt.Weights,
        bias: trt.Weights | None = None,
    ) -> trt.IDeconvolutionLayer:  # fmt: skip
        return self._recorded(
            trt.IDeconvolutionLayer(self, input, num_output_maps, kernel_shape, *self._agreed(kernel, bias))
        )

    def add_pooling_nd(
        self, input: trt.ITensor, type: trt.PoolingType, window_size: Sequence[int]
    ) -> trt.IPoolingLayer:
        return self._recorded(trt.IPoolingLayer(self, input, type, window_size))

    def add_activation(self, input: trt.ITensor, type: IntEnum) -> values.IActivationLayer:
        return self._recorded(values.IActivationLayer(self, input, type))

    def add_elementwise(
        self, input1: trt.ITensor, input2: trt.ITensor, op: trt.ElementWiseOperation
    ) -> values.IElementWiseLayer:
        return self._recorded(values.IElementWiseLayer(self, input1, input2, op))

    def add_unary(self, input: trt.ITensor, op: trt.UnaryOperation) -> values.IUnaryLayer:
        return self._recorded(values.IUnaryLayer(self, input, op))

    def add_reduce(
        self, input: trt.ITensor, op: trt.ReduceOperation, axes: int, keep_dims: bool
    ) -> values.IReduceLayer:
        return self._recorded(values.IReduceLayer(self, input, op, axes, keep_dims))

    def add_scale_nd(
        self, input: trt.ITensor, mode: trt.ScaleMode, shift: trt.Weights | None = None,
        scale: trt.Weights | None = None, power: trt.Weights | None = None, channel_axis: int | None = None,
    ) -> trt.IScaleLayer:  # fmt: skip
        shift, scale, power = self._agreed(shift, scale, power)
        assert power is None or not power.size
        assert channel_axis is not None
        return self._recorded(trt.IScaleLayer(self, input, mode, shift, scale, channel_axis))

    def add_shuffle(self, input: trt.ITensor) -> trt.IShuffleLayer:
        return self._recorded(trt.IShuffleLayer(self, input))

    def add_slice(
        self, input: trt.ITensor, start: Sequence[int], shape: Sequence[int], stride: Sequence[int]
    ) -> trt.ISliceLayer:
        return self._recorded(trt.ISliceLayer(self, input, start, shape, stride))

    def add_concatenation(self, inputs: Sequence[trt.ITensor]) -> trt.IConcatenationLayer:
        return self._recorded(trt.IConcatenationLayer(self, *inputs))

    def add_softmax(self, input: trt.ITensor) -> trt.ISoftMaxLayer:
        return self._recorded(trt.ISoftMaxLayer(self, input))

    def add_matrix_multiply(
        self, input0: trt.ITensor, op0: trt.MatrixOperation, input1: trt.ITensor, op1: trt.MatrixOperation
    ) -> values.IMatrixMultiplyLayer:
        return self._recorded(values.IMatrixMultiplyLayer(self, input0, op0, input1, op1))

    def add_identity(self, input: trt.ITensor) -> trt.IIdentityLayer:
        return self._recorded(trt.IIdentityLayer(self, input))

    def add_constant(self, shape: Sequence[int], weights: trt.Weights) -> trt.IConstantLayer:
        return self._recorded(trt.IConstantLayer(self, shape, weights))

    def copy_weights(self) -> None:
        """What building an engine does to the weights: from now on nobody else needs to keep them."""
        for layer in self.layers:
            for name in ("_kernel", "_bias", "_shift", "_scale", "_values"):
                if isinstance(weights := getattr(layer, name, None), trt.Weights) and weights.size:
                    weights.copy()

    def evaluate(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The outputs by name, for exactly the network's inputs, float32."""
        assert inputs.keys() == self.inputs.keys(), (list(inputs), list(self.inputs))
        known: dict[int, torch.Tensor] = {}
        for name, tensor in self.inputs.items():
            assert tuple(inputs[name].shape) == tensor.shape, (name, inputs[name].shape, tensor.shape)
            known[id(tensor)] = inputs[name]

        def value(tensor: trt.ITensor) -> torch.Tensor:
            if id(tensor) not in known:
                layer = tensor._made
                known[id(tensor)] = layer._evaluate(*map(value, layer._inputs))
            return known[id(tensor)]

        return {name: value(tensor) for name, tensor in self.outputs.items()}
