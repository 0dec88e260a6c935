"""What every ONNX operator becomes: a layer, a merge, or another name for the same tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ...ui.errors import InputError
from ..layers import Conv, ConvTranspose, GlobalPool, Linear, Pair, Pointwise, Pool
from ..remaps import Pad
from .graph import GraphBuilder, Weights, norm_weights


class Call:
    """One node with its attributes.

    Args:
        out: takes the layer.
        constants: arrays by name.
        sizes: of the tensors, as far as they are known.
        node: from the file.
        name: the node's, or a made one.
        opset: version of ONNX's operators.
    """

    def __init__(
        self,
        out: GraphBuilder,
        constants: Mapping[str, np.ndarray],
        sizes: Mapping[str, tuple[int | None, ...]],
        node: Any,
        name: str,
        opset: int,
    ) -> None:
        self.out, self.operator, self.name, self.opset = out, node.op_type, name, opset
        self.inputs, self.output = list(node.input), node.output[0]
        self._node, self._constants, self._sizes = node, constants, sizes

    @cached_property
    def attributes(self) -> dict[str, Any]:
        from onnx import helper

        found = {a.name: helper.get_attribute_value(a) for a in self._node.attribute}
        return {name: value.decode() if isinstance(value, bytes) else value for name, value in found.items()}

    @property
    def x(self) -> str:
        """The tensor that the operator works on."""
        if not self.out.known(self.inputs[0]):
            raise self.refuse(f"{self.inputs[0]} does not come from the network's input")
        return self.inputs[0]

    def constant(self, index: int) -> np.ndarray | None:
        """An input that is a constant, None where it is left out.

        Raises:
            InputError: it is not constant.
        """
        if index >= len(self.inputs) or not self.inputs[index]:
            return None
        if self.inputs[index] not in self._constants:
            raise self.refuse(f"input {self.inputs[index]} is no constant")
        return self._constants[self.inputs[index]]

    def weight(self, index: int) -> np.ndarray:
        value = self.constant(index)
        if value is None:
            raise self.refuse(f"input {index} is missing")
        return np.asarray(value, dtype=np.float32)

    def optional(self, index: int) -> np.ndarray | None:
        value = self.constant(index)
        return None if value is None else np.asarray(value, dtype=np.float32)

    def by_channel(self, index: int) -> np.ndarray | None:
        """One number a channel, None where it is left out."""
        value = self.optional(index)
        if value is not None and value.ndim != 1:
            raise self.refuse(f"input {self.inputs[index]} has the sizes {value.shape}, allowed: one axis")
        return value

    def is_constant(self, index: int) -> bool:
        return self.inputs[index] in self._constants

    def numbers(self, attribute: str, index: int) -> list[int] | None:
        """An attribute that newer versions take as an input."""
        if attribute in self.attributes:
            return list(self.attributes[attribute])
        value = self.constant(index)
        return None if value is None else [int(v) for v in value.ravel()]

    @property
    def sizes(self) -> tuple[int | None, ...] | None:
        """Sizes of the output, None where they are not known."""
        return self._sizes.get(self.output)

    def refuse(self, why: str) -> InputError:
        return self.out.refuse(self.name, self.operator, why)

    def layer(self, layer: Any, weights: Weights | None = None, tensor: str | None = None) -> None:
        self.out.layer(self.name, self.operator, tensor or self.x, self.output, layer, weights)

    def activation(self, kind: str) -> None:
        self.out.activation(self.name, self.operator, self.x, self.output, kind)

    def sides(self, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> list[int]:
        """Padding of a window: rows above, rows below, columns left, columns right."""
        auto = self.attributes.get("auto_pad", "NOTSET")
        if auto == "NOTSET":
            top, left, bottom, right = self.attributes.get("pads", [0, 0, 0, 0])
            return [top, bottom, left, right]
        if auto == "VALID":
            return [0, 0, 0, 0]
        shape, found = self.out.shape(self.x), list[int]()
        for size, k, s, d in zip((shape.height, shape.width), kernel, stride, dilation, strict=True):
            total = max(0, (-(-size // s) - 1) * s + d * (k - 1) + 1 - size)
            small, large = total // 2, total - total // 2
            found += [small, large] if auto == "SAME_UPPER" else [large, small]
        return found


def _window(call: Call, kernel: Sequence[int]) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """(kernel, stride, dilation) of a two-dimensional window."""
    if len(kernel) != 2:
        raise call.refuse(f"a window over {len(kernel)} axes has no layer, only one over height and width has")
    stride, dilation = call.attributes.get("strides", [1, 1]), call.attributes.get("dilations", [1, 1])
    if min(*kernel, *stride, *dilation) < 1:
        raise call.refuse(f"kernel {list(kernel)}, strides {stride}, dilations {dilation}, allowed: at least 1")
    return (kernel[0], kernel[1]), (stride[0], stride[1]), (dilation[0], dilation[1])


def _conv(call: Call) -> None:
    weight, bias = call.weight(1), call.by_channel(2)
    kernel, stride, dilation = _window(call, weight.shape[2:])
    sides = call.sides(kernel, stride, dilation)
    tensor, *padding = call.out.padded(call.x, sides, 0.0, call.name, call.operator)
    groups = int(call.attributes.get("group", 1))
    weights = {"conv.weight": weight} | ({} if bias is None else {"conv.bias": bias})
    layer = Conv(
        kernel, stride, (padding[0], padding[1]), dilation, len(weight), groups, bias is not None, activation="none"
    )
    call.layer(layer, weights, tensor)


def _conv_transpose(call: Call) -> None:
    weight, bias = call.weight(1), call.by_channel(2)
    kernel, stride, dilation = _window(call, weight.shape[2:])
    top, left, bottom, right = call.attributes.get("pads", [0, 0, 0, 0])
    plain = (
        dilation == (1, 1)
        and (top, left) == (bottom, right)
        and call.attributes.get("auto_pad", "NOTSET") == "NOTSET"
        and call.attributes.get("group", 1) == 1
        and not any(call.attributes.get("output_padding", [0]))
        and "output_shape" not in call.attributes
    )
    if not plain:
        raise call.refuse("a transposed convolution has a layer without groups, dilation and output padding only")
    weights = {"conv.weight": weight} | ({} if bias is None else {"conv.bias": bias})
    channels = weight.shape[1]
    call.layer(ConvTranspose(kernel, stride, (top, left), 1, channels, bias is not None, activation="none"), weights)


def _batch_norm(call: Call) -> None:
    if call.attributes.get("training_mode", 0):
        raise call.refuse("a norm in training mode")
    scale, shift, mean, variance = (call.by_channel(i) for i in range(1, 5))
    if mean is None or variance is None:
        raise call.refuse("its mean or variance is missing")
    weights = norm_weights(scale, shift, mean, variance, float(call.attributes.get("epsilon", 1e-5)))
    call.layer(Pointwise(norm=True, activation="none"), weights)


def _max_pool(call: Call) -> None:
    kernel, stride, dilation = _window(call, call.attributes["kernel_shape"])
    sides = call.sides(kernel, stride, dilation)
    ceil_mode = _ceil_mode(call, sides, kernel, stride, dilation)
    tensor, *padding = call.out.padded(call.x, sides, float("-inf"), call.name, call.operator)
    call.layer(Pool(kernel, stride, (padding[0], padding[1]), dilation, "max", ceil_mode), tensor=tensor)


def _average_pool(call: Call) -> None:
    kernel, stride, dilation = _window(call, call.attributes["kernel_shape"])
    sides, counted = call.sides(kernel, stride, dilation), call.attributes.get("count_include_pad", 0)
    if dilation != (1, 1) or (_is_uneven(sides) and not counted):
        raise call.refuse("an average that leaves out an uneven padding, or with dilation, has no layer")
    ceil_mode = _ceil_mode(call, sides, kernel, stride, dilation)
    tensor, *padding = call.out.padded(call.x, sides, 0.0, call.name, call.operator)
    kind = "avg" if counted or not any(sides) else "avg_valid"
    pool = Pool(kernel, stride, (padding[0], padding[1]), kind=kind, ceil_mode=ceil_mode)
    call.out.average(call.name, call.operator, tensor, call.output, pool)


def _is_uneven(sides: Sequence[int]) -> bool:
    return (sides[0], sides[2]) != (sides[1], sides[3])


def _ceil_mode(call: Call, sides: Sequence[int], kernel: Pair, stride: Pair, dilation: Pair) -> bool:
    """Whether sizes are rounded up; with an uneven padding only where that makes no difference.

    A border of its own hides from a pool which windows begin in the padding: those are left out.
    """
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    if not _is_uneven(sides) and (2 * sides[0] > reach[0] or 2 * sides[2] > reach[1]):
        raise call.refuse("a padding wider than half the window has no layer")
    if max(sides[:2]) >= reach[0] or max(sides[2:]) >= reach[1]:
        raise call.refuse("a padding as wide as the window has no layer")
    if not call.attributes.get("ceil_mode", 0) or not _is_uneven(sides):
        return bool(call.attributes.get("ceil_mode", 0))
    shape = call.out.shape(call.x)
    sizes = (shape.height + sides[0] + sides[1], shape.width + sides[2] + sides[3])
    if any((size - window) % step for size, window, step in zip(sizes, reach, stride, strict=True)):
        raise call.refuse("ceil_mode with an uneven padding has no layer")
    return False


def _global_pool(call: Call) -> None:
    call.layer(GlobalPool())


def _reduce_mean(call: Call) -> None:
    axes = call.numbers("axes", 1)
    if axes is None or sorted(axis % 4 for axis in axes) != [2, 3] or call.out.is_flat(call.x):
        raise call.refuse("only a mean over height and width has a layer")
    keep = call.attributes.get("keepdims", 1)
    pooled = call.output if keep else f"{call.output}:map"
    call.out.layer(call.name, call.operator, call.x, pooled, GlobalPool())
    if not keep:
        call.out.flatten(pooled, call.output)


def _reshape(call: Call) -> None:
    sizes = call.sizes
    if sizes is None or None in sizes[1:]:
        raise call.refuse("its output has no size that can be told beforehand")
    call.out.reshape(call.name, call.operator, call.x, call.output, [int(s or 1) for s in sizes])


def _gemm(call: Call) -> None:
    a = call.attributes
    if a.get("transA", 0):
        raise call.refuse("transA is 1, allowed: 0")
    weight, bias = call.weight(1) * a.get("alpha", 1.0), call.optional(2)
    _linear(call, weight if a.get("transB", 0) else weight.T, None if bias is None else bias * a.get("beta", 1.0))


def _mat_mul(call: Call) -> None:
    _linear(call, call.weight(1).T, None)


def _linear(call: Call, weight: np.ndarray, bias: np.ndarray | None) -> None:
    if weight.ndim != 2:
        raise call.refuse("only a product of features with a matrix has a layer")
    weights = {"linear.weight": np.ascontiguousarray(weight)}
    if bias is not None:
        weights["linear.bias"] = np.broadcast_to(bias.ravel(), (len(weight),)).copy()
    call.layer(Linear(len(weight), bias is not None, "none"), weights)


def _arithmetic(call: Call) -> None:
    """Two maps added; or a map with a constant by channel added, taken off, or as a factor."""
    constants = [i for i in (0, 1) if call.is_constant(i)]
    if constants:
        _affine(call, constants[0])
    elif call.operator == "Add":
        call.out.merge(call.name, call.operator, call.inputs, call.output, "add")
    elif call.operator == "Mul":
        call.out.gate(call.name, call.operator, call.inputs[0], call.inputs[1], call.output)
    else:
        raise call.refuse("only two maps that are added have a layer")


def _affine(call: Call, index: int) -> None:
    tensor, kind = call.inputs[1 - index], call.operator.lower()
    call.out.affine(call.name, call.operator, tensor, call.output, kind, call.weight(index), first=index == 0)


def _sum(call: Call) -> None:
    call.out.merge(call.name, call.operator, call.inputs, call.output, "add")


def _concat(call: Call) -> None:
    if call.attributes["axis"] not in (1, -3) or not all(map(call.out.known, call.inputs)):
        raise call.refuse("only maps put together by channels have a layer")
    if len(call.inputs) == 1:
        call.out.alias(call.x, call.output)
    else:
        call.out.merge(call.name, call.operator, call.inputs, call.output, "concat")


def _clip(call: Call) -> None:
    low, high = (
        call.attributes[name] if name in call.attributes else call.constant(i) for name, i in (("min", 1), ("max", 2))
    )
    low, high = (None if limit is None else float(np.ravel(limit)[0]) for limit in (low, high))
    high = None if high is not None and high >= np.finfo(np.float32).max else high
    if low != 0 or high not in (None, 6):
        raise call.refuse(f"clipping to {low}..{high} has no layer, only 0..6 and 0.. have")
    call.activation("relu" if high is None else "relu6")


def _leaky(call: Call) -> None:
    call.activation(f"leaky={float(np.float32(call.attributes.get('alpha', 0.01))):.7g}")


def _hard_sigmoid(call: Call) -> None:
    alpha, beta = call.attributes.get("alpha", 0.2), call.attributes.get("beta", 0.5)
    if abs(alpha - 1 / 6) > 1e-6 or beta != 0.5:
        raise call.refuse(f"a hard sigmoid with alpha {alpha:g} and beta {beta:g} has no layer, only 1/6 and 0.5 have")
    call.activation("hardsigmoid")


def _elu(call: Call) -> None:
    if call.attributes.get("alpha", 1.0) != 1.0:
        raise call.refuse("only an ELU with alpha 1 has a layer")
    call.activation("elu")


def _gelu(call: Call) -> None:
    if call.attributes.get("approximate", "none") != "none":
        raise call.refuse("only the exact GELU has a layer")
    call.activation("gelu")


def _softmax(call: Call) -> None:
    axis = call.attributes.get("axis", -1 if call.opset >= 13 else 1)
    flat, shape = call.out.is_flat(call.x), call.out.shape(call.x)
    if axis not in ((1, -1) if flat else (1, -3)):
        raise call.refuse("only a softmax over channels has a layer")
    if call.opset < 13 and not flat and shape.elements != shape.channels:
        raise call.refuse(f"a softmax of opset {call.opset} runs over all that follows the batch, not over channels")
    call.activation("softmax" if call.operator == "Softmax" else "log_softmax")


def _pad(call: Call) -> None:
    pads, value = call.numbers("pads", 1), call.constant(2)
    axes, mode = call.constant(3), call.attributes.get("mode", "constant")
    if pads is not None and axes is not None:
        given = dict(zip([*(int(axis) % 4 for axis in axes), *(int(axis) % 4 + 4 for axis in axes)], pads, strict=True))
        pads = [given.get(side, 0) for side in range(8)]
    if pads is None or mode != "constant" or len(pads) != 8 or any(pads[0:2] + pads[4:6]):
        raise call.refuse("only a border of one value around height and width has a layer")
    if min(pads) < 0:
        raise call.refuse("a border is negative")
    border = float(call.attributes.get("value", 0.0)) if value is None else float(value.ravel()[0])
    call.layer(Pad(pads[2], pads[6], pads[3], pads[7], border))


def _same(call: Call) -> None:
    call.out.alias(call.x, call.output)


def _dropout(call: Call) -> None:
    training = call.constant(2)
    if training is not None and training.any():
        raise call.refuse("dropout in training mode")
    _same(call)


def _cast(call: Call) -> None:
    from onnx import TensorProto

    if call.attributes["to"] not in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16):
        raise call.refuse("only casts to floating-point numbers can be left out")
    _same(call)


def _simple(kind: str) -> Callable[[Call], None]:
    return lambda call: call.activation(kind)


HANDLERS: dict[str, Callable[[Call], None]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "BatchNormalization": _batch_norm,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_pool,
    "ReduceMean": _reduce_mean,
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), _reshape),
    "Gemm": _gemm,
    "MatMul": _mat_mul,
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), _arithmetic),
    "Sum": _sum,
    "Concat": _concat,
    "Pad": _pad,
    "Dropout": _dropout,
    "Identity": _same,
    "Cast": _cast,
    **{name: _simple(name.lower()) for name in ("Relu", "Sigmoid", "Tanh", "HardSwish")},
    "Clip": _clip,
    "LeakyRelu": _leaky,
    "HardSigmoid": _hard_sigmoid,
    "Elu": _elu,
    "Gelu": _gelu,
    **dict.fromkeys(("Softmax", "LogSoftmax"), _softmax),
}
