"""Reads a torch module into a :class:`.graph.Graph`, by way of ``torch.export``."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from copy import deepcopy
from io import StringIO
from operator import getitem
from typing import Any

import numpy as np
import torch
from torch import nn

from ...ui.errors import InputError
from ..layers import Conv, ConvTranspose, GlobalPool, Linear, Pointwise, Pool, Shape
from ..remaps import Pad, Reorg
from .graph import Graph, GraphBuilder, norm_weights


def read_module(module: nn.Module, name: str, source: str, shape: Shape) -> Graph:
    """The graph of a module in eval mode for one image.

    Args:
        module: takes (1, channels, height, width) and returns one tensor.
        name: of the model.
        source: where the module comes from, for messages.
        shape: of the input.

    Raises:
        InputError: the module cannot be traced, or has an operator without a layer; the message names it.
    """
    try:
        image = torch.zeros(1, shape.channels, shape.height, shape.width)
        with _quiet():
            own = deepcopy(module).cpu().float().eval()
            program = torch.export.export(own, (image,))
            program = program.run_decompositions({})  # what works in place becomes a new tensor
    except Exception as error:  # whatever the user's own code raises
        cause = (str(error).strip().splitlines() or [""])[0]
        raise InputError(f"{source}: torch.export fails ({type(error).__name__}: {cause})") from None
    return _Reader(program, name, source, shape).graph()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's warnings, log and dumps: what matters of them is in the error."""
    disabled = logging.root.manager.disable
    logging.disable()
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


class _Reader:
    def __init__(self, program: Any, name: str, source: str, shape: Shape) -> None:
        self.source = source
        signature = program.graph_signature
        self.nodes = list(program.graph.nodes)
        constants = {**program.state_dict, **program.constants}
        named = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        self.constants = {key: constants[value].detach() for key, value in named.items()}
        if len(signature.user_inputs) != 1 or len(signature.user_outputs) != 1:
            counts = f"{len(signature.user_inputs)} inputs and {len(signature.user_outputs)} outputs"
            raise InputError(f"{source}: the module has {counts}, allowed: one of each")
        self.output = signature.user_outputs[0]
        self.out = GraphBuilder(name, source, signature.user_inputs[0], shape)

    def graph(self) -> Graph:
        for node in self.nodes:
            if node.op == "call_function":
                self._read(node)
        return self.out.finish(self.output)

    def _read(self, node: Any) -> None:
        if node.target is getitem:  # the first of a batch norm's outputs
            self.out.alias(node.args[0].name, node.name)
            return
        operator = str(node.target).removeprefix("aten.").split(".")[0]
        if "assert" in operator:
            return
        handler = _HANDLERS.get(operator)
        if handler is None:
            known = ", ".join(sorted(_HANDLERS))
            raise InputError(
                f"{self.source}: node {self._module(node)} has the unsupported operator {operator}; supported: {known}"
            )
        schema = node.target._schema.arguments
        values = {a.name: a.default_value for a in schema if a.has_default_value()}
        values |= {a.name: value for a, value in zip(schema, node.args, strict=False)} | dict(node.kwargs)
        handler(_Call(self, node, operator, values))

    def _module(self, node: Any) -> str:
        """The module that the node comes from, else the node's own name."""
        stack = node.meta.get("nn_module_stack") or {}
        path = next(reversed(stack.values()))[0] if stack else ""
        return path or node.name


class _Call:
    """One node: its arguments by name, constants as arrays."""

    def __init__(self, reader: _Reader, node: Any, operator: str, values: dict[str, Any]) -> None:
        self.out, self.operator, self.values = reader.out, operator, values
        self.name, self.output = reader._module(node), node.name
        self.sizes: tuple[int, ...] = tuple(getattr(node.meta["val"], "shape", ()))
        self._constants = reader.constants

    @property
    def x(self) -> str:
        """The tensor that the operator works on."""
        return self.tensor("input" if "input" in self.values else "self")

    def tensor(self, name: str) -> str:
        """An argument that comes from the network's input."""
        value = self.values[name]
        if not hasattr(value, "name") or not self.out.known(value.name):
            raise self.refuse(f"{name} does not come from the network's input")
        return value.name

    def constant(self, name: str) -> np.ndarray | None:
        """A weight, None where it is left out."""
        value = self.values.get(name)
        if value is None:
            return None
        if getattr(value, "name", None) not in self._constants:
            raise self.refuse(f"{name} is no weight")
        return self._constants[value.name].float().numpy()

    def number(self, value: Any) -> np.ndarray | None:
        """An operand that is a number or a constant, None where it is a map."""
        if isinstance(value, int | float):
            return np.array(value, dtype=np.float32)
        found = self._constants.get(getattr(value, "name", ""))
        return None if found is None else found.float().numpy()

    def weight(self, name: str) -> np.ndarray:
        value = self.constant(name)
        if value is None:
            raise self.refuse(f"{name} is missing")
        return value

    def pair(self, name: str) -> tuple[int, int]:
        value = self.values[name]
        value = [value] if isinstance(value, int) else list(value)
        return (value[0], value[-1])

    def refuse(self, why: str) -> InputError:
        return self.out.refuse(self.name, self.operator, why)

    def layer(self, layer: Any, weights: dict[str, np.ndarray] | None = None) -> None:
        self.out.layer(self.name, self.operator, self.x, self.output, layer, weights)

    def activation(self, kind: str) -> None:
        self.out.activation(self.name, self.operator, self.x, self.output, kind)


