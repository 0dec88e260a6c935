"""A scenario's devices and links as an emulation's: how long what may take, from the same numbers as the physics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...models.plans import SpatialPlan
from ...runtime.controller import RequesterPace
from ...runtime.wire import Pace
from .system import System


def paces(
    system: System, plan: SpatialPlan, scale: float, dilations: Sequence[float] | None = None
) -> tuple[list[Pace], RequesterPace]:
    """What emulated devices take under a plan at nominal rates.

    Args:
        system: of the scenario.
        plan: for its devices.
        scale: by which everything is slower than the devices and links that are emulated.
        dilations: by device, to multiply the time of real work instead of waiting for the table's.

    Returns:
        Pace of every device, and the requester's.
    """
    rates, physics, links = system.nominal, system.physics(plan.ranges), system.links
    tables = physics.volumes
    posts = [(0, *split, int(h)) for split, h in zip(plan.splits, tables.height, strict=True)]
    requester_message_s = np.maximum(links.message_s, links.requester_message_s) * scale
    message_s = np.maximum(links.message_s[:, None], links.message_s[None]) * scale
    found = []
    for d, kind in enumerate(system.types.tolist()):
        at = [(a * (int(h) + 1) + b) for (a, b), h in zip((p[d : d + 2] for p in posts), tables.height, strict=True)]
        volume_s = [float(tables.compute_s[kind, cell + i]) for cell, i in zip(tables.cell_at, at, strict=True)]
        found.append(
            Pace(
                compute="table" if dilations is None else "dilate",
                volume_s=tuple(s * scale for s in volume_s),
                tail_s=float(tables.tail_s[kind]) * scale,
                dilation=1.0 if dilations is None else dilations[d],
                message_s=(*message_s[d].tolist(), float(requester_message_s[d])),
                byte_s=tuple(float(s) * scale for s in (*rates.pair_s[d, :, 0], rates.requester_s[d, 0])),
                in_byte_s=float(rates.in_s[d, 0]) * scale,
                scatter_byte_s=float(rates.requester_s[d, 0]) * scale,
            )
        )
    requester = RequesterPace(
        tuple(requester_message_s.tolist()),
        tuple((rates.scatter_s[:, 0] * scale).tolist()),
        float(rates.requester_in_s) * scale,
    )
    return found, requester
