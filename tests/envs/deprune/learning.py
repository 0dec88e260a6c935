"""A learning model that is known, and what one tells in words of its formula."""

from __future__ import annotations

import math
from collections.abc import Sequence

from splitgym.envs.deprune.curves import LearningModel

KNOWN = LearningModel(
    chance=0.1, top=0.8, drop=0.012, bend=1.4, tau=2.0, alpha=0.7, up=0.9, down=0.85, delta=0.4, rest=1.0, boost=0.08,
    loss=(3.0, 2.0, -3.0), noise=0.01,
)  # fmt: skip


def told(model: LearningModel, shares: Sequence[float]) -> float:
    """The formula of the module, in words of one epoch after another: accuracy after epochs at these shares."""
    at = shares[-1]
    doublings = -math.log2(at)
    ceiling = model.top - (model.drop * doublings**model.bend if doublings else 0.0)
    effective = 0.0
    for share in shares:
        ratio = at / share
        effective += model.up ** math.log2(ratio) if ratio > 1 else model.down ** math.log2(1 / ratio)
    learnt = 1.0 - 1.0 / (1.0 + effective / model.tau) ** model.alpha
    own = sum(share == at for share in shares)
    ready = 1.0 - model.delta * math.exp(-own / model.rest)
    if own <= model.boosted_epochs and own < len(shares):
        ready *= 1.0 - model.boost
    return model.chance + (ceiling - model.chance) * learnt * ready
