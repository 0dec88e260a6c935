"""EdgeMove: pipelined DNN training of a moving client with edge servers around it."""

from __future__ import annotations

from ..family import Family
from .scenarios import DEFAULT_SCENARIO, GROUPS, SCENARIOS

_HERE = __name__

FAMILY = Family(
    name="edgemove",
    title="EdgeMove: pipelined DNN training of a moving client, the cut and the edge server adapted",
    env_id="splitgym/EdgeMove-v0",
    entry_point=f"{_HERE}.env:EdgeMoveEnv",
    vector_entry_point=f"{_HERE}.env:EdgeMoveVectorEnv",
    scenarios=tuple(SCENARIOS),
    default_scenario=DEFAULT_SCENARIO,
    scenario_forms="<task>[-city][-x<speed factor>][-<Mbps>mbps], such as resnet50-speech-x2-300mbps",
    groups=GROUPS,
    headline="elapsed_s",
    terms=("training_s", "adaptation_s"),
    regret="regret_s",
    exact=True,
    regret_note="regret is against the fastest server and cut of every cycle on the same walk, switched for nothing",
    labels={
        "elapsed_s": "training time",
        "speedup": "speed-up",
        "training_s": "cycles",
        "adaptation_s": "adapting",
        "oracle_s": "fastest",
        "worker_switches": "new workers",
    },
    summaries={name: scenario.summary for name, scenario in SCENARIOS.items()},
    agents="splitgym.agents.edgemove",
    experiments="splitgym.experiments.edgemove",
    live=f"{_HERE}.live",
)
