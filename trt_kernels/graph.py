"""A TensorRT network under construction: what its layers do in the terms of maps and rows.

Maps are (1, channels * depth, rows, width); a fully connected layer's output is a map of one row and column.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..models.layers import Shape
from ..ui.errors import InputError
from .versions import PRECISIONS, data_type

CHANNELS, HEIGHT, WIDTH = 1, 2, 3  # axes of a map
Sizes = tuple[int, ...]


class MapRows(NamedTuple):
    """Rows ``[lo, hi)`` of a map of ``shape``; ``tensor`` is None where there are none."""

    tensor: Any
    lo: int
    hi: int
    shape: Shape

    @property
    def sizes(self) -> Sizes:
        """Sizes of the tensor."""
        return map_sizes(self.shape, self.hi - self.lo)


def map_sizes(shape: Shape, rows: int) -> Sizes:
    """Sizes of the tensor that holds some rows of a map."""
    return (1, shape.folded_channels, rows, shape.width)


class Graph:
    """A network and what is put into it. Tensors are TensorRT's.

    Args:
        trt: the module ``tensorrt``.
        network: an empty ``INetworkDefinition``.
        precision: a key of ``versions.PRECISIONS``, the type of every tensor.

    Attributes:
        kernel: the kernel that new layers belong to, for their names and for errors.
    """

    def __init__(self, trt: Any, network: Any, precision: str) -> None:
        self.trt, self.network, self.precision = trt, network, precision
        self.dtype = data_type(trt, precision)
        self.kernel = ""
        self._array_type = PRECISIONS[precision]
        self._kept: list[npt.NDArray[Any]] = []  # TensorRT reads weights where they are until the engine is built

    def weights(self, values: npt.NDArray[Any]) -> Any:
        """Weights in the network's precision.

        Raises:
            InputError: some are not finite in that precision.
        """
        with np.errstate(over="ignore"):
            array = np.ascontiguousarray(values, self._array_type)
        if not np.isfinite(array).all():
            raise InputError(f"kernel {self.kernel}: some of its weights are no finite numbers in {self.precision}")
        return self._raw(array)

    def _optional(self, values: npt.NDArray[Any] | None) -> Any:
        """Weights that may be none: empty ones of the same type, since left out they may be of another."""
        return self.trt.Weights(self.dtype) if values is None else self.weights(values)

    def _raw(self, array: npt.NDArray[Any]) -> Any:
        self._kept.append(array)
        return self.trt.Weights(array)

    def added(self, layer: Any, what: str = "") -> Any:
        """A layer that was just added, named after its kernel.

        Raises:
            InputError: TensorRT refused it.
        """
        name = f"{self.kernel} [{what}]" if what else self.kernel
        if layer is None:
            raise InputError(f"kernel {name}: TensorRT refuses the layer")
        layer.name = name
        return layer

    def constant(self, values: npt.NDArray[Any]) -> Any:
        """A tensor of constants; they may be infinite."""
        array = np.array(values, self._array_type, order="C")
        layer = self.added(self.network.add_constant(shape=array.shape, weights=self._raw(array)), "constant")
        return layer.get_output(0)

    def convolution(self, tensor: Any, kernel: npt.NDArray[Any], bias: npt.NDArray[Any] | None) -> Any:
        """A convolution layer of stride 1 without padding, to be changed; kernel and bias as torch has them."""
        layer = self.network.add_convolution_nd(
            input=tensor, num_output_maps=kernel.shape[0], kernel_shape=kernel.shape[2:], kernel=self.weights(kernel),
            bias=self._optional(bias),
        )  # fmt: skip
        return self.added(layer)

    def deconvolution(
        self, tensor: Any, kernel: npt.NDArray[Any], bias: npt.NDArray[Any] | None, groups: int = 1
    ) -> Any:
        """A transposed convolution layer of stride 1 without padding, to be changed; its kernel is torch's."""
        layer = self.network.add_deconvolution_nd(
            input=tensor, num_output_maps=groups * kernel.shape[1], kernel_shape=kernel.shape[2:],
            kernel=self.weights(kernel), bias=self._optional(bias),
        )  # fmt: skip
        return self.added(layer)

    def unary(self, tensor: Any, kind: Any, alpha: float | None = None, beta: float | None = None) -> Any:
        """One of ``ActivationType``."""
        layer = self.added(self.network.add_activation(input=tensor, type=kind), "activation")
        if alpha is not None:
            layer.alpha = alpha
        if beta is not None:
            layer.beta = beta
        return layer.get_output(0)

    def binary(self, first: Any, second: Any, kind: Any, what: str) -> Any:
        """One of ``ElementWiseOperation``; axes of size 1 are repeated."""
        return self.added(self.network.add_elementwise(input1=first, input2=second, op=kind), what).get_output(0)

    def reduced(self, tensor: Any, kind: Any, axes: Sequence[int]) -> Any:
        """One of ``ReduceOperation`` over some axes, which stay with size 1."""
        mask = sum(1 << axis for axis in axes)
        layer = self.network.add_reduce(input=tensor, op=kind, axes=mask, keep_dims=True)
        return self.added(layer, "reduce").get_output(0)

    def function(self, tensor: Any, kind: Any, what: str) -> Any:
        """One of ``UnaryOperation``."""
        return self.added(self.network.add_unary(input=tensor, op=kind), what).get_output(0)

    def product(self, matrix: Any, tensor: Any, first: bool) -> Any:
        """Matrices over rows and columns multiplied; axes of size 1 are repeated."""
        none = self.trt.MatrixOperation.NONE
        left, right = (matrix, tensor) if first else (tensor, matrix)
        layer = self.network.add_matrix_multiply(input0=left, op0=none, input1=right, op1=none)
        return self.added(layer, "matrix").get_output(0)

    def scaled(self, tensor: Any, shift: npt.NDArray[Any], scale: npt.NDArray[Any] | None = None) -> Any:
        """``scale * tensor + shift`` by channel."""
        layer = self.network.add_scale_nd(
            input=tensor, mode=self.trt.ScaleMode.CHANNEL, shift=self.weights(shift), scale=self._optional(scale),
            power=self._optional(None), channel_axis=CHANNELS,
        )  # fmt: skip
        return self.added(layer, "scale").get_output(0)

    def reshaped(self, tensor: Any, sizes: Sequence[int], transposed: Sequence[int] | None = None) -> Any:
        """Other sizes for the same values in the same order, their axes then transposed."""
        layer = self.added(self.network.add_shuffle(input=tensor), "reshape")
        layer.reshape_dims = tuple(sizes)
        if transposed is not None:
            layer.second_transpose = tuple(transposed)
        return layer.get_output(0)

    def window(
        self, tensor: Any, start: Sequence[int], sizes: Sequence[int], stride: Sequence[int] | None = None,
        fill: float | None = None,
    ) -> Any:  # fmt: skip
        """Values from ``start`` on, ``stride`` apart; what lies outside of the tensor has the value ``fill``."""
        stride = tuple(stride) if stride is not None else (1,) * len(sizes)
        layer = self.network.add_slice(input=tensor, start=tuple(start), shape=tuple(sizes), stride=stride)
        layer = self.added(layer, "slice" if fill is None else "pad")
        if fill is not None:
            layer.mode = self.trt.SampleMode.FILL
            layer.set_input(4, self.constant(np.array(fill)))
        return layer.get_output(0)

    def cropped(self, x: MapRows, lo: int, hi: int) -> MapRows:
        """Rows ``[lo, hi)`` of some rows, none if ``hi <= lo``.

        Raises:
            ValueError: rows are wanted that are not there.
        """
        if hi <= lo:
            return MapRows(None, lo, lo, x.shape)
        if lo < x.lo or hi > x.hi:
            raise ValueError(f"rows [{lo}, {hi}) are wanted, only [{x.lo}, {x.hi}) are there")
        if (lo, hi) == (x.lo, x.hi):
            return x
        tensor = self.window(x.tensor, (0, 0, lo - x.lo, 0), map_sizes(x.shape, hi - lo))
        return MapRows(tensor, lo, hi, x.shape)

    def common_rows(self, parts: Sequence[MapRows]) -> list[MapRows]:
        """The rows that all parts have."""
        lo, hi = max(x.lo for x in parts), min(x.hi for x in parts)
        return [self.cropped(x, lo, hi) for x in parts]

    def concatenated(self, parts: Sequence[MapRows]) -> MapRows:
        """The channels of several maps one behind another, in the rows that all of them have."""
        parts = self.common_rows(parts)
        first = parts[0]
        shape = Shape(sum(x.shape.folded_channels for x in parts), first.shape.height, first.shape.width)
        if len(parts) == 1 or first.tensor is None:
            return first._replace(shape=shape)
        layer = self.added(self.network.add_concatenation(inputs=[x.tensor for x in parts]), "concat")
        layer.axis = CHANNELS
        return MapRows(layer.get_output(0), first.lo, first.hi, shape)

    def flattened(self, x: MapRows) -> Any:
        """All values as channels of one row and column."""
        return x.tensor if x.sizes[HEIGHT:] == (1, 1) else self.reshaped(x.tensor, (1, prod(x.sizes), 1, 1))
