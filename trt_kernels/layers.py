"""One kernel of a model as TensorRT layers: the very rows that :class:`..models.runnable.layers.KernelModule` computes.

A kernel pads only at the edges of the map: where its rows lie inside, the rows that a neighbour holds take the
padding's place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..models.layers import Conv, Conv3d, ConvTranspose, GlobalPool, Layer, Linear, Pair, Pointwise, Pool
from ..ui.errors import InputError
from .activations import activate
from .graph import HEIGHT, WIDTH, Graph, MapRows, Sizes, map_sizes
from .maps import MAP_KERNELS, bordered, root_of_squares
from .weights import KernelWeights, folded, norm_scale_shift


def add_kernel(graph: Graph, layer: Layer, weights: KernelWeights, x: MapRows, a: int, b: int) -> Any:
    """The tensor of output rows ``[a, b)`` (a < b) of a layer.

    Args:
        x: exactly the input rows that they read.

    Raises:
        InputError: TensorRT refuses a layer, or weights do not fit the precision.
    """
    if type(layer) not in _KERNELS:
        what = type(layer).__name__
        raise InputError(f"kernel {graph.kernel}: a layer of type {what} has no form in TensorRT here; run it by torch")
    return _KERNELS[type(layer)](graph, layer, weights, x, a, b)


def _edge_rows(layer: Conv | Conv3d | Pool, height: int, a: int, b: int) -> Pair:
    """Rows that the windows of output rows ``[a, b)`` reach above and below a map of ``height`` rows."""
    (size, _), (stride, _), (padding, _), (dilation, _) = layer.window
    above = padding - a * stride
    below = (b - 1) * stride - padding + dilation * (size - 1) + 1 - height
    return max(0, above), max(0, below)


def _only_bias(graph: Graph, bias: npt.NDArray[Any] | None, sizes: Sizes) -> Any:
    """What a convolution gives where it reads no row of the map; the channels are the second axis."""
    values = np.zeros(sizes[1]) if bias is None else bias
    return graph.constant(np.broadcast_to(values.reshape(-1, *(1,) * (len(sizes) - 2)), sizes))


def _convolution(
    graph: Graph, tensor: Any, sizes: Sizes, kernel: npt.NDArray[Any], bias: npt.NDArray[Any] | None,
    stride: Sizes, before: Sizes, after: Sizes, dilation: Sizes,
) -> Any:  # fmt: skip
    """A convolution layer over the last axes of a tensor of some sizes.

    Padding as wide as the window is put around the map instead: some windows then see nothing else.
    """
    reach = [step * (count - 1) for step, count in zip(dilation, kernel.shape[2:], strict=True)]
    if any(max(p, q) > r for p, q, r in zip(before, after, reach, strict=True)):
        padded = [p + count + q for p, count, q in zip(before, sizes[2:], after, strict=True)]
        tensor = graph.window(tensor, (0, 0, *(-p for p in before)), (*sizes[:2], *padded), fill=0.0)
        before = after = (0,) * len(before)
    conv = graph.convolution(tensor, kernel, bias)
    conv.stride_nd, conv.dilation_nd = stride, dilation
    conv.pre_padding, conv.post_padding = before, after
    return conv


def _conv(graph: Graph, layer: Conv, weights: KernelWeights, x: MapRows, a: int, b: int) -> Any:
    kernel, bias = folded(weights, 0)
    if x.tensor is None:
        return activate(graph, _only_bias(graph, bias, map_sizes(layer.out_shape(x.shape), b - a)), layer.activation)
    _, stride, (_, side), dilation = layer.window
    above, below = _edge_rows(layer, x.shape.height, a, b)
    conv = _convolution(graph, x.tensor, x.sizes, kernel, bias, stride, (above, side), (below, side), dilation)
    conv.num_groups = layer.groups
    return activate(graph, conv.get_output(0), layer.activation)


def _conv3d(graph: Graph, layer: Conv3d, weights: KernelWeights, x: MapRows, a: int, b: int) -> Any:
    kernel, bias = folded(weights, 0)
    out, depth = layer.out_shape(x.shape), layer.padding_depth
    if x.tensor is None:
        tensor = _only_bias(graph, bias, (1, out.channels, out.depth, b - a, out.width))
    else:
        _, stride, (_, side), dilation = layer.window
        above, below = _edge_rows(layer, x.shape.height, a, b)
        sizes = (1, x.shape.channels, x.shape.depth, x.hi - x.lo, x.shape.width)
        conv = _convolution(
            graph, graph.reshaped(x.tensor, sizes), sizes, kernel, bias, (layer.stride_depth, *stride),
            (depth, above, side), (depth, below, side), (1, *dilation),
        )  # fmt: skip
        tensor = conv.get_output(0)
    return graph.reshaped(activate(graph, tensor, layer.activation), map_sizes(out, b - a))


def _conv_transpose(graph: Graph, layer: ConvTranspose, weights: KernelWeights, x: MapRows, a: int, b: int) -> Any:
    kernel, bias = folded(weights, 1)
    out = layer.out_shape(x.shape)
    if x.tensor is None:  # every row lies between two windows
        return activate(graph, _only_bias(graph, bias, map_sizes(out, b - a)), layer.activation)
    size, stride, (padding, side), _ = layer.window
    first = x.lo * stride[0] - padding  # first output row that the input reaches
    end = first + (x.hi - x.lo - 1) * stride[0] + size[0]
    right = max(0, layer.extra[1] - side)
    outside = first > a or end < b or right  # rows between two windows at the ends: no window, only the bias
    conv = graph.deconvolution(x.tensor, kernel, None if outside else bias, layer.groups)
    conv.stride_nd, conv.num_groups = stride, layer.groups
    conv.pre_padding = (max(0, a - first), side)
    conv.post_padding = (max(0, end - b), max(0, side - layer.extra[1]))
    tensor = conv.get_output(0)
    if outside:
        inside = MapRows(tensor, max(a, first), min(b, end), replace(out, width=out.width - right))
        tensor = bordered(graph, inside, inside.lo - a, b - inside.hi, 0, right, 0.0)
        tensor = tensor if bias is None else graph.scaled(tensor, bias)
    return activate(graph, tensor, layer.activation)


def _pool(graph: Graph, layer: Pool, weights: KernelWeights, x: MapRows, a: int, b: int) -> Any:
    size, stride, padding, dilation = layer.window
    out = layer.out_shape(x.shape)
    above, below = _edge_rows(layer, x.shape.height, a, b)
    reach = dilation[1] * (size[1] - 1) + 1
    right = max(0, (out.width - 1) * stride[1] - padding[1] + reach - x.shape.width)
    before, after = (above, padding[1]), (below, right)
    if layer.kind == "max" and dilation != (1, 1):
        return _dilated_max(graph, layer, x, before, map_sizes(out, b - a))
    tensor = x.tensor
    beyond = after[0] > padding[0] or after[1] > padding[1]  # a window of ceil_mode leaves map and padding
    if layer.kind == "avg" and beyond:
        # The padding counts, what lies beyond does not: make the padding part of the map.
        counted = min(after[0], padding[0]), min(after[1], padding[1])
        tensor = bordered(graph, x, before[0], counted[0], before[1], counted[1], 0.0)
        before, after = (0, 0), (after[0] - counted[0], after[1] - counted[1])
    types = graph.trt.PoolingType
    kind = types.MAX if layer.kind == "max" else types.AVERAGE
    pool = graph.added(graph.network.add_pooling_nd(input=tensor, type=kind, window_size=size))
    pool.stride_nd = stride
    pool.pre_padding, pool.post_padding = before, after
    pool.average_count_excludes_padding = layer.kind != "avg" or beyond
    return pool.get_output(0)


def _dilated_max(graph: Graph, layer: Pool, x: MapRows, before: Pair, sizes: Sizes) -> Any:
    """The largest of the map's shifted copies: TensorRT's pooling has no dilation."""
    size, stride, _, dilation = layer.window
    operation, largest = graph.trt.ElementWiseOperation.MAX, None
    for i, j in np.ndindex(*size):
        start = (0, 0, i * dilation[0] - before[0], j * dilation[1] - before[1])
        tap = graph.window(x.tensor, start, sizes, (1, 1, *stride), fill=float("-inf"))
        largest = tap if largest is None else graph.binary(largest, tap, operation, "max")
    return largest


def _global_pool(graph: Graph, layer: GlobalPool, weights: KernelWeights, x: MapRows, a: int, b: int) -> Any:
    kinds = graph.trt.ReduceOperation
    axes = (HEIGHT, WIDTH)
    if layer.kind == "l2":
        return root_of_squares(graph, x.tensor, axes)
    return graph.reduced(x.tensor, {"avg": kinds.AVG, "max": kinds.MAX, "sum": kinds.SUM}[layer.kind], axes)


def _linear(graph: Graph, layer: Linear, weights: KernelWeights, x: MapRows, a: int, b: int) -> Any:
    kernel = weights["linear.weight"][:, :, None, None]
    conv = graph.convolution(graph.flattened(x), kernel, weights.get("linear.bias"))
    return activate(graph, conv.get_output(0), layer.activation)


def _pointwise(graph: Graph, layer: Pointwise, weights: KernelWeights, x: MapRows, a: int, b: int) -> Any:
    tensor = x.tensor
    if layer.norm:
        scale, shift = norm_scale_shift(weights)
        tensor = graph.scaled(tensor, shift, scale)
    return activate(graph, tensor, layer.activation)


_KERNELS: dict[type[Layer], Callable[[Graph, Any, KernelWeights, MapRows, int, int], Any]] = {
    **MAP_KERNELS,
    Conv: _conv,
    Conv3d: _conv3d,
    ConvTranspose: _conv_transpose,
    GlobalPool: _global_pool,
    Linear: _linear,
    Pointwise: _pointwise,
    Pool: _pool,
}
