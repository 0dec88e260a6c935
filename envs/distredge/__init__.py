"""DistrEdge: CNN inference over unequal edge devices, split by height."""

from __future__ import annotations

from ..family import Family
from .scenarios import DEFAULT_SCENARIO, GROUPS, SCENARIOS, summary_of

_HERE = __name__

FAMILY = Family(
    name="distredge",
    title="DistrEdge: CNN inference split by height over edge devices",
    env_id="splitgym/DistrEdge-v0",
    entry_point=f"{_HERE}.env:DistrEdgeEnv",
    vector_entry_point=f"{_HERE}.env:DistrEdgeVectorEnv",
    scenarios=tuple(SCENARIOS),
    default_scenario=DEFAULT_SCENARIO,
    scenario_forms="the paper's with another model, a variant of a sweep or both behind, such as DB-50-resnet34-shared",
    groups=GROUPS,
    headline="latency_s",
    regret="regret_s",
    labels={
        "ips": "images/s",
        "speedup": "speed-up over offload",
        "throughput_ips": "streamed/s",
    },
    summaries={name: summary_of(name) for name in SCENARIOS},
    agents="splitgym.agents.distredge",
    experiments="splitgym.experiments.distredge",
)
