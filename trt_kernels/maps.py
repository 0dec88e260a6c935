"""Layers of :mod:`..models.remaps` and :mod:`..models.channels`, and merges, as TensorRT layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..models.blocks import Combine
from ..models.channels import ChannelNorm, ChannelReduce, LocalNorm, MapNorm, PRelu, Shuffle, WithConstant
from ..models.layers import Layer
from ..models.remaps import DepthToSpace, Mirror, Pad, Reorg, Resize, Slice, Tapped
from .graph import CHANNELS, Graph, MapRows, map_sizes
from .weights import KernelWeights


def put_together(graph: Graph, combine: Combine, first: Any, second: Any) -> Any:
    """Two maps put together value by value; sizes of 1 are repeated."""
    kinds = graph.trt.ElementWiseOperation
    operations = {
        "add": kinds.SUM, "sub": kinds.SUB, "mul": kinds.PROD, "div": kinds.DIV, "max": kinds.MAX, "min": kinds.MIN,
        "pow": kinds.POW,
    }  # fmt: skip
    return graph.binary(first, second, operations[combine], "sum" if combine == "add" else combine)


def bordered(graph: Graph, x: MapRows, above: int, below: int, left: int, right: int, value: float) -> Any:
    """A map with a border of one value."""
    _, channels, rows, width = x.sizes
    sizes = (1, channels, above + rows + below, left + width + right)
    if x.tensor is None:
        return graph.constant(np.full(sizes, value))
    return x.tensor if sizes == x.sizes else graph.window(x.tensor, (0, 0, -above, -left), sizes, fill=value)


def root_of_squares(graph: Graph, tensor: Any, axes: Sequence[int]) -> Any:
    """Euclidean norm over some axes, which stay with size 1."""
    squares = put_together(graph, "mul", tensor, tensor)
    return graph.function(
        graph.reduced(squares, graph.trt.ReduceOperation.SUM, axes), graph.trt.UnaryOperation.SQRT, "root"
    )


def _pad(graph: Graph, layer: Pad, weights: KernelWeights, x: MapRows, a: int, b: int) -> Any:
    above = max(0, min(b, layer.top) - a)
    below = max(0, b - max(a, layer.top + x.shape.height))
    return bordered(graph, x, above, below, layer.left, layer.right, layer.value)


def _reorg(graph: Graph, layer: Reorg, weights: KernelWeights, x: MapRows, a: int, b: int) -> Any:
    out, s = layer.out_shape(x.shape), layer.stride
    patches = (1, x.shape.folded_channels, b - a, s, out.width, s)
    order = (0, 1, 3, 5, 2, 4) if layer.order == "channel" else (0, 3, 5, 1, 2, 4)
    return graph.reshaped(graph.reshaped(x.tensor, patches, order), map_sizes(out, b - a))


def _depth_to_space(graph: Graph, layer: DepthToSpace, weights: KernelWeights, x: MapRows, a: int, b: int) -> Any:
    out, s, rows = layer.out_shape(x.shape), layer.stride, x.hi - x.lo
    if layer.order == "channel":
        patches, order = (1, out.channels, s, s, rows, x.shape.width), (0, 1, 4, 2, 5, 3)
    else:
        patches, order = (1, s, s, out.channels, rows, x.shape.width), (0, 3, 4, 1, 5, 2)
    whole = graph.reshaped(graph.reshaped(x.tensor, patches, order), map_sizes(out, rows * s))
    return graph.cropped(MapRows(whole, x.lo * s, x.hi * s, out), a, b).tensor


def _slice(graph: Graph, layer: Slice, weights: KernelWeights, x: MapRows, a: int, b: int) -> Any:
    rows = (0, b - a, layer.rows[2] if layer.rows else 1)
    steps = (
        layer.channels or (0, x.shape.folded_channels, 1),
        rows,
        layer.columns or (0, x.shape.width, 1),
    )
    start, sizes, stride = ((first, *(step[i] for step in steps)) for i, first in enumerate((0, 1, 1)))
    return graph.window(x.tensor, start, sizes, stride)


def _shuffle(graph: Graph, layer: Shuffle, weights: KernelWeights, x: MapRows, a: int, b: int) -> Any:
    groups = (1, layer.groups, x.shape.folded_channels // layer.groups, b - a, x.shape.width)
    return graph.reshaped(graph.reshaped(x.tensor, groups, (0, 2, 1, 3, 4)), map_sizes(x.shape, b - a))


def _tapped(graph: Graph, layer: Tapped, weights: KernelWeights, x: MapRows, a: int, b: int) -> Any:
    """A product with the weights of the taps from each side: exact for any rows, which TensorRT's own resize is not."""
    index, shares = layer.taps(0, x.shape.height)
    tensor = _multiplied(graph, _matrix(index[a:b] - x.lo, shares[a:b], x.hi - x.lo), x.tensor, first=True)
    index, shares = layer.taps(1, x.shape.width)
    return _multiplied(graph, _matrix(index, shares, x.shape.width).T, tensor, first=False)


