"""What every ONNX operator becomes: a layer, a merge, or another name for the same tensor."""

from __future__ import annotations

from collections.abc import Callable

from . import layouts, quantised, values, windows
from .call import Call

_FUNCTIONS = ("Exp", "Log", "Sqrt", "Reciprocal", "Abs", "Erf", "Sin", "Cos", "Floor", "Ceil", "Round")
_ACTIVATIONS = ("Relu", "Sigmoid", "Tanh", "HardSwish", "Mish", "Softplus", "Softsign")
HANDLERS: dict[str, Callable[[Call], None]] = {
    "Conv": windows.conv,
    "ConvTranspose": windows.conv_transpose,
    "BatchNormalization": windows.batch_norm,
    "LayerNormalization": windows.layer_norm,
    "InstanceNormalization": windows.instance_norm,
    "GroupNormalization": windows.group_norm,
    "LRN": windows.lrn,
    "MaxPool": windows.max_pool,
    "AveragePool": windows.average_pool,
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), windows.global_pool),
    **dict.fromkeys(windows.KINDS, windows.reduce),
    "Gemm": windows.gemm,
    "MatMul": windows.mat_mul,
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), layouts.reshape),
    "Transpose": layouts.transpose,
    "Concat": layouts.concat,
    "Slice": layouts.slice_,
    "Split": layouts.split,
    "Gather": layouts.gather,
    "Expand": layouts.expand,
    "Pad": layouts.pad,
    **dict.fromkeys(("Resize", "Upsample"), layouts.resize),
    "DepthToSpace": layouts.depth_to_space,
    "SpaceToDepth": layouts.space_to_depth,
    **dict.fromkeys(values.COMBINES, values.arithmetic),
    **{name: values.simple(name.lower()) for name in (*_ACTIVATIONS, *_FUNCTIONS)},
    "Neg": values.negative,
    "Clip": values.clip,
    "LeakyRelu": values.leaky,
    "PRelu": values.prelu,
    "HardSigmoid": values.hard_sigmoid,
    "Elu": values.elu,
    "Selu": values.selu,
    "Gelu": values.gelu,
    "Swish": values.swish,
    **dict.fromkeys(("Softmax", "LogSoftmax"), values.softmax),
    "Dropout": values.dropout,
    "Identity": values.same,
    "Cast": values.cast,
    "CastLike": values.same,
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), quantised.quantise),
}

# Operators that only a map can be read by: what reaches them is a map again.
MAP_OPERATORS = {
    "Conv", "ConvTranspose", "MaxPool", "AveragePool", "BatchNormalization", "GlobalAveragePool", "GlobalMaxPool",
    "InstanceNormalization", "GroupNormalization", "LRN", "PRelu", "Resize", "Upsample", "DepthToSpace", "SpaceToDepth",
}  # fmt: skip
