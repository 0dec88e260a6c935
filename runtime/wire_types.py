"""What messages are made of: bounded names, numbers and codes."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

FLOAT32, UINT8, FLOAT16 = 0, 1, 2  # codes of what tensors are made of
VALUE_BYTES = {FLOAT32: 4, UINT8: 1, FLOAT16: 2}
IMAGE_SCALE = 1.0 / 255.0  # camera bytes as networks see them; an image that is no bytes on the wire is scaled before

MOST_PIECE_BYTES = 2**30
MOST_ECHO_BYTES = 4 * 2**20
MOST_ITEMS = 2**53
Name = Annotated[str, Meta(max_length=64)]
Text = Annotated[str, Meta(max_length=1000)]
Token = Annotated[str, Meta(min_length=8, max_length=64, pattern="^[0-9a-f]+$")]  # of a session, digests
Count = Annotated[int, Meta(ge=0, le=MOST_ITEMS)]
Size = Annotated[int, Meta(ge=0, le=MOST_PIECE_BYTES)]
Small = Annotated[int, Meta(ge=0, le=100_000)]
Seconds = Annotated[float, Meta(ge=0.0, le=1e9)]
Moment = Annotated[float, Meta(ge=-1e12, le=1e12)]  # on some clock; no NaN
EchoSize = Annotated[int, Meta(ge=0, le=MOST_ECHO_BYTES)]


class WireError(ValueError):
    """A message that is none of ours, or out of bounds; the text is for a log."""


class Message(Struct, frozen=True, forbid_unknown_fields=True, tag_field="is"):
    """Any message."""


class Peer(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a device of the plan listens for data, and which start of it that is."""

    name: Name
    address: Text
    incarnation: Count
