"""Images a second with many in flight: a plan's slowest stage decides.

Every image occupies each device's computing and each one's sending and incoming link, the requester's too, and the
air where all share it, for as long as it does alone. Images in flight fill the gaps between, but none of these serves
two at once. That is the limit which a stream approaches; plans whose parts are all needed reach at least 1 / latency.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .state import Progress


class Throughput(NamedTuple):
    """What P plans reach.

    Attributes:
        ips: (P,) images/s.
        limits: what the slowest stage of each plan is: "nano-1 computes", "requester sends", "tx2-2 receives".
    """

    ips: np.ndarray
    limits: tuple[str, ...]


def stage_s(done: Progress) -> np.ndarray:
    """(3 D + 3, n) seconds that an image occupies each stage.

    The D devices' computing; everybody's sending, then receiving, the requester last in either; the air.
    """
    return np.concatenate([done.compute_s, done.send_s, done.receive_s, done.air_s[None]])


def slowest_s(done: Progress, lanes: np.ndarray) -> np.ndarray:
    """(m,) the longest of :func:`stage_s` in some lanes."""
    at = done.state
    stages = (at.compute_s, at.send_s, at.receive_s)
    return np.maximum(at.air_s[lanes], np.concatenate([busy_s[lanes] for busy_s in stages], axis=1).max(axis=1))


def stage_names(devices: Sequence[str]) -> list[str]:
    """The stages in :func:`stage_s`'s order, for people."""
    everyone = [*devices, "requester"]
    computes = [f"{name} computes" for name in devices]
    links = [f"{name} {does}" for does in ("sends", "receives") for name in everyone]
    return [*computes, *links, "the air is in use"]
