"""ONNX's operators with windows, norms and products: what layer each becomes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..channels import ChannelNorm, ChannelReduce, LocalNorm, MapNorm
from ..layers import Conv, ConvTranspose, GlobalPool, Linear, Pair, Pointwise, Pool
from ..remaps import Pad
from .call import Call
from .graph import Weights, norm_weights


def window(call: Call, kernel: Sequence[int]) -> tuple[Pair, Pair, Pair]:
    """(kernel, stride, dilation) of a two-dimensional window."""
    if len(kernel) != 2:
        raise call.refuse(f"a window over {len(kernel)} axes has no layer, only one over height and width has")
    stride, dilation = call.attributes.get("strides", [1, 1]), call.attributes.get("dilations", [1, 1])
    if min(*kernel, *stride, *dilation) < 1:
        raise call.refuse(f"kernel {list(kernel)}, strides {stride}, dilations {dilation}, allowed: at least 1")
    return (kernel[0], kernel[1]), (stride[0], stride[1]), (dilation[0], dilation[1])


def conv(call: Call) -> None:
    weight, bias = call.weight(1), call.by_channel(2)
    if bias is not None and call.inputs[2] in call.net.computed and not bias.any():
        bias = None
    kernel, stride, dilation = window(call, weight.shape[2:])
    if min(weight.shape) < 1:
        raise call.refuse(f"weights of {' x '.join(map(str, weight.shape))}, allowed: 1 or more of each")
    sides = call.sides(kernel, stride, dilation)
    if min(sides) < 0:
        raise call.refuse(f"pads {sides}, allowed: 0 or more")
    tensor, *padding = call.out.padded(call.map, sides, 0.0, call.name, call.operator)
    groups = int(call.attributes.get("group", 1))
    layer = Conv(
        kernel, stride, (padding[0], padding[1]), dilation, len(weight), groups, bias is not None, activation="none"
    )
    call.layer(layer, _conv_weights(weight, bias), tensor)


def _conv_weights(weight: np.ndarray, bias: np.ndarray | None) -> Weights:
    return {"conv.weight": weight} | ({} if bias is None else {"conv.bias": bias})


def conv_transpose(call: Call) -> None:
    weight, bias = call.weight(1), call.by_channel(2)
    kernel, stride, dilation = window(call, weight.shape[2:])
    if dilation != (1, 1):
        raise call.refuse("a transposed convolution with dilation has no layer")
    (top, bottom, left, right), extra = _transposed_sides(call, kernel, stride)
    groups = int(call.attributes.get("group", 1))
    # Fewer values cut off behind than in front are values behind.
    layer = ConvTranspose(
        kernel, stride, (top, left), 1, weight.shape[1] * groups, bias is not None, activation="none", groups=groups,
        extra=(extra[0] + top - bottom, extra[1] + left - right),
    )  # fmt: skip
    if min(layer.extra) < 0 or min(top, left) < 0:
        raise call.refuse("a transposed convolution that is cut off more behind than in front has no layer")
    call.layer(layer, _conv_weights(weight, bias), call.map)


def _transposed_sides(call: Call, kernel: Pair, stride: Pair) -> tuple[tuple[int, int, int, int], Pair]:
    """What is cut off above, below, left and right, and the output padding."""
    extra = call.attributes.get("output_padding") or [0, 0]
    auto, wanted = call.attributes.get("auto_pad", "NOTSET"), call.attributes.get("output_shape")
    if auto in ("NOTSET", "VALID") and not wanted:
        top, left, bottom, right = call.attributes.get("pads", [0, 0, 0, 0]) if auto == "NOTSET" else (0, 0, 0, 0)
        return (top, bottom, left, right), (extra[0], extra[1])
    sizes = (call.shape.height, call.shape.width)
    wanted = list(wanted)[-2:] if wanted else [size * step for size, step in zip(sizes, stride, strict=True)]
    sides = list[int]()
    for size, k, s, more, out in zip(sizes, kernel, stride, extra, wanted, strict=True):
        total = max(0, (size - 1) * s + more + k - out)
        small, large = total // 2, total - total // 2
        sides += [small, large] if auto == "SAME_UPPER" else [large, small]
    return (sides[0], sides[1], sides[2], sides[3]), (extra[0], extra[1])


def batch_norm(call: Call) -> None:
    if call.attributes.get("training_mode", 0):
        raise call.refuse("a norm in training mode")
    if call.letter(1) not in "cf":
        raise call.refuse("its input has no channels behind the batch")
    scale, shift, mean, variance = (call.by_channel(i) for i in range(1, 5))
    if mean is None or variance is None:
        raise call.refuse("its mean or variance is missing")
    weights = norm_weights(scale, shift, mean, variance, float(call.attributes.get("epsilon", 1e-5)))
    call.layer(Pointwise(norm=True, activation="none"), weights)


def max_pool(call: Call) -> None:
    kernel, stride, dilation = window(call, call.attributes["kernel_shape"])
    if dilation != (1, 1) and call.attributes.get("auto_pad", "NOTSET").startswith("SAME"):
        raise call.refuse("a pool with dilation padded to the same size: runtimes place it differently; state its pads")
    sides = call.sides(kernel, stride, dilation)
    ceil_mode = _ceil_mode(call, sides, kernel, stride, dilation)
    wide = 2 * sides[0] > kernel[0] or 2 * sides[2] > kernel[1]
    if wide and not _is_uneven(sides):  # torch pads by half the kernel at most, whatever the dilation
        if ceil_mode:
            raise call.refuse(f"a padding of {sides[0]} x {sides[2]}, wider than half the kernel, with ceil_mode")
        tensor = f"{call.x}:padded for {call.name}"
        top, bottom, left, right = sides
        call.layer(Pad(top, bottom, left, right, float("-inf")), tensor=call.map, output=tensor)
        call.layer(Pool(kernel, stride, 0, dilation, "max"), tensor=tensor)
        return
    tensor, *padding = call.out.padded(call.map, sides, float("-inf"), call.name, call.operator)
    call.layer(Pool(kernel, stride, (padding[0], padding[1]), dilation, "max", ceil_mode), tensor=tensor)


def average_pool(call: Call) -> None:
    kernel, stride, dilation = window(call, call.attributes["kernel_shape"])
    sides, counted = call.sides(kernel, stride, dilation), call.attributes.get("count_include_pad", 0)
    if dilation != (1, 1) or (_is_uneven(sides) and not counted):
        raise call.refuse("an average that leaves out an uneven padding, or with dilation, has no layer")
    ceil_mode = _ceil_mode(call, sides, kernel, stride, dilation)
    tensor, *padding = call.out.padded(call.map, sides, 0.0, call.name, call.operator)
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
    if max(sides[:2]) >= reach[0] or max(sides[2:]) >= reach[1] or min(sides) < 0:
        raise call.refuse("a padding as wide as the window has no layer")
    if not call.attributes.get("ceil_mode", 0) or not _is_uneven(sides):
        return bool(call.attributes.get("ceil_mode", 0))
    sizes = (call.shape.height + sides[0] + sides[1], call.shape.width + sides[2] + sides[3])
    if any((size - window) % step for size, window, step in zip(sizes, reach, stride, strict=True)):
        raise call.refuse("ceil_mode with an uneven padding has no layer")
    return False


def global_pool(call: Call) -> None:
    call.layer(GlobalPool("max" if "Max" in call.operator else "avg"), tensor=call.map)


KINDS = {"ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "max", "ReduceMin": "min", "ReduceL2": "l2"}


def reduce(call: Call) -> None:
    """Over height and width a global pool, over channels one value a position, over columns or rows alone a pool."""
    axes, kind = call.numbers("axes", 1), KINDS[call.operator]
    if not axes:
        raise call.refuse("only a mean over height and width, or over channels, has a layer")
    letters = "".join(sorted({call.letter(axis) for axis in axes}))
    kept = call.axes if call.attributes.get("keepdims", 1) else "".join(a for a in call.axes if a not in letters)
    if call.out.size(call.x, "h") == 1 and letters == "w" and "h" not in call.axes:
        letters = "hw"
    if letters == "hw" and kind != "min":
        call.layer(GlobalPool({"mean": "avg"}.get(kind, kind)), axes=kept)  # pyright: ignore[reportArgumentType]
    elif letters == "c":
        call.layer(ChannelReduce(kind), axes=kept)  # pyright: ignore[reportArgumentType]
    elif letters in ("h", "w") and kind in ("mean", "max"):
        size = (call.shape.height, 1) if letters == "h" else (1, call.shape.width)
        call.layer(Pool(size, 1, kind="avg" if kind == "mean" else "max"), axes=kept)
    else:
        raise call.refuse("only a mean over height and width, or over channels, has a layer")


def gemm(call: Call) -> None:
    a = call.attributes
    if a.get("transA", 0):
        raise call.refuse("transA is 1, allowed: 0")
    weight, bias = call.weight(1) * a.get("alpha", 1.0), call.optional(2)
    _linear(call, weight if a.get("transB", 0) else weight.T, None if bias is None else bias * a.get("beta", 1.0))


def mat_mul(call: Call) -> None:
    if call.is_constant(0):
        raise call.refuse("only a product of features with a matrix has a layer")
    _linear(call, call.weight(1).T, None)


def _linear(call: Call, weight: np.ndarray, bias: np.ndarray | None) -> None:
    """A fully connected layer, or, over the channels of every position, a 1 x 1 convolution."""
    if weight.ndim != 2:
        raise call.refuse("only a product of features with a matrix has a layer")
    weight = np.ascontiguousarray(weight)
    if bias is not None:
        bias = np.broadcast_to(bias.ravel(), (len(weight),)).copy()
    if call.axes[-1] == "c" and not call.out.is_vector(call.x):
        layer = Conv(1, out_channels=len(weight), bias=bias is not None, activation="none")
        call.layer(layer, _conv_weights(weight[:, :, None, None], bias))
        return
    weights = {"linear.weight": weight} | ({} if bias is None else {"linear.bias": bias})
    call.layer(Linear(len(weight), bias is not None, "none"), weights)


def layer_norm(call: Call) -> None:
    if len(call.node.outputs) > 1 and any(call.node.outputs[1:]):
        raise call.refuse("a layer norm that gives its statistics has no layer")
    axis = call.attributes.get("axis", -1)
    if "".join(call.axes[axis % len(call.axes) :]) != "c":
        raise call.refuse("only a layer norm over channels has a layer")
    channels = call.shape.folded_channels
    shift = call.optional(2)
    weights = {
        "affine.weight": np.broadcast_to(call.weight(1).ravel(), (channels,)).copy(),
        "affine.bias": np.zeros(channels, np.float32) if shift is None else np.broadcast_to(shift.ravel(), (channels,)),
    }
    call.layer(ChannelNorm(float(call.attributes.get("epsilon", 1e-5))), weights)


def instance_norm(call: Call) -> None:
    """Over a map, or over groups of channels that a Reshape has made of it (axes b, g and what is left)."""
    channels, eps = call.shape.folded_channels, float(call.attributes.get("epsilon", 1e-5))
    scale, shift = call.by_channel(1), call.by_channel(2)
    if scale is None or shift is None or call.axes not in ("bchw", "bgm"):
        raise call.refuse("only a norm over a map, or groups of its channels, has a layer")
    if channels % len(scale):
        raise call.refuse(f"{len(scale)} groups of {channels} channels")
    each = channels // len(scale)
    weights = {"affine.weight": np.repeat(scale, each), "affine.bias": np.repeat(shift, each)}
    call.layer(MapNorm(len(scale), eps), weights)


def group_norm(call: Call) -> None:
    groups, eps = int(call.attributes["num_groups"]), float(call.attributes.get("epsilon", 1e-5))
    scale, shift, channels = call.weight(1).ravel(), call.weight(2).ravel(), call.shape.folded_channels
    if len(scale) == groups:  # up to opset 20
        scale, shift = np.repeat(scale, channels // groups), np.repeat(shift, channels // groups)
    call.layer(MapNorm(groups, eps), {"affine.weight": scale, "affine.bias": shift}, call.map)


def lrn(call: Call) -> None:
    a = call.attributes
    layer = LocalNorm(int(a["size"]), a.get("alpha", 1e-4), a.get("beta", 0.75), a.get("bias", 1.0))
    call.layer(layer, tensor=call.map)
