"""What Prune-Deprune's testbeds say about inputs that the paper does not print.

    python benchmarks/fit_deprune.py

Two numbers of ``envs/deprune/paper.py`` are fitted, on VGG-11 in full width with 4 of 128 maps behind layer 5: the
bytes beside maps that leave 25 times fewer over Wi-Fi (batch 16) and 30 times over Ethernet (batch 64), where maps
alone say 32; and the software's time of a step that leaves 1.7 times less time over Ethernet. To Wi-Fi's 2.5 times
nothing was fitted. Rates of links are not printed: other ones are shown beside those that were taken.
"""

from __future__ import annotations

import sys
from typing import Any

from scipy.optimize import minimize_scalar, root_scalar

from splitgym.envs.deprune.paper import PAPER, WIFI
from splitgym.experiments.deprune.claims.runs import ETHERNET, TESTBEDS
from splitgym.experiments.deprune.claims.runs import WIFI as OVER_WIFI


def fitted_bytes() -> float:
    """Bytes beside maps, a step: least squares of both figures' relative errors."""

    def error(extra: float) -> float:
        pairs = ((bed.bytes_gain(overhead_bytes=round(extra)), bed.fewer_bytes) for bed in TESTBEDS)
        return sum((found / value - 1.0) ** 2 for found, value in pairs)

    found: Any = minimize_scalar(error, bounds=(0, 1e6), method="bounded")
    return float(found.x)


def fitted_seconds(mbps: float) -> float:
    """The software's seconds of a step that leave Fig. 7's gain at a rate of the Ethernet; NaN where none does."""

    def error(seconds: float) -> float:
        return ETHERNET.time_gain(mbps=mbps, overhead_s=seconds) - ETHERNET.less_time

    return float(root_scalar(error, bracket=(0.0, 10.0)).root) if error(0.0) > 0 else float("nan")


def main() -> int:
    """Print the fits and what they leave open."""
    print(f"bytes beside maps, a step: {fitted_bytes():.0f} (taken: {PAPER['overhead_bytes']})")
    for bed in TESTBEDS:
        print(f"  {bed.link}: {bed.bytes_gain():.1f} times fewer bytes (published {bed.fewer_bytes:g})")
    print(f"software's time of a step, Fig. 7 (taken: {1e3 * PAPER['overhead_s']:g} ms at {PAPER['mbps']:g} Mbps)")
    for mbps in (1000.0, 2500.0, 10_000.0, 25_000.0):
        print(f"  Ethernet of {mbps:g} Mbps: {1e3 * fitted_seconds(mbps):.1f} ms")
    print(f"Fig. 5, nothing fitted (taken: {WIFI['mbps']:g} Mbps; published {OVER_WIFI.less_time:g})")
    for dense, maps in ((True, "all maps"), (False, "the kept maps")):
        fields: dict[str, object] = {"mask": "hard", "dense": dense}
        gains = {mbps: OVER_WIFI.time_gain(mbps=mbps, **fields) for mbps in (300.0, 600.0, 900.0)}
        print(f"  module computes {maps}:", ", ".join(f"{gain:.2f} at {mbps:g} Mbps" for mbps, gain in gains.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
