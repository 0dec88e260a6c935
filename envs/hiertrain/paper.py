"""What HierTrain's figures say about inputs that the paper does not print; benchmarks/fit_hiertrain.py shows how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..scenarios import Inferred

INFERRED = Inferred(
    fitted="HierTrain's largest speed-ups over All-Edge and All-Cloud, both networks (arithmetic, calls of operators)",
    checked="Figs. 7 to 11: orders by rate, JointDNN+, JALAD, cores; the cloud's speed",
)
# The prototype ran Chainer (Sec. VI-B): its arrays are float32, its operators are called from Python.
PAPER: Mapping[str, Any] = {
    "sample_type": "float32",
    "slowdown": (1.9, 1.9, 1.0),
    "operator_s": (
        8e-4,
        1.15e-4,
        7.5e-5,
    ),  # one number is fitted, the Pi's; i3 and Xeon run Python 7 and 11 times faster
}
