"""A plan of every kind, all of VGG-16, for tests of plan files."""

from __future__ import annotations

from functools import cache
from typing import Any

from splitgym.models.lookup import get_model
from splitgym.models.model import Model
from splitgym.models.plans import CompressedPlan, CutPlan, HybridPlan, PipelinePlan, SpatialPlan

# Units 10, 14 and 18 of VGG-16 have 28, 14 and 7 output rows.
DEVICES, CUTS, SPLITS = ("nano-1", "tx2-1", "pi3-1"), (10, 14, 18), ((10, 20), (0, 14), (7, 7))
ROLES = ("cloud", "device", "edge")


def types_of(*names: str) -> dict[str, str]:
    """Some type for everyone."""
    return dict.fromkeys(names, "tx2")


SIDES, ENDS = types_of("device", "edge"), types_of("client", "server")
PLAN = SpatialPlan(
    "vgg16", DEVICES, CUTS, SPLITS, {"agent": "aofl", "latency_s": 0.07},
    types={"nano-1": "nano", "tx2-1": "tx2", "pi3-1": "pi3"},
)  # fmt: skip
CUT = CutPlan("vgg16", 7, {"agent": "linucb_e", "delay_s": 0.7}, types=SIDES)
HYBRID = HybridPlan("vgg16", ROLES, 3, 10, (28, 40, 60), {"agent": "exact", "iteration_s": 9.5}, types=types_of(*ROLES))
PIPELINE = PipelinePlan(
    "vgg16", 9, "site-41", 2, {"agent": "edgemove", "cycle_s": 31.5}, types=types_of("client", "site-41")
)
# Behind its first 5 modules VGG-16 has 64 maps of 112 x 112.
COMPRESSED = CompressedPlan("vgg16", 5, 2, (2, 2, 16, 64), {"agent": "deprune", "score": 0.5}, types=ENDS)
PLANS = (PLAN, CUT, HYBRID, PIPELINE, COMPRESSED)


def kind_of(value: Any) -> str | None:
    """For the names of tests."""
    return getattr(value, "kind", None)


@cache
def vgg() -> Model:
    return get_model("vgg16")
