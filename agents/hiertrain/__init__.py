"""HierTrain's agents: the paper's planner, the exact one, the paper's baselines, and learners."""

from __future__ import annotations

from functools import partial
from typing import Any

from ...models.plans import HybridPlan
from ..plan_files import plan_spec as spec_of
from ..protocol import Agent
from ..registry import AgentSpec, sb3_agent
from . import hyperparams
from .layerwise import ASSIGNMENTS
from .plan_agent import LayerAgent, PlanAgent
from .planners import PLANNERS

DEFAULT_AGENT = "hiertrain"


def _planner(name: str, env: Any, seed: int = 0, hold: bool = False) -> Agent:
    return PlanAgent(env, PLANNERS[name](env.unwrapped.dynamics.system), hold)


def _assignment(name: str, env: Any, seed: int = 0) -> Agent:
    return LayerAgent(env, ASSIGNMENTS[name](env.unwrapped.dynamics.system))


def _follow(env: Any, plan: HybridPlan) -> Agent:
    schedule = env.unwrapped.dynamics.system.schedule_of(plan)
    return PlanAgent(env, lambda device_edge, edge_cloud: schedule)


def _learner(algorithm: str, env: Any, seed: int = 0, *, episodes: int, **hyperparams: Any) -> Agent:
    """One of SB3's. Where links are constant each block is an episode in training: plans are told apart by it."""
    options: dict[str, Any] = {"optimum": True}
    dynamics = env.unwrapped.dynamics
    if dynamics.plan_decides and "blocks" not in env.spec.kwargs:
        options, episodes = {**options, "blocks": 1}, episodes * dynamics.episode_steps
    return sb3_agent(algorithm, env, seed, train_options=options, episodes=episodes, **hyperparams)


_HYBRID = {"plans": "hybrid"}
plan_spec = partial(spec_of, HybridPlan, _follow, env_kwargs=_HYBRID)
_ALONE = {
    "all-device": "All-Device: the device trains alone",
    "all-edge": "All-Edge: the edge server trains alone",
    "all-cloud": "All-Cloud: the cloud trains alone",
}
_LAYERS = {
    "jointdnn": ("JointDNN: device and cloud by layers, shortest path", {"plans": "layers", "activation_bits": 32}),
    "jointdnn+": ("JointDNN+: device, edge and cloud by layers", {"plans": "layers", "activation_bits": 32}),
    "jalad": ("JALAD: edge and cloud by layers, 8-bit activations", {"plans": "layers", "activation_bits": 8}),
}
_LEARNERS = {  # hyperparameters, options that it cannot do without
    "ppo": (hyperparams.OnPolicy, ()),
    "ddpg": (hyperparams.OffPolicy, ("plans",)),
    "sac": (hyperparams.OffPolicy, ("plans",)),
}

AGENTS: tuple[AgentSpec, ...] = (
    AgentSpec(
        "hiertrain", "the paper's planner: a linear program for every mapping and pair of cuts, then rounding",
        partial(_planner, "hiertrain"), _HYBRID, hyperparams=hyperparams.Planner,
    ),
    AgentSpec(
        "exact", "the optimum of Eq. 12 over every schedule, by branch and bound", partial(_planner, "exact"), _HYBRID,
        reference=True, hyperparams=hyperparams.Planner,
    ),
    *(
        AgentSpec(
            name, summary, partial(_planner, name), _HYBRID,
            baseline=True, whole=True, hyperparams=hyperparams.Hyperparams,
        )
        for name, summary in _ALONE.items()
    ),
    *(
        AgentSpec(
            name, summary, partial(_assignment, name), options, baseline=True, hyperparams=hyperparams.Hyperparams
        )
        for name, (summary, options) in _LAYERS.items()
    ),
    *(
        AgentSpec(
            name, f"SB3's {name.upper()}", partial(_learner, name), _HYBRID,
            learns=True, seeded=True, hyperparams=allowed, needs=needs,
        )
        for name, (allowed, needs) in _LEARNERS.items()
    ),
)  # fmt: skip
EVAL_AGENTS = ("hiertrain", "exact", *_ALONE, *_LAYERS)
