"""Random valid plans."""

from __future__ import annotations

import numpy as np

from splitgym.models.model import Model
from splitgym.models.plans import SpatialPlan


def random_plan(model: Model, devices: int, rng: np.random.Generator) -> SpatialPlan:
    """Up to four volumes, cut and split anywhere; some devices may have no part."""
    units = len(model.units)
    inside = rng.choice(np.arange(1, units), size=min(units - 1, int(rng.integers(0, 4))), replace=False)
    cuts = (*sorted(int(c) for c in inside), units)
    splits = tuple(
        tuple(sorted(int(r) for r in rng.integers(0, model.out_shape(c - 1).height + 1, devices - 1))) for c in cuts
    )
    names = tuple(f"w{i}" for i in range(devices))
    return SpatialPlan(model.name, names, cuts, splits, types=dict.fromkeys(names, "nano")).validate(model)
