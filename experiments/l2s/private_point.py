"""The privacy constraint P^c from divergences by partition point (L2S, Eq. 1)."""

from __future__ import annotations

import numpy as np


def private_point(kl: np.ndarray, target: float) -> int | None:
    """The earliest partition point from which on all have at least ``target`` nats; None where the last has less.

    Args:
        kl: (P,) nats of the partition points 1 to P.
    """
    reached = np.minimum.accumulate(kl[::-1])[::-1] >= target
    return int(reached.argmax()) + 1 if reached.any() else None
