"""HierTrain: DNN training over device, edge and cloud by hybrid parallelism."""

from __future__ import annotations

from ..family import Family
from .scenarios import DEFAULT_SCENARIO, GROUPS, SCENARIOS

_HERE = __name__

FAMILY = Family(
    name="hiertrain",
    title="HierTrain: DNN training over device, edge and cloud, layers and samples shared out",
    env_id="splitgym/HierTrain-v0",
    entry_point=f"{_HERE}.env:HierTrainEnv",
    vector_entry_point=f"{_HERE}.env:HierTrainVectorEnv",
    scenarios=tuple(SCENARIOS),
    default_scenario=DEFAULT_SCENARIO,
    scenario_forms="<model>-<Mbps>[-c<cores>] or <model>-drift, such as vgg16-2-c4",
    groups=GROUPS,
    headline="iteration_s",
    regret="regret_s",
    exact=True,
    regret_note="regret is against the exact optimum over all schedules at every block's rates, replanning left out",
    labels={"iteration_s": "iteration", "optimal_s": "optimum", "speedup": "speed-up over all-edge"},
    summaries={name: scenario.summary for name, scenario in SCENARIOS.items()},
    agents="splitgym.agents.hiertrain",
    experiments="splitgym.experiments.hiertrain",
    live=f"{_HERE}.live",
)
