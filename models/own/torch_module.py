"""A torch module as ONNX, by torch's own exporter: one reader is for both."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from copy import deepcopy
from functools import cache
from io import StringIO
from typing import Any, cast

import torch
from torch import nn

from ...ui.errors import InputError
from ...ui.programs import install
from ..layers import Shape


def exported(module: nn.Module, source: str, shape: Shape) -> Any:
    """The ONNX ModelProto of a module in eval mode for one image.

    Args:
        module: takes (1, channels, height, width) and returns tensors.
        source: where the module comes from, for messages.
        shape: of the input.

    Raises:
        InputError: the module cannot be exported, or a package for it is missing; the message says why.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError:
        raise InputError(
            f"{source}: reading torch modules needs the packages onnx and onnxscript ({install('onnx', 'onnxscript')})"
        ) from None
    try:
        image = torch.zeros(1, shape.channels, shape.height, shape.width)
        with _quiet():
            _keep_operators()
            own = deepcopy(module).cpu().float().eval()
            program = torch.onnx.export(own, (image,), dynamo=True, optimize=False, verbose=False)
            assert program is not None
            return program.model_proto
    except Exception as error:  # whatever the user's own code raises
        raise InputError(f"{source}: torch.onnx.export fails ({_cause(error)})") from None


@cache
def _keep_operators() -> None:
    """Every export asks for ONNX's forms of all of torch's operators, and reads their sources, which takes longer than
    all the rest; they are the same each time.
    """
    with suppress(ImportError, AttributeError):  # where this version of torch does otherwise
        from torch.onnx._internal import _lazy_import

        asked = cast(Any, _lazy_import).onnxscript_apis
        asked.get_torchlib_ops = cache(asked.get_torchlib_ops)


def _cause(error: BaseException) -> str:
    """The first of the errors that led to one, in a line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's warnings, log and dumps: what matters of them is in the error."""
    disabled = logging.root.manager.disable
    logging.disable()
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
