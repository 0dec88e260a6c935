"""What HierTrain's figures say about inputs that the paper does not print; benchmarks/fit_hiertrain.py shows how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..scenarios import Inferred

# The prototype ran Chainer (Sec. VI-B): its arrays are float32, and unrolling convolutions and copying small arrays in
# NumPy costs every sample something at every operator. One number of those is fitted, the Pi's: the i3 and the Xeon are
# taken to be 7 and 11 times faster at that.
PAPER: Mapping[str, Any] = {
    "sample_type": "float32",
    "slowdown": (1.9, 1.9, 1.0),
    "overhead_s": (8e-4, 1.15e-4, 7.5e-5),
}
INFERRED = Inferred(
    fields=PAPER,
    fitted="largest speed-ups over All-Edge and All-Cloud, both networks (arithmetic, overhead a sample and operator)",
    checked="Figs. 7 to 11: orders by rate, JointDNN+, JALAD, cores; the cloud's speed",
)
