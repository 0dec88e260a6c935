"""DistrEdge's agents: the paper's OSDS, its seven baselines, the joint search, and learners."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ...envs.distredge.system import System
from ...models.plans import SpatialPlan
from ...ui.errors import InputError
from ...ui.progress import tell
from ..plan_files import plan_spec as spec_of
from ..protocol import Agent, Interrupted
from ..registry import AgentSpec, check_options, sb3_agent
from . import hyperparams
from .baselines import PLANNERS, aofl_resplit
from .plan_agent import ENV_KWARGS, PlanAgent

DEFAULT_AGENT = "risk-seeking"


def _planner(name: str, env: Any, seed: int = 0, **options: Any) -> Agent:
    resplit = aofl_resplit if name == "aofl" else None
    if name in _REPLAN and env.unwrapped.dynamics.system.scenario.varies:
        check_options(name, ENV_KWARGS, env)
    return PlanAgent(env, PLANNERS[name], replans=name in _REPLAN, resplit=resplit, **options)


def _joint(env: Any, seed: int = 0, **options: Any) -> Agent:
    from .joint import JointSearch, Stopped

    def planner(system: System, mbps: np.ndarray | None) -> SpatialPlan:
        search = JointSearch(system, seed, mbps=mbps, **options)
        return search.search(lambda _, best_s: tell(search.share, f"best {best_s * 1e3:.1f} ms"))[0]

    try:
        return PlanAgent(env, planner)
    except Stopped as stop:
        best = stop.plan
        raise Interrupted(PlanAgent(env, lambda system, mbps: best)) from None


def _follow(env: Any, plan: SpatialPlan) -> Agent:
    names = env.unwrapped.dynamics.system.names
    if plan.devices != names:
        raise InputError(f"devices is {', '.join(plan.devices)}, allowed: {', '.join(names)}, in this order")
    return PlanAgent(env, lambda system, mbps: plan)


plan_spec = partial(spec_of, SpatialPlan, _follow, env_kwargs=ENV_KWARGS, needs=())


def _osds(env: Any, seed: int = 0, **options: Any) -> Agent:
    from .osds import Osds

    return Osds(env, seed, **options)


def _online(env: Any, seed: int = 0, **options: Any) -> Agent:
    from .online import Online

    return Online(env, seed, **options)


def _risk_seeking(env: Any, seed: int = 0, **options: Any) -> Agent:
    from .risk_seeking import RiskSeeking

    return RiskSeeking(env, seed, **options)


_BASELINES = {
    "coedge": "CoEdge: layer by layer, shares from a linear program",
    "modnn": "MoDNN: layer by layer, shares by capability",
    "mednn": "MeDNN: layer by layer, shares by each layer's capability",
    "deepthings": "DeepThings: one fused volume split equally, the rest on the best provider",
    "deeperthings": "DeeperThings: several fused volumes split equally",
    "aofl": "AOFL: best partition under linear models, splits by the linear ratio",
    "offload": "Offload: everything on the best provider",
}
_REPLAN = ("coedge", "aofl")  # those that look at the network
_PARTITION = ("partition",)
_LEARNERS = {
    "ppo": hyperparams.OnPolicy,
    "a2c": hyperparams.OnPolicy,
    "sac": hyperparams.OffPolicy,
    "td3": hyperparams.OffPolicy,
    "ddpg": hyperparams.OffPolicy,
}

TRAIN = {"optimum": True}  # so that the learning curve is no matter of luck where links vary

AGENTS: tuple[AgentSpec, ...] = (
    AgentSpec(
        "osds", "the paper's agent: LC-PSS, then DDPG over the splits", _osds,
        {"observation": "paper"}, learns=True, seeded=True, hyperparams=hyperparams.Osds,
    ),
    AgentSpec(
        "online", "the paper's agent online: fine-tuned when links change, while the old one serves", _online,
        ENV_KWARGS, seeded=True, hyperparams=hyperparams.Online,
    ),
    AgentSpec(
        "risk-seeking", "learns the partition and the splits by risk-seeking policy gradient", _risk_seeking,
        ENV_KWARGS, learns=True, seeded=True, hyperparams=hyperparams.RiskSeeking, needs=_PARTITION,
    ),
    AgentSpec(
        "joint", "evolutionary search over cuts and splits: the reference", _joint,
        ENV_KWARGS, seeded=True, reference=True, hyperparams=hyperparams.Joint, needs=_PARTITION,
    ),
    *(
        AgentSpec(
            name, summary, partial(_planner, name), ENV_KWARGS, baseline=True, whole=name == "offload",
            hyperparams=hyperparams.Replanning if name in _REPLAN else hyperparams.Hyperparams, needs=_PARTITION,
        )
        for name, summary in _BASELINES.items()
    ),
    *(
        AgentSpec(
            name, f"SB3's {name.upper()} on the LC-PSS partition", partial(sb3_agent, name, train_options=TRAIN),
            learns=True, seeded=True, hyperparams=allowed,
        )
        for name, allowed in _LEARNERS.items()
    ),
)  # fmt: skip
EVAL_AGENTS = ("osds", "risk-seeking", "joint", *_BASELINES)
