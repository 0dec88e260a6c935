"""Small networks written by hand to be spoilt, and the one line that says what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from ... import refused
from .nets import onnx_file


def node(op: str, *inputs: str, out: str = "y", **attributes: Any) -> Any:
    return helper.make_node(op, inputs, [out], name=f"the {op}", **attributes)


CONV = node("Conv", "x", "w", "b", out="c", pads=[1, 1, 1, 1])
WEIGHTS = {
    "w": np.linspace(-1, 1, 216, dtype=np.float32).reshape(12, 2, 3, 3),
    "b": np.linspace(-1, 1, 12, dtype=np.float32),
    "wf": np.linspace(-1, 1, 36, dtype=np.float32).reshape(3, 12),
}
POOLED = [node("GlobalAveragePool", "c", out="g"), node("Flatten", "g", out="f")]


def small_net(path: Path, sizes: Any = (1, 2, 6, 5), **options: Any) -> Path:
    """Convolution, activation, global pool, fully connected."""
    nodes = [CONV, node("Relu", "c", out="c2"), node("MaxPool", "c2", out="p", kernel_shape=[2, 2], strides=[2, 2])]
    nodes += [node("GlobalAveragePool", "p", out="g"), node("Flatten", "g", out="f"), node("Gemm", "f", "wf", transB=1)]
    return onnx_file(path, nodes, sizes, WEIGHTS, **options)


def changed(path: Path, change: Callable[[Any], None]) -> Path:
    proto = onnx.load(path)
    change(proto)
    path.write_bytes(proto.SerializeToString())
    return path


def the_error(call: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """The message of the InputError that a call raises: one line."""
    with refused() as caught:
        call(*arguments, **options)
    message = str(caught.value)
    assert message == message.strip()
    return message


def by_hand(path: Path, *nodes: Any, opset: int = 18, **weights: Any) -> Path:
    given = {name: np.asarray(value) for name, value in {**WEIGHTS, **weights}.items()}
    return onnx_file(path, nodes, (1, 2, 6, 5), given, opset)
