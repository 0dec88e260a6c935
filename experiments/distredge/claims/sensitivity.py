"""Who wins by what the paper does not print: types on the wire, the requester's rate, costs of messages, the medium."""

from __future__ import annotations

from collections.abc import Mapping

from ...claims.statement import Asking, Claim, Job, Part, Setting
from . import runs
from .published import BEST_BAND
from .speedups import TIE, TIMES, over, percent

SCENARIOS = ("DB-50", "NA-nano", "DA-50", "DC-50", "NB-xavier")
QUICK_SCENARIOS = SCENARIOS[:2]  # of whose variants plans ship
VARIANTS: Mapping[str, str] = {  # behind a scenario's name -> what it is
    "": "as inferred: image float32, requester 300 Mbit/s",
    "uint8": "image as bytes", "float16": "image as float16", "act32": "activations as float32",
    "reqsame": "requester as fast as each device's link", "req50": "requester 50 Mbit/s",
    "req100": "requester 100 Mbit/s", "req1000": "requester 1000 Mbit/s", "msg0.25": "messages cost a quarter",
    "msg4": "messages cost four times", "copy4": "copies take four times", "notiles": "no stairs in latency",
    "shared": "all share one access point's air",
}  # fmt: skip


def scenarios(setting: Setting) -> tuple[str, ...]:
    return QUICK_SCENARIOS if setting.quick else SCENARIOS


def sweep_jobs(setting: Setting) -> list[Job]:
    """Scenario by scenario, variant by variant; always of the paper's inputs, which differ from devices' by one."""
    return [
        Job(runs.swept, {"scenario": f"{scenario}-{variant}".rstrip("-"), "search": not setting.quick},
            0.4 if setting.quick else 2.0)
        for scenario in scenarios(setting)
        for variant in VARIANTS
    ]  # fmt: skip


def gains(setting: Setting) -> Asking[list[Part]]:
    """Over the best baseline."""
    results = iter((yield sweep_jobs(setting)))
    parts = []
    for scenario in scenarios(setting):
        for what in VARIANTS.values():
            parts.append(Part(f"{scenario}, {what}", [over(next(results), "")], *BEST_BAND, TIMES))
    return parts


def wins(setting: Setting) -> Asking[list[Part]]:
    """In how many of the variants the best plan known is ahead of every baseline."""
    results = iter((yield sweep_jobs(setting)))
    parts = []
    for scenario in scenarios(setting):
        ahead = sum(percent(over(next(results), "")) >= TIE for _ in VARIANTS)
        parts.append(Part(scenario, [100.0 * ahead / len(VARIANTS)], 100.0, 100.0, "% of the variants"))
    return parts


ALONE = (
    "on DB fewer bytes of the image, more of activations, a slow requester or shared air make one Xavier alone as good"
)
SENSITIVITY = (
    Claim("sweep-best", "DistrEdge is 1.1 to 3 times as fast as the best baseline, whatever the paper leaves open is.",
          "1.1 to 3 times", gains, alike=True,
          reason=ALONE),
    Claim("sweep-ahead", "DistrEdge is ahead of all baselines, whatever the paper leaves open is.", "ahead in all",
          wins, alike=True,
          reason=ALONE),
)  # fmt: skip
