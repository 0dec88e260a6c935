"""The messages of the runtime: typed, bounded, in MessagePack. No I/O here, and nothing that runs what it reads.

Control messages are structs that are told apart by their tag. Data travels in chunks: a header that says which rows
of which tensor of which item these bytes belong to, and the raw bytes beside it. Whoever a message comes from is
named by the transport; what names itself in a message is only ever compared with that.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from ..models.model import ValueBytes
from .wire_requests import AnyAnswer, AnyRequest
from .wire_training_plan import Part, TrainingPlan
from .wire_types import (
    UINT8,
    VALUE_BYTES,
    Count,
    EchoSize,
    Message,
    Moment,
    Name,
    Peer,
    Seconds,
    Size,
    Small,
    Text,
    Token,
    WireError,
)

VERSION = 2


class Hello(Message, frozen=True, tag="hello"):
    """A controller wants a worker: the first message of a session.

    Attributes:
        version: of the wire.
        software: splitgym's version.
        session: a token of the controller's, new for every session.
        results: ``host:port`` where the controller listens for data.
        asked: how often it has asked the worker.
    """

    version: Small
    software: Name
    session: Token
    results: Text
    asked: Count = 0


class Welcome(Message, frozen=True, tag="welcome"):
    """A worker is ready for the session.

    Attributes:
        incarnation: differs every time the worker starts.
        data: port where it listens for data.
        machine: what it runs on, for people.
        power: what tells its energy, empty for nothing.
        boot: the same for all workers of one machine, empty where it cannot be told.
        measures: whether it measures on request.
        asked: of the hello that it answers.
    """

    session: Token
    incarnation: Count
    software: Name
    data: Annotated[int, Meta(ge=1, le=65535)]
    machine: Text
    power: Text = ""
    boot: Name = ""
    measures: bool = False
    asked: Count = 0


class Refuse(Message, frozen=True, tag="refuse"):
    """A worker cannot do what it was asked, in one line."""

    reason: Text


class Pace(Struct, frozen=True, forbid_unknown_fields=True):
    """How slow an emulated device and its links are; times are dilated already. See :mod:`.pacing`.

    Attributes:
        compute: "table" or "dilate".
        volume_s: with "table": seconds of this device's part of every volume, 0 for none.
        tail_s: with "table": seconds of the tail.
        dilation: with "dilate": by which a part's thread time is multiplied.
        message_s, byte_s: of a message to every device, then to the requester: fixed cost and seconds a byte.
        in_byte_s: of everything that comes in over this device's link from other devices.
        scatter_byte_s: of what the requester sends it.
    """

    compute: str
    volume_s: tuple[Seconds, ...]
    tail_s: Seconds
    dilation: Annotated[float, Meta(ge=0.0, le=1e6)]
    message_s: tuple[Seconds, ...]
    byte_s: tuple[Seconds, ...]
    in_byte_s: Seconds
    scatter_byte_s: Seconds


class PlanMessage(Message, frozen=True, tag="plan"):
    """A new epoch: the plan, the network and where everybody is.

    Attributes:
        epoch: rises with every plan of a session.
        device: which of the plan's devices the receiver is.
        model: the network as plain data (see :mod:`..models.serial`).
        weights: digests of the blobs of its steps, in order.
        steps: those whose weights the receiver needs.
        plan: a spatial plan as JSON data.
        volumes: how many of its volumes are run.
        dtype: what activations are on the wire.
        peers: by the plan's devices.
        in_flight: items that may be under way at once.
        pace: where the device is emulated.
        image_dtype: what the image is on the wire.
        first: of the stream's items; those before are over.
    """

    session: Token
    epoch: Count
    device: Small
    model: dict[str, Any]
    weights: tuple[Token, ...]
    steps: tuple[Small, ...]
    plan: dict[str, Any]
    volumes: Small
    dtype: Annotated[int, Meta(ge=0, le=2)]
    peers: tuple[Peer, ...]
    in_flight: Annotated[int, Meta(ge=1, le=64)]
    pace: Pace | None = None
    image_dtype: Annotated[int, Meta(ge=0, le=2)] = UINT8
    first: Count = 0

    @property
    def value_bytes(self) -> ValueBytes:
        """Of values on the wire."""
        return ValueBytes(VALUE_BYTES[self.dtype], VALUE_BYTES[self.image_dtype])

    @property
    def needed(self) -> frozenset[str]:
        """Digests of what the receiver must have on its disk."""
        return frozenset(self.weights[step] for step in self.steps if step < len(self.weights))

    @property
    def own(self) -> Peer:
        """The receiver's present."""
        return self.peers[self.device]

    def is_for(self, incarnation: int) -> bool:
        """Whether it is for a start of the receiver; a plan without the receiver fails when it is built."""
        return self.device >= len(self.peers) or self.own.incarnation == incarnation

    def carries(self, data: Data) -> bool:
        """Whether something is rows of this plan's network."""
        return isinstance(data, Chunk) and data.weights == self.weights[0]


