"""L2S: DNN training on a device and an edge server, the partition point learned online."""

from __future__ import annotations

from ..family import Family
from .scenarios import DEFAULT_SCENARIO, GROUPS, SCENARIOS

_HERE = __name__

FAMILY = Family(
    name="l2s",
    title="L2S: the partition point of DNN training, learned online between a device and an edge server",
    env_id="splitgym/L2S-v0",
    entry_point=f"{_HERE}.env:L2SEnv",
    vector_entry_point=f"{_HERE}.env:L2SVectorEnv",
    scenarios=tuple(SCENARIOS),
    default_scenario=DEFAULT_SCENARIO,
    scenario_forms="<model>-<edge>-<Mbps>[-p<P^c>], such as vgg16-gpu-37.5-p6",
    groups=GROUPS,
    headline="delay_s",
    terms=("edge_delay_s", "sync_s", "accuracy_cost"),
    paired="regret_s",
    labels={
        "edge_delay_s": "edge",
        "oracle_delay_s": "optimum",
    },
    exact=True,
    regret_note="regret is the expected delay beyond that of the best point in every round (exact), summed",
    summaries={name: scenario.summary for name, scenario in SCENARIOS.items()},
    agents="splitgym.agents.l2s",
    experiments="splitgym.experiments.l2s",
    live=f"{_HERE}.live",
)
