"""How long a packet of a training can be, from its model alone: whoever receives keeps room for nothing longer."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...models.model import Model
from ...models.runnable.units import TorchModel
from ..packet_links import Sealed
from ..wire_training import MOST_TENSORS
from ..wire_training_plan import Setup
from ..wire_types import MOST_PIECE_BYTES
from .half import boundary_shapes

MEMORIES = 2  # tensors that an optimiser remembers of a parameter: Adam's two moments
VALUE_BYTES, LABEL_BYTES = 4, 8
BESIDE_BYTES = 1024  # that keeping a packet takes beside its own
HEADER_BYTES, SPEC_BYTES = 64 * 1024, 300  # of an envelope: its header, and what it says of a tensor


@dataclass(frozen=True)
class Limits:
    """What may be on its way.

    Attributes:
        packet_bytes, envelope_bytes: of a packet at most, and of its envelope.
        waiting_bytes: of a sender's packets that are whole and wait to be handled (:func:`kept_bytes`).
    """

    packet_bytes: int
    envelope_bytes: int
    waiting_bytes: int


def limits_of(setup: Setup, model: Model) -> Limits:
    """What can travel in a training: states with what optimisers remember and stashed weights, or a batch's tensors."""
    with torch.device("meta"):
        network = TorchModel(model).train()
        shapes = boundary_shapes(network)
    values = list(network.state_dict().values())
    widest = max((unit.out_shape.channels for unit in model.kernels), default=1)
    codec = 4 * 9 * widest**2 if setup.settings else 0  # encoder and decoder of a compressing cut, at most
    copies = 1 + MEMORIES + setup.in_flight
    tensors = copies * (len(values) + 8)
    weights_bytes = copies * (sum(v.numel() * v.element_size() for v in values) + codec * VALUE_BYTES)
    sample = max(sum(torch.Size(shape).numel() for shape in found.values()) for found in shapes)
    batch_bytes = (setup.batch + 1) * (sample * VALUE_BYTES + LABEL_BYTES) + VALUE_BYTES * widest
    envelope_bytes = HEADER_BYTES + SPEC_BYTES * min(tensors, MOST_TENSORS)
    packet_bytes = min(envelope_bytes + max(weights_bytes, batch_bytes), MOST_PIECE_BYTES)
    return Limits(packet_bytes, envelope_bytes, (setup.in_flight + 1) * packet_bytes)


def kept_bytes(sealed: Sealed) -> int:
    """What a packet that waits takes."""
    return len(sealed.data) + BESIDE_BYTES
