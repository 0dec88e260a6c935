"""Models as plain data, for files and wires: what is read back is built of known layers only, and equal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from ..ui.errors import InputError
from . import blocks, channels, layers, programs, remaps
from .chain import Join, Unit
from .layers import Layer, Shape, stated_fields
from .model import Model

_KINDS: dict[str, type] = {
    **{
        name: kind
        for module in (layers, blocks, remaps, channels, programs)
        for name, kind in vars(module).items()
        if isinstance(kind, type) and issubclass(kind, Layer)
    },
    **{kind.__name__: kind for kind in (Shape, Join, Unit, Model, programs.Operation, programs.Constant)},
}
_MOST_DEPTH = 32


def to_plain(value: Any) -> Any:
    """A model, or part of one, as mappings, lists, numbers and texts."""
    if is_dataclass(value):
        own = {f.name: to_plain(getattr(value, f.name)) for f in stated_fields(value)}
        return {"is": type(value).__name__, **own}
    if isinstance(value, tuple):
        return [to_plain(v) for v in value]
    return value


def model_from(data: Mapping[str, Any], fingerprint: str = "") -> Model:
    """The model that plain data describes.

    Args:
        data: from :func:`to_plain`.
        fingerprint: that it must have.

    Raises:
        InputError: it describes none, or another.
    """
    try:
        model = _built(data, 0)
        if not isinstance(model, Model):
            raise TypeError(f"it is a {type(model).__name__}")
        found = model.fingerprint
    except (TypeError, ValueError, KeyError, AttributeError, IndexError, ArithmeticError) as error:
        raise InputError(f"model: is not one ({type(error).__name__}: {error})") from None
    if fingerprint not in ("", found):
        raise InputError(f"model: its fingerprint is {found}, expected {fingerprint}")
    return model


def _built(value: Any, depth: int) -> Any:
    if depth > _MOST_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, Mapping):
        kind = _KINDS[value["is"]]
        return kind(**{name: _built(v, depth + 1) for name, v in value.items() if name != "is"})
    if isinstance(value, list | tuple):
        return tuple(_built(v, depth + 1) for v in value)
    if not isinstance(value, str | int | float | bool | None):
        raise TypeError(f"{type(value).__name__} is no plain data")
    return value
