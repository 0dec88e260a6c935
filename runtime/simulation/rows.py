"""Symbolic rows: the bytes of a row say which it is, so that a wrong or stale one shows at once. And what is cut."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import cache
from hashlib import blake2b

from ...models.chain import Join, Unit
from ...models.layers import Conv, Linear, Pool, Shape
from ...models.model import Model, ValueBytes
from ...models.plans import SpatialPlan
from ...models.serial import to_plain
from ..geometry import REQUESTER, RESULT, Geometry, Piece
from ..wire_types import FLOAT32, VALUE_BYTES

_UNITS = (
    Unit("conv1", (Conv(kernel=3, padding=1),), save="skip"),
    Unit("conv2", (Conv(kernel=3, padding=1),)),
    Unit("conv3", (Conv(kernel=3, padding=1),), joins=(Join("skip"),)),
    Unit("pool", (Pool(kernel=2, stride=2),)),
    Unit("conv4", (Conv(kernel=3, padding=1),)),
)
MODELS = (
    Model("simulated", Shape(1, 12, 8), _UNITS, (Linear(3),)),
    Model("simulated-rows", Shape(1, 12, 8), _UNITS),
)
PLAIN = tuple(to_plain(model) for model in MODELS)
VALUES = ValueBytes(VALUE_BYTES[FLOAT32])
PLANS = 4  # a set of workers has as many, so that their geometry is made once for all seeds


@cache
def plan_for(model: int, workers: tuple[str, ...], number: int) -> SpatialPlan:
    """One of some plans for workers; with some that give a worker nothing."""
    rng = random.Random(f"{model} {workers} {number}")
    chain = MODELS[model]
    units = len(chain.units)
    inside = sorted(rng.sample(range(1, units), rng.randrange(0, 3)))
    cuts = (*inside, units)
    splits = tuple(tuple(sorted(rng.randint(0, chain.out_shape(cut - 1).height) for _ in workers[1:])) for cut in cuts)
    plan = SpatialPlan(chain.name, workers, cuts, splits, types=dict.fromkeys(workers, "simulated"))
    return plan.validate(chain, "simulated")


@cache
def geometry_of(model: int, workers: tuple[str, ...], number: int) -> Geometry:
    """The geometry of one of these plans."""
    return Geometry(MODELS[model], plan_for(model, workers, number), VALUES)


def tag(geometry: Geometry, item: int, piece: Piece) -> bytes:
    """The bytes of a piece: those of its rows, each of which says what it is a row of."""
    size = geometry.piece_bytes(piece) // (piece.hi - piece.lo)
    return b"".join(_row(item, piece.boundary, piece.tensor, row, size) for row in range(piece.lo, piece.hi))


@cache
def _row(item: int, boundary: int, tensor: str, row: int, size: int) -> bytes:
    digest = blake2b(f"{item} {boundary} {tensor} {row}".encode(), digest_size=8).digest()
    return (digest * (size // 8 + 1))[:size]


def lacking(geometry: Geometry, volume: int, device: int, has: bool, came: Mapping[Piece, bytearray]) -> list[str]:
    """Tensors whose rows are not all there for a device's part of a volume.

    Args:
        has: whether it has computed its part of the volume before.
        came: what came in.
    """
    own = geometry.holds(volume - 1, device) if has and volume else {}
    found = []
    for name, (lo, hi) in geometry.needs(volume, device).items():
        rows = set(range(*own.get(name, (0, 0))))
        for piece in came:
            rows |= set(range(piece.lo, piece.hi)) if piece.tensor == name else set()
        if not rows.issuperset(range(lo, hi)):
            found.append(name)
    return found


def complete_result(geometry: Geometry, came: Mapping[Piece, bytearray]) -> bool:
    """Whether all rows of a result are there."""
    if geometry.host != REQUESTER:
        return any(piece.tensor == RESULT for piece in came)
    rows = {row for piece in came if piece.tensor == RESULT for row in range(piece.lo, piece.hi)}
    return rows == set(range(geometry.model.out_shape(geometry.last - 1).height))
