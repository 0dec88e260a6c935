"""EdgeMove's agents: the paper's, its baselines, the oracle, and learners."""

from __future__ import annotations

from functools import partial
from typing import Any

from ...models.plans import PipelinePlan
from ..plan_files import plan_spec as spec_of
from ..protocol import Agent
from ..registry import AgentSpec, sb3_agent
from . import hyperparams
from .baselines import DeviceCloud, OnDevice, Oracle, PipeDreamE
from .edgemove import EdgeMove
from .lookahead import Lookahead
from .plan_agent import Placed

DEFAULT_AGENT = "edgemove"

_ABSOLUTE = {"action": "absolute"}
_TRAIN = {"walks": "train"}  # the evaluation's walks stay unseen


def _follow(env: Any, plan: PipelinePlan) -> Agent:
    return Placed(env, *env.unwrapped.dynamics.system.placement_of(plan))


plan_spec = partial(spec_of, PipelinePlan, _follow, env_kwargs=_ABSOLUTE)
_LEARNERS = {
    "ppo": (hyperparams.OnPolicy, {}),
    "a2c": (hyperparams.OnPolicy, {}),
    "dqn": (hyperparams.OffPolicy, {"action": "flat"}),
}

AGENTS: tuple[AgentSpec, ...] = (
    AgentSpec(
        "edgemove", "the paper's agent (Alg. 1-3) made to settle; its foresight and memory across workers are ours",
        EdgeMove, _ABSOLUTE, seeded=True, hyperparams=hyperparams.EdgeMove,
    ),
    AgentSpec(
        "edgemove-literal", "the same as printed: it moves for ever", EdgeMove, _ABSOLUTE,
        seeded=True, hyperparams=hyperparams.Literal,
    ),
    AgentSpec(
        "lookahead", "all servers and cuts compared by the pipeline's model in every cycle (ours)", Lookahead,
        _ABSOLUTE, reference=True, hyperparams=hyperparams.Lookahead,
    ),
    AgentSpec(
        "on-device", "On-Device: the client trains alone", OnDevice, _ABSOLUTE,
        baseline=True, whole=True, hyperparams=hyperparams.Hyperparams,
    ),
    AgentSpec(
        "device-cloud", "Device-Cloud: the cloud, cut by profiles and the measured rate", DeviceCloud, _ABSOLUTE,
        baseline=True, hyperparams=hyperparams.Hyperparams,
    ),
    AgentSpec(
        "pipedream-e", "PipeDream-E: a random server in reach, cut by computation alone", PipeDreamE, _ABSOLUTE,
        seeded=True, baseline=True, hyperparams=hyperparams.Hyperparams,
    ),
    AgentSpec(
        "pipedream", "the same with the link as a stage, as the original PipeDream cuts",
        partial(PipeDreamE, link=True), _ABSOLUTE, seeded=True, baseline=True, hyperparams=hyperparams.Hyperparams,
    ),
    AgentSpec(
        "oracle", "the fastest server and cut of every cycle, switched for nothing", Oracle,
        {"action": "oracle"}, reference=True, hyperparams=hyperparams.Hyperparams,
    ),
    *(
        AgentSpec(
            name, f"SB3's {name.upper()}", partial(sb3_agent, name, train_options=_TRAIN), options,
            learns=True, seeded=True, hyperparams=allowed, needs=tuple(options),
        )
        for name, (allowed, options) in _LEARNERS.items()
    ),
)  # fmt: skip
EVAL_AGENTS = (
    "edgemove",
    "edgemove-literal",
    "lookahead",
    "on-device",
    "device-cloud",
    "pipedream-e",
    "pipedream",
    "oracle",
)
