"""What DistrEdge's figures say about inputs that the paper does not print; benchmarks/fit_distredge.py shows how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..scenarios import Inferred

# All is Python 3 (Sec. V-A), whose images are arrays of float32 by the time a network takes them.
PAPER: Mapping[str, Any] = {"image_type": "float32"}
INFERRED = Inferred(
    fields=PAPER,
    fitted="speed-ups over the best baseline in Tables I and II (type of images on the wire)",
    checked="speed-ups over AOFL, Table III, other models, Figs. 4 and 14",
)
