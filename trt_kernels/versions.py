"""What differs between TensorRT 8, 10 and 11, told apart by what their API offers.

TensorRT 8 builds weakly typed networks, with half precision as a flag of the builder. From 10 on a network may be
strongly typed: every tensor has the type that its inputs and weights give it. In 11 every network is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..ui.errors import InputError
from ..ui.programs import install

PRECISIONS: dict[str, npt.DTypeLike] = {"FP16": np.float16, "FP32": np.float32}


def how_to_install() -> str:
    """What ends a complaint about TensorRT or PyCUDA that lack."""
    return (
        f"install it with {install('splitgym[tensorrt]')} on a machine with an NVIDIA GPU and the CUDA toolkit "
        "(on a Jetson with JetPack 6 TensorRT is part of the system: make the virtual environment with "
        "--system-site-packages)"
    )


def load_tensorrt() -> Any:
    """The module ``tensorrt``.

    Raises:
        InputError: it is not installed, or its libraries are not.
    """
    try:
        import tensorrt  # pyright: ignore[reportMissingImports]
    except (ImportError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"TensorRT is not available ({reason}): {how_to_install()}") from None
    return tensorrt


def check_precision(precision: str) -> None:
    """Refuse an unknown precision.

    Raises:
        InputError: the precision is not a key of ``PRECISIONS``.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision is {precision!r}, allowed: {', '.join(PRECISIONS)}")


def data_type(trt: Any, precision: str) -> Any:
    """The ``DataType`` of a precision."""
    return trt.DataType.HALF if precision == "FP16" else trt.DataType.FLOAT


def strongly_typed(trt: Any) -> bool:
    """Whether networks are strongly typed here."""
    return hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED") or not hasattr(trt.BuilderFlag, "FP16")


def network_flags(trt: Any) -> int:
    """Flags for ``Builder.create_network``."""
    if hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"):
        return 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    if hasattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH"):
        return 1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
    return 0


def configure(trt: Any, config: Any, precision: str, workspace_bytes: int) -> None:
    """Set the precision and the memory that a kernel may use as scratch space."""
    if precision == "FP32":
        config.clear_flag(trt.BuilderFlag.TF32)  # on by default, with a mantissa of 10 bits
    elif not strongly_typed(trt):
        config.set_flag(trt.BuilderFlag.FP16)
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_bytes)


def set_output_type(trt: Any, tensor: Any, precision: str) -> None:
    """Make a network output have the type of the precision; a strongly typed network has it so already."""
    if not strongly_typed(trt):
        tensor.dtype = data_type(trt, precision)


def channel_layouts(trt: Any, precision: str) -> int:
    """Memory layouts that a kernel's input and output may have inside a network, as ``ITensor.allowed_formats``."""
    if precision == "FP16":
        layouts = (trt.TensorFormat.LINEAR, trt.TensorFormat.CHW2, trt.TensorFormat.HWC8)
    else:
        layouts = (trt.TensorFormat.LINEAR, trt.TensorFormat.HWC, trt.TensorFormat.CHW32)
    return sum(1 << int(layout) for layout in layouts)
