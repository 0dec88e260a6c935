"""The messages of training: what is logged, what members and their controller say, and tensors beside it. No I/O here.

A packet is a header and named tensors. Every header says its *epoch*, which rises whenever the training is taken back
to a checkpoint, and the *number* of the log's entry that it belongs to; what is of another epoch is dropped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from .wire_types import FLOAT16, FLOAT32, MOST_PIECE_BYTES, UINT8, Count, Name, Seconds, Size, Small, WireError

INT64 = 3  # labels, and how many batches a batch norm has seen; the others are as rows of maps are
VALUE_BYTES = {FLOAT32: 4, UINT8: 1, FLOAT16: 2, INT64: 8}
MOST_TENSORS = 100_000
MOST_SAMPLES = 2**20  # of a batch

Label = Annotated[str, Meta(max_length=200)]  # of a tensor: parameters have long names
Rate = Annotated[float, Meta(ge=0.0, le=1e6)]
Samples = Annotated[int, Meta(ge=0, le=MOST_SAMPLES)]
Steps = Annotated[tuple[Small, ...], Meta(max_length=100_000)]
Three = Annotated[tuple[Name, ...], Meta(min_length=3, max_length=3)]
Shares = Annotated[tuple[Samples, ...], Meta(min_length=3, max_length=3)]


class Entry(Struct, frozen=True, forbid_unknown_fields=True, tag_field="is"):
    """Something that changes weights, once: what the log holds, enough to do it again."""


class Round(Entry, frozen=True, tag="round"):
    """A step of L2S.

    Attributes:
        batch: which of the data's batches.
        cut: steps of the model on the device.
        rate: the learning rate.
    """

    batch: Count
    cut: Small
    rate: Rate


class Sync(Entry, frozen=True, tag="sync"):
    """Copies of layers are made alike again.

    Attributes:
        up, down: steps of the model whose copies the device gives, and the edge.
    """

    up: Steps
    down: Steps


class Minibatch(Entry, frozen=True, tag="minibatch"):
    """A step of EdgeMove's pipeline; fields as in :class:`Round`."""

    batch: Count
    cut: Small
    rate: Rate


class Move(Entry, frozen=True, tag="move"):
    """The pipeline is drained, and layers change sides; none do where both cuts are one.

    Attributes:
        before, after: steps of the model on the client.
    """

    before: Small
    after: Small


class Share(Entry, frozen=True, tag="share"):
    """A step of HierTrain's hybrid parallelism.

    Attributes:
        batch, rate: as in :class:`Round`.
        roles: the workers that play o, s and l.
        m_s, m_l: steps of the model that s and l train.
        b: samples of o, s and l.
    """

    batch: Count
    rate: Rate
    roles: Three
    m_s: Small
    m_l: Small
    b: Shares


class Rearrange(Entry, frozen=True, tag="rearrange"):
    """Layers' weights go to workers that will train them.

    Attributes:
        giver: who holds the whole model.
        takers: steps that each needs, the first so many.
    """

    giver: Name
    takers: dict[Name, Small]


class Compressed(Entry, frozen=True, tag="compressed"):
    """A step of split training through a compressing cut.

    Attributes:
        batch, rate: as in :class:`Round`.
        budget: maps that cross.
    """

    batch: Count
    rate: Rate
    budget: Annotated[int, Meta(ge=1, le=100_000)]


class Redraw(Entry, frozen=True, tag="redraw"):
    """High entries of the filter are drawn anew (resetprune).

    Attributes:
        before_epoch: in front of which that is, for its draws.
    """

    before_epoch: Annotated[int, Meta(ge=0, le=2**31)]


AnyEntry = Round | Sync | Minibatch | Move | Share | Rearrange | Compressed | Redraw


class Header(Struct, frozen=True, forbid_unknown_fields=True, tag_field="is"):
    """Any message.

    Attributes:
        epoch: of the training.
        number: of the entry, from 0.
    """

    epoch: Count
    number: Count


class Do(Header, frozen=True, tag="do"):
    """The controller to whoever begins an entry."""

    entry: AnyEntry


class Input(Header, frozen=True, tag="input"):
    """Images and labels of a batch for a worker that has no data."""

    share: Share


class Forward(Header, frozen=True, tag="forward"):
    """Tensors that cross a cut, and the labels.

    Attributes:
        boundary: steps of the model in front of the cut.
        rate: for the receiver's update.
        returns: whether gradients of what crosses are wanted.
        counted: how many maps count as sent behind a soft filter, which is refused on a wire; -1: all that are there.
    """

    boundary: Small
    rate: Rate
    returns: bool = True
    counted: Annotated[int, Meta(ge=-1, le=100_000)] = -1


class Backward(Header, frozen=True, tag="backward"):
    """Gradients of the tensors that crossed."""


