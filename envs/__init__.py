"""The environments. Importing this registers them all with Gymnasium, once."""

from __future__ import annotations

from . import deprune, distredge, edgemove, hiertrain, l2s
from .core import BatchEnv, Dynamics, ScalarEnv
from .family import FAMILIES, Family, get_family, register_family

register_family(distredge.FAMILY)
register_family(l2s.FAMILY)
register_family(edgemove.FAMILY)
register_family(hiertrain.FAMILY)
register_family(deprune.FAMILY)

__all__ = ["FAMILIES", "BatchEnv", "Dynamics", "Family", "ScalarEnv", "get_family", "register_family"]
