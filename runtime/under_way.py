"""What a controller has of the plan that is served, and of items that are under way."""

from __future__ import annotations

from dataclasses import dataclass, field

from . import wire
from .geometry import Geometry, Piece
from .pacing import RequesterPace


@dataclass
class UnderWay:
    """An item whose result is not all there, or whose workers have not told what they did."""

    begun_s: float
    ended_s: float = 0.0
    came: dict[Piece, bytearray] = field(default_factory=dict)
    spans: dict[str, tuple[wire.Span, ...]] = field(default_factory=dict)
    own: list[wire.Span] = field(default_factory=list)
    overrun_s: float = 0.0
    joules: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Deployed:
    """What is being served: the plan's geometry and everything needed to feed it."""

    geometry: Geometry
    members: tuple[str, ...]
    message: wire.PlanMessage
    pace: RequesterPace | None
    reporting: frozenset[str]

    def may_tell(self, spans: tuple[wire.Span, ...]) -> bool:
        """Whether all that a worker tells is about volumes, devices and boundaries that there are."""
        volumes = {*map(str, range(self.geometry.volumes)), "tail"}
        others = {*map(str, range(self.geometry.devices)), "R"}
        ends = {"compute": volumes, "send": others, "receive": others}
        return all(s.label in ends.get(s.kind, ()) and s.boundary <= self.geometry.last for s in spans)
