"""Packets of a training: a header with its tensors, and the bytes that they are on a wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..compute import DTYPES as ROW_DTYPES
from ..packet_links import Sealed
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
    return Packet(found.header, {s.name: _tensor(s, data) for s, data in zip(found.tensors, payloads, strict=True)})


def seal(packet: Packet) -> Sealed:
    """A packet as one row of bytes."""
    envelope, payloads = to_wire(packet)
    return Sealed(b"".join([envelope, *payloads]), len(envelope))


def opened(sealed: Sealed) -> Envelope:
    """What a row of bytes says of itself.

    Raises:
        WireError: it is no packet.
    """
    return decode(memoryview(sealed.data)[: sealed.envelope_bytes], len(sealed.data) - sealed.envelope_bytes)


def unseal(sealed: Sealed, envelope: Envelope) -> Packet:
    """The packet that a row of bytes is; its tensors have memory of their own."""
    view, at, tensors = memoryview(sealed.data), sealed.envelope_bytes, dict[str, Tensor]()
    for spec in envelope.tensors:
        tensors[spec.name] = _tensor(spec, view[at : at + spec.size_bytes])
        at += spec.size_bytes
    return Packet(envelope.header, tensors)


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


def _tensor(spec: Spec, data: Buffer) -> Tensor:
    if not len(data):
        return torch.empty(spec.shape, dtype=DTYPES[spec.dtype])
    return torch.frombuffer(bytearray(data), dtype=DTYPES[spec.dtype]).view(spec.shape)


def _bytes(value: Tensor) -> memoryview:
    return memoryview(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]
