"""The weights of a kernel as NumPy arrays, with batch norm folded into them.

A kernel's weights are a mapping with the names of its torch module's state dict (``conv.weight``, ``norm.bias``, ...)
and ``norm.eps``; a model's are one mapping for every entry of ``Model.kernels``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..models.model import Model
from ..ui.errors import InputError

Floats = npt.NDArray[np.float32]
KernelWeights = Mapping[str, npt.NDArray[Any]]
NORM_EPS = 1e-5  # torch's


def torch_weights(torch_model: Any) -> list[dict[str, npt.NDArray[Any]]]:
    """The weights of a ``TorchModel``, float32, one mapping for every kernel of its model.

    The arrays share memory with parameters that are float32 on the CPU already; those that are not there (on the
    ``meta`` device) are zeros that take none.
    """
    from ..models.runnable.units import kernel_modules

    return [_module_weights(module) for module in kernel_modules(torch_model)]


def _module_weights(module: Any) -> dict[str, npt.NDArray[Any]]:
    found = {name: _array(value) for name, value in module.state_dict().items()}
    eps = getattr(getattr(module, "norm", None), "eps", None)
    return found if eps is None else found | {"norm.eps": np.array(eps)}


def _array(value: Any) -> npt.NDArray[Any]:
    if value.is_meta:
        return np.broadcast_to(np.float32(0.0), tuple(value.shape))
    return value.detach().cpu().numpy()


def check_weights(model: Model, weights: Sequence[KernelWeights]) -> None:
    """Refuse weights that are another model's.

    Raises:
        InputError: another number of kernels, or of parameters in one of them.
    """
    if len(weights) != len(model.kernels):
        raise InputError(f"weights are for {len(weights)} kernels, the model {model.name} has {len(model.kernels)}")
    for kernel, arrays in zip(model.kernels, weights, strict=True):
        learnt = sum(array.size for name, array in arrays.items() if name.endswith((".weight", ".bias")))
        if learnt != (wanted := kernel.layer.params(kernel.in_shape)):
            raise InputError(f"weights of kernel {kernel.name} of {model.name} are {learnt} numbers, allowed: {wanted}")


def digest(weights: Iterable[KernelWeights]) -> str:
    """A hash of weights: equal ones have the same on every machine."""
    found = hashlib.sha256()
    for arrays in weights:
        for name in sorted(arrays):
            values = np.ascontiguousarray(arrays[name])
            found.update(f"{name} {values.dtype.str} {values.shape} ".encode())
            found.update(values.tobytes())
    return found.hexdigest()[:16]


def norm_scale_shift(weights: KernelWeights) -> tuple[Floats, Floats]:
    """A batch norm with its stored statistics as ``scale * x + shift``, each (channels,)."""
    eps = float(weights.get("norm.eps", NORM_EPS))
    scale = weights["norm.weight"] / np.sqrt(weights["norm.running_var"] + eps)
    shift = weights["norm.bias"] - weights["norm.running_mean"] * scale
    return scale.astype(np.float32), shift.astype(np.float32)


def folded(weights: KernelWeights, out_axis: int) -> tuple[Floats, Floats | None]:
    """Kernel and bias of a convolution with its batch norm, if it has one, folded into them.

    Args:
        out_axis: the axis of the kernel that counts output channels (1 for a transposed convolution).

    Returns:
        The kernel in its own shape, and the bias (output channels,) or None.
    """
    kernel, bias = weights["conv.weight"], weights.get("conv.bias")
    if "norm.weight" not in weights:
        return kernel, bias
    scale, shift = norm_scale_shift(weights)
    along = [1] * kernel.ndim
    along[out_axis] = -1
    return kernel * scale.reshape(along), shift if bias is None else bias * scale + shift
