"""A network by its name: one of the zoo, or a user's own."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from ..ui.errors import InputError
from ..ui.names import meant
from .model import Model
from .own.names import is_own
from .zoo.catalogue import MODELS

if TYPE_CHECKING:
    from .runnable.units import TorchModel


def get_model(name: str) -> Model:
    """The network called ``name``: from the zoo, always the same object, or a user's own (see :mod:`.own.read`).

    Raises:
        InputError: no such network, or one that cannot be read in.
    """
    check_model(name)
    if name in MODELS:
        return _from_zoo(name)
    from .own.read import outline

    return outline(name).model


def model_summaries() -> dict[str, str]:
    """A line about every network of the zoo, by its name."""
    return {name: _from_zoo(name).summary for name in MODELS}


@cache
def _from_zoo(name: str) -> Model:
    return MODELS[name]()


def check_model(name: str, where: str = "") -> None:
    """Whether a name can be a network's; a user's own is not read in.

    Raises:
        InputError: it is not, beginning with ``where``.
    """
    if name not in MODELS and not is_own(name):
        known = meant(name, MODELS, "splitgym-train --list models", "; or your own: path.onnx, module:factory")
        raise InputError(f"{where}{': ' * bool(where)}unknown model {name!r}; {known}")


def runnable(name: str) -> TorchModel:
    """The units and tail of a network as torch modules: with its own weights, a zoo model with random ones.

    Raises:
        InputError: no such network, or it cannot be read in.
    """
    if is_own(name):
        from .own.read import import_model

        return import_model(name).build()
    from .runnable.units import build

    return build(get_model(name))
