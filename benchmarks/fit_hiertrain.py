"""How HierTrain's inputs under inputs="paper" were inferred: python benchmarks/fit_hiertrain.py (minutes).

The prototype trained in Chainer, which is slower than the inference libraries behind the profiles. Two numbers are
fitted to the largest speed-ups over All-Edge and All-Cloud on both networks: how many times longer arithmetic takes on
the Pi and the i3, and what an operator takes the Pi beside it for a sample (unrolling, copies, small arrays). The i3
and the Xeon are taken to be faster at that as they run Python; what other ratios, uint8 images and a relay that stores
would fit is printed.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from typing import Any

import numpy as np
from scipy.optimize import minimize

from splitgym.envs.hiertrain.cost import iteration_s
from splitgym.envs.hiertrain.planning import ExactPlanner
from splitgym.envs.hiertrain.scenarios import get_scenario
from splitgym.envs.hiertrain.schedule import alone
from splitgym.envs.hiertrain.system import CLOUD, EDGE, System
from splitgym.experiments.hiertrain.claims.jobs import PUBLISHED

ENDS_MBPS = (1.5, 5.0)  # All-Cloud is farthest behind at the lowest rate, All-Edge at the highest
CHOSEN = (7.0, 11.0)  # i3 and Xeon over the Pi: two and three times the clock, some 3.5 times the work a cycle
RATIOS = ((3.0, 5.0), (5.0, 8.0), CHOSEN, (10.0, 15.0), (30.0, 46.0))
START = np.log([2.0, 8e-4])
BOUNDS = tuple(zip(np.log([0.5, 5e-5]).tolist(), np.log([10.0, 8e-3]).tolist(), strict=True))
TARGET = np.log([ratio for published in PUBLISHED.values() for ratio in published])


def inputs_of(slowdown: float, overhead_s: float, ratios: tuple[float, float]) -> dict[str, Any]:
    """Fields of a scenario."""
    return {
        "slowdown": (slowdown, slowdown, 1.0),
        "overhead_s": (overhead_s, overhead_s / ratios[0], overhead_s / ratios[1]),
    }


def speedups(fields: dict[str, Any]) -> np.ndarray:
    """(4,) largest speed-ups over All-Edge and All-Cloud, AlexNet's, then LeNet-5's."""
    found = []
    for model in PUBLISHED:
        rows = []
        for mbps in ENDS_MBPS:
            system = System(get_scenario(f"{model}-{mbps:g}", **fields))
            best_s = ExactPlanner(system).best(*system.nominal).seconds
            singles = (alone(worker, system.batch) for worker in (EDGE, CLOUD))
            rows.append([float(iteration_s(system, single, *system.nominal)[0]) / best_s for single in singles])
        found += np.max(rows, axis=0).tolist()
    return np.array(found)


def fitted(ratios: tuple[float, float], **fields: Any) -> tuple[float, float]:
    """(slowdown, seconds a sample and operator on the Pi) with the least sum of squared logarithms."""

    def misfit(logs: np.ndarray) -> float:
        slowdown, overhead_s = np.exp(logs)
        found = speedups({**inputs_of(float(slowdown), float(overhead_s), ratios), **fields})
        return float(((np.log(found) - TARGET) ** 2).sum())

    best = minimize(misfit, START, method="Nelder-Mead", bounds=BOUNDS, options={"maxfev": 60, "xatol": 0.01})
    slowdown, overhead_s = np.exp(best.x)
    return float(slowdown), float(overhead_s)


def report(label: str, fields: dict[str, Any]) -> None:
    found = speedups(fields)
    residual = np.log(found) - TARGET
    words = " ".join(f"{f:5.2f} ({100 * r:+3.0f} %)" for f, r in zip(found, residual, strict=True))
    print(f"{label:62s} {words}  rms {100 * np.sqrt((residual**2).mean()):5.1f} %", flush=True)


def main() -> None:
    print(f"largest speed-ups over All-Edge and All-Cloud, published {PUBLISHED}")
    report("as devices have it", {"inputs": "devices"})
    report("chosen", {})
    for ratios in RATIOS:
        slowdown, overhead_s = fitted(ratios)
        label = (
            f"Python {ratios[0]:g} and {ratios[1]:g} times faster: {slowdown:.2f}, {1e3 * overhead_s:.2f} ms a sample"
        )
        report(label, inputs_of(slowdown, overhead_s, ratios))
    for field, value in (("relay", "store"), ("sample_type", "uint8")):
        slowdown, overhead_s = fitted(CHOSEN, **{field: value})
        fields = {**inputs_of(slowdown, overhead_s, CHOSEN), field: value}
        report(f"with {field} {value}: {slowdown:.2f}, {1e3 * overhead_s:.2f} ms a sample", fields)


if __name__ == "__main__":
    main()
