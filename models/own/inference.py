"""Sizes that onnxruntime and torch give where ONNX's inference of one node says others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

_RESIZES = ("Resize", "Upsample")
_POOLS = ("MaxPool", "AveragePool", "LpPool")


def corrected_sizes(
    operator: str, attributes: dict[str, Any], given: Sequence[int | None], scales: np.ndarray | None
) -> dict[int, int]:
    """Sizes of the output by axis that are not as ONNX infers them.

    Args:
        operator: of the node.
        attributes: of the node.
        given: sizes of its first input.
        scales: of a Resize or an Upsample that has them.
    """
    if operator in _RESIZES and scales is not None:
        return _resized(given, scales, attributes.get("axes"))
    if operator in _POOLS and attributes.get("ceil_mode", 0) and attributes.get("auto_pad", "NOTSET") == "NOTSET":
        return _rounded_up(given, attributes)
    return {}


def _resized(given: Sequence[int | None], scales: np.ndarray, axes: Sequence[int] | None) -> dict[int, int]:
    """10 by a scale of 1.4 is 14: the product is one of float32, where ONNX infers 13."""
    places = range(len(given)) if axes is None else [axis % len(given) for axis in axes]
    found = zip(places, scales.astype(np.float32).ravel(), strict=False)
    return {axis: int(np.float32(size) * scale) for axis, scale in found if (size := given[axis])}


def _rounded_up(given: Sequence[int | None], attributes: dict[str, Any]) -> dict[int, int]:
    """No window begins in the padding behind the map, which ONNX's inference counts up to opset 18."""
    kernel = attributes.get("kernel_shape", [])
    ones = [1] * len(kernel)
    strides, dilations = attributes.get("strides", ones), attributes.get("dilations", ones)
    pads, found = attributes.get("pads", [0] * 2 * len(kernel)), dict[int, int]()
    for i, (k, stride, dilation) in enumerate(zip(kernel, strides, dilations, strict=True)):
        size, before, behind = given[i + 2], pads[i], pads[i + len(kernel)]
        if size:
            out = -(-(size + before + behind - dilation * (k - 1) - 1) // stride) + 1
            found[i + 2] = out - 1 if (out - 1) * stride >= size + before else out
    return found