class Gradients(Header, frozen=True, tag="gradients"):
    """Gradients of parameters and what batch norms have seen, on their way to o and, summed, back."""


class Exchange(Header, frozen=True, tag="exchange"):
    """State of some layers for the receiver, and which layers' state it is to answer with.

    Attributes:
        boundary: steps of the model in front of the cut from then on.
        wants: steps of the model.
    """

    boundary: Small
    wants: Steps = ()


class Prepared(Header, frozen=True, tag="prepared"):
    """A member has done its part of an entry.

    Attributes:
        measures: sums over the samples that it tells of: ``loss``, ``right``, ``samples``, and bytes by kind.
    """

    measures: Annotated[dict[Name, float], Meta(max_length=32)] = {}


class Commit(Header, frozen=True, tag="commit"):
    """The entry is logged: what is held for it comes into force.

    Attributes:
        snapshot: whether a :class:`State` of what is then is to follow, before anything else is done.
    """

    snapshot: bool = False


class Snapshot(Header, frozen=True, tag="snapshot"):
    """The controller wants a member's state in front of entry ``number``; answered by :class:`State`."""


class State(Header, frozen=True, tag="state"):
    """All that a member's part of the training is, in front of entry ``number``."""


class Kept(Header, frozen=True, tag="kept"):
    """The checkpoint in front of entry ``number`` is whole: older ones are not gone back to any more."""


class Restore(Header, frozen=True, tag="restore"):
    """A new epoch begins in front of entry ``number``.

    Attributes:
        whole: whether the state lies beside it; else it is the member's own.
    """

    whole: bool = False


class Restored(Header, frozen=True, tag="restored"):
    """A member stands there."""


class Probe(Header, frozen=True, tag="probe"):
    """Train a test model on the data beside it; answered by :class:`Probed`. It belongs to no epoch.

    Attributes:
        model: as plain data (see :mod:`..models.serial`).
        iterations: that are timed.
    """

    model: dict[str, Any]
    iterations: Annotated[int, Meta(ge=1, le=1000)]


class Probed(Header, frozen=True, tag="probed"):
    """How long a minibatch of a probe took."""

    minibatch_s: Seconds


AnyHeader = (
    Do | Input | Forward | Backward | Gradients | Exchange | Prepared | Commit | Snapshot | State | Kept | Restore
    | Restored | Probe | Probed
)  # fmt: skip


class Spec(Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """A tensor beside a header."""

    name: Label
    dtype: Annotated[int, Meta(ge=0, le=3)]
    shape: Annotated[tuple[Size, ...], Meta(max_length=6)]

    @property
    def size_bytes(self) -> int:
        """Of the tensor."""
        return math.prod(self.shape) * VALUE_BYTES[self.dtype]


class Envelope(Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """A header and the tensors beside it."""

    header: AnyHeader
    tensors: Annotated[tuple[Spec, ...], Meta(max_length=MOST_TENSORS)] = ()


_encode = msgspec.msgpack.Encoder().encode
_envelope = msgspec.msgpack.Decoder(Envelope)


def encode(envelope: Envelope) -> bytes:
    """An envelope as bytes."""
    return _encode(envelope)


def decode(data: bytes | memoryview, payload_bytes: Sequence[int] | int) -> Envelope:
    """An envelope, if exactly the bytes that its tensors have lie beside it.

    Args:
        payload_bytes: of every tensor, or of all together.

    Raises:
        WireError: it is none, or what lies beside it is something else.
    """
    try:
        envelope = _envelope.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"no message of a training: {error}") from None
    if isinstance(envelope.header, Forward) and envelope.header.counted >= 0:
        raise WireError("a soft filter is for members in one process")
    due = [spec.size_bytes for spec in envelope.tensors]
    total = payload_bytes if isinstance(payload_bytes, int) else sum(payload_bytes)
    fits = total == sum(due) <= MOST_PIECE_BYTES if isinstance(payload_bytes, int) else due == list(payload_bytes)
    if not fits or total > MOST_PIECE_BYTES:
        raise WireError(f"{total} bytes do not fit {len(due)} tensors of {sum(due)}")
    if len({spec.name for spec in envelope.tensors}) != len(due):
        raise WireError("two tensors have one name")
    return envelope


def entry_to_json(entry: Entry) -> dict[str, Any]:
    """An entry as a log's line holds it."""
    return msgspec.to_builtins(entry)


def entry_from_json(data: Mapping[str, Any]) -> AnyEntry:
    """An entry of a log.

    Raises:
        WireError: it is none.
    """
    try:
        return msgspec.convert(data, AnyEntry)
    except msgspec.ValidationError as error:
        raise WireError(f"no entry of a training: {error}") from None
