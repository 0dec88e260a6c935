"""ONNX's operators that work value by value: activations, arithmetic of maps and constants."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..activations import with_parameters
from ..blocks import Combine
from ..channels import PRelu, WithConstant
from .call import Call

COMBINES: dict[str, Combine] = {
    "Add": "add", "Sum": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Max": "max", "Min": "min", "Pow": "pow",
}  # fmt: skip


def simple(kind: str) -> Callable[[Call], None]:
    """A handler for an activation without parameters."""
    return lambda call: call.activation(kind)


def arithmetic(call: Call) -> None:
    """Maps put together; or a map and constants."""
    combine = COMBINES[call.operator]
    constants = [i for i in range(len(call.inputs)) if call.is_constant(i)]
    if not constants and len(call.inputs) == 1:
        call.out.alias(call.x, call.output)
    elif not constants:
        call.out.merge(call.name, call.operator, call.inputs, call.output, combine)
    elif len(call.inputs) == 2:
        _with_constant(call, call.inputs[1 - constants[0]], call.weight(constants[0]), combine, constants[0] == 0)
    else:
        raise call.refuse("more than two inputs, some of them constant")


def _with_constant(call: Call, tensor: str, value: np.ndarray, combine: Combine, first: bool) -> None:
    """A map and a constant: one number, one a channel, or one a position.

    Args:
        first: whether the constant comes before the operator.
    """
    if not call.out.known(tensor):
        raise call.refuse(f"{tensor} does not come from the network's input")
    extents = _extents(call, tensor, value)
    if combine in ("add", "sub", "mul", "div") and extents[1:] == (1, 1) and not (combine == "div" and first):
        _affine(call, tensor, value.ravel(), combine, first)
    elif value.size == 1 and _one_number(call, tensor, float(value.ravel()[0]), combine, first):
        return
    else:
        if "f" in call.out.axes(tensor):
            raise call.refuse("a constant of a flattened map has no layer, only one number has")
        layer = WithConstant(combine, *extents, first)
        sizes, order = _places(call, tensor, value)
        weights = {"constant.weight": np.ascontiguousarray(value.reshape(sizes).transpose(order))}
        call.out.layer(call.name, call.operator, tensor, call.output, layer, weights)


def _places(call: Call, tensor: str, value: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The constant's sizes with an axis for every letter, and how that becomes batch, channels, rows, columns."""
    axes = call.out.axes(tensor)
    if value.ndim > 4 or len(axes) > 4:
        raise call.refuse(f"a constant of the sizes {value.shape} does not fit axes {axes}")
    letters = "".join(letter for letter in "bchw" if letter not in axes)  # axes of size 1 that were dropped
    whole = letters + axes if len(axes) < 4 else axes
    sizes = (1,) * (4 - value.ndim) + value.shape
    return sizes, tuple(whole.index(letter) for letter in "bchw")


def _extents(call: Call, tensor: str, value: np.ndarray) -> tuple[int, int, int]:
    """Channels, rows and columns of a constant."""
    axes = call.out.axes(tensor)
    if "f" in axes or "g" in axes:
        if value.size == 1 or value.size == call.out.shape(tensor).folded_channels == call.out.shape(tensor).elements:
            return value.size, 1, 1
        raise call.refuse(f"a constant of the sizes {value.shape} has no layer, only one number a channel has")
    sizes, order = _places(call, tensor, value)
    batch, channels, rows, columns = (sizes[i] for i in order)
    shape = call.out.shape(tensor)
    fit = channels in (1, shape.folded_channels) or shape.folded_channels == 1
    fit = fit and rows in (1, shape.height) and (columns in (1, shape.width) or shape.width == 1)
    if batch != 1 or not fit:
        raise call.refuse(f"a constant of the sizes {value.shape} does not fit the map, nor its channels")
    return channels, rows, columns


def _affine(call: Call, tensor: str, values: np.ndarray, combine: Combine, first: bool) -> None:
    channels = call.out.shape(tensor).folded_channels
    if values.size not in (1, channels):  # a map of one channel becomes several
        layer, weights = (
            WithConstant(combine, values.size, 1, 1, first),
            {"constant.weight": values.reshape(1, -1, 1, 1)},
        )
        call.out.layer(call.name, call.operator, tensor, call.output, layer, weights)
        return
    one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
    with np.errstate(divide="ignore"):
        scale, shift = {
            "add": (one, values),
            "sub": (-one, values) if first else (one, -values),
            "mul": (values, zero),
            "div": (1.0 / values, zero),
        }[combine]
    if not np.isfinite(scale).all():
        raise call.refuse("divides by 0")
    call.out.scaled(call.name, call.operator, tensor, call.output, scale, shift)


