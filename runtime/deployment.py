"""A plan with everything needed to carry it out, and the messages that deploy it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..models.model import Model, ValueBytes
from ..models.plans import SpatialPlan
from ..models.serial import to_plain
from . import wire, wire_types
from .geometry import Geometry
from .pacing import RequesterPace


@dataclass(frozen=True)
class Deployment:
    """What workers are to do.

    Attributes:
        model: the network.
        weights: digests of its steps' blobs in the store.
        plan: validated against the model.
        members: the worker that plays each of the plan's devices.
        dtype: what activations are on the wire.
        in_flight: items that may be under way at once.
        paces: of emulated devices.
        requester: the pace of the emulated requester.
        volumes: how many of the plan's are run; all by default.
        image_dtype: what images are on the wire.
    """

    model: Model
    weights: tuple[str, ...]
    plan: SpatialPlan
    members: tuple[str, ...]
    dtype: int = wire_types.FLOAT32
    in_flight: int = 1
    paces: Sequence[wire.Pace] | None = None
    requester: RequesterPace | None = None
    volumes: int | None = None
    image_dtype: int = wire_types.UINT8

    @cached_property
    def geometry(self) -> Geometry:
        """Of the plan."""
        value_bytes = ValueBytes(wire_types.VALUE_BYTES[self.dtype], wire_types.VALUE_BYTES[self.image_dtype])
        return Geometry(self.model, self.plan, value_bytes, self.volumes)

    @cached_property
    def working(self) -> frozenset[str]:
        """Workers that have anything to do, and tell what they did."""
        return frozenset(name for d, name in enumerate(self.members) if self.geometry.parts(d))

    def messages(
        self, session: str, epoch: int, peers: Mapping[str, wire.Peer], first: int = 0
    ) -> dict[str, wire.PlanMessage]:
        """What every member is told.

        Args:
            session, epoch: of the messages.
            peers: every member's present.
            first: the first item.
        """
        geometry, model, plan = self.geometry, to_plain(self.model), self.plan.to_json()
        present = tuple(peers[name] for name in self.members)
        return {
            name: wire.PlanMessage(
                session, epoch, d, model, self.weights, tuple(geometry.steps(d)), plan, geometry.volumes, self.dtype,
                present, self.in_flight, self.paces[d] if self.paces else None, self.image_dtype, first,
            )
            for d, name in enumerate(self.members)
        }  # fmt: skip
