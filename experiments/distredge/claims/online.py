"""What Sec. V-F, Figs. 11 and 12 say: links that change, and plans that follow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...claims.statement import Asking, Claim, Inquiry, Job, Part, Setting
from . import online_runs
from .published import NAMES, ONLINE_BAND, SHIFTS_S
from .speedups import TIE, percent

IMAGES = 200
NOTICED_S = 300.0  # a change that was asked for later is not by the shift
BUDGETS: Mapping[str, Mapping[str, Any]] = {
    "quick": {
        "episodes": 600, "finetune_episodes": 150, "delta_eps": 1 / 125, "actor_net": [64, 64], "critic_net": [64, 64],
        "actor_rate": 1e-3, "critic_rate": 1e-3,
    },  # small nets that learn ten times as fast
    "whole": {"episodes": 2000, "finetune_episodes": 400},  # the paper's nets and rates, half its episodes
}  # fmt: skip
SECONDS = {"online": {"quick": 60.0, "whole": 250.0}}
LESS = 1.0 - TIE / 100
PARTS = ("before 20 min", "from 20 to 40 min", "behind 40 min")


def hours(agent: str, setting: Setting) -> list[Job]:
    """An agent's traces, one a seed."""
    budget = "quick" if setting.quick else "whole"
    hyperparams = dict(BUDGETS[budget]) if agent == "online" else {}
    return [
        Job(online_runs.hour,
            {"agent": agent, "inputs": setting.inputs, "seed": seed, "images": IMAGES, "hyperparams": hyperparams},
            SECONDS.get(agent, {}).get(budget, 8.0))
        for seed in setting.seeds(3)
    ]  # fmt: skip


def mean_s(run: Mapping[str, Any]) -> float:
    return float(np.mean(run["latency_s"]))


def shares(agent: str, other: str, low: float, high: float) -> Inquiry[list[Part]]:
    """An agent's mean latency over another's, by seed."""

    def measure(setting: Setting) -> Asking[list[Part]]:
        jobs = hours(agent, setting), hours(other, setting)
        found = yield [*jobs[0], *jobs[1]]
        own, others = found[: len(jobs[0])], found[len(jobs[0]) :]
        samples = [100 * mean_s(a) / mean_s(b) for a, b in zip(own, others, strict=True)]
        return [Part("", samples, 100 * low, 100 * high, f"% of {NAMES[other]}'s latency")]

    return measure


def best_share(setting: Setting) -> Asking[list[Part]]:
    """The best plan known at every image's rates."""
    found = yield hours("aofl", setting)
    samples = [100 * float(np.mean(run["best_s"])) / mean_s(run) for run in found]
    low, high = ONLINE_BAND
    return [Part("", samples, 100 * low, 100 * high, "% of AOFL's latency")]


def slowest(setting: Setting) -> Asking[list[Part]]:
    """How much more latency CoEdge has than the slower of the others, in every part of the hour."""
    jobs = [hours(agent, setting) for agent in ("coedge", "aofl", "online")]
    found = yield [job for own in jobs for job in own]
    seeds = len(jobs[0])
    rows = []
    for seed in range(seeds):
        coedge, *others = (_by_part(run) for run in found[seed::seeds])
        rows.append([percent(s / max(theirs)) for s, *theirs in zip(coedge, *others, strict=True)])
    return [
        Part(name, [row[p] for row in rows], TIE, math.inf, "% more than the others") for p, name in enumerate(PARTS)
    ]


def _by_part(run: Mapping[str, Any]) -> list[float]:
    part = np.searchsorted(SHIFTS_S, run["clock_s"], side="right")
    seconds = np.array(run["latency_s"])
    return [float(seconds[part == p].mean()) for p in range(len(PARTS))]


def asked_s(run: Mapping[str, Any]) -> np.ndarray:
    """When new strategies were asked for."""
    return np.array(run["clock_s"])[1:][np.diff(run["asked"]) > 0]


def noticed(setting: Setting) -> Asking[list[Part]]:
    """From the traces' shifts until DistrEdge asks for the next strategy."""
    found = yield hours("online", setting)
    parts = []
    for shift in SHIFTS_S:
        after = [asked[asked >= shift] - shift for asked in map(asked_s, found)]
        samples = [float(a[0]) if a.size else math.inf for a in after]
        parts.append(Part(f"at {shift / 60:g} min", samples, -math.inf, NOTICED_S, "s"))
    return parts


def moved(setting: Setting) -> Asking[list[Part]]:
    """How far the links' mean rates move at the shifts: the largest factor of a link."""
    found = yield hours("coedge", setting)
    parts = []
    for p, shift in enumerate(SHIFTS_S):
        samples = []
        for run in found:
            part, mbps = np.searchsorted(SHIFTS_S, run["clock_s"], side="right"), np.array(run["mbps"])
            before, after = (mbps[part == q].mean(axis=0) for q in (p, p + 1))
            samples.append(float(np.exp(np.abs(np.log(after / before))).max()))
        parts.append(Part(f"at {shift / 60:g} min", samples, 1.2, math.inf, "times the rate before, or its inverse"))
    return parts


FIG_11 = (
    Claim("fig11-shifts", "The links' mean rates change significantly at 20 and at 40 minutes.",
          "significantly: here some link by a fifth and more", moved, alike=True,
          reason="on all three traces they move by far more, but so differently that the interval is wide"),
    Claim("fig11-noticed", "New partitions are asked for when the mean rates have changed: at 20 and 40 minutes.",
          f"at 20 and 40 min: here within {NOTICED_S / 60:g} min", noticed, "trained", alike=True,
          reason="on one of the three traces CUSUM takes five minutes to notice the change at 40 minutes"),
)  # fmt: skip
TRAINING = (
    "Trained with {episodes} and {finetune_episodes} episodes, when quick with fewer and small nets (the paper: 4000, "
    "and a number that it does not name)."
).format(**BUDGETS["whole"])
FIG_12 = (
    Claim("fig12-share", f"Online DistrEdge takes 40 to 65 % of AOFL's latency. {TRAINING}", "40 to 65 %",
          shares("online", "aofl", *ONLINE_BAND), "trained", alike=True,
          reason="the best plan known at every image's rates takes more than 65 % of AOFL's latency already"),
    Claim("fig12-best", "The best plan known at every image's rates is where the paper has DistrEdge.", "40 to 65 %",
          best_share,
          reason="AOFL splits every image anew at its rates, and loses less on our traces, which are not the paper's"),
    Claim("fig12-ahead", "Online DistrEdge takes less than AOFL.", "less", shares("online", "aofl", -math.inf, LESS),
          "trained", alike=True,
          reason="OSDS's splits are not the best at the rates it trains at, and AOFL splits every image anew"),
    Claim("fig12-coedge", "Online DistrEdge takes less than CoEdge.", "less",
          shares("online", "coedge", -math.inf, LESS), "trained", alike=True),
    Claim("fig12-aofl", "AOFL takes less than CoEdge.", "less", shares("aofl", "coedge", -math.inf, LESS)),
    Claim("fig12-slowest", "CoEdge's latency is the largest in all parts of the hour.", "larger than the others'",
          slowest, "trained", alike=True,
          reason="on all three traces it is, but by such different amounts that the intervals are wide"),
)  # fmt: skip
