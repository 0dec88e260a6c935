"""What DistrEdge's figures say about inputs that the paper does not print; benchmarks/fit_distredge.py shows how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..scenarios import Inferred

INFERRED = Inferred(fitted="nothing yet", checked="nothing yet")
PAPER: Mapping[str, Any] = {"image_type": "float32"}