class Want(Message, frozen=True, tag="want"):
    """Digests of weights that a worker has not got."""

    session: Token
    epoch: Count
    digests: tuple[Token, ...]


class Blob(Message, frozen=True, tag="blob"):
    """A chunk of weights that are wanted for an epoch; the bytes lie beside it."""

    session: Token
    epoch: Count
    digest: Token
    offset: Size
    size: Size


class Ready(Message, frozen=True, tag="ready"):
    """A worker has built its parts of the plan.

    Attributes:
        holds: whether it goes on with what it had of the same training, weights and copies of them.
    """

    session: Token
    epoch: Count
    holds: bool = False


class Span(Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """What a device did from when to when, keyed as the physics' events are.

    Attributes:
        kind: compute, send or receive; scatter for what the requester sends.
        start_s, end_s: on the device's monotonic clock.
        label: the volume or ``tail``; the other device of a message, ``R`` for the requester.
        size_bytes: of a message.
        boundary: of a message, the unit in front of which its rows are read.
        wait_s: of a message, until its first byte left; of rows that came in, held back by the emulated link.
        copy_s: of a message, spent on copies of its rows.
        joules: told by the board, NaN where it tells none.
        rest_bytes, rest_s: of rows that complete a message, its bytes behind the first chunk and how long they took to
            come, an emulated link's time included; 0 where it had one chunk.
    """

    kind: Name
    start_s: Moment
    end_s: Moment
    label: Name
    size_bytes: Count = 0
    boundary: Small = 0
    wait_s: Moment = 0.0
    copy_s: Moment = 0.0
    joules: float = float("nan")
    rest_bytes: Count = 0
    rest_s: Seconds = 0.0


class Spans(Message, frozen=True, tag="spans"):
    """All that a device did for one item.

    Attributes:
        overrun_s: by how much real work took longer than what it stands for; the item is not valid then.
        joules: that the board says it has used so far, NaN where it tells none.
    """

    session: Token
    epoch: Count
    item: Count
    spans: tuple[Span, ...]
    overrun_s: Seconds = 0.0
    joules: float = float("nan")


class Heartbeat(Message, frozen=True, tag="heartbeat"):
    """A sign of life, in both directions.

    Attributes:
        since_s: how long the worker has been in its phase.
        sent_s: when it leaves, on the sender's clock.
        echo_s, held_s: ``sent_s`` of the last one that came, and how long ago that was: for the difference of clocks.
        lacks: a peer whose rows its oldest item waits for, empty for none.
    """

    session: Token
    incarnation: Count = 0
    epoch: Count = 0
    item: Count = 0
    phase: Name = ""
    since_s: Seconds = 0.0
    sent_s: Moment = 0.0
    echo_s: Moment = 0.0
    held_s: Seconds = 0.0
    lacks: Name = ""


class Reset(Message, frozen=True, tag="reset"):
    """Drop everything of an epoch and before; nothing of it is computed or sent any more."""

    session: Token
    epoch: Count


class Bye(Message, frozen=True, tag="bye"):
    """The session is over."""

    session: Token


class Failed(Message, frozen=True, tag="failed"):
    """A worker cannot go on with an epoch, in one line.

    Attributes:
        peer: that cannot be reached, where this is why.
    """

    session: Token
    epoch: Count
    reason: Text
    peer: Name = ""


AnyPlan = PlanMessage | TrainingPlan
Control = (
    Hello | Welcome | Refuse | AnyPlan | Want | Blob | Ready | Spans | Heartbeat | Reset | Bye | Failed
    | AnyRequest | AnyAnswer
)  # fmt: skip


class Chunk(Struct, frozen=True, forbid_unknown_fields=True, array_like=True, tag="c"):
    """The header of some bytes of a piece of rows.

    Attributes:
        session, epoch, incarnation: of the sender; anything that is not the receiver's own present is dropped.
        item: of the stream.
        boundary, tensor, lo, hi: which rows (see :class:`.geometry.Piece`).
        dtype: what they are made of.
        weights: digest of the network's weights.
        offset, size: where the bytes belong, and bytes of the whole piece.
        message_bytes: of all pieces of the message.
        begun_s: when the sender began the message, on its clock; for pacing on one machine.
    """

    session: Token
    epoch: Count
    incarnation: Count
    item: Count
    boundary: Small
    tensor: Name
    lo: Small
    hi: Small
    dtype: Annotated[int, Meta(ge=0, le=2)]
    weights: Token
    offset: Size
    size: Size
    message_bytes: Size
    begun_s: Moment


class Echo(Struct, frozen=True, forbid_unknown_fields=True, array_like=True, tag="e"):
    """The header of some bytes that say nothing, for measuring a link; no bytes lie beside a tiny message.

    Attributes:
        number: of the message; what answers it has the same.
        offset, size: of these bytes in the message, and of the whole message.
        wanted: bytes of the message that is to answer it once it is whole; 0 for a tiny one.
    """

    session: Token
    number: Count
    offset: EchoSize
    size: EchoSize
    wanted: EchoSize


Data = Chunk | Part  # of a plan
_encode = msgspec.msgpack.Encoder().encode
_control = msgspec.msgpack.Decoder(Control)
_chunk = msgspec.msgpack.Decoder(Chunk | Part)
_data = msgspec.msgpack.Decoder(Chunk | Part | Echo)


def encode(message: Control | Chunk | Part | Echo) -> bytes:
    """A message as bytes."""
    return _encode(message)


def decode_control(data: bytes | memoryview) -> Control:
    """A control message.

    Raises:
        WireError: it is none.
    """
    try:
        return _control.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"no control message: {error}") from None


