"""What Sec. V-C and Figs. 4 and 5 say of LC-PSS: alpha, and the number of random split decisions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ....envs.distredge.planning import ALPHA_GRID
from ...claims.statement import Asking, Claim, Inquiry, Job, Part, Setting, near
from . import partition_runs
from .published import ALPHA, DECISIONS, VOLUMES
from .speedups import TIE, percent

ENVIRONMENTS: Mapping[str, str] = {  # of Fig. 4; (d) is one of its three cases of 16 devices
    "H-200": "(a) four equal devices, 200 Mbit/s", "DB-50": "(b) unequal devices (DB)",
    "NA-nano": "(c) unequal links (NA)", "LC": "(d) sixteen devices (LC)",
}  # fmt: skip
COUNTS = (10, 25, 50, 100, 200)  # random split decisions
SPREAD_IN = ("DB-50", "NA-nano")  # of Fig. 5
STABLE = 5.0  # % of the mean between the best and the worst repeat
RESTARTS, LARGE_RESTARTS = 6, 2  # of the search for splits; with 16 devices one takes seconds


def alpha_jobs(scenario: str, setting: Setting) -> list[Job]:
    """One a seed."""
    large = scenario == "LC"
    restarts = LARGE_RESTARTS if large else RESTARTS
    restarts = max(1, restarts // 3) if setting.quick else restarts
    return [
        Job(partition_runs.by_alpha,
            {"scenario": scenario, "inputs": setting.inputs, "seed": seed, "restarts": restarts},
            (14.0 if large else 2.3) * restarts)
        for seed in setting.seeds(3)
    ]  # fmt: skip


def volumes(setting: Setting) -> Asking[list[Part]]:
    """At alpha 0 and 1, on DB."""
    found, *_ = yield alpha_jobs("DB-50", setting)
    by_alpha = dict(zip(found["alphas"], found["volumes"], strict=True))
    return [near(f"alpha {alpha:g}", [by_alpha[alpha]], n, "volumes") for alpha, n in VOLUMES.items()]


def fewer(setting: Setting) -> Asking[list[Part]]:
    """Volumes that a larger alpha takes away."""
    found, *_ = yield alpha_jobs("DB-50", setting)
    steps = zip(ALPHA_GRID[:-1], ALPHA_GRID[1:], -np.diff(found["volumes"]), strict=True)
    return [Part(f"from alpha {a:g} to {b:g}", [float(lost)], 0.0, math.inf, "volumes less") for a, b, lost in steps]


def over_others(alpha: float, others: Sequence[float], low: float, high: float) -> Inquiry[list[Part]]:
    """How much more latency an alpha has than the best of others, in every environment."""

    def measure(setting: Setting) -> Asking[list[Part]]:
        jobs = {scenario: alpha_jobs(scenario, setting) for scenario in ENVIRONMENTS}
        results = iter((yield [job for own in jobs.values() for job in own]))
        parts = []
        for scenario, own in jobs.items():
            samples = []
            for _ in own:
                found = next(results)
                seconds = dict(zip(found["alphas"], found["latency_s"], strict=True))
                samples.append(percent(seconds[alpha] / min(seconds[other] for other in others)))
            parts.append(Part(ENVIRONMENTS[scenario], samples, low, high, "% more latency"))
        return parts

    return measure


def spread_jobs(setting: Setting) -> list[Job]:
    repeats, restarts = (30, 4) if setting.quick else (50, RESTARTS)
    return [
        Job(partition_runs.by_decisions,
            {"scenario": scenario, "inputs": setting.inputs, "decisions": list(COUNTS), "repeats": repeats,
             "restarts": restarts}, 2.0 + 0.04 * repeats + 1.5 * restarts)
        for scenario in SPREAD_IN
    ]  # fmt: skip


def images_per_s(found: Mapping[str, Any], count: int) -> np.ndarray:
    """(repeats,) with so many random decisions."""
    return 1.0 / np.array(found["latency_s"])[found["which"][COUNTS.index(count)]]


def spread(ips: np.ndarray) -> float:
    """Between the best and the worst repeat, in % of their mean."""
    return 100.0 * float(np.ptp(ips) / ips.mean())


def stable(setting: Setting) -> Asking[list[Part]]:
    """Spread of images/s with enough decisions."""
    results = yield spread_jobs(setting)
    return [
        Part(f"{scenario}, {count} decisions", [spread(images_per_s(found, count))], -math.inf, STABLE, "% of the mean")
        for scenario, found in zip(SPREAD_IN, results, strict=True)
        for count in COUNTS
        if count >= DECISIONS
    ]


def wider(setting: Setting) -> Asking[list[Part]]:
    """Spread of images/s with few decisions, beyond that with enough."""
    results = yield spread_jobs(setting)
    return [
        Part(f"{scenario}, {count} decisions beyond {DECISIONS}",
             [spread(images_per_s(found, count)) - spread(images_per_s(found, DECISIONS))], 0.5, math.inf,
             "percentage points")
        for scenario, found in zip(SPREAD_IN, results, strict=True)
        for count in (25, 50)
    ]  # fmt: skip


def different(setting: Setting) -> Asking[list[Part]]:
    """How many more different partitions come of few decisions than of enough."""
    results = yield spread_jobs(setting)
    parts = []
    for scenario, found in zip(SPREAD_IN, results, strict=True):
        kinds = {count: len(set(which)) for count, which in zip(COUNTS, found["which"], strict=True)}
        parts.append(
            Part(f"{scenario}, 25 decisions beyond {DECISIONS}", [kinds[25] - kinds[DECISIONS]], 1.0, math.inf,
                 "partitions more")
        )  # fmt: skip
    return parts


FIG_4 = (
    Claim("fig4-volumes", "LC-PSS divides VGG-16 into 16 volumes at alpha 0, and into two at alpha 1.",
          "16 and 2 volumes", volumes,
          reason="a cut saves halo of the image, which weighs more as float32: three volumes at alpha 1"),
    Claim("fig4-fewer", "The smaller alpha is, the more volumes.", "not more volumes at a larger alpha", fewer),
    Claim("fig4-best", "Alpha 0.75 gives the most images/s in all four environments.", "ahead of the other alphas",
          over_others(ALPHA, [a for a in ALPHA_GRID if a != ALPHA], -math.inf, TIE),
          reason="on DB the three volumes of alpha 1 are about as good as the six of 0.75"),
    Claim("fig4-poor-0", "Alpha 0, which looks at operations only and cuts nearly layer by layer, does poorly.",
          "fewer images/s than at 0.75", over_others(0.0, [ALPHA], TIE, math.inf),
          reason="with sixteen devices one Xavier alone is as good as any splits found, whatever the partition"),
    Claim("fig4-poor-1", "Alpha 1, which looks at transmission only, does poorly.", "fewer images/s than at 0.75",
          over_others(1.0, [ALPHA], TIE, math.inf),
          reason="on DB three volumes are about as good as six; with sixteen devices one Xavier alone is"),
)  # fmt: skip
SHORT = "the short search of a quick run does not find the best splits of every partition; the full one does"
FIG_5 = (
    Claim("fig5-stable", "With 100 random decisions and more, images/s keep stable over 50 repeats.",
          f"stable: here within {STABLE:g} % of their mean", stable, reason=SHORT),
    Claim("fig5-wide", "With 25 and 50 random decisions images/s vary in a wide range.", "a wider range than with 100",
          wider, reason=SHORT),
    Claim("fig5-partitions", "With few random decisions LC-PSS's partition changes significantly between repeats.",
          "more different partitions than with 100", different),
)  # fmt: skip