def _conv(call: _Call) -> None:
    weight, bias = call.weight("weight"), call.constant("bias")
    if weight.ndim != 4:
        raise call.refuse("only two-dimensional convolutions have a layer")
    padding = call.values["padding"]
    if isinstance(padding, str):
        padding = [0, 0] if padding == "valid" else [d * (k - 1) / 2 for k, d in _kernel_and_dilation(call, weight)]
        if any(side != int(side) for side in padding):
            raise call.refuse("'same' padding of an even kernel differs from side to side")
        padding = [int(side) for side in padding]
    weights = {"conv.weight": weight} | ({} if bias is None else {"conv.bias": bias})
    stride, dilation, groups = call.pair("stride"), call.pair("dilation"), call.values["groups"]
    kernel, padding = (weight.shape[2], weight.shape[3]), (padding[0], padding[-1])
    if call.values.get("transposed") or ("output_padding" in call.values and call.operator != "convolution"):
        if groups != 1 or dilation != (1, 1) or any(call.pair("output_padding")):
            raise call.refuse("a transposed convolution has a layer without groups, dilation and output padding only")
        out = ConvTranspose(
            kernel, stride, padding, out_channels=weight.shape[1], bias=bias is not None, activation="none"
        )
        call.layer(out, weights)
        return
    layer = Conv(
        kernel, stride, padding, dilation, weight.shape[0], groups, bias is not None, activation="none"
    )  # fmt: skip
    call.layer(layer, weights)


def _kernel_and_dilation(call: _Call, weight: np.ndarray) -> list[tuple[int, int]]:
    return list(zip(weight.shape[2:], call.pair("dilation"), strict=True))


def _batch_norm(call: _Call) -> None:
    mean, variance = call.weight("running_mean"), call.weight("running_var")
    weights = norm_weights(call.constant("weight"), call.constant("bias"), mean, variance, call.values["eps"])
    call.layer(Pointwise(norm=True, activation="none"), dict(weights))


def _max_pool(call: _Call) -> None:
    kernel, padding, dilation = call.pair("kernel_size"), call.pair("padding"), call.pair("dilation")
    stride = call.pair("stride") if call.values["stride"] else kernel
    call.layer(Pool(kernel, stride, padding, dilation, "max", call.values["ceil_mode"]))


def _avg_pool(call: _Call) -> None:
    kernel, padding = call.pair("kernel_size"), call.pair("padding")
    stride = call.pair("stride") if call.values["stride"] else kernel
    if call.values["divisor_override"] is not None:
        raise call.refuse("divisor_override has no layer")
    kind = "avg" if call.values["count_include_pad"] or padding == (0, 0) else "avg_valid"
    pool = Pool(kernel, stride, padding, kind=kind, ceil_mode=call.values["ceil_mode"])
    call.out.average(call.name, call.operator, call.x, call.output, pool)


def _adaptive(call: _Call) -> None:
    call.out.adaptive(call.name, call.operator, call.x, call.output, *call.pair("output_size"))


def _mean(call: _Call) -> None:
    if sorted(axis % 4 for axis in call.values.get("dim") or ()) != [2, 3] or call.out.is_flat(call.x):
        raise call.refuse("only a mean over height and width has a layer")
    pooled = call.output if call.values["keepdim"] else f"{call.output}:map"
    call.out.layer(call.name, call.operator, call.x, pooled, GlobalPool())
    if not call.values["keepdim"]:
        call.out.flatten(pooled, call.output)


def _reshape(call: _Call) -> None:
    call.out.reshape(call.name, call.operator, call.x, call.output, call.sizes)


def _linear(call: _Call) -> None:
    weight, bias = call.weight("weight"), call.constant("bias")
    weights = {"linear.weight": weight} | ({} if bias is None else {"linear.bias": bias})
    call.layer(Linear(len(weight), bias is not None, "none"), weights)


