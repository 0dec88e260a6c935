"""Members of a training with a cut that quantise what they send each other (JALAD)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...runtime.training.back import Back
from ...runtime.training.cut import Device
from ...runtime.training.member import Member
from ...runtime.training.packets import Outgoing, Packet
from ...runtime.wire_training import Backward, Forward
from .eight_bits_figure import FLOAT


def squeezed(values: Tensor, bits: int) -> Tensor:
    """What comes out of a tensor that was quantised to 2^bits levels between its ends, both of which are levels.

    Args:
        values: of any shape, float32.
        bits: 1 to 8.
    """
    low, high = values.min(), values.max()
    if not bool(high > low):
        return values
    step = (high - low) / (2**bits - 1)
    codes = ((values - low) / step).round().to(torch.uint8)  # what is sent, beside low and high
    return torch.where(codes == 2**bits - 1, high, low + codes * step)


class Squeezing(Member):
    """A member whose tensors for the other one are quantised; 32 bits leave them as they are."""

    bits: int

    def handle(self, sender: str, packet: Packet) -> list[Outgoing]:
        return [self._squeezed(outgoing) for outgoing in super().handle(sender, packet)]

    def _squeezed(self, outgoing: Outgoing) -> Outgoing:
        header, tensors = outgoing.packet.header, outgoing.packet.tensors
        if self.bits == FLOAT or not isinstance(header, Forward | Backward):
            return outgoing
        sent = {n: squeezed(v, self.bits) if v.dtype == torch.float32 else v for n, v in tensors.items()}
        return Outgoing(outgoing.to, Packet(header, sent))


class SqueezingDevice(Squeezing, Device):
    """The device, with few bits of activations."""

    def __init__(self, bits: int, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.bits = bits


class SqueezingEdge(Squeezing, Back):
    """The edge, with few bits of gradients."""

    def __init__(self, bits: int, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.bits = bits
