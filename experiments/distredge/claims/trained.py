"""Where the paper's agent is trained, and the leaderboard that this is part of."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ....agents.distredge.baselines import PLANNERS
from ...claims.leaderboard import Leaderboard
from ...claims.statement import Job, Setting

TRAINED = ("DB-50", "NA-nano", "LC", "DB-50-resnet50")  # of Figs. 6 to 9; 4000 episodes take minutes each
LEFT_OUT = "OSDS is trained in four of the settings, since 4000 episodes take minutes: " + ", ".join(TRAINED) + "."
LEADERBOARD = Leaderboard(
    "distredge", TRAINED, ("osds", "risk-seeking", *PLANNERS), "joint",
    seconds={"osds": 130.0, "risk-seeking": 25.0, "joint": 10.0},
    quick_seconds={"osds": 10.0, "risk-seeking": 1.0, "joint": 10.0}, seconds_each=0.3,
    train_episodes={"osds": 300, "risk-seeking": 20480},
)  # fmt: skip


def osds_jobs(names: Collection[str], setting: Setting) -> dict[str, list[Job]]:
    """OSDS's trainings, by setting and seed, of those settings where it is trained."""
    seeds = setting.seeds(LEADERBOARD.seeds)
    return {n: [LEADERBOARD.job("osds", n, seed, setting) for seed in seeds] for n in TRAINED if n in names}


def by_setting(jobs: Mapping[str, Sequence[Job]], found: Sequence[Any]) -> dict[str, list[Any]]:
    """Results of :func:`osds_jobs`, whose jobs come one after another: setting -> one a seed."""
    results = iter(found)
    return {name: [next(results) for _ in own] for name, own in jobs.items()}
