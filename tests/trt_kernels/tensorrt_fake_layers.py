"""The types, tensors and layers of the stand-in for TensorRT (see tensorrt_fake.py)."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from enum import IntEnum
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from .tensorrt_fake import INetworkDefinition

GENERATIONS = ("8", "10", "11")
VERSIONS = {"8": "8.6.1", "10": "10.3.0", "11": "11.4.0.106"}


class DataType(IntEnum):
    FLOAT, HALF = 0, 1


class ActivationType(IntEnum):
    RELU, SIGMOID, TANH, LEAKY_RELU, ELU, SELU, SOFTSIGN, SOFTPLUS, CLIP, HARD_SIGMOID = range(10)


class NewActivationType(IntEnum):
    RELU, SIGMOID, TANH, LEAKY_RELU, ELU, SELU, SOFTSIGN, SOFTPLUS, CLIP, HARD_SIGMOID = range(10)
    GELU_ERF = 12


class ElementWiseOperation(IntEnum):
    SUM, PROD, MAX, MIN, SUB, DIV, POW = range(7)


class UnaryOperation(IntEnum):
    EXP, LOG, SQRT, RECIP, ABS, NEG, SIN, COS = range(8)
    CEIL, FLOOR, ERF = 17, 18, 19
    ROUND = 22


class MatrixOperation(IntEnum):
    NONE = 0


class ReduceOperation(IntEnum):
    SUM, PROD, MAX, MIN, AVG = range(5)


class PoolingType(IntEnum):
    MAX, AVERAGE = 0, 1


class ScaleMode(IntEnum):
    UNIFORM, CHANNEL = 0, 1


class SampleMode(IntEnum):
    STRICT_BOUNDS = 0
    FILL = 3


class TensorFormat(IntEnum):
    LINEAR, CHW2, HWC8 = 0, 1, 2
    CHW32, HWC = 5, 8


# By type; the documentation of TensorFormat says which types a format is for.
FORMATS = {
    DataType.FLOAT: {TensorFormat.LINEAR, TensorFormat.CHW32, TensorFormat.HWC},
    DataType.HALF: {TensorFormat.LINEAR, TensorFormat.CHW2, TensorFormat.HWC8, TensorFormat.CHW32},
}


class Weights:
    """Points to an array without keeping it: whoever builds a network keeps it until the engine is built.

    Made from a type alone they are empty.
    """

    def __init__(self, a: np.ndarray | DataType) -> None:
        self.size = 0
        if isinstance(a, DataType):
            self.dtype = a
            return
        assert a.flags.c_contiguous, "TensorRT reads weights in C order"
        self._array = weakref.ref(a)
        self._copy: np.ndarray | None = None
        self.size = a.size
        self.dtype = {np.dtype(np.float32): DataType.FLOAT, np.dtype(np.float16): DataType.HALF}[a.dtype]

    def read(self) -> np.ndarray:
        array = self._array() if self._copy is None else self._copy
        assert array is not None, "the array that TensorRT points to is gone"
        return array

    def copy(self) -> None:
        self._copy = self.read().copy()


def dims(values: Sequence[int]) -> tuple[int, ...]:
    """What converts to ``Dims``: a tuple or list of int, no NumPy numbers."""
    assert isinstance(values, tuple | list), values
    assert all(type(value) is int for value in values), values
    return tuple(values)


class ITensor:
    """A tensor; what it is made by is a layer, or the sizes of an input."""

    __slots__ = ("_formats", "_made", "_network", "_shape", "_type", "is_network_input", "is_network_output", "name")

    def __init__(self, network: INetworkDefinition, made: Any, dtype: DataType, name: str = "") -> None:
        self._network, self._made, self._type, self.name = network, made, dtype, name
        self._shape: tuple[int, ...] | None = made if isinstance(made, tuple) else None
        self._formats = 0
        self.is_network_input = self.is_network_output = False

    def _needs_to_cross(self) -> None:
        assert self.is_network_input or self.is_network_output, "ignored on an inner tensor"

    @property
    def dtype(self) -> DataType:
        return self._type

    @dtype.setter
    def dtype(self, value: DataType) -> None:
        assert not self._network.strongly_typed, "strongly typed"
        self._needs_to_cross()
        self._type = value

    @property
    def allowed_formats(self) -> int:
        return self._formats

    @allowed_formats.setter
    def allowed_formats(self, value: int) -> None:
        self._needs_to_cross()
        formats = {form for form in TensorFormat if value >> form & 1}
        assert sum(1 << form for form in formats) == value, f"unknown formats in {value:b}"
        assert formats <= FORMATS[self._type], f"{self._type.name} cannot be in all of {formats}"
        self._formats = value

    @property
    def shape(self) -> tuple[int, ...]:
        if self._shape is None:  # once: by the time it is asked for, the layer's properties are set
            self._shape = tuple(self._made._sizes())
        assert self._shape is not None
        return self._shape


class ILayer:
    """A layer; subclasses list the properties that may be set in ``__slots__``."""

    __slots__ = ("_inputs", "_out", "name")

    def __init__(self, network: INetworkDefinition, *inputs: ITensor) -> None:
        self._inputs = list(inputs)
        assert all(tensor._network is network for tensor in inputs), "a tensor of another network"
        types = {tensor.dtype for tensor in inputs}
        assert len(types) <= 1, f"inputs of several types: {types}"
        self.name = ""
        self._out = ITensor(network, self, types.pop() if types else DataType.FLOAT)

    def get_output(self, index: int) -> ITensor:
        assert index == 0
        return self._out

    def set_input(self, index: int, tensor: ITensor) -> None:
        raise AssertionError("only a slice layer has its inputs set here")

    def _weights(self, weights: Weights | None, count: int) -> torch.Tensor | None:
        """The numbers, float32; TensorRT checks how many there are and, in a typed network, of which type."""
        if weights is None or not weights.size:
            return None
        assert weights.size == count, f"{weights.size} weights, {count} are needed"
        assert weights.dtype == self._out.dtype, "weights and input are of different types"
        return torch.from_numpy(weights.read().astype(np.float32))

    def _sizes(self) -> tuple[int, ...]:
        """Sizes of the output, from what zeros of the inputs' sizes give."""
        return tuple(self._evaluate(*(torch.zeros(tensor.shape) for tensor in self._inputs)).shape)

    def _evaluate(self, *inputs: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


class _Windows(ILayer):
    __slots__ = ("_bias", "_kernel", "_maps", "_size", "post_padding", "pre_padding", "stride_nd")

    def __init__(
        self, network: INetworkDefinition, tensor: ITensor, maps: int, size: Sequence[int], kernel: Weights | None,
        bias: Weights | None,
    ) -> None:  # fmt: skip
        super().__init__(network, tensor)
        self._maps, self._size, self._kernel, self._bias = maps, dims(size), kernel, bias
        assert len(tensor.shape) == len(self._size) + 2, "a window of another number of axes"
        self.stride_nd = (1,) * len(self._size)
        self.pre_padding = self.post_padding = (0,) * len(self._size)

    def _steps(self) -> tuple[int, ...]:
        """Distances of the values that a window sees."""
        return (1,) * len(self._size)

    def _window(self) -> tuple[tuple[int, ...], ...]:
        """Stride, padding before, padding after."""
        window = tuple(map(dims, (self.stride_nd, self.pre_padding, self.post_padding)))
        assert all(len(part) == len(self._size) for part in window), window
        reach = [step * (size - 1) for step, size in zip(self._steps(), self._size, strict=True)]
        for padding in window[1:]:
            assert all(0 <= p <= r for p, r in zip(padding, reach, strict=True)), f"padding {padding} of {self._size}"
        return window

    def _bordered(self, x: torch.Tensor, value: float) -> torch.Tensor:
        _, before, after = self._window()
        sides = [n for pair in zip(reversed(before), reversed(after), strict=True) for n in pair]
        return F.pad(x, sides, value=value)


class IConvolutionLayer(_Windows):
    __slots__ = ("dilation_nd", "num_groups")

    def __init__(self, network: INetworkDefinition, *given: Any) -> None:
        super().__init__(network, *given)
        self.dilation_nd, self.num_groups = (1,) * len(self._size), 1

    def _steps(self) -> tuple[int, ...]:
        return dims(self.dilation_nd)

    def _evaluate(self, *inputs: torch.Tensor) -> torch.Tensor:
        x = inputs[0]
        stride, _, _ = self._window()
        shape = (self._maps, x.shape[1] // self.num_groups, *self._size)
        kernel = self._weights(self._kernel, prod(shape))
        assert kernel is not None
        convolve = {2: F.conv2d, 3: F.conv3d}[len(self._size)]
        bias = self._weights(self._bias, self._maps)
        x = self._bordered(x, 0.0)
        return convolve(x, kernel.reshape(shape), bias, stride, 0, self._steps(), self.num_groups)  # pyright: ignore


class IDeconvolutionLayer(_Windows):
    __slots__ = ("num_groups",)

    def __init__(self, network: INetworkDefinition, *given: Any) -> None:
        super().__init__(network, *given)
        self.num_groups = 1

    def _evaluate(self, *inputs: torch.Tensor) -> torch.Tensor:
        x = inputs[0]
        stride, before, after = self._window()
        shape = (x.shape[1], self._maps // self.num_groups, *self._size)
        kernel = self._weights(self._kernel, prod(shape))
        assert kernel is not None
        y = F.conv_transpose2d(x, kernel.reshape(shape), None, stride, groups=self.num_groups)
        y = y[:, :, before[0] : y.shape[2] - after[0], before[1] : y.shape[3] - after[1]]
        bias = self._weights(self._bias, self._maps)
        return y if bias is None else y + bias[:, None, None]


class IPoolingLayer(_Windows):
    __slots__ = ("_type", "average_count_excludes_padding")

    def __init__(self, network: INetworkDefinition, tensor: ITensor, kind: PoolingType, size: Sequence[int]) -> None:
        super().__init__(network, tensor, 0, size, None, None)
        self._type = kind
        self.average_count_excludes_padding = True

    def _evaluate(self, *inputs: torch.Tensor) -> torch.Tensor:
        x = inputs[0]
        if self._type == PoolingType.MAX:
            return self._windows(self._bordered(x, float("-inf"))).amax((-2, -1))
        counted = self._bordered(torch.ones_like(x), 0.0 if self.average_count_excludes_padding else 1.0)
        return self._windows(self._bordered(x, 0.0)).sum((-2, -1)) / self._windows(counted).sum((-2, -1))

    def _windows(self, x: torch.Tensor) -> torch.Tensor:
        (rows, columns), (down, right) = self._size, self._window()[0]
        return x.unfold(2, rows, down).unfold(3, columns, right)


class IScaleLayer(ILayer):
    __slots__ = ("_axis", "_scale", "_shift")

    def __init__(
        self, network: INetworkDefinition, tensor: ITensor, mode: ScaleMode, shift: Weights | None,
        scale: Weights | None, axis: int,
    ) -> None:  # fmt: skip
        super().__init__(network, tensor)
        assert mode == ScaleMode.CHANNEL
        self._shift, self._scale, self._axis = shift, scale, axis

    def _evaluate(self, *inputs: torch.Tensor) -> torch.Tensor:
        x = inputs[0]
        along = [1] * x.ndim
        along[self._axis] = count = x.shape[self._axis]
        scale, shift = self._weights(self._scale, count), self._weights(self._shift, count)
        x = x if scale is None else x * scale.reshape(along)
        return x if shift is None else x + shift.reshape(along)


class IShuffleLayer(ILayer):
    __slots__ = ("reshape_dims", "second_transpose")

    def _evaluate(self, *inputs: torch.Tensor) -> torch.Tensor:
        x = inputs[0]
        if hasattr(self, "reshape_dims"):
            sizes = dims(self.reshape_dims)
            assert prod(sizes) == x.numel(), f"{tuple(x.shape)} has not the values of {sizes}"
            x = x.reshape(sizes)
        return x.permute(dims(self.second_transpose)) if hasattr(self, "second_transpose") else x


class ISliceLayer(ILayer):
    __slots__ = ("_start", "_stride", "_wanted", "mode")

    def __init__(self, network: INetworkDefinition, tensor: ITensor, *where: Sequence[int]) -> None:
        super().__init__(network, tensor)
        self._start, self._wanted, self._stride = (dims(part) for part in where)
        assert len({len(tensor.shape), *map(len, where)}) == 1, "start, shape and stride need every axis"
        self.mode = SampleMode.STRICT_BOUNDS

    def set_input(self, index: int, tensor: ITensor) -> None:
        assert index == 4
        assert (tensor.shape, tensor.dtype) == ((), self._out.dtype), "the fill value is a scalar of the input's type"
        self._inputs = [self._inputs[0], tensor]

    def _evaluate(self, *inputs: torch.Tensor) -> torch.Tensor:
        x = inputs[0]
        assert (self.mode == SampleMode.FILL) == (len(inputs) == 2), "a fill value goes with the mode FILL alone"
        for axis, (start, count, step) in enumerate(zip(self._start, self._wanted, self._stride, strict=True)):
            places = start + step * torch.arange(count)
            inside = (places >= 0) & (places < x.shape[axis])
            assert len(inputs) == 2 or bool(inside.all()), f"a slice of {tuple(x.shape)} out of bounds on axis {axis}"
            along = [1] * x.ndim
            along[axis] = count
            taken = x.index_select(axis, places.clamp(0, x.shape[axis] - 1))
            x = torch.where(inside.reshape(along), taken, inputs[1]) if len(inputs) == 2 else taken
        return x


class IConcatenationLayer(ILayer):
    __slots__ = ("axis",)

    def _evaluate(self, *inputs: torch.Tensor) -> torch.Tensor:
        return torch.cat(inputs, self.axis)


class ISoftMaxLayer(ILayer):
    __slots__ = ("axes",)

    def _evaluate(self, *inputs: torch.Tensor) -> torch.Tensor:
        (axis,) = [axis for axis in range(inputs[0].ndim) if self.axes >> axis & 1]
        odds = torch.exp(inputs[0])
        return odds / odds.sum(axis, keepdim=True)


class IIdentityLayer(ILayer):
    __slots__ = ()

    def _evaluate(self, *inputs: torch.Tensor) -> torch.Tensor:
        return inputs[0]


class IConstantLayer(ILayer):
    __slots__ = ("_given", "_values")

    def __init__(self, network: INetworkDefinition, shape: Sequence[int], weights: Weights) -> None:
        super().__init__(network)
        self._given, self._values = dims(shape), weights
        self._out = ITensor(network, self, weights.dtype)

    def _evaluate(self, *inputs: torch.Tensor) -> torch.Tensor:
        values = self._weights(self._values, prod(self._given))
        assert values is not None
        return values.reshape(self._given)