def _one_number(call: Call, tensor: str, value: float, combine: Combine, first: bool) -> bool:
    """An activation that has the same values, if there is one."""
    kind = None
    if combine == "max":
        kind = "relu" if value == 0 else with_parameters("clip", value, float("inf"))
    elif combine == "min":
        kind = with_parameters("clip", float("-inf"), value)
    elif combine == "pow" and not first:
        kind = {0.5: "sqrt", -1.0: "reciprocal"}.get(value, with_parameters("pow", value))
    elif combine == "div" and first and value == 1:
        kind = "reciprocal"
    if kind is None:
        return False
    call.out.activation(call.name, call.operator, tensor, call.output, kind)
    return True


def clip(call: Call) -> None:
    low, high = call.number("min", 1), call.number("max", 2)
    largest = float(np.finfo(np.float32).max)
    low = float("-inf") if low is None or low <= -largest else low
    high = float("inf") if high is None or high >= largest else high
    if (low, high) == (float("-inf"), float("inf")):
        call.out.alias(call.x, call.output)
        return
    known = {(0.0, float("inf")): "relu", (0.0, 6.0): "relu6"}
    call.activation(known.get((low, high)) or with_parameters("clip", low, high))


def negative(call: Call) -> None:
    one = np.ones(1, np.float32)
    call.out.scaled(call.name, call.operator, call.x, call.output, -one, 0 * one)


def leaky(call: Call) -> None:
    call.activation(f"leaky={float(np.float32(call.attributes.get('alpha', 0.01))):.7g}")


def hard_sigmoid(call: Call) -> None:
    alpha, beta = call.attributes.get("alpha", 0.2), call.attributes.get("beta", 0.5)
    usual = abs(alpha - 1 / 6) < 1e-6 and beta == 0.5
    call.activation("hardsigmoid" if usual else with_parameters("hardsigmoid", alpha, beta))


def elu(call: Call) -> None:
    alpha = call.attributes.get("alpha", 1.0)
    call.activation("elu" if alpha == 1.0 else with_parameters("elu", alpha))


def selu(call: Call) -> None:
    a = call.attributes
    call.activation(with_parameters("selu", a.get("alpha", 1.67326319217681), a.get("gamma", 1.05070102214813)))


def gelu(call: Call) -> None:
    call.activation("gelu" if call.attributes.get("approximate", "none") == "none" else "gelu_tanh")


def swish(call: Call) -> None:
    call.activation(with_parameters("swish", call.attributes.get("alpha", 1.0)))


def prelu(call: Call) -> None:
    slope, channels = call.weight(1), call.shape.folded_channels
    if slope.size not in (1, channels) or _extents(call, call.x, slope)[1:] != (1, 1):
        raise call.refuse(f"slopes of the sizes {slope.shape}, allowed: one number, or one a channel")
    call.layer(PRelu(slope.size == 1 < channels), {"prelu.weight": slope.ravel()})


def softmax(call: Call) -> None:
    axis = call.attributes.get("axis", -1 if call.opset >= 13 else 1)
    letter, shape = call.letter(axis), call.shape
    rest = call.axes[axis % len(call.axes) :]
    if call.opset < 13 and any(call.out.size(call.x, a) > 1 for a in rest if a != letter):
        raise call.refuse(f"a softmax of opset {call.opset} runs over all that follows the batch, not over channels")
    names = {"c": "softmax", "w": "softmax_columns"}
    if letter == "f" and shape.elements == shape.folded_channels:
        letter = "c"
    if call.operator == "LogSoftmax":
        names = {"c": "log_softmax"}
    if letter not in names:
        raise call.refuse("only a softmax over channels or columns has a layer")
    call.activation(names[letter])


def same(call: Call) -> None:
    call.out.alias(call.x, call.output)


def dropout(call: Call) -> None:
    training = call.constant(2)
    if training is not None and training.any():
        raise call.refuse("dropout in training mode")
    same(call)


def cast(call: Call) -> None:
    from onnx import TensorProto

    if call.attributes["to"] not in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16):
        raise call.refuse("only casts to floating-point numbers can be left out")
    same(call)