def decode_chunk(data: bytes | memoryview, payload_bytes: int) -> Data:
    """The header of a chunk of rows, or of a part of a packet.

    Raises:
        WireError: it is none, or the bytes beside it lie outside its piece or packet.
    """
    return _checked(_decoded(_chunk, data), payload_bytes)


def decode_data(data: bytes | memoryview, payload_bytes: int) -> Data | Echo:
    """The header of a chunk, a part or an echo.

    Raises:
        WireError: it is none, or the bytes beside it lie outside its piece, packet or message.
    """
    found = _decoded(_data, data)
    if not isinstance(found, Echo):
        return _checked(found, payload_bytes)
    if found.offset + payload_bytes > found.size or (payload_bytes == 0) != (found.size == 0):
        raise WireError(f"{payload_bytes} bytes at {found.offset} do not fit a message of {found.size}")
    return found


def _decoded(decoder: Any, data: bytes | memoryview) -> Any:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"no data: {error}") from None


def _checked(found: Data, payload_bytes: int) -> Data:
    most = found.message_bytes if isinstance(found, Chunk) else found.size
    if not (payload_bytes > 0 and found.offset + payload_bytes <= found.size <= most):
        raise WireError(f"{payload_bytes} bytes at {found.offset} do not fit a piece of {found.size}")
    return found
