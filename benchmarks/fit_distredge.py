"""How DistrEdge's inputs under inputs="paper" were inferred: python benchmarks/fit_distredge.py (half an hour).

The paper prints neither what an image is on the wire, nor the requester's rate, nor whether radios share the air.
Every combination is judged by the speed-up over the best baseline, 1.1 to 3, in the fourteen settings of Tables I and
II: how far a setting is outside, as a logarithm. DistrEdge is the best plan that a short search finds. Nothing is
fitted to what stands beside it: the bands over AOFL in the same settings, and all of Table III.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterable
from itertools import product
from typing import Any

import numpy as np
from rich.progress import track

from splitgym.agents.distredge.baselines import PLANNERS
from splitgym.agents.distredge.joint import JointSearch
from splitgym.envs.distredge.paper import PAPER
from splitgym.envs.distredge.scenarios import get_scenario
from splitgym.envs.distredge.system import System
from splitgym.experiments.distredge.claims.published import AOFL_BANDS, BEST_BAND, FITTED, LARGE

CANDIDATES: tuple[dict[str, Any], ...] = tuple(
    {"image_type": image, "requester_mbps": rate, "medium": medium}
    for medium, rate, image in product(("switched", "shared"), ("same", 300.0), ("uint8", "float32", "float16"))
)
SHORT: dict[str, Any] = {"population": 192, "parents": 48, "patience": 15, "rounds": 1}


def outside(ratio: float, band: tuple[float, float]) -> float:
    """Logarithm of how far a ratio is above its band, negative below, 0 within."""
    return float(np.log(ratio / np.clip(ratio, *band)))


def speedups(name: str, fields: dict[str, Any]) -> tuple[float, float, str]:
    """DistrEdge's over AOFL, over the best baseline, and which that is."""
    system = System(get_scenario(name, inputs="devices", **fields))
    seconds = {who: float(system.evaluate([planner(system)])[0]) for who, planner in PLANNERS.items()}
    best_s = JointSearch(system, 0, **SHORT).search()[1]
    second = min(seconds, key=lambda who: seconds[who])
    return seconds["aofl"] / best_s, seconds[second] / best_s, second


def told(name: str, found: tuple[float, float, str]) -> str:
    aofl, best, second = found
    return f"{name} {aofl:.2f} ({100 * outside(aofl, AOFL_BANDS[name[:2]]):+.0f} %; {best:.2f} over {second})"


def rms(values: Iterable[float]) -> float:
    return 100 * float(np.sqrt(np.mean(np.square(list(values)))))


def report(fields: dict[str, Any], names: tuple[str, ...]) -> None:
    words = ", ".join(f"{name} {value}" for name, value in fields.items()) or "as devices have it"
    found = {name: speedups(name, fields) for name in track(names, words, transient=True)}
    off = [outside(aofl, AOFL_BANDS[name[:2]]) for name, (aofl, _, _) in found.items()]
    over = [outside(best, BEST_BAND) for _, best, _ in found.values()]
    print(
        f"{words}: over the best baseline off by {rms(over):.1f} % rms, {over.count(0.0)} of {len(over)} within; "
        f"bands over AOFL {rms(off):.0f} %, {off.count(0.0)} of {len(off)}"
    )
    print("    " + "  ".join(told(name, found[name]) for name in names), flush=True)


def main() -> None:
    print("fitted: Tables I and II")
    for fields in CANDIDATES:
        report(fields, FITTED)
    print("not fitted: Table III")
    for fields in (dict(PAPER), {}):
        report(fields, LARGE)


if __name__ == "__main__":
    main()
