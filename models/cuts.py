"""Where the training of a model may be cut."""

from __future__ import annotations

from .blocks import Block
from .model import Model


def cut_points(model: Model, stem: bool = False) -> tuple[int, ...]:
    """Steps (``Model.steps``) in front of every place where training may be cut, from 0 to all of them.

    A place lies behind every step. In a residual network it lies behind every residual block, as the paths around a
    block cannot be cut; what comes behind the last block is one piece, and what comes before the first belongs to it.

    Args:
        model: the network.
        stem: whether a residual network may also be cut in front of its first block.
    """
    residual = [
        i
        for i, unit in enumerate(model.units)
        if any(isinstance(layer, Block) and layer.combine == "add" for layer in unit.layers)
    ]
    last = len(model.steps)
    if not residual:
        return tuple(range(last + 1))
    before = (residual[0],) if stem and residual[0] > 0 else ()
    return (0, *before, *(i + 1 for i in residual if i + 1 < last), last)
