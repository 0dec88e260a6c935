"""Deprune's agents: the paper's schedules, fixed budgets, the best schedule, and learners."""

from __future__ import annotations

from functools import partial
from typing import Any

from ...models.plans import CompressedPlan
from ..plan_files import plan_spec as spec_of
from ..protocol import Agent
from ..registry import AgentSpec, sb3_agent
from . import hyperparams
from .schedule_agent import ScheduleAgent, best, constant, deprune, prune

DEFAULT_AGENT = "deprune"


def _follow(env: Any, plan: CompressedPlan) -> Agent:
    return ScheduleAgent(env, env.unwrapped.dynamics.plan_actions(plan))


plan_spec = partial(spec_of, CompressedPlan, _follow)
AGENTS: tuple[AgentSpec, ...] = (
    AgentSpec(
        "deprune", "the paper's schedule: few maps first, all of them at the end (Alg. 1-2)", deprune,
        hyperparams=hyperparams.Deprune,
    ),
    AgentSpec("prune", "all maps first, then fewer and fewer (Alg. 3)", prune, hyperparams=hyperparams.Prune),
    AgentSpec(
        "from-scratch", "one budget from random weights, a quarter of the maps", constant,
        baseline=True, hyperparams=hyperparams.Constant,
    ),
    AgentSpec(
        "no-compression", "all maps in every epoch", constant, baseline=True, hyperparams=hyperparams.Constant
    ),
    AgentSpec(
        "high-compression", "few maps in every epoch", constant, baseline=True, hyperparams=hyperparams.Constant
    ),
    AgentSpec(
        "without-module", "split learning without the module: all maps cross as they are", constant,
        {"module": False}, baseline=True, hyperparams=hyperparams.Constant,
    ),
    AgentSpec(
        "best-schedule", "the best schedule under the fitted curves, looked for exhaustively", best,
        reference=True, hyperparams=hyperparams.Hyperparams,
    ),
    *(
        AgentSpec(
            name, f"SB3's {name.upper()}", partial(sb3_agent, name), learns=True, seeded=True, hyperparams=allowed
        )
        for name, allowed in (("ppo", hyperparams.OnPolicy), ("dqn", hyperparams.OffPolicy))
    ),
)  # fmt: skip
EVAL_AGENTS = (
    "deprune", "prune", "from-scratch", "no-compression", "high-compression", "without-module", "best-schedule",
)  # fmt: skip
