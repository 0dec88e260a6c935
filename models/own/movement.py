"""Nodes that only place values, as the layer that places them alike: found by where every value goes.

Shuffles and pixel shuffles are written as reshapes and transposes in many ways. Instead of patterns of nodes, the nodes
are run on a map whose values say where they come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..channels import Shuffle
from ..layers import Layer, Shape
from ..programs import Program
from ..remaps import DepthToSpace, Reorg

PLACES = {
    "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Concat", "Slice", "Split", "Identity", "Gather",
    "DepthToSpace", "Expand",
}  # fmt: skip


def placed(program: Program, shape: Shape, weights: dict[str, np.ndarray]) -> Layer | None:
    """The layer that places the values of a map as a program of :data:`PLACES` does, None where there is none."""
    import torch

    from ..runnable.layers import KernelModule
    from ..runnable.programs import ProgramModule

    module = ProgramModule(program, shape)
    module.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    count = shape.elements
    if count >= 2**24:  # float32 counts no further
        return None
    source = torch.arange(count, dtype=torch.float32).reshape(1, shape.folded_channels, shape.height, shape.width)
    with torch.no_grad():
        target = module(source)
        for layer in _candidates(shape, program.out):
            from ..runnable.blocks import layer_module

            candidate = layer_module(layer, shape)
            assert isinstance(candidate, KernelModule)
            if torch.equal(candidate(source), target):
                return layer
    return None


def _candidates(shape: Shape, out: Shape) -> Iterator[Layer]:
    channels = shape.folded_channels
    if (out.height, out.width) == (shape.height, shape.width):
        yield from (Shuffle(groups) for groups in range(2, channels) if channels % groups == 0)
        return
    for down, up, kind in ((shape, out, DepthToSpace), (out, shape, Reorg)):
        stride = up.height // max(down.height, 1)
        if stride > 1 and (down.height * stride, down.width * stride) == (up.height, up.width):
            yield from (kind(stride, order) for order in _ORDERS)


_ORDERS: Sequence = ("channel", "patch")
