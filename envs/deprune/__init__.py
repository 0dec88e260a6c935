"""Prune-Deprune: the budget of a compressing cut, epoch by epoch."""

from __future__ import annotations

from ..family import Family
from .scenarios import DEFAULT_SCENARIO, GROUPS, SCENARIOS

_HERE = __name__

FAMILY = Family(
    name="deprune",
    title="Prune-Deprune: split learning through a compressing cut, its budget of feature maps by epoch",
    env_id="splitgym/Deprune-v0",
    entry_point=f"{_HERE}.env:DepruneEnv",
    vector_entry_point=f"{_HERE}.env:DepruneVectorEnv",
    scenarios=tuple(SCENARIOS),
    default_scenario=DEFAULT_SCENARIO,
    groups=GROUPS,
    headline="score",
    terms=("accuracy", "bytes_share", "elapsed_s"),
    lower_is_better=False,
    regret="regret",
    exact=True,
    regret_note="regret is against the best schedule under the learning model, both without noise",
    labels={"bytes_share": "traffic", "elapsed_s": "training time"},
    summaries={name: scenario.summary for name, scenario in SCENARIOS.items()},
    agents="splitgym.agents.deprune",
    experiments="splitgym.experiments.deprune",
    live=f"{_HERE}.live",
)
