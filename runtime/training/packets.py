"""Packets of a training: a header with its tensors, and the bytes that they are on a wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..compute import DTYPES as ROW_DTYPES
from ..transport import Buffer
from ..wire_training import INT64, AnyHeader, Envelope, Spec, decode, encode
from ..wire_types import WireError

DTYPES = {**ROW_DTYPES, INT64: torch.int64}
CODES = {dtype: code for code, dtype in DTYPES.items()}


@dataclass(frozen=True)
class Packet:
    """A message of a training."""

    header: AnyHeader
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Outgoing:
    """A packet for somebody: a member, or the controller."""

    to: str
    packet: Packet


def to_wire(packet: Packet) -> tuple[bytes, list[memoryview]]:
    """A packet as bytes: the envelope, and every tensor's."""
    specs = tuple(Spec(name, CODES[value.dtype], tuple(value.shape)) for name, value in packet.tensors.items())
    return encode(Envelope(packet.header, specs)), [_bytes(value) for value in packet.tensors.values()]


def from_wire(envelope: bytes | memoryview, payloads: Sequence[Buffer]) -> Packet:
    """The packet that bytes are; its tensors have memory of their own.

    Raises:
        WireError: they are none.
    """
    found = decode(envelope, [len(payload) for payload in payloads])
    tensors = {
        spec.name: torch.frombuffer(bytearray(payload), dtype=DTYPES[spec.dtype]).view(spec.shape)
        if payload
        else torch.empty(spec.shape, dtype=DTYPES[spec.dtype])
        for spec, payload in zip(found.tensors, payloads, strict=True)
    }
    return Packet(found.header, tensors)


def expect(packet: Packet, due: Mapping[str, tuple[Sequence[int], torch.dtype]]) -> Mapping[str, Tensor]:
    """The tensors of a packet, if they are exactly those that are due.

    Args:
        due: shape and type by name.

    Raises:
        WireError: others came.
    """
    came = {name: (tuple(value.shape), value.dtype) for name, value in packet.tensors.items()}
    wanted = {name: (tuple(shape), dtype) for name, (shape, dtype) in due.items()}
    if came != wanted:
        bad = next(name for name in (*wanted, *came) if came.get(name) != wanted.get(name))
        kind = type(packet.header).__name__.lower()
        raise WireError(f"{kind} {packet.header.number}: {bad} is {came.get(bad)}, due is {wanted.get(bad)}")
    return packet.tensors


def _bytes(value: Tensor) -> memoryview:
    return memoryview(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]