def _arithmetic(call: _Call) -> None:
    """Two maps added, x * sigmoid(x), or a map and a constant by channel."""
    if call.values.get("alpha", 1) != 1:
        raise call.refuse("alpha is not 1")
    if call.values.get("rounding_mode") is not None:
        raise call.refuse("a rounding mode has no layer")
    kind, names = call.operator, ["self", "other"]
    if kind == "rsub":
        kind, names = "sub", ["other", "self"]
    for name, map_name in (names[::-1], names):
        if (found := call.number(call.values[name])) is not None:
            call.out.affine(
                call.name, call.operator, call.tensor(map_name), call.output, kind, found, first=name == names[0]
            )
            return
    tensors = [call.tensor(name) for name in names]
    if kind == "add":
        call.out.merge(call.name, kind, tensors, call.output, "add")
    elif kind == "mul":
        call.out.gate(call.name, kind, tensors[0], tensors[1], call.output)
    else:
        raise call.refuse("only two maps that are added have a layer")


def _cat(call: _Call) -> None:
    parts = call.values["tensors"]
    if call.values["dim"] % len(call.sizes) != 1 or not all(call.out.known(part.name) for part in parts):
        raise call.refuse("only maps put together by channels have a layer")
    if len(parts) == 1:
        call.out.alias(parts[0].name, call.output)
    else:
        call.out.merge(call.name, call.operator, [part.name for part in parts], call.output, "concat")


def _clamp(call: _Call) -> None:
    low, high = call.values.get("min", call.values.get("min_val")), call.values.get("max", call.values.get("max_val"))
    if low != 0 or high not in (None, 6):
        raise call.refuse(f"clamping to {low}..{high} has no layer, only 0..6 and 0.. have")
    call.activation("relu" if high is None else "relu6")


def _leaky(call: _Call) -> None:
    call.activation(f"leaky={float(call.values['negative_slope'])!r}")


def _elu(call: _Call) -> None:
    if (call.values["alpha"], call.values["scale"], call.values["input_scale"]) != (1, 1, 1):
        raise call.refuse("only an ELU with alpha 1 has a layer")
    call.activation("elu")


def _gelu(call: _Call) -> None:
    if call.values["approximate"] != "none":
        raise call.refuse("only the exact GELU has a layer")
    call.activation("gelu")


def _softmax(call: _Call) -> None:
    if call.values["dim"] % len(call.sizes) != 1:
        raise call.refuse("only a softmax over channels has a layer")
    call.activation(call.operator)


def _pad(call: _Call) -> None:
    pad, value = [*call.values["pad"], 0, 0][:4], call.values.get("value") or 0.0
    if call.values.get("mode", "constant") != "constant" or len(call.values["pad"]) > 4 or min(pad) < 0:
        raise call.refuse("only a border of one value around height and width has a layer")
    left, right, top, bottom = pad
    call.layer(Pad(top, bottom, left, right, float(value)))


def _same(call: _Call) -> None:
    if call.values.get("train"):
        raise call.refuse("dropout in training mode")
    call.out.alias(call.x, call.output)


def _unshuffle(call: _Call) -> None:
    call.layer(Reorg(call.values["downscale_factor"]))


def _simple(kind: str) -> Callable[[_Call], None]:
    return lambda call: call.activation(kind)


_ACTIVATIONS = ("relu", "relu6", "sigmoid", "tanh", "silu", "hardsigmoid", "hardswish")
_HANDLERS: dict[str, Callable[[_Call], None]] = {
    **{name: _simple(name) for name in _ACTIVATIONS},
    **dict.fromkeys(("conv2d", "conv_transpose2d", "convolution"), _conv),
    **dict.fromkeys(("flatten", "view", "reshape", "squeeze", "_unsafe_view"), _reshape),
    **dict.fromkeys(("dropout", "feature_dropout", "clone", "contiguous", "detach", "alias"), _same),
    **dict.fromkeys(("hardtanh", "clamp", "clamp_min"), _clamp),
    **dict.fromkeys(("softmax", "log_softmax"), _softmax),
    **dict.fromkeys(("pad", "constant_pad_nd"), _pad),
    "_native_batch_norm_legit_no_training": _batch_norm,
    "max_pool2d": _max_pool,
    "avg_pool2d": _avg_pool,
    "adaptive_avg_pool2d": _adaptive,
    "mean": _mean,
    "linear": _linear,
    **dict.fromkeys(("add", "sub", "rsub", "mul", "div"), _arithmetic),
    "cat": _cat,
    "leaky_relu": _leaky,
    "elu": _elu,
    "gelu": _gelu,
    "pixel_unshuffle": _unshuffle,
}
