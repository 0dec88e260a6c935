"""Activations by name: any elementwise function of one map that an engine or torch has a kernel for.

A name may carry parameters, ``leaky=0.01`` or ``clip=0,1``; those left out have the values below. Softmax and its
logarithm run over channels; ``softmax_columns`` over the columns of a row.
"""

from __future__ import annotations

Activation = str
LEAKY_SLOPE = 0.1  # darknet's

# Names of torch's activations, then what ONNX files write by parts; with the values of parameters that are left out.
ACTIVATIONS: dict[str, tuple[float, ...]] = {
    **dict.fromkeys(("none", "relu", "relu6", "sigmoid", "tanh", "silu"), ()),
    "leaky": (LEAKY_SLOPE,),
    "hardsigmoid": (1 / 6, 0.5),  # max(0, min(1, alpha x + beta))
    **dict.fromkeys(("hardswish", "gelu", "gelu_tanh"), ()),
    "elu": (1.0,),
    "selu": (1.6732632423543772, 1.0507009873554805),  # alpha, gamma
    **dict.fromkeys(("mish", "softplus", "softsign", "softmax", "softmax_columns", "log_softmax"), ()),
    "swish": (1.0,),  # x sigmoid(beta x)
    "clip": (float("-inf"), float("inf")),
    "pow": (2.0,),
    **dict.fromkeys(("exp", "log", "sqrt", "reciprocal", "abs", "erf", "sin", "cos", "floor", "ceil", "round"), ()),
}
ACROSS_CHANNELS = ("softmax", "log_softmax")  # the others tell no channel from another


def activation_parts(activation: Activation) -> tuple[str, tuple[float, ...]]:
    """Name and parameters.

    Raises:
        ValueError: no such activation, or other parameters than it has.
    """
    name, equals, given = activation.partition("=")
    default = ACTIVATIONS.get(name)
    if default is None or (equals and not default):
        known = ", ".join(f"{name}=..." if values else name for name, values in ACTIVATIONS.items())
        raise ValueError(f"unknown activation {activation!r}, known: {known}")
    values = tuple(map(float, given.split(","))) if equals else default
    if len(values) != len(default):
        raise ValueError(f"activation {activation!r} has {len(values)} parameters, expected: {len(default)}")
    return name, values


def with_parameters(name: str, *values: float) -> Activation:
    """The activation of that name and those parameters, as text that gives them back."""
    return f"{name}={','.join(f'{value:.9g}' for value in values)}"