def _matrix(index: npt.NDArray[Any], shares: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    matrix = np.zeros((len(index), size))
    np.add.at(matrix, (np.arange(len(index))[:, None], index), shares)
    return matrix


def _multiplied(graph: Graph, matrix: npt.NDArray[Any], tensor: Any, first: bool) -> Any:
    if matrix.shape[0] == matrix.shape[1] and (matrix == np.eye(len(matrix))).all():
        return tensor
    return graph.product(graph.constant(matrix[None, None]), tensor, first)


def _prelu(graph: Graph, layer: PRelu, weights: KernelWeights, x: MapRows, a: int, b: int) -> Any:
    """max(x, 0) + slope * min(x, 0)."""
    zero = graph.constant(np.zeros((1, 1, 1, 1)))
    slope = graph.constant(weights["prelu.weight"].reshape(1, -1, 1, 1))
    below = put_together(graph, "mul", slope, put_together(graph, "min", x.tensor, zero))
    return put_together(graph, "add", put_together(graph, "max", x.tensor, zero), below)


def _local_norm(graph: Graph, layer: LocalNorm, weights: KernelWeights, x: MapRows, a: int, b: int) -> Any:
    """Sums over neighbouring channels are a product with a band."""
    channels, below = x.shape.folded_channels, (layer.size - 1) // 2
    band = np.zeros((channels, channels, 1, 1))
    for i in range(channels):
        band[i, max(0, i - below) : i - below + layer.size] = layer.alpha / layer.size
    squares = put_together(graph, "mul", x.tensor, x.tensor)
    sums = graph.convolution(squares, band, np.full(channels, layer.bias)).get_output(0)
    power = put_together(graph, "pow", sums, graph.constant(np.full((1, 1, 1, 1), layer.beta)))
    return put_together(graph, "div", x.tensor, power)


def _normed(graph: Graph, x: Any, axes: Sequence[int], eps: float) -> Any:
    average = graph.trt.ReduceOperation.AVG
    apart = put_together(graph, "sub", x, graph.reduced(x, average, axes))
    variance = graph.reduced(put_together(graph, "mul", apart, apart), average, axes)
    above = put_together(graph, "add", variance, graph.constant(np.full((1,) * len(x.shape), eps)))
    return put_together(graph, "div", apart, graph.function(above, graph.trt.UnaryOperation.SQRT, "root"))


def _channel_norm(graph: Graph, layer: ChannelNorm, weights: KernelWeights, x: MapRows, a: int, b: int) -> Any:
    tensor = _normed(graph, x.tensor, (CHANNELS,), layer.eps)
    return graph.scaled(tensor, weights["affine.bias"], weights["affine.weight"])


def _map_norm(graph: Graph, layer: MapNorm, weights: KernelWeights, x: MapRows, a: int, b: int) -> Any:
    groups = (1, layer.groups, x.shape.folded_channels // layer.groups, x.hi - x.lo, x.shape.width)
    tensor = _normed(graph, graph.reshaped(x.tensor, groups), (2, 3, 4), layer.eps)
    tensor = graph.scaled(graph.reshaped(tensor, x.sizes), weights["affine.bias"], weights["affine.weight"])
    return graph.cropped(x._replace(tensor=tensor), a, b).tensor


def _channel_reduce(graph: Graph, layer: ChannelReduce, weights: KernelWeights, x: MapRows, a: int, b: int) -> Any:
    kinds = graph.trt.ReduceOperation
    if layer.kind == "l2":
        return root_of_squares(graph, x.tensor, (CHANNELS,))
    kind = {"mean": kinds.AVG, "sum": kinds.SUM, "max": kinds.MAX, "min": kinds.MIN}[layer.kind]
    return graph.reduced(x.tensor, kind, (CHANNELS,))


def _with_constant(graph: Graph, layer: WithConstant, weights: KernelWeights, x: MapRows, a: int, b: int) -> Any:
    value = weights["constant.weight"]
    constant = graph.constant(value[:, :, a:b] if layer.height > 1 else value)
    pair = (constant, x.tensor) if layer.first else (x.tensor, constant)
    return put_together(graph, layer.combine, *pair)


MAP_KERNELS: dict[type[Layer], Callable[[Graph, Any, KernelWeights, MapRows, int, int], Any]] = {
    ChannelNorm: _channel_norm,
    ChannelReduce: _channel_reduce,
    DepthToSpace: _depth_to_space,
    LocalNorm: _local_norm,
    MapNorm: _map_norm,
    PRelu: _prelu,
    Pad: _pad,
    Reorg: _reorg,
    Mirror: _tapped,
    Resize: _tapped,
    Shuffle: _shuffle,
    Slice: _slice,
    WithConstant: _with_constant,
}
