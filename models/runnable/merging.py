"""Maps put together value by value or by channels, in torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..blocks import Combine

_BY_VALUE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "max": torch.maximum,
    "min": torch.minimum,
    "pow": torch.pow,
}


def put_together(combine: Combine, maps: Sequence[Tensor]) -> Tensor:
    """Maps put together in their order; sizes of 1 are repeated."""
    if combine == "concat":
        return torch.cat(list(maps), 1)
    total = maps[0]
    for other in maps[1:]:
        total = _BY_VALUE[combine](total, other)
    return total
