"""ONNX's operators in torch, for programs: every size known, everything but tensors among the attributes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .elementwise import ELEMENTWISE, Attributes, Given, Operator, Sizes


def _three(given: Given) -> tuple[Any, Any, Any]:
    """Two inputs and a third that may be left out."""
    return given[0], given[1], given[2] if len(given) > 2 else None


def _slice(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
    x = given[0]
    for axis, start, count, step in attributes["slices"]:
        if step > 0:
            x = x.narrow(axis, start, (count - 1) * step + 1 if count else 0)
            if step > 1:
                x = x[(slice(None),) * axis + (slice(None, None, step),)]
        else:
            x = x.index_select(axis, torch.arange(start, start + count * step, step, device=x.device))
    return x


def _gather(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
    x, index = given[0], given[1].long()
    axis = attributes.get("axis", 0) % x.ndim
    index = torch.where(index < 0, index + x.shape[axis], index)
    found = x.index_select(axis, index.flatten())
    return found.reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


def _gather_elements(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
    x, index, axis = given[0], given[1].long(), attributes.get("axis", 0)
    return x.gather(axis, torch.where(index < 0, index + x.shape[axis], index))


def _gather_nd(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
    x, index = given[0], given[1].long()
    batches = [
        torch.arange(x.shape[axis], device=x.device).reshape([-1 if i == axis else 1 for i in range(index.ndim - 1)])
        for axis in range(attributes.get("batch_dims", 0))
    ]
    return x[(*batches, *index.unbind(-1))]


def _pad(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
    x, pads, mode = given[0], attributes["pads"], attributes.get("mode", "constant")
    sides = [side for axis in reversed(range(x.ndim)) for side in (pads[axis], pads[axis + x.ndim])]
    if mode == "constant":
        return F.pad(x, sides, value=attributes.get("value", 0.0))
    while len(sides) > 2 * max(1, x.ndim - 2) and not any(sides[-2:]):
        sides = sides[:-2]
    return F.pad(x, sides, mode={"edge": "replicate", "reflect": "reflect", "wrap": "circular"}[mode])


def _reduce(function: Callable[[Tensor, tuple[int, ...], bool], Tensor]) -> Operator:
    def run(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
        x, axes = given[0], attributes.get("axes")
        axes = tuple(range(x.ndim)) if axes is None else tuple(axis % x.ndim for axis in axes)
        return function(x, axes, bool(attributes.get("keepdims", 1)))

    return run


def _arg(function: Callable[..., Tensor]) -> Operator:
    return lambda given, attributes, sizes: function(
        given[0], attributes.get("axis", 0), bool(attributes.get("keepdims", 1))
    )


def _top_k(given: Given, attributes: Attributes, sizes: Sizes) -> tuple[Tensor, Tensor]:
    found = given[0].topk(attributes["k"], attributes.get("axis", -1), bool(attributes.get("largest", 1)))
    return found.values, found.indices


def _softmax(function: Callable[..., Tensor]) -> Operator:
    def run(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
        x, axis = given[0], attributes["axis"]
        if not attributes.get("flattens"):
            return function(x, axis)
        return function(x.reshape(*x.shape[: axis % x.ndim], -1), -1).reshape(x.shape)

    return run


def _layer_norm(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
    x, scale, shift = _three(given)
    axis = attributes.get("axis", -1) % x.ndim
    y = F.layer_norm(x, x.shape[axis:], eps=attributes.get("epsilon", 1e-5)) * scale
    return y if shift is None else y + shift


def _instance_norm(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
    return F.instance_norm(given[0], weight=given[1], bias=given[2], eps=attributes.get("epsilon", 1e-5))


def _batch_norm(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
    x, scale, shift, mean, variance = given
    return F.batch_norm(x, mean, variance, scale, shift, eps=attributes.get("epsilon", 1e-5))


def _lp_norm(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
    x = given[0]
    return x / torch.linalg.vector_norm(x, attributes.get("p", 2), attributes.get("axis", -1), keepdim=True)


def _gemm(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
    a, b, c = _three(given)
    a = a.T if attributes.get("transA", 0) else a
    b = b.T if attributes.get("transB", 0) else b
    y = attributes.get("alpha", 1.0) * (a @ b)
    return y if c is None else y + attributes.get("beta", 1.0) * c


def _padded(x: Tensor, attributes: Attributes, value: float) -> Tensor:
    pads, axes = attributes["pads"], x.ndim - 2
    sides = [side for axis in reversed(range(axes)) for side in (pads[axis], pads[axis + axes])]
    return F.pad(x, sides, value=value) if any(sides) else x


def _conv(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
    x, weight, bias = _three(given)
    conv = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[x.ndim]
    x = _padded(x, attributes, 0.0)
    return conv(x, weight, bias, attributes["strides"], 0, attributes["dilations"], attributes.get("group", 1))


def _conv_transpose(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
    x, weight, bias = _three(given)
    conv = {3: F.conv_transpose1d, 4: F.conv_transpose2d, 5: F.conv_transpose3d}[x.ndim]
    a = attributes
    y = conv(x, weight, None, a["strides"], 0, 0, a["group"], a["dilations"])
    pads, axes = a["pads"], x.ndim - 2
    sides = [
        side for axis in reversed(range(axes)) for side in (-pads[axis], a["output_padding"][axis] - pads[axis + axes])
    ]
    y = F.pad(y, sides)
    return y if bias is None else y + bias.reshape(-1, *(1,) * axes)


def _max_pool(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
    x = _padded(given[0], attributes, float("-inf"))
    pool = {3: F.max_pool1d, 4: F.max_pool2d, 5: F.max_pool3d}[x.ndim]
    return pool(x, attributes["kernel_shape"], attributes["strides"], 0, attributes["dilations"])


def _average_pool(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
    pool: Any = {3: F.avg_pool1d, 4: F.avg_pool2d, 5: F.avg_pool3d}[given[0].ndim]

    def mean(x: Tensor) -> Tensor:
        return pool(_padded(x, attributes, 0.0), attributes["kernel_shape"], attributes["strides"])

    if attributes.get("count_include_pad", 0) or not any(attributes["pads"]):
        return mean(given[0])
    return mean(given[0]) / mean(torch.ones_like(given[0][:1, :1]))


def _lstm(given: Given, attributes: Attributes, sizes: Sizes) -> tuple[Tensor, ...]:
    """Over (steps, batch, features); ONNX orders its gates input, output, forget, cell; torch input, forget, cell,
    output."""
    x, weight, recurrent = given[:3]
    bias: Any = given[3] if len(given) > 3 else None
    hidden, directions = attributes["hidden_size"], weight.shape[0]
    flat: list[Tensor] = []
    for d in range(directions):
        bias_d = weight.new_zeros(8 * hidden) if bias is None else bias[d]
        for part in (weight[d], recurrent[d], bias_d[: 4 * hidden], bias_d[4 * hidden :]):
            i, o, f, c = part.split(hidden)
            flat.append(torch.cat([i, f, c, o]))
    turned = attributes.get("direction", "forward") == "reverse"
    zeros = x.new_zeros(directions, x.shape[1], hidden)
    y, last, cell = torch.lstm(
        x.flip(0) if turned else x, (zeros, zeros), flat, True, 1, 0.0, False, directions == 2, False
    )
    y = (y.flip(0) if turned else y).unflatten(2, (directions, hidden)).transpose(1, 2)
    return (y, last, cell)[: len(sizes)]


def _depth_to_space(given: Given, attributes: Attributes, sizes: Sizes) -> Tensor:
    x, s = given[0], attributes["blocksize"]
    if attributes.get("mode", "DCR") == "DCR":
        x = x.unflatten(1, (s * s, -1)).transpose(1, 2).flatten(1, 2)
    return F.pixel_shuffle(x, s)


OPERATORS: dict[str, Operator] = {
    **ELEMENTWISE,
    "Reshape": lambda given, a, sizes: given[0].reshape(sizes[0]),
    "Expand": lambda given, a, sizes: given[0].expand(sizes[0]),
    "Tile": lambda given, a, sizes: given[0].repeat(a["repeats"]),
    "Transpose": lambda given, a, sizes: given[0].permute(a["perm"]),
    "Concat": lambda given, a, sizes: torch.cat(list(given), a["axis"]),
    "Split": lambda given, a, sizes: given[0].split([s[a["axis"]] for s in sizes], a["axis"]),
    "Slice": _slice,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Pad": _pad,
    "DepthToSpace": _depth_to_space,
    "ReduceMean": _reduce(lambda x, axes, keep: x.mean(axes, keep)),
    "ReduceSum": _reduce(lambda x, axes, keep: x.sum(axes, keep)),
    "ReduceMax": _reduce(lambda x, axes, keep: x.amax(axes, keep)),
    "ReduceMin": _reduce(lambda x, axes, keep: x.amin(axes, keep)),
    "ReduceL1": _reduce(lambda x, axes, keep: x.abs().sum(axes, keep)),
    "ReduceL2": _reduce(lambda x, axes, keep: x.square().sum(axes, keep).sqrt()),
    "ReduceSumSquare": _reduce(lambda x, axes, keep: x.square().sum(axes, keep)),
    "ReduceLogSumExp": _reduce(lambda x, axes, keep: x.logsumexp(axes, keep)),
    "ArgMax": _arg(torch.argmax),
    "ArgMin": _arg(torch.argmin),
    "TopK": _top_k,
    "CumSum": lambda given, a, sizes: given[0].cumsum(a["axis"]),
    "Softmax": _softmax(torch.softmax),
    "LogSoftmax": _softmax(torch.log_softmax),
    "LayerNormalization": _layer_norm,
    "InstanceNormalization": _instance_norm,
    "BatchNormalization": _batch_norm,
    "LpNormalization": _lp_norm,
    "MatMul": lambda given, a, sizes: given[0] @ given[1],
    "Gemm": _gemm,
    "Einsum": lambda given, a, sizes: torch.einsum(a["equation"], *given),
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": lambda given, a, sizes: given[0].flatten(2).mean(2).reshape(sizes[0]),
    "GlobalMaxPool": lambda given, a, sizes: given[0].flatten(2).amax(2).reshape(sizes[0]),
    "LSTM": _lstm,
}
