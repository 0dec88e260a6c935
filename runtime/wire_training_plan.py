"""How a training is handed out, and how its packets travel: the message that deploys it, and the header of bytes.

A packet (see :mod:`.training.packets`) is one row of bytes, its envelope first. It travels in parts; those of one link
are numbered and come in order, or the epoch is over.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from .wire_types import Count, Message, Moment, Name, Peer, Seconds, Size, Small, Token

Kind = Literal["cut", "pipeline", "hybrid", "compressed"]
ROLES: dict[Kind, tuple[str, ...]] = {  # a hybrid training's may be called otherwise
    "cut": ("device", "edge"),
    "pipeline": ("client", "server"),
    "hybrid": ("device", "edge", "cloud"),
    "compressed": ("client", "server"),
}
MOST_BATCH = 2**20
MOST_ROLES = 8

Channel = Annotated[float, Meta(ge=-1e6, le=1e6)]  # of an image: its mean or deviation
Channels = Annotated[tuple[Channel, ...], Meta(min_length=1, max_length=100)]
StepSeconds = Annotated[tuple[Seconds, ...], Meta(max_length=100_000)]
RoleSeconds = Annotated[tuple[Seconds, ...], Meta(max_length=MOST_ROLES)]
Batch = Annotated[int, Meta(ge=1, le=MOST_BATCH)]


class Setup(Struct, frozen=True, forbid_unknown_fields=True):
    """A training: what all its members must agree on. Where two agree on it and on its data, they are the same.

    Attributes:
        kind: which protocol.
        roles: its members; the first has the data.
        model: the network as plain data (see :mod:`..models.serial`).
        optimizer, momentum, weight_decay: of the updates.
        batch: images a step.
        seed: of the weights, and of the order of the images.
        images: of an epoch, 0 for all.
        flips: whether images are mirrored at random.
        mean, deviation: of the images by channel.
        every: entries between two checkpoints, 0 for none.
        in_flight: of a pipeline.
        cut: of a pipeline, at first.
        threads: that every member computes with; another number may change the last bits.
        settings: of a compressed training (:class:`.training.settings.Settings`), as plain data.
    """

    kind: Kind
    roles: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=MOST_ROLES)]
    model: dict[str, Any]
    optimizer: Literal["sgd", "adam"]
    momentum: Annotated[float, Meta(ge=0.0, le=0.9999)]
    weight_decay: Annotated[float, Meta(ge=0.0, le=1.0)]
    batch: Batch
    seed: Count
    images: Annotated[int, Meta(ge=0, le=2**40)]
    flips: bool
    mean: Channels
    deviation: Channels
    every: Annotated[int, Meta(ge=0, le=1_000_000)]
    in_flight: Annotated[int, Meta(ge=1, le=64)] = 1
    cut: Small = 0
    threads: Annotated[int, Meta(ge=1, le=64)] = 1
    settings: dict[str, Any] = {}


class TrainingPace(Struct, frozen=True, forbid_unknown_fields=True):
    """How slow an emulated member and its links are; times are dilated already.

    Attributes:
        forward_s, backward_s: seconds of a whole batch through every step of the model; fewer samples take their share.
        update_s: seconds of the update of every step of the model.
        message_s, byte_s: of a message to every role, in their order: fixed cost and seconds a byte.
    """

    forward_s: StepSeconds
    backward_s: StepSeconds
    update_s: StepSeconds
    message_s: RoleSeconds
    byte_s: RoleSeconds


class TrainingPlan(Message, frozen=True, tag="training"):
    """A new epoch of a session that trains: who plays which role now.

    Attributes:
        epoch: rises with every plan of a session.
        role: the receiver's, by its number.
        setup: of the training.
        peers: who plays each role, in their order.
        data: digests of the data set's blobs for the member that has the data, empty for the others.
        pace: where the receiver is emulated.
        training: of all of a session's; another one begins anew, even if nothing else differs.
    """

    session: Token
    epoch: Count
    role: Small
    setup: Setup
    peers: Annotated[tuple[Peer, ...], Meta(min_length=1, max_length=MOST_ROLES)]
    data: Annotated[tuple[Token, ...], Meta(max_length=1000)] = ()
    pace: TrainingPace | None = None
    training: Count = 0

    @property
    def needed(self) -> frozenset[str]:
        """Digests of what the receiver must have on its disk."""
        return frozenset(self.data)

    @property
    def own(self) -> Peer:
        """The receiver's present."""
        return self.peers[self.role]

    def is_for(self, incarnation: int) -> bool:
        """Whether it is for a start of the receiver; a plan without the receiver fails when it is built."""
        return self.role >= len(self.peers) or self.own.incarnation == incarnation

    def carries(self, data: Any) -> bool:
        """Whether something is part of a training's packet."""
        return isinstance(data, Part)


class Part(Struct, frozen=True, forbid_unknown_fields=True, array_like=True, tag="p"):
    """The header of some bytes of a packet.

    Attributes:
        session, epoch, incarnation: of the sender, of the session's epoch; anything that is not the receiver's own
            present is dropped.
        number: of the packet on its link, from 0 in every epoch.
        offset, size: where the bytes belong, and bytes of the whole packet.
        envelope_bytes: of its envelope, which comes first.
        begun_s: when the sender began the packet, on its clock.
    """

    session: Token
    epoch: Count
    incarnation: Count
    number: Count
    offset: Size
    size: Size
    envelope_bytes: Size
    begun_s: Moment
