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

import numpy as np
from scipy.optimize import minimize_scalar, root_scalar

from splitgym.envs.deprune.paper import PAPER, WIFI
from splitgym.envs.deprune.scenarios import get_scenario
from splitgym.envs.deprune.system import System

PUBLISHED_BYTES = {"vgg11-cifar10-wifi8": 25.0, "vgg11-cifar10": 30.0}  # Fig. 4, Fig. 6
PUBLISHED_TIME = {"vgg11-cifar10-wifi8": 2.5, "vgg11-cifar10": 1.7}  # Fig. 5, Fig. 7
FULL = {"model": "vgg11_32", "curves": "", "images": 50_000}
BATCH = {"vgg11-cifar10-wifi8": 16, "vgg11-cifar10": 64}  # Sec. 4.1


def testbed(name: str, **fields: object) -> tuple[System, System]:
    """(with the module at 4 of 128 maps, which come first among its budgets; without it)."""
    fields = {**FULL, "batch": BATCH[name], **fields}
    with_module, without = (System(get_scenario(name, **fields, module=on)) for on in (True, False))
    return with_module, without


def bytes_gain(name: str, **fields: object) -> float:
    """How many times fewer bytes cross with the module."""
    compressed, plain = testbed(name, **fields)
    return float(plain.sent_bytes[0] / compressed.sent_bytes[0])


def step_s(system: System) -> float:
    """Seconds of a step at the first budget and the nominal rate."""
    transfer_s = system.transfer_s(np.array(0), np.array(system.scenario.mbps))
    return float(system.compute_s[0] + transfer_s) / system.steps


def time_gain(name: str, **fields: object) -> float:
    """How many times less time a step takes with the module."""
    compressed, plain = testbed(name, **fields)
    return step_s(plain) / step_s(compressed)


def fitted_bytes() -> float:
    """Bytes beside maps, a step: least squares of both figures' relative errors."""

    def error(extra: float) -> float:
        pairs = ((bytes_gain(name, overhead_bytes=round(extra)), value) for name, value in PUBLISHED_BYTES.items())
        return sum((found / value - 1.0) ** 2 for found, value in pairs)

    found: Any = minimize_scalar(error, bounds=(0, 1e6), method="bounded")
    return float(found.x)


def fitted_seconds(mbps: float) -> float:
    """The software's seconds of a step that leave Fig. 7's gain at a rate of the Ethernet; NaN where none does."""
    name = "vgg11-cifar10"

    def error(seconds: float) -> float:
        return time_gain(name, mbps=mbps, overhead_s=seconds) - PUBLISHED_TIME[name]

    return float(root_scalar(error, bracket=(0.0, 10.0)).root) if error(0.0) > 0 else float("nan")


def main() -> int:
    """Print the fits and what they leave open."""
    print(f"bytes beside maps, a step: {fitted_bytes():.0f} (taken: {PAPER['overhead_bytes']})")
    for name, value in PUBLISHED_BYTES.items():
        print(f"  {name}: {bytes_gain(name):.1f} times fewer bytes (published {value:g})")
    print(f"software's time of a step, Fig. 7 (taken: {1e3 * PAPER['overhead_s']:g} ms at {PAPER['mbps']:g} Mbps)")
    for mbps in (1000.0, 2500.0, 10_000.0, 25_000.0):
        print(f"  Ethernet of {mbps:g} Mbps: {1e3 * fitted_seconds(mbps):.1f} ms")
    print(f"Fig. 5, nothing fitted (taken: {WIFI['mbps']:g} Mbps; published {PUBLISHED_TIME['vgg11-cifar10-wifi8']:g})")
    for dense, maps in ((True, "all maps"), (False, "the kept maps")):
        fields: dict[str, object] = {"mask": "hard", "dense": dense}
        gains = {mbps: time_gain("vgg11-cifar10-wifi8", mbps=mbps, **fields) for mbps in (300.0, 600.0, 900.0)}
        print(f"  module computes {maps}:", ", ".join(f"{gain:.2f} at {mbps:g} Mbps" for mbps, gain in gains.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
